"""Rows of per-sample results: turned in squares or interleaved, to their places at once or past the caches."""

import platform
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy as sp

import symgrad as sg

STREAMED = 1 << 21  # bytes of a block of results from which on it is written past the caches (sweep.pyx.jinja)
x, y = sp.symbols("x y")
WIDTHS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 23)


def rows_of(n: int) -> sg.EmpiricalRisk:
    """A gradient of n columns, exact in either dtype: the row of a sample x is x + 1, ..., x + n."""
    parameters = sp.symbols(f"p1:{n + 1}")
    loss = sum(p * (x + i) for i, p in enumerate(parameters, 1))
    return sg.EmpiricalRisk.from_expression(loss, inputs=[x], targets=[], parameters=parameters, name=f"rows{n}")


def expected(inputs: Any, n: int) -> Any:
    return inputs[:, None] + np.arange(1, n + 1, dtype=inputs.dtype)


def place(shape: tuple[int, int], dtype: str, offset: int) -> tuple[Any, Any, int]:
    """Memory, an array in it ``offset`` numbers beyond a multiple of 64 bytes, and where in it that begins."""
    n, size = shape[0] * shape[1], np.dtype(dtype).itemsize
    memory = np.full(n + 192, -1.0, dtype)
    first = 64 + (-memory[64:].ctypes.data % 64) // size + offset
    return memory, memory[first : first + n].reshape(shape), first


@pytest.fixture(scope="module", params=["float64", "float32"])
def dtype(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def check(module: Any, n: int, dtype: str) -> None:
    """Calls that are full and not, any alignment of the output, few rows and enough to be written past the caches."""
    many = STREAMED // (n * np.dtype(dtype).itemsize) + 77
    for samples in (1, 2, 7, 8, 9, 63, 64, 65, 200, many):
        inputs = np.arange(samples, dtype=dtype) % 1024
        for offset in (0, 1, 2, 3, 7):
            memory, out, first = place((samples, n), dtype, offset)
            module.per_sample_gradient(np.zeros(n), inputs, None, out=out, threads=1)
            np.testing.assert_array_equal(out, expected(inputs, n))
            assert (memory[:first] == -1).all()
            assert (memory[first + samples * n :] == -1).all()


@pytest.mark.parametrize("n", WIDTHS)
def test_every_row_lands_in_its_place_and_nothing_else_is_written(n: int, dtype: str) -> None:
    check(sg.compile(rows_of(n), dtype=dtype), n, dtype)


@pytest.mark.skipif(
    platform.machine() != "x86_64" or "avx2" not in Path("/proc/cpuinfo").read_text(encoding="utf-8"),
    reason="what it compiles is for an x86-64 processor with AVX2",
)
@pytest.mark.parametrize("processor", ["x86-64", "haswell"])
@pytest.mark.parametrize("n", [3, 9])
def test_shorter_vectors_too(processor: str, n: int, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CFLAGS", f"-march={processor}")
    check(sg.compile(rows_of(n), dtype=dtype), n, dtype)


def test_threads_write_past_the_caches_too(dtype: str) -> None:
    module = sg.compile(rows_of(3), dtype=dtype)
    inputs = np.arange(3_000_000, dtype=dtype) % 1024
    for threads in (1, 2, 3):
        result = module.per_sample_gradient(np.zeros(3), inputs, None, threads=threads)
        np.testing.assert_array_equal(result, expected(inputs, 3))


def test_losses_and_predictions_go_the_same_way(dtype: str) -> None:
    p = sp.Symbol("p")
    model = sg.Model(sp.Matrix([p + x + i for i in range(1, 6)]), inputs=[x], parameters=[p])
    module = sg.compile(sg.EmpiricalRisk(model, sg.losses.squared(5), name="five"), dtype=dtype)
    inputs = np.arange(600_001, dtype=dtype) % 1024
    predicted = module.predict([0.0], inputs)
    np.testing.assert_array_equal(predicted, expected(inputs, 5))
    losses = module.per_sample_loss([0.0], inputs, np.zeros((len(inputs), 5), dtype), threads=1)
    assert losses.nbytes >= STREAMED
    np.testing.assert_array_equal(losses[:1024], (expected(inputs[:1024], 5).astype(float) ** 2).sum(1) / 2)
    np.testing.assert_array_equal(losses, losses[np.arange(len(inputs)) % 1024])


def layers(hidden: int) -> sg.EmpiricalRisk:
    """A network: gradients that are products of matrices, beside rows."""
    W, b = sp.MatrixSymbol("W", hidden, 3), sp.MatrixSymbol("b", hidden, 1)
    V, u = sp.MatrixSymbol("V", 2, hidden), sp.MatrixSymbol("u", 3, 1)
    model = sg.Model(V * (W * u + b).applyfunc(sp.tanh), inputs=[u], parameters=[W, b, V])
    return sg.EmpiricalRisk(model, sg.losses.squared(2), name=f"layers{hidden}")


def logistic() -> sg.EmpiricalRisk:
    """A gradient that is a multiple of the inputs, beside a number."""
    beta, u, c = sp.MatrixSymbol("beta", 300, 1), sp.MatrixSymbol("u", 300, 1), sp.Symbol("c")
    score = (beta.T * u)[0, 0] + c
    loss = sp.log(1 + sp.exp(score)) - y * score
    return sg.EmpiricalRisk.from_expression(loss, inputs=[u], targets=[y], parameters=[c, beta], name="logistic300")


DECLARE = {"layers6": lambda: layers(6), "layers300": lambda: layers(300), "logistic300": logistic}


@pytest.mark.parametrize("name", DECLARE)
def test_rows_that_are_put_together_from_parts_are_the_same_past_the_caches(name: str, dtype: str) -> None:
    """Long rows are put together a few lanes at a time, short ones by the call."""
    module = sg.compile(DECLARE[name](), dtype=dtype)
    random = np.random.default_rng(3)
    P = module.N_PARAMETERS
    n = 2 * STREAMED // (P * np.dtype(dtype).itemsize) + 21
    inputs, targets = (
        random.normal(size=(n, sum(int(np.prod(shape)) for _, shape in symbols))).astype(dtype)
        for symbols in (module.INPUTS, module.TARGETS)
    )
    theta = random.normal(size=P)
    together = module.per_sample_gradient(theta, inputs, targets, threads=1)
    for first in range(0, n, max(1, n // 40)):
        part = slice(first, first + max(1, n // 40))
        apart = module.per_sample_gradient(theta, inputs[part], targets[part], threads=1)
        assert apart.nbytes < STREAMED
        np.testing.assert_array_equal(together[part], apart)
