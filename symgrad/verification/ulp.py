"""The distance of a double from a real number, in units in the last place."""

from __future__ import annotations

import math
from typing import Any

import mpmath

_OTHER_ORDER = 64  # ULP


def ulp_error(got: float, expected: Any) -> float:
    """Return the distance of a double from a real number (mpf), in units in the last place of the latter's binade.

    Subnormal numbers share the unit 2**-1074. A number past the largest double counts as 2**1024, and so does an
    infinite ``got``, so that overflow is right exactly where the true number overflows. Where the true number is NaN
    or an exact infinity (a pole) there is no number to be near: NaN and both infinities are right, others are not.
    """
    if not mpmath.isfinite(expected):
        return math.inf if math.isfinite(got) else 0.0
    if math.isnan(got):
        return math.inf
    top = mpmath.mpf(2) ** 1024
    with mpmath.workprec(max(300, expected._mpf_[3] + 60)):
        true = max(-top, min(top, expected))
        if math.isinf(got) and abs(true) < top / 2:
            return math.inf
        found = math.copysign(1, got) * top if math.isinf(got) else mpmath.mpf(got)
        return float(mpmath.ldexp(abs(found - true), -ulp_exponent(true)))


def ulp_exponent(x: Any) -> int:
    """Return e with ulp(x) = 2**e."""
    _, mantissa, exponent, bits = x._mpf_
    return min(971, max(-1074, exponent + bits - 53)) if mantissa else -1074


def penalty_error(together: float, sample: float, expected: Any) -> float:
    """Return the error of a penalty that shows only in a sum.

    ``together`` is a sample's own value plus it, rounded once.

    The mean sums products of matrices in another order than a sample does, so its own part may be a little off.

    Infinite where the sum is no number and should be one; NaN where it cannot tell.
    """
    if not math.isfinite(sample):
        return math.nan
    if not mpmath.isfinite(expected) or not math.isfinite(together):
        return ulp_error(together, expected + mpmath.mpf(sample))
    with mpmath.workprec(3000):
        true = mpmath.mpf(sample) + expected
        if abs(true) >= mpmath.mpf(2) ** 1024:
            return ulp_error(together, true)
        off = abs(mpmath.mpf(together) - true) - mpmath.ldexp(1, ulp_exponent(true) - 1)
        off -= mpmath.ldexp(_OTHER_ORDER, ulp_exponent(mpmath.mpf(sample))) if sample else 0
        return float(mpmath.ldexp(max(0, off), -ulp_exponent(expected)))
