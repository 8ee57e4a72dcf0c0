"""The public table of accuracy: ``python -m benchmarks.accuracy [--peers PYTHON]`` writes docs/accuracy.md.

Every supported function and its derivatives, and the forms that people write, at hard points: the worst error in
units in the last place of the true result, for symgrad and its peers. The peers run in the interpreter that ``--peers``
names, each in a process of its own; one that is not installed there is said to be so.
"""

import argparse
import json
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import sympy as sp

import symgrad as sg
from tests.helpers import atoms

from . import accuracy_page as page
from .accuracy_forms import FORMS, LIMITS
from .accuracy_truth import true_result

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "accuracy.md"
PEERS = {"jax": "JAX", "torch": "PyTorch", "casadi": "CasADi", "sympy": "SymPy+NumPy"}
Points = dict[str, list[tuple[float, ...]]]
Results = dict[str, list[list[float] | None] | None]
# row ("tanh", or "x**y by y") -> a cell for symgrad and for each peer; a text where the peer is absent
Rows = dict[str, list[page.Cell | str | None]]


@dataclass(frozen=True, slots=True)
class Tool:
    """Who computed: name and version for the text above the tables, and what came. No results: it is not installed."""

    title: str
    version: str
    results: Results | None


# --- what is measured ----------------------------------------------------------------------------------------------


def points_of_atoms() -> Points:
    return {name: [atoms.arguments(name, row) for row in atoms.smooth(name, atoms.points(name))] for name in atoms.ALL}


def measured_by_symgrad(points: Points) -> Results:
    """By lane functions, as a sweep over data computes them: the arguments come as samples."""
    results: Results = {}
    groups = [*atoms.GROUPS.items(), *_groups_of_forms()]
    for title, names in groups:
        is_form = names[0] in FORMS
        module = _compiled_forms(names, title) if is_form else atoms.compiled(names, title)
        for k, name in enumerate(names):
            rows = np.array([(*at, 0.5)[:2] for at in points[name]])
            zero = np.zeros(module.N_PARAMETERS)
            slopes = module.per_sample_gradient(zero, rows, np.zeros(len(rows)))
            columns = [slopes[:, k + i * len(names)] for i in range(len(points[name][0]))]
            results[name] = [found.tolist() for found in (module.predict(zero, rows)[:, k], *columns)]
    return results


def _groups_of_forms() -> list[tuple[str, tuple[str, ...]]]:
    names = list(FORMS)
    return [(f"forms{i}", tuple(names[i::2])) for i in range(2)]


def _compiled_forms(names: tuple[str, ...], title: str) -> Any:
    """Forms of one module, each of shifted inputs, so that the slopes by the shifts are the slopes of the forms."""
    t, s, z = (sp.MatrixSymbol(letter, len(names), 1) for letter in "tsz")

    def applied(k: int, form: str) -> Any:
        shifted = (t[k, 0] + atoms.X, s[k, 0] + atoms.Y)
        return FORMS[form].written(sp, *shifted[: len(FORMS[form].points[0])])

    loss = sg.Loss(sp.Add(*(z[k, 0] for k in range(len(names)))) - atoms.D, z, atoms.D)
    outputs = sp.Matrix([applied(k, name) for k, name in enumerate(names)])
    return sg.compile(sg.EmpiricalRisk(sg.Model(outputs, [atoms.X, atoms.Y], [t, s]), loss, name=title))


def measured_by_peer(peer: str, python: str, points: Points) -> Tool:
    command = [python, str(HERE / "accuracy_peers.py"), peer]
    finished = subprocess.run(command, input=json.dumps(points), capture_output=True, text=True, check=False)
    if finished.returncode and "not installed" in finished.stderr:
        return Tool(PEERS[peer], f"{PEERS[peer]} (not installed: not measured)", None)
    if finished.returncode:
        sys.exit(f"{peer}: {finished.stderr}")
    reply = json.loads(finished.stdout)
    return Tool(PEERS[peer], reply["version"], reply["results"])


# --- and judged ----------------------------------------------------------------------------------------------------


def true_atom(name: str, output: int, *at: float) -> Any:
    if not output:
        return atoms.value_at(name, *at)
    true = atoms.derivative_at(name, output - 1, *at)
    return atoms.exact_zero(true, at[output - 1])


