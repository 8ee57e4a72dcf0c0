"""Program and Builder: value numbering, what depends on what, and the listing."""

import math
from fractions import Fraction

import numpy as np
import pytest

from symgrad.program import LEAVES, SAMPLE_LEAVES, Assignment, Builder, Program, Shape
from tests.helpers.evaluate import EXACT, operation_count, run
from tests.helpers.rows import CONDITIONS


def line() -> Program:
    """loss = (a*x + b) * w, and a variable that nothing uses."""
    builder = Builder()
    a, b = (builder.emit("parameter", attribute=place) for place in range(2))
    x = builder.emit("input", attribute=0)
    builder.emit("exp", a)
    total = builder.emit("add", builder.emit("mul", a, x), b)
    return builder.program({"loss": (builder.emit("mul", total, builder.emit("weight")),), "slope": (a, a)})


def test_an_operation_is_one_variable_however_often_it_is_emitted() -> None:
    builder = Builder()
    x = builder.emit("input", attribute=0)
    assert builder.emit("exp", x) == builder.emit("exp", x)
    assert builder.emit("power", x, attribute=2) != builder.emit("power", x, attribute=3)
    assert builder.emit("input", attribute=0) == x != builder.emit("target", attribute=0)
    assert len(builder.assignments) == 5


def test_constants_are_numbered_by_their_bits() -> None:
    builder = Builder()
    zero, nan = builder.constant(0.0), builder.constant(math.nan)
    assert builder.constant(-0.0) != zero == builder.constant(0.0)
    assert builder.constant(math.nan) == nan
    assert builder.constant(0.1) != builder.constant(math.nextafter(0.1, 1.0))
    assert builder.constant_value(zero) == 0.0
    assert builder.constant_value(builder.emit("weight")) is None


def test_what_varies_with_the_sample() -> None:
    builder = Builder()
    leaves = {kind: builder.emit(kind, attribute=0) for kind in LEAVES}
    assert (
        {kind for kind, v in leaves.items() if builder.varies[v]}
        == {*SAMPLE_LEAVES}
        == {"input", "target", "weight", "linear", "cotangent"}
    )
    assert not builder.varies[builder.emit("mul", leaves["parameter"], leaves["constant"])]
    assert builder.varies[builder.emit("mul", leaves["parameter"], leaves["target"])]


def test_a_builder_goes_on_where_a_program_ends() -> None:
    program = line()
    builder = Builder(program.assignments)
    assert tuple(builder.assignments) == program.assignments
    assert builder.emit("mul", 0, 2) == 4
    assert builder.emit("sin", 0) == len(program.assignments)


def test_needed_depends_on_and_counts() -> None:
    program = line()
    assert 3 not in program.needed()
    assert program.needed("slope") == {0}
    assert program.needed("loss") == program.needed() == {0, 1, 2, 4, 5, 6, 7}
    assert operation_count(program, "loss") == operation_count(program) == 3
    assert operation_count(program, "slope") == 0
    assert program.depends_on(["input"]) == (False, False, True, False, True, True, False, True)
    assert program.depends_on(["parameter"]) == (True, True, False, True, True, True, False, True)
    assert program.depends_on([]) == (False,) * 8


def test_the_listing_reads_line_by_line() -> None:
    assert str(line()).splitlines() == [
        "v0 = parameter(0)",
        "v1 = parameter(1)",
        "v2 = input(0)",
        "v3 = exp(v0)",
        "v4 = mul(v0, v2)",
        "v5 = add(v4, v1)",
        "v6 = weight()",
        "v7 = mul(v5, v6)",
        "loss <- v7",
        "slope <- v0, v0",
    ]
    assert str(Assignment("power", (3,), 2)) == "power(v3, 2)"


# ------------------------------------------------------------------------------------------------------------ matrices


def shape(builder: Builder, variable: int) -> Shape:
    return builder.assignments[variable].shape


