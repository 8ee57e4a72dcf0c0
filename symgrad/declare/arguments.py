"""What people hand over, made uniform or refused: lists of symbols, scalar and matrix expressions, names."""

import keyword
import numbers
from collections.abc import Mapping
from typing import Any

import sympy as sp
from sympy.logic.boolalg import Boolean
from sympy.matrices.expressions.matexpr import MatrixElement

from symgrad.errors import DeclarationError, UnsupportedExpressionError

from .grammar import unsupported_matrix
from .scope import describe
from .walks import walk
from .words import name_of, show


def symbols(argument: str, declared: Any) -> tuple[Any, ...]:
    """Return the declared symbols as a tuple; one symbol stands for a list of one, None for an empty list."""
    if declared is None:
        return ()
    if isinstance(declared, str | bytes):
        raise _string(argument, declared)
    if isinstance(declared, set | frozenset | Mapping | sp.Set):
        raise DeclarationError(
            f"{argument}: expected a list of symbols, got a {type(declared).__name__}; "
            "the order says how arrays are packed, so write a list: [a, b]"
        )
    single = isinstance(declared, sp.Basic) and not isinstance(declared, sp.Tuple | sp.MatrixBase)
    try:
        listed = (declared,) if single else tuple(declared)
    except TypeError:
        raise DeclarationError(
            f"{argument}: expected a list of Symbol or MatrixSymbol, got {declared!r:.200} of type "
            f"{type(declared).__name__}; write e.g. [sympy.Symbol('a')]"
        ) from None
    for symbol in listed:
        _check_symbol(argument, symbol)
    return listed


def _check_symbol(argument: str, symbol: Any) -> None:
    if isinstance(symbol, str | bytes):
        raise _string(argument, symbol)
    if isinstance(symbol, MatrixElement):
        raise DeclarationError(
            f"{argument}: expected a Symbol or a MatrixSymbol, got the element {show(symbol)}; "
            f"declare the whole matrix {show(symbol.args[0])}"
        )
    if isinstance(symbol, sp.MatrixSymbol):
        if not all(size.is_Integer and size > 0 for size in symbol.shape):
            shape = f"({show(symbol.shape[0])}, {show(symbol.shape[1])})"
            raise DeclarationError(
                f"{argument}: the MatrixSymbol {name_of(symbol)} has the shape {shape}; expected whole numbers > 0; "
                "write them as numbers, e.g. MatrixSymbol('W', 3, 1)"
            )
        return
    if not isinstance(symbol, sp.Symbol):
        shown = show(symbol) if isinstance(symbol, sp.Basic) else f"{symbol!r:.200}"
        advice = "an index belongs to a Sum" if isinstance(symbol, sp.Idx) else "write e.g. sympy.Symbol('a')"
        if isinstance(symbol, sp.IndexedBase | sp.Indexed):
            advice = "declare a sympy.MatrixSymbol('x', n, 1) and write x[i, 0]"
        raise DeclarationError(
            f"{argument}: expected a Symbol or a MatrixSymbol, got {shown} of type {type(symbol).__name__}; {advice}"
        )
    if not symbol.is_commutative or symbol.is_extended_real is False or symbol.is_real is False:
        raise DeclarationError(
            f"{argument}: {name_of(symbol)} is {describe(symbol)}; expected a real number: "
            "make it without these assumptions, e.g. with real=True"
        )


def _string(argument: str, text: str | bytes) -> DeclarationError:
    return DeclarationError(
        f"{argument}: expected SymPy objects, got the {type(text).__name__} {text!r:.80}; symgrad never parses text: "
        "make the symbols first (x = sympy.Symbol('x')) and write the formula with them"
    )


def check_distinct(where: str, roles: Mapping[str, tuple[Any, ...]]) -> None:
    """Raise `DeclarationError` for a symbol that stands twice, in one list or in two, and for two of one name."""
    first: dict[str, tuple[str, Any]] = {}
    for role, listed in roles.items():
        for symbol in listed:
            name = str(symbol.name)
            if name not in first:
                first[name] = (role, symbol)
                continue
            other_role, other = first[name]
            if other != symbol:
                raise DeclarationError(
                    f"{where}: two different symbols are named {name_of(symbol)}: the one in {other_role} is "
                    f"{describe(other)}, the one in {role} is {describe(symbol)}; give them different names"
                )
            if role == other_role:
                raise DeclarationError(f"{where}: {name_of(symbol)} is twice in {role}; list each symbol once")
            raise DeclarationError(
                f"{where}: {name_of(symbol)} is declared both in {other_role} and in {role}; a symbol has one role: "
                "take it out of one list, or make a second symbol with a name of its own"
            )


# ------------------------------------------------------------------------------------------------------- expressions


