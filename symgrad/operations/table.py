"""The operations of a program: what each means in SymPy, how its cotangent is pulled back, how it is lowered.

A row's pullback is SymPy's own ``diff`` of its meaning, unless the row brings one that keeps more digits or shares more
work; tests hold each of those against SymPy's. Operations that the C library lacks are lowered, after
differentiation, to operations that it has. What a pullback or a lowering emits are operations of this table again.
"""

from __future__ import annotations

from collections.abc import Sequence

import sympy as sp
from sympy.codegen import cfunctions

from symgrad import functions
from symgrad.program import Value, over

from . import gamma as gamma_operations
from . import matrices
from . import powers as power_operations
from . import stable as stable_operations
from .operation import Operation, X, Y
from .stable import exp_difference, inside, legs

_SLOPE_OF_ERF = float(2 / sp.sqrt(sp.pi))


def _split(c: Value, wins: Value, loses: Value, ties: Value) -> Value:
    """The cotangent of one side of a Max or Min: a tie is halved, and a NaN stays one."""
    return wins.choose(c, loses.choose(0.0, ties.choose(c * 0.5, float("nan"))))


def _max_pullback(c: Value, r: Value, x: Value, y: Value) -> tuple[Value, Value]:
    return _split(c, x > y, x < y, x.equals(y)), _split(c, x < y, x > y, x.equals(y))


def _min_pullback(c: Value, r: Value, x: Value, y: Value) -> tuple[Value, Value]:
    return _split(c, x < y, x > y, x.equals(y)), _split(c, x > y, x < y, x.equals(y))


def _not_beaten(x: Value, y: Value) -> tuple[Value, Value]:
    """Where each side of a Max can matter; a NaN on either side lets both through."""
    return (x < y).call("not"), (y < x).call("not")


def _max(x: Value, y: Value) -> Value:
    return (x > y).choose(x, (y >= x).choose(y, x + y))


def _min(x: Value, y: Value) -> Value:
    return (x < y).choose(x, (y <= x).choose(y, x + y))


def _sign(x: Value) -> Value:
    return (x > 0).choose(1.0, (x < 0).choose(-1.0, x))


def _mod(x: Value, y: Value) -> Value:
    """SymPy's ``Mod`` has the sign of the divisor, C's ``fmod`` that of the dividend."""
    rest = x.call("fmod", y)
    opposed = (rest < 0).call("ne", y < 0).call("and", rest.call("ne", 0.0))
    return opposed.choose(rest + y, rest)


def _mod_pullback(c: Value, r: Value, x: Value, y: Value) -> tuple[Value, Value]:
    # floor(x/y), from the rest: the quotient itself may underflow, or round up to the next integer
    return c, -(c * ((x - r) / y + 0.5).call("floor"))


def _logistic_density(x: Value) -> Value:
    decay = (-abs(x)).call("exp")
    part = 1 / (1 + decay)
    return decay * part * part


def _sigmoid(x: Value) -> Value:
    decay = (-abs(x)).call("exp")
    return (x >= 0).choose(1.0, decay) * (1 / (1 + decay))


def _sech(x: Value) -> Value:
    decay = (-abs(x)).call("exp")
    return 2 * decay / (1 + decay * decay)


def _softplus(x: Value) -> Value:
    return (x > 0).choose(x, 0.0) + (-abs(x)).call("exp").call("log1p")


def _log_cosh(x: Value) -> Value:
    sinh = x.call("sinh")
    near = (sinh * sinh).call("log1p") * 0.5
    far = abs(x) + ((-2 * abs(x)).call("exp").call("log1p") - float(sp.log(2)))
    return (abs(x) < 1).choose(near, far)


# Of (tanh(x)/x - 1)/x^2 as a polynomial in x^2, by interpolation at Chebyshev's points for |x| < 0.45: 58 bits of tanh.
_TANH = (
    *(-0.3333333333333333, 0.13333333333332756, -0.053968253967312856, 0.021869488476433937, -0.008863233600962223),
    *(0.003592092138684696, -0.0014554257178951656, 0.0005871241987521835, -0.00022646125178830043),
    6.50769217873237e-05,
)


