"""The table of mutants fits the sources: each has its place, changes something, and names tests that are there."""

import ast
from collections import Counter
from pathlib import Path

import pytest

from .mutants import CHECKOUT, COPIED, make_copy, mutated, planted, verdict
from .mutants_table import MUTANTS, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name)
def test_a_mutant_has_one_place_and_tests_that_exist(mutant: Mutant) -> None:
    assert mutant.old != mutant.new
    mutated((CHECKOUT / mutant.file).read_text(), mutant)
    assert mutant.file.split("/")[0] in COPIED
    for test in mutant.tests:
        file, _, function = test.partition("::")
        tree = ast.parse((CHECKOUT / file).read_text())
        defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert not function or function.partition("[")[0] in defined, test


def test_there_are_enough_and_each_has_a_name_of_its_own() -> None:
    assert len(MUTANTS) >= 40
    assert [name for name, count in Counter(m.name for m in MUTANTS).items() if count > 1] == []


def test_a_mutant_is_planted_in_the_copy_and_taken_out_again(tmp_path: Path) -> None:
    make_copy(tmp_path)
    mutant = MUTANTS[0]
    path = tmp_path / mutant.file
    before = path.read_text()
    assert before == (CHECKOUT / mutant.file).read_text()
    with planted(mutant, tmp_path):
        assert path.read_text() == before.replace(mutant.old, mutant.new) != before
    assert path.read_text() == before
    assert (tmp_path / "symgrad" / "templates" / "sweep" / "sums.pyx.jinja").is_file()
    with pytest.raises(ValueError, match="2 of 'a'; 1 expected"):
        mutated("a a", Mutant("twice", "x", "a", "b", ()))


def test_only_a_test_that_failed_kills() -> None:
    assert verdict(0, "1 passed") == "SURVIVED"
    assert verdict(1, "E   assert 1 == 2") == "killed"
    assert verdict(-11, "") == "killed"
    assert verdict(1, "symgrad.errors.BuildError: Cython failed").startswith("NO MUTANT")
    assert verdict(5, "no tests ran").startswith("NO VERDICT")
