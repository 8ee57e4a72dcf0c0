"""The operations that stable forms need and that nobody declares: they keep the digits that the plain forms lose.

``hold`` is what makes shifts cheap: log(sum of c exp(x)) = m + log(sum of c exp(x - m)) for any m, so m may be held
fixed when the right-hand side is differentiated, whatever it was computed from.
"""

from __future__ import annotations

import math

import sympy as sp

from symgrad.program import Value

from .operation import Operation, Tail, X, Y, lowered

_ROOT_PI = float(sp.sqrt(sp.pi))
_FAR = 8.0  # where the asymptotic series of erfc has all digits with as many terms as below
_TERMS = 17


def inside(condition: Value, share: Value) -> Value:
    """Return a derivative where the function is defined, else NaN, as its value is."""
    return condition.choose(share, math.nan)


def defined(condition: Value, x: Value) -> Value:
    """Return a value where the condition holds, else NaN, and so its derivatives."""
    return condition.choose(x, x * math.nan)


def exp_difference(x: Value, y: Value) -> Value:
    """Return exp(x - y); what the difference loses in rounding, |x - y|/2 ULP, is put back to first order."""
    return _exp_with(x - y, _lost(x, -y))


def _exp_with(x: Value, lost: Value) -> Value:
    """exp(x + lost), for a lost below the last place of x."""
    value = x.call("exp")
    return (abs(x) < 750).choose(value + value * lost, value)


def _rounded_off(x: Value, y: Value) -> Value:
    """x + y less what it is rounded to (Knuth 1969, section 4.2.2)."""
    total = x + y
    back = total - x
    return (x - (total - back)) + (y - back)


def _lost(x: Value, y: Value) -> Value:
    """Return what the sum x + y loses in rounding; 0 where the sum is infinite."""
    return (abs(x + y) < math.inf).choose(_rounded_off(x, y), 0.0)


def _log_sum(x: Value, y: Value) -> Value:
    """log(x + y), near 1 too: what the sum is rounded by is put back to first order."""
    lost = _rounded_off(x, y) * (1 / (x + y))
    value = (x + y).call("log")
    return (abs(lost) < math.inf).choose(value + lost, value)


def _log_sum_pullback(c: Value, r: Value, x: Value, y: Value) -> tuple[Value, Value]:
    share = inside(x + y >= 0, c * (1 / (x + y)))
    return share, share


def _sigmoid_with(x: Value, lost: Value) -> Value:
    value = x.call("sigmoid")
    return value + value * (lost * (-x).call("sigmoid"))


def _density_with(x: Value, lost: Value) -> Value:
    value = x.call("logistic_density")
    return value - value * (lost * (0.5 * x).call("tanh"))


def _exp_less(x: Value, m: Value, *mean: Value) -> Value:
    """exp(x - m), or exp(mean + x - m)."""
    if not mean:
        return exp_difference(x, m)
    value = exp_difference(mean[0] + x, m)
    return value + value * _lost(mean[0], x)


def _cosh_less(x: Value, m: Value, *mean: Value) -> Value:
    return 0.5 * (_exp_less(x, m, *mean) + _exp_less(-x, m, *mean))


def _sinh_less(x: Value, m: Value, *mean: Value) -> Value:
    far = 0.5 * (_exp_less(x, m, *mean) - _exp_less(-x, m, *mean))
    near = exp_difference(mean[0], m) if mean else (-m).call("exp")
    return (abs(x) < 1).choose(x.call("sinh") * near, far)


def _slopes_of_even(c: Value, r: Value, slope: Value, mean: tuple[Value, ...]) -> tuple[Value | float, ...]:
    return c * slope, 0.0, *(c * r for _ in mean)


def _softplus_with(x: Value, lost: Value) -> Value:
    return x.call("softplus") + lost * x.call("sigmoid")


def _log1mexp(x: Value) -> Value:
    return (x > -float(sp.log(2))).choose((-x.call("expm1")).call("log"), (-x.call("exp")).call("log1p"))


