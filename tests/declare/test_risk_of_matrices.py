"""Declaring matrices: they stay whole, each part is checked where it stands, and size costs nothing."""

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import sympy as sp
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction
from sympy.matrices.expressions.dotproduct import DotProduct
from sympy.matrices.expressions.matexpr import MatrixElement

from symgrad import losses
from symgrad.declare import EmpiricalRisk, Loss, Model, postorder, show, walk
from symgrad.declare.grammar import SUPPORTED_FUNCTIONS, SUPPORTED_MATRICES
from symgrad.declare.shapes import shapes_of
from symgrad.declare.walks import children
from symgrad.errors import DeclarationError, UnsupportedExpressionError
from symgrad.functions import maximum

from ..helpers.declaring import used_of

x, y, p, d = sp.symbols("x y p d")
u, a = sp.MatrixSymbol("u", 3, 1), sp.MatrixSymbol("a", 3, 1)
v, w = sp.MatrixSymbol("v", 5, 1), sp.MatrixSymbol("w", 5, 1)
W, S, B = sp.MatrixSymbol("W", 2, 3), sp.MatrixSymbol("S", 3, 3), sp.MatrixSymbol("B", 5, 5)
z, t = sp.MatrixSymbol("z", 2, 1), sp.MatrixSymbol("t", 2, 1)
label = sp.Symbol("label", integer=True)
i, j = sp.Idx("i", 5), sp.Symbol("j", integer=True)


def model(output: Any, *more: Any) -> Model:
    return Model(output, inputs=[x, u, v], parameters=used_of([W, S, B, a, w], output, *more))


def refused(declare: Callable[[], Any], *parts: str, kind: type[Exception] = UnsupportedExpressionError) -> str:
    """The message of the error that ``declare`` raises, on one line, which holds all of ``parts``."""
    with pytest.raises(kind) as caught:
        declare()
    assert type(caught.value) is kind
    message = str(caught.value)
    assert "\n" not in message
    assert all(part in message for part in parts), message
    return message


def network(*widths: int, act: Any = sp.tanh) -> Model:
    """A multilayer perceptron, as DESIGN writes it."""
    given = h = sp.MatrixSymbol("u", widths[0], 1)
    parameters: list[Any] = []
    for layer, (before, after) in enumerate(pairwise(widths)):
        h = h if layer == 0 else h.applyfunc(act)
        parameters += [sp.MatrixSymbol(f"W{layer}", after, before), sp.MatrixSymbol(f"b{layer}", after, 1)]
        h = parameters[-2] * h + parameters[-1]
    return Model(h, inputs=[given], parameters=parameters)


# --------------------------------------------------------------------------------------------------------- what is kept


def test_a_network_stays_whole() -> None:
    net = network(3, 4, 2)
    assert net.outputs == (net.output,)
    assert isinstance(net.output, sp.MatAdd)
    assert net.output_shape == (2, 1)
    risk = EmpiricalRisk(net, Loss((z - t).T * (z - t), prediction=z, target=t))
    assert (risk.outputs, risk.predictions, risk.output_shape) == ((net.output,), (z,), (2, 1))
    assert risk.loss == (z - t).T * (z - t)


def test_a_network_may_be_used_by_its_elements() -> None:
    risk = EmpiricalRisk(network(3, 4, 2), Loss(z[0, 0] ** 2 - z[label, 0], prediction=z, target=label))
    assert risk.predictions == (z,)
    by_elements = Model(sp.Matrix([x * w[0, 0], w[1, 0]]), inputs=[x], parameters=[w])
    risk = EmpiricalRisk(by_elements, Loss(sp.Trace(z * z.T), prediction=z, target=None))
    assert (risk.outputs, risk.predictions) == ((x * w[0, 0], w[1, 0]), (z[0, 0], z[1, 0]))


