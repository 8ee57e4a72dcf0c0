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
import os
import re
import secrets
import shutil
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from symgrad.errors import BuildError, CacheError, CacheWarning

from .entries import Damaged, read_entry, write_entry
from .entries import Entry as Entry
from .folders import configured_folder, is_still, make_folder, opened
from .locks import under_lock

if TYPE_CHECKING:
    from .library import Built

FAILED_FILE = "failed"
_ENTRY, _WORK = "[0-9a-f]{40}", "build-[0-9a-f]{40}-.*"
_READINGS = 3  # an entry that is cleared away while it is read looks damaged
_ROUNDS = 2  # a folder that is deleted while something is built in it is made anew
_private_folders: dict[int, list[Path]] = {}  # by process: a forked child must not clear its parent's away


class Cache:
    """The entries in one folder."""

    def __init__(self, folder: Path, *, private: bool = False) -> None:
        self.folder = folder
        self.private = private
        self._told: set[str] = set()

    @classmethod
    def open(cls) -> "Cache":
        """Return the user's cache: $SYMGRAD_CACHE_DIR, else $XDG_CACHE_HOME/symgrad, else ~/.cache/symgrad.

        Where that folder cannot be made, a private one for this process, with one `CacheWarning`. Raises `CacheError`
        where others could have put something into it.
        """
        folder = configured_folder()
        try:
            if not folder.is_absolute():
                raise OSError(errno.ENOENT, "this user has no home folder")
            make_folder(folder)
            with opened(folder):
                pass
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
        """Return the entry of a key, its files verified; None if there is none or, with a `CacheWarning`, a bad one.

        Raises `CacheError` where the folder has become one that others could have put something into.
        """
        try:
            with opened(self.folder) as top:
                return self._read(top, key, key_text)
        except CacheError:
            raise
        except OSError:
            return None
        except Damaged as damage:
            self._tell(damage)
            return None

    def publish(self, key: str, key_text: str, make: "Callable[[Path], Built]") -> Entry:
        """Return the entry of a key, made by `make(folder)` in a private folder unless another process was faster.

        Raises what `make` raises, and `CacheError` as `find` does. Where this folder cannot be written, the entry goes
        to a private one, with a `CacheWarning`.
        """
        try:
            return self._publish(key, key_text, make)
        except CacheError:
            raise
        except OSError as error:
            if self.private:
                raise
            return self._instead_of(self.folder, error).publish(key, key_text, make)

    def discard(self, key: str, reason: str) -> None:
        """Take an entry away, with a `CacheWarning` that names it and why; processes that have it loaded keep it."""
        warnings.warn(f"{self._path(key)}: {reason}; it will be built anew", CacheWarning, stacklevel=2)
        with contextlib.suppress(OSError), opened(self.folder) as top:
            under_lock(top, _lock_of(key), lambda _: _move_away(top, key))

    def entries(self) -> tuple[Entry, ...]:
        """Return all whole entries, by name and key; damaged ones are left out."""
        found = []
        with contextlib.suppress(OSError), opened(self.folder) as top:
            for name in _children(top, _ENTRY):
                with contextlib.suppress(Damaged):
                    entry = read_entry(top, self.folder / name)
                    found += [entry] if entry else []
        return tuple(sorted(found, key=lambda entry: (entry.name, entry.key)))

    def clear(self) -> int:
        """Remove every entry and kept log, but not what is being built just now; return the number of entries."""
        names = []
        with contextlib.suppress(FileNotFoundError), opened(self.folder) as top:
            names = _children(top, _ENTRY)
            for name in names:
                _move_away(top, name)
            _sweep(top, keep_failed=False)
        return len(names)

    def report(self) -> tuple[tuple[str, str], ...]:
        """Return what `symgrad doctor` shows: pairs of a label and a text."""
        entries = self.entries()
        size = sum(entry.size for entry in entries)
        return (("cache folder", str(self.folder)), ("cache entries", f"{len(entries)}, {size / 1e6:.1f} MB"))

    # --- reading ---

    def _path(self, key: str) -> Path:
        return self.folder / key[:40]

    def _read(self, top: int, key: str, key_text: str) -> Entry | None:
        """Return the entry of a key. Raises `Damaged` for one that stays so: another process may be taking it away."""
        for reading in range(_READINGS):
            try:
                return read_entry(top, self._path(key), key, key_text)
            except Damaged:
                if reading == _READINGS - 1:
                    raise
        return None

    def _read_or_discard(self, top: int, key: str, key_text: str) -> Entry | None:
        try:
            return self._read(top, key, key_text)
        except Damaged as damage:
            self._tell(damage)
            _move_away(top, key)
            return None

    def _tell(self, damage: Damaged) -> None:
        """Warn of a damage once: it is met where an entry is looked for, and again where it is built anew."""
        if str(damage) not in self._told:
            self._told.add(str(damage))
            warnings.warn(f"{damage}; it will be built anew", CacheWarning, stacklevel=3)

    # --- writing ---

    def _publish(self, key: str, key_text: str, make: "Callable[[Path], Built]") -> Entry:
        for again in reversed(range(_ROUNDS)):
            try:
                make_folder(self.folder)
                with opened(self.folder) as top:
                    return under_lock(top, _lock_of(key), lambda locked: self._make(top, key, key_text, make, locked))
            except OSError as error:
                vanished = isinstance(error, FileNotFoundError) or not self.folder.exists()
                if not (again and vanished):
                    raise
        raise AssertionError("the last round returns or raises")

    def _make(self, top: int, key: str, key_text: str, make: "Callable[[Path], Built]", locked: bool) -> Entry:
        if not is_still(self.folder, top):  # while this one waited for the lock
            raise FileNotFoundError(errno.ENOENT, "another folder has taken its place", str(self.folder))
        entry = self._read_or_discard(top, key, key_text)
        if entry is not None:
            return entry
        if locked:
            _sweep(top, keep_failed=True, own=key[:40])
        return self._build(top, key, key_text, make)

    def _build(self, top: int, key: str, key_text: str, make: "Callable[[Path], Built]") -> Entry:
        folder = self.folder / _grave(key)
        try:
            os.mkdir(folder.name, 0o700, dir_fd=top)
            built = make(folder)
            write_entry(folder, key, key_text, built)
            return self._move_in(top, folder, key, key_text)
        except BuildError as error:
            if not folder.is_dir():
                raise FileNotFoundError(errno.ENOENT, "removed while a module was built in it", str(folder)) from error
            (folder / FAILED_FILE).touch()
            raise
        except BaseException:
            _remove(top, folder.name)
            raise

    def _move_in(self, top: int, folder: Path, key: str, key_text: str) -> Entry:
        """Return a finished entry, moved to its place, or that of a process that was faster.

        It is not read there again: another process may clear it away at once, and whoever loads it sees that.
        """
        try:
            made = read_entry(top, folder, key, key_text)
        except Damaged:
            made = None
        if made is None:
            raise FileNotFoundError(errno.ENOENT, "removed while a module was built in it", str(folder))
        for _ in range(3):
            try:
                os.rename(folder.name, key[:40], src_dir_fd=top, dst_dir_fd=top)
                return replace(made, library=self._path(key) / made.library.name)
            except OSError:
                entry = self._read_or_discard(top, key, key_text)
                if entry is not None:
                    _remove(top, folder.name)
                    return entry
        raise OSError(errno.EIO, "a finished module could not be moved into the cache", str(self._path(key)))


