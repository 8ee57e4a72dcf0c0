"""One folder of compiled modules for a whole test run: each module is built once, whichever process asks first."""

import os
import tempfile

import pytest

_FOLDER = "SYMGRAD_TESTS_CACHE"


def pytest_configure(config: pytest.Config) -> None:
    """Before any test runs; the processes of xdist inherit the folder that the first one made."""
    if hasattr(config, "workerinput") or _FOLDER in os.environ:
        os.environ["SYMGRAD_CACHE_DIR"] = os.environ[_FOLDER]
        return
    folder = tempfile.TemporaryDirectory(prefix="symgrad-tests-", ignore_cleanup_errors=True)
    os.environ[_FOLDER] = os.environ["SYMGRAD_CACHE_DIR"] = os.path.join(folder.name, "cache")
    config.add_cleanup(lambda: _forget(folder))


# A file is one process's work. Those that take longest go first, so that no process is left alone with one in the end.
_LONGEST = (
    *("test_scatter", "test_sweep", "test_processors", "test_hash_seeds", "test_packaging", "test_sanitizers"),
    *("test_matrices", "test_special_functions", "test_numerics", "test_committed", "test_random", "test_docs"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the tests by file, the longest files first; the order within a file stays."""
    items.sort(key=lambda item: _LONGEST.index(item.path.stem) if item.path.stem in _LONGEST else len(_LONGEST))


def _forget(folder: "tempfile.TemporaryDirectory[str]") -> None:
    os.environ.pop(_FOLDER, None)
    folder.cleanup()
