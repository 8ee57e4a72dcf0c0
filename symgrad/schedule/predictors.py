"""Linear predictors: what a model takes of many of its inputs is often one weighted sum, and nothing else.

Then its gradient by the weights is a number times these inputs. Both are computed from a sample's row as it lies: the
inputs are not turned into lanes, and the products get no rows of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from symgrad.program import SAMPLE_LEAVES, Builder, Program, fold, size_of

from .kernel import Predictor, Scaled

FEWEST = 8  # columns: fewer are turned sooner than read twice


@dataclass(slots=True)
class _Uses:
    """What a column of the inputs is used for.

    Its weights in sums, by the sum and whether it is taken away there; and in the gradient the place of a parameter and
    what it is multiplied by there, one after the other (-1: its sign changes).
    """

    weights: dict[tuple[int, bool], int] = field(default_factory=dict)
    factors: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)


def separate_predictors(program: Program) -> tuple[Program, tuple[Predictor, ...], tuple[Scaled, ...]]:
    """Return the program that is given its linear predictors, these, and the gradients that are left out of it.

    Left out are the gradients that are a number times the inputs of a predictor: the sweep sums these from the rows.
    """
    columns = _Columns(program)
    runs = tuple(columns.runs())
    if not runs:
        return program, (), ()
    builder = Builder(program.assignments, fold)
    predictors = list[Predictor]()
    sums: dict[int, list[tuple[bool, int]]] = {}
    for run in runs:
        first, uses = run[0], [columns.uses[column] for column in run]
        for row, (total, minus) in enumerate(uses[0].weights, first):
            weights = _column(builder, [use.weights[total, minus] for use in uses])
            predictors.append(Predictor(row, weights, first, len(run)))
            sums.setdefault(total, []).append((minus, builder.emit("linear", attribute=row, shape=())))
    left_out = {
        columns.products[column, total] for run in runs for column in run for total, _ in columns.uses[column].weights
    }
    numbers = _rewritten(columns, builder, sums, left_out)
    scaled = [
        Scaled(at, _factor(builder, [f if f < 0 else numbers[f] for f in factors]), run[0], len(run))
        for run in runs
        for at, factors in columns.uses[run[0]].factors
    ]
    covered = {at for s in scaled for at in range(s.at, s.at + s.size)}
    outputs = {name: tuple(numbers[v] for v in variables) for name, variables in program.outputs.items()}
    zero = builder.constant(0.0)
    gradient = tuple(zero if at in covered else v for at, v in zip(columns.places, outputs["gradient"], strict=False))
    return builder.program({**outputs, "gradient": gradient}), tuple(predictors), tuple(scaled)


def _factor(builder: Builder, factors: Sequence[int]) -> int:
    """The product of factors, of which the first is one."""
    product, *others = factors
    for factor in others:
        product = builder.emit("neg", product) if factor < 0 else builder.emit("mul", product, factor)
    return product


def _rewritten(
    columns: _Columns, builder: Builder, sums: Mapping[int, Sequence[tuple[bool, int]]], left_out: set[int]
) -> dict[int, int]:
    """The new variable of each one that is needed; sums are the predictors in them, and what else there is."""
    numbers: dict[int, int] = {}
    program = columns.program
    needed = program.needed()
    for variable, assignment in enumerate(program.assignments):
        if variable not in needed or variable in left_out:
            continue
        if variable in sums:
            rest = [(minus, numbers[v]) for minus, v in columns.addends(variable) if v not in left_out]
            (minus, total), *others = sorted([*sums[variable], *rest], key=lambda part: part[0])
            total = builder.emit("neg", total) if minus else total
            for minus, part in others:
                total = builder.emit("sub" if minus else "add", total, part)
            numbers[variable] = total
        elif all(a in numbers for a in assignment.arguments):  # else a part of a sum
            arguments = (numbers[a] for a in assignment.arguments)
            numbers[variable] = builder.emit(
                assignment.operation, *arguments, attribute=assignment.attribute, shape=assignment.shape
            )
    return numbers


def _column(builder: Builder, weights: Sequence[int]) -> int:
    """Numbers as one column: of theta itself, where they are parameters that follow one another."""
    leaves = [builder.assignments[v] for v in weights]
    places = [leaf.attribute if leaf.operation == "parameter" else None for leaf in leaves]
    shape = (len(weights), 1)
    if isinstance(places[0], int) and places == [*range(places[0], places[0] + len(weights))]:
        return builder.emit("parameter", attribute=places[0], shape=shape)
    return builder.emit("assemble", *weights, attribute=shape)


class _Columns:
    """The columns of the inputs that are used in weighted sums alone, and beside them in the gradient."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._varies = program.depends_on(SAMPLE_LEAVES)
        self._users: dict[int, list[int]] = {}
        for variable in program.needed():
            for argument in program.assignments[variable].arguments:
                self._users.setdefault(argument, []).append(variable)
        self._results: dict[int, list[str]] = {}
        for name, variables in program.outputs.items():
            for variable in variables:
                self._results.setdefault(variable, []).append(name)
        sizes = (size_of(program.assignments[v].shape) for v in program.outputs["gradient"])
        self.places = tuple(accumulate(sizes, initial=0))
        self._parameters: dict[int, list[int]] = {}  # whose derivatives a variable is
        for at, variable in zip(self.places, program.outputs["gradient"], strict=False):
            self._parameters.setdefault(variable, []).append(at)
        self.products: dict[tuple[int, int], int] = {}  # of a column and its weight, by the column and the sum
        self.uses: dict[int, _Uses] = {}
        for variable in sorted(program.needed()):
            assignment = program.assignments[variable]
            if assignment.operation == "input" and not assignment.shape:
                uses = self._uses(variable, int(assignment.attribute or 0))  # type: ignore[arg-type]
                if uses is not None and uses.weights:
                    self.uses[int(assignment.attribute or 0)] = uses  # type: ignore[arg-type]

    def runs(self) -> Iterator[range]:
        """Neighbouring columns that are used alike."""
        start = end = -1
        for column in [*sorted(self.uses), -2]:
            if column == end and self._is_alike(start, column):
                end += 1
                continue
            # each predictor takes the row of one of its columns
            if end - start >= FEWEST and len(self.uses[start].weights) <= end - start:
                yield range(start, end)
            start, end = column, column + 1

    def _is_alike(self, first: int, column: int) -> bool:
        one, other, distance = self.uses[first], self.uses[column], column - first
        moved = [(at + distance, factor) for at, factor in one.factors]
        return one.weights.keys() == other.weights.keys() and moved == other.factors

    def _uses(self, variable: int, column: int) -> _Uses | None:
        """None, if there are others."""
        uses = _Uses()
        for product in self._users.get(variable, []):
            arguments = self.program.assignments[product].arguments
            if self.program.assignments[product].operation != "mul" or arguments[0] == arguments[1]:
                return None
            other = arguments[1] if arguments[0] == variable else arguments[0]
            if self._varies[other]:
                result, *factors = self._multiplied(product)
                if self._users.get(result) or {*self._results.get(result, [])} != {"gradient"}:
                    return None
                uses.factors += [(at, (other, *factors)) for at in self._parameters[result]]
            else:
                total, minus = self._sum_of(product)
                if total == product or (total, minus) in uses.weights or (total, not minus) in uses.weights:
                    return None
                uses.weights[total, minus] = other
                self.products[column, total] = product
        uses.factors.sort()
        return None if variable in self._results else uses

    def _multiplied(self, variable: int) -> list[int]:
        """What it becomes by products and changes of its sign, if nothing else is done with it; and the factors."""
        factors: list[int] = []
        while variable not in self._results and len(users := self._users.get(variable, [])) == 1:
            assignment = self.program.assignments[users[0]]
            if assignment.operation not in ("mul", "neg") or assignment.shape:
                break
            factors += [a for a in assignment.arguments if a != variable] or [-1]
            variable = users[0]
        return [variable, *factors]

    def _sum_of(self, variable: int) -> tuple[int, bool]:
        """The whole sum of which it is a part, and is it taken away there?"""
        minus = False
        while (user := self._sum_around(variable)) is not None:
            minus ^= self._takes_away(user, self.program.assignments[user].arguments[-1] == variable)
            variable = user
        return variable, minus

    def _sum_around(self, variable: int) -> int | None:
        """What adds it, or takes it away, if nothing else is done with it."""
        users = self._users.get(variable, [])
        if variable in self._results or len(users) != 1:
            return None
        arguments = self.program.assignments[users[0]].arguments
        return users[0] if self._is_sum(users[0]) and arguments.count(variable) == 1 else None

    def _is_sum(self, variable: int) -> bool:
        assignment = self.program.assignments[variable]
        return assignment.operation in ("add", "sub", "neg") and not assignment.shape

    def _takes_away(self, total: int, last: bool) -> bool:
        return last and self.program.assignments[total].operation in ("sub", "neg")

    def addends(self, total: int) -> Iterator[tuple[bool, int]]:
        """The parts of a whole sum, in their order: is it taken away, and which it is."""
        waiting = [(False, total)]
        while waiting:
            minus, variable = waiting.pop()
            if self._is_sum(variable) and (variable == total or self._sum_around(variable) is not None):
                arguments = self.program.assignments[variable].arguments
                last = len(arguments) - 1
                parts = [(minus ^ self._takes_away(variable, i == last), a) for i, a in enumerate(arguments)]
                waiting += parts[::-1]
            else:
                yield minus, variable
