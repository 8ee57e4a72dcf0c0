"""The arithmetic of a generated module is that of IEEE 754: refused where flags break it, rounded step by step."""

import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from symgrad.build import Toolchain
from symgrad.render import SWEEPS, render_sweep

a, b, x, y, p = sp.symbols("a b x y p")
MODEL = sg.Model(a * x + b, inputs=[x], parameters=[a, b])
LINE = sg.EmpiricalRisk(MODEL, sg.Loss((p - y) ** 2, prediction=p, target=y), name="line_of_two")
# All of these define a macro that tells of them, in every compiler; and those that only GCC's macros tell of.
SEEN = ("-Ofast", "-ffast-math", "-ffinite-math-only")
SEEN_IN_GCC = ("-funsafe-math-optimizations", "-freciprocal-math", "-fno-signed-zeros")


def compiled_preamble(source: str, flags: list[str], folder: Path) -> "subprocess.CompletedProcess[str]":
    """The compiler's word on what stands in C at the head of a generated module."""
    block = re.search(r'cdef extern from \*:\n    """\n(.*?)\n    """', source, re.DOTALL)
    assert block is not None
    head = "#include <stddef.h>\n#include <stdlib.h>\n#include <string.h>\ntypedef ptrdiff_t Py_ssize_t;\n"
    (folder / "preamble.c").write_text(head + block[1] + "\n")
    command = [*Toolchain.detect().cc, *flags, "-fsyntax-only", "preamble.c"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("what", ["a model", *SWEEPS])
def test_the_source_itself_refuses_flags_that_break_its_arithmetic(what: str, tmp_path: Path) -> None:
    """Whoever compiles the C of a generated module without symgrad is told so too."""
    source = render_sweep(what) if what in SWEEPS else sg.generate(LINE).source
    is_gcc = "Free Software Foundation" in Toolchain.detect().version
    for flag in (*SEEN, *(SEEN_IN_GCC if is_gcc else ())):
        refused = compiled_preamble(source, ["-O3", flag], tmp_path)
        assert refused.returncode != 0, flag
        assert "need IEEE arithmetic" in refused.stderr
    flags = ["-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
    harmless = compiled_preamble(source, flags, tmp_path)
    assert harmless.returncode == 0, harmless.stderr


@pytest.fixture(scope="module")
def line() -> Any:
    return sg.compile(LINE)


def test_products_and_sums_are_rounded_one_by_one(line: Any) -> None:
    """A fused multiplication and addition would have other bits in one of three of these."""
    random = np.random.default_rng(17)
    theta, inputs, targets = random.standard_normal(2), random.standard_normal(1000), random.standard_normal(1000)
    prediction = theta[0] * inputs + theta[1]
    assert line.predict(theta, inputs).ravel().tobytes() == prediction.tobytes()
    residual = prediction - targets
    assert line.per_sample_loss(theta, inputs, targets).tobytes() == (residual * residual).tobytes()
    slope = 2 * residual
    assert (
        line.per_sample_gradient(theta, inputs, targets).tobytes() == np.column_stack([slope * inputs, slope]).tobytes()
    )


def test_subnormal_numbers_are_numbers(line: Any) -> None:
    """In arguments, on the way, in results and in sums: nothing is flushed to zero."""
    random = np.random.default_rng(23)
    theta, inputs = np.array([1e-160, 3e-320]), random.uniform(-1e-155, 1e-155, 3000)
    prediction = theta[0] * inputs + theta[1]
    assert np.count_nonzero((prediction != 0) & (np.abs(prediction) < 2.0**-1022)) > 2500
    assert line.predict(theta, inputs).ravel().tobytes() == prediction.tobytes()
    # of the slope 2 * (a*x + b - y) by b, at x = 0, the mean over equal targets is itself
    assert line.gradient([1.0, 3e-320], np.zeros(3000), np.full(3000, -1e-320))[1] == 2 * (3e-320 + 1e-320)
