"""Identities of single operations: each keeps the value, and nothing else is folded."""

import itertools
import math
import random
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from symgrad.program import Builder, fold
from symgrad.program.identities import exact_product
from tests.helpers.evaluate import DOUBLES, EXACT, run

BINARY = ("add", "sub", "mul", "div")
CONSTANTS = (0.0, -0.0, 1.0, -1.0, 2.0, 0.5, 3.0, -0.75, 0.1, 1e300, 2.0**-1074, 2.0**1023)
LOGIC = ("and", "or", "not", "select")


def grown(draw: random.Random, folder: Any, steps: int) -> tuple[Builder, list[int]]:
    """A random program of arithmetic and choices, the same for one seed whatever folds it; and each step's variable."""
    builder = Builder(fold=folder)
    numbers = [builder.emit("input", attribute=i) for i in range(3)] + [builder.emit("parameter", attribute=0)]
    numbers += [builder.constant(draw.choice(CONSTANTS[:9])) for _ in range(3)]
    truths = [builder.constant(1.0), builder.constant(0.0), builder.emit("lt", numbers[0], numbers[1])]
    made = []
    for _ in range(steps):
        kind = draw.choice((*BINARY, *BINARY, "neg", "neg", "abs", "lt", "eq", *LOGIC))
        pick = [draw.randrange(1 << 30) for _ in range(3)]
        x, y = (numbers[p % len(numbers)] for p in pick[:2])
        p, q = (truths[p % len(truths)] for p in pick[1:])
        if kind in ("and", "or"):
            truths.append(builder.emit(kind, p, q))
        elif kind == "not":
            truths.append(builder.emit("not", p))
        elif kind in ("lt", "eq"):
            truths.append(builder.emit(kind, x, y))
        elif kind == "select":
            numbers.append(builder.emit("select", p, x, y))
        else:
            numbers.append(builder.emit(kind, x) if kind in ("neg", "abs") else builder.emit(kind, x, y))
        made.append(truths[-1] if kind in ("and", "or", "not", "lt", "eq") else numbers[-1])
    return builder, made


def _careful(operation: Any) -> Any:
    """The operation, with ``None`` for what is undefined."""

    def careful(*operands: Any) -> Any:
        if any(operand is None for operand in operands):
            return None
        try:
            return operation(*operands)
        except ZeroDivisionError:
            return None

    return careful


@pytest.mark.parametrize("seed", range(60))
def test_folding_keeps_every_exact_value(seed: int) -> None:
    arithmetic = type(EXACT)(EXACT.number, {name: _careful(f) for name, f in EXACT.operations.items()})
    plain, made = grown(random.Random(seed), None, 40)
    folded, remade = grown(random.Random(seed), fold, 40)
    draw = random.Random(-seed)
    leaves = {
        "input": [Fraction(draw.randrange(-40, 40), draw.randrange(1, 9)) for _ in range(3)],
        "parameter": [Fraction(draw.randrange(1, 40), 7)],
    }
    before = run(plain.program({}), arithmetic, leaves)
    after = run(folded.program({}), arithmetic, leaves)
    for old, new in zip(made, remade, strict=True):
        assert before[old] is None or after[new] == before[old]
    assert len(folded.assignments) <= len(plain.assignments) + 20


def check(operation: str, *arguments: Any, attribute: Any = None) -> str:
    """What becomes of an operation on named leaves and constants."""
    builder = Builder(fold=fold)
    names = {"u": builder.emit("input", attribute=0), "v": builder.emit("input", attribute=1)}
    names["p"] = builder.emit("parameter", attribute=0)
    names["t"] = builder.emit("lt", names["u"], names["v"])

    def variable(argument: Any) -> int:
        if isinstance(argument, tuple):
            return builder.emit(argument[0], *map(variable, argument[1:]))
        return names[argument] if isinstance(argument, str) else builder.constant(argument)

    def shown(number: int) -> str:
        step, own = builder.assignments[number], {v: k for k, v in names.items()}
        if number in own:
            return own[number]
        inside = ", ".join(map(shown, step.arguments))
        return repr(step.attribute) if step.operation == "constant" else f"{step.operation}({inside})"

    return shown(builder.emit(operation, *map(variable, arguments), attribute=attribute))


