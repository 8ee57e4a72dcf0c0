"""Recording: a declared expression flattened into a tape.

The walk is iterative and memoised by identity, so the depth of an expression does not matter. Leaves are bound by an
environment (a prediction's placeholder is bound to the model's output). So are the index of a ``Sum`` or a
``maximum`` and the variable of an ``applyfunc``, whose body is walked once for each value, but for what in it does not
depend on them. SymPy's substitution, comparison and simplification are never called.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sympy as sp
from sympy.concrete.expr_with_limits import ExprWithLimits

from symgrad.errors import UnsupportedExpressionError

from .functions import FUNCTIONS
from .matrices import MATRICES, ElementwiseApplyFunction, emit_matrix, parts
from .tape import Tape, Value, flat, scalar, shape_of

_RELATIONS = {"==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
_BOOLEANS = {"And": "and", "Or": "or", "Not": "not", "Xor": "xor", "ITE": "ite"}
_EXACT = {"Infinity": "inf", "NegativeInfinity": "-inf", "NaN": "nan"}
_OVER_AN_INDEX = {"Sum": "add", "maximum": "maximum"}
_NONE: frozenset[Any] = frozenset()

Origins = dict[int, Any]


def record(tape: Tape, expression: Any, leaves: Mapping[Any, Value], origins: Origins | None = None) -> int:
    """Append a scalar expression (or a matrix of shape (1, 1)) to the tape, and return the slot of its value.

    ``leaves`` binds each Symbol to a slot, and each MatrixSymbol to a grid of slots. Raises UnsupportedExpressionError
    for an operation without a rule, a symbol that ``leaves`` lacks, and a matrix where a number is expected. To
    ``origins`` is added which part of the expression each slot is the value of.
    """
    return scalar(record_value(tape, expression, leaves, origins))


def record_value(tape: Tape, expression: Any, leaves: Mapping[Any, Value], origins: Origins | None = None) -> Value:
    """Append an expression of any shape to the tape, and return its slot, or its grid of slots."""
    return _Recorder(tape, expression, {} if origins is None else origins).value(expression, _Scope(leaves))


@dataclass(slots=True)
class _Scope:
    """What names mean inside one expression, what was walked, and the scopes of the bodies in it."""

    bound: Mapping[Any, Value]
    outer: _Scope | None = None
    done: dict[int, Value] = field(default_factory=dict)
    inner: dict[int, list[_Scope]] = field(default_factory=dict)

    def find(self, name: Any) -> Value | None:
        scope: _Scope | None = self
        while scope is not None:
            if name in scope.bound:
                return scope.bound[name]
            scope = scope.outer
        return None


class _Recorder:
    """One walk over one expression."""

    def __init__(self, tape: Tape, expression: Any, origins: Origins) -> None:
        self._tape, self._origins, self._known = tape, origins, len(tape.operations)
        self._uses = _uses(expression)

    def value(self, expression: Any, scope: _Scope) -> Value:
        pending = [(expression, scope)]
        while pending:
            node, inside = pending[-1]
            if id(node) in inside.done:
                pending.pop()
                continue
            below = self._below(node, inside)
            missing = [(n, s) for n, s in below if id(n) not in s.done]
            if missing:
                pending.extend(reversed(missing))
            else:
                inside.done[id(node)] = value = self._emit(node, inside, [s.done[id(n)] for n, s in below])
                self._remember(node, value)
                inside.inner.pop(id(node), None)
                pending.pop()
        return scope.done[id(expression)]

    def _remember(self, node: Any, value: Value) -> None:
        """What the slots between this value and those below it are part of."""
        for slot in flat(value):
            self._origins.setdefault(slot, node)
        for slot in range(self._known, len(self._tape.operations)):
            self._origins.setdefault(slot, node)
        self._known = len(self._tape.operations)

    def _below(self, node: Any, scope: _Scope) -> list[tuple[Any, _Scope]]:
        """What has to be on the tape before the node, each with the scope it is read in."""
        if _is_leaf(node):
            return []
        if isinstance(node, ElementwiseApplyFunction):
            return self._elements(node, scope)
        if isinstance(node, ExprWithLimits):
            if id(node) not in scope.inner:
                scope.inner[id(node)] = list(self._ranges(list(reversed(node.args[1:])), scope, {}))
            return [(node.args[0], self._home(node.args[0], inner)) for inner in scope.inner[id(node)]]
        return [(part, self._home(part, scope)) for part in _children(node)]

    def _elements(self, node: Any, scope: _Scope) -> list[tuple[Any, _Scope]]:
        """The matrix that a function is applied to, and once that is known, the function's body for each element."""
        function, matrix = node.args
        home = self._home(matrix, scope)
        if id(matrix) not in home.done:
            return [(matrix, home)]
        if id(node) not in scope.inner:
            slots = flat(home.done[id(matrix)])
            scopes = {slot: _Scope({function.variables[0]: slot}, scope) for slot in slots}
            scope.inner[id(node)] = [scopes[slot] for slot in slots]
        bodies = [(function.expr, self._home(function.expr, inner)) for inner in scope.inner[id(node)]]
        return [(matrix, home), *bodies]

    def _home(self, node: Any, scope: _Scope) -> _Scope:
        """The outermost scope that a node means the same in."""
        uses = self._uses.get(id(node), _NONE)
        while scope.outer is not None and uses.isdisjoint(scope.bound):
            scope = scope.outer
        return scope

    def _ranges(self, limits: Sequence[Any], scope: _Scope, chosen: dict[Any, Value]) -> Iterator[_Scope]:
        """A scope for each value of the indices; the last limit of a Sum, which comes first here, is the outermost."""
        if not limits:
            yield _Scope(chosen, scope)
            return
        if len(limits[0]) != 3:
            raise UnsupportedExpressionError(
                f"limits of a Sum: expected an index and two bounds, got {limits[0]}; write a Sum over a fixed range"
            )
        index, low, high = limits[0]
        around = _Scope(chosen, scope) if chosen else scope
        for number in range(self._limit(low, around), self._limit(high, around) + 1):
            yield from self._ranges(limits[1:], scope, {**chosen, index: self._tape.whole(number)})

    def _limit(self, bound: Any, scope: _Scope) -> int:
        number = int(bound) if bound.is_Integer else self._tape.integer(scalar(self.value(bound, scope)))
        if number is None:
            raise UnsupportedExpressionError(
                f"limits of a Sum: expected integers, got {_short(bound)}; write a Sum over a fixed range"
            )
        return number

    def _emit(self, node: Any, scope: _Scope, values: list[Value]) -> Value:
        if _is_leaf(node):
            return _leaf(self._tape, node, scope)
        if isinstance(node, ElementwiseApplyFunction):
            columns = (*shape_of(values[0]), 1, 1)[1]
            slots = [scalar(value) for value in values[1:]]
            return tuple(tuple(slots[place : place + columns]) for place in range(0, len(slots), columns))
        if type(node) in MATRICES:
            return emit_matrix(self._tape, node, values)
        return _operation(self._tape, node, values)


