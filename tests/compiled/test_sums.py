"""The mean of a compiled module: the promised bound on data that cancels, infinities, weights, sizes around a tile.

The gradient of ``(theta - y)**2/2`` by ``theta`` is ``theta - y``: at theta = 0 the mean gradient is minus the mean of
the data, whose exact value is a rational number.
"""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from symgrad.errors import ArrayError, ArrayTypeError

theta, y, x, a, b = sp.symbols("theta y x a b")
U = Fraction(1, 2**53)
SIZES = (1, 2, 3, 15, 16, 17, 63, 64, 65, 127, 128, 1023, 1024, 1025, 2047, 2049, 16385, 100_003)


@pytest.fixture(scope="module")
def mean() -> Any:
    return sg.compile(
        sg.EmpiricalRisk.from_expression(
            (theta - y) ** 2 / 2, inputs=[], targets=[y], parameters=[theta], name="mean_of_data"
        )
    )


@pytest.fixture(scope="module")
def single() -> Any:
    return sg.compile(
        sg.EmpiricalRisk.from_expression(
            (theta - y) ** 2 / 2, inputs=[], targets=[y], parameters=[theta], name="mean_of_data"
        ),
        dtype="float32",
    )


@pytest.fixture(scope="module")
def line() -> Any:
    model = sg.Model(a + b * x + sp.log(x), inputs=[x], parameters=[a, b])
    return sg.compile(sg.EmpiricalRisk(model, sg.losses.squared(), name="line_with_log"))


def mean_gradient(module: Any, data: Any, weights: Any = None) -> float:
    return float(module.gradient([0.0], None, data, weights)[0])


def excess(got: float, data: Any, weights: Any = None) -> float:
    """The error of a mean gradient over the promised ``2u|g| + 500u^2 mean|g_i|``, both exact; weighted, 3u."""
    shares = [Fraction(1)] * len(data) if weights is None else [Fraction(float(w)) for w in weights]
    total = sum(shares)
    terms = [-Fraction(float(v)) * w for v, w in zip(data, shares, strict=True)]
    true = sum(terms) / total
    allowed = (2 if weights is None else 3) * U * abs(true) + 500 * U**2 * sum(map(abs, terms)) / abs(total)
    error = abs(Fraction(got) - true)
    return 0.0 if error == 0 else float(error / allowed)


