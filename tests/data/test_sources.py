"""Tables of all kinds in place of arrays: columns by name, what counts as a number, what is missing."""

import pickle
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import polars
import pyarrow
import pyarrow.parquet
import pytest
import sympy as sp

import symgrad as sg
from symgrad.errors import ArrayError, ArrayTypeError

x, z, y, a, b = sp.symbols("x z y a b")
PLANE = sg.EmpiricalRisk(
    sg.Model(a * x + b * z**2, [x, z], [a, b]), sg.Loss((sp.Symbol("p") - y) ** 2 / 2, sp.Symbol("p"), y), name="plane"
)
U, B = sp.MatrixSymbol("u", 3, 1), sp.MatrixSymbol("b", 3, 1)
VECTOR = sg.EmpiricalRisk(sg.Model((B.T * U)[0, 0], [U], [B]), sg.losses.poisson(), name="of_a_vector")
THETA = np.array([1.5, -0.5])
ROWS = {"z": [1.0, 2, 3, 5], "group": ["n", "n", "s", "s"], "y": [1.0, 0, 2, 1], "x": [4.0, 5, 7, 6]}
FRAME = pandas.DataFrame(ROWS)
INPUTS, TARGETS = FRAME[["x", "z"]].to_numpy(), FRAME["y"].to_numpy()


@pytest.fixture(scope="module")
def plane() -> Any:
    return sg.compile(PLANE)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    table = pyarrow.table(ROWS)
    pyarrow.parquet.write_table(table, folder / "all.parquet", row_group_size=3)
    for part, start in enumerate((0, 1, 3)):
        pyarrow.parquet.write_table(table.slice(start, (1, 2, 1)[part]), folder / f"part-{part}.parquet")
    FRAME.to_csv(folder / "all.csv", index=False)
    FRAME.to_csv(folder / "all.tsv", index=False, sep="\t")
    return folder


