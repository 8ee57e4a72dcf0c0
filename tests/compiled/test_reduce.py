"""Reductions of per-sample gradients: `reduce`, against exact sums of what `per_sample_gradient` gives."""

import re
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from symgrad import gallery
from symgrad.errors import ArrayError, ArrayTypeError
from tests.helpers import risks_of_before

U = 2.0**-53
SEED = 7
MADE_UP = {risk.name: risk for risk in risks_of_before.RISKS}
# Formulas, linear predictors, networks with products of one column and of several, weights that are shared.
NAMES = ("gauss1", "ships_negbin", "digits", "sunspots_recurrent", "iris_softmax", "linear_16", "network")


def _compiled(name: str, dtype: str = "float64") -> Any:
    risk = MADE_UP.get(name) or next(risk for risk in gallery.RISKS if risk.name == name)
    return sg.compile(risk, dtype=dtype).module


def _arguments(name: str, module: Any, rows: int) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(SEED)
    if name not in MADE_UP:
        example = gallery.load(name)
        drawn = rng.integers(0, len(example.inputs), rows)
        return example.theta, example.inputs[drawn], example.targets[drawn]
    columns = sum(int(np.prod(shape)) for _, shape in module.INPUTS)
    return rng.normal(size=module.N_PARAMETERS) / 4, rng.normal(size=(rows, columns)), rng.uniform(size=rows).round()


def _exact(gradients: Any) -> Any:
    """The sum of the squares of each row, rounded once."""
    return np.array([float(sum(Fraction(float(x)) ** 2 for x in row)) for row in gradients])


@pytest.mark.parametrize("name", NAMES)
def test_squared_norms_are_the_sums_of_squares_to_the_last_bits(name: str) -> None:
    module = _compiled(name)
    arguments = _arguments(name, module, 150)
    norms = module.reduce(*arguments, want="squared_norms")["squared_norms"]
    assert norms.shape == (150,)
    assert norms.dtype == np.float64
    exact = _exact(module.per_sample_gradient(*arguments))
    # an element that is a product was rounded in the array, and is not in the norm; four squares are added plainly
    assert np.all(np.abs(norms - exact) <= 4 * U * exact)


@pytest.mark.parametrize("name", ["digits", "linear_16"])
def test_single_precision_is_squared_and_summed_in_double(name: str) -> None:
    module = _compiled(name, "float32")
    arguments = _arguments(name, module, 100)
    norms = module.reduce(*arguments, want=["squared_norms"])["squared_norms"]
    exact = _exact(module.per_sample_gradient(*arguments))
    assert norms.dtype == np.float64
    assert np.all(np.abs(norms - exact) <= 2**-22 * exact)


@pytest.mark.parametrize("name", ["gauss1", "digits", "linear_16"])
def test_norms_have_the_same_bits_for_any_threads_layout_and_weights(name: str) -> None:
    module = _compiled(name)
    theta, u, y = _arguments(name, module, 20_011 if name == "gauss1" else 3_011)
    expected = module.reduce(theta, u, y, want="squared_norms", threads=1)["squared_norms"]
    weights = np.zeros(len(u))
    for threads in (None, 2, 3, 8):
        for inputs in (u, np.asfortranarray(u), np.repeat(u, 2, axis=1)[:, ::2]):
            result = module.reduce(theta, inputs, y, weights, want="squared_norms", threads=threads)
            assert result["squared_norms"].tobytes() == expected.tobytes()
    one = module.reduce(theta, u[70:71], y[70:71], want="squared_norms")["squared_norms"]
    assert one[0] == expected[70]


def test_norms_go_to_the_array_that_is_given() -> None:
    module = _compiled("gauss1")
    arguments = _arguments("gauss1", module, 50)
    out = np.empty(50)
    results = module.reduce(*arguments, want=("squared_norms",), out={"squared_norms": out})
    assert results["squared_norms"] is out
    assert np.array_equal(out, module.reduce(*arguments, want="squared_norms")["squared_norms"])


def test_norms_are_finite_wherever_the_truth_is() -> None:
    """The two factors of a gradient may leave the range of double where their product does not, and the reverse."""
    u, w = sp.MatrixSymbol("u", 2, 1), sp.MatrixSymbol("w", 2, 2)
    v, y, yhat = sp.MatrixSymbol("v", 1, 2), sp.Symbol("y"), sp.Symbol("yhat")
    model = sg.Model((v * (w * u).applyfunc(sp.tanh))[0, 0], inputs=[u], parameters=[w, v])
    loss = sg.Loss(y * yhat, prediction=yhat, target=y)
    module = sg.compile(sg.EmpiricalRisk(model, loss, name="far"))
    theta = np.array([0.0, 0.0, 0.0, 0.0, 1.0, 1.0])
    inputs = np.array([[1e200, 0.0], [1e-200, 1e-200], [0.0, 0.0], [np.inf, 0.0], [np.nan, 1.0], [3.0, 4.0]])
    targets = np.array([1e-200, 1e200, 1.0, 1.0, 1.0, 1.0])
    norms = module.reduce(theta, inputs, targets, want="squared_norms")["squared_norms"]
    exact = _exact(module.per_sample_gradient(theta, inputs, targets)[[0, 1, 2, 5]])
    assert np.allclose(norms[[0, 1, 2, 5]], exact, rtol=4 * U, atol=0)
    assert list(norms[[0, 1, 5]]) == pytest.approx([2.0, 4.0, 50.0], rel=1e-15)
    assert not np.isfinite(norms[[3, 4]]).any()
    assert module.reduce(theta, inputs[:0], targets[:0], want="squared_norms")["squared_norms"].shape == (0,)


