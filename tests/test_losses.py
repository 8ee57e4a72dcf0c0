"""The ready-made losses: their values against the formula of the book, their arguments, and that they are losses."""

import math
import time
from collections.abc import Callable
from typing import Any

import pytest
import sympy as sp
from scipy import stats

from symgrad import losses
from symgrad.declare import EmpiricalRisk, Loss, Model, walk
from symgrad.declare.grammar import SUPPORTED_FUNCTIONS
from symgrad.errors import DeclarationError

D, S = sp.Symbol("d"), sp.Symbol("s", positive=True)
OWN = ("student_t", "negative_binomial", "gaussian", "gamma")  # take a Symbol: a parameter of the loss
POINTS = [(-2.5, 1.0), (0.0, 0.0), (0.75, 1.0), (3.0, 0.0), (3.0, 1.0), (1.0, 4.0)]
SIGNS = [(-2.5, 1.0), (0.75, 1.0), (3.0, -1.0), (-3.0, -1.0)]


def huber(p: float, y: float, d: float) -> float:
    r = abs(p - y)
    return r * r / 2 if r <= d else d * (r - d / 2)


CASES: list[tuple[Callable[[], Loss], Callable[[float, float], float], list[tuple[float, float]]]] = [
    (losses.squared, lambda p, y: (p - y) ** 2 / 2, POINTS),
    (losses.absolute, lambda p, y: abs(p - y), POINTS),
    (losses.huber, lambda p, y: huber(p, y, 1), POINTS),
    (lambda: losses.huber(1.345), lambda p, y: huber(p, y, 1.345), POINTS),
    (lambda: losses.pseudo_huber(2), lambda p, y: 4 * (math.sqrt(1 + ((p - y) / 2) ** 2) - 1), POINTS),
    (losses.log_cosh, lambda p, y: math.log(math.cosh(p - y)), POINTS),
    (losses.quantile, lambda p, y: abs(p - y) / 2, POINTS),
    (lambda: losses.quantile(0.9), lambda p, y: 0.9 * (y - p) if y > p else 0.1 * (p - y), POINTS),
    (lambda: losses.cauchy(3), lambda p, y: 4.5 * math.log(1 + ((p - y) / 3) ** 2), POINTS),
    (lambda: losses.student_t(5, 2), lambda p, y: 3 * math.log(1 + ((p - y) / 2) ** 2 / 5), POINTS),
    (lambda: losses.gaussian(2), lambda p, y: ((p - y) / 2) ** 2 / 2, POINTS),
    (losses.logistic, lambda p, y: math.log(1 + math.exp(p)) - y * p, POINTS),
    (losses.hinge, lambda p, y: max(0.0, 1 - y * p), SIGNS),
    (losses.squared_hinge, lambda p, y: max(0.0, 1 - y * p) ** 2, SIGNS),
    (losses.poisson, lambda p, y: math.exp(p) - y * p, POINTS),
    (losses.gamma, lambda p, y: p + y * math.exp(-p), POINTS),
    (
        lambda: losses.negative_binomial(0.5),
        lambda p, y: (y + 2) * math.log(1 + 0.5 * math.exp(p)) - y * p,
        POINTS,
    ),
]


@pytest.mark.parametrize(("make", "formula", "points"), CASES)
def test_the_value_is_the_formulas(
    make: Callable[[], Loss], formula: Callable[[float, float], float], points: list[tuple[float, float]]
) -> None:
    loss = make()
    for p, y in points:
        value = loss.expression.subs({loss.prediction: p, loss.targets[0]: y}).evalf()
        assert float(value) == pytest.approx(formula(p, y), rel=1e-13, abs=1e-13)


OF_COLUMNS = {"softmax_cross_entropy", "location_scale", "zero_inflated_poisson"}


def test_every_loss_has_a_case() -> None:
    covered = {make.__name__ for make, _, _ in CASES if make.__name__ != "<lambda>"}
    called = {name for make, _, _ in CASES for name in make.__code__.co_names}
    assert set(losses.__all__) - covered - called == OF_COLUMNS


@pytest.mark.parametrize("name", losses.__all__)
def test_each_makes_a_risk_of_supported_operations(name: str) -> None:
    function = getattr(losses, name)
    argument = {"negative_binomial": [0.5], "softmax_cross_entropy": [3]}.get(name, [])
    loss = function(*argument)
    assert function(*argument) is not loss
    x, *w = sp.symbols("x w0 w1 w2")
    size = loss.prediction.shape[0] if name in OF_COLUMNS else 1
    output = sp.Matrix([v * x for v in w[:size]]) if name in OF_COLUMNS else w[0] * x
    risk = EmpiricalRisk(Model(output, inputs=[x], parameters=w[:size]), loss, name=name)
    operations = {type(node) for node in walk([risk.loss]) if node.args and isinstance(node, sp.Function | sp.Pow)}
    assert operations <= SUPPORTED_FUNCTIONS
    assert function.__doc__
    assert "``" in function.__doc__


