"""What an expression may hold: numbers, functions, sums and indices; at any depth and size."""

import time
from collections.abc import Callable
from typing import Any

import pytest
import sympy as sp

from symgrad.declare import EmpiricalRisk, Loss, Model, show, walk
from symgrad.declare.grammar import SUPPORTED_FUNCTIONS
from symgrad.errors import DeclarationError, UnsupportedExpressionError
from symgrad.functions import maximum

from ..helpers.declaring import used_of

x, y, A, k, p = sp.symbols("x y A k p")
i = sp.Idx("i", 10)
z = sp.MatrixSymbol("z", 10, 1)
label = sp.Symbol("label", integer=True)
W = sp.MatrixSymbol("W", 2, 3)
SQUARED = Loss((p - y) ** 2 / 2, prediction=p, target=y)


def model(output: Any) -> Model:
    return Model(output, inputs=[x], parameters=used_of([A, k], output))


def refused(declare: Callable[[], Any], *parts: str, kind: type[Exception] = DeclarationError) -> str:
    """The message of the error that ``declare`` raises, which holds all of ``parts``."""
    with pytest.raises(kind) as caught:
        declare()
    assert type(caught.value) is kind
    for part in parts:
        assert part in str(caught.value)
    return str(caught.value)


# -------------------------------------------------------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    ("expression", "part"),
    [
        (sp.Mul(sp.zoo, x, evaluate=False), "contains zoo in zoo*x: zoo is no number"),
        (sp.Add(A, sp.nan, evaluate=False), "contains nan in A + nan: nan is no number"),
        (sp.I * A, "contains I in I*A: I is the imaginary unit"),
        (A + sp.oo, "contains oo in A + oo: an infinity"),
        (sp.Mul(-sp.oo, sp.sin(x), evaluate=False), "contains -oo in -oo*sin(x): an infinity"),
        (sp.zoo, "contains zoo: zoo is no number"),
        (float("nan"), "contains nan"),
        (float("inf"), "contains oo"),
        (A * 10**400, "contains <an integer of about 401 digits> in"),
        (A * sp.Integer(10) ** 5000, "contains <an integer of about 5001 digits> in"),
        (A * sp.Rational(1, 10**400), "contains 1/<an integer of about 401 digits> in"),
        (A * sp.Rational(10**400, 3), "is beyond what a double"),
        (A * sp.Float("1e400"), "contains 1.0e+400 in 1.0e+400*A: this number is beyond what a double can hold"),
        (A * sp.Float("1e-400"), "contains 1.0e-400 in"),
        (A * sp.root(-8, 3), "(-1)**(1/3) is not a real number"),
    ],
)
def test_what_is_no_double_is_refused_where_it_stands(expression: Any, part: str) -> None:
    refused(lambda: model(expression), f"Model(output=...): {part}" if part.startswith("cont") else part)


@pytest.mark.parametrize(
    "number", [2**70, sp.Integer(10) ** 308, sp.Rational(1, 10**320), sp.Float("0.1", 50), sp.pi, sp.E]
)
def test_numbers_within_double_pass(number: Any) -> None:
    assert model(A * number).outputs == (A * number,)


def test_a_piecewise_needs_a_default() -> None:
    message = refused(
        lambda: model(sp.Piecewise((A, x > 0), (k, x < -1))),
        "the Piecewise Piecewise((A, x > 0), (k, x < -1)) has no default",
        "(expression, True)",
    )
    assert message.startswith("Model(output=...)")
    b = sp.And(x > 0, sp.Or(x < A, sp.Ne(k, 1)), ~(sp.Eq(x, 2) ^ (x >= k)))
    model(sp.Piecewise((A, b), (k, sp.ITE(x > 1, x < 2, x > 3)), (x, True)))


# -------------------------------------------------------------------------------------------------- supported functions


