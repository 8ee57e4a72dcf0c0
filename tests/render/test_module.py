"""Kernel -> source: what the templates are given, that they take nothing else, and that names stay harmless."""

import ast
import re
from collections.abc import Iterator
from importlib.metadata import requires, version
from typing import Any

import jinja2
import jinja2.meta
import pytest
import sympy as sp

from symgrad import functions, gallery, pipeline
from symgrad.declare import EmpiricalRisk, Loss, Model
from symgrad.pipeline import generate
from symgrad.render import Interface, render, render_sweep
from symgrad.render import environment as templates
from symgrad.render.environment import environment
from symgrad.render.module import context
from symgrad.schedule import Kernel

NAMES = ["lambda", "double", r"\alpha", "x'", "ü", 'x; system("id") //', '"""', "\n", "{{7*7}}", "{% raw %}", "*/"]
NAMES += ["a  b", "\\", "'", "\x00", "#", "'''", "%s", "two words", "\t", "\u2028", "__import__('os')"]
a, b, u, y = sp.symbols("a b u y", real=True)


def named(names: list[str]) -> EmpiricalRisk:
    parameters = [sp.Symbol(name) for name in names]
    loss = (sum(sp.sin(k * p * u) for k, p in enumerate(parameters, 1)) - y) ** 2
    return EmpiricalRisk.from_expression(loss, inputs=[u], targets=[y], parameters=parameters, name="named")


z = sp.Symbol("z", real=True)
SPECIAL = EmpiricalRisk(
    Model(sp.loggamma(sp.exp(a) * u) + sp.polygamma(1, sp.exp(b)), [u], [a, b]),
    Loss(z - y, z, y),
    penalty=a**2,
    name="special",
)
ELEMENTS = EmpiricalRisk(
    Model(sp.Matrix([a, a * u]), [u], [a]),
    Loss(sp.MatrixSymbol("z", 2, 1)[0, 0] ** 2 - sp.MatrixSymbol("z", 2, 1)[1, 0], sp.MatrixSymbol("z", 2, 1), None),
)
# Something for every branch of the templates: products of all kinds, copies, sums over a tile, conditions, the
# greatest element, elements of a parameter that nothing depends on, and a special function.
W, V, B = (sp.MatrixSymbol(name, *shape) for name, shape in (("W", (3, 4)), ("V", (2, 3)), ("B", (3, 3))))
unused = sp.MatrixSymbol("unused", 2, 2)
x, X, h, i = sp.MatrixSymbol("x", 4, 1), sp.MatrixSymbol("X", 3, 3), sp.MatrixSymbol("h", 2, 1), sp.Idx("i", 3)
_t = sp.Symbol("_t", real=True)
_kinked = (W * x).applyfunc(sp.Lambda(_t, sp.Piecewise((_t**2, _t > a), (sp.exp(_t), True))))
_joined = sp.BlockMatrix([[h, h], [h, h]]).applyfunc(sp.sin)
MATRICES = EmpiricalRisk(
    Model(V * _kinked, [x, X, u], [W, V, B, a, unused]),
    Loss(sp.Trace(_joined.T * _joined) * sp.loggamma(sp.exp(y)) + functions.logsumexp(y, h[0, 0]), h, y),
    penalty=sp.Trace(B * B * B.T.applyfunc(sp.tanh)) + unused[0, 1] + functions.maximum(W[i, 0] * W[i, 1], (i, 0, 2)),
    name="matrices",
)
MORE = EmpiricalRisk.from_expression(
    sp.Trace(X * B * X.T * X)
    + sp.polygamma(1, sp.exp(a * u))
    + sp.Trace(B * B) * functions.maximum(X[i, 1], (i, 0, 2)),
    inputs=[X, u],
    targets=[],
    parameters=[B, a],
    penalty=sp.Trace(B * B * B),
    name="more",
)
_weights, _features = sp.symbols("w:9", real=True), sp.symbols("f:9", real=True)
LINEAR = EmpiricalRisk.from_expression(
    (sp.Add(*(p * q for p, q in zip(_weights, _features, strict=True))) + sp.sin(a * u) - y) ** 2,
    inputs=[u, *_features],
    targets=[y],
    parameters=[*_weights, a],
    name="linear",
)
RISKS = [*gallery.RISKS, SPECIAL, ELEMENTS, MATRICES, MORE, LINEAR, named(NAMES)]


def interface_of(risk: EmpiricalRisk) -> tuple[Interface, Kernel]:
    kernel = generate(risk).kernel
    return pipeline._interface(risk, kernel), kernel


