"""A loss as the objective of gradient boosting: its derivatives by the scores, in the shapes that libraries want."""

import json
import pickle
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from symgrad.errors import ArrayError, DeclarationError

z, y = sp.symbols("z y", real=True)
LOGISTIC = sg.Loss(sp.log(1 + sp.exp(z)) - y * z, z, y)
HUBER = sg.Loss(sp.Rational(9, 4) * (sp.sqrt(1 + ((z - y) / sp.Rational(3, 2)) ** 2) - 1), z, y)
CASE = json.loads((Path(__file__).parent / "data" / "inference" / "gbm-01-logistic-and-pseudo-huber.json").read_text())


def numbers(values: Any) -> Any:
    return np.array([float(Fraction(v)) for v in values])


@pytest.mark.parametrize(
    ("loss", "data", "expected", "ulps"),
    [
        (LOGISTIC, CASE["data"], CASE["expected"], 4),
        (HUBER, CASE.get("second_data", CASE["data"]), CASE["second_expected"], 4),
    ],
    ids=["logistic", "pseudo-Huber"],
)
def test_derivatives_keep_their_digits(loss: sg.Loss, data: Any, expected: Any, ulps: int) -> None:
    scores = np.array(data.get("predictions", data.get("inputs")), float).reshape(-1)
    weights = None if data.get("weights") is None else np.array(data["weights"], float)
    found = sg.objective(loss)(np.array(data["targets"], float), scores, sample_weight=weights)
    for values, true in zip(found, (numbers(expected["grad"]), numbers(expected["hess"])), strict=True):
        assert (np.abs(values - true) <= ulps * np.finfo(float).eps * np.abs(true)).all()


def test_shapes_and_weights() -> None:
    softmax = sg.objective(sg.losses.softmax_cross_entropy(3))
    scores, labels, weights = np.array([[1.0, 0, -1], [0, 2, 0]], np.float32), [2, 0], [2.0, 0.5]
    grad, hess = softmax(labels, scores, weights)
    p = np.exp(scores.astype(float))
    p /= p.sum(axis=1, keepdims=True)
    column = np.reshape(weights, (2, 1))
    assert np.allclose(grad, column * (p - np.eye(3)[labels]), rtol=1e-14, atol=0)
    assert np.allclose(hess, column * p * (1 - p), rtol=1e-13, atol=0)
    with pytest.raises(ArrayError, match=r"sample_weight: expected an array of shape \(2,\), got \(3,\)"):
        softmax(labels, scores, [1.0, 1, 1])


class DataSet:
    """What `train` of both libraries hands to an objective, beside the scores."""

    def get_label(self) -> Any:
        return np.array([0.0, 1, 1])

    def get_weight(self) -> Any:
        return np.array([])


def test_what_libraries_ask_for() -> None:
    objective = sg.objective(LOGISTIC)
    scores, labels = np.array([0.3, -2, 1]), np.array([0.0, 1, 1])
    assert np.array_equal(objective.for_train(scores, DataSet()), objective(labels, scores))
    mean = np.mean(np.log1p(np.exp(scores)) - labels * scores)
    assert objective.metric(labels, scores) == pytest.approx(mean, rel=1e-15)
    assert objective.evaluation(labels, scores) == ("loss", objective.metric(labels, scores), False)
    again = pickle.loads(pickle.dumps(sg.objective(LOGISTIC, floor=0.25)))  # noqa: S301
    assert (again(labels, scores)[1] == 0.25).all()


def test_start_scores() -> None:
    labels, weights = np.array([0.0, 1, 1, 1]), np.array([1.0, 1, 1, 2])
    assert sg.objective(LOGISTIC).init_score(labels, weights) == pytest.approx(np.log(4), rel=1e-10)
    far = 150 + np.array([-1.0, 0.5, 3, -2])
    best = sg.objective(HUBER).init_score(far)
    assert abs(sg.objective(HUBER)(far, np.full(4, best))[0].sum()) < 1e-9
    with pytest.raises(ArrayError, match="y_true: expected labels for which a finite score is best"):
        sg.objective(LOGISTIC).init_score(np.ones(3))