def test_a_variable_has_the_shape_that_its_arguments_give_it() -> None:
    builder = Builder()
    matrix = builder.emit("parameter", attribute=0, shape=(2, 3))
    column = builder.emit("input", attribute=0, shape=(3, 1))
    number = builder.emit("input", attribute=3, shape=())
    product = builder.emit("matmul", matrix, column)
    assert [shape(builder, v) for v in (matrix, column, number, product)] == [(2, 3), (3, 1), (), (2, 1)]
    assert shape(builder, builder.emit("mul", matrix, number)) == (2, 3)
    assert shape(builder, builder.emit("total", product)) == ()
    assert builder.varies[product]
    assert not builder.varies[builder.emit("transpose", matrix)]
    assert builder.emit("parameter", attribute=0, shape=(2, 3)) == matrix
    assert builder.emit("parameter", attribute=0, shape=()) != matrix
    parts = [builder.emit("slice", matrix, attribute=(0, left, 1, 2)) for left in (0, 1, 0)]
    assert parts[0] == parts[2] != parts[1]


def test_what_is_filled_is_one_number() -> None:
    """An operation on matrices that are each filled with a number is done on the numbers."""
    builder = Builder()
    number = builder.emit("input", attribute=0, shape=())
    filled = builder.filled(number, (2, 2))
    assert builder.filled(number, (2, 2)) == filled == builder.filled(filled, (2, 2))
    total = builder.emit("add", filled, builder.filled(builder.constant(2.0), (2, 2)))
    step = builder.assignments[total]
    assert (step.operation, step.shape) == ("fill", (2, 2))
    assert builder.assignments[step.arguments[0]].operation == "add"
    assert builder.assignments[step.arguments[0]].shape == ()
    matrix = builder.emit("input", attribute=1, shape=(2, 2))
    assert builder.assignments[builder.emit("mul", matrix, filled)].arguments == (matrix, number)
    assert builder.constant_value(builder.filled(builder.constant(0.5), (3, 1))) == 0.5
    assert builder.constant_value(filled) is None


@pytest.mark.parametrize(
    "shapes", [((3, 1), (1, 2)), ((3, 2), (3, 1)), ((1, 2), (3, 2)), ((1, 1), (3, 2)), ((1, 1), (3, 1))]
)
def test_a_column_and_a_row_are_repeated(shapes: tuple[Shape, Shape]) -> None:
    """To the shape that both have then, as NumPy does; conditions stay conditions."""
    draw = np.random.default_rng(2)
    values = [draw.integers(1, 9, size).astype(object) for size in shapes]
    builder = Builder()
    leaves = [builder.emit("input", attribute=10 * k, shape=size) for k, size in enumerate(shapes)]
    difference = builder.emit("sub", *leaves)
    tests = [builder.emit("lt", leaf, builder.constant(5.0)) for leaf in leaves]
    both = builder.emit("and", *tests)
    assert shape(builder, difference) == shape(builder, both) == np.broadcast_shapes(*shapes)
    row = [Fraction(0)] * 20
    for k, value in enumerate(values):
        row[10 * k : 10 * k + value.size] = map(Fraction, value.flat)
    found = run(builder.program({}), EXACT, {"input": row})
    assert (found[difference] == values[0] - values[1]).all()
    assert (found[both] == ((values[0] < 5) & (values[1] < 5))).all()
    steps = [builder.assignments[v].operation for v in builder.assignments[both].arguments]
    assert set(steps) <= CONDITIONS


def test_a_matrix_is_listed_with_its_shape() -> None:
    builder = Builder()
    matrix = builder.emit("parameter", attribute=4, shape=(2, 3))
    builder.emit("slice", builder.emit("transpose", matrix), attribute=(1, 0, 1, 2))
    assert str(builder.program({})).splitlines() == [
        "v0 = parameter(4) 2x3",
        "v1 = transpose(v0) 3x2",
        "v2 = slice(v1, (1, 0, 1, 2)) 1x2",
    ]


def test_a_program_is_not_changed_in_place() -> None:
    program = line()
    with pytest.raises(AttributeError):
        program.assignments = ()  # type: ignore[misc]
    outputs = {"loss": (7,)}
    kept = Builder(program.assignments).program(outputs)
    outputs["loss"] = (0,)
    assert kept.outputs["loss"] == (7,)