def _is_leaf(node: Any) -> bool:
    return bool(node.is_Atom or isinstance(node, sp.Idx | sp.MatrixSymbol))


def _children(node: Any) -> tuple[Any, ...]:
    return parts(node) if type(node) in MATRICES else tuple(node.args)


def _uses(root: Any) -> dict[int, frozenset[Any]]:
    """Which variables of a Sum or an applyfunc around it each node depends on; nodes that are missing use none."""
    order: list[Any] = []
    pending, seen = [(root, False)], set[int]()
    while pending:
        node, ready = pending.pop()
        if ready:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            pending.append((node, True))
            pending.extend((part, False) for part in (*_body(node), *_around(node)))
    variables = {variable for node in order for variable in _variables(node)}
    uses: dict[int, frozenset[Any]] = {}
    for node in order if variables else ():
        if _is_leaf(node):
            found = frozenset({node}) if node in variables else _NONE
        else:
            inside = _NONE.union(*(uses.get(id(part), _NONE) for part in _body(node)))
            found = inside.difference(_variables(node)).union(*(uses.get(id(part), _NONE) for part in _around(node)))
        if found:
            uses[id(node)] = found
    return uses


def _variables(node: Any) -> tuple[Any, ...]:
    """What a node binds in its body."""
    if isinstance(node, ExprWithLimits):
        return tuple(limit[0] for limit in node.args[1:])
    return tuple(node.args[0].variables) if isinstance(node, ElementwiseApplyFunction) else ()


