"""One line on the terminal that says what is going on, and is gone when it is done."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

from .errors import visible

PATIENCE = 1.0  # seconds: what is done sooner needs no counting
INTERVAL = 0.1
_WIDTH = 78
_BAR = 30


class Progress:
    """Writes over its own line on stderr; writes nothing where that is no terminal."""

    def __init__(self) -> None:
        self._shown = 0
        self._start = self._counted = time.monotonic()
        self._terminal = _is_terminal(sys.stderr)

    def say(self, text: str) -> None:
        """Show ``text`` in place of what stood there."""
        if self._terminal:
            text = visible(text)[:_WIDTH]
            _write(f"\r{text.ljust(self._shown)}")
            self._shown = len(text)

    def count(self, what: str, done: int, wanted: int) -> None:
        """Show how far it is, once it has taken a second, and then ten times in a second."""
        if time.monotonic() - self._start > PATIENCE and self._is_time():
            self.say(f"{what}: {done} of {wanted}")

    def bar(self, what: str, done: int, wanted: int, note: str = "") -> None:
        """Draw how far it is, from the first time on, and then ten times in a second; ``note`` comes last."""
        if self._shown == 0 or self._is_time():
            drawn = ("#" * (_BAR * done // wanted)).ljust(_BAR, ".")
            self.say(", ".join([f"{what} [{drawn}] {done} of {wanted}", *([note] if note else [])]))

    def clear(self) -> None:
        """Leave an empty line behind."""
        if self._shown:
            self.say("")
            _write("\r")

    def _is_time(self) -> bool:
        now = time.monotonic()
        if now - self._counted <= INTERVAL:
            return False
        self._counted = now
        return True


def _is_terminal(stream: IO[str] | None) -> bool:
    """Return whether a stream is a terminal. A process without streams, of a window or a service, has None there."""
    return stream is not None and not stream.closed and stream.isatty()


def _write(text: str) -> None:
    with suppress(OSError, ValueError):  # a terminal that was closed meanwhile: the work goes on
        print(text, end="", file=sys.stderr, flush=True)


@contextmanager
def progress() -> Iterator[Progress]:
    """Yield a `Progress` that is cleared in the end, whatever happens."""
    line = Progress()
    try:
        yield line
    finally:
        line.clear()


@contextmanager
def telling(text: str) -> Iterator[None]:
    """Show ``text`` from the first second on, for as long as it takes."""
    with progress() as line:
        timer = threading.Timer(PATIENCE, line.say, [text])
        timer.daemon = True
        with suppress(RuntimeError):  # the system refuses a thread: nothing is shown
            timer.start()
        try:
            yield
        finally:
            timer.cancel()
            if timer.ident is not None:
                timer.join()
