"""Formulae that lose their digits as they are written, at points with 30-digit references.

`data/hard_cases.json` is a table of such formulae: what overflows, vanishes, cancels, has kinks, branches, odd names or
huge numbers. Each is run as its lowered program in doubles, its variables parameters or inputs; and all of them in
one compiled module, where formula k is ``f_k(theta_k + u)`` at ``theta_k = 0``.
"""

import ast
import json
from functools import cache
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from symgrad.pipeline import generate
from tests.helpers.declaring import penalty_of_the_rest, risk_of_all
from tests.helpers.evaluate import DOUBLES, output

CASES = json.loads((Path(__file__).parents[1] / "data" / "hard_cases.json").read_text(encoding="utf-8"))
FORMULAE = {case["id"]: case for case in CASES if "points" in case}
SUMS = {case["id"]: case for case in CASES if "points" not in case}
# Points of level "stretch" that are not right, and why: docs/accuracy.md tells.
EXPANDED = {("wilkinson_expanded", 0), ("wilkinson_expanded", 1)}
OPERATIONS = {ast.Add: sp.Add, ast.Mult: sp.Mul, ast.Pow: sp.Pow}


def expression(node: ast.AST, names: dict[str, sp.Expr]) -> Any:
    """An arithmetic expression, node by node: nothing is evaluated as code."""
    match node:
        case ast.BinOp(left, operation, right):
            a, b = expression(left, names), expression(right, names)
            if isinstance(operation, ast.Sub):
                return a - b
            return a / b if isinstance(operation, ast.Div) else OPERATIONS[type(operation)](a, b)
        case ast.UnaryOp(ast.USub(), operand):
            return -expression(operand, names)
        case ast.Constant(value):
            return sp.S.true if value is True else sp.Integer(value)
        case ast.Name(name):
            return names.get(name) or getattr(sp, name)
        case ast.Tuple(parts):
            return tuple(expression(part, names) for part in parts)
        case ast.Compare(left, [comparison], [right]):
            relation = {ast.Lt: sp.Lt, ast.LtE: sp.Le, ast.Gt: sp.Gt, ast.GtE: sp.Ge}[type(comparison)]
            return relation(expression(left, names), expression(right, names))
        case ast.Call(ast.Name(function), arguments):
            return getattr(sp, function)(*(expression(argument, names) for argument in arguments))
    raise ValueError(ast.dump(node))


@cache
def formula(name: str) -> tuple[Any, dict[str, sp.Symbol]]:
    case = FORMULAE[name]
    rename = case.get("rename") or {}
    symbols = {variable: sp.Symbol(rename.get(variable, variable), real=True) for variable in case["variables"]}
    return expression(ast.parse(case["expr"], mode="eval").body, dict(symbols)), symbols


def is_right(got: float, wanted: Any, tolerance: float) -> bool:
    """``wanted``: a number, "inf", "nan"; one of several; or an interval, of subgradients."""
    if isinstance(wanted, list):
        return any(is_right(got, one, tolerance) for one in wanted)
    if isinstance(wanted, dict):
        return float(wanted["in"][0]) <= got <= float(wanted["in"][1])
    if wanted in ("inf", "-inf", "nan", "error"):
        return np.isnan(got) if wanted == "nan" else got == float(wanted) if wanted != "error" else False
    with mpmath.workdps(40):
        true = mpmath.mpf(wanted)
        return bool(
            np.isfinite(got) and abs(mpmath.mpf(float(got)) - true) <= tolerance * abs(true) + mpmath.mpf("1e-323")
        )


def is_right_at(point: dict[str, Any], value: float, gradient: Any, tolerance: float) -> bool:
    tolerance = point.get("tol", tolerance)
    told = point["value"]
    if isinstance(told, str) and not told.startswith("value") and not is_right(value, told, tolerance):
        return False
    total = point.get("grad_sum")
    return (total is None or abs(sum(gradient) - float(total)) < 1e-12) and all(
        is_right(g, wanted, tolerance) for g, wanted in zip(gradient, point["grad"], strict=True)
    )


POINTS = [(name, place) for name, case in FORMULAE.items() for place in range(len(case["points"]))]


def at(name: str, place: int) -> tuple[dict[str, float], dict[str, float]]:
    """What the parameters are at a point, and what the inputs."""
    case = FORMULAE[name]
    values = dict(zip(case["variables"], map(float.fromhex, case["points"][place]["at_hex"]), strict=True))
    return {n: values[n] for n in case["wrt"]}, {n: values[n] for n in values if n not in case["wrt"]}


