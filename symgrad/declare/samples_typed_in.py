"""Finding a data set that was typed into a formula: a sum over samples written out term by term."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import sympy as sp
from sympy.matrices.expressions.matexpr import MatrixElement
from sympy.matrices.expressions.slice import MatrixSlice

from symgrad.errors import DeclarationError

from .walks import children, postorder
from .words import show

# An Add of this many terms, alike but for their numbers and without any data symbol, is a data set typed in.
FEWEST_TERMS = 10


def check_no_data_typed_in(where: str, roots: Iterable[Any], *, variables: Iterable[Any], data: Iterable[Any]) -> None:
    """Raise ``DeclarationError`` if ``roots`` hold a sum over data, term by term, and advise the one-sample form.

    Numbers in exponents are no data: a polynomial in a parameter is a formula.
    """
    nodes = list(postorder(roots))
    # to SymPy a sum of matrices is an Add as well, a product of matrices a Mul
    sums = [node for node in nodes if isinstance(node, sp.Add) and len(node.args) >= FEWEST_TERMS]
    if not sums:
        return
    forms, moving, fed = _forms(nodes, frozenset(variables), frozenset(data))
    for node in sums:
        alike = Counter(forms[id(t)] for t in node.args if id(t) in moving and id(t) not in fed)
        count = max(alike.values(), default=0)
        if count >= FEWEST_TERMS:
            example = next(t for t in node.args if alike[forms[id(t)]] == count)
            raise DeclarationError(
                f"{where}: {count} terms of a sum are alike but for their numbers, e.g. {show(example)}: this looks "
                "like a sum over data written out term by term. Write the formula of one sample with symbols for its "
                "data, declare these in inputs= and targets=, and pass the numbers as arrays; symgrad takes the mean"
            )


def _forms(
    nodes: list[Any], variables: frozenset[Any], data: frozenset[Any]
) -> tuple[dict[int, int], set[int], set[int]]:
    """For each node the number of its form (itself without its numbers); the nodes with variables; those with data."""
    # SymPy gives each Lambda of .applyfunc(f) a variable of its own; equal functions are alike all the same
    dummies = (v for node in nodes if isinstance(node, sp.Lambda) for v in node.signature if isinstance(v, sp.Dummy))
    known: dict[Any, int] = {"number": 0} | {("leaf", variable): 1 for variable in dummies}
    forms: dict[int, int] = {}
    moving, fed = set[int](), set[int]()
    for node in nodes:
        parts = children(node)
        element = isinstance(node, MatrixElement) and isinstance(node.args[0], sp.MatrixSymbol)
        symbol = node.args[0] if element else node
        if symbol in variables or any(id(child) in moving for child in parts):
            moving.add(id(node))
        if symbol in data or any(id(child) in fed for child in parts):
            fed.add(id(node))
        forms[id(node)] = _form(node, parts, forms, known)
    return forms, moving, fed


def _form(node: Any, parts: Sequence[Any], forms: dict[int, int], known: dict[Any, int]) -> int:
    if node.is_Number:
        key: Any = "number"
    elif not parts:
        key = ("leaf", node)
    elif isinstance(node, sp.Pow | sp.MatPow | sp.HadamardPower) and node.args[1].is_Number:
        key = (type(node), forms[id(node.args[0])], ("exponent", node.args[1]))
    else:
        # 1*x and x, x + 0 and x are alike too: SymPy leaves the 1 and the 0 out.
        plain = isinstance(node, sp.Add | sp.Mul)
        shape = [forms[id(child)] for child in parts if not (plain and child.is_Number)]
        if plain and len(shape) == 1:
            return shape[0]
        commutes = isinstance(node, sp.Add | sp.Mul | sp.HadamardProduct) and not isinstance(node, sp.MatMul)
        key = (type(node), *_place(node), *(sorted(shape) if commutes else shape))
    return known.setdefault(key, len(known))


def _place(node: Any) -> tuple[Any, ...]:
    """Where in a matrix a node looks, and the shape that it makes: two rows of one matrix are not alike."""
    if isinstance(node, MatrixElement | MatrixSlice):
        return tuple(node.args[1:])
    return tuple(node.shape) if isinstance(node, sp.BlockMatrix | sp.MatrixBase) else ()
