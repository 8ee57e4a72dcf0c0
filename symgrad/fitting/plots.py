"""A fit as pictures: data and curve, residuals, profiles of the loss, correlations. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from symgrad.declare import check_quantity
from symgrad.errors import ArrayError, DeclarationError, visible

from .extras import matplotlib_figure

Fit: TypeAlias = Any  # see `result`, which asks for its pictures
PANELS = ("data", "residuals", "profile", "correlation")
_MOST_POINTS, _MOST_PROFILES, _MOST_ROWS, _MOST_NAMES = 5_000, 4, 200_000, 30
_INK, _POINTS, _CURVE = "#333333", "#7a8ba3", "#b5482a"


def figure_of(fit: Fit, panels: Sequence[str] | None) -> Any:
    """Return a matplotlib figure with a panel for each of ``panels``; by default for all that this fit has."""
    given = [panels] if isinstance(panels, str) else panels
    for panel in given or ():
        if panel not in PANELS:
            raise ArrayError(f"panels: expected some of {list(PANELS)}, got {panel!r}; choose of these")
    drawn = [panel for panel in (PANELS if given is None else given) if given is not None or _has(fit, panel)]
    if not drawn:
        raise ArrayError("panels: expected at least one that this fit has, got none; fit a model, or pass panels=")
    figure = matplotlib_figure().Figure(figsize=(6.0 * min(len(drawn), 2), 4.2 * -(-len(drawn) // 2)))
    figure.set_layout_engine("constrained")
    for place, panel in enumerate(drawn, 1):
        axes = figure.add_subplot(-(-len(drawn) // 2), min(len(drawn), 2), place)
        _DRAW[panel](fit, axes)
    return figure


def _has(fit: Fit, panel: str) -> bool:
    if panel == "data":
        return fit.risk.output_shape == () and bool(fit.risk.outputs)
    if panel == "residuals":
        return fit.risk.output_shape == () and _has_residuals(fit)
    if panel == "profile":
        return fit.kind != "loss" and fit.data.rows <= _MOST_ROWS and bool(_scalars(fit))
    return bool(fit.n_free > 1)


def _has_residuals(fit: Fit) -> bool:
    try:
        check_quantity("residuals", fit.risk)
    except DeclarationError:
        return False
    return True


def _scalars(fit: Fit) -> list[str]:
    """The free parameters that are numbers, and have an error."""
    errors = dict(zip(fit.names, fit.standard_errors(), strict=True))
    free = [fit.names[place] for place in fit.space.free]
    return [name for name in free if name in fit.parameters and errors[name] > 0][:_MOST_PROFILES]


def _rows(fit: Fit) -> Any:
    """Some rows that have a weight."""
    kept = np.arange(fit.data.rows) if fit.data.weights is None else np.flatnonzero(fit.data.weights)
    return kept[np.linspace(0, len(kept) - 1, min(len(kept), _MOST_POINTS)).astype(int)]


def _data(fit: Fit, axes: Any) -> None:
    rows = _rows(fit)
    targets = np.asarray(fit.data.targets[:], np.float64).reshape(fit.data.rows, -1)[rows, 0]
    inputs = None if fit.data.inputs is None else np.asarray(fit.data.inputs[:], np.float64)[rows]
    inputs = None if inputs is None else inputs.reshape(len(rows), -1)
    target = visible(str(fit.risk.targets[0].name))
    if inputs is None or inputs.shape[1] != 1:
        predicted = fit.compiled.predict(fit.theta, inputs if inputs is not None else np.empty((len(rows), 0)))
        axes.plot(predicted, targets, ".", color=_POINTS, markersize=3)
        axes.set(xlabel="prediction", ylabel=target)
        if _has_residuals(fit):
            axes.axline((float(np.mean(predicted)),) * 2, slope=1.0, color=_CURVE, linewidth=1.2)
        return
    grid = np.linspace(inputs.min(), inputs.max(), 400)
    axes.plot(inputs[:, 0], targets, ".", color=_POINTS, markersize=3)
    curve, lower, upper = fit.predict(grid, "confidence")
    axes.plot(grid, curve, color=_CURVE, linewidth=1.4)
    if np.isfinite(lower).all():
        axes.fill_between(grid, lower, upper, color=_CURVE, alpha=0.2, linewidth=0)
    axes.set(xlabel=visible(str(fit.risk.inputs[0].name)), ylabel=target)


def _residuals(fit: Fit, axes: Any) -> None:
    rows = _rows(fit)
    inputs, targets = (None if a is None else np.asarray(a[:], np.float64)[rows] for a in fit.data.arrays[:2])
    given = np.empty((len(rows), 0)) if inputs is None else inputs
    predicted = np.asarray(fit.compiled.predict(fit.theta, given), np.float64).ravel()
    axes.plot(predicted, np.asarray(targets).ravel() - predicted, ".", color=_POINTS, markersize=3)
    axes.axhline(0.0, color=_INK, linewidth=0.8)
    axes.set(xlabel="prediction", ylabel="target - prediction")


def _profile(fit: Fit, axes: Any) -> None:
    steps = np.linspace(-3, 3, 9)
    errors = dict(zip(fit.names, fit.standard_errors(), strict=True))
    for name in _scalars(fit):
        values = fit.values[name] + steps * errors[name]
        rises = fit.profile(name, values) / fit.dispersion
        axes.plot(steps, rises, marker="o", markersize=3, linewidth=1.2, label=visible(name))
    axes.plot(steps, steps**2 / 2, color=_INK, linewidth=0.8, linestyle=":", label="a parabola")
    axes.set(xlabel="standard errors from the estimate", ylabel="rise of -log likelihood")
    axes.legend(frameon=False, fontsize="small")


def _correlation(fit: Fit, axes: Any) -> None:
    free = fit.space.free[:_MOST_NAMES]
    names = [visible(fit.names[place]) for place in free]
    shown = axes.imshow(fit.correlation()[np.ix_(free, free)], vmin=-1, vmax=1, cmap="RdBu_r")
    axes.set_xticks(range(len(free)), names, rotation=90, fontsize="small")
    axes.set_yticks(range(len(free)), names, fontsize="small")
    axes.figure.colorbar(shown, ax=axes, label="correlation")


_DRAW = {"data": _data, "residuals": _residuals, "profile": _profile, "correlation": _correlation}