def test_one_output_is_a_number_or_a_matrix_to_the_loss() -> None:
    one = sp.MatrixSymbol("one", 1, 1)
    squared = Loss(p**2, prediction=p, target=None)
    whole = model(u.T * a)
    assert (whole.outputs, whole.output_shape) == ((u.T * a,), (1, 1))
    assert EmpiricalRisk(whole, squared).predictions == (p,)
    assert EmpiricalRisk(whole, Loss(one.T * one, prediction=one, target=None)).predictions == (one,)
    number = model(DotProduct(u, a))
    assert number.output_shape == ()
    assert EmpiricalRisk(number, squared).predictions == (p,)
    assert EmpiricalRisk(number, Loss(one[0, 0] ** 2, prediction=one, target=None)).predictions == (one[0, 0],)
    assert model(sp.Matrix([[u.T * a], [x]])).outputs == (u.T * a, x)


def test_a_penalty_of_matrices() -> None:
    penalty = sp.Trace(W * W.T) + DotProduct(w, w) + sp.sqrt(sp.Trace(B.T * B))
    risk = EmpiricalRisk(model(u.T * a, penalty), losses.squared(), penalty=penalty)
    assert risk.penalty == penalty
    ridge = EmpiricalRisk(model(u.T * a, w), losses.squared(), penalty=2 * (w.T * w))
    assert ridge.penalty == 2 * (w.T * w)
    refused(
        lambda: EmpiricalRisk(model(u.T * a), losses.squared(), penalty=u.T * a),
        "the symbol 'u' is not declared (parameters: ",
        kind=DeclarationError,
    )


# The supported operations, each with the shape of what comes of it; None for a scalar.
OPERATIONS: list[tuple[Any, tuple[int, int] | None]] = [
    (W, (2, 3)),
    (W * S * u, (2, 1)),
    (x * sp.exp(x) * W, (2, 3)),
    (W + 2 * W.applyfunc(sp.sin), (2, 3)),
    (B**3, (5, 5)),
    (W.T, (3, 2)),
    (u * a.T, (3, 3)),
    (sp.HadamardProduct(W, W.applyfunc(sp.tanh), x * W), (2, 3)),
    (sp.HadamardPower(W, sp.Rational(1, 2)), (2, 3)),
    (sp.HadamardPower(W, x), (2, 3)),
    (sp.HadamardPower(W, DotProduct(u, a)), (2, 3)),
    (W.applyfunc(sp.exp), (2, 3)),
    (W.applyfunc(lambda e: sp.Piecewise((e, e > x), (0.1 * e, True))), (2, 3)),
    (W.applyfunc(sp.Lambda(d, d * sp.Trace(S) + sp.Sum(v[i, 0] * d, (i, 0, 4)))), (2, 3)),
    (ElementwiseApplyFunction(sp.cos, u), (3, 1)),
    (sp.MatAdd(W, sp.ZeroMatrix(2, 3)), (2, 3)),
    (sp.OneMatrix(2, 2) * W, (2, 3)),
    (W + sp.ones(2, 3), (2, 3)),
    (S + sp.Identity(3), (3, 3)),
    (W * sp.Matrix([x, 1, v[4, 0]]), (2, 1)),
    (W[0, :], (1, 3)),
    ((B * v)[1:4, :], (3, 1)),
    (sp.BlockMatrix([[W * u, W * a], [u, a]]), (5, 2)),
    (sp.BlockMatrix([[sp.Matrix([x, 1])], [u]]), (5, 1)),
    (sp.DiagMatrix(u), (3, 3)),
    (sp.DiagMatrix(u.T) * a, (3, 1)),
    (sp.Trace(B * B), None),
    (DotProduct(u, a), None),
    (sp.exp(a.T * u), None),
    (sp.sqrt(v.T * v), (1, 1)),
    ((v.T * v) ** x, (1, 1)),
    ((v.T * B * v) * (v.T * v) ** -1, (1, 1)),
    (sp.log(a.T * u) + sp.cosh(v.T * w), None),
    (sp.Piecewise((v.T * v, x > 0), (sp.Trace(B), True)), None),
    (sp.Sum(B[i, :] * v, (i, 0, 4)), None),
    (sp.Sum(sp.exp(MatrixElement(B * v, 4 - j, 0)), (j, 1, 4)), None),
    (sp.Sum(sp.Matrix([1, 2, 3, 4, x])[i, 0] * w[i, 0], (i, 0, 4)), None),
    (sp.Sum(B[i, j] * v[i, 0] * w[j, 0], (i, 0, 4), (j, 0, 4)), None),
    (maximum(B[i, j] * v[i, 0], (i, 0, 4), (j, 0, 4)), None),
]


