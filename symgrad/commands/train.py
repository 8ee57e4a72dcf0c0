"""Training a classifier of the gallery by mini-batches: what `symgrad demo digits` shows."""

from collections.abc import Mapping
from dataclasses import dataclass

from symgrad.build import CompiledRisk
from symgrad.fitting import Epoch, accuracy, adam, held_back
from symgrad.gallery import Example
from symgrad.progress import Progress, progress

_ROW = "  {:>5}  {:>10}  {:>23}"


@dataclass(frozen=True, slots=True)
class Plan:
    """How an example is trained, and what has to come of it."""

    epochs: int
    batch: int
    rate: float
    wanted: float
    """the accuracy on rows held back that the demo has to reach"""


TRAINED: Mapping[str, Plan] = {"digits": Plan(epochs=40, batch=64, rate=0.01, wanted=0.95)}
"""Which examples are trained; the others are fitted to the last digit."""


def train(example: Example, start: str, compiled: CompiledRisk, plan: Plan) -> bool:
    """Train from a named start, telling how it goes; whether the accuracy wanted was reached."""
    learn, test = held_back(len(example.inputs))
    print(
        f"\nTraining from {start!r} on {len(learn)} rows, {plan.batch} at a time (Adam, rate {plan.rate:g}). "
        f"Every fifth row is held back: {len(test)} in all.\n"
    )
    print(_ROW.format("epoch", "mean loss", "right on rows held back"), flush=True)
    epochs = adam(
        compiled.gradient, example.starts[start], example.inputs[learn], example.targets[learn],
        epochs=plan.epochs, batch=plan.batch, rate=plan.rate,
    )  # fmt: skip
    seconds = 0.0
    with progress() as line:
        for epoch in epochs:
            seconds += epoch.seconds
            risk = compiled.risk(epoch.theta, example.inputs[learn], example.targets[learn])
            right = accuracy(compiled.predict(epoch.theta, example.inputs[test]), example.targets[test])
            _tell(line, epoch, plan, risk, right)
    print(f"\n  {plan.epochs} epochs in {seconds:.2f} s, {1e3 * seconds / plan.epochs:.1f} ms each. ", end="")
    print(f"{right:.1%} of the rows held back are recognised.")
    return right > plan.wanted


def _tell(line: Progress, epoch: Epoch, plan: Plan, risk: float, right: float) -> None:
    """A line for some epochs, closer together in the beginning; a bar on a terminal for all."""
    if _is_milestone(epoch.number) or epoch.number == plan.epochs:
        line.clear()
        print(_ROW.format(epoch.number, f"{risk:.5f}", f"{right:.1%}"), flush=True)
    if epoch.number < plan.epochs:
        line.bar("training", epoch.number, plan.epochs, f"mean loss {risk:.5f}")


def _is_milestone(number: int) -> bool:
    """1, 2, 5, 10, 20, 50, ..."""
    while number % 10 == 0:
        number //= 10
    return number in (1, 2, 5)
