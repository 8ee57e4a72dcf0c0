"""`symgrad doctor` and `symgrad cache`: what this machine has, and what symgrad keeps on it."""

import os
import platform
import sys
import time
from argparse import Namespace
from collections.abc import Iterator

import sympy as sp

from symgrad import __version__
from symgrad.build import Cache, Entry, Toolchain, installed_version, python_header
from symgrad.declare import EmpiricalRisk
from symgrad.errors import CacheError, CompilerNotFoundError, SymgradError, visible
from symgrad.pipeline import compile as compile_risk
from symgrad.progress import progress

_PACKAGES = ("sympy", "jinja2", "numpy", "cython", "mpmath")
_LABEL = 18


def doctor(arguments: Namespace) -> int:
    """Print what building needs and build something; 0 if that works, else 1."""
    print(f"symgrad {__version__}, Python {platform.python_version()} ({sys.executable}), {platform.platform()}")
    print()
    advice = [*_packages(), *_toolchain(), *_cache_report()]
    print()
    advice += _proof(advice)
    for line in advice:
        print(f"-> {line}")
    return 1 if advice else 0


def _row(label: str, text: str) -> None:
    print(f"{label.ljust(_LABEL)} {visible(text)}")


def _packages() -> Iterator[str]:
    for package in _PACKAGES:
        version = installed_version(package)
        _row(package, version)
        if version == "not installed":
            yield f"install {package}: {sys.executable} -m pip install {package}"
    version = installed_version("scipy")
    need = '; only `symgrad demo` needs it: pip install "symgrad[scipy]"' if version == "not installed" else ""
    _row("scipy", version + need)


def _toolchain() -> Iterator[str]:
    known = {"Python", "Cython", "NumPy"}  # shown already
    try:
        toolchain = Toolchain.detect()
    except CompilerNotFoundError as error:
        _row("compiler", "none that works: nothing can be built, but modules in the cache run")
        yield str(error)
        return
    except SymgradError as error:
        _row("compiler", "none that works")
        yield str(error)
        return
    for label, text in toolchain.report():
        if label not in known:
            _row(label, text)
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    _row("cores", f"{usable} for this process")
    if not python_header().is_file():
        yield dict(toolchain.report())["Python headers"]


def _cache_report() -> Iterator[str]:
    try:
        for label, text in Cache.open().report():
            _row(label, text)
    except SymgradError as error:
        _row("cache", "not usable")
        yield str(error)


def _proof(known: list[str]) -> Iterator[str]:
    """Build a gradient that everybody can check: at a = 3 the mean of (a x - y) x over (1, 1) and (2, 1) is 6."""
    a, x, y = sp.symbols("a x y")
    risk = EmpiricalRisk.from_expression((a * x - y) ** 2 / 2, inputs=[x], targets=[y], parameters=[a], name="doctor")
    start = time.perf_counter()
    try:
        with progress() as line:
            line.say("building a small module")
            (slope,) = compile_risk(risk).gradient([3.0], [1.0, 2.0], [1.0, 1.0])
    except (SymgradError, OSError) as error:
        print("A small module cannot be built here.")
        if not known:
            yield str(error)
        return
    if slope != 6.0:
        print("A small module was built, but it computes wrongly.")
        yield f"its gradient is {float(slope)!r}, and 6.0 is right: set CC to another compiler, and try again"
        return
    seconds = time.perf_counter() - start
    print(f"A small module was built or found in the cache, and its gradient is right ({seconds:.2f} s).")


# --- the cache -----------------------------------------------------------------------------------------------------


def cache(arguments: Namespace) -> int:
    """List the compiled modules, or remove them all or those that were not used for longest."""
    store = Cache.open()
    if arguments.limit is not None and arguments.action != "prune":
        raise CacheError(f"--limit is for `symgrad cache prune`, got `symgrad cache {arguments.action}`: leave it out")
    if arguments.action == "prune":
        count, gone = store.prune(arguments.limit)
        print(f"removed {_modules(count)}, {_megabytes(gone)}, from {store.folder}")
        return 0
    entries = store.entries()
    size = sum(entry.size for entry in entries)
    if arguments.action == "clear":
        print(f"removed {_modules(store.clear())}, {_megabytes(size)}, from {store.folder}")
        return 0
    if entries:
        width = max(len("name"), *(len(entry.name) for entry in entries))
        print(f"{'key':12}  {'name':{width}}  {'size':>8}  age")
        for entry in entries:
            print(f"{entry.key[:12]}  {entry.name:{width}}  {_megabytes(entry.size):>8}  {_age(entry)}")
    print(f"{_modules(len(entries))}, {_megabytes(size)}, in {store.folder}")
    return 0


def _modules(count: int) -> str:
    return f"{count} compiled module{'' if count == 1 else 's'}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.2f} MB"


def _age(entry: Entry) -> str:
    try:
        seconds = max(0.0, time.time() - entry.library.stat().st_mtime)
    except OSError:  # another process clears the cache
        return "gone by now"
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return "less than a minute"
