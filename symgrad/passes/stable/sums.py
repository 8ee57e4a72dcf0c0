"""Quotients and powers of sums of exponentials; their logarithms are among the logarithms."""

from __future__ import annotations

from fractions import Fraction
from functools import reduce

from symgrad.program import Value

from .addends import polynomial
from .exponentials import (
    LARGE,
    Term,
    coefficients,
    difference,
    is_sum,
    lost_by,
    product,
    quotient,
    shifted,
    summed,
    terms,
)
from .form import StableForm


def _sigmoid(x: Value, y: Value) -> Value | None:
    below, above = terms(y), terms(x)
    if not (is_sum(below) and len(below) == 2 and coefficients(below) == [1.0, 1.0]):
        return None
    keys = [term.key for term in below]
    if len(above) != 1 or above[0].coefficient.operation in ("expm1", "sinh"):
        return None
    if above[0].key not in keys:
        return None
    own, other = (below[0], below[1]) if keys[0] == above[0].key else (below[1], below[0])
    return above[0].coefficient * difference(own, other).call("sigmoid")


def _tanh(x: Value, y: Value) -> Value | None:
    """(k exp(a) - k exp(b)) / (c exp(a) + c exp(b))."""
    below = terms(y)
    if not (is_sum(below) and len(below) == 2) or coefficients(below)[0] is None:
        return None
    if len(set(coefficients(below))) != 1:
        return None
    above = _with_expm1(x)
    by_key = {term.key: term.coefficient.constant for term in above}
    first, second = by_key.get(below[0].key), by_key.get(below[1].key)
    if len(above) != 2 or first is None or second is None or first != -second:
        return None
    factor = first / (coefficients(below)[0] or 1.0)
    return factor * (0.5 * difference(below[0], below[1])).call("tanh")


def _with_expm1(x: Value) -> list[Term]:
    """The terms of x, which may be a multiple of exp(a) - 1 or of sinh(a)."""
    factor, core = (x.arguments[1].constant, x.arguments[0]) if x.operation == "mul" else (1.0, x)
    if core.operation == "neg":
        factor, core = -(factor or 0.0), core.arguments[0]
    if factor and core.operation == "expm1":
        return [Term(x.number(factor), core.arguments[0]), Term(x.number(-factor), None)]
    if factor and core.operation == "sinh":
        a = core.arguments[0]
        return [Term(x.number(factor / 2), a), Term(x.number(-factor / 2), -a)]
    return terms(x)


def _of_sigmoid(x: Value, y: Value) -> Value | None:
    """A multiple of a sigmoid over 1 + exp(a): a product of sigmoids."""
    factor, core = (x.arguments[1].constant, x.arguments[0]) if x.operation == "mul" else (1.0, x)
    if factor is None or core.operation != "sigmoid" or not is_sum(terms(y)):
        return None
    return factor * (core * (x.number(1.0) / y))


def _share(x: Value, y: Value) -> Value | None:
    """Where a cosh is small it stays: of the derivative of its two exponentials little would be left."""
    if not is_sum(terms(y)):
        return None
    arguments = _of_cosh(y)
    far = _share_of_terms(_far_terms(x, arguments), y)
    x.builder.quotients[far.variable] = x.variable, y.variable  # a logarithm may want them
    sizes = [abs(a) for a in arguments]
    return (reduce(lambda a, b: a.call("max", b), sizes) < LARGE).choose(x / y, far) if sizes else far


def _far_terms(x: Value, arguments: list[Value]) -> list[Term]:
    """The terms of x, that of a sinh too where it is sinh(a) over a sum with cosh(a): they are told apart far out."""
    core = x.arguments[0] if x.operation in ("mul", "neg") else x
    is_far = core.operation == "sinh" and [abs(a) for a in arguments] == [abs(core.arguments[0])]
    return _with_expm1(x) if is_far else terms(x)


