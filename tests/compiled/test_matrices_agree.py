"""Random models of matrices, compiled: their gradients are those of the same models in scalars, and those to 50 digits.

Several expressions share a module: its loss is the sum of theirs, each times an entry of ``pick``. A row of data that
picks one of them has its value and its gradient.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
import sympy as sp
from sympy.matrices.exceptions import ShapeError
from sympy.matrices.expressions.matexpr import MatrixElement

import symgrad as sg
from symgrad.declare import symbols_in, walk
from symgrad.declare.grammar import SUPPORTED_MATRICES
from symgrad.oracle import Reference
from tests.helpers.declaring import penalty_of_the_rest
from tests.helpers.matrix_models import Modeller, label, number, written_out

COUNT = 7  # expressions in one module
SEEDS = (5, 24)
EPSILON = 2.0**-53
# SymPy's own: shapes of what it simplifies, comparisons of matrices, noncommutative factors
_REFUSED = (ShapeError, TypeError, ValueError, IndexError, NotImplementedError)


def symbols(tag: str) -> tuple[Any, ...]:
    shapes = {"A": (2, 3), "B": (3, 3), "u": (3, 1), "v": (2, 1)}
    return (*(sp.MatrixSymbol(name + tag, *shape) for name, shape in shapes.items()), sp.Symbol("s" + tag))


PICK = sp.MatrixSymbol("pick", COUNT, 1)
Z = sp.MatrixSymbol("z", 2, 3)


def scalars(symbol: Any) -> Any:
    """A symbol's twin: for a matrix the rows of its elements, each a symbol."""
    if not isinstance(symbol, sp.MatrixSymbol):
        return symbol
    rows, columns = map(int, symbol.shape)
    return [[sp.Symbol(f"{symbol.name}_{r}{c}", real=True) for c in range(columns)] for r in range(rows)]


def flat(group: Any) -> list[Any]:
    """The scalars of symbols in C order."""
    twins = map(scalars, group)
    return [e for twin in twins for e in ([e for row in twin for e in row] if isinstance(twin, list) else [twin])]


def drawn(modeller: Modeller, depth: int) -> Any:
    """A scalar expression that SymPy can make, and that is not too long."""
    while True:
        try:
            expression = modeller.scalar(depth) + modeller.rng.choice([0, 1, -2]) * modeller.scalar(depth)
        except _REFUSED:
            continue
        if sum(1 for _ in sp.preorder_traversal(expression)) < 300:
            return expression


def output(modeller: Modeller, parameters: list[Any]) -> Any:
    """A matrix expression that depends on the parameters."""
    while True:
        try:
            value = modeller.matrix(2, 3, 2)
        except _REFUSED:
            continue
        if symbols_in(value) & set(parameters):
            return value


@dataclass(frozen=True)
class Batch:
    """Some expressions as one risk, and its twin in scalars."""

    risk: sg.EmpiricalRisk
    twin: sg.EmpiricalRisk
    expressions: tuple[Any, ...]


@cache
def batch(seed: int) -> Batch:
    """Every other batch is a loss of a model's output, which is a matrix."""
    return _model(seed) if seed % 2 else _expression(seed)


def _roles(modeller: Modeller) -> tuple[list[Any], list[Any]]:
    """Which symbols are parameters, and which inputs."""
    parameters = [symbol for symbol in modeller.symbols if modeller.rng.random() < 0.6] or [modeller.symbols[1]]
    return parameters, [symbol for symbol in modeller.symbols if symbol not in parameters]


def _expression(seed: int) -> Batch:
    modeller = Modeller(seed, symbols(""))
    parameters, inputs = _roles(modeller)
    expressions = [drawn(modeller, 2) for _ in range(COUNT)]
    known = {symbol: scalars(symbol) for symbol in (*modeller.symbols, PICK)}
    inputs, loss = [*inputs, PICK], sp.Add(*(PICK[k, 0] * e for k, e in enumerate(expressions)))
    whole, twin = (
        sg.EmpiricalRisk.from_expression(value, inputs=u, targets=[label], parameters=p, name=f"batch{seed}")
        for value, u, p in (
            (loss, inputs, parameters),
            (number(written_out(loss, known)), flat(inputs), flat(parameters)),
        )
    )
    return Batch(whole, twin, tuple(expressions))


