"""`symgrad generate` and `symgrad check`: a folder of generated modules, written and compared."""

import difflib
import fcntl
import os
import shlex
import shutil
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from symgrad.build import EXTENSION_SUFFIX, Toolchain
from symgrad.declare import EmpiricalRisk
from symgrad.errors import SymgradError
from symgrad.pipeline import DTYPES, Generated, build_all
from symgrad.pipeline import generate as generate_text
from symgrad.progress import progress, telling
from symgrad.render import SWEEPS, render_sweep

from .curvature import More, curvature
from .source import read_risks

MARK = "# Written by symgrad. "  # stands in the first lines of every generated file
GALLERY = "symgrad.gallery"
_STAGING = ".symgrad-"  # start of the name of the folder that a run writes to first
_YOUNG = 60.0  # seconds: one that is younger may not be locked yet
_PACKAGE = '"""Modules written by `symgrad generate`: declare anew instead of editing them."""\n'
_LONGEST_DIFFERENCE = 200  # lines of a unified diff that are shown of one file


class OutputError(SymgradError):
    """The folder to write to holds, or is, something that must not be overwritten."""


# --- generate ------------------------------------------------------------------------------------------------------


def generate(arguments: Namespace) -> int:
    """Write every risk of the sources as a module of its own, all or none, and say how to import them."""
    folder = Path(arguments.output)
    toolchain = None if arguments.no_build else Toolchain.detect(portable=arguments.portable)
    risks, made, more = _generate_all(arguments.source, arguments)
    texts = _texts({**made, **more.generated}) | more.files
    _check_room(folder, list(texts))
    package = folder / "__init__.py"
    with _made(folder), _staging(folder) as staging:
        for name, text in texts.items():
            (staging / name).write_text(text, encoding="utf-8", newline="\n")
        if toolchain is not None:
            _build_all(risks, made, more, arguments.dtype, toolchain, staging)
        if not package.exists():
            (staging / package.name).write_text(_PACKAGE, encoding="utf-8")
        stale = (
            _stale_libraries(folder, staging, [*made, *more.generated], SWEEPS[arguments.dtype])
            if toolchain is None
            else []
        )
        _publish(staging, folder)
    for library in stale:
        library.unlink()
        print(f"removed {library}, which was built from other source")
    for name, generated in made.items():
        print(_account(folder / f"{name}.pyx", generated))
    print(f"{', '.join(str(folder / f'{name}.pyx') for name in SWEEPS.values())}: what they all run on")
    if arguments.portable and toolchain is not None:
        print(_processors(toolchain))
    print(_how_to_import(folder, list(made)) if toolchain else "Not built (--no-build).")
    return 0


def _texts(made: Mapping[str, Generated]) -> dict[str, str]:
    """Return the text of each file of the folder, by its name: the sweeps, the same for all risks, and the models."""
    texts = {**{SWEEPS[dtype]: render_sweep(dtype) for dtype in DTYPES}, **{name: g.source for name, g in made.items()}}
    return {f"{name}.pyx": text for name, text in texts.items()}


def _generate_all(
    sources: Sequence[str], arguments: Namespace
) -> tuple[tuple[EmpiricalRisk, ...], dict[str, Generated], More]:
    """Return the risks, what is generated for each, by its name, and what is asked for beside that."""
    risks, made = read_risks(sources), dict[str, Generated]()
    for risk in risks:
        with telling(f"generating {risk.name}"):
            made[risk.name] = generate_text(risk, dtype=arguments.dtype, limit=arguments.limit or None)
    more = curvature(risks, arguments.dtype, arguments.limit or None) if arguments.more else More()
    return risks, made, more


