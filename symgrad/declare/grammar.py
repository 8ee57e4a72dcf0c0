"""What a SymPy expression may hold, and what is said of one that holds something else."""

import difflib
from typing import Any

import sympy as sp
from sympy.codegen import cfunctions
from sympy.logic.boolalg import ITE, And, BooleanAtom, Not, Or, Xor
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction
from sympy.matrices.expressions.dotproduct import DotProduct
from sympy.matrices.expressions.slice import MatrixSlice

from symgrad import functions
from symgrad.errors import DeclarationError, UnsupportedExpressionError

from .walks import children
from .words import show

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
    """Return what is wrong with a ``MatrixExpr`` that symgrad does not have, or not in this form; "" if nothing is."""
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
    """Return the arguments of an operation, each with whether it stands as a condition."""
    if isinstance(node, sp.Piecewise):
        return [part for branch in node.args for part in ((branch.args[0], False), (branch.args[1], True))]
    joined = isinstance(node, And | Or | Not | Xor | ITE)
    return [(argument, joined) for argument in children(node)]
