"""Locks and forks: whoever is interrupted, killed or forked keeps nobody waiting."""

import fcntl
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from symgrad.build import Cache, load, locks
from tests.helpers.entries import KEY, TEXT, make, names

LOCK = f"{KEY[:40]}.lock"
TRACED = ("cache.py", "contents.py", "entries.py", "folders.py", "locks.py", "contextlib.py")


@pytest.fixture
def store(tmp_path: Path) -> Cache:
    (tmp_path / "cache").mkdir(mode=0o700)
    return Cache(tmp_path / "cache")


def is_free(store: Cache) -> bool:
    """Whether the key's lock can be had at once."""
    with (store.folder / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def interrupted_at(event: int, work: Callable[[], object]) -> KeyboardInterrupt | None:
    """Do the work, with an interrupt at one of its lines or returns, counted; None where it has fewer."""
    count = 0

    def local(frame: FrameType, kind: str, argument: object) -> Any:
        nonlocal count
        if kind in ("line", "return"):
            count += 1
            if count == event:
                raise KeyboardInterrupt
        return local

    def trace(frame: FrameType, kind: str, argument: object) -> Any:
        return local if os.path.basename(frame.f_code.co_filename) in TRACED else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    except KeyboardInterrupt as interrupt:
        return interrupt
    finally:
        sys.settrace(before)
    return None


def test_an_interrupt_at_any_line_loses_no_lock(store: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though the traceback is kept, as a notebook does."""
    # Tracing stops at the end of a `with` before its exit runs, where no signal does: the gate would stay shut.
    monkeypatch.setattr(locks, "_gate", threading.RLock())
    kept: list[KeyboardInterrupt] = []
    while True:
        interrupt = interrupted_at(len(kept) + 1, lambda: store.publish(KEY, TEXT, make))
        if interrupt is None:
            break
        kept.append(interrupt)
        assert is_free(store), interrupt.__traceback__
        assert store.publish(KEY, TEXT, make) == store.find(KEY, TEXT)
        store.clear()
    assert len(kept) > 200
    assert store.publish(KEY, TEXT, make) == store.find(KEY, TEXT)
    assert names(store.folder) == {KEY[:40]}


def test_a_worker_that_a_killed_builder_had_forked_keeps_no_lock(store: Cache) -> None:
    read, write = os.pipe()
    builder = os.fork()
    if builder == 0:

        def build(folder: Path) -> Any:
            if os.fork() == 0:
                os.write(write, b"%d" % os.getpid())
            time.sleep(60)
            os._exit(0)

        store.publish(KEY, TEXT, build)
    worker = int(os.read(read, 20))
    os.kill(builder, signal.SIGKILL)
    os.waitpid(builder, 0)
    try:
        assert is_free(store)
        start = time.monotonic()
        store.publish(KEY, TEXT, make)
        assert time.monotonic() - start < 5
    finally:
        os.kill(worker, signal.SIGKILL)
        os.close(read)
        os.close(write)


def test_a_forked_child_does_not_take_its_parents_lock_away(store: Cache) -> None:
    def build(folder: Path) -> Any:
        child = os.fork()
        if child == 0:
            raise SystemExit  # as one that ends by itself
        os.waitpid(child, 0)
        assert not is_free(store)
        folder.mkdir(exist_ok=True)
        return make(folder)

    parent = os.getpid()
    try:
        store.publish(KEY, TEXT, build)
    except SystemExit:
        if os.getpid() != parent:
            os._exit(0)
        raise


def test_a_child_that_is_forked_while_another_thread_loads_does_not_hang(tmp_path: Path) -> None:
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with load._loading:
            held.set()
            done.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(20)
    child = os.fork()
    if child == 0:
        signal.alarm(5)
        try:
            load.load_module(tmp_path / "none.so", "none")
        except FileNotFoundError:
            os._exit(0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    done.set()
    thread.join()


def test_no_fork_comes_between_the_opening_of_a_lock_and_its_note() -> None:
    """Else the child would keep a lock that it does not know of."""
    forked = threading.Event()

    def fork() -> None:
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        forked.set()

    with locks._gate:
        thread = threading.Thread(target=fork)
        thread.start()
        assert not forked.wait(0.05)
    thread.join(20)
    assert forked.is_set()


def test_a_disk_that_does_not_show_the_locks_file_keeps_nobody(store: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the lock both build, and the second finds the first one's."""
    monkeypatch.setattr(locks, "_is_still_there", lambda *_: False)
    began = time.monotonic()
    assert store.publish(KEY, TEXT, make).key == KEY
    assert time.monotonic() - began < 60  # and not ten minutes
