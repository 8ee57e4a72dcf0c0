"""Declaring: what is kept, what is refused and with which words, whatever the names."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy as sp

from symgrad.declare import EmpiricalRisk, Loss, Model, leaves
from symgrad.errors import DeclarationError

from ..helpers.declaring import used_of

x, y, A, k, p = sp.symbols("x y A k p")
i = sp.Idx("i", 10)
z = sp.MatrixSymbol("z", 10, 1)
label = sp.Symbol("label", integer=True)
W = sp.MatrixSymbol("W", 2, 3)
SQUARED = Loss((p - y) ** 2 / 2, prediction=p, target=y)


def model(output: Any) -> Model:
    """A model in x, with those of A and k that it uses; both where it uses neither."""
    return Model(output, inputs=[x], parameters=used_of([A, k], output))


def refused(declare: Callable[[], Any], *parts: str, kind: type[Exception] = DeclarationError) -> str:
    """The message of the error that ``declare`` raises, which holds all of ``parts``."""
    with pytest.raises(kind) as caught:
        declare()
    assert type(caught.value) is kind
    for part in parts:
        assert part in str(caught.value)
    return str(caught.value)


# --------------------------------------------------------------------------------------------------------- what is kept


def test_a_formula_is_kept_as_it_was_declared() -> None:
    decay = EmpiricalRisk(model(A * sp.exp(-k * x)), SQUARED, penalty=A**2, name="decay")
    assert (decay.name, decay.parameters, decay.inputs, decay.targets) == ("decay", (A, k), (x,), (y,))
    assert decay.outputs == (A * sp.exp(-k * x),)
    assert (decay.output_shape, decay.predictions) == ((), (p,))
    assert (decay.loss, decay.penalty) == ((p - y) ** 2 / 2, A**2)
    assert repr(decay.model) == "Model(A*exp(-k*x), inputs=[x], parameters=[A, k])"
    assert "'decay'" in repr(decay)
    assert repr(SQUARED) == "Loss((p - y)**2/2, prediction=p, target=[y])"


def test_a_likelihood_needs_no_model_and_no_inputs() -> None:
    mu, s = sp.symbols("mu s")
    density = sp.log(s) + (y - mu) ** 2 / (2 * s**2)
    empty: list[Any] = [[], None, ()]
    for nothing in empty:
        gauss = EmpiricalRisk.from_expression(density, inputs=nothing, targets=[y], parameters=[mu, s])
        assert (gauss.inputs, gauss.outputs, gauss.predictions, gauss.model) == ((), (), (), None)
        assert gauss.loss == density
    alone = EmpiricalRisk.from_expression(mu**2, inputs=None, targets=None, parameters=[mu])
    assert (alone.inputs, alone.targets, alone.name) == ((), (), "risk")


def test_explicit_matrices_several_inputs_and_several_targets() -> None:
    v, t = sp.symbols("v t")
    both = Model(sp.Matrix([[A * x, k], [v, 1]]), inputs=[x, v], parameters=[A, k])
    assert (both.output_shape, both.outputs) == ((2, 2), (A * x, k, v, sp.Integer(1)))
    q = sp.MatrixSymbol("q", 2, 2)
    risk = EmpiricalRisk(both, Loss((q[0, 0] - y) ** 2 + (q[0, 1] - t) ** 2, prediction=q, target=[y, t]))
    assert (risk.targets, risk.predictions) == ((y, t), (q[0, 0], q[0, 1], q[1, 0], q[1, 1]))


def test_an_explicit_matrix_cannot_be_changed_afterwards() -> None:
    output = sp.Matrix([A * x, k])
    declared = model(output)
    output[0] = sp.Symbol("other")
    assert declared.output[0] == declared.outputs[0] == A * x


def test_a_single_symbol_stands_for_a_list_of_one() -> None:
    assert Model(A * x, inputs=x, parameters=A).inputs == (x,)


def test_leaves_are_in_c_order() -> None:
    assert leaves(x) == (x,)
    assert leaves(W) == (W[0, 0], W[0, 1], W[0, 2], W[1, 0], W[1, 1], W[1, 2])


@pytest.mark.parametrize("number", [2, 0.1, np.float64(0.1), np.int64(3), np.float32(0.5), sp.Rational(1, 3)])
def test_numbers_are_expressions(number: Any) -> None:
    output = Model(number, inputs=[], parameters=[A]).outputs[0]
    assert isinstance(output, sp.Number)
    assert float(output) == float(number)


def test_a_one_by_one_matrix_is_a_number_to_the_loss() -> None:
    w, u = sp.MatrixSymbol("w", 1, 3), sp.MatrixSymbol("u", 3, 1)
    risk = EmpiricalRisk(Model(w * u, inputs=[u], parameters=[w]), SQUARED)
    assert (risk.output_shape, risk.predictions) == ((1, 1), (p,))


def test_labels_and_sum_indices_pass() -> None:
    loss = Loss(sp.log(sp.Sum(sp.exp(z[i, 0]), (i, 0, 9))) - z[label, 0], prediction=z, target=label)
    assert loss.targets == (label,)
    j = sp.Symbol("j", integer=True)
    Loss(sp.Sum(z[9 - j, 0] * z[j, 0] * j, (j, 0, 9)), prediction=z, target=None)


def test_everything_is_frozen() -> None:
    risk = EmpiricalRisk(model(A * x), SQUARED)
    for declared, attribute in ((model(A), "output"), (SQUARED, "targets"), (risk, "name")):
        with pytest.raises(AttributeError):
            setattr(declared, attribute, "other")
    assert len({risk, risk, EmpiricalRisk(model(A * x), SQUARED)}) == 2


# --------------------------------------------------------------------------------------------------------- free symbols


def test_a_free_symbol_is_named_with_the_nearest_one_and_the_lists() -> None:
    rate, ratee = sp.symbols("rate ratee")
    refused(
        lambda: Model(A * ratee, inputs=[x], parameters=[A, rate]),
        "Model(output=...): the symbol 'ratee' is not declared",
        "parameters: 'A', 'rate'; inputs: 'x'",
        "did you mean 'rate'?",
        "Add it to parameters= or to inputs=",
    )
    refused(
        lambda: EmpiricalRisk.from_expression(A * sp.Symbol("q9"), inputs=[x], targets=[y], parameters=[A]),
        "'q9' is not declared (parameters: 'A'; inputs: 'x'; targets: 'y'). Add it to parameters=, inputs= or targets=",
    )


def test_a_loss_sees_prediction_and_target_alone() -> None:
    refused(
        lambda: Loss((p - y) ** 2 / k, prediction=p, target=y),
        "Loss(expression=...): the symbol 'k' is not declared (prediction: 'p'; target: 'y')",
        "target=[y, w]",
        "EmpiricalRisk.from_expression",
    )


def test_a_penalty_sees_the_parameters_alone() -> None:
    refused(
        lambda: EmpiricalRisk(model(A * k * x), SQUARED, penalty=A * x),
        "EmpiricalRisk(penalty=...): the symbol 'x' is not declared (parameters: 'A', 'k')",
        "belongs in the loss",
    )


def test_scopes_are_separate_so_a_placeholder_may_carry_an_inputs_name() -> None:
    risk = EmpiricalRisk(model(A * x), Loss((x - y) ** 2, prediction=x, target=y))
    assert risk.predictions == (x,)


def test_an_index_outside_its_sum() -> None:
    refused(lambda: Loss(z[i, 0], prediction=z, target=y), "'i' is not declared", "inside a Sum over it")
    refused(lambda: Loss(sp.Sum(z[i, 0], i) + z[i, 0], prediction=z, target=y), "'i' is not declared")


# ------------------------------------------------------------------------------------------- duplicates and assumptions


def test_duplicates_in_a_list() -> None:
    refused(
        lambda: Model(A * x, inputs=[x, x], parameters=[A]), "Model: 'x' is twice in inputs", "list each symbol once"
    )


@pytest.mark.parametrize(
    ("declare", "first", "second"),
    [
        (lambda: Model(A * x, inputs=[x, A], parameters=[A]), "parameters", "inputs"),
        (lambda: Loss(p, prediction=p, target=[p]), "prediction", "target"),
        (lambda: EmpiricalRisk(model(A * x), Loss(p - A, prediction=p, target=A)), "parameters", "target"),
        (lambda: EmpiricalRisk(model(A * x), Loss(p - x, prediction=p, target=x)), "inputs", "target"),
        (
            lambda: EmpiricalRisk.from_expression(A, inputs=[x], targets=[A], parameters=[A]),
            "parameters",
            "targets",
        ),
    ],
)
def test_a_symbol_has_one_role(declare: Callable[[], Any], first: str, second: str) -> None:
    refused(declare, f"is declared both in {first} and in {second}", "a symbol has one role")


def test_two_symbols_of_one_name_show_both_assumption_sets() -> None:
    positive = sp.Symbol("x", positive=True)
    refused(
        lambda: Model(A * positive, inputs=[x], parameters=[A]),
        "two different symbols are named 'x'",
        "the one in inputs is a Symbol without assumptions",
        "the one in the expression is a Symbol with positive=True",
        "make the symbol once",
    )
    refused(
        lambda: Model(A * x, inputs=[x, positive], parameters=[A]),
        "a Symbol without assumptions, the one in inputs is a Symbol with positive=True",
    )
    refused(lambda: Model(A * x, inputs=[x, sp.Dummy("x")], parameters=[A]), "a Dummy without assumptions")
    refused(
        lambda: Model(W[0, 0], inputs=[x], parameters=[sp.MatrixSymbol("W", 3, 3)]),
        "a MatrixSymbol of shape (3, 3)",
        "a MatrixSymbol of shape (2, 3)",
    )
    refused(
        lambda: EmpiricalRisk(model(A * x), Loss(p - positive, prediction=p, target=positive)),
        "EmpiricalRisk: two different symbols are named 'x'",
        "with positive=True",
    )


@pytest.mark.parametrize("assumption", [{"commutative": False}, {"imaginary": True}, {"real": False}])
def test_symbols_are_real(assumption: dict[str, bool]) -> None:
    odd = sp.Symbol("odd", **assumption)
    fact, value = next(iter(assumption.items()))
    refused(lambda: Model(x, inputs=[x], parameters=[odd]), f"{fact}={value}", "expected a real number")


# ------------------------------------------------------------------------------------------------ depends on parameters


def test_a_loss_must_depend_on_a_parameter() -> None:
    v = sp.Symbol("v")
    refused(lambda: EmpiricalRisk(model(x**2), SQUARED), "depends on no parameter (expected one of A, k)")
    refused(
        lambda: EmpiricalRisk.from_expression((x - y) ** 2, inputs=[x], targets=[y], parameters=[v], penalty=v**2),
        "depends on no parameter (expected one of v)",
    )
    refused(lambda: Loss(y**2, prediction=p, target=y), "y**2 does not depend on the prediction 'p'")
    refused(lambda: EmpiricalRisk(Model(x, inputs=[x], parameters=[]), SQUARED), "there are no parameters")


def test_the_dependence_is_followed_through_the_model() -> None:
    q = sp.MatrixSymbol("q", 2, 1)
    two = Model(sp.Matrix([x, A * x]), inputs=[x], parameters=[A])
    refused(lambda: EmpiricalRisk(two, Loss(q[0, 0], prediction=q, target=y)), "depends on no parameter")
    EmpiricalRisk(two, Loss(q[1, 0], prediction=q, target=y))
    EmpiricalRisk(two, Loss(q[label, 0], prediction=q, target=label))
    j = sp.Idx("j", 2)
    EmpiricalRisk(two, Loss(sp.Sum(q[j, 0], j), prediction=q, target=y))


def test_an_unused_parameter_is_refused() -> None:
    unused = "the parameter 'k' is in no formula"
    refused(lambda: EmpiricalRisk(Model(A * x, [x], [A, k]), SQUARED), unused)
    refused(lambda: EmpiricalRisk.from_expression(A * x - y, inputs=[x], targets=[y], parameters=[A, k]), unused)
    penalised = EmpiricalRisk(Model(A * x, [x], [A, k]), SQUARED, penalty=k**2)
    assert penalised.parameters == (A, k)
    s = sp.Symbol("s")
    of_its_own = Loss((p - y) ** 2, prediction=p, target=y, parameters=[s])
    refused(lambda: EmpiricalRisk(model(A * x * k), of_its_own), "the parameter 's' is in no formula")


def test_a_losses_own_parameters_follow_the_models() -> None:
    s, t = sp.symbols("s t", positive=True)
    loss = Loss((p - y) ** 2 / s + t * sp.log(s), prediction=p, target=y, parameters=[s, t])
    assert EmpiricalRisk(model(A * x * k), loss).parameters == (A, k, s, t)
    assert repr(loss).endswith("target=[y], parameters=[s, t])")
    refused(
        lambda: Loss(p - y + s, prediction=p, target=y, parameters=[t]),
        "the symbol 's' is not declared (prediction: 'p'; target: 'y'; parameters: 't')",
    )
    refused(lambda: Loss(p - y, prediction=p, target=y, parameters=[y]), "in target and in parameters")
    shared = Loss((p - y) ** 2 / A, prediction=p, target=y, parameters=[A])
    refused(lambda: EmpiricalRisk(model(A * x * k), shared), "in parameters and in the loss's parameters")
    renamed = Loss((p - y) ** 2 / s + sp.log(s), prediction=p, target=y, parameters=[s])
    risk, other = EmpiricalRisk(model(A * x * k), loss), EmpiricalRisk(model(A * x * k), renamed)
    assert risk.fingerprint != other.fingerprint
    refused(lambda: Loss(p - y, prediction=p, target=y, normalisation=y), "expected a sympy.Lambda of one number")


# --------------------------------------------------------------------------------------------------- what is no formula


@pytest.mark.parametrize("text", ["A*x", "__import__('os').system('touch {}')", b"A"])
def test_text_is_never_parsed(text: Any, tmp_path: Path) -> None:
    if isinstance(text, str):
        text = text.format(tmp_path / "broken_in")
    for declare, argument in [
        (lambda: model(text), "Model(output=...)"),
        (lambda: Model(A, inputs=text, parameters=[A]), "Model(inputs=...)"),
        (lambda: Model(A, inputs=[x], parameters=[text]), "Model(parameters=...)"),
        (lambda: Model(sp.Matrix([A]), inputs=[x], parameters=[A, text]), "Model(parameters=...)"),
        (lambda: Loss(text, prediction=p, target=y), "Loss(expression=...)"),
        (lambda: Loss(p, prediction=text, target=y), "Loss(prediction=...)"),
        (lambda: Loss(p, prediction=p, target=text), "Loss(target=...)"),
        (lambda: EmpiricalRisk(model(A), SQUARED, penalty=text), "EmpiricalRisk(penalty=...)"),
    ]:
        refused(declare, f"{argument}: expected SymPy objects, got the {type(text).__name__}", "never parses text")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("output", "parts"),
    [
        ([A, k], ("got [A, k] of type list", "sympy.Matrix([a, b])")),
        (x > 0, ("of type StrictGreaterThan", "Piecewise((1, condition), (0, True))")),
        (True, ("got True of type bool",)),
        (None, ("got None of type NoneType",)),
        (object, ("of type type",)),
        (1j, ("of type complex",)),
        (sp.Matrix(0, 0, []), ("has the shape (0, 0) and is empty",)),
    ],
)
def test_what_is_no_expression(output: Any, parts: tuple[str, ...]) -> None:
    refused(lambda: model(output), "Model(output=...)", *parts)


@pytest.mark.parametrize(
    ("declared", "parts"),
    [
        ({x}, ("got a set", "write a list: [a, b]")),
        ({"x": x}, ("got a dict",)),
        (3, ("got 3 of type int",)),
        ([3], ("got 3 of type int",)),
        ([W[0, 0]], ("got the element W[0, 0]", "declare the whole matrix W")),
        ([sp.IndexedBase("v")], ("got v of type IndexedBase", "sympy.MatrixSymbol('x', n, 1)")),
        ([i], ("got i of type Idx", "an index belongs to a Sum")),
        ([sp.MatrixSymbol("V", sp.Symbol("n"), 1)], ("'V' has the shape (n, 1)", "expected whole numbers > 0")),
        ([sp.MatrixSymbol("V", 0, 1)], ("'V' has the shape (0, 1)",)),
    ],
)
def test_what_is_no_list_of_symbols(declared: Any, parts: tuple[str, ...]) -> None:
    refused(lambda: Model(A, inputs=declared, parameters=[A]), "Model(inputs=...)", *parts)


def test_model_and_loss_are_told_apart() -> None:
    refused(lambda: EmpiricalRisk(SQUARED, model(A)), "EmpiricalRisk(model=...): expected a Model, got Loss")  # type: ignore[arg-type]
    refused(lambda: EmpiricalRisk(model(A), None), "EmpiricalRisk(loss=...): expected a Loss", "from_expression")  # type: ignore[arg-type]


def test_shapes_of_prediction_and_output_must_agree() -> None:
    two = Model(sp.Matrix([A, x]), inputs=[x], parameters=[A])
    refused(
        lambda: EmpiricalRisk(two, SQUARED),
        "the prediction 'p' has the shape (); expected (2, 1)",
        "sympy.MatrixSymbol('p', 2, 1)",
    )
    refused(
        lambda: EmpiricalRisk(model(A), Loss(z[0, 0], prediction=z, target=y)),
        "'z' has the shape (10, 1); expected ()",
        "sympy.Symbol('z')",
    )
    refused(lambda: Loss(z, prediction=z, target=y), "expected one number, got a matrix of shape (10, 1)")
    refused(lambda: Loss(p, prediction=[p, x], target=y), "expected one Symbol or MatrixSymbol, got 2")


@pytest.mark.parametrize("name", ["", "a b", "1a", "lambda", "a" * 101, "naïve", "../x", "os.path", None, 3, "a\n"])
def test_a_bad_name(name: Any) -> None:
    refused(
        lambda: EmpiricalRisk(model(A), SQUARED, name=name),
        "EmpiricalRisk(name=...): expected a Python identifier that is no keyword, ASCII, of at most 100 characters, ",
    )


def test_a_good_name() -> None:
    assert EmpiricalRisk(model(A), SQUARED, name="a" * 100).name == "a" * 100


# ---------------------------------------------------------------------------------------------------------------- names


NAMES = [
    *("lambda", "beta", "x'", "\\alpha", "θ", "double", "I", "None", "exp", "self", "out"),
    *('x; system("id") //', "*/ #define x", "{{7*7}}", "{% raw %}", "%s", "a\nb", "a\0b", "\u202egnp", "", " ", "??/"),
    "n" * 100_000,
]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_any_name_works(name: str) -> None:
    a, u = sp.Symbol(name), sp.Symbol(name + "_")
    risk = EmpiricalRisk(Model(a * u, inputs=[u], parameters=[a]), SQUARED)
    assert risk.parameters[0].name == name
    assert len(repr(risk)) < 1000
    assert "\n" not in repr(risk)
    assert len(risk.fingerprint) == 64
    message = refused(lambda: Model(a * u, inputs=[], parameters=[a]), "is not declared")
    assert "\n" not in message
    assert "\0" not in message
    assert "\u202e" not in message
    assert len(message) < 1000


def test_names_are_shown_with_repr() -> None:
    odd = sp.Symbol('x; system("id")')
    refused(lambda: model(A * odd), """the symbol 'x; system("id")' is not declared""")
    refused(lambda: model(A * sp.Symbol("a\nb")), r"the symbol 'a\nb' is not declared")
