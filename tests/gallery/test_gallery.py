"""The gallery: its data, its declarations and its certified digits, against values that somebody else computed.

Everything is evaluated here with 50 digits from SymPy's own derivatives of the declared expressions. Models with
matrices, of which SymPy has none that are right, are left to test_gallery_matrices.py.
"""

import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy as sp

from symgrad import gallery
from symgrad.declare import leaves
from symgrad.gallery import Example

DIGITS = 50
SPREAD = Decimal("2.4407137948148447")  # of the stack loss residuals: the reference divides them by it

# name: (theta, mean loss, mean gradient) to 20 digits, at NIST's second starting point or at a test point. From
# evaluations in arithmetic of 60 digits that share no code with symgrad.
REFERENCE: dict[str, tuple[str | list[float], str, str]] = {
    "misra1a": ("start 2", "3.1979483444815778849", "-0.66512758052452307031 -290273.96914072507260"),
    "eckerle4": (
        "start 2",
        "0.0016195116698410149936",
        "-0.0021196380644084854572 0.00069737346530148956454 -0.0011996286015536617950",
    ),
    "gauss1": (
        "start 2",
        "48.326770217463923428",
        "0.33759210907011707395 1356.5434079383432505 0.14814193084826848771 -17.305475241172586735 "
        "0.37111349178282644589 0.22796088023709846550 2.8058166058123787729 1.9878385322357295617",
    ),
    "enso": (
        "start 2",
        "5.4462828990872358542",
        "-0.99587176703269505982 -0.098217397953815625437 -0.0061040564446015396456 -0.059591616736587728792 "
        "0.18429627262459202930 0.040675992129751888641 -1.2785305677807525073 0.62982698516431795868 "
        "0.31551346682157772168",
    ),
    "mgh09": (
        "start 2",
        "0.00048301566110077648499",
        "0.012143313931990506621 -0.000067957723193761947863 -0.00081868741612658626091 0.0010123213703025896489",
    ),
    "mgh10": (
        "start 2",
        "105850488.08975911882",
        "-5454791436.4791872641 -351210.19588976162445 4529942.3158843279085",
    ),
    "rat42": ("start 2", "16.973557194473910711", "4.8950808066331146620 -85.709940987188877869 3584.7390898137672393"),
    "kirby2": (
        "start 2",
        "6.5411984650739028901",
        "-3.0831241783896693516 -579.11874892866586491 -126340.00842570607526 29888.815319231366609 "
        "7419220.4555859314343",
    ),
    "nelson": (
        "start 2",
        "0.37882757013271842736",
        "0.36823322057200957075 -17721500.753569934968 24.256791737851923836",
    ),
    "boxbod": ("start 2", "8130.8754442731303723", "-155.46993589688436689 -3101.6059656285650342"),
    "ships_negbin": (
        [0.1, 0.2, 2.0, 0.3],
        "3.2855784994021132639",
        "0.064937960746299028380 0.0074087310280498112912 -0.0032219067420693061022 -0.27984134936593761162",
    ),
    "stackloss_huber": (
        [0.5, 1.0, 0.1, -30.0],
        "5.9366068156635375431",
        "33.300270086601567815 11.624916980586678126 47.549321825785690213 0.55106829930546329718",
    ),
    "marietta_student_t": (
        [0.01, 1.0, -5.0, 4.0],
        "-1.0761761122525985168",
        "1.8370650228957973426 -0.063879406793019820189 0.17926052879693017259 -0.0067720936270204315025",
    ),
}

CERTIFIED = [name for name in gallery.names() if gallery.load(name).certified is not None]


def declared(example: Example) -> tuple[sp.Expr, list[sp.Symbol], list[sp.Symbol]]:
    """The loss of a sample in real symbols, with its parameters and its data."""
    risk = example.risk
    real = {s: sp.Symbol(f"s{i}", real=True) for i, s in enumerate((*risk.parameters, *risk.inputs, *risk.targets))}
    bound = risk.loss.xreplace(dict(zip(risk.predictions, risk.outputs, strict=True))).xreplace(real).doit()
    return bound, [real[p] for p in risk.parameters], [real[s] for s in (*risk.inputs, *risk.targets)]


