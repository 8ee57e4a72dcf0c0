"""Who may import what, read from the source with ``ast``: the rooms of symgrad, and the walls between them.

A rule that has to give way names the file, the module and the reason in one of the tables below.
"""

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
PACKAGE = "symgrad"
MOST_LINES = 400

# From the declaration to the optimised program: mathematics only.
FRONT = ("declare", "losses", "functions", "program", "operations", "trace", "passes")
# From the optimised program to the kernel: plain data, and no library at all.
MIDDLE = ("schedule",)
LATER = (
    *("render", "build", "load", "pipeline", "oracle", "verification"),
    *("commands", "fitting", "explain", "cli", "gallery"),
)
ELSEWHERE = ("__init__", "__main__", "errors")
FRONT_LIBRARIES = {"sympy", "mpmath"}  # mpmath is what SymPy itself computes with

# What the oracle must not share with the code that it judges.
UNSEEN_BY_ORACLE = (
    *("program", "operations", "trace", "passes", "schedule", "render", "explain", "pipeline", "build", "load"),
)

# Libraries that belong to one room.
HOME = {"jinja2": "render", "Cython": "build", "setuptools": "build", "distutils": "build", "subprocess": "build"}

# Imports inside a function: (module, what it imports) -> why it cannot stand at the top.
IMPORTS_INSIDE_FUNCTIONS: Mapping[tuple[str, str], str] = {
    ("symgrad.fitting.least_squares", "scipy.optimize"): "an extra: `symgrad demo` without SciPy says how to get it",
}

# What generated modules only cimport: Cython's declarations of C, compiled in and absent at run time.
CIMPORTED = {"cpython", "libc"}

# Imports by a computed name: module -> why.
DYNAMIC_IMPORTS = {
    "symgrad": "the public names are looked up on first use, so that a warm load imports no SymPy",
    "symgrad.build": "what builds is looked up on first use, so that loading imports none of it",
    "symgrad.cli": "imports the room of one command when it runs, so that `symgrad --help` imports no SymPy",
    "symgrad.commands.source": "imports the module that the user names on the command line",
}


@dataclass(frozen=True)
class Import:
    """One import statement: the module it names, and where it stands."""

    module: str
    line: int
    in_function: bool


Tree = Mapping[str, tuple[Import, ...]]


def module_names(root: Path) -> dict[str, Path]:
    """Every module of the package below ``root`` by its dotted name."""
    found = {}
    for path in sorted((root / PACKAGE).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def read_tree(root: Path) -> Tree:
    modules = module_names(root)
    return {name: tuple(_imports(name, path, modules)) for name, path in modules.items()}


def _imports(name: str, path: Path, modules: Mapping[str, Path]) -> Iterator[Import]:
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    work: list[tuple[ast.AST, bool]] = [(ast.parse(path.read_text(encoding="utf-8"), str(path)), False)]
    while work:
        node, in_function = work.pop()
        in_function = in_function or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, in_function) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(package, node.level, node.module)
            for module in {f"{base}.{a.name}" if f"{base}.{a.name}" in modules else base for a in node.names}:
                yield Import(module, node.lineno, in_function)
        work += [(child, in_function) for child in ast.iter_child_nodes(node)]


def _absolute(package: str, level: int, module: str | None) -> str:
    above = package.split(".")[: len(package.split(".")) - (level - 1)] if level else []
    return ".".join([*above, *([module] if module else [])])


def room(module: str) -> str:
    """The room that a module of the package belongs to: ``gallery`` for ``symgrad.gallery.nist``."""
    return module.split(".")[1] if "." in module else "__init__"


def of_room(tree: Tree, *rooms: str) -> set[str]:
    return {module for module in tree if room(module) in rooms}


def closure(tree: Tree, start: set[str]) -> set[str]:
    """``start`` and every module of the package that it imports, directly or through others."""
    seen, work = set(start), list(start)
    while work:
        for found in tree[work.pop()]:
            if found.module in tree and found.module not in seen:
                seen.add(found.module)
                work.append(found.module)
    return seen


def libraries(tree: Tree, modules: set[str]) -> Iterator[tuple[str, Import, str]]:
    """Each import from outside the package and the standard library: who, the statement, the library."""
    for module in sorted(modules):
        for found in tree[module]:
            top = found.module.partition(".")[0]
            if top != PACKAGE and top not in sys.stdlib_module_names:
                yield module, found, top


# --- the rules: each returns what breaks it, one sentence for each -------------------------------------------------


