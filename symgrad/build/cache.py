"""The folder of compiled modules: content-addressed, shared by any number of processes, safe to kill at any moment.

    <folder>/<40 digits of the key>/   NAME.pyx  NAME<EXT_SUFFIX>  NAME.log  entry.json     a whole entry, never changed
    <folder>/build-<40 digits>-xxxx/   where one process is building; or, with a file `failed`, a log that is kept
    <folder>/<40 digits>.lock          held while building

An entry is built in a folder of its own and appears by one rename. The lock only spares work: without it, two processes
build the same entry and the second one finds the first one's. Nothing is unpickled, and nothing goes by file times.
"""

import atexit
import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symgrad.errors import BuildError, CacheError, CacheWarning

if TYPE_CHECKING:
    from .library import Built

ENTRY_FILE = "entry.json"
FAILED_FILE = "failed"
LOCK_PATIENCE = 600.0  # seconds; after that one builds without the lock
_LOCKS_DO_NOT_WORK = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EIO, errno.ESTALE)
_private_folders: dict[int, list[Path]] = {}  # by process: a forked child must not clear its parent's away


@dataclass(frozen=True)
class Entry:
    """One compiled module in the cache, whole and verified."""

    key: str
    name: str
    library: Path
    source: str
    timings: Mapping[str, float]  # seconds, of the time when it was built
    rewrites: tuple[str, ...]
    size: int  # bytes of all its files


class _Damaged(Exception):
    """An entry that is not what was published."""


