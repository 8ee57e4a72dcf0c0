"""Which parameters a prediction is linear in: where it is, they can be solved for, and need not be searched.

A second derivative is structurally zero where no operation on the way can bring one: sums keep what their terms have,
a product adds the pairs of one factor's parameter with the other's, any other operation all pairs of its arguments'.
"""

from __future__ import annotations

from collections.abc import Iterable

from symgrad.program import Program, size_of

Pair = frozenset[int]  # of one parameter with another, or with itself
_LINEAR = {"add", "sub", "neg", "total", "fill", "transpose", "slice", "embed", "assemble", "hold"}
_PRODUCTS = {"mul", "matmul"}


def curved_pairs(program: Program, output: str = "prediction") -> tuple[dict[int, int], set[Pair]]:
    """Return of which leaf each place in theta is, and the pairs of leaves by which an output may be curved.

    A leaf is a parameter that the program has whole, a number or a matrix, and is called by its first place. A leaf
    with itself is a pair of one. What the program doesn't use has no leaf.
    """
    leaves: dict[int, int] = {}
    pairs: set[Pair] = set()
    uses: list[frozenset[int]] = []
    needed = _behind(program, program.outputs[output])
    for number, step in enumerate(program.assignments):
        if number not in needed:
            uses.append(frozenset())
            continue
        arguments = [uses[a] for a in step.arguments]
        if step.operation == "parameter":
            assert isinstance(step.attribute, int)
            leaves |= dict.fromkeys(range(step.attribute, step.attribute + size_of(step.shape)), step.attribute)
            uses.append(frozenset([step.attribute]))
            continue
        together = frozenset[int]().union(*arguments)
        uses.append(together)
        if step.operation in _LINEAR:
            continue
        if step.operation in _PRODUCTS and len(arguments) == 2:
            pairs |= _pairs(*arguments)
        elif step.operation == "div":
            pairs |= _pairs(arguments[1], together)
        elif step.operation in ("select", "pick"):  # a condition and what it chooses from; a matrix and an index
            choosing = arguments[0] if step.operation == "select" else arguments[1]
            pairs |= _pairs(choosing, together)
        else:
            pairs |= _pairs(together, together)
    return leaves, pairs


def _pairs(some: Iterable[int], others: Iterable[int]) -> set[Pair]:
    others = tuple(others)
    return {frozenset((a, b)) for a in some for b in others}


def _behind(program: Program, variables: Iterable[int]) -> set[int]:
    """Every variable that some variables are computed from, and these."""
    needed, work = set(variables), list(variables)
    while work:
        for argument in program.assignments[work.pop()].arguments:
            if argument not in needed:
                needed.add(argument)
                work.append(argument)
    return needed
