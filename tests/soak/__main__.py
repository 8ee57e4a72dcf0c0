"""``make soak``, or ``python -m tests.soak --kills 300 --starts 2000 --minutes 20``: faults by the thousand.

Writes a log, and ends with status 1 if anything failed. The seed is printed: the same one draws the same moments, but
what they hit depends on the machine.
"""

import argparse
import random
import sys
from pathlib import Path

from .kills import kills_in_publishing, kills_of_builds
from .running import running
from .starts import starts
from .watch import Log, environment, folder


def main(arguments: list[str] | None = None) -> int:
    """Run all parts; return 0 if nothing failed, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--starts", type=int, default=256, help="cold starts (default: 256)")
    parser.add_argument("--at-once", type=int, default=64, help="cold starts of one burst (default: 64)")
    parser.add_argument("--kills", type=int, default=40, help="kills of real builds (default: 40)")
    parser.add_argument("--publishes", type=int, default=400, help="kills in publishing (default: 400)")
    parser.add_argument("--minutes", type=float, default=2.0, help="of threads, signals and forks (default: 2)")
    parser.add_argument("--seed", type=int, default=None, help="of all that is drawn (default: another each time)")
    parser.add_argument("--log", type=Path, default=Path("soak.log"), help="the file to add to (default: soak.log)")
    chosen = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(10**9) if chosen.seed is None else chosen.seed
    log = Log(chosen.log)
    log.say(f"soak --seed {seed} {' '.join(f'{name}={value}' for name, value in vars(chosen).items())}")
    with folder() as place, environment(SYMGRAD_CACHE_DIR=str(place / "cache")):
        kills_in_publishing(log, chosen.publishes, seed)
        kills_of_builds(log, chosen.kills, seed)
        running(log, 60.0 * chosen.minutes, seed)
        starts(log, chosen.starts, seed, chosen.at_once)
    log.say(f"{len(log.failures)} failures" if log.failures else "nothing failed")
    return 1 if log.failures else 0


if __name__ == "__main__":
    sys.exit(main())
