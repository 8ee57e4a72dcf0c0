"""Random models of matrices through every stage, without a compiler: each says what the one before it says.

The traced and differentiated program against the oracle, which shares nothing with it; what is lowered, scheduled and
written as text against that program.
"""

from collections.abc import Sequence
from functools import cache
from math import prod
from typing import Any

import mpmath
import pytest
import sympy as sp
from hypothesis.errors import UnsatisfiedAssumption

from symgrad.declare import EmpiricalRisk, leaves
from symgrad.errors import DeclarationError, UnsupportedExpressionError
from symgrad.oracle import Reference
from symgrad.pipeline import Generated, generate
from symgrad.schedule import WITHOUT_LANES
from symgrad.schedule import plan as schedule
from tests.helpers.declaring import risk_of_all
from tests.helpers.evaluate import DIGITS, output
from tests.helpers.matrix_grammar import made
from tests.helpers.matrix_models import Modeller, label
from tests.helpers.run_kernel import run_function, run_once

from .test_loops import LANES, near, rows_of, run_text

SHAPES = ((2, 3), (3, 3), (3, 1), (2, 1))
NUMBERS = (0.6875, -1.3125, 0.40625, 1.84375, 0.28125, -0.71875, 0.59375, -0.15625, 1.21875, -0.4375, 0.9375)


def symbols_of(place: str) -> tuple[Any, ...]:
    names = (sp.MatrixSymbol(f"{name}{place}", *shape) for name, shape in zip("ABuv", SHAPES, strict=True))
    return (*names, sp.Symbol(f"s{place}", real=True))


PARAMETERS, INPUTS = symbols_of("_p"), symbols_of("_x")


def model(seed: int) -> tuple[Any, EmpiricalRisk] | None:
    """A loss in matrices that are parameters, and some that are inputs; ``None`` where SymPy makes no such thing."""
    try:
        loss, penalty = made(lambda: expressions(seed))
    except (UnsatisfiedAssumption, NotImplementedError, TypeError, IndexError, ValueError):
        return None  # SymPy's own: an element of an expression of which it does not know the shape, and the like
    declared = {"inputs": INPUTS, "targets": [label], "parameters": PARAMETERS, "penalty": penalty, "name": "random"}
    try:
        return loss, risk_of_all(loss, **declared)
    except DeclarationError as refused:  # so SymPy writes the element of an identity, and simplifies the rest away
        reasons = ("KroneckerDelta", "depends on no parameter", "applies the identity")
        if not any(reason in str(refused) for reason in reasons):
            raise
        return None


def expressions(seed: int) -> tuple[Any, Any]:
    maker = Modeller(seed, PARAMETERS)
    first = maker.scalar(2)
    maker.symbols = tuple(maker.rng.choice(pair) for pair in zip(PARAMETERS, INPUTS, strict=True))
    loss = sp.tanh(first) * PARAMETERS[0][0, 0] + maker.scalar(2) * maker.rng.choice([1, sp.Rational(1, 3), INPUTS[-1]])
    return loss, Modeller(seed + 1, PARAMETERS, labels=False).scalar(1)


def sample_of(seed: int) -> dict[str, list[Any]]:
    numbers = [mpmath.mpf(n) for n in (NUMBERS[seed % 7 :] + NUMBERS)]
    theta, inputs = (numbers * 4)[:21], (numbers[3:] * 4)[:21]
    theta[-1], inputs[-1] = mpmath.mpf(0.75), mpmath.mpf(1.25)
    rest = {"weight": [mpmath.mpf(1)], "cotangent": numbers * 20}
    return {"parameter": theta, "input": inputs, "target": [mpmath.mpf(seed % 3)], **rest}


@cache
def stages_of(seed: int) -> Generated | None:
    found = model(seed)
    if found is None:
        return None
    try:
        return generate(found[1])
    except UnsupportedExpressionError as refused:  # the logarithm of a matrix of zeros
        if "the greatest double" not in str(refused):
            raise
        return None


SEEDS = range(60)


@pytest.fixture(autouse=True)
def _many_digits() -> Any:
    with mpmath.workdps(80):
        yield


def checked_program(seed: int) -> None:
    found, stages = model(seed), stages_of(seed)
    if found is None or stages is None:
        return
    sample = sample_of(seed)
    true = Reference(found[1]).sample(*(list(map(float, sample[role])) for role in ("parameter", "input", "target")))
    (loss,) = output(stages.traced, "loss", DIGITS, sample)
    close([loss], [true.loss], 1e-13)
    # constants are doubles in the program: what is large beside its derivative shows it
    close(output(stages.differentiated, "gradient", DIGITS, sample), true.gradient, 1e-13)


def checked_kernel(seed: int) -> None:
    stages = stages_of(seed)
    if stages is None:
        return
    before, kernel = stages.differentiated, stages.kernel
    samples = [sample_of(seed), {**sample_of(seed), "input": sample_of(seed + 1)["input"], "weight": [mpmath.mpf(3)]}]
    assert len(samples) == LANES
    penalty = [n for name in ("penalty", "penalty_gradient") for n in output(before, name, DIGITS, samples[0])]
    close(run_once(kernel, DIGITS, samples[0])[: len(penalty)], penalty)
    c_rows, rows = run_text(kernel, samples)
    close(c_rows[: len(penalty)], penalty)
    for lane, sample in enumerate(samples):
        loss, gradient = (output(before, name, DIGITS, sample) for name in ("loss", "gradient"))
        close(run_function(kernel, "gradients", DIGITS, sample), (*loss, *gradient))
        for function in kernel.functions:
            true = rows_of(kernel, function, sample)
            got = rows[function.name] if function.name in WITHOUT_LANES else rows[function.name][lane::LANES]
            assert all(near(g, t) for g, t in zip(got, true, strict=True))


def close(got: Sequence[Any], true: Sequence[Any], scale: float = 1e-14) -> None:
    """Nearly equal; both NaN, or both infinite, where the loss is."""
    assert len(got) == len(true)
    finite = [t for t in true if mpmath.isfinite(t)]
    most = max(map(abs, finite), default=0)
    for g, t in zip(got, true, strict=True):
        if mpmath.isfinite(t):
            assert abs(g - t) <= 1e-13 * abs(t) + scale * most + 1e-30, (got, true)
        else:
            assert not mpmath.isfinite(g), (got, true)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_program_means_what_is_declared(seed: int) -> None:
    checked_program(seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_kernel_and_its_text_are_the_program(seed: int) -> None:
    checked_kernel(seed)


@pytest.mark.parametrize("seed", range(0, 60, 3))
def test_split_loops_are_the_program(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "LONGEST_BODY", 1 + seed % 5)
    stages_of.cache_clear()
    checked_kernel(seed)
    stages_of.cache_clear()


def test_most_seeds_make_a_model() -> None:
    assert sum(stages_of(seed) is not None for seed in SEEDS) > 50
    risks = [found[1] for seed in SEEDS if (found := model(seed))]
    assert all(len(leaves(*risk.parameters)) == sum(map(prod, SHAPES)) + 1 for risk in risks)
