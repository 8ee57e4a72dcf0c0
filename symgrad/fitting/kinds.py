"""What kind of loss it is: what may be said of a fit hangs on it."""

from __future__ import annotations

from typing import Any

import numpy as np
import sympy as sp

from symgrad.declare import EmpiricalRisk, leaves

from .covariances import Data
from .parameters import Array

KINDS = ("least_squares", "likelihood", "loss")
_NODES = 4001
_NEARLY_ONE = 1e-6
_COLUMNS, _FEW = 32, 4  # columns that are looked at, and values that are few


def squares(risk: EmpiricalRisk) -> float | None:
    """Return c where the loss is c/2 times the sum of the squares of prediction - target, else None."""
    predictions, targets = leaves(*risk.predictions), leaves(*risk.targets)
    if not predictions or len(predictions) != len(targets) or risk.penalty is not None:
        return None
    loss: Any = risk.loss.as_explicit()[0, 0] if isinstance(risk.loss, sp.MatrixExpr) else risk.loss
    names = {leaf: sp.Dummy(real=True) for leaf in (*predictions, *targets)}
    loss = loss.xreplace(names)
    first = names[predictions[0]]
    curvature = sp.diff(loss, first, 2)
    if not curvature.is_number or not curvature.is_positive:
        return None
    rest = [names[p] - names[t] for p, t in zip(predictions, targets, strict=True)]
    return float(curvature) if sp.expand(loss - curvature * sum(r**2 for r in rest) / 2) == 0 else None


def kind_of(risk: EmpiricalRisk, compiled: Any, theta: Array, data: Data) -> str:
    """Return the kind of a loss, at a theta: "least_squares", "likelihood" or "loss".

    It is a likelihood where its `Loss` says so (one of counts, where the targets are counts), or where exp(-loss) sums
    up to one over the target: over the real line, the positive numbers, those between 0 and 1, or the whole numbers
    from 0 on, without end or up to the greatest target.
    """
    if squares(risk) is not None:
        return "least_squares"
    if risk.normalisation is not None:
        return "likelihood" if not _counts(risk) or _is_whole(data.known_targets) else "loss"
    if len(leaves(*risk.targets)) != 1 or data.rows == 0:
        return "loss"
    rows = _rows(data)
    sums_up = any(all(_is_one(compiled, theta, row, *grid) for row in rows) for grid in _grids(data))
    return "likelihood" if sums_up else "loss"


def _rows(data: Data) -> list[Any]:
    """Inputs to try, (1, D) each: a row, and one for each value of columns of few values, as flags of censoring are.

    Of these a density may hold for some rows alone, whichever comes first.
    """
    if data.inputs is None:
        return [None]
    inputs = np.asarray(data.inputs, np.float64).reshape(data.rows, -1)
    kept = np.arange(len(inputs)) if data.weights is None else np.flatnonzero(data.weights)
    places = {int(kept[0])}
    for column in inputs[kept].T[:_COLUMNS]:
        values, first = np.unique(column, return_index=True)
        places.update(kept[first].tolist() if len(values) <= _FEW else [])
    return [inputs[place : place + 1] for place in sorted(places)]


def constant_of(risk: EmpiricalRisk, data: Data) -> float:
    """Return what -log of the data's density has beside the sum of the losses."""
    if risk.normalisation is None:
        return 0.0
    if not risk.normalisation.expr.has(*risk.normalisation.variables):
        return float(risk.normalisation.expr) * data.total * len(leaves(*risk.targets))
    total = sp.Float(0)
    for value, weight in data.counted_targets():
        total += weight * risk.normalisation(sp.Float(value)).evalf(20)
    return float(total)


def _counts(risk: EmpiricalRisk) -> bool:
    (number,) = risk.normalisation.variables
    return bool(number.is_integer)


def _is_whole(targets: Array) -> bool:
    return bool((targets >= 0).all() and (targets == np.floor(targets)).all())


def _is_one(compiled: Any, theta: Array, row: Any, points: Array, weights: Array) -> bool:
    inputs = None if row is None else np.broadcast_to(row, (len(points), row.shape[1]))
    with np.errstate(all="ignore"):
        density = np.exp(-np.asarray(compiled.per_sample_loss(theta, inputs, points), np.float64))
        total = float(np.nansum(np.where(weights > 0, density * weights, 0.0)))
    return abs(total - 1) < _NEARLY_ONE


def _grids(data: Data) -> list[tuple[Array, Array]]:
    """Points and weights that sum a density up: by tanh-sinh rules about where the targets lie, and by counting."""
    targets = data.known_targets
    middle, width = float(np.median(targets)), float(np.std(targets)) or 1.0
    t = np.linspace(-5.5, 5.5, _NODES)
    step = t[1] - t[0]
    line = np.sinh(np.pi / 2 * np.sinh(t))
    slope = np.pi / 2 * np.cosh(t) * np.cosh(np.pi / 2 * np.sinh(t))
    half = np.exp(np.pi / 2 * np.sinh(t))
    unit = 1 / (1 + np.exp(-np.pi * np.sinh(t)))
    observed = np.arange(min(max(targets.max(), 0), 1e5) + 1)  # labels, or successes among so many trials
    counts = np.arange(int(min(20 * max(targets.max(), 1) + 200, 2e5)), dtype=np.float64)
    return [
        (middle + width * line, step * width * slope),
        (width * half, step * width * np.pi / 2 * np.cosh(t) * half),
        (unit, step * np.pi * np.cosh(t) * unit * (1 - unit)),
        (counts, np.ones(len(counts))),
        (observed, np.ones(len(observed))),
    ]
