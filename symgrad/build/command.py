"""One command of a build, and what is said when it fails.

Every command is an argument list (never a shell), runs in a private folder and names its files relative to it, so that
the same source gives the same library in any folder.
"""

import contextlib
import errno
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from symgrad.errors import BuildError

from .limits import HEAD, TAIL, TIMEOUT, Capped, TimeLimitReached, build_timeout
from .toolchain import HEADER_PACKAGES, Toolchain, build_environment
from .ulimits import limit_behind

UNSAFE_FLAGS = (
    "-Ofast", "-ffast-math", "-funsafe-math-optimizations", "-fassociative-math", "-freciprocal-math",
    "-ffinite-math-only", "-fno-signed-zeros", "-fsingle-precision-constant", "-mfpmath=387", "-m32", "-ffp-model=fast",
    "-fcx-limited-range",
)  # fmt: skip
FULL = (errno.ENOSPC, errno.EDQUOT)  # a disk, or the part of it that this user may have
_LONGER = f"set {TIMEOUT} to more seconds, or find out what it waits for: run the command below by hand"
# Where SIGCHLD is ignored, the kernel keeps no exit status. This program does not ignore it, and writes it down.
_TELLS_STATUS = (
    "import os, signal, subprocess, sys; signal.signal(signal.SIGCHLD, signal.SIG_DFL)\n"
    "os.write(int(sys.argv[1]), str(subprocess.call(sys.argv[2:])).encode())"
)


class StoppedError(BuildError):
    """A command that took longer than it may: another way of building would take as long."""


@dataclass(frozen=True)
class Step:
    """One command of a build: ``who`` runs it on ``source``, and it has to write ``product`` beside that."""

    who: str
    command: Sequence[str]
    toolchain: Toolchain
    source: Path
    log: Path
    product: Path
    call: "Callable[[Step], tuple[int, str]]"  # runs it: returns the exit status and the output

    def run(self) -> float:
        """Run the command in the source's folder and return the seconds it took."""
        start = time.perf_counter()
        try:
            status, output = self.call(self)
        except OSError as error:
            if error.errno in FULL:
                raise
            raise self._failure(f"could not be started: {error}", "") from error
        except TimeLimitReached as limit:
            self._record(limit.output, "stopped")
            what = f"stopped, as it had not ended after {limit.seconds:g} s"
            raise StoppedError(self._account(what, limit.output, _LONGER)) from None
        seconds = time.perf_counter() - start
        self._record(output, f"exit status {status}")
        if status != 0:
            for number in FULL:
                if os.strerror(number) in output:
                    raise OSError(number, os.strerror(number), str(self.source.parent))  # another folder may do
            raise self._failure(_status_text(status), output)
        if not self.product.is_file() or self.product.stat().st_size == 0:
            raise self._failure(f"ended as if all were well, but wrote no {self.product.name}", output)
        return seconds

    def _record(self, output: str, end: str) -> None:
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"$ {shlex.join(self.command)}\n{output}\n[{end}]\n")

    def _failure(self, what: str, output: str) -> BuildError:
        return BuildError(self._account(what, output))

    def _account(self, what: str, output: str, *steps: str) -> str:
        lines = [
            f"{self.who} failed on {self.source.name}: {what}",
            f"  first error: {first_error(output)}",
            *(f"  next step:   {hint}" for hint in (*steps, *_hints(what, output, self.toolchain))),
            f"  command:     {shlex.join(self.command)}",
            f"  log:         {self.log}",
            f"  source:      {self.source}",
        ]
        return "\n".join(lines)


