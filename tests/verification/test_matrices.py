"""Verification of models with matrices: one row for each symbol, some derivatives of very many, points in reach."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sympy as sp

from symgrad.declare import EmpiricalRisk, Loss, Model
from symgrad.oracle import Reference
from symgrad.verification import Report
from symgrad.verification.judge import MANY, verify_compiled
from symgrad.verification.points import draw
from symgrad.verification.report import Row

Wrong = Callable[[Any], Any]


def softmax_risk(inputs: int, hidden: int, classes: int) -> EmpiricalRisk:
    u = sp.MatrixSymbol("u", inputs, 1)
    W1, b1 = sp.MatrixSymbol("W1", hidden, inputs), sp.MatrixSymbol("b1", hidden, 1)
    W2, b2 = sp.MatrixSymbol("W2", classes, hidden), sp.MatrixSymbol("b2", classes, 1)
    output = W2 * (W1 * u + b1).applyfunc(sp.tanh) + b2
    z, label, i = sp.MatrixSymbol("z", classes, 1), sp.Symbol("label", integer=True), sp.Idx("i", classes)
    loss = Loss(sp.log(sp.Sum(sp.exp(z[i, 0]), (i, 0, classes - 1))) - z[label, 0], prediction=z, target=label)
    return EmpiricalRisk(Model(output, inputs=[u], parameters=[W1, b1, W2, b2]), loss, name="net")


class Network:
    """The network by hand in NumPy, with what ``wrong`` makes of its gradient."""

    def __init__(self, inputs: int, hidden: int, classes: int, wrong: Wrong = lambda gradient: gradient) -> None:
        self.shapes = [(hidden, inputs), (hidden,), (classes, hidden), (classes,)]
        self.wrong = wrong

    def rows(self, theta: Any, inputs: Any, targets: Any) -> list[tuple[Any, Any]]:
        ends = np.cumsum([math.prod(shape) for shape in self.shapes])[:-1]
        parts = [part.reshape(shape) for part, shape in zip(np.split(theta, ends), self.shapes, strict=True)]
        with np.errstate(all="ignore"):
            return [self.row(parts, u, int(target[0])) for u, target in zip(inputs, targets, strict=True)]

    def row(self, parameters: list[Any], u: Any, label: int) -> tuple[Any, Any]:
        W1, b1, W2, b2 = parameters
        hidden = W1 @ u + b1
        active = np.tanh(hidden)
        z = W2 @ active + b2
        powers = np.exp(z - z.max())
        delta2 = powers / powers.sum()
        loss = z.max() + np.log(powers.sum()) - z[label]
        delta2[label] -= 1
        delta1 = (W2.T @ delta2) / np.cosh(hidden) ** 2
        gradient = [np.outer(delta1, u), delta1, np.outer(delta2, active), delta2]
        return loss, self.wrong(np.concatenate([part.ravel() for part in gradient]))

    def per_sample_loss(self, theta: Any, inputs: Any, targets: Any) -> Any:
        return np.array([loss for loss, _ in self.rows(theta, inputs, targets)])

    def per_sample_gradient(self, theta: Any, inputs: Any, targets: Any) -> Any:
        return np.array([gradient for _, gradient in self.rows(theta, inputs, targets)])


def changed(place: int) -> Wrong:
    """One derivative off by a little."""

    def change(gradient: Any) -> Any:
        gradient[place] *= 1 + 1e-7
        return gradient

    return change


def report_on(sizes: tuple[int, int, int], samples: int, wrong: Wrong = lambda gradient: gradient) -> Report:
    return verify_compiled(softmax_risk(*sizes), Network(*sizes, wrong), samples)


SMALL, WIDE = (3, 4, 3), (40, 20, 3)  # 31 and 883 parameters


def test_a_matrix_has_one_row_that_names_its_worst_element() -> None:
    report = report_on(SMALL, 60)
    assert report.passed, report.table()
    assert [row.name for row in report.rows] == ["W1", "b1", "W2", "b2"]
    assert [row.elements for row in report.rows] == [12, 4, 12, 3]
    assert report.derivatives == 31
    assert all(row.unchecked == 0 and row.compared > 50 * row.elements for row in report.rows)
    assert report.rows[0].element in {f"[{i}, {j}]" for i in range(4) for j in range(3)}
    text = report.table()
    assert f"d/d {report.rows[2].label} " in text
    assert len([line for line in text.splitlines() if line.startswith("  d/d")]) == 4
    assert "drawn at random" not in text


@pytest.mark.parametrize(("place", "label"), [(0, "W1[0, 0]"), (7, "W1[2, 1]"), (14, "b1[2, 0]"), (20, "W2[1, 0]")])
def test_one_wrong_element_fails_by_name(place: int, label: str) -> None:
    report = report_on(SMALL, 30, changed(place))
    assert not report.passed
    assert [row.label for row in report.rows if not row.passed] == [label]
    assert f"FAILED: {label} " in str(report)


def test_of_many_derivatives_each_point_checks_some_and_all_get_their_turn() -> None:
    report = report_on(WIDE, 20)
    assert report.passed, report.table()
    assert report.each == MANY
    assert sum(row.compared for row in report.rows) <= 20 * MANY
    assert all(row.unchecked == 0 for row in report.rows)
    assert f"each point checks {MANY} of 883 derivatives, drawn at random" in str(report)


def test_a_wrong_element_among_many_is_found() -> None:
    report = report_on(WIDE, 20, changed(333))
    assert [row.label for row in report.rows if not row.passed] == ["W1[8, 13]"]


def test_derivatives_that_were_never_checked_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where too few points come back: the loss of the others was undefined, or they were never drawn."""
    monkeypatch.setattr("symgrad.verification.judge.MANY", 50)
    monkeypatch.setattr("symgrad.verification.judge.draw", lambda *arguments: draw(*arguments)[:1])
    report = report_on(WIDE, 20)
    unchecked = sum(row.unchecked for row in report.rows)
    assert report.each == 50
    assert unchecked == 883 - sum(row.compared for row in report.rows) > 600
    assert f"{unchecked} derivatives were never checked (" in str(report)
    assert "every value that was checked" in str(report)


