"""Sums of parts of the rows, and these put together: the bits of one call, whatever the parts, their order, threads
and layout; and what does not fit together is named."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from symgrad.errors import ArrayError, ArrayTypeError

a, b, k, x, v, y, r, p = sp.symbols("a b k x v y r p")
THETA = np.array([1.25, 0.5, -2.0])
N = 50_123  # 48 tiles and a part of one


def declared() -> Any:
    model = sg.Model(a * sp.exp(-b * x) + k * v, inputs=[x, v], parameters=[a, b, k])
    loss = sg.Loss((p - y) ** 2 / 2 * (1 + r**2), prediction=p, target=[y, r])
    return sg.EmpiricalRisk(model, loss, penalty=(a**2 + b**2 + k**2) / 100, name="plane")


@pytest.fixture(scope="module")
def plane() -> Any:
    return sg.compile(declared()).module


@pytest.fixture(scope="module")
def single() -> Any:
    return sg.compile(declared(), dtype="float32").module


@pytest.fixture(scope="module")
def layer() -> Any:
    """Matrices: W (2, 3), whose gradient is summed as a product, and a bias (2, 1)."""
    W, c, u = sp.MatrixSymbol("W", 2, 3), sp.MatrixSymbol("c'", 2, 1), sp.MatrixSymbol("u", 3, 1)
    return sg.compile(
        sg.EmpiricalRisk(sg.Model(W * u + c, inputs=[u], parameters=[W, c]), sg.losses.squared(2), name="layer")
    ).module


@pytest.fixture(scope="module")
def rows() -> tuple[Any, Any, Any]:
    random = np.random.default_rng(3)
    weights = random.uniform(0, 2, N) * (random.uniform(size=N) > 0.1)
    weights[7 * 1024 : 8 * 1024] = 0.0  # a tile that does not count
    return random.uniform(0, 3, (N, 2)), random.normal(0, 2, (N, 2)), weights


def bits(result: tuple[float, Any]) -> tuple[str, bytes]:
    return float(result[0]).hex(), result[1].tobytes()


def partitions(n: int, tile: int, count: int) -> Iterator[list[tuple[int, int]]]:
    """Random partitions of n rows at tile boundaries, their parts in a random order; the finest and coarsest too."""
    random = np.random.default_rng(60)
    tiles = -(-n // tile)
    for case in range(count):
        cuts = {0: range(1, tiles), 1: range(0)}.get(case, random.choice(tiles, random.integers(0, 12)))
        edges = sorted({0, n, *(int(cut) * tile for cut in cuts)})
        parts = list(pairwise(edges))
        yield [parts[i] for i in random.permutation(len(parts))]


def summed(module: Any, theta: Any, arrays: tuple[Any, ...], part: tuple[int, int], **options: Any) -> Any:
    start, stop = part
    pieces = [None if array is None else array[start:stop] for array in arrays]
    return module.partial_sums(theta, *pieces, first=start, **options)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["plane", "single"])
def test_sixty_partitions_merged_in_any_order(
    kind: str, weighted: bool, rows: tuple[Any, Any, Any], request: pytest.FixtureRequest
) -> None:
    module = request.getfixturevalue(kind)
    arrays = rows if weighted else rows[:2]
    whole = bits(module.risk_and_gradient(THETA, *arrays))
    for count, parts in enumerate(partitions(N, module.TILE, 60)):
        sums = [summed(module, THETA, arrays, part, threads=1 + count % 8) for part in parts]
        assert bits(module.merge_sums(THETA, *sums)) == whole, parts


@pytest.mark.parametrize("weighted", [False, True])
def test_products_of_matrices_in_parts(weighted: bool, layer: Any) -> None:
    random = np.random.default_rng(4)
    n = 9 * layer.TILE + 77
    theta = random.normal(size=layer.N_PARAMETERS)
    arrays = (random.normal(size=(n, 3)), random.normal(size=(n, 2)), random.uniform(0, 2, n) if weighted else None)
    whole = bits(layer.risk_and_gradient(theta, *arrays))
    for parts in partitions(n, layer.TILE, 20):
        assert bits(layer.merge_sums(theta, *(summed(layer, theta, arrays, part) for part in parts))) == whole


@pytest.mark.parametrize("n", [1, 1023, 1024, 1025, 2048, 3 * 1024, 7 * 1024 + 1, 8 * 1024])
def test_sizes_around_tiles(n: int, plane: Any, rows: tuple[Any, Any, Any]) -> None:
    assert plane.TILE == 1024
    arrays = tuple(array[:n] for array in rows)
    for parts in partitions(n, 1024, 6):
        sums = [summed(plane, THETA, arrays, part) for part in parts]
        assert bits(plane.merge_sums(THETA, *sums)) == bits(plane.risk_and_gradient(THETA, *arrays))


def test_any_layout_and_number_of_threads_gives_the_same_nodes(plane: Any, rows: tuple[Any, Any, Any]) -> None:
    wide = np.full((N, 5), np.nan)
    wide[:, 1:5:2] = rows[0]
    layouts = (rows[0], np.asfortranarray(rows[0]), wide[:, 1:5:2], rows[0][::-1].copy()[::-1], rows[0].astype(">f8"))
    sums = [plane.partial_sums(THETA, layout, *rows[1:], threads=1 + i) for i, layout in enumerate(layouts)]
    for other in sums[1:]:
        assert list(other) == list(sums[0])
        assert all(other[key].tobytes() == sums[0][key].tobytes() for key in other)


def test_blocks_on_threads_are_nodes_of_the_same_tree(plane: Any) -> None:
    """So many rows that threads share one node's blocks."""
    random = np.random.default_rng(5)
    inputs, targets = random.uniform(0, 3, (600_000, 2)), random.normal(size=(600_000, 2))
    whole = bits(plane.risk_and_gradient(THETA, inputs, targets, threads=1))
    cut = 293 * 1024
    for threads in (1, 2, 3, 8):
        parts = [summed(plane, THETA, (inputs, targets), part, threads=threads) for part in ((cut, 600_000), (0, cut))]
        assert bits(plane.merge_sums(THETA, *parts)) == whole


