"""What must not matter, or exactly so: order, splitting, scaling, place in the data; and Taylor's remainder."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from symgrad import functions, gallery

a, b, k, x, v, y, r, p, theta = sp.symbols("a b k x v y r p theta")
THETA = np.array([1.25, 0.5, -2.0])
TAYLOR = ("eckerle4", "breast_cancer_logistic", "ships_poisson", "marietta_student_t")


@pytest.fixture(scope="module")
def plane() -> Any:
    """Three parameters, two inputs, two targets, a penalty."""
    model = sg.Model(a * sp.exp(-b * x) + k * v, inputs=[x, v], parameters=[a, b, k])
    loss = sg.Loss((p - y) ** 2 / 2 * (1 + r**2), prediction=p, target=[y, r])
    return sg.compile(sg.EmpiricalRisk(model, loss, penalty=(a**2 + b**2 + k**2) / 100, name="plane"))


@pytest.fixture(scope="module")
def rough() -> Any:
    """Branches, kinks, and functions with and without vector versions, so that lanes could differ."""
    z = sp.Piecewise((sp.exp(-a * x), x > 1), (functions.softplus(b * v) * sp.erf(x), v < 0), (sp.log(v + 2) / k, True))
    loss = sp.loggamma(sp.Abs(p - y) + 1) + sp.Max(p, r) + sp.tanh(p) + sp.sqrt(1 + (p - y) ** 2) ** sp.Rational(1, 3)
    model = sg.Model(z, inputs=[x, v], parameters=[a, b, k])
    return sg.compile(sg.EmpiricalRisk(model, sg.Loss(loss, prediction=p, target=[y, r]), name="rough"))


@pytest.fixture(scope="module", params=["plane", "rough"])
def module(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def data() -> tuple[Any, Any]:
    random = np.random.default_rng(11)
    return random.uniform(-1.5, 3, (1400, 2)), random.normal(0, 2, (1400, 2))


def per_sample(module: Any, inputs: Any, targets: Any) -> Any:
    """Every per-sample value, side by side."""
    return np.column_stack(
        [
            module.per_sample_loss(THETA, inputs, targets),
            module.per_sample_gradient(THETA, inputs, targets),
            module.predict(THETA, inputs),
        ]
    )


# --- a sample's bits do not depend on where it stands ---------------------------------------------------------------


def test_a_sample_alone_has_the_bits_it_has_among_others(module: Any, data: tuple[Any, Any]) -> None:
    whole = per_sample(module, *data)
    assert np.isfinite(whole).all()
    for i in (*range(130), *range(1330, 1400)):
        assert per_sample(module, data[0][i : i + 1], data[1][i : i + 1]).tobytes() == whole[i].tobytes()


def test_shifts_and_shuffles_move_bits_along(module: Any, data: tuple[Any, Any]) -> None:
    whole = per_sample(module, *data)
    orders = [np.roll(np.arange(1400), shift) for shift in (1, 2, 3, 5, 8, 31, 64, 1000)]
    orders += [np.random.default_rng(seed).permutation(1400)[: 1400 - 7 * seed] for seed in range(4)]
    for order in orders:
        assert per_sample(module, data[0][order], data[1][order]).tobytes() == whole[order].tobytes()


def test_neighbours_that_are_nan_or_huge_change_nothing(module: Any, data: tuple[Any, Any]) -> None:
    whole = per_sample(module, *data)
    for wild in (np.nan, np.inf, 1e308, -1e308, 5e-324):
        inputs, targets = data[0].copy(), data[1].copy()
        inputs[::3], targets[1::7] = wild, wild
        kept = np.setdiff1d(np.arange(1400), [*range(0, 1400, 3), *range(1, 1400, 7)])
        assert per_sample(module, inputs, targets)[kept].tobytes() == whole[kept].tobytes()


def test_the_call_that_computes_it_changes_no_bits(module: Any, data: tuple[Any, Any]) -> None:
    """loss alone, loss with gradient, bound or not: one risk, one gradient."""
    weights = np.linspace(0.5, 2, 1400)
    for extra in ((), (weights,)):
        risk, gradient = module.risk_and_gradient(THETA, *data, *extra)
        assert module.risk(THETA, *data, *extra) == risk
        assert module.gradient(THETA, *data, *extra).tobytes() == gradient.tobytes()
        bound = module.bind(*data, *extra)
        for _ in range(2):
            again = bound(THETA)
            assert again[0] == risk
            assert again[1].tobytes() == gradient.tobytes()


# --- the mean ------------------------------------------------------------------------------------------------------


def test_permuting_the_samples_changes_at_most_the_last_bit(module: Any, data: tuple[Any, Any]) -> None:
    risk, gradient = module.risk_and_gradient(THETA, *data)
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(1400)
        again = module.risk_and_gradient(THETA, data[0][order], data[1][order])
        assert again[0] == pytest.approx(risk, rel=5e-16)
        np.testing.assert_allclose(again[1], gradient, rtol=5e-16)


def test_parts_make_the_whole(rough: Any, data: tuple[Any, Any]) -> None:
    """The mean over all samples is the mean of the parts' means, each weighted with its size (there is no penalty)."""
    whole = rough.gradient(THETA, *data)
    for cut in (1, 64, 700, 1399):
        parts = [rough.gradient(THETA, data[0][rows], data[1][rows]) for rows in (slice(cut), slice(cut, None))]
        scale = np.abs(rough.per_sample_gradient(THETA, *data)).mean(0)
        for i, got in enumerate(whole):
            merged = (Fraction(float(parts[0][i])) * cut + Fraction(float(parts[1][i])) * (1400 - cut)) / 1400
            assert abs(Fraction(float(got)) - merged) <= Fraction(float(scale[i])) * Fraction(1, 2**51)


