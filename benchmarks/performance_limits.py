"""What the machine can do, measured by a small C program, and what share of it a row of the table reaches."""

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("limits.c")
MEGABYTES = 160  # as the largest arrays of the workloads: the limit of what they do, caches included
FLAGS = ("-O3", "-march=native", "-pthread")


@dataclass(frozen=True, slots=True)
class Limits:
    """For one number of threads: 10^9 bytes, or operations of multiply-add, a second."""

    read: float
    write: float
    stream: float
    fma64: float
    fma32: float

    def or_better(self, other: "Limits") -> "Limits":
        """The greater of two measurements of each: what disturbs a limit can only lower it."""
        return Limits(**{name: max(value, getattr(other, name)) for name, value in asdict(self).items()})


@dataclass(frozen=True, slots=True)
class Work:
    """What a row has to do at least: bytes from memory and to it, and floating-point operations."""

    read: int
    written: int
    operations: int
    dtype: str


def measured(threads: int) -> Limits:
    """Compiles the program and runs it. Raises ``RuntimeError`` where there is no C compiler or it fails."""
    compiler = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc")
    if compiler is None:
        raise RuntimeError("a C compiler is needed to measure the machine's limits: install gcc, or set CC")
    with tempfile.TemporaryDirectory(prefix="symgrad-limits-") as folder:
        program = Path(folder) / "limits"
        for command in (
            [compiler, *FLAGS, str(SOURCE), "-o", str(program)],
            [str(program), str(MEGABYTES), str(threads)],
        ):
            finished = subprocess.run(command, capture_output=True, text=True, check=False)
            if finished.returncode:
                raise RuntimeError(f"{command[0]} failed: {finished.stderr.strip()}")
    return Limits(**json.loads(finished.stdout))


def share(work: Work, limits: Limits, seconds: float) -> tuple[str, float]:
    """The limit that binds ("read", "write" or "arithmetic") and what fraction of it was reached.

    What is written is compared with the speed of writing alone, though the row has to read as well.
    """
    least = {
        "read": 0.0 if work.written else 1e-9 * work.read / limits.read,
        "write": 1e-9 * work.written / max(limits.write, limits.stream),
        "arithmetic": 1e-9 * work.operations / (limits.fma64 if work.dtype == "float64" else limits.fma32),
    }
    bound = max(least, key=lambda name: least[name])
    return bound, least[bound] / seconds
