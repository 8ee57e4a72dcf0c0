"""The door of a compiled module: any array that a user has gives the same bits, and a wrong one its error."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from symgrad.errors import ArrayError, ArrayTypeError

a, b, k, x, v, y, r, p, m, s = sp.symbols("a b k x v y r p m s")
THETA = np.array([1.25, 0.5, -2.0])
N = 150  # two full calls of 64 lanes and a part of one
CALLS = ("risk", "gradient", "risk_and_gradient", "per_sample_loss", "per_sample_gradient", "predict", "bind")


@pytest.fixture(scope="module")
def plane() -> Any:
    """Three parameters, two inputs, two targets, a penalty."""
    model = sg.Model(a * sp.exp(-b * x) + k * v, inputs=[x, v], parameters=[a, b, k])
    loss = sg.Loss((p - y) ** 2 / 2 * (1 + r**2), prediction=p, target=[y, r])
    return sg.compile(sg.EmpiricalRisk(model, loss, penalty=(a**2 + b**2 + k**2) / 100, name="plane"))


@pytest.fixture(scope="module")
def gauss() -> Any:
    """No inputs, no model, one target."""
    loss = sp.log(s) + (y - m) ** 2 / (2 * s**2)
    return sg.compile(sg.EmpiricalRisk.from_expression(loss, inputs=[], targets=[y], parameters=[m, s], name="gauss"))


@pytest.fixture(scope="module")
def data() -> tuple[Any, Any, Any]:
    """Whole numbers, so that every kind of array can hold them exactly."""
    random = np.random.default_rng(1)
    return tuple(random.integers(0, 2, shape).astype(float) for shape in ((N, 2), (N, 2), (N,)))  # type: ignore[return-value]


def call(module: Any, name: str, theta: Any, inputs: Any, targets: Any, weights: Any, **extra: Any) -> Any:
    """Any function of a module, with the arguments that it takes."""
    if name == "predict":
        return module.predict(theta, inputs, **extra)
    if name == "bind":
        return module.bind(inputs, targets, weights, **extra)(theta)
    if name.startswith("per_sample"):
        return getattr(module, name)(theta, inputs, targets, **extra)
    return getattr(module, name)(theta, inputs, targets, weights, **extra)


def bits(result: Any) -> bytes:
    return b"".join(np.asarray(part).tobytes() for part in (result if isinstance(result, tuple) else (result,)))


def everything(module: Any, theta: Any, inputs: Any, targets: Any, weights: Any) -> dict[str, bytes]:
    return {name: bits(call(module, name, theta, inputs, targets, weights)) for name in CALLS}


# --- any array a user has ------------------------------------------------------------------------------------------


def misaligned(array: Any, offset: int) -> Any:
    memory = np.zeros(array.nbytes + 16, np.uint8)
    result = memory[offset : offset + array.nbytes].view(array.dtype).reshape(array.shape)
    result[...] = array
    assert not result.flags.aligned
    return result


def spread(array: Any, *steps: int) -> Any:
    """The same numbers as every so-many-th of a larger array, backwards where a step is negative."""
    steps = steps[: array.ndim]
    base = np.full([n * abs(step) + 3 for n, step in zip(array.shape, steps, strict=True)], np.nan)
    view = base[tuple(slice(1, 1 + n * abs(step), abs(step)) for n, step in zip(array.shape, steps, strict=True))]
    view = view[tuple(slice(None, None, 1 if step > 0 else -1) for step in steps)]
    view[...] = array
    return view


def read_only(array: Any) -> Any:
    copy = array.copy()
    copy.setflags(write=False)
    return copy


class Subclass(np.ndarray):
    """A subclass that would break arithmetic if it were not taken as plain numbers."""

    def __getitem__(self, item: Any) -> Any:
        raise RuntimeError("a subclass was indexed")


FORMS: dict[str, Callable[[Any], Any]] = {
    "list": lambda array: array.tolist(),
    "tuple": lambda array: tuple(map(tuple, array.tolist())) if array.ndim == 2 else tuple(array.tolist()),
    "list of arrays": list,
    **{kind: (lambda array, kind=kind: array.astype(kind)) for kind in (
        "float32", "float16", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool",
        ">f8", "<f8", ">f4", ">i4", ">f2",
    )},
    "Fortran": np.asfortranarray,
    "transposed": lambda array: np.ascontiguousarray(array.T).T,
    "every third": lambda array: spread(array, 3, 2),
    "odd stride": lambda array: np.lib.stride_tricks.as_strided(misaligned(spread(array, 1, 1).copy(), 3), array.shape),
    "rows backwards": lambda array: spread(array, -1, 1),
    "columns backwards": lambda array: spread(array, 2, -1),
    "all backwards": lambda array: spread(array, -2, -3),
    "read-only": read_only,
    **{f"offset {offset}": (lambda array, offset=offset: misaligned(array, offset)) for offset in range(1, 8)},
    "subclass": lambda array: array.copy().view(Subclass),
    "memoryview": memoryview,
    "Fortran float32": lambda array: np.asfortranarray(array.astype(np.float32)),
    "read-only big-endian backwards": lambda array: read_only(array.astype(">f8")[::-1])[::-1],
    "record field": lambda array: np.rec.fromarrays([array, array * 7], names="here,other").here,
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_an_array_gives_the_same_bits(form: str, plane: Any, data: tuple[Any, Any, Any]) -> None:
    changed = [FORMS[form](array) for array in data]
    theta = THETA if form not in ("bool", "uint8", "uint16", "uint32", "uint64") else np.ones(3)
    whole = np.array([1.0, 2.0, -3.0]) if np.dtype(getattr(changed[0], "dtype", float)).kind == "i" else theta
    assert everything(plane, FORMS[form](whole), *changed) == everything(plane, whole, *data)


def test_memory_maps_give_the_same_bits(plane: Any, data: tuple[Any, Any, Any], tmp_path: Path) -> None:
    for kind in ("<f8", ">f8", "<f4", ">i2"):
        maps = []
        for place, array in enumerate(data):
            array.astype(kind).tofile(tmp_path / f"{place}")
            maps.append(np.memmap(tmp_path / f"{place}", dtype=kind, mode="r", shape=array.shape))
        assert everything(plane, THETA, *maps) == everything(plane, THETA, *data)


def test_zero_strides(plane: Any) -> None:
    rows = [np.broadcast_to(np.array(row), (N, len(row))) for row in ([0.5, 2.0], [1.0, 0.25])]
    weights = np.broadcast_to(np.float64(3), (N,))
    assert rows[0].strides == (0, 8)
    assert everything(plane, THETA, *rows, weights) == everything(
        plane, THETA, *(np.array(r) for r in rows), weights.copy()
    )


def test_one_column_may_be_flat_and_none_may_be_nothing(gauss: Any) -> None:
    column = np.arange(5.0)
    theta = [1.0, 2.0]
    results = {
        everything_of_gauss(gauss, theta, inputs, targets)
        for inputs in (None, np.empty((5, 0)), [[]] * 5)
        for targets in (column, column[:, None], column.tolist(), [[t] for t in column], column[None].T)
    }
    assert len(results) == 1


def everything_of_gauss(gauss: Any, theta: Any, inputs: Any, targets: Any) -> bytes:
    names = [name for name in CALLS if name != "predict"]
    return b"".join(bits(call(gauss, name, theta, inputs, targets, np.ones((len(targets), 1)))) for name in names)


def test_flat_columns_are_read_where_they_lie(gauss: Any, plane: Any, data: tuple[Any, Any, Any]) -> None:
    """(N,) and (N, 1) with every step, over several tiles."""
    column = np.random.default_rng(2).normal(size=5 * gauss.TILE + 3)
    expected = bits(gauss.risk_and_gradient([1.0, 2.0], None, column))
    for step in (1, 2, 3, -1, -2):
        flat = spread(column, step)
        for form in (flat, flat[:, None], spread(column[:, None], step, 2), np.asfortranarray(flat[:, None])):
            assert bits(gauss.risk_and_gradient([1.0, 2.0], None, form)) == expected
            assert bits(gauss.bind(None, form)([1.0, 2.0])) == expected
    for step in (1, 2, -3):
        weights = spread(data[2], step)
        assert bits(plane.gradient(THETA, *data[:2], weights[:, None])) == bits(plane.gradient(THETA, *data))


def test_a_bound_function_is_bound_to_memory_and_keeps_it(plane: Any, data: tuple[Any, Any, Any]) -> None:
    arrays = [array.copy() for array in data]
    bound = plane.bind(*arrays)
    arrays[1][...] += 1
    assert bits(bound(THETA)) == bits(plane.risk_and_gradient(THETA, *arrays))
    expected = bits(bound(THETA))
    del arrays
    np.full((N, 2), np.nan)  # takes the memory, if it was given back
    assert bits(bound(THETA)) == expected
    first, second = bound(THETA)[1], bound(2 * THETA)[1]
    assert not np.shares_memory(first, second)


# --- wrong arrays --------------------------------------------------------------------------------------------------

WRONG_KINDS: dict[str, Callable[[Any], Any]] = {
    "None": lambda array: None,
    "masked": lambda array: np.ma.masked_equal(array, 1),
    "complex": lambda array: array.astype(complex),
    "longdouble": lambda array: array.astype(np.longdouble),
    "object": lambda array: array.astype(object),
    "strings": lambda array: array.astype(str),
    "bytes": lambda array: array.astype("S3"),
    "datetime": lambda array: array.astype("datetime64[s]"),
    "timedelta": lambda array: array.astype("timedelta64[s]"),
    "record": lambda array: np.zeros(array.shape, [("x", float)]),
    "text": lambda array: "abc",
    "dictionary": lambda array: {"a": 1},
    "list with None": lambda array: [None] * len(array),
}


def roles(name: str) -> Iterator[int]:
    """The places of the array arguments of a function: theta, inputs, targets, weights."""
    yield from range({"predict": 2, "per_sample_loss": 3, "per_sample_gradient": 3}.get(name, 4))


NAMES = ("theta", "inputs", "targets", "weights")


@pytest.mark.parametrize("kind", WRONG_KINDS)
@pytest.mark.parametrize("name", CALLS)
def test_a_wrong_kind_of_array(name: str, kind: str, plane: Any, data: tuple[Any, Any, Any]) -> None:
    for place in roles(name):
        if (NAMES[place], kind) in (("weights", "None"), ("inputs", "record"), ("inputs", "dictionary")):
            continue  # no weights; and tables, whose columns are looked for by name
        arguments: list[Any] = [THETA, *data]
        arguments[place] = WRONG_KINDS[kind](arguments[place])
        with pytest.raises(ArrayTypeError, match=rf"^{NAMES[place]}: expected .*, got .*; .+") as caught:
            call(plane, name, *arguments)
        assert isinstance(caught.value, TypeError)


WRONG_SHAPES: dict[str, Callable[[Any], Any]] = {
    "number": lambda array: 2.0,
    "three dimensions": lambda array: array[..., None, None],
    "one column too many": lambda array: np.ones((*array.shape[:-1], array.shape[-1] + 1)),
    "no column": lambda array: np.ones((*array.shape[:-1], 0)),
    "ragged": lambda array: [[1.0, 2.0], [1.0]],
}


@pytest.mark.parametrize("kind", WRONG_SHAPES)
@pytest.mark.parametrize("name", CALLS)
def test_a_wrong_shape(name: str, kind: str, plane: Any, data: tuple[Any, Any, Any]) -> None:
    for place in roles(name):
        arguments: list[Any] = [THETA, *data]
        arguments[place] = WRONG_SHAPES[kind](arguments[place])
        with pytest.raises(ArrayError, match=rf"{NAMES[place]}.*: expected [\s\S]*, got [\s\S]*; .+") as caught:
            call(plane, name, *arguments)
        assert isinstance(caught.value, ValueError)


def test_a_flat_array_for_two_columns_says_what_came(plane: Any) -> None:
    with pytest.raises(ArrayError, match=r"inputs: expected an array of shape \(N, 2\), got \(6,\); "):
        plane.risk(THETA, np.ones(6), np.ones((3, 2)))
    with pytest.raises(ArrayError, match=r"theta: expected an array of shape \(3,\), got \(1, 3\); "):
        plane.risk(THETA[None], np.ones((3, 2)), np.ones((3, 2)))


@pytest.mark.parametrize("name", CALLS)
def test_lengths_that_differ(name: str, plane: Any, data: tuple[Any, Any, Any]) -> None:
    for place in roles(name):
        if place == 0 or name == "predict":
            continue
        arguments: list[Any] = [THETA, *data]
        arguments[place] = arguments[place][:-1]
        with pytest.raises(ArrayError, match=r"one row for each sample .*150.*149|149.*150"):
            call(plane, name, *arguments)


def test_no_samples(plane: Any, gauss: Any) -> None:
    nothing: tuple[Any, ...] = (np.empty((0, 2)), np.empty((0, 2)))
    for name in ("risk", "gradient", "risk_and_gradient", "bind"):
        for weights in (None, np.empty(0)):
            with pytest.raises(ArrayError, match=r"at least one sample.*mean over an empty data set"):
                call(plane, name, THETA, *nothing, weights)
    assert plane.per_sample_loss(THETA, *nothing).shape == (0,)
    assert plane.per_sample_gradient(THETA, *nothing).shape == (0, 3)
    assert plane.predict(THETA, nothing[0]).shape == (0,)
    assert gauss.per_sample_gradient([0, 1], None, []).shape == (0, 2)
    with pytest.raises(ArrayError, match=r"theta: expected an array of shape \(3,\)"):
        plane.per_sample_loss([1.0], *nothing)
    out = np.empty((0, 3))
    assert plane.per_sample_gradient(THETA, *nothing, out=out) is out


# --- out= ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def outs(data: tuple[Any, Any, Any]) -> dict[str, tuple[int, ...]]:
    return {"gradient": (3,), "per_sample_loss": (N,), "per_sample_gradient": (N, 3)}


def test_out_is_filled_and_returned(plane: Any, data: tuple[Any, Any, Any], outs: dict[str, tuple[int, ...]]) -> None:
    for name, shape in outs.items():
        out = np.full(shape, np.nan)
        assert call(plane, name, THETA, *data, out=out) is out
        assert bits(out) == bits(call(plane, name, THETA, *data))


def bad_outs(shape: tuple[int, ...]) -> Iterator[tuple[Any, type[Exception]]]:
    longer = (shape[0] + 1, *shape[1:])
    yield np.full((shape[0] - 1, *shape[1:]), 7.0), ArrayError
    yield np.full(longer, 7.0), ArrayError
    yield np.full((*shape, 1), 7.0), ArrayError
    yield np.full(shape, 7, np.float32), ArrayTypeError
    yield np.full(shape, 7, ">f8"), ArrayTypeError
    yield np.full(shape, 7, complex), ArrayTypeError
    yield np.full(shape, 7, object), ArrayTypeError
    yield np.ma.masked_array(np.full(shape, 7.0)), ArrayTypeError
    yield [7.0] * shape[0], ArrayTypeError
    yield read_only(np.full(shape, 7.0)), ArrayError
    yield np.full((2 * shape[0], *shape[1:]), 7.0)[::2], ArrayError
    yield np.full(shape, 7.0)[::-1], ArrayError
    yield misaligned(np.full(shape, 7.0), 4), ArrayError
    if len(shape) == 2:
        yield np.full(shape, 7.0, order="F"), ArrayError


def test_an_out_that_cannot_take_the_result(
    plane: Any, data: tuple[Any, Any, Any], outs: dict[str, tuple[int, ...]]
) -> None:
    for name, shape in outs.items():
        for out, error in bad_outs(shape):
            with pytest.raises(error, match=r"^out: expected a writable.*, got [\s\S]*; numpy.empty"):
                call(plane, name, THETA, *data, out=out)
            assert np.all(np.asarray(out) == 7)


@pytest.mark.parametrize("wrap", [np.asarray, memoryview], ids=["array", "memoryview"])
def test_an_out_that_overlaps_an_argument(wrap: Callable[[Any], Any], plane: Any, data: tuple[Any, Any, Any]) -> None:
    theta, inputs, targets, weights = arguments = [THETA.copy(), *(array.copy() for array in data)]
    before = [array.copy() for array in arguments]
    for out in (theta, inputs.reshape(-1)[4:7], targets.reshape(-1)[-3:], weights[:3]):
        with pytest.raises(ArrayError, match=r"^out: expected .* got .*(another argument|overlaps)"):
            plane.gradient(*map(wrap, arguments), out=out)
    for out in (inputs.reshape(-1)[1 : N + 1], targets.reshape(-1)[:N]):
        with pytest.raises(ArrayError, match=r"^out: expected .* got .*(another argument|overlaps)"):
            plane.per_sample_loss(*map(wrap, arguments[:3]), out=out)
    assert all(np.array_equal(array, old) for array, old in zip(arguments, before, strict=True))


def test_out_is_untouched_by_every_error(plane: Any, data: tuple[Any, Any, Any]) -> None:
    inputs, targets, weights = data
    nan = weights.copy()
    nan[-1] = np.nan
    wrong: tuple[tuple[Any, ...], ...] = (
        (THETA[:2], inputs, targets, weights),
        (None, inputs, targets, weights),
        (THETA, inputs[:-1], targets, weights),
        (THETA, inputs, None, weights),
        (THETA, inputs, targets, nan),
        (THETA, inputs, targets, weights * 0),
        (THETA, inputs[:0], targets[:0], weights[:0]),
    )
    for arguments in wrong:
        out = np.full(3, 7.0)
        with pytest.raises((ArrayError, ArrayTypeError)):
            plane.gradient(*arguments, out=out)
        assert np.all(out == 7)
    for theta, rows, aims, _ in wrong[:4]:
        out = np.full((N, 3), 7.0)
        with pytest.raises((ArrayError, ArrayTypeError)):
            plane.per_sample_gradient(theta, rows, aims, out=out)
        assert np.all(out == 7)
