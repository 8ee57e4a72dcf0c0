"""Matrices of inputs that enter in products alone: few rows of weights times them are linear predictors.

Then the gradient by the weights is a number times these inputs for each predictor. Both are computed from a sample's
row as it lies, whatever the spelling: ``w*u + b`` with matrices, or a predictor for the location and one for the scale.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from symgrad.program import Builder, Program, Shape, fold, size_of

from .kernel import Predictor, Scaled
from .predictors import FEWEST
from .steps import same_elements

MOST = 3  # predictors of one block of inputs: more are multiplied sooner as matrices, by lanes


@dataclass(frozen=True, slots=True)
class _Term:
    """A gradient's term: the block, times numbers (-1: a sign); with ``column``, each of its elements times the block.

    ``place`` and ``number`` say which gradient's and which of its terms; ``across``: its elements lie side by side.
    """

    place: int
    number: int
    factors: tuple[int, ...]
    column: int | None
    across: bool


def separate_blocks(
    program: Program, predictors: Sequence[Predictor], scaled: Sequence[Scaled]
) -> tuple[Program, tuple[Predictor, ...], tuple[Scaled, ...]]:
    """Return the program that is given its predictors of blocks too, all predictors, and all multiples.

    The gradients that are multiples are left out of the program. ``predictors`` and ``scaled`` are those found before.
    """
    for leaf in _blocks(program):
        uses = _Uses(program, leaf)
        if uses.are_products:
            program, numbers, more, multiples = uses.separated()
            predictors = [*predictors, *more]
            scaled = [*(replace(s, factor=numbers[s.factor]) for s in scaled), *multiples]
    return program, tuple(predictors), tuple(scaled)


def _blocks(program: Program) -> list[int]:
    """The columns and rows of inputs, of which no other leaf takes a part."""
    leaves = [v for v in program.needed() if program.assignments[v].operation == "input"]
    taken = [c for v in leaves for c in _columns(program, v)]
    return [
        v
        for v in sorted(leaves)
        if 1 in program.assignments[v].shape
        and size_of(program.assignments[v].shape) >= FEWEST
        and all(taken.count(column) == 1 for column in _columns(program, v))
    ]


def _columns(program: Program, leaf: int) -> range:
    first = program.assignments[leaf].attribute
    assert isinstance(first, int)
    return range(first, first + size_of(program.assignments[leaf].shape))


class _Uses:
    """What is made of one block: products with weights that no sample changes, and terms of gradients."""

    def __init__(self, program: Program, leaf: int) -> None:
        self._program, self._leaf = program, leaf
        self._homes = same_elements(program)
        self._builder = Builder(program.assignments, fold)
        self._gradients = [list(self._addends(v)) for v in program.outputs["gradient"]]
        self._terms = [
            term
            for place, addends in enumerate(self._gradients)
            for number, (minus, addend) in enumerate(addends)
            if (term := self._term(place, number, [-1] * minus, addend)) is not None
        ]
        sizes = (size_of(program.assignments[v].shape) for v in program.outputs["gradient"])
        self._starts = tuple(accumulate(sizes, initial=0))
        self._weighed = [v for v in sorted(program.needed()) if self._is_weighed(v)]

    @property
    def are_products(self) -> bool:
        """Is nothing else made of it?"""
        assignments = self._program.assignments
        sums = sum(size_of(assignments[v].shape) for v in self._weighed)
        if not self._weighed or sums > len(_columns(self._program, self._leaf)):
            return False
        waiting = [v for name, vs in self._program.outputs.items() if name != "gradient" for v in vs]
        waiting += [v for rest in self._rests() for _, v in rest]
        waiting += [v for term in self._terms for v in (*term.factors, term.column) if v is not None and v >= 0]
        seen = set(waiting)
        while waiting:
            variable = waiting.pop()
            arguments = assignments[variable].arguments
            if variable in self._weighed:
                arguments = tuple(a for a in arguments if self._homes[a] != self._leaf)
            new = set(arguments) - seen
            seen |= new
            waiting += new
        return self._leaf not in seen

    def separated(self) -> tuple[Program, dict[int, int], list[Predictor], list[Scaled]]:
        """Return the program without it, the new variable of each old one, its predictors and its multiples."""
        columns, assignments = _columns(self._program, self._leaf), self._program.assignments
        predictors, numbers = list[Predictor](), dict[int, int]()
        for variable in self._weighed:
            row, shape = columns[len(predictors)], assignments[variable].shape
            weights = self._weights(variable)
            predictors += [
                Predictor(row + k, weights, columns[0], len(columns), k * len(columns)) for k in range(size_of(shape))
            ]
            numbers[variable] = self._builder.emit("linear", attribute=row, shape=shape)
        for variable, assignment in enumerate(assignments):
            arguments = tuple(numbers[a] for a in assignment.arguments)
            if variable not in numbers and arguments == assignment.arguments:
                numbers[variable] = variable
            elif variable not in numbers:
                numbers[variable] = self._builder.emit(
                    assignment.operation, *arguments, attribute=assignment.attribute, shape=assignment.shape
                )
        multiples = [scaled for term in self._terms for scaled in self._scaled(term, numbers)]
        outputs = {name: tuple(numbers[v] for v in vs) for name, vs in self._program.outputs.items()}
        shapes = [assignments[v].shape for v in self._program.outputs["gradient"]]
        rests = zip(self._rests(), shapes, strict=True)
        outputs["gradient"] = tuple(
            self._sum([(minus, numbers[v]) for minus, v in rest], shape) for rest, shape in rests
        )
        return self._builder.program(outputs), numbers, predictors, multiples

    def _rests(self) -> Iterator[list[tuple[bool, int]]]:
        """What is left of each gradient."""
        taken = {(term.place, term.number) for term in self._terms}
        for place, addends in enumerate(self._gradients):
            yield [addend for number, addend in enumerate(addends) if (place, number) not in taken]

    def _sum(self, addends: list[tuple[bool, int]], shape: Shape) -> int:
        (minus, total), *others = sorted(addends) or [(False, self._builder.filled(self._builder.constant(0.0), shape))]
        total = self._builder.emit("neg", total) if minus else total
        for minus, addend in others:
            total = self._builder.emit("sub" if minus else "add", total, addend)
        return total

    def _addends(self, variable: int, minus: bool = False) -> Iterator[tuple[bool, int]]:
        """The terms of a sum of matrices: is it taken away, and which it is."""
        assignment = self._program.assignments[self._homes[variable]]
        if assignment.operation in ("add", "sub", "neg") and assignment.shape:
            *first, last = assignment.arguments
            for argument in first:
                yield from self._addends(argument, minus)
            yield from self._addends(last, minus ^ (assignment.operation != "add"))
        else:
            yield minus, variable

    def _is_weighed(self, variable: int) -> bool:
        assignment = self._program.assignments[variable]
        if assignment.operation != "matmul" or 1 not in assignment.shape or size_of(assignment.shape) > MOST:
            return False
        ours = [self._homes[a] == self._leaf for a in assignment.arguments]
        others = [a for a, mine in zip(assignment.arguments, ours, strict=True) if not mine]
        # the block is summed over: a column on the right, a row on the left
        long = self._program.assignments[assignment.arguments[ours.index(True)]].shape if any(ours) else (1, 1)
        return len(others) == 1 and not self._builder.varies[others[0]] and long[0 if ours[1] else 1] != 1

    def _weights(self, variable: int) -> int:
        """The weights of a product: one predictor's after the other's."""
        assignment = self._program.assignments[variable]
        turned = assignment.attribute if isinstance(assignment.attribute, tuple) else (0, 0)
        left, right = assignment.arguments
        on_the_left = self._homes[right] == self._leaf
        weights, is_turned = (left, turned[0]) if on_the_left else (right, not turned[1])
        shape = self._program.assignments[weights].shape
        return self._builder.emit("transpose", weights) if is_turned and 1 not in shape else self._homes[weights]

    def _term(self, place: int, number: int, factors: list[int], variable: int) -> _Term | None:
        """A gradient's addend, times factors, as a term of the block, if it is one."""
        while True:
            variable = self._homes[variable]
            assignment = self._program.assignments[variable]
            if variable == self._leaf:
                return _Term(place, number, tuple(factors), None, False) if max(factors, default=-1) >= 0 else None
            if assignment.operation == "matmul":
                left, right = assignment.arguments
                for block, column, across in ((right, left, False), (left, right, True)):
                    if self._homes[block] == self._leaf and self._program.assignments[column].shape[1 - across] == 1:
                        return _Term(place, number, tuple(factors), column, across)
                return None
            if assignment.operation == "neg":
                factors.append(-1)
                variable = assignment.arguments[0]
                continue
            scalars = [a for a in assignment.arguments if not self._program.assignments[a].shape]
            if assignment.operation != "mul" or len(scalars) != 1:
                return None
            factors += scalars
            (variable,) = (a for a in assignment.arguments if a not in scalars)

    def _scaled(self, term: _Term, numbers: dict[int, int]) -> Iterator[Scaled]:
        """A term as multiples of the inputs, one for each of its numbers."""
        given = [f for f in (term.column, *term.factors) if f is not None and f >= 0]
        product, *others = (numbers[f] for f in given)
        for factor in others:
            product = self._builder.emit("mul", product, factor)
        if term.factors.count(-1) % 2:
            product = self._builder.emit("neg", product)
        columns = _columns(self._program, self._leaf)
        rows = 1 if term.column is None else size_of(self._program.assignments[term.column].shape)
        step = rows if term.across else 1
        for k in range(rows):
            at = self._starts[term.place] + (k if term.across else k * len(columns))
            yield Scaled(at, product, columns[0], len(columns), k, step)
