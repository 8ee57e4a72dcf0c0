"""SymPy functions whose value and derivatives hold everywhere: ``sigmoid``, ``softplus``, ``logsumexp``, ...

SymPy would expand ``log(1 + exp(x))`` into forms that overflow at ``x = 800`` or lose every digit at ``x = -40``. Each
function here stays one operation for symbols, knows derivatives without cancellation (``fdiff``), gives its plain
definition by ``rewrite`` (``softplus(x).rewrite(sp.exp)``) and by ``doit()``, and evaluates to any number of digits
with ``evalf``. All of them are real for real arguments.

``maximum`` is the greatest value of an expression over an index, as ``Sum`` is its sum. ``log1p`` and ``expm1`` are
SymPy's own (``sympy.codegen.cfunctions``), here so that one import serves.
"""

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import mpmath
import sympy as sp
from sympy.codegen.cfunctions import expm1, log1p
from sympy.concrete.expr_with_limits import ExprWithLimits
from sympy.core.function import ArgumentIndexError

__all__ = ["expm1", "log1p", "log_cosh", "log_sigmoid", "logsumexp", "maximum", "sigmoid", "softplus", "xlogy"]

# Beyond this many bits two evaluations that still differ are a result that is exactly zero in disguise.
_MOST_BITS = 200_000


class _Stable(sp.Function):  # type: ignore[misc]  # SymPy has no types
    """What the functions share: the definition by rewriting, and evaluation to any precision."""

    # SymPy would ask the arguments, one inside the other: deep expressions would exhaust Python's stack.
    is_commutative = True

    def _definition(self) -> Any:
        raise TypeError(f"{type(self).__name__} brings no such method of its own")

    def _numeric(self, *arguments: Any) -> Any:
        raise TypeError(f"{type(self).__name__} brings no such method of its own")

    def _eval_rewrite(self, rule: Any, args: Sequence[Any], **hints: Any) -> Any:
        # rewrite() has already rewritten the arguments; a definition in them alone is what any rule asks for.
        return self.func(*args)._definition() if isinstance(self.func(*args), type(self)) else self.func(*args)

    def doit(self, **hints: Any) -> Any:
        """The plain definition in exp and log, with the arguments done first unless ``deep=False``."""
        arguments = [a.doit(**hints) for a in self.args] if hints.get("deep", True) else self.args
        done = self.func(*arguments)
        return done._definition() if isinstance(done, _Stable) else done

    def _eval_evalf(self, prec: int) -> Any:
        if not all(a.is_number and a.is_extended_real for a in self.args):
            return self.func(*(a._evalf(prec) for a in self.args), evaluate=False)
        value = _to_bits(lambda bits: self._numeric(*(a._to_mpmath(bits) for a in self.args)), prec)
        return sp.Expr._from_mpmath(value, prec)

    def _eval_is_extended_real(self) -> bool | None:
        return True if all(a.is_extended_real for a in self.args) else None

    def _eval_is_finite(self) -> bool | None:
        return True if all(a.is_real for a in self.args) else None


def _to_bits(compute: Callable[[int], Any], prec: int) -> Any:
    """``compute`` at growing precision until two evaluations agree to ``prec`` bits (Ziv's strategy)."""
    bits = prec + 16
    with mpmath.workprec(bits):
        value = compute(bits)
    while True:
        bits *= 2
        with mpmath.workprec(bits):
            previous, value = value, compute(bits)
            agreed = not mpmath.isfinite(value) or abs(value - previous) <= mpmath.ldexp(abs(value), -prec - 4)
        if agreed or bits > _MOST_BITS:
            return value


def _softplus(x: Any) -> Any:
    return x + mpmath.log1p(mpmath.exp(-x)) if x > 0 else mpmath.log1p(mpmath.exp(x))


def _exp_or_inverse(x: Any) -> Any:
    return 1 / (1 + mpmath.exp(-x)) if x >= 0 else mpmath.exp(x) / (1 + mpmath.exp(x))


