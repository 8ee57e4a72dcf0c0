"""The operations that move or join elements: products, sums over elements, parts of matrices, class labels.

All others work element by element. A pullback may hand a scalar to a matrix, which stands for a matrix filled with it,
and a matrix to a scalar, which gets the sum of its elements: the sweep fits the shapes. So ``total`` and ``fill`` are
each other's pullbacks, and neither has to say so. (The rules are those of Giles, *Collected matrix derivative results
for forward and reverse mode algorithmic differentiation*, 2008, for real matrices.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

from symgrad.program import (
    PRODUCT_STEP,
    STEP,
    Flops,
    Form,
    Place,
    Shape,
    ShapeRule,
    Value,
    flops_of_elements,
    no_flops,
    size_of,
)

from .operation import Guards, Lowering, Operation, Pullback, Tail, lowered


def _place(x: Value, shape: Shape) -> Value:
    """The matrix of each element's own place: 0, 1, 2, ... in C order."""
    return Value(x.builder, x.builder.emit("place", attribute=shape))


def _unless_valid(index: Value, shape: Shape) -> Value:
    """0 where an index names one of the elements, else NaN."""
    inside = (index >= 0).call("and", index < size_of(shape)).call("and", index.equals(index.call("floor")))
    return inside.choose(0.0, float("nan"))


def _pick(x: Value, index: Value) -> Value:
    here = _place(x, x.shape).equals(index)
    return here.choose(x, _unless_valid(index, x.shape)).call("total")


def _picked(x: Value, index: Value) -> tuple[Value, Value]:
    """Where an element can matter: where the index names it, and all, if it names none."""
    elsewhere = _place(x, x.shape).equals(index).call("not").call("and", _unless_valid(index, x.shape).equals(0))
    return elsewhere.call("not"), Value(x.builder, x.builder.constant(1.0))


def _part(x: Value, part: Shape) -> tuple[Value]:
    """Where an element is in a part of its matrix."""
    rows, columns = x.shape
    place = _place(x, x.shape)
    column = place.call("fmod", columns)
    row = (place - column) / columns
    bounds = ((row, part[0], part[2], rows), (column, part[1], part[3], columns))
    inside = [(at >= first).call("and", at < first + size) for at, first, size, whole in bounds if size < whole]
    return (reduce(lambda a, b: a.call("and", b), inside, Value(x.builder, x.builder.constant(1.0))),)


def _put(x: Value, index: Value, shape: Shape) -> Value:
    return _place(x, shape).equals(index).choose(x, _unless_valid(index, shape))


def _largest_pullback(c: Value, r: Value, x: Value) -> tuple[Value]:
    wins = x.equals(r).choose(1.0, 0.0)
    return (wins * (c / wins.call("total")),)


def _embed_pullback(c: Value, r: Value, *arguments: Any) -> tuple[Value, ...]:
    *parts, corners = arguments
    places = zip(corners[:-2:2], corners[1:-2:2], strict=True)
    return tuple(c.call("slice", attribute=(*at, *x.shape)) for x, at in zip(parts, places, strict=True))


def _assemble_pullback(c: Value, r: Value, *arguments: Value | Shape) -> tuple[Value, ...]:
    rows, columns = r.shape
    places = [(i, j, 1, 1) for i in range(rows) for j in range(columns)]
    return tuple(c.call("slice", attribute=place).call("total") for place in places)


def _shifted_exponentials(x: Value) -> tuple[Value, Value, Value, Value]:
    """The largest element, where it stands, ``exp(x - largest)`` elsewhere, and the sum of all of these less one.

    Equal infinities differ by zero, not by NaN.
    """
    largest = x.call("largest")
    wins = x.equals(largest)
    others = wins.choose(0.0, (x - largest).call("exp"))
    rest = (wins.choose(1.0, 0.0).call("total") - 1) + others.call("total")
    return largest, wins, others, rest


def _logsumexp(x: Value) -> Value:
    largest, _, _, rest = _shifted_exponentials(x)
    return largest + rest.call("log1p")


def _softmax(x: Value) -> Value:
    _, wins, others, rest = _shifted_exponentials(x)
    return wins.choose(1.0, others) / (1 + rest)


def _softmax_pullback(c: Value, r: Value, x: Value) -> tuple[Value]:
    """``r (c - sum of r c)``. It is the same for c less any number, and less that at the greatest share no digits go.

    That share may be nearly one: of its own c, less the sum, nothing would be left but what was rounded.
    """
    wins = x.equals(x.call("largest"))
    at_greatest = wins.choose(c, 0.0).call("total") / wins.choose(1.0, 0.0).call("total")
    less = c - at_greatest.call("hold")
    return (r * (less - (less * r).call("total")),)


