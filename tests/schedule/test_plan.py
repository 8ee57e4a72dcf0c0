"""Program -> Kernel: what is hoisted, that everything read is there, and that split bodies compute the same."""

from collections import Counter
from collections.abc import Iterable
from functools import cache
from math import prod
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy as sp

from symgrad import compile as compile_risk
from symgrad import functions, gallery
from symgrad.declare import EmpiricalRisk, Loss, Model, leaves
from symgrad.pipeline import Generated, generate
from symgrad.program import LEAVES
from symgrad.schedule import Kernel, Loop, Piece, Whole, computed
from symgrad.schedule import plan as schedule
from tests.helpers.declaring import used_of
from tests.helpers.evaluate import DIGITS, DOUBLES, output, run
from tests.helpers.kernels import Kernels, generated
from tests.helpers.run_kernel import run_function, run_once

a, b, u, v, y = sp.symbols("a b u v y", real=True)
SAMPLE = ("input", "target", "weight", "cotangent")
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


# --------------------------------------------------------------------------------------------------- models of matrices

W, V, c = sp.MatrixSymbol("W", 3, 4), sp.MatrixSymbol("V", 2, 3), sp.MatrixSymbol("c", 3, 1)
x, t = sp.MatrixSymbol("x", 4, 1), sp.MatrixSymbol("t", 2, 1)
B, X, z = sp.MatrixSymbol("B", 3, 3), sp.MatrixSymbol("X", 3, 2), sp.MatrixSymbol("z", 2, 1)
i, j, label = sp.Idx("i", 3), sp.Idx("j", 4), sp.Symbol("label", integer=True)
_units = (W * x + c).applyfunc(sp.tanh)
_parts = sp.BlockMatrix([[c], [x]])[1:6, 0:1]
_spread = sp.Sum(sp.Sum(W[i, j] * x[j, 0], (j, 0, 3)) ** 2 * c[i, 0], (i, 0, 2))
_decay = sp.Trace(W.T * W) + sp.Trace(B * B.T * B) + sp.DotProduct(c, c)


def matrices_of(expression: Any, name: str, penalty: Any = _decay) -> EmpiricalRisk:
    parameters = used_of([W, V, c, B], expression, penalty)
    declared = {"inputs": [x, X], "targets": [t], "parameters": parameters, "penalty": penalty}
    return EmpiricalRisk.from_expression(expression, name=name, **declared)


def network() -> EmpiricalRisk:
    cross_entropy = functions.logsumexp(z[0, 0], z[1, 0]) - z[label, 0]
    model = Model(V * _units, inputs=[x], parameters=[W, V, c])
    return EmpiricalRisk(model, Loss(cross_entropy, prediction=z, target=label), penalty=sp.Trace(W * W.T), name="net")


MATRICES = [
    network(),
    matrices_of(sp.Trace((B * X).T * B * X) + ((t - V * _units).T * (t - V * _units))[0, 0], "products"),
    matrices_of((_parts.T * _parts)[0, 0] * sp.Trace(B) + (c.T * B * c)[0, 0], "parts"),
    matrices_of(_spread + functions.maximum(sp.sin(W[i, 2]) * x[1, 0], (i, 0, 2)) + sp.Trace(B), "sums"),
    matrices_of((sp.OneMatrix(1, 3) * sp.HadamardPower(B, 3) * B.T * c)[0, 0] * x[1, 0], "hoisted"),
    matrices_of(sp.log(sp.Sum(sp.exp(c[i, 0] * x[1, 0]), (i, 0, 2))) + (V * B * _units)[1, 0], "stable"),
    matrices_of(((W * x).T * B * (W * x))[0, 0] * c[0, 0] + (c.T * c)[0, 0], "quadratic", None),
    matrices_of(sp.Trace(sp.BlockMatrix([[sp.Matrix([[c[1, 0] * x[0, 0]]])], [c]]) * c.T * B[:, 0:1] * x.T), "joined"),
    matrices_of(sp.DotProduct(B[0, :], c.T) * x[0, 0] + (W[1, :] * x)[0, 0], "rows", sp.exp((c.T * B[:, 1])[0, 0])),
]
RISKS = [*gallery.RISKS, risk_of((BRANCHES - y) ** 2, "branches"), risk_of(MIXED, "mixed"), risk_of(a * u, "line")]
RISKS += [risk_of(functions.logsumexp(a * u, b * v, a * b, y) * sp.sqrt(a * b), "largest"), *MATRICES]
KERNELS = Kernels(RISKS)
SMALL = [*RISKS[-4 - len(MATRICES) : -len(MATRICES)], *MATRICES]

each_kernel = pytest.mark.parametrize("kernel", KERNELS, indirect=True)


@pytest.fixture
def kernel(request: pytest.FixtureRequest) -> Kernel:
    return KERNELS[request.param]


def pieces_of(kernel: Kernel) -> Iterable[Piece]:
    return (piece for function in kernel.functions for piece in function.pieces)


