"""One example of the gallery: a risk and the numbers that belong to it, read from the package's ``data`` folder.

``data/problems.json`` holds what is printed in the source (titles, starting values, certified digits as text);
the rows lie beside it as CSV files with one header line.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from symgrad.problem import EmpiricalRisk

FloatArray: TypeAlias = NDArray[np.float64]

_DATA = files("symgrad.gallery").joinpath("data")


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A risk with N samples of real data, D inputs, M targets and P parameters. All arrays are float64, C order."""

    risk: EmpiricalRisk
    inputs: FloatArray
    """``(N, D)``"""
    targets: FloatArray
    """``(N, M)``"""
    theta: FloatArray
    """``(P,)``: the starting values from which a local method finds the minimum"""
    starts: Mapping[str, FloatArray]
    """every starting point of the source under its name there, each ``(P,)``"""
    certified: FloatArray | None
    """``(P,)``: the minimum as certified or published, where there is one"""
    certified_text: tuple[str, ...] | None
    """the same, digit for digit as the source prints it"""
    certified_digits: int | None
    """how many of those digits the true minimum shares, to the rounding of the last"""
    certified_sum_text: str | None
    """the sum of the losses there as printed: NIST's residual sum of squares, or minus a log-likelihood"""
    title: str
    source: str
    """where the data and the certified digits come from"""
    what: str
    """what a row of the data is"""


def read_example(risk: EmpiricalRisk) -> Example:
    """The example that belongs to ``risk``, found by its name. The arrays are new at each call."""
    facts = _facts(risk.name)
    table = _columns(facts["rows"])
    starts = {label: np.array(values, dtype=np.float64) for label, values in facts["starts"].items()}
    digits = facts.get("certified_text")
    return Example(
        risk=risk,
        inputs=_stack(table, facts["inputs"]),
        targets=_stack(table, facts["targets"]),
        theta=starts[facts["sensible"]].copy(),
        starts=starts,
        certified=None if digits is None else np.array([float(text) for text in digits]),
        certified_text=None if digits is None else tuple(digits),
        certified_digits=facts.get("certified_digits"),
        certified_sum_text=facts.get("certified_sum_text"),
        title=facts["title"],
        source=facts["source"],
        what=facts["what"],
    )


def _facts(name: str) -> dict[str, Any]:
    problems = json.loads(_DATA.joinpath("problems.json").read_text(encoding="utf-8"))
    facts: dict[str, Any] = problems[name]
    return facts


def _columns(file_name: str) -> dict[str, list[float]]:
    """The columns of a CSV file by the names in its header. ``float`` reads each number correctly rounded."""
    header, *lines = _DATA.joinpath(file_name).read_text(encoding="utf-8").splitlines()
    rows = [[float(cell) for cell in line.split(",")] for line in lines]
    return dict(zip(header.split(","), (list(column) for column in zip(*rows, strict=True)), strict=True))


def _stack(table: Mapping[str, list[float]], wanted: list[str]) -> FloatArray:
    return np.ascontiguousarray(np.array([table[name] for name in wanted], dtype=np.float64).T)
