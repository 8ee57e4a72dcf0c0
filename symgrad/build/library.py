"""Source -> extension module: the cache's keys, Cython and the C compiler. The only room that starts processes.

A model's library holds two modules: the model, and the sweep that it runs on. The sweep is compiled once for a
toolchain, to an object that is kept in the cache and linked into each library: a library is one file that needs NumPy
alone.

Cython runs as a process of its own and not inside this one: it is not safe under threads, takes 60 MB that would never
be given back, and looks at the working folder. To start it costs 0.3 s, so that it is kept for a while (`translator`).
"""

import hashlib
import json
import os
import shutil
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path

from symgrad.errors import BuildError

from . import translator
from .command import Step, StoppedError, run_compiler
from .processors import chooser, version_flags
from .toolchain import Toolchain, installed_version, surroundings
from .translator import start_translator as start_translator

EXTENSION_SUFFIX: str = sysconfig.get_config_var("EXT_SUFFIX")
SHARED = ("-bundle", "-undefined", "dynamic_lookup") if sys.platform == "darwin" else ("-shared",)
TO_OBJECT = ("-c",)
# The sweep is long: GCC's link-time optimisation makes its object in four pieces, on two cores in 1.8 s instead of 2.5.
IN_PIECES = ("-flto=auto", "-r", "-nostdlib", "-flinker-output=nolto-rel", "--param", "lto-partitions=4")


@dataclass(frozen=True)
class Built:
    """What was built: a library (of the sweep: an object to link), its source and the log of the commands."""

    name: str
    library: Path
    source: Path
    log: Path
    timings: Mapping[str, float] = field(default_factory=dict)  # seconds: "cython", "compiler"; the caller's
    rewrites: tuple[str, ...] = ()


def cache_key(fingerprint: str, dtype: str, toolchain: Toolchain) -> tuple[str, str]:
    """Return the key of a compiled risk, sha256 in hex, and the hashed text: all that can change the result."""
    return _hashed({**_declared(fingerprint, dtype), "toolchain": asdict(toolchain)})


def likeness(fingerprint: str, dtype: str) -> dict[str, object]:
    """Return what a key's text has to have for its module to be right here, whichever compiler built it."""
    return {**_declared(fingerprint, dtype), "toolchain": surroundings()}


def _declared(fingerprint: str, dtype: str) -> dict[str, object]:
    return {
        "fingerprint": fingerprint,
        "dtype": dtype,
        "symgrad": sources_digest(),
        "sympy": installed_version("sympy"),
        "jinja2": installed_version("jinja2"),
    }


def sweep_key(dtype: str, toolchain: Toolchain) -> tuple[str, str]:
    """Return the key of the compiled sweep of a dtype, and the text that was hashed."""
    return _hashed(
        {
            "sweep": dtype,
            "symgrad": _digest(
                ("symgrad.templates", "*.jinja"), ("symgrad", "build/*.py"), ("symgrad", "render/environment.py")
            ),
            "jinja2": installed_version("jinja2"),
            "toolchain": asdict(toolchain),
        }
    )


