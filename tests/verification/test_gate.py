"""What verify lets pass and what not: promised forms, ill-conditioned formulas, ends of the range, penalties."""

import math
import random
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from symgrad.declare import EmpiricalRisk
from symgrad.oracle import Reference
from symgrad.verification import Report
from symgrad.verification.extremes import LARGEST, LEAST, NORMAL, extreme
from symgrad.verification.judge import verify_compiled
from symgrad.verification.points import draw
from symgrad.verification.ulp import penalty_error

A, k, x, y = sp.symbols("A k x y")
Function = Callable[..., Any]
SAMPLES = 60
EXTREME = 0.3  # about the share of samples with an extreme value


def text_of(report: Report) -> str:
    return " ".join(str(report).split())


class Plain:
    """Formulas evaluated as they stand, in NumPy, with SymPy's derivatives: what symgrad promises to do better."""

    def __init__(self, loss: Any, *parameters: Any, penalty: Any = 0, wrong: Function = lambda row: row) -> None:
        formulas = [loss, *(sp.diff(loss, p) for p in parameters)]
        self.rows = [sp.lambdify([*parameters, y], f, "numpy") for f in formulas]
        self.penalties = [sp.lambdify(parameters, f) for f in (penalty, *(sp.diff(penalty, p) for p in parameters))]
        self.wrong = wrong

    def values(self, theta: Any, targets: Any) -> Any:
        with np.errstate(all="ignore"):
            return np.array([[np.float64(f(*theta, *row)) for f in self.rows] for row in targets])

    def per_sample_loss(self, theta: Any, inputs: Any, targets: Any) -> Any:
        return self.values(theta, targets)[:, 0]

    def per_sample_gradient(self, theta: Any, inputs: Any, targets: Any) -> Any:
        return self.values(theta, targets)[:, 1:]

    def means(self, theta: Any, targets: Any) -> Any:
        with np.errstate(all="ignore"):
            added = self.wrong([np.float64(f(*theta)) for f in self.penalties])
            return self.values(theta, targets).mean(axis=0) + added

    def risk(self, theta: Any, inputs: Any, targets: Any) -> Any:
        return self.means(theta, targets)[0]

    def gradient(self, theta: Any, inputs: Any, targets: Any) -> Any:
        return self.means(theta, targets)[1:]


def report_on(loss: Any, *parameters: Any, samples: int = SAMPLES, **options: Any) -> Report:
    risk = EmpiricalRisk.from_expression(
        loss, inputs=[], targets=[y], parameters=parameters, penalty=options.get("penalty")
    )
    return verify_compiled(risk, Plain(loss, *parameters, **options), samples)


# ------------------------------------------------------------------------------------------------ digits that are lost


@pytest.mark.parametrize(
    "formula", [sp.log(1 + sp.exp(30 * A)), 1 - sp.cos(A / 10**6), sp.log(sp.exp(A * 300) + sp.exp(y)), sp.exp(A) - 1]
)
def test_a_formula_that_symgrad_promises_to_keep_is_not_excused(formula: Any) -> None:
    report = report_on(formula + 0 * y, A)
    assert not report.passed
    assert max(row.ulp for row in (*report.rows, report.loss)) > 1e6


def test_a_formula_that_loses_digits_in_any_hands_passes_and_is_named() -> None:
    report = report_on(2 - 2 * sp.cos(A) + 0 * y, A, samples=150)
    assert report.passed, report.table()
    worst = report.findings[0]
    assert (worst.kind, worst.where, worst.label) == ("formula", "2 - 2*cos(A)", "loss")
    assert 26 <= worst.bits <= 53
    assert abs(worst.point["A"]) < 1e-3
    assert "but the formula loses" in text_of(report)
    assert "bits of loss are lost in 2 - 2*cos(A) (another form may keep them): A=" in text_of(report)


def test_what_only_the_data_decide_is_told_apart() -> None:
    report = report_on(sp.sin(A**3) * y, A, samples=100)
    assert report.passed, report.table()
    (finding,) = [f for f in report.findings if f.where == "sin(A**3)"]
    assert finding.kind == "data"
    assert "the data's last bits decide" in text_of(report)
    assert not report_on(sp.sin(A) * y, A, samples=100).findings  # sin keeps its digits, whatever its argument


def test_a_small_error_in_a_formula_that_loses_few_digits_fails() -> None:
    loss = sp.exp(A) * sp.sin(k) + y
    right, slopes = Plain(loss, A, k), Plain(loss, A, k)
    slopes.rows[2] = lambda *p: right.rows[2](*p) * (1 + 1e-14)
    risk = EmpiricalRisk.from_expression(loss, inputs=[], targets=[y], parameters=[A, k])
    assert verify_compiled(risk, right, SAMPLES).passed
    report = verify_compiled(risk, slopes, SAMPLES)
    assert [row.passed for row in report.rows] == [True, False]


# -------------------------------------------------------------------------------------------------- infinities and NaN


def test_a_nan_where_the_formula_can_be_evaluated_fails() -> None:
    loss = sp.exp(-(A**2)) * y  # its plain derivative is fine; here it is NaN for one value
    broken = Plain(loss, A)
    plain = broken.rows[1]
    broken.rows[1] = lambda a, t: math.nan if a == 0 else plain(a, t)
    risk = EmpiricalRisk.from_expression(loss, inputs=[], targets=[y], parameters=[A])
    report = verify_compiled(risk, broken, 150)
    assert not report.rows[0].passed
    assert report.rows[0].ulp == math.inf
    assert "compiled nan, true 0.0" in text_of(report)


