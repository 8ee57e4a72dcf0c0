"""Estimators of scikit-learn for any declared loss of one linear predictor, or, for classes, of several.

    Regressor(symgrad.losses.poisson(), alpha=0.01).fit(X, y).predict(X)
    cross_val_score(make_pipeline(StandardScaler(), Classifier()), X, y)

What is compiled is the loss: one build serves all numbers of columns.
"""

from __future__ import annotations

import numbers
import warnings
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray

import symgrad as sg
from symgrad.errors import MissingExtraError

from .scores import Kernel, LinearScores, kernel_of, numbers_in

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.utils.metaestimators import available_if
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
except ModuleNotFoundError as error:
    raise MissingExtraError(
        f'this adapter needs scikit-learn, which is not installed ({error}): python -m pip install "symgrad[sklearn]"'
    ) from error

Array = NDArray[np.float64]


class _Linear(BaseEstimator):
    """What both estimators share."""

    coef_: Any
    intercept_: Any
    _own: Array

    def __init__(
        self,
        loss: sg.Loss | None = None,
        *,
        penalty: str | None = "l2",
        alpha: float = 1e-4,
        fit_intercept: bool = True,
    ) -> None:
        self.loss = loss
        self.penalty = penalty
        self.alpha = alpha
        self.fit_intercept = fit_intercept

    def _fit(self, kernel: Kernel, X: Array, targets: Array, weights: Array | None) -> None:
        if self.penalty not in ("l2", None):
            raise ValueError(f"penalty: expected 'l2' or None, got {self.penalty!r}; choose one")
        if not isinstance(self.alpha, numbers.Real) or not 0 <= self.alpha < np.inf:
            raise ValueError(f"alpha: expected a number >= 0, got {self.alpha!r}; write e.g. alpha=0.01")
        alpha = 0.0 if self.penalty is None else float(self.alpha)
        problem = LinearScores(kernel, X, targets, weights, alpha, bool(self.fit_intercept))
        solution = problem.solved()
        found, self._own = problem.split(solution.phi)
        self.loss_parameters_ = kernel.parameters(self._own)
        self.coef_ = found[:, : X.shape[1]].copy()
        self.intercept_ = found[:, -1].copy() if self.fit_intercept else np.zeros(len(found))
        self.n_iter_, self.converged_, self.message_ = problem.evaluations, solution.converged, solution.message
        if not solution.converged:
            warnings.warn(
                f"no minimum was found: {solution.message}; scale the columns, or give a larger alpha",
                ConvergenceWarning,
                stacklevel=3,
            )

    def _scores(self, X: Any) -> Array:
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        return np.asarray(X @ np.atleast_2d(self.coef_).T + self.intercept_)

    def _weights(self, sample_weight: Any, X: Array) -> Array | None:
        if sample_weight is None:
            return None
        return np.asarray(_check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True))


