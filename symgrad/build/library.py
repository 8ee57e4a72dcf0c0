"""Source -> extension module: the toolchain, the cache key, Cython and the C compiler.

The only room that starts processes. Every command is an argument list (never a shell), runs in a private folder and
names its files relative to it, so that the same source gives the same library in any folder.

Cython runs as a process of its own and not inside this one: it is not safe under threads, takes 60 MB that would
never be given back, and looks at the working folder. That costs 0.3 s for each module but the first of a process.
"""

import errno
import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib import metadata, resources
from importlib.util import find_spec
from pathlib import Path

from symgrad.errors import BuildError, CompilerNotFoundError

from .processors import Version, baseline, chooser, refuse_native, this_processor, version_flags, versions_for

EXTENSION_SUFFIX: str = sysconfig.get_config_var("EXT_SUFFIX")
COMPILERS = ("cc", "gcc", "clang")
# `python -m cython`, but with few collections of garbage, a tenth of its time. Each process makes its scanner anew, a
# third of its time, most of it for letters beyond ASCII, which no name in a module's text has (but its own, perhaps).
CYTHON = (
    "import gc, sys; gc.set_threshold(3_000_000, 50, 50); import Cython.Compiler.Lexicon as lexicon; "
    "names = [name for name in dir(lexicon) if name.startswith('unicode_') and ' '.join(sys.argv).isascii()]; "
    "[setattr(lexicon, name, ''.join(filter(str.isascii, getattr(lexicon, name)))) for name in names]; "
    "from Cython.Compiler.Main import main; main(command_line=1)"
)
# The generated source asks GCC for -O3 where it counts, in the loops over lanes. All the rest, nine tenths of the
# module, handles Python objects: at -Og the compiler is done in a third of the time of -O3, in two thirds of that of
# -O1, and the loops are as fast. Clang knows no level for a single function.
LEVEL_OF_GCC, LEVEL = "-Og", "-O3"
# -w: warnings about Cython's C are nothing that a user can mend. -g0: debug information would name folders.
OPTIMISATION = ("-fno-math-errno", "-fno-trapping-math", "-DNDEBUG", "-g0", "-pipe", "-w")
# Compilers shy at vectors of 512 bits for the sake of mixed code; loops that are nothing but vector code gain a fifth.
WIDE_VECTORS = ("-mprefer-vector-width=512",) if platform.machine() in ("x86_64", "AMD64") else ()
# After the user's $CFLAGS: contraction changes bits from one processor to the next, and no guard can see it.
FIXED = ("-ffp-contract=off", "-fPIC", "-fvisibility=hidden")
SHARED = ("-bundle", "-undefined", "dynamic_lookup") if sys.platform == "darwin" else ("-shared",)
# Other variables that a compiler reads by itself.
COMPILER_VARIABLES = ("CPATH", "C_INCLUDE_PATH", "LIBRARY_PATH", "COMPILER_PATH", "GCC_EXEC_PREFIX", "SDKROOT")
UNSAFE_FLAGS = (
    "-Ofast", "-ffast-math", "-funsafe-math-optimizations", "-fassociative-math", "-freciprocal-math",
    "-ffinite-math-only", "-fno-signed-zeros", "-fsingle-precision-constant", "-mfpmath=387", "-m32", "-ffp-model=fast",
    "-fcx-limited-range",
)  # fmt: skip
INSTALL_COMPILER = """\
    Debian, Ubuntu   sudo apt install gcc libc6-dev
    Fedora, RHEL     sudo dnf install gcc glibc-devel
    Arch             sudo pacman -S gcc
    Alpine           sudo apk add gcc musl-dev
    macOS            xcode-select --install
    conda            conda install -c conda-forge c-compiler"""
HEADER_PACKAGES = {
    "Python.h": "the C headers of this Python are not installed: sudo apt install python3-dev (Debian, Ubuntu), "
    "sudo dnf install python3-devel (Fedora), sudo apk add python3-dev (Alpine)",
    "numpy/": "NumPy's C headers are not there: python -m pip install --force-reinstall numpy",
    "": "the headers of the C library are not installed: sudo apt install libc6-dev (Debian, Ubuntu), "
    "sudo dnf install glibc-devel (Fedora), sudo apk add musl-dev (Alpine), xcode-select --install (macOS)",
}