@pytest.mark.parametrize(
    ("operation", "arguments", "folded"),
    [
        ("neg", [("neg", "u")], "u"),
        ("neg", [2.5], "-2.5"),
        ("neg", [("sub", "u", "v")], "sub(v, u)"),
        ("add", ["u", 0.0], "u"),
        ("add", [-0.0, "u"], "u"),
        ("add", ["v", "u"], "add(u, v)"),
        ("add", ["u", ("neg", "v")], "sub(u, v)"),
        ("add", [("neg", "u"), "v"], "sub(v, u)"),
        ("add", [0.5, 0.25], "0.75"),
        ("sub", ["u", 0.0], "u"),
        ("sub", [0.0, "u"], "neg(u)"),
        ("sub", ["u", ("neg", "v")], "add(u, v)"),
        ("mul", ["u", 1.0], "u"),
        ("mul", [-1.0, "u"], "neg(u)"),
        ("mul", [2.0, "u"], "mul(u, 2.0)"),
        ("mul", ["v", "u"], "mul(u, v)"),
        ("mul", [("mul", "u", 2.0), 4.0], "mul(u, 8.0)"),
        ("mul", [("neg", "u"), 3.0], "mul(u, -3.0)"),
        ("mul", [("neg", "u"), "v"], "neg(mul(u, v))"),
        ("mul", [("neg", "p"), "u"], "mul(u, neg(p))"),
        ("div", ["u", 1.0], "u"),
        ("div", ["u", 4.0], "mul(u, 0.25)"),
        ("div", [("neg", "u"), "v"], "neg(div(u, v))"),
        ("div", ["u", ("neg", "v")], "neg(div(u, v))"),
        ("abs", [("neg", "u")], "abs(u)"),
        ("cos", [("neg", "u")], "cos(u)"),
        ("cosh", [("neg", "u")], "cosh(u)"),
        ("select", ["t", "u", "u"], "u"),
        ("select", [1.0, "u", "v"], "u"),
        ("select", [0.0, "u", "v"], "v"),
        ("not", [("not", "t")], "t"),
        ("and", ["t", 1.0], "t"),
        ("and", ["t", 0.0], "0.0"),
        ("or", ["t", 1.0], "1.0"),
        ("or", [0.0, "t"], "t"),
        ("and", ["t", "t"], "t"),
    ],
)
def test_what_is_folded(operation: str, arguments: list[Any], folded: str) -> None:
    assert check(operation, *arguments) == folded


@pytest.mark.parametrize(
    ("operation", "arguments", "kept"),
    [
        ("sub", ["u", "u"], "sub(u, u)"),  # NaN and infinities stay
        ("div", ["u", "u"], "div(u, u)"),
        ("div", ["u", 3.0], "div(u, 3.0)"),  # 1/3 is no double
        ("div", ["u", 0.0], "div(u, 0.0)"),
        ("div", ["u", 2.0**-1074], f"div(u, {2.0**-1074!r})"),
        ("add", [0.1, 0.2], "add(0.1, 0.2)"),
        ("mul", [0.1, 0.2], "mul(0.1, 0.2)"),
        ("mul", [1e200, 1e200], "mul(1e+200, 1e+200)"),
        ("add", [1.7e308, 1.7e308], "add(1.7e+308, 1.7e+308)"),
        ("mul", [("mul", "u", 0.1), 0.1], "mul(mul(u, 0.1), 0.1)"),
        ("sin", [("neg", "u")], "sin(neg(u))"),
        ("exp", [0.0], "exp(0.0)"),
        ("eq", ["u", "u"], "eq(u, u)"),
        ("abs", [("abs", "u")], "abs(abs(u))"),
    ],
)
def test_what_is_not_folded(operation: str, arguments: list[Any], kept: str) -> None:
    assert check(operation, *arguments) == kept


def test_zero_times_anything_is_zero_as_in_sympy() -> None:
    """SymPy has made 0*x a zero, and 0/x too, long before: infinities and NaN in x are not looked at."""
    assert check("mul", "u", 0.0) == check("mul", -0.0, "u") == check("div", 0.0, "u") == "0.0"


@pytest.mark.parametrize("operation", [*BINARY, "neg", "abs"])
def test_in_doubles_a_fold_changes_no_bit(operation: str) -> None:
    """Every pair of (possibly negated) leaves and constants; the sign of a zero aside."""
    count = 1 if operation in ("neg", "abs") else 2
    shapes: list[Any] = ["u", "v", "p", ("neg", "u"), ("neg", "p"), ("sub", "u", "v"), ("mul", "u", 2.0), *CONSTANTS]
    for arguments in itertools.product(shapes, repeat=count):
        results = []
        for folder in (None, fold):
            builder = Builder(fold=folder)
            names = {"u": builder.emit("input", attribute=0), "v": builder.emit("input", attribute=1)}
            names["p"] = builder.emit("parameter", attribute=0)
            made = [_made(builder, names, argument) for argument in arguments]
            root = builder.emit(operation, *made)
            leaves = {"input": [np.float64(0.1), np.float64(-1.7)], "parameter": [np.float64(2.3)]}
            results.append(float(run(builder.program({}), DOUBLES, leaves)[root]))
        plain, folded = results
        assert plain == folded or not math.isfinite(plain), f"{operation}{arguments}: {plain!r} became {folded!r}"


def test_two_constant_factors_become_one_and_round_once_less() -> None:
    builder = Builder(fold=fold)
    tripled = builder.emit("mul", builder.emit("input", attribute=0), builder.constant(3.0))
    once = builder.emit("mul", tripled, builder.constant(5.0))
    value = run(builder.program({}), DOUBLES, {"input": [np.float64(0.1)]})[once]
    assert value == 0.1 * 15 != 0.1 * 3 * 5


def _made(builder: Builder, names: dict[str, int], argument: Any) -> int:
    if isinstance(argument, tuple):
        return builder.emit(argument[0], *(_made(builder, names, a) for a in argument[1:]))
    return names[argument] if isinstance(argument, str) else builder.constant(argument)


@pytest.mark.parametrize(
    ("a", "b", "product"),
    [
        (3.0, 0.25, 0.75),
        (0.1, 10.0, None),
        (1e200, 1e200, None),
        (math.inf, 1.0, None),
        (math.nan, 1.0, None),
        (2.0**-1074, 0.5, None),
        (2.0**-1074, 2.0, 2.0**-1073),
        (2.0**-538, 2.0**-537, None),
        (1 + 2.0**-52, 1 + 2.0**-52, None),
    ],
)
def test_exact_product(a: float, b: float, product: float | None) -> None:
    assert exact_product(a, b) == product
