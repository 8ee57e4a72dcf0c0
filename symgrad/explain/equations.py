"""What is said of a risk, as equations in SymPy: its model, its loss, its penalty and the derivatives.

The header of a generated module and `symgrad show` write the same list, each with a printer of its own. A risk is shown
by whole matrices where it is declared by them, else by scalars.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sympy as sp
from sympy.concrete.expr_with_limits import ExprWithLimits
from sympy.matrices.expressions.matexpr import MatrixElement

from symgrad.declare import EmpiricalRisk, leaves, n_leaves, postorder

from .brevity import is_short
from .calculus import DOTS, stand_ins
from .layers import LOSS, MODEL, PENALTY, formulae, has_matrices
from .notation import left_side, right_side

__all__ = ["LOSS", "MODEL", "PENALTY", "Account", "Line", "account_of"]

_MOST_NODES, _DEEPEST = 200, 25  # of an expression that is still shown, as a tree
_MOST_PARTIALS = 12


@dataclass(frozen=True, slots=True)
class Line:
    """One equation, of SymPy's expressions: all that is on the ``left`` is equal to ``right``.

    ``says`` is ``MODEL``, ``LOSS`` or ``PENALTY`` where it defines that, and None for what follows from them, and for
    names that matrices are given on the way.
    """

    says: Any
    left: tuple[Any, ...]
    right: Any


@dataclass(frozen=True, slots=True)
class Account:
    """What is said of a risk, in order.

    ``whole``: matrices are shown as such. ``complete``: no derivative of the loss is left out for being too long.
    """

    whole: bool
    lines: tuple[Line, ...]
    complete: bool


def account_of(risk: EmpiricalRisk) -> Account:
    """Return the equations of a risk, with dots for what is too long to be read."""
    if has_matrices(risk):
        shown = formulae(risk)
        equations = (*shown.forward, *shown.backward, *shown.functions)
        known = (MODEL, LOSS, PENALTY)
        lines = tuple(Line(e.name if e.name in known else None, tuple(left_side(e)), right_side(e)) for e in equations)
        return Account(True, lines, shown.complete)
    partials = tuple(_partial_derivatives(risk))
    return Account(False, (*_declared(risk), *partials), bool(partials))


def _declared(risk: EmpiricalRisk) -> Iterator[Line]:
    for place, output in enumerate(risk.outputs):
        name = MODEL if risk.output_shape == () else sp.Symbol(f"{MODEL.name}[{place}]")
        yield Line(MODEL, (name,), _or_dots(output))
    yield Line(LOSS, (LOSS,), _or_dots(risk.loss))
    if risk.penalty is not None:
        yield Line(PENALTY, (PENALTY,), _or_dots(risk.penalty))


def _partial_derivatives(risk: EmpiricalRisk) -> Iterator[Line]:
    """The loss' derivatives by the parameters, where these are few and it is small; else none."""
    if n_leaves(risk.parameters) > _MOST_PARTIALS or not all(map(_is_small, (risk.loss, *risk.outputs))):
        return
    loss = risk.loss.xreplace(dict(zip(risk.predictions, risk.outputs, strict=True)))
    if not _is_small(loss) or _has_indices(loss):
        return
    parameters = leaves(*risk.parameters)
    for parameter, partial in zip(parameters, _derivatives(loss, parameters), strict=True):
        yield Line(None, (sp.Derivative(LOSS, parameter, evaluate=False),), _or_dots(partial))


def _derivatives(expression: sp.Expr, parameters: Sequence[sp.Expr]) -> Iterator[sp.Expr]:
    """The derivatives as all symbols are meant, real: of Abs(z), say, SymPy would give one in re(z) and im(z)."""
    own: Iterable[Any] = (n for n in postorder([expression]) if isinstance(n, sp.Symbol | MatrixElement))
    real = stand_ins((*own, *parameters))
    back = {stand_in: leaf for leaf, stand_in in real.items()}
    meant = expression.xreplace(real)
    for parameter in parameters:
        derivative = sp.diff(meant, real[parameter])
        undone = derivative.has(sp.Derivative, sp.Subs, sp.DiracDelta)  # of a floor or a sign: symgrad's is 0
        with sp.evaluate(False):  # else SymPy asks of each tanh whether it is real, for minutes where twenty are nested
            shown = DOTS if undone else derivative.xreplace(back)
        yield shown


def _has_indices(expression: sp.Expr) -> bool:
    """Is there a Sum, a matrix, or an element whose index is a symbol? SymPy does not see through them."""
    return any(
        isinstance(node, ExprWithLimits | sp.MatrixExpr | sp.Trace)
        or (isinstance(node, MatrixElement) and not all(i.is_Integer for i in node.args[1:]))
        for node in postorder([expression])
    )


def _or_dots(expression: sp.Expr) -> sp.Expr:
    return expression if _is_small(expression) else DOTS


def _is_small(expression: sp.Expr) -> bool:
    """Can it be printed and differentiated as a tree: few nodes, shared ones counted each time, and not deep?"""
    return is_short([expression], nodes=_MOST_NODES, depth=_DEEPEST)
