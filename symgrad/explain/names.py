"""Matrix expressions as short definitions: ``a_1 = W1*u + b1``, ``h_1 = tanh.(a_1)``, ...

What is shown of a network is its layers. Every elementwise function gets a name (h), and so do its argument and
whatever is used more than once (a). Nothing here is written out in elements.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sympy as sp
from sympy.concrete.expr_with_limits import ExprWithLimits
from sympy.core.relational import Relational
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction
from sympy.matrices.expressions.matexpr import MatrixElement
from sympy.matrices.expressions.slice import MatrixSlice

from symgrad.declare import postorder, symbols_in

from .arithmetic import VARIABLE, elementwise, is_matrix, is_one, scalar_of
from .brevity import is_short

__all__ = ["Beyond", "Definition", "Namer", "Names"]

_CONSTANTS = sp.ZeroMatrix | sp.OneMatrix | sp.Identity


class Beyond(Exception):
    """Something that cannot be shown as short definitions."""


@dataclass(frozen=True, slots=True)
class Definition:
    """``name := value``. ``inner`` if it is an elementwise function, whose argument has the name that matters."""

    name: Any
    value: Any
    number: int
    inner: bool


class Namer:
    """Names that nothing else has, each with the number of its layer."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)
        self.number = 0

    def fresh(self, letter: str, number: int) -> str:
        """Return ``letter_number``, with more letters where something has that name."""
        name = f"{letter}_{number}"
        while name in self._taken:
            letter += letter[0]
            name = f"{letter}_{number}"
        self._taken.add(name)
        return name

    def plain(self, name: str) -> str:
        """Return this name, or one like it that nothing else has."""
        while name in self._taken:
            name += name[0]
        self._taken.add(name)
        return name

    def next(self) -> int:
        """Go on to the next layer, and return its number."""
        self.number += 1
        return self.number


class Names:
    """Turns expressions into definitions; equal parts get one name, in all expressions that are given to it.

    ``renamed`` are symbols that are shown under another name.
    """

    def __init__(self, namer: Namer, renamed: Mapping[Any, Any]) -> None:
        self._namer = namer
        self._renamed = renamed
        self._same: dict[Any, Any] = {}
        self._canonical: dict[int, tuple[Any, Any]] = {}  # the node itself is kept, or its id would be free again
        self._uses: dict[int, int] = {}
        self._named: dict[int, Any] = {}
        self.definitions: list[Definition] = []

    def define(self, root: Any) -> Any:
        """Return the root with names for its parts; their definitions are appended."""
        canonical = self._canon(root)
        self._count(canonical)
        return self._shown(canonical, frozenset(), top=True)

    # --- one form for what is the same ------------------------------------------------------------------------------

    def _canon(self, node: Any) -> Any:
        known = self._canonical.get(id(node))
        if known is None:
            form = self._form(node)
            known = self._canonical[id(node)] = node, self._same.setdefault(form, form)
        return known[1]

    def _form(self, node: Any) -> Any:
        if node in self._renamed:
            return self._renamed[node]
        if isinstance(node, sp.DotProduct):
            left, right = (a if a.shape[1] == 1 else a.T for a in node.args)
            try:
                product = left.T * right
            except IndexError as error:  # SymPy's own: it looks for elements of what is inside
                raise Beyond from error
            return self._canon(product)
        if _may_turn(node) and _is_turned(node):
            return sp.Transpose(self._canon(node.T))
        if isinstance(node, sp.Transpose) and isinstance(node.arg, sp.Transpose):
            return self._canon(node.arg.arg)
        if isinstance(node, sp.HadamardPower):
            return elementwise(VARIABLE ** self._canon(node.exp), self._canon(node.base))
        if isinstance(node, ElementwiseApplyFunction):
            own = node.function.variables[0]
            body = self._canon(node.function.expr.xreplace({own: VARIABLE}))
            return elementwise(body, self._canon(node.expr))
        if isinstance(node, sp.BlockMatrix):
            return sp.BlockMatrix(node.blocks.applyfunc(self._canon))
        if isinstance(node, MatrixSlice):
            return MatrixSlice(self._canon(node.parent), node.rowslice, node.colslice)
        if isinstance(node, MatrixElement):
            return MatrixElement(self._canon(node.args[0]), *node.args[1:])
        if isinstance(node, sp.MatrixBase):
            return node.xreplace(dict(self._renamed))
        if isinstance(node, sp.MatrixSymbol | sp.Idx) or not node.args:
            return node
        if isinstance(node, ExprWithLimits):
            return node.func(self._canon(node.function), *node.limits)
        arguments = [self._canon(argument) for argument in node.args]
        changed = any(new is not old for new, old in zip(arguments, node.args, strict=True))
        return _rebuilt(node, arguments) if changed else node

    def _count(self, root: Any) -> None:
        """How often each part is used: a transposed one counts as itself."""
        for node in postorder([root]):
            for argument in _parts(node):
                inner = argument.arg if isinstance(argument, sp.Transpose) else argument
                self._uses[id(inner)] = self._uses.get(id(inner), 0) + (not isinstance(node, sp.Transpose))

    # --- names ------------------------------------------------------------------------------------------------------

    def _shown(self, node: Any, bound: frozenset[Any], top: bool = False) -> Any:
        if is_matrix(node):
            return self._matrix(node, bound, top)
        if isinstance(node, MatrixElement):
            matrix = node.args[0]
            held = matrix if isinstance(matrix, sp.MatrixSymbol) else self._name(matrix, bound)
            return MatrixElement(held, *node.args[1:])
        if isinstance(node, ExprWithLimits):
            inner = self._scalar(node.function, bound | {limit[0] for limit in node.limits})
            return node.func(inner, *node.limits)
        if isinstance(node, sp.Trace):
            return sp.Trace(self._matrix(node.arg, bound))
        if isinstance(node, sp.Idx | sp.Tuple) or not node.args:
            return node
        return node.func(*(self._scalar(argument, bound) for argument in node.args))

    def _scalar(self, node: Any, bound: frozenset[Any]) -> Any:
        """A part of a scalar expression: a 1x1 matrix there is given a name, and stands as its only element."""
        if not is_matrix(node):
            return self._shown(node, bound)
        held = isinstance(node, sp.MatrixSymbol | sp.MatrixBase | _CONSTANTS)
        return scalar_of(node if held else self._name(node, bound))

    def _matrix(self, node: Any, bound: frozenset[Any], top: bool = False) -> Any:
        if id(node) in self._named:
            return self._named[id(node)]
        if isinstance(node, sp.MatrixSymbol | sp.MatrixBase | _CONSTANTS):
            return node
        if isinstance(node, sp.Transpose):
            return sp.Transpose(self._matrix(node.arg, bound))
        if isinstance(node, ElementwiseApplyFunction):
            return self._name(node, bound)
        if not top and self._uses.get(id(node), 0) > 1 and _is_worth_it(node):
            return self._name(node, bound)
        return self._inside(node, bound)

    def _name(self, node: Any, bound: frozenset[Any]) -> Any:
        if id(node) in self._named:
            return self._named[id(node)]
        _refuse_bound(node, bound)
        value, inner = self._inside(node, bound), isinstance(node, ElementwiseApplyFunction)
        number = self._namer.number if inner and self._is_last(value.expr) else self._namer.next()
        name = sp.MatrixSymbol(self._namer.fresh("h" if inner else "a", number), *node.shape)
        self._named[id(node)] = name
        self.definitions.append(Definition(name, value, number, inner))
        return name

    def _is_last(self, argument: Any) -> bool:
        last = self.definitions[-1] if self.definitions else None
        return last is not None and not last.inner and last.name == argument

    def _inside(self, node: Any, bound: frozenset[Any]) -> Any:
        """The node with names for its parts."""
        if isinstance(node, ElementwiseApplyFunction):
            body = self._scalar(node.function.expr, bound | {VARIABLE})
            own = node.expr
            simple = _is_plain(own) and not isinstance(own, sp.MatMul)
            argument = own if simple else self._name(own, bound)
            return elementwise(body, argument)
        if isinstance(node, MatrixSlice):
            return MatrixSlice(self._matrix(node.parent, bound), node.rowslice, node.colslice)
        if isinstance(node, sp.BlockMatrix):
            return sp.BlockMatrix(node.blocks.applyfunc(lambda block: self._matrix(block, bound)))
        if isinstance(node, sp.MatMul | sp.MatAdd | sp.HadamardProduct | sp.MatPow | sp.DiagMatrix):
            parts = [self._matrix(a, bound) if is_matrix(a) else self._shown(a, bound) for a in node.args]
            return node.func(*parts)
        return node