@dataclass(frozen=True)
class Toolchain:
    """Everything outside the source that decides what the compiled module is."""

    cc: tuple[str, ...]  # the start of the command; the first item is an absolute path
    version: str  # all that `cc --version` prints
    flags: tuple[str, ...]
    python: str  # version and ABI tag
    cython: str
    numpy: str
    processor: str  # with its feature flags, because of -march=native; or any of an architecture
    libc: str
    environment: tuple[tuple[str, str], ...] = ()
    versions: tuple[Version, ...] = ()  # of a portable library, the best first; none: the flags alone decide

    @classmethod
    def detect(cls, *, portable: bool = False) -> "Toolchain":
        """Find the compiler ($CC, else cc, gcc or clang on the PATH) and describe this machine.

        ``portable``: what it builds runs on other processors of the architecture too, not on this one alone. Raises
        `CompilerNotFoundError`, which names what was looked for and how to get one; `BuildError` where $CFLAGS cannot
        be split, or are for this processor and ``portable`` is asked for.
        """
        cc, cflags, machine = _find_compiler(), _split_variable("CFLAGS"), platform.machine()
        version = _compiler_version(cc)
        if portable:
            refuse_native((*cc, *cflags))
        level = LEVEL_OF_GCC if "Free Software Foundation" in version else LEVEL
        processor = baseline(machine, version) if portable else ("-march=native",)
        flags = (level, *processor, *OPTIMISATION, *WIDE_VECTORS, *cflags, *FIXED)
        return cls(
            cc=cc,
            version=version,
            flags=flags,
            python=f"{sys.version.split()[0]} {sysconfig.get_config_var('SOABI')}",
            cython=installed_version("cython"),
            numpy=installed_version("numpy"),
            processor=f"any {machine}" if portable else this_processor(),
            libc=_libc(),
            environment=tuple((name, os.environ[name]) for name in COMPILER_VARIABLES if os.environ.get(name)),
            versions=versions_for(machine, version) if portable else (),
        )

    def report(self) -> tuple[tuple[str, str], ...]:
        """What `symgrad doctor` shows: pairs of a label and a text."""
        header = python_header()
        headers = str(header) if header.is_file() else f"missing: {header} ({HEADER_PACKAGES['Python.h']})"
        return (
            ("compiler", shlex.join(self.cc)),
            ("compiler version", self.version.partition("\n")[0]),
            ("flags", shlex.join(self.flags)),
            ("Python", self.python),
            ("Python headers", headers),
            ("Cython", self.cython),
            ("NumPy", self.numpy),
            ("processor", self.processor.partition("\n")[0]),
            ("C library", self.libc),
        )


@dataclass(frozen=True)
class Built:
    """A built module: its library, its source and the log of the commands beside them."""

    name: str
    library: Path
    source: Path
    log: Path
    timings: Mapping[str, float] = field(default_factory=dict)  # seconds: "cython", "compiler"; the caller's
    rewrites: tuple[str, ...] = ()


def cache_key(fingerprint: str, dtype: str, toolchain: Toolchain) -> tuple[str, str]:
    """The key of a compiled risk, sha256 in hex, and the text that was hashed: all that can change the result."""
    text = json.dumps(
        {
            "fingerprint": fingerprint,
            "dtype": dtype,
            "symgrad": sources_digest(),
            "sympy": installed_version("sympy"),
            "jinja2": installed_version("jinja2"),
            "toolchain": asdict(toolchain),
        },
        indent=1,
        sort_keys=True,
    )
    return hashlib.sha256(text.encode()).hexdigest(), text


def build(source: str, name: str, toolchain: Toolchain, *, folder: Path) -> Built:
    """Compile the Cython text `source` to the extension module `name` inside `folder`, which exists and is private.

    Leaves NAME.pyx, NAME.log and the library there. Raises `BuildError` with the command, the first line of the error
    and the paths of the kept log and source; `OSError` where the folder cannot be written.
    """
    if not sys.executable:
        raise BuildError(
            "sys.executable is empty: this Python is embedded in a program, and Cython needs an interpreter"
        )
    folder = folder.absolute()
    pyx, log, library = folder / f"{name}.pyx", folder / f"{name}.log", folder / f"{name}{EXTENSION_SUFFIX}"
    pyx.write_text(source, encoding="utf-8", newline="\n")
    log.write_text("", encoding="utf-8")
    # With a package Cython's start-up code enters no bare name into sys.modules: a risk may be called "queue".
    cython = [sys.executable, "-P", "-X", "utf8", "-W", "ignore", "-c", CYTHON, "-3"]
    cython += ["-X", "emit_code_comments=False", "--module-name", f"_symgrad.{name}", "-o", f"{name}.c", pyx.name]
    c_file = folder / f"{name}.c"
    cython_seconds = _Step("Cython", cython, toolchain, pyx, log, c_file).run()
    compiler = [*toolchain.cc, *toolchain.flags, *_include_flags()]
    parts, seconds = _versions(compiler, c_file, toolchain, pyx, log) if toolchain.versions else ([c_file], 0.0)
    link = [*compiler, *SHARED, *(part.name for part in parts), "-o", library.name, "-lm"]
    seconds += _Step("the C compiler", link, toolchain, pyx, log, library).run()
    for file in {c_file, *parts}:
        file.unlink()
    return Built(name, library, pyx, log, {"cython": cython_seconds, "compiler": seconds})