def front_rooms_that_see_more_than_sympy(tree: Tree) -> list[str]:
    reached = closure(tree, of_room(tree, *FRONT))
    ahead = [f"{m} is reached from the front rooms" for m in sorted(reached & of_room(tree, *MIDDLE, *LATER))]
    return ahead + [
        f"{who}:{i.line} imports {top}" for who, i, top in libraries(tree, reached) if top not in FRONT_LIBRARIES
    ]


def middle_rooms_that_see_later_ones(tree: Tree) -> list[str]:
    ahead = closure(tree, of_room(tree, *MIDDLE)) & of_room(tree, *LATER)
    return [f"{m} is reached from the middle rooms" for m in sorted(ahead)] + [
        f"{who}:{i.line} imports {top}" for who, i, top in libraries(tree, of_room(tree, *MIDDLE))
    ]


def libraries_away_from_home(tree: Tree) -> list[str]:
    return [
        f"{module}:{found.line} imports {found.module}"
        for module in sorted(tree)
        for found in tree[module]
        if HOME.get(found.module.partition(".")[0], room(module)) != room(module)
    ]


def sympy_behind_load(tree: Tree) -> list[str]:
    heavy = {"sympy", "mpmath", "jinja2", "Cython", "setuptools"}
    return [
        f"{who}:{i.line} imports {top}"
        for who, i, top in libraries(tree, closure(tree, of_room(tree, "load")))
        if top in heavy
    ]


def rooms_that_the_oracle_shares(tree: Tree) -> list[str]:
    shared = closure(tree, of_room(tree, "oracle")) & of_room(tree, *UNSEEN_BY_ORACLE)
    return [f"the oracle reaches {module}" for module in sorted(shared)]


def imports_inside_functions(tree: Tree) -> list[str]:
    return [
        f"{module}:{found.line} imports {found.module} inside a function"
        for module in sorted(tree)
        for found in tree[module]
        if found.in_function and (module, found.module) not in IMPORTS_INSIDE_FUNCTIONS
    ]


def cycles(tree: Tree) -> list[str]:
    found = []
    for module in sorted(tree):
        direct = {i.module for i in tree[module] if i.module in tree and i.module != module}
        found += [
            f"{module} and {other} import each other" for other in sorted(direct) if module in closure(tree, {other})
        ]
    return found


RULES = {
    rule.__name__: rule
    for rule in (
        front_rooms_that_see_more_than_sympy,
        middle_rooms_that_see_later_ones,
        libraries_away_from_home,
        sympy_behind_load,
        rooms_that_the_oracle_shares,
        imports_inside_functions,
        cycles,
    )
}


@pytest.fixture(scope="module")
def tree() -> Tree:
    return read_tree(CHECKOUT)


@pytest.mark.parametrize("rule", RULES)
def test_the_package_keeps_the_rule(rule: str, tree: Tree) -> None:
    assert RULES[rule](tree) == []


def test_the_rooms_that_the_rules_name_are_there(tree: Tree) -> None:
    """A renamed room would leave its rule with nothing to look at."""
    named = {*FRONT, *MIDDLE, *LATER, *UNSEEN_BY_ORACLE, *HOME.values(), "oracle", "load", "gallery", "errors"}
    assert named - {room(module) for module in tree} == set()


def test_every_room_has_its_place(tree: Tree) -> None:
    """A new room says what it may see by where it is listed, once."""
    listed = Counter((*FRONT, *MIDDLE, *LATER, *ELSEWHERE))
    assert {room(module) for module in tree} - {*listed} == set()
    assert {name for name, count in listed.items() if count > 1} == set()


def test_exceptions_are_still_needed(tree: Tree) -> None:
    used = {(module, i.module) for module in tree for i in tree[module] if i.in_function}
    assert set(IMPORTS_INSIDE_FUNCTIONS) <= used


