"""The gallery's models with matrices, against gradients that are derived by hand: in doubles, and with 50 digits.

Each derivation is written once for arrays of any kind of number. Backpropagation by hand is the textbook's.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from symgrad import gallery
from symgrad.declare import EmpiricalRisk, leaves
from symgrad.gallery import Example
from symgrad.gallery.example import glorot_start
from symgrad.oracle import Reference

DIGITS = 50
MATRICES = [r.name for r in gallery.RISKS if any(isinstance(p, sp.MatrixSymbol) for p in r.parameters)]


@cache
def load(name: str) -> Example:
    return gallery.load(name)


@cache
def compiled(name: str) -> Any:
    return sg.compile(load(name).risk)


# --- by hand -------------------------------------------------------------------------------------------------------


def each(function: Callable[[Any], Any], exact: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """An elementwise function of doubles, or of mpmath's numbers."""

    def apply(array: Any) -> Any:
        return np.vectorize(exact, otypes=[object])(array) if array.dtype == object else function(array)

    return apply


tanh = each(np.tanh, mpmath.tanh)
exp = each(np.exp, mpmath.exp)
softplus = each(lambda x: np.logaddexp(0.0, x), lambda x: mpmath.log(1 + mpmath.exp(x)))


def sigmoid(x: Any) -> Any:
    return 1 / (1 + exp(-x))


def split(theta: Any, *shapes: tuple[int, int]) -> list[Any]:
    """Matrices of the given shapes, one after the other, out of a flat array that they fill."""
    ends = np.cumsum([rows * columns for rows, columns in shapes])
    assert ends[-1] == len(theta)
    return [part.reshape(shape) for part, shape in zip(np.split(theta, ends[:-1]), shapes, strict=True)]


def joined(*parts: Any) -> Any:
    return np.concatenate([part.ravel() for part in parts])


def surplus(scores: Any, label: float) -> Any:
    """The softmax of the scores, less one at the label: the derivative of the cross-entropy."""
    shares = exp(scores - scores.max())
    shares = shares / shares.sum()
    return shares - (np.arange(len(scores)) == label).reshape(-1, 1)


def digits(theta: Any, u: Any, y: Any) -> Any:
    W1, b1, W2, b2 = split(theta, (32, 64), (32, 1), (10, 32), (10, 1))
    h = tanh(W1 @ u + b1)
    above = surplus(W2 @ h + b2, float(y[0]))
    below = (W2.T @ above) * (1 - h * h)
    return joined(below @ u.T, below, above @ h.T, above)


def diabetes_layers(theta: Any, x: Any, y: Any) -> Any:
    V1, c1, V2, c2 = split(theta, (8, 10), (8, 1), (1, 8), (1, 1))
    a = V1 @ x + c1
    above = V2 @ softplus(a) + c2 - y[0]
    below = (V2.T @ above) * sigmoid(a)
    return joined(below @ x.T, below, above @ softplus(a).T, above)


def iris_softmax(theta: Any, x: Any, y: Any) -> Any:
    W, b = split(theta, (3, 4), (3, 1))
    above = surplus(W @ x + b, float(y[0]))
    return joined(above @ x.T, above)


def eyes_and_hair(theta: Any, cell: Any, y: Any) -> Any:
    eyes, hair = cell[:4], cell[4:]
    a, b, u, v = split(theta, (4, 1), (5, 1), (4, 1), (5, 1))
    own, other = u.T @ eyes, v.T @ hair
    above = exp(a.T @ eyes + b.T @ hair + own * other) - y[0]
    return joined(above * eyes, above * hair, above * other * eyes, above * own * hair)


def sunspots_recurrent(theta: Any, x: Any, y: Any) -> Any:
    """Backpropagation through time: each step adds to the gradient of the one cell."""
    U, W, b, V, c = split(theta, (4, 1), (4, 4), (4, 1), (1, 4), (1, 1))
    memories = [np.zeros((4, 1))]
    for number in x:
        memories.append(tanh(U * number + W @ memories[-1] + b))
    above = V @ memories[3] + c - y[0]
    grad_U, grad_W, grad_b, back = 0, 0, 0, V.T @ above
    for step in (3, 2, 1):
        inside = back * (1 - memories[step] ** 2)
        grad_U, grad_W, grad_b = grad_U + inside * x[step - 1], grad_W + inside @ memories[step - 1].T, grad_b + inside
        back = W.T @ inside
    return joined(grad_U, grad_W, grad_b, above @ memories[3].T, above)


BY_HAND: dict[str, Callable[[Any, Any, Any], Any]] = {
    f.__name__: f for f in (digits, diabetes_layers, iris_softmax, eyes_and_hair, sunspots_recurrent)
}
DECAY = {
    "digits": 0.0,
    "diabetes_layers": 2e-4,
    "iris_softmax": 1e-3,
    "eyes_and_hair": 2e-2,
    "sunspots_recurrent": 1e-4,
}


def by_hand(name: str, theta: Any, rows: Any) -> Any:
    """The gradient of each of some rows' losses, ``(n, P)``, in the kind of number that ``theta`` has."""
    example = load(name)
    kind = theta.dtype
    pairs = zip(example.inputs[rows], example.targets[rows], strict=True)
    return np.array([BY_HAND[name](theta, as_kind(x, kind).reshape(-1, 1), as_kind(y, kind)) for x, y in pairs])


def as_kind(array: Any, kind: Any) -> Any:
    return exactly(array) if kind.hasobject else array


