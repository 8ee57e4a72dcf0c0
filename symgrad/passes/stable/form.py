"""What a stable form is: a pattern that people write, and what keeps its digits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from symgrad.program import Value


@dataclass(frozen=True, slots=True)
class StableForm:
    """One rule: which operation it looks at, and what does better, if the pattern is there.

    ``replace`` gets the operation's arguments, and its attribute if it has one; the pattern and its replacement are
    equal on the ``domain``, and elsewhere the replacement is NaN where the pattern is.
    """

    pattern: str
    replacement: str
    domain: str
    operation: str
    replace: Callable[..., Value | None]

    @property
    def name(self) -> str:
        """The rule in short, as `rewrites` lists it."""
        return f"{self.pattern} -> {self.replacement}"
