"""Which operations share a loop: everything read is there before, and loops are as few as that allows."""

import random
from math import inf, prod

import pytest

from symgrad.program import LEAVES, Builder, Program, Shape, count, fold, shape_of, size_of
from symgrad.schedule import view
from symgrad.schedule.scratch import Rows
from symgrad.schedule.steps import Step, is_elementwise, same_elements, sequence
from tests.helpers.matrix_programs import LABELS, Grower
from tests.helpers.rows import REDUCTIONS, STRUCTURAL

WHOLES = ("matmul", "transpose", "slice", "embed")
LINES = ("fill", "place")


def grown(seed: int) -> Program:
    grower = Grower(seed, fold if seed % 2 else None, lowered=True).grow(60)
    return grower.builder.program({"results": tuple(dict.fromkeys(grower.made[-12:]))})


def steps_of(program: Program, longest: float = inf) -> tuple[tuple[int, ...], tuple[Step, ...]]:
    homes = same_elements(program)
    wanted = sorted(program.needed())
    return homes, sequence(program, homes, wanted, longest)


# -------------------------------------------------------------------------------------------------- what has to hold


@pytest.mark.parametrize("longest", [1, 3, inf])
@pytest.mark.parametrize("seed", range(80))
def test_everything_read_is_there_before(seed: int, longest: float) -> None:
    """A leaf; made in an earlier step; or, in the same loop, a line before: never a sum that is still growing."""
    program = grown(seed)
    homes, steps = steps_of(program, longest)
    there = {v for v, step in enumerate(program.assignments) if step.operation in LEAVES}
    for step in steps:
        here: set[int] = set()
        for variable in step.variables:
            for argument in (homes[a] for a in program.assignments[variable].arguments):
                assert base(program, homes, argument) in there or argument in here, f"v{argument} for v{variable}"
            if program.assignments[variable].operation not in (*REDUCTIONS, "assemble"):
                here.add(variable)
        there.update(step.variables)
        assert len(step.variables) <= longest or not step.size
    missing = {base(program, homes, v) for v in program.needed()} - there
    assert missing == set()


def base(program: Program, homes: tuple[int, ...], variable: int) -> int:
    """What has the rows that a variable lies in."""
    variable = homes[variable]
    while view(program, variable) is not None:
        variable = homes[program.assignments[variable].arguments[0]]
    return variable


@pytest.mark.parametrize("seed", range(80))
def test_each_variable_is_computed_once_in_a_loop_of_its_size(seed: int) -> None:
    program = grown(seed)
    homes, steps = steps_of(program)
    done = [v for step in steps for v in step.variables]
    assert len(set(done)) == len(done)
    for step in steps:
        assert step.size or len(step.variables) == 1
        for variable in step.variables:
            assignment = program.assignments[variable]
            assert homes[variable] == variable
            assert view(program, variable) is None
            if not step.size:
                assert assignment.operation in WHOLES
            elif assignment.operation == "assemble":
                assert step.size == 1
            elif assignment.operation in REDUCTIONS:
                assert step.size == size_of(program.assignments[assignment.arguments[0]].shape)
            else:
                assert step.size == size_of(assignment.shape)


@pytest.mark.parametrize("seed", range(40))
def test_a_variable_that_is_the_same_elements_is_never_computed(seed: int) -> None:
    program = grown(seed)
    homes = same_elements(program)
    for variable, home in enumerate(homes):
        assert homes[home] == home <= variable
        if home != variable:
            step = program.assignments[variable]
            assert size_of(step.shape) == size_of(program.assignments[home].shape)
            assert step.operation in ("transpose", "total", "fill")
            assert step.operation == "transpose" or size_of(step.shape) == 1
            assert program.assignments[home].operation != "constant"


# --------------------------------------------------------------------------------------------------- small programs


def built(*steps: tuple[object, ...]) -> tuple[Program, list[int]]:
    """A program of ``(operation, argument numbers..., attribute in a list, shape of a leaf in a tuple)``."""
    builder, made = Builder(), list[int]()
    for name, *rest in steps:
        shape = next((r for r in rest if isinstance(r, tuple)), None)
        attribute = next((tuple(r) for r in rest if isinstance(r, list)), None)
        place = len(made) if name in LEAVES else attribute
        arguments = (made[r] for r in rest if isinstance(r, int))
        made.append(builder.emit(str(name), *arguments, attribute=place, shape=shape))
    return builder.program({"results": (made[-1],)}), made


