"""A kernel: the scheduled computation as data, no text. What is computed once, and what for each lane of a tile."""

from collections.abc import Mapping
from dataclasses import dataclass

from .program import Program


@dataclass(frozen=True, slots=True)
class Loop:
    """One loop over the lanes of a tile.

    ``reads`` are variables and the row of scratch that holds them, ``body`` is computed in order, ``writes`` are
    variables and the row of the output (scratch rows follow the output's own) that they go to.
    """

    reads: tuple[tuple[int, int], ...]
    body: tuple[int, ...]
    writes: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class LaneFunction:
    """The loops that fill ``rows`` rows of one value for each lane, and the scratch rows they share."""

    name: str
    rows: int
    scratch: int
    loops: tuple[Loop, ...]


@dataclass(frozen=True, slots=True)
class Kernel:
    """Everything that a generated module computes.

    ``invariant`` is computed once for a theta; ``slots`` says where the lane functions find what they need of it.
    ``penalty`` holds the variables of the penalty and its gradient, or nothing. A tile is ``depth`` times ``lanes``
    consecutive samples. ``counts`` are operations for each sample (once for a theta: ``invariant``).
    """

    program: Program
    invariant: tuple[int, ...]
    slots: Mapping[int, int]
    functions: tuple[LaneFunction, ...]
    penalty: tuple[int, ...]
    inputs: int  # columns of the inputs; the targets' follow them
    lanes: int
    depth: int
    counts: Mapping[str, int]

    def __str__(self) -> str:
        lines = [f"once: {self._listing(self.invariant)}"]
        for function in self.functions:
            for loop in function.loops:
                lines.append(f"{function.name}, for each of {self.lanes} lanes: {self._listing(loop.body)}")
                lines += [f"  row {row} <- v{variable}" for variable, row in loop.writes]
        return "\n".join(lines)

    def _listing(self, variables: tuple[int, ...]) -> str:
        return "".join(f"\n  v{v} = {self.program.assignments[v]}" for v in variables)
