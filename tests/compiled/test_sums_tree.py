"""The tree of sums, seen where it shows: data that cancel until only the rounding errors of the pairs are left.

On ordinary data a sum of pairs is right to the last bit whatever the order in which they were merged. Here it is not,
so that equal bits mean an equal tree.
"""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sympy as sp

import symgrad as sg

theta, y = sp.symbols("theta y")


@pytest.fixture(scope="module")
def mean() -> Any:
    loss = (theta - y) ** 2 / 2
    return sg.compile(
        sg.EmpiricalRisk.from_expression(loss, inputs=[], targets=[y], parameters=[theta], name="mean_of_data")
    )


def cancelling(n: int, seed: int) -> Any:
    """Data over forty orders of magnitude whose sum is far below what a pair can hold beside them."""
    random = np.random.default_rng(seed)
    half = random.standard_normal(n // 2) * 10.0 ** random.uniform(-20, 20, n // 2)
    return random.permutation(np.concatenate([half, -half, random.standard_normal(n % 2)]))


def test_the_order_of_the_rows_shows(mean: Any) -> None:
    """Else the test below would prove nothing."""
    data = cancelling(40_960, 1)
    found = {float(mean.gradient([0.0], None, np.roll(data, mean.TILE * k))[0]) for k in range(16)}
    assert len(found) > 3


@pytest.mark.parametrize("n", [2048, 7 * 1024, 40_960, 100_003])
def test_tiles_one_by_one_are_merged_as_all_at_once(n: int, mean: Any) -> None:
    data, size = cancelling(n, n), mean.TILE
    risk, gradient = mean.risk_and_gradient([0.0], None, data)
    tiles = [mean.partial_sums([0.0], None, data[i : i + size], first=i) for i in range(0, n, size)]
    order = np.random.default_rng(n).permutation(len(tiles))
    again = mean.merge_sums([0.0], *(tiles[k] for k in order))
    assert again[0] == risk
    assert again[1].tobytes() == gradient.tobytes()


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_threads_keep_the_tree(threads: int, mean: Any) -> None:
    data = cancelling(1_000_003, 5)
    expected = mean.gradient([0.0], None, data, threads=1)
    assert mean.gradient([0.0], None, data, threads=threads).tobytes() == expected.tobytes()


@pytest.mark.parametrize("n", [2048, 2047])
def test_the_bound_holds_where_sums_overflow_before_they_cancel(n: int, mean: Any) -> None:
    """Two tiles reach 3e308, and two more take them back to their rounding errors: low words count there too."""
    random = np.random.default_rng(n)
    up = random.uniform(1.3e305, 1.4e305, n)
    data = np.concatenate([up, -random.permutation(up) * (1 + 2.0**-52 * random.integers(0, 2, n))])
    terms = [-Fraction(float(value)) for value in data]
    true, u = sum(terms) / len(terms), Fraction(1, 2**53)
    error = abs(Fraction(float(mean.gradient([0.0], None, data)[0])) - true)
    assert error <= 2 * u * abs(true) + 500 * u**2 * sum(map(abs, terms)) / len(terms)
