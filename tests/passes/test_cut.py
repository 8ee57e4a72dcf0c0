"""Where derivatives are summed: cuts that are narrow, and gradients that are pulled back from them once."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from symgrad.gallery import RISKS
from symgrad.passes import derive
from symgrad.passes.cut import narrowest
from symgrad.passes.lowering import contract
from symgrad.trace import trace
from tests.helpers.kernels import generated

K, D = 4, 3
C, e = sp.MatrixSymbol("C", K, D), sp.MatrixSymbol("e", K, 1)
x, z = sp.MatrixSymbol("x", D, 1), sp.MatrixSymbol("z", K, 1)
a, b, c, u, y = sp.symbols("a b c u y")
i = sp.Idx("i", K)

_norms = sp.HadamardPower(C, 2) * sp.OneMatrix(D, 1) + e
_soft_maximum = sg.Loss(sp.log(sp.Sum(sp.exp(z[i, 0]), (i, 0, K - 1))), prediction=z, target=[])
CLUSTERS = sg.EmpiricalRisk(
    sg.Model(C * x - _norms / 2, inputs=[x], parameters=[C, e]),
    _soft_maximum,
    penalty=sp.Trace(C * C.T) / 50,
    name="cut",
)


def cut_of(expression: Any, parameters: list[Any], inputs: list[Any] = [u], targets: list[Any] = [y]) -> list[str]:  # noqa: B006
    risk = sg.EmpiricalRisk.from_expression(expression, inputs=inputs, targets=targets, parameters=parameters)
    program = contract(trace(risk))
    return [program.assignments[v].operation for v in narrowest(program)]


def test_many_parameters_that_samples_meet_as_few_numbers() -> None:
    assert cut_of((sp.exp(a) * sp.sin(b) * c * u - y) ** 2, [a, b, c]) == ["mul"]
    program = contract(trace(CLUSTERS))
    steps = [program.assignments[v] for v in narrowest(program)]
    # C itself, which the products with x make cheap, and a number for each cluster; not the e, which are K more
    assert [step.shape for step in steps] == [(K, D), (K, 1)]
    assert [step.operation == "parameter" for step in steps] == [True, False]


def test_no_cut_where_parameters_are_as_few() -> None:
    assert cut_of((a * sp.exp(-b * u) - y) ** 2, [a, b]) == []
    assert cut_of((sp.exp(a) + sp.sin(a) * u + a**3 * u**2 - y) ** 2, [a]) == []
    assert cut_of((a * b * u + (a + b) * u**2 - y) ** 2, [a, b]) == []  # two for two
    for risk in RISKS:
        assert "pulled" not in generated(risk).lowered.outputs, risk.name


def test_a_condition_is_no_value_to_be_cut() -> None:
    chosen = sp.Piecewise((sp.exp(a) * b, a > b * c), (a * b * c, True))
    assert cut_of((chosen * u - y) ** 2, [a, b, c]) == ["select"]


def test_what_has_no_data_is_summed_as_one_number() -> None:
    program = contract(trace(sg.EmpiricalRisk.from_expression(
        sp.log(sp.Sum(sp.exp(e[i, 0]), (i, 0, K - 1))), inputs=[], targets=[], parameters=[e]
    )))  # fmt: skip
    (value,) = narrowest(program)
    assert program.assignments[value].shape == ()


def test_a_value_that_is_used_twice_is_cut_once() -> None:
    twice = sp.ImmutableMatrix([[a * b], [a * b]])
    assert cut_of((twice.T * sp.ImmutableMatrix([[u], [sp.sin(u)]]))[0, 0] - y * a * b, [a, b]) == ["mul"]


def test_derivatives_at_the_cut_do_not_go_on() -> None:
    """What is pulled back to C by way of its norms is no part of what samples give C."""
    program = derive(trace(CLUSTERS), summed=True)
    leaves = [step for step in program.assignments if step.operation == "cotangent"]
    assert [step.shape for step in leaves] == [(K, D), (K, 1)]
    varies = program.depends_on(["cotangent"])
    assert not any(varies[v] for v in program.outputs["gradient"])
    samples = program.depends_on(["input", "target", "weight"])
    assert not any(samples[v] for v in program.outputs["pulled"])


@pytest.fixture(scope="module", params=["float64", "float32"])
def clusters(request: pytest.FixtureRequest) -> sg.CompiledRisk:
    return sg.compile(CLUSTERS, dtype=request.param)


def rows(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(5)
    return draw.normal(size=K * D + K), draw.normal(size=(n, D)), draw.uniform(0.1, 2, n)


def plain_gradient(theta: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """Each sample's gradient, as one writes it with NumPy."""
    centres, more = theta[: K * D].reshape(K, D), theta[K * D :]
    scores = inputs @ centres.T - (centres**2).sum(1) / 2 - more / 2
    shares = np.exp(scores - scores.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    of_centres = shares[:, :, None] * (inputs[:, None, :] - centres)
    return np.concatenate([of_centres.reshape(len(inputs), -1), -shares / 2], axis=1)


def test_gradients_are_those_by_the_parameters(clusters: sg.CompiledRisk) -> None:
    theta, inputs, weights = rows(3000)
    eps = np.finfo(clusters.gradient(theta, inputs, None).dtype).eps
    each, penalty = plain_gradient(theta, inputs), np.concatenate([theta[: K * D] / 25, np.zeros(K)])
    found = clusters.per_sample_gradient(theta, inputs, None)
    assert found.shape == each.shape
    np.testing.assert_allclose(found, each, atol=40 * eps)
    np.testing.assert_allclose(clusters.gradient(theta, inputs, None), each.mean(0) + penalty, atol=10 * eps)
    weighted = (weights[:, None] * each).sum(0) / weights.sum() + penalty
    np.testing.assert_allclose(clusters.gradient(theta, inputs, None, weights), weighted, atol=10 * eps)
    norms = clusters.reduce(theta, inputs, None, want="squared_norms")["squared_norms"]
    np.testing.assert_allclose(norms, (each**2).sum(1), rtol=200 * eps)


def test_the_bits_are_the_same_for_threads_parts_and_doors(clusters: sg.CompiledRisk) -> None:
    theta, inputs, weights = rows(5000)
    true = clusters.gradient(theta, inputs, None, weights, threads=1)
    assert np.array_equal(true, clusters.gradient(theta, inputs, None, weights, threads=3))
    assert np.array_equal(true, clusters.risk_and_gradient(theta, inputs, None, weights)[1])
    assert np.array_equal(true, clusters.bind(inputs, None, weights)(theta)[1])
    parts = [
        clusters.partial_sums(theta, inputs[start:end], None, weights[start:end], first=start)
        for start, end in pairwise([0, 1, 1024, 1777, 5000])
    ]
    assert np.array_equal(true, clusters.merge_sums(theta, *reversed(parts))[1])


def test_written_past_the_caches_too(clusters: sg.CompiledRisk) -> None:
    """Many rows are put together before they are written."""
    theta, inputs, _ = rows(30_000)
    found = clusters.per_sample_gradient(theta, inputs, None)
    parts = [clusters.per_sample_gradient(theta, inputs[start : start + 100], None) for start in (0, 17_000, 29_900)]
    for start, part in zip((0, 17_000, 29_900), parts, strict=True):
        assert np.array_equal(found[start : start + 100], part)


def test_the_bits_of_a_mean_are_those_of_clipping_at_infinity(clusters: sg.CompiledRisk) -> None:
    theta, inputs, _ = rows(3000)
    clipped = clusters.reduce(theta, inputs, None, want="clipped_mean", clip=np.inf)["clipped_mean"]
    mean = clusters.gradient(theta, inputs, None)
    assert np.array_equal(clipped[K * D :], mean[K * D :])  # of which the penalty has none
    np.testing.assert_allclose(
        clipped[: K * D], mean[: K * D] - theta[: K * D] / 25, atol=10 * np.finfo(mean.dtype).eps
    )


def test_what_is_made_of_gradients_is_made_of_those_by_the_parameters(clusters: sg.CompiledRisk) -> None:
    theta, inputs, weights = rows(2500)
    each, total = plain_gradient(theta, inputs), weights.sum()
    atol = 100 * np.finfo(clusters.gradient(theta, inputs, None).dtype).eps
    groups = np.arange(2500) % 3
    want = ["clipped_mean", "clipped_fraction", "second_moment", "variance", "outer", "group_sums", "top"]
    got = clusters.reduce(theta, inputs, None, weights, want=want, clip=1.0, groups=groups, n_groups=3, top=4)
    norms = np.linalg.norm(each, axis=1)
    clipped = each * np.minimum(1, 1 / norms)[:, None]
    mean, second = weights @ each / total, weights @ each**2 / total
    np.testing.assert_allclose(got["clipped_mean"], weights @ clipped / total, atol=atol)
    np.testing.assert_allclose(got["clipped_fraction"], weights @ (norms > 1) / total, atol=atol)
    np.testing.assert_allclose(got["second_moment"], second, atol=atol)
    np.testing.assert_allclose(got["variance"], second - mean**2, atol=atol)
    np.testing.assert_allclose(got["outer"], (each.T * weights) @ each / total, atol=atol)
    sums = np.stack([(weights[:, None] * each)[groups == g].sum(0) for g in range(3)])
    np.testing.assert_allclose(got["group_sums"], sums, rtol=2e3 * atol, atol=3e3 * atol)
    assert np.array_equal(got["top"][0], np.argsort(-norms)[:4])
    parts = [
        clusters.partial_reduce(
            theta, inputs[a:b], None, weights[a:b], want="clipped_sum", clip={"C": 0.5, "e": 0.2}, first=a
        )
        for a, b in pairwise([0, 777, 2500])
    ]
    blocks = clusters.merge_reduce(theta, *parts)["clipped_sum"]
    of_c, of_e = each[:, : K * D], each[:, K * D :]
    by_block = [
        part * np.minimum(1, bound / np.linalg.norm(part, axis=1))[:, None]
        for part, bound in ((of_c, 0.5), (of_e, 0.2))
    ]
    np.testing.assert_allclose(blocks, weights @ np.concatenate(by_block, axis=1), atol=3e3 * atol)


def test_bounds_follow_theta_where_fewer_numbers_are_summed_than_there_are_parameters() -> None:
    """Three parameters, one sum: a bound, and one for each parameter, are found behind all of theta."""
    risk = sg.EmpiricalRisk.from_expression(
        (sp.exp(a) * b * c * u - y) ** 2, inputs=[u], targets=[y], parameters=[a, b, c], name="narrow"
    )
    compiled, theta = sg.compile(risk), np.array([0.3, 0.7, -1.1])
    draw = np.random.default_rng(8)
    inputs, targets = draw.normal(size=500), draw.normal(size=500)
    slope = np.exp(0.3) * 0.7 * -1.1 * inputs
    each = (2 * (slope - targets) * slope)[:, None] / np.array([1, 0.7, -1.1])
    norms = np.linalg.norm(each, axis=1, keepdims=True)
    one = compiled.reduce(theta, inputs, targets, want="clipped_sum", clip=0.5)["clipped_sum"]
    np.testing.assert_allclose(one, (each * np.minimum(1, 0.5 / norms)).sum(0), rtol=1e-12)
    bounds = {"a": 0.5, "b": 0.2, "c": 0.9}
    blocks = compiled.reduce(theta, inputs, targets, want="clipped_sum", clip=bounds)["clipped_sum"]
    np.testing.assert_allclose(blocks, np.clip(each, *np.array([[-1], [1]]) * [0.5, 0.2, 0.9]).sum(0), rtol=1e-12)


def test_verify_agrees() -> None:
    assert sg.verify(CLUSTERS).passed


def test_a_sign_or_a_number_does_not_hide_a_product() -> None:
    """The gradient of a matrix, under a sign, a number and a difference, is summed as products and not by rows."""
    W, V = sp.MatrixSymbol("W", 3, D), sp.MatrixSymbol("V", 3, D)
    t, s = sp.MatrixSymbol("t", 3, 1), sp.Symbol("s")
    residual = t - (W * x).applyfunc(sp.tanh) - s * V * x
    risk = sg.EmpiricalRisk.from_expression(residual.T * residual, inputs=[x], targets=[t], parameters=[W, V, s])
    kernel = generated(risk).kernel
    assert {(o.at, o.m, o.p, o.k) for o in kernel.outers} == {(0, 3, 1, D), (3 * D, 3, 1, D)}
    assert [(segment.at, segment.size) for segment in kernel.segments] == [(6 * D, 1)]
