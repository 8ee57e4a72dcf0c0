"""Program and Builder: value numbering, what depends on what, and the listing."""

import math

import pytest

from symgrad.program import LEAVES, Assignment, Builder, Program


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
    assert {kind for kind, v in leaves.items() if builder.varies[v]} == {"input", "target", "weight"}
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
    assert program.operation_count("loss") == program.operation_count() == 3
    assert program.operation_count("slope") == 0
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


def test_a_program_is_not_changed_in_place() -> None:
    program = line()
    with pytest.raises(AttributeError):
        program.assignments = ()  # type: ignore[misc]
    outputs = {"loss": (7,)}
    kept = Builder(program.assignments).program(outputs)
    outputs["loss"] = (0,)
    assert kept.outputs["loss"] == (7,)
