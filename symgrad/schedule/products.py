"""Gradients that are products of two matrices that vary: the sweep sums them over a tile, as one product each."""

from itertools import accumulate

from symgrad.program import Builder, Program, fold, size_of

from .kernel import Outer
from .steps import same_elements


def separate_products(program: Program) -> tuple[Program, tuple[Outer, ...]]:
    """Return the program whose gradients lack their products of two matrices that vary, and these products."""
    builder = Builder(program.assignments, fold)
    rests: list[int] = []
    outers: list[Outer] = []
    places = accumulate((size_of(program.assignments[v].shape) for v in program.outputs["gradient"]), initial=0)
    for at, gradient in zip(places, program.outputs["gradient"], strict=False):
        terms = _terms(builder, gradient)
        products = [v for v in terms if _is_outer(builder, v)]
        rest = [v for v in terms if v not in products] or [builder.constant(0.0)]
        total = gradient if not products else rest[0]
        for term in rest[1:] if products else []:
            total = builder.emit("add", total, term)
        rests.append(total)
        for product in products:
            left, right = builder.assignments[product].arguments
            (m, p), (_, k) = builder.assignments[left].shape, builder.assignments[right].shape
            outers.append(Outer(at, left, right, m, p, k))
    separated = builder.program({**program.outputs, "gradient": tuple(rests)})
    homes = same_elements(separated)
    return separated, tuple(Outer(o.at, homes[o.left], homes[o.right], o.m, o.p, o.k) for o in outers)


def _terms(builder: Builder, variable: int) -> list[int]:
    assignment = builder.assignments[variable]
    if assignment.operation != "add" or not assignment.shape:
        return [variable]
    return [term for a in assignment.arguments for term in _terms(builder, a)]


def _is_outer(builder: Builder, variable: int) -> bool:
    assignment = builder.assignments[variable]
    return assignment.operation == "matmul" and all(builder.varies[a] for a in assignment.arguments)
