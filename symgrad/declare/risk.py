"""Declaring: a model, a loss, and the empirical risk of both. Everything is checked here; nothing is computed.

Two declarations are equal only if they are the same object; ``EmpiricalRisk.fingerprint`` tells whether two risks say
the same thing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sympy as sp
from sympy.matrices.expressions.matexpr import MatrixElement

from symgrad.errors import DeclarationError

from .arguments import check_distinct, check_name, one_scalar, outputs_of, symbols
from .fingerprint import fingerprint_of
from .samples_typed_in import check_no_data_typed_in
from .scope import Scope, check_expression
from .walks import postorder_in_scope
from .words import name_of, show

__all__ = ["EmpiricalRisk", "Loss", "Model", "leaf_of", "leaves", "n_leaves"]


def leaves(*symbols: Any) -> tuple[Any, ...]:
    """Return the scalars of symbols, one after the other: of a ``MatrixSymbol`` its elements in C order."""
    return tuple(leaf for symbol in symbols for leaf in _scalars(symbol))


def _scalars(symbol: Any) -> tuple[Any, ...]:
    if isinstance(symbol, sp.MatrixSymbol):
        rows, columns = (int(size) for size in symbol.shape)
        return tuple(MatrixElement(symbol, i, j) for i in range(rows) for j in range(columns))
    return (symbol,)


def n_leaves(symbols: Iterable[Any]) -> int:
    """Return how many scalars symbols hold, all together, without making them."""
    return sum(int(s.shape[0] * s.shape[1]) if isinstance(s, sp.MatrixSymbol) else 1 for s in symbols)


def leaf_of(symbols: Sequence[Any], position: int) -> Any:
    """Return the scalar at a place of ``leaves(*symbols)``, without making the others. IndexError if there is none."""
    rest = position
    for symbol in symbols:
        size = n_leaves([symbol])
        if 0 <= rest < size:
            whole = isinstance(symbol, sp.MatrixSymbol)
            return MatrixElement(symbol, *divmod(rest, int(symbol.shape[1]))) if whole else symbol
        rest -= size
    raise IndexError(f"position: expected a whole number from 0 to {n_leaves(symbols) - 1}, got {position}")


@dataclass(frozen=True, slots=True, eq=False, repr=False, init=False)
class Model:
    """A model: what is predicted for one sample, in its inputs and parameters.

    Args:
        output: a SymPy expression, an explicit ``sympy.Matrix``, or a ``MatrixExpr`` (several outputs), which stays
            whole: it is never written out in elements.
        inputs: ``Symbol`` or ``MatrixSymbol`` in the order in which a data row holds them; ``[]`` or ``None`` for none.
        parameters: ``Symbol`` or ``MatrixSymbol`` in the order in which ``theta`` holds them.

    Raises:
        DeclarationError: for anything that cannot be meant; the message names the symbol and the cure.
        UnsupportedExpressionError: for an operation that symgrad does not have.

    Attributes:
        outputs: what is computed: the scalar elements, in C order, or one whole ``MatrixExpr``.
        output_shape: ``()`` for a scalar, else ``(m, n)``.
    """

    output: Any
    inputs: tuple[Any, ...]
    parameters: tuple[Any, ...]
    outputs: tuple[Any, ...]
    output_shape: tuple[int, ...]

    def __init__(self, output: Any, inputs: Any, parameters: Any) -> None:
        inputs = symbols("Model(inputs=...)", inputs)
        parameters = symbols("Model(parameters=...)", parameters)
        roles = {"parameters": parameters, "inputs": inputs}
        check_distinct("Model", roles)
        outputs, shape = outputs_of("Model(output=...)", output)
        cure = "add it to parameters= or to inputs=, or correct its name"
        check_expression(Scope("Model(output=...)", roles, cure), outputs)
        check_no_data_typed_in("Model(output=...)", outputs, variables=parameters, data=inputs)
        _set(self, output=_kept(output, outputs, shape), inputs=inputs, parameters=parameters)
        _set(self, outputs=outputs, output_shape=shape)

    def __repr__(self) -> str:
        return f"Model({show(self.output)}, inputs={_listed(self.inputs)}, parameters={_listed(self.parameters)})"


@dataclass(frozen=True, slots=True, eq=False, repr=False, init=False)
class Loss:
    """The loss of one sample, in a placeholder for the prediction and in the targets.

    Args:
        expression: a scalar SymPy expression in ``prediction`` and ``target`` alone; it may hold matrix expressions,
            e.g. ``Trace(A*B)``, and those of one element, e.g. ``(z - y).T*(z - y)``, wherever a number stands.
        prediction: a ``Symbol``, or a ``MatrixSymbol`` with the shape of the model's output.
        target: a ``Symbol``, a ``MatrixSymbol``, a list of them, or ``None``. A ``Symbol`` with ``integer=True`` can
            index the prediction: a class label.
        parameters: ``Symbol`` or ``MatrixSymbol`` that are the loss's own, a sigma or a dispersion: they follow the
            model's in ``theta``.
        normalisation: for a loss that is -log of a density but for a term in the target alone: that term, a
            ``sympy.Lambda`` of one number of the target. A fit's log-likelihood counts it; no risk does.

    Raises:
        DeclarationError: for anything that cannot be meant; the message names the symbol and the cure.
        UnsupportedExpressionError: for an operation that symgrad does not have.
    """

    expression: Any
    prediction: Any
    targets: tuple[Any, ...]
    parameters: tuple[Any, ...]
    normalisation: Any

    def __init__(
        self, expression: Any, prediction: Any, target: Any, parameters: Any = (), *, normalisation: Any = None
    ) -> None:
        where = "Loss(expression=...)"
        placeholders = symbols("Loss(prediction=...)", prediction)
        if len(placeholders) != 1:
            raise DeclarationError(
                f"Loss(prediction=...): expected one Symbol or MatrixSymbol, got {len(placeholders)}; "
                "for several outputs take a MatrixSymbol with the shape of the model's output"
            )
        targets = symbols("Loss(target=...)", target)
        own = symbols("Loss(parameters=...)", parameters)
        roles = {"prediction": placeholders, "target": targets, **({"parameters": own} if own else {})}
        check_distinct("Loss", roles)
        expression = one_scalar(where, expression)
        cure = (
            "a Loss sees its prediction and its target alone. If the symbol is data, list it as a further target: "
            "target=[y, w]. If it is a parameter of the loss, a sigma say, list it: parameters=[sigma]. If it is one "
            "of the model, or an input, declare it in the model (a Matrix output predicts several values), or write "
            "the loss of a sample as one expression with EmpiricalRisk.from_expression"
        )
        check_expression(Scope(where, roles, cure, _labels(targets)), [expression])
        check_no_data_typed_in(where, [expression], variables=placeholders + own, data=targets)
        if not _symbols(_used([expression])) & set(placeholders):
            raise DeclarationError(
                f"{where}: {show(expression)} does not depend on the prediction {name_of(placeholders[0])}, so no "
                "parameter could change it; write the loss in terms of the prediction"
            )
        _set(self, expression=expression, prediction=placeholders[0], targets=targets, parameters=own)
        _set(self, normalisation=_checked_normalisation(normalisation))

    def __repr__(self) -> str:
        target = _listed(self.targets) + (f", parameters={_listed(self.parameters)}" if self.parameters else "")
        return f"Loss({show(self.expression)}, prediction={_listed([self.prediction])[1:-1]}, target={target})"


@dataclass(frozen=True, eq=False, repr=False, init=False)
class EmpiricalRisk:
    """The mean loss over the samples, plus a penalty: what symgrad compiles.

    Args:
        model: a ``Model``.
        loss: a ``Loss`` whose prediction has the shape of the model's output.
        penalty: an expression in the parameters alone, added after averaging.
        name: a Python identifier of at most 100 ASCII characters; it names the generated module.

    Raises:
        DeclarationError: for anything that cannot be meant; the message names the symbol and the cure.
        UnsupportedExpressionError: for an operation that symgrad does not have.

    Attributes:
        parameters, inputs, targets: the declared symbols, in order; the loss's own parameters follow the model's.
        outputs: the model's output: one scalar, one whole ``MatrixExpr``, or the scalar elements, in C order, of a
            matrix that was declared explicitly; ``()`` without a model.
        output_shape: ``()`` for a scalar model, else ``(m, n)``.
        predictions: what stands for each of ``outputs`` in ``loss``: the placeholder (a ``Symbol`` or, of a whole
            matrix, a ``MatrixSymbol``), or its elements.
        normalisation: that of the ``Loss``; None without one.
        loss: the loss of one sample, in the placeholder and ``targets`` (without a model: in all symbols); it uses the
            placeholder whole or by its elements. A scalar expression, or a ``MatrixExpr`` of shape (1, 1).
    """

    name: str
    parameters: tuple[Any, ...]
    inputs: tuple[Any, ...]
    targets: tuple[Any, ...]
    outputs: tuple[Any, ...]
    output_shape: tuple[int, ...]
    predictions: tuple[Any, ...]
    loss: Any
    penalty: Any
    model: Model | None
    normalisation: Any

    def __init__(self, model: Model, loss: Loss, *, penalty: Any = None, name: str = "risk") -> None:
        _check_is("model", model, Model, "Model(output, inputs=[...], parameters=[...])")
        _check_is("loss", loss, Loss, "Loss(expression, prediction=..., target=...)")
        check_name(name)
        _check_shapes(model, loss)
        own = {"the loss's parameters": loss.parameters} if loss.parameters else {}
        check_distinct(
            "EmpiricalRisk", {"parameters": model.parameters, "inputs": model.inputs, "target": loss.targets, **own}
        )
        parameters = model.parameters + loss.parameters
        predictions = _predictions(model, loss)
        used = _used([loss.expression])
        whole = len(predictions) == 1 or loss.prediction in used  # the loss does depend on its prediction
        relied = [o for o, p in zip(model.outputs, predictions, strict=True) if whole or p in used]
        _check_depends("EmpiricalRisk", relied, loss.expression, model.parameters)
        penalty = _checked_penalty(penalty, parameters)
        _check_used("EmpiricalRisk", (model.outputs, model.parameters, penalty), ((loss.expression,), loss.parameters))
        _set(self, name=name, parameters=parameters, inputs=model.inputs, targets=loss.targets, model=model)
        _set(self, outputs=model.outputs, output_shape=model.output_shape, predictions=predictions)
        _set(self, loss=loss.expression, penalty=penalty, normalisation=loss.normalisation)

    @classmethod
    def from_expression(
        cls,
        expression: Any,
        *,
        inputs: Any,
        targets: Any,
        parameters: Any,
        penalty: Any = None,
        name: str = "risk",
    ) -> "EmpiricalRisk":
        """Return a risk whose loss of one sample is one expression, e.g. a likelihood; there is no separate model.

        Args and errors are those of ``Model``, ``Loss`` and ``EmpiricalRisk``; ``predict`` has nothing to predict.
        """
        where = "EmpiricalRisk.from_expression"
        roles = {
            "parameters": symbols(f"{where}(parameters=...)", parameters),
            "inputs": symbols(f"{where}(inputs=...)", inputs),
            "targets": symbols(f"{where}(targets=...)", targets),
        }
        check_name(name)
        check_distinct(where, roles)
        loss = one_scalar(where, expression)
        cure = "add it to parameters=, inputs= or targets=, or correct its name"
        check_expression(Scope(where, roles, cure, _labels(roles["targets"])), [loss])
        data = roles["inputs"] + roles["targets"]
        check_no_data_typed_in(where, [loss], variables=roles["parameters"], data=data)
        _check_depends(where, [loss], loss, roles["parameters"])
        penalty = _checked_penalty(penalty, roles["parameters"])
        _check_used(where, ((loss,), roles["parameters"], penalty))
        risk = cls.__new__(cls)
        _set(risk, name=name, model=None, outputs=(), output_shape=(), predictions=(), loss=loss, **roles)
        _set(risk, penalty=penalty, normalisation=None)
        return risk

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the whole declaration: the same in every process, whatever the hash seed.

        Names, order, roles, shapes and the precision of numbers count; the assumptions of symbols do not, because
        what they mean has already happened to the expressions (a target that is a label does differ).
        """
        return fingerprint_of(self)

    def __repr__(self) -> str:
        parts = [f"name={self.name!r}", f"loss={show(self.loss)}"]
        parts += [f"model={self.model!r}"] if self.model else [f"inputs={_listed(self.inputs)}"]
        parts += [f"parameters={_listed(self.parameters)}"] if not self.model else []
        parts += [f"targets={_listed(self.targets)}"]
        parts += [f"penalty={show(self.penalty)}"] if self.penalty is not None else []
        return f"EmpiricalRisk({', '.join(parts)})"


