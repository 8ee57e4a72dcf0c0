"""Gradients of matrices -> what the templates need to sum them as one matrix product for each tile.

Such a product contracts over the lanes, so one of its operands has to be turned: lanes down, columns across. Turned is
the one that costs less; the gradient comes out turned where that is the left one.
"""

from __future__ import annotations

from .dimensions import size_of
from .kernel import Kernel, Outer
from .stages import StageWriter

Context = dict[str, object]
_TURNING = 24  # the cost of turning one number, in multiplications


def outer_context(kernel: Kernel, writer: StageWriter, line: int) -> Context:
    """Where the operands of a call lie, and where they are kept until their tile is complete.

    ``line`` is the number of columns to whose multiples a turned operand is padded.
    """
    copies: dict[int, Context] = {}
    turns: dict[tuple[object, ...], Context] = {}
    copied = turned = most_rows = 0
    filled = [(s.at, s.size) for s in kernel.segments]
    texts = []
    for outer in kernel.outers:
        more = any(at < outer.at + outer.m * outer.k and outer.at < at + size for at, size in filled)
        filled.append((outer.at, outer.m * outer.k))
        turn, keep, shape = _operands(outer, line)
        array, row = writer.rows_of(keep)
        if array == "out" and keep not in copies:
            rows = size_of(kernel.shape(keep))
            copies[keep] = {"row": row, "rows": rows, "place": copied}
            copied += rows
        key = tuple(turn.items())
        if key not in turns:
            variable = outer.left if keep == outer.right else outer.right
            turns[key] = {**_source(writer, variable), **turn, "place": turned}
            turned += outer.p * _padded(shape[1], line)
        most_rows = max(most_rows, shape[0])
        place = copies[keep]["place"] if array == "out" else row
        texts.append(_text(outer, writer, turns[key]["place"], place, array, more, turned_left=keep == outer.right))
    return {
        "outers": tuple(texts),
        "copies": tuple(copies.values()),
        "turns": tuple(turns.values()),
        "copied": copied,
        "turned": turned,
        "most_rows": most_rows,
        "most_columns": max((outer.k for outer in kernel.outers), default=0),
        "keeps_data": any(text["array"] == "data" for text in texts),
        "covered": _covers(filled, kernel.starts[-1]),
    }


def _padded(columns: int, line: int) -> int:
    return -(-columns // line) * line


def _operands(outer: Outer, line: int) -> tuple[dict[str, int], int, tuple[int, int]]:
    """The operand that is turned, and how; the other; the numbers of rows and columns of their product."""
    right = outer.k * _TURNING + outer.m * _padded(outer.k, line)
    left = outer.m * _TURNING + outer.k * _padded(outer.m, line)
    if right <= left:
        turn = {"variable": outer.right, "p": outer.p, "k": outer.k, "down": outer.k, "right": 1}
        return turn, outer.left, (outer.m, outer.k)
    turn = {"variable": outer.left, "p": outer.p, "k": outer.m, "down": 1, "right": outer.p}
    return turn, outer.right, (outer.k, outer.m)


def _source(writer: StageWriter, variable: int) -> Context:
    array, row = writer.rows_of(variable)
    return {"array": "values" if array == "out" else array, "row": row}


def _text(
    outer: Outer, writer: StageWriter, turned: object, place: object, array: str, more: bool, turned_left: bool
) -> Context:
    left, right = _source(writer, outer.left), _source(writer, outer.right)
    common = {"at": outer.at, "m": outer.m, "p": outer.p, "k": outer.k, "more": int(more)}
    sources = {f"{side}_{key}": source[key] for side, source in (("left", left), ("right", right)) for key in source}
    sides = (outer.k, outer.m) if turned_left else (outer.m, outer.k)
    steps = (1, outer.k) if turned_left else (outer.p, 1)
    node = (1, outer.k) if turned_left else (outer.k, 1)
    return {
        **common,
        **sources,
        **{"array": "data" if array == "data" else "copied", "place": place, "turned": turned},
        **{"rows": sides[0], "columns": sides[1], "down": steps[0], "across": steps[1]},
        **{"node_down": node[0], "node_right": node[1]},
    }


def _covers(filled: list[tuple[int, int]], size: int) -> bool:
    """Does every parameter get a derivative?"""
    end = 0
    for at, count in sorted(filled):
        if at > end:
            return False
        end = max(end, at + count)
    return end == size
