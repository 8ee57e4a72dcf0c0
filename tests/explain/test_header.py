"""The mathematics in a module's header: true, short, and printable ASCII whatever the names are."""

import itertools
import re
import time

import pytest
import sympy as sp

from symgrad import gallery
from symgrad.declare import EmpiricalRisk, Loss, Model, leaf_of, leaves, n_leaves
from symgrad.explain import header_lines, parameter_names
from symgrad.explain.equations import account_of
from symgrad.explain.layers import has_matrices
from tests.helpers.declaring import used_of

a, b, u, v, y = sp.symbols("a b u v y", real=True)
NAMES = [r"\alpha", "x'", "ü", 'x; system("id") //', '"""', "\n", "{{7*7}}", "*/", "\\", "'", "\x00", "a" * 400]


def risk_of(expression: sp.Expr, parameters: tuple[sp.Symbol, ...] = (a, b), **more: object) -> EmpiricalRisk:
    parameters = tuple(used_of(parameters, expression, *more.values()))
    return EmpiricalRisk.from_expression(expression, inputs=[u], targets=[y], parameters=parameters, **more)


@pytest.mark.parametrize("risk", gallery.RISKS, ids=gallery.names())
def test_the_header_is_short_ascii_and_says_the_sum_rule(risk: EmpiricalRisk) -> None:
    lines = header_lines(risk)
    assert all(line.isascii() and (line.isprintable() or not line) and len(line) <= 116 for line in lines)
    assert lines[0].startswith("R(theta)      = 1/N * sum_i L_i(theta)")
    assert lines[1].startswith("grad R(theta) = 1/N * sum_i grad L_i(theta)")
    assert any(re.match(r"In the code p0(\.\.p\d+)? is ", line) for line in lines)


@pytest.mark.parametrize("risk", [risk for risk in gallery.RISKS if not has_matrices(risk)], ids=lambda risk: risk.name)
def test_the_partial_derivatives_shown_are_the_losss(risk: EmpiricalRisk) -> None:
    partials = [line for line in account_of(risk).lines if isinstance(line.left[-1], sp.Derivative)]
    shown = {str(line.left[-1].variables[0]): line.right for line in partials}
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
    text = "\n".join(header_lines(risk_of(sum(s * u for s in symbols) - y, symbols)))
    assert text.replace("\n", "").isascii()
    assert text.replace("\n", "").isprintable()
    assert not any(bad in text for bad in ('"', "\\", "{", "}", ";", "system", "alpha", "'", "#"))
    assert "u*p_3" in text or "p_3*u" in text


def test_an_index_and_a_dummy_have_harmless_names() -> None:
    i, d = sp.Idx('i"""', 3), sp.Dummy('d"""')
    w = sp.MatrixSymbol('W"""', 3, 1)
    risk = EmpiricalRisk.from_expression(sp.Sum(w[i, 0] * u, (i, 0, 2)) * d, inputs=[u], targets=[], parameters=[w, d])
    assert '"' not in "\n".join(header_lines(risk))


def test_what_is_too_large_to_read_is_left_out() -> None:
    deep = a
    for step in range(10_000):
        deep = sp.sin(deep, evaluate=False) if step % 2 else sp.Add(deep, u, evaluate=False)
    assert any("L = ..." in line for line in header_lines(risk_of(deep)))
    shared = a
    for _ in range(60):  # 2**60 nodes as a tree
        shared = sp.Add(shared, sp.Mul(shared, u, evaluate=False), evaluate=False)
    assert len(header_lines(risk_of(shared))) < 12
    many = sp.symbols("p:40")
    assert not any("dL/d" in line for line in header_lines(risk_of(sum(many) * u, many)))


def test_the_penalty_stands_beside_the_mean() -> None:
    lines = header_lines(risk_of(a * u - b, penalty=a**2))
    assert lines[0].endswith("+ penalty(theta)")
    assert lines[1].endswith("+ grad penalty(theta)")
    assert "penalty = a**2" in lines


