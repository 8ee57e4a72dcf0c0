"""Who may import what, read from the source with ``ast``: the rooms of symgrad, and the walls between them.

A room is a folder or a module at the top of the package (`tests/house.py` draws them). A rule that has to give way
names the file, the module and the reason in one of the tables below.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from .house import CHECKOUT, EXTRAS, PACKAGE, Import, Tree, house_of, module_names, read_tree, room

MOST_LINES = 400
MOST_LINES_OF_A_DOOR = 12  # without its docstring, blank lines and the list of names

# The rooms, each with those that it may import: all of them stand above it in the table, so no arrow leads back up.
MAY_IMPORT: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("errors", "functions", "limits", "program"), ()),
    **dict.fromkeys(("data", "progress"), ("errors",)),
    "declare": ("errors", "functions"),
    "losses": ("errors", "functions", "declare"),
    "operations": ("functions", "program"),
    "trace": ("errors", "functions", "program", "operations", "declare"),
    "passes": ("program", "operations", "trace"),
    "schedule": ("program",),
    "explain": ("declare", "schedule"),
    "render": ("program", "schedule"),
    "build": ("errors", "data"),
    "load": ("errors", "build"),
    "pipeline": (
        *("errors", "limits", "progress", "program", "declare", "trace", "passes", "schedule", "explain", "render"),
        *("build", "load"),
    ),
    "boosting": ("errors", "declare", "pipeline"),
    "oracle": ("errors", "declare"),
    "verification": ("errors", "declare", "pipeline", "oracle"),
    "gallery": ("functions", "declare", "losses"),
    "designs": ("errors", "data", "declare"),
    "fitting": ("errors", "data", "declare", "pipeline", "gallery", "designs"),
    "__init__": (
        *("errors", "functions", "data", "declare", "losses", "build", "pipeline", "boosting", "designs"),
        *("fitting", "verification"),
    ),
    "adapters": ("errors", "boosting", "fitting", "__init__"),
    "commands": (
        *("errors", "progress", "declare", "explain", "render", "build", "pipeline", "verification"),
        *("gallery", "data", "fitting", "__init__"),  # its version
    ),
    "cli": ("errors", "limits", "__init__"),
    "__main__": ("cli",),
}

# Libraries, and the rooms that may import them.
MATHEMATICS = ("functions", "declare", "losses", "operations", "trace", "passes", "explain", "oracle", "gallery")
MAY_USE: Mapping[str, tuple[str, ...]] = {
    "sympy": (*MATHEMATICS, "boosting", "designs", "verification", "fitting", "commands", "adapters"),
    "mpmath": ("functions", "declare", "oracle", "verification"),  # what SymPy itself computes with
    # build: what they compute
    "numpy": ("build", "boosting", "data", "oracle", "verification", "gallery", "fitting", "adapters"),
    "scipy": ("fitting",),
    **dict.fromkeys(("narwhals", "pyarrow", "pandas"), ("data",)),
    **{"formulaic": ("designs",), "sklearn": ("adapters",), "lmfit": ("adapters",), "iminuit": ("fitting", "adapters")},
    **dict.fromkeys(("matplotlib", "tqdm"), ("fitting",)),
    "jinja2": ("render",),
    **dict.fromkeys(("Cython", "setuptools", "distutils", "subprocess"), ("build",)),
}

# What these rooms reach, through whatever they import, has none of these libraries.
HEAVY = ("sympy", "mpmath", "jinja2", "Cython", "setuptools")
NEVER_REACHES: Mapping[str, tuple[str, ...]] = {
    "program": (*HEAVY, "numpy"),
    "schedule": (*HEAVY, "numpy"),
    "render": ("sympy", "mpmath", "Cython", "numpy"),
    "build": HEAVY,
    "load": HEAVY,
    "passes": ("numpy", "jinja2", "Cython"),
}

# What no module imports: it is run by its path, in a process of its own.
SCRIPTS = {"symgrad.build.cython_process"}

# Imports inside a function: (module, what it imports) -> why it cannot stand at the top.
IMPORTS_INSIDE_FUNCTIONS: Mapping[tuple[str, str], str] = {
    **dict.fromkeys(EXTRAS, "where it is missing, it is said how to get it"),
    **{
        ("symgrad.build.cython_process", f"Cython.Compiler{part}"): "where it is missing, each request has to say so"
        for part in ("", ".Main")
    },
}

# What generated modules have in their own library: Cython's declarations of C, and the sweep that is linked into it.
COMPILED_IN = {"cpython", "libc", "_sweep"}

# Imports by a computed name: module -> why.
DYNAMIC_IMPORTS = {
    "symgrad": "the public names are looked up on first use, so that a warm load imports no SymPy",
    "symgrad.load": "where a pickle finds nothing in the cache, it is built: only then SymPy is needed",
    "symgrad.build": "what builds is looked up on first use, so that loading imports none of it",
    "symgrad.cli": "imports the room of one command when it runs, so that `symgrad --help` imports no SymPy",
    "symgrad.commands.source": "imports the module that the user names on the command line",
}


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
    """Each import from outside the package: who, the statement, the library."""
    for module in sorted(modules):
        for found in tree[module]:
            top = found.module.partition(".")[0]
            if top != PACKAGE:
                yield module, found, top


# --- the rules: each returns what breaks it, one sentence for each -------------------------------------------------


def rooms_that_import_what_they_may_not(tree: Tree) -> list[str]:
    return [
        f"{module}:{found.line} imports {found.module}"
        for module in sorted(tree)
        for found in tree[module]
        if found.module in tree and room(found.module) not in (room(module), *MAY_IMPORT.get(room(module), ()))
    ]


def imports_past_a_door(tree: Tree) -> list[str]:
    """From outside a folder, also one inside another, only its ``__init__`` is imported."""
    past = []
    for module in sorted(tree):
        for found in tree[module]:
            parts = found.module.split(".")
            folders = [".".join(parts[:depth]) for depth in range(2, len(parts))]
            entered = [folder for folder in folders if folder in tree and not f"{module}.".startswith(f"{folder}.")]
            if found.module in tree and entered:
                past.append(f"{module}:{found.line} imports {found.module}, past the door of {entered[0]}")
    return past


def libraries_away_from_home(tree: Tree) -> list[str]:
    return [
        f"{who}:{i.line} imports {i.module}"
        for who, i, top in libraries(tree, set(tree))
        if (top in MAY_USE or top not in sys.stdlib_module_names) and room(who) not in MAY_USE.get(top, ())
    ]


def libraries_behind_a_room(tree: Tree) -> list[str]:
    return [
        f"{start} reaches {top}: {who}:{i.line} imports it"
        for start, never in NEVER_REACHES.items()
        for who, i, top in libraries(tree, closure(tree, {m for m in tree if room(m) == start} - SCRIPTS))
        if top in never
    ]


def imports_inside_functions(tree: Tree) -> list[str]:
    return [
        f"{module}:{found.line} imports {found.module} inside a function"
        for module in sorted(tree)
        for found in tree[module]
        if found.in_function and (module, found.module) not in IMPORTS_INSIDE_FUNCTIONS
    ]


def circles_of_modules(tree: Tree) -> list[str]:
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
        rooms_that_import_what_they_may_not,
        imports_past_a_door,
        libraries_away_from_home,
        libraries_behind_a_room,
        imports_inside_functions,
        circles_of_modules,
    )
}


@pytest.fixture(scope="module")
def tree() -> Tree:
    return read_tree(CHECKOUT)


@pytest.mark.parametrize("rule", RULES)
def test_the_package_keeps_the_rule(rule: str, tree: Tree) -> None:
    assert RULES[rule](tree) == []


def test_every_room_has_a_row_and_every_row_its_room(tree: Tree) -> None:
    assert {room(module) for module in tree} == set(MAY_IMPORT)


def test_a_room_may_import_only_those_above_it_in_the_table() -> None:
    rows = list(MAY_IMPORT)
    for place, (name, may) in enumerate(MAY_IMPORT.items()):
        assert set(may) <= set(rows[:place]), name


def test_nothing_is_allowed_that_is_not_used(tree: Tree) -> None:
    assert {name: set(may) for name, may in MAY_IMPORT.items()} == dict(house_of(tree).sees)
    used = {(top, room(who)) for who, _, top in libraries(tree, set(tree))}
    unused = {(top, name) for top, rooms in MAY_USE.items() for name in rooms if rooms != ("build",)} - used
    assert unused == set()


def test_the_oracle_shares_only_the_declaration_with_what_it_judges(tree: Tree) -> None:
    """And nobody computes with it but those who judge."""
    reached = closure(tree, {module for module in tree if room(module) == "oracle"})
    assert {room(module) for module in reached} == {"oracle", "declare", "errors", "functions"}
    assert [name for name, may in MAY_IMPORT.items() if "oracle" in may] == ["verification"]


def test_exceptions_are_still_needed(tree: Tree) -> None:
    used = {(module, i.module) for module in tree for i in tree[module] if i.in_function}
    assert set(IMPORTS_INSIDE_FUNCTIONS) <= used


# One broken package for each rule: what it holds, and what the rule has to say about it.
BROKEN = [
    (
        "rooms_that_import_what_they_may_not",
        {"trace/sums": "from symgrad.schedule import x", "schedule/__init__": ""},
        "symgrad.trace.sums:1 imports symgrad.schedule",
    ),
    (
        "rooms_that_import_what_they_may_not",
        {"schedule/steps": "\nfrom ..render.loops import x", "render/loops": ""},
        "symgrad.schedule.steps:2 imports symgrad.render.loops",
    ),
    (
        "rooms_that_import_what_they_may_not",
        {"oracle/tape": "from symgrad import trace", "trace/__init__": ""},
        "symgrad.oracle.tape:1 imports symgrad.trace",
    ),
    (
        "rooms_that_import_what_they_may_not",
        {"pipeline": "import symgrad.oracle", "oracle/__init__": ""},
        "symgrad.pipeline:1 imports symgrad.oracle",
    ),
    ("rooms_that_import_what_they_may_not", {"new": "from .errors import x", "errors": ""}, "symgrad.new:1"),
    (
        "imports_past_a_door",
        {"pipeline": "from .trace.sums import x", "trace/__init__": "", "trace/sums": ""},
        "symgrad.pipeline:1 imports symgrad.trace.sums, past the door of symgrad.trace",
    ),
    (
        "imports_past_a_door",
        {"passes/a": "from .stable import form", "passes/__init__": "", "passes/stable/__init__": "",
         "passes/stable/form": ""},
        "symgrad.passes.a:1 imports symgrad.passes.stable.form, past the door of symgrad.passes.stable",
    ),
    (
        "imports_past_a_door",
        {"program/__init__": "", "operations/a": "from symgrad.program import shapes", "operations/__init__": "",
         "program/shapes": ""},
        "symgrad.operations.a:1 imports symgrad.program.shapes",
    ),
    ("libraries_away_from_home", {"trace": "import numpy as np"}, "symgrad.trace:1 imports numpy"),
    ("libraries_away_from_home", {"schedule/steps": "import sympy"}, "symgrad.schedule.steps:1 imports sympy"),
    ("libraries_away_from_home", {"render/a": "import requests"}, "symgrad.render.a:1 imports requests"),
    ("libraries_away_from_home", {"program/a": "from jinja2 import Template"}, "symgrad.program.a:1 imports jinja2"),
    ("libraries_away_from_home", {"cli": "def f():\n    import subprocess"}, "symgrad.cli:2 imports subprocess"),
    ("libraries_away_from_home", {"load": "import Cython.Build"}, "symgrad.load:1 imports Cython.Build"),
    (
        "libraries_behind_a_room",
        {"load": "from .a import b", "a": "\nfrom sympy.core import S"},
        "load reaches sympy: symgrad.a:2 imports it",
    ),
    (
        "libraries_behind_a_room",
        {"schedule/a": "from symgrad import helper", "helper": "import mpmath"},
        "schedule reaches mpmath: symgrad.helper:1",
    ),
    ("imports_inside_functions", {"cli": "class A:\n  def f(self):\n    import json"}, "symgrad.cli:3 imports json"),
    (
        "circles_of_modules",
        {"a": "from .b import f", "b": "from .c import f", "c": "from symgrad.a import f"},
        "symgrad.a and symgrad.b",
    ),
    ("circles_of_modules", {"p/__init__": "from .q import f", "p/q": "from ..p import f"}, "symgrad.p and symgrad.p.q"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "package", "complaint"), BROKEN, ids=[f"{b[0]}-{'-'.join(b[1])}" for b in BROKEN])
def test_the_rule_sees_what_breaks_it(rule: str, package: dict[str, str], complaint: str, tmp_path: Path) -> None:
    for name, text in package.items():
        path = tmp_path / PACKAGE / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    found = RULES[rule](read_tree(tmp_path))
    assert len(found) >= 1
    assert complaint in found[0]


# --- doors ---------------------------------------------------------------------------------------------------------

DOORS = {m: p for m, p in module_names(CHECKOUT).items() if p.name == "__init__.py" and m != PACKAGE}


def statements_of(door: Path) -> list[ast.stmt]:
    """What stands in a door, but its docstring."""
    return ast.parse(door.read_text(encoding="utf-8")).body[1:]


@pytest.mark.parametrize("door", DOORS)
def test_a_door_only_hands_on(door: str) -> None:
    """Imports, and the list of their names; what is imported on first use by a function that is listed above."""
    text, lines = DOORS[door].read_text(encoding="utf-8").splitlines(), list[str]()
    for statement in statements_of(DOORS[door]):
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__":
            continue
        lazy = door in DYNAMIC_IMPORTS and isinstance(statement, ast.If | ast.FunctionDef)
        assert lazy or isinstance(statement, ast.Import | ast.ImportFrom), ast.unparse(statement)
        lines += text[statement.lineno - 1 : statement.end_lineno]
    assert len(lines) <= MOST_LINES_OF_A_DOOR
    assert re.match(r'""".{20}', text[0])


