"""Kernels of declared risks, made when a test first asks for one: every process collects all tests, and runs half."""

import functools
from collections.abc import Iterable, Iterator, Mapping

from symgrad.declare import EmpiricalRisk
from symgrad.pipeline import Generated, generate
from symgrad.schedule import Kernel


@functools.cache
def generated(risk: EmpiricalRisk) -> Generated:
    """Return what `generate` makes of a risk, once in a process."""
    return generate(risk)


class Kernels(Mapping[str, Kernel]):
    """The kernels of risks by their names."""

    def __init__(self, risks: Iterable[EmpiricalRisk]) -> None:
        self._risks = {risk.name: risk for risk in risks}

    def __getitem__(self, name: str) -> Kernel:
        return generated(self._risks[name]).kernel

    def __iter__(self) -> Iterator[str]:
        return iter(self._risks)

    def __len__(self) -> int:
        return len(self._risks)
