"""Do the tests see a fault? ``python -m tests.mutants [NAME ...]`` plants each of many, and expects tests to fail.

A mutant is one small change of a template or of a row of the tables, wrong in a way that could be overlooked. Each is
made in a copy of the checkout, where the tests that have to notice it are run until the first fails. Before that they
are run on the copy as it is, since a test that fails anyway proves nothing. The status is 1 if a mutant survives: then
a test is missing. A change that no test could ever notice is no mutant, and does not stand in the table.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .mutants_table import MUTANTS, Mutant

CHECKOUT = Path(__file__).parents[1]
COPIED = ("symgrad", "templates", "tests", "benchmarks", "generated", "docs", "README.md", "LICENSE", "pyproject.toml")
SECONDS = 600  # a mutant that hangs is noticed too


def make_copy(folder: Path) -> None:
    """The checkout, so that `symgrad` and its templates are found there and nowhere else."""
    unwanted = shutil.ignore_patterns("__pycache__", "*.so", "*.c")
    for name in COPIED:
        source = CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=unwanted, symlinks=True)
        else:
            shutil.copy(source, folder / name)
    # where an installation has it: an editable one would find the templates of the checkout
    templates = folder / "symgrad" / "templates"
    if not templates.is_symlink():  # a copy of a copy has it
        templates.symlink_to(folder / "templates")


def mutated(text: str, mutant: Mutant) -> str:
    """The file's text with the fault in it; `ValueError` unless the old text stands there exactly once."""
    if text.count(mutant.old) != 1:
        raise ValueError(f"{mutant.name}: {mutant.file} has {text.count(mutant.old)} of {mutant.old!r}; 1 expected")
    return text.replace(mutant.old, mutant.new)


@contextmanager
def planted(mutant: Mutant, folder: Path) -> Iterator[None]:
    path = folder / mutant.file
    original = path.read_text()
    path.write_text(mutated(original, mutant))
    try:
        yield
    finally:
        path.write_text(original)


def run_tests(tests: list[str], folder: Path) -> tuple[int, str]:
    """pytest's status and what it printed; 1 where it took too long."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    # the run's own folder of compiled modules: those of the checkout are of other sources, and none is kept
    environment.pop("SYMGRAD_CACHE_DIR", None)
    environment.pop("SYMGRAD_TESTS_CACHE", None)
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--tb=line", *tests]
    try:
        finished = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return 1, "took too long"
    return finished.returncode, finished.stdout + finished.stderr


def verdict(status: int, printed: str) -> str:
    """A mutant that does not even compile was not noticed by a test: it is no use, and has to be mended."""
    if status == 0:
        return "SURVIVED"
    if "BuildError" in printed or "TemplateSyntaxError" in printed or "SyntaxError" in printed:
        return "NO MUTANT: it does not compile"
    # a signal is a crash of the tests' own process, which nobody overlooks
    return "killed" if status == 1 or status < 0 else f"NO VERDICT: pytest ended with status {status}"


def judge(mutants: list[Mutant], folder: Path) -> list[str]:
    """The names of those that were not killed."""
    left = []
    for mutant in mutants:
        start = time.monotonic()
        with planted(mutant, folder):
            status, printed = run_tests(list(mutant.tests), folder)
        found = verdict(status, printed)
        print(f"{found:9} {mutant.name} ({mutant.file}, {time.monotonic() - start:.0f} s)", flush=True)
        if found != "killed":
            left.append(mutant.name)
            print(printed[-2000:] if found != "SURVIVED" else f"    {' '.join(mutant.tests)}", flush=True)
    return left


def main() -> int:
    parser = argparse.ArgumentParser(description="Plants faults, and expects the tests to fail.")
    parser.add_argument("names", nargs="*", help="only these mutants (default: all)")
    arguments = parser.parse_args()
    chosen = [m for m in MUTANTS if not arguments.names or m.name in arguments.names]
    if unknown := {*arguments.names} - {m.name for m in MUTANTS}:
        parser.error(f"no such mutant: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="symgrad-mutants-") as name:
        folder = Path(name)
        make_copy(folder)
        status, printed = run_tests(sorted({test for m in chosen for test in m.tests}), folder)
        if status:
            print(f"The tests fail without any mutant:\n{printed[-4000:]}")
            return 2
        left = judge(chosen, folder)
    print(f"{len(chosen) - len(left)} of {len(chosen)} killed{': not ' + ', '.join(left) if left else ''}")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
