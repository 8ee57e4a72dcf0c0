"""Ready-made losses: ``sg.losses.squared()``, ``huber(1.345)``, ``softmax_cross_entropy(10)``, ...

Each is a function that returns a fresh ``Loss``; p is the prediction and y the target, named ``prediction`` and
``target``. Both are numbers; with ``outputs=n`` both are columns of n numbers and the loss is the sum over the outputs,
a ``Sum`` that is never written out. Terms that depend on neither p nor the parameters (``log(y!)``, ``log(2*pi)/2``)
are left out, as is usual. Every number given as an argument is checked: ``DeclarationError`` names it.

Sources of the formulas: Hastie, Tibshirani, Friedman, *The Elements of Statistical Learning* (2nd ed., ch. 10.6) for
those of regression and classification; McCullagh, Nelder, *Generalized Linear Models* (2nd ed.) for the likelihoods.
"""

import numbers
from collections.abc import Callable
from typing import Any

import sympy as sp

from . import functions
from .declare import Loss, show
from .errors import DeclarationError

__all__ = [
    "absolute",
    "cauchy",
    "gamma",
    "hinge",
    "huber",
    "log_cosh",
    "logistic",
    "negative_binomial",
    "poisson",
    "pseudo_huber",
    "quantile",
    "softmax_cross_entropy",
    "squared",
    "squared_hinge",
    "student_t",
]


def squared(outputs: int = 1) -> Loss:
    """``(p - y)**2/2``."""
    return _each("squared", outputs, lambda p, y: (p - y) ** 2 / 2)


def absolute(outputs: int = 1) -> Loss:
    """``|p - y|``, with the slope 0 at p = y."""
    return _each("absolute", outputs, lambda p, y: sp.Abs(p - y))


def huber(delta: Any = 1, outputs: int = 1) -> Loss:
    """``r**2/2`` where ``|r| <= delta``, else ``delta*(|r| - delta/2)``, with r = p - y.

    Source: Huber, Robust Estimation of a Location Parameter, Ann. Math. Statist. 35 (1964).
    """
    d = _positive("huber(delta=...)", delta)

    def formula(p: Any, y: Any) -> Any:
        r = p - y
        return sp.Piecewise((r**2 / 2, sp.Abs(r) <= d), (d * (sp.Abs(r) - d / 2), True))

    return _each("huber", outputs, formula)


def pseudo_huber(delta: Any = 1, outputs: int = 1) -> Loss:
    """``delta**2*(sqrt(1 + (r/delta)**2) - 1)`` with r = p - y, the smooth Huber loss.

    Written as ``r**2/(1 + sqrt(1 + (r/delta)**2))``, the same without the cancellation at small r.
    Source: Charbonnier et al., IEEE Trans. Image Processing 6 (1997); Hartley, Zisserman, Multiple View Geometry, A6.8.
    """
    d = _positive("pseudo_huber(delta=...)", delta)
    return _each("pseudo_huber", outputs, lambda p, y: (p - y) ** 2 / (1 + sp.sqrt(1 + ((p - y) / d) ** 2)))


def log_cosh(outputs: int = 1) -> Loss:
    """``log(cosh(p - y))``: quadratic near 0 and absolute far out."""
    return _each("log_cosh", outputs, lambda p, y: functions.log_cosh(p - y))


def quantile(tau: Any = 0.5, outputs: int = 1) -> Loss:
    """``Max(tau*(y - p), (tau - 1)*(y - p))``, least at the tau-quantile (0 < tau < 1).

    Source: Koenker, Bassett, Regression Quantiles, Econometrica 46 (1978).
    """
    t = _positive("quantile(tau=...)", tau, below=1)
    return _each("quantile", outputs, lambda p, y: sp.Max(t * (y - p), (t - 1) * (y - p)))


def cauchy(scale: Any = 1, outputs: int = 1) -> Loss:
    """``scale**2/2*log(1 + (r/scale)**2)`` with r = p - y: an outlier's pull dies off."""
    c = _positive("cauchy(scale=...)", scale)
    return _each("cauchy", outputs, lambda p, y: c**2 / 2 * functions.log1p(((p - y) / c) ** 2))


def student_t(nu: Any = 4, scale: Any = 1, outputs: int = 1) -> Loss:
    """``(nu + 1)/2*log(1 + (r/scale)**2/nu)`` with r = p - y: minus the log-likelihood of Student's t.

    Source: Lange, Little, Taylor, Robust Statistical Modeling Using the t Distribution, JASA 84 (1989).
    """
    n, s = _positive("student_t(nu=...)", nu), _positive("student_t(scale=...)", scale)
    return _each("student_t", outputs, lambda p, y: (n + 1) / 2 * functions.log1p(((p - y) / s) ** 2 / n))


def logistic(outputs: int = 1) -> Loss:
    """``softplus(p) - y*p``: minus the log-likelihood of y in {0, 1} (or a share between) where p is the log-odds.

    Written as ``y*softplus(-p) + (1 - y)*softplus(p)``, the same without the cancellation at large p.
    """
    return _each("logistic", outputs, lambda p, y: y * functions.softplus(-p) + (1 - y) * functions.softplus(p))


