"""The gradient of a loss by whole matrices, as mathematics to be read: the delta recursions of a network.

A small reverse sweep over the definitions that `names` makes. What it cannot say well it leaves open, as
``DOTS``; it is for readers, and no generated code comes from here.

The rules are those of matrix differential calculus: d tr(G' A dX B) = tr((A' G B')' dX), and so on.
Source: Magnus, Neudecker, Matrix Differential Calculus with Applications in Statistics and Econometrics, ch. 9.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import sympy as sp
from sympy.concrete.expr_with_limits import ExprWithLimits
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction
from sympy.matrices.expressions.matexpr import MatrixElement

from symgrad.declare import symbols_in

from .arithmetic import VARIABLE, applied, hadamard, inner, is_matrix, is_one, plus, product, scalar_of, times, turned
from .names import Beyond, Definition, Namer

__all__ = ["DOTS", "Equation", "Sweep"]

DOTS = sp.Symbol("...")
_ROW, _COLUMN = sp.Dummy("row", integer=True), sp.Dummy("column", integer=True)
_SHORT_SLOPE = 4  # nodes of a derivative that is written out; of a longer one the function gets a prime
_LETTERS = "ijklmn"


@dataclass(frozen=True, slots=True)
class Equation:
    """``name = d(of)/d(by) = value``; without ``by`` only ``name = value``, and ``name`` may be missing.

    A ``FunctionMatrix`` as the value says what the elements are; ``DOTS`` that they are not shown.
    """

    name: Any
    value: Any
    of: Any = None
    by: Any = None


@dataclass(frozen=True, slots=True)
class _Partial:
    """A scalar expression's derivative by a symbol, a trace, or (``at``) one element of a matrix symbol."""

    leaf: Any
    value: Any
    at: tuple[Any, Any] | None = None


