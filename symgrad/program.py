"""A straight-line program: single operations on variables that are assigned once, in an order that can be run.

A variable is the number of its assignment. Variables have shapes: ``()`` is a scalar. The names of operations, and what
they mean in SymPy, stand in `symgrad.operations`; the leaves are ``parameter``, ``input``, ``target``, ``weight``
(``attribute`` is the place in the flat row) and ``constant`` (``attribute`` is the value).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

LEAVES = ("parameter", "input", "target", "weight", "constant")


@dataclass(frozen=True, slots=True)
class Assignment:
    """``variable = operation(arguments; attribute)``; the variable is the assignment's place in its program."""

    operation: str
    arguments: tuple[int, ...] = ()
    attribute: float | int | None = None
    shape: tuple[int, ...] = ()

    def __str__(self) -> str:
        attribute = () if self.attribute is None else (repr(self.attribute),)
        return f"{self.operation}({', '.join((*(f'v{a}' for a in self.arguments), *attribute))})"


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
        """The variables that the named outputs (all, if none is named) depend on, themselves included."""
        wanted: set[int] = {v for name in outputs or self.outputs for v in self.outputs[name]}
        for variable in range(len(self.assignments) - 1, -1, -1):
            if variable in wanted:
                wanted.update(self.assignments[variable].arguments)
        return frozenset(wanted)

    def depends_on(self, leaves: Iterable[str]) -> tuple[bool, ...]:
        """For each variable: does it depend on a leaf of one of these kinds?"""
        kinds = frozenset(leaves)
        depends: list[bool] = []
        for assignment in self.assignments:
            depends.append(assignment.operation in kinds or any(depends[a] for a in assignment.arguments))
        return tuple(depends)

    def operation_count(self, *outputs: str) -> int:
        """How many operations, leaves aside, the named outputs take."""
        return sum(self.assignments[v].operation not in LEAVES for v in self.needed(*outputs))


class Builder:
    """Grows a program by value numbering: an operation that was computed before is the same variable.

    ``fold`` is asked first, for a variable that already holds the value by an algebraic identity.
    """

    def __init__(
        self,
        assignments: Iterable[Assignment] = (),
        fold: Callable[["Builder", str, tuple[int, ...], float | int | None], int | None] | None = None,
    ) -> None:
        self.assignments: list[Assignment] = []
        self.varies: list[bool] = []
        self._numbers: dict[tuple[object, ...], int] = {}
        self._fold = fold
        for assignment in assignments:
            self._append(assignment)

    def emit(self, operation: str, *arguments: int, attribute: float | int | None = None) -> int:
        """The variable that holds this operation's value; appended if no assignment computes it yet."""
        if self._fold is not None:
            folded = self._fold(self, operation, arguments, attribute)
            if folded is not None:
                return folded
        return self._append(Assignment(operation, arguments, attribute))

    def constant(self, value: float) -> int:
        return self.emit("constant", attribute=value)

    def constant_value(self, variable: int) -> float | None:
        """The value of a constant, ``None`` for any other variable."""
        assignment = self.assignments[variable]
        return assignment.attribute if assignment.operation == "constant" else None

    def program(self, outputs: Mapping[str, tuple[int, ...]]) -> Program:
        return Program(tuple(self.assignments), dict(outputs))

    def _append(self, assignment: Assignment) -> int:
        attribute = assignment.attribute
        # 0.0 == -0.0 in a dictionary, and nan != nan: a constant is numbered by its bits
        exact = attribute.hex() if isinstance(attribute, float) else attribute
        key = (assignment.operation, assignment.arguments, exact)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self.assignments)
            self.assignments.append(assignment)
            varying_leaf = assignment.operation in ("input", "target", "weight")
            self.varies.append(varying_leaf or any(self.varies[a] for a in assignment.arguments))
        return number
