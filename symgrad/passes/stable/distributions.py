"""Logarithms of differences of distribution functions: ordered and interval-censored likelihoods, truncation.

log(F(u) - F(v)), F logistic:  F(u) - F(v) = F(u) F(-v) (1 - exp(v - u))
log(erf(u) - erf(v)):          in a tail by the logarithms of erfc, which are told apart where erf is 1 for both
"""

from __future__ import annotations

from math import log

from symgrad.program import Value

from .addends import addends, less
from .form import StableForm

_TAIL = 0.5  # beyond it 1 - erf is taken; below, erf(u) - erf(v) keeps its digits


def _ends(x: Value, function: str, is_odd: bool = False) -> tuple[float, Value, Value] | None:
    """``(k, u, v)`` of k (f(u) - f(v)), f being that function and k > 0; f(u) + f(w) = f(u) - f(-w) of an odd one."""
    parts = addends(x) if function in x.builder.operations else []
    if len(parts) != 2 or any(f.operation != function for f, _ in parts) or abs(parts[0][1]) != abs(parts[1][1]):
        return None
    (f, k), (g, other) = sorted(parts, key=lambda part: -part[1])
    if k < 0 or (other > 0 and not is_odd):
        return None
    return k, f.arguments[0], -g.arguments[0] if other > 0 else g.arguments[0]


def _log_logistic(x: Value) -> Value | None:
    found = _ends(x, "sigmoid")
    if found is None:
        return None
    k, u, v = found
    return log(k) + less(v, u).call("log1mexp") - (-u).call("softplus") - v.call("softplus")


def _log_normal(x: Value) -> Value | None:
    found = _ends(x, "erf", is_odd=True)
    if found is not None:
        k, u, v = found
    else:
        found = _ends(x, "erfc")
        if found is None:
            return None
        k, v, u = found
    is_left = u + v < 0
    near, far = is_left.choose(-u, v), is_left.choose(-v, u)
    # erfc(far)/erfc(near), whose exponents may be millions that differ by little: erfc(x) = exp(-x**2)/hazard(x)
    ratio = (near.call("hazard") / far.call("hazard")).call("log") - less(u, v) * abs(u + v)
    beyond = near.call("log_erfc", attribute=0) + ratio.call("log1mexp")
    between = far.call("erf").call("log_sum", (-near).call("erf"))
    return log(k) + (near > _TAIL).choose(beyond, between)


DISTRIBUTIONS: tuple[StableForm, ...] = (
    StableForm(
        "log(sigmoid(x) - sigmoid(y))", "log(1 - exp(y - x)) - log(1 + exp(-x)) - log(1 + exp(y))", "x > y", "log",
        _log_logistic,
    ),
    StableForm(
        "log(erf(x) - erf(y))", "log_erfc(y) + log(1 - erfc(x)/erfc(y)) in a tail", "x > y", "log",
        _log_normal,
    ),
)  # fmt: skip
