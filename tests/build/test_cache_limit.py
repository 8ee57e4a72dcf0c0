"""How large the cache may grow, what goes first, and what is found where there is no compiler."""

import errno
import json
import os
import warnings
from pathlib import Path

import pytest

from symgrad.build import Built, Cache
from symgrad.build import cache as room
from symgrad.build.limits import cache_limit
from symgrad.errors import CacheError, CacheWarning
from tests.helpers.entries import KEY, TEXT, make, names

SIZE = 11_500  # bytes of an entry, about


@pytest.fixture
def store(tmp_path: Path) -> Cache:
    (tmp_path / "cache").mkdir(mode=0o700)
    return Cache(tmp_path / "cache")


def fill(store: Cache, digits: str) -> None:
    """Publish an entry for each digit, used one after the other, long ago."""
    for number, digit in enumerate(digits):
        entry = store.publish(digit * 64, TEXT, make)
        os.utime(entry.library.parent / "entry.json", (number, number))


def kept(store: Cache) -> str:
    return "".join(sorted(name[0] for name in names(store.folder)))


def test_what_was_not_used_for_longest_goes_when_something_is_published(
    store: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, "abcd")
    assert store.find("a" * 64, TEXT) is not None  # which is a use
    monkeypatch.setenv("SYMGRAD_CACHE_LIMIT", str(3 * SIZE))
    store.publish(KEY, TEXT, make)
    assert kept(store) == "0ad"
    monkeypatch.setenv("SYMGRAD_CACHE_LIMIT", "1")
    store.publish("e" * 64, TEXT, make)
    assert kept(store) == "e"  # whatever the limit: it is about to be loaded


def test_an_entry_is_published_though_others_cannot_be_looked_at(store: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    def stale(*arguments: object, **named: object) -> None:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    monkeypatch.setattr(room, "prune", stale)
    assert store.publish(KEY, TEXT, make) == store.find(KEY, TEXT)


def test_prune(store: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store, "abc")
    (store.folder / f"build-{'d' * 40}-left").mkdir()
    (store.folder / f"{'e' * 40}.lock").touch()
    count, size = store.prune(str(2 * SIZE))
    assert (count, kept(store)) == (1, "bc")
    assert 0.9 * SIZE < size < 1.1 * SIZE
    monkeypatch.setenv("SYMGRAD_CACHE_LIMIT", "0")
    assert store.prune()[0] == 2
    assert names(store.folder) == set()


def test_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SYMGRAD_CACHE_LIMIT", raising=False)
    assert cache_limit() == 2_000_000_000
    for text, size in (("0", 0), ("1234", 1234), ("500M", 500_000_000), ("1.5g", 1_500_000_000), (" 2 GB", None)):
        monkeypatch.setenv("SYMGRAD_CACHE_LIMIT", text)
        if size is not None:
            assert cache_limit() == size
    for text in ("much", "-1", "nan", "1e9", "2 G", "9" * 400):
        monkeypatch.setenv("SYMGRAD_CACHE_LIMIT", text)
        with pytest.raises(CacheError, match=r"\$SYMGRAD_CACHE_LIMIT is '.*', expected a number of bytes"):
            cache_limit()


def test_a_bad_limit_is_told_before_anything_is_built(store: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYMGRAD_CACHE_LIMIT", "much")
    with pytest.raises(CacheError, match="much"):
        store.publish(KEY, TEXT, make)
    assert names(store.folder) == set()


def test_where_no_folder_has_room_the_error_says_which_and_what_to_do(
    store: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path) -> Built:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), str(folder))

    monkeypatch.setattr(room.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(room, "_fallbacks", {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CacheWarning)
        with pytest.raises(OSError, match=rf"no other folder is left.*SYMGRAD_CACHE_DIR.*{tmp_path}") as caught:
            store.publish(KEY, TEXT, full)
    assert caught.value.errno == errno.EDQUOT


@pytest.mark.parametrize("named", ["~nosuchuser/x", "~nosuchuser"])
def test_the_home_of_a_user_that_there_is_not(named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SYMGRAD_CACHE_DIR", named)
    with pytest.raises(CacheError, match=rf"SYMGRAD_CACHE_DIR is '{named}', and there is no home folder ~nosuchuser"):
        Cache.open()
    assert names(tmp_path) == set()


def test_the_newest_entry_that_is_alike(store: Cache) -> None:
    wanted = {"fingerprint": "f", "toolchain": {"python": "3", "numpy": "2"}}

    def publish(digit: str, built: int, python: str, version: str) -> None:
        toolchain = {"python": python, "numpy": "2", "version": version}
        text = json.dumps({"fingerprint": "f", "dtype": "float64", "toolchain": toolchain})
        library = store.publish(digit * 64, text, make).library
        os.utime(library, (built, built))

    store.publish(KEY, TEXT, make)  # whose key text is none of this kind
    publish("a", 2, "3", "gcc")
    publish("b", 3, "3", "clang")
    publish("c", 4, "4", "gcc")
    publish("d", 5, "3", "tcc")
    (store.folder / ("d" * 40) / "decay.so").write_bytes(b"damaged")
    os.utime(store.folder / ("d" * 40) / "decay.so", (5, 5))
    assert [entry.key[0] for entry in store.alike(wanted)] == ["b", "a"]
    assert store.alike({**wanted, "toolchain": {"python": "5"}}) == ()
    assert store.alike({**wanted, "dtype": "float32"}) == ()
    assert store.alike({"fingerprint": {"f": 1}}) == ()