def _model(seed: int) -> Batch:
    """The loss' own symbols are targets; the output stands for one of them."""
    modeller, targets = Modeller(seed, symbols("")), symbols("y")
    parameters, inputs = _roles(modeller)
    of_loss = Modeller(seed + 1000, (Z, *targets[1:]))
    value, expressions = output(modeller, parameters), [drawn(of_loss, 1) for _ in range(COUNT)]
    loss = sp.Add(*(PICK[k, 0] * e for k, e in enumerate(expressions)), sp.Trace(Z * Z.T) / 7)
    known = {symbol: scalars(symbol) for symbol in (*modeller.symbols, *targets, PICK)}
    known[Z] = [[Z[r, c] for c in range(3)] for r in range(2)]
    targets = (*targets[1:], PICK, label)
    whole = sg.Model(value, inputs=inputs, parameters=parameters)
    twin = sg.Model(sp.Matrix(written_out(value, known)), inputs=flat(inputs), parameters=flat(parameters))
    losses = sg.Loss(loss, Z, list(targets)), sg.Loss(number(written_out(loss, known)), Z, flat(targets))
    of_matrices, of_scalars = (
        sg.EmpiricalRisk(m, own, penalty=penalty_of_the_rest(m.parameters, m.outputs), name=f"batch{seed}")
        for m, own in zip((whole, twin), losses, strict=True)
    )
    return Batch(of_matrices, of_scalars, (value, *expressions))


# ------------------------------------------------------------------------------------------------------------- samples


@dataclass(frozen=True)
class Data:
    """Arguments of a compiled module; ``picked`` says which expression a row is about."""

    theta: Any
    inputs: Any
    targets: Any
    picked: Any


def size(declared: Any) -> int:
    return sum(math.prod(shape) for _, shape in declared)


def data(module: Any, rows: int, seed: int) -> Data:
    """Rows of which each picks one expression."""
    rng = np.random.default_rng(seed)
    table: dict[str, Any] = {}
    columns: dict[str, tuple[str, slice]] = {}
    for role, declared in (("inputs", module.INPUTS), ("targets", module.TARGETS)):
        table[role] = rng.uniform(-1.2, 1.2, (rows, size(declared)))
        ends = np.cumsum([0, *(math.prod(shape) for _, shape in declared)])
        columns |= {name: (role, slice(a, b)) for (name, _), a, b in zip(declared, ends[:-1], ends[1:], strict=True)}
    picked = np.arange(rows) % COUNT
    for name, values in (("pick", np.eye(COUNT)[picked]), ("label", rng.integers(0, 3, (rows, 1)))):
        role, place = columns[name]
        table[role][:, place] = values
    return Data(rng.uniform(-1.2, 1.2, module.N_PARAMETERS), table["inputs"], table["targets"], picked)


@cache
def compiled(seed: int) -> tuple[Any, Any]:
    return sg.compile(batch(seed).risk), sg.compile(batch(seed).twin)


def values(module: Any, at: Data) -> Any:
    """For each row its loss and its gradient."""
    arguments = at.theta, at.inputs, at.targets
    return np.column_stack([module.per_sample_loss(*arguments), module.per_sample_gradient(*arguments)])


def exactly(reference: Reference, at: Data, row: int) -> Any:
    sample = reference.sample(at.theta, at.inputs[row], at.targets[row])
    return np.array([math.nan if x is None else float(x) for x in (sample.loss, *sample.gradient)])