class Cache:
    """The entries in one folder."""

    def __init__(self, folder: Path, *, private: bool = False) -> None:
        self.folder = folder
        self.private = private

    @classmethod
    def open(cls) -> "Cache":
        """Return the user's cache: $SYMGRAD_CACHE_DIR, else $XDG_CACHE_HOME/symgrad, else ~/.cache/symgrad.

        Where that folder cannot be made, a private one for this process, with one `CacheWarning`. Raises `CacheError`
        where others could have put something into it.
        """
        folder = _configured_folder()
        try:
            if not folder.is_absolute():
                raise OSError(errno.ENOENT, "this user has no home folder")
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _check_safe(folder)
        except CacheError:
            raise
        except OSError as error:
            return cls._instead_of(folder, error)
        return cls(folder)

    @classmethod
    def make_private(cls) -> "Cache":
        """Return an empty cache in a temporary folder that is removed when this process ends."""
        folder = Path(tempfile.mkdtemp(prefix="symgrad-"))
        if os.getpid() not in _private_folders:
            atexit.register(_remove_private_folders, os.getpid())
        _private_folders.setdefault(os.getpid(), []).append(folder)
        return cls(folder, private=True)

    @classmethod
    def _instead_of(cls, folder: Path, error: OSError) -> "Cache":
        fallback = _fallbacks.get((os.getpid(), folder))
        if fallback is None or not fallback.folder.is_dir():
            fallback = _fallbacks[os.getpid(), folder] = cls.make_private()
            warnings.warn(
                f"the cache folder {folder} cannot be used ({errno.errorcode.get(error.errno or 0, '?')}: {error}); "
                f"{fallback.folder} is used until this process ends. Set SYMGRAD_CACHE_DIR to a folder of your own.",
                CacheWarning,
                stacklevel=4,
            )
        return fallback

    def find(self, key: str, key_text: str) -> Entry | None:
        """Return the entry of a key, its files verified; None if there is none or, with a `CacheWarning`, a bad one."""
        try:
            return self._read(key, key_text)
        except _Damaged as damage:
            if not self._path(key).exists():
                return None  # another process took it away while this one read
            warnings.warn(f"{damage}; it will be built anew", CacheWarning, stacklevel=2)
            return None

    def publish(self, key: str, key_text: str, make: "Callable[[Path], Built]") -> Entry:
        """Return the entry of a key, made by `make(folder)` in a private folder unless another process was faster.

        Raises what `make` raises. Where this folder cannot be written, the entry goes to a private one, with a
        `CacheWarning`.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # it may have been deleted since
            with self._lock(key) as locked:
                entry = self._read_or_discard(key, key_text)
                return entry or self._build(key, key_text, make, sweep=locked)
        except OSError as error:
            if self.private:
                raise
            return self._instead_of(self.folder, error).publish(key, key_text, make)

    def discard(self, key: str, reason: str) -> None:
        """Take an entry away, with a `CacheWarning` that names it and why; processes that have it loaded keep it."""
        warnings.warn(f"{self._path(key)}: {reason}; it will be built anew", CacheWarning, stacklevel=2)
        with contextlib.suppress(OSError), self._lock(key):
            self._move_away(key)

    def entries(self) -> tuple[Entry, ...]:
        """Return all whole entries, by name and key; damaged ones are left out."""
        found = []
        for folder in self._children(r"[0-9a-f]{40}"):
            with contextlib.suppress(_Damaged):
                entry = _read_entry(folder)
                found += [entry] if entry else []
        return tuple(sorted(found, key=lambda entry: (entry.name, entry.key)))

    def clear(self) -> int:
        """Remove every entry and kept log, but not what is being built just now; return the number of entries."""
        entries = self._children(r"[0-9a-f]{40}")
        for folder in entries:
            self._move_away(folder.name)
        self._sweep(keep_failed=False)
        return len(entries)

    def report(self) -> tuple[tuple[str, str], ...]:
        """Return what `symgrad doctor` shows: pairs of a label and a text."""
        entries = self.entries()
        size = sum(entry.size for entry in entries)
        return (("cache folder", str(self.folder)), ("cache entries", f"{len(entries)}, {size / 1e6:.1f} MB"))

    # --- reading ---

    def _path(self, key: str) -> Path:
        return self.folder / key[:40]

    def _read(self, key: str, key_text: str) -> Entry | None:
        return _read_entry(self._path(key), key, key_text)

    def _read_or_discard(self, key: str, key_text: str) -> Entry | None:
        try:
            return self._read(key, key_text)
        except _Damaged:
            self._move_away(key)
            return None

    def _children(self, pattern: str) -> list[Path]:
        try:
            return sorted(path for path in self.folder.iterdir() if re.fullmatch(pattern, path.name))
        except OSError:
            return []

    # --- writing ---

    def _build(self, key: str, key_text: str, make: "Callable[[Path], Built]", *, sweep: bool) -> Entry:
        if sweep:
            self._sweep(keep_failed=True, own=key[:40])
        folder = Path(tempfile.mkdtemp(prefix=f"build-{key[:40]}-", dir=self.folder))
        try:
            built = make(folder)
            _write_entry(folder, key, key_text, built)
            return self._move_in(folder, key, key_text)
        except BuildError as error:
            if not folder.is_dir():
                raise FileNotFoundError(errno.ENOENT, "removed while a module was built in it", str(folder)) from error
            (folder / FAILED_FILE).touch()
            raise
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _move_in(self, folder: Path, key: str, key_text: str) -> Entry:
        for _ in range(3):
            with contextlib.suppress(OSError):
                os.rename(folder, self._path(key))
            entry = self._read_or_discard(key, key_text)  # this one, or that of a process that was faster
            if entry is not None:
                shutil.rmtree(folder, ignore_errors=True)
                return entry
        raise OSError(errno.EIO, "a finished module could not be moved into the cache", str(self._path(key)))

    def _move_away(self, key: str) -> None:
        """First out of the way by a rename, then deleted: nobody meets half an entry."""
        grave = Path(tempfile.mkdtemp(prefix=f"build-{key[:40]}-", dir=self.folder))
        with contextlib.suppress(FileNotFoundError):
            os.rename(self._path(key), grave / "entry")
        shutil.rmtree(grave, ignore_errors=True)

    def _sweep(self, *, keep_failed: bool, own: str = "") -> None:
        """Remove what processes that are dead by now left: a building one holds its key's lock.

        `own` is the key whose lock is held here.
        """
        for folder in self._children(r"build-[0-9a-f]{40}-.*"):
            key = folder.name[6:46]
            if keep_failed and key != own and (folder / FAILED_FILE).exists():
                continue
            with self._lock(key, patience=0.0) if key != own else contextlib.nullcontext(True) as free:
                if free:
                    shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def _lock(self, key: str, patience: float | None = None) -> Iterator[bool]:
        """Hold the key's lock; yields False where it could not be had. The kernel frees it when the process dies."""
        path = self.folder / f"{key[:40]}.lock"
        descriptor = _acquire(path, LOCK_PATIENCE if patience is None else patience)
        try:
            yield descriptor is not None
        finally:
            if descriptor is not None:
                # Unlinked while held: whoever waits for this file sees that it is gone, and takes a new one.
                path.unlink(missing_ok=True)
                fcntl.flock(descriptor, fcntl.LOCK_UN)
                os.close(descriptor)


