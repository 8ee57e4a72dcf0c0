"""What symgrad promises to compute as one function, however it is written: the oracle's own list of stable forms.

``log(1 + exp(x))`` loses every digit at -40 as it stands, but symgrad promises ``softplus``. So the rounding errors
that are allowed to a formula (``rounding``) are those of its tape with these forms in it; its true value is
never taken from them. A form that symgrad does not keep so becomes a derivative past its bound: that is the point.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .functions import FUNCTIONS, divide
from .rule import Real, Rule
from .tape import Tape

Forms = tuple[Tape, dict[int, int]]  # the tape, and the new slot of each old one


def _unary(value: Callable[..., Real], slope: Callable[..., Real]) -> Rule:
    return Rule(value, (slope,))


def _half_root(m: Any, x: Real) -> Real:
    return x * x / (1 + m.hypot(m.one, x))


PROMISED: dict[str, Rule] = FUNCTIONS | {
    "1 - cos": _unary(lambda m, x: 2 * m.sin(x / 2) ** 2, lambda m, v, x: m.sin(x)),
    "1 - tanh**2": _unary(lambda m, x: m.cosh(x) ** -2, lambda m, v, x: -2 * v * m.tanh(x)),
    "log(erfc)": _unary(
        lambda m, x: m.log(m.erfc(x)), lambda m, v, x: -2 / m.sqrt(m.pi) * m.exp(-x * x) / m.erfc(x)
    ),
    "sqrt(1 + x**2) - 1": _unary(_half_root, lambda m, v, x: x / m.hypot(m.one, x)),
    "expm1(x)/x": _unary(
        lambda m, x: divide(m, m.expm1(x), x), lambda m, v, x: divide(m, m.exp(x) - v, x)
    ),
}  # fmt: skip


def promised(tape: Tape, slots: Sequence[int]) -> Forms:
    """Return the needed part of a tape once more, with the promised forms as calls of one function."""
    new, places = _Forms(), dict[int, int]()
    for slot in slots:
        operation = tape.operations[slot]
        arguments = tuple(places[a] for a in operation.arguments)
        found = new.find(operation.kind, arguments, operation.payload)
        places[slot] = new.emit(operation.kind, arguments, operation.payload) if found is None else found
    return new, places


class _Forms(Tape):
    """A tape under construction, and the patterns that are looked for at its end."""

    def find(self, kind: str, arguments: tuple[int, ...], payload: Any) -> int | None:
        if kind == "call" and len(arguments) == 1:
            return self._log(arguments[0]) if payload == "log" else None
        if kind == "call" and payload == "Pow":
            return self._power(*arguments)
        if len(arguments) != 2 or kind not in ("add", "mul"):
            return None
        found = self._sum if kind == "add" else self._product
        first = found(*arguments)
        return found(*reversed(arguments)) if first is None else first

    def _log(self, x: int) -> int | None:
        if (u := self._of("cosh", x)) is not None:
            return self.emit("call", (u,), "log_cosh")
        if (u := self._of("erfc", x)) is not None:
            return self.emit("call", (u,), "log(erfc)")
        if (u := self._of("sigmoid", x)) is not None:
            return self.emit("call", (u,), "log_sigmoid")
        terms = self.operations[x].arguments if self.operations[x].kind == "add" else ()
        powers = [self.whole(0) if self._is(t, 1) else self._of("exp", t) for t in terms]
        exponents = [p for p in powers if p is not None]
        if len(exponents) == len(terms) > 1 and len(set(exponents)) > 1:
            rest = [p for p in exponents if not self._is(p, 0)]
            plain = len(rest) == 1 and len(terms) == 2
            return self.emit("call", rest, "softplus") if plain else self.emit("call", exponents, "logsumexp")
        if len(terms) == 2 and any(self._is(t, 1) for t in terms):
            (other,) = [t for t in terms if not self._is(t, 1)] or [terms[0]]
            return self.emit("call", (other,), "log1p")
        return None

    def _power(self, base: int, exponent: int) -> int | None:
        terms = self.operations[base].arguments if self.operations[base].kind == "add" else ()
        if len(terms) != 2:
            return None
        if self._is(exponent, -1):
            for one, other in (terms, terms[::-1]):
                if self._is(one, 1) and (u := self._of("exp", other)) is not None:
                    return self.emit("call", (self._negative(u),), "sigmoid")
        if self.operations[exponent].payload == (1, 2):
            sides = [t if self._is(t, 1) else self._square(t) for t in terms]
            known = sorted((s for s in sides if s is not None), key=lambda s: not self._is(s, 1))
            return self.emit("call", known, "hypot") if len(known) == 2 else None
        return None

    def _sum(self, one: int, other: int) -> int | None:
        """The sum of a one (or its negative) and something else."""
        if self._is(one, -1):
            return self._rest(other, negative=False)
        flipped = self._flipped(other) if self._is(one, 1) else None
        return None if flipped is None else self._rest(flipped, negative=True)

    def _rest(self, x: int, *, negative: bool) -> int | None:
        """x - 1, or 1 - x if ``negative``."""
        if (u := self._of("exp", x)) is not None:
            found = self.emit("call", (u,), "expm1")
        elif (u := self._of("cos", x)) is not None:
            found, negative = self.emit("call", (u,), "1 - cos"), not negative
        elif (u := self._of("hypot", x)) is not None and self._is(self.operations[x].arguments[0], 1):
            found = self.emit("call", (self.operations[x].arguments[1],), "sqrt(1 + x**2) - 1")
        elif (u := self._square(x)) is not None and (v := self._of("tanh", u)) is not None:
            found, negative = self.emit("call", (v,), "1 - tanh**2"), not negative
        else:
            return None
        return self._negative(found) if negative else found

    def _product(self, one: int, other: int) -> int | None:
        if (u := self._of("exp", one)) is not None and self._of("sigmoid", other) == self._negative(u):
            return self.emit("call", (u,), "sigmoid")
        power = self.operations[other]
        if power.payload == "Pow" and self._is(power.arguments[1], -1):
            for name, form in (("sin", "sinc"), ("expm1", "expm1(x)/x")):
                if self._of(name, one) == power.arguments[0]:
                    return self.emit("call", (power.arguments[0],), form)
        return None

    def _is(self, slot: int, number: int) -> bool:
        return self.operations[slot].payload == (number, 1) and self.operations[slot].kind == "rational"

    def _of(self, name: str, slot: int) -> int | None:
        """The first argument of a call of ``name``."""
        operation = self.operations[slot]
        return operation.arguments[0] if operation.kind == "call" and operation.payload == name else None

    def _square(self, slot: int) -> int | None:
        operation = self.operations[slot]
        squared = operation.payload == "Pow" and self._is(operation.arguments[1], 2)
        return operation.arguments[0] if squared else None

    def _flipped(self, slot: int) -> int | None:
        """x where the slot is -1*x."""
        operation = self.operations[slot]
        if operation.kind == "mul" and len(operation.arguments) == 2:
            for sign, other in (operation.arguments, operation.arguments[::-1]):
                if self._is(sign, -1):
                    return other
        return None

    def _negative(self, slot: int) -> int:
        flipped = self._flipped(slot)
        return self.emit("mul", (self.whole(-1), slot)) if flipped is None else flipped
