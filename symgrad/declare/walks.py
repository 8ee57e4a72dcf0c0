"""How to look at an expression without recursion.

SymPy's own ``free_symbols``, ``has``, ``==`` and ``str`` recurse, and give up on an expression nested a thousand deep.
Everything here walks with a stack of its own, and meets a shared sub-expression once.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import sympy as sp
from sympy.matrices.expressions.matexpr import MatrixElement
from sympy.matrices.expressions.slice import MatrixSlice


def children(node: Any) -> tuple[Any, ...]:
    """Return the sub-expressions of a node. Names, sizes, indices of elements, bounds of slices and variables are none.

    An element of a ``MatrixSymbol`` is a leaf; an element of another matrix expression has that expression below it.
    """
    parts: tuple[Any, ...] = node.args
    if isinstance(node, MatrixElement):
        return () if isinstance(parts[0], sp.MatrixSymbol) else parts[:1]
    if isinstance(node, sp.MatrixExpr):
        return _children_of_matrix(node)
    if isinstance(node, sp.Lambda):
        return parts[1:]
    return () if isinstance(node, sp.Idx) else parts


def _children_of_matrix(matrix: Any) -> tuple[Any, ...]:
    # The elements of an explicit matrix, and blocks, are taken as they are stored in its arguments: what SymPy's other
    # ways give is made anew each time, and has no lasting id.
    parts: tuple[Any, ...] = matrix.args
    if isinstance(matrix, sp.MatrixSymbol | sp.ZeroMatrix | sp.OneMatrix | sp.Identity):
        parts = ()
    elif isinstance(matrix, MatrixSlice):
        parts = parts[:1]
    elif isinstance(matrix, sp.ImmutableDenseMatrix):
        parts = parts[2].args
    elif type(matrix) is sp.BlockMatrix:
        parts = parts[0].args[2].args
    return parts


def walk(roots: Iterable[Any]) -> Iterator[Any]:
    """Yield every distinct node (by identity) of ``roots``, each before its ``children``, the leftmost first."""
    stack, seen = list(roots)[::-1], set[int]()
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        stack.extend(reversed(children(node)))


def postorder(roots: Iterable[Any]) -> Iterator[Any]:
    """Yield every distinct node (by identity) of ``roots``, each after its ``children``, the leftmost first."""
    stack, seen = [(root, False) for root in list(roots)[::-1]], set[int]()
    while stack:
        node, ready = stack.pop()
        if ready:
            yield node
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack.extend((child, False) for child in reversed(children(node)))


def postorder_in_scope(roots: Iterable[Any]) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Yield nodes in ``postorder``, each with the variables of the Lambdas around it, the outermost first.

    A node that stands inside a Lambda and outside of it is met for both: it need not mean the same.
    """
    stack = [(root, (), False) for root in list(roots)[::-1]]
    seen = set[tuple[int, tuple[Any, ...]]]()
    while stack:
        node, scope, ready = stack.pop()
        if ready:
            yield node, scope
        elif (id(node), scope) not in seen:
            seen.add((id(node), scope))
            stack.append((node, scope, True))
            inner = scope_below(node, scope)
            stack.extend((child, inner, False) for child in reversed(children(node)))


def scope_below(node: Any, scope: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the variables around the children of a node that itself stands in ``scope``."""
    return scope + tuple(node.signature) if isinstance(node, sp.Lambda) else scope


def symbols_in(expression: Any) -> set[Any]:
    """Return the symbols and indices of an expression, those of its matrix elements too."""
    found = set()
    for node in postorder([expression]):
        if isinstance(node, MatrixElement):
            found |= {node.args[0]}.union(*(place.atoms(sp.Symbol, sp.Idx) for place in node.args[1:]))
        elif isinstance(node, sp.Symbol | sp.MatrixSymbol | sp.Idx):
            found.add(node)
    return found
