"""From a risk and data to estimates."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from symgrad.data import Samples, Source, samples_of
from symgrad.declare import EmpiricalRisk
from symgrad.designs import FormulaRisk, Regression
from symgrad.errors import ArrayError, DeclarationError
from symgrad.pipeline import compile as compile_risk

from .covariances import Data
from .extras import Bar
from .kinds import KINDS, kind_of, squares
from .parameters import Parameters, Space
from .problem import Problem, Progress
from .result import Fit
from .solve import SOLVERS, interrupted, solved, started

_TRIED, _SEARCHED = 2_000, 50_000  # rows on which starts are tried, and on which the optimiser works


def fit(
    risk: EmpiricalRisk | FormulaRisk,
    data: Any,
    parameters: Parameters | dict[str, Any] | None = None,
    *,
    kind: str = "auto",
    weight_kind: str = "frequency",
    method: str = "auto",
    missing: str = "raise",
    solver: str = "scipy",
    progress: Progress | str | None = None,
    **options: Any,
) -> Fit:
    """Return the fit of a risk: where it is least, and what may be said of that.

    Args:
        risk: the declared risk; it is compiled, or found in the cache. One by a formula makes its columns of the table.
        data: ``(inputs, targets)`` or ``(inputs, targets, weights)``; a table, whose columns are found by name; the
            path of a file of one; or a `symgrad.Source`.
        parameters: `symgrad.Parameters`, or a dictionary of starts. What has no start begins with the best of a few
            magnitudes and signs.
        kind: "likelihood" where the loss is a sample's -log density; "least_squares" where it is a squared residual;
            "loss" where it is neither (sandwich covariances alone); "auto" finds out.
        weight_kind: "frequency" for weights that count samples; "analytic" or "probability" for others.
        method: "auto", "least_squares", "variable_projection" (parameters that the model is linear in are solved for;
            "auto" does so where plain least squares take long or end nowhere), or a method of
            `scipy.optimize.minimize`. Newton steps follow in any case.
        missing: "raise" or "omit", as of a `symgrad.Source`: what is done with rows in which numbers are missing.
        solver: "scipy", or "iminuit" for MINUIT's search (method "migrad" or "simplex"), an extra.
        progress: "tqdm" for a bar, or what is called with (evaluations, value) as it goes on. Ctrl-C ends with the best
            so far.
        options: handed to the optimiser.

    Raises `DeclarationError` and `ArrayError`; without SciPy `MissingExtraError`.
    """
    if isinstance(risk, FormulaRisk):
        risk = risk.on(data.data if isinstance(data, Source) else data)
    if isinstance(risk, Regression):
        data = _designed(risk, data)
    if not isinstance(risk, EmpiricalRisk):
        raise DeclarationError(f"risk: expected an EmpiricalRisk, got {type(risk).__name__}; declare one")
    if kind not in ("auto", *KINDS):
        raise ArrayError(f"kind: expected 'auto' or one of {list(KINDS)}, got {kind!r}; choose one")
    if solver not in SOLVERS:
        raise ArrayError(f"solver: expected one of {list(SOLVERS)}, got {solver!r}; choose one")
    if kind == "least_squares" and risk.model is not None and squares(risk) is None:
        raise DeclarationError(
            f"kind: expected a loss that is a multiple of (prediction - target)**2 for 'least_squares', got {risk.loss}"
        )
    begin = time.perf_counter()
    given = parameters if isinstance(parameters, Parameters) else Parameters(risk, parameters)
    if given.risk is not risk:
        raise DeclarationError(
            "parameters: expected those of this risk, got another's; make them with Parameters(risk)"
        )
    space, compiled = Space(given), compile_risk(risk)
    rows = Data(samples_of((compiled.INPUTS, compiled.TARGETS), data, missing), weight_kind)
    rows.check_numbers()
    bar = _bar(risk, progress)
    problem = Problem(compiled, rows, space, bar)
    tried, searched = (
        problem if rows.rows <= many else Problem(compiled, _sampled(rows, weight_kind, many), space, bar)
        for many in (_TRIED, _SEARCHED)
    )
    is_squares = kind in ("auto", "least_squares") and risk.model is not None and squares(risk) is not None
    guessed = tuple(space.names[space.free[place]] for place in np.flatnonzero(np.isnan(space.start)))
    try:
        phi = started(problem, tried)
        solution = solved(
            problem, searched, phi, "least_squares" if is_squares else "likelihood", method, options, solver
        )
    except KeyboardInterrupt:
        best = next(p.best for p in (problem, searched, tried) if np.isfinite(p.best[0]) or p is tried)
        solution = interrupted(np.where(np.isnan(best[1]), 1.0, best[1]))
    finally:
        if isinstance(bar, Bar):
            bar.close()
    found = kind if kind != "auto" else kind_of(risk, compiled, space.theta(solution.phi), rows)
    seconds = time.perf_counter() - begin
    evaluations = sum(p.evaluations for p in {id(p): p for p in (problem, searched, tried)}.values())
    return Fit(risk, given, found, rows, compiled, space, solution, evaluations, seconds, guessed)


def _bar(risk: EmpiricalRisk, progress: Progress | str | None) -> Progress | None:
    if isinstance(progress, str):
        if progress != "tqdm":
            raise ArrayError(f"progress: expected 'tqdm', a function or None, got {progress!r}; choose one")
        return Bar(risk.name)
    return progress


def _designed(risk: Regression, data: Any) -> Any:
    """The data with the columns that the risk's formula makes of them."""
    if isinstance(data, Source):
        return data if data.is_arrays else data.on(risk.table(data.data))
    return data if isinstance(data, (tuple, list)) else risk.table(data)


def _sampled(data: Data, weight_kind: str, many: int) -> Data:
    """Some rows, evenly spread."""
    rows = np.linspace(0, data.rows - 1, many).astype(int)
    inputs, targets, weights = (None if a is None else a[:][rows] for a in data.arrays)
    return Data(Samples((inputs, targets, weights)), weight_kind)
