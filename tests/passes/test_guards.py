"""The algebra of guards against truth tables, and the conditions it writes."""

import itertools
import random

import pytest

from symgrad.passes.guards import ALWAYS, Guard, both, condition_of, either
from symgrad.program import Builder, fold
from tests.helpers.evaluate import EXACT, run

VARIABLES = range(4)
TRUTHS = list(itertools.product((False, True), repeat=len(VARIABLES)))


def holds(guard: Guard, truth: tuple[bool, ...]) -> bool:
    return any(all(truth[v] == sign for v, sign in term) for term in guard)


def guard_of(*terms: str) -> Guard:
    """``guard_of("0!1", "2")``: condition 0 without 1, or condition 2."""
    found = set()
    for term in terms:
        signs = [(int(digit), term[max(place - 1, 0)] != "!") for place, digit in enumerate(term) if digit != "!"]
        found.add(frozenset(signs))
    return frozenset(found)


def drawn(draw: random.Random, most: int = 4) -> Guard:
    terms = (
        frozenset((v, draw.random() < 0.5) for v in draw.sample(VARIABLES, draw.randint(1, 4)))
        for _ in range(draw.randint(1, most))
    )
    return frozenset(terms)


@pytest.mark.parametrize("seed", range(300))
def test_both_and_either_are_and_and_or(seed: int) -> None:
    draw = random.Random(seed)
    first, second, third = drawn(draw), drawn(draw), drawn(draw, 2)
    for truth in TRUTHS:
        assert holds(both(first, second), truth) == (holds(first, truth) and holds(second, truth))
        assert holds(either([first, second]), truth) == (holds(first, truth) or holds(second, truth))
        assert holds(either([both(first, second), third]), truth) == (
            holds(third, truth) or (holds(first, truth) and holds(second, truth))
        )


@pytest.mark.parametrize(
    ("guards", "expected"),
    [
        ([guard_of("0"), guard_of("!0")], ALWAYS),
        ([guard_of("0"), guard_of("!01"), guard_of("!0!1")], ALWAYS),
        ([guard_of("01"), guard_of("0!1")], guard_of("0")),
        ([guard_of("0"), guard_of("01")], guard_of("0")),
        ([guard_of("0"), guard_of("!01")], guard_of("0", "1")),
        ([ALWAYS, guard_of("0")], ALWAYS),
        ([guard_of("0")], guard_of("0")),
    ],
)
def test_what_both_branches_use_needs_no_guard(guards: list[Guard], expected: Guard) -> None:
    assert either(guards) == expected


def test_what_can_never_be_is_empty() -> None:
    assert both(guard_of("0"), guard_of("!0")) == frozenset()
    assert both(ALWAYS, guard_of("0!1")) == guard_of("0!1")


@pytest.mark.parametrize("seed", range(40))
def test_the_condition_is_the_guard(seed: int) -> None:
    guard = either([drawn(random.Random(seed))])
    builder = Builder(fold=fold)
    assert [builder.emit("input", attribute=v) for v in VARIABLES] == list(VARIABLES)
    root = condition_of(guard, builder)
    for truth in TRUTHS:
        values = run(builder.program({}), EXACT, {"input": [int(t) for t in truth]})
        assert bool(values[root]) == holds(guard, truth)


def test_the_condition_of_always_and_never_is_a_constant() -> None:
    builder = Builder(fold=fold)
    assert builder.constant_value(condition_of(ALWAYS, builder)) == 1.0
    assert builder.constant_value(condition_of(frozenset(), builder)) == 0.0


def test_a_guard_of_many_branches_forgets_none_of_them() -> None:
    terms = [frozenset([*((w, False) for w in range(v)), (v, True)]) for v in range(0, 40, 2)]
    guard = either([frozenset([term]) for term in terms])
    assert all(holds(guard, tuple(w == v for w in range(40))) for v in range(0, 40, 2))
