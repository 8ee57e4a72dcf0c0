"""A fit as a table of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from symgrad.errors import visible

if TYPE_CHECKING:
    from .result import Fit

_MOST_ROWS = 60


def text_of(fit: Fit, kind: str | None, level: float) -> str:
    """Return the report of a fit: what was fitted, a table of the parameters, what is amiss."""
    kind = fit.default_kind if kind is None else kind
    words = {"least_squares": "least squares", "likelihood": "maximum likelihood", "loss": "least loss"}[fit.kind]
    lines = [f"{fit.risk.name}: {words}, {fit.n:g} samples, {fit.n_free} free parameters"]
    if fit.kind != "loss":
        lines.append(f"log-likelihood {fit.loglikelihood:.6g}, AIC {fit.aic:.6g}, BIC {fit.bic:.6g}")
    if fit.kind == "least_squares":
        lines.append(f"standard deviation of the residuals {fit.residual_deviation:.6g}")
    lines += ["", *_table(fit, kind, level), ""]
    lines.append(("converged: " if fit.converged else "NOT CONVERGED: ") + fit.message)
    if fit.guessed:
        lines.append(f"no start was given for {', '.join(map(visible, fit.guessed))}: the best of some was taken")
    return "\n".join([*lines, *(f"! {visible(sentence)}" for sentence in fit.diagnose())])


def _table(fit: Fit, kind: str, level: float) -> list[str]:
    errors = fit.standard_errors(kind)
    limits = fit.theta[:, None] + fit.quantile(level) * np.outer(errors, [-1.0, 1.0])
    free = set(fit.space.free)
    percent = f"{100 * level:g} %"
    rows = [("", "estimate", f"error ({kind})", f"from ({percent})", "to")]
    for place, name in enumerate(fit.names[:_MOST_ROWS]):
        numbers = [f"{fit.theta[place]:.8g}", f"{errors[place]:.3g}", *(f"{limit:.6g}" for limit in limits[place])]
        rows.append(
            (visible(name), *(numbers if place in free or errors[place] > 0 else [numbers[0], "fixed", "", ""]))
        )
    widths = [max(len(row[k]) for row in rows) for k in range(5)]
    found = [
        "  ".join([row[0].ljust(widths[0]), *(row[k].rjust(widths[k]) for k in range(1, 5))]).rstrip() for row in rows
    ]
    return [*found, f"... {len(fit.names) - _MOST_ROWS} more"] if len(fit.names) > _MOST_ROWS else found
