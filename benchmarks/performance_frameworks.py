"""JAX, PyTorch and PyTensor: tools that differentiate arrays. See ``performance_tools`` for what is given and taken."""

import time
import warnings
from collections.abc import Callable
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import numpy as np

from .performance_tools import NotMeasured, Prepared, columns_of
from .workloads import Data, Workload
from .workloads_batched import BATCHED, CLASSES
from .workloads_formulas import FORMULAS

SCALAR = ("exp", "log", "sin", "cos", "sqrt", "tanh", "log1p")
Losses = Callable[[Any, Any, Any], Any]


def _add(terms: list[Any]) -> Any:
    return sum(terms[1:], start=terms[0])


def losses_of(workload: Workload, m: Any) -> Losses:
    """The losses of N samples as a function of theta, the inputs and the targets, as `arguments_of` gives them."""
    if workload.model in FORMULAS:
        formula = FORMULAS[workload.model]

        def losses(theta: Any, u: Any, y: Any) -> Any:
            return formula.loss(m, [theta[k] for k in range(formula.parameters)], u, y)

        return losses
    return lambda theta, u, y: BATCHED[workload.model](m, theta, u, y)


def arguments_of(workload: Workload, data: Data) -> tuple[Any, Any]:
    """Columns for a formula; else the (N, D) array and the targets (N,), as whole numbers where they are classes."""
    if workload.model in FORMULAS:
        return columns_of(data)
    targets = data.targets[:, 0] if data.targets.shape[1] else np.empty(0)
    return data.inputs, targets.astype(np.int64) if workload.model in CLASSES else np.ascontiguousarray(targets)


# --- JAX -------------------------------------------------------------------------------------------------------------


def in_jax(workload: Workload, data: Data, threads: int) -> Prepared:
    jax: Any = import_module("jax")
    jax.config.update("jax_enable_x64", True)
    jnp: Any = import_module("jax.numpy")
    m = SimpleNamespace(
        **{name: getattr(jnp, name) for name in SCALAR},
        atan=jnp.arctan, pi=np.pi, loggamma=import_module("jax.scipy.special").gammaln, add=_add, stack=jnp.stack,
        constant=jnp.asarray, softplus=jax.nn.softplus, logsumexp=lambda x, axis: jax.nn.logsumexp(x, axis=axis),
        pick=lambda scores, labels: jnp.take_along_axis(scores, labels[:, None], 1)[:, 0],
    )  # fmt: skip
    losses = losses_of(workload, m)
    u, y = jax.tree.map(jnp.asarray, arguments_of(workload, data))
    if workload.kind == "samples":

        def one(theta: Any, u: Any, y: Any) -> Any:
            u, y = (a if isinstance(a, list) else a[None] for a in (u, y))
            return jnp.sum(losses(theta, u, y))

        function = jax.jit(jax.vmap(jax.grad(one), (None, 0, 0)))
    else:
        function = jax.jit(jax.grad(lambda theta, u, y: jnp.mean(losses(theta, u, y))))
    return Prepared(lambda: np.asarray(function(data.theta, u, y)))


# --- PyTorch ---------------------------------------------------------------------------------------------------------


def in_torch(workload: Workload, data: Data, threads: int) -> Prepared:
    """The faster of ``torch.compile`` and eager: which, is told."""
    torch: Any = import_module("torch")
    torch.set_num_threads(threads)
    warnings.simplefilter("ignore")
    dtype = getattr(torch, workload.dtype)
    m = SimpleNamespace(
        **{name: getattr(torch, name) for name in (*SCALAR, "atan", "logsumexp", "stack")},
        pi=np.pi, loggamma=torch.lgamma, add=_add, softplus=torch.nn.functional.softplus,
        constant=lambda a: torch.as_tensor(a, dtype=dtype),
        pick=lambda scores, labels: scores.gather(1, labels[:, None])[:, 0],
    )  # fmt: skip
    losses = losses_of(workload, m)
    u, y = (
        [torch.from_numpy(c) for c in a] if isinstance(a, list) else torch.from_numpy(a)
        for a in arguments_of(workload, data)
    )
    if workload.kind == "samples":

        def one(theta: Any, u: Any, y: Any) -> Any:
            u, y = (a if isinstance(a, list) else a[None] for a in (u, y))
            return losses(theta, u, y).sum()

        gradient = torch.func.vmap(torch.func.grad(one), (None, 0, 0))
    else:
        gradient = torch.func.grad(lambda theta, u, y: losses(theta, u, y).mean())
    theta = torch.from_numpy(data.theta)
    eager, compiled = gradient, torch.compile(gradient, dynamic=False)
    try:
        compiled(theta, u, y)
    except Exception as error:  # of many kinds: what matters is that it does not work
        return Prepared(lambda: eager(theta, u, y).numpy(), f"eager: torch.compile raises {type(error).__name__}")
    if _shortest(lambda: eager(theta, u, y)) < _shortest(lambda: compiled(theta, u, y)):
        return Prepared(lambda: eager(theta, u, y).numpy(), "eager: faster than torch.compile")
    return Prepared(lambda: compiled(theta, u, y).numpy())


def _shortest(run: Callable[[], Any]) -> float:
    found = []
    for _ in range(3):
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return min(found)


# --- PyTensor --------------------------------------------------------------------------------------------------------


def in_pytensor(workload: Workload, data: Data, threads: int) -> Prepared:
    pytensor: Any = import_module("pytensor")
    pytensor.config.floatX = workload.dtype
    pt: Any = import_module("pytensor.tensor")
    m = SimpleNamespace(
        **{name: getattr(pt, name) for name in SCALAR},
        atan=pt.arctan, pi=np.pi, loggamma=pt.gammaln, add=_add, stack=pt.stack, softplus=pt.softplus,
        constant=lambda a: pt.constant(a.astype(workload.dtype)),
        logsumexp=lambda x, axis: pt.logsumexp(x, axis=axis),
        pick=lambda scores, labels: scores[pt.arange(scores.shape[0]), labels],
    )  # fmt: skip
    losses = losses_of(workload, m)
    u, y = (
        [pytensor.shared(c, borrow=True) for c in a] if isinstance(a, list) else pytensor.shared(a, borrow=True)
        for a in arguments_of(workload, data)
    )
    theta = pt.vector("theta", dtype=workload.dtype, shape=(len(data.theta),))
    if workload.kind == "samples":
        output = _rows_in_pytensor(pt, workload, losses, theta, (u, y), len(data.inputs))
    else:
        output = pt.grad(losses(theta, u, y).mean(dtype=workload.dtype), theta)
    function = pytensor.function([theta], output)
    return Prepared(lambda: function(data.theta))


def _rows_in_pytensor(pt: Any, workload: Workload, losses: Losses, theta: Any, arrays: Any, n: int) -> Any:
    """Each sample is given parameters of its own, by which the sum of all losses is differentiated."""
    if workload.model not in FORMULAS:
        raise NotMeasured("has no gradients of single samples of a function of matrices")
    own = pt.outer(theta, pt.ones(n))
    return pt.grad(losses(own, *arrays).sum(), own).T
