"""Nobody is let in: no entry, file or folder that somebody else owns or could have written is loaded or trusted."""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from symgrad.build import Built, Cache, load
from symgrad.errors import CacheError, CacheWarning
from tests.helpers.entries import KEY, OTHER, TEXT, make, names, never

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")

# What can be wrong with a file or folder, and what is said.
FOREIGN: dict[str, tuple[Callable[[Path], None], str]] = {
    "of another user": (lambda path: os.chown(path, NOBODY, -1), f"belongs to another user .owner {NOBODY}"),
    "the group writes": (lambda path: path.chmod(path.stat().st_mode | 0o020), "can be written by others"),
    "all write": (lambda path: path.chmod(path.stat().st_mode | 0o002), "can be written by others"),
}
WRONG = [pytest.param(name, marks=as_root) if name == "of another user" else name for name in FOREIGN]


@pytest.fixture
def store(tmp_path: Path) -> Cache:
    (tmp_path / "cache").mkdir(mode=0o700)
    return Cache(tmp_path / "cache")


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("file", [".", "decay.so", "decay.pyx", "decay.log", "entry.json"])
def test_an_entry_that_others_could_have_made_is_told_and_built_anew(file: str, wrong: str, store: Cache) -> None:
    change, said = FOREIGN[wrong]
    change(store.publish(KEY, TEXT, make).library.parent / file)
    assert store.entries() == ()
    with pytest.warns(CacheWarning, match=rf"{KEY[:40]}.*{said}.*built anew"):
        assert store.find(KEY, TEXT) is None
    with pytest.warns(CacheWarning, match=said):  # also where it is met by whoever builds
        entry = Cache(store.folder).publish(KEY, TEXT, make)
    assert store.find(KEY, TEXT) == entry
    assert names(store.folder) == {KEY[:40]}


def test_what_a_generous_umask_lets_others_write_is_published_without(store: Cache) -> None:
    before = os.umask(0)
    try:
        entry = Cache(store.folder / "not" / "there" / "yet").publish(KEY, TEXT, make)
    finally:
        os.umask(before)
    for path in (entry.library, entry.library.parent, *list(entry.library.parents)[:5]):
        assert path.stat().st_mode & 0o022 == 0
    assert Cache(store.folder / "not" / "there" / "yet").find(KEY, TEXT) == entry


@as_root
def test_an_entry_of_another_user_in_ones_own_folder() -> None:
    """Which one may read and rename, but not delete."""
    folder = Path(tempfile.mkdtemp())
    try:
        Cache(folder).publish(KEY, TEXT, make).library.parent.chmod(0o755)
        os.chown(folder, NOBODY, NOBODY)
        program = (
            "import os, sys; from pathlib import Path; from symgrad.build import Cache\n"
            "from tests.helpers.entries import *\n"
            f"os.setegid({NOBODY}); os.seteuid({NOBODY}); cache = Cache(Path(sys.argv[1]))\n"
            "print(cache.publish(KEY, TEXT, make).library, cache.find(KEY, TEXT) is not None)"
        )
        run = subprocess.run([sys.executable, "-c", program, folder], capture_output=True, text=True, check=True)
        assert run.stdout.split() == [str(folder / KEY[:40] / "decay.so"), "True"]
        assert f"{folder / KEY[:40]} belongs to another user (owner 0" in run.stderr
    finally:
        shutil.rmtree(folder)


def test_no_advice_keeps_what_others_may_have_put_there(store: Cache) -> None:
    store.publish(KEY, TEXT, make)
    store.folder.chmod(0o777)
    for attempt in (store.find, lambda *key: store.publish(*key, never)):
        with pytest.raises(CacheError, match=rf"put something into it.*remove it \(rm -r {store.folder}\)") as caught:
            attempt(KEY, TEXT)
        assert "chmod" not in str(caught.value)


