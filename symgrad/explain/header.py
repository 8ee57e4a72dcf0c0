"""A risk and its gradient as mathematics in plain text, for the header of a generated module and for `symgrad show`."""

import re
import textwrap
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any, overload

import sympy as sp
from sympy.concrete.expr_with_limits import ExprWithLimits
from sympy.matrices.expressions.matexpr import MatrixElement
from sympy.printing.str import StrPrinter

from symgrad.declare import EmpiricalRisk, leaves, postorder

from .arithmetic import is_matrix
from .brevity import is_short
from .calculus import Equation
from .layers import formulae, has_matrices, placeholder_of
from .notation import NOTE, TextOfMatrices, left_side, right_side

_MOST_NODES = 200  # of an expression that is still shown, as a tree
_DEEPEST = 25
_MOST_PARTIALS = 12
_MOST_LINES = 60  # of the formulae of a network
_MOST_NAMED = 60  # in the legend
_WIDTH = 112
_UNUSUAL = re.compile(r"\.\(|\.\*|\[\w+ = ")
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,30}|N_theta\[\d+\]", re.ASCII)


def header_lines(risk: EmpiricalRisk) -> tuple[str, ...]:
    """Lines of printable ASCII: the risk, the sum rule, and, where short, the loss and its partial derivatives."""
    weighted = " + penalty(theta)" if risk.penalty is not None else ""
    lines = [
        f"R(theta)      = 1/N * sum_i L_i(theta){weighted}",
        f"grad R(theta) = 1/N * sum_i grad L_i(theta){' + grad penalty(theta)' if weighted else ''}",
        "",
    ]
    text = _Text(risk)
    if has_matrices(risk):
        lines += _of_matrices(risk, text)
    else:
        for name, expression in equations(risk):
            lines += _equation(text.doprint(name), text.doprint(expression))
    return (*lines, "", *_legend(risk, text))


def size_of(*symbols: Any) -> int:
    """How many scalars symbols hold, all together."""
    return sum(int(s.shape[0] * s.shape[1]) if is_matrix(s) else 1 for s in symbols)


def leaf_of(symbols: Sequence[Any], position: int) -> Any:
    """The scalar at a place of ``leaves(*symbols)``, without making the others. IndexError if there is none."""
    rest = position
    for symbol in symbols:
        if 0 <= rest < size_of(symbol):
            return MatrixElement(symbol, *divmod(rest, int(symbol.shape[1]))) if is_matrix(symbol) else symbol
        rest -= size_of(symbol)
    raise IndexError(f"position: expected a whole number from 0 to {size_of(*symbols) - 1}, got {position}")


def parameter_name(risk: EmpiricalRisk, position: int) -> str:
    """A printable name for the flat parameter at ``position``, safe in a comment. IndexError if there is none."""
    return _Text(risk).doprint(leaf_of(risk.parameters, position))  # type: ignore[no-any-return]


def parameter_names(risk: EmpiricalRisk) -> Sequence[str]:
    """A printable name for each of the flat parameters, safe in a comment; each is made when it is asked for."""
    return _Names(risk)


class _Names(Sequence[str]):
    def __init__(self, risk: EmpiricalRisk) -> None:
        self._symbols, self._text = risk.parameters, _Text(risk)
        self._length = size_of(*risk.parameters)

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[str, ...]: ...
    def __getitem__(self, place: int | slice) -> str | tuple[str, ...]:
        if isinstance(place, slice):
            return tuple(self[p] for p in range(*place.indices(self._length)))
        position = place + self._length if place < 0 else place
        return str(self._text.doprint(leaf_of(self._symbols, position)))


def equations(risk: EmpiricalRisk) -> Iterator[tuple[sp.Expr, sp.Expr]]:
    """``(name, expression)`` of the model, the loss, the penalty and, if small, the loss' partial derivatives.

    For a risk that is made of matrices they are those of `layers`.
    """
    if has_matrices(risk):
        yield from ((left_side(equation)[-1], right_side(equation)) for equation in _all(risk))
        return
    for place, output in enumerate(risk.outputs):
        yield sp.Symbol("N_theta" if risk.output_shape == () else f"N_theta[{place}]"), _or_dots(output)
    bound = dict(zip(risk.predictions, risk.outputs, strict=True))
    yield sp.Symbol("L"), _or_dots(risk.loss)
    if risk.penalty is not None:
        yield sp.Symbol("penalty"), _or_dots(risk.penalty)
    few = size_of(*risk.parameters) <= _MOST_PARTIALS
    if few and all(_small(e) for e in (risk.loss, *risk.outputs)):
        loss, parameters = risk.loss.xreplace(bound), leaves(*risk.parameters)
        if _small(loss) and not _has_indices(loss):
            partials = _partials(loss, parameters)
            for parameter, partial in zip(parameters, partials, strict=True):
                yield sp.Derivative(sp.Symbol("L"), parameter, evaluate=False), _or_dots(partial)


