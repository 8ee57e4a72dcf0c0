"""Gradients of matrices -> what the templates need to sum them as one matrix product for each tile."""

from __future__ import annotations

from .kernel import Kernel, Outer
from .stages import StageWriter

Context = dict[str, object]


def outer_context(kernel: Kernel, writer: StageWriter, line: int) -> Context:
    """Where the operands of a call lie, and where they are kept until their tile is complete.

    ``line`` is the number of columns to whose multiples right operands are padded.
    """
    lefts: dict[int, Context] = {}
    rights: dict[tuple[int, int, int], Context] = {}
    left_rows = right_columns = 0
    for outer in kernel.outers:
        if outer.left not in lefts:
            lefts[outer.left] = {**_source(writer, outer.left), "rows": outer.m * outer.p, "place": left_rows}
            left_rows += outer.m * outer.p
        key = (outer.right, outer.p, outer.k)
        if key not in rights:
            rights[key] = {**_source(writer, outer.right), "p": outer.p, "k": outer.k, "place": right_columns}
            right_columns += outer.p * -(-outer.k // line) * line
    filled = [(s.at, s.size) for s in kernel.segments]
    texts = []
    for outer in kernel.outers:
        more = any(at < outer.at + outer.m * outer.k and outer.at < at + size for at, size in filled)
        filled.append((outer.at, outer.m * outer.k))
        texts.append(_outer(outer, lefts[outer.left], rights[outer.right, outer.p, outer.k], more))
    return {
        "outers": tuple(texts),
        "lefts": tuple(lefts.values()),
        "rights": tuple(rights.values()),
        "kept_left": left_rows,
        "kept_right": right_columns,
        "most_rows": max((outer.m for outer in kernel.outers), default=0),
        "most_columns": max((outer.k for outer in kernel.outers), default=0),
        "covered": _covers(filled, kernel.starts[-1]),
    }


def _source(writer: StageWriter, variable: int) -> Context:
    array, row = writer.rows_of(variable)
    return {"array": "values" if array == "out" else array, "row": row}


def _outer(outer: Outer, left: Context, right: Context, more: bool) -> Context:
    return {
        **{"at": outer.at, "m": outer.m, "p": outer.p, "k": outer.k, "more": int(more)},
        **{f"left_{key}": left[key] for key in ("array", "row", "place")},
        **{f"right_{key}": right[key] for key in ("array", "row", "place")},
    }


def _covers(filled: list[tuple[int, int]], size: int) -> bool:
    """Does every parameter get a derivative?"""
    end = 0
    for at, count in sorted(filled):
        if at > end:
            return False
        end = max(end, at + count)
    return end == size
