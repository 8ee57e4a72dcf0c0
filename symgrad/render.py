"""Kernel -> Cython source through the templates: the only user of Jinja.

Templates receive strings, integers, booleans and tuples of them, and compute nothing.
"""

import textwrap
from collections.abc import Iterable
from functools import cache
from math import isinf, isnan

import jinja2

from .kernel import Kernel, LaneFunction
from .mathematics import header, parameter_names
from .printer import CONDITIONS, OWN_FUNCTIONS, VECTOR_FUNCTIONS, Printer, c_functions
from .problem import EmpiricalRisk, leaves
from .program import LEAVES, Program

Context = dict[str, object]

_SUMMARIES = {
    "losses": "Each lane's loss, times its weight.",
    "gradients": "Each lane's loss and its derivative by each parameter, times its weight: backwards through the loss.",
    "predictions": "Each lane's outputs of the model.",
}
_WIDTH = 116
# A function of the C library takes about so many nanoseconds for a sample, where other operations take a fraction.
_CALL_COST, _OPERATION_COST = 2.0, 0.15


def render(risk: EmpiricalRisk, kernel: Kernel, dtype: str) -> str:
    """The Cython text of a risk's module: the same bytes for the same declaration."""
    return environment().get_template("module.pyx.jinja").render(context(risk, kernel, dtype))


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


def context(risk: EmpiricalRisk, kernel: Kernel, dtype: str) -> Context:
    """Everything that the templates ask for."""
    printer = Printer(kernel.program, dtype)
    comments = [f"dL/d{name}" for name in parameter_names(risk)]
    functions = {function.name: function for function in kernel.functions}
    scratch = {name: functions[name].scratch if name in functions else 0 for name in _SUMMARIES}
    once = _once(kernel, printer)
    lane_functions = tuple(_lane_function(kernel, function, printer, comments) for function in kernel.functions)
    c_names = _c_names(kernel, dtype)
    columns = {"n_parameters": risk.parameters, "n_inputs": risk.inputs, "n_targets": risk.targets}
    return {
        "name": risk.name,
        "mathematics": header(risk),
        "loss_count": kernel.counts["loss"],
        "gradient_count": kernel.counts["gradient"],
        "once_count": kernel.counts["once"],
        "real": {"float64": "double", "float32": "float"}[dtype],
        "dtype": dtype,
        "parameters": _declared(risk.parameters),
        "inputs": _declared(risk.inputs),
        "targets": _declared(risk.targets),
        **{key: len(leaves(*symbols)) for key, symbols in columns.items()},
        "lanes": kernel.lanes,
        "depth": kernel.depth,
        "halves": tuple(kernel.lanes >> k for k in range(1, kernel.lanes.bit_length())),
        "cost": _cost(kernel),
        "n_predictions": len(kernel.program.outputs["prediction"]),
        "prediction_shape": "(data.n,)" if risk.output_shape == () else "(data.n, PREDICTIONS)",
        "losses_scratch": scratch["losses"],
        "gradients_scratch": scratch["gradients"],
        "predictions_scratch": scratch["predictions"],
        "functions": lane_functions,
        "math_names": _math_names(kernel.program, bool(c_names["special_functions"])),
        **once,
        **c_names,
    }


def _declared(symbols: Iterable[object]) -> str:
    """A tuple of ``(name, shape)`` as text; names are escaped literals, whatever they hold."""
    pairs = [(str(s.name), tuple(int(n) for n in getattr(s, "shape", ()))) for s in symbols]  # type: ignore[attr-defined]
    entries = [f"({name!a}, {shape!r})" for name, shape in pairs]
    text = f"({', '.join(entries)}{',' if len(entries) == 1 else ''})"
    return text if len(text) <= _WIDTH - 20 else "(\n    " + ",\n    ".join(entries) + ",\n)"


def _name_list(names: Iterable[str]) -> str:
    """Names for a ``cdef`` line, wrapped with Cython's line continuation."""
    return (" \\\n" + " " * 8).join(textwrap.wrap(", ".join(names), _WIDTH - 20))


def _lane_function(kernel: Kernel, function: LaneFunction, printer: Printer, partials: list[str]) -> Context:
    program = kernel.program

    def stored(variable: int, place: str) -> str:
        """How a variable is read back from a row of numbers: a condition was stored as 1 or 0."""
        return f"{place} != 0.0" if program.assignments[variable].operation in CONDITIONS else place

    names: list[str] = []
    conditions: list[str] = []
    loops = []
    invariants: set[int] = set()
    for loop in function.loops:
        written = [variable for variable, _ in loop.writes]
        lines, kept = printer.lines(loop.body, written)
        read = {a for v in loop.body for a in program.assignments[v].arguments} | set(written)
        invariants |= read & set(kernel.slots)
        leaf_reads = sorted(v for v in read if program.assignments[v].operation in ("input", "target", "weight"))
        text = [f"{printer.name(v)} = data[{_lane_of(_data_row(v, kernel))}]" for v in leaf_reads]
        text += [f"{printer.name(v)} = {stored(v, f'out[{_lane_of(row)}]')}" for v, row in loop.reads]
        text += [f"{printer.name(v)} = {expression}" for v, expression in lines]
        meanings = _meanings(function, partials)
        text += [f"out[{_lane_of(row)}] = {kept[v].text}{meanings.get(row, '')}" for v, row in loop.writes]
        loops.append(tuple(text))
        for v in (*leaf_reads, *(v for v, _ in loop.reads), *(v for v, _ in lines)):
            (conditions if program.assignments[v].operation in CONDITIONS else names).append(printer.name(v))
    return {
        "name": function.name,
        "summary": _SUMMARIES[function.name],
        "names": _name_list(dict.fromkeys(names)),
        "conditions": _name_list(dict.fromkeys(conditions)),
        "invariants": tuple(
            f"{'bint' if program.assignments[v].operation in CONDITIONS else 'real'} {printer.name(v)} = "
            f"{stored(v, f'c[{kernel.slots[v]}]')}"
            for v in sorted(invariants)
        ),
        "loops": tuple(loops),
    }


