"""Intervals cover the truth as often as they say: counts of few simulations here, of 2,000 in ``make coverage``."""

import dataclasses

import pytest

from benchmarks import coverage


@pytest.mark.parametrize("name", coverage.CASES)
def test_intervals_cover_the_truth(name: str) -> None:
    low, high = coverage.bounds(25)
    assert low <= coverage.covered(name, 25, seed=1) <= high


def test_an_interval_that_is_too_short_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of independent samples, where samples of a group move together, cover about four times in five."""
    case = coverage.CASES["cluster"]
    plain = dataclasses.replace(case, interval=lambda fit: fit.confidence_intervals(coverage.LEVEL)[1])
    monkeypatch.setitem(coverage.CASES, "plain", plain)
    assert coverage.covered("plain", 60, seed=1) < coverage.bounds(60)[0]
