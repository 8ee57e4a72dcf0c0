"""A sample's bits are the same wherever it stands: in a full vector, in a tail, alone, among others, in any layout.

Vector functions and their scalar versions differ in the last bits for up to 60 % of all arguments, and a compiler takes
the latter for what is left of a loop. So every function of the C library and of the modules' own is looked at.
"""

from typing import Any

import numpy as np
import pytest

from tests.helpers.atoms import GROUPS, compiled

ROWS = 200
# Where all functions are defined or NaN, many arguments at which vector and scalar functions differ, and edges.
_random = np.random.default_rng(17)
POINTS = np.concatenate(
    [
        _random.uniform(-1, 1, (110, 2)),
        _random.uniform(0.1, 20, (70, 2)),
        _random.choice([0.0, -0.0, 1.0, -1.0, 5e-324, 1e300, np.inf, -np.inf, np.nan, 710.0], (20, 2)),
    ]
)
POINTS = _random.permutation(POINTS)


@pytest.fixture(scope="module", params=list(GROUPS))
def module(request: pytest.FixtureRequest) -> Any:
    return compiled(GROUPS[request.param], request.param)


def test_no_result_depends_on_the_place_of_its_sample(module: Any) -> None:
    theta, aims = np.zeros(module.N_PARAMETERS), np.zeros(ROWS)

    def results(rows: Any) -> tuple[Any, ...]:
        return (
            module.predict(theta, rows),
            module.per_sample_gradient(theta, rows, aims[: len(rows)]),
            module.per_sample_loss(theta, rows, aims[: len(rows)]),
        )

    whole = results(POINTS)
    for n in range(1, ROWS):
        for start in {0, ROWS - n, (n * 37) % (ROWS - n + 1)}:
            rows = POINTS[start : start + n]
            layouts = (rows, np.asfortranarray(rows)) if n % 16 == 0 else (rows,)
            for layout in layouts:
                for got, expected in zip(results(layout), whole, strict=True):
                    assert got.tobytes() == expected[start : start + n].tobytes(), (n, start)


def test_a_copy_of_each_sample_has_its_bits(module: Any) -> None:
    """One sample in every lane of a call at once, and in a mean of two: exact doubling and halving."""
    theta = np.zeros(module.N_PARAMETERS)
    alone = module.per_sample_gradient(theta, POINTS, np.zeros(ROWS))
    for row, expected in zip(POINTS[::5], alone[::5], strict=True):
        many = module.per_sample_gradient(theta, np.tile(row, (67, 1)), np.zeros(67))
        assert {sample.tobytes() for sample in many} == {expected.tobytes()}
