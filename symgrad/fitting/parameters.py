"""Parameters of a fit by name: where they start, what bounds, ties or fixes them. The declaration is never rewritten.

The fit moves phi, the numbers that are free; theta = T(phi) is what the model gets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from symgrad.declare import EmpiricalRisk, symbols_in
from symgrad.errors import DeclarationError

from .transforms import IDENTITY, Log, Logit, Softplus, Transform

Array = NDArray[np.float64]
TRANSFORMS = ("log", "logit", "softplus")


class Parameter:
    """One parameter: a number, or a matrix of them. Set its attributes before a fit.

    ``start``; ``lower`` and ``upper``, bounds; ``transform``, None or one of "log" and "softplus" (positive numbers)
    and "logit" (between ``lower`` and ``upper``), for what is moved freely; ``fixed``, a value that it keeps;
    ``equals``, a SymPy expression in other parameters that it always equals. Numbers stand for all elements of a
    matrix.
    """

    __slots__ = ("equals", "fixed", "lower", "name", "shape", "start", "symbol", "transform", "upper")

    def __init__(self, symbol: Any) -> None:
        self.symbol = symbol
        self.name = str(symbol.name)
        self.shape = tuple(map(int, getattr(symbol, "shape", ())))
        self.start: Any = None
        self.lower: Any = 0.0 if symbol.is_nonnegative or symbol.is_positive else -np.inf
        self.upper: Any = 0.0 if symbol.is_negative else np.inf
        self.transform: str | None = None
        self.fixed: Any = None
        self.equals: Any = None

    def array(self, what: str) -> Array:
        """Return an attribute as an array of the parameter's elements, flat. Raises `DeclarationError`."""
        value = getattr(self, what)
        try:
            found = np.broadcast_to(np.asarray(value, np.float64), self.shape).ravel()
        except (TypeError, ValueError) as error:
            expected = f"a number or an array of shape {self.shape}" if self.shape else "a number"
            raise DeclarationError(
                f"parameters[{self.name!r}].{what}: expected {expected}, got {value!r} ({error}); set it anew"
            ) from None
        if np.isnan(found).any():
            raise DeclarationError(f"parameters[{self.name!r}].{what}: expected numbers, got NaN; set it anew")
        return found

    def __repr__(self) -> str:
        given = {what: getattr(self, what) for what in ("start", "transform", "fixed", "equals")}
        given |= {"lower": self.lower} if np.any(self.lower != -np.inf) else {}
        given |= {"upper": self.upper} if np.any(self.upper != np.inf) else {}
        listed = ", ".join(f"{what}={value}" for what, value in given.items() if value is not None)
        return f"{self.name}: {listed or 'no start'}"


