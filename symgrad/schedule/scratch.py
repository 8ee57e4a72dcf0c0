"""Rows of a scratch space that are taken and given back: what is no longer read makes room for what comes."""

from bisect import insort


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
        insort(self._free, (start, size))
        joined: list[tuple[int, int]] = []
        for begin, room in self._free:
            if joined and sum(joined[-1]) == begin:
                joined[-1] = joined[-1][0], joined[-1][1] + room
            else:
                joined.append((begin, room))
        self._free = joined
