"""What the files of a toolchain are: a path says little, where a script or a header may change its text."""

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

_READ_AT_MOST = 8_000_000  # bytes; of longer files size and time are taken
_FORCED = ("-include", "-imacros", "-specs=", "--specs=", "@")  # starts of arguments that name a file to be read
_TOOLS = ("as", "ld")  # what compilers start


def identities(cc: Sequence[str], flags: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return name and content's sha256 of the program, of wrapped ones, and of files that arguments force in.

    Of the assembler and the linker on the PATH, and of what is too long to be read, it is size and time.
    """
    found = [(path, _content(path)) for path in (*_programs(cc), *_forced([*cc[1:], *flags]))]
    tools = (shutil.which(name) for name in _TOOLS)
    return (*found, *((path, _stamp(path)) for path in tools if path is not None))


def _programs(cc: Sequence[str]) -> Iterator[str]:
    """The program, and those that it wraps: of `ccache gcc`, both."""
    for word in cc:
        path = None if word.startswith(("-", "@")) else shutil.which(word)
        if path is not None:
            yield path


def _forced(arguments: Sequence[str]) -> Iterator[str]:
    for argument, following in pairwise([*arguments, ""]):
        for start in _FORCED:
            if argument.startswith(start):
                yield argument.removeprefix(start) or following


def _content(path: str) -> str:
    try:
        status = os.stat(path)
        short = status.st_size <= _READ_AT_MOST
        return _sha256(path, status.st_size, status.st_mtime_ns, status.st_ino) if short else _stamp(path)
    except OSError as error:
        return type(error).__name__


@cache
def _sha256(path: str, *stamp: int) -> str:
    """Read once in a process, as long as the file looks the same."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _stamp(path: str) -> str:
    try:
        status = os.stat(path)
    except OSError as error:
        return type(error).__name__
    return f"{status.st_size} bytes, {status.st_mtime_ns} ns"