def hinge(outputs: int = 1) -> Loss:
    """``Max(0, 1 - y*p)`` with y in {-1, 1}."""
    return _each("hinge", outputs, lambda p, y: sp.Max(0, 1 - y * p))


def squared_hinge(outputs: int = 1) -> Loss:
    """``Max(0, 1 - y*p)**2`` with y in {-1, 1}."""
    return _each("squared_hinge", outputs, lambda p, y: sp.Max(0, 1 - y * p) ** 2)


def poisson(outputs: int = 1) -> Loss:
    """``exp(p) - y*p``: minus the Poisson log-likelihood of a count y, with the log link: p is the log of the mean."""
    return _each("poisson", outputs, lambda p, y: sp.exp(p) - y * p)


def gamma(outputs: int = 1) -> Loss:
    """``p + y*exp(-p)``: minus the gamma log-likelihood of y > 0 (for one unit of shape), with the log link."""
    return _each("gamma", outputs, lambda p, y: p + y * sp.exp(-p))


def negative_binomial(alpha: Any, outputs: int = 1) -> Loss:
    """``(y + 1/alpha)*softplus(p + log(alpha)) - y*p``: NB2 with variance ``m + alpha*m**2``, a count y, the log link.

    Source: Cameron, Trivedi, Regression Analysis of Count Data (2nd ed., ch. 3.3).
    """
    a = _positive("negative_binomial(alpha=...)", alpha)
    return _each("negative_binomial", outputs, lambda p, y: (y + 1 / a) * functions.softplus(p + sp.log(a)) - y * p)


def softmax_cross_entropy(n: int, targets: str = "labels") -> Loss:
    """``log(sum of exp(z)) - z[label]``: z is the column of n scores (logits), the target a label from 0 to n - 1.

    With ``targets="probabilities"`` the target is a column y of n numbers, one-hot or soft, and the loss
    ``log(sum of exp(z))*sum(y) - z.T*y``; y need not add up to 1.
    """
    count = _count("softmax_cross_entropy(n=...)", n, least=2)
    z, i = sp.MatrixSymbol("prediction", count, 1), _index(count)
    log_sum_exp = sp.log(sp.Sum(sp.exp(z[i, 0]), (i, 0, count - 1)))
    if targets == "labels":
        label = sp.Symbol("label", integer=True)
        return Loss(log_sum_exp - z[label, 0], prediction=z, target=label)
    if targets == "probabilities":
        y = sp.MatrixSymbol("target", count, 1)
        total, score = (sp.Sum(term, (i, 0, count - 1)) for term in (y[i, 0], y[i, 0] * z[i, 0]))
        return Loss(log_sum_exp * total - score, prediction=z, target=y)
    raise DeclarationError(
        f'softmax_cross_entropy(targets=...): expected "labels" (a whole number for each sample) or "probabilities" '
        f"(a column of n, one-hot or soft), got {_shown(targets)}"
    )


def _each(name: str, outputs: int, formula: Callable[[Any, Any], Any]) -> Loss:
    """The loss of one output, or the sum of ``formula`` over a column of them."""
    count = _count(f"{name}(outputs=...)", outputs, least=1)
    if count == 1:
        p, y = sp.symbols("prediction target")
        return Loss(formula(p, y), prediction=p, target=y)
    p, y, i = sp.MatrixSymbol("prediction", count, 1), sp.MatrixSymbol("target", count, 1), _index(count)
    return Loss(sp.Sum(formula(p[i, 0], y[i, 0]), (i, 0, count - 1)), prediction=p, target=y)


def _index(count: int) -> Any:
    return sp.Idx("i", count)


def _count(argument: str, value: Any, *, least: int) -> int:
    if isinstance(value, numbers.Integral | sp.Integer) and not isinstance(value, bool) and int(value) >= least:
        return int(value)
    raise DeclarationError(
        f"{argument}: expected a whole number >= {least}, got {_shown(value)}; write e.g. {least + 1}"
    )


def _positive(argument: str, value: Any, *, below: int | None = None) -> Any:
    """A SymPy number with the value given, which must be above 0 (and below ``below``)."""
    number = _number(value)
    if number is not None and number.is_finite and number > 0 and (below is None or number < below):
        return number
    expected = "a number > 0" if below is None else f"a number between 0 and {below}"
    example = "1.5" if below is None else "0.5"
    cure = (
        "to fit it, declare it as a parameter in EmpiricalRisk.from_expression"
        if isinstance(value, sp.Expr) and not value.is_number
        else f"write e.g. {example}"
    )
    raise DeclarationError(f"{argument}: expected {expected}, got {_shown(value)}; {cure}")


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        return None
    if isinstance(value, sp.Expr):
        return value if value.is_number and value.is_extended_real else None
    if isinstance(value, numbers.Integral):
        return sp.Integer(int(value))
    if isinstance(value, numbers.Rational):
        return sp.Rational(value.numerator, value.denominator)
    return sp.Float(float(value)) if isinstance(value, numbers.Real) else None


def _shown(value: Any) -> str:
    return show(value) if isinstance(value, sp.Basic) else f"{value!r:.100}"
