"""How matrix expressions are written: what SymPy's printers lack, or write in a way that few would read.

In text a dot makes a function or an operation elementwise: ``tanh.(a)``, ``a .* b``, ``a.**2``.
"""

from typing import Any

import sympy as sp

from .arithmetic import is_matrix, is_one
from .calculus import Equation

__all__ = ["NOTE", "LatexOfMatrices", "TextOfMatrices", "left_side", "right_side"]

NOTE = "A dot makes a function or an operation elementwise; [i = j] is 1 where it holds, else 0."
_VARIABLES = ("x", "t", "s", "r", "q", "x_")


def _function_of(node: Any) -> tuple[str, Any, Any]:
    """What an elementwise function is: its kind, the function or the body, and its variable with a name of its own."""
    (variable,) = node.function.variables
    body = node.function.expr
    if isinstance(body, sp.Derivative):
        return "primed", body.expr.func, variable
    if isinstance(body, sp.Function) and body.args == (variable,):
        return "named", body.func, variable
    if isinstance(body, sp.Pow) and body.base == variable and not body.exp.has(variable):
        return "power", body.exp, variable
    taken = {str(symbol.name) for symbol in body.atoms(sp.Symbol, sp.MatrixSymbol) if symbol != variable}
    readable = sp.Symbol(next(letter for letter in (*_VARIABLES, "x__") if letter not in taken))
    return "body", body.xreplace({variable: readable}), readable


def _in_order(terms: Any) -> list[Any]:
    """The terms of a sum as people write them: products first, what is subtracted last."""
    return sorted(terms, key=lambda term: (_sign(term) < 0, not _is_product(term)))


def _is_product(term: Any) -> bool:
    return isinstance(term, sp.MatMul) and sum(map(is_matrix, term.args)) > 1


def _sign(term: Any) -> int:
    return -1 if isinstance(term, sp.MatMul) and _factors(term)[0].is_negative else 1


def _factors(product: Any) -> tuple[Any, Any, list[Any]]:
    """A product's number, its other scalars and its matrices."""
    number, scalars = sp.Mul(*(a for a in product.args if not is_matrix(a))).as_coeff_Mul()
    return number, scalars, [a for a in product.args if is_matrix(a)]


class _OfMatrices:
    """What text and LaTeX have in common."""

    _times: str
    _elementwise: str
    _brackets: tuple[str, str]

    def _print_MatAdd(self: Any, total: Any) -> str:
        first, *rest = _in_order(total.args)
        text = str(self._print(first))
        for term in rest:
            negative = _sign(term) < 0
            text += f" {'-' if negative else '+'} {self._print(_negated(term) if negative else term)}"
        return text

    def _print_MatMul(self: Any, product: Any) -> str:
        number, scalars, matrices = _factors(product)
        above, below = number.as_numer_denom() if number.is_Rational else (number, sp.S.One)
        parts = [] if abs(above) == 1 else [self._print(abs(above))]
        parts += [] if scalars == 1 else [self._bracketed(scalars)]
        text = self._times.join([*parts, *(self._bracketed(matrix) for matrix in matrices)])
        text = text if below == 1 else self._over(text, self._print(below))
        return f"-{text}" if above < 0 else str(text)

    def _print_HadamardProduct(self: Any, product: Any) -> str:
        return str(self._elementwise.join(self._bracketed(factor) for factor in product.args))

    def _bracketed(self: Any, node: Any) -> str:
        """In brackets where it is a sum, a product of matrices or an elementwise operation."""
        text = str(self._print(node))
        if isinstance(node, sp.Add | sp.MatAdd | sp.MatMul | sp.HadamardProduct):
            return text.join(self._brackets)
        return text


class TextOfMatrices(_OfMatrices):
    """For a ``StrPrinter``."""

    _times, _elementwise, _brackets, _comma = "*", " .* ", ("(", ")"), ", "

    def _over(self, above: str, below: str) -> str:
        return f"{above}/{below}"

    def _print_Transpose(self: Any, turned: Any) -> str:
        power = isinstance(turned.arg, sp.MatPow) or ".**" in self._print(turned.arg)
        return f"({self._print(turned.arg)}).T" if power else f"{self._bracketed(turned.arg)}.T"

    def _print_BlockMatrix(self: Any, matrix: Any) -> str:
        return str(self._print(matrix.blocks))

    def _print_ImmutableDenseMatrix(self: Any, matrix: Any) -> str:
        rows = (", ".join(self._print(matrix[i, j]) for j in range(matrix.cols)) for i in range(matrix.rows))
        return f"[{'; '.join(rows)}]"

    def _print_ElementwiseApplyFunction(self: Any, node: Any) -> str:
        kind, what, variable = _function_of(node)
        argument = self._print(node.expr)
        if kind == "power":
            return f"{self._bracketed(node.expr)}.**{self._atom(what)}"
        if kind == "body":
            return f"({self._print(variable)} -> {self._print(what)}).({argument})"
        return f"{what.__name__}{chr(39) if kind == 'primed' else ''}.({argument})"

    def _atom(self: Any, scalar: Any) -> str:
        text = str(self._print(scalar))
        return text if scalar.is_Symbol or (scalar.is_Integer and scalar >= 0) else f"({text})"

    def _print_Derivative(self: Any, derivative: Any) -> str:
        above, below = derivative.expr, self._print(derivative.variables[0])
        return f"d{self._print(above)}/d{below}" if above.is_Symbol else f"{above.func.__name__}'({below})"

    def _print_Trace(self: Any, trace: Any) -> str:
        text = self._print(trace.arg)
        return f"({text})" if is_one(trace.arg) else f"Trace({text})"

    def _print_OneMatrix(self: Any, ones: Any) -> str:
        return f"ones({ones.shape[0]}, {ones.shape[1]})"

    def _print_KroneckerDelta(self: Any, delta: Any) -> str:
        return f"[{self._print(delta.args[0])} = {self._print(delta.args[1])}]"

    def _print_MatrixElement(self: Any, element: Any) -> str:
        matrix, *places = element.args
        name = self._bracketed(matrix)
        only = isinstance(matrix, sp.MatrixSymbol) and is_one(matrix)
        return name if only else f"{name}[{self._comma.join(self._print(place) for place in places)}]"