class sigmoid(_Stable):
    """The logistic function ``1/(1 + exp(-x))``.

    Its derivative is ``sigmoid(x)*sigmoid(-x)``, which keeps its digits at both ends.
    """

    nargs = 1

    @classmethod
    def eval(cls, x: Any) -> Any:
        """Exact values: 1/2 at 0, 1 and 0 at the infinities."""
        return {sp.S.Zero: sp.S.Half, sp.oo: sp.S.One, -sp.oo: sp.S.Zero, sp.nan: sp.nan}.get(x)

    def fdiff(self, argindex: int = 1) -> Any:
        """The derivative in the only argument."""
        _only_argument(self, argindex)
        return sigmoid(self.args[0]) * sigmoid(-self.args[0])

    def _definition(self) -> Any:
        return 1 / (1 + sp.exp(-self.args[0]))

    def _numeric(self, *arguments: Any) -> Any:
        return _exp_or_inverse(arguments[0])

    def _eval_is_extended_nonnegative(self) -> bool | None:
        return True if self.args[0].is_extended_real else None

    def _eval_is_positive(self) -> bool | None:
        return True if self.args[0].is_real else None


class softplus(_Stable):
    """``log(1 + exp(x))``, the smooth ``Max(x, 0)``; derivative ``sigmoid(x)``."""

    nargs = 1

    @classmethod
    def eval(cls, x: Any) -> Any:
        """Exact values: log(2) at 0, oo and 0 at the infinities."""
        return {sp.S.Zero: sp.log(2), sp.oo: sp.oo, -sp.oo: sp.S.Zero, sp.nan: sp.nan}.get(x)

    def fdiff(self, argindex: int = 1) -> Any:
        """The derivative in the only argument."""
        _only_argument(self, argindex)
        return sigmoid(self.args[0])

    def _definition(self) -> Any:
        return sp.log(1 + sp.exp(self.args[0]))

    def _numeric(self, *arguments: Any) -> Any:
        return _softplus(arguments[0])

    def _eval_is_extended_nonnegative(self) -> bool | None:
        return True if self.args[0].is_extended_real else None

    def _eval_is_positive(self) -> bool | None:
        return True if self.args[0].is_real else None


class log_sigmoid(_Stable):
    """``log(sigmoid(x)) = -softplus(-x)``; derivative ``sigmoid(-x)``."""

    nargs = 1

    @classmethod
    def eval(cls, x: Any) -> Any:
        """Exact values: -log(2) at 0, 0 and -oo at the infinities."""
        return {sp.S.Zero: -sp.log(2), sp.oo: sp.S.Zero, -sp.oo: -sp.oo, sp.nan: sp.nan}.get(x)

    def fdiff(self, argindex: int = 1) -> Any:
        """The derivative in the only argument."""
        _only_argument(self, argindex)
        return sigmoid(-self.args[0])

    def _definition(self) -> Any:
        return -sp.log(1 + sp.exp(-self.args[0]))

    def _numeric(self, *arguments: Any) -> Any:
        return -_softplus(-arguments[0])

    def _eval_is_extended_nonpositive(self) -> bool | None:
        return True if self.args[0].is_extended_real else None

    def _eval_is_negative(self) -> bool | None:
        return True if self.args[0].is_real else None


class log_cosh(_Stable):
    """``log(cosh(x))``, which behaves as ``x**2/2`` near 0 and as ``|x| - log(2)`` far out; derivative ``tanh(x)``."""

    nargs = 1

    @classmethod
    def eval(cls, x: Any) -> Any:
        """Exact values: 0 at 0, oo at both infinities."""
        return {sp.S.Zero: sp.S.Zero, sp.oo: sp.oo, -sp.oo: sp.oo, sp.nan: sp.nan}.get(x)

    def fdiff(self, argindex: int = 1) -> Any:
        """The derivative in the only argument."""
        _only_argument(self, argindex)
        return sp.tanh(self.args[0])

    def _definition(self) -> Any:
        return sp.log(sp.cosh(self.args[0]))

    def _numeric(self, *arguments: Any) -> Any:
        x = abs(arguments[0])
        if x < 1:
            return mpmath.log1p(2 * mpmath.sinh(x / 2) ** 2)
        return x + mpmath.log1p(mpmath.exp(-2 * x)) - mpmath.log(2)

    def _eval_is_extended_nonnegative(self) -> bool | None:
        return True if self.args[0].is_extended_real else None


