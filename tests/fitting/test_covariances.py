"""Covariances against references, at a given theta and after a fit."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from symgrad.errors import ArrayError

DATA = Path(__file__).resolve().parents[1] / "data" / "inference"
a, b, c, d, y, z = sp.symbols("a b c d y z", real=True)
FUNCTIONS = {name: getattr(sp, name) for name in ("exp", "log", "sqrt", "pi", "loggamma")}


def case(name: str) -> Any:
    (path,) = DATA.glob(f"{name}*.json")
    return json.loads(path.read_text())


def numbers(values: Any) -> Any:
    def one(value: Any) -> Any:
        return [one(v) for v in value] if isinstance(value, list) else float(Fraction(value))

    return np.array(one(values), float)


def logit(count: int) -> sg.EmpiricalRisk:
    betas, xs = sp.symbols(f"b1:{count + 1}", real=True), sp.symbols(f"x1:{count + 1}", real=True)
    eta = sum(beta * x for beta, x in zip(betas, xs, strict=True))
    loss = sp.log(1 + sp.exp(eta)) - y * eta
    return sg.EmpiricalRisk.from_expression(loss, inputs=xs, targets=[y], parameters=betas, name="logit")


def poisson(count: int) -> sg.EmpiricalRisk:
    betas, xs = sp.symbols(f"b1:{count + 1}", real=True), sp.symbols(f"x1:{count + 1}", real=True)
    eta = sum(beta * x for beta, x in zip(betas, xs, strict=True))
    loss = sp.exp(eta) - y * eta + sp.loggamma(y + 1)
    return sg.EmpiricalRisk.from_expression(loss, inputs=xs, targets=[y], parameters=betas, name="poisson")


@pytest.mark.parametrize(("name", "declare"), [("cov-01", logit), ("cov-03", poisson)], ids=["logit", "poisson"])
def test_every_kind_is_that_of_the_reference(name: str, declare: Any) -> None:
    found, data = case(name), case(name)["data"]
    module = sg.compile(declare(len(found["theta"])))
    arrays = [np.array(data["inputs"], float), np.array(data["targets"], float)]
    arrays += [np.array(data["weights"], float)] if data.get("weights") else []
    theta, expected = np.array(found["theta"], float), found["expected"]
    sets = (
        [("frequency", expected)]
        if "frequency" not in expected
        else [(k, expected[k]) for k in ("frequency", "analytic")]
    )
    for weight_kind, values in sets:
        for kind in ("observed", "opg", "HC0", "HC1", "cluster"):
            if kind in values:
                groups = np.array(data["groups"]) if kind == "cluster" else None
                got = sg.covariance(module, theta, tuple(arrays), kind, groups=groups, weight_kind=weight_kind)
                true = numbers(values[kind])
                assert np.abs(got - true).max() <= 1e-12 * np.abs(true).max(), (weight_kind, kind)


def test_two_ways_and_corrections() -> None:
    random = np.random.default_rng(0)
    module, rows = sg.compile(logit(4)), random.normal(size=(60, 4))
    labels, theta = random.integers(0, 2, 60), random.normal(size=4) / 5
    one, other = random.integers(0, 5, 60), random.integers(0, 4, 60)

    def clustered(codes: Any) -> Any:
        return sg.covariance(module, theta, (rows, labels), "cluster", groups=codes, correction="none")

    both = clustered(np.stack([one, other], axis=1))
    assert np.allclose(both, clustered(one) + clustered(other) - clustered(10 * one + other), rtol=1e-10)
    full = sg.covariance(module, theta, (rows, labels), "cluster", groups=one)
    groups = sg.covariance(module, theta, (rows, labels), "cluster", groups=one, correction="groups")
    assert np.allclose(groups, clustered(one) * 5 / 4)
    assert np.allclose(full, groups * 59 / 56)
    alone = sg.covariance(module, theta, (rows, labels), "cluster", groups=np.arange(60), correction="none")
    assert np.allclose(alone, sg.covariance(module, theta, (rows, labels), "HC0"), rtol=1e-12)


def test_no_covariance_is_made_up() -> None:
    module, rows = sg.compile(logit(4)), np.ones((9, 4))
    with pytest.warns(RuntimeWarning, match="the curvature is not positive definite, so there is no covariance"):
        found = sg.covariance(module, np.zeros(4), (rows, np.arange(9) % 2))
    assert np.isnan(found).all()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"kind": "robust"}, r"kind: expected one of \['observed'"),
        ({"kind": "cluster"}, r"groups: expected the codes of 3 rows, \(N,\) or \(N, 2\), got None"),
        ({"kind": "cluster", "groups": [1, 1, 1]}, "groups: expected at least two groups, got 1"),
        ({"kind": "cluster", "groups": [1, 2, 3], "correction": "some"}, "correction: expected one of"),
        ({"weight_kind": "odd"}, "weight_kind: expected one of"),
    ],
)
def test_what_is_not_understood_is_said(more: dict[str, Any], message: str) -> None:
    module = sg.compile(logit(4))
    with pytest.raises(ArrayError, match=message):
        sg.covariance(module, np.zeros(4), (np.eye(4)[:3], [0, 1, 0]), **more)
    with pytest.raises(ArrayError, match=r"data: expected a tuple \(inputs, targets\)"):
        sg.covariance(module, np.zeros(4), np.eye(4))
