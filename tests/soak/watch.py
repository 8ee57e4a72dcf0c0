"""What a soak has: a log in a file, processes waited for with a deadline, and a risk whose bits are known."""

import faulthandler
import os
import shutil
import signal
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
import sympy as sp

import symgrad as sg
from symgrad.build import CompiledRisk
from symgrad.errors import CacheWarning

ROWS = np.linspace(0.0, 5.0, 5000)
COUNTS = 3.0 * np.exp(-0.7 * ROWS) + 0.1 * np.sin(31.0 * ROWS)
DEADLINE = 120.0
THETA = np.array([1.0, 1.0])


@dataclass
class Log:
    """Says on the terminal and in a file what is done and what fails."""

    path: Path
    failures: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        """Write a line with the time."""
        line = f"{time.strftime('%H:%M:%S')} {text}"
        print(line, flush=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")

    def fail(self, text: str) -> None:
        """Write a line and count it."""
        self.failures.append(text)
        self.say(f"FAILED {text}")


def decay(name: str = "decay") -> sg.EmpiricalRisk:
    """Return a small risk."""
    x, y, a, k, z = sp.symbols("x y a k z")
    model = sg.Model(a * sp.exp(-k * x), inputs=[x], parameters=[a, k])
    return sg.EmpiricalRisk(model, sg.Loss((z - y) ** 2 / 2, prediction=z, target=y), name=name)


def bits(compiled: CompiledRisk, threads: int = 1) -> str:
    """Return the gradient's bits, in hex."""
    return str(compiled.gradient(THETA, ROWS, COUNTS, threads=threads).tobytes().hex())


@contextmanager
def folder() -> Iterator[Path]:
    """Give a new folder, gone in the end."""
    path = Path(tempfile.mkdtemp(prefix="symgrad-soak-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def environment(**variables: str | None) -> Iterator[None]:
    """Set variables of the environment, or take them out, and put them back in the end."""
    before = dict(os.environ)
    os.environ.update({name: value for name, value in variables.items() if value is not None})
    for name in (name for name, value in variables.items() if value is None):
        os.environ.pop(name, None)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@dataclass
class Child:
    """A forked process, the leader of its own group, and what it says in the end."""

    pid: int
    said: IO[bytes]
    seconds: float

    def ended(self) -> bool:
        """Return whether it has ended, without waiting."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to its whole group."""
        os.killpg(self.pid, number)  # it is waited for in `result` alone, so the number is still its own

    def result(self) -> str:
        """Return what it said; of one that hangs, where; of one that is killed, that. Once only."""
        deadline = time.monotonic() + self.seconds
        while not self.ended() and time.monotonic() < deadline:
            time.sleep(0.005)
        hangs = not self.ended()
        if hangs:
            os.kill(self.pid, signal.SIGUSR1)  # it says where it stands
            time.sleep(0.2)
        self.kill()
        status = os.waitpid(self.pid, 0)[1]
        with self.said:
            self.said.seek(0)
            said = self.said.read().decode(errors="replace")
        if hangs:
            return f"hangs: not done after {self.seconds:g} s {said}"
        return f"killed by signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else said


def fork(action: Callable[[], str], seconds: float = DEADLINE) -> Child:
    """Start ``action`` in a forked process, which ends after so long; what it returns or raises is its result."""
    said = tempfile.TemporaryFile()  # noqa: SIM115 - `Child.result` closes it
    pid = os.fork()
    if pid:
        with suppress(OSError):  # it has done so itself, and has gone on
            os.setpgid(pid, pid)
        return Child(pid, said, seconds)
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds + 30.0)  # ends it even where nobody waits any more
        faulthandler.register(signal.SIGUSR1, file=said)
        os.setpgid(0, 0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CacheWarning)
            text = action()
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}: {error}"
    try:
        os.pwrite(said.fileno(), text.encode(errors="replace"), 0)
    finally:
        os._exit(0)
