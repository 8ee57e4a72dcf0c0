"""Reductions of all samples' gradients: against their definitions on an array of them, and in parts cut anywhere."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from symgrad.declare import EmpiricalRisk
from symgrad.errors import ArrayError, ArrayTypeError

from .test_blocks import SPELLINGS
from .test_curvature import NET

x, y, a, b = sp.symbols("x y a b", real=True)
CURVE = EmpiricalRisk.from_expression(
    (a * sp.exp(-b * x) - y) ** 2 / 2, inputs=[x], targets=[y], parameters=[a, b], penalty=a**2 / 8, name="curve"
)
RISKS = {"curve": CURVE, "net": NET, "regression": SPELLINGS["a product"]}
SUMS = (
    *("risk", "mean", "clipped_mean", "clipped_sum", "clipped_fraction", "second_moment", "variance", "outer"),
    *("outer_squared_weights", "group_sums", "noise", "top", "hessian"),
)


def data(name: str, n: int, seed: int = 0) -> tuple[Any, Any, Any, Any, Any]:
    """Theta, inputs, targets, weights (some of them 0) and groups (-1 among them)."""
    random, module = np.random.default_rng(seed), sg.compile(RISKS[name])
    columns, targets = (sum(int(np.prod(s)) for _, s in names) for names in (module.INPUTS, module.TARGETS))
    theta = random.normal(size=module.N_PARAMETERS)
    weights = random.integers(0, 4, n) / 2
    return theta, random.normal(size=(n, columns)), random.normal(size=(n, targets)), weights, random.integers(-1, 3, n)


@pytest.mark.parametrize("name", RISKS)
def test_all_are_what_their_definitions_say(name: str) -> None:
    module, n = sg.compile(RISKS[name]), 1500
    theta, rows, aims, w, groups = data(name, n)
    vectors = np.random.default_rng(1).normal(size=(len(theta), 2))
    given: dict[str, Any] = {"clip": 0.7, "groups": groups, "n_groups": 4, "along": vectors, "top": 9}
    got = module.reduce(theta, rows, aims, w, want=(*SUMS, "squared_norms", "along"), **given)
    g, total = module.per_sample_gradient(theta, rows, aims), w.sum()
    norms = np.linalg.norm(g, axis=1)
    f = np.minimum(1, 0.7 / norms)
    order = [k for k in np.argsort(-norms, kind="stable") if w[k]][:9]
    mean = w @ g / total
    trace = (w @ norms**2 - total * mean @ mean) / (total - 1)
    expected = {
        "mean": module.gradient(theta, rows, aims, w),
        "clipped_sum": (w * f) @ g,
        "clipped_mean": (w * f) @ g / total,
        "clipped_fraction": w[f < 1].sum() / total,
        "squared_norms": norms**2,
        "second_moment": w @ g**2 / total,
        "variance": w @ (g - mean) ** 2 / total,
        "outer": np.einsum("i,ij,ik->jk", w, g, g) / total,
        "outer_squared_weights": np.einsum("i,ij,ik->jk", w**2, g, g) / total,
        "group_sums": np.stack([(w * (groups == k)) @ g for k in range(4)]),
        "along": g @ vectors,
        "hessian": module.hessian(theta, rows, aims, w),
        "risk": module.risk(theta, rows, aims, w),
    }
    for key, value in expected.items():
        assert np.allclose(got[key], value, rtol=1e-12, atol=1e-13 * np.abs(value).max()), key
    assert got["top"][0].tolist() == order
    assert np.allclose(got["top"][1], norms[order], rtol=1e-15)
    noise = {"tr": trace, "simple": trace / (mean @ mean), "unbiased": trace / (mean @ mean - trace / total)}
    assert got["noise"] == pytest.approx(noise, rel=1e-11)
    assert got["sensitivity"] == 1.5 * 0.7
    assert not got["group_sums"][3].any()


@pytest.mark.parametrize("name", RISKS)
def test_parts_cut_anywhere_give_the_bits_of_one_call(name: str) -> None:
    module, n = sg.compile(RISKS[name]), 2 * sg.compile(RISKS[name]).TILE + 77
    theta, rows, aims, w, groups = data(name, n, 3)
    given: dict[str, Any] = {"want": SUMS, "clip": 0.5, "n_groups": 3, "top": 5}
    whole = module.reduce(theta, rows, aims, w, groups=groups, **given)
    single = module.risk_and_gradient(theta, rows, aims, w)
    random = np.random.default_rng(7)
    for count in (1, 2, 5):
        cuts = [0, *sorted(random.choice(np.arange(1, n), count, replace=False).tolist()), n]
        spans = list(pairwise(cuts))
        random.shuffle(spans)
        parts = [
            module.partial_reduce(theta, rows[s:e], aims[s:e], w[s:e], groups=groups[s:e], first=s, threads=2, **given)
            for s, e in spans
        ]
        merged = module.merge_reduce(theta, *parts)
        assert merged.keys() == whole.keys()
        for key, value in whole.items():
            assert repr(merged[key]) == repr(value), key
            assert (
                np.asarray(merged[key]).tobytes() == np.asarray(value).tobytes()
                if key not in ("noise", "top")
                else True
            )
        sums = [module.partial_sums(theta, rows[s:e], aims[s:e], w[s:e], first=s) for s, e in spans]
        risk, gradient = module.merge_sums(theta, *sums, sums[0])
        assert (risk, gradient.tobytes()) == (single[0], single[1].tobytes())


@pytest.mark.parametrize("name", RISKS)
def test_an_infinite_bound_clips_nothing(name: str) -> None:
    module = sg.compile(RISKS[name])
    theta, rows, aims, _, _ = data(name, 700)
    got = module.reduce(
        theta, rows, aims, want=("mean", "clipped_sum", "clipped_mean", "clipped_fraction"), clip=np.inf
    )
    assert got["mean"].tobytes() == module.gradient(theta, rows, aims).tobytes()
    penalty = np.zeros(len(theta))
    if name != "regression":
        penalty[: 1 if name == "curve" else 6] = theta[0] / 4 if name == "curve" else theta[:6] / 10
    else:
        assert got["mean"].tobytes() == got["clipped_mean"].tobytes()
    assert np.allclose(got["clipped_mean"], got["mean"] - penalty, rtol=1e-14, atol=1e-16)
    assert got["clipped_fraction"] == 0
    plain = EmpiricalRisk.from_expression(CURVE.loss, inputs=[x], targets=[y], parameters=[a, b], name="plain")
    if name == "curve":
        got = sg.compile(plain).reduce(theta, rows, aims, want=("mean", "clipped_mean"), clip=np.inf)
        assert got["mean"].tobytes() == got["clipped_mean"].tobytes()


def test_each_block_has_its_own_bound() -> None:
    module = sg.compile(NET)
    theta, rows, aims, w, _ = data("net", 300)
    got = module.reduce(theta, rows, aims, w, want="clipped_sum", clip={("W1", "b1"): 0.5, "W2": 0.25})
    g = module.per_sample_gradient(theta, rows, aims)
    expected = np.empty(len(theta))
    for place, bound in ((slice(0, 9), 0.5), (slice(9, None), 0.25)):
        factors = np.minimum(1, bound / np.linalg.norm(g[:, place], axis=1))
        expected[place] = (w * factors) @ g[:, place]
    assert np.allclose(got["clipped_sum"], expected, rtol=1e-12)
    assert got["sensitivity"] == pytest.approx(1.5 * (0.5**2 + 0.25**2) ** 0.5)


def test_what_is_huge_tiny_or_not_finite() -> None:
    module = sg.compile(CURVE)
    rows, aims = np.zeros(4), np.array([-1e200, 1e-200, 3.0, np.nan])
    theta, w = np.array([0.0, 1.0]), np.array([1.0, 1, 1, 0])
    got = module.reduce(theta, rows, aims, w, want=("clipped_sum", "top"), clip=2.0, top=3)
    assert got["clipped_sum"].tolist() == [-1e-200, 0.0]  # 2 - 1e-200 - 2: nothing is lost
    assert got["top"][0].tolist() == [0, 2, 1]
    assert got["top"][1].tolist() == [1e200, 3.0, 1e-200]
    w[3] = 1
    zero = module.reduce(theta, rows[2:], aims[2:], w[2:], want=("mean", "clipped_mean"), clip=9.0, nonfinite="zero")
    assert (zero["mean"].tolist(), zero["clipped_mean"].tolist(), zero["nonfinite_rows"]) == ([-1.5, 0], [-1.5, 0], 1)
    assert np.isnan(module.reduce(theta, rows, aims, want="clipped_mean", clip=1.0)["clipped_mean"][0])
    with pytest.raises(
        ArrayError, match="inputs: expected rows with finite gradients, got 1 others, the first of them row 3"
    ):
        module.reduce(theta, rows, aims, want="mean", nonfinite="raise")


def test_a_variance_keeps_its_digits_where_the_mean_is_large() -> None:
    module, aims = sg.compile(CURVE), 1e8 + np.arange(5.0)
    got = module.reduce([0.0, 1.0], np.zeros(5), aims, want=("variance", "noise"))
    assert got["variance"].tolist() == [2.0, 0.0]
    assert got["noise"]["tr"] == 2.5


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"want": "norms"}, "want: expected one or several of .*'squared_norms'.*, got 'norms'"),
        ({"want": "clipped_mean"}, "clip: expected a number that is not negative, infinity among them, got None"),
        ({"want": "clipped_mean", "clip": -1}, "clip: expected a number that is not negative"),
        ({"want": "clipped_mean", "clip": {"a": 1}}, "clip: expected each parameter in one block, got 'b' in none"),
        ({"want": "clipped_mean", "clip": {"a": 1, "c": 1}}, r"clip: expected names among \['a', 'b'\], got 'c'"),
        ({"want": "group_sums"}, "groups: expected a code for each row"),
        ({"want": "group_sums", "groups": [0, 1]}, "groups: expected whole numbers, one for each of 3 rows, got int"),
        ({"want": "group_sums", "groups": [0, 1, 5], "n_groups": 3}, "groups: expected codes from 0 to 2"),
        ({"want": "top"}, "top: expected a whole number from 1 on"),
        ({"want": "along"}, "along: expected a vector"),
        ({"want": "along", "along": [1.0]}, r"v: expected an array of shape \(2,\)"),
        ({"want": "second_moment", "weights": [0, 0, 0]}, "weights: expected a finite sum other than zero"),
        ({"want": "mean", "nonfinite": "skip"}, "nonfinite: expected one of"),
        ({"want": "mean", "out": {"mean": 1}}, r"out: expected \{name: array\}"),
    ],
)
def test_what_cannot_be_meant_is_said(more: dict[str, Any], message: str) -> None:
    with pytest.raises(ArrayError, match=message):
        sg.compile(CURVE).reduce([1.0, 1.0], np.ones(3), np.ones(3), **more)


def test_parts_that_do_not_belong_together_are_refused() -> None:
    module, rows = sg.compile(CURVE), np.linspace(0, 1, 3000)
    theta = np.array([1.0, 2.0])

    def part(start: int, end: int, theta: Any = theta, want: Any = "mean") -> Any:
        return module.partial_reduce(theta, rows[start:end], rows[start:end], want=want, first=start)

    def merged(*parts: Any) -> Any:
        return module.merge_reduce(theta, *parts)

    with pytest.raises(ArrayError, match="parts: expected all rows of the tile of row 1500, got none before it"):
        merged(part(0, 1024), part(1500, 3000))
    with pytest.raises(ArrayError, match="parts: expected all rows from 0 on, got none of the rows 1024 to 2047"):
        merged(part(0, 1024), part(2048, 3000))
    with pytest.raises(ArrayError, match="parts: expected parts at this theta, got one at another"):
        merged(part(0, 1500), part(1500, 3000, theta + 1))
    with pytest.raises(ArrayError, match="parts: expected parts of one request"):
        merged(part(0, 1500), part(1500, 3000, want="outer"))
    with pytest.raises(ArrayError, match="want: expected sums over rows, got"):
        part(0, 10, want="squared_norms")
    with pytest.raises(ArrayTypeError, match="parts: expected what partial_reduce gave"):
        merged()
    with pytest.raises(ArrayError, match="first: expected a whole number from 0 on, got -1"):
        module.partial_reduce(theta, rows, rows, want="mean", first=-1)
    rows_alone = part(0, 700)
    with pytest.raises(
        ArrayError, match="parts: expected rows from row 0 on as they were cut, of this model and theta"
    ):
        module.merge_sums(theta, module.partial_sums(theta + 1, rows[:700], rows[:700]))
    rows_alone[("rows", 0)][0][3] += 1
    with pytest.raises(ArrayError, match="got damaged ones or another's; compute the part again"):
        merged(rows_alone)
    damaged = part(0, 2048)
    damaged["sums"]["mean"][(1, 0)][2, 0] += 1e-9
    with pytest.raises(ArrayError, match="damaged"):
        merged(damaged, part(2048, 3000))
    twice = [
        module.partial_reduce(theta, rows[s:e], rows[s:e], want="outer", first=s) for s, e in ((0, 2048), (2048, 3000))
    ]
    whole = module.reduce(theta, rows, rows, want="outer")["outer"]
    assert merged(*twice, twice[0])["outer"].tobytes() == whole.tobytes()
    again = part(0, 1500)
    assert merged(again, part(1500, 3000), again)["mean"].tobytes() == module.gradient(theta, rows, rows).tobytes()