def _lane_of(row: int | str) -> str:
    """The place of a row's value for the lane at hand."""
    return "lane" if row == 0 else f"{row} * LANES + lane"


def _meanings(function: LaneFunction, partials: list[str]) -> dict[int, str]:
    """Comments that say what the rows of the gradient are."""
    if function.name != "gradients":
        return {}
    return {row: f"  # {text}" for row, text in enumerate(["L", *partials])}


def _data_row(variable: int, kernel: Kernel) -> int | str:
    assignment = kernel.program.assignments[variable]
    if assignment.operation == "weight":
        return "WEIGHT_ROW"
    place = int(assignment.attribute or 0)
    return kernel.inputs + place if assignment.operation == "target" else place


def _once(kernel: Kernel, printer: Printer) -> Context:
    """The function that computes, once for a theta, what no sample changes."""
    program = kernel.program
    results = (*kernel.slots, *kernel.penalty)
    lines, kept = printer.lines(kernel.invariant, results)
    used = {a for v in kernel.invariant for a in program.assignments[v].arguments} | set(results)
    leaves_used = (program.assignments[v] for v in used)
    parameters = sorted(int(a.attribute or 0) for a in leaves_used if a.operation == "parameter")
    conditions = [printer.name(v) for v, _ in lines if program.assignments[v].operation in CONDITIONS]
    names = [printer.name(v) for v, _ in lines if program.assignments[v].operation not in CONDITIONS]
    return {
        "used_parameters": tuple(parameters),
        "once_names": _name_list(names),
        "once_conditions": _name_list(conditions),
        "once_lines": tuple(f"{printer.name(v)} = {text}" for v, text in lines),
        "slots": tuple(kept[v].text for v in kernel.slots),
        "n_invariants": len(kernel.slots),
        "penalty": tuple(kept[v].text for v in kernel.penalty),
    }


def _computed(kernel: Kernel) -> set[int]:
    bodies = (v for function in kernel.functions for loop in function.loops for v in loop.body)
    return {*kernel.invariant, *bodies}


def _c_names(kernel: Kernel, dtype: str) -> Context:
    """The functions of the C library that are called, with and without vector versions; and the module's own."""
    computed = _computed(kernel)
    suffix = "f" if dtype == "float32" else ""
    vector: list[dict[str, str]] = []
    scalar: list[dict[str, str]] = []
    for name, arity in c_functions(kernel.program, computed):
        entry = {"name": name, "symbol": name + suffix, "arguments": ", ".join(["real"] * arity)}
        (vector if name in VECTOR_FUNCTIONS else scalar).append(entry)
    own = {kernel.program.assignments[v].operation for v in computed} & OWN_FUNCTIONS
    return {
        "vector_functions": tuple(vector),
        "scalar_functions": tuple(scalar),
        "special_functions": tuple(sorted(own)),
    }


def _math_names(program: Program, special: bool) -> str:
    """What is cimported from libc.math: constants that the code holds, and the special functions' own needs."""
    constants = [float(a.attribute or 0) for a in program.assignments if a.operation == "constant"]
    held = (("INFINITY", any(map(isinf, constants))), ("NAN", special or any(map(isnan, constants))))
    names = [name for name, needed in held if needed]
    return ", ".join(names + ["floor as c_floor", "log as c_log", "pow as c_pow", "tan as c_tan"] * special)


def _cost(kernel: Kernel) -> int:
    """About how many nanoseconds a sample and its gradient take; at least one."""
    program = kernel.program
    operations = [
        program.assignments[v].operation
        for function in kernel.functions
        if function.name == "gradients"
        for loop in function.loops
        for v in loop.body
    ]
    calls = sum(operation in VECTOR_FUNCTIONS for operation in operations)
    own = sum(operation in OWN_FUNCTIONS or operation in ("lgamma", "gamma") for operation in operations)
    cheap = sum(operation not in LEAVES for operation in operations) + 3 * len(program.outputs["gradient"])
    return max(1, round(calls * _CALL_COST + own * 20 * _CALL_COST + cheap * _OPERATION_COST))
