"""What lane functions call of the sweep, beside the C library: by name, through capsules."""

from dataclasses import dataclass

from symgrad.schedule import Kernel, Loop, computed

from .spelling import OWN_FUNCTIONS


@dataclass(frozen=True, slots=True)
class Service:
    """A function of the sweep, as C declares it."""

    result: str
    arguments: str


_COUNT, _ROWS = "Py_ssize_t", "const real*"
SERVICES = {
    "multiply": Service("void", ", ".join(["rows", _ROWS, _COUNT, _COUNT, _ROWS, _COUNT, _COUNT, _COUNT])),
    "multiply_each": Service("void", ", ".join(["rows", _ROWS, _ROWS, _COUNT, _COUNT, _COUNT])),
    "multiply_once": Service("void", ", ".join(["rows", *2 * [_ROWS, _COUNT, _COUNT], *3 * [_COUNT]])),
    "copy_rows": Service("void", ", ".join(["real*", _COUNT, _COUNT, _ROWS, *5 * [_COUNT]])),
    "digamma": Service("double", "double"),
    "polygamma": Service("double", "int, double"),
}


def services(kernel: Kernel) -> tuple[str, ...]:
    """Return the names of what a kernel's functions call of the sweep, sorted."""
    pieces = [piece for part in (kernel.once, *(f.pieces for f in kernel.functions)) for piece in part]
    wholes = {piece.service for piece in pieces if not isinstance(piece, Loop)}
    operations = {kernel.program.assignments[variable].operation for variable in computed(pieces)}
    return tuple(sorted(wholes | (operations & OWN_FUNCTIONS)))


def clears(kernel: Kernel) -> bool:
    """Return whether a matrix gets zeros around what is copied into it."""
    pieces = [piece for part in (kernel.once, *(f.pieces for f in kernel.functions)) for piece in part]
    copied = {kernel.program.assignments[s.variable].operation for s in pieces if not isinstance(s, Loop)}
    return not copied <= {"matmul", "transpose", "slice"}
