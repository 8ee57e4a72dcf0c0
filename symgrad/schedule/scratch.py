"""Rows of a scratch space that are taken and given back: what is no longer read makes room for what comes."""

from bisect import bisect_left


class Rows:
    """Rows from ``first`` on; ``end`` is the first that was never taken."""

    def __init__(self, first: int) -> None:
        self.end = first
        self._free: list[tuple[int, int]] = []  # (start, size), in order, never adjacent

    def take(self, size: int) -> int:
        """Return the first of ``size`` consecutive rows: the first gap that is large enough, else new ones."""
        for number, (start, room) in enumerate(self._free):
            if room >= size:
                self._free[number : number + 1] = [(start + size, room - size)] if room > size else []
                return start
        start = self.end
        self.end += size
        return start

    def give(self, start: int, size: int) -> None:
        """Free these rows again."""
        free, end = self._free, start + size
        place = bisect_left(free, (start, size))
        after = place < len(free) and free[place][0] == end
        before = place > 0 and sum(free[place - 1]) == start
        first = free[place - 1][0] if before else start
        last = sum(free[place]) if after else end
        free[place - before : place + after] = [(first, last - first)]
