"""What the sweep works out of a model's table when a `Risk` is made: its own text, compiled with a door to look in."""

import ast
from pathlib import Path
from types import ModuleType
from typing import Any

from symgrad.build import Toolchain, build, load_module
from symgrad.render.environment import environment
from symgrad.render.loops import PieceWriter
from symgrad.render.spelling import Printer
from symgrad.render.table import table
from symgrad.schedule import Kernel

_HEAD = '''# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
from libc.stdlib cimport calloc, free

cdef extern from *:
    """
    typedef REAL real;
    typedef real *rows;
    #define hot void
    """
    ctypedef void hot
    ctypedef REAL real
    ctypedef real* rows
'''
_DOOR = """:
    pass

def planned(n_parameters, input_columns, segments, outers, predictors, scaled):
    cdef Model m
    cdef Py_ssize_t i
    m.n_results, m.n_gradient, m.n_sums, m.input_columns = n_parameters, n_parameters, n_parameters, input_columns
    m.kind, m.blocks, m.pull = GRADIENTS, NULL, NULL
    m.turned = m.products = m.multiples = m.most_multiples = 0
    m.segments = <Segment*>array_of(((0, -1, 1), *segments), 3, sizeof(Segment), &m.n_segments)
    m.outers = <Outer*>array_of(outers, 6, sizeof(Outer), &m.n_outers)
    m.turns = <Turned*>array_of(((0,),) * m.n_outers, 1, sizeof(Turned), &m.n_turns)
    m.predictors = <Predictor*>array_of(predictors, 4, sizeof(Predictor), &m.n_predictors)
    m.columns = <Segment*>array_of(((0,),) * (m.n_predictors + 1), 1, sizeof(Segment), &m.n_columns)
    m.scaled = <Multiple*>array_of(scaled, 5, sizeof(Multiple), &m.n_scaled)
    plan(&m, bytearray(n_parameters + 1))
    result = {
        "segments": [m.segments[i] for i in range(m.n_segments)], "columns": [m.columns[i] for i in range(m.n_columns)],
        "turns": [m.turns[i] for i in range(m.n_turns)], "outers": [m.outers[i] for i in range(m.n_outers)],
        "scaled": [m.scaled[i] for i in range(m.n_scaled)],
        "turned": m.turned, "products": m.products, "multiples": m.multiples, "covered": m.covered, "line": LINE,
    }
    free(m.segments)
    free(m.outers)
    free(m.turns)
    free(m.predictors)
    free(m.columns)
    free(m.scaled)
    return result
"""


def planner(dtype: str, folder: Path) -> ModuleType:
    """The compiled part of the sweep of a dtype, with a function ``planned(...)``."""
    real = {"float64": "double", "float32": "float"}[dtype]
    text = environment().get_template("sweep/model.pyx.jinja").render(dtype=dtype, real=real)
    source = _HEAD.replace("REAL", real) + text.rstrip() + _DOOR
    name = f"plan_of_{dtype}"
    return load_module(build(source, name, Toolchain.detect(), folder=folder).library, name)


def table_of(kernel: Kernel, dtype: str = "float64") -> tuple[dict[str, Any], PieceWriter]:
    """The keywords of a model's table, and the writer that knows where its variables lie."""
    (gradients,) = (f for f in kernel.functions if f.name == "gradients")
    writer = PieceWriter(kernel, Printer(kernel.program, dtype, kernel.homes), gradients)
    columns = [
        int(step.attribute or 0) + step.shape[0] * step.shape[1] if step.shape else int(step.attribute or 0) + 1  # type: ignore[arg-type]
        for step in kernel.program.assignments
        if step.operation == "target"
    ]
    lines = table(kernel, writer, True, kernel.inputs + max(columns, default=0), kernel.starts[-1])
    call = ast.parse(f"dict(\n{chr(10).join(lines)}\n)", mode="eval").body
    assert isinstance(call, ast.Call)
    return {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}, writer


def plan_of(module: ModuleType, kernel: Kernel) -> dict[str, Any]:
    """What the sweep makes of a kernel's table."""
    given, _ = table_of(kernel)
    whole = ((1, 0, kernel.starts[-1]),)
    found: dict[str, Any] = module.planned(
        kernel.starts[-1], kernel.inputs, given.get("segments", whole), given.get("outers", ()),
        given.get("predictors", ()), given.get("scaled", ()),
    )  # fmt: skip
    return found