def mean(expressions: Sequence[sp.Expr], symbols: list[sp.Symbol], example: Example, theta: Sequence[Any]) -> list[Any]:
    """The means of expressions over the samples, to 50 digits."""
    evaluate = sp.lambdify(symbols, expressions, modules="mpmath", cse=True)
    rows = np.hstack([example.inputs, example.targets]).tolist()
    with mpmath.workdps(DIGITS):
        point = [mpmath.mpf(value) for value in theta]
        values = [evaluate(*point, *(mpmath.mpf(number) for number in row)) for row in rows]
        return [mpmath.fsum(column) / len(rows) for column in zip(*values, strict=True)]


def loss_and_gradient(name: str, theta: Sequence[Any]) -> tuple[Any, list[Any]]:
    example = load(name)
    loss, parameters, data = declared(example)
    value, *gradient = mean([loss, *(loss.diff(p) for p in parameters)], [*parameters, *data], example, theta)
    return value, gradient


@cache
def load(name: str) -> Example:
    return gallery.load(name)


def relative_error(got: Any, expected: Any) -> float:
    return float(abs(got - expected) / abs(expected))


def test_names_risks_and_attributes_agree() -> None:
    names = gallery.names()
    assert names == tuple(risk.name for risk in gallery.RISKS)
    assert len(set(names)) == len(names) >= 12
    assert all(getattr(gallery, risk.name) is risk for risk in gallery.RISKS)
    assert {*names, "RISKS", "Example", "load", "names"} == set(gallery.__all__)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"name: expected one of misra1a, .*; got 'misra1b'"):
        gallery.load("misra1b")


def test_every_file_of_data_belongs_to_an_example() -> None:
    data = files("symgrad.gallery").joinpath("data")
    facts = json.loads(data.joinpath("problems.json").read_text(encoding="utf-8"))
    assert set(facts) == set(gallery.names())
    assert {path.name for path in data.iterdir()} == {"problems.json", *(fact["rows"] for fact in facts.values())}


@pytest.mark.parametrize("name", gallery.names())
def test_arrays_have_the_shapes_of_the_declaration(name: str) -> None:
    example = gallery.load(name)
    risk = example.risk
    n = len(example.inputs)
    assert risk.name == name
    assert n >= 1
    assert example.inputs.shape == (n, len(leaves(*risk.inputs)))
    assert example.targets.shape == (n, len(leaves(*risk.targets)))
    points = [example.theta, *example.starts.values(), *([] if example.certified is None else [example.certified])]
    assert all(point.shape == (len(leaves(*risk.parameters)),) for point in points)
    for array in (example.inputs, example.targets, *points):
        assert array.dtype == np.float64
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert np.isfinite(array).all()
    assert any((example.theta == start).all() for start in example.starts.values())
    assert example.title
    assert example.source
    assert example.what


@pytest.mark.parametrize("name", gallery.names())
def test_each_load_gives_arrays_of_its_own(name: str) -> None:
    spoiled, fresh = gallery.load(name), gallery.load(name)
    for array in (spoiled.inputs, spoiled.targets, spoiled.theta):
        array[...] = 99.0
    again = gallery.load(name)
    assert (again.inputs == fresh.inputs).all()
    assert (again.targets == fresh.targets).all()
    assert (again.theta == fresh.theta).all()
    assert any((spoiled.starts[label] == again.theta).all() for label in spoiled.starts)


def test_ships_and_tumours_are_the_known_ones() -> None:
    """Facts of the data sets that their sources print."""
    assert load("ships_poisson").targets.sum() == 356
    tumours = load("breast_cancer_logistic")
    assert len(tumours.targets) == 569
    assert tumours.targets.sum() == 357
    assert set(tumours.targets.ravel()) == {0.0, 1.0}
    assert len(load("diabetes_network").targets) == 442


@pytest.mark.parametrize("name", REFERENCE)
def test_the_declaration_has_the_reference_loss_and_gradient(name: str) -> None:
    point, loss, gradient = REFERENCE[name]
    theta = load(name).starts[point].tolist() if isinstance(point, str) else point
    # The gallery's Huber loss is in the units of the data, the reference in units of the spread; and 1.345 * SPREAD
    # is a double in the gallery.
    unit, tolerance = (SPREAD**2, 1e-15) if name == "stackloss_huber" else (Decimal(1), 1e-18)
    got_loss, got_gradient = loss_and_gradient(name, theta)
    with mpmath.workdps(DIGITS):
        pairs = zip([got_loss, *got_gradient], [loss, *gradient.split()], strict=True)
        assert max(relative_error(got, mpmath.mpf(str(unit * Decimal(ref)))) for got, ref in pairs) < tolerance