class Sweep:
    """The equations of a scalar's derivatives by ``wanted``, backwards through ``definitions``.

    ``ends`` are definitions (the prediction of a model) whose derivative has a name too; ``primes`` collects the
    functions of which a derivative is written with a prime.
    """

    def __init__(self, of: Any, definitions: Iterable[Definition], wanted: Iterable[Any], namer: Namer) -> None:
        self._of, self._definitions, self._wanted, self._namer = of, tuple(definitions), tuple(wanted), namer
        self._whole: dict[Any, list[Any]] = {}
        self._elements: dict[Any, list[Any]] = {}
        self._open: set[Any] = set()  # symbols with a contribution that is not known
        self.primes: dict[Any, Any] = {}

    def equations(self, root: Any) -> list[Equation]:
        """Return the named derivatives in order; behind each, those by ``wanted`` that it completes."""
        self._pull(root, sp.S.One)
        steps: list[tuple[Any, list[Equation]]] = []
        for definition in reversed(self._definitions):
            cotangent, written = self._cotangent(definition)
            steps += [(equation.name, [equation]) for equation in written]
            if cotangent is None:
                self._leave_open(definition.value)
            elif cotangent != 0 and not isinstance(cotangent, sp.ZeroMatrix):
                self._pull(definition.value, cotangent)
        first: list[Equation] = []
        last: list[Equation] = []
        for symbol in self._wanted:
            total, written = self._total(symbol)
            steps += [(equation.name, [equation]) for equation in written]
            self._placed(Equation(None, total, self._of, symbol), steps, first, last)
        return [*first, *(equation for _, written in steps for equation in written), *last]

    def _placed(self, equation: Equation, steps: Any, first: list[Equation], last: list[Equation]) -> None:
        """Put an equation behind the last one that it needs."""
        used = set() if equation.value is DOTS else symbols_in(equation.value)
        behind = [written for name, written in steps if name in used]
        (last if equation.value is DOTS else behind[-1] if behind else first).append(equation)

    # --- what has come together -------------------------------------------------------------------------------------

    def _cotangent(self, definition: Definition) -> tuple[Any, list[Equation]]:
        """A definition's derivative, None if it is not known, and the equations that give it a name."""
        total, written = self._total(definition.name)
        if total is DOTS:
            return None, []
        whole = isinstance(total, sp.FunctionMatrix)
        bare = not whole and (total.is_Number or isinstance(total, sp.Symbol | sp.MatrixSymbol | sp.ZeroMatrix))
        if bare or (definition.inner and not whole):
            return total, written
        letter = "g" if definition.inner else "delta"
        name = self._symbol(letter, definition.number, definition.name)
        return name, [*written, Equation(name, total, self._of, definition.name)]

    def _symbol(self, letter: str, number: int, like: Any) -> Any:
        name = self._namer.fresh(letter, number)
        single = not is_matrix(like) or is_one(like)
        return sp.Symbol(name, real=True) if single else sp.MatrixSymbol(name, *like.shape)

    def _total(self, symbol: Any) -> tuple[Any, list[Equation]]:
        """The sum of all contributions; the equation of a helper where whole matrices meet single elements."""
        if symbol in self._open:
            return DOTS, []
        whole, elements = self._whole.get(symbol, []), self._elements.get(symbol, [])
        if not elements:
            return plus(whole, symbol), []
        by_element = self._by_element(symbol, sp.Add(*elements))
        if not whole:
            return by_element, []
        helper = self._symbol("e", self._namer.next(), symbol)
        return plus([*whole, helper], symbol), [Equation(helper, by_element)]

    def _by_element(self, symbol: Any, value: Any) -> Any:
        """The matrix of a value in _ROW and _COLUMN, which get readable names."""
        taken = {str(s) for s in {*symbols_in(value), symbol}}
        free = [letter for letter in _LETTERS if letter not in taken] + ["row", "column"]
        row, column = (sp.Symbol(letter, integer=True) for letter in free[:2])
        named = value.xreplace({_ROW: row, _COLUMN: column})
        return sp.FunctionMatrix(*symbol.shape, sp.Lambda((row, column), named))

    def _leave_open(self, value: Any) -> None:
        self._open |= symbols_in(value)

    # --- matrices ---------------------------------------------------------------------------------------------------

    def _pull(self, node: Any, g: Any) -> None:
        """Add what a part contributes to the derivatives by its symbols, where the derivative by itself is ``g``.

        ``g`` has the part's shape, and is a scalar for a 1x1 matrix.
        """
        if not is_matrix(node):
            self._pull_scalar(node, g)
        elif isinstance(node, sp.MatrixSymbol):
            self._whole.setdefault(node, []).append(g)
        elif isinstance(node, sp.Transpose):
            self._pull(node.arg, turned(g))
        elif isinstance(node, sp.MatAdd):
            for term in node.args:
                self._pull(term, g)
        elif isinstance(node, sp.MatMul):
            self._pull_product(node.args, g)
        elif isinstance(node, sp.MatPow) and node.exp in (2, 3):
            self._pull_product([node.base] * int(node.exp), g)
        elif isinstance(node, sp.HadamardProduct):
            for place, factor in enumerate(node.args):
                others = [*node.args[:place], *node.args[place + 1 :]]
                self._pull(factor, hadamard(g, others))
        elif isinstance(node, ElementwiseApplyFunction):
            self._pull_function(node, g)
        elif isinstance(node, sp.BlockMatrix):
            self._pull_blocks(node, g)
        elif isinstance(node, sp.DiagMatrix) and is_matrix(g):
            column = product(sp.S.One, [hadamard(g, [sp.Identity(g.shape[0])]), sp.OneMatrix(g.shape[0], 1)])
            self._pull(node.args[0], column if node.args[0].shape[1] == 1 else turned(column))
        elif not isinstance(node, sp.ZeroMatrix | sp.OneMatrix | sp.Identity):
            self._leave_open(node)

    def _pull_product(self, factors: Any, g: Any) -> None:
        scalars, matrices = [f for f in factors if not is_matrix(f)], [f for f in factors if is_matrix(f)]
        for place, factor in enumerate(matrices):
            left = [turned(f) for f in reversed(matrices[:place])]
            right = [turned(f) for f in reversed(matrices[place + 1 :])]
            self._pull(factor, times(scalars, left, g, right, factor))
        for place, factor in enumerate(scalars):
            if symbols_in(factor):
                others = sp.Mul(*scalars[:place], *scalars[place + 1 :])
                self._pull_scalar(factor, others * inner(g, matrices))

    def _pull_blocks(self, node: Any, g: Any) -> None:
        top = 0
        for row, height in enumerate(node.rowblocksizes):
            left = 0
            for column, width in enumerate(node.colblocksizes):
                block = node.blocks[row, column]
                part = g if not is_matrix(g) else sp.MatrixSlice(g, (top, top + height), (left, left + width))
                self._pull(block, scalar_of(part) if is_matrix(part) and is_one(block) else part)
                left += width
            top += height

    def _pull_function(self, node: Any, g: Any) -> None:
        body, argument = node.function.expr, node.expr
        try:
            partials = list(_partials(body))
        except Beyond:
            self._leave_open(node)
            return
        by_variable = sp.Add(*(p.value for p in partials if p.leaf == VARIABLE))
        self._pull(argument, hadamard(g, [self._slope(body, by_variable, argument)]))
        for partial in partials:
            if partial.leaf != VARIABLE:
                self._share(partial, inner(g, [applied(partial.value, argument)]), sp.S.One)

    def _slope(self, body: Any, derivative: Any, argument: Any) -> Any:
        """The derivative of an elementwise function, applied: tanh'.(a) where it would be long."""
        long = sum(1 for _ in sp.preorder_traversal(derivative)) > _SHORT_SLOPE
        if long and isinstance(body, sp.Function) and body.args == (VARIABLE,):
            primed = sp.Derivative(body, VARIABLE, evaluate=False)
            self.primes[primed] = derivative
            return applied(primed, argument)
        return applied(derivative, argument)

    # --- scalars ----------------------------------------------------------------------------------------------------

    def _pull_scalar(self, node: Any, g: Any) -> None:
        try:
            partials = list(_partials(node))
        except Beyond:
            self._leave_open(node)
            return
        for partial in partials:
            self._share(partial, g, partial.value)

    def _share(self, partial: _Partial, g: Any, value: Any) -> None:
        """Add ``g*value`` to what a partial derivative's leaf has."""
        leaf = partial.leaf
        if isinstance(leaf, sp.Trace):
            self._pull(leaf.arg, times([g, value], [], sp.Identity(leaf.arg.shape[0]), [], leaf.arg))
        elif partial.at is None or is_one(leaf):
            self._whole.setdefault(leaf, []).append(g * value)
        else:
            self._elements.setdefault(leaf, []).append(g * value * _only_at(leaf, *partial.at))