def _partials(expression: sp.Expr, parameters: Sequence[sp.Expr]) -> Iterator[sp.Expr]:
    """The derivatives as all symbols are meant, real: of Abs(z), say, SymPy would give one in re(z) and im(z)."""
    own = [node for node in postorder([expression]) if isinstance(node, sp.Symbol | MatrixElement)]
    real = {leaf: sp.Dummy(real=True) for leaf in (*own, *parameters)}
    back = {stand_in: leaf for leaf, stand_in in real.items()}
    meant = expression.xreplace(real)
    for parameter in parameters:
        derivative = sp.diff(meant, real[parameter])
        undone = derivative.has(sp.Derivative, sp.Subs, sp.DiracDelta)  # of a floor or a sign: symgrad's is 0
        yield sp.Symbol("...") if undone else derivative.xreplace(back)


def _has_indices(expression: sp.Expr) -> bool:
    """Is there a Sum, a matrix, or an element whose index is a symbol? SymPy does not see through them."""
    return any(
        isinstance(node, ExprWithLimits | sp.MatrixExpr | sp.Trace)
        or (isinstance(node, MatrixElement) and not all(i.is_Integer for i in node.args[1:]))
        for node in postorder([expression])
    )


def _or_dots(expression: sp.Expr) -> sp.Expr:
    return expression if _small(expression) else sp.Symbol("...")


def _small(expression: sp.Expr) -> bool:
    """Can it be printed and differentiated as a tree: few nodes, shared ones counted each time, and not deep?"""
    return is_short([expression], nodes=_MOST_NODES, depth=_DEEPEST)


def _all(risk: EmpiricalRisk) -> tuple[Equation, ...]:
    shown = formulae(risk)
    return (*shown.forward, *shown.backward, *shown.functions)


def _of_matrices(risk: EmpiricalRisk, text: "_Text") -> list[str]:
    """The formulae of a risk that is made of matrices, not too many, and what is unusual in how they are written."""
    lines = []
    for equation in _all(risk):
        left = " = ".join(text.doprint(side) for side in left_side(equation))
        lines += _equation(left, text.doprint(right_side(equation)))
    lines = lines if len(lines) < _MOST_LINES else [*lines[: _MOST_LINES - 2], "..."]
    return lines + [NOTE] * any(_UNUSUAL.search(line) for line in lines)


class _Text(TextOfMatrices, StrPrinter):  # type: ignore[misc]  # SymPy has no types
    """SymPy's text, with a positional name for every symbol whose own is not plain."""

    def __init__(self, risk: EmpiricalRisk) -> None:
        super().__init__()
        roles = (("p", risk.parameters), ("u", risk.inputs), ("y", risk.targets))
        self._positional = {s.name: f"{role}_{i}" for role, symbols in roles for i, s in enumerate(symbols)}
        if has_matrices(risk) and risk.predictions:
            self._positional.setdefault(placeholder_of(risk).name, "z_0")

    def _print_Symbol(self, symbol: Any) -> str:
        name = str(symbol.name)
        return name if _PLAIN.fullmatch(name) or name == "..." else self._positional.get(name, "v")

    _print_Dummy = _print_MatrixSymbol = _print_Symbol

    def _print_Float(self, number: Any) -> str:
        return repr(float(number))


def _equation(name: str, expression: str) -> list[str]:
    return textwrap.wrap(f"{name} = {expression}", _WIDTH, subsequent_indent=" " * (len(name) + 3))


def _legend(risk: EmpiricalRisk, text: _Text) -> list[str]:
    """Which name in the code is which symbol: p of theta, u of inputs, y of targets."""
    roles = (("p", risk.parameters), ("u", risk.inputs), ("y", risk.targets))
    pairs = list(islice(chain.from_iterable(_named(role, symbols, text) for role, symbols in roles), _MOST_NAMED + 1))
    shown = pairs if len(pairs) <= _MOST_NAMED else [*pairs[:_MOST_NAMED], "..."]
    return textwrap.wrap(f"In the code {', '.join(shown)}." if shown else "", _WIDTH)


def _named(role: str, symbols: Sequence[Any], text: _Text) -> Iterator[str]:
    """``p0..p2047 is W1 (32 x 64)`` for a matrix, ``p0 is A`` for a scalar."""
    place = 0
    for symbol in symbols:
        end = place + size_of(symbol)
        first = f"{role}{place}" if end == place + 1 else f"{role}{place}..{role}{end - 1}"
        shape = f" ({symbol.shape[0]} x {symbol.shape[1]})" if is_matrix(symbol) else ""
        yield f"{first} is {text.doprint(symbol)}{shape}"
        place = end
