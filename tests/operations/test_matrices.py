"""The rows of the table on matrices: pullbacks against numeric derivatives at 50 digits, lowerings, second derivatives.

The meaning of a row is what `evaluate` computes, written down there by its definition.
"""

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any

import mpmath
import numpy as np
import pytest

from symgrad.operations import TABLE, matrices
from symgrad.passes import lower, turn
from symgrad.passes.differentiate import differentiate
from symgrad.program import LEAVES, Attribute, Builder, Program, Shape, fold
from tests.helpers.evaluate import DIGITS, DOUBLES, Leaves, output, ulps

from .test_table import CASES, WITH_A_ROUNDED_CONSTANT, arity, points

LOWERED = {name for name, row in TABLE.items() if row.lower is None} | set(LEAVES)
STEP = mpmath.mpf(2) ** -80  # of the numeric derivatives: about 1e-24


@dataclass(frozen=True)
class Case:
    """An operation on arguments of given shapes; ``index`` are the values of a class label, which is an input."""

    operation: str
    shapes: tuple[Shape, ...]
    attribute: Attribute = None
    index: tuple[float, ...] = ()

    def __str__(self) -> str:
        shapes = "_".join("x".join(map(str, shape)) or "1" for shape in self.shapes)
        return f"{self.operation}-{shapes}-{self.attribute}"


WHOLE = [
    Case("matmul", ((2, 3), (3, 4))),
    Case("matmul", ((2, 3), (3, 1))),
    Case("matmul", ((1, 3), (3, 2))),
    Case("matmul", ((3, 1), (1, 2))),
    Case("matmul", ((1, 3), (3, 1))),
    Case("transpose", ((2, 3),)),
    Case("transpose", ((4, 1),)),
    Case("total", ((2, 3),)),
    Case("total", ((1, 1),)),
    Case("fill", ((),), (3, 2)),
    Case("fill", ((),), (1, 1)),
    Case("place", (), (3, 2)),
    Case("largest", ((3, 2),)),
    Case("largest", ((1, 1),)),
    Case("slice", ((4, 5),), (1, 2, 2, 3)),
    Case("slice", ((4, 5),), (0, 0, 4, 1)),
    Case("slice", ((4, 5),), (3, 0, 1, 5)),
    Case("embed", ((2, 3),), (1, 2, 4, 6)),
    Case("embed", ((1, 1),), (0, 0, 2, 2)),
    Case("embed", ((2, 1), (1, 2), (1, 1)), (0, 2, 2, 0, 0, 0, 3, 4)),
    Case("assemble", ((),) * 6, (2, 3)),
    Case("assemble", ((),), (1, 1)),
    Case("pick", ((2, 3), ()), None, (0.0, 4.0, 5.0)),
    Case("pick", ((5, 1), ()), None, (3.0,)),
    Case("put", ((), ()), (2, 3), (0.0, 4.0, 5.0)),
    Case("logsumexp_all", ((4, 1),)),
    Case("logsumexp_all", ((2, 3),)),
    Case("softmax_all", ((4, 1),)),
    Case("softmax_all", ((2, 3),)),
]
CONSTANT = frozenset({"place"})  # that depend on no argument


@cache
def program_of(case: Case) -> Program:
    """The operation's ``value``, and the ``loss``: its elements times the weights that are the first inputs."""
    builder, at = Builder(fold=fold), 0
    arguments = []
    for shape in case.shapes[: len(case.shapes) - bool(case.index)]:
        arguments.append(builder.emit("parameter", attribute=at, shape=shape))
        at += prod(shape)
    if case.index:
        arguments.append(builder.emit("input", attribute=0, shape=()))
    value = builder.emit(case.operation, *arguments, attribute=case.attribute)
    scale = builder.emit("input", attribute=1, shape=builder.assignments[value].shape)
    loss = builder.emit("total", builder.emit("mul", value, scale))
    return builder.program({"value": (value,), "loss": (loss,)})


def numbers(count: int, seed: int) -> list[Any]:
    """Numbers from -2 to 2, none like another."""
    draw = random.Random(seed)
    return [mpmath.mpf(draw.uniform(-2, 2)) for _ in range(count)]


