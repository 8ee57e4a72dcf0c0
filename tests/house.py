"""The house that the package is: ``python -m tests.house`` draws its floors, and counts rooms, arrows and circles.

A *room* is a folder or a module at the top of ``symgrad/``. An *arrow* leads from a room to one that it imports. A room
stands one floor above the highest one that it imports. An arrow that does not lead down is part of a circle.
Everything is read from the source with ``ast``; what is imported by a computed name is not among the arrows.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
PACKAGE = "symgrad"

# Packages that only some functions need are imported where they are used: (module, what it imports).
EXTRAS = {
    (f"{PACKAGE}.{module}", library)
    for module, libraries in (
        ("data.columns", "narwhals.stable.v1"),
        ("data.tables", "pyarrow.csv pyarrow.dataset pandas"),
        ("designs", "formulaic formulaic.errors"),
        ("fitting.extras", "scipy.optimize scipy.stats matplotlib.figure tqdm iminuit"),
    )
    for library in libraries.split()
}


@dataclass(frozen=True)
class Import:
    """One import statement: the module it names, the names it takes from it, and where it stands."""

    module: str
    names: tuple[str, ...]
    line: int
    in_function: bool


Tree = Mapping[str, tuple[Import, ...]]


def module_names(root: Path) -> dict[str, Path]:
    """Return every module of the package below ``root`` by its dotted name."""
    found = {}
    for path in sorted((root / PACKAGE).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def read_tree(root: Path) -> Tree:
    """Return the imports of every module below ``root``."""
    modules = module_names(root)
    return {name: tuple(_imports(name, path, modules)) for name, path in modules.items()}


def _imports(name: str, path: Path, modules: Mapping[str, Path]) -> Iterator[Import]:
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    work: list[tuple[ast.AST, bool]] = [(ast.parse(path.read_text(encoding="utf-8"), str(path)), False)]
    while work:
        node, in_function = work.pop()
        in_function = in_function or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, (), node.lineno, in_function) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(package, node.level, node.module)
            taken: dict[str, list[str]] = {}
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                taken.setdefault(inner if inner in modules else base, []).append(alias.name)
            yield from (Import(module, tuple(names), node.lineno, in_function) for module, names in taken.items())
        work += [(child, in_function) for child in ast.iter_child_nodes(node)]


def _absolute(package: str, level: int, module: str | None) -> str:
    above = package.split(".")[: len(package.split(".")) - (level - 1)] if level else []
    return ".".join([*above, *([module] if module else [])])


def room(module: str) -> str:
    """Return the room that a module of the package belongs to: ``gallery`` for ``symgrad.gallery.nist``."""
    return module.split(".")[1] if "." in module else "__init__"


@dataclass(frozen=True)
class House:
    """Rooms and arrows: ``sees`` holds for each room those that it imports."""

    sees: Mapping[str, frozenset[str]]

    @property
    def arrows(self) -> tuple[tuple[str, str], ...]:
        """Every arrow, as (from, to)."""
        return tuple((here, there) for here in sorted(self.sees) for there in sorted(self.sees[here]))

    @cached_property
    def circles(self) -> tuple[tuple[str, ...], ...]:
        """The groups of two or more rooms that all reach one another."""
        reach = {here: self._reached(here) for here in self.sees}
        groups = {tuple(sorted(other for other in reach[here] if here in reach[other])) for here in self.sees}
        return tuple(sorted(group for group in groups if len(group) > 1))

    @cached_property
    def floors(self) -> Mapping[str, int]:
        """The floor of each room, from 1; the rooms of a circle share theirs."""
        group = {here: frozenset((here,)) for here in self.sees}
        group |= {here: frozenset(circle) for circle in self.circles for here in circle}
        floors: dict[str, int] = {}
        while len(floors) < len(self.sees):
            for here in self.sees:
                below = {there for member in group[here] for there in self.sees[member]} - group[here]
                if here not in floors and below <= floors.keys():
                    floors |= dict.fromkeys(group[here], 1 + max((floors[there] for there in below), default=0))
        return floors

    @property
    def back_up(self) -> tuple[tuple[str, str], ...]:
        """The arrows that do not lead to a lower floor."""
        return tuple((here, there) for here, there in self.arrows if self.floors[there] >= self.floors[here])

    def _reached(self, start: str) -> frozenset[str]:
        seen, work = set[str](), [start]
        while work:
            fresh = self.sees[work.pop()] - seen
            seen |= fresh
            work += fresh
        return frozenset(seen)

    def __str__(self) -> str:
        lines = []
        for floor in range(max(self.floors.values()), 0, -1):
            for here in sorted(name for name, level in self.floors.items() if level == floor):
                lines.append(f"floor {floor}  {here:<14}{' '.join(sorted(self.sees[here]))}".rstrip())
        counted = f"{len(self.sees)} rooms, {max(self.floors.values())} floors, {len(self.arrows)} arrows"
        return "\n".join([*lines, f"{counted}, {len(self.back_up)} back up, {len(self.circles)} circles"])


def house_of(tree: Tree) -> House:
    """Return the rooms of a package and the arrows between them."""
    sees: dict[str, set[str]] = {room(module): set() for module in tree}
    for module, imports in tree.items():
        sees[room(module)] |= {room(found.module) for found in imports if found.module in tree} - {room(module)}
    return House({here: frozenset(there) for here, there in sees.items()})


if __name__ == "__main__":
    print(house_of(read_tree(CHECKOUT)))