@each_kernel
def test_hoisting_is_complete(kernel: Kernel) -> None:
    varies = kernel.program.depends_on(SAMPLE)
    assert all(varies[v] for v in computed(pieces_of(kernel)))
    assert not any(varies[v] for v in (*kernel.invariant, *kernel.slots))
    assert not any(varies[v] for name in ("penalty", "penalty_gradient") for v in kernel.program.outputs.get(name, ()))
    for pieces in (kernel.once, *(function.pieces for function in kernel.functions)):
        made = [v for piece in pieces for v in (piece.body if isinstance(piece, Loop) else (piece.variable,))]
        assert len(set(made)) == len(made)


@each_kernel
def test_what_lasts_has_rows_of_its_own(kernel: Kernel) -> None:
    """What is computed once for a theta, and the results; other rows are used again."""
    areas = [(kernel.slots, kernel.n_invariants, set(kernel.slots))]
    for function in kernel.functions:
        alone = {v for v, row in function.places.items() if row < function.rows}
        areas.append((function.places, function.rows + function.scratch, alone))
    for places, size, alone in areas:
        rows = Counter(row + k for v, row in places.items() for k in range(prod(kernel.shape(v))))
        assert all(row < size for row in rows)
        assert all(kernel.homes[v] == v for v in places)
        assert all(rows[places[v] + k] == 1 for v in alone for k in range(prod(kernel.shape(v))))


def test_scratch_rows_are_used_again() -> None:
    """A chain of matrices, each read by the next alone, needs the room of two, beside what is read at the end."""
    chain = B * X
    for _ in range(8):
        chain = (B * chain).applyfunc(sp.tanh)
    kernel = generate(matrices_of(sp.Trace(X.T * chain), "chain", None)).kernel
    (losses,) = (f for f in kernel.functions if f.name == "losses")
    assert sum(isinstance(piece, Whole) for piece in losses.pieces) >= 9
    assert losses.scratch <= 3 * 6 + 1


# ------------------------------------------------------------------------------------------------------- what it means


@cache
def sample_of(risk: EmpiricalRisk) -> dict[str, list[Any]]:
    """A theta, a sample and its weight, in doubles; targets that are labels are labels."""
    draw = np.random.default_rng(len(risk.name))
    roles = (("parameter", risk.parameters), ("input", risk.inputs))
    values = {role: list(draw.uniform(0.25, 1.5, len(leaves(*symbols)))) for role, symbols in roles}
    return {**values, "target": [1.0] * len(leaves(*risk.targets)), "weight": [0.75]}


def check_meaning(risk: EmpiricalRisk, stages: Generated) -> None:
    """The kernel's pieces, run one after the other, give what the traced and differentiated program does."""
    given = {role: [mpmath.mpf(n) for n in numbers] for role, numbers in sample_of(risk).items()}
    before = stages.differentiated
    with mpmath.workdps(30):
        found = {"losses": output(before, "loss", DIGITS, given)}
        found["predictions"] = output(before, "prediction", DIGITS, given)
        found["gradients"] = (*found["losses"], *output(before, "gradient", DIGITS, given))
        for name in {function.name for function in stages.kernel.functions} - {"pull"}:  # it is part of the gradients
            close(run_function(stages.kernel, name, DIGITS, given), found[name], name)
        names = [name for name in ("penalty", "penalty_gradient") if name in before.outputs]
        penalty = [n for name in names for n in output(before, name, DIGITS, given)]
        once = run_once(stages.kernel, DIGITS, given)
        assert stages.kernel.n_penalty == len(penalty)
        close(once[: len(penalty)], penalty, "penalty")


def close(got: Any, true: Any, what: str) -> None:
    assert len(got) == len(true)
    scale = max(map(abs, true), default=0)
    assert all(abs(g - t) <= 1e-14 * abs(t) + 1e-25 * scale for g, t in zip(got, true, strict=True)), (what, got, true)


@pytest.mark.parametrize("risk", [risk for risk in RISKS if risk.name != "digits"], ids=lambda risk: risk.name)
def test_everything_read_is_there_and_the_stages_mean_the_program(risk: EmpiricalRisk) -> None:
    check_meaning(risk, generated(risk))


@pytest.mark.parametrize("longest", [1, 2, 5, 17])
@pytest.mark.parametrize("risk", SMALL, ids=lambda risk: risk.name)
def test_split_bodies_read_what_earlier_ones_kept(
    risk: EmpiricalRisk, longest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "LONGEST_BODY", longest)
    stages = generate(risk)
    check_meaning(risk, stages)
    assert all(len(loop.body) <= longest for function in stages.kernel.functions for loop in function.loops)


# ------------------------------------------------------------------------------------------------------------- counts


@each_kernel
def test_counts_are_of_what_is_computed(kernel: Kernel) -> None:
    """Of scalars one operation each; of matrices one for each element, and two for each product in a product."""
    functions_ = {function.name: function for function in kernel.functions}
    outers = sum(2 * o.m * o.p * o.k for o in kernel.outers)
    for count, name, more in (("loss", "losses", 0), ("gradient", "gradients", outers)):
        assert kernel.counts[count] == sum(cost(kernel, v) for v in computed(functions_[name].pieces)) + more
    assert kernel.counts["once"] == sum(cost(kernel, v) for v in kernel.invariant)
    assert kernel.counts["loss"] <= kernel.counts["gradient"]