@pytest.mark.parametrize(("output", "shape"), OPERATIONS, ids=[show(output) for output, _ in OPERATIONS])
def test_what_is_supported(output: Any, shape: tuple[int, int] | None) -> None:
    declared = model(output)
    assert declared.outputs == (output,)
    assert declared.output_shape == (shape or ())
    assert shape == shapes_of("here", [output]).get(id(output))
    assert shape is None or shape == tuple(output.shape)
    assert "\n" not in repr(declared)


def test_every_supported_operation_is_among_them() -> None:
    used = {type(node) for output, _ in OPERATIONS for node in walk([output])}
    assert used >= SUPPORTED_MATRICES
    assert not SUPPORTED_MATRICES & SUPPORTED_FUNCTIONS


# ------------------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("output", "parts"),
    [
        (lambda: B.inv() * v, ("the matrix operation Inverse is not supported, in B**(-1)", "up to 3x3")),
        (lambda: sp.KroneckerProduct(W, S), ("KroneckerProduct is not supported", "BlockMatrix([[")),
        (lambda: sp.Adjoint(B) * v, ("Adjoint is not supported, in Adjoint(B)", "A.T", "Supported: BlockMatrix, Diag")),
        (lambda: sp.BlockDiagMatrix(B, W), ("BlockDiagMatrix is not supported",)),
        (lambda: sp.ImmutableSparseMatrix(5, 5, {(0, 0): x}) * v, ("ImmutableDenseMatrix(matrix)",)),
        (lambda: sp.Determinant(S), ("the function Determinant is not supported, in Determinant(S)",)),
        (lambda: B**x, ("the exponent x of B**x is not supported", "HadamardPower(A, exponent)")),
        (lambda: sp.MatPow(B, 0), ("the exponent 0 of B**0",)),
        (lambda: sp.MatPow(B, sp.S.Half) * v, ("the exponent 1/2 of",)),
        (lambda: sp.tanh(W * u), ("the matrix W*u of shape (2, 1) stands where a number is expected, in tanh(W*u)",)),
        (lambda: sp.Add(x, W * u), ("the matrix W*u of shape (2, 1)", ".applyfunc")),
        (lambda: sp.Sum(B[:, i], (i, 0, 4)), ("the matrix B[:, i:i + 1] of shape (5, 1)", "in Sum(")),
        (lambda: sp.Piecewise((v, x > 0), (w, True)), ("the matrix v of shape (5, 1)",)),
        (lambda: W.applyfunc(sp.Lambda(d, d * sp.exp(v))), ("the matrix v of shape (5, 1)",)),
        (lambda: sp.HadamardPower(W, W), ("the matrix W of shape (2, 3)",)),
        (lambda: sp.HadamardPower(x, W), ("x stands where a matrix is expected, in HadamardPower(x, W)",)),
        (lambda: W[:, ::2], ("the slice 0:3:2 in W[:, ::2] is not supported", "step 1")),
        (lambda: sp.Sum(DotProduct(B[0:i, 0], v[0:i, 0]), (i, 1, 4)), ("the slice 0:i:1 in",)),
        (lambda: W.applyfunc(lambda e: sp.besselj(0, e)), ("the function besselj is not supported, in besselj(0, d)",)),
        (lambda: W.applyfunc(sp.Function("f")), ("the function f is not supported",)),
        (lambda: W.applyfunc(lambda e: e > 0), ("the condition d > 0 stands where a number is expected",)),
        (lambda: W.applyfunc(sp.Lambda(j, v[j, 0])), ("the index j of v[j, 0] is neither",)),
    ],
)
def test_what_is_not_supported_is_named(output: Callable[[], Any], parts: tuple[str, ...]) -> None:
    expression = output()
    refused(lambda: model(expression), "Model(output=...): ", *parts)