def test_a_class_labels_derivative_is_not_shown_wrong() -> None:
    """z[label, 0] is a choice among the outputs: what is shown must count it, or not be shown."""
    z, label, i = sp.MatrixSymbol("z", 2, 1), sp.Symbol("label", integer=True), sp.Idx("i", 2)
    loss = Loss(sp.log(sp.Sum(sp.exp(z[i, 0]), (i, 0, 1))) - z[label, 0], z, label)
    lines = header_lines(EmpiricalRisk(Model(sp.Matrix([a * u, b * u]), [u], [a, b]), loss))
    for line in lines:
        assert not line.startswith("dL/d") or line.split(" = ")[1] != "0"


@pytest.mark.parametrize("expression", [sp.floor(a * u) * b, sp.Mod(b, a) * u, sp.sign(a * u) + b, sp.ceiling(a) * b])
def test_no_derivative_is_shown_undone(expression: sp.Expr) -> None:
    """SymPy leaves the derivative of a floor undone; symgrad's is 0."""
    text = "\n".join(header_lines(risk_of(expression)))
    assert "Subs" not in text
    assert "DiracDelta" not in text
    assert text.count("dL/d") <= 2


# --- matrices ------------------------------------------------------------------------------------------------------


def digits(*sizes: int) -> EmpiricalRisk:
    """A classifier with tanh between layers of these sizes, and softmax cross-entropy."""
    u, label = sp.MatrixSymbol("u", sizes[0], 1), sp.Symbol("label", integer=True)
    parameters, value = [], u
    for place, (columns, rows) in enumerate(itertools.pairwise(sizes), 1):
        value = value if place == 1 else value.applyfunc(sp.tanh)
        parameters += [sp.MatrixSymbol(f"W{place}", rows, columns), sp.MatrixSymbol(f"b{place}", rows, 1)]
        value = parameters[-2] * value + parameters[-1]
    z, i = sp.MatrixSymbol("z", sizes[-1], 1), sp.Idx("i", sizes[-1])
    loss = sp.log(sp.Sum(sp.exp(z[i, 0]), (i, 0, sizes[-1] - 1))) - z[label, 0]
    return EmpiricalRisk(Model(value, [u], parameters), Loss(loss, z, label), name="digits")


def test_a_network_is_shown_by_its_deltas() -> None:
    assert header_lines(digits(64, 32, 10)) == (
        "R(theta)      = 1/N * sum_i L_i(theta)",
        "grad R(theta) = 1/N * sum_i grad L_i(theta)",
        "",
        "a_1 = W1*u + b1",
        "h_1 = tanh.(a_1)",
        "N_theta = W2*h_1 + b2",
        "L = log(Sum(exp(z[i, 0]), (i, 0, 9))) - z[label, 0]",
        "z = N_theta",
        "delta_2[j, 0] = dL/dz[j, 0] = exp(z[j, 0])/Sum(exp(z[i, 0]), (i, 0, 9)) - [j = label]",
        "dL/dW2 = delta_2*h_1.T",
        "dL/db2 = delta_2",
        "delta_1 = dL/da_1 = (W2.T*delta_2) .* tanh'.(a_1)",
        "dL/dW1 = delta_1*u.T",
        "dL/db1 = delta_1",
        "tanh'(x) = 1 - tanh(x)**2",
        "A dot makes a function or an operation elementwise; [i = j] is 1 where it holds, else 0.",
        "",
        "In the code p0..p2047 is W1 (32 x 64), p2048..p2079 is b1 (32 x 1), p2080..p2399 is W2 (10 x 32), "
        "p2400..p2409",
        "is b2 (10 x 1), u0..u63 is u (64 x 1), y0 is label.",
    )


def test_wide_and_deep_networks_are_described_as_fast_and_briefly() -> None:
    started = time.perf_counter()
    wide = header_lines(digits(784, 512, 512, 10))
    count = n_leaves(digits(784, 512, 512, 10).parameters)
    names = parameter_names(digits(784, 512, 512, 10), [785, count - 1])
    assert time.perf_counter() - started < 1
    assert count == 784 * 512 + 512 + 512 * 512 + 512 + 512 * 10 + 10
    assert names == ("W1[1, 1]", "b3[9, 0]")
    assert "delta_2 = dL/da_2 = (W3.T*delta_3) .* tanh'.(a_2)" in wide
    deep = header_lines(digits(*[8] * 31))
    assert "..." in deep
    assert len(deep) < 90