@pytest.mark.parametrize("door", DOORS)
def test_no_file_bears_the_name_of_what_its_door_hands_on(door: str) -> None:
    """The name would be the function's or the file's, whichever was imported last."""
    files = {path.stem for path in DOORS[door].parent.iterdir()}
    handed = {a.asname or a.name for s in statements_of(DOORS[door]) if isinstance(s, ast.ImportFrom) for a in s.names}
    assert handed & files == set()


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


def test_no_text_is_evaluated_and_nothing_simplified() -> None:
    """Text may be a program; and SymPy's simplifications may take for ever."""
    evaluating = {"eval", "exec", "sympify", "parse_expr", "simplify", "nsimplify", "trigsimp", "powsimp", "ratsimp"}
    modules = module_names(CHECKOUT)
    found = [f"{m}:{line} {name}" for m, path in modules.items() for line, name in calls(path) if name in evaluating]
    assert found == []


def test_no_file_is_too_long() -> None:
    files = [
        *(CHECKOUT / PACKAGE).rglob("*.py"),
        *(CHECKOUT / "tests").rglob("*.py"),
        *(CHECKOUT / "templates").rglob("*.jinja"),
    ]
    lengths = {p.relative_to(CHECKOUT).as_posix(): len(p.read_text("utf-8").splitlines()) for p in files if p.is_file()}
    assert {name: lines for name, lines in lengths.items() if lines >= MOST_LINES} == {}


def test_generated_modules_import_numpy_and_nothing_else() -> None:
    """Beside what is compiled in: what is left at run time is NumPy and the standard library."""
    sources = sorted((CHECKOUT / "generated").glob("*.pyx"))
    assert len(sources) >= 1
    statement = re.compile(r"^\s*(?:from|import)\s+([A-Za-z_]\w*)", re.MULTILINE)
    imported = {top for source in sources for top in statement.findall(source.read_text("utf-8"))}
    assert imported - sys.stdlib_module_names - COMPILED_IN <= {"numpy"}


def test_loading_imports_neither_sympy_nor_cython() -> None:
    """The same wall at run time, where a lazy public name could have slipped through."""
    program = "import sys, symgrad.load; print(sorted({'sympy', 'mpmath', 'Cython', 'jinja2'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