@pytest.mark.parametrize(
    ("expression", "name", "part"),
    [
        (sp.besselj(0, A), "besselj", "in besselj(0, A)"),
        (sp.LambertW(2 * A) + x, "LambertW", "in LambertW(2*A)"),
        (sp.erfcinv(A), "erfcinv", "The nearest one is erfinv"),
        (sp.Function("f")(x), "f", "A function without a definition has no derivative"),
        (sp.Derivative(sp.exp(A), A), "Derivative", "expression.doit()"),
        (sp.Integral(sp.exp(A * x), (x, 0, 1)), "Integral", "write its closed form"),
        (sp.Product(A * sp.Symbol("n"), (sp.Symbol("n"), 1, 3)), "Product", "exp(Sum(log(...), ...))"),
        (sp.IndexedBase("v")[0] * A, "Indexed", "sympy.MatrixSymbol('x', n, 1) and write x[i, 0]"),
        (sp.DiracDelta(A), "DiracDelta", "let symgrad differentiate it"),
        (sp.KroneckerDelta(A, 1), "KroneckerDelta", "Piecewise((1, Eq(i, j)), (0, True))"),
    ],
)
def test_an_unsupported_function_is_named_with_the_supported_ones(expression: Any, name: str, part: str) -> None:
    message = refused(
        lambda: model(expression),
        f"Model(output=...): the function {name} is not supported, in ",
        part,
        "Supported: Abs, Add, And, Eq, Ge, Gt, Heaviside, ITE, Le, Lt, Max",
        kind=UnsupportedExpressionError,
    )
    names = message.split("Supported: ")[1].split(", ")
    assert names == sorted(names)
    assert len(names) == len(SUPPORTED_FUNCTIONS)


def test_polygamma_has_a_number_for_its_order() -> None:
    model(sp.polygamma(2, A))
    refused(lambda: model(sp.polygamma(k, A)), "got k in polygamma(k, A)", kind=UnsupportedExpressionError)


def test_conditions_and_numbers_are_told_apart() -> None:
    flag = sp.Symbol("flag")
    refused(
        lambda: Model(sp.Piecewise((A, flag), (1, True)), inputs=[flag], parameters=[A]),
        "flag stands as a condition",
        kind=UnsupportedExpressionError,
    )
    refused(
        lambda: model(sp.Piecewise((x > 0, x > A), (A, True))),
        "the condition x > 0 stands where a number is expected",
        kind=UnsupportedExpressionError,
    )