def _tanh(x: Value) -> Value:
    """By the exponential that its slope needs too, (1 - exp(-2|x|))/(1 + exp(-2|x|)), where that keeps its digits."""
    decay, square, series = (-abs(2 * x)).call("exp"), x * x, x.number(_TANH[-1])
    for coefficient in _TANH[-2::-1]:
        series = series * square + coefficient
    far = (1 - decay) * (1 / (1 + decay))
    return (abs(x) < 0.45).choose(x + x * (square * series), (x < 0).choose(-far, far))


def _largest(*xs: Value) -> Value:
    largest = xs[0]
    for x in xs[1:]:
        largest = largest.call("max", x)
    return largest


def _shifted_exponentials(*xs: Value, lost: Sequence[Value] = ()) -> tuple[Value, list[Value], Value]:
    """The largest x, ``exp(x_i - largest)``, and their sum less one; equal infinities differ by zero, not by NaN.

    ``lost`` is what each x lost to rounding, if that is known.
    """
    largest = _largest(*xs)
    wins = [x.equals(largest) for x in xs]
    terms = [won.choose(1.0, exp_difference(x, largest)) for x, won in zip(xs, wins, strict=True)]
    terms = [term + term * off for term, off in zip(terms, lost, strict=True)] if lost else terms
    rest = sum((won.choose(1.0, 0.0) for won in wins[1:]), wins[0].choose(1.0, 0.0)) - 1
    offs: Sequence[Value | float] = lost or [0.0] * len(xs)
    for won, off, term in zip(wins, offs, terms, strict=True):
        rest = rest + won.choose(off, term)
    return largest, terms, rest


def _logsumexp(*xs: Value) -> Value:
    largest, _, rest = _shifted_exponentials(*xs)
    return largest + rest.call("log1p")


def _with_lost(arguments: Sequence[Value]) -> tuple[Value, list[Value], Value]:
    """Of exponents in the first half, and of what each lost to rounding in the second."""
    half = len(arguments) // 2
    return _shifted_exponentials(*arguments[:half], lost=arguments[half:])


def _logsumexp_with(*arguments: Value) -> Value:
    largest, _, rest = _with_lost(arguments)
    return largest + rest.call("log1p")


def _softmax_with(*arguments: Value | int) -> Value:
    *values, index = arguments
    _, terms, rest = _with_lost([v for v in values if isinstance(v, Value)])
    assert isinstance(index, int)
    return terms[index] / (1 + rest)


def _logsumexp_with_pullback(c: Value, r: Value, *arguments: Value) -> tuple[Value | float, ...]:
    first, *others = arguments
    half = len(arguments) // 2
    shares = (c * first.call("softmax_with", *others, attribute=i) for i in range(half))
    return *shares, *(0.0,) * half


def _softmax_with_pullback(c: Value, r: Value, *arguments: Value | int) -> tuple[Value | float, ...]:
    *values, index = arguments
    first, *others = [v for v in values if isinstance(v, Value)]
    half = len(values) // 2
    shares = [first.call("softmax_with", *others, attribute=i) for i in range(half)]
    return *(c * r * ((1.0 if i == index else 0.0) - s) for i, s in enumerate(shares)), *(0.0,) * half


def _softmax(*arguments: Value | int) -> Value:
    xs, index = _with_index(arguments)
    _, shifted, rest = _shifted_exponentials(*xs)
    return shifted[index] / (1 + rest)


def _with_index(arguments: tuple[Value | int, ...]) -> tuple[list[Value], int]:
    """A softmax' arguments and, last, the index of its numerator."""
    index = arguments[-1]
    assert isinstance(index, int)
    return [x for x in arguments if isinstance(x, Value)], index


def _shares(xs: list[Value]) -> list[Value]:
    return [xs[0].call("softmax", *xs[1:], attribute=i) for i in range(len(xs))]


def _logsumexp_pullback(c: Value, r: Value, *xs: Value) -> tuple[Value, ...]:
    return tuple(c * share for share in _shares(list(xs)))


