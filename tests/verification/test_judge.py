"""Verification itself: the ULP distance, the points, what passes and what does not, and the report for a person."""

import math
import sys
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy as sp

from symgrad.declare import EmpiricalRisk, Loss, Model
from symgrad.oracle import Reference
from symgrad.verification import Report, verify
from symgrad.verification.judge import GATE, Row, ulp_error, verify_compiled
from symgrad.verification.points import OUTSIDE, draw
from symgrad.verification.tally import Tally

A, k, x, y, z = sp.symbols("A k x y z")
INF, NAN = math.inf, math.nan
BIGGEST = 2.0**1023 * (2 - 2**-52)
TINY = 2.0**-1074
Function = Callable[..., Any]


DECAY = A * sp.exp(-k * x)


def declared(model: Any = DECAY) -> EmpiricalRisk:
    loss = Loss((z - y) ** 2 / 2, prediction=z, target=y)
    return EmpiricalRisk(Model(model, inputs=[x], parameters=[A, k]), loss, name="decay")


def expression(loss: Any, parameters: Any, targets: Any = ()) -> EmpiricalRisk:
    return EmpiricalRisk.from_expression(loss, inputs=[], targets=list(targets), parameters=list(parameters))


def text_of(report: Report) -> str:
    """The report without its line breaks."""
    return " ".join(str(report).split())


class Numpy:
    """Stands in for a compiled risk: its loss and gradient for one row, in NumPy."""

    def __init__(self, loss: Function, gradient: Function) -> None:
        self.loss, self.gradient = loss, gradient

    def per_sample_loss(self, theta: Any, inputs: Any, targets: Any) -> Any:
        with np.errstate(all="ignore"):
            return np.array([self.loss(theta, u, t) for u, t in zip(inputs, targets, strict=True)])

    def per_sample_gradient(self, theta: Any, inputs: Any, targets: Any) -> Any:
        with np.errstate(all="ignore"):
            return np.array([self.gradient(theta, u, t) for u, t in zip(inputs, targets, strict=True)])


def decay_loss(theta: Any, u: Any, t: Any) -> Any:
    return (theta[0] * np.exp(-theta[1] * u[0]) - t[0]) ** 2 / 2


def decay_gradient(theta: Any, u: Any, t: Any) -> list[Any]:
    factor = np.exp(-theta[1] * u[0])
    residual = theta[0] * factor - t[0]
    return [residual * factor, -residual * theta[0] * u[0] * factor]


RIGHT = Numpy(decay_loss, decay_gradient)


# ------------------------------------------------------------------------------------------------------ the distance


@pytest.mark.parametrize(
    ("got", "expected", "ulp"),
    [
        (1.0, mpmath.mpf(1), 0.0),
        (1.0 + 2**-52, mpmath.mpf(1), 1.0),
        (1.0 - 2**-53, mpmath.mpf(1), 0.5),  # below a power of two the doubles are twice as dense
        (2.0, mpmath.mpf(2) - mpmath.mpf(2) ** -52, 1.0),
        (-3.0, mpmath.mpf(3), 6 * 2.0**51),
        (0.0, mpmath.mpf(0), 0.0),
        (TINY, mpmath.mpf(0), 1.0),
        (-0.0, mpmath.mpf(0), 0.0),
        (TINY, mpmath.mpf(TINY) / 4, 0.75),
        (0.0, mpmath.mpf(TINY) / 4, 0.25),
        (0.0, mpmath.mpf(10) ** -400, 0.0),
        (2.0**-1022 + TINY, mpmath.mpf(2) ** -1022, 1.0),
        (2.0**-1030, mpmath.mpf(2) ** -1030 + 3 * mpmath.mpf(TINY), 3.0),
        (BIGGEST, mpmath.mpf(BIGGEST), 0.0),
        (BIGGEST, mpmath.mpf(2) ** 1024, 1.0),
        (INF, mpmath.mpf(BIGGEST), 1.0),
        (INF, mpmath.mpf(10) ** 400, 0.0),
        (-INF, -(mpmath.mpf(10) ** 400), 0.0),
        (BIGGEST, mpmath.mpf(10) ** 400, 1.0),
        (INF, mpmath.mpf(1), INF),
        (NAN, mpmath.mpf(1), INF),
        (NAN, mpmath.mpf(10) ** 400, INF),
        (NAN, mpmath.nan, 0.0),
        (1.0, mpmath.nan, INF),
        (INF, mpmath.inf, 0.0),
        (NAN, mpmath.inf, 0.0),
        (BIGGEST, mpmath.inf, INF),
        (0.0, mpmath.inf, INF),
    ],
)
def test_ulp_error(got: float, expected: Any, ulp: float) -> None:
    assert ulp_error(got, expected) == pytest.approx(ulp, rel=1e-300, abs=1e-15)