# --- what a node is ------------------------------------------------------------------------------------------------


def test_nodes_are_the_largest_that_are_aligned(plane: Any, rows: tuple[Any, Any, Any]) -> None:
    """Rows 3 * 1024 ... 13.5 * 1024 of the whole: tile 3, tiles 4 to 7, 8 to 11, 12 and what there is of 13."""
    sums = summed(plane, THETA, rows, (3 * 1024, 13 * 1024 + 512))
    assert list(sums) == [(0, 3), (2, 1), (2, 2), (1, 6)]
    assert [sums[key][0].tolist() for key in sums] == [[1024, 0], [4096, 0], [4096, 0], [1536, 0]]
    assert {(array.shape, array.dtype.str) for array in sums.values()} == {((7, 2), "<f8")}


def test_rows_of_a_node_are_sums_of_weights_losses_and_gradients(plane: Any, rows: tuple[Any, Any, Any]) -> None:
    inputs, targets, weights = (array[:2048] for array in rows)
    for w, given in ((weights, weights), (np.ones(2048), None)):
        (array,) = plane.partial_sums(THETA, inputs, targets, given).values()
        losses = plane.per_sample_loss(THETA, inputs, targets)
        gradients = plane.per_sample_gradient(THETA, inputs, targets)
        expected = [w.sum(), (w * losses).sum(), *(w[:, None] * gradients).sum(0)]
        np.testing.assert_allclose(array[1:-1].sum(1), expected, rtol=1e-12)
        assert array[0].tolist() == [2048, 0]


