"""A name for a whole declaration that is the same in every process: the cache's key."""

import hashlib
from collections.abc import Iterable
from typing import Any

import sympy as sp
from sympy.matrices.expressions.matexpr import MatrixElement

from .expressions import postorder

# Raised when what is hashed changes, so that entries made before are not mistaken for new ones.
_FORMAT = "symgrad declaration 1"


def fingerprint_of(risk: Any) -> str:
    """SHA-256 (hex) of an ``EmpiricalRisk``: names, order, roles, shapes and every number to its last bit."""
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
        inner[leaf] = f"prediction {position}".encode()
        if isinstance(leaf, MatrixElement):
            inner[leaf.args[0]] = b"prediction"
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
    digests: dict[int, bytes] = {}
    for node in postorder(roots):
        if isinstance(node, MatrixElement):
            matrix, *where = node.args
            parts = [b"element", names[matrix], *_digests_of_indices(where, names, indices)]
        elif isinstance(node, sp.Symbol | sp.Idx):
            parts = [_symbol(node, names, indices)]
        else:
            parts = [_operation(node), *(digests[id(argument)] for argument in node.args)]
        digests[id(node)] = hashlib.sha256(b"".join(len(p).to_bytes(4, "big") + p for p in parts)).digest()
    return [digests[id(root)] for root in roots]


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
