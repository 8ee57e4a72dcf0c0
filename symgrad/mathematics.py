"""A risk and its gradient as mathematics in plain text, for the header of a generated module and for `symgrad show`."""

import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import sympy as sp
from sympy.matrices.expressions.matexpr import MatrixElement
from sympy.printing.str import StrPrinter

from .expressions import postorder
from .problem import EmpiricalRisk, leaves

_MOST_NODES = 200  # of an expression that is still shown, as a tree
_DEEPEST = 25
_MOST_PARTIALS = 12
_WIDTH = 112
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,30}", re.ASCII)


def header(risk: EmpiricalRisk) -> tuple[str, ...]:
    """Lines of printable ASCII: the risk, the sum rule, and, where short, the loss and its partial derivatives."""
    weighted = " + penalty(theta)" if risk.penalty is not None else ""
    lines = [
        f"R(theta)      = 1/N * sum_i L_i(theta){weighted}",
        f"grad R(theta) = 1/N * sum_i grad L_i(theta){' + grad penalty(theta)' if weighted else ''}",
        "",
    ]
    text = _Text(risk)
    for name, expression in equations(risk):
        lines += _equation(text.doprint(name), text.doprint(expression))
    return (*lines, "", *_legend(risk, text))


def parameter_names(risk: EmpiricalRisk) -> tuple[str, ...]:
    """A printable name for each of the flat parameters, safe in a comment."""
    text = _Text(risk)
    return tuple(text.doprint(leaf) for leaf in leaves(*risk.parameters))


def equations(risk: EmpiricalRisk) -> Iterator[tuple[sp.Expr, sp.Expr]]:
    """``(name, expression)`` of the model, the loss, the penalty and, if small, the loss' partial derivatives."""
    for place, output in enumerate(risk.outputs):
        yield sp.Symbol("N_theta" if risk.output_shape == () else f"N_theta[{place}]"), _or_dots(output)
    bound = dict(zip(risk.predictions, risk.outputs, strict=True))
    yield sp.Symbol("L"), _or_dots(risk.loss)
    if risk.penalty is not None:
        yield sp.Symbol("penalty"), _or_dots(risk.penalty)
    parameters = leaves(*risk.parameters)
    if len(parameters) <= _MOST_PARTIALS and all(_small(e) for e in (risk.loss, *risk.outputs)):
        loss = risk.loss.xreplace(bound)
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
    """Is there a Sum, or an element whose index is a symbol? SymPy does not see through them."""
    return any(
        isinstance(node, sp.Sum) or (isinstance(node, MatrixElement) and not all(i.is_Integer for i in node.args[1:]))
        for node in postorder([expression])
    )


def _or_dots(expression: sp.Expr) -> sp.Expr:
    return expression if _small(expression) else sp.Symbol("...")


def _small(expression: sp.Expr) -> bool:
    """Can it be printed and differentiated as a tree: few nodes, shared ones counted each time, and not deep?"""
    extent: dict[int, tuple[int, int]] = {}
    for node in postorder([expression]):
        inner = [extent[id(argument)] for argument in node.args if id(argument) in extent]
        nodes, depth = 1 + sum(n for n, _ in inner), 1 + max((d for _, d in inner), default=0)
        if nodes > _MOST_NODES or depth > _DEEPEST:
            return False
        extent[id(node)] = nodes, depth
    return True


class _Text(StrPrinter):  # type: ignore[misc]  # SymPy has no types
    """SymPy's text, with a positional name for every symbol whose own is not plain."""

    def __init__(self, risk: EmpiricalRisk) -> None:
        super().__init__()
        roles = (("p", risk.parameters), ("u", risk.inputs), ("y", risk.targets))
        self._positional = {s.name: f"{role}_{i}" for role, symbols in roles for i, s in enumerate(symbols)}

    def _print_Symbol(self, symbol: Any) -> str:
        name = str(symbol.name)
        return name if _PLAIN.fullmatch(name) or name == "..." else self._positional.get(name, "v")

    _print_Dummy = _print_MatrixSymbol = _print_Symbol

    def _print_Float(self, number: Any) -> str:
        return repr(float(number))

    def _print_Derivative(self, derivative: Any) -> str:
        return f"dL/d{self._print(derivative.variables[0])}"


def _equation(name: str, expression: str) -> list[str]:
    return textwrap.wrap(f"{name} = {expression}", _WIDTH, subsequent_indent=" " * (len(name) + 3))


def _legend(risk: EmpiricalRisk, text: _Text) -> list[str]:
    """Which name in the code is which symbol: p of theta, u of inputs, y of targets."""
    roles = (("p", risk.parameters), ("u", risk.inputs), ("y", risk.targets))
    pairs = [
        f"{role}{place} is {text.doprint(leaf)}"
        for role, symbols in roles
        for place, leaf in enumerate(leaves(*symbols))
    ]
    shown = pairs if len(pairs) <= 60 else [*pairs[:60], "..."]
    return textwrap.wrap(f"In the code {', '.join(shown)}." if shown else "", _WIDTH)
