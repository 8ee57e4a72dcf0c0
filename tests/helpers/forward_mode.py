"""Forward-mode differentiation over a SymPy tree: neither ``sympy.diff`` nor anything of symgrad's.

``local`` says what one node is, and its partial derivatives by its arguments; everything else is the chain rule.
Numbers are `Fraction` (exact, for what is rational) or mpmath's at the precision of the moment. The conventions at
kinks are those that symgrad documents: a tie is shared, ``Abs`` and ``sign`` have slope 0 at 0, a branch that is not
taken is never looked at. What is not real is NaN.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from math import floor, prod
from typing import Any

import sympy as sp
from mpmath import mp, mpf
from sympy.codegen import cfunctions

from symgrad import functions

Number = Any  # a Fraction or an mpf
Rule = tuple[Callable[..., Number], tuple[Callable[..., Number], ...]]  # the value, and the partial derivatives
LARGEST_EXPONENT = 10**6


class OutOfReach(Exception):
    """A number with an exponent of more than a million bits."""


def _exp(x: Number) -> Number:
    if abs(x) > LARGEST_EXPONENT:
        raise OutOfReach
    return mp.exp(x)


def _reached(x: Number, most: Number) -> Number:
    """The argument of a function for which mpmath takes as many digits of pi as it has itself."""
    if mp.isfinite(x) and abs(x) > most:
        raise OutOfReach
    return x


def _turned(x: Number) -> Number:
    return _reached(x, mpf(10) ** 400)


def _gamma(x: Number) -> Number:
    return mp.gamma(_reached(x, LARGEST_EXPONENT))


def _digamma(x: Number) -> Number:
    return mp.digamma(_reached(x, mpf(10) ** 400))


def _sigmoid(x: Number) -> Number:
    return 1 / (1 + _exp(-x)) if x > 0 else _exp(x) / (1 + _exp(x))


def _softplus(x: Number) -> Number:
    return (x if x > 0 else 0) + mp.log1p(_exp(-abs(x)))


def _log_cosh(x: Number) -> Number:
    if abs(x) < 1:
        return mp.log1p(2 * mp.sinh(x / 2) ** 2)
    return abs(x) + mp.log1p(mp.expm1(-2 * min(abs(x), mpf(LARGEST_EXPONENT))) / 2)


def _sinc_slope(x: Number) -> Number:
    if not x:
        return mpf(0)
    with mp.workprec(mp.prec - 2 * min(0, int(mp.mag(x)))):  # what cancels near 0
        return (mp.cos(x) * x - mp.sin(x)) / x**2


def _logsumexp(*xs: Number) -> Number:
    first, *rest = sorted(xs, reverse=True)
    return first + mp.log1p(mp.fsum(_exp(x - first) for x in rest))


def _share(i: int) -> Callable[..., Number]:
    return lambda *xs: _exp(xs[i] - max(xs)) / mp.fsum(_exp(x - max(xs)) for x in xs)


def _root(x: Number) -> Number:
    return mp.sqrt(x)


def _hypot(x: Number, y: Number) -> Number:
    return mp.sqrt(x * x + y * y)


def _over(x: Number, y: Number) -> Number:
    """x/y, infinite where only y is zero; zero counts as +0."""
    if y:
        return x / y
    return x * mp.inf if x else mp.nan


def _sign(x: Number) -> Number:
    return mp.sign(x)


def _atan2_partial(y: Number, x: Number, top: Number) -> Number:
    return _over(top, x * x + y * y)


# Real functions of SymPy and of symgrad.
FUNCTIONS: dict[Any, Rule] = {
    sp.exp: (_exp, (_exp,)),
    sp.log: (mp.log, (lambda x: _over(mpf(1), x),)),
    sp.sin: (lambda x: mp.sin(_turned(x)), (mp.cos,)),
    sp.cos: (lambda x: mp.cos(_turned(x)), (lambda x: -mp.sin(x),)),
    sp.tan: (lambda x: mp.tan(_turned(x)), (lambda x: mp.sec(x) ** 2,)),
    sp.asin: (mp.asin, (lambda x: _over(mpf(1), _root((1 - x) * (1 + x))),)),
    sp.acos: (mp.acos, (lambda x: -_over(mpf(1), _root((1 - x) * (1 + x))),)),
    sp.atan: (mp.atan, (lambda x: 1 / (1 + x * x),)),
    sp.sinh: (lambda x: (_exp(x), mp.sinh(x))[1], (lambda x: mp.cosh(x),)),
    sp.cosh: (lambda x: (_exp(x), mp.cosh(x))[1], (lambda x: mp.sinh(x),)),
    sp.tanh: (mp.tanh, (lambda x: 4 * _sigmoid(2 * x) * _sigmoid(-2 * x),)),
    sp.asinh: (lambda x: mp.sign(x) * mp.asinh(abs(x)), (lambda x: 1 / _hypot(x, mpf(1)),)),
    sp.acosh: (mp.acosh, (lambda x: _over(mpf(1), _root(x - 1) * _root(x + 1)),)),
    sp.atanh: (mp.atanh, (lambda x: _over(mpf(1), (1 - x) * (1 + x)),)),
    sp.erf: (mp.erf, (lambda x: 2 / mp.sqrt(mp.pi) * _exp(-x * x),)),
    sp.erfc: (mp.erfc, (lambda x: -2 / mp.sqrt(mp.pi) * _exp(-x * x),)),
    sp.gamma: (_gamma, (lambda x: _gamma(x) * _digamma(x),)),
    sp.loggamma: (lambda x: mp.loggamma(_reached(x, mpf(10) ** 400)), (_digamma,)),
    sp.sinc: (lambda x: mp.sin(x) / x if x else mpf(1), (_sinc_slope,)),
    sp.atan2: (
        lambda y, x: mp.atan2(y, x),
        (lambda y, x: _atan2_partial(y, x, x), lambda y, x: _atan2_partial(y, x, -y)),
    ),
    cfunctions.log1p: (mp.log1p, (lambda x: _over(mpf(1), 1 + x),)),
    cfunctions.expm1: (lambda x: (_exp(x), mp.expm1(x))[1], (_exp,)),
    cfunctions.exp2: (lambda x: _exp(x * mp.log(2)), (lambda x: mp.log(2) * _exp(x * mp.log(2)),)),
    cfunctions.log2: (lambda x: mp.log(x) / mp.log(2), (lambda x: _over(1 / mp.log(2), x),)),
    cfunctions.log10: (mp.log10, (lambda x: _over(1 / mp.log(10), x),)),
    cfunctions.hypot: (
        _hypot,
        (lambda x, y: _over(x, _hypot(x, y)) if x or y else mpf(0),
         lambda x, y: _over(y, _hypot(x, y)) if x or y else mpf(0)),
    ),
    functions.sigmoid: (_sigmoid, (lambda x: _sigmoid(x) * _sigmoid(-x),)),
    functions.softplus: (_softplus, (_sigmoid,)),
    functions.log_cosh: (_log_cosh, (mp.tanh,)),
    functions.xlogy: (
        lambda x, y: x * mp.log(y) if x else mpf(0),
        (lambda x, y: mp.log(y), lambda x, y: _over(x, y) if x else mpf(0)),
    ),
}  # fmt: skip
# Functions whose slope is zero where they have one.
FLAT: dict[Any, Callable[[Number], Number]] = {
    sp.floor: lambda x: whole(x),
    sp.ceiling: lambda x: -whole(-x),
    sp.sign: lambda x: type(x)((x > 0) - (x < 0)),
    sp.Heaviside: lambda x, *_: type(x)(1 + (x > 0) - (x < 0)) / 2,
}
RELATIONS = {
    sp.Lt: operator.lt, sp.Le: operator.le, sp.Gt: operator.gt, sp.Ge: operator.ge, sp.Eq: operator.eq,
    sp.Ne: operator.ne,
}  # fmt: skip
CONNECTIVES: dict[Any, Callable[[list[bool]], bool]] = {
    sp.And: all, sp.Or: any, sp.Not: lambda held: not held[0],
    sp.ITE: lambda held: held[1] if held[0] else held[2], sp.Xor: lambda held: sum(held) % 2 == 1,
}  # fmt: skip


def real(function: Callable[..., Number], *xs: Number) -> Number:
    """The function's value; NaN where it has no real one, an infinity at a pole."""
    if any(x != x for x in xs):
        return mp.nan
    try:
        value = function(*xs)
    except ZeroDivisionError:
        return mp.inf
    except (ValueError, OverflowError):
        return mp.nan
    return value if isinstance(value, (mpf, Fraction)) else mp.nan


