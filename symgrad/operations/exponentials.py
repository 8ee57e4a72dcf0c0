"""Exponentials and logarithms, and what statistics makes of them: sigmoid, softplus, log-sum-exp, softmax."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import sympy as sp
from sympy.codegen import cfunctions

from symgrad import functions
from symgrad.program import Value, over

from .operation import Operation, Tail, X, Y, lowered, vector_function
from .stable import exp_difference, inside


def _logistic_density(x: Value) -> Value:
    decay = (-abs(x)).call("exp")
    part = 1 / (1 + decay)
    return decay * part * part


def _sigmoid(x: Value) -> Value:
    decay = (-abs(x)).call("exp")
    return (x >= 0).choose(1.0, decay) * (1 / (1 + decay))


def _softplus(x: Value) -> Value:
    return (x > 0).choose(x, 0.0) + (-abs(x)).call("exp").call("log1p")


def _log_cosh(x: Value) -> Value:
    sinh = x.call("sinh")
    near = (sinh * sinh).call("log1p") * 0.5
    far = abs(x) + ((-2 * abs(x)).call("exp").call("log1p") - float(sp.log(2)))
    return (abs(x) < 1).choose(near, far)


def _largest(*xs: Value) -> Value:
    largest = xs[0]
    for x in xs[1:]:
        largest = largest.call("max", x)
    return largest


def _shifted_exponentials(*xs: Value, lost: Sequence[Value] = ()) -> tuple[Value, list[Value], Value]:
    """The largest x, ``exp(x_i - largest)``, and their sum less one; equal infinities differ by zero, not by NaN.

    ``lost`` is what each x lost to rounding, if that is known.
    """
    largest = _largest(*xs)
    wins = [x.equals(largest) for x in xs]
    terms = [won.choose(1.0, exp_difference(x, largest)) for x, won in zip(xs, wins, strict=True)]
    terms = [term + term * off for term, off in zip(terms, lost, strict=True)] if lost else terms
    rest = sum((won.choose(1.0, 0.0) for won in wins[1:]), wins[0].choose(1.0, 0.0)) - 1
    offs: Sequence[Value | float] = lost or [0.0] * len(xs)
    for won, off, term in zip(wins, offs, terms, strict=True):
        rest = rest + won.choose(off, term)
    return largest, terms, rest


def _logsumexp(*xs: Value) -> Value:
    largest, _, rest = _shifted_exponentials(*xs)
    return largest + rest.call("log1p")


def _with_lost(arguments: Sequence[Value]) -> tuple[Value, list[Value], Value]:
    """Of exponents in the first half, and of what each lost to rounding in the second."""
    half = len(arguments) // 2
    return _shifted_exponentials(*arguments[:half], lost=arguments[half:])


def _logsumexp_with(*arguments: Value) -> Value:
    largest, _, rest = _with_lost(arguments)
    return largest + rest.call("log1p")


def _softmax_with(*arguments: Value | int) -> Value:
    *values, index = arguments
    _, terms, rest = _with_lost([v for v in values if isinstance(v, Value)])
    assert isinstance(index, int)
    return terms[index] / (1 + rest)


def _logsumexp_with_pullback(c: Value, r: Value, *arguments: Value) -> tuple[Value | float, ...]:
    first, *others = arguments
    half = len(arguments) // 2
    shares = (c * first.call("softmax_with", *others, attribute=i) for i in range(half))
    return *shares, *(0.0,) * half


def _softmax_with_pullback(c: Value, r: Value, *arguments: Value | int) -> tuple[Value | float, ...]:
    *values, index = arguments
    first, *others = [v for v in values if isinstance(v, Value)]
    half = len(values) // 2
    shares = [first.call("softmax_with", *others, attribute=i) for i in range(half)]
    assert isinstance(index, int)
    return *_slopes_of_share(c * r, shares, index), *(0.0,) * half


def _softmax(*arguments: Value | int) -> Value:
    xs, index = _with_index(arguments)
    _, shifted, rest = _shifted_exponentials(*xs)
    return shifted[index] / (1 + rest)


def _with_index(arguments: tuple[Value | int, ...]) -> tuple[list[Value], int]:
    """A softmax' arguments and, last, the index of its numerator."""
    index = arguments[-1]
    assert isinstance(index, int)
    return [x for x in arguments if isinstance(x, Value)], index


