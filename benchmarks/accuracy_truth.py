"""What the forms that people write are worth: mpmath at more and more digits, until two of them agree.

A derivative is a central difference whose step shrinks as the digits grow; nothing of symgrad or SymPy is in it. Where
a form cancels over thousands of digits, an equal one that does not stands in.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from mpmath import mp, mpf

from .accuracy_forms import FORMS

_DIGITS = (80, 300, 1200, 5000)
_NOTHING = mpf(10) ** -400  # beyond what a double can hold


def _softplus(x: Any) -> Any:
    return (x if x > 0 else 0) + mp.log1p(mp.exp(-abs(x)))


def _log_cosh(x: Any) -> Any:
    return abs(x) + mp.log1p(mp.exp(-2 * abs(x))) - mp.log(2) if abs(x) > 1 else mp.log1p(2 * mp.sinh(x / 2) ** 2)


def _log_erfc(x: Any) -> Any:
    return mp.log(mp.erfc(x)) if abs(x) < 1e3 or x > 0 else mp.log(2)


_EQUAL: dict[str, Callable[..., Any]] = {
    "log(1+exp(x))": _softplus,
    "log(1/(1+exp(-x)))": lambda x: -_softplus(-x),
    "log(cosh(x))": _log_cosh,
    "1-tanh(x)**2": lambda x: mp.sech(x) ** 2,
    "log(1-tanh(x)**2)": lambda x: -2 * _log_cosh(x),
    "log(erfc(x))": _log_erfc,
    "log((1+erf(x/sqrt(2)))/2)": lambda x: _log_erfc(-x / mp.sqrt(2)) - mp.log(2),
    "log(x+sqrt(1+x**2))": lambda x: mp.sign(x) * mp.asinh(abs(x)),
    "log(1-exp(-x))": lambda x: mp.log1p(-mp.exp(-x)),
    "log(exp(a)+exp(b))": lambda a, b: max(a, b) + mp.log1p(mp.exp(-abs(a - b))),
    "x*log(y)": lambda x, y: x * mp.log(y) if x else mpf(0),
}


@cache
def true_result(name: str, output: int, *at: float) -> Any:
    """The value (output 0) or a derivative (1, 2) of a form; NaN where it has none."""
    function = _EQUAL.get(name) or (lambda *arguments: FORMS[name].written(mp, *arguments))
    return _settled(lambda digits: _evaluated(function, output - 1, digits, at))


def _evaluated(function: Callable[..., Any], which: int, digits: int, at: tuple[float, ...]) -> Any:
    try:
        if which < 0:
            return function(*map(mpf, at))
        right, left = [[mpf(a) for a in at] for _ in range(2)]
        step = (min(abs(right[which]), mpf(1)) or mpf(1)) * mpf(10) ** (-digits // 4)
        right[which], left[which] = right[which] + step, left[which] - step
        return (function(*right) - function(*left)) / (2 * step)
    except (ValueError, ZeroDivisionError):
        return mp.nan


def _settled(evaluate: Callable[[int], Any]) -> Any:
    previous = None
    for digits in _DIGITS:
        with mp.workdps(digits):
            found = evaluate(digits)
            if not isinstance(found, mpf) or mp.isnan(found):
                found = None  # none, unless more digits bring it: 1 - exp(-exp(-300)) needs 131 not to be 0
            elif previous is not None and found != 0 and abs(found - previous) <= abs(found) * mpf(10) ** -25:
                return +found
            previous = found
    if found is None:
        return mp.nan
    if abs(found) < _NOTHING:
        return mpf(0)
    raise ArithmeticError("no two evaluations agree")