class Regressor(RegressorMixin, _Linear):
    """A regression: the weighted mean of a loss of ``X @ coef_ + intercept_``, plus a penalty, at its least.

    Args:
        loss: a `symgrad.Loss` of one prediction and one target, by default the squared residual. Its own parameters
            are fitted too: ``loss_parameters_``.
        penalty: "l2" adds ``alpha/2 * sum(coef_**2)`` to the mean of the loss; None adds nothing.
        alpha: of the penalty.
        fit_intercept: whether there is an intercept, which no penalty holds.

    After `fit`: ``coef_`` (columns,), ``intercept_``, ``loss_parameters_``, ``n_iter_`` (evaluations), ``converged_``
    and ``message_``, what ended the search.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Regressor:
        """Return the estimator, fitted to X (N, columns) and y (N,). Warns where no minimum is found."""
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        loss = sg.losses.squared() if self.loss is None else self.loss
        _check_loss(loss, 1)
        kernel = kernel_of(loss)
        self._fit(kernel, X, np.asarray(y, np.float64), self._weights(sample_weight, X))
        self.coef_, self.intercept_ = self.coef_[0], self.intercept_[0]
        return self

    def predict(self, X: Any) -> Array:
        """Return the target, (N,), for which no other score than that of its row would be better.

        It is the linear predictor where the loss is one of residuals, its exponential for ``losses.poisson()``,
        ``gamma`` or ``negative_binomial``, its sigmoid for ``logistic()``; for all other losses the linear predictor.
        """
        scores = self._scores(X)[:, 0]
        kernel = kernel_of(sg.losses.squared() if self.loss is None else self.loss)
        return np.asarray(kernel.response(self._own)(scores))


def _has_probabilities(classifier: Any) -> bool:
    return bool(classifier._is_likelihood())


class Classifier(ClassifierMixin, _Linear):
    """A classification: the weighted mean of a loss of linear predictors, plus a penalty, at its least.

    Args:
        loss: a `symgrad.Loss` of one prediction for two classes, or of a column of one for each class and a label; by
            default -log of the likelihood, ``losses.logistic()`` or ``losses.softmax_cross_entropy(classes)``. The
            target is 0, 1, ... in the order of ``classes_``; -1 and 1 where a loss does not depend on the prediction
            at the target 0 (``losses.hinge()``, any function of their product).
        penalty, alpha, fit_intercept: as of a `Regressor`.

    After `fit`: ``classes_``, ``coef_`` (1 or classes, columns), ``intercept_`` (1 or classes,), and what a
    `Regressor` has.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Classifier:
        """Return the estimator, fitted to X (N, columns) and the classes y (N,). Warns where no minimum is found."""
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        weights = self._weights(sample_weight, X)
        self.classes_, codes = np.unique(y, return_inverse=True)
        seen = np.unique(codes if weights is None else codes[weights > 0])
        if len(seen) < 2:
            raise ValueError(f"y: expected samples of at least two classes, got one class, {self.classes_[seen]!r}")
        kernel = self._kernel(len(self.classes_))
        self._fit(kernel, X, _labels(kernel)[codes], weights)
        return self

    def decision_function(self, X: Any) -> Array:
        """Return how much less the loss would be if a row were of the second class than of the first, (N,).

        Of a likelihood these are the log-odds. With more classes, -loss of each, (N, classes).
        """
        losses_ = self._losses(X)
        return losses_[:, 0] - losses_[:, 1] if len(self.classes_) == 2 else -losses_

    def predict(self, X: Any) -> Any:
        """Return the class of each row for which the loss is least, (N,)."""
        decision = self.decision_function(X)
        return self.classes_[(decision > 0).astype(int) if decision.ndim == 1 else decision.argmax(axis=1)]

    @available_if(_has_probabilities)
    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class, (N, classes): exp(-loss), of a loss of which these sum up to 1."""
        found = np.exp(-self._losses(X))
        return np.asarray(found / found.sum(axis=1, keepdims=True))

    @available_if(_has_probabilities)
    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithms of `predict_proba`, (N, classes)."""
        return -self._losses(X)

    def _losses(self, X: Any) -> Array:
        """What the loss of each row would be if it were of each class."""
        scores = self._scores(X)
        return _of_each_class(self._kernel(len(self.classes_)), scores, self._own, len(self.classes_))

    def _kernel(self, classes: int) -> Kernel:
        if self.loss is None:
            return kernel_of(sg.losses.logistic() if classes == 2 else sg.losses.softmax_cross_entropy(classes))
        _check_loss(self.loss, classes)
        return kernel_of(self.loss)

    def _is_likelihood(self) -> bool:
        if self.loss is None:
            return True
        classes = max(2, numbers_in(self.loss.prediction))
        kernel = self._kernel(classes)
        scores = np.linspace(-1.5, 2.0, 3 * kernel.outputs).reshape(3, -1)
        own = getattr(self, "_own", np.ones(kernel.size - kernel.outputs))
        total = np.exp(-_of_each_class(kernel, scores, own, classes)).sum(axis=1)
        return bool((np.abs(total - 1) < 1e-9).all())

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = not isinstance(self.loss, sg.Loss) or numbers_in(self.loss.prediction) > 1
        return tags


def _of_each_class(kernel: Kernel, scores: Array, own: Array, classes: int) -> Array:
    labels = _labels(kernel)[:classes]
    rows = scores[:, 0] if kernel.outputs == 1 else scores
    return np.stack([kernel.losses(rows, np.full(len(rows), label), own) for label in labels], axis=1)


def _labels(kernel: Kernel) -> Array:
    """The target of each class."""
    (target,) = kernel.loss.targets
    is_margin = kernel.outputs == 1 and not kernel.loss.expression.xreplace({target: sp.S.Zero}).has(
        kernel.loss.prediction
    )
    return np.array([-1.0, 1.0]) if is_margin else np.arange(max(2, kernel.outputs), dtype=np.float64)


def _check_loss(loss: Any, classes: int) -> None:
    """Raise ValueError for what is no loss of so many classes; one class stands for a number."""
    if not isinstance(loss, sg.Loss):
        raise ValueError(f"loss: expected a symgrad.Loss or None, got {type(loss).__name__}; symgrad.losses has some")
    outputs = numbers_in(loss.prediction)
    if numbers_in(*loss.targets) != 1:
        raise ValueError(f"loss: expected one target, got {list(loss.targets)}; a label, or a number")
    if outputs == 1 and classes > 2:
        raise ValueError(
            "Only binary classification is supported by a loss of one prediction. The type of the target is "
            f"multiclass ({classes} classes): give a loss of {classes}, or use sklearn.multiclass.OneVsRestClassifier"
        )
    if outputs > 1 and outputs != classes:
        expected = "one prediction" if classes == 1 else f"one prediction, or of one for each of {classes} classes"
        raise ValueError(f"loss: expected a loss of {expected}, got {outputs}; declare it so")