def test_norms_of_products_are_right_wherever_the_truth_is() -> None:
    """Of a gradient that is column times row: where squares of one of them vanish, are subnormal, or overflow."""
    W, V, u = sp.MatrixSymbol("W", 9, 20), sp.MatrixSymbol("V", 3, 9), sp.MatrixSymbol("u", 20, 1)
    t, z = sp.MatrixSymbol("t", 3, 1), sp.MatrixSymbol("z", 3, 1)
    loss = sg.Loss(((z - t).T * (z - t))[0, 0] / 2, prediction=z, target=t)
    module = sg.compile(sg.EmpiricalRisk(sg.Model(V * W * u, inputs=[u], parameters=[W, V]), loss, name="products"))
    assert "outers=" in module.source
    rng = np.random.default_rng(SEED)
    sizes = [
        (1e-170, 1e100),
        (1e-200, 1e200),
        (1e-170, 1e30),
        (1e-158, 1e150),
        (1e-100, 1e-45),
        (0, 1e200),
        (1, 0),
        (1, 1),
    ]
    inputs, targets = (rng.normal(size=(len(sizes), n)) for n in (20, 3))
    for sample, (input_size, target_size) in enumerate(sizes):
        inputs[sample] *= input_size
        targets[sample] *= target_size
    theta = rng.normal(size=module.N_PARAMETERS)
    exact = _exact(module.per_sample_gradient(theta, inputs, targets))
    assert np.count_nonzero(exact) == len(sizes) - 1
    together = module.reduce(theta, inputs, targets, want="squared_norms")["squared_norms"]
    for sample in range(len(sizes)):
        rows = slice(sample, sample + 1)
        alone = module.reduce(theta, inputs[rows], targets[rows], want="squared_norms")["squared_norms"]
        for norm in (alone[0], together[sample]):
            assert norm == pytest.approx(exact[sample], rel=8 * U, abs=2.0**-1073)


def test_a_norm_of_a_sum_of_products_is_not_the_product_of_norms() -> None:
    """A gradient that is a matrix of two columns times one of two rows."""
    W, X, Y = sp.MatrixSymbol("W", 3, 4), sp.MatrixSymbol("X", 4, 2), sp.MatrixSymbol("Y", 3, 2)
    loss = sp.Trace((W * X - Y).applyfunc(sp.tanh) * Y.T)
    module = sg.compile(
        sg.EmpiricalRisk.from_expression(loss, inputs=[X, Y], targets=[], parameters=[W], name="two_columns")
    )
    assert re.search(r"outers=\(\(0, -?\d+, -?\d+, 3, 2, 4\),\)", module.source)
    rng = np.random.default_rng(SEED)
    theta, inputs = rng.normal(size=12), rng.normal(size=(130, 14))
    norms = module.reduce(theta, inputs, None, want="squared_norms")["squared_norms"]
    exact = _exact(module.per_sample_gradient(theta, inputs, None))
    assert np.all(np.abs(norms - exact) <= 2 * U * exact)


def test_what_is_wrong_is_named_before_anything_is_written() -> None:
    module = _compiled("gauss1")
    arguments = _arguments("gauss1", module, 5)
    with pytest.raises(ArrayError, match=r"want: expected one or several of \['squared_norms'\], got 'norm'"):
        module.reduce(*arguments, want="norm")
    with pytest.raises(ArrayError, match=r"out: expected \{name: array\} with names of what is wanted, got \['mean'\]"):
        module.reduce(*arguments, want="squared_norms", out={"mean": np.empty(5)})
    with pytest.raises(ArrayTypeError, match="C-contiguous float64 array of shape"):
        module.reduce(*arguments, want="squared_norms", out={"squared_norms": np.empty(5, np.float32)})
    with pytest.raises(ArrayError, match="weights"):
        module.reduce(*arguments, np.ones(4), want="squared_norms")
    with pytest.raises(TypeError, match="want"):
        module.reduce(*arguments)
    for nonsense in (None, 3, b"squared_norms"):
        with pytest.raises(ArrayTypeError, match=r"want: expected one or several of \['squared_norms'\], got"):
            module.reduce(*arguments, want=nonsense)
    many = module.reduce(*arguments, want="squared_norms", threads=10**6)["squared_norms"]
    assert np.array_equal(many, module.reduce(*arguments, want="squared_norms")["squared_norms"])
