"""Algebraic identities of one operation, asked by the `Builder` before it appends.

Each identity keeps every bit of a finite result, the sign of a zero aside. Constants are added and multiplied only
where that is exact: ``(x * 3) * 5`` becomes ``x * 15``, which rounds once where the other rounds twice.
"""

from collections.abc import Callable
from fractions import Fraction
from math import isfinite

from . import identities_of_matrices as fold_matrices
from .program import Attribute, Builder

Arguments = tuple[int, ...]


def fold(builder: Builder, operation: str, arguments: Arguments, attribute: Attribute) -> int | None:
    """Return the variable that already holds ``operation(arguments)``, or ``None`` if the operation has to be done.

    It may be a scalar where the operation's value is a matrix filled with it.
    """
    joint = fold_matrices.RULES.get(operation)
    if joint is not None:
        return joint(builder, arguments, attribute)
    rule = _RULES.get(operation)
    return rule(builder, arguments) if rule else None


def exact_product(a: float, b: float) -> float | None:
    """Return ``a * b`` if it is a double, else ``None``."""
    product = a * b
    if not isfinite(product):
        return None
    return product if Fraction(a) * Fraction(b) == Fraction(product) else None


def exact_sum(a: float, b: float) -> float | None:
    """Return ``a + b`` if it is a double, else ``None``."""
    total = a + b
    if not isfinite(total):
        return None
    return total if Fraction(a) + Fraction(b) == Fraction(total) else None


def _negated(builder: Builder, variable: int) -> int | None:
    """``x`` if the variable is ``-x``."""
    assignment = builder.assignments[variable]
    return assignment.arguments[0] if assignment.operation == "neg" else None


def _neg(builder: Builder, arguments: Arguments) -> int | None:
    (x,) = arguments
    value, assignment = builder.constant_value(x), builder.assignments[x]
    if value is not None:
        return builder.constant(-value)
    if assignment.operation == "neg":
        return assignment.arguments[0]
    if assignment.operation == "sub":
        return builder.emit("sub", *reversed(assignment.arguments))
    if assignment.operation == "exact_sum":
        return builder.emit("exact_sum", *(builder.emit("neg", a) for a in assignment.arguments))
    if assignment.operation == "mul":
        factor = builder.constant_value(assignment.arguments[1])
        if factor is not None:
            return builder.emit("mul", assignment.arguments[0], builder.constant(-factor))
    return None


def _add(builder: Builder, arguments: Arguments) -> int | None:
    x, y = arguments
    left, right = builder.constant_value(x), builder.constant_value(y)
    total = None if left is None or right is None else exact_sum(left, right)
    if total is not None:
        return builder.constant(total)
    for a, b in ((x, y), (y, x)):
        if builder.constant_value(a) == 0:
            return b
    for a, b in ((x, y), (y, x)):
        negated = _negated(builder, b)
        if negated is not None:
            return builder.emit("sub", a, negated)
    return builder.emit("add", y, x) if y < x else None


def _exact_sum(builder: Builder, arguments: Arguments) -> int | None:
    x, y = arguments
    return builder.emit("exact_sum", y, x) if y < x else None


def _sub(builder: Builder, arguments: Arguments) -> int | None:
    x, y = arguments
    if builder.constant_value(y) == 0:
        return x
    if builder.constant_value(x) == 0:
        return builder.emit("neg", y)
    negated = _negated(builder, y)
    return None if negated is None else builder.emit("add", x, negated)


def _mul(builder: Builder, arguments: Arguments) -> int | None:
    x, y = arguments
    if builder.constant_value(x) is not None:
        x, y = y, x
    factor = builder.constant_value(y)
    if factor is not None:
        return _scaled(builder, x, factor, swapped=(x, y) != arguments)
    for a, b in ((x, y), (y, x)):
        negated = _negated(builder, a)
        # the sign of an invariant stays with it: there it costs nothing for a sample
        if negated is not None and (builder.varies[a] or not builder.varies[b]):
            return builder.emit("neg", builder.emit("mul", negated, b))
    return builder.emit("mul", y, x) if y < x else None


