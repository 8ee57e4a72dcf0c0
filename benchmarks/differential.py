"""symgrad beside JAX and CasADi on random models, with mpmath as the judge of every difference.

    python benchmarks/differential.py 300 --seed 1

Each model of the tests' grammar is differentiated by all three at the same points. A peer is not the truth: what counts
is whether a value is as promised (four times the running error bound, or 4 ULP). Conventions that declaration code and
checks could share (signs, a half, branches, ties) would show as a disagreement in which the judge sides with the peers:
the exit status is 1 if symgrad is wrong anywhere that a peer is right.
"""

import argparse
import math
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import sympy as sp
from sympy.codegen import cfunctions

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from symgrad import functions
from tests.helpers.grammar import PARAMETERS
from tests.helpers.random_batches import SYMBOLS, Batch, Point, collected, points, truth

BATCH = 100
Peer = Callable[[Any], Callable[[Point], Sequence[float]]]  # a model -> point -> its value and gradient
_FOLDS = {sp.Add: lambda x, y: x + y, sp.Mul: lambda x, y: x * y}


class Unsupported(Exception):
    """The peer has no such function."""


def walked(tree: Any, values: Mapping[Any, Any], table: Mapping[Any, Callable[..., Any]]) -> Any:
    """A tree in a peer's own operations."""
    if tree in values:
        return values[tree]
    if tree in (sp.true, sp.false):
        return bool(tree)
    if tree.is_number and isinstance(tree, sp.Expr):
        return float(tree.evalf(30))
    if isinstance(tree, sp.Piecewise):
        *branches, (last, condition) = tree.args
        found = walked(last, values, table)
        if condition != sp.true:
            found = table["where"](walked(condition, values, table), found, math.nan)
        for branch, condition in reversed(branches):
            taken, other = walked(condition, values, table), found
            found = table["where"](taken, walked(branch, values, table), other)
        return found
    arguments = [walked(argument, values, table) for argument in tree.args]
    fold = _FOLDS.get(tree.func) or (table.get(tree.func) if tree.func in (sp.Max, sp.Min, sp.And, sp.Or) else None)
    if fold is not None:
        found = arguments[0]
        for argument in arguments[1:]:
            found = fold(found, argument)
        return found
    if tree.func is sp.Pow and tree.exp.is_Integer:
        return arguments[0] ** int(tree.exp)
    if tree.func not in table:
        raise Unsupported(tree.func.__name__)
    return table[tree.func](*arguments)


