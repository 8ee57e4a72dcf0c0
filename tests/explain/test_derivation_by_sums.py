"""The sum rule itself, with symbols: for N = 3 the gradient of the mean is the mean of the gradients.

The left side is SymPy's derivative of the whole mean, every sample written out; the right side what the backward
sweep makes of one sample, its operations written as SymPy again. Matrices are written out in their elements.
"""

from collections.abc import Callable

import pytest
import sympy as sp

from symgrad import functions, gallery
from symgrad.declare import EmpiricalRisk, Loss, Model, leaves
from symgrad.operations import TABLE, X, Y
from symgrad.operations.operation import Operation
from symgrad.passes import derive, stabilise
from symgrad.trace import trace
from tests.helpers.evaluate import Arithmetic, output

N = 3
a, b, u, y = sp.symbols("a b u y", real=True)


def _meaning(row: Operation) -> Callable[..., sp.Basic]:
    return lambda *arguments: row.meaning.xreplace(dict(zip((X, Y), arguments, strict=False)))


# The operations of a program as SymPy writes them: of numbers; matrices are arrays of these.
SYMBOLS = Arithmetic(
    lambda value: sp.nsimplify(sp.Float(value), rational=True),
    {
        **{name: _meaning(row) for name, row in TABLE.items() if row.meaning is not None},
        "select": lambda c, x, y: sp.Piecewise((x, c), (y, True)),
        "lt": sp.Lt, "le": sp.Le, "eq": sp.Eq, "ne": sp.Ne, "and": sp.And, "or": sp.Or, "not": sp.Not,
        "logsumexp": functions.logsumexp,
        "softmax": lambda *xs: sp.exp(xs[xs[-1]]) / sp.Add(*map(sp.exp, xs[:-1])),
        "power": lambda x, n: x ** sp.Integer(n),
        "over_product": lambda x, d, *rest: x / d,
        "fmod": sp.Mod,  # of places, which are not negative
    },
)  # fmt: skip


RISKS = [risk for risk in gallery.RISKS if risk.name in ("misra1a", "eckerle4", "mgh09", "rat42", "nelson", "boxbod")]
RISKS += [
    EmpiricalRisk.from_expression(
        sp.log(b) + (y - a * u) ** 2 / (2 * b**2),
        inputs=[u],
        targets=[y],
        parameters=[a, b],
        penalty=a**2 / 7 + sp.log(b) ** 2 / 3,
        name="gauss",
    ),
    EmpiricalRisk.from_expression(
        functions.softplus(a * u + b) - y * (a * u + b),
        inputs=[u],
        targets=[y],
        parameters=[a, b],
        penalty=a * b / 5,
        name="logistic",
    ),
]
W, c, x = sp.MatrixSymbol("W", 2, 2), sp.MatrixSymbol("c", 2, 1), sp.MatrixSymbol("x", 2, 1)
z, i, j = sp.MatrixSymbol("z", 2, 1), sp.Idx("i", 2), sp.Idx("j", 2)
RISKS += [
    EmpiricalRisk(
        Model(W * x.applyfunc(sp.sin) + c, [x], [W, c]),
        Loss((z.T * z)[0, 0] / 2 - y * z[1, 0], z, y),
        penalty=sp.Trace(W.T * W) / 3 + sp.DotProduct(c, c) ** 2,
        name="layer",
    ),
    EmpiricalRisk(
        Model((W * (W * x)).applyfunc(sp.exp), [x], [W]),
        Loss(sp.log(sp.Sum(sp.exp(z[i, 0]), (i, 0, 1))) - y * z[0, 0], z, y),
        name="shared",
    ),
    EmpiricalRisk.from_expression(
        sp.Sum(sp.Sum(W[i, j] * x[j, 0], (j, 0, 1)) ** 2 * c[i, 0], (i, 0, 1)) + sp.Trace(W * x * c.T) * y,
        inputs=[x],
        targets=[y],
        parameters=[W, c],
        penalty=sp.Trace(W**3),
        name="bilinear",
    ),
]


