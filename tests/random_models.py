"""Random models by the thousand, run by hand: ``python tests/random_models.py 10000 --seed 1``.

Each model of the grammar is compiled, and its value and gradient are held against what is true of it at points of
moderate size and at extreme ones. What is wrong beyond the promise (four times the running error bound, or 4 ULP), and
what cannot be compiled, is shrunk to a small model and reported. Exit status 1 if there is any.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import sympy as sp

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from symgrad.passes import lower
from tests.helpers.evaluate import DOUBLES, output
from tests.helpers.grammar import INPUTS, PARAMETERS, TARGET, risk_of
from tests.helpers.random_batches import (
    Batch,
    Finding,
    Got,
    Point,
    collected,
    findings,
    points,
    program_of,
    shrunk,
    truth,
)

# Python's own lgamma is several units off near its roots, where the C library's is not.
_LGAMMA = {"lgamma": lambda x: np.float64(mpmath.re(mpmath.loggamma(mpmath.mpf(float(x)))) if x > 0 else np.nan)}
IEEE = replace(DOUBLES, operations={**DOUBLES.operations, **_LGAMMA})
BATCH = 100
WILD = 10  # points with something extreme
SHRUNK = 40  # findings that are shrunk, of each kind


class Uncompiled:
    """As `Batch`, but what is generated is run in doubles, with NumPy's functions and without a compiler."""

    def __init__(self, expressions: Sequence[Any]) -> None:
        self._programs = [lower(program_of(risk)) for risk in map(risk_of, expressions) if risk is not None]

    def at(self, point: Point) -> list[Got]:
        """Every model's value and gradient at a point."""
        groups = {"parameter": PARAMETERS, "input": INPUTS, "target": (TARGET,)}
        leaves = {role: [np.float64(point[symbol]) for symbol in group] for role, group in groups.items()}
        found = []
        for program in self._programs:
            loss, *gradient = (float(x) for name in ("loss", "gradient") for x in output(program, name, IEEE, leaves))
            found.append(Got(loss, tuple(gradient)))
        return found


def wrong_in_doubles(expression: Any, point: Point, in_range: bool) -> list[Finding]:
    """What of a model is wrong without a compiler already."""
    try:
        got = Uncompiled([expression]).at(point)
    except (ArithmeticError, TypeError, ValueError, KeyError):
        return []
    true = truth(expression, point) if got else None
    if true is None:
        return []
    return [finding for finding in findings(expression, point, got[0], true) if finding.in_range == in_range]


def wrong(batch: Any, expressions: Sequence[Any], places: Sequence[Point], tally: Counter[str]) -> Iterator[Finding]:
    """What is wrong with the models of a batch."""
    for point in places:
        for expression, got in zip(expressions, batch.at(point), strict=True):
            true = truth(expression, point)
            if true is None:
                tally["points where roundings decide"] += 1
                continue
            tally["points"] += 1
            tally["points where something leaves the range"] += not true.in_range
            outputs = (true.loss, *true.gradient)
            tally["values"] += len(outputs)
            tally["values with digits to compare"] += sum(t.says_something() for t in outputs)
            found = list(findings(expression, point, got, true))
            tally["wrong values"] += sum(f.in_range for f in found)
            tally["wrong values where something leaves the range"] += sum(not f.in_range for f in found)
            yield from found


def run(
    expressions: Sequence[Any], places: Sequence[Point], tally: Counter[str], make: Callable[[Any], Any] = Batch
) -> tuple[list[Finding], list[Any]]:
    """The first finding of each model, and the models that cannot be compiled or run."""
    try:
        first: dict[Any, Finding] = {}
        for finding in wrong(make(expressions), expressions, places, tally):
            old = first.setdefault(finding.expression, finding)
            if finding.in_range and not old.in_range:
                first[finding.expression] = finding
        return list(first.values()), []
    except Exception as error:  # whatever it is, it is a finding: which model is it?
        if len(expressions) == 1:
            print(f"CRASH {expressions[0]}: {type(error).__name__}: {error}", flush=True)
            tally["crashes"] += 1
            return [], list(expressions)
    middle = len(expressions) // 2
    halves = [run(part, places, tally, make) for part in (expressions[:middle], expressions[middle:])]
    return [f for found, _ in halves for f in found], [e for _, crashed in halves for e in crashed]


def reproduced(finding: Finding) -> Finding:
    """A small model with the same kind of fault at the same point; the finding itself if it takes the compiled code."""
    at, in_range = finding.point, finding.in_range
    if not wrong_in_doubles(finding.expression, at, in_range):
        return finding
    small = shrunk(finding.expression, lambda e: bool(wrong_in_doubles(e, at, in_range)))
    return wrong_in_doubles(small, at, in_range)[0]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Random models against what is true of them.")
    parser.add_argument("models", type=int, nargs="?", default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--no-build", action="store_true", help="run what is generated in doubles, without a compiler")
    options = parser.parse_args(arguments)
    make = Uncompiled if options.no_build else Batch
    tally: Counter[str] = Counter()
    known: dict[str, Finding] = {}
    shrinks: Counter[bool] = Counter()
    started, done, number = time.perf_counter(), 0, options.seed * 100_003
    while done < options.models:
        expressions = collected(min(BATCH, options.models - done), number, options.depth)
        faults, _ = run(expressions, points(number, 4, WILD), tally, make)
        for finding in faults:
            tally["models with wrong values"] += finding.in_range
            shrinks[finding.in_range] += 1
            if shrinks[finding.in_range] <= SHRUNK:
                small = reproduced(finding)
                key = f"{small.in_range} {_without_names(small.expression)}"
                if key not in known:
                    known[key] = small
                    print(f"WRONG {small}", flush=True)
        done, number = done + len(expressions), number + 1
        print(f"{done} models, {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    for what, count in tally.items():
        print(f"{count:8d} {what}")
    return 1 if tally["wrong values"] or tally["crashes"] else 0


def _without_names(expression: Any) -> str:
    order = [s for s in sp.preorder_traversal(expression) if s.is_Symbol]
    return str(expression.xreplace({s: sp.Symbol(f"x{i}", real=True) for i, s in enumerate(dict.fromkeys(order))}))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
