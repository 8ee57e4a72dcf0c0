"""What lies in a cache's folder that is open as ``top``: entries, folders to build in, locks; and how each goes."""

import contextlib
import os
import re
import secrets
import shutil
from pathlib import Path

from .entries import Damaged, Glance, glance
from .locks import under_lock

FAILED_FILE = "failed"
ENTRY, WORK, LOCK = "[0-9a-f]{40}", "build-[0-9a-f]{40}-.*", r"[0-9a-f]{40}\.lock"


def lock_of(key: str) -> str:
    """Return the name of a key's lock."""
    return f"{key[:40]}.lock"


def grave(key: str) -> str:
    """Return the name of a folder to build in, or to be deleted: whoever finds it asks for the key's lock."""
    return f"build-{key[:40]}-{secrets.token_hex(4)}"


def children(top: int, pattern: str) -> list[str]:
    """Return the names in the folder that are of one kind, in order."""
    return sorted(name for name in os.listdir(top) if re.fullmatch(pattern, name))


def move_away(top: int, key: str) -> None:
    """Take an entry out of the way by one rename, then delete it: nobody meets half an entry."""
    away = grave(key)
    with contextlib.suppress(FileNotFoundError):
        os.rename(key[:40], away, src_dir_fd=top, dst_dir_fd=top)
        remove(top, away)


def remove(top: int, name: str) -> None:
    """Delete a file, or a folder with all that is in it, as far as that can be done."""
    try:
        os.unlink(name, dir_fd=top)
    except OSError:  # a folder, as a rule
        shutil.rmtree(name, ignore_errors=True, dir_fd=top)


def sweep(top: int, *, keep_failed: bool, own: str = "") -> None:
    """Remove what processes that are dead by now left: a building one holds its key's lock.

    `own` is the key whose lock is held here.
    """
    for name in children(top, WORK):
        key = name[6:46]
        if key == own:
            remove(top, name)
        elif not (keep_failed and _is_there(top, f"{name}/{FAILED_FILE}")):
            under_lock(top, lock_of(key), lambda free: remove(top, name) if free else None, patience=0.0)  # noqa: B023
    for name in children(top, LOCK):
        if name != lock_of(own):
            under_lock(top, name, lambda _: None, patience=0.0)  # goes with its file where nobody holds it


def glances(top: int, folder: Path) -> dict[str, Glance]:
    """Return what each entry is, by its name in the folder; of a damaged one whoever looks for it will be told."""
    found: dict[str, Glance] = {}
    for name in children(top, ENTRY):
        with contextlib.suppress(Damaged):
            seen = glance(top, folder / name)
            found |= {name: seen} if seen else {}
    return found


def prune(top: int, folder: Path, limit: int, keep: str = "") -> tuple[int, int]:
    """Remove what was not used for longest until no more than ``limit`` bytes are left; but not the entry ``keep``.

    Returns how many entries went, and their bytes.
    """
    found = glances(top, folder)
    left, count, gone = sum(seen.size for seen in found.values()), 0, 0
    for name, seen in sorted(found.items(), key=lambda item: item[1].used):
        if left <= limit:
            break
        if name != keep:
            with contextlib.suppress(OSError):  # it is not ours to remove
                move_away(top, name)
                left, count, gone = left - seen.size, count + 1, gone + seen.size
    return count, gone


def _is_there(top: int, name: str) -> bool:
    try:
        os.lstat(name, dir_fd=top)
    except OSError:
        return False
    return True
