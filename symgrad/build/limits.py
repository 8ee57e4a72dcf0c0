"""Limits: how long a command of a build may take, how much of what it prints is kept, how large the cache may grow."""

import math
import os
import re
from dataclasses import dataclass

from symgrad.errors import BuildError, CacheError

TIMEOUT = "SYMGRAD_BUILD_TIMEOUT"
SECONDS = 600.0  # where the variable is not set
CACHE_LIMIT = "SYMGRAD_CACHE_LIMIT"
BYTES = "2G"  # where the variable is not set
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
HEAD, TAIL = 256_000, 64_000  # bytes of an output: errors stand first, and last what became of them
_LONGEST_LINE = 4000


class TimeLimitReached(Exception):
    """A command that was stopped, after the seconds that it may take; ``output`` is what it printed."""

    def __init__(self, seconds: float, output: str) -> None:
        super().__init__(f"stopped after {seconds:g} s, the limit")
        self.seconds, self.output = seconds, output


def build_timeout() -> float:
    """Return the seconds that one command of a build may take: $SYMGRAD_BUILD_TIMEOUT, else 600.

    Raises `BuildError` where that is no number of seconds.
    """
    text = os.environ.get(TIMEOUT, "")
    if not text:
        return SECONDS
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise BuildError(
            f"${TIMEOUT} is {text!r}, expected a number of seconds above 0, such as 600: set it, or unset it"
        )
    return min(seconds, 1e6)  # longer than that, clocks do not wait


def cache_limit(text: str | None = None) -> int:
    """Return a size in bytes, such as "500M": the given one, else that of $SYMGRAD_CACHE_LIMIT, else 2G.

    Raises `CacheError` where that is no size.
    """
    name = f"${CACHE_LIMIT} is" if text is None else "--limit: got"
    text = (os.environ.get(CACHE_LIMIT) or BYTES) if text is None else text
    size = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,15})?)([KMGT]?)B?", text.strip().upper())
    if size is None:
        raise CacheError(f"{name} {text!r}, expected a number of bytes, such as 500M or 2G: set it to one")
    return int(float(size[1]) * _UNITS[size[2]])


@dataclass
class Capped:
    """What a command prints, as bytes that come one after the other: the start and the end are kept."""

    head: bytes = b""
    tail: bytes = b""
    length: int = 0

    def add(self, data: bytes) -> None:
        """Take what comes next."""
        self.length += len(data)
        room = HEAD - len(self.head)
        self.head += data[:room]
        self.tail = (self.tail + data[room:])[-TAIL:]

    def text(self) -> str:
        """Return what is kept, in lines that are not too long to be searched."""
        left_out = self.length - len(self.head) - len(self.tail)
        gap = f"\n... {left_out} bytes are left out ...\n" if left_out else ""
        whole = self.head.decode(errors="replace") + gap + self.tail.decode(errors="replace")
        return "".join(line[:_LONGEST_LINE] + "\n" * (len(line) > _LONGEST_LINE) for line in whole.splitlines(True))
