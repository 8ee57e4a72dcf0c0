"""Gradients that are products of two matrices that vary: the sweep sums them over a tile, as one product each."""

from functools import partial, reduce
from itertools import accumulate

from symgrad.program import Builder, Program, size_of

from .kernel import Outer
from .steps import same_elements


def separate_products(program: Program) -> tuple[Program, tuple[Outer, ...]]:
    """Return the program whose gradients lack their products of two matrices that vary, and these products."""
    builder = Builder(program.assignments)  # nothing is folded: that would take signs out of products again
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


def _terms(builder: Builder, variable: int, factors: tuple[int, ...] = (), turned: bool = False) -> list[int]:
    """The terms of a sum of matrices, times factors (-1: a sign), and turned.

    A product takes them into its own matrices, so that they do not hide it: -(a @ b).T is (-b.T) @ a.T.
    """
    assignment = builder.assignments[variable]
    arguments = assignment.arguments
    if assignment.operation in ("add", "sub") and assignment.shape:
        signs = ((), () if assignment.operation == "add" else (-1,))
        parts = zip(arguments, signs, strict=True)
        return [term for a, sign in parts for term in _terms(builder, a, (*factors, *sign), turned)]
    numbers = tuple(a for a in arguments if not builder.assignments[a].shape)
    if assignment.operation == "neg":
        return _terms(builder, arguments[0], (*factors, -1), turned)
    if assignment.operation == "transpose":
        return _terms(builder, arguments[0], factors, not turned)
    if assignment.operation == "mul" and len(numbers) == 1:
        (matrix,) = (a for a in arguments if a not in numbers)
        return _terms(builder, matrix, (*factors, *numbers), turned)
    if _is_outer(builder, variable):
        left, right = (builder.emit("transpose", a) for a in arguments[::-1]) if turned else arguments
        return [builder.emit("matmul", reduce(partial(_scaled, builder), factors, left), right)]
    whole = builder.emit("transpose", variable) if turned else variable
    return [reduce(partial(_scaled, builder), factors, whole)]


def _scaled(builder: Builder, variable: int, factor: int) -> int:
    return builder.emit("neg", variable) if factor == -1 else builder.emit("mul", factor, variable)


def _is_outer(builder: Builder, variable: int) -> bool:
    assignment = builder.assignments[variable]
    return assignment.operation == "matmul" and all(builder.varies[a] for a in assignment.arguments)
