"""Rows of files, read block by block: the bits of arrays, and an error where a memory map would end the process."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from symgrad.data import FileRows
from symgrad.errors import ArrayError, ArrayTypeError

a, b, x, v, y = sp.symbols("a b x v y")
THETA, N = [0.5, -2.0], 300_007
INPUTS, TARGETS, WEIGHTS = (np.random.default_rng(0).integers(0, 9, shape).astype(float) for shape in ((N, 2), N, N))


@pytest.fixture(scope="module")
def plane() -> Any:
    loss = (a * x + sp.sin(b * v) - y) ** 2
    return sg.compile(
        sg.EmpiricalRisk.from_expression(loss, inputs=[x, v], targets=[y], parameters=[a, b], name="plane")
    )


def saved(path: Path, array: Any) -> FileRows:
    np.save(path, array)
    return FileRows(path)


def raw(path: Path, array: Any) -> FileRows:
    array.tofile(path)
    return FileRows(path, dtype=array.dtype, columns=array.shape[1] if array.ndim > 1 else None)


@pytest.mark.parametrize(("write", "kind"), [(saved, "<f8"), (saved, ">i2"), (raw, "<f4")])
def test_every_function_has_the_bits_of_arrays(write: Any, kind: str, plane: Any, tmp_path: Path) -> None:
    inputs, targets, weights = (
        write(tmp_path / f"{k}.npy", array.astype(kind)) for k, array in enumerate((INPUTS, TARGETS, WEIGHTS))
    )
    assert (inputs.shape, inputs.ndim, inputs.size, len(weights)) == ((N, 2), 2, 2 * N, N)
    assert "FileRows" in repr(inputs)
    assert np.array_equal(np.asarray(inputs), INPUTS)
    assert np.array_equal(inputs[N - 2 :], INPUTS[-2:])
    assert inputs[3:3].shape == (0, 2)
    for threads in (1, 3):
        for name in ("gradient", "risk"):
            expected = np.asarray(getattr(plane, name)(THETA, INPUTS, TARGETS, WEIGHTS)).tobytes()
            got = getattr(plane, name)(THETA, inputs, targets, weights, threads=threads)
            assert np.asarray(got).tobytes() == expected
    bound = plane.bind(inputs, TARGETS, weights)
    assert bound(THETA)[1].tobytes() == plane.gradient(THETA, INPUTS, TARGETS, WEIGHTS).tobytes()
    out = np.empty((N, 2))
    assert plane.per_sample_gradient(THETA, inputs, targets, out=out) is out
    assert out.tobytes() == plane.per_sample_gradient(THETA, INPUTS, TARGETS).tobytes()
    norms = plane.reduce(THETA, inputs, targets, want="squared_norms")["squared_norms"]
    assert norms.tobytes() == plane.reduce(THETA, INPUTS, TARGETS, want="squared_norms")["squared_norms"].tobytes()


def test_a_file_that_is_cut_short_is_an_error_and_the_module_goes_on(plane: Any, tmp_path: Path) -> None:
    rows, out = raw(tmp_path / "inputs", INPUTS), np.full(2, 7.0)
    f = plane.bind(rows, TARGETS)
    expected = f(THETA)[1].tobytes()
    os.truncate(rows.path, 16 * 200_000 + 5)
    for threads in (1, 3):
        with pytest.raises(
            ArrayError, match=r"inputs: expected 300007 rows .* in row 200000, at byte 3200005; it was cut"
        ):
            plane.gradient(THETA, rows, TARGETS, out=out, threads=threads)
    assert np.all(out == 7)
    with pytest.raises(ArrayError, match="it was cut short"):
        f(THETA)
    with pytest.raises(
        ArrayError, match=r"expected whole rows of 16 bytes, got 3200005 bytes, 200000 rows and 5 bytes"
    ):
        FileRows(rows.path, dtype=float, columns=2)
    INPUTS.tofile(tmp_path / "new")
    os.replace(tmp_path / "new", rows.path)
    assert plane.gradient(THETA, FileRows(rows.path, dtype=float, columns=2), TARGETS).tobytes() == expected
    os.close(rows._file.fileno())
    try:
        with pytest.raises(OSError, match=f"Bad file descriptor: .*{rows.path.name}"):
            f(THETA)
    finally:
        os.dup2(os.open(os.devnull, os.O_RDONLY), rows._file.fileno())


def test_what_cannot_be_rows_is_told(plane: Any, tmp_path: Path) -> None:
    rows = saved(tmp_path / "rows.npy", INPUTS)
    with pytest.raises(ArrayError, match=r"targets: expected an array of shape \(N, 1\) or \(N,\), got \(300007, 2\)"):
        plane.risk(THETA, INPUTS, rows)
    with pytest.raises(ArrayError, match=r"one row for each sample in all of them, got \[300007, 5\] rows"):
        plane.risk(THETA, rows, np.ones(5))
    with pytest.raises(ArrayTypeError, match=r"rows: expected a slice first:end, got 3"):
        rows[3]  # type: ignore[index]
    for array, error, said in (
        (np.asfortranarray(INPUTS[:9]), ArrayError, "in Fortran order; write it with"),
        (np.float64(3), ArrayError, r"got shape \(\)"),
        (INPUTS[:9].astype(complex), ArrayTypeError, "expected real numbers of at most 8 bytes, got complex128"),
    ):
        with pytest.raises(error, match=said):
            saved(tmp_path / "wrong.npy", array)
    os.truncate(rows.path, 4000)
    with pytest.raises(ArrayError, match=r"expected 4800240 bytes for shape \(300007, 2\), got 4000; was it written"):
        FileRows(rows.path)
    (tmp_path / "text.csv").write_text("1,2\n")
    with pytest.raises(ArrayError, match=r"text\.csv: expected a \.npy file, got .*say dtype= and columns="):
        FileRows(tmp_path / "text.csv")
    with pytest.raises(ArrayError, match="columns: expected a positive whole number or None, got 0"):
        FileRows(tmp_path / "text.csv", dtype=float, columns=0)
