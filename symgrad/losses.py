"""Ready-made losses: ``sg.losses.squared()``, ``huber(1.345)``, ``softmax_cross_entropy(10)``, ...

Each is a function that returns a fresh ``Loss``; p is the prediction and y the target, named ``prediction`` and
``target``. Both are numbers; with ``outputs=n`` both are columns of n numbers and the loss is the sum over the outputs,
a ``Sum`` that is never written out. Every number given as an argument is checked: ``DeclarationError`` names it. A
``Symbol`` in its place (positive=True says where it may be) is a parameter of the loss, fitted with the model's, which
it follows in theta: ``negative_binomial(alpha)``, ``student_t(nu, scale)``, ``gaussian(sigma)``, ``gamma(shape)``.

Likelihoods leave terms out that depend on neither p nor the parameters (``log(y!)``, ``log(2*pi)/2``), as is usual; the
log-likelihood of a fit has them (``Loss.normalisation``). ``zero_inflated_poisson`` and ``location_scale`` are losses
of two predictors: the model is a column of two.

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
    "gaussian",
    "hinge",
    "huber",
    "location_scale",
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
    "zero_inflated_poisson",
]


_COUNT, _NUMBER = sp.Dummy("y", integer=True), sp.Dummy("y", real=True)
_LOG_FACTORIAL = sp.Lambda(_COUNT, sp.loggamma(_COUNT + 1))


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

    Where nu or scale is a Symbol, with ``log(scale) + log(nu)/2 + loggamma(nu/2) - loggamma((nu + 1)/2)``.
    Source: Lange, Little, Taylor, Robust Statistical Modeling Using the t Distribution, JASA 84 (1989).
    """
    n, s = _positive_or_symbol("student_t(nu=...)", nu), _positive_or_symbol("student_t(scale=...)", scale)
    rest = sp.log(s) + sp.log(n) / 2 + sp.loggamma(n / 2) - sp.loggamma((n + 1) / 2)
    own = _symbols(n, s)

    def formula(p: Any, y: Any) -> Any:
        return (n + 1) / 2 * functions.log1p(((p - y) / s) ** 2 / n) + (rest if own else 0)

    return _each("student_t", outputs, formula, own, _constant(sp.log(sp.pi) / 2 + (0 if own else rest)))


def gaussian(sigma: Any = 1, outputs: int = 1) -> Loss:
    """``((p - y)/sigma)**2/2``, with ``log(sigma)`` where sigma is a Symbol: minus the normal log-likelihood."""
    s = _positive_or_symbol("gaussian(sigma=...)", sigma)
    own = _symbols(s)
    rest = sp.log(s) if own else sp.Integer(0)
    constant = _constant(sp.log(2 * sp.pi) / 2 + sp.log(s) - rest)
    return _each("gaussian", outputs, lambda p, y: ((p - y) / s) ** 2 / 2 + rest, own, constant)


def location_scale() -> Loss:
    """``((p[0] - y)*exp(-p[1]))**2/2 + p[1]``: the normal likelihood of two predictors, mean and log of the deviation.

    The model is a column of two: ``Model(sympy.Matrix([mean, log_sigma]), ...)``.
    """
    p, y = sp.MatrixSymbol("prediction", 2, 1), sp.Symbol("target")
    formula = ((p[0, 0] - y) * sp.exp(-p[1, 0])) ** 2 / 2 + p[1, 0]
    return Loss(formula, prediction=p, target=y, normalisation=_constant(sp.log(2 * sp.pi) / 2))


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
    return _each("poisson", outputs, lambda p, y: sp.exp(p) - y * p, (), _LOG_FACTORIAL)


def zero_inflated_poisson() -> Loss:
    """Minus the log-likelihood of a count that is 0 with the probability ``sigmoid(p[1])``, else Poisson.

    The model is a column of two: ``Model(sympy.Matrix([log_mean, log_odds_of_zero]), ...)``. The loss is
    ``softplus(p[1])``; less ``logsumexp(p[1], -exp(p[0]))`` where y = 0, and plus ``exp(p[0]) - y*p[0]`` elsewhere.

    Source: Lambert, Zero-Inflated Poisson Regression, Technometrics 34 (1992).
    """
    p, y = sp.MatrixSymbol("prediction", 2, 1), sp.Symbol("target")
    mean = sp.exp(p[0, 0])
    zero, more = -functions.logsumexp(p[1, 0], -mean), mean - y * p[0, 0]
    formula = functions.softplus(p[1, 0]) + sp.Piecewise((zero, sp.Le(y, 0)), (more, True))
    return Loss(formula, prediction=p, target=y, normalisation=_LOG_FACTORIAL)


