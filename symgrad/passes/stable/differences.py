"""Differences that cancel: a function less its value at a point, over its argument, or less its complement."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

from symgrad.program import Value

from .addends import (
    Addends,
    Polynomial,
    addends,
    less,
    polynomial,
    product_as_sum,
    product_of,
    scaled,
    sum_of_products,
    terms,
    total,
)  # fmt: skip
from .form import StableForm

_DEEPEST = 24  # operations that are looked through


def _pair(x: Value, y: Value) -> tuple[Value, float, float] | None:
    """``(f, c, k)`` of x + y, if that is a number c plus k f."""
    if x.constant is None and y.constant is None:
        return None
    (f, a), (g, b) = scaled(x), scaled(y)
    if f is None and g is not None:
        return g, a, b
    return (f, b, a) if g is None and f is not None else None


# ------------------------------------------------------------------------------------------ a number and a function


def _plus(function: str, k: float, rule: Callable[..., Value | None]) -> Callable[[Value, Value], Value | None]:
    """What looks for c (1 + k f), f being that function, and makes c times the rule's 1 + k f."""

    def replace(x: Value, y: Value) -> Value | None:
        pair = _pair(x, y)
        if pair is None or pair[0].operation != function or pair[2] != k * pair[1]:
            return None
        f, number, _ = pair
        attribute = () if f.attribute is None else (f.attribute,)
        better = rule(*f.arguments, *attribute)
        return None if better is None else number * better

    return replace


def _square(function: str, other: str) -> Callable[[Value, int], Value | None]:
    """1 - function(a)**2 = other(a)**2."""

    def rule(x: Value, n: int) -> Value | None:
        if n != 2 or x.operation != function:
            return None
        return x.arguments[0].call(other).call("power", attribute=2)

    return rule


def excess(x: Value) -> Value | None:
    """Return q where x is written as the sum 1 + q, else None."""
    parts = terms(addends(x)) if x.operation in ("add", "sub") else {}
    if parts.pop(None, 0.0) != 1 or not parts:
        return None
    return total((Value(x.builder, v), k) for v, k in parts.items() if v is not None)


def _one_less_root(x: Value) -> Value | None:
    q = excess(x)
    return None if q is None else -q / (1 + x.call("sqrt"))


def _leg_beside_one(x: Value, y: Value) -> Value | None:
    legs = [leg for leg in (x, y) if leg.constant != 1]
    return legs[0] if len(legs) == 1 else None


def _one_less_hypot(x: Value, y: Value) -> Value | None:
    leg = _leg_beside_one(x, y)
    return None if leg is None else -leg.call("hypotm1")


def _one_less_quotient(x: Value, y: Value) -> Value | None:
    """Far out there is nothing to cancel, but the derivative of the other form does."""
    if x.constant != 1:
        return None
    plain = (x / y).call("neg").call("add", 1.0)
    if y.operation == "hypot":
        leg = _leg_beside_one(*y.arguments)
        return None if leg is None else (abs(leg) < 1).choose(leg / y * (leg / (1 + y)), plain)
    q = excess(y.arguments[0]) if y.operation == "sqrt" else None
    return None if q is None else (abs(q) < 1).choose(q / (y * (1 + y)), plain)


def _one_less_rational(x: Value, exponent: tuple[int, int]) -> Value:
    power = exponent[0] / exponent[1] * x.call("log")
    return (abs(power) < 1).choose(-power.call("expm1"), 1 - x.call("rational_power", attribute=exponent))


