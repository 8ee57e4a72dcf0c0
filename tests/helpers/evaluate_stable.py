"""The operations that stable forms bring, by their definitions, to as many digits as mpmath is set to work with."""

from collections.abc import Callable
from typing import Any

import mpmath


def _exprel(x: Any) -> Any:
    return mpmath.expm1(x) / x if x else mpmath.mpf(1)


def _powm1(x: Any, y: Any) -> Any:
    return mpmath.expm1(y * mpmath.log(x)) if x > 0 else pow_or_zero(x, y) - 1


def pow_or_zero(x: Any, y: Any) -> Any:
    return mpmath.mpf(0) if x == 0 and y > 0 else mpmath.power(x, y)


def _log_rising(x: Any, d: Any) -> Any:
    return mpmath.loggamma(x + d) - mpmath.loggamma(x)


def _log_beta(x: Any, y: Any) -> Any:
    return mpmath.loggamma(x) + mpmath.loggamma(y) - mpmath.loggamma(x + y)


def _with_lost(arguments: Any) -> list[Any]:
    half = len(arguments) // 2
    return [x + lost for x, lost in zip(arguments[:half], arguments[half:], strict=True)]


STABLE: dict[str, Callable[..., Any]] = {
    "hold": lambda x: x,
    "exp_capped": lambda x, near: mpmath.exp(x) if near == x else mpmath.mpf(1),
    "weighted_capped": lambda k, x, near: k * (mpmath.exp(x) if near == x else 1),
    "log_sum": lambda x, y: mpmath.log(x + y) if x + y >= 0 else mpmath.nan,
    "exact_sum": lambda x, y: x + y,
    "lost_in_sum": lambda x, y: mpmath.mpf(0),  # with these digits nothing is
    "exp_with": lambda x, lost: mpmath.exp(x + lost),
    "sigmoid_with": lambda x, lost: 1 / (1 + mpmath.exp(-x - lost)),
    "density_with": lambda x, lost: 1 / (2 + mpmath.exp(-x - lost) + mpmath.exp(x + lost)),
    "exp_sum": lambda x, y: mpmath.exp(x + y),
    "exp_less": lambda x, m: mpmath.exp(x - m) if x != m else mpmath.mpf(1),
    "weighted_exp": lambda k, x, m: k * mpmath.exp(x - m),
    "logsumexp_with": lambda *a: mpmath.log(mpmath.fsum(map(mpmath.exp, _with_lost(a)))),
    "softmax_with": lambda *a: mpmath.exp(_with_lost(a[:-1])[a[-1]]) / mpmath.fsum(map(mpmath.exp, _with_lost(a[:-1]))),
    "cosh_less": lambda x, m, mean=0: mpmath.cosh(x) * mpmath.exp(mean - m),
    "sinh_less": lambda x, m, mean=0: mpmath.sinh(x) * mpmath.exp(mean - m),
    "softplus_with": lambda x, lost: mpmath.log1p(mpmath.exp(-abs(x + lost))) + max(x + lost, mpmath.mpf(0)),
    "tanh_half_with": lambda x, lost: mpmath.tanh((x + lost) / 2),
    "log1mexp": lambda x: mpmath.log(-mpmath.expm1(x)) if x > -1 else mpmath.log1p(-mpmath.exp(x)),
    "log_erfc": lambda x, halved: mpmath.log(mpmath.erfc(x) / (1 + halved)),
    "hazard": lambda x: mpmath.exp(-x * x) / mpmath.erfc(x),
    "exprel": _exprel,
    "exprel_slope": lambda x: mpmath.hyp1f1(2, 3, x) / 2,
    "expm1_quotient": lambda x, y: x * _exprel(x * y),
    "versine": lambda x: 2 * mpmath.sin(x / 2) ** 2,
    "hypotm1": lambda x: x**2 / (1 + mpmath.hypot(x, 1)),
    "coshm1": lambda x: 2 * mpmath.sinh(x / 2) ** 2,
    "direction": lambda x, y: x / mpmath.hypot(x, y),
    "powm1": _powm1,
    "box_cox": lambda x, y: _powm1(x, y) / y if y else mpmath.log(x),
    "exp_product": lambda x, y: mpmath.exp(x * y),
    "log1p_square": lambda x: mpmath.log1p(x * x),
    "log_rising": _log_rising,
    "digamma_rise": lambda x, d: mpmath.digamma(x + d) - mpmath.digamma(x),
    "log_beta": _log_beta,
    "log_binomial": lambda n, k: mpmath.log(mpmath.binomial(n, k)),
}