def test_parts_may_come_twice_and_may_be_empty(plane: Any, rows: tuple[Any, Any, Any]) -> None:
    first, second = (summed(plane, THETA, rows, part) for part in ((0, 4096), (4096, N)))
    none = plane.partial_sums(THETA, rows[0][:0], rows[1][:0], first=2048)
    assert none == {}
    copied = {key: np.frombuffer(array.tobytes()).reshape(array.shape) for key, array in first.items()}
    whole = bits(plane.risk_and_gradient(THETA, *rows))
    assert bits(plane.merge_sums(THETA, second, none, first, copied, second)) == whole
    joined = {key: np.asfortranarray(array) for key, array in {**second, **first}.items()}
    assert bits(plane.merge_sums(THETA, joined)) == whole


def test_parts_with_and_without_weights(plane: Any, rows: tuple[Any, Any, Any]) -> None:
    ones = np.where(np.arange(N) < 8192, 1.0, rows[2])
    whole = bits(plane.risk_and_gradient(THETA, *rows[:2], ones))
    parts = [summed(plane, THETA, rows[:2], (0, 8192)), summed(plane, THETA, rows, (8192, N))]
    assert bits(plane.merge_sums(THETA, *parts)) == whole


# --- what does not fit ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def three(plane: Any, rows: tuple[Any, Any, Any]) -> list[Any]:
    return [summed(plane, THETA, rows, part) for part in ((0, 4096), (4096, 6144), (6144, 7000))]


def test_rows_that_are_missing(plane: Any, three: list[Any]) -> None:
    with pytest.raises(ArrayError, match=r"parts: .*got none of the rows 4096 to 6143; .*node \(0, 6\)"):
        plane.merge_sums(THETA, three[0], three[2])
    with pytest.raises(ArrayError, match=r"none of the rows 0 to 4095"):
        plane.merge_sums(THETA, three[1])
    empty: dict[Any, Any] = {}
    for nothing in ((), (empty,)):
        with pytest.raises(ArrayError, match="parts: expected at least one row"):
            plane.merge_sums(THETA, *nothing)


def test_only_the_last_tile_may_be_incomplete(plane: Any, rows: tuple[Any, Any, Any], three: list[Any]) -> None:
    short = summed(plane, THETA, rows, (4096, 6000))
    with pytest.raises(ArrayError, match="none of the rows 6000 to 6143"):
        plane.merge_sums(THETA, three[0], short, three[2])


def test_rows_that_come_twice_in_other_nodes(plane: Any, rows: tuple[Any, Any, Any], three: list[Any]) -> None:
    with pytest.raises(ArrayError, match=r"each row once, got the rows of the node \(1, 2\) twice"):
        plane.merge_sums(THETA, *three, summed(plane, THETA, rows, (4096, 5120)))


def test_a_node_with_other_bits(plane: Any, rows: tuple[Any, Any, Any], three: list[Any]) -> None:
    with pytest.raises(ArrayError, match=r"one array for the node \(1, 2\), got two that differ; are they of the same"):
        plane.merge_sums(THETA, *three, summed(plane, THETA, (*rows[:2], None), (4096, 6144)))