class Parameters(Mapping[str, Parameter]):
    """The parameters of a risk, by name: ``p = Parameters(risk, A=3.0, k=1.0)``, then ``p["A"].lower = 0``.

    Starts are given by keywords, or as a dictionary where a name is no identifier. Raises `DeclarationError` for a name
    that the risk does not have.
    """

    def __init__(self, risk: EmpiricalRisk, starts: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        self.risk = risk
        self._parameters = {str(symbol.name): Parameter(symbol) for symbol in risk.parameters}
        known: Mapping[str, Any] = getattr(risk, "starts", {})
        for name, start in {**known, **(starts or {}), **more}.items():
            self[name].start = start

    def __getitem__(self, name: str) -> Parameter:
        if name not in self._parameters:
            raise DeclarationError(
                f"parameters: expected one of {list(self._parameters)}, got {name!r}; the declaration has these names"
            )
        return self._parameters[name]

    def __contains__(self, name: object) -> bool:
        return name in self._parameters

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __len__(self) -> int:
        return len(self._parameters)

    def __repr__(self) -> str:
        return "\n".join(map(repr, self._parameters.values()))


class Space:
    """What a fit moves: phi, its bounds and its start, and theta as a function of it, with two derivatives."""

    def __init__(self, parameters: Parameters) -> None:
        self.names: list[str] = []
        self.free: list[int] = []  # the place in theta of each number of phi
        self._transforms: list[Transform] = []
        self._fixed: dict[int, float] = {}
        self._ties: dict[int, _Tie] = {}
        lower, upper, start = list[float](), list[float](), list[float]()
        places: dict[Any, int] = {}
        for parameter in parameters.values():
            at = len(self.names)
            places[parameter.symbol] = at
            self.names += _names(parameter)
            if parameter.equals is not None:
                self._ties[at] = _Tie(parameter, parameters)
            elif parameter.fixed is not None:
                self._fixed |= dict(enumerate(map(float, parameter.array("fixed")), at))
            else:
                low, high = parameter.array("lower"), parameter.array("upper")
                begin = np.full(low.shape, np.nan) if parameter.start is None else parameter.array("start")
                _check_start(parameter, low, high, begin)
                for k in range(len(low)):
                    transform = _transform(parameter, float(low[k]), float(high[k]))
                    self.free.append(at + k)
                    self._transforms.append(transform)
                    is_plain = transform is IDENTITY
                    lower.append(float(low[k]) if is_plain else -np.inf)
                    upper.append(float(high[k]) if is_plain else np.inf)
                    start.append(transform.inverse(float(begin[k])) if np.isfinite(begin[k]) else np.nan)
        for tie in self._ties.values():
            tie.bind(places, self._ties)
        self.lower, self.upper, self.start = map(np.array, (lower, upper, start))

    @property
    def has_bounds(self) -> bool:
        """Is any number of phi bounded?"""
        return bool(np.isfinite(self.lower).any() or np.isfinite(self.upper).any())

    @property
    def plain(self) -> list[int]:
        """The places in phi of numbers that the model gets as they are, without bounds; none where there are ties."""
        if self._ties:
            return []
        unbounded = np.isinf(self.lower) & np.isinf(self.upper)
        return [k for k, transform in enumerate(self._transforms) if transform is IDENTITY and unbounded[k]]

    def theta(self, phi: Array) -> Array:
        """Return theta, (P,)."""
        theta = np.empty(len(self.names))
        for place, value in self._fixed.items():
            theta[place] = value
        for place, transform, p in zip(self.free, self._transforms, phi, strict=True):
            theta[place] = transform.value(float(p))
        for place, tie in self._ties.items():
            theta[place] = tie.value(theta)
        return theta

    def jacobian(self, phi: Array) -> Array:
        """Return the derivatives of theta by phi, (P, number of phi)."""
        jacobian = np.zeros((len(self.names), len(phi)))
        for k, (place, transform) in enumerate(zip(self.free, self._transforms, strict=True)):
            jacobian[place, k] = transform.slope(float(phi[k]))
        theta = self.theta(phi)
        for place, tie in self._ties.items():
            jacobian[place] = tie.slopes(theta) @ jacobian[tie.places]
        return jacobian

    def hessian(self, phi: Array, gradient: Array, hessian: Array) -> Array:
        """Return the Hessian by phi of a function whose derivatives by theta are given."""
        jacobian, theta = self.jacobian(phi), self.theta(phi)
        found = jacobian.T @ hessian @ jacobian
        weights = gradient.copy()
        for place, tie in self._ties.items():
            inner = jacobian[tie.places]
            found += gradient[place] * (inner.T @ tie.curvatures(theta) @ inner)
            weights[tie.places] += gradient[place] * tie.slopes(theta)
        for k, (place, transform) in enumerate(zip(self.free, self._transforms, strict=True)):
            found[k, k] += weights[place] * transform.curvature(float(phi[k]))
        return found


class _Tie:
    """A parameter that equals an expression in others, which are free or fixed."""

    def __init__(self, parameter: Parameter, parameters: Parameters) -> None:
        self._name, self._expression = parameter.name, parameter.equals
        if parameter.shape or not isinstance(self._expression, sp.Expr):
            raise DeclarationError(
                f"parameters[{parameter.name!r}].equals: expected a SymPy expression, for a parameter that is one "
                f"number, got {parameter.equals!r}; a number that it keeps is fixed="
            )
        known = {p.symbol for p in parameters.values() if not p.shape}
        self._symbols = sorted(symbols_in(self._expression), key=str)
        others = [s for s in self._symbols if s not in known or s == parameter.symbol]
        if others:
            raise DeclarationError(
                f"parameters[{parameter.name!r}].equals: expected an expression in other parameters of the risk, got "
                f"{self._expression} with {', '.join(map(str, others))}; use the symbols that were declared"
            )
        self._first = [sp.diff(self._expression, s) for s in self._symbols]
        self._second = [[sp.diff(f, s) for s in self._symbols] for f in self._first]
        self.places: list[int] = []

    def bind(self, places: Mapping[Any, int], ties: Mapping[int, _Tie]) -> None:
        """Let the others be found in theta."""
        self.places = [places[symbol] for symbol in self._symbols]
        if any(place in ties for place in self.places):
            raise DeclarationError(
                f"parameters[{self._name!r}].equals: expected parameters that are free or fixed, got one that is tied "
                "itself; write in its place what it equals"
            )

    def value(self, theta: Array) -> float:
        """Return the value at a theta."""
        return self._at(self._expression, theta)

    def slopes(self, theta: Array) -> Array:
        """Return the derivatives by the others."""
        return np.array([self._at(f, theta) for f in self._first])

    def curvatures(self, theta: Array) -> Array:
        """Return the second derivatives by the others."""
        return np.array([[self._at(f, theta) for f in row] for row in self._second])

    def _at(self, expression: Any, theta: Array) -> float:
        values = {s: sp.Float(float(theta[p]), 17) for s, p in zip(self._symbols, self.places, strict=True)}
        return float(expression.evalf(17, subs=values))


def _names(parameter: Parameter) -> list[str]:
    """The names of a parameter's elements: of columns and rows with one index."""
    if not parameter.shape:
        return [parameter.name]
    rows, columns = parameter.shape
    if columns == 1 or rows == 1:
        return [f"{parameter.name}[{k}]" for k in range(rows * columns)]
    return [f"{parameter.name}[{i}, {j}]" for i in range(rows) for j in range(columns)]


def _transform(parameter: Parameter, lower: float, upper: float) -> Transform:
    if parameter.transform is None:
        return IDENTITY
    if parameter.transform == "log":
        return Log()
    if parameter.transform == "softplus":
        return Softplus()
    if parameter.transform == "logit" and np.isfinite(lower) and np.isfinite(upper) and lower < upper:
        return Logit(lower, upper)
    raise DeclarationError(
        f"parameters[{parameter.name!r}].transform: expected None or one of {list(TRANSFORMS)} (logit between finite "
        f"bounds), got {parameter.transform!r} between {lower} and {upper}; set lower and upper, or another transform"
    )


def _check_start(parameter: Parameter, lower: Array, upper: Array, start: Array) -> None:
    if (lower > upper).any():
        raise DeclarationError(
            f"parameters[{parameter.name!r}]: expected lower <= upper, got {parameter.lower} and {parameter.upper}"
        )
    is_open = parameter.transform is not None
    low = np.maximum(lower, 0.0) if parameter.transform in ("log", "softplus") else lower
    inside = (start > low) & (start < upper) if is_open else (start >= low) & (start <= upper)
    if not (inside | np.isnan(start)).all():
        raise DeclarationError(
            f"parameters[{parameter.name!r}].start: expected a value between {low.min()} and {upper.max()}"
            f"{' (neither included)' if is_open else ''}, got {parameter.start}; start inside the bounds"
        )
