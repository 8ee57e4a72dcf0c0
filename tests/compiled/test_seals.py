"""Parts that do not belong together are refused and named: of another theta, model or dtype, damaged, moved, short."""

import io
import pickle
from typing import Any

import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from symgrad.errors import ArrayError

theta, other, y = sp.symbols("theta other y")
N = 5 * 1024 + 3
THETA = [0.25]
DATA = np.random.default_rng(8).normal(size=N)
OF_ANOTHER = r"^parts: expected nodes of this model and dtype at this theta, got the node \(0, 5\) of another model"
DAMAGED = r"^parts: expected the node \(2, 0\) as partial_sums returned it, got numbers that do not fit its checksum; "


def declared(power: int = 2, name: str = "mean_of_data") -> Any:
    return sg.EmpiricalRisk.from_expression(
        (theta - y) ** power / power, inputs=[], targets=[y], parameters=[theta], name=name
    )


@pytest.fixture(scope="module")
def mean() -> Any:
    return sg.compile(declared()).module


@pytest.fixture(scope="module")
def parts(mean: Any) -> list[Any]:
    return [summed(mean, 0, 4096), summed(mean, 4096, 5120), summed(mean, 5120, N)]


def summed(module: Any, start: int, stop: int, theta: Any = THETA, weights: Any = None) -> Any:
    return module.partial_sums(theta, None, DATA[start:stop], weights, first=start)


def test_a_part_of_another_theta(mean: Any, parts: list[Any]) -> None:
    with pytest.raises(ArrayError, match=OF_ANOTHER):
        mean.merge_sums(THETA, *parts[:2], summed(mean, 5120, N, [np.nextafter(0.25, 1)]))
    with pytest.raises(
        ArrayError, match=r"the node \(2, 0\) of another model, dtype or theta; compute this part again"
    ):
        mean.merge_sums([0.5], *parts)


def test_a_part_of_another_model_or_dtype(mean: Any, parts: list[Any]) -> None:
    """The other model has the same names and shapes."""
    for module in (sg.compile(declared(-2)).module, sg.compile(declared(), dtype="float32").module):
        with pytest.raises(ArrayError, match=OF_ANOTHER):
            mean.merge_sums(THETA, *parts[:2], summed(module, 5120, N))


def test_the_same_model_declared_again_has_the_same_sums(mean: Any, parts: list[Any]) -> None:
    again = sg.compile(declared(name="again")).module
    assert again is not mean
    assert (
        again.merge_sums(THETA, *parts) == mean.merge_sums(THETA, *parts) == mean.risk_and_gradient(THETA, None, DATA)
    )


@pytest.mark.parametrize("place", [(1, 0), (2, 1), (3, 0), (4, 1)])
def test_a_damaged_number(place: tuple[int, int], mean: Any, parts: list[Any]) -> None:
    for value in (7.0, np.nan, np.nextafter(parts[0][2, 0][place], 1)):
        damaged = parts[0][2, 0].copy()
        damaged[place] = value
        with pytest.raises(ArrayError, match=DAMAGED):
            mean.merge_sums(THETA, {(2, 0): damaged}, *parts[1:])
    damaged = parts[0][2, 0].copy()
    damaged[0, 1] = -3.0  # the exponent
    with pytest.raises(ArrayError, match=DAMAGED):
        mean.merge_sums(THETA, {(2, 0): damaged}, *parts[1:])


def test_a_node_at_another_place(mean: Any, parts: list[Any]) -> None:
    (node,) = parts[1].values()
    with pytest.raises(ArrayError, match=r"the node \(0, 3\) as partial_sums returned it"):
        mean.merge_sums(THETA, {(0, 3): node})
    with pytest.raises(ArrayError, match=r"expected 1025 to 2048 rows at \(1, 2\), got 1024"):
        mean.merge_sums(THETA, parts[0], {(1, 2): node}, parts[2])  # too high a level would hide the rows beside it


def test_rows_that_are_missing_in_the_middle_or_all(mean: Any, parts: list[Any]) -> None:
    with pytest.raises(ArrayError, match=r"none of the rows 4096 to 5119; they come before those of the node \(0, 5\)"):
        mean.merge_sums(THETA, parts[0], parts[2])
    with pytest.raises(ArrayError, match="at least one row"):
        mean.merge_sums(THETA)


def test_parts_survive_pickle_and_files_and_keys_of_numpy(mean: Any, parts: list[Any]) -> None:
    def saved(array: Any) -> Any:
        file = io.BytesIO()
        np.save(file, array)
        file.seek(0)
        return np.load(file)

    whole = mean.risk_and_gradient(THETA, None, DATA)
    assert mean.merge_sums(THETA, *pickle.loads(pickle.dumps(parts))) == whole  # noqa: S301 - our own bytes
    for kind in (np.int8, np.uint8, np.int16, np.uint32, np.int64, np.uint64):
        again = [{tuple(map(kind, key)): saved(array) for key, array in part.items()} for part in parts]
        assert mean.merge_sums(THETA, *again) == whole


def test_parts_of_sums_beyond_the_range_of_double_are_sealed_too(mean: Any) -> None:
    nodes = mean.partial_sums(THETA, None, np.full(1500, 1e308))
    assert mean.merge_sums(THETA, nodes)[1] == mean.gradient(THETA, None, np.full(1500, 1e308))
    ((key, node),) = nodes.items()
    assert node.shape == (5, 4)
    node[3, 2] *= 2
    with pytest.raises(ArrayError, match="do not fit its checksum"):
        mean.merge_sums(THETA, {key: node})
