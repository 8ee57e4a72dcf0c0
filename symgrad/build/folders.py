"""The cache's folder: which one it is, that nobody else can put anything into it, and that it is still the same one.

What is in it is read by descriptors, relative to the opened folder: no exchange of a name slips in between.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from symgrad.errors import CacheError

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_CURE = "set SYMGRAD_CACHE_DIR to a folder of your own"
_MOST_LINKS = 40  # as many as the kernel follows


def configured_folder() -> Path:
    """Return the folder of $SYMGRAD_CACHE_DIR, else $XDG_CACHE_HOME/symgrad, else ~/.cache/symgrad.

    It is absolute wherever it can be. Raises `CacheError` where $SYMGRAD_CACHE_DIR is in the home folder of a user that
    there is not.
    """
    named = os.environ.get("SYMGRAD_CACHE_DIR")
    if named:
        expanded = os.path.expanduser(named)
        if expanded.startswith("~"):
            who = named.partition("/")[0]
            raise CacheError(f"SYMGRAD_CACHE_DIR is {named!r}, and there is no home folder {who}: name the whole path")
        with contextlib.suppress(FileNotFoundError):
            return Path(expanded).absolute()
        return Path(expanded)  # in a working folder that was deleted
    base = os.environ.get("XDG_CACHE_HOME", "")  # a relative one is to be ignored, says the XDG specification
    return Path(base if os.path.isabs(base) else os.path.expanduser("~/.cache")) / "symgrad"


def make_folder(folder: Path) -> None:
    """Make a folder and what is missing above it, for this user alone whatever the umask says."""
    missing = []
    for path in (folder, *folder.parents):
        if path.exists():
            break
        missing.append(path)
    for path in reversed(missing):
        with contextlib.suppress(FileExistsError):  # another process was faster, or it is no folder: opening tells
            os.mkdir(path, 0o700)


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[int]:
    """Give a descriptor of the folder. Raises `CacheError` where others could have put something into it."""
    _refuse_link(folder)
    descriptor = os.open(folder, FOLDER)
    try:
        _refuse_foreign(folder, os.fstat(descriptor))
        _check_parents(folder)
        if not is_still(folder, descriptor):
            raise FileNotFoundError(errno.ENOENT, "was moved away while it was opened", str(folder))
        yield descriptor
    finally:
        os.close(descriptor)


def is_still(path: Path, descriptor: int) -> bool:
    """Return whether a path leads to what is open as the descriptor."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except OSError:
        return False


def describe(status: os.stat_result) -> str:
    """Return owner and mode, as messages show them."""
    return f"owner {status.st_uid}, mode {stat.filemode(status.st_mode)} {stat.S_IMODE(status.st_mode):04o}"


def _refuse_link(folder: Path) -> None:
    status = os.lstat(folder)
    if stat.S_ISLNK(status.st_mode):
        who = f"the cache folder {folder} ({describe(status)})"
        raise CacheError(f"{who} is a symbolic link, expected a folder: {_CURE}, such as the one it leads to")


def _refuse_foreign(folder: Path, status: os.stat_result) -> None:
    """Refuse a folder into which somebody else could have put a library: its code would run here."""
    who = f"the cache folder {folder} ({describe(status)})"
    if status.st_uid != os.geteuid():
        raise CacheError(f"{who} belongs to user {status.st_uid}, expected {os.geteuid()}, who runs this: {_CURE}")
    if status.st_mode & WRITABLE_BY_OTHERS:
        raise CacheError(
            f"{who} can be written by others, who may have put something into it; expected mode 0700: "
            f"remove it (rm -r {folder}), or {_CURE}"
        )


def _check_parents(folder: Path) -> None:
    """Refuse a folder that others could move away, and put one of theirs in its place."""
    # Whoever owns the root folder may do everything; in a user namespace that is not always user 0.
    trusted = {0, os.geteuid(), os.stat("/").st_uid}
    for parent in _folders_on_the_way(folder):
        status = os.lstat(parent)
        safe = not status.st_mode & WRITABLE_BY_OTHERS or status.st_mode & stat.S_ISVTX
        if status.st_uid in trusted and safe:
            continue
        what = "can be written by others" if status.st_uid in trusted else f"belongs to user {status.st_uid}"
        raise CacheError(
            f"the cache folder {folder} is in {parent} ({describe(status)}), which {what}, who could put another "
            f"folder in its place; expected folders of yours or root's that nobody else can write: {_CURE}, in such "
            "a place"
        )


def _folders_on_the_way(path: Path) -> Iterator[Path]:
    """Give each folder that is searched on the way to a path, those behind symbolic links too."""
    here, ahead, links = Path("/"), [*reversed(path.parts[1:])], 0
    while ahead:
        yield here
        name = ahead.pop()
        there = here.parent if name == ".." else here / name
        if not there.is_symlink():
            here = there
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        target = Path(os.readlink(there))
        ahead += reversed(target.parts[1:] if target.is_absolute() else target.parts)
        here = Path("/") if target.is_absolute() else here