def keys_of(risk: EmpiricalRisk, dtype: str = "float64") -> dict[str, Any]:
    return context(*interface_of(risk), dtype, ("a stable form",))


def parts(value: Any) -> Iterator[dict[str, Any]]:
    """The dictionaries in a value of the context."""
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else ():
        yield from parts(part)


def used_by(names: list[str]) -> tuple[set[str], set[str]]:
    """The variables that templates ask for, and the attributes of these."""
    used: set[str] = set()
    inside: set[str] = set()
    for name in names:
        assert environment().loader is not None
        tree = environment().parse(environment().loader.get_source(environment(), name)[0])  # type: ignore[union-attr]
        used |= jinja2.meta.find_undeclared_variables(tree)
        inside |= {node.attr for node in tree.find_all(jinja2.nodes.Getattr)}
    return used, inside


NAMES_OF_TEMPLATES = environment().list_templates(extensions=["jinja"])
OF_THE_SWEEP = [name for name in NAMES_OF_TEMPLATES if name.startswith("sweep/")]
OF_A_MODEL = [name for name in NAMES_OF_TEMPLATES if name not in OF_THE_SWEEP]


def test_the_keys_supplied_are_exactly_the_keys_used() -> None:
    assert OF_A_MODEL == ["lanes.pyx.jinja", "model.pyx.jinja"]
    used, inside = used_by(OF_A_MODEL)
    contexts = [keys_of(risk) for risk in (SPECIAL, MATRICES, MORE, LINEAR)]
    for keys in contexts:
        assert used - {"function"} == set(keys)  # the loop in model.pyx.jinja binds `function` for lanes.pyx.jinja
        assert len(keys) <= 25
    supplied = {key for keys in contexts for value in keys.values() for part in parts(value) for key in part}
    assert inside == supplied


def test_the_sweep_depends_on_the_dtype_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets four numbers and words that follow from it, and needs each."""
    supplied: list[dict[str, Any]] = []

    class Watching:
        def get_template(self, name: str) -> "Watching":
            assert name == "sweep/sweep.pyx.jinja"
            return self

        def render(self, **keys: Any) -> str:
            supplied.append(keys)
            return environment().get_template("sweep/sweep.pyx.jinja").render(**keys)

    monkeypatch.setattr(templates, "environment", Watching)
    texts = {render_sweep(dtype) for dtype in ("float64", "float32")}
    assert len(texts) == 2
    used, inside = used_by(OF_THE_SWEEP)
    assert used == {"dtype", "real", "shrink_exponent", "least_exponent"}
    assert inside <= {"first", "last", "index0"}  # of the loops that write code for registers
    assert [set(keys) for keys in supplied] == [used, used]
    for missing in used:
        keys = {name: value for name, value in supplied[0].items() if name != missing}
        with pytest.raises(jinja2.UndefinedError, match=missing):
            environment().get_template("sweep/sweep.pyx.jinja").render(**keys)


def test_the_templates_of_a_model_are_small() -> None:
    """What does not depend on a risk is in the sweep."""
    loader = environment().loader
    assert loader is not None
    lines = {name: loader.get_source(environment(), name)[0].count("\n") for name in NAMES_OF_TEMPLATES}
    assert sum(lines[name] for name in OF_A_MODEL) <= 120
    assert max(lines.values()) <= 250


RICH = [keys_of(MATRICES), keys_of(MORE), keys_of(LINEAR)]


@pytest.mark.parametrize("key", sorted(RICH[0]))
def test_a_key_that_is_missing_is_an_error(key: str) -> None:
    """In one of three modules that have something for every branch: a default would hide it."""
    missing = []
    for keys in RICH:
        without = {name: value for name, value in keys.items() if name != key}
        try:
            environment().get_template("model.pyx.jinja").render(without)
        except jinja2.UndefinedError as error:
            missing.append(key in str(error))
    assert missing
    assert all(missing)


WITH_PARTS = {
    key: keys
    for keys in (RICH[1], RICH[2], RICH[0])
    for key, value in keys.items()
    if next(parts(value), None) is not None
}


@pytest.mark.parametrize("place", WITH_PARTS)
def test_a_key_of_a_part_that_is_missing_is_an_error(place: str) -> None:
    keys = WITH_PARTS[place]
    names = {name for part in parts(keys[place]) for name in part}
    for name in names:
        with pytest.raises(jinja2.UndefinedError, match=name):
            environment().get_template("model.pyx.jinja").render({**keys, place: without(keys[place], name)})


def without(value: Any, name: str) -> Any:
    """The value, and nowhere in it that key."""
    if isinstance(value, dict):
        return {key: without(part, name) for key, part in value.items() if key != name}
    return tuple(without(part, name) for part in value) if isinstance(value, tuple) else value


def plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(plain, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) and plain(part) for key, part in value.items())
    return type(value) in (str, int, bool)


@pytest.mark.parametrize("risk", RISKS, ids=lambda risk: risk.name)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_templates_receive_strings_integers_booleans_and_tuples(risk: EmpiricalRisk, dtype: str) -> None:
    assert [key for key, value in keys_of(risk, dtype).items() if not plain(value)] == []


@pytest.mark.parametrize("risk", RISKS, ids=lambda risk: risk.name)
def test_the_same_risk_gives_the_same_bytes(risk: EmpiricalRisk) -> None:
    first, second = (render(*interface_of(risk), "float64") for _ in range(2))
    assert first == second
    assert first.isascii()
    assert "\t" not in first
    code = first[first.index("\ncdef enum:") :]  # behind the C text that is taken over as it is
    assert {(len(line) - len(line.lstrip())) % 4 for line in code.splitlines()} == {0}
    assert [line for line in first.splitlines() if line != line.rstrip()] == []
    assert first.endswith("\n")
    assert not first.endswith("\n\n")


def declared(source: str, name: str) -> Any:
    """The value of a module-level tuple, read with Python's own parser."""
    text = re.search(rf"^{name} = (\(.*?\))\n(?=[A-Z_]+ = |\n)", source, re.MULTILINE | re.DOTALL)
    assert text is not None
    return ast.literal_eval(text[1])


