"""One peer's values and derivatives: ``python accuracy_peers.py jax`` reads a request from standard input.

It runs in an interpreter and a process of its own, so that peers need not share an environment with symgrad or with
each other. The request is JSON, ``{name: points}``; so is the reply, ``{"version": ..., "results": {name: [value,
slope, ...] or null}}``, each a list with one number for each point, or null where the tool has no such thing.
"""

import importlib
import json
import math
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from accuracy_forms import FORMS

Function = Callable[..., Any]
Columns = list[list[float]]
SAME_NAMES = (
    *("exp", "log", "sqrt", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh"),
    *("asinh", "acosh", "atanh", "log1p", "expm1", "sign", "floor", "erf"),
)

OF_SYMPY = (
    *("cot", "sec", "csc", "acot", "asec", "acsc", "coth", "sech", "csch", "acoth", "asech", "acsch", "sinc", "erfc"),
    *("Abs", "ceiling", "Heaviside", "gamma", "loggamma", "digamma", "atan2", "Max", "Min", "Mod"),
)

# What a tool has not is written out by its definition, as its users have to.
DEFINITIONS: dict[str, Function] = {
    "cot": lambda m, x: 1 / m.tan(x),
    "sec": lambda m, x: 1 / m.cos(x),
    "csc": lambda m, x: 1 / m.sin(x),
    "acot": lambda m, x: m.atan(1 / x),
    "asec": lambda m, x: m.acos(1 / x),
    "acsc": lambda m, x: m.asin(1 / x),
    "coth": lambda m, x: 1 / m.tanh(x),
    "sech": lambda m, x: 1 / m.cosh(x),
    "csch": lambda m, x: 1 / m.sinh(x),
    "acoth": lambda m, x: m.atanh(1 / x),
    "asech": lambda m, x: m.acosh(1 / x),
    "acsch": lambda m, x: m.asinh(1 / x),
    "erfc": lambda m, x: 1 - m.erf(x),
    "sinc": lambda m, x: m.sin(x) / x,
    "exp2": lambda m, x: 2**x,
    "log2": lambda m, x: m.log(x) / math.log(2),
    "log10": lambda m, x: m.log(x) / math.log(10),
    "sigmoid": lambda m, x: 1 / (1 + m.exp(-x)),
    "softplus": lambda m, x: m.log(1 + m.exp(x)),
    "log_sigmoid": lambda m, x: -m.log(1 + m.exp(-x)),
    "log_cosh": lambda m, x: m.log(m.cosh(x)),
    "Heaviside": lambda m, x: (m.sign(x) + 1) / 2,
    "x**3": lambda m, x: x**3,
    "x**-2": lambda m, x: x**-2,
    "x**7": lambda m, x: x**7,
    "x**-12": lambda m, x: x**-12,
    "x**(3/2)": lambda m, x: x**1.5,
    "x**(1/3)": lambda m, x: x ** (1 / 3),
    "1.5**x": lambda m, x: 1.5**x,
    "x*y": lambda m, x, y: x * y,
    "x/y": lambda m, x, y: x / y,
    "x**y": lambda m, x, y: x**y,
    "hypot": lambda m, x, y: m.sqrt(x * x + y * y),
    "xlogy": lambda m, x, y: x * m.log(y),
    "logsumexp": lambda m, x, y: m.log(m.exp(x) + m.exp(y)),
    "Mod": lambda m, x, y: x - y * m.floor(x / y),
}


def function_of(name: str, m: Any) -> Function | None:
    """The tool's own function of that name, else its definition or the form; None where it has neither."""
    if name in FORMS:
        return lambda *arguments: FORMS[name].written(m, *arguments)
    if hasattr(m, name):
        own: Function = getattr(m, name)
        return own
    if name in DEFINITIONS:
        return lambda *arguments: DEFINITIONS[name](m, *arguments)
    return None


def in_jax() -> tuple[str, Any, Callable[[Function, Columns], Columns]]:
    jax: Any = importlib.import_module("jax")
    jax.config.update("jax_enable_x64", True)
    jnp, special = importlib.import_module("jax.numpy"), importlib.import_module("jax.scipy.special")
    own = {name: getattr(jnp, name) for name in (*SAME_NAMES, "exp2", "log2", "log10", "hypot") if hasattr(jnp, name)}
    functions = SimpleNamespace(
        **own | {"erf": special.erf, "sqrt": lambda x: jnp.sqrt(jnp.float64(x))},
        erfc=special.erfc, Abs=jnp.abs, ceiling=jnp.ceil, sinc=lambda x: jnp.sinc(x / jnp.pi),
        Heaviside=lambda x: jnp.heaviside(x, 0.5), gamma=special.gamma, loggamma=special.gammaln,
        digamma=special.digamma, polygamma=lambda x: special.polygamma(1, x),
        polygamma2=lambda x: special.polygamma(2, x), sigmoid=jax.nn.sigmoid, softplus=jax.nn.softplus,
        log_sigmoid=jax.nn.log_sigmoid, atan2=jnp.arctan2, xlogy=special.xlogy, logsumexp=jnp.logaddexp,
        Max=jnp.maximum, Min=jnp.minimum, Mod=jnp.mod,
    )  # fmt: skip

    def evaluate(function: Function, columns: Columns) -> Columns:
        arrays = [jnp.asarray(column) for column in columns]
        slopes = [jax.jit(jax.vmap(jax.grad(function, i)))(*arrays) for i in range(len(arrays))]
        return [list(map(float, found)) for found in (jax.jit(jax.vmap(function))(*arrays), *slopes)]

    return f"JAX {jax.__version__}", functions, evaluate


def in_torch() -> tuple[str, Any, Callable[[Function, Columns], Columns]]:
    torch: Any = importlib.import_module("torch")
    special = torch.special
    own = {name: getattr(torch, name) for name in (*SAME_NAMES, "exp2", "log2", "log10", "hypot", "erfc", "sigmoid")}
    functions = SimpleNamespace(
        **own | {"sqrt": lambda x: torch.sqrt(torch.as_tensor(x, dtype=torch.float64))},
        Abs=torch.abs, ceiling=torch.ceil, sinc=lambda x: torch.sinc(x / math.pi),
        loggamma=torch.lgamma, digamma=torch.digamma,
        polygamma=lambda x: special.polygamma(1, x), polygamma2=lambda x: special.polygamma(2, x),
        softplus=torch.nn.functional.softplus, log_sigmoid=torch.nn.functional.logsigmoid, atan2=torch.atan2,
        xlogy=torch.xlogy, logsumexp=torch.logaddexp, Max=torch.maximum, Min=torch.minimum, Mod=torch.remainder,
    )  # fmt: skip

    def evaluate(function: Function, columns: Columns) -> Columns:
        tensors = [torch.tensor(column, dtype=torch.float64, requires_grad=True) for column in columns]
        value = function(*tensors)
        slopes = torch.autograd.grad(value.sum(), tensors)
        return [found.detach().tolist() for found in (value, *slopes)]

    return f"PyTorch {torch.__version__.partition('+')[0]}", functions, evaluate


def in_casadi() -> tuple[str, Any, Callable[[Function, Columns], Columns]]:
    ca: Any = importlib.import_module("casadi")
    functions = SimpleNamespace(
        **{name: getattr(ca, name) for name in SAME_NAMES},
        Abs=ca.fabs, ceiling=ca.ceil, log10=ca.log10, atan2=ca.atan2, hypot=ca.hypot, Max=ca.fmax, Min=ca.fmin,
        logsumexp=lambda x, y: ca.logsumexp(ca.vertcat(x, y)), erfc=lambda x: 1 - ca.erf(x),
    )  # fmt: skip

    def evaluate(function: Function, columns: Columns) -> Columns:
        symbols = [ca.SX.sym(f"x{i}") for i in range(len(columns))]
        value = function(*symbols)
        whole = ca.Function("f", symbols, [value, *(ca.gradient(value, s) for s in symbols)])
        rows = [[float(found) for found in whole(*point)] for point in zip(*columns, strict=True)]
        return [list(column) for column in zip(*rows, strict=True)]

    return f"CasADi {ca.__version__}", functions, evaluate


def in_sympy() -> tuple[str, Any, Callable[[Function, Columns], Columns]]:
    """``lambdify`` of the expression and of its ``diff``, as NumPy (or SciPy, for what it has not) computes them."""
    sp, np, c = (importlib.import_module(name) for name in ("sympy", "numpy", "sympy.codegen.cfunctions"))
    functions = SimpleNamespace(
        **{name: getattr(sp, name) for name in (*SAME_NAMES, *OF_SYMPY) if hasattr(sp, name)},
        log1p=c.log1p, expm1=c.expm1, exp2=c.exp2, log2=c.log2, log10=c.log10, hypot=c.hypot,
        polygamma=lambda x: sp.polygamma(1, x), polygamma2=lambda x: sp.polygamma(2, x),
    )  # fmt: skip

    def evaluate(function: Function, columns: Columns) -> Columns:
        symbols = sp.symbols(f"x:{len(columns)}", real=True)
        whole = function(*symbols)
        return [compute(symbols, e, columns) for e in (whole, *(sp.diff(whole, s) for s in symbols))]

    def compute(symbols: Any, expression: Any, columns: Columns) -> Any:
        try:
            with np.errstate(all="ignore"):
                found = sp.lambdify(symbols, expression, ["scipy", "numpy"])(*map(np.array, columns))
        except (NameError, NotImplementedError):  # derivatives of steps, which NumPy knows nothing of
            return None
        return np.broadcast_to(np.asarray(found, float), len(columns[0])).tolist()

    return f"SymPy {sp.__version__} with NumPy {np.__version__}", functions, evaluate


PEERS = {"jax": in_jax, "torch": in_torch, "casadi": in_casadi, "sympy": in_sympy}


def answer(peer: str, request: dict[str, list[list[float]]]) -> dict[str, Any]:
    version, functions, evaluate = PEERS[peer]()
    results: dict[str, Any] = {}
    for name, points in request.items():
        function = function_of(name, functions)
        columns = [list(column) for column in zip(*points, strict=True)]
        try:
            results[name] = None if function is None else evaluate(function, columns)
        except (NotImplementedError, RuntimeError) as error:  # a derivative that the tool has not
            print(f"{peer}: {name}: {error}", file=sys.stderr)
            results[name] = None
    return {"version": version, "results": results}


if __name__ == "__main__":
    try:
        PEERS[sys.argv[1]]()
    except ImportError as missing:
        sys.exit(f"not installed: {missing}")
    json.dump(answer(sys.argv[1], json.load(sys.stdin)), sys.stdout)