def _check_room(folder: Path, names: Sequence[str]) -> None:
    """Refuse to write over what symgrad has not written."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"-o {folder} is a file, expected a folder; name another")
    for name in names:
        path = folder / name
        if path.exists() and not _is_ours(path):
            cure = "move it, or name another folder: -o DIR"
            raise OutputError(f"{path} was not written by symgrad and would be lost; {cure}")


def _is_ours(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8") as file:
            return any(line.startswith(MARK) for line in (file.readline() for _ in range(8)))
    except (OSError, UnicodeDecodeError):
        return False


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """A folder that is there, and gone again if it was not there before and what follows fails."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"-o {folder} cannot be made ({error}); name another folder, that you can write") from None
    try:
        yield
    except BaseException:
        with suppress(OSError):  # somebody else has put something into it
            for path in new:
                path.rmdir()
        raise


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """A folder on the same file system, from which files get to their places by renames."""
    _sweep_stagings(folder)
    staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=folder))
    held = os.open(staging, os.O_RDONLY)
    try:
        with suppress(OSError):  # a disk without locks: there nothing is swept either
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        os.close(held)


def _sweep_stagings(folder: Path) -> None:
    """Remove what runs that were killed left behind: a living one holds the lock of its folder, once it is old."""
    for staging in folder.glob(f"{_STAGING}*"):
        with suppress(OSError):
            if time.time() - staging.stat().st_mtime < _YOUNG:
                continue
            held = os.open(staging, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(staging, ignore_errors=True)
            finally:
                os.close(held)


def _build_all(
    risks: Sequence[EmpiricalRisk],
    made: Mapping[str, Generated],
    more: More,
    dtype: str,
    toolchain: Toolchain,
    staging: Path,
) -> None:
    """Put the library of each risk into ``staging``: what is in the cache is not built again."""
    start, many = time.monotonic(), len(risks) + len(more.of)
    given = {"more": more.of} if more.of else {}
    with progress() as line:
        line.say(f"building {many} modules" if many > 1 else f"building {risks[0].name}")
        for again in (True, True, False):
            libraries = build_all(
                risks, {**made, **more.generated}, dtype, toolchain, lambda n: line.say(f"built {n} of {many}"), **given
            )
            try:
                for library in libraries.values():
                    shutil.copy(library, staging)  # with its mode: a library is executable
                break
            except FileNotFoundError:  # another process clears the cache
                if not again:
                    raise
    print(f"built {many} module{'s' * (many > 1)} in {time.monotonic() - start:.1f} s")


def _stale_libraries(folder: Path, staging: Path, names: Iterable[str], sweep: str) -> list[Path]:
    """Return the libraries that will not belong to their source any more: the model's, or that of its sweep."""

    def differs(name: str) -> bool:
        old, new = folder / f"{name}.pyx", staging / f"{name}.pyx"
        return not old.exists() or old.read_bytes() != new.read_bytes()

    libraries = {name: folder / f"{name}{EXTENSION_SUFFIX}" for name in names}
    return [file for name, file in libraries.items() if file.exists() and (differs(name) or differs(sweep))]


def _publish(staging: Path, folder: Path) -> None:
    """Libraries first: a reader never meets new source with an old library."""
    for path in sorted(staging.iterdir(), key=lambda path: path.suffix in (".pyx", ".py")):
        os.replace(path, folder / path.name)


def _account(path: Path, generated: Generated) -> str:
    counts = generated.kernel.counts
    lines = generated.source.count("\n")
    cost = f"for each sample {counts['loss']} operations for the loss, {counts['gradient']} with its gradient"
    return f"{path}: {lines} lines; {cost}"


def _processors(toolchain: Toolchain) -> str:
    """What a portable build runs on."""
    names = ", ".join(version.name for version in toolchain.versions)
    how = f"in versions for {names}" if names else "in one version: what this compiler makes by itself"
    return f"runs on {toolchain.processor} processor, {how}"


def _how_to_import(folder: Path, names: Sequence[str]) -> str:
    """The line to write, and from where, if that is not here."""
    parts = [folder.resolve().name]
    above = folder.resolve().parent
    while (above / "__init__.py").is_file() and above.name.isidentifier():
        parts.insert(0, above.name)
        above = above.parent
    statement = f"from {'.'.join(parts)} import {', '.join(names[:4])}{', ...' if len(names) > 4 else ''}"
    if not all(part.isidentifier() for part in parts):
        return f"{folder} is no name for a Python package: put it on sys.path, then `import {names[0]}`"
    where = "" if above == Path.cwd().resolve() else f" (in {above}, or with that folder on sys.path)"
    return f"{statement}{where}"


# --- check ---------------------------------------------------------------------------------------------------------


def check(arguments: Namespace) -> int:
    """Show where the folder differs from what would be generated now: 0 if nowhere, else 1."""
    folder = Path(arguments.output)
    sources = arguments.source or [GALLERY]
    _, made, more = _generate_all(sources, arguments)
    texts = _texts({**made, **more.generated}) | more.files
    chosen = any(":" in source for source in sources)
    superfluous = [] if chosen else sorted(_ours(folder) - {folder / name for name in texts})
    differing = 0
    for name, text in texts.items():
        difference = _difference(folder / name, text)
        differing += bool(difference)
        for line in difference:
            print(line)
    for path in superfluous:
        print(f"{path}: no risk of {', '.join(sources)} makes it")
    if not differing and not superfluous:
        print(f"{folder}: {len(texts)} file{'s' * (len(texts) > 1)} in step with {', '.join(sources)}")
        return 0
    _say_how_to_mend(arguments, sources, differing, superfluous)
    return 1


def _ours(folder: Path) -> set[Path]:
    return {path for path in (*folder.glob("*.pyx"), *folder.glob("*_curvature.py")) if _is_ours(path)}


def _difference(path: Path, wanted: str) -> list[str]:
    """Lines that say in which way a file is not what it should be; none if it is."""
    if not path.is_file():
        return [f"{path}: missing"]
    there = path.read_bytes()
    if there == wanted.encode():
        return []
    standing = there.decode("utf-8", errors="backslashreplace")
    lines = [
        line.rstrip("\n")
        for line in difflib.unified_diff(
            standing.splitlines(keepends=True), wanted.splitlines(keepends=True), str(path), f"{path} (generated now)"
        )
    ]
    if not lines:
        return [f"{path}: differs in its line ends alone"]
    shown = lines[:_LONGEST_DIFFERENCE]
    return shown + ([f"... {len(lines) - len(shown)} more lines"] if len(lines) > len(shown) else [])


def _say_how_to_mend(arguments: Namespace, sources: Sequence[str], differing: int, superfluous: Sequence[Path]) -> None:
    print()
    if not arguments.source:
        print(f"(No SOURCE was named, so this compared with {GALLERY}.)")
    if differing:
        dtype = [] if arguments.dtype == "float64" else ["--dtype", arguments.dtype]
        more = ["--with", "curvature"] if arguments.more else []
        command = shlex.join(["symgrad", "generate", *sources, "-o", arguments.output, *dtype, *more])
        which = f"{differing} files are" if differing > 1 else "1 file is"
        other = {"float64": "float32", "float32": "float64"}[arguments.dtype]
        print(f"{which} missing or out of step. To mend that: {command}")
        print(f"(Compared with what --dtype {arguments.dtype} gives; were they written with --dtype {other}?)")
    if superfluous:
        libraries = [p for p in (path.with_name(path.stem + EXTENSION_SUFFIX) for path in superfluous) if p.exists()]
        command = shlex.join(["rm", *map(str, [*superfluous, *libraries])])
        which = f"{len(superfluous)} files are" if len(superfluous) > 1 else "1 file is"
        print(f"{which} made by no risk. To mend that: {command}")
        if not arguments.more and any(path.name.endswith("_curvature.py") for path in superfluous):
            print("(Were they written with --with curvature? Then compare with that.)")
