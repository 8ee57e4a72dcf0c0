"""Values that try to break a formula: the ends of a double's range, its zeros, kinks, and where functions overflow."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Sequence

LARGEST, NORMAL, LEAST = 1.7976931348623157e308, 2.2250738585072014e-308, 5e-324
_EDGES = (
    *(709.782712893384, 709.8, 710.0, 708.3964185322641),  # exp overflows, and leaves the normal range
    *(745.1332191019411, 745.13321910194122, 745.2, 746.0),  # it underflows
    *(1023.0, 1024.0, 1074.0, 1075.0),  # exp2
    *(354.89, 372.6, 26.5, 27.3, 38.6, 5.9),  # squares of exponentials; erfc; exp(-x**2); erf is 1
    *(18.4, 19.06, 36.05, 36.74, 37.5),  # tanh is 1; log(1 + exp(x)) is x, and exp(-x) is less than an ULP of one
    *(170.6, 171.7, 1e8, 94906265.62425156),  # gamma; 1 + x**2 is x**2
)
_ENDS = (LARGEST, LARGEST / 2, 2.0**512, 1.3407807929942596e154, NORMAL, LEAST, 1.4916681462400413e-154, 2.0**-537)
_KINDS = ("representation", "representation", "power", "power", "edge", "edge", "kink", "zero", "subnormal", "end")


def extreme(rng: random.Random, constants: Sequence[float], negative_zero: bool) -> float:
    """Return an extreme value, of either sign; a zero only if that is wanted."""
    value = _extreme(rng, constants)
    return value if negative_zero else value + 0.0


def _extreme(rng: random.Random, constants: Sequence[float]) -> float:
    kind, sign = rng.choice(_KINDS), rng.choice((-1.0, 1.0))
    if kind == "representation":
        return _any_double(rng)
    if kind == "power":
        return sign * rng.choice((1.0, rng.uniform(1, 10))) * 10.0 ** rng.randint(-307, 307)
    if kind == "zero":
        return sign * 0.0
    if kind == "subnormal":
        return sign * LEAST * rng.getrandbits(rng.randint(1, 52))
    if kind == "end":
        return sign * _nudged(rng, rng.choice(_ENDS))
    if kind == "edge":
        return sign * _nudged(rng, rng.choice(_EDGES))
    return _nudged(rng, sign * (rng.choice(constants) if constants else 1.0))


def _any_double(rng: random.Random) -> float:
    """Uniform over the representations of finite doubles: every exponent is as likely."""
    while True:
        (value,) = struct.unpack("<d", rng.getrandbits(64).to_bytes(8, "little"))
        if math.isfinite(value):
            return float(value)


def _nudged(rng: random.Random, value: float) -> float:
    """The value or a neighbour that is finite."""
    found = math.nextafter(value, rng.choice((value, -math.inf, math.inf)))
    return found if math.isfinite(found) else value
