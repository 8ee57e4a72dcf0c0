"""Lowering and dead code: nothing that is left could go, and no value changes."""

from collections.abc import Iterator
from typing import Any

import mpmath
import pytest
import sympy as sp

from symgrad import functions, gallery
from symgrad.declare import EmpiricalRisk
from symgrad.operations import TABLE
from symgrad.passes import lower
from symgrad.passes.lowering import eliminate_dead
from symgrad.pipeline import generate
from symgrad.program import LEAVES, Builder
from tests.helpers.evaluate import DIGITS, elements, run

a, b, u = sp.symbols("a b u", real=True)


def test_what_no_output_needs_goes_and_the_rest_keeps_its_order() -> None:
    builder = Builder()
    x = builder.emit("input", attribute=0)
    dead = builder.emit("exp", x)
    builder.emit("sin", dead)
    kept = builder.emit("cos", x)
    program = eliminate_dead(builder.program({"loss": (builder.emit("mul", kept, x),), "twice": (kept, kept)}))
    assert [step.operation for step in program.assignments] == ["input", "cos", "mul"]
    assert program.outputs == {"loss": (2,), "twice": (1, 1)}
    assert eliminate_dead(program) == program


@pytest.mark.parametrize("name", gallery.names())
def test_the_gallery_has_no_dead_code_and_nothing_left_to_lower(name: str) -> None:
    risk = next(risk for risk in gallery.RISKS if risk.name == name)
    program = generate(risk).lowered
    assert program.needed() == set(range(len(program.assignments)))
    operations = {step.operation for step in program.assignments} - set(LEAVES)
    assert all(TABLE[operation].lower is None for operation in operations)
    assert lower(program) == program
    steps = [(s.operation, s.arguments, repr(s.attribute)) for s in program.assignments]
    assert len(set(steps)) == len(steps)
    assert all(max(s.arguments, default=-1) < v for v, s in enumerate(program.assignments))


def test_pieces_of_lowerings_are_shared() -> None:
    """The softmax of every argument has one sum of exponentials, and that is the one of logsumexp."""
    loss = functions.logsumexp(a * u, b * u, a * b)
    risk = EmpiricalRisk.from_expression(loss, inputs=[u], targets=[], parameters=[a, b])
    lowered = generate(risk).lowered
    assert sum(step.operation == "exp" for step in lowered.assignments) == 3
    assert sum(step.operation == "log1p" for step in lowered.assignments) == 1


@pytest.mark.parametrize("name", gallery.names())
def test_lowering_keeps_every_output(name: str) -> None:
    risk = next(risk for risk in gallery.RISKS if risk.name == name)
    stages = generate(risk)
    numbers = [mpmath.mpf(k % 61 + 3) / 7 / (1 + k // 61) for k in range(3000)]
    leaves = {"parameter": numbers, "input": numbers[5:], "target": [mpmath.mpf(1)]}
    with mpmath.workdps(40):
        before, after = (run(program, DIGITS, leaves) for program in (stages.differentiated, stages.lowered))
        for result in stages.differentiated.outputs:
            places = zip(stages.differentiated.outputs[result], stages.lowered.outputs[result], strict=True)
            for x, y in ((x, y) for v, w in places for x, y in pairs(before[v], after[w])):
                assert abs(x - y) <= 1e-14 * abs(x), result


def pairs(first: Any, second: Any) -> Iterator[tuple[mpmath.mpf, mpmath.mpf]]:
    return zip(elements(first), elements(second), strict=True)
