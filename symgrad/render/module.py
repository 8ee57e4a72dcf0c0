"""Kernel -> Cython source through the templates: the only user of Jinja.

Templates receive strings, integers, booleans and tuples of them, and compute nothing.
"""

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import fields
from functools import cache
from math import isinf
from typing import Any

import jinja2

from symgrad.declare import EmpiricalRisk
from symgrad.explain import header_lines, parameter_name
from symgrad.program import PRODUCT_STEP, STEP, Form, Program, count, row_of, size_of
from symgrad.schedule import Kernel, LaneFunction, computed

from .loops import StageText, StageWriter
from .outers import outer_context
from .predictors import predictor_context, turned_inputs
from .spelling import Printer, c_functions

Context = dict[str, object]

_SUMMARIES = {
    "losses": "Each lane's loss, times its weight.",
    "gradients": "Each lane's loss and its derivative by each parameter, times its weight: backwards through the loss.",
    "predictions": "Each lane's outputs of the model.",
}
_WIDTH = 116
_BATCH = 4  # calls of a lane function whose values are added to a row's pairs while these are in registers


def render(risk: EmpiricalRisk, kernel: Kernel, dtype: str, rewrites: Sequence[str] = ()) -> str:
    """The Cython text of a risk's module: the same bytes for the same declaration. Its header lists ``rewrites``."""
    return environment().get_template("module.pyx.jinja").render(context(risk, kernel, dtype, rewrites))


@cache
def environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("symgrad.templates", ""),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # the output is Cython, not HTML; no text of a user's reaches it unescaped
    )


def context(risk: EmpiricalRisk, kernel: Kernel, dtype: str, rewrites: Sequence[str] = ()) -> Context:
    """Everything that the templates ask for."""
    printer = Printer(kernel.program, dtype, kernel.homes)
    comments = _comments(kernel, risk)
    functions = {function.name: function for function in kernel.functions}
    once = _once(kernel, printer)
    lane_functions = tuple(_lane_function(kernel, function, printer, comments) for function in kernel.functions)
    c_names = _c_names(kernel, dtype)
    gradients = functions["gradients"]
    outers = outer_context(kernel, StageWriter(kernel, printer, gradients), {"float64": 8, "float32": 16}[dtype])
    plain = [(s.row, s.at, s.size) for s in kernel.segments] == [(1, 0, kernel.starts[-1])] and not kernel.outers
    columns = {"n_parameters": risk.parameters, "n_inputs": risk.inputs, "n_targets": risk.targets}
    return {
        "name": risk.name,
        "mathematics": header_lines(risk),
        "rewrites": tuple(rewrites),
        "loss_count": kernel.counts["loss"],
        "gradient_count": kernel.counts["gradient"],
        "once_count": kernel.counts["once"],
        "real": {"float64": "double", "float32": "float"}[dtype],
        "dtype": dtype,
        "parameters": _declared(risk.parameters),
        "inputs": _declared(risk.inputs),
        "targets": _declared(risk.targets),
        **{key: sum(map(_size, symbols)) for key, symbols in columns.items()},
        "lanes": kernel.lanes,
        "depth": kernel.depth,
        "shrink_exponent": {"float64": 512, "float32": 64}[dtype],
        "least_exponent": {"float64": 1022, "float32": 126}[dtype],
        "outer_error": _outer_error(kernel, dtype),
        "cost": _cost(kernel),
        "n_predictions": functions["predictions"].rows if "predictions" in functions else 0,
        "prediction_shape": "(data.n,)" if risk.output_shape == () else "(data.n, PREDICTIONS)",
        "value_rows": max(function.rows + function.scratch for function in kernel.functions),
        "gradients_rows": gradients.rows,
        "batch": 1 if kernel.outers or kernel.scaled or any(f.singles for f in kernel.functions) else _BATCH,
        "functions": lane_functions,
        "plain": plain,
        "segments": tuple({"row": s.row, "at": s.at, "size": s.size} for s in kernel.segments),
        **outers,
        **predictor_context(kernel, StageWriter(kernel, printer, gradients)),
        **_uses(kernel, once, lane_functions),
        "math_names": _math_names(kernel.program, c_names["special_functions"]),
        **once,
        **c_names,
    }


def _uses(kernel: Kernel, once: Context, functions: Iterable[Context]) -> Context:
    """Which of the functions for whole matrices are called."""
    stages = [stage for part in (once["once_stages"], *(f["stages"] for f in functions)) for stage in part]  # type: ignore[attr-defined]
    called = {line.strip().split("(")[0] for stage in stages for line in stage["call"]}
    uses: Context = {
        f"uses_{name}": name in called for name in ("multiply", "multiply_each", "multiply_once", "copy_rows")
    }
    return {
        **uses,
        "uses_turn": bool(kernel.outers) or _turns_inputs(kernel),
        "blocks": tuple((rows, vectors) for vectors in ((4, 1) if kernel.outers else (4,)) for rows in (6, 4, 1)),
        "uses_fma": bool(kernel.outers) or any(name.startswith("multiply") for name in called),
    }


def _outer_error(kernel: Kernel, dtype: str) -> str:
    """The error of a gradient that is summed as a product: of each addition of a tile, none of which is compensated."""
    additions = kernel.lanes + kernel.depth * max((outer.p for outer in kernel.outers), default=0)
    return f"{additions * {'float64': 2.0**-53, 'float32': 2.0**-24}[dtype]:.0e}"


