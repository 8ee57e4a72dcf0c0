"""What Python code can do to the sweep without meaning to is refused in words, or harmless: never undefined."""

import copy
import mmap
import os
import pickle
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from symgrad.errors import ArrayError, ArrayTypeError

theta, y = sp.symbols("theta y")
N = 1500


@pytest.fixture(scope="module", params=["float64", "float32"])
def mean(request: pytest.FixtureRequest) -> Any:
    risk = sg.EmpiricalRisk.from_expression(
        (theta - y) ** 2 / 2, inputs=[], targets=[y], parameters=[theta], name="mean_of_data"
    )
    return sg.compile(risk, dtype=request.param)


@pytest.fixture(scope="module", params=["float64", "float32"])
def line(request: pytest.FixtureRequest) -> Any:
    """Inputs that are read where they lie: a linear predictor, and norms of its gradients."""
    x, b = sp.MatrixSymbol("x", 11, 1), sp.MatrixSymbol("b", 11, 1)
    eta = sp.Symbol("eta")
    model = sg.Model((b.T * x)[0, 0], inputs=[x], parameters=[b])
    loss = sg.Loss((eta - y) ** 2 / 2, prediction=eta, target=y)
    return sg.compile(sg.EmpiricalRisk(model, loss, name="line_of_eleven"), dtype=request.param)


def kind_of(module: Any) -> Any:
    return np.dtype("float32" if module.module._sweep.__name__.endswith("float32") else "float64")


def misaligned(array: Any, offset: int = 1) -> Any:
    """The same numbers, at places that no number of their size may have."""
    memory = bytearray(array.nbytes + offset)
    result = np.frombuffer(memory, np.uint8)[offset:].view(array.dtype).reshape(array.shape)
    result[...] = array
    assert not result.flags.aligned
    return result


def packed(array: Any) -> Any:
    """A column of packed records, each of which has one byte more."""
    record = np.dtype([("odd", np.uint8), ("numbers", array.dtype, array.shape[1:])])
    result = np.zeros(len(array), record)["numbers"]
    result[...] = array
    return result


def bits(results: Any) -> list[bytes]:
    return [np.asarray(result).tobytes() for result in results]


@pytest.mark.parametrize("odd", [misaligned, packed])
def test_misaligned_arrays_give_the_same_bits(odd: Any, line: Any) -> None:
    """Inputs, targets, weights, theta and the nodes of parts. The sanitizers look at the same calls."""
    random, kind = np.random.default_rng(2), kind_of(line)
    at = random.normal(size=11)
    u, d, w = (random.uniform(size=shape).astype(kind) for shape in ((N, 11), (N,), (N,)))

    def results(at: Any, u: Any, d: Any, w: Any, nodes: Any) -> list[bytes]:
        parts = line.module.partial_sums(at, u, d, w)
        return bits(
            [
                *line.risk_and_gradient(at, u, d, w), *line.bind(u, d, w)(at), line.per_sample_gradient(at, u, d),
                line.reduce(at, u, d, want="squared_norms")["squared_norms"], line.predict(at, u),
                *line.merge_sums(at, {key: nodes(node) for key, node in parts.items()}),
            ]
        )  # fmt: skip

    assert results(misaligned(at), odd(u), odd(d), odd(w), misaligned) == results(at, u, d, w, lambda node: node)


def test_a_misaligned_out_is_refused(mean: Any) -> None:
    with pytest.raises(ArrayError, match=r"^out: expected a writable, aligned, .* aligned False; numpy\.empty"):
        mean.per_sample_loss([0.0], None, np.ones(5), out=misaligned(np.zeros(5, kind_of(mean))))


class Liar(np.ndarray):  # type: ignore[type-arg]
    """An array that says to be larger than it is, aligned, and another's."""

    shape = property(lambda self: (N,))  # type: ignore[assignment]
    strides = property(lambda self: (self.itemsize,))  # type: ignore[assignment]
    nbytes = property(lambda self: N * self.itemsize)  # type: ignore[assignment]
    flags = property(lambda self: np.ones(N).flags)  # type: ignore[assignment]
    ndim = property(lambda self: 1)  # type: ignore[assignment]


def test_an_array_that_lies_about_itself_is_taken_as_it_is(mean: Any) -> None:
    kind = kind_of(mean)
    with pytest.raises(ArrayError, match=r"^out: .* got shape \(3,\), strides"):
        mean.per_sample_loss([0.0], None, np.ones(N), out=np.zeros(3, kind).view(Liar))
    with pytest.raises(ArrayError, match=r"^theta: expected an array of shape \(1,\), got \(3,\)"):
        mean.risk(np.zeros(3).view(Liar), None, np.ones(N))
    with pytest.raises(ArrayError, match="one row for each sample"):
        mean.risk([0.0], None, np.ones(N), np.ones(3, kind).view(Liar))
    with pytest.raises(ArrayError, match="got the shape"):
        mean.merge_sums([0.0], {(0, 0): np.ones(3).view(Liar)})


