"""The house that the package is: small enough to be seen at once, without a circle; and the tests mirror its rooms."""

from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.house import CHECKOUT, House, house_of, read_tree

MOST_FLOORS, MOST_ARROWS = 10, 90  # four more for each room beyond 24; commands and adapters use all, as others do
# Folders of tests that mirror no room: of compiled modules, of everything at once, and what tests share.
NO_ROOMS = {"compiled", "gradbench", "ladder", "helpers", "soak"}


def test_the_house_is_small_enough_to_be_seen_at_once() -> None:
    """What ``python -m tests.house`` prints."""
    house = house_of(read_tree(CHECKOUT))
    assert max(house.floors.values()) <= MOST_FLOORS
    assert len(house.arrows) <= MOST_ARROWS
    assert house.back_up == ()
    assert house.circles == ()


def test_a_house_with_a_circle_is_seen_as_one() -> None:
    house = House({name: frozenset(sees) for name, sees in {"a": "b", "b": "cd", "c": "a", "d": "", "e": "a"}.items()})
    assert house.circles == (("a", "b", "c"),)
    assert house.back_up == (("a", "b"), ("b", "c"), ("c", "a"))
    assert house.floors == {"a": 2, "b": 2, "c": 2, "d": 1, "e": 3}
    assert "5 rooms, 3 floors, 5 arrows, 3 back up, 1 circles" in str(house)


def test_the_folders_of_tests_are_the_folders_of_the_package(pytestconfig: pytest.Config) -> None:
    """And pytest passes none of them over, as it does by itself with one called build."""

    def folders(root: Path) -> set[Path]:
        return {path.parent.relative_to(root) for path in root.rglob("*.py") if path.parent != root}

    tested = {folder for folder in folders(CHECKOUT / "tests") if folder.parts[0] not in NO_ROOMS}
    assert tested == folders(CHECKOUT / "symgrad")
    skipped = pytestconfig.getini("norecursedirs")
    assert [folder for folder in tested if any(fnmatch(part, s) for part in folder.parts for s in skipped)] == []
