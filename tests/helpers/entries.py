"""Entries of a few bytes for tests of the cache: what is built does not matter there."""

from pathlib import Path

import pytest

from symgrad.build import Built

KEY, TEXT = "0123456789abcdef" * 4, "all that went into the key"
OTHER = "f" * 64


def make(folder: Path) -> Built:
    """Return what a build of next to nothing gives."""
    library, source, log = folder / "decay.so", folder / "decay.pyx", folder / "decay.log"
    library.write_bytes(bytes(range(256)) * 40)
    source.write_text("∇R\n", encoding="utf-8")
    log.write_text("$ gcc\n", encoding="utf-8")
    return Built("decay", library, source, log, {"trace": 0.25, "compiler": 1.5}, ("log1p",))


def never(folder: Path) -> Built:
    """Fail the test: what was there was built again."""
    pytest.fail("built again what was there")


def names(folder: Path) -> set[str]:
    """Return the names of what is in a folder."""
    return {path.name for path in folder.iterdir()}
