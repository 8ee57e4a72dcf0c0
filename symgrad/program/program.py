"""A straight-line program: single operations on variables that are assigned once, in an order that can be run.

A variable is the number of its assignment. Variables have shapes: ``()`` is a scalar, ``(m, n)`` a matrix. The names of
operations, and what they mean in SymPy, stand in `symgrad.operations`; the leaves are ``parameter``, ``input``,
``target``, ``weight`` (``attribute`` is the place of the first element in the flat row) and ``constant`` (``attribute``
is the value).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from .rows import SAMPLE_LEAVES, row_of, shape_of
from .shapes import Shape

Attribute: TypeAlias = float | int | tuple[int, ...] | None
Fold: TypeAlias = Callable[["Builder", str, tuple[int, ...], Attribute], int | None]


@dataclass(frozen=True, slots=True)
class Assignment:
    """``variable = operation(arguments; attribute)``; the variable is the assignment's place in its program."""

    operation: str
    arguments: tuple[int, ...] = ()
    attribute: Attribute = None
    shape: Shape = ()

    def __str__(self) -> str:
        attribute = () if self.attribute is None else (repr(self.attribute),)
        shape = f" {self.shape[0]}x{self.shape[1]}" if self.shape else ""
        return f"{self.operation}({', '.join((*(f'v{a}' for a in self.arguments), *attribute))}){shape}"


@dataclass(frozen=True, slots=True)
class Program:
    """Assignments in order, and the named variables that are its results."""

    assignments: tuple[Assignment, ...]
    outputs: Mapping[str, tuple[int, ...]]

    def __str__(self) -> str:
        lines = [f"v{i} = {assignment}" for i, assignment in enumerate(self.assignments)]
        lines += [f"{name} <- {', '.join(f'v{v}' for v in variables)}" for name, variables in self.outputs.items()]
        return "\n".join(lines)

    def needed(self, *outputs: str) -> frozenset[int]:
        """Return the variables that the named outputs (all, if none is named) depend on, themselves included."""
        return self.closure(v for name in outputs or self.outputs for v in self.outputs[name])

    def closure(self, variables: Iterable[int]) -> frozenset[int]:
        """Return the variables that these depend on, themselves included."""
        wanted = set(variables)
        for variable in range(len(self.assignments) - 1, -1, -1):
            if variable in wanted:
                wanted.update(self.assignments[variable].arguments)
        return frozenset(wanted)

    def depends_on(self, leaves: Iterable[str]) -> tuple[bool, ...]:
        """Return for each variable whether it depends on a leaf of one of these kinds."""
        kinds = frozenset(leaves)
        depends: list[bool] = []
        for assignment in self.assignments:
            depends.append(assignment.operation in kinds or any(depends[a] for a in assignment.arguments))
        return tuple(depends)


class Builder:
    """Grows a program by value numbering: an operation that was computed before is the same variable.

    ``fold`` is asked first, for a variable that already holds the value by an algebraic identity. An operation that
    has no row (see `rows`) is a LookupError.
    """

    def __init__(self, assignments: Iterable[Assignment] = (), fold: Fold | None = None) -> None:
        self.assignments: list[Assignment] = []
        self.varies: list[bool] = []
        self.operations: set[str] = set()  # those of the assignments: what is not here need not be looked for
        self.quotients: dict[int, tuple[int, int]] = {}  # variables that hold x/y in another form: their x and y
        self._numbers: dict[tuple[object, ...], int] = {}
        self._fold = fold
        for assignment in assignments:
            self._append(assignment)

    def emit(self, operation: str, *arguments: int, attribute: Attribute = None, shape: Shape | None = None) -> int:
        """Return the variable that holds this operation's value; appended if no assignment computes it yet.

        A leaf is told its ``shape``; any other operation's follows from its arguments. Element by element, a column
        and a row stand for matrices of equal columns and of equal rows.
        """
        if shape is None:
            shape = shape_of(operation, [self.assignments[a].shape for a in arguments], attribute)
            if row_of(operation).shape is None and shape:
                arguments = tuple(self._spread(self._unfilled(a), shape) for a in arguments)
                if not any(self.assignments[a].shape for a in arguments):
                    return self.filled(self.emit(operation, *arguments, attribute=attribute), shape)
        if self._fold is not None:
            folded = self._fold(self, operation, arguments, attribute)
            if folded is not None:
                return self.filled(folded, shape)
        return self._append(Assignment(operation, arguments, attribute, shape))

    def filled(self, variable: int, shape: Shape) -> int:
        """Return a scalar as a matrix of that shape; what has the shape already is itself."""
        if self.assignments[variable].shape == shape:
            return variable
        return self.emit("fill", variable, attribute=shape)

    def _unfilled(self, variable: int) -> int:
        """The number that a matrix is filled with; any other variable is itself."""
        assignment = self.assignments[variable]
        return assignment.arguments[0] if assignment.operation == "fill" else variable

    def _spread(self, variable: int, shape: Shape) -> int:
        """A column repeated side by side, or a row one below the other; scalars and what has the shape stay."""
        own = self.assignments[variable].shape
        if own in ((), shape):
            return variable
        one, is_condition = self.constant(1.0), row_of(self.assignments[variable].operation).is_condition
        if own[1] < shape[1]:
            variable = self.emit("matmul", variable, self.filled(one, (1, shape[1])))
        if own[0] < shape[0]:
            variable = self.emit("matmul", self.filled(one, (shape[0], 1)), variable)
        return self.emit("ne", variable, self.constant(0.0)) if is_condition else variable

    def constant(self, value: float) -> int:
        """Return the variable that holds this number; a scalar."""
        return self.emit("constant", attribute=value)

    def constant_value(self, variable: int) -> float | None:
        """Return the value of a constant, or of a matrix filled with one; ``None`` for any other variable."""
        assignment = self.assignments[self._unfilled(variable)]
        value = assignment.attribute
        return value if assignment.operation == "constant" and not isinstance(value, tuple) else None

    def program(self, outputs: Mapping[str, tuple[int, ...]]) -> Program:
        """Return the program so far, with the variables of each output by the output's name."""
        return Program(tuple(self.assignments), dict(outputs))

    def _append(self, assignment: Assignment) -> int:
        row_of(assignment.operation)  # an operation without a row is refused here, and not by whoever needs its row
        attribute = assignment.attribute
        # 0.0 == -0.0 in a dictionary, and nan != nan: a constant is numbered by its bits
        exact = attribute.hex() if isinstance(attribute, float) else attribute
        key = (assignment.operation, assignment.arguments, exact, assignment.shape)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self.assignments)
            self.assignments.append(assignment)
            self.operations.add(assignment.operation)
            varying_leaf = assignment.operation in SAMPLE_LEAVES
            self.varies.append(varying_leaf or any(self.varies[a] for a in assignment.arguments))
        return number