def outputs_of(where: str, output: Any) -> tuple[tuple[Any, ...], tuple[int, ...]]:
    """Return an output as what is computed of it, and its shape.

    A ``MatrixExpr`` is one output and stays whole; an explicit matrix is its scalar elements in C order. A small
    ``MatrixExpr`` that holds what can only be computed element by element, e.g. an inverse, becomes an explicit one.
    """
    if isinstance(output, sp.MatrixExpr) and not isinstance(output, sp.MatrixBase):
        for node in walk([output]):
            if isinstance(node, sp.MatrixSymbol):
                _check_symbol(where, node)
        if not _must_be_explicit(output):
            return (output,), _whole_shape(where, output)
        output = _explicit(where, output)
    if isinstance(output, sp.MatrixBase):
        if 0 in output.shape:
            raise DeclarationError(f"{where}: the matrix has the shape {output.shape} and is empty; give it an element")
        return tuple(_scalar(where, element) for element in output), tuple(output.shape)
    return (_scalar(where, output),), ()


def one_scalar(where: str, expression: Any) -> Any:
    """Return a scalar expression; a ``MatrixExpr`` of one element means that element, and is kept as it is."""
    elements, shape = outputs_of(where, expression)
    if shape not in ((), (1, 1)):
        raise DeclarationError(
            f"{where}: expected one number, got a matrix of shape {shape}; "
            "add its elements up, e.g. Sum((z[i, 0] - y[i, 0])**2, (i, 0, 9)) or (z - y).T*(z - y)"
        )
    return elements[0]


# Up to this many elements a matrix may be written out, if an operation on it is known by its elements alone.
_MOST_WRITTEN_OUT = 16


def _must_be_explicit(matrix: Any) -> bool:
    """Whether a matrix has operations that symgrad lacks, and is small enough to be written out without them."""
    matrices = [node for node in walk([matrix]) if isinstance(node, sp.MatrixExpr)]
    lacking = [node for node in matrices if unsupported_matrix(node)]
    if not lacking or any(isinstance(node, sp.Inverse) and _elements(node) > 9 for node in lacking):
        return False
    return all(_elements(node) <= _MOST_WRITTEN_OUT for node in matrices)


def _elements(matrix: Any) -> float:
    rows, columns = matrix.shape
    known = isinstance(rows, int | sp.Integer) and isinstance(columns, int | sp.Integer)
    return int(rows) * int(columns) if known else float("inf")


def _whole_shape(where: str, matrix: Any) -> tuple[int, int]:
    if _elements(matrix) in (0, float("inf")):
        shape = ", ".join(map(str, matrix.shape))
        raise DeclarationError(
            f"{where}: the matrix {show(matrix)} has the shape ({shape}); expected whole numbers > 0; "
            "write its sizes as numbers"
        )
    return int(matrix.shape[0]), int(matrix.shape[1])


def _explicit(where: str, matrix: Any) -> Any:
    try:
        return matrix.as_explicit()
    except (ValueError, TypeError, NotImplementedError, RecursionError) as error:
        raise UnsupportedExpressionError(
            f"{where}: the matrix expression {show(matrix)} cannot be written out in its elements "
            f"({type(error).__name__}: {str(error)[:200]}); give the elements as a sympy.Matrix"
        ) from error


def _scalar(where: str, value: Any) -> Any:
    """A scalar expression; Python's numbers become SymPy's, and nothing is parsed."""
    if isinstance(value, str | bytes):
        raise _string(where, value)
    matrix = isinstance(value, sp.MatrixExpr)
    if isinstance(value, sp.Expr) and (not matrix or _elements(value) == 1):
        return value
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return sp.Integer(int(value))
    if isinstance(value, numbers.Rational) and not isinstance(value, bool):
        return sp.Rational(value.numerator, value.denominator)
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return sp.Float(float(value))
    shown = show(value) if isinstance(value, sp.Basic) else f"{value!r:.200}"
    advice = "write the formula with SymPy symbols"
    if matrix:
        shape = ", ".join(map(str, value.shape))
        advice = (
            f"it is a matrix of shape ({shape}); to join several write a matrix expression: BlockMatrix([[A], [B]])"
        )
    elif isinstance(value, list | tuple | sp.Tuple | sp.NDimArray):
        advice = "for several outputs write sympy.Matrix([a, b])"
    elif isinstance(value, Boolean | bool):
        advice = "a condition is no number: write Piecewise((1, condition), (0, True))"
    raise DeclarationError(
        f"{where}: expected a SymPy expression, got {shown} of type {type(value).__name__}; {advice}"
    )


# Beside a module of such a name, other modules would import it for the one they mean.
_TAKEN = frozenset(
    {"numpy", "os", "collections", "concurrent", "cython", "symgrad", "importlib", "threading", "_thread"}
)


def check_name(name: Any) -> None:
    """Raise `DeclarationError` unless a risk's name can be that of a module and of a file."""
    if not (isinstance(name, str) and name.isascii() and name.isidentifier() and len(name) <= 100):
        problem = f"{name!r:.130} of type {type(name).__name__}" if not isinstance(name, str) else f"{name!r:.130}"
    elif keyword.iskeyword(name):
        problem = f"the Python keyword {name!r}"
    elif name.startswith("_sweep"):
        problem = f"{name!r}: names that begin with '_sweep' are those of what all modules run on"
    elif name in _TAKEN or name.startswith("__"):
        problem = f"{name!r}, which a generated module itself imports, or Python keeps for itself"
    else:
        return
    raise DeclarationError(
        f"EmpiricalRisk(name=...): expected a Python identifier that is no keyword, ASCII, of at most 100 characters, "
        f"got {problem}; write e.g. name='decay'"
    )