_fallbacks: dict[tuple[int, Path], Cache] = {}


def _acquire(path: Path, patience: float) -> int | None:
    deadline = time.monotonic() + patience
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still_there(path, descriptor):
                return descriptor
            os.close(descriptor)
            continue
        except OSError as error:
            os.close(descriptor)
            if error.errno in _LOCKS_DO_NOT_WORK or time.monotonic() >= deadline:
                return None
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES, errno.EINTR):
                raise
        time.sleep(0.02)


def _is_still_there(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


# --- entries ---


def _write_entry(folder: Path, key: str, key_text: str, built: "Built") -> None:
    content = {
        "key": key,
        "key_text": key_text,
        "name": built.name,
        "library": built.library.name,
        "source": built.source.name,
        "sha256": {path.name: _sha256(path.read_bytes()) for path in (built.library, built.source)},
        "timings": dict(built.timings),
        "rewrites": list(built.rewrites),
    }
    text = json.dumps({"content": content, "sha256": _sha256(_canonical(content))}, indent=1)
    (folder / ENTRY_FILE).write_text(text, encoding="utf-8")


def _read_entry(folder: Path, key: str | None = None, key_text: str | None = None) -> Entry | None:
    """The entry in a folder; None where there is no such folder. Raises `_Damaged`, which names the damaged file."""
    if not folder.is_dir():
        return None
    content = _read_content(folder / ENTRY_FILE)
    if key is not None and (content["key"], content["key_text"]) != (key, key_text):
        raise _Damaged(f"{folder / ENTRY_FILE} belongs to another key")
    for name, digest in content["sha256"].items():
        if _sha256(_read_bytes(folder / name)) != digest:
            raise _Damaged(f"{folder / name} is damaged (its sha256 is not the recorded one)")
    return Entry(
        key=content["key"],
        name=content["name"],
        library=folder / content["library"],
        source=_read_bytes(folder / content["source"]).decode(),
        timings=content["timings"],
        rewrites=tuple(content["rewrites"]),
        size=sum(path.stat().st_size for path in folder.iterdir()),
    )


def _read_content(path: Path) -> dict[str, Any]:
    raw = _read_bytes(path)
    try:
        record = json.loads(raw)
        content = record["content"]
        whole = record["sha256"] == _sha256(_canonical(content))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _Damaged(f"{path} is damaged ({type(error).__name__}: {error})") from None
    if not whole or not isinstance(content, dict):
        raise _Damaged(f"{path} is damaged (its content has not the recorded sha256)")
    return content


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _Damaged(f"{path} cannot be read ({error})") from None


def _canonical(content: object) -> bytes:
    return json.dumps(content, sort_keys=True).encode()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# --- folders ---


def _configured_folder() -> Path:
    named = os.environ.get("SYMGRAD_CACHE_DIR")
    if named:
        return Path(os.path.expanduser(named)).absolute()
    base = os.environ.get("XDG_CACHE_HOME", "")  # a relative one is to be ignored, says the XDG specification
    return Path(base if os.path.isabs(base) else os.path.expanduser("~/.cache")) / "symgrad"


def _check_safe(folder: Path) -> None:
    """Refuse a folder into which somebody else could have put a library: its code would run here."""
    status = os.lstat(folder)
    mode = f"{stat.filemode(status.st_mode)} {stat.S_IMODE(status.st_mode):04o}"
    who = f"the cache folder {folder} (owner {status.st_uid}, mode {mode})"
    cure = "set SYMGRAD_CACHE_DIR to a folder of your own"
    if stat.S_ISLNK(status.st_mode):
        raise CacheError(f"{who} is a symbolic link, expected a folder: {cure}, such as the one it leads to")
    if status.st_uid != os.geteuid():
        raise CacheError(f"{who} belongs to user {status.st_uid}, expected {os.geteuid()}, who runs this: {cure}")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise CacheError(f"{who} can be written by others, expected mode 0700: chmod 700 {folder}, or {cure}")


def _remove_private_folders(process: int) -> None:
    if os.getpid() != process:
        return  # a forked child: they are its parent's
    for folder in _private_folders.pop(process, []):
        if not any(folder.glob(f"*/{FAILED_FILE}")):  # a log that an error message names
            shutil.rmtree(folder, ignore_errors=True)
