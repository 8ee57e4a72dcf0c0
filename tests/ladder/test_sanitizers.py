"""The generated C of modules under AddressSanitizer, UndefinedBehaviorSanitizer and ThreadSanitizer: nothing to report.

A few models on each run; the whole gallery in both dtypes, and threads, with `pytest -m soak`.
"""

import os
import re
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from symgrad import gallery
from symgrad.build import Toolchain
from symgrad.declare import EmpiricalRisk, n_leaves
from symgrad.pipeline import generate
from tests.helpers import risks_of_before
from tests.helpers.building import build_model
from tests.passes.test_cut import CLUSTERS

SCRIPT = Path(__file__).with_name("sanitise.py")
# The loops over lanes are optimised all the same: each asks for it.
FLAGS = {
    "memory": ("-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer"),
    "threads": ("-O1", "-fsanitize=thread"),
}
RUNTIMES = {"memory": ("libasan.so", "libubsan.so"), "threads": ("libtsan.so",)}
SETTINGS = {
    "ASAN_OPTIONS": "detect_leaks=0:detect_odr_violation=0",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "report_signal_unsafe=0:exitcode=66",
    "PYTHONMALLOC": "malloc",  # so that objects have guards too
}
# A formula with branches, one of matrices with a label as an index, linear predictors, many rows and few lanes.
GALLERY = ("stackloss_huber", "iris_softmax")
MADE_UP = (risks_of_before.LINEAR_200, risks_of_before.WAVES_60, risks_of_before.NETWORK)


def runtimes(toolchain: Toolchain, kind: str) -> str:
    """The libraries to preload, as the compiler names them; the test is skipped where they cannot work."""
    if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
        pytest.skip("the address space is limited, and AddressSanitizer reserves terabytes of it")
    found = []
    for name in RUNTIMES[kind]:
        asked = subprocess.run([*toolchain.cc, f"-print-file-name={name}"], capture_output=True, text=True, check=False)
        path = asked.stdout.strip()
        if asked.returncode or not os.path.isabs(path):
            pytest.skip(f"the compiler brings no {name}")
        found.append(path)
    return " ".join(found)


def sanitised(
    source: str, name: str, folder: Path, rows: Path, dtype: str, kind: str
) -> subprocess.CompletedProcess[str]:
    """Build a module's text with sanitizers, and call all its functions in a process of its own."""
    toolchain = Toolchain.detect()
    preloaded = runtimes(toolchain, kind)
    built = build_model(source, name, replace(toolchain, flags=(*toolchain.flags, *FLAGS[kind])), folder, dtype)
    command = [sys.executable, str(SCRIPT), str(built.library), name, str(rows), kind]
    settings = {**os.environ, **SETTINGS, "LD_PRELOAD": preloaded}
    return subprocess.run(command, env=settings, capture_output=True, text=True, check=False)


def rows_of(risk: EmpiricalRisk) -> dict[str, Any]:
    if risk.name in gallery.names():
        example = gallery.load(risk.name)
        return {"theta": example.theta, "inputs": example.inputs, "targets": example.targets}
    random = np.random.default_rng(11)
    sizes = [n_leaves(part) for part in (risk.parameters, risk.inputs, risk.targets)]
    shapes = (sizes[0], (100, sizes[1]), (100, sizes[2]))
    return {name: random.normal(size=shape) for name, shape in zip(("theta", "inputs", "targets"), shapes, strict=True)}


def check(risk: EmpiricalRisk, folder: Path, dtype: str = "float64", kind: str = "memory") -> None:
    np.savez(folder / "rows.npz", **rows_of(risk))
    source = generate(risk, dtype=dtype).source
    done = sanitised(source, risk.name, folder, folder / "rows.npz", dtype, kind)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "done\n"
    assert not re.search("runtime error|(Address|Thread)Sanitizer", done.stderr), done.stderr


@pytest.mark.parametrize(
    "risk", [*(gallery.load(name).risk for name in GALLERY), *MADE_UP, CLUSTERS], ids=lambda risk: risk.name
)
def test_nothing_to_report(risk: EmpiricalRisk, tmp_path: Path) -> None:
    check(risk, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", gallery.names())
def test_nothing_to_report_in_the_whole_gallery(name: str, dtype: str, tmp_path: Path) -> None:
    check(gallery.load(name).risk, tmp_path, dtype)


@pytest.mark.soak
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", ["misra1a", "iris_softmax", "diabetes_layers"])
def test_no_race_between_threads(name: str, dtype: str, tmp_path: Path) -> None:
    check(gallery.load(name).risk, tmp_path, dtype, "threads")
