"""Modules under valgrind's memcheck, which sees what sanitizers do not: numbers that nobody has written (soak).

Valgrind knows no AVX-512: what it runs is built for AVX2, as libraries for other processors are.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from symgrad import gallery
from symgrad.build import EXTENSION_SUFFIX, Toolchain
from symgrad.pipeline import generate
from tests.helpers.building import build_model

from .test_sanitizers import rows_of

SCRIPT = Path(__file__).with_name("memcheck.py")
WITHOUT_AVX512 = ("-march=x86-64-v3", "-mprefer-vector-width=256")
pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(shutil.which("valgrind") is None, reason="needs valgrind"),
    pytest.mark.skipif(os.uname().machine != "x86_64", reason="the flags are those of x86-64"),
]


def errors_in(library: Path, command: list[str], log: Path) -> list[str]:
    """Run a program under valgrind; return its errors with a frame in the library. Python and NumPy have their own."""
    valgrind = ["valgrind", "--error-limit=no", "--num-callers=40", f"--log-file={log}"]
    settings = {**os.environ, "PYTHONMALLOC": "malloc", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([*valgrind, *command], capture_output=True, text=True, check=False, env=settings)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
    said = log.read_text(encoding="utf-8", errors="replace")
    assert "ERROR SUMMARY" in said
    blocks = re.split(r"\n==\d+== *\n", said)
    return [block for block in blocks if f"/{library.name})" in block]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", ["misra1a", "iris_softmax", "stackloss_huber", "ships_negbin", "sunspots_recurrent"])
def test_no_error_names_the_module(name: str, dtype: str, tmp_path: Path) -> None:
    risk, found = gallery.load(name).risk, Toolchain.detect()
    toolchain = replace(found, flags=(*found.flags, *WITHOUT_AVX512))
    np.savez(tmp_path / "rows.npz", **rows_of(risk))
    built = build_model(generate(risk, dtype=dtype).source, name, toolchain, tmp_path, dtype)
    command = [sys.executable, str(SCRIPT), str(built.library), name, str(tmp_path / "rows.npz")]
    assert errors_in(built.library, command, tmp_path / "valgrind.log") == []


CONTROL = """
#include <Python.h>
#include <stdlib.h>
static PyObject *f(PyObject *s, PyObject *a) {
    double *p = malloc(80); int y = p[3] > 0.5; free(p); return PyBool_FromLong(y);
}
static PyMethodDef fs[] = {{"f", f, METH_NOARGS, 0}, {0}};
static struct PyModuleDef m = {PyModuleDef_HEAD_INIT, "control", 0, -1, fs};
PyMODINIT_FUNC PyInit_control(void) { return PyModule_Create(&m); }
"""


def test_a_number_that_nobody_has_written_is_seen(tmp_path: Path) -> None:
    """Else the others could not fail."""
    library = tmp_path / f"control{EXTENSION_SUFFIX}"
    (tmp_path / "control.c").write_text(CONTROL, encoding="utf-8")
    include = f"-I{sysconfig.get_path('include')}"
    compile_it = ["cc", "-O0", "-w", "-shared", "-fPIC", include, "control.c", "-o", library.name]
    subprocess.run(compile_it, cwd=tmp_path, check=True)
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import control; control.f(); print('done')"
    errors = errors_in(library, [sys.executable, "-c", program], tmp_path / "valgrind.log")
    assert any("uninitialised" in error for error in errors)