def _parts(node: Any) -> Iterable[Any]:
    if isinstance(node, ElementwiseApplyFunction):
        return (node.expr, node.function.expr)
    return tuple(node.args)


def _rebuilt(node: Any, arguments: list[Any]) -> Any:
    """A node of other arguments. Some functions of SymPy take no matrix, not even for its only element."""
    if not any(map(_is_bare, arguments)):
        return node.func(*arguments)
    if isinstance(node, Relational):
        raise Beyond
    try:
        return node.func(*arguments)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise Beyond from error


def _is_bare(node: Any) -> bool:
    """Does a matrix of one element stand for a number in it?"""
    stack = [node]
    while stack:
        part = stack.pop()
        if is_matrix(part):
            return True
        if not isinstance(part, sp.Trace | MatrixElement):
            stack += part.args
    return False


def _is_worth_it(node: Any) -> bool:
    """Is it longer than a sum of symbols?"""
    if isinstance(node, sp.MatAdd):
        return not all(_is_plain(term) for term in node.args)
    return isinstance(node, sp.MatMul | sp.HadamardProduct) and not _is_plain(node)


def _is_plain(node: Any) -> bool:
    """Is it a symbol, one that is transposed, or a multiple of one?"""
    if isinstance(node, sp.MatMul):
        parts = [part for part in node.args if is_matrix(part)]
        return len(parts) == 1 and _is_plain(parts[0])
    return isinstance(node.arg if isinstance(node, sp.Transpose) else node, sp.MatrixSymbol | _CONSTANTS)


def _may_turn(node: Any) -> bool:
    """Rows, and sums of any shape, are shown as the transpose of what they are if that is shorter."""
    if isinstance(node, sp.MatAdd | sp.HadamardProduct):
        return not is_one(node)
    return isinstance(node, sp.MatMul) and node.shape[0] == 1 and not is_one(node)


def _is_turned(node: Any) -> bool:
    """Is it the transpose of what would be shorter?"""
    return is_short([node], nodes=60, depth=20) and _turns(node) > _turns(node.T)


def _turns(node: Any) -> int:
    return sum(isinstance(part, sp.Transpose) for part in postorder([node]))


def _refuse_bound(node: Any, bound: frozenset[Any]) -> None:
    """A part that depends on the index of a Sum around it has no meaning outside."""
    if bound and not bound.isdisjoint(symbols_in(node)):
        raise Beyond
