"""What follows from the mathematics without an oracle: Euler's relation, optima, shifts, symmetries.

`test_invariances` and the tests of sums have the others: order, parts, copies, weights, scales, layouts.
"""

from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from symgrad import functions

a, b, c, x, t, y = sp.symbols("a b c x t y")
UNIT = 2.0**-53


SHAPE = functions.logsumexp(a * x, b * t - y) + sp.tanh(c * x * t) ** 2 + functions.softplus(a - b * y)
TERMS: dict[str, Any] = {
    # of the degree 3 in the parameters, with functions of their ratios
    "first": (a**2 * b * x + c**3 * sp.atan2(a, b) * t) * sp.exp(-(y**2)),
    "second": (a**2 + b**2 + c**2) ** sp.Rational(3, 2) * sp.cos(x * b / sp.sqrt(a**2 + c**2))
    + sp.Max(a * x, b * t, c) ** 3,
    "shape": SHAPE,
    "shift": sp.log(2 + y**2) * sp.cos(x) + 7,
    "even": sp.log(1 + sp.exp(-((a * x) ** 2))) + sp.sin(a * x) * sp.erf(a * x) + sp.Abs(b * t - y) + sp.cosh(a * x),
    "line": (a + b * x + c * t - y) ** 2 / 2,
}


class Relations:
    """One module for all terms: which of them make the loss is an input."""

    def __init__(self) -> None:
        chosen = sp.symbols(f"use:{len(TERMS)}")
        loss = sp.Add(*(use * term for use, term in zip(chosen, TERMS.values(), strict=True)))
        declared = {"inputs": [x, t, *chosen], "targets": [y], "parameters": [a, b, c], "name": "relations"}
        self.module = sg.compile(sg.EmpiricalRisk.from_expression(loss, **declared))

    def arrays(self, data: tuple[Any, Any], *names: str) -> tuple[Any, Any]:
        """The data with the loss that is the sum of some terms."""
        chosen = np.array([float(name in names) for name in TERMS])
        return np.column_stack([data[0], np.tile(chosen, (len(data[0]), 1))]), data[1]

    def losses(self, theta: Any, data: tuple[Any, Any], *names: str) -> Any:
        return self.module.per_sample_loss(theta, *self.arrays(data, *names))

    def gradients(self, theta: Any, data: tuple[Any, Any], *names: str) -> Any:
        return self.module.per_sample_gradient(theta, *self.arrays(data, *names))

    def mean(self, theta: Any, data: tuple[Any, Any], *names: str, weights: Any = None) -> tuple[float, Any]:
        """The risk and its gradient."""
        risk, gradient = self.module.risk_and_gradient(theta, *self.arrays(data, *names), weights)
        return float(risk), gradient


@pytest.fixture(scope="module")
def relations() -> Relations:
    return Relations()


@pytest.fixture(scope="module")
def data() -> tuple[Any, Any]:
    random = np.random.default_rng(21)
    return random.uniform(-2, 2, (1100, 2)), random.normal(size=1100)


THETA = np.array([0.7, -1.2, 0.4])


@pytest.mark.parametrize("name", ["first", "second"])
def test_eulers_relation(name: str, relations: Relations, data: tuple[Any, Any]) -> None:
    """sum theta_j dL/dtheta_j = 3 L, of each sample and of the mean, to the roundings of the terms."""
    for seed in range(4):
        theta = np.random.default_rng(seed).uniform(-2, 2, 3)
        terms = relations.gradients(theta, data, name) * theta
        sizes = np.abs(terms).sum(1)
        assert np.all(np.abs(terms.sum(1) - 3 * relations.losses(theta, data, name)) <= 64 * UNIT * sizes)
        risk, mean = relations.mean(theta, data, name)
        assert abs(mean @ theta - 3 * risk) <= 64 * UNIT * sizes.mean()