def test_where_every_point_checks_everything_a_missing_element_is_no_pass() -> None:
    row = Row("W", 0.5, 4.0, 0.3, 1.0, "1.0", {}, 10, 0, 0, "[0, 1]", elements=4, unchecked=1)
    assert not row.passed
    assert Row("W", 0.5, 4.0, 0.3, 1.0, "1.0", {}, 10, 0, 0, "[0, 1]", 4, 1, drawn=True).passed
    report = Report("net", (row,), Row("loss", 0.5, 4.0, 0.3, 1.0, "1.0", {}, 10, 0, 0), 10, 0, 50, 0)
    assert report.worst.name == "W"
    assert "1 derivatives were never checked (1 of W): no point was found where they can" in str(report)


def test_a_large_model_gets_fewer_points_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("symgrad.verification.judge.EFFORT", 30 * Reference(softmax_risk(*SMALL)).operations)
    report = report_on(SMALL, 200)
    assert (report.samples, report.asked) == (30, 200)
    assert "30 samples instead of 200" in str(report)
    few = report_on(SMALL, 25)
    assert (few.samples, few.asked) == (25, 0)


def test_the_same_seed_gives_the_same_report() -> None:
    assert report_on(WIDE, 10) == report_on(WIDE, 10)


def test_most_points_of_a_network_are_in_reach() -> None:
    report = report_on(WIDE, 40)
    assert report.undefined == 0
    assert sum(row.out_of_reach for row in report.rows) < 0.05 * sum(row.compared for row in report.rows)


def test_weights_are_as_small_as_their_rows_are_long_and_some_are_unusual() -> None:
    risk = softmax_risk(64, 32, 10)
    thetas = np.array([block.theta for block in draw(risk, Reference(risk), 100, 0)])
    weights, biases = np.abs(thetas[:, : 64 * 32]), np.abs(thetas[:, 64 * 32 : 64 * 32 + 32])
    assert 0.3 < np.median(biases) < 0.7
    assert 0.3 / 8 < np.median(weights) < 0.7 / 8
    assert (thetas > 0).all(axis=1).mean() < 0.4  # all positive, and every unit is saturated
    unusual = (thetas == 0).sum() + (np.abs(thetas) > 100).sum()
    assert 3 <= unusual < 0.01 * thetas.size