# --- the folders on the way ----------------------------------------------------------------------------------------


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Cache]:
    def open_it(folder: Path) -> Cache:
        monkeypatch.setenv("SYMGRAD_CACHE_DIR", str(folder))
        return Cache.open()

    return open_it


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("depth", [1, 2])
def test_a_folder_that_others_can_put_another_in_place_of(
    depth: int, wrong: str, tmp_path: Path, opened: Callable[[Path], Cache]
) -> None:
    cache = tmp_path / "laboratory" / "mine" / "cache"
    cache.mkdir(parents=True, mode=0o700)
    assert opened(cache).folder == cache
    FOREIGN[wrong][0](list(cache.parents)[depth - 1])
    with pytest.raises(CacheError, match=f"{cache} is in .*could put another.*SYMGRAD_CACHE_DIR") as caught:
        opened(cache)
    assert "chmod" not in str(caught.value)
    list(cache.parents)[depth - 1].chmod(0o1777)
    if wrong != "of another user":
        assert opened(cache).folder == cache


def test_a_link_on_the_way_is_followed_to_every_folder_behind_it(
    tmp_path: Path, opened: Callable[[Path], Cache]
) -> None:
    for name in ("home", "open", "data"):
        (tmp_path / name).mkdir()
    (tmp_path / "home" / "first").symlink_to("../open/second")
    (tmp_path / "open" / "second").symlink_to(tmp_path / "data")
    assert opened(tmp_path / "home" / "first" / "cache").folder.is_dir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(CacheError, match=rf"is in {tmp_path / 'open'} \("):
        opened(tmp_path / "home" / "first" / "cache")


# --- exchanges under way -------------------------------------------------------------------------------------------


@pytest.fixture
def waiting(store: Cache) -> Iterator[Callable[[], object]]:
    """Start to publish while the lock is held; what is returned lets it go and returns what came of it."""
    result: list[object] = []

    def publish() -> None:
        try:
            result.append(store.publish(KEY, TEXT, make))
        except CacheError as error:
            result.append(error)

    with (store.folder / f"{KEY[:40]}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        thread = threading.Thread(target=publish)
        thread.start()

        def let_go() -> object:
            fcntl.flock(held, fcntl.LOCK_UN)
            thread.join(20)
            return result[0]

        time.sleep(0.05)
        yield let_go


def planted(folder: Path) -> Path:
    """A cache with a library of somebody else's under the key."""

    def theirs(folder: Path) -> Built:
        built = make(folder)
        built.library.write_bytes(b"theirs")
        return built

    folder.mkdir(mode=0o700)
    Cache(folder).publish(KEY, TEXT, theirs)
    return folder


@as_root
def test_a_folder_that_is_exchanged_while_one_waits_is_refused(
    store: Cache, tmp_path: Path, waiting: Callable[[], object]
) -> None:
    plant = planted(tmp_path / "plant")
    for path in (plant, *plant.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    (planted(tmp_path / "own") / KEY[:40]).rename(store.folder / KEY[:40])  # an entry that is to be had, but not there
    store.folder.rename(tmp_path / "gone")
    plant.rename(store.folder)
    assert isinstance(error := waiting(), CacheError)
    assert f"belongs to user {NOBODY}" in str(error)


def test_a_folder_that_vanishes_while_one_waits_is_made_anew(store: Cache, waiting: Callable[[], object]) -> None:
    shutil.rmtree(store.folder)
    assert waiting() == store.find(KEY, TEXT)


def test_a_library_that_is_exchanged_after_it_was_verified_is_not_loaded(store: Cache, tmp_path: Path) -> None:
    entry = store.publish(OTHER, TEXT, make)
    other = tmp_path / "other.so"
    other.write_bytes(b"theirs")
    os.replace(other, entry.library)
    with pytest.raises(OSError, match="changed after it was verified"):
        load.load_entry(entry)


def test_a_library_that_is_exchanged_after_it_was_read_is_not_loaded(store: Cache, tmp_path: Path) -> None:
    entry = store.publish(OTHER, TEXT, make)
    with entry.library.open("rb") as read:
        shutil.copy(entry.library, tmp_path / "copy.so")
        os.replace(tmp_path / "copy.so", entry.library)
        with pytest.raises(OSError, match="another file has taken its place"):
            load._open(read, entry.library, "decay")
