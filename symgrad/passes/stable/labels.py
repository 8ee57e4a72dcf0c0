"""The logistic loss as it is mostly written: where the label agrees with the score, its two terms cancel."""

from __future__ import annotations

from symgrad.program import Value

from .addends import addends, product_of
from .form import StableForm

_FEW = 8  # addends, and factors of one, that are looked at


def _with_label(x: Value, y: Value) -> Value | None:
    """c*log(1 + exp(s)) - d*s, of data c and d, as (c - d)*log(1 + exp(s)) + d*log(1 + exp(-s)).

    At y = 1 and s = 40 it is 4e-18, and so is its slope; 40 - 1*40 is 0, and sigmoid(40) - 1 too.
    """
    parts = [*addends(x), *addends(y)] if "softplus" in x.builder.operations else []
    for place, (part, k) in enumerate(parts if 1 < len(parts) <= _FEW else []):
        number, factors = product_of(part)
        scores = [f for f in factors if f.operation == "softplus"]
        if len(scores) != 1:
            continue
        (score,) = scores[0].arguments
        count = _data(k * number, [f for f in factors if f.variable != scores[0].variable], score)
        for other, (product, c) in enumerate(parts):
            label = _over(product, -c, score) if other != place else None
            if count is None or label is None:
                continue
            rest = [f * n for i, (f, n) in enumerate(parts) if i not in (place, other)]
            better = (count - label) * scores[0] + label * (-score).call("softplus")
            return sum(rest[1:], rest[0]) + better if rest else better
    return None


def _over(product: Value, number: float, score: Value) -> Value | None:
    """What of data the score is multiplied by in a product, if nothing else is in it."""
    k, factors = product_of(product)
    other, wanted = product_of(score)
    left = [f.variable for f in factors]
    for factor in wanted:
        if factor.variable not in left:
            return None
        left.remove(factor.variable)
    return _data(number * k / other, [Value(score.builder, v) for v in left], score) if left else None


def _data(number: float, factors: list[Value], score: Value) -> Value | None:
    """The number times leaves that are data, at most one of them."""
    if not factors:
        return score.number(number)
    if len(factors) > 1 or factors[0].operation not in ("input", "target"):
        return None
    return factors[0] if number == 1 else factors[0] * number


LABELS: tuple[StableForm, ...] = (
    StableForm(
        "n*log(1 + exp(x)) - y*x, n and y data", "(n - y)*log(1 + exp(x)) + y*log(1 + exp(-x))",
        "all x", "add", _with_label,
    ),
)  # fmt: skip
