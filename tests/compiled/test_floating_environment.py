"""What other code leaves behind in the processor changes no bit: flushed subnormals, other rounding, traps."""

import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sympy as sp

import symgrad as sg

theta, y = sp.symbols("theta y")
X86 = platform.machine() in ("x86_64", "AMD64")

PROGRAM = """
import ctypes, json, sys, threading
from pathlib import Path
import numpy as np
from symgrad.load import load_module

module = load_module(Path(sys.argv[1]), "mean_of_data")
random = np.random.default_rng(0)
data = random.uniform(0, 1, 70_000) * 10.0 ** random.uniform(-320, -290, 70_000)
huge = random.uniform(-1, 1, 70_000) * 1e308
weights = random.uniform(0, 1, 70_000)
theta = np.array([1e-310])


def results():
    found = []
    for threads in (1, 3):
        for rows in (data, huge, data.astype(">f8")):
            risk, gradient = module.risk_and_gradient(theta, None, rows, weights, threads=threads)
            found += [float(risk).hex(), gradient.tobytes().hex(), float(module.risk(theta, None, rows)).hex()]
            found += [module.bind(None, rows, threads=threads)(theta)[1].tobytes().hex()]
            found += [module.per_sample_gradient(theta, None, rows, threads=threads).tobytes().hex()[:4000]]
        parts = [module.partial_sums(theta, None, data[:1024], threads=threads),
                 module.partial_sums(theta, None, data[1024:], first=1024, threads=threads)]
        found += [module.merge_sums(theta, *parts)[1].tobytes().hex()]
    return found


expected = results()
libm = ctypes.CDLL("libm.so.6")
small = 1e-310


def rounding(mode):
    libm.fesetround(mode)
    return libm.fegetround() == mode


states, kept = {}, {}
if sys.argv[2] == "flushed":
    before = small / 4 > 0.0
    ctypes.CDLL(sys.argv[3])
    states["flushed"] = before and not small / 4 > 0.0  # or nothing would be tested
    kept["flushed"] = results() == expected and not small / 4 > 0.0  # the process keeps what it had
    found = []
    thread = threading.Thread(target=lambda: found.append(results() == expected))
    thread.start()
    thread.join()
    kept["thread"] = found == [True]
elif sys.argv[2] == "rounded":
    for mode in (0x400, 0x800, 0xC00):
        states[mode] = rounding(mode)
        kept[mode] = results() == expected and libm.fegetround() == mode
        rounding(0)
else:
    libm.feclearexcept(0x3D)  # the import of NumPy 1.26 leaves "inexact" in the x87, which a trap would find there
    libm.feenableexcept(0x3D)
    kept["trapped"] = results() == expected
    kept["still"] = libm.fegetexcept() == 0x3D
    libm.fedisableexcept(0x3D)
print(json.dumps([list(states.values()), list(kept.values())]))
"""


@pytest.fixture(scope="module")
def mean() -> Any:
    return sg.compile(
        sg.EmpiricalRisk.from_expression(
            (theta - y) ** 2 / 2, inputs=[], targets=[y], parameters=[theta], name="mean_of_data"
        )
    )


@pytest.fixture(scope="module")
def fast(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that makes the process flush subnormals when it is loaded: -ffast-math links that in, up to GCC 12."""
    folder = tmp_path_factory.mktemp("fast")
    source, library = folder / "fast.c", folder / "fast.so"
    program = f"import ctypes; small = 1e-310; ctypes.CDLL({str(library)!r}); raise SystemExit(small / 4 > 0.0)"
    flush = "__builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040)"
    for text in ("", f"__attribute__((constructor)) void begin(void) {{ {flush}; }}"):
        source.write_text(text)
        subprocess.run(["cc", "-shared", "-fPIC", "-ffast-math", "-o", str(library), str(source)], check=True)
        if subprocess.run([sys.executable, "-c", program], check=False).returncode == 0:
            return library
    pytest.fail("subnormals are not flushed")


def outcome(mean: Any, *arguments: str) -> Any:
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(mean.path), *arguments], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.skipif(not X86 or shutil.which("cc") is None, reason="needs the flags of x86 and a compiler")
def test_subnormals_that_another_library_flushes(mean: Any, fast: Path) -> None:
    assert outcome(mean, "flushed", str(fast)) == [[True], [True, True]]


@pytest.mark.skipif(not X86 or sys.platform != "linux", reason="needs the constants of fesetround")
def test_another_rounding(mean: Any) -> None:
    assert outcome(mean, "rounded") == [[True] * 3, [True] * 3]


@pytest.mark.skipif(not X86 or sys.platform != "linux", reason="needs feenableexcept")
def test_errors_that_would_end_the_process(mean: Any) -> None:
    """Overflow and underflow inside are no errors, whatever the process has asked for."""
    assert outcome(mean, "trapped") == [[], [True, True]]