def test_ulp_error_of_an_overflow_with_the_wrong_sign_is_huge() -> None:
    assert ulp_error(-INF, mpmath.mpf(10) ** 400) >= 2.0**53


def test_ulp_error_uses_every_digit_of_the_expected_number() -> None:
    with mpmath.workdps(60):
        third = mpmath.mpf(1) / 3
    assert ulp_error(1 / 3, third) == pytest.approx(1 / 3, rel=1e-12)


# -------------------------------------------------------------------------------------------------- what passes


def test_a_right_gradient_passes() -> None:
    report = verify_compiled(declared(), RIGHT, samples=100)
    assert report.passed, report.table()
    assert report.samples == 100
    assert [row.name for row in report.rows] == ["A", "k"]
    assert all(row.median < 2 and row.compared > 85 for row in report.rows)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda g: [g[0], -g[1]],
        lambda g: [g[0], g[1] * (1 + 1e-12)],
        lambda g: [g[0], 0.0],
        lambda g: [g[0], NAN],
        lambda g: [g[0], g[1] + 1e-9],
        lambda g: [g[0], float(np.float32(g[1]))],
    ],
)
def test_a_wrong_derivative_fails_by_name(wrong: Function) -> None:
    report = verify_compiled(declared(), Numpy(decay_loss, lambda *row: wrong(decay_gradient(*row))), samples=60)
    assert not report.passed
    assert [row.passed for row in report.rows] == [True, False]
    assert report.worst.name == "k"
    assert "FAILED: k " in str(report)
    assert set(report.worst.point) == {"A", "k", "x", "y"}


def test_swapped_derivatives_and_a_wrong_loss_fail() -> None:
    swapped = Numpy(decay_loss, lambda *row: decay_gradient(*row)[::-1])
    assert not any(row.passed for row in verify_compiled(declared(), swapped, samples=40).rows)
    halved = verify_compiled(declared(), Numpy(lambda *row: decay_loss(*row) / 2, decay_gradient), samples=40)
    assert all(row.passed for row in halved.rows)
    assert not halved.loss.passed
    assert not halved.passed


def test_a_rare_mistake_is_found() -> None:
    """Wrong at a kink alone: the points hold zeros, the declaration's numbers and ties."""
    risk = expression(sp.Abs(A - 2) + 0 * k + y * k, [A, k], [y])
    right = Numpy(lambda t, u, v: abs(t[0] - 2) + v[0] * t[1], lambda t, u, v: [np.sign(t[0] - 2), v[0]])
    at_the_kink = Numpy(right.loss, lambda t, u, v: [1.0 if t[0] >= 2 else -1.0, v[0]])
    assert verify_compiled(risk, right).passed
    assert not verify_compiled(risk, at_the_kink).passed


def test_the_worst_point_is_the_true_one() -> None:
    report = verify_compiled(declared(), RIGHT, samples=50)
    row = report.rows[1]
    point = row.point
    gradient = decay_gradient((point["A"], point["k"]), (point["x"],), (point["y"],))
    exact = Reference(declared()).sample([point["A"], point["k"]], [point["x"]], [point["y"]])
    assert row.got == gradient[1]
    assert row.ulp == ulp_error(row.got, exact.gradient[1])
    assert row.expected == mpmath.nstr(exact.gradient[1], 20)


def test_cancellation_is_excused_but_only_as_far_as_it_goes() -> None:
    risk = expression((sp.exp(A) - sp.exp(k)) ** 2, [A, k])

    def slopes(t: Any, worse: float) -> list[Any]:
        difference = 2 * (np.exp(t[0]) - np.exp(t[1]))
        return [difference * np.exp(t[0]) * worse, -difference * np.exp(t[1])]

    def against(worse: float) -> Report:
        return verify_compiled(
            risk, Numpy(lambda t, u, v: (np.exp(t[0]) - np.exp(t[1])) ** 2, lambda t, u, v: slopes(t, worse)), 100
        )

    assert against(1.0).passed
    assert not against(1 + 1e-13).passed