LONG = [f"learning rate of layer {k}" for k in range(12)]


@pytest.mark.parametrize("names", [NAMES, ["x"], LONG[:2], LONG, ["a" * 300, "b c"]])
def test_names_read_back_as_they_were_declared(names: list[str]) -> None:
    source = generate(named(names)).source
    assert declared(source, "PARAMETERS") == tuple((name, ()) for name in names)
    assert declared(source, "INPUTS") == (("u", ()),)


def test_odd_names_stand_in_escaped_literals_alone() -> None:
    source = generate(named(NAMES)).source
    outside = source.replace(source[source.index("PARAMETERS = ") : source.index("INPUTS = ")], "")
    assert "system" not in outside
    assert "{{" not in source.replace("{{7*7}}", "")
    assert "49" not in source[source.index("PARAMETERS") : source.index("INPUTS")]
    assert "\\alpha" not in outside
    harmless = generate(named([f"q{k}" for k in range(len(NAMES))])).source
    assert outside.count('"""') == harmless.count('"""')


def test_what_sympy_cannot_multiply_out_is_shown_as_it_was_declared() -> None:
    """A DotProduct with an explicit matrix, inside a product: SymPy raises an IndexError of its own."""
    inner = sp.DotProduct(sp.MatrixSymbol("c", 3, 1), sp.Matrix([1, a, 2]))
    product = sp.MatMul(sp.ImmutableDenseMatrix([[a, sp.tanh(inner)], [1, 1]]), h)
    risk = EmpiricalRisk.from_expression(
        sp.DotProduct(h, product), inputs=[], targets=[], parameters=[a, h, sp.MatrixSymbol("c", 3, 1)]
    )
    assert "L = " in generate(risk).source


def test_templates_are_the_packages_own_and_jinja_is_a_mended_one() -> None:
    """A template is a program; before 3.1.6 Jinja2 had ways out of its sandbox."""
    assert isinstance(environment().loader, jinja2.PackageLoader)
    assert tuple(map(int, version("jinja2").split(".")[:3])) >= (3, 1, 6)
    assert "jinja2>=3.1.6" in requires("symgrad")  # type: ignore[operator]


def test_the_text_says_what_it_was_told() -> None:
    source = generate(SPECIAL).source
    kernel = generate(SPECIAL).kernel
    assert f"For each sample {kernel.counts['loss']} operations for the loss, {kernel.counts['gradient']}" in source
    assert '_sweep.SERVICES["digamma"], "digamma/float64"' in source
    assert '_sweep.SERVICES["digamma"], "digamma/float32"' in generate(SPECIAL, dtype="float32").source
    assert "digamma" not in generate(gallery.RISKS[0]).source
    assert "typedef float real;" in generate(SPECIAL, dtype="float32").source