def test_a_shift_by_what_is_no_parameter_changes_no_bit_of_the_gradient(
    relations: Relations, data: tuple[Any, Any]
) -> None:
    before, after = (relations.gradients(THETA, data, "shape", *more) for more in ([], ["shift"]))
    assert np.array_equal(before, after)
    assert np.array_equal(relations.mean(THETA, data, "shape")[1], relations.mean(THETA, data, "shape", "shift")[1])
    losses = relations.losses(THETA, data, "shape") + np.log(2 + data[1] ** 2) * np.cos(data[0][:, 0]) + 7
    np.testing.assert_allclose(relations.losses(THETA, data, "shape", "shift"), losses, rtol=8 * UNIT)


def test_even_and_odd_symmetries_are_exact(relations: Relations, data: tuple[Any, Any]) -> None:
    """x -> -x with a -> -a changes neither a loss in a*x nor the sizes of its derivatives."""
    mirrored, flipped = THETA * [-1, 1, 1], (data[0] * [-1, 1], data[1])
    assert np.array_equal(relations.losses(THETA, data, "even"), relations.losses(mirrored, flipped, "even"))
    before, after = relations.gradients(THETA, data, "even"), relations.gradients(mirrored, flipped, "even")
    assert np.array_equal(before * [-1, 1, 1], after)
    # and x -> -x alone changes the sign of the derivative by a of what is even in a*x
    assert np.array_equal(relations.gradients(THETA, flipped, "even"), before)


def test_the_gradient_is_zero_at_the_least_squares_solution(relations: Relations, data: tuple[Any, Any]) -> None:
    """The normal equations solved in fractions; what is left is the rounding of theta and of the samples' terms."""
    inputs, targets = np.round(data[0] * 64) / 64, np.round(data[1] * 64) / 64
    columns = [[Fraction(1)] * len(inputs), *([Fraction(float(v)) for v in column] for column in inputs.T)]
    right = [sum(u * Fraction(float(v)) for u, v in zip(column, targets, strict=True)) for column in columns]
    matrix = sp.Matrix(3, 3, lambda i, j: _rational(sum(u * v for u, v in zip(columns[i], columns[j], strict=True))))
    solution = np.array([float(v) for v in matrix.LUsolve(sp.Matrix([_rational(v) for v in right]))])
    sizes = np.abs(relations.gradients(solution, (inputs, targets), "line")).mean(0)
    _, gradient = relations.mean(solution, (inputs, targets), "line")
    assert np.all(np.abs(gradient) <= 16 * UNIT * (sizes + np.abs(solution).max() * 4))
    _, away = relations.mean(solution * (1 + 2.0**-30), (inputs, targets), "line")
    assert np.any(np.abs(away) > 1000 * np.abs(gradient))


def _rational(value: Any) -> Any:
    return sp.Rational(value.numerator, value.denominator)


def test_the_mean_of_parts_that_are_merged_is_the_mean(relations: Relations, data: tuple[Any, Any]) -> None:
    """Split with weights, and merged by the sums of the weights: within a few roundings of the terms' mean size."""
    weights = np.random.default_rng(2).uniform(0.1, 3, 1100)
    _, whole = relations.mean(THETA, data, "shape", weights=weights)
    sizes = (np.abs(relations.gradients(THETA, data, "shape")) * weights[:, None]).sum(0) / weights.sum()
    merged, total, cuts = [Fraction(0)] * 3, Fraction(0), [0, 1, 70, 1024, 1100]
    for start, end in pairwise(cuts):
        rows = slice(start, end)
        share = sum(map(Fraction, map(float, weights[rows])), Fraction(0))
        _, part = relations.mean(THETA, (data[0][rows], data[1][rows]), "shape", weights=weights[rows])
        merged = [m + share * Fraction(float(g)) for m, g in zip(merged, part, strict=True)]
        total += share
    for got, true, size in zip(whole, merged, sizes, strict=True):
        assert abs(Fraction(float(got)) - true / total) <= Fraction(8 * UNIT * float(size))
