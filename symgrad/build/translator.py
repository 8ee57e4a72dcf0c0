"""The kept Cython process, seen from this side. `cython_process` is the other one.

    start_translator()          a server that nobody has to wait for: 20 ms here, and 0.3 s there
    translate(folder, files)    0.05 s for a model, once it has started

A server belongs to one process and to what Python reads of its environment. It ends 20 s after its last request, or
with the process. For each request a pair of sockets is made, one of which goes to the server. The request is a line of
JSON. The answer is a newline when it is taken, all that Cython prints, a zero byte and the exit status (negative: the
signal that killed it). Whoever closes the socket before that has the work stopped.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Sequence
from pathlib import Path

from symgrad.errors import BuildError

from .limits import Capped, TimeLimitReached, build_timeout
from .toolchain import build_environment

_SCRIPT = Path(__file__).with_name("cython_process.py")
_READ_BY_PYTHON = ("PYTHON", "CYTHON", "LD_", "HOME", "TMPDIR")  # starts of the names of variables
_ATTEMPTS = 3  # a server may end for want of work just when it is asked


def cython_command(files: Sequence[str]) -> list[str]:
    """Return the command that does by hand what a request does: ``files`` are ``MODULE=NAME.pyx``.

    Raises `BuildError` where this Python has no interpreter to run it.
    """
    if not sys.executable:
        raise BuildError(
            "sys.executable is empty: this Python is embedded in a program, and Cython needs an interpreter"
        )
    # As isolated as this Python is; what of `-I` and `-E` is about variables, `build_environment` does.
    alone = ["-s"] * bool(sys.flags.no_user_site) + ["-S"] * bool(sys.flags.no_site)
    return [sys.executable, *alone, "-P", "-X", "utf8", "-W", "ignore", str(_SCRIPT), *files]


class _Server:
    """A process of Cython's. It ends when this object is gone."""

    def __init__(self, command: Sequence[str]) -> None:
        self.printed = tempfile.TemporaryFile()  # noqa: SIM115  # closed when this object is gone
        self.requests, theirs = socket.socketpair()
        for file in (self.printed, self.requests):
            weakref.finalize(self, file.close)
        with theirs:
            # The process that is waited for here ends at once: the server is its child.
            self.status = subprocess.run(
                command, env=build_environment(), cwd="/", check=False,
                stdin=theirs.fileno(), stdout=self.printed, stderr=subprocess.STDOUT,
            ).returncode  # fmt: skip

    def ask(self, folder: Path, files: Sequence[str]) -> tuple[int, str] | None:
        """Return exit status and output of one request; None where the server has ended before it took it."""
        ours, theirs = socket.socketpair()
        answer = Capped()
        try:
            with ours:
                with theirs:
                    socket.send_fds(self.requests, [b"+"], [theirs.fileno()])
                ours.sendall(json.dumps({"folder": str(folder), "arguments": list(files)}).encode() + b"\n")
                _receive(ours, answer)
        except (BrokenPipeError, ConnectionResetError):
            return None
        if not answer.length:
            return None
        output, _, status = answer.text().removeprefix("\n").rpartition("\0")
        return int(status), output

    def last_words(self) -> tuple[int, str]:
        """Return exit status and output of a server that has ended."""
        self.printed.seek(0)
        return self.status or 1, self.printed.read().decode(errors="replace")


def _receive(channel: socket.socket, answer: Capped) -> None:
    """Receive an answer to its end. Raises `TimeLimitReached`; to close the channel kills the work."""
    limit = build_timeout()
    deadline = time.monotonic() + limit
    try:
        while True:
            channel.settimeout(max(deadline - time.monotonic(), 1e-3))
            data = channel.recv(65536)
            if not data:
                return
            answer.add(data)
    except TimeoutError:
        raise TimeLimitReached(limit, answer.text().removeprefix("\n")) from None


_server: _Server | None = None
_started_for: object = None  # command and environment
_starting = threading.Lock()


def start_translator() -> None:
    """Have a server started, if none is; it gets ready while this process goes on."""
    with contextlib.suppress(OSError, BuildError):  # whoever translates meets it again
        _running()


def translate(folder: Path, files: Sequence[str]) -> tuple[int, str]:
    """Return exit status and output of Cython, run on ``files`` (see `cython_command`) in ``folder``.

    Raises `OSError` where no process can be started, `BuildError` where this Python has no interpreter,
    `TimeLimitReached` where it takes too long.
    """
    for _ in range(_ATTEMPTS):
        server = _running()
        answer = server.ask(folder, files)
        if answer is not None:
            return answer
        _forget(server)
    return server.last_words()


def _running() -> _Server:
    global _server, _started_for
    command = cython_command(())
    wanted = command, {name: value for name, value in os.environ.items() if name.startswith(_READ_BY_PYTHON)}
    with _starting:
        if _server is None or _started_for != wanted:
            _server, _started_for = _Server(command), wanted
        return _server


def _forget(server: _Server | None) -> None:
    global _server
    with _starting:
        if _server is server:
            _server = None


def _after_fork_in_child() -> None:
    """The server is the parent's. Its lock may be held by a thread that a child does not have."""
    global _server, _starting
    _server, _starting = None, threading.Lock()


os.register_at_fork(after_in_child=_after_fork_in_child)
