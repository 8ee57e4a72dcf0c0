"""A name for a whole declaration that is the same in every process: the cache's key."""

import hashlib
from collections.abc import Iterable
from typing import Any

import sympy as sp
from sympy.matrices.expressions.matexpr import MatrixElement
from sympy.matrices.expressions.slice import MatrixSlice

from .walks import children, postorder, postorder_in_scope, scope_below

# Raised when what is hashed changes, so that entries made before are not mistaken for new ones.
_FORMAT = "symgrad declaration 2"


def fingerprint_of(risk: Any) -> str:
    """Return the SHA-256 (hex) of a risk: of its names, order, roles, shapes and every number to its last bit."""
    names: dict[Any, bytes] = {}
    header = [_FORMAT, risk.name, repr(risk.output_shape)]
    for role in ("parameters", "inputs", "targets"):
        for position, symbol in enumerate(getattr(risk, role)):
            names[symbol] = f"{role} {position}".encode()
            label = role == "targets" and bool(symbol.is_integer)
            header.append(f"{role} {position} {_shape(symbol)} {label} {str(symbol.name)!a}")
    model = _digests(risk.outputs, names)
    # The placeholders have a scope of their own, in which they may carry the name or be the object of a parameter.
    inner = dict(names)
    for position, leaf in enumerate(risk.predictions):
        if isinstance(leaf, MatrixElement):
            inner[leaf.args[0]] = b"prediction"
        else:
            inner[leaf] = f"prediction {position}".encode()
    loss = _digests([risk.loss], inner)
    penalty = _digests([] if risk.penalty is None else [risk.penalty], names)
    whole = hashlib.sha256()
    for part in [line.encode() for line in header] + [b"model", *model, b"loss", *loss, b"penalty", *penalty]:
        whole.update(len(part).to_bytes(8, "big") + part)
    return whole.hexdigest()


def _shape(symbol: Any) -> tuple[int, ...]:
    return tuple(map(int, symbol.shape)) if isinstance(symbol, sp.MatrixSymbol) else ()


def _digests(roots: Iterable[Any], names: dict[Any, bytes]) -> list[bytes]:
    """A digest for each of ``roots``: of its operation and its arguments' digests, in SymPy's order."""
    roots = list(roots)
    indices: dict[Any, bytes] = {}
    digests: dict[tuple[int, tuple[Any, ...]], bytes] = {}
    for node, scope in postorder_in_scope(roots):
        # a Lambda's variable goes by its depth, whatever it is called, and hides what is called so outside
        inner = names | {v: f"variable {depth}".encode() for depth, v in enumerate(scope)} if scope else names
        below = scope_below(node, scope)
        parts = [*_own_parts(node, inner, indices), *(digests[id(child), below] for child in children(node))]
        digests[id(node), scope] = hashlib.sha256(b"".join(len(p).to_bytes(4, "big") + p for p in parts)).digest()
    return [digests[id(root), ()] for root in roots]


def _own_parts(node: Any, names: dict[Any, bytes], indices: dict[Any, bytes]) -> list[bytes]:
    """What a node says beside its children: its operation or its symbol, its indices, its shape."""
    if isinstance(node, sp.Symbol | sp.Idx | sp.MatrixSymbol):
        return [_symbol(node, names, indices)]
    if isinstance(node, MatrixElement):
        matrix, *where = node.args
        symbol = [names[matrix]] if isinstance(matrix, sp.MatrixSymbol) else []
        return [b"element", *symbol, *_digests_of_indices(where, names, indices)]
    if isinstance(node, MatrixSlice):
        bounds = [bound for slice_ in node.args[1:] for bound in slice_]
        return [b"slice", *_digests_of_indices(bounds, names, indices)]
    if isinstance(node, sp.BlockMatrix):
        return [_operation(node), repr(node.blockshape).encode()]
    if isinstance(node, sp.ZeroMatrix | sp.OneMatrix | sp.Identity | sp.ImmutableDenseMatrix):
        return [_operation(node), repr(tuple(map(int, node.shape))).encode()]
    return [_operation(node)]


def _digests_of_indices(where: Iterable[Any], names: dict[Any, bytes], indices: dict[Any, bytes]) -> list[bytes]:
    # An index is a few operations on Sum indices: small enough to be written out in postfix order.
    written = []
    for index in where:
        nodes = [
            _symbol(n, names, indices) if isinstance(n, sp.Symbol | sp.Idx) else _operation(n)
            for n in postorder([index])
        ]
        written.append(b",".join(nodes))
    return written


def _symbol(symbol: Any, names: dict[Any, bytes], indices: dict[Any, bytes]) -> bytes:
    """A declared symbol by role and position, a Sum's index by the order of its first appearance: never by name."""
    if symbol in names:
        return names[symbol]
    return indices.setdefault(symbol, f"index {len(indices)}".encode())


def _operation(node: Any) -> bytes:
    if isinstance(node, sp.Rational):
        return f"rational {node.p:x} {node.q:x}".encode()
    if isinstance(node, sp.Float):
        sign, mantissa, exponent, _ = node._mpf_
        return f"float {sign} {int(mantissa):x} {exponent} {node._prec}".encode()
    kind = type(node)
    return f"{kind.__module__}.{kind.__qualname__} {len(node.args)}".encode()
