"""Runs a Program in plain Python, one assignment after the other: exactly, to any number of digits, or in doubles.

An `Arithmetic` says what a number and what each operation is. Conditions are the numbers 1 and 0. Operations that are
lowered before they are printed (``mod``, ``softmax``, ...) are there too, by their definition. A scalar is a number, a
matrix an array of numbers: operations on numbers are done element by element, those of `MATRICES` on whole arrays.
"""

import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from math import prod
from typing import Any

import mpmath
import numpy as np

from symgrad.program import LEAVES, Assignment, Program, Shape

from .evaluate_stable import STABLE, pow_or_zero

Number = Any
Leaves = Mapping[str, Sequence[Number]]


@dataclass(frozen=True)
class Arithmetic:
    """``number`` makes a number of a double; ``operations`` take numbers and, last, the attribute if there is one.

    ``kind`` is the type of an array of such numbers.
    """

    number: Callable[[float], Number]
    operations: Mapping[str, Callable[..., Number]]
    kind: Any = object

    def array(self, values: Any, shape: Shape) -> Any:
        """Numbers in C order as a matrix of that shape."""
        matrix = np.empty(shape, self.kind)
        for place, value in zip(range(matrix.size), values, strict=True):
            matrix.flat[place] = value
        return matrix

    def apply(self, step: Assignment, operands: Sequence[Any]) -> Any:
        """The value of one assignment."""
        attribute = () if step.attribute is None else (step.attribute,)
        if step.operation in MATRICES:
            value = MATRICES[step.operation](self, *operands, *attribute)
        elif not step.shape:
            value = self.operations[step.operation](*operands, *attribute)
        else:
            shapes = [np.shape(x) for x in operands]
            assert all(shape in ((), step.shape) for shape in shapes), f"{step} of {shapes}"
            spread = [np.broadcast_to(np.asarray(x, self.kind), step.shape).flat for x in operands]
            operation = self.operations[step.operation]
            value = self.array((operation(*row, *attribute) for row in zip(*spread, strict=True)), step.shape)
        assert np.shape(value) == step.shape, f"{step} has the shape {np.shape(value)}"
        return value


def run(program: Program, arithmetic: Arithmetic, leaves: Leaves) -> list[Any]:
    """The value of every variable; ``leaves`` holds the numbers of each kind of leaf by place."""
    values: list[Any] = []
    for step in program.assignments:
        if step.operation == "constant":
            values.append(arithmetic.number(step.attribute))
        elif step.operation == "weight":
            values.append(leaves["weight"][0] if "weight" in leaves else arithmetic.number(1.0))
        elif step.operation in ("parameter", "input", "target", "cotangent"):
            first, row = step.attribute, leaves[step.operation]
            matrix = arithmetic.array(row[first : first + prod(step.shape)], step.shape) if step.shape else row[first]
            values.append(matrix)
        else:
            values.append(arithmetic.apply(step, [values[a] for a in step.arguments]))
    return values


def output(program: Program, name: str, arithmetic: Arithmetic, leaves: Leaves) -> tuple[Number, ...]:
    """The numbers of one of the program's outputs: matrices in C order, one after the other.

    A gradient is that by the parameters, pulled back where the program stops at a cut.
    """
    if "pulled" in program.outputs:
        size = sum(prod(program.assignments[v].shape) for v in program.outputs["gradient"])
        zeros = [arithmetic.number(0.0)] * size
        values = run(program, arithmetic, {**leaves, "cotangent": zeros})
        if name == "gradient":
            sums = _numbers(program.outputs["gradient"], values)
            values, name = run(program, arithmetic, {**leaves, "cotangent": sums}), "pulled"
    else:
        values = run(program, arithmetic, leaves)
    return _numbers(program.outputs[name], values)


def _numbers(variables: Sequence[int], values: Sequence[Any]) -> tuple[Number, ...]:
    return tuple(number for variable in variables for number in elements(values[variable]))