_fallbacks: dict[tuple[int, Path], Cache] = {}


# --- what is in a folder that is open as `top` ---


def _lock_of(key: str) -> str:
    return f"{key[:40]}.lock"


def _grave(key: str) -> str:
    """Return the name of a folder to build in, or to be deleted: whoever finds it asks for the key's lock."""
    return f"build-{key[:40]}-{secrets.token_hex(4)}"


def _children(top: int, pattern: str) -> list[str]:
    return sorted(name for name in os.listdir(top) if re.fullmatch(pattern, name))


def _move_away(top: int, key: str) -> None:
    """Take an entry out of the way by one rename, then delete it: nobody meets half an entry."""
    grave = _grave(key)
    with contextlib.suppress(FileNotFoundError):
        os.rename(key[:40], grave, src_dir_fd=top, dst_dir_fd=top)
        _remove(top, grave)


def _remove(top: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=top)
    except OSError:  # a folder, as a rule
        shutil.rmtree(name, ignore_errors=True, dir_fd=top)


def _sweep(top: int, *, keep_failed: bool, own: str = "") -> None:
    """Remove what processes that are dead by now left: a building one holds its key's lock.

    `own` is the key whose lock is held here.
    """
    for name in _children(top, _WORK):
        key = name[6:46]
        if key == own:
            _remove(top, name)
        elif not (keep_failed and _is_there(top, f"{name}/{FAILED_FILE}")):
            under_lock(top, _lock_of(key), lambda free: _remove(top, name) if free else None, patience=0.0)  # noqa: B023


def _is_there(top: int, name: str) -> bool:
    try:
        os.lstat(name, dir_fd=top)
    except OSError:
        return False
    return True


# --- private folders ---


def _remove_private_folders(process: int) -> None:
    if os.getpid() != process:
        return  # a forked child: they are its parent's
    for folder in _private_folders.pop(process, []):
        if not any(folder.glob(f"*/{FAILED_FILE}")):  # a log that an error message names
            shutil.rmtree(folder, ignore_errors=True)
