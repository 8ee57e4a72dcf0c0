"""Which values of a run are exact, and where a run's precision may have swallowed what the result hangs on.

At 50 digits ``tanh(400)`` is 1, ``1 - tanh(400)**2`` is 0 and its logarithm -inf, at 100 digits too: that two
precisions agree proves nothing there. What betrays it is a rounded number that lies *exactly* where only luck or lost
digits would put it: a sum of exactly zero, a function exactly at its zero or pole, a comparison of two equal numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .functions import STEPS
from .rule import Real
from .tape import Operation

_SPARE = 20  # a rounded number ends in so many zero bits once in a million times
_ALGEBRAIC = frozenset(["Sqrt", "fma", "hypot"])  # rational where the last bits of the result are zero
_AT_INTEGERS = frozenset(["floor", "ceiling", "Mod"])
_INERT = frozenset(["relation", "and", "or", "not", "xor", "ite", "truth", "pair"])


def exact(m: Any, operation: Operation, values: Sequence[Any], known: Sequence[bool], result: Any) -> bool:
    """Return whether a result is exact, given which arguments are ``known`` to be; True only where that is certain."""
    kind = operation.kind
    if kind in ("leaf", "float", "special") or kind in _INERT:
        return True
    if kind == "rational":
        denominator = operation.payload[1]
        return bool(denominator & (denominator - 1) == 0)
    if kind == "mul" and any(k and x == 0 for k, x in zip(known, values, strict=True)):
        return True
    if kind == "constant" or not all(known):
        return False
    if kind == "add":
        return bool(_spread(values) <= m.prec)
    if kind == "dot":
        return bool(_spread([a * b for a, b in zip(values[::2], values[1::2], strict=True)]) <= m.prec - _SPARE)
    if kind == "mul":
        return bool(sum(_bits(x) for x in values) <= m.prec)
    return _exact_call(m, operation.payload, values, result) if kind == "call" else True


def _exact_call(m: Any, name: str, values: Sequence[Real], result: Real) -> bool:
    if name in STEPS:
        return True
    if _bits(result) > m.prec - _SPARE:
        return False
    if name == "Pow":
        return bool(m.isint(2 * values[1]))
    return name in _ALGEBRAIC or all(x in (-1, 0, 1) for x in values)  # a theorem of Lindemann's: nowhere else


def swallowed(m: Any, operation: Operation, values: Sequence[Any], known: Sequence[bool], result: Any) -> bool:
    """Return whether the result of rounded arguments lies exactly where more digits may not leave it."""
    kind = operation.kind
    if all(known):
        return False
    if kind == "add":
        return bool(result == 0 and any(x != 0 for x in values))
    if kind == "dot":
        return bool(result == 0 and any(a * b != 0 for a, b in zip(values[::2], values[1::2], strict=True)))
    if kind == "call":
        return _swallowed_call(m, operation.payload, values, known, result)
    if kind == "maximum":
        greatest = [k for k, x in zip(known, values, strict=True) if x == result]
        return len(greatest) > 1 and not all(greatest)
    return False


def tied(values: Sequence[Any], known: Sequence[bool]) -> bool:
    """Return whether a comparison is of equal numbers that are not both exact."""
    return not all(known) and None not in values and bool(values[0] == values[1])


def _swallowed_call(m: Any, name: str, values: Sequence[Real], known: Sequence[bool], result: Real) -> bool:
    if name in _AT_INTEGERS:
        return bool(m.isint(values[0]) if len(values) == 1 else result == 0)
    if name in ("Max", "Min"):
        return bool(values[0] == values[1])
    if name in STEPS or any(x == 0 or m.isinf(x) for x in values):
        return False  # of a zero that may be none it was told where it arose
    return bool(result == 0 or m.isinf(result))


def _bits(x: Real) -> int:
    return int(x._mpf_[3])


def _spread(terms: Sequence[Real]) -> int:
    """From the first to the last bit of a sum's terms."""
    found = [(x._mpf_[2] + x._mpf_[3], x._mpf_[2]) for x in terms if x._mpf_[1]]
    return max(high for high, _ in found) - min(low for _, low in found) + len(found) if found else 0
