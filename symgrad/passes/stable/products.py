"""Products of which one factor is infinite where the other vanishes."""

from __future__ import annotations

from functools import reduce
from itertools import product

from symgrad.program import Value

from .addends import factors_of, is_same, is_square_of, scaled
from .form import StableForm


def _logistic_density(x: Value, y: Value) -> Value | None:
    if x.operation != "sigmoid" or y.operation != "sigmoid":
        return None
    (a,), (b,) = x.arguments, y.arguments
    return a.call("logistic_density") if is_same(a, -b) else None


def _entropy(x: Value, y: Value) -> Value | None:
    """f x**n log(y) where y has the factor x: 0 at x = 0, as the limit is."""
    for whole, other in ((x, y), (y, x)):
        log, k = scaled(other)
        if log is None or log.operation != "log" or whole.constant is not None:
            continue
        edges = {_base(f).variable for f, sign in factors_of(log.arguments[0]) if sign > 0 and f.constant is None}
        factors = factors_of(whole)
        vanishing = [f for f, sign in factors if sign > 0 and _base(f).variable in edges]
        if vanishing:
            rest = [(f, sign) for f, sign in factors if sign < 0 or f not in vanishing]
            bare = reduce(lambda a, b: a * b, vanishing).call("xlogy", log.arguments[0])
            return reduce(lambda a, b: a * b[0] if b[1] > 0 else a / b[0], rest, k * bare)
    return None


def _base(x: Value) -> Value:
    """What a power or size vanishes with."""
    n = x.attribute[0] if isinstance(x.attribute, tuple) else x.attribute
    is_power = x.operation in ("abs", "sqrt", "root_power", "power", "rational_power")
    return _base(x.arguments[0]) if is_power and (n is None or n > 0) else x


def _cross_entropy(x: Value, y: Value) -> Value | None:
    """y log(p) where y is made of targets alone: 0 at y = 0, p = 0, as in every likelihood of counts and labels."""
    for weight, other in ((x, y), (y, x)):
        if other.operation in ("log", "log1p") and _is_of_targets(weight):
            edge = 0.0 if other.operation == "log" else -1.0
            vanishes = weight.equals(0).call("and", other.arguments[0] >= edge)
            return vanishes.choose(0.0, weight * other)
    return None


def _is_of_targets(x: Value) -> bool:
    seen, open_ends, targets = set[int](), [x.variable], False
    while open_ends:
        variable = open_ends.pop()
        if variable in seen:
            continue
        seen.add(variable)
        assignment = x.builder.assignments[variable]
        if assignment.operation in ("parameter", "input", "weight"):
            return False
        targets = targets or assignment.operation == "target"
        open_ends.extend(assignment.arguments)
    return targets


def _exponentials(x: Value, y: Value) -> Value | None:
    (f, k), (g, c) = scaled(x), scaled(y)
    if f is None or g is None or f.operation != "exp" or g.operation != "exp":
        return None
    return k * c * f.arguments[0].call("exp_sum", g.arguments[0])


def _erfcx(x: Value, y: Value) -> Value | None:
    """exp(z^2) erfc(z), among other factors."""
    return _scaled_tail(x, y, 1.0)


def _hazard(x: Value, y: Value) -> Value | None:
    """exp(-z^2)/erfc(z), among other factors."""
    return _scaled_tail(x, y, -1.0)


def _scaled_tail(x: Value, y: Value, side: float) -> Value | None:
    """x y or x/y, where exp(z^2) and erfc(z) are factors on one side of the bar."""
    if "erfc" not in x.builder.operations:
        return None
    factors = [*factors_of(x), *((f, side * sign) for f, sign in factors_of(y))]
    tails = [(place, f.arguments[0]) for place, (f, _) in enumerate(factors) if f.operation == "erfc"]
    powers = [(place, f.arguments[0]) for place, (f, _) in enumerate(factors) if f.operation == "exp"]
    for (i, z), (j, square) in product(tails, powers):
        above = factors[i][1]
        if is_square_of(above * factors[j][1] * square, z):
            rest = [part for place, part in enumerate(factors) if place not in (i, j)]
            hazard = z.call("hazard")
            return reduce(lambda a, b: a * b[0] if b[1] > 0 else a / b[0], rest, hazard if above < 0 else 1 / hazard)
    return None


def _quotient_of_exponentials(x: Value, y: Value) -> Value | None:
    if x.operation != "exp" or y.operation != "exp":
        return None
    return x.arguments[0].call("exp_sum", -y.arguments[0])


def _saturating(x: Value, y: Value) -> Value | None:
    """x**n/(x**n + y): neither it nor its slopes overflow as 1/(1 + y/x**n)."""
    if x.operation not in ("pow", "rational_power") or y.operation != "add":
        return None
    for one, other in (y.arguments, y.arguments[::-1]):
        if one.variable == x.variable:
            return (x > 1).choose(1 / (1 + other / x), x / y)
    return None


PRODUCTS: tuple[StableForm, ...] = (
    StableForm("sigmoid(x)*sigmoid(-x)", "the logistic density at x", "all x", "mul", _logistic_density),
    StableForm("x*log(x*y)", "xlogy(x, x*y), 0 at x = 0", "x*y >= 0", "mul", _entropy),
    StableForm("exp(x)*exp(y)", "exp(x + y)", "all x, y", "mul", _exponentials),
    StableForm("exp(x)/exp(y)", "exp(x - y)", "all x, y", "div", _quotient_of_exponentials),
    StableForm("exp(x**2)*erfc(x)", "1/hazard(x)", "all x", "mul", _erfcx),
    StableForm("exp(-x**2)/erfc(x)", "hazard(x)", "all x", "div", _hazard),
    StableForm("x**n/(x**n + y)", "1/(1 + y/x**n)", "x**n != 0", "div", _saturating),
    StableForm("y*log(p), y of targets alone", "0 where y = 0, p >= 0", "p >= 0", "mul", _cross_entropy),
)