@pytest.mark.parametrize(
    ("part", "error", "said"),
    [
        (None, ArrayTypeError, "got NoneType"),
        ([1], ArrayTypeError, "got list"),
        ({3: np.ones((7, 2))}, ArrayTypeError, "got the key 3"),
        ({(1, 2, 3): np.ones((7, 2))}, ArrayTypeError, "got the key"),
        ({(0, "1"): np.ones((7, 2))}, ArrayTypeError, "got the key"),
        ({(0, -1): np.ones((7, 2))}, ArrayError, "got the key"),
        ({(51, 0): np.ones((7, 2))}, ArrayError, "got the key"),
        ({(10**30, 0): np.ones((7, 2))}, ArrayError, "got the key"),
        ({(0, 1 << 50): np.ones((7, 2))}, ArrayError, "got the key"),
        ({(0, 0): None}, ArrayTypeError, r"got NoneType at \(0, 0\)"),
        ({(0, 0): np.ones((7, 2), "f4")}, ArrayTypeError, "got float32"),
        ({(0, 0): np.ones((6, 2))}, ArrayError, r"the shape \(6, 2\)"),
        ({(0, 0): np.ones((7, 3))}, ArrayError, r"the shape \(7, 3\)"),
        ({(0, 0): np.full((7, 2), 0.0)}, ArrayError, "expected 1 to 1024 rows"),
        ({(0, 0): np.full((7, 2), 1.5)}, ArrayError, "expected 1 to 1024 rows"),
        ({(1, 0): np.full((7, 2), 2049.0)}, ArrayError, "expected 1025 to 2048 rows"),
        ({(0, 0): np.full((7, 2), np.nan)}, ArrayError, "expected 1 to 1024 rows"),
        ({(2, 0): np.full((7, 2), 3072.0)}, ArrayError, "expected 3073 to 4096 rows"),
        ({(0, 0): np.ones((7, 2)) * 0.5 + [[0.5, 0.0]]}, ArrayError, "expected an exponent from -1100 to 1024"),
    ],
)
def test_what_is_no_part(part: Any, error: type[Exception], said: str, plane: Any) -> None:
    with pytest.raises(error, match=f"^parts: .*{said}.*; pass what partial_sums returned"):
        plane.merge_sums(THETA, part)


@pytest.mark.parametrize(
    ("first", "error"),
    [(1, ArrayError), (-1024, ArrayError), (1023, ArrayError), (2**62, ArrayError), (10**30, ArrayError),
     (1024.0, ArrayTypeError), (True, ArrayTypeError), ("0", ArrayTypeError), (None, ArrayTypeError)],
)  # fmt: skip
def test_first_is_a_multiple_of_the_tile(first: Any, error: type[Exception], plane: Any) -> None:
    with pytest.raises(error, match=r"^first: expected a multiple of TILE, 1024, that is not negative, got .*; "):
        plane.partial_sums(THETA, [[1, 1]], [[1, 1]], first=first)


def test_weights_that_make_no_mean_only_as_a_whole(plane: Any, rows: tuple[Any, Any, Any]) -> None:
    signs = np.where(np.arange(4096) < 2048, 1.0, -1.0)
    arrays = (*(array[:4096] for array in rows[:2]), signs)
    parts = [summed(plane, THETA, arrays, part) for part in ((0, 2048), (2048, 4096))]
    with pytest.raises(ArrayError, match="weights: expected a finite sum other than zero"):
        plane.merge_sums(THETA, *parts)


def test_theta_is_checked(plane: Any, three: list[Any]) -> None:
    calls: tuple[Callable[[Any], Any], ...] = (
        lambda wrong: plane.partial_sums(wrong, [[1, 1]], [[1, 1]]),
        lambda wrong: plane.merge_sums(wrong, *three),
    )
    for call in calls:
        with pytest.raises(ArrayError, match=r"theta: expected an array of shape \(3,\)"):
            call([1.0])


# --- beyond the range of double --------------------------------------------------------------------------------------


def test_sums_beyond_the_range_of_double_in_parts(plane: Any) -> None:
    """Each tile's sum overflows, or only that of some; the mean does not."""
    n = 6 * 1024 + 5
    inputs, targets = np.zeros((n, 2)), np.zeros((n, 2))
    inputs[:, 1] = 1.0
    targets[:, 0] = np.where(np.arange(n) % 4096 < 2048, 1e308, -1e305)  # the residual
    whole = plane.risk_and_gradient(THETA, inputs, targets)
    assert np.isfinite(whole[1]).all()
    for parts in partitions(n, 1024, 10):
        pieces = [summed(plane, THETA, (inputs, targets), part) for part in parts]
        assert bits(plane.merge_sums(THETA, *pieces)) == bits(whole)