def leaves_of(case: Case, seed: int = 0, index: float = 0.0) -> dict[str, list[Any]]:
    size = sum(map(prod, case.shapes))
    return {"parameter": numbers(size, 2 * seed), "input": [mpmath.mpf(index), *numbers(40, 2 * seed + 1)]}


def slopes(program: Program, name: str, leaves: Leaves, count: int) -> Iterator[list[Any]]:
    """The derivatives of each number of an output by each of the parameters, numerically."""
    for place in range(count):
        sides = []
        for step in (STEP, -STEP):
            moved = list(leaves["parameter"])
            moved[place] += step
            sides.append(output(program, name, DIGITS, {**leaves, "parameter": moved}))
        yield [(high - low) / (2 * STEP) for high, low in zip(*sides, strict=True)]


def near(got: Any, true: Any, tolerance: Any = 1e-40) -> bool:
    return bool(abs(got - true) <= tolerance * (1 + abs(true)))


@pytest.fixture(autouse=True)
def _ninety_digits() -> Iterator[None]:
    with mpmath.workdps(90):
        yield


def parameters_of(case: Case) -> int:
    return sum(map(prod, case.shapes)) - bool(case.index)


# ------------------------------------------------------------------------------------------------------ whole matrices


def test_every_row_of_matrices_is_tried() -> None:
    assert {case.operation for case in WHOLE} == {row.name for row in matrices.ROWS}


@pytest.mark.parametrize("case", WHOLE, ids=str)
def test_a_pullback_is_the_derivative(case: Case) -> None:
    program = differentiate(program_of(case), "loss", "gradient")
    for seed, index in itertools.product(range(3), case.index or (0.0,)):
        leaves = leaves_of(case, seed, index)
        got = output(program, "gradient", DIGITS, leaves)
        assert len(got) == parameters_of(case)
        true = list(slopes(program, "loss", leaves, len(got)))
        assert all(near(g, t) for g, (t,) in zip(got, true, strict=True)), f"{case} at {leaves}: {got}, {true}"


@pytest.mark.parametrize("case", WHOLE, ids=str)
def test_a_gradient_has_its_parameters_shape(case: Case) -> None:
    program = differentiate(program_of(case), "loss", "gradient")
    shapes = [program.assignments[v].shape for v in program.outputs["gradient"]]
    assert shapes == list(case.shapes[: len(case.shapes) - bool(case.index)])


@pytest.mark.parametrize("case", WHOLE, ids=str)
def test_a_gradient_can_be_differentiated_again(case: Case) -> None:
    """What a pullback emits is in the table, with a pullback of its own, and that is right again; and once more."""
    program = differentiate(program_of(case), "loss", "gradient")
    assert {step.operation for step in program.assignments} <= {*TABLE, *LEAVES}
    for name in ("second", "third"):
        program = differentiate(contracted(program), "along", name)
        assert {step.operation for step in program.assignments} <= {*TABLE, *LEAVES}
        for index in case.index or (0.0,):
            leaves = leaves_of(case, 5, index)
            got = output(program, name, DIGITS, leaves)
            true = list(slopes(program, "along", leaves, len(got)))
            assert all(near(g, t, 1e-38) for g, (t,) in zip(got, true, strict=True)), f"{case}: {got}, {true}"
        program = Program(program.assignments, {"gradient": program.outputs[name]})


def contracted(program: Program) -> Program:
    """The program with an output ``along``: the sum of the gradient's elements times some inputs."""
    builder, total = Builder(program.assignments, fold), None
    for place, gradient in enumerate(program.outputs["gradient"]):
        along = builder.emit("input", attribute=place + 7, shape=builder.assignments[gradient].shape)
        term = builder.emit("total", builder.emit("mul", gradient, along))
        total = term if total is None else builder.emit("add", total, term)
    return builder.program({"along": (builder.constant(0.0) if total is None else total,)})