def _hashed(content: Mapping[str, object]) -> tuple[str, str]:
    text = json.dumps(content, indent=1, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest(), text


def build(
    source: str,
    name: str,
    toolchain: Toolchain,
    *,
    folder: Path,
    sweep: Callable[[], Path] | None = None,
) -> Built:
    """Return the extension module ``name``, compiled from the Cython text ``source`` in ``folder``, which is private.

    ``sweep`` returns the compiled sweep that is linked in, and is asked for it last: it may be built meanwhile.
    Leaves NAME.pyx, NAME.log and the library in the folder. Raises `BuildError` with the command, the first line of the
    error and the paths of the kept log and source; `OSError` where the folder cannot be written.
    """
    work = _Workshop(name, toolchain, folder.absolute())
    work.begin(source)
    work.translate()
    parts = work.compile()
    if sweep is not None:
        parts.append(Path(shutil.copy(sweep(), work.folder / "sweep.o")))
    library = work.folder / f"{name}{EXTENSION_SUFFIX}"
    work.link([*SHARED, *(part.name for part in parts), "-o", library.name, "-lm"], library)
    return work.done(library, parts)


def build_sweep(source: str, name: str, toolchain: Toolchain, *, folder: Path) -> Built:
    """Return the sweep ``name``, compiled in ``folder`` to one object to link with. Errors as for `build`."""
    # Pieces share names that must be each object's own: of a portable library's objects, one for each version.
    to_object = IN_PIECES if toolchain.is_gcc and not toolchain.versions else TO_OBJECT
    work = _Workshop(name, toolchain, folder.absolute(), to_object)
    work.begin(source)
    work.translate()
    try:
        parts = work.compile()
    except BuildError as error:
        if work.to_object == TO_OBJECT or isinstance(error, StoppedError):
            raise
        work.to_object = TO_OBJECT  # this GCC cannot work in pieces: it was built without, or lacks its plugin
        parts = work.compile()
    if len(parts) == 1:
        return work.done(parts[0], [])
    together = work.folder / f"{name}.o"
    work.link(["-r", "-nostdlib", *(part.name for part in parts), "-o", together.name], together)
    return work.done(together, parts)


class _Workshop:
    """The steps of a build in one folder, and the seconds that they take."""

    def __init__(self, name: str, toolchain: Toolchain, folder: Path, to_object: tuple[str, ...] = TO_OBJECT) -> None:
        self.to_object = to_object
        self.name, self.toolchain, self.folder = name, toolchain, folder
        self.pyx, self.log, self.c_file = (folder / f"{name}{suffix}" for suffix in (".pyx", ".log", ".c"))
        self.seconds = {"cython": 0.0, "compiler": 0.0}

    def begin(self, source: str) -> None:
        self.pyx.write_text(source, encoding="utf-8", newline="\n")
        self.log.write_text("", encoding="utf-8")

    def translate(self) -> None:
        # With a package Cython's start-up code enters no bare name into sys.modules: a risk may be called "queue".
        files = [f"_symgrad.{self.name}={self.pyx.name}"]

        def call(step: Step) -> tuple[int, str]:
            return translator.translate(self.folder, files)

        step = Step("Cython", translator.cython_command(files), self.toolchain, self.pyx, self.log, self.c_file, call)
        self.seconds["cython"] += step.run()

    def compile(self) -> list[Path]:
        """Compile the C file; return the objects: one or, for a portable library, the chooser and one a version."""
        if not self.toolchain.versions:
            return [self._object(self.c_file, self.name)]
        text = self.c_file.read_text(encoding="utf-8")
        choosing = self.folder / f"{self.name}.chooser.c"
        choosing.write_text(chooser(text, self.toolchain.versions), encoding="utf-8", newline="\n")
        parts = [self._object(choosing, f"{self.name}.chooser")]
        for version in self.toolchain.versions:
            parts.append(self._object(self.c_file, f"{self.name}.{version.name}", version_flags(text, version)))
        choosing.unlink()
        return parts

    def _object(self, c_file: Path, name: str, flags: Sequence[str] = ()) -> Path:
        made = self.folder / f"{name}.o"
        self._run([*flags, *_include_flags(), *self.to_object, c_file.name, "-o", made.name], made)
        return made

    def link(self, arguments: Sequence[str], product: Path) -> None:
        self._run(arguments, product)

    def _run(self, arguments: Sequence[str], product: Path) -> None:
        command = [*self.toolchain.cc, *self.toolchain.flags, *arguments]
        step = Step("the C compiler", command, self.toolchain, self.pyx, self.log, product, run_compiler)
        self.seconds["compiler"] += step.run()

    def done(self, library: Path, parts: Sequence[Path]) -> Built:
        """Return what was built, alone with its source and log."""
        for file in {self.c_file, *parts}:
            file.unlink()
        return Built(self.name, library, self.pyx, self.log, self.seconds)


@cache
def sources_digest() -> str:
    """Return the sha256 in hex of symgrad's own modules and templates, names included."""
    return _digest(("symgrad", "*.py"), ("symgrad.templates", "*.jinja"))


def _digest(*packages: tuple[str, str]) -> str:
    digest = hashlib.sha256()
    for package, pattern in packages:
        for file in sorted((root := Path(str(resources.files(package)))).rglob(pattern)):
            content = file.read_bytes()
            digest.update(f"{package}/{file.relative_to(root).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _include_flags() -> list[str]:
    paths = [sysconfig.get_path("include"), sysconfig.get_path("platinclude")]
    return [f"-I{path}" for path in dict.fromkeys(paths) if os.path.isdir(path)]
