"""SymPy -> Program: an expression becomes single operations, numbered by value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sympy as sp
from sympy.matrices.expressions.matexpr import MatrixElement

from symgrad import functions
from symgrad.declare import EmpiricalRisk, leaves, symbols_in, walk
from symgrad.program import Builder, Program, Shape, fold, size_of

from .matrices import MATRIX_RULES
from .scalars import SCALAR_RULES
from .sums import SUM_RULES, opened
from .tracer import Rule, Tracer, shape_of_node

RULES: dict[type, Rule] = {**SCALAR_RULES, **MATRIX_RULES, **SUM_RULES}


def trace(risk: EmpiricalRisk) -> Program:
    """Return the program of one sample: outputs ``loss``, ``prediction`` and, if the risk has one, ``penalty``.

    The loss is the sample's, times its weight: so the backward sweep starts at the weight, and the sum needs none.
    """
    builder = Builder(fold=fold)
    whole = _whole(risk)
    roles = (("parameter", risk.parameters), ("input", risk.inputs), ("target", risk.targets))
    known = {
        leaf: builder.emit(role, attribute=place, shape=shape)
        for role, symbols in roles
        for leaf, place, shape in _leaves(symbols, whole)
    }
    tracer = Tracer(builder, known, RULES)
    predictions = tuple(tracer.trace(output) for output in risk.outputs)
    # The loss knows the model's output by its placeholder: bound here, never substituted.
    bound = tracer.within(dict(_bindings(builder, risk, predictions)))
    outputs = {"loss": (_weighted(builder, bound.trace(risk.loss)),), "prediction": predictions}
    if risk.penalty is not None:
        outputs["penalty"] = (builder.emit("total", tracer.trace(risk.penalty)),)
    return builder.program(outputs)


def trace_loss(risk: EmpiricalRisk) -> Program:
    """Return the program of one sample's loss, times its weight, whose parameters are the prediction's elements.

    The loss's own parameters follow them, at their places in theta.
    """
    builder = Builder(fold=fold)
    known = {leaf: builder.emit("target", attribute=at, shape=s) for leaf, at, s in _leaves(risk.targets, _whole(risk))}
    place = 0
    for placeholder in risk.predictions:
        shape = shape_of_node(placeholder) if isinstance(placeholder, sp.MatrixSymbol) else ()
        known[placeholder] = builder.emit("parameter", attribute=place, shape=shape)
        place += size_of(shape)
    used = symbols_in(risk.loss)
    for leaf, at, shape in _leaves(risk.parameters, _whole(risk)):
        if leaf not in known and (leaf.args[0] if isinstance(leaf, MatrixElement) else leaf) in used:
            known[leaf] = builder.emit("parameter", attribute=place + at, shape=shape)
    loss = _weighted(builder, Tracer(builder, known, RULES).trace(risk.loss))
    return builder.program({"loss": (loss,), "prediction": ()})


def _weighted(builder: Builder, loss: int) -> int:
    """The sample's loss as a number, times its weight."""
    return builder.emit("mul", builder.emit("total", loss), builder.emit("weight", shape=()))


def _leaves(symbols: tuple[Any, ...], whole: frozenset[Any]) -> Iterator[tuple[Any, int, Shape]]:
    """Each leaf with the place of its first element in the flat row: a matrix that is used whole, or its elements."""
    place = 0
    for symbol in symbols:
        if symbol in whole:
            shape = shape_of_node(symbol)
            yield symbol, place, shape
            place += size_of(shape)
            continue
        for leaf in leaves(symbol):
            yield leaf, place, ()
            place += 1


def _bindings(builder: Builder, risk: EmpiricalRisk, predictions: tuple[int, ...]) -> Iterator[tuple[Any, int]]:
    """What the placeholders stand for."""
    for placeholder, variable in zip(risk.predictions, predictions, strict=True):
        if isinstance(placeholder, sp.MatrixSymbol):
            yield placeholder, builder.filled(variable, shape_of_node(placeholder))
        else:
            yield placeholder, builder.emit("total", variable)


def _whole(risk: EmpiricalRisk) -> frozenset[Any]:
    """The matrices that are one variable: those used whole, and those that a sum's index runs through."""
    whole: set[Any] = set()
    for node in walk([*risk.outputs, risk.loss, *([] if risk.penalty is None else [risk.penalty])]):
        if isinstance(node, sp.MatrixSymbol):
            whole.add(node)
        elif isinstance(node, sp.Sum | functions.maximum):
            whole |= opened(node)
    return frozenset(whole)
