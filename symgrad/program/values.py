"""Variables of a program under construction that add and multiply: rules written with them read as mathematics."""

from __future__ import annotations

from dataclasses import dataclass

from .program import Attribute, Builder
from .shapes import Shape


@dataclass(frozen=True, slots=True)
class Value:
    """A variable and the builder that it belongs to; every operator appends one operation."""

    builder: Builder
    variable: int

    @property
    def varies(self) -> bool:
        """Does the value change from sample to sample?"""
        return self.builder.varies[self.variable]

    @property
    def shape(self) -> Shape:
        """``()`` for a scalar, else (rows, columns)."""
        return self.builder.assignments[self.variable].shape

    @property
    def operation(self) -> str:
        """The name of the operation that gives the value."""
        return self.builder.assignments[self.variable].operation

    @property
    def arguments(self) -> tuple[Value, ...]:
        """What the operation is applied to."""
        return tuple(Value(self.builder, v) for v in self.builder.assignments[self.variable].arguments)

    @property
    def attribute(self) -> Attribute:
        """What else the operation needs: a constant's number, an exponent, a place; None for most."""
        return self.builder.assignments[self.variable].attribute

    @property
    def constant(self) -> float | None:
        """The number that a constant is, or that a matrix is filled with."""
        return self.builder.constant_value(self.variable)

    @property
    def T(self) -> Value:
        """The transpose, as NumPy and SymPy write it."""
        return self.call("transpose")

    def call(self, operation: str, *others: Value | float, attribute: Attribute = None) -> Value:
        """Return ``operation(self, *others)``."""
        arguments = (self.variable, *(self._coerce(other).variable for other in others))
        return Value(self.builder, self.builder.emit(operation, *arguments, attribute=attribute))

    def number(self, value: float) -> Value:
        """Return a constant beside this value."""
        return Value(self.builder, self.builder.constant(float(value)))

    def _coerce(self, other: Value | float) -> Value:
        return other if isinstance(other, Value) else self.number(other)

    def __add__(self, other: Value | float) -> Value:
        return self.call("add", other)

    def __radd__(self, other: float) -> Value:
        return self._coerce(other).call("add", self)

    def __sub__(self, other: Value | float) -> Value:
        return self.call("sub", other)

    def __rsub__(self, other: float) -> Value:
        return self._coerce(other).call("sub", self)

    def __mul__(self, other: Value | float) -> Value:
        return self.call("mul", other)

    def __rmul__(self, other: float) -> Value:
        return self.call("mul", other)

    def __truediv__(self, other: Value | float) -> Value:
        return self.call("div", other)

    def __rtruediv__(self, other: float) -> Value:
        return self._coerce(other).call("div", self)

    def __matmul__(self, other: Value) -> Value:
        return self.call("matmul", other)

    def __neg__(self) -> Value:
        return self.call("neg")

    def __abs__(self) -> Value:
        return self.call("abs")

    def __lt__(self, other: Value | float) -> Value:
        return self.call("lt", other)

    def __le__(self, other: Value | float) -> Value:
        return self.call("le", other)

    def __gt__(self, other: Value | float) -> Value:
        return self._coerce(other).call("lt", self)

    def __ge__(self, other: Value | float) -> Value:
        return self._coerce(other).call("le", self)

    def equals(self, other: Value | float) -> Value:
        """Return the condition ``self == other``, which ``==`` itself cannot be: values are compared by it."""
        return self.call("eq", other)

    def choose(self, yes: Value | float, no: Value | float) -> Value:
        """Return ``yes`` where this condition holds, else ``no``; the one not taken never matters."""
        return self.call("select", yes, no)


def over(c: Value, y: Value) -> Value:
    """Return ``c / y`` for a cotangent c: where y is the same for all samples, a product with its reciprocal."""
    return c / y if y.varies or not c.varies else c * (1 / y)
