"""The derivation that `symgrad show` prints: its four steps, the risk's own formulae, and names of any kind."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import sympy as sp

from symgrad import gallery, losses
from symgrad.cli import main
from symgrad.declare import EmpiricalRisk, Loss, Model
from symgrad.explain import derivation
from symgrad.pipeline import generate
from tests.helpers.evaluate import operation_count

A, k, x, y, yhat, q = sp.symbols("A k x y yhat q")


def decay(penalty: sp.Expr | None = None) -> EmpiricalRisk:
    loss = Loss((yhat - y) ** 2 / 2, prediction=yhat, target=y)
    return EmpiricalRisk(Model(A * sp.exp(-k * x), [x], [A, k]), loss, penalty=penalty, name="decay")


def named(*names: str) -> EmpiricalRisk:
    """A risk whose parameters have these names."""
    parameters = [sp.Symbol(name) for name in names]
    total = sum((place + 1) * p for place, p in enumerate(parameters))
    return EmpiricalRisk.from_expression((total * x - y) ** 2, inputs=[x], targets=[y], parameters=parameters)


def text(risk: EmpiricalRisk) -> str:
    return derivation.text(risk, generate(risk).kernel)


def latex(risk: EmpiricalRisk) -> str:
    return derivation.latex(risk, generate(risk).kernel)


def test_the_text_has_the_four_steps_in_order() -> None:
    mean = "1/N * sum_{i=1..N} L(N_theta(u_i), y_i)"
    steps = (
        f"R(theta) = {mean}",
        "grad R(theta) = (dR/dA, dR/dk)",
        f"grad R(theta) = grad [{mean}]",
        "grad R(theta) = 1/N * sum_{i=1..N} grad L(N_theta(u_i), y_i)",
    )
    lines = text(decay()).splitlines()
    at = [lines.index(f"     {step}") for step in steps]
    assert at == sorted(at)
    assert [line[0] for line in lines if re.match(r"\d\. ", line)] == list("1234")


def test_the_text_has_this_risks_own_formulae_and_counts() -> None:
    kernel = generate(decay()).kernel
    shown = derivation.text(decay(), kernel)
    assert "parameters theta = (A, k)\ninputs         u = (x)\ntargets        y = (y)\n" in shown
    assert "     N_theta(u) = A*exp(-k*x)\n     L(yhat, y) = (-y + yhat)**2/2\n" in shown
    assert "     dL/dA      = (A*exp(-k*x) - y)*exp(-k*x)\n" in shown
    assert "     dL/dk      = -A*x*(A*exp(-k*x) - y)*exp(-k*x)\n" in shown
    ratio = operation_count(kernel.program, "loss", "gradient") / operation_count(kernel.program, "loss")
    told = " ".join(shown.splitlines()[-3:])
    loss, gradient = kernel.counts["loss"], kernel.counts["gradient"]
    assert f"takes {loss} operations for the loss, and {gradient} for the loss" in told
    assert f"takes {ratio:.1f} times" in told


def test_a_risk_without_a_model_has_none_in_its_derivation() -> None:
    likelihood = EmpiricalRisk.from_expression(q**2 * y, inputs=[], targets=[y], parameters=[q])
    assert "R(theta) = 1/N * sum_{i=1..N} L(theta; u_i, y_i)\n" in text(likelihood)
    assert "     L(theta; u, y) = q**2*y\n" in text(likelihood)
    assert "N_theta" not in text(likelihood) + latex(likelihood)


def test_a_penalty_goes_through_all_four_steps() -> None:
    risk = decay(penalty=A**2 + k**2)
    assert text(risk).count(" + penalty(theta)") == 2
    assert "grad L(N_theta(u_i), y_i) + grad penalty(theta)" in text(risk)
    assert "     penalty(theta) = A**2 + k**2\n" in text(risk)
    assert latex(risk).count(r" + P(\theta)") == 2
    assert r"+ \nabla P(\theta)" in latex(risk)
    assert r"P(\theta) &= A^{2} + k^{2}" in latex(risk)
    assert "penalty" not in text(decay())


W, u = sp.MatrixSymbol("W", 2, 3), sp.MatrixSymbol("u", 3, 1)
z, t = sp.MatrixSymbol("z", 2, 1), sp.MatrixSymbol("t", 2, 1)


def test_a_matrix_written_out_is_shown_by_its_elements() -> None:
    squares = (z[0, 0] - t[0, 0]) ** 2 + (z[1, 0] - t[1, 0]) ** 2
    risk = EmpiricalRisk(Model((W * u).as_explicit(), [u], [W]), Loss(squares, z, t))
    assert "(W[2x3])" in text(risk)
    assert "N_theta(u)[1] = W[1,0]*u[0,0] + W[1,1]*u[1,0] + W[1,2]*u[2,0]" in text(risk)
    assert "dR/dW[1,2])" in text(risk)
    assert r"N_\theta(u)_{1} &= {W}_{1,0} {u}_{0,0}" in latex(risk)


def layers() -> EmpiricalRisk:
    """A network whose matrices stay whole."""
    i, label = sp.Idx("i", 2), sp.Symbol("label", integer=True)
    b, V = sp.MatrixSymbol("b", 2, 1), sp.MatrixSymbol("V", 2, 2)
    loss = Loss(sp.log(sp.Sum(sp.exp(z[i, 0]), (i, 0, 1))) - z[label, 0], z, label)
    model = Model(V * (W * u + b).applyfunc(sp.tanh), [u], [W, b, V])
    return EmpiricalRisk(model, loss, penalty=sp.Trace(W.T * W), name="layers")


def test_whole_matrices_are_shown_by_their_deltas() -> None:
    assert derivation.formulae(layers()) == [
        "a_1               = W*u + b",
        "h_1               = tanh.(a_1)",
        "N_theta(u)        = V*h_1",
        "L(z, label)       = log(Sum(exp(z[i,0]), (i, 0, 1))) - z[label,0]",
        "z                 = N_theta",
        "penalty(theta)    = Trace(W.T*W)",
        "delta_2[j,0] = dL/dz[j,0] = exp(z[j,0])/Sum(exp(z[i,0]), (i, 0, 1)) - [j = label]",
        "dL/dV             = delta_2*h_1.T",
        "delta_1 = dL/da_1 = (V.T*delta_2) .* tanh'.(a_1)",
        "dL/dW             = delta_1*u.T",
        "dL/db             = delta_1",
        "dpenalty/dW       = 2*W",
        "tanh'(x)          = 1 - tanh(x)**2",
    ]
    shown = derivation.text(layers(), generate(decay()).kernel)
    assert "     grad R(theta) = (dR/dW, dR/db, dR/dV)\n" in shown
    assert "\nA dot makes a function or an operation elementwise;" in shown
    assert "too long" not in shown


def test_whole_matrices_in_latex() -> None:
    source = derivation.latex(layers(), generate(decay()).kernel)
    assert balanced(source)
    assert r"h_{1} &= \tanh\left(a_{1}\right) \\" in source
    assert (
        r"L(z, \mathrm{label}) &= \log{\left(\sum_{i=0}^{1} e^{{z}_{i,0}} \right)} - {z}_{\mathrm{label},0} \\"
        in source
    )
    assert r"{\delta_{2}}_{j,0} = \frac{\partial L}{\partial {z}_{j,0}} &= " in source
    assert r"- \left[j = \mathrm{label}\right] \\" in source
    delta = r"\left({V}^{T} \delta_{2}\right) \circ \tanh'\left(a_{1}\right)"
    assert rf"\delta_{{1}} = \frac{{\partial L}}{{\partial a_{{1}}}} &= {delta} \\" in source
    assert r"\frac{\partial L}{\partial W} &= \delta_{1} {u}^{T} \\" in source
    assert r"\frac{\partial P}{\partial W} &= 2 W \\" in source
    assert r"\tanh'\left(x\right) &= 1 - \tanh^{2}{\left(x \right)}" in source


def test_what_is_left_open_in_a_network_is_said_to_be() -> None:
    open_ended = Model(W.T * (z * z.T) ** 4 * t, [t], [W, z])
    m = sp.MatrixSymbol("m", 3, 1)
    risk = EmpiricalRisk(open_ended, Loss(m.T * m, m, None))
    shown = derivation.text(risk, generate(decay()).kernel)
    assert re.search(r"dL/dW += \(z\*z.T\)\*\*4\*t\*delta_1.T", shown)
    assert re.search(r"dL/dz += \.\.\.", shown)
    assert "too long to be read here; --source" in shown


def test_what_is_too_long_to_read_is_left_out_and_said_to_be() -> None:
    deep = q
    for _ in range(3_000):
        deep = sp.sin(deep, evaluate=False)
    risk = EmpiricalRisk.from_expression(deep, inputs=[], targets=[], parameters=[q])
    shown = text(risk)
    assert "L(theta; u, y) = ..." in shown
    assert "too long to be read here; --source" in shown
    assert r"&= \dots" in latex(risk)
    many = named(*(f"p{i}" for i in range(500)))
    assert "(dR/dp0, dR/dp1, dR/dp2, dR/dp3, dR/dp4, dR/dp5, ..., dR/dp499)" in text(many)
    assert "too long" not in text(decay())
    assert "too long" not in latex(decay())


NAMES = {
    "lambda": ("lambda", r"\lambda"),
    "x'": ("x'", "{x}'"),
    r"\alpha": (r"\alpha", r"\alpha"),
    "λ": ("λ", r"\lambda"),
    "beta_12": ("beta_12", r"\beta_{12}"),
    "double": ("double", r"\mathrm{double}"),
    "a b": ("'a b'", r"\text{a b}"),
    "100%": ("'100%'", r"\text{100\%}"),
    "a__b": ("a__b", r"\text{a\_\_b}"),
    "_": ("_", r"\text{\_}"),
    "'": ('"\'"', r"\text{'}"),
    "}{": ("'}{'", r"\text{\}\{}"),
    "new\nline": (r"'new\nline'", r"\text{newU+000Aline}"),
    r"\input{x}": (r"'\\input{x}'", r"\text{\textbackslash{}input\{x\}}"),
    r"\input": (r"\input", r"\text{\textbackslash{}input}"),
    "☃": (r"'\u2603'", r"\text{U+2603}"),
    "\x1b[31m": (r"'\x1b[31m'", r"\text{U+001B[31m}"),
    "...more": ("'...more'", r"\text{...more}"),
}


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_names_of_any_kind_are_shown_and_escaped(name: str) -> None:
    plain, escaped = NAMES[name]
    assert f"(dR/d{plain}, dR/dp)" in text(named(name, "p"))
    assert rf"\frac{{\partial R}}{{\partial {escaped}}}, " in latex(named(name, "p"))


def balanced(source: str) -> bool:
    """Braces, \\left and \\right, \\begin and \\end: each closes what was opened last."""
    opened = []
    for token in re.findall(r"\\begin\{[a-z*]+\}|\\end\{[a-z*]+\}|\\left\b|\\right\b|\\.|[{}]", source):
        if token == "{" or token == r"\left" or token.startswith(r"\begin"):
            opened.append(token.replace("begin", "end"))
        elif token in ("}", r"\right") or token.startswith(r"\end"):
            opener = {"}": "{", r"\right": r"\left"}.get(token, token)
            if not opened or opened.pop() != opener:
                return False
    return not opened


def test_the_test_of_balance_sees_what_is_not() -> None:
    assert balanced(r"\begin{a} \left( x^{2} \{ \right) \end{a}")
    for broken in ("{", "}", r"\begin{a}{\end{a}}", r"\left( {x \right)}", r"\begin{a}\end{b}"):
        assert not balanced(broken)


@pytest.mark.parametrize("name", gallery.names())
def test_the_latex_of_the_gallery_is_whole(name: str) -> None:
    source = latex(gallery.load(name).risk)
    assert balanced(source)
    assert source.isascii()
    assert source.count(r"\begin{align*}") == 2
    for body in re.findall(r"\\begin\{align\*\}\n(.*?)\n\\end\{align\*\}", source, re.DOTALL):
        *most, last = body.split("\n")
        assert all(line.endswith(r" \\") for line in most)
        assert not last.endswith("\\")
        assert body.strip() == body.strip().replace("\n\n", "\n")  # an empty line ends a formula too soon


def test_every_odd_name_leaves_the_latex_whole() -> None:
    source = latex(named(*NAMES))
    assert balanced(source)
    assert source.isascii()
    words = set(re.findall(r"\\[A-Za-z]+", source))
    assert r"\input" not in words


def test_ready_made_losses_are_shown() -> None:
    risk = EmpiricalRisk(Model(q * x, [x], [q]), losses.huber(1.5), name="robust")
    assert "L(prediction, target) = Piecewise(" in text(risk)
    assert r"\begin{cases}" in latex(risk)


def test_formulae_are_those_of_the_text() -> None:
    assert derivation.formulae(decay()) == [
        "N_theta(u) = A*exp(-k*x)",
        "L(yhat, y) = (-y + yhat)**2/2",
        "dL/dA      = (A*exp(-k*x) - y)*exp(-k*x)",
        "dL/dk      = -A*x*(A*exp(-k*x) - y)*exp(-k*x)",
    ]


# --- the command ---------------------------------------------------------------------------------------------------

DECAY = """
import sympy as sp
import symgrad as sg

