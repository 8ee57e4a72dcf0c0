"""Estimators of declared losses beside scikit-learn's own, and every check that scikit-learn has for estimators."""

import pickle
import warnings
from typing import Any

import numpy as np
import pytest
import sympy as sp

import symgrad as sg

pytest.importorskip("sklearn")
adapter = pytest.importorskip("symgrad.adapters.sklearn")
from sklearn import linear_model  # noqa: E402
from sklearn.base import clone  # noqa: E402
from sklearn.compose import make_column_transformer  # noqa: E402
from sklearn.exceptions import ConvergenceWarning  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_score  # noqa: E402
from sklearn.multiclass import OneVsRestClassifier  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import OneHotEncoder, StandardScaler  # noqa: E402
from sklearn.utils.estimator_checks import check_estimator  # noqa: E402

Regressor, Classifier = adapter.Regressor, adapter.Classifier
RANDOM = np.random.default_rng(5)
N = 300
X = RANDOM.normal(size=(N, 4)) * [1, 3, 0.2, 1]
ETA = X @ [0.5, -0.2, 1.0, 0.0] + 0.3
NUMBERS = ETA + RANDOM.standard_t(3, N)
COUNTS = RANDOM.poisson(np.exp(ETA))
LABELS = np.where(RANDOM.random(N) < 1 / (1 + np.exp(-2 * ETA)), "yes", "no")
SPECIES = RANDOM.integers(0, 3, N)
SPECIES[ETA > 0.8] = 2
WEIGHTS = RANDOM.integers(0, 4, N).astype(float)