@pytest.mark.parametrize(
    ("expression", "part"),
    [
        (lambda: sp.Sum(z[i, 0], (i, 0, label)), "whole numbers for bounds, got (i, 0, label)"),
        (lambda: sp.Sum(z[0, 0] * sp.Symbol("j"), (sp.Symbol("j"), 0, sp.oo)), "whole numbers for bounds"),
        (lambda: sp.Sum(z[0, 0] * sp.Symbol("j"), (sp.Symbol("j"), 1, 10**8)), "has 100000000 terms; expected at"),
        (lambda: z[label + 1, 0], "the index label + 1 of z[label + 1, 0] is neither"),
        (lambda: z[label, 0] * z[sp.Symbol("other", integer=True), 0], "the symbol 'other' is not declared"),
        (lambda: z * z.T, "expected one number"),
        (
            lambda: maximum(z[i, 0], (i, 0, label)),
            "a maximum needs an index with whole numbers for bounds, got (i, 0, ",
        ),
    ],
)
def test_sums_and_indices_that_cannot_be_meant(expression: Callable[[], Any], part: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        Loss(expression(), prediction=z, target=label)
    assert part in str(caught.value)


def test_a_sum_may_be_as_long_as_a_vector() -> None:
    long = sp.MatrixSymbol("long", 100_000, 1)
    j = sp.Idx("j", 100_000)
    Loss(sp.Sum(long[j, 0] ** 2, (j, 0, 99_999)) + maximum(long[j, 0], (j, 0, 99_999)), prediction=long, target=None)


def test_only_an_integer_target_is_a_label() -> None:
    refused(lambda: Loss(z[y, 0], prediction=z, target=y), "the index y of z[y, 0] is", kind=UnsupportedExpressionError)


def test_nested_sums_count_together() -> None:
    a, b = sp.symbols("a b", integer=True)
    refused(
        lambda: Loss(sp.Sum(maximum(p * a * b, (a, 1, 10_000)), (b, 1, 10_000)), prediction=p, target=y),
        "has 100000000 terms",
        kind=UnsupportedExpressionError,
    )


def test_indices_stay_within_the_matrix() -> None:
    j = sp.Symbol("j", integer=True)
    refused(
        lambda: Loss(sp.Sum(z[j + 1, 0], (j, 0, 9)), prediction=z, target=y),
        "the index j + 1 of z[j + 1, 0] runs from 1 to 10; expected 0 to 9, because 'z' has the shape (10, 1)",
    )
    refused(lambda: Loss(sp.Sum(p, (j, 3, 1)), prediction=p, target=y), "has the bounds 3 to 1")
    refused(lambda: Loss(sp.Sum(p * y, (y, 0, 1)), prediction=p, target=y), "'y' of Sum(p*y, (y, 0, 1)) already means")


# -------------------------------------------------------------------------------------------------- a data set typed in


def test_a_sum_over_data_term_by_term() -> None:
    data = [(t, 0.3 * t) for t in range(12)]
    total = sum((A * sp.exp(-k * t) - v) ** 2 for t, v in data)
    for expression in (total, total / len(data), sp.sqrt(total)):
        refused(
            lambda expression=expression: EmpiricalRisk.from_expression(
                expression, inputs=[], targets=[], parameters=[A, k]
            ),
            "terms of a sum are alike but for their numbers, e.g. (",
            "a sum over data written out term by term. Write the formula of one sample",
        )
    ones_and_zeros = sum((A * sp.sin(k * t) - v) ** 2 for t, v in zip(range(1, 11), [1, 2] * 5, strict=True))
    refused(
        lambda: EmpiricalRisk.from_expression(ones_and_zeros, inputs=[], targets=[], parameters=[A, k]),
        "10 terms of a sum are alike but for their numbers",
    )
    likelihood = sum((p - v) ** 2 for _, v in data)
    refused(lambda: Loss(likelihood, prediction=p, target=y), "like a sum over data")


def test_what_only_looks_like_a_sum_over_data() -> None:
    many = sp.symbols("w:20")
    for fine in (
        sum(A**n for n in range(20)),
        sum(w**2 for w in many) + A,
        sum(sp.sin(n * x) * A for n in range(1, 20)),
        sum((A - n) ** 2 for n in range(9)),
        A + sum(sp.sin(n) for n in range(1, 20)),
    ):
        EmpiricalRisk.from_expression(fine, inputs=[x], targets=[], parameters=used_of([A, *many], fine))


# ------------------------------------------------------------------------------------------------------- depth and size


def nested(depth: int, evaluate: bool) -> Any:
    expression = A * x
    for _ in range(depth):
        # Without evaluate=False SymPy itself would recurse while it builds a nest of tanh.
        expression = sp.sin(expression * A) if evaluate else sp.tanh(expression, evaluate=False)
    return expression


@pytest.mark.parametrize("evaluate", [True, False])
def test_ten_thousand_deep(evaluate: bool) -> None:
    deep = nested(10_000, evaluate)
    start = time.perf_counter()
    risk = EmpiricalRisk(model(deep), SQUARED, penalty=A)
    assert time.perf_counter() - start < 5
    assert len(repr(risk)) < 1000
    assert len(risk.fingerprint) == 64
    assert risk in {risk}
    assert hash(risk.model) == hash(risk.model)
    refused(lambda: Model(deep, inputs=[x], parameters=[k]), "'A' is not declared")
    bad = sp.besselj(0, deep, evaluate=False)
    message = refused(lambda: model(bad), "besselj(0, ", "...", kind=UnsupportedExpressionError)
    assert len(message) < 2000


def test_a_hundred_thousand_operations() -> None:
    many = sp.symbols("w:1000")
    terms = (sp.Mul(n + 2, x, many[n % 1000], evaluate=False) for n in range(50_000))
    big = sp.Add(*terms, evaluate=False)
    assert sum(1 for _ in walk([big])) > 95_000
    start = time.perf_counter()
    risk = EmpiricalRisk(Model(big, inputs=[x], parameters=many), SQUARED)
    declared = time.perf_counter() - start
    assert len(repr(risk)) < 1500
    assert len(risk.fingerprint) == 64
    # About 0.5 s alone on one core; the rest is for a machine that is busy with other tests.
    assert declared < 3


def test_shared_subexpressions_are_met_once() -> None:
    doubling = A * x
    for _ in range(200):
        doubling = sp.Add(sp.sin(doubling, evaluate=False), sp.cos(doubling, evaluate=False), evaluate=False)
    risk = EmpiricalRisk(model(doubling), SQUARED)
    assert len(repr(risk)) < 500
    assert len(risk.fingerprint) == 64
    assert len(show(doubling)) <= 300