def _log1mexp_pullback(c: Value, r: Value, x: Value) -> tuple[Value]:
    return (inside(x <= 0, -(c * (x.call("exp") / abs(x.call("expm1"))))),)


def _erfcx_tail(x: Value) -> tuple[Value, Value]:
    """T = sqrt(pi) x exp(x^2) erfc(x) far out, the sum of (-1)^k (2k - 1)!! / (2x^2)^k; and 1 - T.

    (Abramowitz and Stegun 7.1.23.)
    """
    step, total, missing = 0.5 / x / x, x.number(1.0), x.number(0.0)
    for k in range(_TERMS, 0, -1):
        missing = (2 * k - 1) * step * total
        total = 1 - missing
    return total, missing


def _log_erfc(x: Value, halved: int) -> Value:
    """log(erfc(x)), or log(erfc(x)/2): each is near 0 somewhere, and takes log1p there."""
    far = (_erfcx_tail(x)[0] / (x * (_ROOT_PI * (1 + halved)))).call("log") - x * x
    if halved:
        near = (x < 0).choose((-0.5 * (-x).call("erfc")).call("log1p"), (0.5 * x.call("erfc")).call("log"))
    else:
        near = (abs(x) < 0.5).choose((-x.call("erf")).call("log1p"), x.call("erfc").call("log"))
    return (x > _FAR).choose(far, near)


def _hazard(x: Value) -> Value:
    """exp(-x^2)/erfc(x)."""
    return (x > _FAR).choose(x * _ROOT_PI / _erfcx_tail(x)[0], x.call("gaussian") / x.call("erfc"))


def _hazard_pullback(c: Value, r: Value, x: Value) -> tuple[Value]:
    """r (2/sqrt(pi) r - 2x), which cancels far out: there 2x (1 - T)/T."""
    total, missing = _erfcx_tail(x)
    return (c * (r * (x > _FAR).choose(2 * x * missing / total, 2 / _ROOT_PI * r - 2 * x)),)


def _exp_product(x: Value, y: Value) -> Value:
    """What the product loses in rounding, half an ULP of it, is put back to first order."""
    product = x * y
    return _exp_with(product, x.call("fma", y, -product))


def _log1p_square(x: Value) -> Value:
    """Far out 2 log|x|, as log1p(|x| - 1)."""
    is_near = abs(x) < 1e9
    return is_near.choose(x * x, abs(x) - 1).call("log1p") * is_near.choose(1.0, 2.0)


def _log1p_square_pullback(c: Value, r: Value, x: Value) -> tuple[Value]:
    is_near = abs(x) < 1e9
    return (c * (is_near.choose(2 * x, 2.0) / is_near.choose(1 + x * x, x)),)


def _exprel(x: Value) -> Value:
    value, half = x.call("expm1") / x, (0.5 * x).call("exp")
    return x.equals(0).choose(1.0, value.equals(math.inf).choose(half * (half / x), value))


def _exprel_slope(x: Value) -> Value:
    """(exp(x) - exprel(x))/x: near 0 Taylor's series, the sum of k x^(k-1)/(k+1)!; beyond 1 what overflows last."""
    series, r = x * 0.0, x.call("exprel")
    for k in range(18, 0, -1):
        series = series * x + float(sp.Rational(k, sp.factorial(k + 1)))
    far = (x > 1).choose(r * ((x - 1) / x) + 1 / x, (x.call("exp") - r) / x)
    return (abs(x) < 1).choose(series, far)


def legs(x: Value, y: Value, r: Value) -> tuple[tuple[Value, Value], Value]:
    """Return (x, y) and r = hypot(x, y), scaled up where they are so small that r has few digits."""
    is_tiny = r < 1e-290
    scale = is_tiny.choose(2.0**700, 1.0)
    x, y = x * scale, y * scale
    return (x, y), is_tiny.choose((x * x + y * y).call("sqrt"), r)


def _direction(x: Value, y: Value) -> Value:
    (x, y), length = legs(x, y, x.call("hypot", y))
    return x / length