def test_copies_of_the_data_have_the_same_mean(module: Any, data: tuple[Any, Any]) -> None:
    once = module.gradient(THETA, *data)
    twice = module.gradient(THETA, *(np.concatenate([part, part]) for part in data))
    np.testing.assert_allclose(twice, once, rtol=5e-16)


def test_weights_scale_out_exactly_by_powers_of_two(module: Any, data: tuple[Any, Any]) -> None:
    weights = np.random.default_rng(1).uniform(0.5, 2, 1400)
    risk, gradient = module.risk_and_gradient(THETA, *data, weights)
    for power in (-40, -1, 3, 100):
        again = module.risk_and_gradient(THETA, *data, weights * 2.0**power)
        assert again[0] == risk
        assert again[1].tobytes() == gradient.tobytes()


def test_scaling_a_homogeneous_loss_by_powers_of_two_is_exact() -> None:
    """(theta - y)^2/2 with theta and y scaled by s: the loss scales by s^2 and its gradient by s."""
    expression = (theta - y) ** 2 / 2
    module = sg.compile(
        sg.EmpiricalRisk.from_expression(expression, inputs=[], targets=[y], parameters=[theta], name="mean_of_data")
    )
    data = np.random.default_rng(2).normal(size=1001)
    loss, gradient = module.risk_and_gradient([0.7], None, data)
    for power in (-100, -3, 1, 150):
        scaled = module.risk_and_gradient([0.7 * 2.0**power], None, data * 2.0**power)
        assert scaled[0] == loss * 4.0**power
        assert scaled[1][0] == gradient[0] * 2.0**power


def test_the_penalty_is_added_once(plane: Any, data: tuple[Any, Any]) -> None:
    """After averaging, whatever the number of samples and the weights; and to no per-sample value."""
    for n, weights in ((1, None), (3, None), (1400, None), (1400, np.full(1400, 7.0))):
        part = (data[0][:n], data[1][:n])
        risk, gradient = plane.risk_and_gradient(THETA, *part, weights)
        assert risk - plane.per_sample_loss(THETA, *part).mean() == pytest.approx((THETA**2).sum() / 100, rel=1e-9)
        mean = plane.per_sample_gradient(THETA, *part).mean(0)
        np.testing.assert_allclose(gradient - mean, THETA / 50, rtol=1e-9)


# --- the derivative is the loss' derivative -------------------------------------------------------------------------


@pytest.mark.parametrize("name", TAYLOR)
def test_taylor_remainder_falls_with_the_square_of_the_step(name: str) -> None:
    """|R(theta + h d) - R(theta) - h grad R . d| = O(h^2): a slope of 1 would be a wrong gradient."""
    example = gallery.load(name)
    bound = sg.compile(example.risk).bind(example.inputs, example.targets)
    at = example.theta if example.certified is None else example.certified * 1.01
    random = np.random.default_rng(1)
    direction = np.where(at == 0, 0.1, at) * random.choice([-1, 1], len(at)) * random.uniform(0.5, 1, len(at))
    risk, gradient = bound(at)
    # from sizes where the third order matters little to where rounding does
    steps = 2.0 ** -np.arange(7, 15)
    remainders = [abs(bound(at + h * direction)[0] - risk - h * (gradient @ direction)) for h in steps]
    slopes = np.diff(np.log2(remainders)) / np.diff(np.log2(steps))
    assert abs(np.median(slopes) - 2) <= 0.1, (slopes, remainders)


@pytest.mark.parametrize("name", ["eckerle4", "nelson"])
def test_the_gradient_is_zero_at_a_certified_minimum(name: str) -> None:
    """Relative to the per-sample gradients, as far as the certified digits (11) let it."""
    example = gallery.load(name)
    module = sg.compile(example.risk)
    assert example.certified is not None
    arguments = (example.certified, example.inputs, example.targets)
    curvature = np.abs(module.per_sample_gradient(*arguments)).mean(0)
    assert np.all(np.abs(module.gradient(*arguments)) <= 1e-6 * curvature)
