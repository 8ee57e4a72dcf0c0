"""Second derivatives: the oracle's beside SymPy's own, and the compiled ones beside the oracle's."""

from typing import Any

import mpmath
import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from symgrad.declare import EmpiricalRisk
from symgrad.oracle import Reference
from symgrad.verification.second import verify_second
from symgrad.verification.tally import PairTallies

A, k, x, y, z = sp.symbols("A k x y z", real=True)
AT = {A: sp.Rational(5, 4), k: sp.Rational(3, 4), x: sp.Rational(1, 2)}
DECAY = EmpiricalRisk(
    sg.Model(A * sp.exp(-k * x), [x], [A, k]), sg.Loss((z - y) ** 2 / 2, z, y), name="decay", penalty=A**2 * k**2 / 8
)


@pytest.mark.parametrize(
    "formula",
    [
        A * sp.exp(-k * x),
        sp.log(1 + sp.exp(A * x + k)) - A * k,
        A**k * x,
        A / (k**2 + x**2) + sp.erf(A * x) * k,
        sp.atan2(A, k) * sp.sin(x * k) * sp.loggamma(A**2 + 1),
        sp.Abs(A) * k**2 + sp.Max(A * x, k * k),
        sp.Piecewise((A**3 * k, k < A), (sp.tanh(A), True)),
    ],
    ids=str,
)
def test_the_oracle_is_as_exact_as_sympy(formula: Any) -> None:
    risk = EmpiricalRisk.from_expression(formula, inputs=[x], targets=[], parameters=[A, k])
    found = Reference(risk).second([1.25, 0.75], [0.5], [], columns=[1, 0])
    true = [sp.diff(formula, row, column).subs(AT).evalf(60) for column in (k, A) for row in (A, k)]
    for entry, expected in zip((found.loss, *found.gradient), (formula.subs(AT).evalf(60), *true), strict=True):
        with mpmath.workdps(60):
            assert mpmath.almosteq(entry, mpmath.mpf(str(expected)), rel_eps=1e-30, abs_eps=1e-30)


def test_near_zero_nothing_is_taken_for_zero() -> None:
    """The second derivative of erf at 1e-200 is as small as that, far below what a step of many digits shows."""
    risk = EmpiricalRisk.from_expression(sp.erf(A), inputs=[], targets=[], parameters=[A])
    (entry,) = Reference(risk).second([1e-200], [], [], columns=[0]).gradient
    assert float(entry) == pytest.approx(-4e-200 / np.sqrt(np.pi), rel=1e-15, abs=0)


def test_the_bound_grows_with_what_cancels() -> None:
    """The second derivative 12 A^2 - 12 k hangs on the last places of A^2 where it is nearly zero."""
    reference = Reference(EmpiricalRisk.from_expression(A**4 - 6 * k * A**2, inputs=[], targets=[], parameters=[A, k]))
    bounds = {}
    for at in (1.21, 2.5):
        rounding = reference.rounding([1.1, at], [], [], columns=[0])
        assert rounding is not None
        (bounds[at],) = rounding.bounds([(0, 0)])
    assert bounds[2.5].error < 10
    assert bounds[1.21].error > 1e12


@pytest.fixture(scope="module")
def compiled() -> Any:
    return sg.compile(DECAY)


def test_a_right_hessian_passes(compiled: Any) -> None:
    report = verify_second(DECAY, compiled, 20)
    assert report.passed
    assert [row.label for row in report.rows] == ["A d/d A", "A d/d k", "k d/d k"]
    assert report.penalty is not None
    assert report.penalty.compared >= 4 * 4
    assert str(report).startswith("decay: compiled Hessian against 50 digits at 20 samples (seed 0)\nPASSED")


class Wrong:
    """A compiled risk, one entry of whose Hessian is off in its twelfth digit."""

    def __init__(self, compiled: Any, penalty: float = 0.0) -> None:
        self._compiled, self._penalty, self.quantities = compiled, penalty, self
        self.at_once = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._compiled, name)

    def __getitem__(self, name: str) -> Any:
        return self

    def per_sample_gradient(self, *arrays: Any) -> Any:
        rows = self._compiled.quantities["hessian"].per_sample_gradient(*arrays)
        return rows * (1 + np.array([0, 0 if self._penalty else 1e-12, 0]))

    def hessian(self, *arrays: Any) -> Any:
        return self._compiled.hessian(*arrays) + self._penalty * np.eye(2)