# One broken package for each rule: what it holds, and what the rule has to say about it.
BROKEN = [
    ("front_rooms_that_see_more_than_sympy", {"trace": "import numpy as np"}, "symgrad.trace:1 imports numpy"),
    (
        "front_rooms_that_see_more_than_sympy",
        {"trace/a": "from .. import helper", "helper": "from .render import x", "render/__init__": ""},
        "symgrad.render is reached from the front rooms",
    ),
    (
        "front_rooms_that_see_more_than_sympy",
        {"trace/sums": "from symgrad.schedule import x", "schedule/__init__": ""},
        "symgrad.schedule is reached from the front rooms",
    ),
    ("middle_rooms_that_see_later_ones", {"schedule/steps": "import sympy"}, "symgrad.schedule.steps:1 imports sympy"),
    (
        "middle_rooms_that_see_later_ones",
        {"schedule/steps": "from symgrad.render.loops import x", "render/loops": ""},
        "symgrad.render.loops is reached from the middle rooms",
    ),
    (
        "rooms_that_the_oracle_shares",
        {"oracle/tape": "from symgrad.operations.matrices import x", "operations/matrices": ""},
        "the oracle reaches symgrad.operations.matrices",
    ),
    (
        "libraries_away_from_home",
        {"schedule/plan": "from jinja2 import Template"},
        "symgrad.schedule.plan:1 imports jinja2",
    ),
    ("libraries_away_from_home", {"cli": "def f():\n    import subprocess"}, "symgrad.cli:2 imports subprocess"),
    ("libraries_away_from_home", {"load": "import Cython.Build"}, "symgrad.load:1 imports Cython.Build"),
    ("sympy_behind_load", {"load": "from .a import b", "a": "\nfrom sympy.core import S"}, "symgrad.a:2 imports sympy"),
    (
        "rooms_that_the_oracle_shares",
        {"oracle/oracle": "from symgrad import trace", "trace/__init__": ""},
        "the oracle reaches symgrad.trace",
    ),
    (
        "rooms_that_the_oracle_shares",
        {"oracle/oracle": "import symgrad.h", "h": "from .render.spelling import p", "render/spelling": ""},
        "spelling",
    ),
    ("imports_inside_functions", {"cli": "class A:\n  def f(self):\n    import json"}, "symgrad.cli:3 imports json"),
    (
        "cycles",
        {"a": "from .b import f", "b": "from .c import f", "c": "from symgrad.a import f"},
        "symgrad.a and symgrad.b",
    ),
    ("cycles", {"p/__init__": "from .q import f", "p/q": "from ..p import f"}, "symgrad.p and symgrad.p.q"),
]


@pytest.mark.parametrize(("rule", "package", "complaint"), BROKEN, ids=[f"{b[0]}-{'-'.join(b[1])}" for b in BROKEN])
def test_the_rule_sees_what_breaks_it(rule: str, package: dict[str, str], complaint: str, tmp_path: Path) -> None:
    for name, text in package.items():
        path = tmp_path / PACKAGE / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    found = RULES[rule](read_tree(tmp_path))
    assert len(found) >= 1
    assert complaint in found[0]


# --- beyond imports ------------------------------------------------------------------------------------------------


def calls(path: Path) -> Iterator[tuple[int, str]]:
    """The line and the last name of everything that is called in a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            function = node.func
            yield node.lineno, function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def test_imports_by_a_computed_name_are_listed(tree: Tree) -> None:
    dynamic = {"import_module", "__import__"}
    found = {m for m, path in module_names(CHECKOUT).items() if any(name in dynamic for _, name in calls(path))}
    assert found <= set(DYNAMIC_IMPORTS)


def test_no_text_is_evaluated() -> None:
    evaluating = {"eval", "exec", "sympify", "parse_expr"}
    modules = module_names(CHECKOUT)
    found = [f"{m}:{line} {name}" for m, path in modules.items() for line, name in calls(path) if name in evaluating]
    assert found == []


def test_no_file_is_too_long() -> None:
    files = [
        *(CHECKOUT / PACKAGE).rglob("*.py"),
        *(CHECKOUT / "tests").rglob("*.py"),
        *(CHECKOUT / "templates").iterdir(),
    ]
    lengths = {p.relative_to(CHECKOUT).as_posix(): len(p.read_text("utf-8").splitlines()) for p in files if p.is_file()}
    assert {name: lines for name, lines in lengths.items() if lines >= MOST_LINES} == {}


def test_generated_modules_import_numpy_and_nothing_else() -> None:
    """Cython's own cimports are compiled in; what is left at run time is NumPy and the standard library."""
    sources = sorted((CHECKOUT / "generated").glob("*.pyx"))
    assert len(sources) >= 1
    statement = re.compile(r"^\s*(?:from|import)\s+([A-Za-z_]\w*)", re.MULTILINE)
    imported = {top for source in sources for top in statement.findall(source.read_text("utf-8"))}
    assert imported - sys.stdlib_module_names - CIMPORTED <= {"numpy"}


def test_loading_imports_neither_sympy_nor_cython() -> None:
    """The same wall at run time, where a lazy public name could have slipped through."""
    program = "import sys, symgrad.load; print(sorted({'sympy', 'mpmath', 'Cython', 'jinja2'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