def _direction_pullback(c: Value, r: Value, x: Value, y: Value) -> tuple[Value, Value]:
    length = x.call("hypot", y)
    other = y / length
    return c * (other * other / length), -(c * (r * other / length))


def _doubled_square(x: Value, function: str) -> Value:
    half = (0.5 * x).call(function)
    return 2 * half * half


def _powm1(x: Value, y: Value) -> Value:
    power = y * x.call("log")
    return (abs(power) < 1).choose(power.call("expm1"), x.call("pow", y) - 1)


def _powm1_pullback(c: Value, r: Value, x: Value, y: Value) -> tuple[Value, Value]:
    return c * (y * x.call("pow", y - 1)), x.equals(0).choose(0.0, c * (x.call("pow", y) * x.call("log")))


def _box_cox(x: Value, y: Value) -> Value:
    power = y * x.call("log")
    return (abs(power) < 1).choose(x.call("log") * power.call("exprel"), (x.call("pow", y) - 1) / y)


def _box_cox_pullback(c: Value, r: Value, x: Value, y: Value) -> tuple[Value, Value]:
    log = x.call("log")
    near = log * log * (y * log).call("exprel_slope")
    far = (x.equals(0).choose(0.0, x.call("pow", y) * log) - r) / y
    return c * x.call("pow", y - 1), c * (abs(y * log) < 1).choose(near, far)


def _expm1_quotient_pullback(c: Value, r: Value, x: Value, y: Value) -> tuple[Value, Value]:
    product = x * y
    return c * product.call("exp"), c * (x * x * product.call("exprel_slope"))


