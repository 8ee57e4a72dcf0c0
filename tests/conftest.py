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


def _forget(folder: "tempfile.TemporaryDirectory[str]") -> None:
    os.environ.pop(_FOLDER, None)
    folder.cleanup()