def _set(frozen: Any, **values: Any) -> None:
    for attribute, value in values.items():
        object.__setattr__(frozen, attribute, value)


def _listed(declared: Sequence[Any]) -> str:
    shown = [show(symbol) for symbol in declared[:20]] + ([f"... {len(declared) - 20} more"] if declared[20:] else [])
    return f"[{', '.join(shown)}]"


def _kept(output: Any, outputs: tuple[Any, ...], shape: tuple[int, ...]) -> Any:
    """The output as it was declared, but as SymPy's own objects and out of reach of later changes."""
    if isinstance(output, sp.MatrixBase):
        return sp.ImmutableDenseMatrix(*shape, outputs)
    return output if shape else outputs[0]


def _labels(targets: tuple[Any, ...]) -> frozenset[Any]:
    return frozenset(target for target in targets if isinstance(target, sp.Symbol) and target.is_integer)


def _predictions(model: Model, loss: Loss) -> tuple[Any, ...]:
    """What stands for each of the model's outputs: the placeholder for a whole matrix, else its leaves."""
    return (loss.prediction,) if isinstance(model.outputs[0], sp.MatrixExpr) else leaves(loss.prediction)


def _used(roots: Iterable[Any]) -> set[Any]:
    """The symbols and the elements in ``roots``; the whole matrix where it stands whole, or an index is no number."""
    used = set()
    for node, variables in postorder_in_scope(roots):
        if isinstance(node, MatrixElement) and isinstance(node.args[0], sp.MatrixSymbol):
            used.add(node if all(index.is_Integer for index in node.args[1:]) else node.args[0])
        elif isinstance(node, sp.Symbol | sp.MatrixSymbol) and node not in variables:
            used.add(node)
    return used