def whole(x: Number) -> Number:
    """The greatest whole number up to x, as a number of its kind."""
    return Fraction(floor(x)) if isinstance(x, Fraction) else mp.floor(x)


def power(x: Number, y: Number) -> Number:
    """x**y for real x and y; a Fraction if x is one and y whole."""
    if isinstance(x, mpf) and not mp.isfinite(x * y):
        return mp.nan
    if y == whole(y):
        if not x and y < 0:
            return mp.inf
        return x ** int(y)
    if not x:
        return mpf(0) if y > 0 else mp.inf
    return _exp(y * mp.log(x)) if x > 0 else mp.nan


def _power_partials(x: Number, y: Number) -> list[Number]:
    by_y = mpf(0) if not x or (y == whole(y) and x < 0) else power(x, y) * mp.log(x) if x > 0 else mp.nan
    return [y * power(x, y - 1) if y else type(x)(0), by_y]


def _extremum(kind: Any, xs: Sequence[Number]) -> tuple[Number, list[Number]]:
    if any(x != x for x in xs):
        return mp.nan, [mp.nan] * len(xs)
    best = (max if kind is sp.Max else min)(xs)
    ties = sum(x == best for x in xs)
    return best, [type(best)(x == best) / ties for x in xs]


def products(xs: Sequence[Number]) -> list[Number]:
    """For each factor the product of the others."""
    return [prod((*xs[:i], *xs[i + 1 :])) for i in range(len(xs))]


