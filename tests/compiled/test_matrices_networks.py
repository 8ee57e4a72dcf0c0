"""Networks that are declared with matrices, against references that nobody of this project computed, and their bars.

``data/cases/networks.npz`` holds five networks on scikit-learn's bundled data sets (BSD-3-Clause; columns divided by
powers of two): parameters, data, and the gradients of backpropagation by hand in long double, rounded to double. The
digits' inputs are the gallery's.
"""

import json
import math
import re
import subprocess
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from symgrad import gallery

ARRAYS = np.load(Path(__file__).parents[1] / "data" / "cases" / "networks.npz", allow_pickle=False)
DIGITS = "digits_64_32_10_tanh"
NETWORKS = {
    "breast_cancer_30_6_1_relu": ((30, 6, 1), "relu", "logistic"),
    "diabetes_10_8_1_softplus": ((10, 8, 1), "softplus", "squared"),
    DIGITS: ((64, 32, 10), "tanh", "softmax"),
    "iris_4_5_3_tanh": ((4, 5, 3), "tanh", "softmax"),
    "linnerud_3_4_3_sigmoid": ((3, 4, 3), "sigmoid", "squared"),
}
SHARED = {"U": (20, 3), "W": (17, 20), "V": (17, 17), "y": (17, 3)}
T = sp.Dummy("t")
ACTIVATIONS: dict[str, Any] = {
    "relu": sp.Lambda(T, sp.Max(T, 0)),
    "softplus": sp.Lambda(T, sp.log(1 + sp.exp(T))),
    "sigmoid": sp.Lambda(T, 1 / (1 + sp.exp(-T))),
    "tanh": sp.tanh,
}


def layers(sizes: tuple[int, ...], activation: Any) -> sg.Model:
    """A network; its parameters are each layer's weights, then its biases."""
    u = value = sp.MatrixSymbol("u", sizes[0], 1)
    parameters: list[Any] = []
    for k, (fan_in, width) in enumerate(pairwise(sizes), 1):
        W, b = sp.MatrixSymbol(f"W{k}", width, fan_in), sp.MatrixSymbol(f"b{k}", width, 1)
        parameters += [W, b]
        value = W * value + b
        if k < len(sizes) - 1:
            value = value.applyfunc(activation)
    return sg.Model(value, inputs=[u], parameters=parameters)


def loss_of(kind: str, outputs: int) -> sg.Loss:
    if kind == "softmax":
        return sg.losses.softmax_cross_entropy(outputs, targets="probabilities")
    z, y = sp.MatrixSymbol("z", outputs, 1), sp.MatrixSymbol("y", outputs, 1)
    if kind == "squared":
        return sg.Loss((z - y).T * (z - y), prediction=z, target=y)
    return sg.Loss(sp.log(1 + sp.exp(z[0, 0])) - y[0, 0] * z[0, 0], prediction=z, target=y)


def classifier(*sizes: int) -> sg.EmpiricalRisk:
    name = "net_" + "_".join(map(str, sizes))
    return sg.EmpiricalRisk(layers(sizes, sp.tanh), sg.losses.softmax_cross_entropy(sizes[-1]), name=name)


@cache
def network(name: str, dtype: str = "float64") -> Any:
    sizes, activation, kind = NETWORKS[name]
    model, loss = layers(sizes, ACTIVATIONS[activation]), loss_of(kind, sizes[-1])
    return sg.compile(sg.EmpiricalRisk(model, loss, name=name), dtype=dtype)


@cache
def rows(name: str) -> tuple[Any, Any]:
    if name != DIGITS:
        return ARRAYS[f"{name}.X"], ARRAYS[f"{name}.Y"]
    digits = gallery.load("digits")
    return np.array(digits.inputs), np.eye(10)[np.ravel(digits.targets).astype(int)]


def many(n: int) -> tuple[Any, Any]:
    """The digits, as often as it takes."""
    X, Y = rows(DIGITS)
    return np.resize(X, (n, 64)), np.resize(Y, (n, 10))


# ---------------------------------------------------------------------------------------------------------- references


@pytest.mark.parametrize("name", NETWORKS)
def test_the_mean_gradient_is_the_references(name: str) -> None:
    module, theta = network(name), ARRAYS[f"{name}.theta"]
    risk, gradient = module.risk_and_gradient(theta, *rows(name))
    error, scale = np.abs(gradient - ARRAYS[f"{name}.mean_grad"]), ARRAYS[f"{name}.mean_abs_grad"]
    assert (error <= 1e-13 * scale).all(), (error[scale > 0] / scale[scale > 0]).max()
    assert risk == pytest.approx(float(ARRAYS[f"{name}.mean_loss"]), rel=1e-13)