def test_a_point_past_its_bound_is_shown_before_a_larger_excused_error() -> None:
    tally = Tally("w")
    for ulp, bound in [(3.0, GATE), (900.0, 1000.0), (5.0, GATE), (200.0, 1000.0)]:
        tally.add(ulp, bound, 1.0, mpmath.mpf(1), ())
    row = tally.row(lambda point: {})
    assert (row.ulp, row.passed, row.median) == (5.0, False, 200.0)


def test_undefined_losses_must_not_be_numbers() -> None:
    risk = expression(sp.log(A) * y, [A], [y])

    def log(value: float) -> float:
        return float(np.log(value))

    right = Numpy(lambda t, u, v: log(t[0]) * v[0], lambda t, u, v: [v[0] / t[0]])
    careless = Numpy(lambda t, u, v: log(abs(t[0])) * v[0], lambda t, u, v: [v[0] / t[0]])
    report = verify_compiled(risk, right)
    assert report.passed
    assert 0 < report.undefined <= OUTSIDE * 200
    assert "undefined" in str(report)
    assert not verify_compiled(risk, careless).loss.passed


def test_what_is_out_of_reach_is_told_and_not_counted() -> None:
    risk = expression(sp.exp(200 * A) / (2 + sp.exp(200 * A)), [A])

    def loss(t: Any, u: Any, v: Any) -> Any:
        return np.exp(200 * t[0]) / (2 + np.exp(200 * t[0]))

    def naive(t: Any, u: Any, v: Any) -> list[Any]:
        return [400 * np.exp(200 * t[0]) / (2 + np.exp(200 * t[0])) ** 2]

    report = verify_compiled(risk, Numpy(loss, naive), 80, seed=2)
    assert report.passed, report.table()
    assert report.rows[0].out_of_reach > 0
    assert "out of double precision's reach" in text_of(report)
    assert any(finding.kind == "overflows" for finding in report.findings)


def test_overflow_must_come_out_as_an_infinity_with_its_sign() -> None:
    risk = expression(-sp.exp(sp.exp(A) * 300), [A])

    def slope(t: Any, u: Any, v: Any) -> list[Any]:
        return [-np.exp(np.exp(t[0]) * 300) * np.exp(t[0]) * 300]

    def loss(t: Any, u: Any, v: Any) -> Any:
        return -np.exp(np.exp(t[0]) * 300)

    def report(loss: Function, slope: Function) -> Report:
        return verify_compiled(risk, Numpy(loss, slope), 120)

    assert report(loss, slope).passed
    assert not report(lambda *row: abs(loss(*row)), slope).loss.passed
    assert not report(loss, lambda *row: [max(slope(*row)[0], -BIGGEST / 2)]).rows[0].passed


def test_no_point_in_the_domain_is_no_pass() -> None:
    risk = expression(sp.log(-1 - A**2 - k**2), [A, k])
    report = verify_compiled(risk, Numpy(lambda t, u, v: NAN, lambda t, u, v: [NAN, NAN]), samples=20)
    assert not report.passed
    assert "positive=True" in str(report)


# ------------------------------------------------------------------------------------------------------- the points


def test_points_suit_the_assumptions() -> None:
    p, n, q = sp.Symbol("p", positive=True), sp.Symbol("n", negative=True), sp.Symbol("q", nonnegative=True)
    m, r = sp.Symbol("m", integer=True, nonnegative=True), sp.Symbol("r")
    risk = expression(sp.sqrt(p) * r + q + n + m, [p, n, q, r], [m])
    blocks = draw(risk, Reference(risk), 200, 3)
    theta = np.array([block.theta for block in blocks])
    counts = np.array([row for block in blocks for row in block.targets])
    assert np.all(theta[:, 0] > 0)
    assert np.all(theta[:, 1] < 0)
    assert np.all(theta[:, 2] >= 0)
    assert theta[:, 3].min() < 0 < theta[:, 3].max()
    assert np.all(counts >= 0)
    assert np.all(counts == np.round(counts))
    assert len(np.unique(counts)) > 3