@pytest.mark.parametrize(
    "estimator",
    [
        Regressor(), Regressor(sg.losses.huber(1.35)), Regressor(sg.losses.student_t(4)), Classifier(),
        Classifier(sg.losses.squared_hinge()),
    ],
    ids=["squares", "Huber", "Student", "likelihood", "hinge"],
)  # fmt: skip
def test_every_check_of_scikit_learn_passes(estimator: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        results = check_estimator(estimator, on_skip=None, on_fail=None)
    assert [(r["check_name"], r["exception"]) for r in results if r["status"] not in ("passed", "skipped")] == []
    assert [r["check_name"] for r in results if r["status"] == "skipped"] in ([], ["check_array_api_input"])
    assert len(results) >= 59


def test_logistic_regression() -> None:
    """Its C is 1/(alpha times the sum of weights): it adds losses up where others take their mean."""
    ours = Classifier(alpha=0.01).fit(X, LABELS, WEIGHTS)
    own = linear_model.LogisticRegression(C=1 / (0.01 * WEIGHTS.sum()), tol=1e-10, max_iter=9999)
    own.fit(X, LABELS, WEIGHTS)
    assert list(ours.classes_) == ["no", "yes"]
    assert np.allclose(ours.coef_, own.coef_, rtol=1e-5, atol=1e-7)
    assert np.allclose(ours.intercept_, own.intercept_, rtol=1e-5)
    assert np.allclose(ours.predict_proba(X), own.predict_proba(X), rtol=1e-5)
    assert np.allclose(ours.predict_log_proba(X), np.log(ours.predict_proba(X)), rtol=1e-12)
    assert np.allclose(ours.decision_function(X), X @ ours.coef_[0] + ours.intercept_[0], rtol=1e-12, atol=1e-12)
    assert (ours.predict(X) == own.predict(X)).all()


@pytest.mark.parametrize("intercept", [True, False])
def test_three_classes(intercept: bool) -> None:
    """Scores of classes count relative to each other only: that leaves a direction open, which is held where it is."""
    ours = Classifier(alpha=0.01, fit_intercept=intercept).fit(X, SPECIES)
    own = linear_model.LogisticRegression(C=1 / (0.01 * N), tol=1e-10, max_iter=9999, fit_intercept=intercept)
    own.fit(X, SPECIES)
    assert ours.converged_
    assert np.allclose(ours.coef_, own.coef_, rtol=1e-4, atol=1e-6)
    assert np.allclose(ours.predict_proba(X), own.predict_proba(X), rtol=1e-5)
    assert ours.decision_function(X).shape == (N, 3)
    assert np.abs(ours.intercept_.sum()) < 1e-10


def test_huber_regression_with_its_scale() -> None:
    """A scale that is fitted beside the coefficients is a parameter of the loss."""
    p, y, sigma, e = *sp.symbols("p y", real=True), sp.Symbol("sigma", positive=True), sp.Rational(135, 100)
    r = (p - y) / sigma
    loss = sg.Loss(sigma + sigma * sp.Piecewise((r**2, sp.Abs(r) < e), (2 * e * sp.Abs(r) - e**2, True)), p, y, [sigma])
    ours = Regressor(loss, alpha=2 * 0.3 / WEIGHTS.sum()).fit(X, NUMBERS, WEIGHTS)
    own = linear_model.HuberRegressor(alpha=0.3, tol=1e-9, max_iter=9999).fit(X, NUMBERS, WEIGHTS)
    assert np.allclose(ours.coef_, own.coef_, rtol=1e-4, atol=1e-5)
    assert ours.intercept_ == pytest.approx(own.intercept_, rel=1e-4)
    assert ours.loss_parameters_["sigma"] == pytest.approx(own.scale_, rel=1e-4)


@pytest.mark.parametrize(
    ("loss", "own"),
    [(sg.losses.poisson(), linear_model.PoissonRegressor), (sg.losses.gamma(), linear_model.GammaRegressor)],
    ids=["Poisson", "gamma"],
)
def test_generalised_linear_models(loss: sg.Loss, own: Any) -> None:
    """What is predicted is the mean: the target for which a row's score would be the best."""
    targets = COUNTS if own is linear_model.PoissonRegressor else COUNTS + 0.5
    ours = Regressor(loss, alpha=0.1).fit(X, targets, WEIGHTS)
    theirs = own(alpha=0.1, tol=1e-9, max_iter=9999).fit(X, targets, WEIGHTS)
    assert np.allclose(ours.coef_, theirs.coef_, rtol=1e-5, atol=1e-7)
    assert np.allclose(ours.predict(X), theirs.predict(X), rtol=1e-5)


def test_ridge_and_what_a_score_predicts() -> None:
    ours, own = Regressor(alpha=0.2).fit(X, NUMBERS), linear_model.Ridge(alpha=0.2 * N).fit(X, NUMBERS)
    assert np.allclose(ours.coef_, own.coef_, rtol=1e-9)
    assert ours.score(X, NUMBERS) == pytest.approx(own.score(X, NUMBERS), rel=1e-10)
    shares = Regressor(sg.losses.logistic(), penalty=None).fit(X, 1 / (1 + np.exp(-ETA)))
    assert np.allclose(shares.predict(X), 1 / (1 + np.exp(-ETA)), rtol=1e-6)
    plain = Regressor(sg.losses.quantile(0.9))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        plain.fit(X[:, :1], NUMBERS)
    assert np.allclose(plain.predict(X[:, :1]), X[:, 0] * plain.coef_[0] + plain.intercept_)


def test_a_dispersion_is_fitted() -> None:
    """statsmodels and others give the same; here: the gradient of the whole likelihood is zero there."""
    alpha = sp.Symbol("alpha", positive=True)
    ours = Regressor(sg.losses.negative_binomial(alpha), penalty=None).fit(X, COUNTS)
    x, b, c = sp.MatrixSymbol("x", 4, 1), sp.MatrixSymbol("b", 1, 4), sp.Symbol("c", real=True)
    model = sg.Model((b * x)[0, 0] + c, [x], [b, c])
    risk = sg.EmpiricalRisk(model, sg.losses.negative_binomial(alpha), name="negative_binomial_of_four")
    fit = sg.fit(risk, (X, COUNTS), {"b": 0.0, "c": 0.0, "alpha": 1.0})
    theta = [*ours.coef_, ours.intercept_, ours.loss_parameters_["alpha"]]
    assert np.allclose(theta, fit.theta, rtol=1e-5, atol=1e-7)
    assert np.allclose(ours.predict(X), np.exp(X @ ours.coef_ + ours.intercept_), rtol=1e-12)


def test_in_pipelines_and_searches() -> None:
    """Folds, and encoders that make any number of columns; what is compiled is there already."""
    rows = np.c_[X, RANDOM.integers(0, 5, N)]
    encode = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), [4]), remainder=StandardScaler())
    scores = cross_val_score(make_pipeline(encode, Classifier(alpha=0.01)), rows, LABELS)
    own = cross_val_score(make_pipeline(encode, linear_model.LogisticRegression(C=1 / (0.01 * 240))), rows, LABELS)
    assert scores == pytest.approx(own, abs=0.02)
    search = GridSearchCV(Regressor(sg.losses.poisson()), {"alpha": [0.01, 100.0]}).fit(X, COUNTS)
    assert search.best_params_ == {"alpha": 0.01}