def test_an_infinity_on_the_way_is_told_with_its_place() -> None:
    report = report_on(A**2 / (1 + 3 * A + A**2) * y, A, samples=200)
    assert report.passed, report.table()
    assert report.rows[0].out_of_reach
    (finding,) = [f for f in report.findings if f.kind == "overflows" and f.where == "A**2"][:1]
    assert abs(finding.point["A"]) > 1e150
    assert "A**2 overflows on the way to" in text_of(report)


# ---------------------------------------------------------------------------------------------------------- the points


def test_extreme_values_are_of_all_kinds() -> None:
    rng = random.Random(0)
    values = [extreme(rng, (2.5,), True) for _ in range(4000)]
    assert all(map(math.isfinite, values))
    for wanted in (0.0, LARGEST, -LARGEST, LEAST, NORMAL, 709.8, -745.2, 2.5, -2.5, math.nextafter(2.5, 3)):
        assert wanted in values
    assert any(value == 0 and math.copysign(1, value) < 0 for value in values)
    assert any(0 < abs(value) < NORMAL for value in values)
    exponents = {math.frexp(value)[1] // 200 for value in values}
    assert exponents >= set(range(-5, 5))
    assert not any(
        value == 0 and math.copysign(1, value) < 0 for value in (extreme(rng, (), False) for _ in range(999))
    )


def test_a_share_of_the_points_holds_one_extreme_value() -> None:
    risk = EmpiricalRisk.from_expression(sp.tanh(A * x) + k * y, inputs=[x], targets=[y], parameters=[A, k])
    blocks = draw(risk, Reference(risk), 200, 0)
    assert 0.6 * EXTREME < sum(block.extremes for block in blocks) / 200 < 1.5 * EXTREME
    rows = [(*b.theta, *u, *t) for b in blocks for u, t in zip(b.inputs, b.targets, strict=True)]
    far = [sum(abs(v) > 1e20 or 0 < abs(v) < 1e-20 for v in row) for row in rows]
    assert sum(n == 1 for n in far) > 20
    assert sum(n > 1 for n in far) < 10


def test_no_negative_zero_where_its_sign_may_show() -> None:
    def negative_zeros(loss: Any) -> int:
        risk = EmpiricalRisk.from_expression(loss, inputs=[], targets=[y], parameters=[A])
        thetas = [block.theta[0] for block in draw(risk, Reference(risk), 600, 0)]
        return sum(v == 0 and math.copysign(1, v) < 0 for v in thetas)

    assert negative_zeros(sp.tanh(A) * y) > 0
    assert negative_zeros(sp.atan2(A, y)) == negative_zeros(y * sp.exp(1 / A)) == 0


# --------------------------------------------------------------------------------------------------------- the penalty

PENALTY = A**2 / 3 + sp.exp(k) / 10
LOSS = (A * sp.exp(-k) - y) ** 2 / 2


def test_the_penalty_has_a_row() -> None:
    risk = EmpiricalRisk.from_expression(
        LOSS, inputs=[], targets=[y], parameters=[A, k], penalty=PENALTY, name="penalised"
    )
    report = verify_compiled(risk, sg.compile(risk), SAMPLES)
    assert report.passed, report.table()
    assert report.penalty is not None
    assert report.penalty.elements == 3
    assert report.penalty.compared > 20
    assert "penalty" in str(report)
    assert SAMPLES * EXTREME / 2 < report.extremes < SAMPLES
    assert f"{report.extremes} of the samples hold an extreme value" in text_of(report)
    assert report_on(LOSS, A, k, samples=20).penalty is None


@pytest.mark.parametrize(
    ("wrong", "label"),
    [
        (lambda p: [p[0], p[1], -p[2]], "penalty by k"),
        (lambda p: [p[0], p[1] * (1 + 1e-9), p[2]], "penalty by A"),
        (lambda p: [p[0] * 2, p[1], p[2]], "penalty"),
        (lambda p: [p[0], math.nan, p[2]], "penalty by A"),
        (lambda p: [p[0], p[1], 0.0], "penalty by k"),
    ],
)
def test_a_wrong_penalty_fails_by_name(wrong: Function, label: str) -> None:
    assert report_on(LOSS, A, k, penalty=PENALTY).passed
    report = report_on(LOSS, A, k, penalty=PENALTY, wrong=wrong)
    assert all(row.passed for row in (*report.rows, report.loss))
    assert not report.passed
    assert report.penalty is not None
    assert report.penalty.label == label
    assert f"FAILED: {label} (" in text_of(report)


@pytest.mark.parametrize(
    ("together", "sample", "expected", "ulp"),
    [
        (3.0, 1.0, mpmath.mpf(2), 0.0),
        (1e16, 1e16, mpmath.mpf(1), 0.0),  # the sum's own rounding
        (0.5 + 2.0**-52, 0.0, mpmath.mpf(0.5), 1.5),
        (math.nan, 1.0, mpmath.mpf(2), math.inf),
        (math.inf, 1.0, mpmath.mpf(2), math.inf),
        (math.inf, 1.0, mpmath.mpf(10) ** 400, 0.0),
        (1.0, 1.0, mpmath.inf, math.inf),
    ],
)
def test_the_error_of_a_penalty(together: float, sample: float, expected: Any, ulp: float) -> None:
    assert penalty_error(together, sample, expected) == ulp
    assert math.isnan(penalty_error(together, math.nan, expected))


# ---------------------------------------------------------------------------------------------------------- the report


def test_everything_is_told_within_eighty_columns() -> None:
    named = sp.symbols("a_parameter_with_quite_a_long_name another_one")
    loss = (2 - 2 * sp.cos(named[0])) * sp.sin(named[1] ** 3) * y
    report = report_on(loss, *named, penalty=named[0] ** 2, samples=80)
    assert report.findings
    assert max(map(len, report.table().splitlines())) <= 78
    assert report.ill_conditioned >= len(report.findings)