def elements(value: Any) -> list[Number]:
    """The numbers of a value, in C order."""
    return list(value.flat) if isinstance(value, np.ndarray) else [value]


# ------------------------------------------------------------------------------------------------------ whole matrices


def _added(numbers: Iterable[Number], arithmetic: Arithmetic) -> Number:
    return reduce(arithmetic.operations["add"], numbers)


def _matmul(arithmetic: Arithmetic, x: Any, y: Any, turned: tuple[int, int] = (0, 0)) -> Any:
    x, y = (matrix.T if t else matrix for matrix, t in zip((x, y), turned, strict=True))
    times, (m, n) = arithmetic.operations["mul"], (x.shape[0], y.shape[1])
    places = ((i, j) for i in range(m) for j in range(n))
    return arithmetic.array((_added(map(times, x[i], y[:, j]), arithmetic) for i, j in places), (m, n))


def _embed(arithmetic: Arithmetic, *operands: Any) -> Any:
    *parts, (*corners, rows, columns) = operands
    whole = arithmetic.array([arithmetic.number(0.0)] * (rows * columns), (rows, columns))
    for x, top, left in zip(parts, corners[::2], corners[1::2], strict=True):
        whole[top : top + x.shape[0], left : left + x.shape[1]] = x
    return whole


def _pick(arithmetic: Arithmetic, x: Any, index: Number) -> Number:
    return x.flat[int(index)] if _is_place(index, x.shape) else arithmetic.number(math.nan)


def _put(arithmetic: Arithmetic, x: Number, index: Number, shape: Shape) -> Any:
    whole = arithmetic.array([arithmetic.number(0.0 if _is_place(index, shape) else math.nan)] * prod(shape), shape)
    if _is_place(index, shape):
        whole.flat[int(index)] = x
    return whole


def _is_place(index: Number, shape: Shape) -> bool:
    return bool(0 <= index < prod(shape) and index == int(index))


def _softmax_all(arithmetic: Arithmetic, x: Any) -> Any:
    shares = (arithmetic.operations["softmax"](*x.flat, place) for place in range(x.size))
    return arithmetic.array(shares, x.shape)


MATRICES: dict[str, Callable[..., Any]] = {
    "matmul": _matmul,
    "transpose": lambda arithmetic, x: x.T,
    "total": lambda arithmetic, x: _added(x.flat, arithmetic),
    "fill": lambda arithmetic, x, shape: arithmetic.array([x] * prod(shape), shape),
    "place": lambda arithmetic, shape: arithmetic.array(map(arithmetic.number, range(prod(shape))), shape),
    "largest": lambda arithmetic, x: reduce(_greater, x.flat),
    "slice": lambda arithmetic, x, part: x[part[0] : part[0] + part[2], part[1] : part[1] + part[3]],
    "embed": _embed,
    "assemble": lambda arithmetic, *xs: arithmetic.array(xs[:-1], xs[-1]),
    "pick": _pick,
    "put": _put,
    "logsumexp_all": lambda arithmetic, x: arithmetic.operations["logsumexp"](*x.flat),
    "softmax_all": _softmax_all,
}


def _greater(x: Number, y: Number) -> Number:
    """The greater of two; a NaN stays one."""
    return x + y if x != x or y != y else max(x, y)


def _truth(test: Callable[..., bool], number: Callable[[float], Number]) -> Callable[..., Number]:
    return lambda *operands: number(1.0 if test(*operands) else 0.0)


def _common(number: Callable[[float], Number]) -> dict[str, Callable[..., Number]]:
    """The operations that Python's own operators give."""
    return {
        "add": operator.add,
        "sub": operator.sub,
        "mul": operator.mul,
        "div": operator.truediv,
        "neg": operator.neg,
        "abs": abs,
        "power": lambda x, n: x**n if n >= 0 else 1 / x**-n,
        "select": lambda condition, x, y: x if condition else y,
        "max": _greater,
        "min": lambda x, y: x + y if x != x or y != y else min(x, y),
        "sign": lambda x: number((x > 0) - (x < 0)) if x == x else x,
        "lt": _truth(operator.lt, number),
        "le": _truth(operator.le, number),
        "eq": _truth(operator.eq, number),
        "ne": _truth(operator.ne, number),
        "and": _truth(lambda x, y: x and y, number),
        "or": _truth(lambda x, y: x or y, number),
        "not": _truth(operator.not_, number),
    }


