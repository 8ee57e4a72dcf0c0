"""Kernel -> the Cython text of a model's module: its mathematics, and the table that the sweep reads.

Templates receive strings, integers, booleans and tuples of them, and compute nothing.
"""

import hashlib
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from math import isinf, isnan

from symgrad.program import Form, Program, row_of, size_of
from symgrad.schedule import Kernel, LaneFunction, computed

from .environment import SWEEPS, environment
from .interface import Interface, Names
from .loops import PieceWriter
from .services import clears, services
from .spelling import Printer, c_functions
from .table import outer_error, table

Context = dict[str, object]

_SUMMARIES = {
    "once": "Compute what no sample changes, once for a theta.",
    "losses": "Fill in each lane's loss, times its weight.",
    "gradients": "Fill in each lane's loss and its derivatives, times its weight: backwards through the loss.",
    "predictions": "Fill in each lane's outputs of the model.",
    "pull": "Fill in the derivatives by the parameters, from those that were summed (data).",
}
_WIDTH = 116


def render(interface: Interface, kernel: Kernel, dtype: str, rewrites: Sequence[str] = ()) -> str:
    """Return the text of a risk's module: the same bytes for the same declaration. Its header lists ``rewrites``."""
    return environment().get_template("model.pyx.jinja").render(context(interface, kernel, dtype, rewrites))


def context(interface: Interface, kernel: Kernel, dtype: str, rewrites: Sequence[str] = ()) -> Context:
    """Return everything that the model's templates ask for."""
    printer = Printer(kernel.program, dtype, kernel.homes)
    functions = {function.name: function for function in kernel.functions}
    texts = [_function(kernel, function, printer, interface) for function in (None, *kernel.functions)]
    weight_row = _columns(interface.inputs) + _columns(interface.targets)
    gradients = PieceWriter(kernel, printer, functions["gradients"])
    lines = table(kernel, gradients, interface.scalar, weight_row, _columns(interface.parameters))
    return {
        "name": interface.name,
        "header": (*interface.header, *_notes(kernel, dtype, rewrites)),
        "sweep": SWEEPS[dtype],
        "dtype": dtype,
        "real": {"float64": "double", "float32": "float"}[dtype],
        "constants": ", ".join(_constants(kernel.program)),
        "clears": clears(kernel),
        "c_functions": _c_functions(kernel, dtype),
        "services": tuple(map(asdict, services(kernel))),
        "parameters": _declared(interface.parameters),
        "inputs": _declared(interface.inputs),
        "targets": _declared(interface.targets),
        "lanes": kernel.lanes,
        "weight_row": weight_row,
        "functions": tuple(texts),
        "table": (*lines, f"key={_key(dtype, texts, lines)},"),
    }


def _key(*texts: object) -> int:
    """Return a number that tells a model's text from others: sums of one are never taken for another's."""
    return int.from_bytes(hashlib.sha256(repr(texts).encode()).digest()[:6], "big")


def _notes(kernel: Kernel, dtype: str, rewrites: Sequence[str]) -> tuple[str, ...]:
    """Return the lines of the header that say how it is computed."""
    counts = kernel.counts
    lines = [
        f"For each sample {counts['loss']} operations for the loss, {counts['gradient']} for the loss with its "
        f"gradient; {counts['once']} once for a theta."
    ]
    if kernel.outers:
        lines += textwrap.wrap(
            f"Gradients of matrices are summed as products of matrices: over {kernel.lanes} samples in this module's "
            f"arithmetic, over a tile of {kernel.lanes * kernel.depth} in double, and from there on as pairs: within "
            f"{outer_error(kernel, dtype)} of the mean size of what is summed.",
            _WIDTH,
        )
    if kernel.pull is not None:
        lines += textwrap.wrap(
            f"The derivatives by {kernel.starts[-1]} numbers that no sample changes are summed, and pulled back to the "
            f"{kernel.pull.rows} parameters once, after the sum.",
            _WIDTH,
        )
    if kernel.scaled:
        lines += textwrap.wrap(
            f"Gradients that are multiples of inputs are summed over {kernel.lanes} samples in this module's "
            "arithmetic, and from there on as pairs.",
            _WIDTH,
        )
    stable = ["", "Computed in stable forms:", *(f"    {form}" for form in rewrites)] if rewrites else []
    return (*stable, "", *lines)