class logsumexp(_Stable):
    """``log(exp(x1) + ... + exp(xn))`` of one or more arguments.

    The derivative in ``xi`` is its softmax weight ``exp(xi - logsumexp(x1, ..., xn))``.
    """

    @classmethod
    def eval(cls, *arguments: Any) -> Any:
        """One argument is its own value; ``-oo`` adds nothing; no argument at all is an error."""
        if not arguments:
            raise TypeError("logsumexp() takes at least one argument, got none; write logsumexp(x1, x2, ...)")
        if any(a is sp.nan for a in arguments):
            return sp.nan
        if any(a is sp.oo for a in arguments):
            return sp.oo
        finite = [a for a in arguments if a is not -sp.oo]
        if not finite:
            return -sp.oo
        if len(finite) == 1:
            return finite[0]
        return cls(*finite) if len(finite) < len(arguments) else None

    def fdiff(self, argindex: int = 1) -> Any:
        """The derivative in argument ``argindex``, counted from 1: its softmax weight."""
        if not 1 <= argindex <= len(self.args):
            raise ArgumentIndexError(self, argindex)
        return sp.exp(self.args[argindex - 1] - self)

    def _definition(self) -> Any:
        return sp.log(sp.Add(*(sp.exp(a) for a in self.args)))

    def _numeric(self, *arguments: Any) -> Any:
        first, *rest = sorted(arguments, reverse=True)
        return first + mpmath.log1p(sum(mpmath.exp(a - first) for a in rest))


class xlogy(_Stable):
    """``x*log(y)``, and 0 where ``x`` is 0, whatever ``y`` is.

    Its derivatives are ``log(y)`` in ``x`` and ``x/y`` in ``y``, the latter 0 where ``x`` is 0.
    """

    nargs = 2

    @classmethod
    def eval(cls, x: Any, y: Any) -> Any:
        """Exact values: 0 where x is 0 or y is 1."""
        if x is sp.nan or y is sp.nan:
            return sp.nan
        return sp.S.Zero if x is sp.S.Zero or y is sp.S.One else None

    def fdiff(self, argindex: int = 1) -> Any:
        """The derivative in ``x`` (1) or ``y`` (2)."""
        x, y = self.args
        if argindex == 1:
            return sp.log(y)
        if argindex == 2:
            return sp.Piecewise((0, sp.Eq(x, 0)), (x / y, True))
        raise ArgumentIndexError(self, argindex)

    def _definition(self) -> Any:
        x, y = self.args
        return sp.Piecewise((0, sp.Eq(x, 0)), (x * sp.log(y), True))

    def _eval_evalf(self, prec: int) -> Any:
        x, y = self.args
        if x.is_number and y.is_number and y.is_negative:
            return (x * sp.log(y))._evalf(prec)
        return super()._eval_evalf(prec)

    def _numeric(self, *arguments: Any) -> Any:
        x, y = arguments
        return mpmath.mpf(0) if x == 0 else x * mpmath.log(y)

    def _eval_is_extended_real(self) -> bool | None:
        x, y = self.args
        return True if x.is_extended_real and y.is_extended_nonnegative else None

    def _eval_is_finite(self) -> bool | None:
        x, y = self.args
        return True if x.is_real and y.is_positive else None


class maximum(ExprWithLimits):  # type: ignore[misc]  # SymPy has no types
    """``maximum(expr, (i, 0, 9))``: the greatest value of ``expr`` over an index; several limits give all pairs.

    The derivative is the mean of the derivatives of those terms that are the greatest: ties share it equally.
    """

    __slots__ = ("is_commutative",)

    def doit(self, **hints: Any) -> Any:
        """``Max`` of the terms, each done first unless ``deep=False``; unchanged where a bound is no number."""
        function, *limits = self.args
        if not all(bound.is_Integer for limit in limits for bound in limit[1:]):
            return self
        ranges = [[(limit[0], n) for n in range(int(limit[1]), int(limit[2]) + 1)] for limit in limits]
        terms = [function.subs(dict(place)) for place in product(*ranges)]
        return sp.Max(*(term.doit(**hints) for term in terms) if hints.get("deep", True) else terms)

    def _eval_evalf(self, prec: int) -> Any:
        done = self.doit()
        return self if done == self else done._evalf(prec)

    def _eval_derivative(self, symbol: Any) -> Any:
        function, *limits = self.args
        # the term that is compared has indices of its own: those of the maximum mean something else
        fresh = {limit[0]: sp.Dummy(str(limit[0]), integer=True) for limit in limits}
        term = function.subs(fresh)
        places = [(fresh[limit[0]], *limit[1:]) for limit in limits]
        greatest = sp.Eq(term, self)
        count = sp.Sum(sp.Piecewise((1, greatest), (0, True)), *places)
        return sp.Sum(sp.Piecewise((term.diff(symbol), greatest), (0, True)), *places) / count

    def _eval_is_extended_real(self) -> bool | None:
        return True if self.args[0].is_extended_real else None

    def _eval_is_finite(self) -> bool | None:
        return True if self.args[0].is_finite else None


def _only_argument(function: Any, argindex: int) -> None:
    if argindex != 1:
        raise ArgumentIndexError(function, argindex)
