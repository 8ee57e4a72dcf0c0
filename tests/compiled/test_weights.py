"""Weights of any size, from the least subnormal to the greatest number: the mean to the promise, also in parts."""

from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import sympy as sp

import symgrad as sg

theta, y = sp.symbols("theta y")

N = 2300  # two tiles and a part of one


def declared() -> Any:
    return sg.EmpiricalRisk.from_expression(
        (theta - y) ** 2 / 2, inputs=[], targets=[y], parameters=[theta], name="mean_of_data"
    )


@pytest.fixture(scope="module", params=["float64", "float32"])
def mean(request: pytest.FixtureRequest) -> Any:
    return sg.compile(declared(), dtype=request.param)


def kind_of(module: Any) -> Any:
    return module.gradient([0.0], None, [1.0]).dtype.type


def sizes(kind: Any) -> dict[str, Any]:
    """Weights that no ordinary sum of products survives, in one precision."""
    random, facts = np.random.default_rng(15), np.finfo(kind)
    least, tiny = float(facts.smallest_subnormal), float(facts.tiny)
    first = np.arange(N) < 1024
    weights = {
        "the least": np.full(N, least),
        "few of the least": least * random.integers(1, 9, N),
        "small": np.full(N, tiny / 3),
        "some zero": least * random.integers(0, 2, N),
        "of every size": np.exp(random.uniform(np.log(tiny), np.log(float(facts.max)), N)),
        "another size in each tile": tiny * 2.0 ** -(np.arange(N) // 1024),
        "the least, then ordinary ones": np.where(first, least, 1.0),
        "none in a tile, then the least": np.where(first, 0.0, 3 * least),
        "negative": np.where(np.arange(N) % 3 == 0, -least, 2 * least),
        "the greatest": np.full(N, facts.max),
        "the greatest once": np.where(np.arange(N) == 77, facts.max, least),
    }
    return {name: array.astype(kind) for name, array in weights.items()}


@pytest.mark.parametrize("size", [1.0, 2e-12])
def test_the_promise_holds_for_weights_of_any_size(size: float, mean: Any) -> None:
    kind = kind_of(mean)
    half = Fraction(float(np.finfo(kind).eps) / 2)
    data = (size * np.random.default_rng(4).normal(size=N)).astype(kind)
    for name, weights in sizes(kind).items():
        w, g = [Fraction(x) for x in weights.tolist()], [-Fraction(x) for x in data.tolist()]
        exact, size_of_terms = (
            sum(a * b for a, b in zip(w, terms, strict=True)) / sum(w) for terms in (g, [abs(x) for x in g])
        )
        got = Fraction(float(mean.gradient([0.0], None, data, weights)[0]))
        assert abs(got - exact) <= 2 * half * abs(exact) + half * abs(size_of_terms), name  # w * g is rounded once


def test_equal_weights_change_no_mean(mean: Any) -> None:
    """The bits of a power of two are those of one; any other weight is rounded once."""
    kind = kind_of(mean)
    data = np.random.default_rng(5).normal(size=N).astype(kind)
    plain = mean.risk_and_gradient([0.5], None, data)
    for exponent in range(int(np.log2(float(np.finfo(kind).smallest_subnormal))), np.finfo(kind).maxexp, 37):
        risk, gradient = mean.risk_and_gradient([0.5], None, data, np.full(N, 2.0**exponent, kind))
        assert (risk, gradient.tobytes()) == (plain[0], plain[1].tobytes()), exponent


def test_weights_in_double_are_not_bound_by_single_precision(mean: Any) -> None:
    """What a module of float32 could not hold: as weights of one, and mixed in any tile, also in parts."""
    random, kind = np.random.default_rng(9), kind_of(mean)
    data, few = random.normal(size=N).astype(kind), random.integers(1, 9, N)
    plain, weighted = (mean.gradient([0.5], None, data, w)[0] for w in (None, few))
    for size in (2.0**-1074, 2.0**-700, 2.0**-140, 2.0**126, 2.0**128, 2.0**1000):
        assert mean.gradient([0.5], None, data, np.full(N, size))[0] == plain
        assert mean.gradient([0.5], None, data, few * size)[0] == weighted
    first = np.arange(N) < 1024
    for small in (1e-300, 1.0, 1e30):
        weights = np.where(first, small, 1e300)
        alone = mean.risk_and_gradient([0.5], None, data[~first])
        assert mean.risk_and_gradient([0.5], None, data, weights)[0] == pytest.approx(alone[0], rel=1e-6)
        parts = [mean.partial_sums([0.5], None, data[a:b], weights[a:b], first=a) for a, b in ((1024, N), (0, 1024))]
        assert mean.merge_sums([0.5], *parts) == mean.risk_and_gradient([0.5], None, data, weights)


def test_sums_of_small_weights_may_overflow(mean: Any) -> None:
    facts = np.finfo(kind_of(mean))
    greatest, least, few = float(facts.max), float(facts.smallest_subnormal), 4 * float(facts.eps)
    large = np.arange(N) < 1500
    data = np.where(large, greatest, 1.0).astype(facts.dtype)
    got = mean.gradient([0.0], None, data, np.full(N, least, facts.dtype))[0]
    assert float(got) == pytest.approx(-greatest * (1500 / N), rel=few)
    weights = np.where(large, least, 1.0).astype(facts.dtype)  # what overflows is small beside the others
    assert float(mean.gradient([0.0], None, data, weights)[0]) == pytest.approx(
        -(1500 * least * greatest / 800 + 1), rel=few
    )


def test_parts_with_weights_of_any_size_have_the_bits_of_one_call(mean: Any) -> None:
    kind = kind_of(mean)
    data = np.random.default_rng(6).normal(size=N).astype(kind)
    for name, weights in sizes(kind).items():
        whole = mean.risk_and_gradient([0.5], None, data, weights)
        for cuts in ((0, 1024, N), (0, 2048, N), (0, 1024, 2048, N)):
            parts = [mean.partial_sums([0.5], None, data[a:b], weights[a:b], first=a, threads=2)
                     for a, b in pairwise(cuts)]  # fmt: skip
            risk, gradient = mean.merge_sums([0.5], *reversed(parts))
            assert (risk, gradient.tobytes()) == (whole[0], whole[1].tobytes()), name


def test_a_node_tells_its_exponent(mean: Any) -> None:
    """Its pairs are sums over weights that are 2**-exponent times those given."""
    kind = kind_of(mean)
    least = float(np.finfo(kind).smallest_subnormal)
    data = np.ones(10, kind)
    for weight, expected in ((1.0, 0), (2.0**-32, 0), (2.0**-33, -32), (least, int(np.log2(least)) + 1), (0.0, -1100)):
        (node,) = mean.module.partial_sums([0.0], None, data, np.full(10, weight, kind)).values()
        assert node[0].tolist() == [10, expected]
        assert node[1].sum() == 10 * (weight * 2.0 ** -max(expected, -1000) if weight > least else weight and 0.5)