@pytest.mark.parametrize("name", NETWORKS)
def test_samples_gradients_are_the_references(name: str) -> None:
    module, theta, expected = network(name), ARRAYS[f"{name}.theta"], ARRAYS[f"{name}.per_sample_grad"]
    X, Y = (array[: len(expected)] for array in rows(name))
    error = np.abs(module.per_sample_gradient(theta, X, Y) - expected)
    assert (error.max(axis=1) <= 1e-12 * np.abs(expected).max(axis=1)).all()
    np.testing.assert_allclose(module.per_sample_loss(theta, X, Y), ARRAYS[f"{name}.per_sample_loss"], rtol=1e-13)


# ---------------------------------------------------------------------------------------------------------------- bits


@pytest.mark.parametrize("name", NETWORKS)
def test_threads_and_layouts_change_no_bit(name: str) -> None:
    module, theta, (X, Y) = network(name), ARRAYS[f"{name}.theta"], rows(name)
    expected = module.gradient(theta, X, Y, threads=1)
    wide = np.full((2 * len(X), X.shape[1] + 3), np.nan)
    wide[::2, 3:] = X
    layouts = {"C": X, "F": np.asfortranarray(X), "big-endian": X.astype(">f8"), "strided": wide[::2, 3:]}
    for layout, inputs in layouts.items():
        for threads in (1, 2, 3, 8, None):
            got = module.gradient(theta, inputs, np.asfortranarray(Y), threads=threads)
            np.testing.assert_array_equal(got, expected, err_msg=f"{layout}, {threads} threads")
    backwards = module.gradient(theta, X[::-1].copy()[::-1], Y, threads=2)
    np.testing.assert_array_equal(backwards, expected)


def test_threads_change_no_bit_of_many_tiles() -> None:
    module, theta, (X, Y) = network(DIGITS), ARRAYS[f"{DIGITS}.theta"], many(9000)
    expected = module.risk_and_gradient(theta, X, Y, threads=1)
    each = module.per_sample_gradient(theta, X[-70:], Y[-70:], threads=1)
    for threads in (2, 3, 8):
        risk, gradient = module.risk_and_gradient(theta, np.asfortranarray(X), Y, threads=threads)
        assert risk == expected[0]
        np.testing.assert_array_equal(gradient, expected[1])
        np.testing.assert_array_equal(module.per_sample_gradient(theta, X[-70:], Y[-70:], threads=threads), each)


def test_single_precision_arrays_are_converted_exactly() -> None:
    module, theta, (X, Y) = network(DIGITS), ARRAYS[f"{DIGITS}.theta"], rows(DIGITS)
    got = module.gradient(theta, X.astype(np.float32), Y.astype(np.float32))
    np.testing.assert_array_equal(got, module.gradient(theta, X, Y))


@pytest.mark.parametrize("n", [1, 2, 63, 64, 65, 127, 128, 129, 1023, 1024, 1025, 5000])
def test_the_gradient_is_the_samples_mean_however_many_there_are(n: int) -> None:
    """Calls and tiles that are full, or lack a sample, or have one too many."""
    module, theta, (X, Y) = network(DIGITS), ARRAYS[f"{DIGITS}.theta"], many(n)
    each = module.per_sample_gradient(theta, X, Y)
    weights = np.random.default_rng(n).uniform(0.5, 2, n)
    # where a weight comes first, p - 1 is w*p - w: its last bits are others
    for w, bound in ((None, 1e-15), (weights, 1e-13)):
        share = np.full(n, 1 / n) if w is None else w / math.fsum(w)
        exact, scale = (np.sum(share[:, None] * part, axis=0, dtype=np.longdouble) for part in (each, np.abs(each)))
        error = np.abs(module.gradient(theta, X, Y, w) - exact)
        assert (error <= bound * scale).all()


@pytest.mark.parametrize("n", [1, 65, 1500])
def test_a_sample_has_the_same_bits_wherever_it_stands(n: int) -> None:
    module, theta, (X, Y) = network(DIGITS), ARRAYS[f"{DIGITS}.theta"], many(n)
    order = np.random.default_rng(n).permutation(n)
    for function in (module.per_sample_gradient, module.per_sample_loss):
        np.testing.assert_array_equal(function(theta, X[order], Y[order]), function(theta, X, Y)[order])
        np.testing.assert_array_equal(function(theta, X[-1:], Y[-1:])[0], function(theta, X, Y)[-1])
    np.testing.assert_array_equal(module.predict(theta, X[order]), module.predict(theta, X)[order])