def _scaled(builder: Builder, x: int, factor: float, swapped: bool) -> int | None:
    """``x * factor`` for a constant factor, which stands on the right."""
    value, assignment = builder.constant_value(x), builder.assignments[x]
    if factor == 0:
        return builder.constant(0.0)
    if factor == 1:
        return x
    if factor == -1:
        return builder.emit("neg", x)
    if value is not None:
        product = exact_product(value, factor)
        return None if product is None else builder.constant(product)
    if assignment.operation == "neg":
        return builder.emit("mul", assignment.arguments[0], builder.constant(-factor))
    if assignment.operation == "mul":
        inner = builder.constant_value(assignment.arguments[1])
        product = None if inner is None else exact_product(inner, factor)
        if product is not None:
            return builder.emit("mul", assignment.arguments[0], builder.constant(product))
    return builder.emit("mul", x, builder.constant(factor)) if swapped else None


def _div(builder: Builder, arguments: Arguments) -> int | None:
    x, y = arguments
    if builder.constant_value(y) == 1:
        return x
    if builder.constant_value(x) == 0:
        return x
    divisor = builder.constant_value(y)
    if divisor is not None and divisor != 0 and exact_product(1 / divisor, divisor) == 1:
        return builder.emit("mul", x, builder.constant(1 / divisor))
    for place, other in ((x, y), (y, x)):
        negated = _negated(builder, place)
        if negated is not None:
            quotient = (negated, other) if place == x else (other, negated)
            return builder.emit("neg", builder.emit("div", *quotient))
    return None


def _abs(builder: Builder, arguments: Arguments) -> int | None:
    assignment = builder.assignments[arguments[0]]
    if assignment.operation == "mul":
        factor = builder.constant_value(assignment.arguments[1])
        if factor is not None:
            return builder.emit("mul", builder.emit("abs", assignment.arguments[0]), builder.constant(abs(factor)))
    return _even("abs")(builder, arguments)


def _even(operation: str) -> Callable[[Builder, Arguments], int | None]:
    """The rule of an even function: ``f(-x) = f(x)``."""

    def rule(builder: Builder, arguments: Arguments) -> int | None:
        negated = _negated(builder, arguments[0])
        return None if negated is None else builder.emit(operation, negated)

    return rule


def _select(builder: Builder, arguments: Arguments) -> int | None:
    condition, x, y = arguments
    known = builder.constant_value(condition)
    if known is not None:
        return x if known else y
    if x == y:
        return x
    test, yes, no = (builder.assignments[v] for v in arguments)
    if test.operation == "not":
        return builder.emit("select", test.arguments[0], y, x)
    if yes.operation == "select" and yes.arguments[0] == condition:
        return builder.emit("select", condition, yes.arguments[1], y)
    if no.operation == "select" and no.arguments[0] == condition:
        return builder.emit("select", condition, x, no.arguments[2])
    return None


def _not(builder: Builder, arguments: Arguments) -> int | None:
    (x,) = arguments
    known, assignment = builder.constant_value(x), builder.assignments[x]
    if known is not None:
        return builder.constant(0.0 if known else 1.0)
    return assignment.arguments[0] if assignment.operation == "not" else None


def _junction(operation: str, neutral: float) -> Callable[[Builder, Arguments], int | None]:
    """The rule of ``and`` (neutral: true) and ``or`` (neutral: false)."""

    def rule(builder: Builder, arguments: Arguments) -> int | None:
        x, y = arguments
        for a, b in ((x, y), (y, x)):
            known = builder.constant_value(a)
            if known is not None:
                return b if known == neutral else a
        if x == y:
            return x
        return builder.emit(operation, y, x) if y < x else None

    return rule


_RULES: dict[str, Callable[[Builder, Arguments], int | None]] = {
    "neg": _neg,
    "add": _add,
    "exact_sum": _exact_sum,
    "sub": _sub,
    "mul": _mul,
    "div": _div,
    "abs": _abs,
    "cos": _even("cos"),
    "cosh": _even("cosh"),
    "select": _select,
    "not": _not,
    "and": _junction("and", 1.0),
    "or": _junction("or", 0.0),
}
