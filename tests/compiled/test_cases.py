"""Cases with references that nobody of this project computed: NIST's problems, likelihoods, formulae from other fields.

``data/cases`` holds small copies: the data, and mean and (of the first 50 rows) per-sample gradients to 30 digits or
correctly rounded. One likelihood (randhie, 20,190 rows) is too large to be copied and is left to its collection. All
formulae of a kind are compiled as one module, whose loss is the sum of theirs: each has parameters of its own, so that
its part of the gradient is its own gradient.
"""

import ast
import importlib.util
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy as sp
from scipy import optimize

import symgrad as sg
from tests.helpers.declaring import risk_of_all

FOLDER = Path(__file__).parents[1] / "data" / "cases"
NIST, GLM, WILD = (json.loads((FOLDER / f"{kind}.json").read_text("utf-8")) for kind in ("nist", "glm", "wild"))


# --- formulae as text, read without evaluating anything -------------------------------------------------------------

_FUNCTIONS = {f.__name__: f for f in (sp.exp, sp.log, sp.sin, sp.cos, sp.erf, sp.loggamma, sp.Abs, sp.Rational)}
_FUNCTIONS |= {"sqrt": sp.sqrt}
_OPERATIONS: dict[type, Callable[..., Any]] = {
    ast.Add: lambda x, y: x + y, ast.Sub: lambda x, y: x - y, ast.Mult: lambda x, y: x * y,
    ast.Div: lambda x, y: x / y, ast.Pow: lambda x, y: x**y, ast.USub: lambda x: -x, ast.LtE: sp.Le,
}  # fmt: skip


def formula(text: str, symbols: dict[str, Any]) -> Any:
    """A SymPy expression from arithmetic, named functions and the given symbols; nothing else is understood."""

    def read(node: ast.AST) -> Any:
        match node:
            case ast.BinOp(left, operation, right):
                return _OPERATIONS[type(operation)](read(left), read(right))
            case ast.UnaryOp(operation, operand):
                return _OPERATIONS[type(operation)](read(operand))
            case ast.Compare(left, [operation], [right]):
                return _OPERATIONS[type(operation)](read(left), read(right))
            case ast.Constant(bool(value)):
                return sp.true if value else sp.false
            case ast.Constant(value):
                return sp.Integer(value) if isinstance(value, int) else sp.Float(value)
            case ast.Name("pi"):
                return sp.pi
            case ast.Name(name):
                return symbols[name]
            case ast.Call(ast.Name("Piecewise"), branches):
                return sp.Piecewise(*[tuple(map(read, branch.elts)) for branch in branches])  # type: ignore[attr-defined]
            case ast.Call(ast.Name(name), arguments):
                return _FUNCTIONS[name](*map(read, arguments))
        raise ValueError(f"not understood: {ast.dump(node)}")

    return read(ast.parse(text, mode="eval").body)


class Together:
    """Several formulae in one module, each with its own symbols; ``slot[name]`` says which parameters are its own."""

    def __init__(self) -> None:
        self.parameters: list[Any] = []
        self.variables: list[Any] = []
        self.slot: dict[str, slice] = {}
        self.columns: dict[str, slice] = {}

    def add(self, name: str, parameters: list[str], variables: list[str]) -> dict[str, Any]:
        own = {n: sp.Symbol(f"{name}.{n}", real=True) for n in [*parameters, *variables]}
        self.slot[name] = slice(len(self.parameters), len(self.parameters) + len(parameters))
        self.columns[name] = slice(len(self.variables), len(self.variables) + len(variables))
        self.parameters += [own[n] for n in parameters]
        self.variables += [own[n] for n in variables]
        return own

    def compile(self, losses: list[Any], title: str) -> Any:
        loss = sp.Add(*losses)
        return sg.compile(risk_of_all(loss, inputs=self.variables, targets=[], parameters=self.parameters, name=title))

    def rows(self, cases: list[dict[str, Any]]) -> Any:
        """All data side by side; where one has fewer rows than another, its first row is repeated."""
        tables = [np.array(case["data"]) for case in cases]
        most = max(map(len, tables))
        return np.hstack([np.vstack([t, np.repeat(t[:1], most - len(t), axis=0)]) for t in tables])

    def theta(self, values: dict[str, Any]) -> Any:
        result = np.empty(len(self.parameters))
        for name, slot in self.slot.items():
            result[slot] = values[name]
        return result