EXACT = Arithmetic(
    Fraction,
    {
        **_common(Fraction),
        "floor": lambda x: Fraction(math.floor(x)),
        "ceil": lambda x: Fraction(math.ceil(x)),
        "mod": lambda x, y: x - y * math.floor(x / y),
        "fmod": lambda x, y: x - y * math.trunc(x / y),
        "over_product": lambda x, d, *rest: x / d,
        "hypot": lambda x, y: x / 0,  # no fraction: not asked for
        "fma": lambda x, y, z: x * y + z,
    },
)


def _softmax(*arguments: Any) -> Any:
    *xs, index = arguments
    largest = max(xs)
    return mpmath.exp(xs[index] - largest) / mpmath.fsum(mpmath.exp(x - largest) for x in xs)


def _logsumexp(*xs: Any) -> Any:
    largest = max(xs)
    return largest + mpmath.log(mpmath.fsum(mpmath.exp(x - largest) for x in xs))


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + mpmath.exp(-x))


def _softplus(x: Any) -> Any:
    return mpmath.log1p(mpmath.exp(-abs(x))) + max(x, mpmath.mpf(0))


def _divided(x: Any, y: Any) -> Any:
    """With the infinities of IEEE 754, where mpmath raises; a zero has no sign."""
    if y == 0:
        return x * mpmath.inf if x else mpmath.nan
    return x / y


_PLAIN = "exp expm1 log log1p sin cos tan cot sec csc sinc asin acos atan acot asec acsc atan2 sinh cosh tanh coth sech"
_PLAIN += " csch asinh acosh atanh acoth asech acsch erf erfc gamma loggamma digamma sqrt floor ceil hypot"
_PLAIN += " erfinv beta binomial factorial"

# To as many digits as mpmath is set to work with.
DIGITS = Arithmetic(
    mpmath.mpf,
    {
        **_common(mpmath.mpf),
        **{name: getattr(mpmath, name) for name in _PLAIN.split()},
        "div": _divided,
        "power": lambda x, n: x**n if n >= 0 else _divided(mpmath.mpf(1), x**-n),
        "over_product": lambda x, d, *rest: _divided(x, d),
        "root_power": lambda x, n: x**n * mpmath.sqrt(x),
        "pow": pow_or_zero,
        "rational_power": lambda x, pq: mpmath.power(x, mpmath.mpf(pq[0]) / pq[1]),
        "exp2": lambda x: mpmath.mpf(2) ** x,
        "log2": lambda x: mpmath.log(x) / mpmath.log(2),
        "log10": mpmath.log10,
        "mod": lambda x, y: x - y * mpmath.floor(x / y),
        "fmod": lambda x, y: x - y * (mpmath.floor(x / y) if x * y > 0 else mpmath.ceil(x / y)),
        "fma": lambda x, y, z: x * y + z,
        "gaussian": lambda x: mpmath.exp(-x * x),
        "sigmoid": _sigmoid,
        "logistic_density": lambda x: _sigmoid(x) * _sigmoid(-x),
        "softplus": _softplus,
        "log_cosh": lambda x: mpmath.log(mpmath.cosh(x)),
        "logsumexp": _logsumexp,
        "softmax": _softmax,
        "xlogy": lambda x, y: mpmath.mpf(0) if x == 0 else x * mpmath.log(y),
        "lgamma": lambda x: mpmath.re(mpmath.loggamma(x)),
        "polygamma": lambda x, n: mpmath.polygamma(n, x),
        **STABLE,
    },
)


