"""One example of the gallery: a risk and the numbers that belong to it, read from the package's ``data`` folder.

``data/problems.json`` holds what is printed in the source (titles, starting values, certified digits as text);
the rows lie beside it as CSV files with one header line, the longer ones compressed. A starting point is a list of
numbers, or ``{"glorot": seed}``.
"""

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from symgrad.declare import EmpiricalRisk

FloatArray: TypeAlias = NDArray[np.float64]

_DATA = files("symgrad.gallery").joinpath("data")


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A risk with N samples of real data, D inputs, M targets and P parameters, matrices counted by their elements.

    All arrays are float64, C order; the elements of a matrix lie in a row as the compiled functions take them.
    """

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
    """Return the example that belongs to ``risk``, found by its name. The arrays are new at each call."""
    facts = _facts(risk.name)
    table = _columns(facts["rows"])
    inputs = facts.get("inputs", [name for name in table if name not in facts["targets"]])
    starts = {label: _start(values, risk) for label, values in facts["starts"].items()}
    digits = facts.get("certified_text")
    return Example(
        risk=risk,
        inputs=_stack(table, inputs) / facts.get("divide_inputs_by", 1),
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
    content = _DATA.joinpath(file_name).read_bytes()
    content = gzip.decompress(content) if file_name.endswith(".gz") else content
    header, *lines = content.decode("utf-8").splitlines()
    rows = [[float(cell) for cell in line.split(",")] for line in lines]
    return dict(zip(header.split(","), (list(column) for column in zip(*rows, strict=True)), strict=True))


def _stack(table: Mapping[str, list[float]], wanted: list[str]) -> FloatArray:
    return np.ascontiguousarray(np.array([table[name] for name in wanted], dtype=np.float64).T)


# --- starting points of networks ------------------------------------------------------------------------------------


def _start(values: list[float] | dict[str, int], risk: EmpiricalRisk) -> FloatArray:
    """The numbers as they stand, or ``glorot_start`` for ``{"glorot": seed}``."""
    return glorot_start(risk, values["glorot"]) if isinstance(values, dict) else np.array(values, dtype=np.float64)


def glorot_start(risk: EmpiricalRisk, seed: int) -> FloatArray:
    """Return starting values (P,) of a network: an (m, n) parameter's are even within +-sqrt(6/(m + n)).

    The same on every machine and in every version: the numbers are those of the "minimal standard" generator. ``seed``
    is a whole number from 1 to 2147483646.

    Sources: Glorot, X., and Y. Bengio (2010). Understanding the Difficulty of Training Deep Feedforward Neural
    Networks. AISTATS 9, 249-256. Park, S. K., and K. W. Miller (1988). Random Number Generators: Good Ones Are Hard to
    Find. Communications of the ACM 31, 1192-1201.
    """
    numbers = _minimal_standard(seed)
    values: list[float] = []
    for parameter in risk.parameters:
        rows, columns = (int(size) for size in getattr(parameter, "shape", (1, 1)))
        bound = float(np.sqrt(6.0 / (rows + columns)))
        values += [bound * (2.0 * next(numbers) - 1.0) for _ in range(rows * columns)]
    return np.array(values)


def _minimal_standard(seed: int) -> Iterator[float]:
    """Numbers between 0 and 1: seed, 7**5 seed, 7**10 seed, ... modulo the prime 2**31 - 1, as parts of it."""
    state = seed
    while True:
        state = state * 16807 % 2147483647
        yield state / 2147483647
