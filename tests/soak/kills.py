"""kill -9 at random moments, of real builds with all their processes and of the publishing; the next call is right."""

import random
import shutil
import time
from pathlib import Path

import symgrad as sg
from symgrad.build import Built, Cache

from .watch import Log, bits, decay, environment, folder, fork

KEY = "ab" * 32


def kills_of_builds(log: Log, count: int, seed: int) -> None:
    """Kill ``count`` real builds; after each another process has to build, with the right bits."""
    reference, draw, killed, longest = bits(sg.compile(decay())), random.Random(seed), 0, 2.0
    for number in range(count):
        with folder() as place, environment(SYMGRAD_CACHE_DIR=str(place / "cache")):
            risk, began = decay(f"killed_{number}"), time.monotonic()
            child = fork(lambda risk=risk: bits(sg.compile(risk)))  # type: ignore[misc]
            time.sleep(draw.uniform(0.0, longest))
            if child.ended():
                longest = max(0.2, min(longest, time.monotonic() - began))
            else:
                child.kill()
                killed += 1
            child.result()
            found = fork(lambda risk=risk: bits(sg.compile(risk))).result()  # type: ignore[misc]
            if found != reference:
                log.fail(f"after kill {number} of a build: {found[:500]}")
    log.say(f"builds: {killed} of {count} killed in the middle")


def kills_in_publishing(log: Log, count: int, seed: int) -> None:
    """Kill ``count`` processes that publish and discard a ready library; the entry is always whole or not there."""
    compiled, draw = sg.compile(decay()), random.Random(seed)
    with folder() as place:
        ready = {name: place / name for name in (compiled.path.name, "decay.pyx", "decay.log")}
        shutil.copy(compiled.path, ready[compiled.path.name])
        ready["decay.pyx"].write_text(compiled.source, encoding="utf-8")
        ready["decay.log"].write_text("copied", encoding="utf-8")
        store = place / "cache"
        store.mkdir(mode=0o700)

        def make(folder: Path) -> Built:
            library, pyx, text = (Path(shutil.copy(file, folder)) for file in ready.values())
            return Built("decay", library, pyx, text)

        def publish() -> str:
            cache = Cache(store)
            while True:
                cache.publish(KEY, "text", make)
                cache.discard(KEY, "the soak throws it away")

        for number in range(count):
            child = fork(publish)
            time.sleep(draw.uniform(0.0005, 0.03))
            child.kill()
            if (said := child.result()) != "killed by signal 9":
                log.fail(f"publishing {number}: {said[:500]}")
            found = fork(lambda: str(Cache(store).publish(KEY, "text", make).library.stat().st_size)).result()
            if found != str(compiled.path.stat().st_size):
                log.fail(f"after kill {number} in publishing: {found[:500]}")
    log.say(f"publishing: {count} killed")