@cache
def lowered(name: str) -> Any:
    declared, symbols = formula(name)
    parameters = [symbols[n] for n in FORMULAE[name]["wrt"]]
    inputs = [symbol for symbol in symbols.values() if symbol not in parameters]
    return generate(risk_of_all(declared, inputs=inputs, targets=[], parameters=parameters, name="hard")).lowered


@pytest.mark.parametrize(("name", "place"), POINTS)
def test_value_and_gradient_are_right(name: str, place: int) -> None:
    case, (parameters, inputs) = FORMULAE[name], at(name, place)
    leaves = {"parameter": [*map(np.float64, parameters.values())], "input": [*map(np.float64, inputs.values())]}
    with np.errstate(all="ignore"):
        (value,) = output(lowered(name), "loss", DOUBLES, leaves)
        gradient = output(lowered(name), "gradient", DOUBLES, leaves)
    right = is_right_at(case["points"][place], float(value), [float(g) for g in gradient], case["tol_rel"])
    assert right == ((name, place) not in EXPANDED), (value, gradient)


@cache
def compiled() -> tuple[Any, dict[str, tuple[int, list[int], list[int]]]]:
    """All formulae in one module, and where each has its parameters and its inputs."""
    outputs, parameters, inputs, places = [], list[Any](), list[Any](), {}
    for number, (name, case) in enumerate(FORMULAE.items()):
        declared, symbols = formula(name)
        theta = [sp.Symbol(f"theta_{number}_{n}", real=True) for n in case["wrt"]]
        u = [sp.Symbol(f"u_{number}_{n}", real=True) for n in case["variables"]]
        stands_for = dict(zip(symbols, u, strict=True))
        moved = {symbols[n]: stands_for[n] for n in symbols}
        moved |= {symbols[n]: t + stands_for[n] for n, t in zip(case["wrt"], theta, strict=True)}
        outputs.append(declared.xreplace(moved))
        where = (
            number,
            [*range(len(parameters), len(parameters) + len(theta))],
            [*range(len(inputs), len(inputs) + len(u))],
        )
        places[name] = where
        parameters += theta
        inputs += u
    z, y = sp.MatrixSymbol("z", len(outputs), 1), sp.Symbol("y", real=True)
    loss = sg.Loss(sp.Add(*(z[k, 0] for k in range(len(outputs)))) - y, z, y)
    model = sg.Model(sp.Matrix(outputs), inputs, parameters)
    rest = penalty_of_the_rest(parameters, outputs)
    return sg.compile(sg.EmpiricalRisk(model, loss, penalty=rest, name="hard_cases")), places


def test_compiled_together_they_are_right_too() -> None:
    """All of level must and good: those of level stretch are other formulae, once SymPy distributes their sums."""
    module, places = compiled()
    rows = max(len(case["points"]) for case in FORMULAE.values())
    u = np.ones((rows, len([*module.INPUTS])))
    for name, (_, _, columns) in places.items():
        for place, point in enumerate(FORMULAE[name]["points"]):
            u[place, columns] = [*map(float.fromhex, point["at_hex"])]
    theta = np.zeros(module.N_PARAMETERS)
    values, gradients = module.predict(theta, u), module.per_sample_gradient(theta, u, np.zeros(rows))
    wrong, many = [], 0
    for name, (number, mine, _) in places.items():
        case = FORMULAE[name]
        for place, point in enumerate(case["points"]):
            if case["level"] != "stretch":
                many += 1
                if not is_right_at(point, values[place, number], gradients[place, mine], case["tol_rel"]):
                    wrong.append((name, place))
    assert many == 174
    assert wrong == []


@pytest.mark.parametrize("name", SUMS)
def test_sums_are_right(name: str) -> None:
    case = SUMS[name]
    theta, y = sp.symbols("theta y", real=True)
    data = case["data"]
    ys = np.concatenate([np.array(data.get("first", [])), np.tile(data["block"], data["times"])])
    risk = sg.EmpiricalRisk.from_expression(
        (theta - y) ** 2 / 2, inputs=[], targets=[y], parameters=[theta], name="mean"
    )
    (got,) = sg.compile(risk).gradient([case["theta"]], np.empty((len(ys), 0)), ys)
    assert is_right(got, case["exact_mean_grad"], case["tol_rel"])