def _columns(names: Names) -> int:
    return sum(size_of(shape) for _, shape in names)


def _declared(names: Names) -> str:
    """Return a tuple of ``(name, shape)`` as text; names are escaped literals, whatever they hold."""
    entries = [f"({name!a}, {shape!r})" for name, shape in names]
    text = f"({', '.join(entries)}{',' if len(entries) == 1 else ''})"
    return text if len(text) <= _WIDTH - 20 else "(\n    " + ",\n    ".join(entries) + ",\n)"


def _function(kernel: Kernel, function: LaneFunction | None, printer: Printer, interface: Interface) -> Context:
    """Return a function of the model as text; None: the one that runs once for a theta."""
    name = "once" if function is None else function.name
    writer = PieceWriter(kernel, printer, function)
    pieces = writer.write(_comments(kernel, interface) if name == "gradients" else {})
    alone = writer.without_lanes
    by_rows = any(piece.size > 1 or (piece.call and not alone) for piece in pieces)
    counters = [*([] if alone else ["lane"]), *(["row"] if by_rows else [])]
    body = [line for piece in pieces for line in piece.text(without_lanes=alone)] or ["pass"]
    return {
        "name": name,
        "summary": _SUMMARIES[name],
        "arguments": "const double* theta, real* c"
        if function is None
        else "const real* c, const real* data, rows out",
        "lines": (
            *_declarations("Py_ssize_t", counters),
            *_numbers(kernel, printer, writer),
            *_declarations("real", writer.names),
            *_declarations("bint", writer.conditions),
            *_declarations("real[LANES]", writer.arrays),
            *body,
        ),
    }


def _numbers(kernel: Kernel, printer: Printer, writer: PieceWriter) -> list[str]:
    """Return the declarations of the numbers that a whole function reads."""
    program = kernel.program
    read: dict[str, list[str]] = {"real": [], "bint": []}
    for v in sorted(writer.scalars):
        kind = "bint" if row_of(program.assignments[v].operation).is_condition else "real"
        read[kind].append(f"{printer.name(v)} = {writer.element(v)}")
    return [line for kind, texts in read.items() for line in _declarations(kind, texts)]


def _declarations(kind: str, items: Iterable[str]) -> list[str]:
    """Return ``cdef`` lines for items of one type, as many in a line as there is room for."""
    lines: list[str] = []
    for item in items:
        if lines and len(lines[-1]) + len(item) + 2 <= _WIDTH:
            lines[-1] += f", {item}"
        else:
            lines.append(f"cdef {kind} {item}")
    return lines


def _comments(kernel: Kernel, interface: Interface) -> dict[int, str]:
    """Return what the rows of the gradient are; of a matrix, what the first of its rows is."""
    labels = dict(zip(kernel.starts, interface.labels, strict=False))
    rows = {s.row + at - s.at: at for s in kernel.segments for at in range(s.at, s.at + s.size) if at in labels}
    return {0: "  # L"} | {row: f"  # dL/d{labels[at]}" for row, at in rows.items()}


def _c_functions(kernel: Kernel, dtype: str) -> tuple[dict[str, object], ...]:
    """Return the functions of the C library that are called, with and without vector versions."""
    variables = computed(kernel.pieces)
    suffix = "f" if dtype == "float32" else ""
    vector = c_functions(kernel.program, variables, [Form.VECTOR_FUNCTION])
    return tuple(
        {
            "name": name,
            "symbol": name + suffix,
            "arguments": ", ".join(["real"] * arity),
            "vector": (name, arity) in vector,
        }
        for name, arity in c_functions(kernel.program, variables)
    )


def _constants(program: Program) -> list[str]:
    """Return the constants of libc.math that the code may hold."""
    values = [a.attribute for a in program.assignments if a.operation == "constant" and isinstance(a.attribute, float)]
    greatest = any(a.operation == "largest" for a in program.assignments)
    return ["NAN"] * any(map(isnan, values)) + ["INFINITY"] * (greatest or any(map(isinf, values)))
