"""The formulae of a risk that is made of matrices: its layers, its loss, and the derivatives by whole matrices."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sympy as sp
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction
from sympy.matrices.expressions.matexpr import MatrixElement

from symgrad.declare import EmpiricalRisk, postorder, symbols_in

from .arithmetic import is_matrix
from .brevity import is_short
from .calculus import DOTS, Equation, Sweep
from .names import Beyond, Definition, Namer, Names

__all__ = ["LOSS", "MODEL", "PENALTY", "Formulae", "formulae", "has_matrices", "placeholder_of"]

MODEL, LOSS, PENALTY = sp.Symbol("N_theta"), sp.Symbol("L"), sp.Symbol("penalty")
_MOST_NODES, _DEEPEST, _MOST_IN_ALL = 400, 120, 1000  # of what is differentiated
_MOST_SHOWN, _DEEPEST_SHOWN = 200, 25  # of one formula, as a tree


@dataclass(frozen=True, slots=True)
class Formulae:
    """``forward`` in the order of computation, ``backward`` in that of the sweep, then the functions with a prime."""

    forward: tuple[Equation, ...]
    backward: tuple[Equation, ...]
    functions: tuple[Equation, ...]

    @property
    def complete(self) -> bool:
        """Whether there is a gradient and nothing of it was left out."""
        return bool(self.backward) and all(equation.value is not DOTS for equation in self.backward)


def has_matrices(risk: EmpiricalRisk) -> bool:
    """Return whether a risk is shown by whole matrices, as it is declared by them, and not by scalars."""
    if len(risk.outputs) > 1 or (risk.output_shape and not _is_whole(risk)):
        return False
    declared = (*risk.parameters, *risk.inputs, *risk.targets, *risk.predictions)
    if not any(is_matrix(symbol) for symbol in declared):
        return False
    return any(_is_of_matrices(node) for node in postorder([*risk.outputs, risk.loss]))


def _is_whole(risk: EmpiricalRisk) -> bool:
    return risk.model is not None and isinstance(risk.model.output, sp.MatrixExpr)


def _is_of_matrices(node: Any) -> bool:
    """A whole matrix, or a choice among its elements."""
    if isinstance(node, MatrixElement):
        return not all(index.is_Integer for index in node.args[1:])
    return is_matrix(node) or isinstance(node, sp.Trace)


def formulae(risk: EmpiricalRisk) -> Formulae:
    """Return the equations of a risk that has matrices; only forward, with dots, where they are too long to be read."""
    roots = [*risk.outputs, risk.loss, *([] if risk.penalty is None else [risk.penalty])]
    named = (ElementwiseApplyFunction,)
    if not is_short(roots, nodes=_MOST_NODES, depth=_DEEPEST, named=named, most=_MOST_IN_ALL):
        return _as_declared(risk)
    try:
        return _derived(risk)
    except Beyond:
        return _as_declared(risk)


def _as_declared(risk: EmpiricalRisk) -> Formulae:
    forward = [Equation(MODEL, output) for output in risk.outputs] + [Equation(LOSS, risk.loss)]
    forward += [Equation(PENALTY, risk.penalty)] if risk.penalty is not None else []
    return Formulae(tuple(map(_readable, forward)), (), ())


def _derived(risk: EmpiricalRisk) -> Formulae:
    declared = (*risk.parameters, *risk.inputs, *risk.targets)
    namer = Namer([*(str(symbol.name) for symbol in declared), "N_theta", "L", "penalty", "theta", "R"])
    prediction, renamed = _prediction(risk, namer)
    forward: list[Equation] = []
    definitions: list[Definition] = []
    model = Names(namer, {})
    for output in risk.outputs:
        value = model.define(output)
        definitions += [*model.definitions, Definition(prediction, value, namer.next(), False)]
        forward += [*_defined(model), Equation(MODEL, value)]
    of_loss = Names(namer, renamed)
    loss = of_loss.define(risk.loss)
    definitions += of_loss.definitions
    forward += [*_defined(of_loss), Equation(LOSS, loss)]
    forward += [Equation(prediction, MODEL)] if risk.outputs else []
    sweep = Sweep(LOSS, definitions, risk.parameters, namer)
    backward, primes = sweep.equations(loss), dict(sweep.primes)
    if risk.penalty is not None:
        of_penalty = Names(namer, {})
        penalty = of_penalty.define(risk.penalty)
        forward += [*_defined(of_penalty), Equation(PENALTY, penalty)]
        sweep = Sweep(PENALTY, of_penalty.definitions, _used(risk.parameters, risk.penalty), namer)
        backward += sweep.equations(penalty)
        primes |= sweep.primes
    functions = (Equation(name, value) for name, value in primes.items())
    return Formulae(*(tuple(map(_readable, part)) for part in (forward, backward, functions)))


def _prediction(risk: EmpiricalRisk, namer: Namer) -> tuple[Any, dict[Any, Any]]:
    """The placeholder, under a name that no symbol of the model has; and what has to be renamed for it."""
    if not risk.predictions:
        return None, {}
    own = placeholder_of(risk)
    name = namer.plain(str(own.name))
    if name == str(own.name):
        return own, {}
    new = sp.MatrixSymbol(name, *own.shape) if is_matrix(own) else sp.Symbol(name, real=True)
    return new, {own: new}


def placeholder_of(risk: EmpiricalRisk) -> Any:
    """Return the symbol that stands for the model's output in the loss. IndexError without a model."""
    first = risk.predictions[0]
    return first.args[0] if isinstance(first, MatrixElement) else first


def _defined(names: Names) -> Iterator[Equation]:
    return (Equation(definition.name, definition.value) for definition in names.definitions)


def _used(parameters: tuple[Any, ...], expression: Any) -> list[Any]:
    used = symbols_in(expression)
    return [symbol for symbol in parameters if symbol in used]


def _readable(equation: Equation) -> Equation:
    """With dots for what is too long."""
    if is_short([equation.value], nodes=_MOST_SHOWN, depth=_DEEPEST_SHOWN):
        return equation
    return Equation(equation.name, DOTS, equation.of, equation.by)