def test_a_wrong_entry_is_named(compiled: Any) -> None:
    report = verify_second(DECAY, Wrong(compiled), 20)
    assert [row.label for row in report.rows if not row.passed] == ["A d/d k"]
    assert "! d/d A d/d k" in str(report)
    assert "FAILED: A d/d k" in str(report)


def test_a_wrong_penalty_is_named(compiled: Any) -> None:
    report = verify_second(DECAY, Wrong(compiled, penalty=1e-3), 20)
    assert [row.name for row in (*report.rows, *report.others) if not row.passed] == ["penalty"]
    assert report.others[1].element in (" by A, A", " by k, k")


def test_matrices_are_verified_by_columns() -> None:
    """Of many parameters each theta looks at some columns, of every declared parameter one at least."""
    W, b, u, s = sp.MatrixSymbol("W", 3, 3), sp.MatrixSymbol("b", 3, 1), sp.MatrixSymbol("u", 3, 1), sp.Symbol("s")
    v = sp.MatrixSymbol("v", 3, 1)
    loss = sg.Loss((v[0, 0] - y) ** 2 + v[1, 0] ** 2 + v[2, 0], prediction=v, target=y)
    risk = EmpiricalRisk(sg.Model(((W * u + b) * s).applyfunc(sp.tanh), [u], [W, b, s]), loss, name="layer")
    report = sg.verify(risk, samples=5, order=2)
    assert report.passed
    assert [row.name for row in report.rows] == ["W d/d W", "W d/d b", "b d/d b", "W d/d s", "b d/d s", "s d/d s"]
    assert [row.elements for row in report.rows] == [45, 27, 6, 9, 3, 1]
    assert 0 < report.each < report.derivatives == 13 * 14 // 2


def test_names_of_entries() -> None:
    W, s = sp.MatrixSymbol("W", 2, 1), sp.Symbol("s")
    tallies = PairTallies([W, s])
    labels = [tally.label(element) for tally, element in tallies.of([(0, 0), (1, 0), (1, 1), (2, 0), (1, 2), (2, 2)])]
    assert labels[1:4] == ["W d/d W[0, 0], [0, 0]", "W d/d W[1, 0], [0, 0]", "W d/d W[1, 0], [1, 0]"]
    assert labels[4:] == ["W d/d s[0, 0]", "W d/d s[1, 0]", "s d/d s"]


def test_another_order_is_refused() -> None:
    with pytest.raises(ValueError, match=r"order: expected 1 \(the gradient\) or 2 \(the Hessian\), got 3"):
        sg.verify(DECAY, order=3)


@pytest.mark.parametrize("score", [8.0, 40.0, 200.0])
def test_one_less_a_share_of_nearly_one_keeps_its_digits(score: float) -> None:
    """The curvature p (1 - p) of a softmax, p near one: 1 - p is the sum of the other shares, for the oracle too."""
    a, b, c = sp.symbols("a b c")
    column, v = sp.MatrixSymbol("b", 3, 1), sp.MatrixSymbol("v", 3, 1)
    i = sp.Idx("i", 3)
    in_one = sg.EmpiricalRisk(
        sg.Model(column, [], [column]), sg.Loss(sp.log(sp.Sum(sp.exp(v[i, 0]), (i, 0, 2))) - y, v, y)
    )
    apart = EmpiricalRisk.from_expression(
        sp.log(sp.exp(a) + sp.exp(b) + sp.exp(c)) - y, inputs=[], targets=[y], parameters=[a, b, c]
    )
    with mpmath.workdps(400):
        shares = [mpmath.exp(z) for z in (score, 1.0, 0.5)]
        share = shares[0] / sum(shares)
        true = share * (1 - share)
    for risk in (in_one, apart):
        assert abs(Reference(risk).second([score, 1.0, 0.5], [], [0.0], columns=[0]).gradient[0] / true - 1) < 1e-25
        found = sg.compile(risk).hessian_vector([score, 1.0, 0.5], [1.0, 0.0, 0.0], None, [0.0])[0]
        assert abs(found / true - 1) < 1e-15