def _of_cosh(x: Value) -> list[Value]:
    """The arguments of cosh in a sum of products, of which each part is looked at once."""
    found, seen, waiting = list[Value](), set[int](), [x]
    while waiting:
        part = waiting.pop()
        if part.variable in seen:
            continue
        seen.add(part.variable)
        if part.operation == "cosh":
            found.append(part.arguments[0])
        elif part.operation in ("neg", "add", "sub", "mul", "power"):
            waiting += part.arguments[::-1]
    return found


def _share_of_terms(above: list[Term], y: Value) -> Value:
    below = terms(y)
    if is_sum(above):  # one by one: the derivative of each has the sign of its own
        return summed([product(term) / y for term in above])
    if above[0].exponent is not None:
        # the exponential goes below the bar, or its derivative would cancel with its share; its factor may be zero
        bare = Term(y.number(1.0), above[0].exponent)
        return above[0].coefficient / summed([product(quotient(term, bare)) for term in below])
    whole = shifted(below)
    return whole.over(above[0]) / whole.total


def _over_exponential(x: Value, y: Value) -> Value | None:
    below = terms(y)
    if len(below) != 1 or below[0].exponent is None or y.operation == "exp":
        return None
    quotients = [quotient(term, below[0]) for term in terms(x)]
    return summed(list(map(product, quotients)))


def _over_product(x: Value, y: Value) -> Value | None:
    """Over a product or a power of sums, over one after the other."""
    if y.operation == "mul":
        a, b = y.arguments
        return x / a / b if _is_power_of_sum(a) or _is_power_of_sum(b) else None
    n = y.attribute
    if y.operation != "power" or not isinstance(n, int) or not 1 < n <= 4 or not is_sum(terms(y.arguments[0])):
        return None
    root = _root_of_term(x, n, terms(y.arguments[0]))
    if root is not None:
        return (root / y.arguments[0]).call("power", attribute=n)
    for _ in range(n):
        x = x / y.arguments[0]
    return x


def _root_of_term(x: Value, n: int, below: list[Term]) -> Value | None:
    """exp(a) of x = exp(n*a), if that is below the bar: SymPy writes (exp(a)/(c*exp(a) + ...))**n with exp(n*a)."""
    if x.operation != "exp":
        return None
    wanted = {key: k / n for key, k in polynomial(x.arguments[0]).items()}
    roots = [term.exponent for term in below if term.exponent is not None and polynomial(term.exponent) == wanted]
    return roots[0].call("exp") if roots else None


def _is_power_of_sum(x: Value) -> bool:
    return is_sum(terms(x.arguments[0] if x.operation == "power" else x))


def _power_of_sum(x: Value, n: int) -> Value | None:
    if n >= 0 or not is_sum(terms(x)):
        return None
    reciprocal = x.number(1.0) / x
    return reciprocal if n == -1 else reciprocal.call("power", attribute=-n)


def _root_of_sum(x: Value) -> Value | None:
    parts = terms(x)
    if not is_sum(parts):
        return None
    whole = shifted(parts)
    return (0.5 * whole.shift).call("exp") * whole.total.call("sqrt")


def _pow_of_sum(x: Value, y: Value) -> Value | None:
    parts = terms(x)
    if not is_sum(parts):
        return None
    whole = shifted(parts)
    return whole.shift.call("exp_product", y) * whole.total.call("pow", y)


def _over_cosh(x: Value, y: Value) -> Value | None:
    if x.operation == "cosh" and y.operation == "sinh" and x.arguments[0].variable == y.arguments[0].variable:
        return 1 / x.arguments[0].call("tanh")
    if y.operation == "cosh":
        return x * y.arguments[0].call("sech")
    if y.operation == "power" and y.arguments[0].operation == "cosh" and isinstance(y.attribute, int):
        return x * y.arguments[0].arguments[0].call("sech").call("power", attribute=y.attribute)
    return None