def run_compiler(step: Step) -> tuple[int, str]:
    """Run the command of a step as a process of its own in the source's folder.

    Raises `TimeLimitReached` when it takes too long: then it is killed with all the processes of its group.
    """
    limit = build_timeout()
    with tempfile.TemporaryFile(dir=step.source.parent) as printed, tempfile.TemporaryFile() as told:
        asked = signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN
        helper = [sys.executable, "-I", "-S", "-c", _TELLS_STATUS, str(told.fileno())] if asked else []
        # What it prints goes to a file: for the end of a pipe one would wait as long as anybody holds it.
        process = subprocess.Popen(
            [*helper, *step.command], cwd=step.source.parent, env=build_environment(), process_group=0,
            stdin=subprocess.DEVNULL, stdout=printed, stderr=subprocess.STDOUT, pass_fds=[told.fileno()] * asked,
        )  # fmt: skip
        in_time = _wait(process, limit)
        output = _read(printed.fileno())
        if not in_time:
            raise TimeLimitReached(limit, output)
        return int(os.pread(told.fileno(), 20, 0) or 1) if asked else process.returncode, output


def _wait(process: "subprocess.Popen[bytes]", limit: float) -> bool:
    """Wait for the end of a process; False where its group had to be killed.

    Another thread has the clock: `Popen.wait` with a limit would look 20 times a second.
    """
    late = threading.Event()

    def kill() -> None:
        if process.returncode is None:
            late.set()
            _kill_group(process)

    timer = threading.Timer(limit, kill)
    timer.daemon = True
    try:
        process.wait(None if _begins(timer) else limit)
    except subprocess.TimeoutExpired:
        kill()
        process.wait()
    except BaseException:  # an interrupt: it did not reach the group
        _kill_group(process)
        process.wait()
        raise
    finally:
        timer.cancel()
    return not late.is_set()


def _begins(thread: threading.Thread) -> bool:
    """Start a thread; return False where the system refuses one, for want of memory or processes."""
    try:
        thread.start()
    except RuntimeError:
        return False
    return True


def _kill_group(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _read(descriptor: int) -> str:
    kept, size = Capped(), os.fstat(descriptor).st_size
    kept.add(os.pread(descriptor, HEAD, 0))
    kept.length = max(size - TAIL, kept.length)
    kept.add(os.pread(descriptor, TAIL, kept.length))
    return kept.text()


def first_error(output: str) -> str:
    """Return the line of a compiler's output that tells what is wrong."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    cython = [line for line in lines if re.match(r"[^\s:]+\.(pyx|pxd|pxi):\d+:\d+: (?!.*is deprecated)", line)]
    crash = [line for line in lines if "internal compiler error" in line]  # what it wrote before is cut off somewhere
    compiler = [line for line in lines if re.search(r"\b(error|Error)\b.*:|: undefined reference", line)]
    python = lines[-1:] if "Traceback (most recent call last):" in lines else []
    return (cython or crash or python or compiler or lines or ["nothing was printed"])[0]


def _status_text(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


def _hints(what: str, output: str, toolchain: Toolchain) -> list[str]:
    limit = limit_behind(f"{what}\n{output}")
    hints = [limit] if limit else []
    header = re.search(r"fatal error: '?([\w./+-]+\.h)'?(?:: No such file| file not found)", output)
    if header:
        package = next(advice for start, advice in HEADER_PACKAGES.items() if header[1].startswith(start))
        hints.append(f"{header[1]}: {package}")
    if "#error" in output:
        hints.append(_flag_hint(toolchain))
    if "No module named 'Cython'" in output:
        hints.append("install Cython: python -m pip install cython")
    if re.search(r"scipy.*(not found|not a cimported)", output):
        hints.append('this risk needs functions of SciPy: python -m pip install "symgrad[scipy]"')
    if limit:
        return hints
    if re.search(r"Killed|out of memory|cannot allocate memory", output, re.IGNORECASE):
        hints.append("the machine ran out of memory: close other programs, or declare a smaller model")
    elif "internal compiler error" in output:
        hints.append("the compiler itself has crashed: set CC to another one, or to another version")
    return hints


def _flag_hint(toolchain: Toolchain) -> str:
    unsafe = [flag for flag in (*toolchain.cc, *toolchain.flags) if flag in UNSAFE_FLAGS]
    if not unsafe:
        return "$CC and $CFLAGS have no such flag: the compiler adds it by itself; set CC to another compiler"
    return f"take {' and '.join(unsafe)} out of $CFLAGS (or $CC): it gives up the exact results that symgrad promises"