def test_samples_of_weight_zero_never_matter() -> None:
    module, theta, (X, Y) = network(DIGITS), ARRAYS[f"{DIGITS}.theta"], many(2100)
    weights = np.random.default_rng(3).uniform(0.5, 2, 2100)
    weights[1024:1100] = 0  # the whole of one call, and a part of the next
    weights[::7] = 0
    expected = module.risk_and_gradient(theta, X, Y, weights)
    X, Y = X.copy(), Y.copy()
    X[weights == 0], Y[weights == 0] = np.nan, np.inf
    risk, gradient = module.risk_and_gradient(theta, X, Y, weights)
    assert np.isfinite(gradient).all()
    assert risk == expected[0]
    np.testing.assert_array_equal(gradient, expected[1])
    left = module.per_sample_gradient(theta, X[weights > 0], Y[weights > 0])
    share = (weights[weights > 0] / weights.sum())[:, None]
    assert np.abs(gradient - (share * left).sum(axis=0)).max() < 1e-15


def test_shared_weights_and_samples_that_are_matrices() -> None:
    """Gradients of several products, each over the columns of a sample, and a penalty."""
    U, W, V, y = (sp.MatrixSymbol(n, *shape) for n, shape in SHARED.items())
    z = sp.MatrixSymbol("z", 17, 3)
    model = sg.Model((V * (V * (W * U)).applyfunc(sp.tanh)).applyfunc(sp.tanh), inputs=[U], parameters=[W, V])
    loss = sg.Loss(sp.Trace((z - y).T * (z - y)) / 2, prediction=z, target=y)
    penalty = sp.Trace(W * W.T) / 50 + sp.Trace(V * V.T * V) / 7
    module = sg.compile(sg.EmpiricalRisk(model, loss, penalty=penalty, name="shared"))
    rng = np.random.default_rng(0)
    w, v = (rng.normal(size=SHARED[name]) / 4 for name in "WV")
    u, t = (rng.normal(size=(1100, *SHARED[name])) for name in "Uy")
    theta, data = np.append(w, v), (u.reshape(1100, -1), t.reshape(1100, -1))
    a = w @ u
    h = np.tanh(v @ a)
    out = np.tanh(v @ h)
    outer = (out - t) * (1 - out**2)
    inner = (v.T @ outer) * (1 - h**2)
    dw, dv = v.T @ inner @ u.transpose(0, 2, 1), outer @ h.transpose(0, 2, 1) + inner @ a.transpose(0, 2, 1)
    expected = np.hstack([d.reshape(1100, -1) for d in (dw, dv)])
    each = module.per_sample_gradient(theta, *data)
    assert (np.abs(each - expected).max(axis=1) <= 1e-13 * np.abs(expected).max(axis=1)).all()
    # the trace of V V' V is the sum of V_ij V_kj V_ki over i, j and k
    cubic = np.einsum("kj,ki->ij", v, v) + np.einsum("ij,ki->kj", v, v) + np.einsum("ij,kj->ki", v, v)
    own = np.append(w / 25, cubic / 7)
    mean = np.sum(each, axis=0, dtype=np.longdouble) / 1100 + own
    assert (np.abs(module.gradient(theta, *data) - mean) <= 1e-14 * (np.abs(each).mean(axis=0) + np.abs(own))).all()
    np.testing.assert_allclose(module.predict(theta, data[0]), out.reshape(1100, -1), rtol=1e-12, atol=1e-14)
    risk = ((out - t) ** 2).sum(axis=(1, 2)).mean() / 2 + (w**2).sum() / 50 + np.trace(v @ v.T @ v) / 7
    assert module.risk(theta, *data) == pytest.approx(risk, rel=1e-13)


# ------------------------------------------------------------------------------------------------------ size and counts


def test_sources_of_wide_and_narrow_networks_differ_in_numbers_only() -> None:
    narrow, wide = (
        # where a line is broken depends on the length of the numbers in it
        re.sub(
            r"\n    cdef real ",
            ", ",
            re.sub(r"\d+", "#", sg.generate(classifier(20, n, n, 5)).source.split('"""', 2)[2]),
        )
        for n in (8, 512)
    )
    assert narrow.replace("net_#_#_#_#", "") == wide.replace("net_#_#_#_#", "")
    assert len(wide.splitlines()) < 400


