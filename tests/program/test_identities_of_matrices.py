"""Identities of whole matrices: each keeps the value, and nothing else is folded."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from symgrad.program import Builder, Shape, fold
from tests.helpers.evaluate import DOUBLES, EXACT, elements, run
from tests.helpers.matrix_programs import Grower, leaves_of

nan, inf = math.nan, math.inf


@pytest.mark.parametrize("seed", range(150))
def test_folding_keeps_every_exact_value(seed: int) -> None:
    """Of random programs in rational numbers; what is divided by zero, and what comes of that, is left out."""
    plain, folded = (Grower(seed, folder, lowered=True).grow(50) for folder in (None, fold))
    arithmetic = careful()
    leaves = leaves_of(seed, lambda x: Fraction(round(4 * x), 4))
    before, after = (run(grown.builder.program({}), arithmetic, leaves) for grown in (plain, folded))
    assert [plain.shapes, len(plain.made)] == [folded.shapes, len(folded.made)]
    for old, new in zip(plain.made, folded.made, strict=True):
        for x, y in zip(elements(before[old]), elements(after[new]), strict=True):
            assert x != x or x == y, f"v{old} = {plain.builder.assignments[old]}"


def careful() -> Any:
    """Rational numbers, with NaN for what is undefined."""

    def careful(operation: Any) -> Any:
        def done(*operands: Any) -> Any:
            try:
                return nan if any(x != x for x in operands) else operation(*operands)
            except ZeroDivisionError:
                return nan

        return done

    operations = {name: careful(operation) for name, operation in EXACT.operations.items()}
    return type(EXACT)(EXACT.number, {**operations, "sin": careful(lambda x: x - x**3 / 6)})


# Folds of arithmetic round once where two operations round twice (see test_fold.py), so these seeds hold moves alone.
MOVES = ("matmul", "transpose", "total", "fill", "place", "largest", "slice", "embed", "assemble")


class Mover(Grower):
    """Only what moves or joins elements, and signs."""

    def _step(self) -> int:
        kind = self.draw.choice((*MOVES, "neg", "matmul", "transpose", "slice"))
        if kind == "neg":
            return self.builder.emit("neg", self.pick() or 0)
        return self._structural(kind)


@pytest.mark.parametrize("seed", range(150))
def test_in_doubles_a_fold_changes_no_bit(seed: int) -> None:
    """The signs of zeros aside; and where a matrix was turned, its sum is added up in the order of the other."""
    plain, folded = (Mover(seed, folder, lowered=True).grow(40) for folder in (None, fold))
    leaves = leaves_of(seed, np.float64)
    before, after = (run(grown.builder.program({}), DOUBLES, leaves) for grown in (plain, folded))
    reordered: set[int] = set()
    for variable, step in enumerate(plain.builder.assignments):
        turned = step.operation == "total" and plain.builder.assignments[step.arguments[0]].operation == "transpose"
        if turned or reordered & set(step.arguments):
            reordered.add(variable)
    for old, new in zip(plain.made, folded.made, strict=True):
        if old not in reordered:
            np.testing.assert_array_equal(after[new], before[old], str(plain.builder.assignments[old]))
        else:
            np.testing.assert_allclose(after[new], before[old], rtol=1e-9, atol=1e-9)


# ------------------------------------------------------------------------------------------------------- one by one


def check(operation: str, *arguments: Any, attribute: Any = None) -> str:
    """What becomes of an operation on named leaves: ``A`` is 2x3, ``B`` 3x2, ``c`` 3x1, ``o`` 1x1, ``p`` a number.

    ``k`` is a column, 3x1, that is the same for all samples.
    """
    builder = Builder(fold=fold)
    shapes: dict[str, Shape] = {"A": (2, 3), "B": (3, 2), "c": (3, 1), "o": (1, 1), "p": ()}
    names = {name: builder.emit("input", attribute=9 * k, shape=s) for k, (name, s) in enumerate(shapes.items())}
    names["k"] = builder.emit("parameter", attribute=0, shape=(3, 1))

    def variable(argument: Any) -> int:
        if isinstance(argument, tuple):
            name, *rest = argument
            attributes = [part for part in rest if isinstance(part, list)]
            parts = [variable(part) for part in rest if not isinstance(part, list)]
            return builder.emit(name, *parts, attribute=tuple(attributes[0]) if attributes else None)
        return names[argument] if isinstance(argument, str) else builder.constant(argument)

    def shown(number: int) -> str:
        step, own = builder.assignments[number], {v: k for k, v in names.items()}
        if number in own:
            return own[number]
        if step.operation == "constant":
            return repr(step.attribute)
        places = list(step.attribute) if isinstance(step.attribute, tuple) else step.attribute
        more = (
            () if step.attribute is None else (f"{places}{step.shape}" if step.operation == "input" else str(places),)
        )
        return f"{step.operation}({', '.join((*map(shown, step.arguments), *more))})"

    return shown(builder.emit(operation, *map(variable, arguments), attribute=attribute))


def zeros(rows: int, columns: int) -> Any:
    return ("fill", 0.0, [rows, columns])


@pytest.mark.parametrize(
    ("operation", "arguments", "attribute", "folded"),
    [
        ("transpose", [("transpose", "A")], None, "A"),
        ("transpose", ["o"], None, "o"),
        ("transpose", [("fill", "p", [2, 3])], None, "fill(p, [3, 2])"),
        ("transpose", [("matmul", "A", "B")], None, "matmul(transpose(B), transpose(A))"),
        ("transpose", [("matmul", "A", ("transpose", "A"))], None, "matmul(A, transpose(A))"),
        ("matmul", ["A", zeros(3, 4)], None, "fill(0.0, [2, 4])"),
        ("matmul", [zeros(5, 2), "A"], None, "fill(0.0, [5, 3])"),
        ("matmul", [("neg", "A"), "B"], None, "neg(matmul(A, B))"),
        ("matmul", ["A", ("neg", "B")], None, "neg(matmul(A, B))"),
        ("matmul", ["c", "o"], None, "mul(c, total(o))"),
        ("matmul", ["o", ("transpose", "c")], None, "mul(transpose(c), total(o))"),
        ("total", [("fill", "p", [1, 1])], None, "p"),
        ("total", [("assemble", "p", [1, 1])], None, "p"),
        ("assemble", ["p"], (1, 1), "fill(p, [1, 1])"),
        ("total", ["p"], None, "p"),
        ("total", [zeros(2, 2)], None, "0.0"),
        ("total", [("transpose", "A")], None, "total(A)"),
        ("largest", ["o"], None, "total(o)"),
        ("slice", ["A"], (0, 0, 2, 3), "A"),
        ("slice", ["A"], (1, 0, 1, 3), "input(3(1, 3))"),
        ("slice", ["B"], (1, 0, 2, 2), "input(11(2, 2))"),
        ("slice", [("fill", "p", [4, 4])], (1, 1, 2, 3), "fill(p, [2, 3])"),
        ("slice", [("slice", "A", [0, 1, 2, 2])], (1, 1, 1, 1), "input(5(1, 1))"),
        ("slice", [("assemble", "p", 3.0, 4.0, 5.0, [2, 2])], (1, 0, 1, 1), "fill(4.0, [1, 1])"),
        ("embed", ["A"], (0, 0, 2, 3), "A"),
        ("embed", [zeros(1, 1)], (1, 1, 3, 3), "fill(0.0, [3, 3])"),
        ("embed", ["o", zeros(2, 2), "A"], (0, 0, 0, 1, 2, 0, 4, 3), "embed(o, A, [0, 0, 2, 0, 4, 3])"),
        ("embed", ["o", ("fill", "p", [1, 1])], (0, 1, 0, 0, 1, 2), "assemble(p, total(o), [1, 2])"),
        ("embed", ["o", "k"], (0, 0, 1, 0, 4, 1), "add(embed(k, [1, 0, 4, 1]), embed(o, [0, 0, 4, 1]))"),
        ("place", [], (1, 1), "fill(0.0, [1, 1])"),
        ("add", ["A", zeros(2, 3)], None, "A"),
        ("add", [("fill", "p", [2, 3]), "A"], None, None),
        ("mul", ["A", ("fill", 1.0, [2, 3])], None, "A"),
        ("mul", ["A", 0.0], None, "fill(0.0, [2, 3])"),
        ("add", [("fill", "p", [2, 2]), ("fill", 2.0, [2, 2])], None, "fill(add(p, 2.0), [2, 2])"),
        ("exp", [("fill", "p", [2, 2])], None, "fill(exp(p), [2, 2])"),
        ("select", [("lt", "A", 0.0), "p", "p"], None, "fill(p, [2, 3])"),
    ],
)
def test_what_is_folded(operation: str, arguments: list[Any], attribute: Any, folded: str | None) -> None:
    found = check(operation, *arguments, attribute=attribute)
    assert found == folded if folded is not None else found in ("add(A, p)", "add(p, A)")


@pytest.mark.parametrize(
    ("operation", "arguments", "attribute", "kept"),
    [
        ("transpose", ["c"], None, "transpose(c)"),  # the same elements, and yet another shape
        ("transpose", [("matmul", "A", "c")], None, "transpose(matmul(A, c))"),  # which is not computed twice
        ("transpose", [("matmul", ("transpose", "c"), "B")], None, "transpose(matmul(transpose(c), B))"),
        ("matmul", ["A", "B"], None, "matmul(A, B)"),
        ("matmul", [("fill", 1.0, [1, 2]), "A"], None, "matmul(fill(1.0, [1, 2]), A)"),
        ("matmul", [("transpose", "c"), "c"], None, "matmul(transpose(c), c)"),
        ("total", ["o"], None, "total(o)"),
        ("total", [("fill", "p", [2, 2])], None, "total(fill(p, [2, 2]))"),  # 4*p rounds once, the sum thrice
        ("largest", ["c"], None, "largest(c)"),
        ("slice", ["A"], (0, 0, 2, 2), "slice(A, [0, 0, 2, 2])"),
        ("slice", [("embed", "o", [1, 1, 3, 3])], (0, 0, 2, 2), "slice(embed(o, [1, 1, 3, 3]), [0, 0, 2, 2])"),
        ("embed", ["o"], (0, 0, 1, 2), "embed(o, [0, 0, 1, 2])"),
        ("sub", ["A", "A"], None, "sub(A, A)"),  # NaN and infinities stay
        ("place", [], (1, 2), "place([1, 2])"),
    ],
)
def test_what_is_not_folded(operation: str, arguments: list[Any], attribute: Any, kept: str) -> None:
    assert check(operation, *arguments, attribute=attribute) == kept


def test_equal_columns_and_rows_are_spread_by_products_with_ones() -> None:
    assert check("add", "c", ("transpose", "c")) in (
        "add(matmul(c, fill(1.0, [1, 3])), matmul(fill(1.0, [3, 1]), transpose(c)))",
        "add(matmul(fill(1.0, [3, 1]), transpose(c)), matmul(c, fill(1.0, [1, 3])))",
    )


def test_shapes_that_do_not_fit_are_seen() -> None:
    for arguments in (("add", "A", "B"), ("matmul", "A", "A"), ("mul", "A", ("transpose", "A"))):
        with pytest.raises(AssertionError):
            check(*arguments)