def _softmax_pullback(c: Value, r: Value, *arguments: Value | int) -> tuple[Value, ...]:
    xs, index = _with_index(arguments)
    return tuple(c * r * ((1.0 if i == index else 0.0) - share) for i, share in enumerate(_shares(xs)))


def _polygamma_pullback(c: Value, r: Value, x: Value, order: int) -> tuple[Value]:
    return (c * x.call("polygamma", attribute=order + 1),)


def _hypot_pullback(c: Value, r: Value, x: Value, y: Value) -> tuple[Value, Value]:
    (x, y), length = legs(x, y, r)
    at_zero = r.equals(0)
    return c * at_zero.choose(0.0, x / length), c * at_zero.choose(0.0, y / length)


def _flat(c: Value, r: Value, *xs: Value) -> tuple[float, ...]:
    return (0.0,) * len(xs)


def _rows() -> tuple[Operation, ...]:
    """The whole table, by kind."""
    arithmetic = (
        Operation("add", X + Y, lambda c, r, x, y: (c, c)),
        Operation("sub", X - Y, lambda c, r, x, y: (c, -c)),
        Operation("mul", X * Y, lambda c, r, x, y: (c * y, c * x)),
        Operation("div", X / Y, lambda c, r, x, y: (over(c, y), -(over(c, y) * r))),
        Operation("neg", -X, lambda c, r, x: (-c,)),
        Operation("sqrt", sp.sqrt(X), lambda c, r, x: (c / (2 * r),)),
        Operation("hypot", cfunctions.hypot(X, Y), _hypot_pullback),
        Operation("fmod", None, lambda c, r, x, y: (c, -(c * ((x - r) / y)))),
        Operation("mod", sp.Mod(X, Y), _mod_pullback, _mod),
        Operation("floor", sp.floor(X), _flat),
        Operation("ceil", sp.ceiling(X), _flat),
    )
    choice = (
        Operation(
            "select",
            None,
            lambda c, r, condition, x, y: (0.0, condition.choose(c, 0.0), condition.choose(0.0, c)),
            guards=lambda condition, x, y: (condition, condition, condition.call("not")),
        ),
        Operation("abs", sp.Abs(X), lambda c, r, x: (c * x.call("sign"),)),
        Operation("sign", sp.sign(X), _flat, _sign),
        Operation("max", sp.Max(X, Y), _max_pullback, _max, guards=_not_beaten),
        Operation("min", sp.Min(X, Y), _min_pullback, _min, guards=lambda x, y: _not_beaten(x, y)[::-1]),
        *(Operation(name, None, _flat) for name in ("lt", "le", "eq", "ne", "and", "or", "not")),
    )
    exponential = (
        Operation("exp", sp.exp(X)),
        Operation("exp2", cfunctions.exp2(X), lambda c, r, x: (c * r * float(sp.log(2)),)),
        Operation("expm1", cfunctions.expm1(X)),
        Operation("log", sp.log(X), lambda c, r, x: (inside(x >= 0, over(c, x)),)),
        Operation("log2", cfunctions.log2(X), lambda c, r, x: (inside(x >= 0, c / x * float(1 / sp.log(2))),)),
        Operation("log10", cfunctions.log10(X), lambda c, r, x: (inside(x >= 0, c / x * float(1 / sp.log(10))),)),
        Operation("log1p", cfunctions.log1p(X), lambda c, r, x: (inside(x >= -1, c / (1 + x)),)),
        Operation("sigmoid", functions.sigmoid(X), lambda c, r, x: (c * x.call("logistic_density"),), _sigmoid),
        Operation(
            "logistic_density",
            functions.sigmoid(X) * functions.sigmoid(-X),
            lambda c, r, x: (-(c * r * (0.5 * x).call("tanh")),),
            _logistic_density,
        ),
        Operation("softplus", functions.softplus(X), lambda c, r, x: (c * x.call("sigmoid"),), _softplus),
        Operation("log_cosh", functions.log_cosh(X), lambda c, r, x: (c * x.call("tanh"),), _log_cosh),
        Operation("logsumexp", None, _logsumexp_pullback, _logsumexp),
        Operation("softmax", None, _softmax_pullback, _softmax),
        # of exponents, and of what each of them lost to rounding, which is held
        Operation("logsumexp_with", None, _logsumexp_with_pullback, _logsumexp_with),
        Operation("softmax_with", None, _softmax_with_pullback, _softmax_with),
        Operation(
            "xlogy",
            functions.xlogy(X, Y),
            lambda c, r, x, y: (c * y.call("log"), c * x.equals(0).choose(0.0, inside(y >= 0, x / y))),
            lambda x, y: x.equals(0).choose(0.0, x * y.call("log")),
        ),
    )
    circular = (
        Operation("sin", sp.sin(X)),
        Operation("cos", sp.cos(X)),
        Operation("tan", sp.tan(X)),
        Operation("cot", sp.cot(X), None, lambda x: 1 / x.call("tan")),
        Operation("sec", sp.sec(X), None, lambda x: 1 / x.call("cos")),
        Operation("csc", sp.csc(X), None, lambda x: 1 / x.call("sin")),
        Operation("sinc", sp.sinc(X), _sinc_pullback, lambda x: x.equals(0).choose(1.0, x.call("sin") / x)),
        Operation("asin", sp.asin(X), lambda c, r, x: (c / ((1 - x) * (1 + x)).call("sqrt"),)),
        Operation("acos", sp.acos(X), lambda c, r, x: (-(c / ((1 - x) * (1 + x)).call("sqrt")),)),
        Operation("atan", sp.atan(X), _atan_pullback),
        Operation("acot", sp.acot(X), None, lambda x: (1 / x).call("atan")),
        Operation("asec", sp.asec(X), _asec_pullback, _asec),
        Operation("acsc", sp.acsc(X), _acsc_pullback, _acsc),
        Operation("atan2", sp.atan2(X, Y), _atan2_pullback),
    )
    hyperbolic = (
        Operation("sinh", sp.sinh(X)),
        Operation("cosh", sp.cosh(X)),
        Operation("tanh", sp.tanh(X), lambda c, r, x: (c * (4 * (2 * x).call("logistic_density")),), _tanh),
        Operation("coth", sp.coth(X), None, lambda x: 1 / x.call("tanh")),
        Operation("sech", sp.sech(X), lambda c, r, x: (-(c * (r * x.call("tanh"))),), _sech),
        Operation("csch", sp.csch(X), None, lambda x: 1 / x.call("sinh")),
        Operation("asinh", sp.asinh(X), lambda c, r, x: (c / x.call("hypot", 1.0),)),
        Operation("acosh", sp.acosh(X), lambda c, r, x: (c / ((x - 1).call("sqrt") * (x + 1).call("sqrt")),)),
        Operation("atanh", sp.atanh(X), lambda c, r, x: (inside(abs(x) <= 1, c / ((1 - x) * (1 + x))),)),
        Operation("acoth", sp.acoth(X), lambda c, r, x: (inside(abs(x) >= 1, c / ((1 - x) * (1 + x))),), _acoth),
        Operation("asech", sp.asech(X), _asech_pullback, _asech),
        Operation("acsch", sp.acsch(X), _acsch_pullback, _acsch),
    )
    special = (
        Operation("erf", sp.erf(X), lambda c, r, x: (c * (_SLOPE_OF_ERF * x.call("gaussian")),)),
        Operation("erfc", sp.erfc(X), lambda c, r, x: (-(c * (_SLOPE_OF_ERF * x.call("gaussian"))),)),
        Operation("gaussian", sp.exp(-(X**2)), lambda c, r, x: (-2 * x * (c * r),), _gaussian),
        Operation("fma", None, lambda c, r, x, y, z: (c * y, c * x, c)),
        Operation("gamma", sp.gamma(X), lambda c, r, x: (c * (r * x.call("digamma")),)),
        Operation("loggamma", sp.loggamma(X), lambda c, r, x: (inside(x >= 0, c * x.call("digamma")),), _loggamma),
        Operation("lgamma", None, lambda c, r, x: (c * x.call("digamma"),)),
        Operation("digamma", sp.digamma(X), lambda c, r, x: (c * x.call("polygamma", attribute=1),)),
        Operation("polygamma", None, _polygamma_pullback),
    )
    return (*arithmetic, *choice, *exponential, *circular, *hyperbolic, *special)