def test_labels_stay_within_the_matrix() -> None:
    scores, label = sp.MatrixSymbol("z", 4, 1), sp.Symbol("label", integer=True)
    w = sp.MatrixSymbol("W", 4, 1)
    loss = Loss(scores[label, 0] ** 2, prediction=scores, target=label)
    risk = EmpiricalRisk(Model(w * x, inputs=[x], parameters=[w]), loss)
    drawn = {row[0] for block in draw(risk, Reference(risk), 100, 0) for row in block.targets}
    assert drawn == {0.0, 1.0, 2.0, 3.0}


def test_points_lie_mostly_in_the_domain_and_share_their_parameters() -> None:
    risk = declared(sp.log(A) * sp.sqrt(k - x))
    reference = Reference(risk)
    blocks = draw(risk, reference, 200, 0)
    losses = [
        reference.rough_loss(block.theta, u, t)
        for block in blocks
        for u, t in zip(block.inputs, block.targets, strict=True)
    ]
    undefined = sum(bool(mpmath.isnan(loss)) for loss in losses)
    assert len(losses) == 200
    assert 0 < undefined <= OUTSIDE * 200
    assert 20 <= len(blocks) <= 100


def test_the_same_seed_gives_the_same_points() -> None:
    risk = declared()
    reference = Reference(risk)
    assert draw(risk, reference, 50, 1) == draw(risk, reference, 50, 1)
    assert draw(risk, reference, 50, 1) != draw(risk, reference, 50, 2)


# ------------------------------------------------------------------------------------------------------- the report


def test_the_report_is_deterministic_and_readable() -> None:
    first, second = (verify_compiled(declared(), RIGHT, samples=40) for _ in range(2))
    assert first == second
    text = first.table()
    assert text == str(first)
    lines = text.splitlines()
    assert lines[0] == "decay: compiled gradient against 50 digits at 40 samples (seed 0)"
    assert lines[1].startswith("PASSED")
    table = lines[lines.index("") + 1 :]
    assert table[0].split() == ["worst", "ULP", "bound", "median", "compiled", "at"]
    assert [line[:10].split() for line in table[1:4]] == [["d/d", "A"], ["d/d", "k"], ["loss"]]
    assert table[1].endswith("(1)")
    assert table[5].startswith("  (1) A=")
    assert max(map(len, lines)) <= 78


def row(name: str, ulp: float) -> Row:
    return Row(name, ulp, GATE, 0.3, 1.0, "1.0", {"t": 1.0}, 10, 0, 0)


def test_many_parameters_show_the_worst_first() -> None:
    rows = tuple(row(f"w{i}", i / 100 + (90 if i == 7 else 0)) for i in range(50))
    text = Report("net", rows, row("loss", 0.1), 10, 0, 50, 0).table()
    named = [line.split("d/d ")[1].split()[0] for line in text.splitlines() if "d/d" in line and "true" not in line]
    assert named[:3] == ["w7", "w49", "w48"]
    assert len(named) == 20
    assert "... and 30 more derivatives, none of them worse" in text
    assert "FAILED: w7 " in text


def test_long_points_are_cut() -> None:
    for count, left in [(40, 28), (100, 96)]:
        long = Row("w", 0.5, GATE, 0.3, 1.0, "1.0", {f"u{i}": 1.0 for i in range(count)}, 10, 0, 0)
        assert f"... ({left} more)" in Report("net", (long,), long, 10, 0, 50, 0).table()


def test_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    verify_compiled(declared(), RIGHT, samples=30, progress=lambda done, wanted: told.append((done, wanted)))
    assert told == [(i, 30) for i in range(1, 31)]


def test_verify_compiles_the_risk(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[EmpiricalRisk] = []

    def compile_risk(risk: EmpiricalRisk) -> Numpy:
        asked.append(risk)
        return RIGHT

    monkeypatch.setattr(sys.modules["symgrad.verification.judge"], "compile_risk", compile_risk)
    risk = declared()
    assert verify(risk, samples=20, digits=30).digits == 30
    assert asked == [risk]


@pytest.mark.parametrize(("counts", "message"), [((0, 50), "samples: expected"), ((10, 15), "digits: expected")])
def test_counts_are_checked(counts: tuple[int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        verify(declared(), *counts)