def test_pickles_and_clones() -> None:
    fitted = Regressor(sg.losses.poisson(), alpha=0.1).fit(X, COUNTS)
    again = pickle.loads(pickle.dumps(fitted))  # noqa: S301
    assert (again.predict(X) == fitted.predict(X)).all()
    assert np.allclose(clone(fitted).fit(X, COUNTS).coef_, fitted.coef_, rtol=1e-14)


def test_labels_and_probabilities_are_what_the_loss_says() -> None:
    hinge = Classifier(sg.losses.squared_hinge(), alpha=0.01).fit(X, LABELS)
    assert not hasattr(hinge, "predict_proba")
    own = linear_model.RidgeClassifier(alpha=1.0).fit(X, LABELS)
    assert (hinge.predict(X) == own.predict(X)).mean() > 0.9
    p, y = sp.symbols("p y", real=True)
    rare = sg.Loss(-y * sp.log(1 - sp.exp(-sp.exp(p))) + (1 - y) * sp.exp(p), p, y)  # complementary log-log
    found = Classifier(rare, alpha=0.001).fit(X, LABELS)
    score = X @ found.coef_[0] + found.intercept_[0]
    assert np.allclose(found.predict_proba(X)[:, 1], -np.expm1(-np.exp(score)), rtol=1e-9)
    assert ((found.predict(X) == "yes") == (score > np.log(np.log(2)))).all()


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match=r"penalty: expected 'l2' or None, got 'l1'; choose one"):
        Regressor(penalty="l1").fit(X, NUMBERS)
    with pytest.raises(ValueError, match=r"alpha: expected a number >= 0, got -1"):
        Regressor(alpha=-1).fit(X, NUMBERS)
    with pytest.raises(ValueError, match=r"loss: expected a symgrad.Loss or None, got str"):
        Regressor("squared").fit(X, NUMBERS)
    with pytest.raises(ValueError, match=r"loss: expected a loss of one prediction, got 3"):
        Regressor(sg.losses.softmax_cross_entropy(3)).fit(X, NUMBERS)
    with pytest.raises(ValueError, match=r"one prediction, or of one for each of 3 classes, got 4"):
        Classifier(sg.losses.softmax_cross_entropy(4)).fit(X, SPECIES)
    with pytest.raises(ValueError, match=r"Only binary classification is supported by a loss of one prediction"):
        Classifier(sg.losses.logistic()).fit(X, SPECIES)
    assert OneVsRestClassifier(Classifier(sg.losses.logistic())).fit(X, SPECIES).predict(X).shape == (N,)
    with pytest.raises(ValueError, match=r"y: expected samples of at least two classes, got one class"):
        Classifier().fit(X, SPECIES, SPECIES == 1)
    with pytest.raises(ValueError, match=r"at least one non-zero number"):
        Regressor().fit(X, NUMBERS, np.zeros(N))
    with pytest.warns(ConvergenceWarning, match="no minimum was found"):
        Regressor(penalty=None).fit(np.c_[X, X[:, 0]], NUMBERS)  # which of two equal columns?