def test_an_honest_subclass_takes_the_result(mean: Any) -> None:
    class Mine(np.ndarray):  # type: ignore[type-arg]
        pass

    out = np.zeros(N, kind_of(mean)).view(Mine)
    assert mean.per_sample_loss([0.0], None, np.ones(N), out=out) is out
    assert out.sum() == N / 2


def test_a_bound_object_starts_once(mean: Any) -> None:
    data = np.arange(N, dtype=kind_of(mean))
    bound = mean.bind(None, data)
    before = bits(bound([0.5]))
    for arguments in ((None, data[:5], None, None), (None, data.reshape(-1, 2), None, None), ()):
        try:
            bound.__init__(*arguments)  # type: ignore[misc]
        except TypeError:
            continue
    assert bits(bound([0.5])) == before
    for make in (type(bound), lambda: type(bound).__new__(type(bound))):
        with pytest.raises(TypeError, match=r"arrays are bound by a risk: call bind\(inputs, targets\)"):
            make()
    table = type(mean.module._risk)
    with pytest.raises(TypeError, match="keyword"):
        table.__new__(table)


def test_memory_that_is_in_use_is_not_resized(mean: Any) -> None:
    """Not even by force: the array's owner may be behind views and subclasses, and in use by another thread's sweep."""
    kind = kind_of(mean)
    data, weights = np.arange(2.0 * N, dtype=kind), np.ones(N, kind)
    bound = mean.bind(None, data[::2].view(Liar).view(np.ndarray), weights)
    before = bits(bound([0.5]))
    for array in (data, weights):
        with pytest.raises(ValueError, match="cannot resize"):
            array.resize(3, refcheck=False)
    assert bits(bound([0.5])) == before
    del bound
    data.resize(3, refcheck=False)
    rows, out, outs = np.broadcast_to(kind.type(1), (50_000_000,)), np.zeros(1, kind), np.zeros(50_000_000, kind)

    def resize(number: int, frame: Any) -> None:
        out.resize(0, refcheck=False)
        outs.resize(0, refcheck=False)

    previous = signal.signal(signal.SIGALRM, resize)
    try:
        for sweep in (
            lambda: mean.gradient([0.5], None, rows, out=out, threads=2),
            lambda: mean.per_sample_loss([0.5], None, rows, out=outs, threads=2),
        ):
            signal.setitimer(signal.ITIMER_REAL, 0.001)
            with pytest.raises(ValueError, match="cannot resize"):
                sweep()
    finally:
        signal.signal(signal.SIGALRM, previous)


def test_what_is_mapped_or_lent_is_not_taken_away(mean: Any) -> None:
    lender, mapped = bytearray(8 * N), mmap.mmap(-1, 8 * N)
    for memory, away in (
        (lender, lambda: lender.extend(b"more")),
        (mapped, mapped.close),
        (mapped, lambda: mapped.resize(9)),
    ):
        bound = mean.bind(None, np.frombuffer(memory, kind_of(mean))[:N])
        with pytest.raises(BufferError):
            away()
        assert bound([0.0])[0] == 0.0


def test_what_cannot_be_pickled_says_what_to_do(mean: Any) -> None:
    bound = mean.module.bind(None, np.ones(7))
    assert repr(bound) == "<7 rows bound to a compiled risk with 1 parameters: f(theta) is (risk, gradient)>"
    for refused in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match=r"pass the declared risk and the arrays, and call symgrad\.compile"):
            refused(bound)
    assert copy.deepcopy(mean.gradient) is mean.gradient


def test_threads_are_no_more_than_make_sense(mean: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a million that are asked for, no more than four for each core are started."""
    sweep, started = mean.module._sweep, []
    start = sweep.start_new_thread
    monkeypatch.setattr(sweep, "start_new_thread", lambda *call: started.append(call) or start(*call))
    data = np.ones(3_000_000, kind_of(mean))
    plain = bits(mean.risk_and_gradient([0.5], None, data, threads=1))
    assert bits(mean.risk_and_gradient([0.5], None, data, threads=10**6)) == plain
    assert len(started) < max(8, 4 * (os.cpu_count() or 1))
    for many in (2**31, 2**70, -(2**70), 0):
        with pytest.raises(ArrayError, match=r"^threads: expected None or a positive integer below 2\*\*31, got "):
            mean.risk([0.0], None, np.ones(5), threads=many)
    with pytest.raises(ArrayTypeError, match="threads"):
        mean.risk([0.0], None, np.ones(5), threads=2.0**70)


@pytest.mark.parametrize(
    ("text", "cores"), [("150000 100000\n", 2), ("100000 100000", 1), ("max 100000\n", 1 << 30), (None, 1 << 30)]
)
def test_a_container_has_the_cores_that_it_was_given(text: str | None, cores: int, mean: Any, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "cpu.max").write_text(text)
    assert mean.module._sweep._quota(str(tmp_path / "cpu.max")) == cores