@pytest.mark.parametrize(
    ("output", "parts"),
    [
        (
            lambda: W * sp.MatrixSymbol("c", 3, 1),
            ("the symbol 'c' is not declared (parameters: 'W'; inputs: 'x', 'u'",),
        ),
        (lambda: sp.Trace(sp.MatrixSymbol("S", 2, 2)), ("two different symbols are named 'S'", "of shape (2, 2)")),
        (lambda: W * sp.Matrix([x, 1, sp.Symbol("q")]), ("the symbol 'q' is not declared",)),
        (lambda: W.applyfunc(lambda e: e * sp.Symbol("q")), ("the symbol 'q' is not declared",)),
        (lambda: sp.Symbol("d") * W.applyfunc(sp.Lambda(d, d**2)), ("the symbol 'd' is not declared",)),
        (lambda: W * u * 10**400, ("contains <an integer of about 401 digits>",)),
        (lambda: W * sp.Matrix([1, sp.oo, 1]), ("an infinity",)),
        (lambda: sp.OneMatrix(sp.Symbol("n"), 1), ("has the shape (n, 1); expected whole numbers > 0",)),
        (lambda: sp.Trace(sp.OneMatrix(j, j)), ("OneMatrix(j, j) has the shape (j, j); expected whole numbers > 0",)),
        (lambda: sp.MatrixSymbol("Z", sp.Symbol("n"), 1), ("the MatrixSymbol 'Z' has the shape (n, 1)",)),
        (lambda: sp.ZeroMatrix(0, 1), ("has the shape (0, 1)",)),
        (lambda: sp.DiagMatrix(W), ("DiagMatrix(W) has a diagonal of shape (2, 3)",)),
        (
            lambda: sp.Sum(MatrixElement(B * v, j + 1, 0), (j, 0, 4)),
            ("runs from 1 to 5; expected 0 to 4, because B*v",),
        ),
        (lambda: sp.Sum(B[j : j + 2, :] * v, (j, 0, 4)), ("the slice j:j + 2 of B[j:j + 2, :] runs from 0 to 5",)),
        (lambda: W.applyfunc(sp.Lambda(d, sp.Sum(d, (d, 0, 4)))), ("the index 'd' of", "already means something else")),
        (
            lambda: sp.Matrix([[x, W * u]]),
            ("got W*u of type MatMul", "a matrix of shape (2, 1)", "BlockMatrix([[A], [B]])"),
        ),
        (lambda: B[i, :] * v, ("the symbol 'i' is not declared", "inside a Sum over it")),
    ],
)
def test_what_cannot_be_meant_is_named(output: Callable[[], Any], parts: tuple[str, ...]) -> None:
    expression = output()
    refused(lambda: model(expression), "Model(output=...): ", *parts, kind=DeclarationError)


@pytest.mark.filterwarnings("ignore::sympy.utilities.exceptions.SymPyDeprecationWarning")
def test_shapes_that_sympy_was_told_not_to_check() -> None:
    product = sp.MatMul(W, W.T, W, check=False)
    crooked = product.func(*product.args, W, check=False)
    refused(lambda: model(crooked), "multiplies W of shape (2, 3) by W of shape (2, 3)", kind=DeclarationError)
    mixed = sp.MatAdd(W, S, check=False)
    refused(lambda: model(mixed), "of shape (2, 3)", "of shape (3, 3)", "equal shapes", kind=DeclarationError)


def test_shapes_of_prediction_and_output() -> None:
    three = sp.MatrixSymbol("three", 3, 1)
    refused(
        lambda: EmpiricalRisk(network(3, 4, 2), Loss(three.T * three, prediction=three, target=None)),
        "the prediction 'three' has the shape (3, 1); expected (2, 1)",
        "sympy.MatrixSymbol('three', 2, 1)",
        kind=DeclarationError,
    )
    refused(
        lambda: Loss(z * z.T, prediction=z, target=None),
        "Loss(expression=...): expected one number, got a matrix of shape (2, 2)",
        kind=DeclarationError,
    )


