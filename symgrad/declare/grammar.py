"""What a SymPy expression may hold, and how to look at one without recursion.

SymPy's own ``free_symbols``, ``has``, ``==`` and ``str`` recurse, and give up on an expression nested a thousand deep.
Everything here walks with a stack of its own, and meets a shared sub-expression once.
"""

import difflib
from collections.abc import Iterable, Iterator
from typing import Any

import mpmath
import sympy as sp
from sympy.codegen import cfunctions
from sympy.logic.boolalg import ITE, And, BooleanAtom, Not, Or, Xor
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction
from sympy.matrices.expressions.dotproduct import DotProduct
from sympy.matrices.expressions.matexpr import MatrixElement
from sympy.matrices.expressions.slice import MatrixSlice
from sympy.printing.str import StrPrinter

from symgrad import functions
from symgrad.errors import DeclarationError, UnsupportedExpressionError

CONDITIONS: frozenset[type] = frozenset({sp.Eq, sp.Ne, sp.Lt, sp.Le, sp.Gt, sp.Ge, And, Or, Not, Xor, ITE})

# The one list of what symgrad understands: the operations of an expression and of a Piecewise's conditions. Symbols,
# matrix elements, numbers, true and false are leaves, and stand in every expression.
SUPPORTED_FUNCTIONS: frozenset[type] = CONDITIONS | {
    *(sp.Add, sp.Mul, sp.Pow, sp.exp, sp.log),
    *(sp.sin, sp.cos, sp.tan, sp.cot, sp.sec, sp.csc, sp.sinc),
    *(sp.asin, sp.acos, sp.atan, sp.acot, sp.asec, sp.acsc, sp.atan2),
    *(sp.sinh, sp.cosh, sp.tanh, sp.coth, sp.sech, sp.csch),
    *(sp.asinh, sp.acosh, sp.atanh, sp.acoth, sp.asech, sp.acsch),
    *(sp.Abs, sp.sign, sp.Min, sp.Max, sp.Heaviside, sp.floor, sp.ceiling, sp.Mod, sp.Piecewise),
    *(sp.erf, sp.erfc, sp.erfinv, sp.loggamma, sp.gamma, sp.digamma, sp.polygamma),
    *(sp.beta, sp.binomial, sp.factorial),
    *(sp.re, sp.im, sp.conjugate, sp.Sum, functions.maximum),
    *(cfunctions.log1p, cfunctions.expm1, cfunctions.exp2, cfunctions.log2, cfunctions.log10, cfunctions.hypot),
    *(functions.sigmoid, functions.softplus, functions.log_sigmoid, functions.logsumexp),
    *(functions.log_cosh, functions.xlogy),
}

# What runs over an index, and binds it.
OVER_AN_INDEX: frozenset[type] = frozenset({sp.Sum, functions.maximum})

# The operations of which any number of any numbers is a number: there is nothing more to check than their arguments.
PLAIN: frozenset[type] = SUPPORTED_FUNCTIONS - CONDITIONS - OVER_AN_INDEX - {sp.Pow, sp.Piecewise, sp.polygamma}

# The operations that make matrices, or numbers of whole matrices. An Inverse is that of a 1x1 matrix: a reciprocal.
SUPPORTED_MATRICES: frozenset[type] = frozenset(
    {
        *(sp.MatMul, sp.MatAdd, sp.MatPow, sp.Inverse, sp.Transpose),
        *(sp.HadamardProduct, sp.HadamardPower, ElementwiseApplyFunction),
        *(sp.ZeroMatrix, sp.OneMatrix, sp.Identity, sp.ImmutableDenseMatrix),
        *(MatrixSlice, sp.BlockMatrix, sp.DiagMatrix, sp.Trace, DotProduct),
    }
)

# The names under which people write the comparisons.
_SHORT = {sp.Eq: "Eq", sp.Ne: "Ne", sp.Lt: "Lt", sp.Le: "Le", sp.Gt: "Gt", sp.Ge: "Ge"}