@pytest.mark.parametrize("case", WHOLE, ids=str)
def test_a_lowering_is_the_meaning(case: Case) -> None:
    """Of the operation, of its gradient and of the second derivatives; all that is left has no lowering."""
    first = differentiate(program_of(case), "loss", "gradient")
    second = differentiate(contracted(first), "along", "gradient")
    for program, results in ((first, ("value", "loss", "gradient")), (second, ("along", "gradient"))):
        lowered = turn(lower(program))
        assert {step.operation for step in lowered.assignments} <= LOWERED
        for seed, index, result in itertools.product(range(2), case.index or (0.0,), results):
            leaves = leaves_of(case, seed, index)
            before, after = (output(p, result, DIGITS, leaves) for p in (program, lowered))
            assert len(before) == len(after)
            assert all(near(g, t, 1e-80) for g, t in zip(after, before, strict=True)), f"{result} of {case}"


@pytest.mark.parametrize("case", [c for c in WHOLE if c.operation not in CONSTANT], ids=str)
def test_whole_matrices_keep_their_digits_in_doubles(case: Case) -> None:
    """Beside the sum of the sizes of its terms: a product, or a sum, of elements cancels as any sum does."""
    program = differentiate(program_of(case), "loss", "gradient")
    lowered = lower(program)
    for seed, index, result in itertools.product(range(20), case.index or (0.0,), ("value", "gradient")):
        leaves = leaves_of(case, seed, index)
        doubles = {role: [np.float64(float(x)) for x in row] for role, row in leaves.items()}
        true = output(program, result, DIGITS, leaves)
        got = output(lowered, result, DOUBLES, doubles)
        scale = 1 + max(abs(t) for t in true)
        assert all(abs(g - t) <= 8e-15 * scale for g, t in zip(map(mpmath.mpf, map(float, got)), true, strict=True))


# ------------------------------------------------------------------------------------- element by element on matrices

SHAPES: tuple[Shape, ...] = ((2, 2), (1, 3), (3, 1), (1, 1))


def spread(name: str, attribute: Attribute, shapes: Sequence[Shape]) -> Program:
    """An operation on arguments of these shapes, its elements' sum, and the gradient of that."""
    builder, at, arguments = Builder(fold=fold), 0, []
    for shape in shapes:
        arguments.append(builder.emit("parameter", attribute=at, shape=shape))
        at += prod(shape)
    value = builder.emit(name, *arguments, attribute=attribute)
    program = builder.program({"value": (value,), "loss": (builder.emit("total", value),)})
    return differentiate(program, "loss", "gradient")


def mixtures(count: int) -> Iterator[tuple[Shape, ...]]:
    """Scalars among matrices, at least one of them a matrix; and all shapes of matrices."""
    yield from ((shape,) * count for shape in SHAPES)
    yield from (mix for mix in itertools.product(((), (2, 2)), repeat=count) if 0 < mix.count(()) < count)


@pytest.mark.parametrize(("name", "attribute"), CASES)
def test_an_operation_on_matrices_is_that_on_their_elements(name: str, attribute: Attribute) -> None:
    """The value's elements have the scalar operation's values; a scalar's derivative is the sum over all elements."""
    scalar = spread(name, attribute, ((),) * arity(name))
    draw = random.Random(1)
    known = list(points(name))
    for shapes in mixtures(arity(name)):
        matrix = spread(name, attribute, shapes)
        shape = max(shapes, key=prod)
        chosen = [draw.choice(known) for _ in range(prod(shape))]
        fixed = chosen[0]
        columns = [[fixed[k]] if not own else [p[k] for p in chosen] for k, own in enumerate(shapes)]
        got = run_both(matrix, [x for column in columns for x in column])
        rows = [[c[0] if not s else c[e] for c, s in zip(columns, shapes, strict=True)] for e in range(prod(shape))]
        each = [run_both(scalar, row) for row in rows]
        value = [v for values, _ in each for v in values]
        gradient = []
        for k, own in enumerate(shapes):
            partials = [partial[k] for _, partial in each]
            gradient += partials if own else [mpmath.fsum(partials)]
        for g, t in zip((*got[0], *got[1]), (*value, *gradient), strict=True):
            assert near(g, t, 1e-13 if name in WITH_A_ROUNDED_CONSTANT else 1e-60), f"{name} of {shapes}"