def judge(tools: list[Tool], points: Points, truth: Callable[..., Any], slopes: bool) -> Rows:
    """Values, or derivatives: a row for each function (and each of its arguments)."""
    rows: Rows = {}
    for name, places in points.items():
        count = len(places[0])
        for output in range(1, count + 1) if slopes else (0,):
            truths = [truth(name, output, *at) for at in places]
            title = f"{name} by {_argument(name, output)}" if slopes and count > 1 else name
            rows[title] = [_cell(tool, name, output, places, truths) for tool in tools]
    return rows


def _argument(name: str, output: int) -> str:
    return (("a", "b") if "(a)" in name else ("x", "a") if "normals" in name else ("x", "y"))[output - 1]


def _cell(
    tool: Tool, name: str, output: int, places: list[tuple[float, ...]], truths: list[Any]
) -> page.Cell | str | None:
    if tool.results is None:
        return "not installed"
    found = tool.results[name]
    column = None if found is None else found[output]
    return None if column is None else page.judged(places, column, truths)


# --- and written ---------------------------------------------------------------------------------------------------


def written(tools: list[Tool], tables: dict[str, Rows]) -> str:
    titles = [tool.title for tool in tools]
    texts = {
        f"TABLE {name}": "\n".join(page.table("form" if "forms" in name else "function", titles, rows))
        for name, rows in tables.items()
    }
    texts["VERSIONS"] = page.paragraph(
        f"**Measured with** {'; '.join(tool.version for tool in tools)}, on {_system()}. Another processor or C "
        "library may move numbers of a few ULP."
    )
    texts["TABLE counts"] = "\n".join(_counts(titles, tables))
    texts["REASONS"] = "\n".join(_reasons(tables, "functions", {name: row[2] for name, row in atoms.BOUNDS.items()}))
    texts["FORMS"] = "\n".join(_reasons(tables, "forms", LIMITS))
    text = (HERE / "accuracy_template.md").read_text()
    for key, value in texts.items():
        text = text.replace(f"[[{key}]]", value)
    return text


def _system() -> str:
    parts = (platform.python_implementation(), platform.python_version(), platform.machine(), *platform.libc_ver())
    return f"{' '.join(parts[:2])}, {parts[2]}, {' '.join(parts[3:])}, mpmath {mpmath.__version__}"


def _counts(titles: list[str], tables: dict[str, Rows]) -> list[str]:
    """How often each tool is beyond the gate, by kind of number."""
    rows: dict[str, list[page.Cell | str | None]] = {}
    for name, table in tables.items():
        for of in ("ordinary", "subnormal"):
            columns = list(zip(*table.values(), strict=True))
            rows[f"{name}, {of}"] = [
                "not installed" if "not installed" in column else page.tally(column, of) for column in columns
            ]
    return [line.replace("`", "") for line in page.table("more than 4 ULP", titles, rows)]


def _reasons(tables: dict[str, Rows], of: str, reasons: dict[str, str]) -> list[str]:
    """A line for each of symgrad's results that is beyond the gate."""
    lines = []
    for kind in ("value", "derivative"):
        for title, cells in tables[f"{kind}s of {of}"].items():
            ours = cells[0]
            if isinstance(ours, page.Cell) and ours.worst > page.GATE:
                found = max((f for f in (ours.ordinary, ours.subnormal) if f), key=lambda f: f.error)
                reason = reasons.get(title.partition(" by ")[0], "no reason is known")
                lines.append(page.paragraph(f"- {kind} of `{title}`, {page.error_at(found)}: {reason}."))
    return lines or ["Nowhere."]


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes docs/accuracy.md.")
    parser.add_argument(
        "--peers", default=sys.executable, help="the interpreter that has the peers (default: this one)"
    )
    parser.add_argument("--output", type=Path, default=PAGE)
    arguments = parser.parse_args()
    of_atoms = points_of_atoms()
    of_forms: Points = {name: list(form.points) for name, form in FORMS.items()}
    points = of_atoms | of_forms
    tools = [Tool("symgrad", f"symgrad {sg.__version__}", measured_by_symgrad(points))]
    tools += [measured_by_peer(peer, arguments.peers, points) for peer in PEERS]
    tables = {
        "values of functions": judge(tools, of_atoms, true_atom, False),
        "derivatives of functions": judge(tools, of_atoms, true_atom, True),
        "values of forms": judge(tools, of_forms, true_result, False),
        "derivatives of forms": judge(tools, of_forms, true_result, True),
    }
    arguments.output.write_text(written(tools, tables))
    print(f"{arguments.output.name} is written")


if __name__ == "__main__":
    main()
