"""Which folder the cache uses, what it does where that one cannot be used, and when it refuses."""

import errno
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from symgrad.build import Cache
from symgrad.build import cache as room
from symgrad.errors import CacheError, CacheWarning
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


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("SYMGRAD_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_the_order_of_the_folders(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("HOME", str(tmp_path / "home"))
    assert Cache.open().folder == tmp_path / "home" / ".cache" / "symgrad"
    environment.setenv("XDG_CACHE_HOME", "relative")
    assert Cache.open().folder == tmp_path / "home" / ".cache" / "symgrad"
    environment.setenv("XDG_CACHE_HOME", str(tmp_path / "x d ğ"))
    assert Cache.open().folder == tmp_path / "x d ğ" / "symgrad"
    environment.setenv("SYMGRAD_CACHE_DIR", "~/mine")
    assert Cache.open().folder == tmp_path / "home" / "mine"
    assert Cache.open().folder.stat().st_mode & 0o777 == 0o700
    environment.chdir(tmp_path)
    environment.setenv("SYMGRAD_CACHE_DIR", "here")
    assert Cache.open().folder == tmp_path / "here"


def test_no_home_at_all(environment: pytest.MonkeyPatch, own_temporary_folder: Path) -> None:
    def nobody(uid: int) -> None:
        raise KeyError(uid)

    environment.delenv("HOME", raising=False)
    environment.setattr("pwd.getpwuid", nobody)
    environment.chdir(own_temporary_folder)
    with pytest.warns(CacheWarning, match="no home folder"):
        opened = Cache.open()
    assert opened.private
    assert not (own_temporary_folder / "~").exists()


def test_a_home_that_cannot_be_used_is_warned_of_once(
    environment: pytest.MonkeyPatch, tmp_path: Path, own_temporary_folder: Path
) -> None:
    (tmp_path / "home").write_text("a file")
    environment.setenv("HOME", str(tmp_path / "home"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        first = Cache.open()
        first.publish(KEY, TEXT, make)
        again = Cache.open()
    assert [warning.category for warning in caught] == [CacheWarning]
    for part in (str(tmp_path / "home/.cache/symgrad"), "ENOTDIR", str(first.folder), "SYMGRAD_CACHE_DIR"):
        assert part in str(caught[0].message)
    assert first.private
    assert first.folder.stat().st_mode & 0o777 == 0o700
    assert again.find(KEY, TEXT) is not None


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC, errno.EDQUOT])
def test_a_folder_that_can_only_be_read(
    number: int, store: Cache, own_temporary_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is there is used, what is not goes elsewhere, with one warning for all of it."""
    there = store.publish(OTHER, TEXT, make)
    real = os.open

    def refuse(path: str | Path, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        inside = dir_fd is not None and os.path.samestat(os.fstat(dir_fd), store.folder.stat())
        if inside and flags & os.O_CREAT:
            raise OSError(number, os.strerror(number), str(path))
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(room.os, "open", refuse)
    assert store.find(OTHER, TEXT) == there
    with pytest.warns(CacheWarning, match=errno.errorcode[number]):
        entry = store.publish(KEY, TEXT, make)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert store.publish(KEY, TEXT, never) == entry
    assert entry.library.is_relative_to(own_temporary_folder)
    assert names(store.folder) == {OTHER[:40]}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_folder_that_can_only_be_read_for_another_user(tmp_path: Path, store: Cache) -> None:
    """The same with the kernel's own refusal."""
    program = (
        "import os, sys, warnings; from pathlib import Path; from symgrad.build import Cache\n"
        "os.setegid(65534); os.seteuid(65534); os.environ['HOME'] = '/proc/1'; warnings.simplefilter('always')\n"
        "cache = Cache.open(); print(cache.private, cache.folder.stat().st_uid)"
    )
    clean = {name: text for name, text in os.environ.items() if name not in ("SYMGRAD_CACHE_DIR", "XDG_CACHE_HOME")}
    run = subprocess.run([sys.executable, "-c", program], env=clean, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["True", "65534"]
    assert run.stderr.count("CacheWarning: the cache folder /proc/1/.cache/symgrad cannot be used (E") == 1


@pytest.mark.parametrize("mode", [0o770, 0o777, 0o707, 0o1777, 0o720])
def test_a_folder_that_others_can_write_is_refused(mode: int, environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(mode)
    environment.setenv("SYMGRAD_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(CacheError, match=rf"owner {os.geteuid()}, mode d\S+ {mode:04o}\) can be written by others"):
        Cache.open()
    (tmp_path / "cache").chmod(0o755)
    assert Cache.open().folder == tmp_path / "cache"


def test_a_symbolic_link_is_refused(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("real")
    environment.setenv("SYMGRAD_CACHE_DIR", str(tmp_path / "link"))
    with pytest.raises(CacheError, match="symbolic link"):
        Cache.open()


def test_a_folder_of_somebody_else_is_refused(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    owner = os.geteuid()
    (tmp_path / "cache").mkdir(mode=0o700)
    environment.setenv("SYMGRAD_CACHE_DIR", str(tmp_path / "cache"))
    environment.setattr(room.os, "geteuid", lambda: owner + 1)
    with pytest.raises(CacheError, match=f"owner {owner}, mode drwx.*belongs to user {owner}, expected {owner + 1}"):
        Cache.open()
