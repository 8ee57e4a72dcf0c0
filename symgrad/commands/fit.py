"""`symgrad fit`: a risk in a file, a table in another, and a report."""

from __future__ import annotations

import argparse
import io
import math
import os
import re
import tempfile
from pathlib import Path

from symgrad.data import Source
from symgrad.declare import EmpiricalRisk
from symgrad.errors import SymgradError, visible
from symgrad.fitting import Fit, Parameters, page_of
from symgrad.fitting import fit as fit_risk

from .source import read_risks

_ITEM = re.compile(r"\s*(?P<name>[^=]+?)\s*=\s*(?P<value>[^=]+?)\s*", re.DOTALL)


class ArgumentError(SymgradError):
    """What stands on the command line cannot be meant."""


def fit(arguments: argparse.Namespace) -> int:
    """Fit the one risk that is meant, print its report, and write its page; 1 where no minimum was found."""
    risk = _one_risk(arguments.source)
    starts = {name: _number("--start", name, value) for name, value in _items("--start", arguments.start).items()}
    source = _source(risk, arguments)
    if arguments.output is not None:
        _check_place(Path(arguments.output))
    found = fit_risk(risk, source, Parameters(risk, starts), missing=arguments.missing)
    print(found.report(arguments.covariance))
    if arguments.output is not None:
        _write(Path(arguments.output), page_of(found, arguments.covariance, _pictures(found)))
        print(f"\nwritten: {visible(arguments.output)}")
    return 0 if found.converged else 1


def _one_risk(source: str) -> EmpiricalRisk:
    risks = read_risks([source])
    if len(risks) != 1:
        names = ", ".join(risk.name for risk in risks)
        raise ArgumentError(f"SOURCE: expected one risk, got {names}; say which: {source}:{risks[0].name}")
    return risks[0]


def _source(risk: EmpiricalRisk, arguments: argparse.Namespace) -> Source:
    """The table, with the columns that are called otherwise than the symbols."""
    columns = _items("--columns", arguments.columns)
    inputs, targets = ({str(s.name) for s in symbols} for symbols in (risk.inputs, risk.targets))
    unknown = [name for name in columns if name not in inputs | targets]
    if unknown:
        raise ArgumentError(
            f"--columns: expected symbols among {sorted(inputs | targets)}, got {unknown[0]!r}; write symbol=column"
        )
    return Source(
        arguments.data,
        inputs={name: column for name, column in columns.items() if name in inputs} or None,
        targets={name: column for name, column in columns.items() if name in targets} or None,
        weights=arguments.weights, groups=arguments.groups, missing=arguments.missing,
    )  # fmt: skip


def _items(option: str, text: str) -> dict[str, str]:
    """The items of ``A=1,k=2``; a comma inside brackets belongs to a name, as in ``W[0, 1]=2``."""
    found: dict[str, str] = {}
    for item in re.split(r",(?![^\[]*\])", text) if text.strip() else []:
        match = _ITEM.fullmatch(item)
        if match is None:
            raise ArgumentError(f"{option}: expected name=value, name=value, got {item!r}; write e.g. A=1,k=0.5")
        found[match["name"]] = match["value"]
    return found


def _number(option: str, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ArgumentError(f"{option}: expected a number for {name!r}, got {text!r}; write e.g. {name}=1.5")
    return value


def _pictures(found: Fit) -> str:
    """The pictures as SVG, without what stands before its first tag."""
    memory = io.StringIO()
    found.plot().savefig(memory, format="svg")
    text = memory.getvalue()
    return text[text.index("<svg") :]


def _check_place(path: Path) -> None:
    if path.suffix.lower() not in (".html", ".htm"):
        raise ArgumentError(f"--output: expected the name of a page, got {str(path)!r}; write e.g. report.html")
    if not path.parent.is_dir():
        raise ArgumentError(f"--output: expected a folder {str(path.parent)!r}, got none; make it first")


def _write(path: Path, text: str) -> None:
    """Write beside the place, then rename: who reads it sees all of it."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, suffix=path.suffix, delete=False) as file:
        try:
            file.write(text)
            file.flush()
            Path(file.name).chmod(0o666 & ~_umask())
            os.replace(file.name, path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