# What to write instead of a function that people reach for and symgrad does not have.
_ADVICE = {
    "Derivative": "evaluate it first: expression.doit()",
    "Subs": "evaluate it first: expression.doit()",
    "Integral": "evaluate it first (expression.doit()), or write its closed form",
    "Product": "evaluate it first (expression.doit()), or write exp(Sum(log(...), ...)) where the factors are positive",
    "Limit": "evaluate it first: expression.doit()",
    "Indexed": "declare a sympy.MatrixSymbol('x', n, 1) and write x[i, 0]",
    "IndexedBase": "declare a sympy.MatrixSymbol('x', n, 1) and write x[i, 0]",
    "DiracDelta": "it is no function of a number; is it the derivative of a Heaviside, a sign or an Abs? Declare the "
    "function itself and let symgrad differentiate it",
    "KroneckerDelta": "write Piecewise((1, Eq(i, j)), (0, True))",
    "trigamma": "write polygamma(1, x)",
    "frac": "write x - floor(x)",
    "arg": "symbols are real: write Piecewise((0, x >= 0), (pi, True))",
    "erfi": "it has no real-valued counterpart here; write its series, or split the model",
    "Cbrt": "write sign(x)*Abs(x)**Rational(1, 3)",
    "Sqrt": "write sympy.sqrt(x)",
    "fma": "write x*y + z",
    "Determinant": "write it out in the elements: A.as_explicit().det()",
    "Inverse": "make what it is applied to an input; a matrix of up to 3x3 is inverted by writing the expression out, "
    "if that holds no matrix of more than 16 elements",
    "KroneckerProduct": "write its blocks: BlockMatrix([[a[0, 0]*B, a[0, 1]*B], ...])",
    "Adjoint": "symbols are real: write the transpose, A.T",
    "BlockDiagMatrix": "write BlockMatrix([[A, ZeroMatrix(m, n)], [ZeroMatrix(k, l), B]])",
    "FunctionMatrix": "write it out in its elements: matrix.as_explicit()",
    "ImmutableSparseMatrix": "write sympy.ImmutableDenseMatrix(matrix)",
    "DiagonalMatrix": "write HadamardProduct(Identity(n), A)",
    "DiagonalOf": "write HadamardProduct(Identity(n), A)*OneMatrix(n, 1)",
}


def children(node: Any) -> tuple[Any, ...]:
    """The sub-expressions of a node. Names, sizes, indices of elements, bounds of slices and variables are none.

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
    """Every distinct node (by identity) of ``roots``, each before its ``children``, the leftmost first."""
    stack, seen = list(roots)[::-1], set[int]()
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        stack.extend(reversed(children(node)))


def postorder(roots: Iterable[Any]) -> Iterator[Any]:
    """Every distinct node (by identity) of ``roots``, each after its ``children``, the leftmost first."""
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
    """As ``postorder``, with the variables of the Lambdas around each node, the outermost first.

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
    """The variables around the children of a node that itself stands in ``scope``."""
    return scope + tuple(node.signature) if isinstance(node, sp.Lambda) else scope


# ---------------------------------------------------------------------------------------------------------- printing


def name_of(symbol: Any) -> str:
    """A symbol's name as it is shown in a message: quoted, escaped where it is not printable, and cut if it is long."""
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
    """An expression as text for a message: whole if it is small, else its outermost operation with the rest cut."""
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


# ------------------------------------------------------------------------------------------------ what may be in it


def check_operation(where: str, node: Any) -> None:
    """Refuse an operation that symgrad does not have, with its name, the nearest one and the list of those it has."""
    if isinstance(node, sp.MatrixExpr):
        problem = unsupported_matrix(node)
    else:
        problem = "" if type(node) in SUPPORTED_FUNCTIONS | SUPPORTED_MATRICES else _unsupported(node)
    if problem:
        raise UnsupportedExpressionError(f"{where}: {problem}")
    if isinstance(node, sp.Piecewise) and node.args[-1].args[1] is not sp.true:
        raise DeclarationError(
            f"{where}: the Piecewise {show(node)} has no default: where none of its conditions holds it has no value; "
            "write its last pair as (expression, True)"
        )
    if isinstance(node, sp.polygamma) and not (node.args[0].is_Integer and node.args[0] >= 0):
        raise UnsupportedExpressionError(
            f"{where}: polygamma needs an order that is a whole number >= 0, got {show(node.args[0])} in {show(node)}; "
            "write the order as a number, e.g. polygamma(1, x)"
        )
    if isinstance(node, sp.Pow) and _is_complex_root(*node.args):
        raise DeclarationError(
            f"{where}: {show(node)} is not a real number: SymPy takes the principal, complex root of a negative "
            "number; for the real root write -Abs(x)**Rational(1, 3)"
        )


def _is_complex_root(base: Any, exponent: Any) -> bool:
    return bool(base.is_Number and exponent.is_Number and base.is_negative and not exponent.is_integer)


