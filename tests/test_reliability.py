"""The page of promises: each row names a test that is there."""

from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_each_promise_has_its_test() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    named = [line.split("|")[3].strip() for line in page.splitlines() if line.startswith("| ") and "::" in line]
    assert len(named) > 30
    for place in named:
        file, _, test = place.partition("::")
        assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8"), place