QUOTIENTS: tuple[StableForm, ...] = (
    StableForm("(exp(x) - exp(y))/(exp(x) + exp(y))", "tanh((x - y)/2)", "all x, y", "div", _tanh),
    StableForm("1/(1 + exp(x))", "sigmoid(-x)", "all x", "div", _sigmoid),
    StableForm("sigmoid(x)/(1 + exp(y))", "sigmoid(x)*sigmoid(-y)", "all x, y", "div", _of_sigmoid),
    StableForm("1/cosh(x)", "sech(x)", "all x", "div", _over_cosh),
    StableForm("exp(x)/Sum(exp(y))", "exp(x - logsumexp(y))", "all x, y", "div", _over_exponential),
    StableForm("x/(y*z)", "x/y/z", "all x; y or z a sum of exponentials", "div", _over_product),
)  # fmt: skip


def _rational_power_of_sum(x: Value, exponent: tuple[int, int]) -> Value | None:
    parts = terms(x)
    if not is_sum(parts):
        return None
    whole, (p, q) = shifted(parts), exponent
    lost = float(Fraction(p, q) - Fraction(p / q))
    scale = whole.shift.call("exp_product", p / q)
    return (scale + scale * (lost * whole.shift)) * whole.total.call("rational_power", attribute=exponent)


def _of_exact_sum(x: Value, better: str) -> Value | None:
    lost = lost_by(x)
    return None if lost is None else x.call(better, lost)


def _logsumexp_of_exact_sums(*xs: Value) -> Value | None:
    lost = [lost_by(x) for x in xs]
    if not any(lost):
        return None
    zero = xs[0].number(0.0)
    return xs[0].call("logsumexp_with", *xs[1:], *(zero if off is None else off for off in lost))


def _tanh_of_half(x: Value) -> Value | None:
    is_half = x.operation == "mul" and x.arguments[1].constant == 0.5
    return _of_exact_sum(x.arguments[0], "tanh_half_with") if is_half else None


SHIFTS: tuple[StableForm, ...] = (
    StableForm(
        "exp(x)*exp(y)/exp(z)", "exp(x + y - z), what sums lose in rounding put back", "all x, y, z", "exp",
        lambda x: _of_exact_sum(x, "exp_with"),
    ),
    StableForm(
        "exp(x)/(exp(x) + exp(y))", "sigmoid(x - y), what x - y loses in rounding put back", "all x, y", "sigmoid",
        lambda x: _of_exact_sum(x, "sigmoid_with"),
    ),
    StableForm(
        "log(1 + exp(x)/exp(y))", "softplus(x - y), what x - y loses in rounding put back", "all x, y", "softplus",
        lambda x: _of_exact_sum(x, "softplus_with"),
    ),
    StableForm(
        "log(exp(x)/exp(z) + exp(y)/exp(z))", "logsumexp(x - z, y - z), what differences lose put back", "all x, y, z",
        "logsumexp", _logsumexp_of_exact_sums,
    ),
    StableForm(
        "(exp(x)/exp(y) - 1)/(exp(x)/exp(y) + 1)", "tanh((x - y)/2), its slope with what x - y loses", "all x, y",
        "tanh", _tanh_of_half,
    ),
    StableForm(
        "(a*exp(x) + ...)/(b*exp(y) + ...)", "(a*exp(x - m) + ...)/(b*exp(y - m) + ...), m the largest y",
        "all a, b, x, y", "div", _share,
    ),
    StableForm("(a*exp(x) + b*exp(y))**-n", "(1/(a*exp(x) + b*exp(y)))**n", "all a, b, x, y", "power", _power_of_sum),
    StableForm(
        "sqrt(a*exp(x) + b*exp(y))", "exp(m/2)*sqrt(a*exp(x - m) + b*exp(y - m)), m = Max(x, y)",
        "where the sum is not negative", "sqrt", _root_of_sum,
    ),
    StableForm(
        "(a*exp(x) + b*exp(y))**p", "exp(p*m)*(a*exp(x - m) + b*exp(y - m))**p, m = Max(x, y)",
        "where the sum is positive", "pow", _pow_of_sum,
    ),
    StableForm(
        "(a*exp(x) + b*exp(y))**(p/q)", "exp(p*m/q)*(a*exp(x - m) + b*exp(y - m))**(p/q), m = Max(x, y)",
        "where the sum is positive", "rational_power", _rational_power_of_sum,
    ),
)  # fmt: skip