class LatexOfMatrices(_OfMatrices):
    """For a ``LatexPrinter``."""

    _times, _elementwise, _brackets = " ", r" \circ ", (r"\left(", r"\right)")

    def _over(self, above: str, below: str) -> str:
        return rf"\frac{{1}}{{{below}}} {above}"

    def _print_Transpose(self: Any, turned: Any) -> str:
        return f"{{{self._bracketed(turned.arg)}}}^{{T}}"

    def _print_ElementwiseApplyFunction(self: Any, node: Any) -> str:
        kind, what, variable = _function_of(node)
        argument = self._print(node.expr).join(self._brackets)
        if kind == "power":
            return rf"{{{self._bracketed(node.expr)}}}^{{\circ {self._print(what)}}}"
        if kind == "body":
            function = rf"{self._print(variable)} \mapsto {self._print(what)}".join(self._brackets)
            return f"{function}{argument}"
        return f"{self._hprint_Function(what.__name__)}{chr(39) if kind == 'primed' else ''}{argument}"

    def _print_Idx(self: Any, index: Any) -> str:
        return str(self._print(index.label))

    def _print_Derivative(self: Any, derivative: Any) -> str:
        above, below = derivative.expr, self._print(derivative.variables[0])
        if above.is_Symbol:
            above = sp.Symbol("P") if above.name == "penalty" else above
            return rf"\frac{{\partial {self._print(above)}}}{{\partial {below}}}"
        return f"{self._hprint_Function(above.func.__name__)}'{below.join(self._brackets)}"

    def _print_Trace(self: Any, trace: Any) -> str:
        text = self._print(trace.arg).join(self._brackets)
        return text if is_one(trace.arg) else rf"\operatorname{{tr}}{text}"

    def _print_KroneckerDelta(self: Any, delta: Any) -> str:
        return rf"\left[{self._print(delta.args[0])} = {self._print(delta.args[1])}\right]"

    def _print_MatrixElement(self: Any, element: Any) -> str:
        matrix, *places = element.args
        name = self._bracketed(matrix)
        only = isinstance(matrix, sp.MatrixSymbol) and is_one(matrix)
        return name if only else f"{{{name}}}_{{{','.join(self._print(place) for place in places)}}}"


def _negated(term: Any) -> Any:
    number, scalars, matrices = _factors(term)
    factor = -number * scalars
    whole = factor == 1 and len(matrices) == 1
    return matrices[0] if whole else sp.MatMul(*([factor] if factor != 1 else []), *matrices)


# --- equations -----------------------------------------------------------------------------------------------------


def left_side(equation: Equation) -> list[Any]:
    """Return what stands left of the value: ``[delta_1, Derivative(L, a_1)]``, by elements where the value is."""
    at = tuple(_place(equation.value)) if isinstance(equation.value, sp.FunctionMatrix) else None

    def shown(symbol: Any) -> Any:
        return symbol if at is None else sp.MatrixSymbol(symbol.name, *equation.value.shape)[at]

    sides = [] if equation.name is None else [_head(equation.name, shown)]
    if equation.by is not None:
        sides.append(sp.Derivative(equation.of, shown(equation.by), evaluate=False))
    return sides


def _head(name: Any, shown: Any) -> Any:
    return name if isinstance(name, sp.Derivative) else shown(name)


def _place(value: Any) -> list[Any]:
    pairs = zip(value.lamda.variables, value.shape, strict=True)
    return [variable if size > 1 else sp.S.Zero for variable, size in pairs]


def right_side(equation: Equation) -> Any:
    """Return what stands right of an equals sign: the value, or one element's where `left_side` is by elements."""
    value = equation.value
    if isinstance(value, sp.Trace) and is_one(value.arg):
        return value.arg
    return value.lamda.expr if isinstance(value, sp.FunctionMatrix) else value
