"""The folder of compiled modules. Here `make` writes a few bytes; test_load.py does the same with real modules."""

import errno
import fcntl
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from symgrad.build import Built, Cache, Entry, locks
from symgrad.build import cache as room
from symgrad.errors import BuildError, CacheWarning
from tests.helpers.entries import KEY, OTHER, TEXT, make, names, never


@pytest.fixture
def store(tmp_path: Path) -> Cache:
    (tmp_path / "cache").mkdir(mode=0o700)
    return Cache(tmp_path / "cache")


@pytest.fixture
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Private caches of this test go here, and count as its own."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(room.tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setattr(room, "_fallbacks", {})
    return tmp_path / "tmp"


# --- publishing and finding ----------------------------------------------------------------------------------------


def test_what_was_published_is_found(store: Cache) -> None:
    assert store.find(KEY, TEXT) is None
    published = store.publish(KEY, TEXT, make)
    found = Cache(store.folder).find(KEY, TEXT)
    assert found == published
    assert found == Entry(
        KEY, "decay", store.folder / KEY[:40] / "decay.so", "∇R\n", {"trace": 0.25, "compiler": 1.5}, ("log1p",),
        sum(path.stat().st_size for path in (store.folder / KEY[:40]).iterdir()),
        hashlib.sha256(published.library.read_bytes()).hexdigest(),
    )  # fmt: skip
    assert store.publish(KEY, TEXT, never) == published
    assert names(store.folder) == {KEY[:40]}
    assert store.find(OTHER, TEXT) is None


def test_keys_that_share_their_first_digits_are_told_apart(store: Cache) -> None:
    store.publish(KEY, TEXT, make)
    with pytest.warns(CacheWarning, match="belongs to another key"):
        assert store.find(KEY, "another text") is None
    assert store.publish(KEY, "another text", make).key == KEY
    assert store.find(KEY, "another text") is not None


def flip(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0x10]) + data[middle + 1 :]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda data: data[:-1],
    "halved": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "flipped": flip,
    "longer": lambda data: data + b"\0",
    "garbage": lambda data: b"\xff\x00[{" * 10,
    "another JSON": lambda data: b"[]",
    "deep JSON": lambda data: b"[" * 100_000,
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("file", ["decay.so", "decay.pyx", "entry.json"])
def test_damage_is_seen_warned_of_and_mended(file: str, damage: str, store: Cache) -> None:
    good = store.publish(KEY, TEXT, make)
    path = good.library.parent / file
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    with pytest.warns(CacheWarning, match=f"{KEY[:40]}/{file}.*built anew"):
        assert store.find(KEY, TEXT) is None
    assert store.entries() == ()
    assert store.publish(KEY, TEXT, make).source == good.source
    assert store.find(KEY, TEXT) is not None
    assert names(store.folder) == {KEY[:40]}


@pytest.mark.parametrize("file", ["decay.so", "decay.pyx", "entry.json"])
def test_a_missing_file_is_damage(file: str, store: Cache) -> None:
    (store.publish(KEY, TEXT, make).library.parent / file).unlink()
    with pytest.warns(CacheWarning, match=file):
        assert store.find(KEY, TEXT) is None
    store.publish(KEY, TEXT, make)
    assert store.find(KEY, TEXT) is not None


def link_to_nothing(path: Path) -> None:
    path.symlink_to("nowhere")


@pytest.mark.parametrize("thing", [os.mkfifo, os.mkdir, link_to_nothing])
@pytest.mark.parametrize("file", ["decay.so", "decay.pyx", "entry.json", "."])
def test_what_is_no_file_is_damage(file: str, thing: Callable[[Path], None], store: Cache) -> None:
    """Nobody waits at a FIFO for its other end."""
    path = (store.publish(KEY, TEXT, make).library.parent / file).resolve()
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    thing(path)
    with pytest.warns(CacheWarning, match=f"{KEY[:40]}.*built anew"):
        assert store.find(KEY, TEXT) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it was told
        assert store.publish(KEY, TEXT, make) == store.find(KEY, TEXT)
    assert names(store.folder) == {KEY[:40]}


