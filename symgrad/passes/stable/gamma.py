"""Differences of log-gamma functions: beta functions, binomial and negative binomial likelihoods, Student's t."""

from __future__ import annotations

from functools import reduce

from symgrad.program import Value

from .addends import addends, factors_of, scaled, terms
from .form import StableForm

Part = tuple[Value, float]  # f and k of k f


def _gammas(x: Value, y: Value) -> Value | None:
    if not any(f is not None and f.operation == "loggamma" for f, _ in map(scaled, (x, y))):
        return None
    parts = [*addends(x), *addends(y)]
    found = _joined(parts)
    if found is None:
        return None
    better, used = found
    return reduce(lambda a, b: a + b, (f * k for i, (f, k) in enumerate(parts) if i not in used), better)


def _joined(parts: list[Part]) -> tuple[Value, set[int]] | None:
    """What does for two or three of the parts, and which these are."""
    gammas = [(i, f.arguments[0], k) for i, (f, k) in enumerate(parts) if f.operation == "loggamma"]
    for i, (f, k) in enumerate(parts):
        for j, other, minus in gammas:  # a beta function of which two terms were joined before the third one came
            if f.operation == "log_rising" and minus == -k and f.arguments[1].variable == other.variable:
                return minus * f.arguments[0].call("log_beta", other), {i, j}
    found = None
    for i, whole, k in gammas:
        for j, x, minus in gammas:
            d = _rest(whole, x) if minus == -k else None
            if d is None or (d.constant or 0.0) < 0:
                continue
            for m, other, again in gammas:
                if m not in (i, j) and again == -k and other.variable == d.variable:
                    return -k * x.call("log_beta", d), {i, j, m}
            found = found or (k * x.call("log_rising", d), {i, j})
    return found


def _rest(whole: Value, part: Value) -> Value | None:
    """What a sum has beyond all that another one has; the numbers in them may differ."""
    left, taken = terms(addends(whole)), terms(addends(part))
    number = left.pop(None, 0.0) - taken.pop(None, 0.0)
    if any(left.pop(variable, None) != k for variable, k in taken.items()):
        return None
    rest = [Value(whole.builder, variable) * k for variable, k in left.items() if variable is not None]
    if number or not rest:
        rest.append(whole.number(number))
    return reduce(lambda a, b: a + b, rest)


def _log_factorial(x: Value) -> Value | None:
    if x.operation != "factorial":
        return None
    (n,) = x.arguments
    return (n > -1).choose((n + 1).call("loggamma"), x.call("log"))


def _log_beta(x: Value) -> Value | None:
    if x.operation != "beta":
        return None
    a, b = x.arguments
    return (a > 0).call("and", b > 0).choose(a.call("log_beta", b), x.call("log"))


def _log_binomial(x: Value) -> Value | None:
    if x.operation != "binomial":
        return None
    n, k = x.arguments
    return (k > -1).call("and", n - k > -1).choose(n.call("log_binomial", k), x.call("log"))


def _log_of_density(x: Value) -> Value | None:
    """log(c x**p gamma(a)/gamma(b)): of gammas and powers, which overflow, the logarithms; where all are positive."""
    factors = factors_of(x)
    if len(factors) == 1 or not any(f.operation == "gamma" for f, _ in factors):
        return None
    conditions, logs, rest = list[Value](), list[Value](), x.number(1.0)
    for f, sign in factors:
        if f.operation == "gamma":
            conditions.append(f.arguments[0] > 0)
            logs.append(sign * f.arguments[0].call("loggamma"))
        elif f.operation == "pow":
            conditions.append(f.arguments[0] > 0)
            logs.append(sign * f.arguments[1] * f.arguments[0].call("log"))
        else:
            rest = rest * f if sign > 0 else rest / f
    if rest.constant != 1:
        logs.insert(0, rest.call("log"))
    is_density = reduce(lambda a, b: a.call("and", b), conditions)
    return is_density.choose(reduce(lambda a, b: a + b, logs), x.call("log"))


GAMMAS: tuple[StableForm, ...] = (
    StableForm(
        "loggamma(x) + loggamma(y) - loggamma(x + y), loggamma(x + d) - loggamma(x)",
        "log_beta(x, y), log_rising(x, d)", "x, y, x + d > 0", "add", _gammas,
    ),
    StableForm(
        "log(c*x**p*gamma(a)/gamma(b))", "log(c) + p*log(x) + loggamma(a) - loggamma(b)", "x, a, b > 0", "log",
        _log_of_density,
    ),
    StableForm("log(factorial(n))", "loggamma(n + 1)", "n > -1", "log", _log_factorial),
    StableForm("log(beta(x, y))", "log_beta(x, y)", "x, y > 0", "log", _log_beta),
    StableForm(
        "log(binomial(n, k))", "loggamma(n + 1) - loggamma(k + 1) - loggamma(n - k + 1)", "k, n - k > -1",
        "log", _log_binomial,
    ),
)  # fmt: skip
