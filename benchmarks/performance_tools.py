"""The tools that are measured, each as a function from a workload's arrays to something that can be called.

``TOOLS[name](workload, data, threads)`` gives a ``Prepared``; it raises ``NotMeasured`` with the reason where the tool
cannot do what is asked. Frameworks stand in ``performance_frameworks``. Everything is imported when it is used: a
worker has one tool. A formula's columns lie in a row for every tool that takes columns.
"""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import numpy as np

from .workloads import SIZES, Array, Data, Workload
from .workloads_formulas import FORMULAS, WRITTEN_OUT


class NotMeasured(Exception):
    """Why a tool is not measured on a workload."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is timed: from theta as a NumPy array to the gradient as one."""

    run: Callable[[], Any]
    note: str = ""
    operations: int = 0


def shape_of(workload: Workload, data: Data) -> tuple[int, ...]:
    """The shape of the results: (P,), or (N, P) where each sample's gradient is asked for."""
    return (len(data.inputs), len(data.theta)) if workload.kind == "samples" else data.theta.shape


def in_symgrad(workload: Workload, data: Data, threads: int) -> Prepared:
    symgrad: Any = import_module("symgrad")
    risk = import_module("benchmarks.workloads_risks").risk_of(workload.model)
    compiled = symgrad.compile(risk, dtype=workload.dtype)
    found = re.search(r"operations for the loss, (\d+) ", compiled.source)
    operations = int(found[1]) if found else 0
    theta, arrays = data.theta, (data.inputs, data.targets)
    if workload.kind == "bound":
        bound = compiled.bind(*arrays, threads=None if threads > 1 else 1)  # it decides whether threads are worth it
        return Prepared(lambda: bound(theta)[1], operations=operations)
    if workload.kind == "samples":
        out = np.empty(shape_of(workload, data), dtype=theta.dtype)
        rows = compiled.per_sample_gradient
        return Prepared(lambda: rows(theta, *arrays, out=out, threads=threads), operations=operations)
    return Prepared(lambda: compiled.gradient(theta, *arrays, threads=threads), operations=operations)


def in_numpy(workload: Workload, data: Data, threads: int) -> Prepared:
    by_hand = import_module("benchmarks.workloads_numpy")
    if workload.kind == "samples":
        out = np.empty(shape_of(workload, data), dtype=data.theta.dtype)
        return Prepared(lambda: by_hand.per_sample(workload.model, data.theta, data.inputs, data.targets, out))
    return Prepared(lambda: by_hand.mean_gradient(workload.model, data.theta, data.inputs, data.targets))


def in_numba(workload: Workload, data: Data, threads: int) -> Prepared:
    by_hand = import_module("benchmarks.workloads_numba")
    make = by_hand.rows_of if workload.kind == "samples" else by_hand.gradient_of
    function = make(workload.model, data.inputs, data.targets, len(data.theta))
    return Prepared(lambda: function(data.theta))


def in_numba_with_libmvec(workload: Workload, data: Data, threads: int) -> Prepared:
    """The same loops, with the vector versions of exp, log, sin and cos of glibc.

    Numba knows Intel's alone, and has them only where its LLVM was patched for them (the wheels' is not). LLVM itself
    knows glibc's, by an option that no manual of Numba names.
    """
    binding: Any = import_module("llvmlite.binding")
    try:
        binding.load_library_permanently("libmvec.so.1")
    except RuntimeError as error:
        raise NotMeasured("there is no libmvec.so.1") from error
    if "numba" not in sys.modules:  # the option may be given once
        binding.set_option("symgrad", "-vector-library=LIBMVEC-X86")
    return in_numba(workload, data, threads)


def in_sklearn(workload: Workload, data: Data, threads: int) -> Prepared:
    if not workload.model.startswith(("linear", "logistic")):
        raise NotMeasured("has linear models alone")
    if workload.kind == "samples":
        raise NotMeasured("has no gradients of single samples")
    losses = import_module("sklearn._loss.loss")
    base = losses.HalfSquaredError() if workload.model.startswith("linear") else losses.HalfBinomialLoss()
    model = import_module("sklearn.linear_model._linear_loss").LinearModelLoss(base, fit_intercept=False)
    targets = np.ascontiguousarray(data.targets[:, 0])
    return Prepared(lambda: model.gradient(data.theta, data.inputs, targets, n_threads=threads))


# --- symbols ---------------------------------------------------------------------------------------------------------


def columns_of(data: Data) -> tuple[list[Array], list[Array]]:
    """The inputs' and the targets' columns, each an array whose numbers lie in a row."""
    u, y = (list(np.ascontiguousarray(a.T)) for a in (data.inputs, data.targets))
    return u, y


def in_sympy(workload: Workload, data: Data, threads: int) -> Prepared:
    """What SymPy's manual shows: derivatives by ``diff``, all of them in one ``lambdify`` with ``cse=True``."""
    if workload.model in SIZES:
        raise NotMeasured(f"{len(data.theta):,} derivatives, each an expression of its own")
    sp: Any = import_module("sympy")
    risks = import_module("benchmarks.workloads_risks")
    formula = {**FORMULAS, **WRITTEN_OUT}[workload.model]
    p, u, y = risks.symbols_of(formula)
    loss = formula.loss(risks.FUNCTIONS, p, u, y)
    function = sp.lambdify([p, u, y], [loss.diff(q) for q in p], modules=["scipy", "numpy"], cse=True)
    columns = columns_of(data)
    if workload.kind == "samples":
        out = np.empty(shape_of(workload, data))

        def rows() -> Array:
            for k, column in enumerate(function(data.theta, *columns)):
                out[:, k] = column
            return out

        return Prepared(rows)
    return Prepared(lambda: np.array([np.mean(column) for column in function(data.theta, *columns)]))


