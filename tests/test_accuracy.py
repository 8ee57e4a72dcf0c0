"""The public table of accuracy: every function has its row, and what judges the peers is itself right."""

import math
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mpmath import mp, mpf

from benchmarks import accuracy_page as page
from benchmarks.accuracy_forms import FORMS, LIMITS
from benchmarks.accuracy_truth import true_result
from tests.helpers import atoms

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "benchmarks"))  # the peers' script is one that no package needs to be there for

import accuracy_peers as peers  # noqa: E402

# mpmath as one more tool, of which only the ones that C has are its own.
PLAIN = SimpleNamespace(**{name: getattr(mp, name) for name in peers.SAME_NAMES})
OWN = {"Abs", "ceiling", "gamma", "loggamma", "digamma", "polygamma", "polygamma2", "atan2", "Max", "Min"}


def test_the_page_has_a_row_for_every_function_and_form() -> None:
    rows = re.findall(r"^\| `(.+?)` \|", (ROOT / "docs" / "accuracy.md").read_text(), re.MULTILINE)
    for names in (atoms.ALL, FORMS):
        for name in names:
            arity = 2 if name in atoms.TWO or (name in FORMS and len(FORMS[name].points[0]) == 2) else 1
            assert rows.count(name) == 3 - arity  # its value, and its only derivative
            assert sum(row.startswith(f"{name} by ") for row in rows) == (2 if arity == 2 else 0)


@pytest.mark.parametrize("name", atoms.ALL)
def test_what_a_tool_has_not_is_defined_as_it_is(name: str) -> None:
    function = peers.function_of(name, PLAIN)
    assert (function is None) == (name in OWN)
    if function is not None:
        at = (mpf("2.5"), mpf("0.75")) if name in atoms.TWO else (mpf("0.625" if name != "acosh" else "2.5"),)
        if name in ("asec", "acsc", "acoth"):
            at = (mpf("2.5"),)
        true = (atoms.ONE | atoms.TWO)[name][1](*at)
        assert abs(function(*at) - true) <= abs(true) * mpf("1e-14")  # some have a constant that is a double


def test_forms_are_true_to_closed_forms() -> None:
    for output, name, at, true in (
        (1, "1-tanh(x)**2", 300.0, lambda x: -2 * mp.tanh(x) * mp.sech(x) ** 2),
        (1, "1/(1+exp(-x))", -700.0, lambda x: mp.exp(x) / (1 + mp.exp(x)) ** 2),
        (0, "sin(x)/x", 1e-8, lambda x: 1 - x**2 / 6 + x**4 / 120),
        (1, "(1-cos(x))/x**2", 1e-160, lambda x: -x / 12),
        (1, "log(erfc(x))", 1e4, lambda x: -2 * x - 1 / x + 1 / x**3 - 5 / (2 * x**5)),
        (1, "exp(x)/(1+exp(x))", 1e4, lambda x: mpf(0)),
        (1, "log(1-exp(-exp(x)))", -300.0, lambda x: 1 - mp.exp(x) / 2),
    ):
        with mp.workdps(60):
            expected = true(mpf(at))
            assert abs(true_result(name, output, at) - expected) <= abs(expected) * mpf(10) ** -20


def test_the_forms_are_known_by_their_limits() -> None:
    assert LIMITS.keys() <= FORMS.keys()


def cell(got: float, true: float, at: float = 2.0) -> str:
    return page.cell_text(page.judged([(at,)], [got], [mpf(true)]))


def test_a_cell_says_how_wrong_and_where() -> None:
    assert cell(1.0, 1.0) == "0"
    assert cell(1 + 2.0**-51, 1.0, 1e-160) == "2.0 at 1e-160"
    assert cell(0.0, 1.0, -25.7) == "5e15 at -25.7"
    assert cell(math.nan, 1.0, 1 - 2.0**-53) == "NaN at 1-1.1e-16"
    assert cell(-math.inf, 1.0) == "-inf at 2"
    assert cell(1e308, math.inf) == "not inf at 2"
    assert cell(1.0, 1e-305) == ">1e308 at 2"
    assert page.cell_text(None) == "none"


def test_the_worst_is_taken_and_what_is_subnormal_stands_apart() -> None:
    points = [(2.0,), (1e-310,), (3.0,), (4.0,), (5.0,)]
    found = page.judged(points, [1.0, math.nan, 7.0, 0.0, 9.0], [mpf(1), mpf(1), mp.nan, mpf(1e-310), mpf(9)])
    assert found.ordinary is not None
    assert found.subnormal is not None
    assert (found.ordinary.error, found.subnormal.at) == (0.0, (1e-310,))
    lost: Any = page.judged([(4.0,)], [math.nan], [mpf(1e-310)])
    assert (lost.ordinary.at, lost.subnormal) == ((4.0,), None)
    assert page.tally([found, None, lost], "ordinary") == "1 of 2"


def test_of_equal_errors_the_one_nearest_to_one_is_shown() -> None:
    nan = [math.nan] * 3
    found = page.judged([(1e300,), (20.0,), (1e-30,)], nan, [mpf(1)] * 3)
    assert page.cell_text(found) == "NaN at 20"
