"""The folder of compiled modules: content-addressed, shared by any number of processes, safe to kill at any moment.

    <folder>/<40 digits of the key>/   NAME.pyx  NAME<EXT_SUFFIX>  NAME.log  entry.json     a whole entry, never changed
    <folder>/build-<40 digits>-xxxx/   where one process is building; or, with a file `failed`, a log that is kept
    <folder>/<40 digits>.lock          held while building

An entry is built in a folder of its own and appears by one rename. The lock only spares work: without it, two processes
build the same entry and the second one finds the first one's. Nothing is unpickled. File times decide only which entry
goes first where all are more than $SYMGRAD_CACHE_LIMIT, and which is taken where there is no compiler.
"""

import atexit
import contextlib
import errno
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symgrad.errors import BuildError, CacheError, CacheWarning

from .contents import ENTRY, FAILED_FILE, children, glances, grave, lock_of, move_away, prune, remove, sweep
from .entries import Damaged, read_entry, write_entry
from .entries import Entry as Entry
from .folders import configured_folder, is_still, make_folder, opened
from .limits import cache_limit
from .locks import under_lock

if TYPE_CHECKING:
    from .library import Built

_READINGS = 3  # an entry that is cleared away while it is read looks damaged
_ROUNDS = 2  # a folder that is deleted while something is built in it is made anew
_NO_OTHER = "no other folder is left to build in: make room, or set SYMGRAD_CACHE_DIR or TMPDIR to a folder that has it"
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
                raise OSError(errno.ENOENT, "this user has no home folder, or the working folder was deleted")
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
                raise OSError(error.errno, f"{error.strerror or error}; {_NO_OTHER}", str(self.folder)) from error
            return self._instead_of(self.folder, error).publish(key, key_text, make)

    def discard(self, key: str, reason: str) -> None:
        """Take an entry away, with a `CacheWarning` that names it and why; processes that have it loaded keep it."""
        warnings.warn(f"{self._path(key)}: {reason}; it will be built anew", CacheWarning, stacklevel=2)
        with contextlib.suppress(OSError), opened(self.folder) as top:
            under_lock(top, lock_of(key), lambda _: move_away(top, key))

    def entries(self) -> tuple[Entry, ...]:
        """Return all whole entries, by name and key; damaged ones are left out."""
        found = []
        with contextlib.suppress(OSError), opened(self.folder) as top:
            for name in children(top, ENTRY):
                with contextlib.suppress(Damaged):
                    entry = read_entry(top, self.folder / name)
                    found += [entry] if entry else []
        return tuple(sorted(found, key=lambda entry: (entry.name, entry.key)))

    def clear(self) -> int:
        """Remove every entry and kept log, but not what is being built just now; return the number of entries."""
        names = []
        with contextlib.suppress(FileNotFoundError), opened(self.folder) as top:
            names = children(top, ENTRY)
            for name in names:
                move_away(top, name)
            sweep(top, keep_failed=False)
        return len(names)

    def prune(self, limit: str | None = None) -> tuple[int, int]:
        """Remove the entries that were not used for longest until the rest is within the limit, and what is left over.

        ``limit`` is written as $SYMGRAD_CACHE_LIMIT is, whose place it takes. Returns how many went, and their bytes.
        Raises `CacheError` where it is no size.
        """
        with opened(self.folder) as top:
            gone = prune(top, self.folder, cache_limit(limit))
            sweep(top, keep_failed=False)
        return gone

    def alike(self, wanted: Mapping[str, object]) -> tuple[Entry, ...]:
        """Return the entries whose key text has all that is wanted, the newest first; damaged ones are left out."""
        found: list[tuple[float, Entry]] = []
        with contextlib.suppress(OSError), opened(self.folder) as top:
            for name, seen in glances(top, self.folder).items():
                with contextlib.suppress(Damaged, ValueError):  # a key text of whatever kind
                    if _has(json.loads(seen.key_text), wanted):
                        entry = read_entry(top, self.folder / name)
                        found += [(seen.built, entry)] if entry else []
        return tuple(entry for _, entry in sorted(found, key=lambda pair: pair[0], reverse=True))

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
            move_away(top, key)
            return None

    def _tell(self, damage: Damaged) -> None:
        """Warn of a damage once: it is met where an entry is looked for, and again where it is built anew."""
        if str(damage) not in self._told:
            self._told.add(str(damage))
            warnings.warn(f"{damage}; it will be built anew", CacheWarning, stacklevel=3)

    # --- writing ---

    def _publish(self, key: str, key_text: str, make: "Callable[[Path], Built]") -> Entry:
        limit = cache_limit()
        for again in reversed(range(_ROUNDS)):
            try:
                make_folder(self.folder)
                with opened(self.folder) as top:
                    entry = under_lock(top, lock_of(key), lambda locked: self._make(top, key, key_text, make, locked))
                    with contextlib.suppress(OSError):  # the entry is there, whatever becomes of others
                        prune(top, self.folder, limit, keep=key[:40])
                    return entry
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
            sweep(top, keep_failed=True, own=key[:40])
        return self._build(top, key, key_text, make)

    def _build(self, top: int, key: str, key_text: str, make: "Callable[[Path], Built]") -> Entry:
        folder = self.folder / grave(key)
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
            remove(top, folder.name)
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
                    remove(top, folder.name)
                    return entry
        raise OSError(errno.EIO, "a finished module could not be moved into the cache", str(self._path(key)))


_fallbacks: dict[tuple[int, Path], Cache] = {}


def _has(text: Any, wanted: Mapping[str, object]) -> bool:
    """Return whether a mapping that was read has all that is wanted, in mappings within it too."""
    return isinstance(text, dict) and all(
        _has(text.get(name), value) if isinstance(value, Mapping) else text.get(name) == value
        for name, value in wanted.items()
    )


# --- private folders ---


def _remove_private_folders(process: int) -> None:
    if os.getpid() != process:
        return  # a forked child: they are its parent's
    for folder in _private_folders.pop(process, []):
        if not any(folder.glob(f"*/{FAILED_FILE}")):  # a log that an error message names
            shutil.rmtree(folder, ignore_errors=True)