def _real(operation: Callable[..., Any]) -> Callable[..., Any]:
    def real(*operands: Any) -> Any:
        try:
            value = operation(*operands)
        except (ValueError, ZeroDivisionError):  # a pole
            return mpmath.nan
        return mpmath.nan if isinstance(value, mpmath.mpc) else value

    return real


# The same, but what is complex is NaN, and so is what mpmath raises an error for.
REALS = Arithmetic(mpmath.mpf, {name: _real(operation) for name, operation in DIGITS.operations.items()})


def _ieee(function: Callable[..., Any]) -> Callable[..., np.float64]:
    """A function of NumPy with the results of IEEE 754 and no warning about them."""

    def quiet(*operands: Any) -> np.float64:
        with np.errstate(all="ignore"):
            return np.float64(function(*operands))

    return quiet


def _by_math(function: Callable[[float], float], pole: float = math.inf) -> Callable[..., np.float64]:
    """A function of `math` that answers like C's where Python raises."""

    def careful(x: Any) -> np.float64:
        try:
            return np.float64(function(float(x)))
        except OverflowError:
            return np.float64(math.inf)
        except ValueError:
            return np.float64(pole if x == 0 or x == math.floor(x) else math.nan)

    return careful


def _by_mpmath(function: Callable[..., Any]) -> Callable[..., np.float64]:
    def rounded(x: Any, *rest: Any) -> np.float64:
        try:
            with mpmath.workdps(40):
                return np.float64(function(mpmath.mpf(float(x)), *rest))
        except (ValueError, TypeError):  # a pole
            return np.float64(math.nan)

    return rounded


def _fma(x: Any, y: Any, z: Any) -> np.float64:
    """x*y + z rounded once, as C's fma."""
    if not all(map(math.isfinite, (x, y, z))):
        return _ieee(lambda: x * y + z)()
    exact = Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z))
    try:
        return np.float64(exact.numerator / exact.denominator)
    except OverflowError:
        return np.float64(math.copysign(math.inf, exact))


_NUMPY = "exp expm1 exp2 log log1p log2 log10 sin cos tan sinh cosh tanh sqrt floor ceil fmod hypot"
_ARCS = {f"a{name}": f"arc{name}" for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "tan2")}

# As C computes them: for a program that was lowered.
DOUBLES = Arithmetic(
    np.float64,
    {
        **{name: f for name, f in _common(np.float64).items() if name not in ("power", "max", "min", "sign")},
        **{name: _ieee(getattr(operator, python)) for name, python in (("add", "add"), ("sub", "sub"), ("mul", "mul"))},
        "div": _ieee(np.divide),
        "pow": _ieee(np.power),
        **{name: _ieee(getattr(np, name)) for name in _NUMPY.split()},
        **{name: _ieee(getattr(np, theirs)) for name, theirs in _ARCS.items()},
        "fma": _fma,
        "erf": _by_math(math.erf),
        "erfc": _by_math(math.erfc),
        "erfinv": _by_mpmath(mpmath.erfinv),
        "gamma": _by_math(math.gamma),
        "lgamma": _by_math(math.lgamma),
        "digamma": _by_mpmath(mpmath.digamma),
        "polygamma": _by_mpmath(lambda x, n: mpmath.polygamma(n, x)),
    },
    np.float64,
)


def ulps(got: float, true: Any) -> float:
    """The distance of a double from the true value, in units of the true value's last place."""
    nearest = float(true)
    if math.isnan(nearest) or math.isnan(got):
        return 0.0 if math.isnan(nearest) and math.isnan(got) else math.inf
    if math.isinf(nearest) or math.isinf(got):
        return 0.0 if nearest == got else math.inf
    return float(abs(mpmath.mpf(float(got)) - true) / math.ulp(nearest))


def largest(values: Sequence[float]) -> float:
    return reduce(max, values, 0.0)


def operation_count(program: Program, *outputs: str) -> int:
    """How many operations, leaves aside, the named outputs take; all of them where none is named."""
    return sum(program.assignments[v].operation not in LEAVES for v in program.needed(*outputs))
