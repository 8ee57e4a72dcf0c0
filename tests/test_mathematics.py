"""The mathematics in a module's header: true, short, and printable ASCII whatever the names are."""

import pytest
import sympy as sp

from symgrad import gallery
from symgrad.mathematics import equations, header
from symgrad.problem import EmpiricalRisk, Loss, Model

a, b, u, v, y = sp.symbols("a b u v y", real=True)
NAMES = [r"\alpha", "x'", "ü", 'x; system("id") //', '"""', "\n", "{{7*7}}", "*/", "\\", "'", "\x00", "a" * 400]


def risk_of(expression: sp.Expr, parameters: tuple[sp.Symbol, ...] = (a, b), **more: object) -> EmpiricalRisk:
    return EmpiricalRisk.from_expression(expression, inputs=[u], targets=[y], parameters=parameters, **more)


@pytest.mark.parametrize("risk", gallery.RISKS, ids=gallery.names())
def test_the_header_is_short_ascii_and_says_the_sum_rule(risk: EmpiricalRisk) -> None:
    lines = header(risk)
    assert all(line.isascii() and (line.isprintable() or not line) and len(line) <= 116 for line in lines)
    assert lines[0].startswith("R(theta)      = 1/N * sum_i L_i(theta)")
    assert lines[1].startswith("grad R(theta) = 1/N * sum_i grad L_i(theta)")
    assert any(line.startswith("In the code p0 is ") for line in lines)


@pytest.mark.parametrize("risk", gallery.RISKS, ids=gallery.names())
def test_the_partial_derivatives_shown_are_the_losss(risk: EmpiricalRisk) -> None:
    shown = {str(name.variables[0]): e for name, e in equations(risk) if isinstance(name, sp.Derivative)}
    loss = risk.loss.xreplace(dict(zip(risk.predictions, risk.outputs, strict=True)))
    values = {s: sp.Rational(k + 5, 7) for k, s in enumerate((*risk.parameters, *risk.inputs, *risk.targets))}
    for parameter in risk.parameters:
        if shown.get(str(parameter), sp.Symbol("...")) != sp.Symbol("..."):
            assert not shown[str(parameter)].has(sp.Derivative, sp.Subs), f"dL/d{parameter} is not worked out"
            point, step = values[parameter], sp.Rational(1, 10**20)
            ends = [loss.xreplace({**values, parameter: point + sign * step}).evalf(60) for sign in (1, -1)]
            slope = (ends[0] - ends[1]) / (2 * step)
            assert abs(slope - shown[str(parameter)].xreplace(values).evalf(60)) < sp.Float("1e-12") * (1 + abs(slope))


def test_odd_names_are_shown_by_their_place() -> None:
    symbols = tuple(sp.Symbol(name) for name in NAMES)
    text = "\n".join(header(risk_of(sum(s * u for s in symbols) - y, symbols)))
    assert text.replace("\n", "").isascii()
    assert text.replace("\n", "").isprintable()
    assert not any(bad in text for bad in ('"', "\\", "{", "}", ";", "system", "alpha", "'", "#"))
    assert "u*p_3" in text or "p_3*u" in text


def test_an_index_and_a_dummy_have_harmless_names() -> None:
    i, d = sp.Idx('i"""', 3), sp.Dummy('d"""')
    w = sp.MatrixSymbol('W"""', 3, 1)
    risk = EmpiricalRisk.from_expression(sp.Sum(w[i, 0] * u, (i, 0, 2)) * d, inputs=[u], targets=[], parameters=[w, d])
    assert '"' not in "\n".join(header(risk))


def test_what_is_too_large_to_read_is_left_out() -> None:
    deep = a
    for step in range(10_000):
        deep = sp.sin(deep, evaluate=False) if step % 2 else sp.Add(deep, u, evaluate=False)
    assert any("L = ..." in line for line in header(risk_of(deep)))
    shared = a
    for _ in range(60):  # 2**60 nodes as a tree
        shared = sp.Add(shared, sp.Mul(shared, u, evaluate=False), evaluate=False)
    assert len(header(risk_of(shared))) < 12
    many = sp.symbols("p:40")
    assert not any("dL/d" in line for line in header(risk_of(sum(many) * u, many)))


def test_the_penalty_stands_beside_the_mean() -> None:
    lines = header(risk_of(a * u - b, penalty=a**2))
    assert lines[0].endswith("+ penalty(theta)")
    assert lines[1].endswith("+ grad penalty(theta)")
    assert "penalty = a**2" in lines


def test_a_class_labels_derivative_is_not_shown_wrong() -> None:
    """z[label, 0] is a choice among the outputs: what is shown must count it, or not be shown."""
    z, label, i = sp.MatrixSymbol("z", 2, 1), sp.Symbol("label", integer=True), sp.Idx("i", 2)
    loss = Loss(sp.log(sp.Sum(sp.exp(z[i, 0]), (i, 0, 1))) - z[label, 0], z, label)
    lines = header(EmpiricalRisk(Model(sp.Matrix([a * u, b * u]), [u], [a, b]), loss))
    for line in lines:
        assert not line.startswith("dL/d") or line.split(" = ")[1] != "0"


@pytest.mark.parametrize("expression", [sp.floor(a * u) * b, sp.Mod(b, a) * u, sp.sign(a * u) + b, sp.ceiling(a) * b])
def test_no_derivative_is_shown_undone(expression: sp.Expr) -> None:
    """SymPy leaves the derivative of a floor undone; symgrad's is 0."""
    text = "\n".join(header(risk_of(expression)))
    assert "Subs" not in text
    assert "DiracDelta" not in text
    assert text.count("dL/d") <= 2