def check(module: Any, together: Together, cases: list[dict[str, Any]], case: dict[str, Any], point: int) -> None:
    """A case's mean and per-sample gradients at one of its points, the others being at theirs."""
    theta = together.theta({c["name"]: c["points"][min(point, len(c["points"]) - 1)]["theta"] for c in cases})
    rows, slot, n = together.rows(cases), together.slot[case["name"]], len(case["data"])
    expected = case["points"][point]
    weights = (np.arange(len(rows)) < n).astype(float)
    mean = module.gradient(theta, rows, None, weights)[slot]
    error = np.abs(mean - np.array(expected["mean_grad"], float)) / np.array(expected["scale"])
    assert error.max() <= expected["tol"], f"mean, {expected['id']}"
    each = module.per_sample_gradient(theta, rows[:50], None)[: len(expected["per_sample"]), slot]
    error = np.abs(each - np.array(expected["per_sample"])) / np.array(expected["per_scale"])
    assert error.max() <= expected["tol"], f"per sample, {expected['id']}"


# --- NIST's nonlinear regressions -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def nist() -> tuple[Any, Any, Together]:
    """All problems: their squared residuals, and their residuals; N rows of every problem's columns."""
    together, losses, residuals = Together(), [], []
    for case in NIST:
        own = together.add(case["name"], case["params"], case["variables"])
        residuals.append(formula(case["model"], own) - formula(case["response"], own))
        losses.append(residuals[-1] ** 2)
    z = sp.MatrixSymbol("z", len(NIST), 1)
    model = sg.Model(sp.Matrix(residuals), inputs=together.variables, parameters=together.parameters)
    loss = sg.Loss(sp.Add(*(z[i, 0] for i in range(len(NIST)))), prediction=z, target=None)
    return together.compile(losses, "nist"), sg.compile(sg.EmpiricalRisk(model, loss, name="nist_residuals")), together


@pytest.mark.parametrize("case", NIST, ids=lambda case: case["name"])
def test_nist_gradients(case: dict[str, Any], nist: tuple[Any, Any, Together]) -> None:
    for point in range(len(case["points"])):
        check(nist[0], nist[2], NIST, case, point)


def digits(found: Any, certified: list[str]) -> float:
    """To how many digits the worst parameter is the certified one; 11 are printed."""
    errors = [abs(f / float(text) - 1) for f, text in zip(found, certified, strict=True)]
    return min(11.0, -math.log10(max(errors) or 1e-11))


def fit(nist: tuple[Any, Any, Together], case: dict[str, Any], start: list[float]) -> Any:
    """Levenberg-Marquardt with the compiled Jacobian, then Gauss-Newton steps for the last digits."""
    _, module, together = nist
    name, place = case["name"], NIST.index(case)
    slot, rows = together.slot[name], together.rows(NIST)[: len(case["data"])]
    theta = together.theta({c["name"]: c["start2"] for c in NIST})

    def residuals(own: Any) -> Any:
        theta[slot] = own
        return np.nan_to_num(module.predict(theta, rows)[:, place], nan=1e150, posinf=1e150, neginf=-1e150)

    def jacobian(own: Any) -> Any:
        theta[slot] = own
        return np.nan_to_num(module.per_sample_gradient(theta, rows, None)[:, slot], posinf=1e150, neginf=-1e150)

    with np.errstate(all="ignore"):
        own = optimize.least_squares(
            residuals, start, jacobian, method="lm", x_scale="jac", xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=20_000
        ).x
        for _ in range(10):
            J = jacobian(own)
            lengths = np.linalg.norm(J, axis=0)
            own = own - np.linalg.lstsq(J / lengths, residuals(own), rcond=None)[0] / lengths
    return own


