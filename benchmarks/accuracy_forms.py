"""The forms that people write, once for every tool: each takes the tool's functions ``m`` and its arguments.

The points go where the true value and slope are ordinary numbers, and where what is written overflows, underflows or
cancels on the way there. Nothing is imported: the same text is read by symgrad, by its peers and by mpmath.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_NEAR = (1e-160, 1e-20, 1e-8, 1e-5, 1e-3, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 36.5, 37.0, 100.0, 300.0, 700.0)
_EDGES = (709.5, 710.0, 745.0, 800.0, 1e4, 1e8)
_HUGE = (1e155, 1e160, 1e300)


def _both(sizes: tuple[float, ...]) -> tuple[tuple[float, ...], ...]:
    return tuple((s,) for s in (*sizes, *(-s for s in sizes)))


_LINE = _both((*_NEAR, *_EDGES))
_FAR_LINE = _both((*_NEAR, *_EDGES, *_HUGE))
_RIGHT = _LINE[: len(_LINE) // 2]
_SHORT = tuple(p for p in _LINE if abs(p[0]) < 1e3)
_PLANE = tuple(
    (a, b)
    for a in (1e-8, 0.3, 1.0, 40.0, 800.0, -0.7, -2.5, -40.0, -800.0)
    for b in (1e-5, 0.7, 5.0, 36.5, 709.5, -0.3, -37.0, -745.0)
)
_QUADRANT = tuple((a, b) for a in (1e-300, 1e-20, 0.3, 1.0, 3.0, 1e20, 1e155) for b in (1e-160, 1e-8, 1.5, 1e8, 1e160))
_COUNTS = tuple((a, b) for a in (0.0, 1e-300, 0.3, 1.0, 40.0, 1e155) for b in (1e-300, 1e-8, 0.999, 1.5, 1e8, 1e155))


@dataclass(frozen=True, slots=True)
class Form:
    """What is written, and the points at which it is tried."""

    written: Callable[..., Any]
    points: tuple[tuple[float, ...], ...]


def _mixture(m: Any, x: Any, a: Any) -> Any:
    """The logarithm of a mixture of two normal densities, one at 0 and one at a."""
    return m.log(0.25 * m.exp(-(x**2) / 2) + 0.75 * m.exp(-((x - a) ** 2) / 2))


FORMS: dict[str, Form] = {
    "1/(1+exp(-x))": Form(lambda m, x: 1 / (1 + m.exp(-x)), _LINE),
    "exp(x)/(1+exp(x))": Form(lambda m, x: m.exp(x) / (1 + m.exp(x)), _LINE),
    "log(1+exp(x))": Form(lambda m, x: m.log(1 + m.exp(x)), _LINE),
    "log(1/(1+exp(-x)))": Form(lambda m, x: m.log(1 / (1 + m.exp(-x))), _LINE),
    "log(cosh(x))": Form(lambda m, x: m.log(m.cosh(x)), _FAR_LINE),
    "1-tanh(x)**2": Form(lambda m, x: 1 - m.tanh(x) ** 2, _LINE),
    "log(1-tanh(x)**2)": Form(lambda m, x: m.log(1 - m.tanh(x) ** 2), _LINE),
    "log(erfc(x))": Form(lambda m, x: m.log(m.erfc(x)), _LINE),
    "log((1+erf(x/sqrt(2)))/2)": Form(lambda m, x: m.log((1 + m.erf(x / m.sqrt(2))) / 2), _LINE),
    "sqrt(1+x**2)-1": Form(lambda m, x: m.sqrt(1 + x**2) - 1, _FAR_LINE),
    "log(1+x**2)": Form(lambda m, x: m.log(1 + x**2), _FAR_LINE),
    "log(x+sqrt(1+x**2))": Form(lambda m, x: m.log(x + m.sqrt(1 + x**2)), _FAR_LINE),
    "1-cos(x)": Form(lambda m, x: 1 - m.cos(x), _SHORT),
    "(1-cos(x))/x**2": Form(lambda m, x: (1 - m.cos(x)) / x**2, _SHORT),
    "sin(x)/x": Form(lambda m, x: m.sin(x) / x, _LINE),
    "exp(x)-1": Form(lambda m, x: m.exp(x) - 1, _LINE),
    "(exp(x)-1)/x": Form(lambda m, x: (m.exp(x) - 1) / x, _LINE),
    "x/(exp(x)-1)": Form(lambda m, x: x / (m.exp(x) - 1), _LINE),
    "log(1+x)/x": Form(lambda m, x: m.log(1 + x) / x, tuple(p for p in _LINE if p[0] > -1)),
    "log(1-exp(-x))": Form(lambda m, x: m.log(1 - m.exp(-x)), _RIGHT),
    "exp(-exp(x))": Form(lambda m, x: m.exp(-m.exp(x)), _SHORT),
    "log(1-exp(-exp(x)))": Form(lambda m, x: m.log(1 - m.exp(-m.exp(x))), tuple(p for p in _SHORT if p[0] < 7)),
    "log(exp(a)+exp(b))": Form(lambda m, a, b: m.log(m.exp(a) + m.exp(b)), _PLANE),
    "exp(a)/(exp(a)+exp(b))": Form(lambda m, a, b: m.exp(a) / (m.exp(a) + m.exp(b)), _PLANE),
    "log of two normals": Form(_mixture, _PLANE),
    "x*log(y)": Form(lambda m, x, y: x * m.log(y), _COUNTS),
    "log(x)-log(y)": Form(lambda m, x, y: m.log(x) - m.log(y), _QUADRANT),
    "sqrt(x**2+y**2)": Form(lambda m, x, y: m.sqrt(x**2 + y**2), _QUADRANT),
    "x/sqrt(x**2+y**2)": Form(lambda m, x, y: x / m.sqrt(x**2 + y**2), _QUADRANT),
}

# Why symgrad's result for a form is beyond 4 ULP: printed below the table beside the error that was measured.
_SHARES = "the difference a - b that is exponentiated is rounded: |a - b|/2 ULP"
LIMITS: dict[str, str] = {
    "exp(-exp(x))": "exp(x) is rounded before it is exponentiated again: exp(x)/2 ULP, and what exp itself adds",
    "log((1+erf(x/sqrt(2)))/2)": "x/sqrt(2) is rounded, where the tail is as steep as exp(-x**2/2): x**2/2 ULP",
    "log(exp(a)+exp(b))": _SHARES,
    "exp(a)/(exp(a)+exp(b))": _SHARES,
    "log of two normals": "squares are rounded before they are exponentiated, and the value has a root",
}
