"""Random models, many in one compiled module, each held against what is true of it.

Model k of a batch is ``s_k f_k(a_k, b_k, c_k + p, d_k + q, u, v, y)``, and the loss of a sample is their sum: its
derivative by ``s_k`` is the model's value, and at ``s = 1`` and ``c = d = 0`` the others are the model's gradient. Half
of the parameters are thus the same for all samples and half are not.
"""

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp
from hypothesis import HealthCheck, Phase, given, seed, settings

import symgrad as sg
from symgrad.declare import EmpiricalRisk
from symgrad.passes import derive, stabilise
from symgrad.program import Program
from symgrad.trace import trace

from .grammar import INPUTS, PARAMETERS, TARGET, models, risk_of
from .running_error import Judgement, OutOfReach, Undecided, judge

SYMBOLS = (*PARAMETERS, *INPUTS, TARGET)
Point = Mapping[Any, float]
_LANE = sp.symbols("p q", real=True)
_SINGLE = sp.Symbol("y_lane", real=True)
_WILD = (0.0, 1.0, -1.0, 2.0**-53, 1 + 2.0**-52, 0.5, 7.25, 18.5, -18.5, 37.0, -37.5, 88.0, 300.0, -300.0, 709.5, 710.5)
_WILD += (-745.0, -746.0, 1e-8, -1e-8, 3e-5, 1e8, -1e16, 1e22, 1e-150, 1e154, -1e155, 1e200, 1e-300, 1e300, 5e-324)


