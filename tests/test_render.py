"""Kernel -> source: what the templates are given, that they take nothing else, and that names stay harmless."""

import ast
import re
from typing import Any

import jinja2
import jinja2.meta
import pytest
import sympy as sp

from symgrad import gallery
from symgrad.pipeline import generate
from symgrad.problem import EmpiricalRisk, Loss, Model
from symgrad.render import context, environment, render

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
MATRIX = EmpiricalRisk(
    Model(sp.Matrix([a, a * u]), [u], [a]),
    Loss(sp.MatrixSymbol("z", 2, 1)[0, 0] ** 2 - sp.MatrixSymbol("z", 2, 1)[1, 0], sp.MatrixSymbol("z", 2, 1), None),
)
RISKS = [*gallery.RISKS, SPECIAL, MATRIX, named(NAMES)]


def keys_of(risk: EmpiricalRisk, dtype: str = "float64") -> dict[str, Any]:
    return context(risk, generate(risk).kernel, dtype)


def test_the_keys_supplied_are_exactly_the_keys_used() -> None:
    used: set[str] = set()
    inside: set[str] = set()
    for template in environment().list_templates(extensions=["jinja"]):
        assert environment().loader is not None
        source = environment().loader.get_source(environment(), template)[0]  # type: ignore[union-attr]
        tree = environment().parse(source)
        used |= jinja2.meta.find_undeclared_variables(tree)
        inside |= {node.attr for node in tree.find_all(jinja2.nodes.Getattr)}
    keys = keys_of(SPECIAL)
    assert used - {"function"} == set(keys)  # the loop in module.pyx.jinja binds `function` for lanes.pyx.jinja
    functions: Any = (*keys["functions"], *keys["vector_functions"], *keys["scalar_functions"])
    supplied = {key for entry in functions for key in entry}
    assert inside - {"index0"} <= supplied


@pytest.mark.parametrize("key", sorted(keys_of(SPECIAL)))
def test_a_key_that_is_missing_is_an_error(key: str) -> None:
    keys = keys_of(SPECIAL)
    del keys[key]
    with pytest.raises(jinja2.UndefinedError, match=key):
        environment().get_template("module.pyx.jinja").render(keys)


@pytest.mark.parametrize("place", ["functions", "scalar_functions"])
def test_a_key_of_a_part_that_is_missing_is_an_error(place: str) -> None:
    for part in keys_of(SPECIAL)[place][0]:
        if (place, part) in (("scalar_functions", "symbol"), ("functions", "name")) or place == "functions":
            keys = keys_of(SPECIAL)
            del keys[place][0][part]
            with pytest.raises(jinja2.UndefinedError):
                environment().get_template("module.pyx.jinja").render(keys)


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
    first, second = (render(risk, generate(risk).kernel, "float64") for _ in range(2))
    assert first == second
    assert first.isascii()
    assert "\t" not in first
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


def test_the_text_says_what_it_was_told() -> None:
    source = generate(SPECIAL).source
    kernel = generate(SPECIAL).kernel
    assert f"For each sample {kernel.counts['loss']} operations for the loss, {kernel.counts['gradient']}" in source
    assert "cdef double digamma(" in source
    assert "digamma" not in generate(gallery.RISKS[0]).source
    assert "typedef float real;" in generate(SPECIAL, dtype="float32").source
