"""A risk and its gradient as mathematics in plain text, for the header of a generated module."""

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any

from sympy.printing.str import StrPrinter

from symgrad.declare import EmpiricalRisk, leaf_of, n_leaves

from .arithmetic import is_matrix
from .equations import Account, account_of
from .layers import placeholder_of
from .notation import NOTE, TextOfMatrices

_MOST_LINES = 60  # of the formulae of a network
_MOST_NAMED = 60  # in the legend
_WIDTH = 112
_UNUSUAL = re.compile(r"\.\(|\.\*|\[\w+ = ")
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,30}|N_theta\[\d+\]", re.ASCII)


def header_lines(risk: EmpiricalRisk) -> tuple[str, ...]:
    """Return lines of printable ASCII: the risk, the sum rule, and, where short, the loss and its derivatives."""
    weighted = " + penalty(theta)" if risk.penalty is not None else ""
    account = account_of(risk)
    printer = _InAComment(risk, account.whole)
    return (
        f"R(theta)      = 1/N * sum_i L_i(theta){weighted}",
        f"grad R(theta) = 1/N * sum_i grad L_i(theta){' + grad penalty(theta)' if weighted else ''}",
        "",
        *_formulae(account, printer),
        "",
        *_legend(risk, printer),
    )


def parameter_names(risk: EmpiricalRisk, positions: Iterable[int]) -> tuple[str, ...]:
    """Return printable names, safe in a comment, of the flat parameters at these places. IndexError where none is."""
    printer = _InAComment(risk, False)  # which is no matter: no parameter is called as the prediction is
    return tuple(printer.doprint(leaf_of(risk.parameters, position)) for position in positions)


def _formulae(account: Account, printer: "_InAComment") -> list[str]:
    """The equations; of whole matrices not too many, and what is unusual in how they are written."""
    lines = []
    for line in account.lines:
        left = " = ".join(printer.doprint(side) for side in line.left)
        text = f"{left} = {printer.doprint(line.right)}"
        lines += textwrap.wrap(text, _WIDTH, subsequent_indent=" " * (len(left) + 3))
    if not account.whole:
        return lines
    lines = lines if len(lines) < _MOST_LINES else [*lines[: _MOST_LINES - 2], "..."]
    return lines + [NOTE] * any(_UNUSUAL.search(line) for line in lines)


class _InAComment(TextOfMatrices, StrPrinter):  # type: ignore[misc]  # SymPy has no types
    """SymPy's text, with a positional name for every symbol whose own is not plain."""

    def __init__(self, risk: EmpiricalRisk, whole: bool) -> None:
        super().__init__()
        roles = (("p", risk.parameters), ("u", risk.inputs), ("y", risk.targets))
        self._positional = {s.name: f"{role}_{i}" for role, symbols in roles for i, s in enumerate(symbols)}
        if whole and risk.predictions:
            self._positional.setdefault(placeholder_of(risk).name, "z_0")

    def _print_Symbol(self, symbol: Any) -> str:
        name = str(symbol.name)
        return name if _PLAIN.fullmatch(name) or name == "..." else self._positional.get(name, "v")

    _print_Dummy = _print_MatrixSymbol = _print_Symbol

    def _print_Float(self, number: Any) -> str:
        return repr(float(number))


def _legend(risk: EmpiricalRisk, printer: _InAComment) -> list[str]:
    """Which name in the code is which symbol: p of theta, u of inputs, y of targets."""
    roles = (("p", risk.parameters), ("u", risk.inputs), ("y", risk.targets))
    named = chain.from_iterable(_named(role, symbols, printer) for role, symbols in roles)
    pairs = list(islice(named, _MOST_NAMED + 1))
    shown = pairs if len(pairs) <= _MOST_NAMED else [*pairs[:_MOST_NAMED], "..."]
    return textwrap.wrap(f"In the code {', '.join(shown)}." if shown else "", _WIDTH)


def _named(role: str, symbols: Sequence[Any], printer: _InAComment) -> Iterator[str]:
    """``p0..p2047 is W1 (32 x 64)`` for a matrix, ``p0 is A`` for a scalar."""
    place = 0
    for symbol in symbols:
        end = place + n_leaves([symbol])
        first = f"{role}{place}" if end == place + 1 else f"{role}{place}..{role}{end - 1}"
        shape = f" ({symbol.shape[0]} x {symbol.shape[1]})" if is_matrix(symbol) else ""
        yield f"{first} is {printer.doprint(symbol)}{shape}"
        place = end
