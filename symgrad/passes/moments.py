"""Moments of samples' gradients: programs of what is summed, or written, in place of a gradient.

The gradient of a sample is taken without its weight, which multiplies what is made of it.
"""

from __future__ import annotations

from functools import reduce
from operator import add

from symgrad.program import Builder, Program, Value, fold

from .curvature import Work, inner, place_in_theta


def moments(name: str, program: Program) -> Program:
    """Return the program of what is called so.

    "second_moment": squares, and after all of them what each was rounded by. "outer": products of each two elements,
    the rows of the lower triangle. "outer_vector": the gradient times its product with a vector, which follows theta.
    "along": that product alone. "total": the weight. "norms 0,1 2": squared norms of the gradient by parameters 0 and
    1, and of that by parameter 2.
    """
    work = Work(_unweighted(program))
    kind, *blocks = name.split(" ")
    gradient = work.values(work.outputs["gradient"])
    if kind == "total":
        work.outputs = {"gradient": (work.builder.emit("weight", shape=()),)}
        return work.program()
    if kind == "second_moment":
        squares = [g * g for g in gradient]
        lost = [g.call("fma", g, -square) for g, square in zip(gradient, squares, strict=True)]
        return _weighted(work, [*squares, *lost])
    if kind == "outer":
        elements = work.values(work.elements(work.outputs["gradient"]))
        return _weighted(work, [x * y for k, x in enumerate(elements) for y in elements[: k + 1]])
    if kind == "norms":
        chosen = [[gradient[int(k)] for k in block.split(",")] for block in blocks]
        return _weighted(work, [reduce(add, map(_square, block)) for block in chosen])
    vector = work.values(place_in_theta(work, "gradient"))
    along = reduce(add, (inner(g, v) for g, v in zip(gradient, vector, strict=True)))
    return _weighted(work, [along] if kind == "along" else [along * g for g in gradient])


def _unweighted(program: Program) -> Program:
    """The program in which the weight is 1."""
    builder, numbers = Builder(fold=fold), list[int]()
    for step in program.assignments:
        arguments = tuple(numbers[a] for a in step.arguments)
        shape = None if arguments else step.shape
        one = step.operation == "weight"
        number = (
            builder.constant(1.0)
            if one
            else builder.emit(step.operation, *arguments, attribute=step.attribute, shape=shape)
        )
        numbers.append(number)
    return builder.program({name: tuple(numbers[v] for v in vs) for name, vs in program.outputs.items()})


def _weighted(work: Work, rows: list[Value]) -> Program:
    weight = Value(work.builder, work.builder.emit("weight", shape=()))
    work.outputs = {"gradient": tuple((weight * row).variable for row in rows)}
    return work.program()


def _square(gradient: Value) -> Value:
    """The squared norm; of a column times a row that of one times that of the other."""
    if not gradient.shape:
        return gradient * gradient
    if gradient.operation == "matmul" and gradient.attribute is None and gradient.arguments[0].shape[1] == 1:
        left, right = gradient.arguments
        return _square(left) * _square(right)
    return (gradient * gradient).call("total")