def test_what_works_element_by_element_shares_one_loop() -> None:
    """However many operations, their sums included; numbers have a loop of one element."""
    program, v = built(
        ("input", (3, 2)), ("input", (3, 2)), ("mul", 0, 1), ("sin", 2), ("add", 3, 0), ("total", 4), ("exp", 5),
        ("largest", 3), ("add", 6, 7),
    )  # fmt: skip
    _, steps = steps_of(program)
    assert [(step.size, step.variables) for step in steps] == [(6, [v[2], v[3], v[4], v[5], v[7]]), (1, [v[6], v[8]])]


def test_loops_of_one_size_and_another_shape_are_one() -> None:
    leaves = (("input", (6, 1)), ("input", (2, 3)))
    program, _ = built(*leaves, ("sin", 0), ("cos", 1), ("total", 2), ("total", 3), ("add", 4, 5))
    assert [step.size for step in steps_of(program)[1]] == [6, 1]


def test_a_sum_is_complete_before_it_is_read() -> None:
    program, _ = built(("input", (3, 1)), ("total", 0), ("mul", 0, 1), ("total", 2))
    assert [step.size for step in steps_of(program)[1]] == [3, 3]


def test_a_product_waits_for_what_it_multiplies() -> None:
    program, v = built(("input", (2, 3)), ("input", (3, 1)), ("exp", 1), ("matmul", 0, 2), ("sin", 3), ("total", 4))
    _, steps = steps_of(program)
    assert [(step.size, step.variables) for step in steps] == [(3, [v[2]]), (0, [v[3]]), (2, [v[4], v[5]])]


def test_rows_that_follow_one_another_are_no_copy() -> None:
    parts = (("slice", 1, [1, 0, 2, 3]), ("slice", 1, [2, 1, 1, 2]))
    program, _ = built(("input", (4, 3)), ("sin", 0), *parts, ("total", 2), ("total", 3), ("add", 4, 5))
    assert [step.size for step in steps_of(program)[1]] == [12, 6, 2, 1]
    program, _ = built(("input", (4, 3)), ("sin", 0), ("slice", 1, [1, 0, 2, 2]), ("total", 2))
    assert [step.size for step in steps_of(program)[1]] == [12, 0, 4]


@pytest.mark.parametrize(
    ("part", "start"),
    [
        *(([0, 0, 4, 3], 0), ([2, 0, 2, 3], 6), ([1, 2, 1, 1], 5), ([3, 1, 1, 2], 10)),
        *(([0, 1, 4, 2], None), ([0, 0, 2, 2], None)),
    ],
)
def test_where_a_part_begins(part: list[int], start: int | None) -> None:
    program, v = built(("input", (4, 3)), ("slice", 0, part))
    assert view(program, v[1]) == start
    assert view(program, v[0]) is None


def test_columns_turned_and_numbers_in_a_matrix_are_the_same_elements() -> None:
    program, v = built(
        ("input", (3, 1)), ("transpose", 0), ("transpose", 1), ("input", ()), ("fill", 3, [1, 1]), ("total", 4),
        ("input", (2, 2)), ("transpose", 6), ("fill", 3, [2, 1]), ("total", 0),
    )  # fmt: skip
    assert [same_elements(program)[k] for k in v] == [v[k] for k in (0, 0, 0, 3, 3, 3, 6, 7, 8, 9)]


def test_a_loop_is_cut_where_it_is_long() -> None:
    program, _ = built(("input", (2, 1)), *(("sin", k) for k in range(25)))
    assert [len(step.variables) for step in steps_of(program, 10)[1]] == [10, 10, 5]


def test_every_operation_is_a_line_or_a_step_of_its_own() -> None:
    assert set(WHOLES) | set(REDUCTIONS) | set(LABELS) | {*LINES, "assemble"} == STRUCTURAL
    leaf, *_ = built(("input", (2, 2)))[0].assignments
    assert not is_elementwise(leaf)


# ------------------------------------------------------------------------------------------------------------- shapes