@pytest.mark.parametrize("name", CERTIFIED)
def test_certified_digits_are_those_of_a_minimum(name: str) -> None:
    """Newton's next step from the printed parameters stays within the rounding of the last of ``certified_digits``."""
    example = load(name)
    assert example.certified is not None
    assert example.certified_text is not None
    assert example.certified_digits is not None
    assert example.certified.tolist() == [float(text) for text in example.certified_text]

    loss, parameters, data = declared(example)
    gradient = [loss.diff(p) for p in parameters]
    size = len(parameters)
    second = [gradient[i].diff(parameters[j]) for i in range(size) for j in range(size)]
    second = [entry.replace(sp.DiracDelta, lambda *_: sp.S.Zero) for entry in second]  # no residual stands at a kink
    means = mean([*gradient, *second], [*parameters, *data], example, example.certified_text)
    with mpmath.workdps(DIGITS):
        hessian = mpmath.matrix([means[size * (i + 1) : size * (i + 2)] for i in range(size)])
        mpmath.cholesky(hessian)  # raises unless positive definite: a minimum, not a saddle
        step = mpmath.lu_solve(hessian, mpmath.matrix(means[:size]))
        for text, change in zip(example.certified_text, step, strict=True):
            last = Decimal(text).adjusted() + 1 - example.certified_digits  # the place of the last digit promised
            assert 0 < abs(change) <= mpmath.mpf(10) ** last / 2


@pytest.mark.parametrize("name", [name for name in CERTIFIED if load(name).certified_sum_text is not None])
def test_the_sum_of_losses_is_the_printed_one(name: str) -> None:
    example = load(name)
    assert example.certified_text is not None
    assert example.certified_sum_text is not None
    printed = Decimal(example.certified_sum_text)
    loss, parameters, data = declared(example)
    (value,) = mean([loss], [*parameters, *data], example, example.certified_text)
    last_digit = Decimal((0, (1,), int(printed.as_tuple().exponent)))
    assert abs(Decimal(mpmath.nstr(value * len(example.inputs), 30)) - printed) <= last_digit


def poisson_gradient(theta: list[Any], row: list[Any]) -> list[Any]:
    *x, y = row
    mu = mpmath.exp(theta[0] * x[0] + theta[1] * x[1] + theta[2])
    return [(mu - y) * factor for factor in (x[0], x[1], 1)]


def logistic_gradient(theta: list[Any], row: list[Any]) -> list[Any]:
    *x, y = row
    log_odds = theta[0] + mpmath.fdot(theta[1:], x)
    return [(1 / (1 + mpmath.exp(-log_odds)) - y) * factor for factor in (1, *x)]


def network_gradient(theta: list[Any], row: list[Any]) -> list[Any]:
    """Backpropagation by hand: 2 inputs, 4 units, 1 output."""
    *x, y = row
    weights, shifts, outer, offset = theta[:8], theta[8:12], theta[12:16], theta[16]
    hidden = [mpmath.tanh(mpmath.fdot(weights[2 * i : 2 * i + 2], x) + shifts[i]) for i in range(4)]
    error = mpmath.fdot(outer, hidden) + offset - y
    back = [error * v * (1 - h**2) for v, h in zip(outer, hidden, strict=True)]
    return [*(b * u for b in back for u in x), *back, *(error * h for h in hidden), error]


BY_HAND: dict[str, Callable[[list[Any], list[Any]], list[Any]]] = {
    "ships_poisson": poisson_gradient,
    "breast_cancer_logistic": logistic_gradient,
    "diabetes_network": network_gradient,
}


@pytest.mark.parametrize("name", BY_HAND)
def test_the_declaration_has_the_gradient_derived_by_hand(name: str) -> None:
    example = load(name)
    theta = np.linspace(-0.4, 0.5, len(example.theta)).tolist()
    _, got = loss_and_gradient(name, theta)
    with mpmath.workdps(DIGITS):
        point = [mpmath.mpf(value) for value in theta]
        rows = np.hstack([example.inputs, example.targets]).tolist()
        each = [BY_HAND[name](point, [mpmath.mpf(number) for number in row]) for row in rows]
        expected = [mpmath.fsum(column) / len(rows) for column in zip(*each, strict=True)]
        assert max(relative_error(g, e) for g, e in zip(got, expected, strict=True)) < 1e-40


def test_every_example_is_checked_against_somebody_elses_value() -> None:
    scalar = {r.name for r in gallery.RISKS if not any(isinstance(p, sp.MatrixSymbol) for p in r.parameters)}
    assert {*REFERENCE, *BY_HAND} == scalar