# (pattern, replacement, domain, f, k, rule for 1 + k f)
_PLUS: tuple[tuple[str, str, str, str, float, Callable[..., Value | None]], ...] = (
    ("exp(x) - 1", "expm1(x)", "all x", "exp", -1.0, lambda x: -x.call("expm1")),
    ("x**y - 1", "expm1(y*log(x)) near 0", "x >= 0", "pow", -1.0, lambda x, y: -x.call("powm1", y)),
    ("x**(p/q) - 1", "expm1(p/q*log(x)) near 0", "x >= 0", "rational_power", -1.0, _one_less_rational),
    ("1 - cos(x)", "2*sin(x/2)**2", "all x", "cos", -1.0, lambda x: x.call("versine")),
    (
        "1 + cos(x)", "2*cos(x/2)**2", "all x", "cos", 1.0,
        lambda x: 2 * (0.5 * x).call("cos").call("power", attribute=2),
    ),
    ("cosh(x) - 1", "2*sinh(x/2)**2", "all x", "cosh", -1.0, lambda x: -x.call("coshm1")),
    ("1 - sigmoid(x)", "sigmoid(-x)", "all x", "sigmoid", -1.0, lambda x: (-x).call("sigmoid")),
    ("1 - 2*sigmoid(x)", "-tanh(x/2)", "all x", "sigmoid", -2.0, lambda x: -(0.5 * x).call("tanh")),
    ("1 - tanh(x)", "2*sigmoid(-2*x)", "all x", "tanh", -1.0, lambda x: 2 * (-2 * x).call("sigmoid")),
    ("1 + tanh(x)", "2*sigmoid(2*x)", "all x", "tanh", 1.0, lambda x: 2 * (2 * x).call("sigmoid")),
    ("1 - tanh(x)**2", "sech(x)**2", "all x", "power", -1.0, _square("tanh", "sech")),
    ("1 - cos(x)**2", "sin(x)**2", "all x", "power", -1.0, _square("cos", "sin")),
    ("1 - sin(x)**2", "cos(x)**2", "all x", "power", -1.0, _square("sin", "cos")),
    ("1 - erf(x)", "erfc(x)", "all x", "erf", -1.0, lambda x: x.call("erfc")),
    ("1 + erf(x)", "erfc(-x)", "all x", "erf", 1.0, lambda x: (-x).call("erfc")),
    ("1 - erfc(x)", "erf(x)", "all x", "erfc", -1.0, lambda x: x.call("erf")),
    ("1 - erfc(x)/2", "erfc(-x)/2", "all x", "erfc", -0.5, lambda x: 0.5 * (-x).call("erfc")),
    ("sqrt(1 + x) - 1", "x/(1 + sqrt(1 + x))", "x >= -1", "sqrt", -1.0, _one_less_root),
    ("sqrt(1 + x**2) - 1", "x*x/(1 + sqrt(1 + x**2))", "all x", "hypot", -1.0, _one_less_hypot),
    ("1 - 1/sqrt(1 + x)", "x/(s*(1 + s)), s = sqrt(1 + x), near 0", "x > -1", "div", -1.0, _one_less_quotient),
)  # fmt: skip


# --------------------------------------------------------------------------------------------- roots of sums of squares


def _hypot(x: Value) -> Value | None:
    legs = [_leg(f, k) for f, k in addends(x)]
    if len(legs) > 4 or all(leg is None or leg.constant is not None for leg in legs):
        return None
    known = [leg for leg in legs if leg is not None]
    if len(legs) == 1 and known:
        return abs(known[0])
    return reduce(lambda a, b: a.call("hypot", b), known) if len(known) == len(legs) else None


def _leg(f: Value, k: float) -> Value | None:
    """The root of k f, if that is a square; its sign is left open."""
    root = square_root(f) if k > 0 else None
    return None if root is None else root if k == 1 else root * k**0.5


def square_root(x: Value, depth: int = 0) -> Value | None:
    """Return the root of a product of squares and positive numbers, but for its sign."""
    if x.constant is not None:
        return x.number(x.constant**0.5) if x.constant > 0 else None
    if x.operation == "power" and x.attribute == 2:
        return x.arguments[0]
    if x.operation not in ("mul", "div") or depth > _DEEPEST:
        return None
    a, b = x.arguments
    left, right = square_root(a, depth + 1), square_root(b, depth + 1)
    if left is None or right is None:
        return None
    return left * right if x.operation == "mul" else left / right


def _less(whole: str, rule: Callable[[Value, Addends], Value | None]) -> Callable[[Value, Value], Value | None]:
    """What looks for k f - k z in a sum, f being that function, and makes k times the rule's f - z.

    z comes as its addends: none of the sums that are looked at is written down.
    """

    def replace(x: Value, y: Value) -> Value | None:
        parts = [*addends(x), *addends(y)] if whole in x.builder.operations else []
        for place, (f, k) in enumerate(parts):
            if f.operation == whole and len(parts) > 1:
                better = rule(f, [(g, -c / k) for i, (g, c) in enumerate(parts) if i != place])
                if better is not None:
                    return k * better
        return None

    return replace


def _softplus_less(f: Value, z: Addends) -> Value | None:
    (a,) = f.arguments
    return (-a).call("softplus") if terms(addends(a)) == terms(z) else None