ROWS: tuple[Operation, ...] = (
    lowered("hold", None, lambda c, r, x: (0.0,), lambda x: x, Tail.PLAIN),
    # exp(x), or 1 where x is so large that `near` is -x: there exp(x - m), m = x held
    lowered(
        "exp_capped",
        None,
        lambda c, r, x, near: (c * r, 0.0),
        lambda x, near: near.equals(x).choose(near.call("exp"), 1.0),
        Tail.FLAT,
    ),
    # k times that: zero where k is, though exp(x) overflows; its slope by k is the exponential there too
    lowered(
        "weighted_capped",
        None,
        lambda c, r, k, x, near: (c * x.call("exp_capped", near), c * r, 0.0),
        lambda k, x, near: k.equals(0).choose(0.0, k * x.call("exp_capped", near)),
        Tail.FLAT | Tail.CUSPED,
    ),
    # x + y, whose rounding is put back where an exponential of it is taken; that rounding, held
    lowered("exact_sum", X + Y, lambda c, r, x, y: (c, c), lambda x, y: x + y, Tail.PLAIN),
    lowered("lost_in_sum", None, lambda c, r, x, y: (0.0, 0.0), _lost, Tail.PLAIN),
    lowered("log_sum", sp.log(X + Y), _log_sum_pullback, _log_sum, Tail.PLAIN),
    # f(x + what x has lost), which is held
    lowered("exp_with", None, lambda c, r, x, lost: (c * r, 0.0), _exp_with, Tail.PLAIN),
    lowered(
        "sigmoid_with", None, lambda c, r, x, lost: (c * x.call("density_with", lost), 0.0), _sigmoid_with, Tail.PLAIN
    ),
    lowered(
        "softplus_with", None, lambda c, r, x, lost: (c * x.call("sigmoid_with", lost), 0.0), _softplus_with, Tail.PLAIN
    ),
    lowered(
        "tanh_half_with",
        None,
        lambda c, r, x, lost: (c * (2 * x.call("density_with", lost)), 0.0),
        lambda x, lost: (0.5 * x).call("tanh"),
        Tail.PLAIN,
    ),
    lowered(
        "density_with", None, lambda c, r, x, lost: (-(c * r * (0.5 * x).call("tanh")), 0.0), _density_with, Tail.PLAIN
    ),
    # exp(x + y)
    lowered(
        "exp_sum",
        None,
        lambda c, r, x, y: (c * r, c * r),
        lambda x, y: exp_difference(x, -y),
        Tail.FLAT | Tail.EXPONENTIAL,
    ),
    # exp(x - m), m held; equal infinities differ by zero
    lowered(
        "exp_less",
        None,
        lambda c, r, x, m: (c * r, 0.0),
        lambda x, m: x.equals(m).choose(1.0, exp_difference(x, m)),
        Tail.FLAT,
    ),
    # k exp(x - m), m held: zero where k is, though exp(x - m) overflows; its slope by k is exp(x - m) there too
    lowered(
        "weighted_exp",
        None,
        lambda c, r, k, x, m: (c * x.call("exp_less", m), c * r, 0.0),
        lambda k, x, m: k.equals(0).choose(0.0, k * x.call("exp_less", m)),
        Tail.FLAT | Tail.CUSPED,
    ),
    # cosh(x) exp(-m) and sinh(x) exp(-m), m held; or times exp(mean) too
    lowered(
        "cosh_less",
        None,
        lambda c, r, x, m, *mean: _slopes_of_even(c, r, x.call("sinh_less", m, *mean), mean),
        _cosh_less,
        Tail.PLAIN,
    ),
    lowered(
        "sinh_less",
        None,
        lambda c, r, x, m, *mean: _slopes_of_even(c, r, x.call("cosh_less", m, *mean), mean),
        _sinh_less,
        Tail.PLAIN,
    ),
    lowered("log1mexp", None, _log1mexp_pullback, _log1mexp, Tail.FLAT),
    lowered(
        "log_erfc", None, lambda c, r, x, halved: (-(c * (2 / _ROOT_PI * x.call("hazard"))),), _log_erfc, Tail.FLAT
    ),
    lowered("hazard", None, _hazard_pullback, _hazard, Tail.FLAT),
    lowered("exprel", None, lambda c, r, x: (c * x.call("exprel_slope"),), _exprel, Tail.FLAT | Tail.EXPONENTIAL),
    lowered("exprel_slope", None, lambda c, r, x: (c * ((x.call("exp") - 2 * r) / x),), _exprel_slope, Tail.PLAIN),
    # 1 - cos(x), cosh(x) - 1
    lowered(
        "versine", 1 - sp.cos(X), lambda c, r, x: (c * x.call("sin"),), lambda x: _doubled_square(x, "sin"), Tail.PLAIN
    ),
    lowered(
        "coshm1",
        sp.cosh(X) - 1,
        lambda c, r, x: (c * x.call("sinh"),),
        lambda x: _doubled_square(x, "sinh"),
        Tail.PLAIN,
    ),
    lowered("direction", None, _direction_pullback, _direction, Tail.PLAIN),
    # sqrt(1 + x**2) - 1
    lowered(
        "hypotm1",
        sp.sqrt(1 + X**2) - 1,
        lambda c, r, x: (c * x.call("direction", 1.0),),
        lambda x: x * (x / (1 + x.call("hypot", 1.0))),
        Tail.PLAIN,
    ),
    lowered("powm1", None, _powm1_pullback, _powm1, Tail.FLAT | Tail.STEEP | Tail.CUSPED),  # x**y - 1
    lowered("box_cox", None, _box_cox_pullback, _box_cox, Tail.FLAT | Tail.STEEP | Tail.CUSPED),  # (x**y - 1)/y
    # expm1(x*y)/y
    lowered(
        "expm1_quotient",
        None,
        _expm1_quotient_pullback,
        lambda x, y: x * (x * y).call("exprel"),
        Tail.FLAT | Tail.STEEP,
    ),
    # exp(x*y)
    lowered(
        "exp_product", None, lambda c, r, x, y: (c * (r * y), c * (r * x)), _exp_product, Tail.FLAT | Tail.EXPONENTIAL
    ),
    # log(1 + x^2)
    lowered("log1p_square", None, _log1p_square_pullback, _log1p_square, Tail.PLAIN),
)
