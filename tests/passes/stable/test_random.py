"""Random compositions of what stable forms look for: nothing changes, neither where there is a value nor what it is."""

import random
from typing import Any

import mpmath
import pytest
from mpmath import mpf

from symgrad.passes import derive
from symgrad.program import Program

from .case import Point
from .compositions import composition
from .test_rules import declared, results, rewritten, symbols_of

POINTS: tuple[Point, ...] = ((0.625, 1.375), (-1.25, 0.75), (2.5, -0.375), (0.0, 1.0), (1.0, 0.0))
BATCH, BATCHES = 10, 15


@pytest.mark.parametrize("batch", range(BATCHES))
def test_nothing_changes_in_random_compositions(batch: int) -> None:
    for seed in range(batch * BATCH, (batch + 1) * BATCH):
        draw = random.Random(seed)
        expression = composition(draw, draw.choice((2, 3, 3)))
        fault = fault_of(expression)
        assert not fault, f"{expression} (seed {seed}) {fault}"


def fault_of(expression: Any) -> str:
    """What is other in the stable form than in the declared one; nothing, if all is the same."""
    program = declared(expression, symbols_of(expression))
    plain, better = derive(program), rewritten(program)
    for place in POINTS:
        point = place[: len(symbols_of(expression))]
        for digits in (60, 120, 400):
            with mpmath.workdps(digits):
                true, got = (results(p, [mpf(number) for number in point]) for p in (plain, better))
                bad = [pair for pair in zip(true, got, strict=True) if not _is_same(*pair, true, got)]
                # at the edge of a domain 0/0 may become something else that is undefined; infinities have no slopes
                at_an_edge = 0.0 in point and not mpmath.isfinite(true[0]) and not mpmath.isfinite(got[0])
                if not bad or at_an_edge or _is_removed(plain, point, got[0]):
                    break
        else:
            shown = [tuple(mpmath.nstr(number, 12) for number in pair) for pair in bad]
            return f"at {point}: declared and stable are {shown}"
    return ""


def _is_same(true: Any, now: Any, declared_results: Any, stable_results: Any) -> bool:
    if mpmath.isfinite(true):
        # doubles are in stable forms, log(2) and the terms of series: what is 1e-15 of the greatest result is theirs
        most = max(abs(number) for number in declared_results if mpmath.isfinite(number))
        return bool(mpmath.isfinite(now) and abs(now - true) <= mpf("1e-14") * abs(true) + mpf("1e-15") * most)
    if mpmath.isnan(declared_results[0]):
        return bool(mpmath.isnan(now) or now == true or (mpmath.isinf(now) and mpmath.isinf(stable_results[0])))
    return True  # a derivative that the chain rule does not get as it is declared


def _is_removed(plain: Program, point: Point, value: Any) -> bool:
    """Whether there is a value where the declared form has a gap that its neighbourhood fills, as sin(x)/x at 0."""
    if not mpmath.isfinite(value):
        return False
    step, nowhere = mpf(10) ** -30, 0.0 in point  # x**y log(x) comes to its limit slowly
    for side in (1, -1):
        near = results(plain, [mpf(number) + side * step * (k + 1) for k, number in enumerate(point)])[0]
        if mpmath.isfinite(near) and abs(near - value) <= mpf("1e-9") * (1 + abs(value)):
            return True
        nowhere = nowhere and bool(mpmath.isnan(near))
    return nowhere  # as (-1)**0 has a value between (-1)**1e-30 and (-1)**-1e-30
