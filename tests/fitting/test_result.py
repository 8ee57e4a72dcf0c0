"""What a fit can be asked for besides its table: rows that matter, profiles, pictures, a pickle, progress."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from symgrad.errors import ArrayError, DeclarationError

x, y, z, A, k, C = sp.symbols("x y z A k C", real=True)
DECAY = sg.EmpiricalRisk(
    sg.Model(A * sp.exp(-k * x) + C, [x], [A, k, C]), sg.Loss((z - y) ** 2 / 2, z, y), name="decay_and_level"
)
RANDOM = np.random.default_rng(3)
ROWS = RANDOM.uniform(0, 5, 200)
AIMS = 3 * np.exp(-0.7 * ROWS) + 0.2 + 0.05 * RANDOM.normal(size=200)
GAUSS = sg.regression(sg.losses.gaussian(sp.Symbol("sigma", positive=True)), columns=["x"], target="y", name="normal")


@pytest.fixture(scope="module")
def decay() -> sg.Fit:
    return sg.fit(DECAY, (ROWS, AIMS), {"A": 1, "k": 1, "C": 0})


@pytest.mark.parametrize("weights", [None, np.arange(200) % 3.0], ids=["plain", "weighted"])
def test_leave_one_out_is_a_fit_without_the_row(weights: Any) -> None:
    data = (ROWS, AIMS) if weights is None else (ROWS, AIMS, weights)
    fit = sg.fit(DECAY, data, {"A": 1, "k": 1, "C": 0})
    rows, moved = fit.leave_one_out(3)
    assert (rows.shape, moved.shape) == ((3,), (3, 3))
    sizes = np.abs(fit.influence() / fit.standard_errors()).max(axis=1)
    assert rows.tolist() == np.argsort(-sizes)[:3].tolist()
    for row, move in zip(rows, moved, strict=True):
        rest = tuple(np.delete(part, row) for part in data)
        again = sg.fit(DECAY, rest, {"A": 1, "k": 1, "C": 0})
        assert move == pytest.approx(again.theta - fit.theta, rel=1e-6, abs=1e-12)
        assert np.abs(move - fit.influence()[row]).max() < 0.2 * np.abs(move).max()
    with pytest.raises(ArrayError, match="top: expected a whole number >= 1, got 0"):
        fit.leave_one_out(0)


def test_a_profile_is_the_rise_of_the_loss(decay: sg.Fit) -> None:
    estimate, error = decay.values["k"], decay.standard_errors()[1]
    rises = decay.profile("k", [estimate - error, estimate, estimate + error])
    assert rises[1] == pytest.approx(0, abs=1e-12)
    assert rises[[0, 2]] / decay.dispersion == pytest.approx([0.5, 0.5], rel=0.05)
    low, high = decay.confidence_intervals(0.9, method="profile")[1]
    ends = decay.profile("k", [low, high]) / decay.dispersion
    assert ends == pytest.approx(decay.quantile(0.9) ** 2 / 2, rel=1e-4)
    with pytest.raises(DeclarationError, match="name: expected a free parameter that is one number, got 'B'"):
        decay.profile("B", [0.0])


def test_a_fit_is_pickled_and_goes_on(tmp_path: Any) -> None:
    parameters = sg.Parameters(DECAY, A=1.0, k=0.5, C=0.1)
    parameters["k"].transform, parameters["A"].lower, parameters["A"].upper = "log", 0.0, 10.0
    parameters["A"].transform, parameters["C"].equals = "logit", A / 20
    fit = sg.fit(DECAY, {"x": ROWS, "y": AIMS}, parameters)
    fit.covariance()
    for same in (pickle.loads(pickle.dumps(fit)), copy.deepcopy(fit)):  # noqa: S301
        assert (same.theta == fit.theta).all()
        assert same.report() == fit.report()
        assert (same.covariance("HC1") == fit.covariance("HC1")).all()
        assert (same.predict({"x": ROWS[:3]}) == fit.predict(ROWS[:3])).all()
    softplus = sg.Parameters(DECAY, A=1.0, k=0.5, C=0.1)
    softplus["A"].transform = "softplus"
    other = sg.fit(DECAY, (ROWS, AIMS), softplus)
    assert pickle.loads(pickle.dumps(other)).report() == other.report()  # noqa: S301


def test_pictures(decay: sg.Fit, tmp_path: Any) -> None:
    figure = decay.plot()
    data, residuals, profile, correlation, bar = figure.axes
    assert (data.get_xlabel(), data.get_ylabel()) == ("x", "y")
    points, curve = data.get_lines()
    assert np.sort(points.get_xdata()) == pytest.approx(np.sort(ROWS))
    assert curve.get_ydata() == pytest.approx(decay.predict(curve.get_xdata()))
    assert residuals.get_lines()[0].get_ydata() == pytest.approx(-decay.compiled.residuals(decay.theta, ROWS, AIMS))
    names = [text.get_text() for text in profile.get_legend().get_texts()]
    assert names == ["A", "k", "C", "a parabola"]
    assert profile.get_lines()[1].get_ydata()[4] == pytest.approx(0, abs=1e-9)
    assert np.asarray(correlation.get_images()[0].get_array()) == pytest.approx(decay.correlation())
    assert bar.get_ylabel() == "correlation"
    figure.savefig(tmp_path / "fit.png")
    assert (tmp_path / "fit.png").stat().st_size > 10_000
    assert [axes.get_ylabel() for axes in decay.plot("residuals").axes] == ["target - prediction"]
    with pytest.raises(ArrayError, match=r"panels: expected some of \['data', .*, got 'curve'"):
        decay.plot(["curve"])


def test_pictures_of_a_likelihood_and_of_what_has_no_model() -> None:
    table = {"x": ROWS, "y": AIMS}
    figure = sg.fit(GAUSS, table).plot()
    assert [axes.get_xlabel() for axes in figure.axes[:2]] == ["x", "prediction"]
    mu, s = sp.Symbol("mu"), sp.Symbol("s", positive=True)
    alone = sg.EmpiricalRisk.from_expression(
        sp.log(s) + (y - mu) ** 2 / (2 * s**2) + sp.log(2 * sp.pi) / 2, inputs=[], targets=[y], parameters=[mu, s]
    )
    assert len(sg.fit(alone, (None, AIMS)).plot().axes) == 3


def test_progress_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    seen = list[int]()
    sg.fit(DECAY, (ROWS, AIMS), {"A": 1, "k": 1, "C": 0}, progress=lambda evaluations, value: seen.append(evaluations))
    assert seen
    assert seen[0] == 1
    sg.fit(DECAY, (ROWS, AIMS), {"A": 1, "k": 1, "C": 0}, progress="tqdm")
    assert "fitting decay_and_level" in capsys.readouterr().err
    with pytest.raises(ArrayError, match="progress: expected 'tqdm', a function or None, got 'bar'"):
        sg.fit(DECAY, (ROWS, AIMS), progress="bar")


@pytest.mark.parametrize("many", [1, 3, 30, 120])
def test_an_interrupt_at_any_moment_gives_the_best_so_far(many: int) -> None:
    values = list[float]()

    def impatient(evaluations: int, value: float) -> None:
        values.append(value)
        if len(values) == many:
            raise KeyboardInterrupt

    fit = sg.fit(GAUSS, {"x": ROWS, "y": AIMS}, progress=impatient)
    if fit.converged:
        assert len(values) < many
        return
    assert fit.message == "interrupted: the best so far"
    best = min((v for v in values if np.isfinite(v)), default=np.inf)
    assert fit.compiled.risk(fit.theta, {"x": ROWS, "y": AIMS}) == pytest.approx(best)
    assert "NOT CONVERGED" in repr(fit)