def local(kind: Any, xs: Sequence[Number]) -> tuple[Number, list[Number]]:
    """One node that is no choice: its value, and its partial derivatives by its arguments."""
    if kind is sp.Add:
        return sum(xs[1:], xs[0]), [type(xs[0])(1)] * len(xs)
    if kind is sp.Mul:
        return prod(xs), products(xs)
    if kind is sp.Pow:
        return real(power, *xs), [real(lambda *x, i=i: _power_partials(*x)[i], *xs) for i in range(2)]
    if kind in (sp.Max, sp.Min):
        return _extremum(kind, xs)
    if kind is sp.re:  # which SymPy writes where it does not see that its argument is real
        return xs[0], [type(xs[0])(1)]
    if kind is sp.im:
        return type(xs[0])(0), [type(xs[0])(0)]
    if kind is sp.Abs:
        return abs(xs[0]), [type(xs[0])((xs[0] > 0) - (xs[0] < 0)) if xs[0] == xs[0] else mp.nan]
    if kind in FLAT:
        return real(FLAT[kind], *xs), [type(x)(0) for x in xs]
    if kind is sp.Mod and not (all(isinstance(x, Fraction) or mp.isfinite(x) for x in xs) and xs[1]):
        return mp.nan, [mp.nan] * 2
    if kind is sp.Mod:
        more = 0 if isinstance(xs[0], Fraction) or not xs[0] else max(0, int(mp.mag(xs[0] / xs[1])))
        with mp.workprec(mp.prec + more):  # every digit of the quotient
            quotient = whole(xs[0] / xs[1])
            return xs[0] - quotient * xs[1], [type(xs[0])(1), -quotient]
    if kind is functions.logsumexp:
        return real(_logsumexp, *xs), [real(_share(i), *xs) for i in range(len(xs))]
    if kind is functions.log_sigmoid:
        return real(lambda x: -_softplus(-x), *xs), [real(lambda x: _sigmoid(-x), *xs)]
    value, partials = FUNCTIONS[kind]
    return real(value, *xs), [real(partial, *xs) for partial in partials]


def number_of(leaf: Any, exact: bool) -> Number:
    """A number in a tree. A Float is the double, or the longer number, that it is."""
    if leaf.is_Float and not exact:
        return +mp.make_mpf(leaf._mpf_)
    if leaf.is_Float or leaf.is_Rational:
        ratio = sp.Rational(leaf)
        return Fraction(int(ratio.p), int(ratio.q)) if exact else mpf(int(ratio.p)) / int(ratio.q)
    if exact:
        raise TypeError(f"{leaf} is no rational number")
    return +mp.make_mpf(leaf._as_mpf_val(mp.prec + 10))


class Dual:
    """A tree evaluated at a point: the value of each node, and its derivatives by some symbols."""

    def __init__(self, values: Mapping[Any, Number], symbols: Sequence[Any], exact: bool = False) -> None:
        self._exact, self._zeros = exact, [Fraction(0) if exact else mpf(0)] * len(symbols)
        one = Fraction(1) if exact else mpf(1)
        self._known: dict[Any, tuple[Number, list[Number]]] = {
            symbol: (value, [one if symbol == s else 0 * one for s in symbols]) for symbol, value in values.items()
        }

    def __call__(self, tree: Any) -> tuple[Number, list[Number]]:
        """The value and the derivatives of a tree."""
        if tree not in self._known:
            self._known[tree] = self._node(tree)
        return self._known[tree]

    def _node(self, tree: Any) -> tuple[Number, list[Number]]:
        if tree.is_Number or tree.is_NumberSymbol:
            return number_of(tree, self._exact), self._zeros
        if isinstance(tree, sp.Piecewise):
            taken = (branch for branch, condition in tree.args if self.holds(condition))
            branch = next(taken, None)
            return (mp.nan, [mp.nan] * len(self._zeros)) if branch is None else self(branch)
        parts = [self(argument) for argument in tree.args]
        value, partials = local(tree.func, [x for x, _ in parts])
        rows = zip(*(slopes for _, slopes in parts), strict=True)
        # a slope that is zero adds nothing, whatever it is multiplied with
        return value, [sum((p * d for p, d in zip(partials, row, strict=True) if d), 0 * row[0]) for row in rows]

    def holds(self, condition: Any) -> bool:
        """Whether a condition holds; of a NaN no comparison does but ``!=``."""
        if condition in (sp.true, sp.false):
            return bool(condition)
        if condition.func in RELATIONS:
            left, right = (self(side)[0] for side in condition.args)
            return bool(RELATIONS[condition.func](left, right))
        return CONNECTIVES[condition.func]([self.holds(part) for part in condition.args])
