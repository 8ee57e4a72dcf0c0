"""Is an expression short enough to be read, or to be worked on as a tree? Without recursion."""

from collections.abc import Iterable
from typing import Any

from symgrad.declare import postorder


def is_short(roots: Iterable[Any], *, nodes: int, depth: int, named: tuple[type, ...] = (), most: int = 10**9) -> bool:
    """Return whether ``roots`` have at most so many nodes and levels, shared parts counted each time they appear.

    A part of a ``named`` kind counts as one where it appears, as it is defined apart. ``most``: different nodes in all.
    """
    extent: dict[int, tuple[int, int]] = {}
    for seen, node in enumerate(postorder(roots), 1):
        inner = [extent[id(argument)] for argument in node.args if id(argument) in extent]
        size, levels = 1 + sum(n for n, _ in inner), 1 + max((d for _, d in inner), default=0)
        if size > nodes or levels > depth or seen > most:
            return False
        extent[id(node)] = 1 if isinstance(node, named) else size, levels
    return True
