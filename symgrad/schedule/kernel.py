"""A kernel: the scheduled computation as data, no text. What is computed once, and what for each lane of a tile.

Every variable that outlives its loop lies in *rows*, one for each of its elements in C order. A row holds one value for
each lane; what is computed once for a theta has rows of one value.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeAlias

from symgrad.program import PRODUCT_STEP, STEP, Program, Shape, count, row_of, size_of


@dataclass(frozen=True, slots=True)
class Loop:
    """One loop over the elements of matrices of one size (1: scalars), and inside it over the lanes of a tile.

    ``body`` is computed in order, ``writes`` are variables and the row of the output (scratch rows follow the output's
    own) that their first element goes to. Sums over the elements, and the greatest of them, are part of the body and
    grow in their row of the output.
    """

    size: int
    body: tuple[int, ...]
    writes: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Whole:
    """One product, or copy, of whole matrices; the value begins at ``row`` (``None``: it has an array of its own).

    ``service`` names the function that does it: "multiply" where one factor is the same for all lanes, "multiply_each"
    where none is, "multiply_once" once for a theta; "copy_rows".
    """

    variable: int
    row: int | None
    service: str


Piece: TypeAlias = Loop | Whole  # of a lane function, or of what is computed once
BATCH = 4
WITHOUT_LANES = ("once", "pull")  # functions that run once: before the samples, and after them


@dataclass(frozen=True, slots=True)
class LaneFunction:
    """The loops that fill ``rows`` rows of one value for each lane, and the scratch rows they share.

    ``places`` says at which row a variable that is kept begins. Beside matrices, the numbers that are kept are
    ``singles``: each has an array of its own, with one value for each lane. (Among rows that a loop counts, the
    compiler could not tell that they are others.)
    """

    name: str
    rows: int
    scratch: int
    pieces: tuple[Piece, ...]
    places: Mapping[int, int]
    singles: tuple[int, ...] = ()

    @property
    def loops(self) -> tuple[Loop, ...]:
        """The loops among the pieces, in order."""
        return tuple(piece for piece in self.pieces if isinstance(piece, Loop))


@dataclass(frozen=True, slots=True)
class Segment:
    """A gradient that is summed row by row: ``size`` rows from ``row`` on, for the parameters from ``at`` on."""

    row: int
    at: int
    size: int


@dataclass(frozen=True, slots=True)
class Outer:
    """A gradient that is a sum over samples of ``left @ right``, (m, p) times (p, k): one product for a whole tile.

    It is added to the parameters from ``at`` on.
    """

    at: int
    left: int
    right: int
    m: int
    p: int
    k: int


@dataclass(frozen=True, slots=True)
class Predictor:
    """A sum of ``size`` inputs from column ``first`` on, times ``weights``: one column that no sample changes.

    The weights are ``size`` elements of that variable, from ``offset`` on. A call finds the sum in ``row`` of what it
    reads, where one of these inputs would be.
    """

    row: int
    weights: int
    first: int
    size: int
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Scaled:
    """A gradient that is ``factor`` times the inputs from column ``first`` on.

    It is that of each ``step``-th parameter from ``at`` on. The factor is the element of that variable at ``offset``.
    """

    at: int
    factor: int
    first: int
    size: int
    offset: int = 0
    step: int = 1


@dataclass(frozen=True, slots=True)
class Kernel:
    """Everything that a generated module computes.

    ``once`` is computed once for a theta, into ``n_invariants`` rows; ``slots`` says where each variable begins there.
    The first ``n_penalty`` rows are the penalty and its gradient, if there is one. A tile is ``depth`` times ``lanes``
    consecutive samples. ``counts`` are floating-point operations for each sample (once for a theta: ``once``).
    """

    program: Program
    homes: tuple[int, ...]  # for each variable the one that has its elements: see steps.same_elements
    once: tuple[Piece, ...]
    slots: Mapping[int, int]
    n_invariants: int
    functions: tuple[LaneFunction, ...]
    parameters: tuple[Shape, ...]  # the shape of each parameter that is one variable
    segments: tuple[Segment, ...]
    outers: tuple[Outer, ...]
    predictors: tuple[Predictor, ...]
    scaled: tuple[Scaled, ...]
    n_penalty: int
    inputs: int  # columns of the inputs; the targets' follow them
    lanes: int
    depth: int
    counts: Mapping[str, int]

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """The pieces of all functions, that which runs once for a theta first."""
        return (*self.once, *(piece for function in self.functions for piece in function.pieces))

    @property
    def rows(self) -> int:
        """All rows of the lane function that fills most."""
        return max(f.rows + f.scratch for f in self.functions if f.name not in WITHOUT_LANES)

    @property
    def pull(self) -> LaneFunction | None:
        """The function that pulls the summed derivatives back to the parameters, where they are not by these."""
        return next((f for f in self.functions if f.name == "pull"), None)

    @property
    def batch(self) -> int:
        """Calls whose values are added to a row's pairs while these are in registers; one beside products of a call."""
        return 1 if self.outers or self.scaled or any(f.singles for f in self.functions) else BATCH

    @property
    def cost(self) -> int:
        """About how many nanoseconds a sample and its gradient take; at least one."""
        (gradients,) = (function for function in self.functions if function.name == "gradients")
        products = sum(2 * o.m * o.p * o.k for o in self.outers) + sum(4 * p.size for p in self.predictors)
        products += sum(4 * part.size for part in self.scaled)
        cost = products * PRODUCT_STEP + 3 * gradients.rows * STEP
        for variable in computed(gradients.pieces):
            cost += count(self.program, variable) * row_of(self.program.assignments[variable].operation).cost
        return max(1, round(cost))

    @property
    def starts(self) -> tuple[int, ...]:
        """The place of each parameter's first element in the flat theta; at last their number."""
        return tuple(accumulate(map(size_of, self.parameters), initial=0))

    @property
    def invariant(self) -> tuple[int, ...]:
        """The variables that are computed once for a theta, in order."""
        return tuple(sorted(computed(self.once)))

    def shape(self, variable: int) -> Shape:
        """Return the shape of a variable: ``()`` for a scalar."""
        return self.program.assignments[variable].shape

    def __str__(self) -> str:
        lines = ["once:", *self._listing(self.once)]
        for function in self.functions:
            lines += [f"{function.name}, for each of {self.lanes} lanes:", *self._listing(function.pieces)]
        lines += [f"gradient of p{s.at}..: {s.size} rows from row {s.row}" for s in self.segments]
        lines += [
            f"row {p.row} of the data: v{p.weights} . u{p.first}..u{p.first + p.size - 1}" for p in self.predictors
        ]
        lines += [f"gradient of p{s.at}..: v{s.factor} times u{s.first}..u{s.first + s.size - 1}" for s in self.scaled]
        lines += [f"gradient of p{o.at}..: sum over samples of v{o.left} @ v{o.right}" for o in self.outers]
        return "\n".join(lines)

    def _listing(self, pieces: Iterable[Piece]) -> list[str]:
        lines = []
        for piece in pieces:
            if isinstance(piece, Whole):
                lines.append(f"  row {piece.row}: v{piece.variable} = {self.program.assignments[piece.variable]}")
                continue
            lines.append(f"  for each of {piece.size} elements:")
            lines += [f"    v{v} = {self.program.assignments[v]}" for v in piece.body]
            lines += [f"    row {row} <- v{variable}" for variable, row in piece.writes]
        return lines


def computed(pieces: Iterable[Piece]) -> set[int]:
    """Return the variables that pieces compute."""
    found: set[int] = set()
    for piece in pieces:
        found.update(piece.body if isinstance(piece, Loop) else (piece.variable,))
    return found