def test_logistic_keeps_its_digits_far_out() -> None:
    loss = losses.logistic()
    derivative = loss.expression.diff(loss.prediction).subs({loss.prediction: 50.0, loss.targets[0]: 1})
    assert float(derivative.evalf()) == pytest.approx(-math.exp(-50), rel=1e-13)


OF_SEVERAL = [name for name in losses.__all__ if name not in OF_COLUMNS]


@pytest.mark.parametrize("name", OF_SEVERAL)
def test_several_outputs_add_up(name: str) -> None:
    function, argument = getattr(losses, name), [0.5] if name == "negative_binomial" else []
    loss, one = function(*argument, outputs=3), function(*argument)
    assert loss.prediction.shape == loss.targets[0].shape == (3, 1)
    points = [(0.5, 1), (-1.25, 0.5), (2, -0.75)]
    values = {loss.prediction[n, 0]: p for n, (p, _) in enumerate(points)}
    values |= {loss.targets[0][n, 0]: y for n, (_, y) in enumerate(points)}
    parts = [one.expression.subs({one.prediction: p, one.targets[0]: y}).evalf() for p, y in points]
    assert float(loss.expression.doit().xreplace(values).evalf()) == pytest.approx(float(sum(parts)), rel=1e-13)
    assert len({float(part) for part in parts}) == 3
    with pytest.raises(DeclarationError, match=rf"{name}\(outputs=\.\.\.\): expected a whole number >= 1, got 0"):
        function(*argument, outputs=0)


@pytest.mark.parametrize("name", [*OF_SEVERAL, "softmax_cross_entropy"])
def test_the_number_of_outputs_is_not_unrolled(name: str) -> None:
    function = getattr(losses, name)
    arguments = {"softmax_cross_entropy": {"n": 512}, "negative_binomial": {"alpha": 1, "outputs": 512}}
    start = time.perf_counter()
    loss = function(**arguments.get(name, {"outputs": 512}))
    # about 5 ms; the rest is for a machine that is busy with other tests
    assert time.perf_counter() - start < 0.5
    assert sum(1 for _ in walk([loss.expression])) < 60


def softmax_value(loss: Loss, scores: list[float], target: dict[Any, Any]) -> float:
    plain = loss.expression.doit().xreplace({loss.prediction[n, 0]: score for n, score in enumerate(scores)} | target)
    return float(plain.evalf())


def test_softmax_cross_entropy() -> None:
    loss = losses.softmax_cross_entropy(3)
    z, label = loss.prediction, loss.targets[0]
    assert (z.shape, label.is_integer) == ((3, 1), True)
    plain = loss.expression.subs(label, 2).doit().xreplace({z[0, 0]: 0.5, z[1, 0]: 900.0, z[2, 0]: 899.0})
    assert float(plain.evalf()) == pytest.approx(1 + math.log1p(math.exp(-1)))


def test_softmax_cross_entropy_of_probabilities() -> None:
    hard, soft = losses.softmax_cross_entropy(3), losses.softmax_cross_entropy(3, targets="probabilities")
    (label,), (y,) = hard.targets, soft.targets
    scores, weights = [0.5, -2.0, 1.25], [0.125, 0.5, 0.75]
    assert y.shape == (3, 1)
    of_labels = []
    for n in range(3):
        labelled = Loss(hard.expression.subs(label, n), prediction=hard.prediction, target=None)
        of_labels.append(softmax_value(labelled, scores, {}))
        one_hot = {y[k, 0]: int(k == n) for k in range(3)}
        assert softmax_value(soft, scores, one_hot) == pytest.approx(of_labels[n], rel=1e-13)
    mixed = softmax_value(soft, scores, {y[k, 0]: weight for k, weight in enumerate(weights)})
    assert mixed == pytest.approx(sum(w * part for w, part in zip(weights, of_labels, strict=True)), rel=1e-13)
    with pytest.raises(DeclarationError, match=r'expected "labels" .* or "probabilities" .*, got \'one-hot\''):
        losses.softmax_cross_entropy(3, targets="one-hot")


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (losses.huber, "huber(delta=...)"),
        (losses.pseudo_huber, "pseudo_huber(delta=...)"),
        (losses.cauchy, "cauchy(scale=...)"),
        (losses.student_t, "student_t(nu=...)"),
        (lambda v: losses.student_t(4, v), "student_t(scale=...)"),
        (losses.negative_binomial, "negative_binomial(alpha=...)"),
        (losses.gaussian, "gaussian(sigma=...)"),
        (losses.gamma, "gamma(shape=...)"),
        (losses.quantile, "quantile(tau=...)"),
    ],
)
@pytest.mark.parametrize("value", [0, -1.5, float("nan"), float("inf"), "1", None, True, 1j, sp.I, sp.oo, D, D + 1])
def test_a_number_that_makes_no_sense(make: Callable[[Any], Loss], argument: str, value: Any) -> None:
    if value is D and argument.partition("(")[0] in OWN:
        assert make(value).parameters == (D,)
        return
    with pytest.raises(DeclarationError) as caught:
        make(value)
    expected = "a number between 0 and 1" if "tau" in argument else "a number > 0"
    shown = str(value) if isinstance(value, sp.Basic) else repr(value)
    assert f"{argument}: expected {expected}, got {shown}; " in str(caught.value)
    advice = "write the Loss yourself" if value in (D, D + 1) else "write e.g."
    assert advice in str(caught.value)


