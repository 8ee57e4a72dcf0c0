"""How often 95 % intervals cover what the data were made with: ``python -m benchmarks.coverage [--simulations 2000]``.

Three intervals, each in a model for which it is meant: HC0 where a Poisson model has the right mean and the wrong
variance; of clusters where samples of a group move together; profiles of a curve with few samples. A share passes
within three standard deviations of the count that 95 % give.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp

import symgrad as sg

LEVEL = 0.95
x, y, a, b, p = sp.symbols("x y a b p", real=True)
POISSON = sg.EmpiricalRisk(
    sg.Model(a + b * x, [x], [a, b]),
    sg.Loss(sp.exp(p) - y * p + sp.loggamma(y + 1), p, y),
    name="coverage_poisson",
)
LINE = sg.EmpiricalRisk(sg.Model(a + b * x, [x], [a, b]), sg.Loss((p - y) ** 2 / 2, p, y), name="coverage_line")
DECAY = sg.EmpiricalRisk(
    sg.Model(a * sp.exp(-b * x), [x], [a, b]), sg.Loss((p - y) ** 2 / 2, p, y), name="coverage_decay"
)


@dataclass(frozen=True)
class Case:
    """A model, how data are made with (0.5, 0.8), and the interval of the second parameter."""

    risk: sg.EmpiricalRisk
    truth: tuple[float, float]
    draw: Callable[[Any], tuple[Any, Any]]
    interval: Callable[[sg.Fit], Any]


def _overdispersed(random: Any) -> tuple[Any, Any]:
    rows = random.normal(size=1000)
    return rows, random.poisson(np.exp(0.5 + 0.3 * rows) * random.gamma(2.0, 0.5, 1000)).astype(float)


def _in_groups(random: Any) -> tuple[Any, Any]:
    rows = np.repeat(random.normal(size=150), 4)
    return rows, 0.5 + 0.8 * rows + np.repeat(random.normal(size=150), 4) + random.normal(size=600)


def _decaying(random: Any) -> tuple[Any, Any]:
    rows = np.linspace(0, 4, 12)
    return rows, 2.0 * np.exp(-0.8 * rows) + 0.1 * random.normal(size=12)


GROUPS = np.repeat(np.arange(150), 4)
CASES = {
    "HC0": Case(POISSON, (0.5, 0.3), _overdispersed, lambda fit: fit.confidence_intervals(LEVEL, kind="HC0")[1]),
    "cluster": Case(
        LINE, (0.5, 0.8), _in_groups, lambda fit: fit.confidence_intervals(LEVEL, kind="cluster", groups=GROUPS)[1]
    ),
    "profile": Case(DECAY, (2.0, 0.8), _decaying, lambda fit: fit.confidence_intervals(LEVEL, method="profile")[1]),
}


def covered(name: str, simulations: int, seed: int = 0) -> int:
    """Return how many of so many intervals cover the truth."""
    case, count = CASES[name], 0
    starts = dict(zip("ab", case.truth, strict=True))
    for number in range(simulations):
        fit = sg.fit(case.risk, case.draw(np.random.default_rng([seed, number])), starts)
        low, high = case.interval(fit)
        count += bool(low <= case.truth[1] <= high)
    return count


def bounds(simulations: int) -> tuple[float, float]:
    """Return the counts within three standard deviations."""
    mean, deviation = LEVEL * simulations, (LEVEL * (1 - LEVEL) * simulations) ** 0.5
    return mean - 3 * deviation, mean + 3 * deviation


def main() -> int:
    """Print a line for each interval; 1 where one is past its bounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=2000)
    simulations, failed = parser.parse_args().simulations, 0
    low, high = bounds(simulations)
    for name in CASES:
        count = covered(name, simulations)
        failed += not low <= count <= high
        print(
            f"{name:8} {count} of {simulations} cover ({count / simulations:.1%}); {low:.0f} to {high:.0f} are expected"
        )
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
