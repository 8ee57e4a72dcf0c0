"""What each scalar function means over the real numbers, and its partial derivatives: the oracle's own table.

A :class:`Rule` holds the value and one partial derivative for each argument, written by hand from the textbook
(DLMF chapters 4 to 7) and never taken from ``sympy.diff``, so that an error of SymPy or of symgrad's own rules shows.
Every function gets an mpmath context first and works to that context's precision; a result that is not a real number
is NaN. Conventions at kinks are symgrad's (``docs/architecture.md``): ``Abs'`` and ``sign'`` are 0 at 0, a tie of
``Max`` or ``Min`` gives each side one half, the derivatives of steps are 0, and zero counts as ``+0``, so 1/0 is +inf.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .rule import MAX_MAGNITUDE, OutOfReach, Partial, Real, Rule, Value, unary
from .special import POLES_AT_ZERO, SPECIAL

# Functions whose cost does not grow with their argument's exponent (arguments of Mod are checked where they meet).
_CHEAP = frozenset(
    [
        *("log", "log1p", "log2", "log10", "xlogy", "Sqrt", "Cbrt", "hypot", "fma", "Abs", "sign", "Max", "Min"),
        *("atan", "acot", "asec", "acsc", "atan2", "asinh", "acosh", "acoth", "acsch"),
        *("Heaviside", "floor", "ceiling", "Mod", "re", "im", "conjugate"),
    ]
)
# Functions that tell a zero from one of the other sign.
TELL_ZEROS = POLES_AT_ZERO | {"atan2", "acot", "cot", "csc", "coth", "csch", "acsch", "asec", "acsc", "acoth"}
_UNDEFINED_ERRORS = (ZeroDivisionError, ValueError, OverflowError, NotImplementedError, TypeError)


def apply(function: Value, m: Any, *arguments: Real) -> Real:
    """Return ``function(m, *arguments)`` as a real number: NaN where it has none.

    Raises OutOfReach, and nothing else.
    """
    if any(x != x for x in arguments):
        return m.nan
    try:
        result = function(m, *arguments)
    except _UNDEFINED_ERRORS:
        return m.nan
    except m.NoConvergence as error:
        raise OutOfReach from error
    if isinstance(result, m.mpc):
        return result.real if result.imag == 0 else m.nan
    return m.mpf(result)


def check_reach(name: str, arguments: tuple[Real, ...]) -> None:
    """Raise OutOfReach for an argument whose exponential, sine or gamma would fill the memory."""
    guarded = arguments[1:] if name == "Pow" else () if name in _CHEAP else arguments
    if any(x._mpf_[2] + x._mpf_[3] > MAX_MAGNITUDE for x in guarded):
        raise OutOfReach


def divide(m: Any, a: Real, b: Real) -> Real:
    """Return a / b, where zero is +0: 1/0 is +inf, -1/0 is -inf, 0/0 is NaN."""
    if b != 0:
        return a / b
    return m.nan if a == 0 or a != a else m.inf * m.sign(a)


def power(m: Any, b: Real, e: Real) -> Real:
    """Return b**e: real powers only, so NaN for a negative base with an exponent that is no integer."""
    if e == 0:
        return m.one
    if b == 0:
        return m.zero if e > 0 else m.inf
    if m.isinf(e):
        raise OutOfReach  # only a pole gives an infinite exponent, and 1 + 1e-99 must not be told from 1 then
    whole = m.isint(e)
    if b < 0 and not whole:
        return m.nan
    if m.isinf(b):
        size = m.inf if e > 0 else m.zero
    elif whole and abs(e) < 2**40:
        return b ** int(e)
    else:
        size = abs(b) ** e
    return -size if b < 0 and whole and int(e) % 2 else size


def _power_base(m: Any, v: Real, b: Real, e: Real) -> Real:
    return m.zero if e == 0 else e * power(m, b, e - 1)


def _power_exponent(m: Any, v: Real, b: Real, e: Real) -> Real:
    if b == 0:
        return m.zero  # symgrad's convention for 0**y: the limit for y > 0, where the loss is defined
    return m.nan if b < 0 else v * m.log(b)


def _log(m: Any, x: Real) -> Real:
    if x == 0:
        return -m.inf
    return m.log(x) if x > 0 else m.nan


def _log1p(m: Any, x: Real) -> Real:
    if x == -1:
        return -m.inf
    return m.log1p(x) if x > -1 else m.nan


def _inside(m: Any, x: Real, low: Any, high: Any, result: Callable[[], Real]) -> Real:
    """``result()`` for low <= x <= high, else NaN: for the functions that are complex outside."""
    return result() if low <= x <= high else m.nan


def _root(m: Any, x: Real) -> Real:
    """sqrt(1 - x**2), by factors so that nothing cancels; NaN outside [-1, 1]."""
    return m.sqrt((1 - x) * (1 + x)) if abs(x) <= 1 else m.nan


def _root_outside(m: Any, x: Real) -> Real:
    """sqrt(x**2 - 1) for |x| >= 1, else NaN."""
    return m.sqrt((abs(x) - 1) * (abs(x) + 1)) if abs(x) >= 1 else m.nan


def _step(m: Any, x: Real, at_zero: Real) -> Real:
    if x == 0:
        return at_zero
    return m.one if x > 0 else m.zero


def _sinc(m: Any, x: Real) -> Real:
    if x == 0:
        return m.one
    return m.zero if m.isinf(x) else m.sin(x) / x


def _sinc_slope(m: Any, v: Real, x: Real) -> Real:
    if x == 0 or m.isinf(x):
        return m.zero
    if m.mag(x) < -MAX_MAGNITUDE:
        raise OutOfReach
    with m.extraprec(20 + max(0, -3 * m.mag(x))):  # cos(x)/x - sin(x)/x**2 loses about 2*mag(x) bits near 0
        return (m.cos(x) - m.sin(x) / x) / x


def _integers(m: Any, p: Real, q: Real) -> tuple[int, int, int]:
    """(P, Q, e) with p = P * 2**e and q = Q * 2**e, exactly."""
    (sp, mp, ep, _), (sq, mq, eq, _) = p._mpf_, q._mpf_
    low = min(ep, eq)
    if max(ep, eq) - low > 10 * MAX_MAGNITUDE:
        raise OutOfReach
    return int(-mp if sp else mp) << (ep - low), int(-mq if sq else mq) << (eq - low), low


def _modulo(m: Any, p: Real, q: Real) -> Real:
    """p - q*floor(p/q), exact before one rounding, with the sign of q; NaN for q = 0."""
    if m.isinf(p) or m.isinf(q):
        return m.nan
    a, b, e = _integers(m, p, q)
    return m.ldexp(m.mpf(a % b), e)


def _modulo_divisor(m: Any, v: Real, p: Real, q: Real) -> Real:
    if m.isinf(p) or m.isinf(q):
        return m.nan
    a, b, _ = _integers(m, p, q)
    return -m.mpf(a // b)


def sigmoid(m: Any, x: Real) -> Real:
    """Return 1/(1 + exp(-x)), by way of an exponential that does not overflow."""
    return 1 / (1 + m.exp(-x)) if x >= 0 else m.exp(x) / (1 + m.exp(x))


def _softplus(m: Any, x: Real) -> Real:
    return m.log1p(m.exp(x)) if x <= 0 else x + m.log1p(m.exp(-x))


def _log_cosh(m: Any, x: Real) -> Real:
    if abs(x) < 1:
        return m.log1p(2 * m.sinh(x / 2) ** 2)
    return abs(x) + m.log1p(m.exp(-2 * abs(x))) - m.log(2)


def _logsumexp(m: Any, *xs: Real) -> Real:
    top = max(xs)
    if m.isinf(top):
        return top
    return top + m.log(m.fsum(m.exp(x - top) for x in xs))


def _softmax(index: int) -> Partial:
    return lambda m, v, *xs: m.exp(xs[index] - v)


def _fold(better: Callable[[Real, Real], bool]) -> Rule:
    """Max or Min of two arguments; the n-ary ones are folded from the left by the tape."""

    def share(m: Any, mine: Real, other: Real) -> Real:
        if mine == other:
            return m.mpf(0.5)
        return m.one if better(mine, other) else m.zero

    return Rule(
        lambda m, a, b: a if better(a, b) or a != a else b,
        (lambda m, v, a, b: share(m, a, b), lambda m, v, a, b: share(m, b, a)),
    )


def _flat(m: Any, v: Real, *xs: Real) -> Real:
    return m.zero


ELEMENTARY: dict[str, Rule] = {
    "exp": unary(lambda m, x: m.exp(x), lambda m, v, x: v),
    "log": unary(_log, lambda m, v, x: divide(m, m.one, x) if x >= 0 else m.nan),
    "Pow": Rule(power, (_power_base, _power_exponent)),
    "Sqrt": unary(lambda m, x: m.sqrt(x), lambda m, v, x: divide(m, m.one, 2 * v)),
    "Cbrt": unary(lambda m, x: power(m, x, m.one / 3), lambda m, v, x: power(m, x, m.mpf(-2) / 3) / 3),
    "log1p": unary(_log1p, lambda m, v, x: divide(m, m.one, 1 + x) if x >= -1 else m.nan),
    "expm1": unary(lambda m, x: m.expm1(x), lambda m, v, x: m.exp(x)),
    "exp2": unary(lambda m, x: power(m, m.mpf(2), x), lambda m, v, x: v * m.log(2)),
    "log2": unary(lambda m, x: _log(m, x) / m.log(2), lambda m, v, x: divide(m, 1 / m.log(2), x) if x >= 0 else m.nan),
    "log10": unary(
        lambda m, x: _log(m, x) / m.log(10), lambda m, v, x: divide(m, 1 / m.log(10), x) if x >= 0 else m.nan
    ),
    "hypot": Rule(
        lambda m, a, b: m.hypot(a, b), (lambda m, v, a, b: divide(m, a, v), lambda m, v, a, b: divide(m, b, v))
    ),
    "fma": Rule(
        lambda m, a, b, c: a * b + c, (lambda m, v, a, b, c: b, lambda m, v, a, b, c: a, lambda m, v, a, b, c: m.one)
    ),
}

CIRCULAR: dict[str, Rule] = {
    "sin": unary(lambda m, x: m.sin(x), lambda m, v, x: m.cos(x)),
    "cos": unary(lambda m, x: m.cos(x), lambda m, v, x: -m.sin(x)),
    "tan": unary(lambda m, x: divide(m, m.sin(x), m.cos(x)), lambda m, v, x: divide(m, m.one, m.cos(x) ** 2)),
    "cot": unary(lambda m, x: divide(m, m.cos(x), m.sin(x)), lambda m, v, x: divide(m, -m.one, m.sin(x) ** 2)),
    "sec": unary(lambda m, x: divide(m, m.one, m.cos(x)), lambda m, v, x: divide(m, m.sin(x), m.cos(x) ** 2)),
    "csc": unary(lambda m, x: divide(m, m.one, m.sin(x)), lambda m, v, x: divide(m, -m.cos(x), m.sin(x) ** 2)),
    "sinc": unary(_sinc, _sinc_slope),
    "asin": unary(lambda m, x: _inside(m, x, -1, 1, lambda: m.asin(x)), lambda m, v, x: divide(m, m.one, _root(m, x))),
    "acos": unary(lambda m, x: _inside(m, x, -1, 1, lambda: m.acos(x)), lambda m, v, x: divide(m, -m.one, _root(m, x))),
    "atan": unary(lambda m, x: m.atan(x), lambda m, v, x: 1 / (1 + x * x)),
    "acot": unary(lambda m, x: m.pi / 2 if x == 0 else m.atan(1 / x), lambda m, v, x: -1 / (1 + x * x)),
    "asec": unary(
        lambda m, x: _inside(m, 1 / x, -1, 1, lambda: m.acos(1 / x)),
        lambda m, v, x: divide(m, m.one, abs(x) * _root_outside(m, x)),
    ),
    "acsc": unary(
        lambda m, x: _inside(m, 1 / x, -1, 1, lambda: m.asin(1 / x)),
        lambda m, v, x: divide(m, -m.one, abs(x) * _root_outside(m, x)),
    ),
    "atan2": Rule(
        lambda m, y, x: m.nan if x == 0 and y == 0 else m.atan2(y, x),
        (lambda m, v, y, x: divide(m, x, x * x + y * y), lambda m, v, y, x: divide(m, -y, x * x + y * y)),
    ),
}

HYPERBOLIC: dict[str, Rule] = {
    "sinh": unary(lambda m, x: m.sinh(x), lambda m, v, x: m.cosh(x)),
    "cosh": unary(lambda m, x: m.cosh(x), lambda m, v, x: m.sinh(x)),
    "tanh": unary(lambda m, x: m.tanh(x), lambda m, v, x: m.cosh(x) ** -2),
    "coth": unary(lambda m, x: divide(m, m.one, m.tanh(x)), lambda m, v, x: divide(m, -m.one, m.sinh(x) ** 2)),
    "sech": unary(lambda m, x: 1 / m.cosh(x), lambda m, v, x: -m.tanh(x) / m.cosh(x)),
    "csch": unary(lambda m, x: divide(m, m.one, m.sinh(x)), lambda m, v, x: divide(m, -m.one, m.sinh(x) * m.tanh(x))),
    "asinh": unary(lambda m, x: m.asinh(x), lambda m, v, x: 1 / m.hypot(m.one, x)),
    "acosh": unary(
        lambda m, x: _inside(m, x, 1, m.inf, lambda: m.acosh(x)),
        lambda m, v, x: divide(m, m.one, _root_outside(m, x)) if x >= 1 else m.nan,
    ),
    "atanh": unary(
        lambda m, x: x * m.inf if abs(x) == 1 else _inside(m, x, -1, 1, lambda: m.atanh(x)),
        lambda m, v, x: divide(m, m.one, (1 - x) * (1 + x)) if abs(x) <= 1 else m.nan,
    ),
    "acoth": unary(
        lambda m, x: x * m.inf if abs(x) == 1 else _inside(m, 1 / x, -1, 1, lambda: m.atanh(1 / x)),
        lambda m, v, x: divide(m, -m.one, (abs(x) - 1) * (abs(x) + 1)) if abs(x) >= 1 else m.nan,
    ),
    "asech": unary(
        lambda m, x: m.inf if x == 0 else _inside(m, x, 0, 1, lambda: m.acosh(1 / x)),
        lambda m, v, x: divide(m, -m.one, x * _root(m, x)) if x >= 0 else m.nan,
    ),
    "acsch": unary(
        lambda m, x: m.inf if x == 0 else m.asinh(1 / x),
        lambda m, v, x: divide(m, -m.one, abs(x) * m.hypot(m.one, x)),
    ),
}

STEPS: dict[str, Rule] = {
    "Abs": unary(lambda m, x: abs(x), lambda m, v, x: m.sign(x)),
    "sign": unary(lambda m, x: m.sign(x), _flat),
    "Max": _fold(lambda a, b: a > b),
    "Min": _fold(lambda a, b: a < b),
    "Heaviside": Rule(_step, (_flat, lambda m, v, x, at_zero: m.one if x == 0 else m.zero)),
    "floor": unary(lambda m, x: m.floor(x), _flat),
    "ceiling": unary(lambda m, x: m.ceil(x), _flat),
    "Mod": Rule(_modulo, (lambda m, v, p, q: m.nan if q == 0 else m.one, _modulo_divisor)),
    "re": unary(lambda m, x: x, lambda m, v, x: m.one),
    "im": unary(lambda m, x: m.zero, _flat),
    "conjugate": unary(lambda m, x: x, lambda m, v, x: m.one),
}


STABLE: dict[str, Rule] = {  # symgrad.functions
    "sigmoid": unary(sigmoid, lambda m, v, x: m.exp(-abs(x)) / (1 + m.exp(-abs(x))) ** 2),
    "softplus": unary(_softplus, lambda m, v, x: sigmoid(m, x)),
    "log_sigmoid": unary(lambda m, x: -_softplus(m, -x), lambda m, v, x: sigmoid(m, -x)),
    "log_cosh": unary(_log_cosh, lambda m, v, x: m.tanh(x)),
    "logsumexp": Rule(_logsumexp, each=_softmax),
    "xlogy": Rule(
        lambda m, x, y: m.zero if x == 0 else x * _log(m, y),
        (lambda m, v, x, y: _log(m, y), lambda m, v, x, y: m.zero if x == 0 else divide(m, x, y)),
    ),
}

FUNCTIONS: dict[str, Rule] = ELEMENTARY | CIRCULAR | HYPERBOLIC | STEPS | SPECIAL | STABLE