@pytest.mark.parametrize(
    ("operation", "shapes", "attribute", "shape"),
    [
        ("add", [(), ()], None, ()),
        ("add", [(2, 3), ()], None, (2, 3)),
        ("mul", [(2, 1), (1, 3)], None, (2, 3)),
        ("select", [(), (2, 2), ()], None, (2, 2)),
        ("matmul", [(2, 3), (3, 4)], None, (2, 4)),
        ("matmul", [(3, 2), (3, 4)], (1, 0), (2, 4)),
        ("matmul", [(2, 3), (4, 3)], (0, 1), (2, 4)),
        ("matmul", [(3, 2), (4, 3)], (1, 1), (2, 4)),
        ("transpose", [(2, 3)], None, (3, 2)),
        ("total", [(2, 3)], None, ()),
        ("largest", [(2, 3)], None, ()),
        ("pick", [(2, 3), ()], None, ()),
        ("put", [(), ()], (2, 3), (2, 3)),
        ("slice", [(4, 4)], (1, 0, 2, 3), (2, 3)),
        ("embed", [(1, 1)], (1, 0, 2, 3), (2, 3)),
        ("embed", [(1, 1), (1, 3)], (1, 0, 0, 0, 2, 3), (2, 3)),
        ("logsumexp_all", [(3, 1)], None, ()),
        ("softmax_all", [(3, 1)], None, (3, 1)),
    ],
)
def test_the_shape_of_a_value(operation: str, shapes: list[Shape], attribute: object, shape: Shape) -> None:
    assert shape_of(operation, shapes, attribute) == shape


@pytest.mark.parametrize(
    ("operation", "shapes"), [("add", [(2, 3), (3, 2)]), ("matmul", [(2, 3), (2, 3)]), ("mul", [(2, 2), (3, 1)])]
)
def test_shapes_that_do_not_fit(operation: str, shapes: list[Shape]) -> None:
    with pytest.raises(AssertionError, match=operation):
        shape_of(operation, shapes, None)


# -------------------------------------------------------------------------------------------------- floating operations


def test_floating_point_operations() -> None:
    """A product is 2 m k n, a function one for each element, a sum one for each; moving elements is free."""
    program, v = built(
        ("input", (4, 3)), ("input", (3, 5)), ("matmul", 0, 1), ("sin", 2), ("total", 3), ("largest", 0),
        ("transpose", 0), ("slice", 0, [0, 0, 2, 2]), ("embed", 7, [1, 1, 3, 3]), ("fill", 4, [2, 2]),
        ("place", [2, 2]), ("mul", 4, 5), ("input", (1, 1)), ("total", 12), ("assemble", 4, 5, [1, 2]), ("add", 9, 10),
    )  # fmt: skip
    assert [count(program, k) for k in v] == [0, 0, 2 * 4 * 3 * 5, 20, 20, 12, 0, 0, 0, 0, 0, 1, 0, 0, 0, 4]


@pytest.mark.parametrize("turned", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_a_product_costs_the_same_however_its_factors_are_read(turned: tuple[int, int]) -> None:
    builder = Builder()
    shapes = [shape[::-1] if t else shape for shape, t in zip([(4, 3), (3, 5)], turned, strict=True)]
    x, y = (builder.emit("input", attribute=20 * k, shape=shape) for k, shape in enumerate(shapes))
    product = builder.emit("matmul", x, y, attribute=turned)
    assert count(builder.program({}), product) == 2 * 4 * 3 * 5


# --------------------------------------------------------------------------------------------------------------- rows


def test_rows_that_are_given_back_are_taken_again() -> None:
    rows = Rows(3)
    first, second, third = rows.take(4), rows.take(2), rows.take(3)
    assert (first, second, third, rows.end) == (3, 7, 9, 12)
    rows.give(first, 4)
    assert rows.take(3) == 3
    rows.give(second, 2)
    assert rows.take(3) == 6  # what was left of the first, and the second: neighbours
    assert rows.take(1) == 12
    rows.give(6, 3)
    rows.give(9, 3)
    assert rows.take(6) == 6
    assert rows.end == 13


@pytest.mark.parametrize("seed", range(20))
def test_rows_are_never_taken_twice(seed: int) -> None:
    draw, rows, taken = random.Random(seed), Rows(2), dict[int, int]()
    for _ in range(200):
        if taken and draw.random() < 0.45:
            start = draw.choice(sorted(taken))
            rows.give(start, taken.pop(start))
        else:
            size = draw.randint(1, 9)
            start = rows.take(size)
            mine = set(range(start, start + size))
            assert not any(mine & set(range(s, s + n)) for s, n in taken.items())
            assert start >= 2
            assert start + size <= rows.end
            taken[start] = size
    for start, size in taken.items():
        rows.give(start, size)
    assert rows.take(rows.end - 2) == 2, "all rows are one gap again"


def test_the_sizes_of_shapes() -> None:
    assert [size_of(shape) for shape in ((), (1, 1), (2, 3))] == [1, 1, prod((2, 3))]
