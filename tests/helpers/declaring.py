"""Declarations of tests: each parameter is in a formula, as it has to be."""

from collections.abc import Iterable, Sequence
from typing import Any

import sympy as sp

from symgrad.declare import EmpiricalRisk, symbols_in


def penalty_of_the_rest(parameters: Iterable[Any], formulas: Sequence[Any], penalty: Any = None) -> Any:
    """Return ``penalty`` plus zero times each parameter that no formula has, of a matrix times its first element."""
    used = {symbol for formula in (*formulas, penalty) if formula is not None for symbol in symbols_in(formula)}
    rest = [p[0, 0] if isinstance(p, sp.MatrixSymbol) else p for p in parameters if p not in used]
    terms = [sp.Mul(0, p, evaluate=False) for p in rest]
    return sp.Add(*([] if penalty is None else [penalty]), *terms, evaluate=False) if terms else penalty


def risk_of_all(expression: Any, *, parameters: Iterable[Any], penalty: Any = None, **more: Any) -> EmpiricalRisk:
    """Return the risk of an expression, whose parameters may be in no formula: then zero times them is a penalty."""
    parameters = list(parameters)
    penalty = penalty_of_the_rest(parameters, [expression], penalty)
    return EmpiricalRisk.from_expression(expression, parameters=parameters, penalty=penalty, **more)


def used_of(parameters: Iterable[Any], *formulas: Any) -> list[Any]:
    """Return those parameters that a formula has; all of them where none has any, or a formula is none of SymPy's."""
    parameters = list(parameters)
    used = {s for formula in formulas if isinstance(formula, sp.Basic | sp.MatrixBase) for s in _symbols(formula)}
    return [p for p in parameters if p in used] or parameters


def _symbols(formula: Any) -> Iterable[Any]:
    parts = list(formula) if isinstance(formula, sp.MatrixBase) else [formula]
    return {symbol for part in parts for symbol in symbols_in(part)}
