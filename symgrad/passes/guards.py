"""When can a cotangent differ from zero: conditions of the branches taken, as a disjunction of conjunctions.

A variable that both branches of a Piecewise use is guarded by "taken or not taken", which is always: the algebra finds
that, so that only what lives in one branch alone pays for a guard.
"""

from collections.abc import Iterable
from functools import reduce

from symgrad.program import Builder

Literal = tuple[int, bool]  # a condition's variable, and whether it has to hold or not to hold
Conjunction = frozenset[Literal]
Guard = frozenset[Conjunction]

ALWAYS: Guard = frozenset({frozenset()})
_MOST = 8  # terms, or conditions in one of them, that a guard carries along; beyond, `compact` computes it


def both(first: Guard, second: Guard) -> Guard:
    """Return the guard that holds where both of two guards hold."""
    products = {a | b for a in first for b in second}
    return _simplified(frozenset(p for p in products if not any((v, not sign) in p for v, sign in p)))


def either(guards: Iterable[Guard]) -> Guard:
    """Return the guard that holds where at least one of two guards holds."""
    return _simplified(frozenset().union(*guards))


def compact(guard: Guard, builder: Builder) -> Guard:
    """Return a guard of few terms that holds where this one does: a long one becomes a variable of its own."""
    if len(guard) <= _MOST and all(len(term) <= _MOST for term in guard):
        return guard
    return frozenset({frozenset({(condition_of(guard, builder), True)})})


def literal(condition: int, builder: Builder) -> Guard:
    """Return the guard that holds where a condition does."""
    assignment = builder.assignments[condition]
    if assignment.operation == "not":
        return frozenset({frozenset({(assignment.arguments[0], False)})})
    return frozenset({frozenset({(condition, True)})})


def condition_of(guard: Guard, builder: Builder) -> int:
    """Return the variable of a guard's condition."""
    terms = [[_literal(builder, literal) for literal in sorted(term)] for term in sorted(guard, key=sorted)]
    products = [reduce(lambda a, b: builder.emit("and", a, b), term) for term in terms if term]
    if not products:
        return builder.constant(1.0 if guard else 0.0)
    return reduce(lambda a, b: builder.emit("or", a, b), products)


def _literal(builder: Builder, literal: Literal) -> int:
    variable, holds = literal
    return variable if holds else builder.emit("not", variable)


def _simplified(guard: Guard) -> Guard:
    """Two terms that differ in the sign of one literal are one; a term inside another is dropped."""
    terms = set(guard)
    merged = True
    while merged:
        merged = False
        for a in sorted(terms, key=sorted):
            for variable, sign in sorted(a):
                rest = a - {(variable, sign)}
                if any(rest | {(variable, not sign)} >= b for b in terms if b != a and (variable, not sign) in b):
                    terms.discard(a)
                    terms.add(rest)
                    merged = True
                    break
            if merged:
                break
    return frozenset(a for a in terms if not any(b < a for b in terms))