def common(m: Any) -> dict[Any, Callable[..., Any]]:
    """What both peers spell alike."""
    names = ["exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "sqrt", "floor", "sign"]
    return {
        **{getattr(sp, name): getattr(m, name) for name in names},
        cfunctions.log1p: m.log1p, cfunctions.expm1: m.expm1, cfunctions.hypot: m.hypot, cfunctions.log10: m.log10,
        cfunctions.log2: lambda x: m.log(x) / math.log(2), cfunctions.exp2: lambda x: m.exp(x * math.log(2)),
        sp.Pow: lambda x, y: m.sqrt(x) if isinstance(y, float) and y == 0.5 else x**y,
        sp.Lt: lambda x, y: x < y, sp.Le: lambda x, y: x <= y, sp.Gt: lambda x, y: x > y, sp.Ge: lambda x, y: x >= y,
        sp.Eq: lambda x, y: x == y, sp.Ne: lambda x, y: x != y, sp.Mod: lambda x, y: x - y * m.floor(x / y),
        functions.log_cosh: lambda x: m.log(m.cosh(x)),
    }  # fmt: skip


def with_jax() -> Peer:
    """JAX, eager, in double precision."""
    import jax
    import jax.numpy as jnp
    from jax.scipy import special

    jax.config.update("jax_enable_x64", True)
    table = {
        **common(jnp), sp.asin: jnp.arcsin, sp.acos: jnp.arccos, sp.atan: jnp.arctan, sp.asinh: jnp.arcsinh,
        sp.acosh: jnp.arccosh, sp.atanh: jnp.arctanh, sp.atan2: jnp.arctan2, sp.Abs: jnp.abs, sp.Max: jnp.maximum,
        sp.Min: jnp.minimum, sp.erf: special.erf, sp.erfc: special.erfc, sp.loggamma: special.gammaln,
        sp.gamma: special.gamma, sp.sinc: lambda x: jnp.sinc(x / math.pi), sp.Not: jnp.logical_not,
        sp.Heaviside: lambda x, *_: jnp.heaviside(x, 0.5), sp.And: jnp.logical_and, sp.Or: jnp.logical_or,
        functions.sigmoid: jax.nn.sigmoid, functions.softplus: jax.nn.softplus, functions.xlogy: special.xlogy,
        functions.log_sigmoid: jax.nn.log_sigmoid, functions.logsumexp: lambda *xs: special.logsumexp(jnp.stack(xs)),
        "where": jnp.where,
    }  # fmt: skip

    def prepared(model: Any) -> Callable[[Point], Sequence[float]]:
        def function(parameters: Any, rest: Mapping[Any, float]) -> Any:
            values = {**rest, **dict(zip(PARAMETERS, parameters, strict=True))}
            return jnp.asarray(walked(model, values, table), dtype=jnp.float64)

        def at(point: Point) -> Sequence[float]:
            rest = {symbol: jnp.float64(point[symbol]) for symbol in SYMBOLS if symbol not in PARAMETERS}
            value, slopes = jax.value_and_grad(function)([jnp.float64(point[s]) for s in PARAMETERS], rest)
            return [float(value), *map(float, slopes)]

        return at

    return prepared


def with_casadi() -> Peer:
    """CasADi's SX, differentiated symbolically."""
    import casadi as ca

    def choice(condition: Any, x: Any, y: Any) -> Any:
        return ca.if_else(condition, x, y)

    table = {
        **common(ca), sp.asin: ca.asin, sp.acos: ca.acos, sp.atan: ca.atan, sp.asinh: ca.asinh, sp.acosh: ca.acosh,
        sp.atanh: ca.atanh, sp.atan2: ca.atan2, sp.Abs: ca.fabs, sp.Max: ca.fmax, sp.Min: ca.fmin, sp.erf: ca.erf,
        sp.Not: ca.logic_not, sp.And: ca.logic_and, sp.Or: ca.logic_or, "where": choice,
        functions.sigmoid: lambda x: 1 / (1 + ca.exp(-x)), functions.softplus: lambda x: ca.log1p(ca.exp(x)),
        functions.log_sigmoid: lambda x: -ca.log1p(ca.exp(-x)), functions.xlogy: lambda x, y: x * ca.log(y),
        functions.logsumexp: lambda *xs: ca.log(sum(ca.exp(x) for x in xs)),
    }  # fmt: skip

    def prepared(model: Any) -> Callable[[Point], Sequence[float]]:
        symbols = {symbol: ca.SX.sym(str(symbol)) for symbol in SYMBOLS}
        loss = ca.SX(walked(model, symbols, table))
        slopes = ca.jacobian(loss, ca.vertcat(*(symbols[s] for s in PARAMETERS)))
        function = ca.Function("model", list(symbols.values()), [loss, slopes])

        def at(point: Point) -> Sequence[float]:
            value, gradient = function(*(point[s] for s in SYMBOLS))
            return [float(value), *(float(gradient[i]) for i in range(len(PARAMETERS)))]

        return at

    return prepared


def compared(
    expressions: Sequence[Any], places: Sequence[Point], peers: Mapping[str, Peer], tally: Counter[str]
) -> None:
    """Add to the tally what all make of some models."""
    batch = Batch(expressions, "differential")
    mine = [batch.at(point) for point in places]
    for k, expression in enumerate(expressions):
        ready = {}
        for name, peer in peers.items():
            try:
                ready[name] = peer(expression)
            except Unsupported:
                tally[f"{name}: models with a function that it lacks"] += 1
        for point, row in zip(places, mine, strict=True):
            true = truth(expression, point)
            if true is None or not true.in_range:
                continue
            wanted = (true.loss, *true.gradient)
            own = [one.error(got) == 0 for one, got in zip(wanted, (row[k].loss, *row[k].gradient), strict=False)]
            tally["values"] += len(own)
            tally["symgrad: wrong"] += own.count(False)
            for name, at in ready.items():
                try:
                    theirs = [one.error(got) == 0 for one, got in zip(wanted, at(point), strict=False)]
                except (Unsupported, TypeError, RuntimeError) as error:
                    tally[f"{name}: {type(error).__name__}"] += 1
                    continue
                tally[f"{name}: values"] += len(theirs)
                tally[f"{name}: wrong"] += theirs.count(False)
                for i, (good, other) in enumerate(zip(own, theirs, strict=True)):
                    tally[f"{name}: right where symgrad is wrong"] += other and not good
                    if other and not good:
                        values = {str(s): point[s] for s in sorted(expression.free_symbols, key=str)}
                        print(f"{name} is right, symgrad is not: {expression}, output {i}, at {values}", flush=True)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="symgrad beside JAX and CasADi, judged by mpmath.")
    parser.add_argument("models", type=int, nargs="?", default=300)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    peers: dict[str, Peer] = {}
    for name, make in (("JAX", with_jax), ("CasADi", with_casadi)):
        try:
            peers[name] = make()
        except ImportError:
            print(f'{name}: not installed (python -m pip install ".[bench]")')
    tally: Counter[str] = Counter()
    expressions = collected(options.models, options.seed, depth=3)
    for start in range(0, len(expressions), BATCH):
        compared(expressions[start : start + BATCH], points(options.seed + start, 4, 4), peers, tally)
    for what, count in sorted(tally.items()):
        print(f"{count:8d} {what}")
    return 1 if any(count for what, count in tally.items() if "right where" in what) else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
