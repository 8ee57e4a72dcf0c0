"""Objectives of gradient boosting: a loss as XGBoost and LightGBM want it, with the exact first and second derivative.

    booster = xgboost.XGBRegressor(objective=symgrad.objective(loss))

No table of theirs is touched: one function serves both, because both call it with labels and scores.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import sympy as sp

from .declare import EmpiricalRisk, Loss, Model, show
from .errors import ArrayError, DeclarationError
from .pipeline import compile_of

_ROUNDS = 200  # of Newton's method, for the start score


class Objective:
    """A loss as an objective: ``f(y_true, y_pred, sample_weight=None)`` gives its derivatives by each prediction.

    It pickles: the declaration travels, and what was compiled is found in the receiver's cache, or built there.
    """

    def __init__(self, loss: Loss, hessian: str | float, floor: float | None) -> None:
        self.loss, self.hessian, self.floor = loss, hessian, floor
        self._modules: dict[str | None, Any] = {}
        self._risk = of_scores(loss, "objective")

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tuple[Any, Any]:
        """Return (grad, hess), each (N,) or, for K scores a sample, (N, K), times the weights; hess is the diagonal."""
        scores = _scores(y_pred)
        rows = self._module("objective").per_sample_gradient(self._zero, scores, y_true)
        grad, hess = np.split(rows, 2, axis=1)
        if self.hessian == "bound":
            differences = scores - np.asarray(y_true, np.float64).reshape(scores.shape)
            with np.errstate(divide="ignore", invalid="ignore"):
                hess = np.fmax(hess, grad / differences)
        elif not isinstance(self.hessian, str):
            hess = np.full_like(hess, self.hessian)
        if self.floor is not None:
            hess = np.maximum(hess, self.floor)
        if sample_weight is not None:
            weights = np.asarray(sample_weight, np.float64).reshape(-1, 1)
            if len(weights) != len(grad):
                raise ArrayError(
                    f"sample_weight: expected an array of shape ({len(grad)},), got {np.shape(sample_weight)}; "
                    "give one number for each sample"
                )
            grad, hess = weights * grad, weights * hess
        return grad.reshape(np.shape(y_pred)), hess.reshape(np.shape(y_pred))

    def for_train(self, preds: Any, dataset: Any) -> tuple[Any, Any]:
        """Return (grad, hess) as ``xgboost.train(obj=...)`` and ``lightgbm.train`` ask, of scores and a data set."""
        weights = dataset.get_weight()
        return self(dataset.get_label(), preds, weights if weights is not None and len(weights) else None)

    def metric(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> float:
        """Return the mean loss of scores, weighted: what ``eval_metric`` of XGBoost's estimators takes."""
        return float(self._module(None).risk(self._zero, _scores(y_pred), y_true, sample_weight))

    def evaluation(self, y_true: Any, y_pred: Any, weight: Any = None) -> tuple[str, float, bool]:
        """Return (name, mean loss, False), as ``eval_metric`` of LightGBM's estimators gives it: less is better."""
        return "loss", self.metric(y_true, y_pred, weight), False

    def init_score(self, y_true: Any, sample_weight: Any = None) -> Any:
        """Return the score that is best for all samples alike: a float, or (K,). LightGBM starts at 0 unless told.

        Raises `ArrayError` where no finite score is best (all labels are the same, say).
        """
        zeros = np.zeros((len(y_true), self._size))
        risk = self._module(None).bind(zeros, y_true, sample_weight)
        curvature = self._module("hessian_diagonal").bind(zeros, y_true, sample_weight)
        score = np.zeros(self._size)
        for _ in range(_ROUNDS):
            value, gradient = risk(score)
            step = -gradient / np.maximum(np.abs(curvature(score)[1]), 1e-8 * (1.0 + np.abs(gradient)))
            while not risk(score + step)[0] <= value and np.abs(step).max() > 1e-15 * (1.0 + np.abs(score).max()):
                step /= 2
            score = score + step
            if np.abs(step).max() <= 1e-12 * (1.0 + np.abs(score).max()):
                return float(score[0]) if self._size == 1 else score
        raise ArrayError(
            f"y_true: expected labels for which a finite score is best, got none after {_ROUNDS} steps, at "
            f"{score.tolist()}; give the start score yourself"
        )

    @property
    def _size(self) -> int:
        return int(np.prod(self._risk.output_shape or (1,)))

    @property
    def _zero(self) -> Any:
        return np.zeros(self._size)

    def _module(self, name: str | None) -> Any:
        if name not in self._modules:
            self._modules[name] = compile_of(name, self._risk)
        return self._modules[name]

    def __reduce__(self) -> tuple[Any, ...]:
        return objective, (self.loss,), {"hessian": self.hessian, "floor": self.floor}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.hessian, self.floor = state["hessian"], state["floor"]

    def __repr__(self) -> str:
        return f"symgrad.objective({self.loss})"


