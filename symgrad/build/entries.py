"""One entry of the cache: how it is written, and how it is read so that nothing is trusted that others could have made.

Its folder and every file in it are opened relative to what was opened before, have to be this user's own, and must not
be writable by others. What is not so, or not there, or not what was published, is damage.
"""

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .folders import FOLDER, WRITABLE_BY_OTHERS, describe

if TYPE_CHECKING:
    from .library import Built

ENTRY_FILE = "entry.json"
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC  # of a FIFO nobody waits for the other end


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
    digest: str  # sha256 of the library, in hex


@dataclass(frozen=True)
class Glance:
    """What an entry is without its files being verified."""

    key_text: str
    size: int  # bytes of all its files
    built: float  # times of its files: which one was built last, and
    used: float  # which one was used last


class Damaged(Exception):
    """An entry that is not what was published, or that is not this user's own."""


def write_entry(folder: Path, key: str, key_text: str, built: "Built") -> None:
    """Make what was built in a folder an entry: its description, and files that nobody else can write."""
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
    for path in (folder, *folder.iterdir()):  # a umask of 002 lets the group write
        path.chmod(path.stat().st_mode & ~WRITABLE_BY_OTHERS)


def read_entry(top: int, path: Path, key: str | None = None, key_text: str | None = None) -> Entry | None:
    """Return the entry ``path`` of the folder that is open as ``top``; None where there is none.

    With a key, it has to be that key's, and is used from now on. Raises `Damaged`, which names the damaged file.
    """
    with _opened(top, path) as descriptor:
        return None if descriptor is None else _read(descriptor, path, key, key_text)


def glance(top: int, path: Path) -> Glance | None:
    """Return what `read_entry` would find, at a fraction of its cost. Raises `Damaged` where that is seen already."""
    with _opened(top, path) as descriptor:
        if descriptor is None:
            return None
        statuses = _check_all(descriptor, path)
        content = _content(_bytes(descriptor, path / ENTRY_FILE), path / ENTRY_FILE)
        built = statuses[content["library"]].st_mtime if content["library"] in statuses else 0.0
        return Glance(content["key_text"], _size(statuses), built, statuses[ENTRY_FILE].st_mtime)


@contextlib.contextmanager
def _opened(top: int, path: Path) -> Iterator[int | None]:
    try:
        descriptor = os.open(path.name, FOLDER, dir_fd=top)
    except FileNotFoundError:
        yield None
        return
    except OSError as error:
        raise Damaged(f"{path} cannot be read ({error})") from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _read(descriptor: int, path: Path, key: str | None, key_text: str | None) -> Entry:
    statuses = _check_all(descriptor, path)
    content = _content(_bytes(descriptor, path / ENTRY_FILE), path / ENTRY_FILE)
    if key is not None and (content["key"], content["key_text"]) != (key, key_text):
        raise Damaged(f"{path / ENTRY_FILE} belongs to another key")
    files = {name: _bytes(descriptor, path / name) for name in content["sha256"]}
    for name, digest in content["sha256"].items():
        if _sha256(files[name]) != digest:
            raise Damaged(f"{path / name} is damaged (its sha256 is not the recorded one)")
    if key is not None:
        with contextlib.suppress(OSError):  # a disk that can only be read
            os.utime(ENTRY_FILE, dir_fd=descriptor)
    return Entry(
        key=content["key"],
        name=content["name"],
        library=path / content["library"],
        source=files[content["source"]].decode(),
        timings=content["timings"],
        rewrites=tuple(content["rewrites"]),
        size=_size(statuses),
        digest=content["sha256"][content["library"]],
    )


def _check_all(descriptor: int, path: Path) -> dict[str, os.stat_result]:
    """Return the status of each file, once all of them and the folder are found to be the user's own."""
    try:
        _refuse_foreign(path, os.fstat(descriptor))
        statuses = {name: os.lstat(name, dir_fd=descriptor) for name in os.listdir(descriptor)}
    except OSError as error:
        raise Damaged(f"{path} cannot be read ({error})") from None
    for name, status in statuses.items():
        _refuse_foreign(path / name, status)
    return statuses


def _size(statuses: Mapping[str, os.stat_result]) -> int:
    return sum(status.st_size for status in statuses.values())


def _refuse_foreign(path: Path, status: os.stat_result) -> None:
    if status.st_uid != os.geteuid():
        raise Damaged(f"{path} belongs to another user ({describe(status)}), and is not trusted")
    if status.st_mode & WRITABLE_BY_OTHERS and not stat.S_ISLNK(status.st_mode):
        raise Damaged(f"{path} can be written by others ({describe(status)}), and is not trusted")


def _bytes(descriptor: int, path: Path) -> bytes:
    try:
        file = os.open(path.name, _FILE, dir_fd=descriptor)
        try:
            status = os.fstat(file)
            _refuse_foreign(path, status)
            if not stat.S_ISREG(status.st_mode):
                raise Damaged(f"{path} is no file ({describe(status)})")
            with open(file, "rb", closefd=False) as opened:
                return opened.read()
        finally:
            os.close(file)
    except OSError as error:
        raise Damaged(f"{path} cannot be read ({error})") from None


def _content(raw: bytes, path: Path) -> dict[str, Any]:
    try:
        record = json.loads(raw)
        content = record["content"]
        whole = record["sha256"] == _sha256(_canonical(content))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Damaged(f"{path} is damaged ({type(error).__name__}: {error})") from None
    if not whole or not isinstance(content, dict):
        raise Damaged(f"{path} is damaged (its content has not the recorded sha256)")
    return content


def _canonical(content: object) -> bytes:
    return json.dumps(content, sort_keys=True).encode()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