@pytest.mark.parametrize("sizes", [(64, 32, 10), (784, 128, 10), (20, 8, 8, 5), (30, 6, 1), (300, 300, 300, 2)])
def test_the_gradient_takes_at_most_three_times_the_operations_of_the_loss(sizes: tuple[int, ...]) -> None:
    if sizes[-1] == 1:
        model, loss = layers(sizes, sp.tanh), loss_of("squared", 1)
        generated = sg.generate(sg.EmpiricalRisk(model, loss, name="scores"))
    else:
        generated = sg.generate(classifier(*sizes))
    counts = generated.kernel.counts
    products = sum(2 * a * b for a, b in pairwise(sizes))
    assert products < counts["loss"] < products + 40 * sum(sizes)
    assert counts["gradient"] <= 3 * counts["loss"]
    # the first layer's inputs need no derivative
    assert counts["gradient"] <= 3 * products - 2 * sizes[0] * sizes[1] + 40 * sum(sizes)
    text = f"{counts['loss']} operations for the loss, {counts['gradient']} for the loss with its gradient"
    assert text in " ".join(generated.source.split())


# ---------------------------------------------------------------------------------------------------- single precision


def test_single_precision_sums_in_double() -> None:
    module, (X, Y) = network(DIGITS, "float32"), many(9000)
    theta = ARRAYS[f"{DIGITS}.theta"].astype(np.float32)
    each, gradient = module.per_sample_gradient(theta, X, Y), module.gradient(theta, X, Y)
    assert (each.dtype, gradient.dtype, module.predict(theta, X).dtype) == (np.float32,) * 3
    assert module.per_sample_loss(theta, X, Y).dtype == np.float32
    mean, scale = each.astype(float).mean(axis=0), np.abs(each.astype(float)).mean(axis=0)
    assert (np.abs(gradient - mean) <= 1e-6 * scale).all()
    double = network(DIGITS).gradient(theta.astype(float), X, Y)
    assert np.abs(gradient - double).max() < 1e-5 * np.abs(double).max()


# ------------------------------------------------------------------------------------------------- in its own process

PROGRAM = """
import json, os, resource, signal, sys, threading, time
from pathlib import Path
import numpy as np
from symgrad.load import load_module
signal.signal(signal.SIGINT, signal.default_int_handler)
module = load_module(Path(sys.argv[1]), "net_784_128_10")
random = np.random.default_rng(0)
theta = random.normal(size=module.N_PARAMETERS) / 28
X, y = random.random((10_000, 784)), random.integers(0, 10, 10_000).astype(float)
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
before = peak()
gradients = [module.gradient(theta, X, y, threads=threads) for threads in (1, 2)]
grown = peak() - before
# the same by hand
parts = module.unpack(theta)
h = np.tanh(X @ parts["W1"].T + parts["b1"].T)
z = h @ parts["W2"].T + parts["b2"].T
share = np.exp(z - z.max(axis=1, keepdims=True))
delta = (share / share.sum(axis=1, keepdims=True) - np.eye(10)[y.astype(int)]) / len(X)
inner = (delta @ parts["W2"]) * (1 - h**2)
by_hand = {"W1": inner.T @ X, "b1": inner.sum(axis=0)[:, None], "W2": delta.T @ h, "b2": delta.sum(axis=0)[:, None]}
error = float(np.abs(gradients[0] - module.pack(by_hand)).max())
long = np.lib.stride_tricks.as_strided(X, (50_000_000, 784), (0, 8)), np.broadcast_to(1.0, 50_000_000)
took = []
for threads in (1, 2):
    sent = []
    def send():
        time.sleep(0.1)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)
    sender = threading.Thread(target=send)
    sender.start()
    try:
        module.gradient(theta, *long, threads=threads)
    except KeyboardInterrupt:
        took.append(time.perf_counter() - sent[0])
    sender.join()
again = module.gradient(theta, X, y, threads=2)
same = [g.tobytes() == again.tobytes() for g in gradients]
print(json.dumps([grown, took, same, error]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs the account of a process' memory")
def test_a_wide_network_needs_little_memory_and_stops_when_told() -> None:
    """An example for each parameter and sample would take 8 GB."""
    path = sg.compile(classifier(784, 128, 10)).path
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path)], capture_output=True, text=True, check=True, timeout=100
    )
    grown, took, same, error = json.loads(run.stdout)
    assert grown < 60, "MB"
    assert len(took) == 2
    assert max(took) < 1.0
    assert same == [True, True]
    assert error < 1e-13