@pytest.mark.parametrize("start", ["start2", "start1"])
@pytest.mark.parametrize("case", NIST, ids=lambda case: case["name"])
def test_nist_problems_reach_their_certified_parameters(
    case: dict[str, Any], start: str, nist: tuple[Any, Any, Together]
) -> None:
    found = fit(nist, case, case[start])
    assert digits(found, case["certified"]) >= 8, (found, case["certified"])


# --- likelihoods ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def likelihoods() -> tuple[Any, Together]:
    together = Together()
    losses = [formula(case["nll"], together.add(case["name"], case["params"], case["variables"])) for case in GLM]
    return together.compile(losses, "likelihoods"), together


@pytest.mark.parametrize("case", GLM, ids=lambda case: case["name"])
def test_likelihoods(case: dict[str, Any], likelihoods: tuple[Any, Together]) -> None:
    for point in range(len(case["points"])):
        check(*likelihoods, GLM, case, point)


# --- formulae of other fields ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wild() -> tuple[Any, Together]:
    """Parameters and inputs alike are differentiated by."""
    together, losses = Together(), []
    for case in WILD:
        for output, text in case["outputs"].items():
            losses.append(formula(text, together.add(f"{case['name']}.{output}", case["params"] + case["inputs"], [])))
    return together.compile(losses, "wild"), together


@pytest.mark.parametrize("case", WILD, ids=lambda case: case["name"])
def test_wild_formulae(case: dict[str, Any], wild: tuple[Any, Together]) -> None:
    module, together = wild
    others = {f"{c['name']}.{o}": c["points"][0]["theta"] + c["points"][0]["u"] for c in WILD for o in c["outputs"]}
    for point in case["points"]:
        at = point["theta"] + point["u"]
        for i, output in enumerate(case["outputs"]):
            name = f"{case['name']}.{output}"
            got = module.gradient(together.theta(others | {name: at}), np.empty((1, 0)), None)[together.slot[name]]
            want = np.array(point["grad_params"][i] + point["grad_inputs"][i], float)
            if point.get("removable_singularity"):  # 0/0 as written: the limit, or NaN where it is 0/0
                assert np.all(np.isnan(got) | np.isclose(got, want, rtol=1e-6))
            else:
                assert np.abs(got - want).max() <= case["tol_rel"] * np.abs(want).max(), (name, point["u"])


# --- the adapter ----------------------------------------------------------------------------------------------------


def test_the_adapter_answers_to_collections_of_cases() -> None:
    spec = importlib.util.spec_from_file_location("cases_adapter", Path(__file__).parents[1] / "cases_adapter.py")
    assert spec is not None
    assert spec.loader is not None
    adapter = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(adapter)
    (case,) = (c for c in NIST if c["name"] == "Misra1a")
    symbols = {n: sp.Symbol(n, real=True) for n in [*case["params"], *case["variables"]]}
    loss = (formula(case["model"], symbols) - formula(case["response"], symbols)) ** 2
    arguments = (loss, [symbols[p] for p in case["params"]], [symbols[v] for v in case["variables"]])
    point = case["points"][0]
    theta, data = np.array(point["theta"]), np.array(case["data"])
    losses, gradients = adapter.build(*arguments)(theta, data)
    assert (losses.shape, gradients.shape) == ((14,), (14, 2))
    np.testing.assert_allclose(gradients, point["per_sample"], rtol=1e-12)
    np.testing.assert_allclose(
        adapter.build_mean(*arguments)(theta, data)[1], np.array(point["mean_grad"], float), rtol=1e-12
    )
