"""Program -> Kernel: what is hoisted, that everything read is there, and that split bodies compute the same."""

from typing import Any

import numpy as np
import pytest
import sympy as sp

from symgrad import compile as compile_risk
from symgrad import functions, gallery, schedule
from symgrad.kernel import Kernel
from symgrad.pipeline import generate
from symgrad.problem import EmpiricalRisk
from symgrad.program import LEAVES

from .evaluate import DOUBLES, output, run

a, b, u, v, y = sp.symbols("a b u v y", real=True)
SAMPLE = ("input", "target", "weight")
BRANCHES = sp.Piecewise(
    (a * sp.exp(u * a + b) * v, (a * u > 0) & (v * b > 0.5)),
    (b * sp.sin(a * u) * v, (a * u > 0) | (v * b > 0.5)),
    (sp.log(u**2 + b**2) * b, True),
)
MIXED = sp.Piecewise(
    (a * u, (a > 0) & (u > 0)),
    (b * u, (b > 2) | (v > 0)),
    (a * b * v, sp.Xor(a > 1, u > 1)),
    (u, True),
)


def risk_of(expression: Any, name: str = "risk", **more: Any) -> EmpiricalRisk:
    declared = {"inputs": [u, v], "targets": [y], "parameters": [a, b], "penalty": a**2 + sp.exp(b)}
    return EmpiricalRisk.from_expression(expression, name=name, **{**declared, **more})


RISKS = [*gallery.RISKS, risk_of((BRANCHES - y) ** 2, "branches"), risk_of(MIXED, "mixed"), risk_of(a * u, "line")]
RISKS += [risk_of(functions.logsumexp(a * u, b * v, a * b, y) * sp.sqrt(a * b), "largest")]
KERNELS = [generate(risk).kernel for risk in RISKS]


def is_leaf(kernel: Kernel, variable: int) -> bool:
    return kernel.program.assignments[variable].operation in LEAVES


@pytest.mark.parametrize("kernel", KERNELS, ids=[risk.name for risk in RISKS])
def test_hoisting_is_complete(kernel: Kernel) -> None:
    varies = kernel.program.depends_on(SAMPLE)
    bodies = [v for function in kernel.functions for loop in function.loops for v in loop.body]
    assert all(varies[v] for v in bodies)
    assert not any(varies[v] for v in (*kernel.invariant, *kernel.slots, *kernel.penalty))
    assert len(set(kernel.invariant)) == len(kernel.invariant)


def check_reads(kernel: Kernel) -> None:
    """Everything that a loop takes is a leaf, an invariant's slot, or was made before it."""
    available = set(kernel.slots)
    for v in kernel.invariant:
        assert all(is_leaf(kernel, a) or a in kernel.invariant for a in kernel.program.assignments[v].arguments)
    assert all(is_leaf(kernel, s) or s in kernel.invariant for s in (*kernel.slots, *kernel.penalty))
    for function in kernel.functions:
        rows: dict[int, int] = {}
        for loop in function.loops:
            assert all(rows[row] == v for v, row in loop.reads)
            here = {v for v, _ in loop.reads}
            for v in loop.body:
                for a in kernel.program.assignments[v].arguments:
                    kind = kernel.program.assignments[a].operation
                    assert a in here or a in available or kind in (*SAMPLE, "constant"), (function.name, v, a)
                here.add(v)
            for v, row in loop.writes:
                kind = kernel.program.assignments[v].operation
                assert v in here or v in available or kind in (*SAMPLE, "constant")
                assert row not in rows
                assert row < function.rows + function.scratch
                rows[row] = v
        assert set(range(function.rows)) <= set(rows)
        computed = [v for loop in function.loops for v in loop.body]
        assert len(set(computed)) == len(computed)


@pytest.mark.parametrize("kernel", KERNELS, ids=[risk.name for risk in RISKS])
def test_everything_read_is_there(kernel: Kernel) -> None:
    check_reads(kernel)


@pytest.mark.parametrize("longest", [1, 2, 5, 17])
@pytest.mark.parametrize("risk", RISKS[-4:], ids=lambda risk: risk.name)
def test_split_bodies_read_what_earlier_ones_kept(
    risk: EmpiricalRisk, longest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "LONGEST_BODY", longest)
    kernel = generate(risk).kernel
    check_reads(kernel)
    assert all(len(loop.body) <= longest for function in kernel.functions for loop in function.loops)


@pytest.mark.parametrize("kernel", KERNELS, ids=[risk.name for risk in RISKS])
def test_counts_are_of_what_is_computed(kernel: Kernel) -> None:
    functions_ = {function.name: function for function in kernel.functions}
    for count, name in (("loss", "losses"), ("gradient", "gradients")):
        assert kernel.counts[count] == sum(len(loop.body) for loop in functions_[name].loops)
    assert kernel.counts["once"] == len(kernel.invariant)
    assert kernel.counts["loss"] <= kernel.counts["gradient"]


def test_a_tile_has_fewer_lanes_for_many_parameters() -> None:
    lanes = []
    for size in (1, 24, 25, 48, 49, 400):
        p = sp.symbols(f"p:{size}", real=True)
        lanes.append(generate(risk_of(sum(p) * u, parameters=p, penalty=None)).kernel.lanes)
    assert lanes == sorted(lanes, reverse=True)
    assert all(n & (n - 1) == 0 for n in lanes)


def test_a_prediction_that_no_sample_changes_has_a_row() -> None:
    (kernel,) = [k for k, risk in zip(KERNELS, RISKS, strict=True) if risk.name == "line"]
    assert {function.name for function in kernel.functions} == {"losses", "gradients"}
    assert len(kernel.penalty) == 3
    assert "for each of" in str(kernel)


def true_values(risk: EmpiricalRisk, theta: Any, inputs: Any, targets: Any) -> tuple[Any, Any]:
    program = generate(risk).optimised
    losses, gradients = [], []
    for row, target in zip(inputs, targets, strict=True):
        leaves = {"parameter": list(theta), "input": list(row), "target": [target]}
        values = run(program, DOUBLES, leaves)
        losses.append(values[program.outputs["loss"][0]])
        gradients.append(output(program, "gradient", DOUBLES, leaves))
    return np.array(losses, float), np.array(gradients, float)


@pytest.mark.parametrize("longest", [3, 600])
@pytest.mark.parametrize("expression", [MIXED, (BRANCHES - y) ** 2], ids=["mixed", "branches"])
@pytest.mark.parametrize("theta", [(1.5, 0.5), (-1.25, 2.5), (0.5, -0.75)])
def test_the_compiled_module_computes_the_program(
    expression: Any, longest: int, theta: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Conditions too go through slots and scratch rows, where a number stands for them."""
    monkeypatch.setattr(schedule, "LONGEST_BODY", longest)
    risk = risk_of(expression, f"split_{longest}", penalty=sp.Rational(longest, 7) * a)  # the cache knows declarations
    module = compile_risk(risk)
    draw = np.random.default_rng(3)
    inputs, targets = draw.normal(size=(150, 2)) * 2, draw.normal(size=150)
    losses, gradients = true_values(risk, np.array(theta), inputs, targets)
    np.testing.assert_allclose(module.per_sample_loss(np.array(theta), inputs, targets), losses, rtol=1e-13)
    found = module.per_sample_gradient(np.array(theta), inputs, targets)
    np.testing.assert_allclose(found, gradients, rtol=1e-12, atol=1e-300)
