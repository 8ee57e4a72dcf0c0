"""Stable forms: what people write is replaced by what keeps its digits, before anything is differentiated.

Each rule says what it replaces, in the words that `compiled.rewrites` and `symgrad show` print.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .fold import fold
from .program import Assignment, Builder, Program


@dataclass(frozen=True, slots=True)
class StableForm:
    """One rule: the operation that it looks at, and the variable that does better, if the pattern is there."""

    name: str
    operation: str
    replace: Callable[[Builder, Assignment], int | None]


def _log_sum_exp(builder: Builder, log: Assignment) -> int | None:
    total = builder.assignments[log.arguments[0]]
    if total.operation != "total":
        return None
    exponentials = builder.assignments[total.arguments[0]]
    return builder.emit("logsumexp_all", *exponentials.arguments) if exponentials.operation == "exp" else None


RULES: tuple[StableForm, ...] = (
    # the sum overflows past 709, and is 0 where every exponential underflows
    StableForm("log(Sum(exp(x))) -> logsumexp(x)", "log", _log_sum_exp),
)


def stabilise(program: Program) -> tuple[Program, tuple[str, ...]]:
    """The program in its stable forms, and the names of the rules that were used, each once."""
    builder, numbers, used = Builder(fold=fold), list[int](), dict[str, None]()
    for assignment in program.assignments:
        arguments = tuple(numbers[a] for a in assignment.arguments)
        moved = Assignment(assignment.operation, arguments, assignment.attribute, assignment.shape)
        numbers.append(_stable(builder, moved, used))
    return builder.program({name: tuple(numbers[v] for v in vs) for name, vs in program.outputs.items()}), tuple(used)


def _stable(builder: Builder, assignment: Assignment, used: dict[str, None]) -> int:
    for rule in RULES:
        if rule.operation == assignment.operation:
            better = rule.replace(builder, assignment)
            if better is not None:
                used[rule.name] = None
                return better
    return builder.emit(
        assignment.operation, *assignment.arguments, attribute=assignment.attribute, shape=assignment.shape
    )