def check(got: Any, twin: Any, exact: Any) -> None:
    """To the last few bits: nearly as near to what is exact as the twin, in units of the largest derivative."""
    assert np.array_equal(np.isfinite(got), np.isfinite(twin)), (got, twin)
    finite = np.isfinite(exact) & np.isfinite(got)
    scale = max(1e-3, np.abs(exact[finite]).max(initial=0))
    allowed = 4 * np.abs(twin - exact) + 100 * EPSILON * scale
    assert (np.abs(got - exact)[finite] <= allowed[finite]).all(), (got - exact)[finite] / scale


@pytest.mark.parametrize("seed", SEEDS)
def test_a_samples_gradient_is_its_twins_and_the_exact_one(seed: int) -> None:
    module, twin = compiled(seed)
    at, reference = data(module, 2 * COUNT, seed), Reference(batch(seed).risk)
    got, others = values(module, at), values(twin, at)
    for row in range(2 * COUNT):
        check(got[row], others[row], exactly(reference, at, row))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_mean_is_that_of_the_samples(seed: int) -> None:
    module, _ = compiled(seed)
    at = data(module, 1100, seed)
    each = values(module, at)
    assert np.isfinite(each).all(), "choose another seed: a mean of infinities says nothing"
    risk, gradient = module.risk_and_gradient(at.theta, at.inputs, at.targets)
    exact = np.array([math.fsum(column) for column in each.T]) / len(each)
    error = np.abs(np.append(risk, gradient) - exact)
    assert (error <= 40 * EPSILON * np.abs(each).mean(axis=0)).all()
    assert risk == module.risk(at.theta, at.inputs, at.targets)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_sample_has_the_same_bits_wherever_it_stands(seed: int) -> None:
    module, _ = compiled(seed)
    at = data(module, 300, seed)
    order = np.random.default_rng(seed).permutation(300)
    moved = Data(at.theta, at.inputs[order], at.targets[order], at.picked[order])
    np.testing.assert_array_equal(values(module, moved), values(module, at)[order])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("wrong", [math.inf, -math.inf, math.nan])
def test_infinite_and_missing_inputs_are_the_twins(wrong: float, seed: int) -> None:
    """What is finite is the same. (A product of matrices has 0*inf where the twin has no term: more may be NaN.)"""
    module, twin = compiled(seed)
    at = data(module, COUNT * 10, seed)
    at.inputs[np.arange(len(at.inputs)), np.arange(len(at.inputs)) % at.inputs.shape[1]] = wrong
    got, expected = values(module, at), values(twin, at)
    both = np.isfinite(got) & np.isfinite(expected)
    scale = np.abs(np.where(both, expected, 0)).max(axis=1, keepdims=True) + 1e-3
    assert (np.abs(np.where(both, got, 0) - np.where(both, expected, 0)) <= 1e-12 * scale).all()
    if not module.rewrites:  # the stable log-sum-exp has a slope at infinity, the twin's has none
        np.testing.assert_array_equal(np.isfinite(got), both)


def test_predictions_are_the_twins_and_the_exact_ones() -> None:
    for seed in (seed for seed in SEEDS if seed % 2):
        module, twin = compiled(seed)
        at, reference = data(module, 20, seed), Reference(batch(seed).risk)
        got, others = (m.predict(at.theta, at.inputs) for m in (module, twin))
        assert got.shape == (20, 6)
        for row in range(20):
            exact = np.array([float(x) for x in reference.predict(at.theta, at.inputs[row])])
            check(got[row], others[row], exact)


# ------------------------------------------------------------------------------------------------------ what is tested


def nodes() -> Iterator[Any]:
    for seed in SEEDS:
        yield from walk(batch(seed).expressions)


def test_every_operation_of_matrices_is_among_the_random_ones() -> None:
    found = {type(node) for node in nodes()}
    assert found >= SUPPORTED_MATRICES | {sp.Sum, sg.functions.maximum, sp.Piecewise, sp.Max, sp.Abs}
    elements = [node for node in nodes() if isinstance(node, MatrixElement)]
    assert any(label in node.args for node in elements)
    assert any(not isinstance(node.args[0], sp.MatrixSymbol) for node in elements)
    assert any(isinstance(place, sp.Add) for node in elements for place in node.args[1:]), "an index that is shifted"