def _symbols(used: Iterable[Any]) -> set[Any]:
    """The declared symbols behind what is used: a matrix counts where one of its elements does."""
    return {leaf.args[0] if isinstance(leaf, MatrixElement) else leaf for leaf in used}


def _check_is(argument: str, value: Any, kind: type, example: str) -> None:
    if not isinstance(value, kind):
        advice = "; a risk without a separate model is EmpiricalRisk.from_expression" if value is None else ""
        advice += f"; or call it: {value.__name__}()" if callable(value) and hasattr(value, "__name__") else ""
        raise DeclarationError(
            f"EmpiricalRisk({argument}=...): expected a {kind.__name__}, got {type(value).__name__}; "
            f"write {example}{advice}"
        )


def _check_shapes(model: Model, loss: Loss) -> None:
    prediction = loss.prediction
    shape = tuple(map(int, prediction.shape)) if isinstance(prediction, sp.MatrixSymbol) else ()
    if shape != model.output_shape and not (shape in ((), (1, 1)) and model.output_shape in ((), (1, 1))):
        if model.output_shape:
            cure = f"take sympy.MatrixSymbol({name_of(prediction)}, {model.output_shape[0]}, {model.output_shape[1]})"
        else:
            cure = f"take sympy.Symbol({name_of(prediction)})"
        raise DeclarationError(
            f"EmpiricalRisk(loss=...): the prediction {name_of(prediction)} has the shape {shape}; expected "
            f"{model.output_shape}, the shape of the model's output; {cure} as the prediction"
        )