def stand_ins(atoms: Iterable[Any]) -> dict[Any, sp.Dummy]:
    """Return a real symbol for each atom, in their order.

    They have names of one length: SymPy orders by them, and of its own, Dummy_100 comes before Dummy_99.
    """
    return {atom: sp.Dummy(f"_{place:06}", real=True) for place, atom in enumerate(dict.fromkeys(atoms))}


def _partials(expression: Any) -> Iterator[_Partial]:
    """The derivatives of a scalar by everything that it is made of, all of it meant as real.

    Raises `Beyond` where SymPy cannot work one out.
    """
    real = stand_ins(_atoms(expression))
    back = {stand_in: atom for atom, stand_in in real.items()}
    meant = expression.xreplace(real)
    for atom, stand_in in real.items():
        derivative = sp.diff(meant, stand_in)
        if derivative.has(sp.Derivative, sp.Subs, sp.DiracDelta):
            raise Beyond
        derivative = derivative.xreplace(back)
        if derivative == 0:
            continue
        if isinstance(atom, sp.Sum):
            for partial in _partials(atom.function):
                summed = _summed(partial, atom.limits)
                yield _Partial(summed.leaf, derivative * summed.value, summed.at)
        elif isinstance(atom, MatrixElement):
            yield _Partial(atom.args[0], derivative, (atom.args[1], atom.args[2]))
        elif isinstance(atom, sp.Symbol | sp.Trace):
            yield _Partial(atom, derivative)
        else:
            raise Beyond


def _atoms(expression: Any) -> Iterator[Any]:
    """What a scalar expression is made of, as far as its derivative is concerned."""
    held = (sp.Symbol, MatrixElement, sp.Trace, ExprWithLimits)
    if isinstance(expression, held) or is_matrix(expression):
        yield expression
    elif not isinstance(expression, sp.Idx):
        for argument in expression.args:
            yield from _atoms(argument)


def _summed(partial: _Partial, limits: Any) -> _Partial:
    """The sum of a partial derivative over indices: one that runs over all rows or columns of the leaf names them."""
    leaf, value, rest = partial.leaf, partial.value, list(limits)
    if partial.at is None:
        if isinstance(leaf, sp.Trace) and symbols_in(leaf) & {limit[0] for limit in limits}:
            raise Beyond
        return _Partial(leaf, sp.Sum(value, *limits))
    at = list(partial.at)
    fixed = all(end.is_Integer for limit in limits for end in limit[1:])
    for axis, stand_in in enumerate((_ROW, _COLUMN)):
        whole = sp.Tuple(at[axis], 0, leaf.shape[axis] - 1)
        if fixed and whole in rest and leaf.shape[axis] > 1:
            rest.remove(whole)
            value, *at = (part.xreplace({whole[0]: stand_in}) for part in (value, *at))
    if rest:
        value, at = sp.Sum(value * _only_at(leaf, at[0], at[1]), *rest), [_ROW, _COLUMN]
    return _Partial(leaf, value, (at[0], at[1]))


def _only_at(leaf: Any, row: Any, column: Any) -> Any:
    """1 for the element of the leaf at (row, column), else 0: as an expression in _ROW and _COLUMN."""
    chosen = zip((row, column), (_ROW, _COLUMN), leaf.shape, strict=True)
    return sp.Mul(*(sp.KroneckerDelta(index, stand_in) for index, stand_in, size in chosen if size > 1))