@pytest.mark.parametrize("call", ["open", "stat", "listdir", "fstat", "lstat"])
@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO, errno.ENOENT])
def test_an_error_while_an_entry_is_read_reaches_nobody(
    call: str, number: int, store: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call of that name in turn fails, once: a network disk has such moments."""
    entry, real = store.publish(KEY, TEXT, make), getattr(os, call)
    for failing in range(20):
        count = iter(range(1000))

        def once(*arguments: Any, failing: int = failing, count: Iterator[int] = count, **named: Any) -> Any:
            if next(count) == failing:
                raise OSError(number, os.strerror(number))
            return real(*arguments, **named)

        with monkeypatch.context() as patch, warnings.catch_warnings():
            warnings.simplefilter("ignore", CacheWarning)
            patch.setattr(os, call, once)
            found = store.find(KEY, TEXT)
        assert found in (None, entry)
    assert store.find(KEY, TEXT) == entry


@pytest.mark.parametrize("field", ["timings", "rewrites", "source", "name", "sha256"])
def test_an_edited_entry_file_is_damage(field: str, store: Cache) -> None:
    """Also where the library's digest was made to fit."""
    path = store.publish(KEY, TEXT, make).library.parent / "entry.json"
    record = json.loads(path.read_text("utf-8"))
    record["content"][field] = {}
    path.write_text(json.dumps(record), encoding="utf-8")
    with pytest.warns(CacheWarning, match=r"entry\.json"):
        assert store.find(KEY, TEXT) is None


def test_discard(store: Cache) -> None:
    library = store.publish(KEY, TEXT, make).library
    with library.open("rb") as loaded:
        with pytest.warns(CacheWarning, match=f"{KEY[:40]}.*does not load"):
            store.discard(KEY, "does not load")
        assert len(loaded.read()) == 40 * 256
    assert names(store.folder) == set()


# --- many processes, and dying ones --------------------------------------------------------------------------------


def test_without_locks_the_first_one_wins(store: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock spares work, and nothing more: here every process builds, as on a network disk without locks."""

    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    def while_another_finishes(folder: Path) -> Built:
        firsts.append(Cache(store.folder).publish(KEY, TEXT, make))
        return make(folder)

    monkeypatch.setattr(fcntl, "flock", no_locks)
    firsts: list[Entry] = []
    entry = store.publish(KEY, TEXT, while_another_finishes)
    assert [entry] == firsts
    assert {name for name in names(store.folder) if not name.endswith(".lock")} == {KEY[:40]}


def test_patience_with_a_lock_ends(store: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "PATIENCE", 0.1)
    with (store.folder / f"{KEY[:40]}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        start = time.monotonic()
        assert store.publish(KEY, TEXT, make).name == "decay"
        assert 0.1 <= time.monotonic() - start < 5


def test_a_lock_whose_file_went_away_meanwhile_is_no_lock(store: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that held it removed it between this process' opening and locking."""
    real, opened = locks._open, []

    def opening(top: int, name: str) -> io.FileIO:
        file = real(top, name)
        if not opened:
            (store.folder / name).unlink()
        opened.append(file)
        return file

    monkeypatch.setattr(locks, "_open", opening)
    top = os.open(store.folder, os.O_RDONLY)
    assert locks.under_lock(
        top, "a.lock", lambda first: (first, locks.under_lock(top, "a.lock", lambda second: second, patience=0.0))
    ) == (True, False)
    os.close(top)


DIES = """
import sys, time
from pathlib import Path
from symgrad.build import Cache
def make(folder):
    (folder / "half.so").write_bytes(b"half")
    print("building", flush=True)
    time.sleep(60)
Cache(Path(sys.argv[1])).publish(sys.argv[2], "text", make)
"""


def test_what_a_killed_process_left_is_swept(store: Cache) -> None:
    """By whoever builds next, be it another key; what a living process builds stays."""
    command = [sys.executable, "-c", DIES, str(store.folder)]
    with (
        subprocess.Popen([*command, OTHER], stdout=subprocess.PIPE) as dying,
        subprocess.Popen([*command, "a" * 64], stdout=subprocess.PIPE) as living,
    ):
        for process in (dying, living):
            assert process.stdout is not None
            assert process.stdout.readline() == b"building\n"
        assert len([name for name in names(store.folder) if name.startswith("build-")]) == 2
        dying.kill()
        dying.wait()
        store.publish(KEY, TEXT, make)
        left = [name for name in names(store.folder) if name.startswith("build-")]
        assert [name[6:46] for name in left] == ["a" * 40]
        assert store.clear() == 1
        assert [name[6:46] for name in names(store.folder) if name.startswith("build-")] == ["a" * 40]
        living.kill()
    assert store.find(OTHER, "text") is None
    assert store.publish("a" * 64, "text", make).name == "decay"
    assert store.clear() == 1
    assert {name for name in names(store.folder) if not name.endswith(".lock")} == set()


def test_an_interrupted_build_leaves_nothing(store: Cache) -> None:
    def interrupted(folder: Path) -> Built:
        make(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.publish(KEY, TEXT, interrupted)
    assert names(store.folder) == set()


def test_a_failed_build_keeps_its_log_until_the_next_attempt(store: Cache) -> None:
    def fails(folder: Path) -> Built:
        make(folder)
        raise BuildError(f"log: {folder / 'decay.log'}")

    with pytest.raises(BuildError) as caught:
        store.publish(KEY, TEXT, fails)
    log = Path(str(caught.value).removeprefix("log: "))
    assert store.find(KEY, TEXT) is None
    assert store.entries() == ()
    store.publish(OTHER, TEXT, make)
    assert log.is_file()
    store.publish(KEY, TEXT, make)
    assert not log.exists()
    with pytest.raises(BuildError):
        store.publish("b" * 64, TEXT, fails)
    assert store.clear() == 2
    assert names(store.folder) == set()


def test_a_cache_deleted_while_running(store: Cache, own_temporary_folder: Path) -> None:
    def deleted(folder: Path) -> Built:
        if folder.is_relative_to(store.folder):
            shutil.rmtree(store.folder)
        return make(folder)

    with pytest.warns(CacheWarning, match="ENOENT"):
        assert store.publish(KEY, TEXT, deleted).library.is_file()
    assert store.find(KEY, TEXT) is None
    assert store.publish(KEY, TEXT, make).library.is_relative_to(store.folder)
    assert store.folder.stat().st_mode & 0o777 == 0o700
    shutil.rmtree(store.folder)
    assert store.entries() == ()
    assert store.clear() == 0
    assert dict(store.report())["cache entries"] == "0, 0.0 MB"


def test_a_compiler_error_in_a_deleted_folder_is_no_error_of_the_model(
    store: Cache, own_temporary_folder: Path
) -> None:
    def deleted(folder: Path) -> Built:
        if folder.is_relative_to(store.folder):
            shutil.rmtree(store.folder)
            raise BuildError("gcc: error: decay.c: No such file")
        return make(folder)

    with pytest.warns(CacheWarning, match="removed while"):
        assert store.publish(KEY, TEXT, deleted).library.is_file()


# --- private caches, and looking after the cache -------------------------------------------------------------------

PRIVATE = """
import os, sys
from symgrad.build import Cache
from symgrad.errors import BuildError
good, bad = Cache.make_private(), Cache.make_private()
def fails(folder):
    raise BuildError("no")
try:
    bad.publish("a" * 64, "text", fails)
except BuildError:
    pass
child = os.fork()
if child == 0:
    sys.exit()
os.waitpid(child, 0)
print(good.folder.is_dir(), good.folder, bad.folder)
"""


def test_a_private_cache_goes_with_its_process_and_a_kept_log_stays(tmp_path: Path) -> None:
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", PRIVATE], env=env, capture_output=True, text=True, check=True)
    after_the_child, good, bad = run.stdout.split()
    assert after_the_child == "True"
    assert names(tmp_path) == {Path(bad).name}
    assert not Path(good).exists()


def test_entries_and_report(store: Cache) -> None:
    store.publish(OTHER, TEXT, make)
    store.publish(KEY, TEXT, make)
    assert [entry.key for entry in store.entries()] == [KEY, OTHER]
    assert dict(store.report()) == {"cache folder": str(store.folder), "cache entries": "2, 0.0 MB"}
    assert store.clear() == 2
    assert names(store.folder) == set()


def test_nothing_warns_where_all_is_well(store: Cache) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store.publish(KEY, TEXT, make)
        store.find(KEY, TEXT)
        store.clear()
        assert store.find(KEY, TEXT) is None


def test_a_lock_dies_with_its_process(store: Cache) -> None:
    command = [sys.executable, "-c", DIES, str(store.folder), KEY]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
    start = time.monotonic()
    store.publish(KEY, TEXT, make)
    assert time.monotonic() - start < 1
    assert names(store.folder) == {KEY[:40]}
