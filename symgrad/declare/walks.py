"""What is in an expression, found without recursion."""

from typing import Any

import sympy as sp
from sympy.matrices.expressions.matexpr import MatrixElement

from .grammar import postorder


def symbols_in(expression: Any) -> set[Any]:
    """The symbols and indices of an expression, those of its matrix elements too."""
    found = set()
    for node in postorder([expression]):
        if isinstance(node, MatrixElement):
            found |= {node.args[0]}.union(*(place.atoms(sp.Symbol, sp.Idx) for place in node.args[1:]))
        elif isinstance(node, sp.Symbol | sp.MatrixSymbol | sp.Idx):
            found.add(node)
    return found