def cancelling(n: int, seed: int, spread: float) -> Any:
    """Data over many orders of magnitude whose sum is smaller than its terms by as many."""
    random = np.random.default_rng(seed)
    half = random.standard_normal(n // 2) * 10.0 ** random.uniform(-spread, spread, n // 2)
    odd = random.standard_normal(n - 2 * len(half))
    data = np.concatenate([half, -half[::-1] * (1 + 2.0**-52 * random.integers(0, 2, len(half))), odd])
    return random.permutation(data)


@pytest.mark.parametrize("n", SIZES)
def test_the_bound_holds_on_cancelling_data(n: int, mean: Any) -> None:
    for seed, spread in enumerate((0, 4, 15) if n < 20_000 else (15,)):
        data = cancelling(n, seed, spread)
        assert excess(mean_gradient(mean, data), data) <= 1, (n, spread)


def test_the_bound_holds_where_neighbours_hide_each_other(mean: Any) -> None:
    for block in ([1e16, 1.0, -1e16], [1.0, 1e100, 1.0, -1e100], [3.0, 2.0**53, -(2.0**53)], [1e308, -1e308, 1e-300]):
        for n in (1, 7, 333, 3333):
            data = np.array(block * n)
            assert excess(mean_gradient(mean, data), data) <= 1, (block, n)


def conditioned(n: int, condition: float, seed: int) -> Any:
    """Data whose sum is smaller than its terms by about ``condition``, as Ogita, Rump and Oishi (2005) make them."""
    random = np.random.default_rng(seed)
    sizes = 10.0 ** random.uniform(0, math.log10(condition) / 2 if condition > 1 else 0, n)
    data = [float(v) for v in random.standard_normal(n // 2) * sizes[: n // 2] * math.sqrt(condition)]
    sum_so_far = sum(map(Fraction, data))
    for size in np.linspace(
        math.log10(condition), 0, n - n // 2
    ):  # ever smaller: each takes away nearly all that is left
        data.append(float(Fraction(float(random.standard_normal() * 10.0**size)) - sum_so_far))
        sum_so_far += Fraction(data[-1])
    return random.permutation(data)


# For N to 2^38: of A, the sum of sizes, the 16 TwoSums of a lane lose at most 15 * 16 u^2 A (their errors, each at most
# u A, are added naively), the first fold 33 u^2 A (the low parts are not small yet), the other five and each level of
# the tree 3 u^2 A: 28 levels for 2^28 tiles. That is 372 u^2 A; high + low and the division round by u each.
@pytest.mark.parametrize("decades", [0, 5, 10, 15, 20, 25, 30])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_bound_holds_for_any_condition(decades: int, weighted: bool, mean: Any) -> None:
    for n in (777, 2055):
        data = conditioned(n, 10.0**decades, seed=decades)
        exact = sum(map(Fraction, data.tolist()))
        condition = sum(map(abs, map(Fraction, data.tolist()))) / abs(exact)
        assert condition > Fraction(10) ** (decades - 2)
        weights = 2.0 ** np.random.default_rng(n).integers(-3, 4, n) if weighted else None  # w * g is exact
        got = mean_gradient(mean, data / (1 if weights is None else weights), weights)
        assert excess(got, data / (1 if weights is None else weights), weights) <= 1
        if weights is None and condition < 2**50:
            assert abs(got + math.fsum(data) / n) <= 2 * math.ulp(got)


def test_the_bound_holds_with_any_weights(mean: Any) -> None:
    """A product w * g is rounded once, and is the sample's then."""
    random = np.random.default_rng(12)
    data, weights = cancelling(3333, 13, 6), random.uniform(0, 3, 3333)
    terms = [-Fraction(float(v * w)) for v, w in zip(data, weights, strict=True)]
    total = sum(map(Fraction, weights.tolist()))
    error = abs(Fraction(mean_gradient(mean, data, weights)) - sum(terms) / total)
    assert error <= 3 * U * abs(sum(terms)) / total + 500 * U**2 * sum(map(abs, terms)) / total


@pytest.fixture(scope="module")
def layer() -> Any:
    """Matrices: W (2, 3), whose gradient is summed as a product, and a bias (2, 1)."""
    W, c, u = sp.MatrixSymbol("W", 2, 3), sp.MatrixSymbol("c'", 2, 1), sp.MatrixSymbol("u", 3, 1)
    return sg.compile(
        sg.EmpiricalRisk(sg.Model(W * u + c, inputs=[u], parameters=[W, c]), sg.losses.squared(2), name="layer")
    )


def test_the_bound_of_matrix_products(layer: Any) -> None:
    """64 lanes and 16 calls without compensation: 80 u mean|g_i|, as the module says; the bias has the other bound."""
    assert "within 9e-15 of the mean size" in layer.module.__doc__
    random = np.random.default_rng(14)
    for n in (63, 1024, 2500):
        inputs = np.stack([cancelling(n, seed, 6) for seed in (1, 2, 3)], 1)
        targets = random.choice([-1.0, 1.0], (n, 2))
        got = layer.gradient(np.zeros(8), inputs, targets)
        for place in range(6):
            pairs = zip(targets[:, place // 3].tolist(), inputs[:, place % 3].tolist(), strict=True)
            terms = [-Fraction(aim) * Fraction(given) for aim, given in pairs]
            error = abs(Fraction(float(got[place])) - sum(terms) / n)
            assert error <= 2 * U * abs(sum(terms)) / n + 80 * U * sum(map(abs, terms)) / n
        assert excess(got[6], targets[:, 0]) <= 1


def test_the_sign_of_zero_is_kept(mean: Any) -> None:
    assert np.signbit(mean.per_sample_gradient([-0.0], None, [0.0, -0.0])).ravel().tolist() == [True, False]


def test_tenths_are_summed_to_the_last_bit(mean: Any) -> None:
    for n in (10, 1000, 100_003):
        assert mean_gradient(mean, np.full(n, 0.1)) == -0.1


def test_the_bound_holds_with_weights(mean: Any) -> None:
    random = np.random.default_rng(5)
    for n in (1, 64, 65, 3001):
        data, weights = cancelling(n, 6, 8), 2.0 ** random.integers(-8, 8, n)  # powers of two: w * g is exact
        assert excess(mean_gradient(mean, data, weights), data, weights) <= 1, n


def test_float32_sums_are_kept_in_double(single: Any) -> None:
    data = np.array([2.0**24, 1.0, 1.0, -(2.0**24)] * 5000, np.float32)
    assert mean_gradient(single, data) == -0.5
    assert single.gradient([0.0], None, data).dtype == np.float32
    assert single.risk([0.0], None, np.full(1_000_001, 0.1, np.float32)) == pytest.approx(0.005, rel=1e-7)


def test_the_mean_of_one_sample_is_that_sample(mean: Any, line: Any) -> None:
    for value in (0.1, -1e308, 5e-324, 1e-200, 3.0):
        assert mean_gradient(mean, [value]) == -value
    for row in np.random.default_rng(2).uniform(0.1, 10, (50, 2)):
        arguments = ([0.3, -0.7], row[:1], row[1:])
        assert line.gradient(*arguments).tobytes() == line.per_sample_gradient(*arguments)[0].tobytes()
        assert line.risk(*arguments) == line.per_sample_loss(*arguments)[0]


def test_per_sample_values_by_fsum_are_the_mean(line: Any) -> None:
    random = np.random.default_rng(3)
    for n in SIZES:
        rows = random.uniform(0.1, 10, (n, 2))
        arguments = ([0.3, -0.7], rows[:, 0], rows[:, 1])
        each, whole = line.per_sample_gradient(*arguments), line.gradient(*arguments)
        for column, got in zip(each.T, whole, strict=True):
            exact = sum(map(Fraction, column.tolist())) / n
            floor = 500 * U**2 * Fraction(float(np.abs(column).mean()))
            assert abs(Fraction(float(got)) - exact) <= 2 * U * abs(exact) + floor
        assert line.risk(*arguments) == pytest.approx(math.fsum(line.per_sample_loss(*arguments)) / n, rel=3e-16)


# --- what is not finite --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 63, 64, 65, 1025])
def test_infinities_and_nan_in_one_row(n: int, mean: Any) -> None:
    for place in {0, n // 2, n - 1}:
        data = np.ones(n)
        data[place] = np.inf
        assert mean_gradient(mean, data) == -np.inf
        assert mean.risk([0.0], None, data) == np.inf
        data[place] = -np.inf
        assert mean_gradient(mean, data) == np.inf
        data[place] = np.nan
        assert math.isnan(mean_gradient(mean, data))
        assert math.isnan(mean.risk([0.0], None, data))


def test_a_loss_that_overflows_is_infinite_and_its_gradient_is_not(mean: Any) -> None:
    data = np.ones(300)
    data[17] = 1e300
    risk, gradient = mean.risk_and_gradient([0.0], None, data)
    assert risk == np.inf
    assert gradient[0] == pytest.approx(-1e300 / 300)


def test_infinities_of_both_signs_are_nan(mean: Any) -> None:
    data = np.ones(500)
    data[[3, 400]] = np.inf, -np.inf
    assert math.isnan(mean_gradient(mean, data))


def test_every_other_row_keeps_its_values_beside_a_nan(line: Any) -> None:
    rows = np.random.default_rng(4).uniform(0.1, 10, (130, 2))
    clean = line.per_sample_gradient([0.3, -0.7], rows[:, 0], rows[:, 1])
    rows[70, 0] = np.nan
    spoilt = line.per_sample_gradient([0.3, -0.7], rows[:, 0], rows[:, 1])
    others = np.arange(130) != 70
    assert spoilt[others].tobytes() == clean[others].tobytes()
    assert np.isnan(spoilt[70]).all()


# --- sums beyond the range of double -------------------------------------------------------------------------------

GREATEST = np.finfo(float).max


@pytest.mark.parametrize("n", [2, 10, 64, 1024, 1025, 5000, 100_003])
def test_a_sum_may_overflow_if_the_mean_does_not(n: int, mean: Any) -> None:
    for data in (np.full(n, 1e308), np.full(n, GREATEST), np.random.default_rng(n).uniform(-1, 1, n) * GREATEST):
        assert excess(mean_gradient(mean, data), data) <= 1
    assert mean.risk([0.0], None, np.full(n, 1.3e154)) == pytest.approx(0.845e308, rel=1e-15)


def test_sums_that_overflow_and_come_back(mean: Any) -> None:
    for n in (3, 100, 1000, 40_000):
        data = np.repeat([1e308, -1e308, 1e300], n)
        assert excess(mean_gradient(mean, data), data) <= 1
        data = np.concatenate([np.full(1024 * 4, GREATEST), np.full(1024 * 4, -GREATEST), [2.0**900]])
        assert excess(mean_gradient(mean, data), data) <= 1


def test_infinities_and_nan_beside_sums_that_overflow(mean: Any) -> None:
    for place in (0, 700, 2999):
        for value, expected in ((np.inf, -np.inf), (-np.inf, np.inf), (np.nan, np.nan)):
            data = np.full(3000, 1e308)
            data[place] = value
            np.testing.assert_equal(mean_gradient(mean, data), expected)


def test_weights_may_overflow_too(mean: Any) -> None:
    data = np.arange(100.0)
    assert mean_gradient(mean, data, np.full(100, 1e308)) == -49.5
    assert mean_gradient(mean, data, np.full(100, -1e308)) == -49.5
    assert mean_gradient(mean, np.full(100, 1e308), np.full(100, 0.75)) == -1e308
    assert mean_gradient(mean, np.full(3000, 1e100), np.full(3000, 1e300)) == pytest.approx(-1e100, rel=5e-16)
    tiny = np.where(data < 50, 1e-300, 1.0)  # too small to count beside the others, but a NaN there counts
    assert mean_gradient(mean, np.full(100, GREATEST), tiny) == pytest.approx(-GREATEST, rel=1e-15)
    assert math.isnan(mean_gradient(mean, np.where(data == 3, np.nan, GREATEST), tiny))
    assert mean_gradient(mean, np.where(data == 3, np.inf, GREATEST), tiny) == -np.inf


def test_one_parameter_overflows_and_another_is_tiny(layer: Any) -> None:
    """Each sum by itself: the small one keeps all its digits, subnormal or not; products of matrices likewise."""
    for n in (10, 1024, 3000):
        inputs = np.tile([1e308, 1e-310, 3e-320], (n, 1))
        got = layer.gradient(np.zeros(8), inputs, np.ones((n, 2)))
        np.testing.assert_allclose(got[:6], [-1e308, -1e-310, -3e-320] * 2, rtol=1e-14, atol=0)
        assert got[6:].tolist() == [-1.0, -1.0]


def test_float32_overflows_only_where_the_mean_does(single: Any) -> None:
    most = np.float32(np.finfo(np.float32).max)
    assert single.gradient([0.0], None, np.full(5000, most))[0] == -most
    assert single.gradient([float(most)], None, np.full(5000, -most))[0] == np.inf


def test_every_nan_has_the_same_bits(mean: Any, single: Any, layer: Any) -> None:
    odd = np.array([0xFFF8000000000123, 0x7FF0000000000001], np.uint64).view(float)
    rows = np.array([np.nan, -np.nan, *odd, np.inf, -np.inf, 1.0])
    found = [np.array([mean.risk([0.0], None, data) for data in ([odd[0]], [odd[1]], [np.inf, odd[0]])])]
    found += [mean.gradient([0.0], None, data) for data in ([odd[0]], [np.inf, -np.inf], [-np.inf, np.inf, odd[1]])]
    for module in (mean, single):
        data = np.array([np.nan, -np.nan, np.inf], np.float32) if module is single else rows
        found += [module.per_sample_gradient([np.inf], None, data), module.per_sample_loss([np.inf], None, data)]
        found += [module.gradient([np.inf], None, data)]
    inputs = np.stack([rows, rows, np.zeros(7)], 1)
    theta = np.array([0.0, 1.0, 0.0, 1.0, -1.0, 0.0, 1.0, 1.0])
    targets = np.full((7, 2), np.inf)
    found += [
        layer.predict(theta, inputs),
        layer.per_sample_gradient(theta, inputs, targets),
        layer.gradient(theta, inputs, targets),
    ]
    for array in found:
        nans = array[np.isnan(array)]
        assert len(nans)
        kind, bits = (np.uint64, 0x7FF8000000000000) if array.dtype == float else (np.uint32, 0x7FC00000)
        assert set(nans.view(kind).tolist()) == {bits}


# --- weights -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 64, 65, 129, 1500])
def test_a_zero_weight_removes_its_row_even_where_it_is_nan(n: int, line: Any) -> None:
    random = np.random.default_rng(n)
    rows = random.uniform(0.1, 10, (n, 2))
    weights = random.integers(0, 3, n).astype(float)
    weights[0], weights[1] = 0.0, 2.0
    removed = np.flatnonzero(weights == 0)
    rows[removed[::2], 0], rows[removed[1::2], 1] = -1.0, np.inf  # log(-1); an infinite residual
    kept = weights != 0
    for zero in (0.0, -0.0):
        weights[~kept] = zero
        got = line.risk_and_gradient([0.3, -0.7], rows[:, 0], rows[:, 1], weights)
        want = line.risk_and_gradient([0.3, -0.7], rows[kept, 0], rows[kept, 1], weights[kept])
        assert got[0] == pytest.approx(want[0], rel=4e-16)
        np.testing.assert_allclose(got[1], want[1], rtol=4e-16)


def test_whole_blocks_of_zero_weights(line: Any) -> None:
    rows = np.random.default_rng(7).uniform(0.1, 10, (5000, 2))
    weights = np.zeros(5000)
    weights[3333] = 3.0
    rows[:3000] = np.nan
    one = line.risk_and_gradient([0.3, -0.7], rows[3333:3334, 0], rows[3333:3334, 1])
    risk, gradient = line.risk_and_gradient([0.3, -0.7], rows[:, 0], rows[:, 1], weights)
    assert risk == pytest.approx(one[0], rel=4e-16)
    np.testing.assert_allclose(gradient, one[1], rtol=4e-16)


def test_a_weight_k_is_k_copies(line: Any) -> None:
    rows = np.random.default_rng(8).uniform(0.1, 10, (333, 2))
    weights = np.arange(333) % 5 + 1
    repeated = np.repeat(rows, weights, axis=0)
    want = line.risk_and_gradient([0.3, -0.7], repeated[:, 0], repeated[:, 1])
    for kind in (int, np.int8, np.float32, np.uint16, float):
        risk, gradient = line.risk_and_gradient([0.3, -0.7], rows[:, 0], rows[:, 1], weights.astype(kind))
        assert risk == pytest.approx(want[0], rel=1e-15)
        np.testing.assert_allclose(gradient, want[1], rtol=2e-15)


def test_weights_of_one_are_no_weights(line: Any) -> None:
    rows = np.random.default_rng(9).uniform(0.1, 10, (777, 2))
    plain = line.gradient([0.3, -0.7], rows[:, 0], rows[:, 1])
    for weights in ([1] * 777, np.ones(777, bool), np.ones((777, 1))):
        assert line.gradient([0.3, -0.7], rows[:, 0], rows[:, 1], weights).tobytes() == plain.tobytes()


def test_negative_weights_take_samples_out_again(mean: Any) -> None:
    assert mean_gradient(mean, [1.0, 2.0, 5.0], [1, 1, -1]) == 2.0
    assert mean_gradient(mean, [1.0, 2.0], [-1, -1]) == -1.5


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (np.zeros(100), "finite sum other than zero.*got 0"),
        (np.tile([1.0, -1.0], 50), "finite sum other than zero"),
        (np.where(np.arange(100) == 77, np.nan, 1.0), "finite numbers.*got nan"),
        (np.where(np.arange(100) == 0, np.inf, 1.0), "finite numbers.*got inf"),
        (np.ones(99), "one row for each sample"),
        (np.ones((100, 2)), r"shape \(N, 1\) or \(N,\)"),
        (3.0, r"shape \(N, 1\) or \(N,\)"),
    ],
)
def test_weights_that_make_no_mean(weights: Any, said: str, mean: Any) -> None:
    for call in (mean.risk, mean.gradient, mean.risk_and_gradient):
        with pytest.raises(ArrayError, match=f"weights: .*{said}"):
            call([0.0], None, np.arange(100.0), weights)
    with pytest.raises(ArrayError, match=f"weights: .*{said}"):
        mean.bind(None, np.arange(100.0), weights)([0.0])


def test_weights_of_a_wrong_kind(mean: Any) -> None:
    for weights in ("heavy", [1j] * 3, [None] * 3, np.ma.masked_less(np.arange(3.0), 1)):
        with pytest.raises(ArrayTypeError, match=r"weights: expected .*; "):
            mean.risk([0.0], None, np.arange(3.0), weights)