def unsupported_matrix(node: Any) -> str:
    """What is wrong with a ``MatrixExpr`` that symgrad does not have, or not in this form; "" if nothing is."""
    kind = type(node)
    if isinstance(node, sp.MatrixSymbol):
        return ""
    if kind not in SUPPORTED_MATRICES or (kind is sp.Inverse and node.shape != (1, 1)):
        return _unsupported(node)
    if kind is sp.MatPow and node.shape != (1, 1) and not (node.args[1].is_Integer and node.args[1] >= 1):
        return (
            f"the exponent {show(node.args[1])} of {show(node)} is not supported: the base is a matrix; expected a "
            "whole number >= 1. For the power of each element write HadamardPower(A, exponent)"
        )
    if kind is ElementwiseApplyFunction and node.args[0] is sp.Id:  # which has no arguments, unlike other Lambdas
        return f"{show(node)} applies the identity, which is the matrix itself; leave the .applyfunc out"
    if kind is ElementwiseApplyFunction and not (
        isinstance(node.args[0], sp.Lambda) and len(node.args[0].variables) == 1
    ):
        return f"the function of {show(node)} is not one of one number; write matrix.applyfunc(Lambda(x, formula of x))"
    return ""


def _unsupported(node: Any) -> str:
    name, matrix = type(node).__name__, isinstance(node, sp.MatrixExpr)
    kinds = SUPPORTED_MATRICES if matrix else SUPPORTED_FUNCTIONS
    known = sorted(_SHORT.get(kind, kind.__name__) for kind in kinds)
    if isinstance(node, sp.core.function.AppliedUndef):
        advice = "a function without a definition has no derivative; write its formula"
    else:
        advice = _ADVICE.get(name, "")
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    nearest = f" The nearest one is {near[0]}." if near and not advice else ""
    cure = f"{advice[0].upper()}{advice[1:]}." if advice else f"Write it in these.{nearest}"
    what = "matrix operation" if matrix else "function"
    return f"the {what} {name} is not supported, in {show(node)}. {cure} Supported: {', '.join(known)}"


def check_number(where: str, number: Any, parent: Any) -> None:
    """Refuse ``zoo``, ``nan``, infinities, ``I``, and numbers that a double cannot hold."""
    if number is sp.I:
        problem = "I is the imaginary unit and symgrad works with real numbers; write the real form"
    elif number is sp.zoo or number is sp.nan:
        problem = f"{number} is no number: SymPy found a division by zero or an undefined form; mend the formula"
    elif number is sp.oo or number == -sp.oo:
        problem = "an infinity is no number to compute with; write a large finite number, or drop the term"
    elif number.is_Number and not _fits_a_double(number):
        problem = "this number is beyond what a double can hold (about 2.2e-308 to 1.8e308); rescale the formula"
    else:
        return
    inside = "" if parent is None else f" in {show(parent)}"
    raise DeclarationError(f"{where}: contains {show(number)}{inside}: {problem}")


def _fits_a_double(number: Any) -> bool:
    try:
        value = number.p / number.q if number.is_Rational else float(number)
    except OverflowError:
        return False
    return abs(value) != float("inf") and (value != 0.0 or bool(number.is_zero))


def check_kind(where: str, node: Any, parent: Any, condition: bool) -> None:
    """Refuse a condition where a number is expected, and a number where a condition is expected."""
    is_condition = type(node) in CONDITIONS or isinstance(node, BooleanAtom)
    if condition and not is_condition:
        raise UnsupportedExpressionError(
            f"{where}: {show(node)} stands as a condition in {show(parent)}; expected a comparison, "
            "e.g. x > 0 or Ne(x, 0), or comparisons joined by And, Or, Not, Xor, ITE"
        )
    if is_condition and not condition:
        inside = "" if parent is None else f", in {show(parent)}"
        raise UnsupportedExpressionError(
            f"{where}: the condition {show(node)} stands where a number is expected{inside}; "
            "write Piecewise((1, condition), (0, True))"
        )


def parts_of(node: Any) -> list[tuple[Any, bool]]:
    """The arguments of an operation, each with whether it stands as a condition."""
    if isinstance(node, sp.Piecewise):
        return [part for branch in node.args for part in ((branch.args[0], False), (branch.args[1], True))]
    joined = isinstance(node, And | Or | Not | Xor | ITE)
    return [(argument, joined) for argument in children(node)]
