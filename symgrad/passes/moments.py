"""Moments of samples' gradients: programs of what is summed, or written, in place of a gradient.

The gradient of a sample is taken without its weight, which multiplies what is made of it.
"""

from __future__ import annotations

from functools import reduce
from itertools import accumulate
from operator import add

from symgrad.program import Builder, Program, Value, fold, size_of

from .curvature import Work, inner, place_in_theta

_TINY, _HUGE = 1e-290, 1e290  # squares beyond lose digits


def moments(name: str, program: Program) -> Program:
    """Return the program of what is called so.

    "outer_vector": the gradient times its product with a vector, which follows theta. "along": that product alone.
    "total": the weight. "norms 0-2,5-7 2-5": squared norms of the gradient at places of theta, from 0 up to 2 and from
    5 up to 7, and from 2 up to 5. "clipped ...": the gradient with none of these norms above its bound (bounds follow
    theta), and after it 1 where one was, else 0.
    """
    work = Work(_unweighted(program))
    kind, *blocks = name.split(" ")
    gradient = work.values(work.outputs["gradient"])
    if kind == "total":
        work.outputs = {"gradient": (work.builder.emit("weight", shape=()),)}
        return work.program()
    if kind == "clipped":
        return _clipped(work, gradient, [_within(work, block) for block in blocks])
    if kind == "norms":
        return _weighted(work, [reduce(add, (_square(gradient[k]) for k in _within(work, b))) for b in blocks])
    vector = work.values(place_in_theta(work, "gradient"))
    along = reduce(add, (inner(g, v) for g, v in zip(gradient, vector, strict=True)))
    return _weighted(work, [along] if kind == "along" else [along * g for g in gradient])


def _within(work: Work, block: str) -> list[int]:
    """Which of the gradient's variables lie in spans of theta."""
    starts = [0, *accumulate(map(size_of, work.shapes("gradient")))]
    spans = [range(*map(int, span.split("-"))) for span in block.split(",")]
    return [k for k, start in enumerate(starts[:-1]) if any(start in span for span in spans)]


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
    work.outputs = {"gradient": tuple(_times(weight, row).variable for row in rows)}
    return work.program()


def _times(number: Value, gradient: Value) -> Value:
    """Return a gradient times a number, so that what is a product of matrices stays one."""
    parts = gradient.arguments
    if gradient.operation in ("add", "sub", "neg", "transpose") and gradient.shape:
        return _same_operation(gradient, [_times(number, part) for part in parts])
    if gradient.operation == "matmul" and gradient.attribute is None:
        return (number * parts[0]) @ parts[1]
    return number * gradient


def _same_operation(value: Value, parts: list[Value]) -> Value:
    first, *others = parts
    return first.call(value.operation, *others)


def _clipped(work: Work, gradient: list[Value], blocks: list[list[int]]) -> Program:
    """The program of the clipped gradient. A norm is taken in a scale in which its square has all digits."""
    first = sum(size_of(g.shape) for g in gradient)
    one = Value(work.builder, work.builder.constant(1.0))
    rows, longer = list(gradient), one < 0.0
    for number, block in enumerate(blocks):
        bound = Value(work.builder, work.builder.emit("parameter", attribute=first + number, shape=()))
        square = reduce(add, (_square(gradient[k]) for k in block))
        scale = (square > _HUGE).choose(2.0**-600, (square < _TINY).choose(2.0**600, 1.0))
        norm = reduce(add, (_square(_times(scale, gradient[k])) for k in block)).call("sqrt") / scale
        is_longer = norm > bound
        factor = is_longer.choose(bound / norm, 1.0)
        longer = longer.call("or", is_longer)
        for k in block:
            rows[k] = _times(factor, gradient[k])
    return _weighted(work, [*rows, longer.choose(1.0, 0.0)])


def _square(gradient: Value) -> Value:
    """The squared norm; of a column times a row that of one times that of the other."""
    if not gradient.shape:
        return gradient * gradient
    if gradient.operation == "matmul" and gradient.attribute is None and gradient.arguments[0].shape[1] == 1:
        left, right = gradient.arguments
        return _square(left) * _square(right)
    return (gradient * gradient).call("total")
