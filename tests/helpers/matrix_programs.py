"""Random programs of scalars and matrices: every operation that moves elements, among arithmetic, choices and sums."""

import random
from collections.abc import Callable, Sequence
from typing import Any

from symgrad.program import Builder, Shape
from symgrad.program.program import Fold

from .evaluate import MATRICES

SHAPES: tuple[Shape, ...] = ((2, 3), (3, 2), (3, 3), (3, 1), (1, 3), (2, 1), (1, 2), (1, 1))
BINARY = ("add", "sub", "mul", "div", "lt", "eq")
UNARY = ("neg", "abs", "sin", "floor")
LABELS = ("pick", "put", "logsumexp_all", "softmax_all")  # that are lowered
CONSTANTS = (0.0, 1.0, -1.0, 2.0, 0.5, 3.0)


class Grower:
    """Grows one program, the same for one seed whatever folds it; ``made`` are the variables of its steps."""

    def __init__(self, seed: int, fold: Fold | None, lowered: bool = False) -> None:
        self.draw = random.Random(seed)
        self.builder = Builder(fold=fold)
        self.made: list[int] = []
        self.shapes: list[Shape] = []
        self._lowered = lowered

    def grow(self, steps: int) -> "Grower":
        for role in ("parameter", "input"):
            self._leaves(role)
        for _ in range(steps):
            self.keep(self._step())
        return self

    def _leaves(self, role: str) -> None:
        place = 0
        for shape in ((), *self.draw.sample(SHAPES, 4)):
            self.keep(self.builder.emit(role, attribute=place, shape=shape))
            place += 9
        self.keep(self.builder.constant(self.draw.choice(CONSTANTS)))

    def keep(self, variable: int) -> None:
        self.made.append(variable)
        self.shapes.append(self.builder.assignments[variable].shape)

    def pick(self, fits: Callable[[Shape], bool] = lambda shape: True) -> int | None:
        """One of the steps' variables, recent ones rather than old, whose shape fits; by the step, not the variable."""
        places = [place for place, shape in enumerate(self.shapes) if fits(shape)]
        if not places:
            return None
        return self.made[places[-1 - min(int(self.draw.expovariate(0.15)), len(places) - 1)]]

    def shape(self, variable: int) -> Shape:
        return self.builder.assignments[variable].shape

    def _step(self) -> int:
        kinds = [*BINARY, *BINARY, *UNARY, "select", "not", *MATRICES, "matmul", "matmul", "slice", "slice", "total"]
        kind = self.draw.choice([kind for kind in kinds if not (self._lowered and kind in LABELS)])
        if kind in MATRICES:
            return self._structural(kind)
        count = 3 if kind == "select" else 2 if kind in BINARY else 1
        shape = self.shape(self.pick() or 0)
        arguments = [self.pick(lambda s: s in ((), shape)) or 0 for _ in range(count)]
        if kind in ("select", "not"):
            arguments[0] = self.builder.emit("lt", arguments[0], self.pick(lambda s: s in ((), shape)) or 0)
        return self.builder.emit(kind, *arguments)

    def _structural(self, kind: str) -> int:
        emit, draw = self.builder.emit, self.draw
        x = self.pick(bool)
        assert x is not None
        rows, columns = self.shape(x)
        if kind == "matmul":
            y = self.pick(lambda s: bool(s) and s[0] == columns)
            return emit(kind, x, y if y is not None else emit("transpose", x))
        if kind in ("fill", "place", "assemble", "put"):
            shape = draw.choice(SHAPES)
            scalars = [self.pick(lambda s: not s) or 0 for _ in range(shape[0] * shape[1])]
            if kind == "put":
                label = self.builder.constant(float(draw.randrange(len(scalars))))
                return emit(kind, scalars[0], label, attribute=shape)
            return emit(kind, *{"fill": scalars[:1], "place": [], "assemble": scalars}[kind], attribute=shape)
        if kind == "slice":
            top, left = draw.randrange(rows), draw.randrange(columns)
            part = (top, left, draw.randint(1, rows - top), draw.randint(1, columns - left))
            return emit(kind, x, attribute=part)
        if kind == "embed":
            top, left = draw.randrange(4 - rows), draw.randrange(4 - columns)
            whole = draw.randint(top + rows, 3), draw.randint(left + columns, 3)
            if top + 2 * rows <= whole[0]:  # another below, if there is room
                return emit(kind, x, x, attribute=(top, left, top + rows, left, *whole))
            return emit(kind, x, attribute=(top, left, *whole))
        if kind == "pick":
            return emit(kind, x, self.builder.constant(float(draw.randrange(rows * columns))))
        return emit(kind, x)


def leaves_of(seed: int, number: Callable[[float], Any], values: Sequence[float] = ()) -> dict[str, list[Any]]:
    """Numbers for every leaf that a grown program may have."""
    draw = random.Random(~seed)
    row = values or [draw.uniform(-2, 2) for _ in range(54)]
    return {role: [number(x) for x in row[start : start + 54] * 2] for role, start in (("parameter", 0), ("input", 1))}