def _logsumexp_less(f: Value, z: Addends) -> Value | None:
    wanted = terms(z)
    for part in f.arguments:
        if terms(addends(part)) == wanted:
            first, *others = (less(one, part) for one in f.arguments)
            return first.call("logsumexp", *others)
    return None


def _root_less(root: Value, z: Addends) -> Value | None:
    """sqrt(A) - z where A is z^2 and something: that, over sqrt(A) + z, where z > 0."""
    rest = _beside_square(root, terms(z))
    if rest is None:
        return None
    leg = total(z)
    return (leg > 0).choose(rest(root + leg), root - leg)


def _beside_square(root: Value, other: dict[int | None, float]) -> Callable[[Value], Value] | None:
    """What A has beside other^2, to be divided by something; root is sqrt(A) or a hypot with that leg."""
    if root.operation == "hypot":
        for leg, rest in (root.arguments, root.arguments[::-1]):
            if terms(addends(leg)) == other:
                return lambda divisor: rest * (rest / divisor)
        return None
    square, others = False, list[tuple[Value, float]]()
    for f, k in addends(root.arguments[0]):
        if k == 1 and f.operation == "power" and f.attribute == 2 and terms(addends(f.arguments[0])) == other:
            square = True
        else:
            others.append((f, k))
    if not square or not others:
        return None
    return lambda divisor: total(others) / divisor


# ------------------------------------------------------------------------------------------------------------ quotients


def _sinc(x: Value, y: Value) -> Value | None:
    (f, k), (g, c) = scaled(x), scaled(y)
    if f is None or g is None or f.operation != "sin":
        return None
    ratio = _multiple_of(f.arguments[0], g)
    return None if ratio is None else f.arguments[0].call("sinc") * (k * ratio / c)


def _multiple_of(x: Value, y: Value) -> float | None:
    """x/y, if that is a number."""
    return _ratio(polynomial(x), polynomial(y))


def _ratio(x: Polynomial, y: Polynomial) -> float | None:
    above, below = ({v: k for v, k in part.items() if k} for part in (x, y))
    if not below or above.keys() != below.keys():
        return None
    ratios = {above[v] / below[v] for v in below}
    return ratios.pop() if len(ratios) == 1 else None


def _exprel(x: Value, y: Value) -> Value | None:
    """(exp(a) - 1)/y where a is y times something."""
    f, k = scaled(x)
    if f is not None and f.operation == "powm1" and f.arguments[1].variable == y.variable:
        return k * f.arguments[0].call("box_cox", y)
    if f is None or f.operation != "expm1":
        return None
    (a,) = f.arguments
    ratio = _multiple_of(a, y)
    if ratio is not None:
        return k * ratio * a.call("exprel")
    (whole, factor), (divisor, c) = scaled(a), scaled(y)
    if whole is None or divisor is None or whole.operation != "mul":
        return None
    for one, other in (whole.arguments, whole.arguments[::-1]):
        if one.variable == divisor.variable:
            return k * other.call("expm1_quotient", divisor * factor) * (factor / c)
    return None


def _direction(x: Value, y: Value) -> Value | None:
    """x over the length of (x, y)."""
    g, c = scaled(y)
    if g is None or g.operation != "hypot" or x.constant is not None:
        return None
    for leg, other in (g.arguments, g.arguments[::-1]):
        ratio = _multiple_of(x, leg)
        if ratio is not None:
            return ratio / c * leg.call("direction", other)
    return None


def _over_expm1(x: Value, y: Value) -> Value | None:
    """y/(exp(a) - 1) where y is a number times a."""
    f, k = scaled(y)
    if f is None or f.operation != "expm1":
        return None
    ratio = _multiple_of(x, f.arguments[0])
    return None if ratio is None else ratio / k / f.arguments[0].call("exprel")


def _versine(x: Value, y: Value) -> Value | None:
    """k (1 - cos(a)) over c a^2, and over c a."""
    (f, k), (g, c) = scaled(x), scaled(y)
    if f is None or g is None or f.operation != "versine":
        return None
    squared = g.operation == "power" and g.attribute == 2
    ratio = _multiple_of(f.arguments[0], g.arguments[0] if squared else g)
    if ratio is None:
        return None
    half = 0.5 * f.arguments[0]
    sinc = half.call("sinc")
    if squared:
        return 0.5 * k / c * ratio**2 * sinc.call("power", attribute=2)
    return k / c * ratio * sinc * half.call("sin")


