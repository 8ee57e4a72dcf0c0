"""Sums of exponentials, c1 exp(x1) + c2 exp(x2) + ..., as lists of terms.

Each is shifted by its largest exponent, so that it neither overflows nor vanishes where the result does not. A term
without an exponential has the exponent zero. Where exponents are added up, what the sum loses in rounding, |sum|/2 ULP
of its exponential, is put back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import combinations
from math import inf

from symgrad.program import Attribute, Value

_MOST, _DEEPEST = 8, 24  # terms that are told apart, operations that are looked through
LARGE = 40.0  # an exponent the square of whose exponential is in range, in single precision too


@dataclass(frozen=True, slots=True)
class Term:
    """coefficient * exp(exponent); no exponent: the coefficient alone."""

    coefficient: Value
    exponent: Value | None

    @property
    def key(self) -> int | None:
        """What terms of one exponent have in common: its variable."""
        return None if self.exponent is None else self.exponent.variable

    def __mul__(self, other: Term) -> Term:
        return Term(self.coefficient * other.coefficient, _added(self.exponent, other.exponent))

    def __neg__(self) -> Term:
        return Term(-self.coefficient, self.exponent)

    def inverse(self) -> Term:
        """Return 1 over the term: the exponent changes its sign."""
        return Term(1 / self.coefficient, None if self.exponent is None else -self.exponent)


def _added(x: Value | None, y: Value | None) -> Value | None:
    return y if x is None else x if y is None else x.call("exact_sum", y)


def terms(x: Value) -> list[Term]:
    """Return the terms of a sum of exponentials, those with one exponent added up; anything else is one term."""
    found: dict[int | None, Term] = {}
    for term in _terms(x, {}, 0):
        before = found.get(term.key)
        found[term.key] = term if before is None else Term(before.coefficient + term.coefficient, term.exponent)
    return list(found.values())


def _terms(x: Value, known: dict[int, list[Term]], depth: int) -> list[Term]:
    """Each variable is looked at once, and not too deep: what lies deeper, or has too many terms, is one term."""
    if x.variable not in known:
        parts = [] if depth > _DEEPEST else _parts(x, known, depth)
        is_one = not any(term.exponent is not None for term in parts) or len(parts) > _MOST
        known[x.variable] = [Term(x, None)] if is_one else parts
    return known[x.variable]


def _parts(x: Value, known: dict[int, list[Term]], depth: int) -> list[Term]:
    operation, arguments, one = x.operation, x.arguments, x.number(1.0)
    if operation == "exp":
        return [Term(one, arguments[0])]
    if operation == "exp_sum":
        return [Term(one, _added(*arguments))]
    if operation == "exp_with":
        return [Term(one, arguments[0])]
    if operation == "total" and arguments[0].operation == "exp":
        return [Term(one, arguments[0].arguments[0].call("logsumexp_all"))]
    if operation == "cosh":
        return [Term(x.number(0.5), arguments[0]), Term(x.number(0.5), -arguments[0])]
    if operation not in ("neg", "add", "sub", "mul", "div", "power"):
        return []
    parts = [_terms(a, known, depth + 1) for a in arguments]
    if not any(term.exponent is not None for part in parts for term in part):
        return []
    return _combined(operation, parts, x.attribute)


def _combined(operation: str, parts: list[list[Term]], attribute: Attribute) -> list[Term]:
    left, right = parts[0], parts[-1]
    if operation == "neg":
        return [-term for term in left]
    if operation == "power" and isinstance(attribute, int) and len(left) == 1:
        return [_power(left[0], attribute)]
    if operation == "add":
        return [*left, *right]
    if operation == "sub":
        return [*left, *(-term for term in right)]
    if operation == "mul" and min(len(left), len(right)) == 1:
        return [a * b for a in left for b in right]
    if operation == "div" and len(right) == 1:
        return [quotient(a, right[0]) for a in left]
    return []


def _power(term: Term, n: int) -> Term:
    assert term.exponent is not None
    coefficient = term.coefficient if term.coefficient.constant == 1 else term.coefficient.call("power", attribute=n)
    return Term(coefficient, term.exponent * float(n))


def quotient(a: Term, b: Term) -> Term:
    """Return a over b; the exponentials of one exponent cancel."""
    same = a.key is not None and a.key == b.key
    exponent = None if same else _added(a.exponent, None if b.exponent is None else -b.exponent)
    return Term(a.coefficient / b.coefficient, exponent)


def is_sum(parts: Sequence[Term]) -> bool:
    """Return whether the terms are several, and one of them an exponential."""
    return len(parts) > 1 and any(term.exponent is not None for term in parts)


def coefficients(parts: Sequence[Term]) -> list[float | None]:
    """Return the number that each term's coefficient is; None for one that is no constant."""
    return [term.coefficient.constant for term in parts]


def exponent(term: Term) -> Value:
    """Return a term's exponent: 0 for a term that has none."""
    return term.coefficient.number(0.0) if term.exponent is None else term.exponent


def difference(a: Term, b: Term) -> Value:
    """Return the exponent of ``a`` less that of ``b``."""
    if b.exponent is None:
        return exponent(a)
    return -b.exponent if a.exponent is None else a.exponent.call("exact_sum", -b.exponent)


def lost_by(exponent: Value) -> Value | None:
    """Return what an exponent lost where others were added up to it: half an ULP of each sum."""
    lost, waiting = list[Value](), [exponent]
    while waiting:
        part = waiting.pop()
        if part.operation == "exact_sum":
            lost.append(part.arguments[0].call("lost_in_sum", part.arguments[1]))
            waiting += part.arguments
    return summed(lost) if lost else None


