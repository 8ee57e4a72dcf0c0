"""Logarithms of what overflows, vanishes or is nearly one."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from math import inf, log

from symgrad.operations import defined
from symgrad.program import Value

from .addends import addends, is_same
from .differences import excess, square_root
from .exponentials import Term, coefficients, exponent, is_sum, pairs_of, product, share, shifted, summed, terms
from .form import StableForm


def _of_one_exponential(x: Value) -> Value | None:
    (term, *others) = terms(x)
    if others or term.exponent is None or (term.coefficient.constant or 1.0) < 0:
        return None
    return term.exponent if term.coefficient.constant == 1 else _with_log(term.coefficient, term.exponent)


def _with_log(x: Value, y: Value) -> Value:
    """log(x) + y; where log(x) is NaN, so are the derivatives of y."""
    return x.call("log") + (y if x.constant is not None else defined(x >= 0, y))


def _log_sum_exp(x: Value) -> Value | None:
    if x.operation != "total" or x.arguments[0].operation != "exp":
        return None
    return x.arguments[0].arguments[0].call("logsumexp_all")


def _softplus(x: Value) -> Value | None:
    parts = terms(x)
    if not is_sum(parts) or len(parts) != 2 or coefficients(parts) != [1.0, 1.0]:
        return None
    exponents = [term.exponent for term in parts if term.exponent is not None]
    return exponents[0].call("softplus") if len(exponents) == 1 else None


def _logsumexp(x: Value) -> Value | None:
    parts = terms(x)
    if not is_sum(parts) or set(coefficients(parts)) != {1.0}:
        return None
    first, *others = map(exponent, parts)
    if others == [-first]:
        return first.call("log_cosh") + log(2.0)
    return None if pairs_of(parts) else first.call("logsumexp", *others)


def _log1mexp(x: Value) -> Value | None:
    """log(exp(a) - exp(b)) = a + log(1 - exp(b - a)); and log(-expm1(b)), log(expm1(a)), which are such differences."""
    pair = _difference_of_exponentials(x)
    if pair is None:
        return None
    above, below = pair
    if above is None:
        return below.call("log1mexp") if below is not None else None
    return above + (-above if below is None else below - above).call("log1mexp")


def _difference_of_exponentials(x: Value) -> tuple[Value | None, Value | None] | None:
    """``(a, b)`` of exp(a) - exp(b); None is the exponent of 1."""
    if x.operation == "expm1":
        return x.arguments[0], None
    if x.operation == "neg" and x.arguments[0].operation == "expm1":
        return None, x.arguments[0].arguments[0]
    parts = terms(x)
    if not is_sum(parts) or len(parts) != 2 or sorted(c or 0.0 for c in coefficients(parts)) != [-1.0, 1.0]:
        return None
    plus, minus = sorted(parts, key=lambda term: -(term.coefficient.constant or 0.0))
    return plus.exponent, minus.exponent


def _shifted_log(x: Value) -> Value | None:
    parts = terms(x)
    if not is_sum(parts):
        parts = _shares(x)
    if not is_sum(parts):
        return _shifted_quotient(x)
    whole = shifted(parts)
    if _plain(parts).constant == 1:
        return whole.shift + whole.plain[0].call("log_sum", summed(list(whole.others)))
    return whole.shift + whole.total.call("log")


def _shares(x: Value) -> list[Term]:
    """The terms of a sum of c exp(a)/s, s a sum of exponentials with positive factors: c exp(a - log(s))."""
    found = list[Term]()
    for f, k in addends(x):
        if f.variable not in x.builder.quotients:
            return []
        above, below = (Value(x.builder, v) for v in x.builder.quotients[f.variable])
        if not all((c or 0.0) > 0 for c in coefficients(terms(below))):
            return []
        total = -below.call("log")
        for term in terms(above):
            shifted_by = total if term.exponent is None else term.exponent.call("exact_sum", total)
            found.append(Term(k * term.coefficient, shifted_by))
    return found


def _shifted_quotient(x: Value) -> Value | None:
    """log(a/b) where a or b is a sum of exponentials, of any sign."""
    if x.operation != "div" or not any(is_sum(terms(part)) for part in x.arguments):
        return None
    above, below = (shifted(terms(part)) for part in x.arguments)
    return above.shift - below.shift + (above.total / below.total).call("log")


def _log_share(x: Value) -> Value | None:
    """log(c exp(b)/(sum of c_i exp(a_i))), the logarithm of a softmax: -log(sum of c_i/c exp(a_i - b))."""
    if x.operation != "div":
        return None
    parts = share(*x.arguments)
    return None if parts is None else -reduce(lambda a, b: a + b, map(product, parts)).call("log")


def _asinh(x: Value) -> Value | None:
    """log(sqrt(1 + z^2) + z), and with -z."""
    parts = addends(x) if x.operation in ("add", "sub") else []
    for place, (root, k) in enumerate(parts):
        if root.operation != "hypot" or k != 1 or len(parts) == 1:
            continue
        other = reduce(lambda a, b: a + b, (f * c for i, (f, c) in enumerate(parts) if i != place))
        for one, leg in (root.arguments, root.arguments[::-1]):
            if one.constant == 1 and (is_same(leg, other) or is_same(leg, -other)):
                return other.call("asinh")
    return None


def _plain(parts: list[Term]) -> Value:
    """The coefficient of the term without an exponential; 0 if there is none."""
    found = [term.coefficient for term in parts if term.exponent is None]
    return found[0] if found else parts[0].coefficient.number(0.0)


def _log_sigmoid(x: Value) -> Value:
    return -(-x).call("softplus")


# Logarithms of positive functions that can overflow, vanish or be nearly one.
_POSITIVE: dict[str, Callable[[Value], Value]] = {
    "sigmoid": _log_sigmoid,
    "logistic_density": lambda x: -2 * (0.5 * x).call("log_cosh") - log(4.0),
    "cosh": lambda x: x.call("log_cosh"),
    "sech": lambda x: -x.call("log_cosh"),
    "erfc": lambda x: x.call("log_erfc", attribute=0),
    "exp": lambda x: x,
}


def _of_function(x: Value) -> Value | None:
    rule = _POSITIVE.get(x.operation)
    return rule(*x.arguments) if rule else None


def _log_twice_sigmoid(x: Value) -> Value | None:
    """Nearly 0 where x is: there as log(1 + tanh(x/2))."""
    if x.operation != "mul" or x.arguments[0].operation != "sigmoid" or x.arguments[1].constant != 2:
        return None
    (a,) = x.arguments[0].arguments
    return (abs(a) < 1).choose((0.5 * a).call("tanh").call("log1p"), log(2.0) + _log_sigmoid(a))


def _log1mexp_of_exp(x: Value) -> Value | None:
    """log(1 - exp(-exp(y))), the complementary log-log: y as soon as exp(y) is small."""
    if x.operation != "neg" or x.arguments[0].operation != "exp":
        return None
    (y,) = x.arguments[0].arguments
    return (y < 0).choose(y + x.call("exprel").call("log"), x.call("log1mexp"))


def _log1m_power(x: Value) -> Value | None:
    """log(1 - x**y): x**y is known best by its exponent near 1, and by itself where 1 - x**y rounds it away."""
    if x.operation != "neg" or x.arguments[0].operation != "powm1":
        return None
    base, y = x.arguments[0].arguments
    exponent = y * base.call("log")
    return (abs(exponent) < 1).choose(exponent.call("log1mexp"), (-base.call("pow", y)).call("log1p"))


def _log1p_square(x: Value) -> Value | None:
    root = square_root(x)
    return None if root is None or root.constant is not None else root.call("log1p_square")


def _log_half_erfc(x: Value) -> Value | None:
    if x.operation == "mul" and x.arguments[0].operation == "erfc" and x.arguments[1].constant == 0.5:
        return x.arguments[0].arguments[0].call("log_erfc", attribute=1)
    return None


def _log_sinh(x: Value) -> Value | None:
    if x.operation != "sinh":
        return None
    (a,) = x.arguments
    return (a > 1).choose(a - log(2.0) + (-2 * a).call("log1mexp"), x.call("log"))


def _log_gamma(x: Value) -> Value | None:
    if x.operation != "gamma":
        return None
    (a,) = x.arguments
    return (a > 0).choose(a.call("loggamma"), x.call("log"))


def _is_positive(x: Value) -> bool:
    """Surely positive, and better off with a logarithm of its own."""
    if x.operation in _POSITIVE:
        return True
    if x.operation in ("sqrt", "power"):
        return _is_positive(x.arguments[0])
    parts = terms(x)
    return any(term.exponent is not None for term in parts) and all(0 < (c or 0.0) < inf for c in coefficients(parts))


def _of_product(x: Value) -> Value | None:
    """log(a b) = log(a) + log(b) where one of them is surely positive; the others stay together."""
    whole = x.arguments[0] if x.operation == "neg" else x
    if whole.operation not in ("mul", "div"):
        return None
    a, b = whole.arguments
    is_product, sign = whole.operation == "mul", -1.0 if x.operation == "neg" else 1.0
    if _is_positive(b):
        return _with_log(sign * a, b.call("log") if is_product else -b.call("log"))
    if _is_positive(a):
        return _with_log(sign * b, a.call("log")) if is_product else -_with_log(sign * b, -a.call("log"))
    return None


def _of_power(x: Value) -> Value | None:
    base, n = x.arguments[0] if x.arguments else x, x.attribute
    if x.operation == "pow" and _is_positive(base):
        return x.arguments[1] * base.call("log")
    if x.operation == "rational_power" and isinstance(n, tuple):
        return n[0] / n[1] * base.call("log")
    if x.operation == "sqrt":
        return 0.5 * base.call("log")
    if x.operation != "power" or not isinstance(n, int):
        return None
    return float(n) * (base if n % 2 or _is_positive(base) else abs(base)).call("log")


def _log1p(x: Value) -> Value | None:
    rest = excess(x)
    return None if rest is None else rest.call("log1p")


LOGARITHMS: tuple[StableForm, ...] = (
    # the sum overflows past 709, and is 0 where every exponential underflows
    StableForm("log(Sum(exp(x)))", "logsumexp(x)", "all x", "log", _log_sum_exp),
    StableForm("log(erfc(x)/2)", "log_erfc(x) - log(2)", "all x", "log", _log_half_erfc),
    StableForm("log(2*sigmoid(x))", "log1p(tanh(x/2)) near 0", "all x", "log", _log_twice_sigmoid),
    StableForm("log(1 - exp(-exp(x)))", "x + log(exprel(-exp(x))) where x < 0", "all x", "log1mexp", _log1mexp_of_exp),
    StableForm("log1p(x**2)", "2*log(Abs(x)) far out", "all x", "log1p", _log1p_square),
    StableForm("log(f(x)), f = sigmoid, cosh, sech, erfc, exp", "log_f(x)", "all x", "log", _of_function),
    StableForm("log(sinh(x))", "x - log(2) + log(1 - exp(-2*x))", "x > 0", "log", _log_sinh),
    StableForm("log(gamma(x))", "loggamma(x)", "x > 0", "log", _log_gamma),
    StableForm("log(1 + exp(x))", "softplus(x)", "all x", "log", _softplus),
    StableForm("log(exp(x) + exp(y))", "logsumexp(x, y)", "all x, y", "log", _logsumexp),
    StableForm("log(1 - exp(x))", "log1mexp(x)", "x < 0", "log", _log1mexp),
    StableForm("log(1 - x**y)", "log1mexp(y*log(x)) near 0, log1p(-x**y)", "x >= 0", "log", _log1m_power),
    StableForm("log(a*exp(x))", "log(a) + x", "a > 0", "log", _of_one_exponential),
    StableForm(
        "log(a*exp(x)/(b*exp(y) + c*exp(z)))", "-log(b/a*exp(y - x) + c/a*exp(z - x))",
        "where the quotient is positive", "log", _log_share,
    ),
    StableForm("log(x + sqrt(1 + x**2))", "asinh(x)", "all x", "log", _asinh),
    StableForm("log(f*g)", "log(f) + log(g)", "f > 0 that can overflow or vanish", "log", _of_product),
    StableForm(
        "log(a*exp(x) + b*exp(y))", "m + log(a*exp(x - m) + b*exp(y - m)), m = Max(x, y)",
        "where the sum is positive", "log", _shifted_log,
    ),
    StableForm("log(x**n), log(sqrt(x))", "n*log(Abs(x)), log(x)/2", "where x**n > 0", "log", _of_power),
    StableForm("log(1 + x)", "log1p(x)", "x > -1", "log", _log1p),
)  # fmt: skip
