"""Sums of exponentials, c1 exp(x1) + c2 exp(x2) + ...: their logarithms, quotients and powers.

Each is shifted by its largest exponent, so that it neither overflows nor vanishes where the result does not. A term
without an exponential has the exponent zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from math import inf

from .program import Attribute
from .stable_form import StableForm
from .value import Value

_MOST, _DEEPEST = 8, 24  # terms that are told apart, operations that are looked through
_LARGE = 80.0  # an exponent whose exponential is far from overflow and underflow, in single precision too


@dataclass(frozen=True, slots=True)
class Term:
    """coefficient * exp(exponent); no exponent: the coefficient alone."""

    coefficient: Value
    exponent: Value | None

    def __mul__(self, other: Term) -> Term:
        return Term(self.coefficient * other.coefficient, _added(self.exponent, other.exponent))

    def __neg__(self) -> Term:
        return Term(-self.coefficient, self.exponent)

    def inverse(self) -> Term:
        return Term(1 / self.coefficient, None if self.exponent is None else -self.exponent)


def _added(x: Value | None, y: Value | None) -> Value | None:
    return y if x is None else x if y is None else x + y


def terms(x: Value) -> list[Term]:
    """The terms of a sum of exponentials, those with one exponent added up; anything else is one term."""
    found: dict[int | None, Term] = {}
    for term in _terms(x, {}, 0):
        key = None if term.exponent is None else term.exponent.variable
        before = found.get(key)
        found[key] = term if before is None else Term(before.coefficient + term.coefficient, term.exponent)
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
        return [_quotient(a, right[0]) for a in left]
    return []


def _power(term: Term, n: int) -> Term:
    assert term.exponent is not None
    coefficient = term.coefficient if term.coefficient.constant == 1 else term.coefficient.call("power", attribute=n)
    return Term(coefficient, term.exponent * float(n))


def _quotient(a: Term, b: Term) -> Term:
    same = a.exponent is not None and b.exponent is not None and a.exponent.variable == b.exponent.variable
    exponent = None if same else _added(a.exponent, None if b.exponent is None else -b.exponent)
    return Term(a.coefficient / b.coefficient, exponent)


def is_sum(parts: Sequence[Term]) -> bool:
    return len(parts) > 1 and any(term.exponent is not None for term in parts)


def coefficients(parts: Sequence[Term]) -> list[float | None]:
    return [term.coefficient.constant for term in parts]


def exponent(term: Term) -> Value:
    return term.coefficient.number(0.0) if term.exponent is None else term.exponent


def _difference(a: Term, b: Term) -> Value:
    """The first exponent less the second."""
    if b.exponent is None:
        return exponent(a)
    return -b.exponent if a.exponent is None else a.exponent - b.exponent


@dataclass(frozen=True, slots=True)
class _Shifted:
    """A sum of exponentials over exp(shift): ``total`` is the sum of ``terms``, none of which overflows."""

    shift: Value
    terms: dict[int | None, Value]  # exp(exponent - shift), by the exponent
    total: Value

    def over(self, term: Term) -> Value:
        """A term over exp(shift)."""
        key = None if term.exponent is None else term.exponent.variable
        known = self.terms.get(key)
        return term.coefficient * (exponent(term).call("exp_less", self.shift) if known is None else known)


def shifted(parts: Sequence[Term]) -> _Shifted:
    """The shift is the largest exponent where that is large, and else 0: a shift that is not needed costs digits."""
    keys = [None if term.exponent is None else term.exponent.variable for term in parts]
    if len(parts) == 2 and None in keys:  # one exponential does for both terms
        x = exponent(parts[1 - keys.index(None)])
        # asked by its result, not by its condition again: GCC would make branches of it, and no vector code
        near = (x > _LARGE).choose(-x, x)
        is_small = near.equals(x)
        shift = is_small.choose(0.0, x).call("hold")
        rest = is_small.choose(1.0, near.call("exp")).call("hold")
        known = {None: rest, x.variable: x.call("exp_capped", near)}
    else:
        largest = reduce(lambda a, b: a.call("max", b), map(_counted, parts))
        is_large = (abs(largest) > _LARGE).call("and", largest > -inf)
        shift = is_large.choose(largest, 0.0).call("hold")
        known = {key: _at_most(term, shift).call("exp_less", shift) for key, term in zip(keys, parts, strict=True)}
    products = [term.coefficient * known[key] for key, term in zip(keys, parts, strict=True)]
    return _Shifted(shift, known, _summed(products))


def _at_most(term: Term, shift: Value) -> Value:
    """The exponent; of a term that was not counted at most the shift: zero times its exponential is zero."""
    x = exponent(term)
    if term.coefficient.constant is not None or term.exponent is None:
        return x
    return term.coefficient.equals(0).call("and", x > shift).choose(shift, x)


def _counted(term: Term) -> Value:
    """The exponent of a term whose coefficient is not zero: the largest of them is the shift."""
    if term.coefficient.constant is not None:
        return exponent(term)
    return term.coefficient.equals(0).choose(-inf, exponent(term))


# --------------------------------------------------------------------------------------------------------- quotients


def _sigmoid(x: Value, y: Value) -> Value | None:
    below, above = terms(y), terms(x)
    if not (is_sum(below) and len(below) == 2 and coefficients(below) == [1.0, 1.0]):
        return None
    keys = [None if term.exponent is None else term.exponent.variable for term in below]
    if len(above) != 1 or above[0].coefficient.operation in ("expm1", "sinh"):
        return None
    key = None if above[0].exponent is None else above[0].exponent.variable
    if key not in keys:
        return None
    own, other = (below[0], below[1]) if keys[0] == key else (below[1], below[0])
    return above[0].coefficient * _difference(own, other).call("sigmoid")


def _tanh(x: Value, y: Value) -> Value | None:
    """(k exp(a) - k exp(b)) / (c exp(a) + c exp(b))."""
    below = terms(y)
    if not (is_sum(below) and len(below) == 2) or coefficients(below)[0] is None:
        return None
    if len(set(coefficients(below))) != 1:
        return None
    above = _with_expm1(x)
    by_key = {None if t.exponent is None else t.exponent.variable: t.coefficient.constant for t in above}
    keys = [None if t.exponent is None else t.exponent.variable for t in below]
    first, second = by_key.get(keys[0]), by_key.get(keys[1])
    if len(above) != 2 or first is None or second is None or first != -second:
        return None
    factor = first / (coefficients(below)[0] or 1.0)
    return factor * (0.5 * _difference(below[0], below[1])).call("tanh")


def _with_expm1(x: Value) -> list[Term]:
    """The terms of x, which may be a multiple of exp(a) - 1 or of sinh(a)."""
    factor, core = (x.arguments[1].constant, x.arguments[0]) if x.operation == "mul" else (1.0, x)
    if core.operation == "neg":
        factor, core = -(factor or 0.0), core.arguments[0]
    if factor and core.operation == "expm1":
        return [Term(x.number(factor), core.arguments[0]), Term(x.number(-factor), None)]
    if factor and core.operation == "sinh":
        a = core.arguments[0]
        return [Term(x.number(factor / 2), a), Term(x.number(-factor / 2), -a)]
    return terms(x)


def _of_sigmoid(x: Value, y: Value) -> Value | None:
    """A multiple of a sigmoid over 1 + exp(a): a product of sigmoids."""
    factor, core = (x.arguments[1].constant, x.arguments[0]) if x.operation == "mul" else (1.0, x)
    if factor is None or core.operation != "sigmoid" or not is_sum(terms(y)):
        return None
    return factor * (core * (x.number(1.0) / y))


def share(x: Value, y: Value) -> list[Term] | None:
    """The terms of y/x where x is one term and y a sum of exponentials."""
    above, below = terms(x), terms(y)
    if len(above) != 1 or above[0].exponent is None or not is_sum(below):
        return None
    return [_quotient(term, above[0]) for term in below]


def _share(x: Value, y: Value) -> Value | None:
    """Where a cosh is small it stays: of the derivative of its two exponentials little would be left."""
    far = _share_of_terms(x, y)
    sizes = [] if far is None else [abs(a) for a in _of_cosh(y)]
    if far is None or not sizes:
        return far
    return (reduce(lambda a, b: a.call("max", b), sizes) < _LARGE).choose(x / y, far)


def _of_cosh(x: Value) -> list[Value]:
    """The arguments of cosh in a sum of products, of which each part is looked at once."""
    found, seen, waiting = list[Value](), set[int](), [x]
    while waiting:
        part = waiting.pop()
        if part.variable in seen:
            continue
        seen.add(part.variable)
        if part.operation == "cosh":
            found.append(part.arguments[0])
        elif part.operation in ("neg", "add", "sub", "mul", "power"):
            waiting += part.arguments[::-1]
    return found


def _share_of_terms(x: Value, y: Value) -> Value | None:
    below, above = terms(y), terms(x)
    if not is_sum(below):
        return None
    if is_sum(above):  # one by one: the derivative of each has the sign of its own
        return _summed([product(term) / y for term in above])
    if len(above) == 1 and above[0].exponent is not None:
        # the exponential goes below the bar, or its derivative would cancel with its share; its factor may be zero
        bare = Term(x.number(1.0), above[0].exponent)
        return above[0].coefficient / _summed([product(_quotient(term, bare)) for term in below])
    whole = shifted(below)
    return whole.over(above[0]) / whole.total


def _over_exponential(x: Value, y: Value) -> Value | None:
    below = terms(y)
    if len(below) != 1 or below[0].exponent is None or y.operation == "exp":
        return None
    quotients = [_quotient(term, below[0]) for term in terms(x)]
    return _summed(list(map(product, quotients)))


def product(term: Term) -> Value:
    """The term itself."""
    return term.coefficient if term.exponent is None else term.coefficient * term.exponent.call("exp")


def _summed(values: list[Value]) -> Value:
    return reduce(lambda a, b: a + b, values)


def _over_product(x: Value, y: Value) -> Value | None:
    """Over a product or a power of sums, over one after the other."""
    if y.operation == "mul":
        a, b = y.arguments
        return x / a / b if _is_power_of_sum(a) or _is_power_of_sum(b) else None
    n = y.attribute
    if y.operation != "power" or not isinstance(n, int) or not 1 < n <= 4 or not is_sum(terms(y.arguments[0])):
        return None
    for _ in range(n):
        x = x / y.arguments[0]
    return x


def _is_power_of_sum(x: Value) -> bool:
    return is_sum(terms(x.arguments[0] if x.operation == "power" else x))


def _power_of_sum(x: Value, n: int) -> Value | None:
    if n >= 0 or not is_sum(terms(x)):
        return None
    reciprocal = x.number(1.0) / x
    return reciprocal if n == -1 else reciprocal.call("power", attribute=-n)


def _root_of_sum(x: Value) -> Value | None:
    parts = terms(x)
    if not is_sum(parts):
        return None
    whole = shifted(parts)
    return (0.5 * whole.shift).call("exp") * whole.total.call("sqrt")


def _pow_of_sum(x: Value, y: Value) -> Value | None:
    parts = terms(x)
    if not is_sum(parts):
        return None
    whole = shifted(parts)
    return whole.shift.call("exp_product", y) * whole.total.call("pow", y)


def _over_cosh(x: Value, y: Value) -> Value | None:
    if x.operation == "cosh" and y.operation == "sinh" and x.arguments[0].variable == y.arguments[0].variable:
        return 1 / x.arguments[0].call("tanh")
    if y.operation == "cosh":
        return x * y.arguments[0].call("sech")
    if y.operation == "power" and y.arguments[0].operation == "cosh" and isinstance(y.attribute, int):
        return x * y.arguments[0].arguments[0].call("sech").call("power", attribute=y.attribute)
    return None


QUOTIENTS: tuple[StableForm, ...] = (
    StableForm("(exp(x) - exp(y))/(exp(x) + exp(y))", "tanh((x - y)/2)", "all x, y", "div", _tanh),
    StableForm("1/(1 + exp(x))", "sigmoid(-x)", "all x", "div", _sigmoid),
    StableForm("sigmoid(x)/(1 + exp(y))", "sigmoid(x)*sigmoid(-y)", "all x, y", "div", _of_sigmoid),
    StableForm("1/cosh(x)", "sech(x)", "all x", "div", _over_cosh),
    StableForm("exp(x)/Sum(exp(y))", "exp(x - logsumexp(y))", "all x, y", "div", _over_exponential),
    StableForm("x/(y*z)", "x/y/z", "all x; y or z a sum of exponentials", "div", _over_product),
)  # fmt: skip


def _rational_power_of_sum(x: Value, exponent: tuple[int, int]) -> Value | None:
    parts = terms(x)
    if not is_sum(parts):
        return None
    whole, (p, q) = shifted(parts), exponent
    lost = float(Fraction(p, q) - Fraction(p / q))
    scale = whole.shift.call("exp_product", p / q)
    return (scale + scale * (lost * whole.shift)) * whole.total.call("rational_power", attribute=exponent)


SHIFTS: tuple[StableForm, ...] = (
    StableForm(
        "(a*exp(x) + ...)/(b*exp(y) + ...)", "(a*exp(x - m) + ...)/(b*exp(y - m) + ...), m the largest y",
        "all a, b, x, y", "div", _share,
    ),
    StableForm("(a*exp(x) + b*exp(y))**-n", "(1/(a*exp(x) + b*exp(y)))**n", "all a, b, x, y", "power", _power_of_sum),
    StableForm(
        "sqrt(a*exp(x) + b*exp(y))", "exp(m/2)*sqrt(a*exp(x - m) + b*exp(y - m)), m = Max(x, y)",
        "where the sum is not negative", "sqrt", _root_of_sum,
    ),
    StableForm(
        "(a*exp(x) + b*exp(y))**p", "exp(p*m)*(a*exp(x - m) + b*exp(y - m))**p, m = Max(x, y)",
        "where the sum is positive", "pow", _pow_of_sum,
    ),
    StableForm(
        "(a*exp(x) + b*exp(y))**(p/q)", "exp(p*m/q)*(a*exp(x - m) + b*exp(y - m))**(p/q), m = Max(x, y)",
        "where the sum is positive", "rational_power", _rational_power_of_sum,
    ),
)  # fmt: skip
