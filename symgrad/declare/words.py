"""Expressions and symbols as text for messages: short, on one line, whatever they hold."""

from typing import Any

import mpmath
import sympy as sp
from sympy.printing.str import StrPrinter

from .walks import children, walk


def name_of(symbol: Any) -> str:
    """Return a symbol's name for a message: quoted, escaped where it is not printable, and cut if it is long."""
    name = str(symbol.label.name if isinstance(symbol, sp.Idx) else symbol.name)
    return repr(name if len(name) <= 60 else name[:40] + "...")


class _Text(StrPrinter):  # type: ignore[misc]  # SymPy has no types
    """SymPy's text, with odd names quoted and long numbers cut."""

    def _print_Symbol(self, symbol: Any) -> str:
        plain = symbol.name.isidentifier() and len(symbol.name) <= 60
        return str(symbol.name) if plain else name_of(symbol)

    _print_Dummy = _print_Wild = _print_MatrixSymbol = _print_Symbol

    def _print_ZeroMatrix(self, matrix: Any) -> str:
        return f"{type(matrix).__name__}({', '.join(map(self._print, matrix.args))})"

    _print_OneMatrix = _print_Identity = _print_ZeroMatrix

    def _print_MatrixBase(self, matrix: Any) -> str:
        """On one line, as it is written in Python."""
        rows = (", ".join(self._print(element) for element in matrix.row(i)) for i in range(matrix.rows))
        return f"Matrix([{', '.join(f'[{row}]' for row in rows)}])"

    def _print_BlockMatrix(self, matrix: Any) -> str:
        return f"Block{self._print_MatrixBase(matrix.blocks)}"

    def _print_Integer(self, number: Any) -> str:
        # int -> str refuses more than 4300 digits, and nobody reads more than 40.
        digits = int(abs(number.p).bit_length() * 0.30103) + 1
        return f"<an integer of about {digits} digits>" if digits > 40 else str(number.p)

    def _print_Float(self, number: Any) -> str:
        return str(mpmath.nstr(mpmath.make_mpf(number._mpf_), 15))

    def _print_Rational(self, number: Any) -> str:
        return "/".join(self._print_Integer(sp.Integer(part)) for part in (number.p, number.q))


def show(expression: Any) -> str:
    """Return an expression as text for a message: whole if it is small, else its outermost operations alone."""
    nodes = 0
    for nodes, _ in enumerate(walk([expression]), 1):
        if nodes > 60:
            break
    depth = 12 if nodes <= 60 else 2
    text = _outline(expression, depth)
    return text if len(text) <= 300 else text[:297] + "..."


def _outline(expression: Any, depth: int) -> str:
    if depth >= 12 or not children(expression):
        if _deeper_than(expression, 30):
            return _outline(expression, 3)
        return str(_Text().doprint(expression))
    if depth == 0:
        return "..."
    arguments = children(expression)
    shown = [_outline(argument, depth - 1) for argument in arguments[:3]]
    shown += [f"... {len(arguments) - 3} more"] if len(arguments) > 3 else []
    return f"{type(expression).__name__}({', '.join(shown)})"


def _deeper_than(expression: Any, limit: int) -> bool:
    level = [expression]
    for _ in range(limit):
        level = [argument for node in level for argument in children(node)]
        if not level or len(level) > 1000:
            return bool(level)
    return True