def _shares(xs: list[Value]) -> list[Value]:
    return [xs[0].call("softmax", *xs[1:], attribute=i) for i in range(len(xs))]


def _logsumexp_pullback(c: Value, r: Value, *xs: Value) -> tuple[Value, ...]:
    return tuple(c * share for share in _shares(list(xs)))


def _softmax_pullback(c: Value, r: Value, *arguments: Value | int) -> tuple[Value, ...]:
    xs, index = _with_index(arguments)
    return _slopes_of_share(c * r, _shares(xs), index)


def _slopes_of_share(factor: Value, shares: list[Value], index: int) -> tuple[Value, ...]:
    """The slopes of one share of a softmax. One less it is the sum of the others, which has digits near one too."""
    others = reduce(lambda a, b: a + b, (s for i, s in enumerate(shares) if i != index), factor.number(0.0))
    return tuple(factor * others if i == index else -(factor * share) for i, share in enumerate(shares))


ROWS: tuple[Operation, ...] = (
    vector_function("exp", sp.exp(X), None, Tail.FLAT | Tail.EXPONENTIAL),
    vector_function(
        "exp2", cfunctions.exp2(X), lambda c, r, x: (c * r * float(sp.log(2)),), Tail.FLAT | Tail.EXPONENTIAL
    ),
    vector_function("expm1", cfunctions.expm1(X), None, Tail.FLAT | Tail.EXPONENTIAL),
    vector_function("log", sp.log(X), lambda c, r, x: (inside(x >= 0, over(c, x)),), Tail.PLAIN),
    vector_function(
        "log2", cfunctions.log2(X), lambda c, r, x: (inside(x >= 0, c / x * float(1 / sp.log(2))),), Tail.PLAIN
    ),
    vector_function(
        "log10", cfunctions.log10(X), lambda c, r, x: (inside(x >= 0, c / x * float(1 / sp.log(10))),), Tail.PLAIN
    ),
    vector_function("log1p", cfunctions.log1p(X), lambda c, r, x: (inside(x >= -1, c / (1 + x)),), Tail.PLAIN),
    lowered("sigmoid", functions.sigmoid(X), lambda c, r, x: (c * x.call("logistic_density"),), _sigmoid, Tail.FLAT),
    lowered(
        "logistic_density",
        functions.sigmoid(X) * functions.sigmoid(-X),
        lambda c, r, x: (-(c * r * (0.5 * x).call("tanh")),),
        _logistic_density,
        Tail.FLAT,
    ),
    lowered("softplus", functions.softplus(X), lambda c, r, x: (c * x.call("sigmoid"),), _softplus, Tail.FLAT),
    lowered("log_cosh", functions.log_cosh(X), lambda c, r, x: (c * x.call("tanh"),), _log_cosh, Tail.PLAIN),
    lowered("logsumexp", None, _logsumexp_pullback, _logsumexp, Tail.PLAIN),
    lowered("softmax", None, _softmax_pullback, _softmax, Tail.PLAIN),
    # of exponents, and of what each of them lost to rounding, which is held
    lowered("logsumexp_with", None, _logsumexp_with_pullback, _logsumexp_with, Tail.PLAIN),
    lowered("softmax_with", None, _softmax_with_pullback, _softmax_with, Tail.PLAIN),
    lowered(
        "xlogy",
        functions.xlogy(X, Y),
        lambda c, r, x, y: (c * y.call("log"), c * x.equals(0).choose(0.0, inside(y >= 0, x / y))),
        lambda x, y: x.equals(0).choose(0.0, x * y.call("log")),
        Tail.CUSPED,
    ),
)