def _gaussian(x: Value) -> Value:
    """exp(-x*x): what the square loses in rounding, x*x/2 ULP of the result, is put back to first order."""
    square = x * x
    lost = x.call("fma", x, -square)
    value = (-square).call("exp")
    return (square < 750).choose(value - value * lost, value)


def _loggamma(x: Value) -> Value:
    """SymPy's loggamma is complex left of 0, where C's lgamma gives the real part."""
    return (x > 0).choose(x.call("lgamma"), x.equals(0).choose(float("inf"), float("nan")))


def _sinc_pullback(c: Value, r: Value, x: Value) -> tuple[Value]:
    """(cos(x) - sinc(x))/x loses its digits near 0: there Taylor's series, sum of (-1)^k 2k x^(2k-1)/(2k+1)!."""
    square, series = x * x, x * 0.0
    for k in range(9, 0, -1):
        series = series * square + float(sp.Rational((-1) ** k * 2 * k, sp.factorial(2 * k + 1)))
    return (c * (abs(x) < 1).choose(series * x, (x.call("cos") - r) / x),)


# The inverses of reciprocals: 1/x would round where the function is steep, at |x| = 1, and overflow near 0.


def _asec(x: Value) -> Value:
    return ((abs(x) - 1) * (abs(x) + 1)).call("sqrt").call("atan2", x.call("sign"))


