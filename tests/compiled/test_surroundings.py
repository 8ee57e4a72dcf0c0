"""Where a program runs may be strange, and how it ends: what is compiled is right there too, and ends with it."""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from symgrad.load import load_module

b, y = sp.symbols("b y")
MEAN = sg.EmpiricalRisk.from_expression((b - y) ** 2 / 2, inputs=[], targets=[y], parameters=[b], name="mean_of_data")


@pytest.fixture(scope="module")
def mean() -> Any:
    return sg.compile(MEAN)


BUILD = """
import os, sys
said = os.open(sys.argv[1], os.O_WRONLY)
os.makedirs("gone"); os.chdir("gone"); os.rmdir("../gone")
import sympy as sp, symgrad as sg
b, y = sp.symbols("b y")
risk = sg.EmpiricalRisk.from_expression((b - y)**2 / 8, inputs=[], targets=[y], parameters=[b], name="strange")
for number in (0, 1, 2):
    os.close(number)
os.umask(0)
compiled = sg.compile(risk)
os.write(said, repr(float(compiled.gradient([1.0], None, [0.0, 7.0])[0])).encode())
os._exit(0)
"""


def test_a_build_without_streams_or_working_folder_where_every_warning_is_an_error(tmp_path: Path) -> None:
    """Also with an umask that lets everybody write."""
    said = tmp_path / "said"
    said.touch()
    command = [sys.executable, "-W", "error", "-bb", "-c", BUILD, str(said)]
    done = subprocess.run(command, cwd=tmp_path, timeout=100, check=False, capture_output=True, text=True)
    assert (done.returncode, said.read_text()) == (0, "-0.625"), done.stderr


END = """
import atexit, sys, threading
from pathlib import Path
import numpy as np
from symgrad.load import load_module
mean = load_module(Path(sys.argv[1]), "mean_of_data")
data = np.random.default_rng(0).uniform(size=1_000_000)
expected = mean.gradient([0.5], None, data).tobytes()

class Late:
    def __del__(self, mean=mean, data=data, expected=expected):
        assert mean.gradient([0.5], None, data).tobytes() == expected

late = Late()
@atexit.register
def at_exit():
    assert mean.gradient([0.5], None, data, threads=3).tobytes() == expected
    print("right at exit", flush=True)

threading.stack_size(65536)
def sweep():
    while True:
        assert mean.gradient([0.5], None, data, threads=3).tobytes() == expected
for _ in range(3):
    threading.Thread(target=sweep, daemon=True).start()
if "raise" in sys.argv:
    raise SystemExit(3)
"""


@pytest.mark.parametrize("how", ["end", "raise"])
def test_a_program_ends_in_the_middle_of_sweeps(how: str, mean: Any) -> None:
    """Daemon threads on stacks of 64 kB sweep when it ends; a function at exit and a destructor still compute."""
    command = [sys.executable, "-c", END, str(mean.path), how]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3 * (how == "raise"), "right at exit\n", "")


def test_nothing_of_openmp_is_linked(mean: Any) -> None:
    """Two of its runtimes in one process hang, and so does a fork after it."""
    library = mean.path.read_bytes()
    assert b"libc.so" in library or sys.platform != "linux"
    for part in (b"libgomp", b"libomp", b"libiomp", b"GOMP_", b"__kmpc"):
        assert part not in library


def test_what_no_memory_can_hold_is_an_error_at_once(mean: Any) -> None:
    rows = np.broadcast_to(1.0, (2**44,))
    with pytest.raises(MemoryError, match=r"Unable to allocate 128\. TiB"):
        mean.per_sample_gradient([0.5], None, rows)
    assert mean.per_sample_gradient([0.5], None, rows[:9]).shape == (9, 1)


def test_a_module_takes_little_memory_however_many_are_loaded(mean: Any, tmp_path: Path) -> None:
    """Python never unloads one."""
    library = mean.path.read_bytes()

    def resident() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    if not os.path.exists("/proc/self/statm"):
        pytest.skip("needs Linux' account of memory")
    before = resident()
    for number in range(40):
        path = tmp_path / f"{number}.so"
        path.write_bytes(library + str(number).encode())
        assert load_module(path, "mean_of_data").gradient([1.0], None, [0.0])[0] == 1.0
    assert (resident() - before) / 40 < 1e6
    shutil.rmtree(tmp_path)


@pytest.mark.soak
def test_more_rows_than_an_int_counts(mean: Any) -> None:
    """One number for all rows but the last block: a lost or repeated row would show in the mean."""
    n = 2**31 + 5
    rows = np.broadcast_to(np.float64(3.0), (n,))
    assert mean.gradient([0.0], None, rows)[0] == -3.0
    parts = [
        mean.partial_sums([0.0], None, rows[: 2**31]),
        mean.partial_sums([0.0], None, np.full(5, 3.0 + n), first=2**31),
    ]
    assert mean.merge_sums([0.0], *parts)[1][0] == -(3.0 + 5 * n / n)