def _body(node: Any) -> tuple[Any, ...]:
    """The part of a node that its variables are bound in; none if it binds none."""
    if isinstance(node, ExprWithLimits):
        return (node.args[0],)
    return (node.args[0].expr,) if isinstance(node, ElementwiseApplyFunction) else ()


def _around(node: Any) -> tuple[Any, ...]:
    """The rest of a node's parts."""
    if _is_leaf(node):
        return ()
    if isinstance(node, ExprWithLimits):
        return tuple(bound for limit in node.args[1:] for bound in tuple(limit)[1:])
    return (node.args[1],) if isinstance(node, ElementwiseApplyFunction) else _children(node)


def _operation(tape: Tape, node: Any, values: Sequence[Value]) -> int:
    """A scalar operation."""
    kind, payload = _kind(node)
    below = [scalar(value) for value in values]
    if kind == "piecewise":
        return tape.emit(kind, [a for pair in below for a in tape.operations[pair].arguments])
    if payload in ("Max", "Min"):
        folded = below[0]
        for slot in below[1:]:
            folded = tape.emit(kind, (folded, slot), payload)
        return folded
    return tape.emit(kind, below, payload)


def _kind(node: Any) -> tuple[str, str | None]:
    """How an operation is called on the tape, and which function or relation it is."""
    name = type(node).__name__
    if node.is_Add:
        return "add", None
    if node.is_Mul:
        return "mul", None
    if isinstance(node, ExprWithLimits) and name in _OVER_AN_INDEX:
        return _OVER_AN_INDEX[name], None
    if isinstance(node, sp.functions.elementary.piecewise.ExprCondPair):
        return "pair", None
    if isinstance(node, sp.Piecewise):
        return "piecewise", None
    if node.is_Relational and node.rel_op in _RELATIONS:
        return "relation", _RELATIONS[node.rel_op]
    if name in _BOOLEANS:
        return _BOOLEANS[name], None
    if name in FUNCTIONS:
        return "call", name
    known = sorted((*FUNCTIONS, *_OVER_AN_INDEX, *(kind.__name__ for kind in MATRICES)))
    raise UnsupportedExpressionError(f"the reference has no rule for {name}; supported: {', '.join(known)}")


def _leaf(tape: Tape, node: Any, scope: _Scope) -> Value:
    if node.is_Rational:
        return tape.emit("rational", (), (int(node.p), int(node.q)))
    if node.is_Float:
        return tape.emit("float", (), tuple(node._mpf_))
    if node.is_NumberSymbol:
        return tape.emit("constant", (), node)
    if type(node).__name__ in _EXACT:
        return tape.emit("special", (), _EXACT[type(node).__name__])
    if node is sp.true or node is sp.false:
        return tape.emit("truth", (), bool(node))
    value = scope.find(node)
    if value is None:
        raise UnsupportedExpressionError(
            f"symbol {_short(node)}: expected a declared parameter, input, target or prediction; declare it"
        )
    return value


def _short(node: Any) -> str:
    return repr(str(node)) if _is_leaf(node) or not any(a.args for a in node.args) else f"a {type(node).__name__}"
