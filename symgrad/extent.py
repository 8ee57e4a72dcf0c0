"""Is an expression short enough to be read, or to be worked on as a tree? And what is in it: all without recursion."""

from collections.abc import Iterable
from typing import Any

import sympy as sp
from sympy.matrices.expressions.matexpr import MatrixElement

from .expressions import postorder

__all__ = ["is_short", "symbols_in"]


def is_short(roots: Iterable[Any], *, nodes: int, depth: int, named: tuple[type, ...] = (), most: int = 10**9) -> bool:
    """At most so many nodes and levels, shared parts counted each time that they appear?

    A part of a ``named`` kind counts as one where it appears, as it is defined apart. ``most``: different nodes in all.
    """
    extent: dict[int, tuple[int, int]] = {}
    for seen, node in enumerate(postorder(roots), 1):
        inner = [extent[id(argument)] for argument in node.args if id(argument) in extent]
        size, levels = 1 + sum(n for n, _ in inner), 1 + max((d for _, d in inner), default=0)
        if size > nodes or levels > depth or seen > most:
            return False
        extent[id(node)] = 1 if isinstance(node, named) else size, levels
    return True


def symbols_in(expression: Any) -> set[Any]:
    """The symbols and indices of an expression, those of its matrix elements too."""
    found = set()
    for node in postorder([expression]):
        if isinstance(node, MatrixElement):
            found |= {node.args[0]}.union(*(place.atoms(sp.Symbol, sp.Idx) for place in node.args[1:]))
        elif isinstance(node, sp.Symbol | sp.MatrixSymbol | sp.Idx):
            found.add(node)
    return found