TABLES: dict[str, Any] = {
    "pandas": FRAME,
    "pandas of arrow": FRAME.convert_dtypes(dtype_backend="pyarrow"),
    "polars": polars.DataFrame(ROWS),
    "pyarrow": pyarrow.table(ROWS),
    "dictionary": ROWS,
    "dictionary of series": dict(FRAME),
    "records": FRAME[["z", "y", "x"]].to_records(index=False),
    "source": sg.Source(FRAME),
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_columns_are_found_by_name_by_every_function(plane: Any, table: Any) -> None:
    expected = plane.gradient(THETA, INPUTS, TARGETS).tobytes()
    assert plane.gradient(THETA, table).tobytes() == expected
    assert plane.risk_and_gradient(THETA, table)[1].tobytes() == expected
    assert plane.risk(THETA, table) == plane.risk(THETA, INPUTS, TARGETS)
    assert plane.bind(table)(THETA)[1].tobytes() == expected
    assert plane.merge_sums(THETA, plane.partial_sums(THETA, table))[1].tobytes() == expected
    assert plane.reduce(THETA, table, want="mean")["mean"].tobytes() == expected
    for name in ("per_sample_loss", "per_sample_gradient", "hessian", "gauss_newton", "residuals"):
        assert (getattr(plane, name)(THETA, table) == getattr(plane, name)(THETA, INPUTS, TARGETS)).all()
    for name in ("predict", "jacobian"):
        assert (getattr(plane, name)(THETA, table) == getattr(plane, name)(THETA, INPUTS)).all()


@pytest.mark.parametrize("name", ["all.parquet", "part-*.parquet", "all.csv", "all.tsv"])
def test_files(plane: Any, files: Path, name: str) -> None:
    source = sg.Source(str(files / name))
    assert plane.gradient(THETA, source).tobytes() == plane.gradient(THETA, INPUTS, TARGETS).tobytes()
    assert len(source.declared(plane.INPUTS, plane.TARGETS)) == 4
    assert plane.predict(THETA, sg.Source(files / name) if "*" not in name else source).shape == (4,)


def test_a_frame_of_inputs_beside_its_targets(plane: Any) -> None:
    expected = plane.gradient(THETA, INPUTS, TARGETS)
    for frame in (FRAME[["x", "z"]], FRAME[["z", "x"]], FRAME):
        assert (plane.gradient(THETA, frame, FRAME["y"]) == expected).all()
        assert (plane.gradient(THETA, frame, TARGETS) == expected).all()
    weighted = plane.gradient(THETA, INPUTS, TARGETS, ROWS["z"])
    assert (plane.gradient(THETA, FRAME, weights="z") == weighted).all()
    assert (plane.gradient(THETA, FRAME, FRAME["y"], FRAME["z"]) == weighted).all()
    assert (plane.gradient(THETA, sg.Source(FRAME, weights="z")) == weighted).all()
    with pytest.raises(ArrayError, match="targets: expected the index of the inputs, got another"):
        plane.gradient(THETA, FRAME, FRAME["y"][::-1])


def test_a_vector_has_columns_of_its_own_names_or_is_mapped() -> None:
    module = sg.compile(VECTOR)
    numbers = np.arange(12.0).reshape(4, 3) / 10
    counts = pandas.Series([0, 1, 2, 3], dtype="Int64")
    expected = module.gradient(np.ones(3), numbers, counts.to_numpy(float))
    named = pandas.DataFrame(numbers[:, [2, 0, 1]], columns=["u[2]", "u[0]", "u[1]"]).assign(target=counts)
    assert (module.gradient(np.ones(3), named) == expected).all()
    other = pandas.DataFrame(numbers, columns=["c", "a", "b"]).assign(deaths=counts)
    source = sg.Source(other[["a", "b", "c", "deaths"]], inputs={U.name: ["c", "a", "b"]}, targets="deaths")
    assert (module.gradient(np.ones(3), source) == expected).all()
    assert (module.gradient(np.ones(3), other[["c", "a", "b"]], counts) == expected).all()
    dummies = pandas.get_dummies(pandas.DataFrame({"age": [1.0, 2, 3], "g": list("uvu")}))
    assert module.predict(np.ones(3), dummies).tolist() == [2, 3, 4]
    with pytest.raises(ArrayError, match=r"inputs\['u'\]: expected 3 columns, got 2"):
        module.gradient(np.ones(3), sg.Source(other, inputs={"u": ["a", "b"]}, targets="deaths"))


KINDS: dict[str, tuple[Any, list[float]]] = {
    "booleans": ([True, False, True, True], [1, 0, 1, 1]),
    "nullable integers": (pandas.array([4, 5, 7, 6], "Int64"), [4, 5, 7, 6]),
    "nullable booleans": (pandas.array([True, False, False, True], "boolean"), [1, 0, 0, 1]),
    "categories that are numbers": (pandas.Categorical([4, 5, 4, 5]), [4, 5, 4, 5]),
    "objects": (pandas.Series([4, True, np.float32(2), Decimal("1.5")], dtype=object), [4, 1, 2, 1.5]),
    "single precision": (np.array([4, 5, 7, 6], "f4"), [4, 5, 7, 6]),
}


@pytest.mark.parametrize(("column", "numbers"), KINDS.values(), ids=KINDS)
def test_what_counts_as_numbers(plane: Any, column: Any, numbers: list[float]) -> None:
    expected = plane.gradient(THETA, np.c_[numbers, ROWS["z"]], TARGETS)
    assert (plane.gradient(THETA, FRAME.assign(x=column)) == expected).all()


REFUSED: dict[str, tuple[Any, str]] = {
    "text": (list("abcd"), r"got String \('a'\); make a column of 0 and 1"),
    "categories": (pandas.Categorical(list("abca")), r"got categories \('a', 'b', 'c'\); make a column of 0 and 1"),
    "dates": (pandas.date_range("2020-01-01", periods=4), "got Datetime.*give a number, the seconds since a moment"),
    "objects": (pandas.Series([1, "two", 3, 4], dtype=object), "got 'two' in row 1|got String"),
    "complex numbers": (np.full(4, 1j), "got"),
}


@pytest.mark.parametrize(("column", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_number_is_refused_by_its_column(plane: Any, column: Any, message: str) -> None:
    with pytest.raises(ArrayTypeError, match=f"inputs: column 'x': expected numbers, {message}"):
        plane.gradient(THETA, FRAME.assign(x=column))


@pytest.mark.parametrize("make", [pandas.DataFrame, polars.DataFrame, pyarrow.table], ids=["pandas", "polars", "arrow"])
def test_what_is_missing_is_told_or_omitted(plane: Any, make: Any) -> None:
    table = make({**ROWS, "x": [4.0, None, 7, None], "y": [None, 0.0, 2, 1]})
    with pytest.raises(ArrayError, match=r"inputs: .* missing value in row 1 of column 'x' \(and in 1 more rows\)"):
        plane.gradient(THETA, table)
    source = sg.Source(table, missing="omit")
    assert (plane.gradient(THETA, source) == plane.gradient(THETA, INPUTS[[2]], TARGETS[[2]])).all()
    assert source.declared(plane.INPUTS, plane.TARGETS).omitted == 3
    fit = sg.fit(PLANE, table, {"a": 1.0}, missing="omit") if make is pandas.DataFrame else None
    assert fit is None or "1 samples, 3 rows omitted where numbers are missing" in fit.report()


def test_nan_is_missing_in_arrays_too(plane: Any) -> None:
    inputs = INPUTS.copy()
    inputs[2, 1] = np.nan
    source = sg.Source((inputs, TARGETS, [1, 2, 3, 4]), missing="omit").declared(plane.INPUTS, plane.TARGETS)
    kept = [0, 1, 3]
    assert (plane.gradient(THETA, source) == plane.gradient(THETA, INPUTS[kept], TARGETS[kept], [1, 2, 4])).all()
    assert source.omitted == 1


def test_groups_are_codes_of_any_kind(plane: Any) -> None:
    source = sg.Source(FRAME, groups="group")
    expected = sg.covariance(plane, THETA, (INPUTS, TARGETS), "cluster", groups=[7, 7, 2, 2])
    assert (sg.covariance(plane, THETA, source, "cluster") == expected).all()
    assert (sg.covariance(plane, THETA, FRAME, "cluster", groups=FRAME["group"]) == expected).all()
    with pytest.raises(ArrayError, match=r"groups: .* missing value in row 3"):
        plane.risk(THETA, sg.Source(FRAME.assign(group=["n", "n", "s", None]), groups="group"))


def test_blocks_follow_one_another() -> None:
    source = sg.Source({"x": np.arange(100.0), "y": np.ones(100), "w": np.ones(100)}, inputs=["x"], targets="y")
    blocks = list(source.blocks(16, most=40))
    assert [block.first for block in blocks] == [0, 32, 64, 96]
    assert [len(block) for block in blocks] == [32, 32, 32, 4]
    assert np.concatenate([block.inputs for block in blocks]).tolist() == list(range(100))
    assert blocks[0].weights is None
    with pytest.raises(ArrayError, match="rows: expected 99 rows, as was said, got 100"):
        len(sg.Source((np.ones(100), np.ones(100)), rows=99))


def test_a_fit_from_a_table_predicts_from_one() -> None:
    random = np.random.default_rng(2)
    frame = pandas.DataFrame({"dose": random.uniform(0, 2, 60), "z": random.uniform(0, 2, 60)})
    frame["answer"] = 2 * frame["dose"] - 0.5 * frame["z"] ** 2 + 0.01 * random.normal(size=60)
    fit = sg.fit(PLANE, sg.Source(frame, inputs={x.name: "dose"}, targets="answer"))
    plain = sg.fit(PLANE, (frame[["dose", "z"]].to_numpy(), frame["answer"].to_numpy()))
    assert (fit.theta == plain.theta).all()
    expected = plain.predict(frame[["dose", "z"]].to_numpy())
    assert (fit.predict(frame) == expected).all()
    assert (fit.predict(frame[["z", "dose"]], "confidence")[0] == expected).all()


MISTAKES: dict[str, tuple[Any, type[Exception], str]] = {
    "no such column": (
        lambda c: c.risk(THETA, FRAME.rename(columns={"x": "X1"})), ArrayError,
        r"inputs: expected a column 'x', got the columns 'z', 'group', 'y', 'X1'\. .*Source\(table, inputs=\{'x': ",
    ),
    "a close name": (lambda c: c.risk(THETA, sg.Source(FRAME, weights="grup")), ArrayError, "close to it: 'group'"),
    "an unknown symbol": (lambda c: c.risk(THETA, sg.Source(FRAME, inputs={"q": "x"})), ArrayError, r"got 'q'"),
    "targets twice": (lambda c: c.risk(THETA, sg.Source(FRAME), TARGETS), ArrayTypeError, "expected none beside a S"),
    "weights twice": (lambda c: c.risk(THETA, sg.Source(FRAME), weights=TARGETS), ArrayTypeError, "Source.*weights="),
    "no targets": (lambda c: c.risk(THETA, INPUTS), ArrayTypeError, "targets: expected an array, got none"),
    "another length": (
        lambda c: c.risk(THETA, {"x": [1.0, 2], "z": [1.0, 2], "y": [1.0]}), ArrayError, "inputs 2, targets 1 rows",
    ),
    "no file": (lambda c: c.risk(THETA, sg.Source("no such file.csv")), FileNotFoundError, "no such file"),
    "another file": (lambda c: c.risk(THETA, sg.Source(__file__)), ArrayError, "expected files of one kind, .csv"),
    "what to do": (lambda c: sg.Source(FRAME, missing="drop"), ArrayError, r"expected one of \['raise', 'omit'\]"),
    "a lazy frame": (lambda c: c.risk(THETA, polars.LazyFrame(ROWS)), ArrayTypeError, r"call its collect\(\)"),
    "two of a name": (
        lambda c: c.risk(THETA, pandas.DataFrame([[1.0, 2, 3]], columns=["x", "x", "y"])), Exception, "x",
    ),
    "columns of arrays": (lambda c: sg.Source((INPUTS, TARGETS), inputs=["x"]), ArrayError, "expected a table"),
}  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_named(plane: Any, call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(plane)


def test_pickles_keep_what_columns_mean() -> None:
    source = pickle.loads(pickle.dumps(sg.Source(FRAME, inputs={"x": "z"})))  # noqa: S301
    assert "Source of DataFrame" in repr(source)
    assert source.declared((("x", ()),), (("y", ()),)).arrays[0].tolist() == ROWS["z"]
