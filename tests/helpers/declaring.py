"""Declarations of tests: each parameter is in a formula, as it has to be."""

from collections.abc import Iterable, Sequence
from typing import Any

import sympy as sp

from symgrad.declare import symbols_in


def penalty_of_the_rest(parameters: Iterable[Any], formulas: Sequence[Any], penalty: Any = None) -> Any:
    """Return a penalty that has each parameter that no formula has: of a matrix its first element; else ``penalty``."""
    used = {symbol for formula in (*formulas, penalty) if formula is not None for symbol in symbols_in(formula)}
    rest = [p[0, 0] if isinstance(p, sp.MatrixSymbol) else p for p in parameters if p not in used]
    return sum(rest, penalty if penalty is not None else sp.Integer(0)) if rest else penalty


def used_of(parameters: Iterable[Any], *formulas: Any) -> list[Any]:
    """Return those parameters that a formula has; all of them where none has any, or a formula is none of SymPy's."""
    parameters = list(parameters)
    used = {s for formula in formulas if isinstance(formula, sp.Basic | sp.MatrixBase) for s in _symbols(formula)}
    return [p for p in parameters if p in used] or parameters


def _symbols(formula: Any) -> Iterable[Any]:
    parts = list(formula) if isinstance(formula, sp.MatrixBase) else [formula]
    return {symbol for part in parts for symbol in symbols_in(part)}