NEGATIVE = sp.Symbol("n", negative=True)


def test_a_symbol_that_cannot_be_positive() -> None:
    with pytest.raises(DeclarationError, match=r"gaussian\(sigma=...\): expected a Symbol that may be > 0, got n,"):
        losses.gaussian(NEGATIVE)


Y = 3.0
DENSITIES: list[tuple[Callable[[], Loss], list[float], Callable[[], float]]] = [
    (lambda: losses.gaussian(S), [2.5], lambda: stats.norm.logpdf(Y, 0.75, 2.5)),
    (lambda: losses.gaussian(2.5), [], lambda: stats.norm.logpdf(Y, 0.75, 2.5)),
    (lambda: losses.student_t(D, S), [3.5, 2.5], lambda: stats.t.logpdf(Y, 3.5, 0.75, 2.5)),
    (lambda: losses.student_t(3.5, S), [2.5], lambda: stats.t.logpdf(Y, 3.5, 0.75, 2.5)),
    (lambda: losses.student_t(3.5, 2.5), [], lambda: stats.t.logpdf(Y, 3.5, 0.75, 2.5)),
    (lambda: losses.gamma(S), [2.5], lambda: stats.gamma.logpdf(Y, 2.5, scale=math.exp(0.75) / 2.5)),
    (lambda: losses.gamma(2.5), [], lambda: stats.gamma.logpdf(Y, 2.5, scale=math.exp(0.75) / 2.5)),
    (losses.gamma, [], lambda: stats.expon.logpdf(Y, scale=math.exp(0.75))),
    (losses.poisson, [], lambda: stats.poisson.logpmf(Y, math.exp(0.75))),
    (lambda: losses.negative_binomial(S), [2.5], lambda: stats.nbinom.logpmf(Y, 0.4, 1 / (1 + 2.5 * math.exp(0.75)))),
    (lambda: losses.negative_binomial(2.5), [], lambda: stats.nbinom.logpmf(Y, 0.4, 1 / (1 + 2.5 * math.exp(0.75)))),
]


@pytest.mark.parametrize(("make", "own", "logarithm"), DENSITIES)
def test_a_likelihood_and_what_it_leaves_out_are_a_density(
    make: Callable[[], Loss], own: list[float], logarithm: Callable[[], float]
) -> None:
    loss = make()
    values = dict(zip(loss.parameters, own, strict=True)) | {loss.prediction: 0.75, loss.targets[0]: Y}
    total = loss.expression.subs(values) + loss.normalisation(sp.Float(Y))
    assert float(total.evalf()) == pytest.approx(-logarithm(), rel=1e-13)


@pytest.mark.parametrize("y", [0, 3])
def test_zero_inflation_and_location_and_scale(y: int) -> None:
    at = {sp.MatrixSymbol("prediction", 2, 1)[k, 0]: v for k, v in enumerate((0.75, -0.5))}
    loss = losses.zero_inflated_poisson()
    more = 1 / (1 + math.exp(0.5))
    density = more * (y == 0) + (1 - more) * stats.poisson.pmf(y, math.exp(0.75))
    total = (loss.expression + loss.normalisation(sp.Float(y))).xreplace({**at, loss.targets[0]: sp.Float(y)})
    assert float(total.evalf()) == pytest.approx(-math.log(density), rel=1e-13)
    loss = losses.location_scale()
    total = (loss.expression + loss.normalisation(sp.Float(y))).xreplace({**at, loss.targets[0]: sp.Float(y)})
    assert float(total.evalf()) == pytest.approx(-stats.norm.logpdf(y, 0.75, math.exp(-0.5)), rel=1e-13)


def test_quantile_is_below_one() -> None:
    with pytest.raises(DeclarationError, match="between 0 and 1, got 1;"):
        losses.quantile(1)


@pytest.mark.parametrize("value", [0, 1, -3, 2.0, "3", None, True])
def test_a_count_that_makes_no_sense(value: Any) -> None:
    with pytest.raises(DeclarationError) as caught:
        losses.softmax_cross_entropy(value)
    assert f"softmax_cross_entropy(n=...): expected a whole number >= 2, got {value!r}" in str(caught.value)
    with pytest.raises(DeclarationError, match=r"squared\(outputs=\.\.\.\): expected a whole number >= 1"):
        losses.squared(0)
    with pytest.raises(DeclarationError, match="got True"):
        losses.squared(True)
