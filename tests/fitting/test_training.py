"""Training by mini-batches, on gradients that are written here by hand."""

from typing import Any

import numpy as np
import pytest

from symgrad.fitting import accuracy, adam, held_back

ROWS = np.arange(10.0).reshape(10, 1)


def pull(theta: Any, inputs: Any, targets: Any) -> Any:
    """The gradient of the mean of (theta - input)**2 / 2, for each of two parameters."""
    return theta - inputs.mean()


def test_it_finds_the_minimum() -> None:
    *_, last = adam(pull, [0.0, 9.0], ROWS, ROWS, epochs=300, batch=10, rate=0.05)
    np.testing.assert_allclose(last.theta, [4.5, 4.5], atol=1e-3)
    assert last.number == 300
    assert last.seconds > 0


def test_two_steps_are_those_of_the_paper() -> None:
    """Algorithm 1 of Kingma and Ba, step by step as printed."""
    slopes = iter([np.array([0.5, -3.0]), np.array([0.25, 4.0])])
    (found,) = adam(lambda *given: next(slopes), [1.0, 2.0], ROWS, ROWS, epochs=1, batch=5, rate=0.1)
    expected, m, v = np.array([1.0, 2.0]), np.zeros(2), np.zeros(2)
    for t, g in enumerate([np.array([0.5, -3.0]), np.array([0.25, 4.0])], start=1):
        m = 0.9 * m + (1 - 0.9) * g
        v = 0.999 * v + (1 - 0.999) * g**2
        expected = expected - 0.1 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    np.testing.assert_allclose(found.theta, expected, rtol=1e-12)


def test_every_epoch_takes_every_row_once_with_its_target_and_in_another_order() -> None:
    seen: list[Any] = []

    def gradient(theta: Any, inputs: Any, targets: Any) -> Any:
        seen.append(inputs.ravel())
        np.testing.assert_array_equal(targets, -inputs)
        return np.zeros(1)

    list(adam(gradient, [0.0], ROWS, -ROWS, epochs=2, batch=4))
    assert [len(rows) for rows in seen] == [4, 4, 2, 4, 4, 2]
    first, second = np.concatenate(seen[:3]), np.concatenate(seen[3:])
    np.testing.assert_array_equal(np.sort(first), ROWS.ravel())
    np.testing.assert_array_equal(np.sort(second), ROWS.ravel())
    assert (first != second).any()


def test_the_seed_decides_and_the_start_is_left_alone() -> None:
    def last(seed: int) -> Any:
        start = np.array([0.0, 9.0])
        *_, epoch = adam(pull, start, ROWS, ROWS, epochs=3, batch=3, seed=seed)
        assert start.tolist() == [0.0, 9.0]
        return epoch.theta

    np.testing.assert_array_equal(last(1), last(1))
    assert (last(1) != last(2)).any()


def test_each_epoch_has_parameters_of_its_own() -> None:
    epochs = list(adam(pull, [0.0], ROWS, ROWS, epochs=3))
    assert len({float(epoch.theta[0]) for epoch in epochs}) == 3
    assert [epoch.number for epoch in epochs] == [1, 2, 3]


@pytest.mark.parametrize(
    ("wrong", "named"), [({"epochs": 0}, "epochs"), ({"batch": 0}, "batch"), ({"inputs": ROWS[:0]}, "inputs")]
)
def test_nothing_to_do_is_refused_before_the_first_step(wrong: dict[str, Any], named: str) -> None:
    given: dict[str, Any] = {"inputs": ROWS, "epochs": 1} | wrong
    with pytest.raises(ValueError, match=f"{named}.*: expected a whole number >= 1, got 0"):
        adam(pull, [0.0], targets=ROWS, **given)


def test_every_fifth_row_is_held_back() -> None:
    learn, test = held_back(12)
    assert test.tolist() == [4, 9]
    assert learn.tolist() == [0, 1, 2, 3, 5, 6, 7, 8, 10, 11]
    assert [len(part) for part in held_back(9, every=2)] == [5, 4]
    with pytest.raises(ValueError, match="every: expected a whole number >= 2, got 1"):
        held_back(12, every=1)


def test_accuracy_is_the_share_of_greatest_scores() -> None:
    scores = [[0.1, 0.9], [0.8, 0.2], [0.3, 0.4], [5.0, -1.0]]
    assert accuracy(scores, [1.0, 0.0, 0.0, 0.0]) == 0.75
    assert accuracy(scores, [[1], [0], [1], [0]]) == 1.0
    with pytest.raises(ValueError, match=r"scores: expected \(N, M\) beside 3 labels, got \(4, 2\)"):
        accuracy(scores, [1, 0, 0])
    with pytest.raises(ValueError, match=r"got \(4,\)"):
        accuracy([1.0, 2.0, 3.0, 4.0], [1, 0, 0, 0])