def objective(loss: Loss, *, hessian: str | float = "exact", floor: float | None = None) -> Objective:
    """Return the objective of a loss, for XGBoost and LightGBM: a picklable ``f(y_true, y_pred, sample_weight=None)``.

    It gives (grad, hess): the derivatives of each sample's loss by its own score, times its weight. ``hessian`` is
    "exact"; "bound" where an exact one that is nearly zero far out lets steps grow too long (robust losses): then the
    curvature of the parabola above the loss that touches it there, for losses that are functions of prediction -
    target; or a number. ``floor`` is the least that a second derivative may be (XGBoost takes negative ones for zero).

    Of several scores the diagonal is exact; the libraries' own softmax takes twice that (XGBoost), or K/(K - 1) times
    (LightGBM), so theirs takes shorter steps.

    Raises `DeclarationError` for what is no loss, and for an unknown ``hessian``.
    """
    if not isinstance(loss, Loss):
        raise DeclarationError(f"loss: expected a Loss, got {type(loss).__name__}; make one with Loss(...)")
    if loss.parameters:
        raise DeclarationError(
            f"loss: expected one without parameters of its own, got {show(loss.parameters[0])} in it; an objective is "
            "a function of the scores alone: give it a number"
        )
    number = isinstance(hessian, (int, float)) and not isinstance(hessian, bool) and hessian > 0
    if not number and hessian not in ("exact", "bound"):
        raise DeclarationError(f"hessian: expected 'exact', 'bound' or a positive number, got {hessian!r}; choose one")
    if hessian == "bound" and (isinstance(loss.prediction, sp.MatrixSymbol) or len(loss.targets) != 1):
        raise DeclarationError("hessian: 'bound' is for losses of one prediction and one target; give a number")
    return Objective(loss, hessian, floor)


def of_scores(loss: Loss, name: str) -> EmpiricalRisk:
    """Return the risk whose inputs are scores: its gradient, at a theta of zeros, is that by each sample's score.

    The loss's own parameters follow in theta.
    """
    shift = _shift(loss)
    model = Model(loss.prediction + shift, inputs=[loss.prediction], parameters=[shift])
    return EmpiricalRisk(model, loss, name=name)


def _shift(loss: Loss) -> Any:
    """What is added to the prediction, and is zero: what to differentiate by. Its name is nobody's."""
    taken = {str(symbol.name) for symbol in (loss.prediction, *loss.targets, *loss.parameters)}
    name = next(name for name in map("shift{}".format, range(len(taken) + 1)) if name not in taken)
    whole = isinstance(loss.prediction, sp.MatrixSymbol)
    return sp.MatrixSymbol(name, *loss.prediction.shape) if whole else sp.Symbol(name, real=True)


def _scores(y_pred: Any) -> Any:
    scores = np.asarray(y_pred, np.float64)
    return scores.reshape(len(scores), -1) if scores.ndim else scores