def _versions(
    compiler: Sequence[str], c_file: Path, toolchain: Toolchain, pyx: Path, log: Path
) -> tuple[list[Path], float]:
    """What a portable library is linked of, the chooser's C text and an object for each version; seconds for these."""
    text, seconds = c_file.read_text(encoding="utf-8"), 0.0
    parts = [c_file.with_name(f"{pyx.stem}.chooser.c")]
    parts[0].write_text(chooser(text, toolchain.versions), encoding="utf-8", newline="\n")
    for version in toolchain.versions:
        made = c_file.with_name(f"{pyx.stem}.{version.name}.o")
        command = [*compiler, *version_flags(text, version), "-c", c_file.name, "-o", made.name]
        seconds += _Step("the C compiler", command, toolchain, pyx, log, made).run()
        parts.append(made)
    return parts, seconds


def build_beside(pyx: Path, toolchain: Toolchain) -> Path:
    """Build FOLDER/NAME.pyx to FOLDER/NAME<EXT_SUFFIX> and return that path.

    A library that is there already is replaced by a rename, never rewritten: processes that have it loaded keep theirs.
    """
    workshop = Path(tempfile.mkdtemp(prefix=f"symgrad-{pyx.stem}-"))  # stays when the build fails: the log is in it
    built = build(pyx.read_text(encoding="utf-8"), pyx.stem, toolchain, folder=workshop)
    target = pyx.absolute().parent / built.library.name
    descriptor, fresh = tempfile.mkstemp(prefix=f".{pyx.stem}-", suffix=".tmp", dir=target.parent)
    os.close(descriptor)
    try:
        shutil.copy(built.library, fresh)  # with its mode: a library is executable, and mkstemp's files are not
        os.replace(fresh, target)
    except BaseException:
        os.unlink(fresh)
        raise
    shutil.rmtree(workshop, ignore_errors=True)
    return target


