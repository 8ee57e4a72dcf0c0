"""Gradients of matrices -> what the templates need to sum them as one matrix product for each call of a tile.

Such a product contracts over the lanes, so one of its operands has to be turned: lanes down, columns across. Turned is
the one that costs less; the gradient comes out turned where that is the left one.
"""

from __future__ import annotations

from symgrad.schedule import Kernel, Outer

from .loops import StageWriter

Context = dict[str, object]
_TURNING = 24  # the cost of turning one number, in multiplications


def outer_context(kernel: Kernel, writer: StageWriter, line: int) -> Context:
    """Where the operands of a call lie, which of them are turned, and where the products are summed.

    ``line`` is the number of columns to whose multiples a turned operand is padded.
    """
    turns: dict[tuple[object, ...], Context] = {}
    turned = products = 0
    filled = [*((s.at, s.size) for s in kernel.segments), *((s.at, s.size) for s in kernel.scaled)]
    texts = []
    for outer in kernel.outers:
        more = any(at < outer.at + outer.m * outer.k and outer.at < at + size for at, size in filled)
        filled.append((outer.at, outer.m * outer.k))
        turn = _turn(outer, line)
        key = tuple(turn.items())
        if key not in turns:
            turns[key] = {**_source(writer, turn["variable"]), **turn, "place": turned}
            turned += outer.p * _padded(turn["k"], line)
        text = _text(outer, writer, turns[key]["place"], turn["variable"] == outer.left)
        texts.append({**text, "place": products, "more": int(more)})
        products += outer.m * outer.k // turn["k"] * _padded(turn["k"], line)
    return {
        "outers": tuple(texts),
        "turns": tuple(turns.values()),
        "turned": turned,
        "products": products,
        "covered": _covers(filled, kernel.starts[-1]),
    }


def _padded(columns: int, line: int) -> int:
    return -(-columns // line) * line


def _columns_cost(columns: int, line: int) -> int:
    """Multiplications for a row of a product: columns in single lines take twice the time of four lines together."""
    return _padded(columns, line) + _padded(columns % (4 * line), line)


def _turn(outer: Outer, line: int) -> dict[str, int]:
    """The operand that is turned, its columns, and how its rows of lanes follow one another."""
    right = outer.k * _TURNING + outer.m * _columns_cost(outer.k, line)
    left = outer.m * _TURNING + outer.k * _columns_cost(outer.m, line)
    if right <= left:
        return {"variable": outer.right, "p": outer.p, "k": outer.k, "down": outer.k, "right": 1}
    return {"variable": outer.left, "p": outer.p, "k": outer.m, "down": 1, "right": outer.p}


def _source(writer: StageWriter, variable: int) -> Context:
    array, row = writer.rows_of(variable)
    return {"array": "values" if array == "out" else array, "row": row}


def _text(outer: Outer, writer: StageWriter, turned: object, left_is_turned: bool) -> Context:
    """A product's operands, once as they are and once as they are multiplied: rows kept by columns turned."""
    sources = {"left": _source(writer, outer.left), "right": _source(writer, outer.right)}
    texts = {f"{side}_{key}": value for side, source in sources.items() for key, value in source.items()}
    kept = sources["right" if left_is_turned else "left"]
    return {
        **{"at": outer.at, "m": outer.m, "p": outer.p, "k": outer.k, "turned": turned},
        **texts,
        **kept,
        **{"rows": outer.k if left_is_turned else outer.m, "columns": outer.m if left_is_turned else outer.k},
        **{"down": 1 if left_is_turned else outer.p, "right": outer.k if left_is_turned else 1},
        **{"node_down": 1 if left_is_turned else outer.k, "node_right": outer.k if left_is_turned else 1},
    }


def _covers(filled: list[tuple[int, int]], size: int) -> bool:
    """Does every parameter get a derivative?"""
    end = 0
    for at, count in sorted(filled):
        if at > end:
            return False
        end = max(end, at + count)
    return end == size