def cost(kernel: Kernel, variable: int) -> int:
    step = kernel.program.assignments[variable]
    if step.operation in ("slice", "embed", "transpose", "assemble", "fill", "place"):
        return 0
    if step.operation == "matmul":
        (m, n), inner = step.shape, prod(kernel.shape(step.arguments[0])) // step.shape[0]
        return 2 * m * inner * n
    if step.operation in ("total", "largest"):
        return prod(kernel.shape(step.arguments[0]))
    return prod(step.shape)


def test_the_counts_of_a_network() -> None:
    """Two layers, forwards and backwards: the gradient of a matrix is as dear as the product with it."""
    kernel = KERNELS["digits"]
    forward = 2 * (64 * 32 + 32 * 10)
    assert forward <= kernel.counts["loss"] <= forward + 40 * (32 + 10)  # a tanh takes 32
    backward = forward + 2 * 32 * 10  # the outer products, and the way back through the second layer
    assert forward + backward <= kernel.counts["gradient"] <= 3 * kernel.counts["loss"]


# ------------------------------------------------------------------------------------------------- sums over a tile


@each_kernel
def test_every_parameter_has_its_derivative_once(kernel: Kernel) -> None:
    """By rows, or by products of a tile, which may add to rows; what has neither is zero."""
    size = kernel.starts[-1]
    rows = [s.at + k for s in kernel.segments for k in range(s.size)]
    assert len(set(rows)) == len(rows)
    (gradients,) = (f for f in kernel.functions if f.name == "gradients")
    assert sorted(s.row + k for s in kernel.segments for k in range(s.size)) == list(range(1, gradients.rows))
    for outer in kernel.outers:
        assert kernel.shape(outer.left)[0] * kernel.shape(outer.right)[1] == outer.m * outer.k or outer.p == 1
        assert 0 <= outer.at <= size - outer.m * outer.k
        assert outer.at in kernel.starts


def test_a_matrixs_gradient_is_one_product_for_a_tile() -> None:
    """Not a row for each of its elements: W and V of the network, and both uses of B in the products."""
    net = KERNELS["net"]
    assert [(o.at, o.m, o.p, o.k) for o in net.outers] == [(0, 3, 1, 4), (12, 2, 1, 3)]
    assert [(s.at, s.size) for s in net.segments] == [(18, 3)]
    assert KERNELS["digits"].outers[0].m * KERNELS["digits"].outers[0].k == 64 * 32
    assert sum(s.size for s in KERNELS["digits"].segments) == 32 + 10
    assert [(o.m, o.p, o.k) for o in KERNELS["products"].outers if o.at == 12 + 6 + 3] == [(3, 2, 3)] * 2


def test_what_a_tile_multiplies_is_kept_until_its_end() -> None:
    for kernel in KERNELS.values():
        (gradients,) = (f for f in kernel.functions if f.name == "gradients")
        for operand in (v for o in kernel.outers for v in (o.left, o.right)):
            base = kernel.homes[operand]
            while kernel.program.assignments[base].operation == "slice" and base not in gradients.places:
                base = kernel.homes[kernel.program.assignments[base].arguments[0]]
            assert base in gradients.places or kernel.program.assignments[base].operation in LEAVES


def test_a_tile_has_fewer_lanes_for_many_parameters() -> None:
    lanes = []
    for size in (1, 24, 25, 48, 49, 400):
        p = sp.symbols(f"p:{size}", real=True)
        lanes.append(generate(risk_of(sum(sp.sin(q * u) for q in p), parameters=p, penalty=None)).kernel.lanes)
    assert lanes == sorted(lanes, reverse=True)
    assert len(set(lanes)) > 1
    assert all(n & (n - 1) == 0 for n in lanes)


def test_a_prediction_that_no_sample_changes_has_a_row() -> None:
    kernel = KERNELS["line"]
    assert {function.name for function in kernel.functions} == {"losses", "gradients"}
    assert kernel.n_penalty == 3
    assert "for each of" in str(kernel)


def test_the_listing_of_a_kernel_names_every_piece() -> None:
    for kernel in KERNELS.values():
        text = str(kernel)
        for variable in (*computed(pieces_of(kernel)), *kernel.invariant):
            assert f"v{variable} = {kernel.program.assignments[variable]}" in text
        assert text.count("sum over samples of") == len(kernel.outers)


# ------------------------------------------------------------------------------------------------------------ compiled


def true_values(risk: EmpiricalRisk, theta: Any, inputs: Any, targets: Any) -> tuple[Any, Any]:
    program = generate(risk).lowered
    losses, gradients = [], []
    for row, target in zip(inputs, targets, strict=True):
        given = {"parameter": list(theta), "input": list(row), "target": [target]}
        values = run(program, DOUBLES, given)
        losses.append(values[program.outputs["loss"][0]])
        gradients.append(output(program, "gradient", DOUBLES, given))
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