def run_both(program: Program, at: Sequence[float]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    leaves = {"parameter": [mpmath.mpf(x) for x in at]}
    return output(program, "value", DIGITS, leaves), output(program, "gradient", DIGITS, leaves)


# What they hold is no variable: their derivative is not their slope.
HELD = {"hold", "exp_capped", "exp_less", "weighted_exp", "weighted_capped", "cosh_less", "sinh_less", "over_product"}


@pytest.mark.parametrize(("name", "attribute"), [case for case in CASES if case[0] not in HELD])
@pytest.mark.parametrize("shape", [(), (1, 2)], ids=str)
def test_second_derivatives(name: str, attribute: Attribute, shape: Shape) -> None:
    """The gradient of each derivative, against that derivative's numeric slope; lowered too."""
    first = spread(name, attribute, (shape,) * arity(name))
    size = max(1, prod(shape))
    known = [point for point in points(name) if all(1e-6 < abs(x) < 1e6 and abs(x) != 1 for x in point)]
    for variable in first.outputs["gradient"]:
        builder = Builder(first.assignments, fold)
        partial = builder.program({"partial": (builder.emit("total", variable),)})
        second = differentiate(partial, "partial", "second")
        lowered = lower(second)
        for point in known[:: max(1, len(known) // 4)]:
            # away from 1, where domains end
            at = [
                mpmath.mpf(x) * (1 + (1 if abs(x) > 1 else -1) * mpmath.mpf(k) / 7919)
                for x in point
                for k in range(size)
            ]
            leaves = {"parameter": at}
            with mpmath.workdps(90):
                got = output(second, "second", DIGITS, leaves)
                true = [t for (t,) in slopes(second, "partial", leaves, len(at))]
                again = output(lowered, "second", DIGITS, leaves)
            scale = max(map(abs, true), default=0)
            for g, t, a in zip(got, true, again, strict=True):
                assert abs(g - t) <= 1e-14 * (scale + abs(g)) + 1e-30, f"{name} at {at}: {g}, {t}"
                assert abs(g - a) <= 1e-14 * (scale + abs(g)) + 1e-30, f"{name} at {at}: {g}, lowered {a}"


def test_columns_and_rows_stand_for_matrices() -> None:
    """A column and a row meet in a matrix; the derivative of each is the sum along what it was repeated over."""
    builder = Builder(fold=fold)
    column = builder.emit("parameter", attribute=0, shape=(3, 1))
    row = builder.emit("parameter", attribute=3, shape=(1, 2))
    value = builder.emit("mul", column, builder.emit("exp", row))
    assert builder.assignments[value].shape == (3, 2)
    scale = builder.emit("input", attribute=0, shape=(3, 2))
    loss = builder.emit("total", builder.emit("mul", value, scale))
    program = differentiate(builder.program({"loss": (loss,), "value": (value,)}), "loss", "gradient")
    leaves = {"parameter": numbers(5, 1), "input": numbers(6, 2)}
    got = output(program, "value", DIGITS, leaves)
    x, y = leaves["parameter"][:3], leaves["parameter"][3:]
    assert all(near(g, a * mpmath.exp(b)) for g, (a, b) in zip(got, itertools.product(x, y), strict=True))
    found = output(program, "gradient", DIGITS, leaves)
    assert all(near(g, t) for g, (t,) in zip(found, slopes(program, "loss", leaves, 5), strict=True))


# ----------------------------------------------------------------------------------------------- ties, limits, and NaN

nan, inf = math.nan, math.inf


def at(case: Case, values: Sequence[float], index: float = 0.0) -> tuple[list[float], list[float]]:
    """The value and the gradient of its elements' sum in doubles, lowered."""
    program = lower(differentiate(program_of(case), "loss", "gradient"))
    leaves = {"parameter": [np.float64(x) for x in values], "input": [np.float64(index), *[np.float64(1.0)] * 40]}
    found = (output(program, name, DOUBLES, leaves) for name in ("value", "gradient"))
    value, gradient = ([float(x) for x in numbers] for numbers in found)
    return value, gradient


@pytest.mark.parametrize(
    ("values", "greatest", "gradient"),
    [
        ((1.0, 5.0, 2.0), 5.0, (0.0, 1.0, 0.0)),
        ((5.0, 2.0, 5.0), 5.0, (0.5, 0.0, 0.5)),
        ((5.0, 5.0, 5.0), 5.0, (1 / 3, 1 / 3, 1 / 3)),
        ((-inf, -inf, -1.0), -1.0, (0.0, 0.0, 1.0)),
        ((-inf, -inf, -inf), -inf, (1 / 3, 1 / 3, 1 / 3)),
        ((inf, 0.0, inf), inf, (0.5, 0.0, 0.5)),
        ((nan, 1.0, 2.0), nan, (nan, nan, nan)),
        ((1.0, nan, 2.0), nan, (nan, nan, nan)),
        ((1.0, 2.0, nan), nan, (nan, nan, nan)),
    ],
)
def test_the_greatest_element(values: Sequence[float], greatest: float, gradient: Sequence[float]) -> None:
    """Ties share the derivative; a NaN anywhere is the greatest, and is in the gradient of every element."""
    value, found = at(Case("largest", ((3, 1),)), values)
    np.testing.assert_array_equal(value, [greatest])
    np.testing.assert_array_equal(found, gradient)


@pytest.mark.parametrize(
    ("values", "expected", "shares"),
    [
        ((1000.0, 0.0, -1000.0), 1000.0, (1.0, 0.0, 0.0)),
        ((-1000.0, -1000.0, -2000.0), -1000.0 + math.log(2), (0.5, 0.5, 0.0)),
        ((-inf, 0.0, -inf), 0.0, (0.0, 1.0, 0.0)),
        ((-inf, -inf, -inf), -inf, None),
        ((inf, 0.0, 0.0), inf, (1.0, 0.0, 0.0)),
        ((0.0, nan, 1.0), nan, (nan, nan, nan)),
        ((7.0, 7.0, 7.0), 7.0 + math.log(3), (1 / 3, 1 / 3, 1 / 3)),
    ],
)
def test_logsumexp_and_softmax_at_their_limits(
    values: Sequence[float], expected: float, shares: Sequence[float] | None
) -> None:
    """As the operations on numbers: no overflow, and infinities have their limits."""
    value, gradient = at(Case("logsumexp_all", ((3, 1),)), values)
    np.testing.assert_array_equal(value, [expected])
    if shares is not None:
        np.testing.assert_allclose(gradient, shares, rtol=3e-16)
        np.testing.assert_allclose(at(Case("softmax_all", ((3, 1),)), values)[0], shares, rtol=3e-16)


def test_softmax_and_logsumexp_of_matrices_are_those_of_numbers() -> None:
    """To the last bits: only the sum of the exponentials is added up in another order."""
    draw = random.Random(9)
    for _ in range(20):
        values = [draw.gauss(0, 3) for _ in range(4)]
        for name in ("logsumexp", "softmax"):
            attributes = (None,) if name == "logsumexp" else range(4)
            each = [at(Case(name, ((),) * 4, attribute), values)[0][0] for attribute in attributes]
            whole, _ = at(Case(f"{name}_all", ((4, 1),)), values)
            # numbers put back what their differences lose
            assert max(ulps(w, mpmath.mpf(n)) for w, n in zip(whole, each, strict=True)) <= 8


@pytest.mark.parametrize("label", [-1.0, 6.0, 0.5, 5.5, nan, inf, -inf, 1e300])
def test_a_label_that_is_none_is_nan_in_value_and_gradient(label: float) -> None:
    for case in (Case("pick", ((2, 3), ()), None, (0.0,)), Case("put", ((), ()), (2, 3), (0.0,))):
        value, gradient = at(case, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0][: parameters_of(case)], label)
        assert np.isnan(value).all()
        assert np.isnan(gradient).all()


def test_what_is_not_picked_never_matters() -> None:
    wild = [nan, inf, 3.0, -inf, nan, inf]
    assert at(Case("pick", ((2, 3), ()), None, (0.0,)), wild, 2.0) == ([3.0], [0.0, 0.0, 1.0, 0.0, 0.0, 0.0])
