"""A fit as a table: text for a terminal, HTML for a notebook. Every number in it is an attribute of the fit."""

from __future__ import annotations

from html import escape
from typing import Any, TypeAlias

import numpy as np

from symgrad.errors import visible

Fit: TypeAlias = Any  # see `result`, which asks for its report
_MOST_ROWS = 60
_WORDS = {"least_squares": "least squares", "likelihood": "maximum likelihood", "loss": "least loss"}


def text_of(fit: Fit, kind: str | None, level: float) -> str:
    """Return the report of a fit: what was fitted, a table of the parameters, what is amiss."""
    rows = _rows(fit, fit.default_kind if kind is None else kind, level)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]
    return "\n".join([*_head(fit), "", *(line.rstrip() for line in lines), "", *_foot(fit)])


def html_of(fit: Fit) -> str:
    """Return the report as HTML; names are escaped."""
    first, *rows = _rows(fit, fit.default_kind, 0.95)
    head = "".join(f"<th>{escape(cell)}</th>" for cell in first)
    body = "".join(
        f"<tr><th>{escape(row[0])}</th>{''.join(f'<td>{escape(cell)}</td>' for cell in row[1:])}</tr>" for row in rows
    )
    texts = [f"<p>{'<br>'.join(map(escape, lines))}</p>" for lines in (_head(fit), _foot(fit))]
    return f"{texts[0]}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{texts[1]}"


def _head(fit: Fit) -> list[str]:
    omitted = f", {fit.data.omitted} rows omitted where numbers are missing" if fit.data.omitted else ""
    lines = [f"{fit.risk.name}: {_WORDS[fit.kind]}, {fit.n:g} samples{omitted}, {fit.n_free} free parameters"]
    if fit.kind != "loss":
        lines.append(f"log-likelihood {fit.loglikelihood:.6g}, AIC {fit.aic:.6g}, BIC {fit.bic:.6g}")
    if fit.kind == "least_squares" and fit.risk.model is not None:
        lines.append(f"standard deviation of the residuals {fit.residual_deviation:.6g}")
    return lines


def _foot(fit: Fit) -> list[str]:
    lines = [("converged: " if fit.converged else "NOT CONVERGED: ") + fit.message]
    if fit.guessed:
        lines.append(f"no start was given for {', '.join(map(visible, fit.guessed))}: the best of some was taken")
    return [*lines, *(f"! {visible(sentence)}" for sentence in fit.diagnose())]


def _rows(fit: Fit, kind: str, level: float) -> list[list[str]]:
    errors = fit.standard_errors(kind)
    limits = fit.theta[:, None] + fit.quantile(level) * np.outer(errors, [-1.0, 1.0])
    rows = [["", "estimate", f"error ({kind})", f"from ({100 * level:g} %)", "to"]]
    for place, name in enumerate(fit.names[:_MOST_ROWS]):
        row = [visible(name), f"{fit.theta[place]:.8g}", "fixed", "", ""]
        if place in fit.space.free or errors[place] > 0:
            row[2:] = [f"{errors[place]:.3g}", *(f"{limit:.6g}" for limit in limits[place])]
        rows.append(row)
    if len(fit.names) > _MOST_ROWS:
        rows.append([f"... {len(fit.names) - _MOST_ROWS} more", "", "", "", ""])
    return rows