x, y, A, k, yhat = sp.symbols("x y A k yhat")
model = sg.Model(A * sp.exp(-k * x), inputs=[x], parameters=[A, k])
loss = sg.Loss((yhat - y) ** 2 / 2, prediction=yhat, target=y)
decay = sg.EmpiricalRisk(model, loss, name="decay")
"""


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "decay.py").write_text(DECAY, encoding="utf-8")
    return tmp_path / "decay.py"


@pytest.mark.usefixtures("source")
def test_show_has_four_forms(capsys: pytest.CaptureFixture[str]) -> None:
    def run(line: str) -> str:
        assert main(line.split()) == 0
        return capsys.readouterr().out

    assert "4. A derivative is linear" in run("show decay.py")
    assert r"\begin{align*}" in run("show decay.py --latex")
    program = run("show decay.py --program")
    for part in ("v0 = parameter(0)", "loss <- ", "gradient <- ", "gradients, for each of"):
        assert part in program
    assert run("show decay.py --source") == generate(decay()).source


@pytest.mark.usefixtures("source")
@pytest.mark.parametrize("form", [[], ["--source"]], ids=["less than a buffer", "more"])
def test_a_reader_that_has_had_enough_is_no_error(form: list[str]) -> None:
    command = [sys.executable, "-m", "symgrad.cli", "show", "decay.py", *form]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")


def test_names_beyond_the_terminals_alphabet_do_not_stop_it(source: Path) -> None:
    source.write_text(DECAY.replace('"x y A k yhat"', '"x y A λ yhat"'), encoding="utf-8")
    command = [sys.executable, "-m", "symgrad.cli", "show", "decay.py"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert r"parameters theta = (A, \u03bb)" in done.stdout
