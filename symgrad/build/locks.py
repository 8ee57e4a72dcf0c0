"""Locks between processes: files in the cache's folder, locked by the kernel, which frees them when a process dies.

A lock belongs to the open file. So it is held by one object with an exit that no interrupt can come into (a file's
own), and a forked child closes its copies: else it would keep the lock of a parent that has died.
"""

import contextlib
import errno
import fcntl
import io
import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 600.0  # seconds; after that one goes on without the lock
_PAUSE = 0.02
_MOST_VANISHED = 1000  # a lock's file that goes as often between opening and looking: this disk does not show it
_DO_NOT_WORK = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EIO, errno.ESTALE)
_BUSY = (errno.EWOULDBLOCK, errno.EACCES, errno.EINTR)

_gate = threading.RLock()  # no fork while one thread opens a lock file: the child has to know of it
_files: "weakref.WeakSet[io.FileIO]" = weakref.WeakSet()


def under_lock(top: int, name: str, work: Callable[[bool], T], patience: float | None = None) -> T:
    """Return what ``work(locked)`` returns while the lock ``name`` of the folder that is open as ``top`` is held.

    ``locked`` is False where the lock could not be had, within ``patience`` seconds or because locks do not work here.
    """
    deadline = time.monotonic() + (PATIENCE if patience is None else patience)
    vanished = 0
    while vanished < _MOST_VANISHED:
        with _open(top, name) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno in _DO_NOT_WORK or time.monotonic() >= deadline:
                    break
                if error.errno not in _BUSY:
                    raise
            else:
                if _is_still_there(top, name, file):
                    return _work_and_let_go(top, name, file, work)
                vanished += 1  # whoever held it has let go: there is a new one, or none
                continue
        time.sleep(_PAUSE)
    return work(False)


def _work_and_let_go(top: int, name: str, file: io.FileIO, work: Callable[[bool], T]) -> T:
    try:
        return work(True)
    finally:
        # Unlinked while held: whoever waits for this file sees that it is gone, and takes a new one.
        if not file.closed:  # else this is a forked child, and the lock is its parent's
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=top)


def _open(top: int, name: str) -> io.FileIO:
    def opener(path: str, flags: int) -> int:
        return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=top)

    with _gate:
        file = io.FileIO(name, "a+", opener=opener)
        _files.add(file)
    return file


def _is_still_there(top: int, name: str, file: io.FileIO) -> bool:
    try:
        return os.path.samestat(os.stat(name, dir_fd=top, follow_symlinks=False), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _forget_the_parents() -> None:
    global _gate
    _gate = threading.RLock()
    for file in list(_files):
        file.close()  # the parent's stays locked: closing a copy frees nothing


os.register_at_fork(
    before=lambda: _gate.acquire(), after_in_parent=lambda: _gate.release(), after_in_child=_forget_the_parents
)