def _put_back(exponential: Value, exponent: Value) -> Value:
    lost = lost_by(exponent)
    return exponential if lost is None else exponential + exponential * lost


@dataclass(frozen=True, slots=True)
class _Shifted:
    """A sum of exponentials over exp(shift), none of which overflows: what has no exponent, and the others."""

    shift: Value
    products: dict[int | None, Callable[[Value], Value]]  # k to k exp(exponent - shift), where one exp does for all
    plain: tuple[Value, ...]
    others: tuple[Value, ...]

    @property
    def total(self) -> Value:
        return summed([*self.plain, *self.others])

    def over(self, term: Term) -> Value:
        """A term over exp(shift)."""
        known = self.products.get(term.key)
        return _over(term, self.shift) if known is None else known(term.coefficient)


def shifted(parts: Sequence[Term]) -> _Shifted:
    """Return a sum of exponentials divided by exp(shift), so that none overflows.

    The shift is the largest exponent where that is large, and else 0, since a shift that is not needed costs digits:

        exp(a) + 2*exp(b), a > b, a large:  exp(a - a) + 2*exp(b - a), with shift a
        exp(a) + 2*exp(b), both moderate:   as it stands, with shift 0
    """
    keys = [term.key for term in parts]
    if len(parts) == 2 and None in keys:
        shift, known = _of_one(parts[1 - keys.index(None)])
    else:
        largest = reduce(lambda a, b: a.call("max", b), map(_counted, parts))
        is_large = (abs(largest) > LARGE).call("and", largest > -inf)
        shift, known = is_large.choose(largest, 0.0).call("hold"), {}
    pairs = pairs_of(parts)
    paired = {place for pair in pairs for place in pair[:2]}
    products = [_even(parts[i], half, mean, shift) for i, _, half, mean in pairs]
    whole = _Shifted(shift, known, (), ())
    plain: list[Value] = []
    for i, (key, term) in enumerate(zip(keys, parts, strict=True)):
        if i not in paired:
            (plain if key is None else products).append(whole.over(term))
    return replace(whole, plain=tuple(plain), others=tuple(products))


def _of_one(term: Term) -> tuple[Value, dict[int | None, Callable[[Value], Value]]]:
    """Of a number and k exp(x) the shift, and multiples of 1 and exp(x) over it: one exponential does for both.

    The shift is x where that is large, and k is not zero. (Where k alone varies, x is asked alone: once for a theta.)
    """
    x, k = exponent(term), term.coefficient
    may_vanish = k.constant is None and (x.varies or not k.varies)
    is_large = (x > LARGE).call("and", k.equals(0).call("not")) if may_vanish else x > LARGE
    # asked by its result, not by its condition again: GCC would make branches of it, and no vector code
    near = is_large.choose(-x, x)
    is_small = near.equals(x)
    shift = is_small.choose(0.0, x).call("hold")
    rest = is_small.choose(1.0, near.call("exp")).call("hold")

    def multiple(factor: Value) -> Value:
        if may_vanish and factor.constant is None:
            return _put_back(factor.call("weighted_capped", x, near), x)
        return factor * _put_back(x.call("exp_capped", near), x)

    return shift, {None: lambda factor: factor * rest, x.variable: multiple}


def _over(term: Term, shift: Value) -> Value:
    """A term over exp(shift); zero where its coefficient is, whose slope is the exponential there too."""
    k, x = term.coefficient, exponent(term)
    if k.constant is not None or term.exponent is None:
        return k * _put_back(x.call("exp_less", shift), x)
    return _put_back(k.call("weighted_exp", x, shift), x)


def pairs_of(parts: Sequence[Term]) -> list[tuple[int, int, Value, Value | None]]:
    """Return the places of c exp(m + a) and c exp(m - a), and a and m.

    Near a = 0 little would be left of the difference of their derivatives.
    """
    found: list[tuple[int, int, Value, Value | None]] = []
    paired = set[int]()
    for i, j in combinations(range(len(parts)), 2):
        halves = _halves(parts[i].exponent, parts[j].exponent)
        if halves is not None and parts[i].coefficient == parts[j].coefficient and paired.isdisjoint((i, j)):
            found.append((i, j, *halves))
            paired |= {i, j}
    return found


def _halves(x: Value | None, y: Value | None) -> tuple[Value, Value | None] | None:
    """(a, m), where x = m + a and y = m - a; m may be 0, which is None."""
    if x is None or y is None:
        return None
    if y == -x:
        return x, None
    if x.operation == y.operation == "exact_sum":
        for m, a in (x.arguments, x.arguments[::-1]):
            if set(y.arguments) == {m, -a}:
                return a, m
    return None


def _even(term: Term, a: Value, m: Value | None, shift: Value) -> Value:
    """c (exp(m + a) + exp(m - a)) over exp(shift)."""
    return 2 * term.coefficient * a.call("cosh_less", shift, *([] if m is None else [m]))


def _counted(term: Term) -> Value:
    """The exponent of a term whose coefficient is not zero: the largest of them is the shift."""
    if term.coefficient.constant is not None:
        return exponent(term)
    return term.coefficient.equals(0).choose(-inf, exponent(term))


def product(term: Term) -> Value:
    """Return the value of a term: its coefficient times its exponential."""
    return term.coefficient if term.exponent is None else term.coefficient * term.exponent.call("exp")


def summed(values: list[Value]) -> Value:
    """Return the sum of one or more values, added from the left."""
    return reduce(lambda a, b: a + b, values)


def share(x: Value, y: Value) -> list[Term] | None:
    """Return the terms of y/x where x is one term and y a sum of exponentials."""
    above, below = terms(x), terms(y)
    if len(above) != 1 or above[0].exponent is None or not is_sum(below):
        return None
    return [quotient(term, above[0]) for term in below]