def collected(count: int, number: int, depth: int = 3) -> list[Any]:
    """So many different models of the grammar that symgrad takes; the same for the same number."""
    found: dict[Any, None] = {}
    while len(found) < count:

        @seed(number)
        @settings(
            max_examples=2 * count, phases=[Phase.generate], database=None, deadline=None,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(models(depth))
        def collect(expression: Any) -> None:
            if len(found) < count and expression not in found and risk_of(expression) is not None:
                found[expression] = None

        collect()
        number += 1_000_003
    return list(found)


def program_of(risk: EmpiricalRisk) -> Program:
    """The differentiated program of a risk, in its stable forms."""
    return derive(stabilise(trace(risk))[0])


def points(number: int, moderate: int = 4, wild: int = 4) -> list[Point]:
    """Points with every symbol of moderate size, and others where one or two are extreme."""
    draw = random.Random(number)
    found = []
    for i in range(moderate + wild):
        point = {symbol: draw.choice([-1, 1]) * 2 ** draw.uniform(-2.5, 1.5) for symbol in SYMBOLS}
        for symbol in draw.sample(SYMBOLS, draw.choice([1, 1, 2]) if i >= moderate else 0):
            point[symbol] = draw.choice(_WILD)
        found.append(point)
    return found


@dataclass(frozen=True)
class Got:
    """What symgrad makes of a model at a point."""

    loss: float
    gradient: tuple[float, ...]


class Batch:
    """Some models, compiled into one module."""

    def __init__(self, expressions: Sequence[Any], name: str = "batch") -> None:
        self._count = len(expressions)
        s, *own = (sp.MatrixSymbol(letter, self._count, 1) for letter in "sabcd")
        terms = []
        for k, expression in enumerate(expressions):
            a, b, c, d = (matrix[k, 0] for matrix in own)
            places = dict(zip(PARAMETERS, (a, b, c + _LANE[0], d + _LANE[1]), strict=True))
            terms.append(sp.Mul(s[k, 0], expression.xreplace(places), evaluate=False))
        inputs = [*INPUTS, *_LANE]
        declared = {"inputs": inputs, "targets": [TARGET], "parameters": [s, *own], "name": name}
        self.module = sg.compile(sg.EmpiricalRisk.from_expression(sp.Add(*terms), **declared))

    def at(self, point: Point) -> list[Got]:
        """Every model's value and gradient at a point."""
        n, (a, b, c, d) = self._count, (point[symbol] for symbol in PARAMETERS)
        theta = np.concatenate([np.ones(n), np.full(n, a), np.full(n, b), np.zeros(2 * n)])
        row = np.array([[*(point[symbol] for symbol in INPUTS), c, d]])
        (slopes,) = self.module.per_sample_gradient(theta, row, [point[TARGET]])
        values, *gradients = slopes.reshape(5, n)
        return [Got(float(values[k]), tuple(float(g[k]) for g in gradients)) for k in range(n)]


@dataclass(frozen=True)
class Finding:
    """A value that is not as promised."""

    expression: Any
    point: Point
    output: str  # "loss", or the parameter's name
    got: float
    true: str
    times: float  # how many times beyond the promise
    in_range: bool  # nothing on the way leaves a double's range

    def __str__(self) -> str:
        symbols = sorted(self.expression.free_symbols, key=str)
        at = ", ".join(f"{symbol} = {self.point[symbol]!r}" for symbol in symbols)
        where = "" if self.in_range else " [something on the way leaves the range]"
        return f"{self.expression}\n    at {at}: {self.output} {self.got!r}, true {self.true}: {self.times:.3g}x{where}"


def truth(expression: Any, point: Point) -> Judgement | None:
    """What is true of a model at a point; ``None`` where roundings decide, or nothing can be computed."""
    try:
        return judge(expression, point, PARAMETERS)
    except (Undecided, OutOfReach):
        return None


def findings(expression: Any, point: Point, got: Got, true: Judgement) -> Iterator[Finding]:
    """What of a model's value and gradient at a point is not as promised."""
    names = ("loss", *map(str, PARAMETERS))
    for name, one, there in zip(names, (got.loss, *got.gradient), (true.loss, *true.gradient), strict=False):
        times = there.error(one)
        if times:
            yield Finding(expression, point, name, one, sp.Float(there.value, 20).__str__(), times, true.in_range)


def smaller(expression: Any) -> Iterator[Any]:
    """Expressions with one node less, or one leaf simpler: what to try next when something is wrong with this one."""
    for place in sp.preorder_traversal(expression):
        if isinstance(place, sp.Expr) and place.args:
            for part in place.args:
                if isinstance(part, sp.Expr):
                    yield _replaced(expression, place, part)
            if len(place.args) > 2 and isinstance(place, (sp.Add, sp.Mul)):
                for i in range(len(place.args)):
                    yield _replaced(expression, place, place.func(*place.args[:i], *place.args[i + 1 :]))
            for simple in (sp.Integer(1), *sorted(place.free_symbols & set(SYMBOLS), key=str)):
                yield _replaced(expression, place, simple)
            if isinstance(place, sp.Piecewise):
                for branch, _ in place.args:
                    yield _replaced(expression, place, branch)
        elif place.is_Number and place not in (0, 1, 2, -1):
            for number in (1, 2, -1):
                yield _replaced(expression, place, sp.Integer(number))


def _replaced(expression: Any, old: Any, new: Any) -> Any:
    try:
        return new if old == expression else expression.xreplace({old: new})
    except (ValueError, TypeError, ArithmeticError, AttributeError):
        return None


def shrunk(expression: Any, fails: Callable[[Any], bool], most: int = 400) -> Any:
    """A small expression that fails as well."""
    tried = {expression}
    found = True
    while found and len(tried) < most:
        found = False
        for candidate in smaller(expression):
            if candidate is None or candidate in tried or not isinstance(candidate, sp.Expr):
                continue
            if candidate.has(sp.nan, sp.zoo, sp.oo, sp.I) or _size(candidate) >= _size(expression):
                continue
            tried.add(candidate)
            if len(tried) > most:
                break
            if fails(candidate):
                expression, found = candidate, True
                break
    return expression


def _size(expression: Any) -> tuple[int, int]:
    nodes = list(sp.preorder_traversal(expression))
    return len(nodes), sum(len(str(node)) for node in nodes if node.is_Number)


def is_finite(true: Judgement) -> bool:
    """Whether the truth is a number that a double can be."""
    return all(math.isfinite(float(t.value)) for t in (true.loss, *true.gradient))