def test_no_name_is_given_that_is_not_needed() -> None:
    W, b = sp.MatrixSymbol("W", 3, 3), sp.MatrixSymbol("b", 3, 1)
    p, y = sp.MatrixSymbol("p", 3, 1), sp.MatrixSymbol("y", 3, 1)
    lines = header_lines(EmpiricalRisk(Model((W * b).applyfunc(sp.exp), [], [W, b]), Loss(sp.Trace(p * y.T), p, y)))
    assert "delta_1 = dL/da_1 = y .* exp.(a_1)" in lines  # and not first delta_2 = dL/dp = y
    lines = header_lines(EmpiricalRisk.from_expression((W * b - y).T * b, inputs=[], targets=[y], parameters=[W, b]))
    assert "L = (W*b - y).T*b" in lines


def test_expressions_too_deep_to_be_worked_on_are_left_out() -> None:
    W, u = sp.MatrixSymbol("W", 3, 3), sp.MatrixSymbol("u", 3, 1)
    deep = sp.Trace(u.T * W * u)
    for _ in range(10_000):
        deep = sp.sin(deep, evaluate=False)
    shared = sp.Trace(u.T * W * u)
    for _ in range(20):  # 2**20 nodes as a tree
        shared = sp.Add(shared, sp.Mul(shared, sp.Trace(W), evaluate=False), evaluate=False)
    for expression in (deep, shared):
        lines = header_lines(EmpiricalRisk.from_expression(expression, inputs=[u], targets=[], parameters=[W]))
        assert "L = ..." in lines
        assert not any("dL/d" in line for line in lines)


def test_names_of_matrices_that_are_not_plain_are_positional() -> None:
    W, u, z = sp.MatrixSymbol('W"""', 2, 3), sp.MatrixSymbol("ü", 3, 1), sp.MatrixSymbol("\n", 2, 1)
    t = sp.MatrixSymbol("{{7*7}}", 2, 1)
    risk = EmpiricalRisk(Model((W * u).applyfunc(sp.tanh), [u], [W]), Loss((z - t).T * (z - t), z, t))
    lines = header_lines(risk)
    assert "a_1 = p_0*u_0" in lines
    assert "L = (z_0 - y_0).T*(z_0 - y_0)" in lines
    assert "dL/dp_0 = delta_1*u_0.T" in lines
    assert all((line.isascii() and line.isprintable()) or not line for line in lines)
    assert not any(bad in "".join(lines) for bad in ('"', "\\", "{", "}"))


def test_every_parameter_has_a_name_and_no_place_beyond_has_one() -> None:
    W, s = sp.MatrixSymbol("W", 2, 3), sp.Symbol("s")
    risk = risk_of(W[0, 0] * u * s * W[1, 2] * a, (s, W, a))
    names = ("s", *(f"W[{i}, {j}]" for i in range(2) for j in range(3)), "a")
    assert parameter_names(risk, range(8)) == names
    assert [parameter_names(risk, [place]) for place in range(8)] == [(name,) for name in names]
    assert parameter_names(risk, (2, 1)) == ("W[0, 1]", "W[0, 0]")
    assert list(leaves(s, W, a)) == [leaf_of((s, W, a), place) for place in range(8)]
    for beyond in (8, -1, -9):
        with pytest.raises(IndexError, match="expected a whole number from 0 to 7"):
            parameter_names(risk, [beyond])


def test_a_matrix_written_out_keeps_its_elements() -> None:
    W, z = sp.MatrixSymbol("W", 2, 1), sp.MatrixSymbol("z", 2, 1)
    model = Model(sp.Matrix([W[0, 0] * u, W[1, 0] * u]), [u], [W])
    assert "dL/dW[1, 0] = 2*u**2*W[1, 0]" in header_lines(EmpiricalRisk(model, Loss(z[0, 0] + z[1, 0] ** 2, z, None)))
    whole = header_lines(EmpiricalRisk(model, Loss(z.T * z, z, None)))
    assert "N_theta[1] = u*W[1, 0]" in whole
    assert not any(line.startswith("dL/d") for line in whole)