def _acsc(x: Value) -> Value:
    leg = ((abs(x) - 1) * (abs(x) + 1)).call("sqrt")
    return (abs(x) < 2).choose(x.call("sign").call("atan2", leg), (1 / x).call("asin"))


def _acoth(x: Value) -> Value:
    return x.call("sign") * (0.5 * (2 / (abs(x) - 1)).call("log1p"))


def _asech(x: Value) -> Value:
    leg = ((1 - x) * (1 + x)).call("sqrt")
    return (x > 0.5).choose(leg.call("atanh"), (1 + leg).call("log") - x.call("log"))


def _acsch(x: Value) -> Value:
    near = ((1 + x.call("hypot", 1.0)).call("log") - abs(x).call("log")) * x.call("sign")
    return (abs(x) < 0.5).choose(near, (1 / x).call("asinh"))


def _asec_pullback(c: Value, r: Value, x: Value) -> tuple[Value]:
    return (c / (abs(x) * ((x - 1) * (x + 1)).call("sqrt")),)


def _acsc_pullback(c: Value, r: Value, x: Value) -> tuple[Value]:
    return (-(c / (abs(x) * ((x - 1) * (x + 1)).call("sqrt"))),)


def _asech_pullback(c: Value, r: Value, x: Value) -> tuple[Value]:
    return (inside(x >= 0, -(c / (x * ((1 - x) * (1 + x)).call("sqrt")))),)


def _acsch_pullback(c: Value, r: Value, x: Value) -> tuple[Value]:
    return (-(c / (abs(x) * x.call("hypot", 1.0))),)


def _atan_pullback(c: Value, r: Value, x: Value) -> tuple[Value]:
    """c/(1 + x^2); far out, where the square could overflow, c/x/x."""
    is_near = abs(x) < 1e9
    part = 1 / is_near.choose(1 + x * x, x)
    return (c * part * is_near.choose(1.0, part),)


def _atan2_pullback(c: Value, r: Value, y: Value, x: Value) -> tuple[Value, Value]:
    # by the radius twice, since the square of the radius overflows at 1e155
    radius = x.call("hypot", y)
    return c * (x / radius / radius), -(c * (y / radius / radius))


_OTHERS = (*power_operations.ROWS, *stable_operations.ROWS, *gamma_operations.ROWS, *matrices.ROWS)
TABLE: dict[str, Operation] = {row.name: row for row in (*_rows(), *_OTHERS)}