def test_a_bound_is_no_less_than_the_curvature_on_the_way() -> None:
    """Far out the exact curvature of a robust loss is nothing, and a step by it overshoots."""
    labels, scores = np.zeros(3), np.array([150.0, -3, 0])
    grad, bound = sg.objective(HUBER, hessian="bound")(labels, scores)
    assert np.allclose(bound, 1 / np.sqrt(1 + (scores / 1.5) ** 2), rtol=1e-14)
    assert (np.abs(grad / bound) <= np.abs(scores) * (1 + 1e-14)).all()
    assert (sg.objective(HUBER, hessian=2.0)(labels, scores)[1] == 2).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sg.objective(z**2), "loss: expected a Loss, got Pow"),
        (lambda: sg.objective(LOGISTIC, hessian="newton"), "hessian: expected 'exact', 'bound' or a positive number"),
        (lambda: sg.objective(sg.losses.softmax_cross_entropy(3), hessian="bound"), "hessian: 'bound' is for losses"),
    ],
)
def test_what_is_meant_by_nobody_is_refused(call: Any, message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        call()


# ---------------------------------------------------------------------- beside the libraries' own, where they are there

RNG = np.random.default_rng(1)
ROWS, WEIGHTS = RNG.normal(size=(300, 3)), RNG.random(300) + 0.5
LABELS = (ROWS[:, 0] + ROWS[:, 1] ** 2 > 1) * 1.0
CLASSES = (2 * np.abs(ROWS[:, 0])).astype(int).clip(0, 2)
UNIT_HUBER = sg.Loss(sp.sqrt(1 + (z - y) ** 2) - 1, z, y)


class Scaled:
    """An objective for `train` whose second derivatives are multiplied, as the libraries do with those of softmax."""

    def __init__(self, loss: sg.Loss, factor: float) -> None:
        self.objective, self.factor = sg.objective(loss), factor

    def __call__(self, scores: Any, dataset: Any) -> Any:
        grad, hess = self.objective.for_train(scores, dataset)
        return grad, self.factor * hess


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize(
    ("loss", "factor", "own", "targets"),
    [
        (LOGISTIC, 1.0, {"objective": "binary:logistic", "base_score": 0.5}, LABELS),
        (UNIT_HUBER, 1.0, {"objective": "reg:pseudohubererror", "huber_slope": 1.0}, ROWS[:, 0]),
        (sg.losses.softmax_cross_entropy(3), 2.0, {"objective": "multi:softprob", "num_class": 3}, CLASSES),
    ],
    ids=["logistic", "pseudo-Huber", "softmax"],
)
def test_xgboost_predicts_as_with_its_own(loss: sg.Loss, factor: float, own: Any, targets: Any, weights: Any) -> None:
    xgboost = pytest.importorskip("xgboost")
    data = xgboost.DMatrix(ROWS, targets, weight=weights)
    common = {"base_score": 0.0, "max_depth": 3, "nthread": 1}
    ours = {**common, **{k: v for k, v in own.items() if k == "num_class"}}
    true = xgboost.train({**common, **own}, data, 10).predict(data, output_margin=True)
    found = xgboost.train(ours, data, 10, obj=Scaled(loss, factor)).predict(data, output_margin=True)
    assert np.abs(found - true).max() < 1e-5 * np.abs(true).max()  # it computes in single precision


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize(
    ("loss", "factor", "own", "targets"),
    [
        (LOGISTIC, 1.0, {"objective": "binary"}, LABELS),
        (sg.losses.softmax_cross_entropy(3), 1.5, {"objective": "multiclass", "num_class": 3}, CLASSES),
    ],
    ids=["logistic", "softmax"],
)
def test_lightgbm_predicts_as_with_its_own(loss: sg.Loss, factor: float, own: Any, targets: Any, weights: Any) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    common = {"boost_from_average": False, "max_depth": 3, "num_threads": 1, "verbose": -1, "deterministic": True}

    def predicted(options: Any) -> Any:
        data = lightgbm.Dataset(ROWS, targets, weight=weights)
        return lightgbm.train({**common, **own, **options}, data, 10).predict(ROWS, raw_score=True)

    true, found = predicted({}), predicted({"objective": Scaled(loss, factor)})
    assert np.abs(found - true).max() < 1e-5 * np.abs(true).max()