def _turns_inputs(kernel: Kernel) -> bool:
    return any(part["size"] >= 8 for part in turned_inputs(kernel))


def _size(symbol: object) -> int:
    return size_of(tuple(int(n) for n in getattr(symbol, "shape", ())))


def _declared(symbols: Iterable[object]) -> str:
    """A tuple of ``(name, shape)`` as text; names are escaped literals, whatever they hold."""
    pairs = [(str(s.name), tuple(int(n) for n in getattr(s, "shape", ()))) for s in symbols]  # type: ignore[attr-defined]
    entries = [f"({name!a}, {shape!r})" for name, shape in pairs]
    text = f"({', '.join(entries)}{',' if len(entries) == 1 else ''})"
    return text if len(text) <= _WIDTH - 20 else "(\n    " + ",\n    ".join(entries) + ",\n)"


def _name_list(names: Iterable[str]) -> str:
    """Names for a ``cdef`` line, wrapped with Cython's line continuation."""
    return (" \\\n" + " " * 8).join(textwrap.wrap(", ".join(names), _WIDTH - 20))


def _lane_function(kernel: Kernel, function: LaneFunction, printer: Printer, comments: dict[int, str]) -> Context:
    writer = StageWriter(kernel, printer, function)
    stages = writer.write(comments if function.name == "gradients" else {})
    return {
        "name": function.name,
        "summary": _SUMMARIES[function.name],
        "names": _name_list(writer.names),
        "conditions": _name_list(writer.conditions),
        "arrays": _name_list(writer.arrays),
        "invariants": _numbers(kernel, printer, writer),
        "stages": tuple(map(_stage, stages)),
        "by_rows": any(stage.size > 1 or stage.call for stage in stages),
    }


def _numbers(kernel: Kernel, printer: Printer, writer: StageWriter) -> tuple[str, ...]:
    """The declarations of the numbers that a whole function reads."""
    program = kernel.program
    kinds = {
        v: "bint" if row_of(program.assignments[v].operation).is_condition else "real" for v in sorted(writer.scalars)
    }
    return tuple(f"{kind} {printer.name(v)} = {writer.element(v)}" for v, kind in kinds.items())


def _stage(stage: StageText) -> Context:
    return {field.name: getattr(stage, field.name) for field in fields(stage)}


def _comments(kernel: Kernel, risk: EmpiricalRisk) -> dict[int, str]:
    """What the rows of the gradient are; of a matrix, what the first of its rows is."""
    starts = frozenset(kernel.starts)
    rows = {s.row + at - s.at: at for s in kernel.segments for at in range(s.at, s.at + s.size) if at in starts}
    return {0: "  # L"} | {row: f"  # dL/d{parameter_name(risk, at)}" for row, at in rows.items()}


def _once(kernel: Kernel, printer: Printer) -> Context:
    """The function that computes, once for a theta, what no sample changes."""
    writer = StageWriter(kernel, printer, None)
    stages = writer.write({})
    return {
        "once_numbers": _numbers(kernel, printer, writer),
        "once_names": _name_list(writer.names),
        "once_conditions": _name_list(writer.conditions),
        "once_stages": tuple(map(_stage, stages)),
        "once_by_rows": any(stage.size > 1 for stage in stages),
        "n_invariants": kernel.n_invariants,
        "n_penalty": kernel.n_penalty,
    }


def _computed(kernel: Kernel) -> set[int]:
    return computed(stage for stages in (kernel.once, *(f.stages for f in kernel.functions)) for stage in stages)


def _c_names(kernel: Kernel, dtype: str) -> dict[str, Any]:
    """The functions of the C library that are called, with and without vector versions; and the module's own."""
    suffix = "f" if dtype == "float32" else ""

    def entries(form: Form) -> tuple[dict[str, str], ...]:
        called = c_functions(kernel.program, _computed(kernel), [form])
        return tuple({"name": n, "symbol": n + suffix, "arguments": ", ".join(["real"] * k)} for n, k in called)

    return {
        "vector_functions": entries(Form.VECTOR_FUNCTION),
        "scalar_functions": entries(Form.C_FUNCTION),
        "special_functions": tuple(entry["name"] for entry in entries(Form.OWN_FUNCTION)),
    }


def _math_names(program: Program, special: Sequence[str]) -> str:
    """What is cimported from libc.math: constants that the code holds, and the special functions' own needs."""
    constants = [
        a.attribute for a in program.assignments if a.operation == "constant" and isinstance(a.attribute, float)
    ]
    greatest = any(a.operation == "largest" for a in program.assignments)
    names = ["NAN"] + ["INFINITY"] * (greatest or any(map(isinf, constants)))
    names += ["floor as c_floor", "log as c_log", "pow as c_pow", "tan as c_tan"] * bool(special)
    return ", ".join(names + ["sqrt as c_sqrt"] * ("erfinv" in special))


def _cost(kernel: Kernel) -> int:
    """About how many nanoseconds a sample and its gradient take; at least one."""
    (gradients,) = (function for function in kernel.functions if function.name == "gradients")
    products = sum(2 * o.m * o.p * o.k for o in kernel.outers) + sum(4 * p.size for p in kernel.predictors)
    products += sum(16 * part.size for part in kernel.scaled)
    cost = products * PRODUCT_STEP + 3 * gradients.rows * STEP
    for variable in computed(gradients.stages):
        cost += count(kernel.program, variable) * row_of(kernel.program.assignments[variable].operation).cost
    return max(1, round(cost))