def gamma(shape: Any = 1, outputs: int = 1) -> Loss:
    """``p + y*exp(-p)``: minus the gamma log-likelihood of y > 0 (for one unit of shape), with the log link.

    With a ``shape`` k other than 1, a number or a Symbol, all of it: ``k*(p + y*exp(-p)) - k*log(k) - (k - 1)*log(y) +
    loggamma(k)``.
    """
    k = _positive_or_symbol("gamma(shape=...)", shape)

    def formula(p: Any, y: Any) -> Any:
        unit = p + y * sp.exp(-p)
        return unit if k == 1 else k * unit - k * sp.log(k) - (k - 1) * sp.log(y) + sp.loggamma(k)

    return _each("gamma", outputs, formula, _symbols(k), _constant(sp.Integer(0)))


def negative_binomial(alpha: Any, outputs: int = 1) -> Loss:
    """``(y + 1/alpha)*softplus(p + log(alpha)) - y*p``: NB2 with variance ``m + alpha*m**2``, a count y, the log link.

    Where alpha is a Symbol, with ``loggamma(1/alpha) - loggamma(y + 1/alpha) - y*log(alpha)``.
    Source: Cameron, Trivedi, Regression Analysis of Count Data (2nd ed., ch. 3.3).
    """
    a = _positive_or_symbol("negative_binomial(alpha=...)", alpha)
    own = _symbols(a)

    def rest(y: Any) -> Any:
        return sp.loggamma(1 / a) - sp.loggamma(y + 1 / a) - y * sp.log(a)

    def formula(p: Any, y: Any) -> Any:
        return (y + 1 / a) * functions.softplus(p + sp.log(a)) - y * p + (rest(y) if own else 0)

    constant = _LOG_FACTORIAL if own else sp.Lambda(_COUNT, sp.loggamma(_COUNT + 1) + rest(_COUNT))
    return _each("negative_binomial", outputs, formula, own, constant)


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


def _each(
    name: str, outputs: int, formula: Callable[[Any, Any], Any], own: tuple[Any, ...] = (), constant: Any = None
) -> Loss:
    """The loss of one output, or the sum of ``formula`` over a column of them; with parameters of its own."""
    count = _count(f"{name}(outputs=...)", outputs, least=1)
    if count == 1:
        p, y = sp.symbols("prediction target")
        return Loss(formula(p, y), prediction=p, target=y, parameters=own, normalisation=constant)
    p, y, i = sp.MatrixSymbol("prediction", count, 1), sp.MatrixSymbol("target", count, 1), _index(count)
    total = sp.Sum(formula(p[i, 0], y[i, 0]), (i, 0, count - 1))
    return Loss(total, prediction=p, target=y, parameters=own, normalisation=constant)


def _constant(value: Any) -> Any:
    """What the density of any number has beside the loss."""
    return sp.Lambda(_NUMBER, value)


def _symbols(*values: Any) -> tuple[Any, ...]:
    """Those that are Symbols, each once."""
    return tuple(dict.fromkeys(value for value in values if isinstance(value, sp.Symbol)))


def _index(count: int) -> Any:
    return sp.Idx("i", count)


def _count(argument: str, value: Any, *, least: int) -> int:
    if isinstance(value, numbers.Integral | sp.Integer) and not isinstance(value, bool) and int(value) >= least:
        return int(value)
    raise DeclarationError(
        f"{argument}: expected a whole number >= {least}, got {_shown(value)}; write e.g. {least + 1}"
    )


def _positive_or_symbol(argument: str, value: Any) -> Any:
    """A number as `_positive` gives it, or the Symbol that is to be fitted in its place."""
    if isinstance(value, sp.Symbol) and value.is_commutative and value.is_extended_real is not False:
        if value.is_nonpositive:
            raise DeclarationError(f"{argument}: expected a Symbol that may be > 0, got {show(value)}, which is not")
        return value
    return _positive(argument, value)


def _positive(argument: str, value: Any, *, below: int | None = None) -> Any:
    """A SymPy number with the value given, which must be above 0 (and below ``below``)."""
    number = _number(value)
    if number is not None and number.is_finite and number > 0 and (below is None or number < below):
        return number
    expected = "a number > 0" if below is None else f"a number between 0 and {below}"
    example = "1.5" if below is None else "0.5"
    cure = (
        "to fit it, write the Loss yourself: Loss(expression, prediction, target, parameters=[...])"
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
