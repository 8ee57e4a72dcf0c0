"""The generated C of gallery modules under AddressSanitizer and UndefinedBehaviorSanitizer: nothing to report."""

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

SCRIPT = Path(__file__).with_name("sanitise.py")
# The loops over lanes are optimised all the same: each asks for it.
FLAGS = ("-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer")
# A formula with branches, one of matrices with a label as an index, linear predictors, many rows and few lanes.
GALLERY = ("stackloss_huber", "iris_softmax")
MADE_UP = (risks_of_before.LINEAR_200, risks_of_before.WAVES_60, risks_of_before.NETWORK)


def runtimes(toolchain: Toolchain) -> str:
    """The libraries to preload, as the compiler names them; the test is skipped where they cannot work."""
    if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
        pytest.skip("the address space is limited, and AddressSanitizer reserves terabytes of it")
    found = []
    for name in ("libasan.so", "libubsan.so"):
        asked = subprocess.run([*toolchain.cc, f"-print-file-name={name}"], capture_output=True, text=True, check=False)
        path = asked.stdout.strip()
        if asked.returncode or not os.path.isabs(path):
            pytest.skip(f"the compiler brings no {name}")
        found.append(path)
    return " ".join(found)


def sanitised(source: str, name: str, folder: Path, rows: Path) -> subprocess.CompletedProcess[str]:
    """Build a module's text with sanitizers, and call all its functions in a process of its own."""
    toolchain = Toolchain.detect()
    preloaded = runtimes(toolchain)
    built = build_model(source, name, replace(toolchain, flags=(*toolchain.flags, *FLAGS)), folder)
    settings = {
        "LD_PRELOAD": preloaded, "ASAN_OPTIONS": "detect_leaks=0:detect_odr_violation=0",
        "UBSAN_OPTIONS": "print_stacktrace=1", "PYTHONMALLOC": "malloc",  # so that objects have guards too
    }  # fmt: skip
    command = [sys.executable, str(SCRIPT), str(built.library), name, str(rows)]
    return subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True, check=False)


def rows_of(risk: EmpiricalRisk) -> dict[str, Any]:
    if risk.name in GALLERY:
        example = gallery.load(risk.name)
        return {"theta": example.theta, "inputs": example.inputs, "targets": example.targets}
    random = np.random.default_rng(11)
    sizes = [n_leaves(part) for part in (risk.parameters, risk.inputs, risk.targets)]
    shapes = (sizes[0], (100, sizes[1]), (100, sizes[2]))
    return {name: random.normal(size=shape) for name, shape in zip(("theta", "inputs", "targets"), shapes, strict=True)}


@pytest.mark.parametrize("risk", [*(gallery.load(name).risk for name in GALLERY), *MADE_UP], ids=lambda risk: risk.name)
def test_nothing_to_report(risk: EmpiricalRisk, tmp_path: Path) -> None:
    np.savez(tmp_path / "rows.npz", **rows_of(risk))
    done = sanitised(generate(risk).source, risk.name, tmp_path, tmp_path / "rows.npz")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "done\n"
    assert not re.search("runtime error|AddressSanitizer", done.stderr), done.stderr
