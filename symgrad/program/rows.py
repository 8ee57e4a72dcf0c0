"""What a row of the table of operations says to those who know no mathematics: shape, place, cost and spelling.

The rows stand in `symgrad.operations`, each in full. They are entered here when that is imported, so that programs,
schedules and texts can ask for a row by the operation's name without knowing what is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, TypeAlias

from .shapes import Shape, joint_shape, size_of

# "linear": a linear predictor, see predictors.py. "cotangent": what was summed over samples, see passes/cut.py.
SAMPLE_LEAVES = ("input", "target", "weight", "linear", "cotangent")
LEAVES = ("parameter", "constant", *SAMPLE_LEAVES)
ShapeRule: TypeAlias = Callable[[Sequence[Shape], Any], Shape]  # (the arguments' shapes, attribute)
Flops: TypeAlias = Callable[[Sequence[Shape], Shape], int]  # (the arguments' shapes, the value's)

# About so many nanoseconds take, for a sample, a function of the C library that is vector code, and one that is not;
# any other operation; and each of those that a matrix product is made of.
CALL, SCALAR_CALL, STEP, PRODUCT_STEP = 2.0, 40.0, 0.15, 0.013


class Place(Enum):
    """Where an operation is done."""

    LEAF = auto()  # nowhere: it is given
    LINE = auto()  # in a line of a loop over its own elements
    REDUCTION = auto()  # in a line of a loop over its argument's elements
    WHOLE = auto()  # in a step of its own, between whole matrices


class Form(Enum):
    """How an operation is written, with the row's ``text`` as its sign or name."""

    SUM = auto()  # x + y
    PRODUCT = auto()  # x * y
    COMPARISON = auto()  # (x < y)
    NEGATION = auto()  # -x
    NOT = auto()  # (not x)
    CHOICE = auto()  # x if condition else y
    VECTOR_FUNCTION = auto()  # f(x), of which glibc's libmvec (2.35) has a vector version for x86-64
    C_FUNCTION = auto()  # f(x), of the C library, without one
    OWN_FUNCTION = auto()  # f(x), written by symgrad (templates/special.pyx.jinja), since the C library has none
    ARGUMENT = auto()  # x: the loop around it does the rest
    PLACE = auto()  # the loop's own counter
    UNWRITTEN = auto()  # nothing that stands in a line: lowered before, or a step of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What is known of an operation. No field has a default: whoever adds an operation decides each.

    ``shape`` is ``None`` for what works element by element: its arguments are scalars or matrices of one shape, or
    columns and rows that stand for such matrices. ``cost`` is in nanoseconds for each of the ``flops``; ``noun`` names
    the temporary that holds the value; ``is_condition`` tells values that hold or do not from numbers.
    """

    name: str
    shape: ShapeRule | None
    place: Place
    flops: Flops
    cost: float
    noun: str
    form: Form
    text: str
    is_condition: bool


def flops_of_elements(shapes: Sequence[Shape], shape: Shape) -> int:
    """Return one operation for each element of the largest argument."""
    return max(map(size_of, shapes), default=1)


def no_flops(shapes: Sequence[Shape], shape: Shape) -> int:
    """Return 0: elements are given, or only moved."""
    return 0


_ROWS: dict[str, Row] = {}


def enter(rows: Iterable[Row]) -> None:
    """Make rows known by their names; two of one name are an error."""
    for row in rows:
        if row.name in _ROWS:
            raise ValueError(f"two rows are called {row.name!r}: expected one for each operation; rename one of them")
        _ROWS[row.name] = row


def row_of(operation: str) -> Row:
    """Return the row of an operation or of a leaf; a name that is in no row is an error."""
    row = _ROWS.get(operation)
    if row is None:
        raise LookupError(
            f"no row says what the operation {operation!r} is, among {len(_ROWS) - len(LEAVES)}; add one to the table "
            "in symgrad/operations (docs/architecture.md, Adding a function), and import symgrad.operations before a "
            "program is built"
        )
    return row


def shape_of(operation: str, shapes: Sequence[Shape], attribute: Any) -> Shape:
    """Return the shape of an operation's value."""
    rule = row_of(operation).shape
    return joint_shape(operation, shapes) if rule is None else rule(shapes, attribute)


enter(
    Row(
        name=leaf,
        shape=None,
        place=Place.LEAF,
        flops=no_flops,
        cost=0.0,
        noun=leaf,
        form=Form.UNWRITTEN,
        text="",
        is_condition=False,
    )
    for leaf in LEAVES
)