def _over_chosen_quotient(x: Value, y: Value) -> Value | None:
    """A quotient that a choice brought, over what its numerator has as a factor: that factor goes."""
    chosen, factor = scaled(x)
    if chosen is None or chosen.operation != "select" or chosen.arguments[1].operation != "div":
        return None
    condition, quotient, other = chosen.arguments
    above, below = quotient.arguments
    g, c = scaled(y)
    rest = None if g is None else _without_factor(above, g)
    return None if rest is None else condition.choose(factor / c * rest / below, factor * other / y)


def _without_factor(x: Value, factor: Value, depth: int = 0) -> Value | None:
    if x.variable == factor.variable:
        return x.number(1.0)
    if x.operation != "mul" or depth > _DEEPEST:
        return None
    for one, other in (x.arguments, x.arguments[::-1]):
        inner = _without_factor(one, factor, depth + 1)
        if inner is not None:
            return inner * other
    return None


_FUNCTIONS = frozenset(function for _, _, _, function, _, _ in _PLUS) - {"power"} | {"tanh", "cos", "sin"}
_FEW = 8  # addends and factors, among which a common factor is looked for


def _common_factor(x: Value, y: Value) -> Value | None:
    """q (c + k f(a)) of a sum c q + k q f(a): where the sum in brackets has a form of its own."""
    if not _FUNCTIONS & x.builder.operations:
        return None
    parts = [*addends(x), *addends(y)]
    for place, (product, k) in enumerate(parts if 1 < len(parts) <= _FEW else []):
        number, factors = product_of(product)
        rest = [part for j, part in enumerate(parts) if j != place]
        for i, function in enumerate(factors if 1 < len(factors) <= _FEW else []):
            others = factors[:i] + factors[i + 1 :]
            c = _ratio(sum_of_products(rest), product_as_sum(others)) if _has_form(function) else None
            inside = None if c is None else c + k * number * function
            if inside is not None and inside.operation not in ("add", "sub"):
                return reduce(lambda a, b: a * b, others) * inside
    return None


def _has_form(x: Value) -> bool:
    """Whether 1 + k x has one."""
    return x.operation in _FUNCTIONS or (x.operation == "power" and x.attribute == 2 and _has_form(x.arguments[0]))


SUMS: tuple[StableForm, ...] = (
    *(
        StableForm(pattern, replacement, domain, "add", _plus(function, k, rule))
        for pattern, replacement, domain, function, k, rule in _PLUS
    ),
    StableForm("q - q*f(x), f = sigmoid, cos, ...", "q*(1 - f(x))", "all q, x", "add", _common_factor),
    StableForm("x - log(1 + exp(x))", "-log(1 + exp(-x))", "all x", "add", _less("softplus", _softplus_less)),
    StableForm(
        "x - log(exp(x) + exp(y))", "-log(1 + exp(y - x))", "all x, y", "add", _less("logsumexp", _logsumexp_less)
    ),
    StableForm("sqrt(x**2 + y) - x", "y/(sqrt(x**2 + y) + x) where x > 0", "all x", "add", _less("sqrt", _root_less)),
    StableForm(
        "sqrt(x**2 + y**2) - x", "y*y/(sqrt(x**2 + y**2) + x) where x > 0", "all x", "add", _less("hypot", _root_less)
    ),
)
ROOTS: tuple[StableForm, ...] = (
    StableForm("sqrt(x**2 + y**2)", "hypot(x, y)", "all x, y", "sqrt", _hypot),
)  # fmt: skip
RATIOS: tuple[StableForm, ...] = (
    StableForm("sin(x)/x", "sinc(x)", "all x, 1 at 0", "div", _sinc),
    StableForm("(exp(x) - 1)/x", "exprel(x)", "all x, 1 at 0", "div", _exprel),
    StableForm("x/(exp(x) - 1)", "1/exprel(x)", "all x, 1 at 0", "div", _over_expm1),
    StableForm("x/sqrt(x**2 + y**2)", "direction(x, y)", "all x, y but 0, 0", "div", _direction),
    StableForm("(1 - cos(x))/x**2", "sinc(x/2)**2/2", "all x, 1/2 at 0", "div", _versine),
    StableForm("(x*y/z)/x", "y/z", "all x, y, z", "div", _over_chosen_quotient),
)  # fmt: skip
