"""The table of a model, and what the sweep makes of the rest of it: segments, columns, multiples of inputs."""

from itertools import pairwise
from types import ModuleType
from typing import Any

import pytest

from tests.helpers.kernels import Kernels
from tests.helpers.planned import plan_of, planner, table_of
from tests.helpers.risks_of_before import LINEAR_16, NETWORK, WAVES_60
from tests.schedule.test_plan import RISKS

KERNELS = Kernels([*RISKS, LINEAR_16, NETWORK, WAVES_60])
each_kernel = pytest.mark.parametrize("name", KERNELS)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return planner("float64", tmp_path_factory.mktemp("plan"))


def triples(parts: list[dict[str, int]]) -> list[tuple[int, int, int]]:
    return [(part["row"], part["at"], part["size"]) for part in parts]


@each_kernel
def test_every_row_of_a_sum_goes_to_its_place_among_the_sums_of_a_node(name: str, sweep: ModuleType) -> None:
    """The loss first, then the parameters: rows that follow one another in both are one segment."""
    kernel = KERNELS[name]
    places = {0: 0} | {s.row + i: 1 + s.at + i for s in kernel.segments for i in range(s.size)}
    found = triples(plan_of(sweep, kernel)["segments"])
    assert {row + i: at + i for row, at, size in found for i in range(size)} == places
    for (row, at, size), (next_row, next_at, _) in pairwise(found):
        assert (next_row, next_at) != (row + size, at + size)


def test_segments_that_follow_in_one_way_alone_stay_two(sweep: ModuleType) -> None:
    def planned(segments: tuple[tuple[int, int, int], ...]) -> list[tuple[int, int, int]]:
        return triples(sweep.planned(9, 0, segments, (), (), ())["segments"])

    assert planned(((1, 0, 2), (3, 2, 3), (6, 5, 4))) == [(0, 0, 10)]
    assert planned(((1, 0, 2), (3, 6, 3), (6, 2, 4))) == [(0, 0, 3), (3, 7, 3), (6, 3, 4)]
    assert planned(((1, 0, 2), (5, 2, 3))) == [(0, 0, 3), (5, 3, 3)]
    assert planned(((4, 0, 2),)) == [(0, 0, 1), (4, 1, 2)]


@each_kernel
def test_lane_functions_get_the_columns_that_no_predictor_takes(name: str, sweep: ModuleType) -> None:
    kernel = KERNELS[name]
    taken = {p.first + i for p in kernel.predictors for i in range(p.size)}
    found = triples(plan_of(sweep, kernel)["columns"])
    assert all(row == at for row, at, _ in found)
    assert [row + i for row, _, size in found for i in range(size)] == [
        c for c in range(kernel.inputs) if c not in taken
    ]


@pytest.mark.parametrize(
    ("predictors", "columns"),
    [
        ([], [(0, 12)]),
        ([(0, 12)], []),
        ([(0, 8)], [(8, 4)]),
        ([(4, 8)], [(0, 4)]),
        ([(2, 3), (7, 4)], [(0, 2), (5, 2), (11, 1)]),
        ([(7, 4), (2, 3)], [(0, 2), (5, 2), (11, 1)]),
        ([(2, 3), (2, 3), (5, 2)], [(0, 2), (7, 5)]),
    ],
)
def test_columns_around_predictors(
    predictors: list[tuple[int, int]], columns: list[tuple[int, int]], sweep: ModuleType
) -> None:
    rows = tuple((first, first, size, 0) for first, size in predictors)
    found = sweep.planned(1, 12, ((1, 0, 1),), (), rows, ())["columns"]
    assert triples(found) == [(first, first, size) for first, size in columns]


@each_kernel
def test_multiples_of_inputs_have_room_for_pairs(name: str, sweep: ModuleType) -> None:
    kernel = KERNELS[name]
    plan = plan_of(sweep, kernel)
    at = 0
    for part, scaled in zip(plan["scaled"], kernel.scaled, strict=True):
        assert (part["place"], part["at"], part["first"], part["size"]) == (at, scaled.at, scaled.first, scaled.size)
        at += 2 * part["size"]
    assert plan["multiples"] == at


@each_kernel
def test_the_table_says_what_the_kernel_is(name: str) -> None:
    kernel = KERNELS[name]
    functions = {function.name: function for function in kernel.functions}
    given: dict[str, Any] = table_of(kernel)[0]
    assert given["invariants"] == kernel.n_invariants
    assert given.get("penalty", 0) == (kernel.n_penalty > 0)
    assert (given["rows"], given["summed"]) == (kernel.rows, functions["gradients"].rows)
    assert (given["lanes"], given["depth"], given["batch"]) == (kernel.lanes, kernel.depth, kernel.batch)
    assert given["cost"] == kernel.cost >= 1
    assert given.get("outputs") == (functions["predictions"].rows if "predictions" in functions else None)
    assert len(given.get("predictors", ())) == len(kernel.predictors)


def test_a_row_of_another_length_is_refused(sweep: ModuleType) -> None:
    with pytest.raises(ValueError, match="a row of a model's table has 2 numbers, expected 3"):
        sweep.planned(1, 1, ((1, 0),), (), (), ())
