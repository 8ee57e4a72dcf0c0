"""Minutes of threads, signals, forks, cleared caches and merged parts: no other bit, no hang, no growth of memory."""

import os
import random
import resource
import signal
import threading
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import symgrad as sg
from symgrad.build import Cache, CompiledRisk

from .watch import COUNTS, ROWS, THETA, Log, bits, decay, environment, folder, fork

PATIENCE = 60.0  # seconds without a call that returns
MOST_GROWTH = 64e6  # bytes of the process, once all has been done for a while


def running(log: Log, seconds: float, seed: int) -> None:
    """Run all at once for so long, in a process of its own that is watched."""
    with folder() as place, environment(SYMGRAD_CACHE_DIR=str(place / "cache")):
        child = fork(lambda: _Mix(seed).run(seconds), seconds + 2 * PATIENCE)
        said = child.result()
    if not said.startswith("ok"):
        log.fail(f"running for {seconds:g} s: {said[:6000]}")
    log.say(f"running for {seconds:g} s: {said[:300]}")


class _Mix:
    """Threads that call at random, signals whose handler calls too, and forks, until the time is up."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.compiled = sg.compile(decay())
        self.reference = bits(self.compiled)
        self.wrong: list[str] = []
        self.done: Counter[str] = Counter()
        self.stop = threading.Event()

    def run(self, seconds: float) -> str:
        """Return "ok" and what was done, or what went wrong."""
        signal.signal(signal.SIGPROF, lambda *_: self._compare("signal", bits(self.compiled)))
        signal.setitimer(signal.ITIMER_PROF, 0.01, 0.01)
        threads = [threading.Thread(target=self._thread, args=(n,), daemon=True) for n in range(4)]
        draw, end, memory = random.Random(self.seed), time.monotonic() + seconds, 0
        for thread in threads:
            thread.start()
        while time.monotonic() < end and not self.wrong:
            draw.choice([self._fork, self._fork, self._fork, self._clear, self._parts])(draw)
            if not memory and time.monotonic() > end - 0.6 * seconds:
                memory = _memory()
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        self.stop.set()
        for thread in threads:
            thread.join(PATIENCE)
            if thread.is_alive():
                self.wrong.append(f"{thread.name} hangs")
        grown = _memory() - memory if memory else 0
        if grown > MOST_GROWTH:
            self.wrong.append(f"memory grew by {grown / 1e6:.0f} MB")
        return "; ".join(self.wrong) or f"ok: {dict(self.done)}, {grown / 1e6:+.1f} MB"

    def _compare(self, what: str, found: str) -> None:
        self.done[what] += 1
        if found != self.reference:
            self.wrong.append(f"{what}: {found[:3000]}")

    def _thread(self, number: int) -> None:
        draw = random.Random(self.seed + 1000 + number)
        while not self.stop.is_set():
            time.sleep(draw.uniform(0.0, 0.004))  # else the main thread hardly gets its turn
            try:
                self._compare("thread", bits(self.compiled, threads=draw.choice([1, 2, 3, 7])))
            except BaseException as error:
                self.wrong.append(f"thread: {type(error).__name__}: {error}")

    def _fork(self, draw: random.Random) -> None:
        action = draw.choice([lambda: bits(self.compiled, 3), lambda: bits(sg.compile(decay()))])
        self._compare("fork", fork(action, 20.0).result())

    def _clear(self, draw: random.Random) -> None:
        again = threading.Thread(target=lambda: self._again(), daemon=True)
        again.start()
        Cache.open().clear()
        if draw.random() < 0.5:
            self._fork(draw)  # while the other thread compiles
        again.join()

    def _again(self) -> None:
        try:
            self._compare("compile", bits(sg.compile(decay())))
        except BaseException as error:
            self.wrong.append(f"compile while the cache is cleared: {type(error).__name__}: {error}")

    def _parts(self, draw: random.Random) -> None:
        self._compare("parts", merged_at_random(self.compiled, draw))


def merged_at_random(compiled: CompiledRisk, draw: random.Random) -> str:
    """Return the gradient's bits from parts of the rows that are summed apart and merged in any order."""
    tiles = range(compiled.TILE, len(ROWS), compiled.TILE)
    cuts = sorted({0, len(ROWS), *draw.sample(list(tiles), min(5, len(tiles)))})
    parts = [
        compiled.partial_sums(THETA, ROWS[a:b], COUNTS[a:b], first=a, threads=draw.choice([1, 2, 5]))
        for a, b in pairwise(cuts)
    ]
    draw.shuffle(parts)
    return str(compiled.merge_sums(THETA, *parts)[1].tobytes().hex())


def _memory() -> int:
    """Return the bytes of this process that are in memory."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