def test_the_dependence_is_followed_through_matrices() -> None:
    q = sp.MatrixSymbol("q", 2, 1)
    loss = Loss(q.T * q, prediction=q, target=None)
    outside = Model(x * sp.ones(2, 3) * u, inputs=[x, u], parameters=[W])
    refused(lambda: EmpiricalRisk(outside, loss), "depends on no parameter", kind=DeclarationError)
    k = sp.Symbol("k")
    # the variable of the Lambda is no parameter, though it has its name
    hidden = Model((x * sp.ones(2, 3) * u).applyfunc(sp.Lambda(k, k**2)), inputs=[x, u], parameters=[k])
    refused(lambda: EmpiricalRisk(hidden, loss), "depends on no parameter", kind=DeclarationError)
    named = Model((x * sp.ones(2, 3) * u).applyfunc(sp.Lambda(d, k * d)), inputs=[x, u], parameters=[k])
    assert EmpiricalRisk(named, loss).parameters == (k,)
    refused(lambda: Loss(t.T * t, prediction=z, target=t), "does not depend on the prediction", kind=DeclarationError)
    Loss(z.applyfunc(sp.exp)[0, 0] * MatrixElement(z + t, label, 0), prediction=z, target=[t, label])


def test_a_variable_hides_what_has_its_name() -> None:
    for variable in (x, sp.Symbol("W"), sp.Dummy("x")):
        assert model(W.applyfunc(sp.Lambda(variable, variable**2))).output_shape == (2, 3)
    hidden = z.applyfunc(sp.Lambda(label, z[label, 0]))
    hidden = MatrixElement(hidden, 0, 0)
    refused(lambda: Loss(hidden, prediction=z, target=label), "the index label of z[label, 0] is neither")
    around = sp.Sum(sp.Trace(B.applyfunc(sp.Lambda(i, v[i, 0]))), (i, 0, 4))
    refused(lambda: model(around), "the index i of v[i, 0] is neither")


# ------------------------------------------------------------------------------------ small matrices may be written out


def test_small_matrices_are_written_out_for_what_is_known_by_its_elements() -> None:
    solved = model(S.inv() * u)
    assert solved.output_shape == (3, 1)
    assert solved.outputs == tuple((S.inv() * u).as_explicit())
    assert model(sp.KroneckerProduct(u, a)).outputs[1] == u[0, 0] * a[1, 0]
    assert model(sp.Adjoint(W) * sp.ones(2, 1)).output_shape == (3, 1)
    q = sp.MatrixSymbol("q", 3, 1)
    risk = EmpiricalRisk(solved, Loss(q.T * S.subs(S, sp.eye(3)) * q, prediction=q, target=None))
    assert risk.predictions == (q[0, 0], q[1, 0], q[2, 0])
    # one part is large: nothing is written out
    refused(lambda: model(S.inv() * u * v.T * B), "Inverse is not supported, in S**(-1)")


# -------------------------------------------------------------------------------------------------- a data set typed in


@pytest.mark.parametrize(
    "typed",
    [
        sp.Add(*((sp.Trace(S * n) - n**2) ** 2 for n in range(2, 14))),
        sp.Add(*(sp.Trace((S * sp.Matrix([n, n**2, 1]) - n * a).applyfunc(sp.cos).T * a) for n in range(12))),
        a.T * sp.MatAdd(*((n * S - sp.Identity(3)) ** 2 for n in range(1, 12))) * a,
    ],
)
def test_data_typed_in_is_seen_through_matrices(typed: Any) -> None:
    refused(
        lambda: EmpiricalRisk.from_expression(typed, inputs=[], targets=[], parameters=[S, a]),
        "terms of a sum are alike but for their numbers",
        kind=DeclarationError,
    )