def sample_of(symbol: sp.Basic, number: int) -> sp.Basic:
    """A leaf of one sample."""
    return sp.Symbol(f"{symbol}_{number}", real=True)


def in_elements(expression: sp.Basic) -> sp.Expr:
    """Matrices as their elements, sums and traces done: by SymPy."""
    expression = expression.replace(lambda e: isinstance(e, sp.Trace), lambda e: e.args[0].as_explicit().trace())
    expression = expression.replace(lambda e: isinstance(e, sp.DotProduct), dot)
    return expression.doit()


def dot(product: sp.DotProduct) -> sp.Expr:
    return sp.Add(*(p * q for p, q in zip(*(a.as_explicit() for a in product.args), strict=True)))


@pytest.mark.parametrize("risk", RISKS, ids=lambda risk: risk.name)
def test_the_gradient_of_the_mean_is_the_mean_of_the_gradients(risk: EmpiricalRisk) -> None:
    parameters = [real(leaf) for leaf in leaves(*risk.parameters)]
    known = dict(zip(leaves(*risk.parameters), parameters, strict=True))
    sample_loss = in_elements(bound_to_the_model(risk)).xreplace(known)
    penalty = in_elements(risk.penalty).xreplace(known) if risk.penalty is not None else sp.S.Zero
    data = (*leaves(*risk.inputs), *leaves(*risk.targets))
    samples = [{leaf: sample_of(leaf, number) for leaf in data} for number in range(1, N + 1)]
    mean = sp.Add(*(sample_loss.xreplace(sample) for sample in samples)) / N + penalty
    program = derive(stabilise(trace(risk))[0])
    rows = []
    for sample in samples:
        given = {
            "parameter": parameters,
            "input": [sample[leaf] for leaf in leaves(*risk.inputs)],
            "target": [sample[leaf] for leaf in leaves(*risk.targets)],
            "weight": [sp.S.One],
        }
        rows.append(output(program, "gradient", SYMBOLS, given))
    zeros = [sp.S.Zero] * len(parameters)
    penalties = zeros if risk.penalty is None else output(program, "penalty_gradient", SYMBOLS, given)
    for place, parameter in enumerate(parameters):
        whole = sp.diff(mean, parameter)
        by_samples = sp.Add(*(row[place] for row in rows)) / N + penalties[place]
        assert vanishes(whole - by_samples), f"d/d{parameter} of {risk.name}"


def real(leaf: sp.Basic) -> sp.Symbol:
    return leaf if isinstance(leaf, sp.Symbol) else sample_of(leaf, 0)


def bound_to_the_model(risk: EmpiricalRisk) -> sp.Expr:
    """The loss with the model's output for its placeholder."""
    bound = {}
    for placeholder, value in zip(risk.predictions, risk.outputs, strict=True):
        if isinstance(placeholder, sp.MatrixSymbol):
            bound |= dict(zip(placeholder.as_explicit(), value.as_explicit(), strict=True))
        else:
            bound[placeholder] = value
    return in_elements(risk.loss).xreplace(bound)


def vanishes(difference: sp.Expr) -> bool:
    """Zero to 40 digits at eight rational points: SymPy's own proof takes a minute, and often does not end in one."""
    difference = sp.nsimplify(difference, rational=True)
    symbols = sorted(difference.free_symbols, key=str)
    points = [{s: sp.Rational(3 + 2 * k + 5 * p, 11 + p) for k, s in enumerate(symbols)} for p in range(8)]
    return all(abs(sp.N(difference.xreplace(point), 60, chop=True)) < sp.Float("1e-40") for point in points)


def test_a_broken_rule_is_seen() -> None:
    assert not vanishes(a * u - a * u * (1 + sp.Rational(1, 10**9)))
    assert vanishes(functions.sigmoid(a) - 1 / (1 + sp.exp(-a)))