def exactly(array: Any) -> Any:
    return np.array([mpmath.mpf(float(x)) for x in array], dtype=object)


def somewhere(name: str) -> Any:
    """Parameters that no symmetry makes special."""
    return glorot_start(load(name).risk, 7)


def test_every_matrix_example_is_derived_by_hand() -> None:
    assert set(MATRICES) == set(BY_HAND) == set(DECAY)


# --- the declarations ----------------------------------------------------------------------------------------------


def test_the_declarations_are_whole_matrices() -> None:
    """Nothing is written out in elements: that would take as long as there are weights."""
    for name in MATRICES:
        risk = load(name).risk
        assert isinstance(risk.model.output, sp.MatrixExpr)  # type: ignore[union-attr]
        assert len(risk.outputs) == 1


@pytest.mark.parametrize("name", BY_HAND)
def test_the_reference_has_the_gradient_derived_by_hand(name: str) -> None:
    example, theta, rows = load(name), somewhere(name), [0, len(load(name).inputs) // 2]
    chosen = sorted({0, len(theta) // 3, len(theta) - 12, len(theta) - 1})
    oracle = Reference(example.risk)
    with mpmath.workdps(DIGITS):
        expected = by_hand(name, exactly(theta), rows)
        for row, gradient in zip(rows, expected, strict=True):
            sample = oracle.sample(theta, example.inputs[row], example.targets[row], parameters=chosen)
            for place, got in zip(chosen, sample.gradient, strict=True):
                assert mpmath.almosteq(
                    got, gradient[place], rel_eps=mpmath.mpf(10) ** -40, abs_eps=mpmath.mpf(10) ** -60
                )


@pytest.mark.parametrize("name", BY_HAND)
def test_compiled_gradients_of_samples_are_those_derived_by_hand(name: str) -> None:
    example, theta = load(name), somewhere(name)
    rows = [0, len(example.inputs) // 2, len(example.inputs) - 1]
    with mpmath.workdps(DIGITS):
        expected = by_hand(name, exactly(theta), rows).astype(np.float64)
    got = compiled(name).per_sample_gradient(theta, example.inputs[rows], example.targets[rows])
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-13 * np.abs(expected).max())


@pytest.mark.parametrize("name", BY_HAND)
def test_the_compiled_gradient_is_the_mean_and_the_decay(name: str) -> None:
    example, theta = load(name), somewhere(name)
    rows = by_hand(name, theta, slice(None))
    got = compiled(name).gradient(theta, example.inputs, example.targets)
    scale = np.abs(rows).mean(axis=0).max()
    np.testing.assert_allclose(got, rows.mean(axis=0) + DECAY[name] * theta, rtol=0, atol=1e-13 * scale)


# --- data and starts -----------------------------------------------------------------------------------------------


def test_the_digits_are_the_known_ones() -> None:
    """How often each digit occurs, as its source prints it, and what the first one looks like."""
    example = load("digits")
    labels = example.targets.ravel().astype(int)
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    sixteenths = example.inputs * 16
    assert set(np.unique(sixteenths)) == set(range(17))
    picture = ["".join(" .:*#"[int(dark) // 4] for dark in row) for row in sixteenths[0].reshape(8, 8)]
    assert labels[0] == 0
    assert picture == ["  .*:   ", "  **:*. ", "  *  :: ", " .*  :: ", " .:  :: ", " .:  *. ", "  *.:*  ", "  .*:   "]


def test_the_other_tables_are_the_known_ones() -> None:
    children = load("eyes_and_hair")
    assert (children.inputs[:, :4].T @ children.targets).ravel().tolist() == [718, 1580, 1774, 1315]
    assert (children.inputs[:, 4:].T @ children.targets).ravel().tolist() == [1455, 286, 2137, 1391, 118]
    irises = load("iris_softmax")
    assert np.bincount(irises.targets.ravel().astype(int)).tolist() == [50, 50, 50]
    np.testing.assert_allclose(irises.inputs.mean(axis=0), [5.8433, 3.0573, 3.7580, 1.1993], atol=5e-5)
    years = load("sunspots_recurrent")
    assert years.inputs[0].tolist() == [0.05, 0.11, 0.16]
    assert years.targets.max() == 1.902  # 1957
    assert (years.inputs[1:, 2] == years.targets[:-1, 0]).all()
    patients = load("diabetes_layers")
    assert (patients.inputs[:, 2:4] == load("diabetes_network").inputs).all()
    assert patients.targets.mean() * 256 == pytest.approx(152.1335, abs=1e-4)


def test_starts_of_networks_are_the_same_everywhere() -> None:
    """The generator's own check: its ten thousandth number from 1 is 1043618065 (Park and Miller, 1988)."""
    long = EmpiricalRisk.from_expression(sp.Trace(M.T * M), inputs=[], targets=[], parameters=[M], name="long")  # type: ignore[no-untyped-call]
    start = glorot_start(long, 1)
    bound = np.sqrt(6 / 10_001)
    assert start[-1] == bound * (2 * (1043618065 / 2147483647) - 1)
    assert (np.abs(start) <= bound).all()
    assert abs(start.mean()) < 0.02 * bound
    assert (start != glorot_start(long, 2)).all()


M = sp.MatrixSymbol("M", 10_000, 1)


@pytest.mark.parametrize("name", BY_HAND)
def test_no_two_weights_start_alike(name: str) -> None:
    for label, start in load(name).starts.items():
        assert len(leaves(*load(name).risk.parameters)) == len(start)
        assert label == "zero" or len(set(start)) == len(start)
