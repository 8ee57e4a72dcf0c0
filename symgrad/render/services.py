"""What lane functions call of the sweep, beside the C library: by name, through capsules."""

from dataclasses import dataclass

from symgrad.program import Form, row_of
from symgrad.schedule import Kernel, Whole, computed


@dataclass(frozen=True, slots=True)
class Service:
    """A function of the sweep, as C declares it."""

    name: str
    result: str
    arguments: str


_COUNT, _ROWS = "Py_ssize_t", "const real*"
_OF_MATRICES = {
    "multiply": ["rows", _ROWS, _COUNT, _COUNT, _ROWS, _COUNT, _COUNT, _COUNT],
    "multiply_each": ["rows", _ROWS, _ROWS, _COUNT, _COUNT, _COUNT],
    "multiply_once": ["rows", *2 * [_ROWS, _COUNT, _COUNT], *3 * [_COUNT]],
    "copy_rows": ["real*", _COUNT, _COUNT, _ROWS, *5 * [_COUNT]],
}


def services(kernel: Kernel) -> tuple[Service, ...]:
    """Return what a kernel's functions call of the sweep, by name: for whole matrices, and functions that C has not."""
    wholes = {piece.service for piece in kernel.pieces if isinstance(piece, Whole)}
    called = {Service(name, "void", ", ".join(_OF_MATRICES[name])) for name in wholes}
    for assignment in (kernel.program.assignments[v] for v in computed(kernel.pieces)):
        row = row_of(assignment.operation)
        if row.form is Form.OWN_FUNCTION:
            order = [] if assignment.attribute is None else ["int"]
            called.add(Service(row.text, "double", ", ".join([*order, *["double"] * len(assignment.arguments)])))
    return tuple(sorted(called, key=lambda service: service.name))


def clears(kernel: Kernel) -> bool:
    """Return whether a matrix gets zeros around what is copied into it."""
    copied = {kernel.program.assignments[p.variable].operation for p in kernel.pieces if isinstance(p, Whole)}
    return not copied <= {"matmul", "transpose", "slice"}