def _shape_of_product(shapes: Sequence[Shape], attribute: Any) -> Shape:
    turned = attribute or (0, 0)  # which of the two is read by its columns
    (rows, inner), (same, columns) = (s[::-1] if t else s for s, t in zip(shapes, turned, strict=True))
    assert inner == same, f"matmul of {shapes}"
    return rows, columns


def _transposed(shapes: Sequence[Shape], attribute: Any) -> Shape:
    return shapes[0][::-1]


def _scalar(shapes: Sequence[Shape], attribute: Any) -> Shape:
    return ()


def _told(shapes: Sequence[Shape], attribute: Any) -> Shape:
    return tuple(attribute)


def _last_two(shapes: Sequence[Shape], attribute: Any) -> Shape:
    return tuple(attribute[-2:])


def _flops_of_product(shapes: Sequence[Shape], shape: Shape) -> int:
    return 2 * size_of(shapes[0]) * size_of(shape) // shape[0]


def _flops_of_total(shapes: Sequence[Shape], shape: Shape) -> int:
    return 0 if size_of(shapes[0]) == 1 else size_of(shapes[0])  # one element is its own sum


def _joint(
    name: str,
    pullback: Pullback,
    tail: Tail,
    shape: ShapeRule,
    place: Place,
    form: Form,
    flops: Flops,
    lower: Lowering | None = None,
    guards: Guards | None = None,
) -> Operation:
    """Return the row of an operation that moves or joins elements, or makes one number of all."""
    return Operation(
        name=name,
        meaning=None,
        pullback=pullback,
        lower=lower,
        guards=guards,
        tail=tail,
        shape=shape,
        place=place,
        flops=flops,
        cost=PRODUCT_STEP if flops is _flops_of_product else STEP,
        noun=name,
        form=form,
        text="",
        is_condition=False,
    )


# fmt: off
ROWS: tuple[Operation, ...] = (
    _joint("matmul", lambda c, r, x, y: (c @ y.T, x.T @ c), Tail.PLAIN,
           _shape_of_product, Place.WHOLE, Form.UNWRITTEN, _flops_of_product),
    _joint("transpose", lambda c, r, x: (c.T,), Tail.PASSING, _transposed, Place.WHOLE, Form.UNWRITTEN, no_flops),
    _joint("total", lambda c, r, x: (c,), Tail.PASSING, _scalar, Place.REDUCTION, Form.ARGUMENT, _flops_of_total),
    _joint("fill", lambda c, r, x, shape: (c,), Tail.PASSING, _told, Place.LINE, Form.ARGUMENT, no_flops),
    _joint("place", lambda c, r, shape: (), Tail.PASSING, _told, Place.LINE, Form.PLACE, no_flops),
    _joint("largest", _largest_pullback, Tail.PLAIN, _scalar, Place.REDUCTION, Form.ARGUMENT, flops_of_elements,
           guards=lambda x: ((x < x.call("largest")).call("not"),)),
    _joint("slice", lambda c, r, x, part: (c.call("embed", attribute=(*part[:2], *x.shape)),), Tail.PASSING,
           _last_two, Place.WHOLE, Form.UNWRITTEN, no_flops, guards=_part),
    _joint("embed", _embed_pullback, Tail.PASSING, _last_two, Place.WHOLE, Form.UNWRITTEN, no_flops),
    _joint("assemble", _assemble_pullback, Tail.PASSING, _told, Place.LINE, Form.UNWRITTEN, no_flops),
    _joint("pick", lambda c, r, x, index: (c.call("put", index, attribute=x.shape), 0.0), Tail.PLAIN,
           _scalar, Place.WHOLE, Form.UNWRITTEN, flops_of_elements, _pick, _picked),
    _joint("put", lambda c, r, x, index, shape: (c.call("pick", index), 0.0), Tail.PLAIN,
           _told, Place.WHOLE, Form.UNWRITTEN, flops_of_elements, _put),
    _joint("logsumexp_all", lambda c, r, x: (c * x.call("softmax_all"),), Tail.PLAIN,
           _scalar, Place.WHOLE, Form.UNWRITTEN, flops_of_elements, _logsumexp),
    # its pullback mixes the elements: it has a shape of its own, so that no guard of single elements passes through
    replace(lowered("softmax_all", None, _softmax_pullback, _softmax, Tail.PLAIN),
            shape=lambda shapes, attribute: shapes[0]),
)
# fmt: on