def _of_casadi(ca: Any) -> SimpleNamespace:
    names = ("exp", "log", "sin", "cos", "atan", "sqrt", "tanh", "log1p")

    def logsumexp(terms: list[Any]) -> Any:
        column = ca.vertcat(*terms)
        largest = ca.mmax(column)
        return largest + ca.log(ca.sum1(ca.exp(column - largest)))

    return SimpleNamespace(
        **{name: getattr(ca, name) for name in names},
        pi=np.pi,
        add=lambda terms: sum(terms[1:], start=terms[0]),
        softplus=lambda x: ca.fmax(x, 0) + ca.log1p(ca.exp(-ca.fabs(x))),
        logsumexp=logsumexp,
    )


def in_casadi(workload: Workload, data: Data, threads: int) -> Prepared:
    """The gradient of one sample in scalars, mapped over the samples; networks as matrices of all samples."""
    ca: Any = import_module("casadi")
    if workload.dtype != "float64":
        raise NotMeasured("computes in double precision alone")
    if workload.model == "student":
        raise NotMeasured("has no loggamma")
    if workload.model in SIZES:
        if workload.kind == "samples":
            raise NotMeasured("its matrix expressions have no gradients of single samples")
        return _network_in_casadi(ca, workload, data)
    formula = {**FORMULAS, **WRITTEN_OUT}[workload.model]
    p, row = ca.SX.sym("p", formula.parameters), ca.SX.sym("row", formula.inputs + formula.targets)
    u, y = ca.vertsplit(row)[: formula.inputs], ca.vertsplit(row)[formula.inputs :]
    loss = formula.loss(_of_casadi(ca), ca.vertsplit(p), u, y)
    one = ca.Function("one", [p, row], [ca.gradient(loss, p)])
    n = len(data.inputs)
    function = one.map(n, "thread", threads) if threads > 1 and n >= threads else one.map(n)
    theta, rows = ca.DM(data.theta), ca.DM(np.hstack([data.inputs, data.targets]).T)
    if workload.kind == "samples":
        return Prepared(lambda: function(theta, rows).full().T)
    return Prepared(lambda: function(theta, rows).full().sum(1) / n)


def _network_in_casadi(ca: Any, workload: Workload, data: Data) -> Prepared:
    d, h, c = SIZES[workload.model]
    n, first, second = len(data.inputs), h * d, h * d + h + c * h
    theta = ca.MX.sym("theta", len(data.theta))
    u, chosen = ca.MX.sym("u", d, n), ca.MX.sym("chosen", c, n)
    # CasADi's reshape goes by columns
    hidden = ca.tanh(ca.reshape(theta[:first], d, h).T @ u + ca.repmat(theta[first : first + h], 1, n))
    scores = ca.reshape(theta[first + h : second], h, c).T @ hidden + ca.repmat(theta[second:], 1, n)
    total = ca.sum2(ca.log(ca.sum1(ca.exp(scores)))) - ca.dot(chosen, scores)
    function = ca.Function("network", [theta, u, chosen], [ca.gradient(total, theta)])
    one_hot = np.eye(c)[:, data.targets[:, 0].astype(int)]
    arguments = (ca.DM(data.theta), ca.DM(data.inputs.T), ca.DM(one_hot))
    return Prepared(lambda: function(*arguments).full()[:, 0] / n)


Tool = Callable[[Workload, Data, int], Prepared]


@dataclass(frozen=True, slots=True)
class Entry:
    """A tool: its title, the package whose version is told, and where ``prepare`` is found."""

    title: str
    package: str
    module: str
    function: str
    threads: bool = True
    """whether it can use more than one thread; one that cannot is measured with one, and competes with that"""

    @property
    def version(self) -> str:
        return f"{self.title} {version(self.package)}"

    def prepare(self, workload: Workload, data: Data, threads: int) -> Prepared:
        tool: Tool = getattr(import_module(f"benchmarks.{self.module}"), self.function)
        return tool(workload, data, threads)


TOOLS = {
    "symgrad": Entry("symgrad", "symgrad", "performance_tools", "in_symgrad"),
    "jax": Entry("JAX", "jax", "performance_frameworks", "in_jax"),
    "torch": Entry("PyTorch", "torch", "performance_frameworks", "in_torch"),
    "numba": Entry("Numba", "numba", "performance_tools", "in_numba"),
    "numba-libmvec": Entry("Numba, libmvec", "numba", "performance_tools", "in_numba_with_libmvec"),
    "pytensor": Entry("PyTensor", "pytensor", "performance_frameworks", "in_pytensor"),
    "casadi": Entry("CasADi", "casadi", "performance_tools", "in_casadi"),
    "sympy": Entry("lambdify", "sympy", "performance_tools", "in_sympy", threads=False),
    "numpy": Entry("NumPy", "numpy", "performance_tools", "in_numpy"),
    "sklearn": Entry("scikit-learn", "scikit-learn", "performance_tools", "in_sklearn"),
}