@cache
def sources_digest() -> str:
    """sha256 in hex of symgrad's own modules and templates, names included."""
    digest = hashlib.sha256()
    for package, suffix in (("symgrad", ".py"), ("symgrad.templates", ".jinja")):
        for file in sorted((root := Path(str(resources.files(package)))).rglob(f"*{suffix}")):
            content = file.read_bytes()
            digest.update(f"{package}/{file.relative_to(root).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def installed_version(distribution: str) -> str:
    """The version of an installed distribution, found without importing it."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"


def python_header() -> Path:
    """Where Python.h should be."""
    return Path(sysconfig.get_path("include")) / "Python.h"


# --- the toolchain -----------------------------------------------------------------------------------------------


def _split_variable(name: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(os.environ.get(name, "")))
    except ValueError as error:
        raise BuildError(f"${name} is {os.environ[name]!r}, which cannot be split into arguments: {error}") from None


def _find_compiler() -> tuple[str, ...]:
    wanted = _split_variable("CC")
    for name in wanted[:1] or COMPILERS:
        path = shutil.which(name)
        if path is not None:
            return (os.path.abspath(path), *wanted[1:])
    looked = f"$CC is {os.environ['CC']!r}: {wanted[0]!r}" if wanted else f"$CC is not set: {', '.join(COMPILERS)}"
    raise CompilerNotFoundError(
        f"no C compiler was found. {looked} was looked for on PATH={os.environ.get('PATH', '')!r}. "
        f"Install one, or set CC to the path of one:\n{INSTALL_COMPILER}"
    )


def _compiler_version(cc: Sequence[str]) -> str:
    command = [*cc, "--version"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, env=_environment(), timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CompilerNotFoundError(
            f"the C compiler does not run: {shlex.join(command)}: {error}. "
            f"Set CC to one that works, or install one:\n{INSTALL_COMPILER}"
        ) from None
    return done.stdout.decode(errors="replace").strip()


def _libc() -> str:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or "unknown"
    except (ValueError, OSError, AttributeError):
        return f"{sys.platform} {os.uname().release}" if sys.platform == "darwin" else "not glibc"


def _include_flags() -> list[str]:
    paths = [sysconfig.get_path("include"), sysconfig.get_path("platinclude")]
    numpy = find_spec("numpy")  # not an import: what is needed is only the folder
    for folder in (numpy and numpy.submodule_search_locations) or []:
        paths += [os.path.join(folder, core, "include") for core in ("_core", "core")]  # NumPy 2, NumPy 1
    return [f"-I{path}" for path in dict.fromkeys(paths) if os.path.isdir(path)]


def _environment() -> dict[str, str]:
    """English messages, and the same C text from Cython whatever the hash seed of this process."""
    return {**os.environ, "LC_ALL": "C", "PYTHONHASHSEED": "0"}


# --- one command, and what is said when it fails -------------------------------------------------------------------


@dataclass(frozen=True)
class _Step:
    who: str
    command: Sequence[str]
    toolchain: Toolchain
    source: Path
    log: Path
    product: Path

    def run(self) -> float:
        """Run the command in the source's folder and return the seconds it took."""
        start = time.perf_counter()
        status, output = self._call()
        seconds = time.perf_counter() - start
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"$ {shlex.join(self.command)}\n{output}\n[exit status {status}]\n")
        if status != 0 and "No space left on device" in output:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.source.parent))  # another folder may do
        if status != 0:
            raise self._failure(_status_text(status), output)
        if not self.product.is_file() or self.product.stat().st_size == 0:
            raise self._failure(f"ended as if all were well, but wrote no {self.product.name}", output)
        return seconds

    def _call(self) -> tuple[int, str]:
        try:
            done = subprocess.run(
                self.command, cwd=self.source.parent, env=_environment(), check=False,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
        except OSError as error:
            raise self._failure(f"could not be started: {error}", "") from error
        return done.returncode, done.stdout.decode(errors="replace")

    def _failure(self, what: str, output: str) -> BuildError:
        lines = [
            f"{self.who} failed on {self.source.name}: {what}",
            f"  first error: {first_error(output)}",
            *(f"  next step:   {hint}" for hint in _hints(output, self.toolchain)),
            f"  command:     {shlex.join(self.command)}",
            f"  log:         {self.log}",
            f"  source:      {self.source}",
        ]
        return BuildError("\n".join(lines))


def first_error(output: str) -> str:
    """The line of a compiler's output that tells what is wrong."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    cython = [line for line in lines if re.match(r"[^\s:]+\.(pyx|pxd|pxi):\d+:\d+: (?!.*is deprecated)", line)]
    compiler = [line for line in lines if re.search(r"\b(error|Error)\b.*:|: undefined reference", line)]
    return (cython or compiler or lines or ["nothing was printed"])[0]


def _status_text(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


def _hints(output: str, toolchain: Toolchain) -> list[str]:
    hints = []
    header = re.search(r"fatal error: '?([\w./+-]+\.h)'?(?:: No such file| file not found)", output)
    if header:
        package = next(advice for start, advice in HEADER_PACKAGES.items() if header[1].startswith(start))
        hints.append(f"{header[1]}: {package}")
    if "#error" in output:
        hints.append(_flag_hint(toolchain))
    if "No module named 'Cython'" in output:
        hints.append("install Cython: python -m pip install cython")
    if re.search(r"scipy.*(not found|not a cimported)", output):
        hints.append('this risk needs functions of SciPy: python -m pip install "symgrad[scipy]"')
    if re.search(r"Killed|out of memory|cannot allocate memory", output, re.IGNORECASE):
        hints.append("the machine ran out of memory: close other programs, or declare a smaller model")
    return hints


def _flag_hint(toolchain: Toolchain) -> str:
    unsafe = [flag for flag in (*toolchain.cc, *toolchain.flags) if flag in UNSAFE_FLAGS]
    if not unsafe:
        return "$CC and $CFLAGS have no such flag: the compiler adds it by itself; set CC to another compiler"
    return f"take {' and '.join(unsafe)} out of $CFLAGS (or $CC): it gives up the exact results that symgrad promises"
