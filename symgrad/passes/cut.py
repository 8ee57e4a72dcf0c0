"""Where a program is narrowest between its parameters and its samples: there the derivatives are summed.

A linear map commutes with the sum. So the derivatives by values that no sample changes can be summed over the samples
first, and pulled back to the parameters once, after the sum. Of a mixture's D x D matrices, squared and added up to
K numbers, K numbers for each sample are summed instead of K * D * D:

    parameters  ->  [ what no sample changes ]  ->  cut: few values  ->  [ each sample ]  ->  loss

The cut is a minimum cut (Ford and Fulkerson 1956) of that graph's values, with what a value's derivative costs for each
sample as its capacity; of several, the one nearest the samples, which leaves them the least work.
"""

from collections import deque
from collections.abc import Iterable, Iterator

from symgrad.program import SAMPLE_LEAVES, Program, row_of, size_of

_ROW, _PRODUCT = 16, 1  # the cost of an element that is summed row by row, and of one that a product of matrices gives
_WORTH = 0.75  # so narrow, beside the parameters themselves, a cut has to be
_ENDLESS = 1 << 60


def narrowest(program: Program) -> tuple[int, ...]:
    """Return the values whose derivatives are summed, in order; none where the parameters' own are as good."""
    graph = _Graph(program)
    found: list[int] = []
    width = whole = 0
    for part in graph.parts():
        own = graph.cost_of_parameters(part)
        flow, cut = _minimum_cut(graph, part)
        found += cut if flow < own else [v for v in part if program.assignments[v].operation == "parameter"]
        width, whole = width + min(flow, own), whole + own
    return tuple(sorted(found)) if width <= _WORTH * whole else ()


class _Graph:
    """What depends on parameters and on no sample, and who uses it."""

    def __init__(self, program: Program) -> None:
        self.program = program
        active, varies = program.depends_on(["parameter"]), program.depends_on(SAMPLE_LEAVES)
        needed = program.needed("loss")
        self._fixed = [v for v in sorted(needed) if active[v] and not varies[v] and not self._is_condition(v)]
        members = frozenset(self._fixed)
        self.users: dict[int, list[int]] = {v: [] for v in self._fixed}
        self.direct: dict[int, int] = {}  # what the derivative costs by way of the samples that use a value
        for user in sorted(needed):
            for argument in program.assignments[user].arguments:
                if argument not in members or self._is_condition(user):
                    continue
                if varies[user]:
                    self.direct[argument] = max(self.direct.get(argument, 0), self._cost(argument, user, varies))
                else:
                    self.users[argument].append(user)

    def _is_condition(self, variable: int) -> bool:
        return row_of(self.program.assignments[variable].operation).is_condition

    def _cost(self, variable: int, user: int, varies: tuple[bool, ...]) -> int:
        step = self.program.assignments[user]
        product = step.operation == "matmul" and all(a == variable or varies[a] for a in step.arguments)
        return size_of(self.program.assignments[variable].shape) * (_PRODUCT if product else _ROW)

    def capacity(self, variable: int) -> int:
        """Return the cost of all of a value's derivative: of rows, but where products by themselves are all of it."""
        users = self.users[variable]
        rows = size_of(self.program.assignments[variable].shape) * _ROW
        if any(self.program.assignments[user].operation != "transpose" for user in users):
            return rows
        return min(rows, self.direct.get(variable, 0) + sum(map(self.capacity, users)))

    def cost_of_parameters(self, part: Iterable[int]) -> int:
        """Return the cost where the parameters' own derivatives are summed."""
        return sum(self.capacity(v) for v in part if self.program.assignments[v].operation == "parameter")

    def parts(self) -> Iterator[list[int]]:
        """Values that hang together, a part after the other: each is cut by itself."""
        neighbours: dict[int, list[int]] = {v: list(users) for v, users in self.users.items()}
        for variable, users in self.users.items():
            for user in users:
                neighbours[user].append(variable)
        seen = set[int]()
        for first in self._fixed:
            if first in seen:
                continue
            part, waiting = [], [first]
            seen.add(first)
            while waiting:
                variable = waiting.pop()
                part.append(variable)
                new = dict.fromkeys(v for v in neighbours[variable] if v not in seen)
                seen.update(new)
                waiting += new
            yield sorted(part)


def _minimum_cut(graph: _Graph, part: list[int]) -> tuple[int, list[int]]:
    """The width of a part at its narrowest, and the values there, as near to the samples as can be.

    Each value is two nodes, 2v and 2v + 1, with its capacity between them, and what uses it hangs on the second. A
    value that samples use themselves leads to the end by a third way, as wide as that use alone.
    """
    source, sink = -1, -2
    residual: dict[int, dict[int, int]] = {source: {}, sink: {}}

    def join(tail: int, head: int, capacity: int) -> None:
        residual.setdefault(tail, {})
        residual.setdefault(head, {})
        residual[tail][head] = residual[tail].get(head, 0) + capacity
        residual[head].setdefault(tail, 0)

    for v in part:
        join(2 * v, 2 * v + 1, graph.capacity(v))
        if graph.program.assignments[v].operation == "parameter":
            join(source, 2 * v, _ENDLESS)
        if v in graph.direct:
            join(2 * v + 1, sink, graph.direct[v])
        for user in graph.users[v]:
            join(2 * v + 1, 2 * user, _ENDLESS)
    flow = 0
    while (path := _path(residual, source, sink)) is not None:
        least = min(residual[tail][head] for tail, head in path)
        flow += least
        for tail, head in path:
            residual[tail][head] -= least
            residual[head][tail] += least
    behind = _reaching(residual, sink)
    return flow, [v for v in part if _is_cut(graph, v, behind)]


def _is_cut(graph: _Graph, variable: int, behind: frozenset[int]) -> bool:
    """Does the cut go through a value, or through what samples do with it?"""
    inside, outside = 2 * variable in behind, 2 * variable + 1 in behind
    return (outside and not inside) or (variable in graph.direct and not outside)


def _path(residual: dict[int, dict[int, int]], source: int, sink: int) -> list[tuple[int, int]] | None:
    """A shortest way on which there is room (Edmonds and Karp 1972), as pairs of nodes."""
    before: dict[int, int] = {source: source}
    waiting = deque([source])
    while waiting and sink not in before:
        tail = waiting.popleft()
        for head, room in residual[tail].items():
            if room > 0 and head not in before:
                before[head] = tail
                waiting.append(head)
    if sink not in before:
        return None
    path, node = [], sink
    while node != source:
        path.append((before[node], node))
        node = before[node]
    return path


def _reaching(residual: dict[int, dict[int, int]], sink: int) -> frozenset[int]:
    """The nodes from which there is room on a way to the sink: the cut before them is the one nearest to it."""
    found, waiting = {sink}, [sink]
    while waiting:
        head = waiting.pop()
        for tail in residual[head]:  # each edge has its reverse
            if tail not in found and residual[tail].get(head, 0) > 0:
                found.add(tail)
                waiting.append(tail)
    return frozenset(found)
