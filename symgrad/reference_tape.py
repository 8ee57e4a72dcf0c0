"""The declared expressions flattened into a tape: each distinct operation once, its arguments before it.

The walk is iterative and memoised by identity, so the depth of an expression does not matter. Leaves are bound by an
environment (a prediction's placeholder is bound to the model's output), and so is the index of a ``Sum``, whose body
is walked once for each value: SymPy's substitution, comparison and simplification are never called.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sympy as sp

from .errors import UnsupportedExpressionError
from .reference_functions import FUNCTIONS

_RELATIONS = {"==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
_BOOLEANS = {"And": "and", "Or": "or", "Not": "not", "Xor": "xor", "ITE": "ite"}
_EXACT = {"Infinity": "inf", "NegativeInfinity": "-inf", "NaN": "nan"}


@dataclass(frozen=True, slots=True)
class Operation:
    """One step: what to do, on which earlier slots, with which constant (a number, a function's name, an index)."""

    kind: str
    arguments: tuple[int, ...] = ()
    payload: Any = None


@dataclass(slots=True)
class Tape:
    """Operations in order of evaluation; equal operations share a slot."""

    operations: list[Operation] = field(default_factory=list)
    _slots: dict[tuple[str, tuple[int, ...], Any], int] = field(default_factory=dict)

    def emit(self, kind: str, arguments: Sequence[int] = (), payload: Any = None) -> int:
        """The slot of an operation, new or already there."""
        key = (kind, tuple(arguments), payload)
        if key not in self._slots:
            self._slots[key] = len(self.operations)
            self.operations.append(Operation(kind, key[1], payload))
        return self._slots[key]

    def needed(self, slot: int) -> tuple[int, ...]:
        """The slots that a slot depends on, and itself, in order of evaluation."""
        wanted = {slot}
        for place in range(slot, -1, -1):
            if place in wanted:
                wanted.update(self.operations[place].arguments)
        return tuple(sorted(wanted))

    def integer(self, slot: int) -> int | None:
        """The integer that a slot always holds, or None if it depends on the data or is no integer."""
        pending = [slot]
        known: dict[int, int | None] = {}
        while pending:
            top = pending[-1]
            operation = self.operations[top]
            missing = [a for a in operation.arguments if a not in known]
            pending.extend(missing)
            if not missing:
                known[top] = _whole(operation, [known[a] for a in operation.arguments])
                pending.pop()
        return known[slot]


def _whole(operation: Operation, arguments: list[int | None]) -> int | None:
    """Integer arithmetic on constants: enough for indices and the limits of sums."""
    whole = [a for a in arguments if a is not None]
    if len(whole) < len(arguments):
        return None
    if operation.kind == "rational":
        numerator, denominator = operation.payload
        return int(numerator) if denominator == 1 else None
    if operation.kind == "add":
        return sum(whole)
    if operation.kind == "mul":
        product = 1
        for factor in whole:
            product *= factor
        return product
    return None


@dataclass(slots=True)
class _Scope:
    """What names mean inside one expression: slots of leaves, values of summation indices, and what was walked."""

    leaves: Mapping[Any, int]
    indices: Mapping[Any, int] = field(default_factory=dict)
    done: dict[int, int] = field(default_factory=dict)
    terms: dict[int, list[tuple[Any, _Scope]]] = field(default_factory=dict)


def record(tape: Tape, expression: Any, leaves: Mapping[Any, int]) -> int:
    """Append an expression to the tape; returns the slot of its value.

    ``leaves`` binds each Symbol and each MatrixElement's key (see :func:`leaf_key`) to a slot. Raises
    UnsupportedExpressionError for an operation without a rule, and for a symbol that ``leaves`` lacks.
    """
    root = _Scope(leaves)
    pending = [(expression, root)]
    while pending:
        node, scope = pending[-1]
        if id(node) in scope.done:
            pending.pop()
            continue
        below = _below(tape, node, scope)
        missing = [(n, s) for n, s in below if id(n) not in s.done]
        if missing:
            pending.extend(reversed(missing))
        else:
            scope.done[id(node)] = _emit(tape, node, scope, [s.done[id(n)] for n, s in below])
            pending.pop()
    return root.done[id(expression)]


def leaf_key(leaf: Any) -> Any:
    """How a leaf is looked up: a Symbol by itself, a MatrixElement by its matrix and two integers."""
    if isinstance(leaf, sp.matrices.expressions.matexpr.MatrixElement):
        return (leaf.args[0], int(leaf.args[1]), int(leaf.args[2]))
    return leaf


def _below(tape: Tape, node: Any, scope: _Scope) -> list[tuple[Any, _Scope]]:
    """What has to be on the tape before the node, each with the scope it is read in."""
    if node.is_Atom or isinstance(node, sp.Idx):
        return []
    if isinstance(node, sp.Sum):
        return _terms(tape, node, scope)
    if isinstance(node, sp.matrices.expressions.matexpr.MatrixElement):
        return [(index, scope) for index in node.args[1:]]
    return [(argument, scope) for argument in node.args]


def _terms(tape: Tape, node: Any, scope: _Scope) -> list[tuple[Any, _Scope]]:
    """The body of a sum, once for each value of its indices (kept, so that the scopes are the same ones next time)."""
    if id(node) not in scope.terms:
        limits = list(reversed(node.args[1:]))  # the last limit is the outermost sum
        scope.terms[id(node)] = [(node.args[0], s) for s in _ranges(tape, limits, scope)]
    return scope.terms[id(node)]


def _ranges(tape: Tape, limits: Sequence[Any], scope: _Scope) -> Iterator[_Scope]:
    if not limits:
        yield scope
        return
    index, low, high = limits[0]
    for value in range(_limit(tape, low, scope), _limit(tape, high, scope) + 1):
        inner = _Scope(scope.leaves, {**scope.indices, index: value})
        yield from _ranges(tape, limits[1:], inner)


def _limit(tape: Tape, bound: Any, scope: _Scope) -> int:
    known = {index: tape.emit("rational", (), (value, 1)) for index, value in scope.indices.items()}
    try:
        value = tape.integer(record(tape, bound, known))
    except UnsupportedExpressionError:  # a symbol that is no index
        value = None
    if value is None:
        raise UnsupportedExpressionError(
            f"limits of a Sum: expected integers, got {_short(bound)}; write a Sum over a fixed range"
        )
    return value


def _emit(tape: Tape, node: Any, scope: _Scope, below: list[int]) -> int:
    if node in scope.indices if node.is_Symbol or isinstance(node, sp.Idx) else False:
        return tape.emit("rational", (), (scope.indices[node], 1))
    if node.is_Atom:
        return _atom(tape, node, scope)
    if isinstance(node, sp.matrices.expressions.matexpr.MatrixElement):
        return _element(tape, node, scope, below)
    name = type(node).__name__
    if node.is_Add or isinstance(node, sp.Sum):
        return tape.emit("add", below)
    if node.is_Mul:
        return tape.emit("mul", below)
    if isinstance(node, sp.functions.elementary.piecewise.ExprCondPair):
        return tape.emit("pair", below)
    if isinstance(node, sp.Piecewise):
        return tape.emit("piecewise", [a for pair in below for a in tape.operations[pair].arguments])
    if node.is_Relational and node.rel_op in _RELATIONS:
        return tape.emit("relation", below, _RELATIONS[node.rel_op])
    if name in _BOOLEANS:
        return tape.emit(_BOOLEANS[name], below)
    if name in ("Max", "Min"):
        folded = below[0]
        for slot in below[1:]:
            folded = tape.emit("call", (folded, slot), name)
        return folded
    if name in FUNCTIONS:
        return tape.emit("call", below, name)
    raise UnsupportedExpressionError(f"the reference has no rule for {name}; supported: {', '.join(sorted(FUNCTIONS))}")


def _atom(tape: Tape, node: Any, scope: _Scope) -> int:
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
    if node in scope.leaves:
        return scope.leaves[node]
    raise UnsupportedExpressionError(
        f"symbol {_short(node)}: expected a declared parameter, input, target or prediction; declare it"
    )


def _element(tape: Tape, node: Any, scope: _Scope, below: list[int]) -> int:
    """A matrix entry: a leaf if its indices are fixed, else a choice among the leaves by the data (a class label)."""
    matrix = node.args[0]
    rows, columns = (int(n) for n in matrix.shape)
    row, column = (tape.integer(slot) for slot in below)
    if row is not None and column is not None:
        return scope.leaves[(matrix, row, column)]
    chosen = [
        (i, j)
        for i in (range(rows) if row is None else [row])
        for j in (range(columns) if column is None else [column])
    ]
    indices = [slot for slot, known in zip(below, (row, column), strict=True) if known is None]
    sizes = tuple(n for n, known in zip((rows, columns), (row, column), strict=True) if known is None)
    return tape.emit("select", [*indices, *(scope.leaves[(matrix, i, j)] for i, j in chosen)], sizes)


def _short(node: Any) -> str:
    return repr(str(node)) if node.is_Atom or not any(a.args for a in node.args) else f"a {type(node).__name__}"