def test_slices_elements_and_powers_are_no_data_typed_in() -> None:
    long = sp.MatrixSymbol("long", 40, 2)
    for fine in (
        sp.Add(*(sp.Trace(long[n : n + 2, :]) ** 2 for n in range(20))),
        sp.MatMul(*(sp.OneMatrix(1, 2), sp.MatAdd(*(long[n : n + 2, :] ** 2 for n in range(20))), sp.OneMatrix(2, 1))),
        sp.Add(*(MatrixElement(long * long.T, n, 0) ** 2 for n in range(20))),
        sp.Trace(sp.MatPow(sp.MatAdd(*((long.T * long) ** n for n in range(2, 15))), 2)),
        sp.Trace(sp.MatPow(sp.MatAdd(*(long.T * sp.HadamardPower(long, n) for n in range(2, 15))), 2)),
    ):
        EmpiricalRisk.from_expression(fine, inputs=[], targets=[], parameters=[long])


# ------------------------------------------------------------------------------------------------------- depth and size


def test_width_costs_nothing() -> None:
    net = network(7, 5, 5, 3)
    EmpiricalRisk(net, losses.softmax_cross_entropy(3))  # SymPy warms up
    start = time.perf_counter()
    risk = EmpiricalRisk(network(784, 512, 512, 10), losses.softmax_cross_entropy(10), penalty=sp.Trace(B) * 0)
    assert len(repr(risk)) < 1000
    assert len(risk.fingerprint) == 64
    # about 5 ms alone on one core; the rest is for a machine that is busy with other tests
    assert time.perf_counter() - start < 0.2
    assert sum(1 for _ in walk(risk.outputs)) == sum(1 for _ in walk(net.outputs))


def test_a_large_explicit_matrix_is_shown_short() -> None:
    table = sp.ImmutableDenseMatrix(60, 5, lambda row, column: row * column + sp.Rational(1, 2))
    risk = EmpiricalRisk(Model(table * w, inputs=[], parameters=[w]), losses.squared(60))
    assert len(repr(risk)) < 1000
    assert "..." in show(table * w)
    assert show(sp.BlockMatrix([[u], [sp.ZeroMatrix(2, 1)]])) == "BlockMatrix([[u], [ZeroMatrix(2, 1)]])"
    assert show(sp.Matrix([[x, 1]]) * W) == "Matrix([[x, 1]])*W"


def test_deep_scalars_among_matrices() -> None:
    def nested(inner: Any) -> Any:
        for _ in range(10_000):
            inner = sp.tanh(inner, evaluate=False)
        return inner

    risk = EmpiricalRisk(model(nested(x * sp.Trace(S))), Loss(p**2, prediction=p, target=None))
    assert len(risk.fingerprint) == 64
    assert len(repr(risk)) < 1000
    refused(lambda: model(nested(sp.Trace(sp.Adjoint(B)))), "Adjoint is not supported, in Adjoint(B)")


def test_a_long_recurrent_network() -> None:
    h, time_steps = a, 60
    for step in range(time_steps):
        h = (S * h + u * (step + 1)).applyfunc(sp.tanh)
    start = time.perf_counter()
    risk = EmpiricalRisk(model(h), losses.squared(3))
    assert time.perf_counter() - start < 2
    assert shapes_of("here", risk.outputs)[id(h)] == (3, 1)
    assert len(risk.fingerprint) == 64
    assert len(repr(risk)) < 1000


def test_shared_parts_are_met_once() -> None:
    doubling = S * u
    for _ in range(40):
        doubling = sp.HadamardProduct(doubling.applyfunc(sp.sin), doubling.applyfunc(sp.cos))
    start = time.perf_counter()
    risk = EmpiricalRisk(model(doubling), losses.squared(3))
    assert len(risk.fingerprint) == 64
    assert time.perf_counter() - start < 5


def test_children_have_lasting_ids() -> None:
    output = sp.BlockMatrix([[sp.Matrix([x, 1])], [W * sp.Matrix([1, 2, x])]])
    assert [id(child) for child in children(output)] == [id(child) for child in children(output)]
    explicit = next(node for node in walk([output]) if isinstance(node, sp.ImmutableDenseMatrix))
    assert [id(child) for child in children(explicit)] == [id(child) for child in children(explicit)]
    order = list(postorder([output]))
    assert len(order) == len({id(node) for node in order}) == len(list(walk([output])))
    assert order[-1] is output
