"""Five hundred random models, value and gradient, at moderate and at extreme points, against what is true.

Within four times the running error bound or 4 ULP, no number exactly where there is none, infinite exactly where a
double overflows.

Sixty of them are compiled; the others are run as the generated operations in doubles, so that Hypothesis shrinks
what it finds to a small model. `random_models` runs as many as one likes, all compiled.
"""

import math
from collections import Counter
from typing import Any

import pytest
import sympy as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.helpers.grammar import INPUTS, PARAMETERS, models
from tests.helpers.random_batches import Got, collected, points, shrunk, truth
from tests.helpers.random_batches import findings as findings_of
from tests.helpers.running_error import Truth, Undecided, judge
from tests.random_models import Uncompiled, run

A, B = PARAMETERS[:2]


@settings(max_examples=250, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(models(3), st.integers(0, 200))
def test_generated_operations_in_doubles(expression: Any, number: int) -> None:
    generated = Uncompiled([expression])
    for point in points(number, 2, 1):
        true = truth(expression, point)
        if true is not None and true.in_range:
            for got in generated.at(point):  # of what symgrad does not take, there is nothing
                assert not [f"{finding}" for finding in findings_of(expression, point, got, true)]


def test_compiled_modules() -> None:
    tally: Counter[str] = Counter()
    found, crashed = run(collected(60, 1, depth=2), points(1, 3, 5), tally)
    assert not crashed
    assert not [f"{finding}" for finding in found if finding.in_range]
    assert tally["values with digits to compare"] > 0.9 * tally["values"] > 1800


# --- the judge itself ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "at", "ulps"),
    [
        (A + B, (1.0, 2.0**-60), 4),  # half a unit for one rounding: the gate is what counts
        (A * B + 1, (3.0, 5.0), 4),  # nothing is rounded
        (sp.exp(A * B), (30.1, 10.3), 620),  # 310 times what a product rounds, four times
        (A - sp.exp(B), (1.0, 1e-10), 2.0**35),  # 33 bits cancel, of a function that rounds by one unit, four times
    ],
)
def test_what_roundings_may_do(expression: Any, at: tuple[float, float], ulps: float) -> None:
    """Of the order of what a hand would estimate."""
    point = {**points(0)[0], A: at[0], B: at[1]}
    true = judge(expression, point, PARAMETERS).loss
    nearest = float(true.value)
    for factor, good in ((0.2, True), (8.0, False)):
        assert (true.error(nearest + factor * ulps * math.ulp(nearest)) == 0) == good, factor


def test_nothing_is_said_where_roundings_lead_out_of_a_domain() -> None:
    """atanh(1 - 1e-38) is a number, and 1 - 1e-38 is none in doubles."""
    with pytest.raises(Undecided):
        judge(sp.atanh(sp.tanh(A / 2)), {**points(0)[0], A: 88.0}, PARAMETERS)
    assert judge(sp.atanh(sp.tanh(A / 2)), {**points(0)[0], A: 3.0}, PARAMETERS).in_range


def test_a_remainder_by_zero_is_no_number() -> None:
    true = judge(sp.Mod(A, B), {**points(0)[0], A: 3.0, B: 0.0}, PARAMETERS).loss
    assert true.error(math.nan) == 0 < true.error(1.0)


@pytest.mark.parametrize(
    ("true", "good", "bad"),
    [
        (Truth(sp.nan._to_mpmath(53), 0), [math.nan, math.inf], [0.0, 1.0]),
        (Truth(sp.Float("1e400")._to_mpmath(53), 0), [math.inf], [1.7e308, math.nan, -math.inf]),
        (Truth(sp.Float("1e-400")._to_mpmath(53), 0), [0.0, -0.0, 5e-324], [1e-322, math.nan, math.inf]),
        (Truth(sp.Float(1.0)._to_mpmath(53), 0), [1.0, 1 + 4 * 2**-52], [1 + 5 * 2**-52, math.nan, math.inf]),
    ],
    ids=["no number", "overflow", "underflow", "one"],
)
def test_what_is_no_number_and_what_is_infinite(true: Truth, good: list[float], bad: list[float]) -> None:
    assert all(true.error(x) == 0 for x in good)
    assert all(true.error(x) > 0 for x in bad)


def test_a_wrong_sign_is_found_and_shrunk_to_a_small_model() -> None:
    """As if the slope of tanh had lost its sign: what is left is tanh of one symbol."""
    point = points(5)[0]

    def fails(expression: Any) -> bool:
        got, true = Uncompiled([expression]).at(point), truth(expression, point)
        if not got or true is None or not expression.has(sp.tanh):
            return False
        broken = Got(got[0].loss, tuple(-slope for slope in got[0].gradient))
        return any(findings_of(expression, point, broken, true))

    start = sp.Piecewise((sp.tanh(A * B + INPUTS[0]) / (1 + B**2), A < 7), (sp.sin(A), True)) + sp.Max(A, 3)
    small = shrunk(start, fails)
    assert len(list(sp.preorder_traversal(small))) <= 3, small
    assert small.has(sp.tanh)


def test_collections_are_the_same_for_the_same_number() -> None:
    assert collected(10, 3, depth=2) == collected(10, 3, depth=2) != collected(10, 4, depth=2)