def _check_depends(where: str, roots: Iterable[Any], loss: Any, parameters: tuple[Any, ...]) -> None:
    if not parameters:
        raise DeclarationError(f"{where}: there are no parameters to differentiate by; declare at least one")
    if not _symbols(_used(roots)) & set(parameters):
        raise DeclarationError(
            f"{where}: the loss {show(loss)} depends on no parameter (expected one of {_listed(parameters)[1:-1]}), so "
            "its gradient is zero everywhere; use a parameter in the formula, or correct the list of parameters"
        )


def _check_used(where: str, *formulas: tuple[Any, ...]) -> None:
    """Refuse a parameter that is in no formula: (expressions, parameters) or (expressions, parameters, a penalty)."""
    for expressions, parameters, *penalty in formulas:
        used = _symbols(_used([*expressions, *(p for p in penalty if p is not None)]))
        for parameter in parameters:
            if parameter not in used:
                raise DeclarationError(
                    f"{where}: the parameter {name_of(parameter)} is in no formula, so no data could determine it; use "
                    "it, or take it out of the list of parameters"
                )


def _checked_normalisation(normalisation: Any) -> Any:
    if normalisation is None or (isinstance(normalisation, sp.Lambda) and len(normalisation.variables) == 1):
        return normalisation
    raise DeclarationError(
        f"Loss(normalisation=...): expected a sympy.Lambda of one number of the target, or None, got "
        f"{normalisation!r:.100}; write e.g. sympy.Lambda(y, sympy.loggamma(y + 1))"
    )


def _checked_penalty(penalty: Any, parameters: tuple[Any, ...]) -> Any:
    if penalty is None:
        return None
    where = "EmpiricalRisk(penalty=...)"
    expression = one_scalar(where, penalty)
    cure = "a penalty is made of the parameters alone; what needs data belongs in the loss"
    check_expression(Scope(where, {"parameters": parameters}, cure), [expression])
    return expression
