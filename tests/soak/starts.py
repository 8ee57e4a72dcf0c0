"""Cold starts in bursts: many processes compile one risk at the same moment, in places good and bad, without error."""

import os
import random
import resource
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import symgrad as sg
from symgrad.build import Cache

from .watch import Log, bits, decay, environment, folder, fork

DEADLINE = 600.0
ALONE = 8  # processes of a burst in which each has to build for itself


@contextmanager
def local(_: Path) -> Iterator[None]:
    """A folder that is good."""
    yield


@contextmanager
def read_only_home(_: Path) -> Iterator[None]:
    """A home in which nothing can be made, not even by root."""
    with environment(SYMGRAD_CACHE_DIR=None, XDG_CACHE_HOME=None, HOME="/proc/nowhere"):
        yield


@contextmanager
def full_disk(place: Path) -> Iterator[None]:
    """A disk of 64 kB for the cache; where none can be mounted, no file may be larger."""
    disk = place / "disk"
    disk.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k,mode=0700", "soak", str(disk)]
    mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    if not mounted:
        resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, limit[1]))
    try:
        with environment(SYMGRAD_CACHE_DIR=str(disk / "cache")):
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        if mounted:
            subprocess.run(["umount", "--lazy", str(disk)], check=True)


@contextmanager
def cleared(_: Path) -> Iterator[None]:
    """A cache that another process clears all the time."""

    def clear() -> str:
        draw = random.Random(0)
        while True:
            Cache.open().clear()
            time.sleep(draw.uniform(0.0, 0.3))

    child = fork(clear, DEADLINE)
    try:
        yield
    finally:
        said = "" if not child.ended() else child.result()
        if not said:
            child.kill()
            child.result()
    if said:
        raise RuntimeError(f"clearing the cache: {said}")


PLACES: dict[str, Callable[[Path], object]] = {
    "local": local,
    "read-only home": read_only_home,
    "full disk": full_disk,
    "cache cleared under way": cleared,
}


def starts(log: Log, count: int, seed: int, at_once: int = 64, places: tuple[str, ...] = tuple(PLACES)) -> None:
    """Start ``count`` processes in bursts, one place after the other; an error or other bits are failures."""
    reference = bits(sg.compile(decay()))
    draw, done, burst = random.Random(seed), 0, 0
    while done < count:
        name = places[burst % len(places)]
        size = min(at_once, count - done, ALONE if name in ("read-only home", "full disk") else at_once)
        _burst(log, name, size, reference, draw)
        done, burst = done + size, burst + 1
    log.say(f"cold starts: {done} in {burst} bursts")


def _burst(log: Log, name: str, size: int, reference: str, draw: random.Random) -> None:
    began, risk = time.monotonic(), decay(f"decay_{draw.randrange(10**6)}")
    with folder() as place, environment(SYMGRAD_CACHE_DIR=str(place / "cache")):
        try:
            with PLACES[name](place):  # type: ignore[attr-defined]
                children = [fork(lambda: bits(sg.compile(risk)), DEADLINE) for _ in range(size)]
                results = [child.result() for child in children]
        except RuntimeError as error:
            log.fail(f"{name}: {error}")
            return
    wrong = [result for result in results if result != reference]
    for text in sorted(set(wrong)):
        log.fail(f"{name}: {wrong.count(text)} of {size}: {text[:500]}")
    log.say(f"{name}: {size} at once in {time.monotonic() - began:.1f} s, {len(wrong)} wrong")
