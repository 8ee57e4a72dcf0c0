"""The toolchain: the C compiler, its flags, and all else outside a source that decides what is made of it."""

import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from symgrad.errors import BuildError, CompilerNotFoundError

from .identity import identities
from .processors import Version, baseline, refuse_native, this_processor, versions_for
from .ulimits import limit_behind

COMPILERS = ("cc", "gcc", "clang")
# The generated source asks GCC for -O3 where it counts, in the loops over lanes. The rest handles Python objects: at
# -Og the compiler takes 0.22 s for a model where -O3 takes 0.42, and 2.6 s for the sweep where -O3 takes 7.7 and -O1
# 3.8, and the loops are as fast. Clang knows no level for a single function.
LEVEL_OF_GCC, LEVEL = "-Og", "-O3"
# -w: warnings about Cython's C are nothing that a user can mend. -g0: debug information would name folders.
OPTIMISATION = ("-fno-math-errno", "-fno-trapping-math", "-DNDEBUG", "-g0", "-pipe", "-w")
# Compilers shy at vectors of 512 bits for the sake of mixed code; loops that are nothing but vector code gain a fifth.
WIDE_VECTORS = ("-mprefer-vector-width=512",) if platform.machine() in ("x86_64", "AMD64") else ()
# After the user's $CFLAGS: contraction changes bits from one processor to the next, and no guard can see it.
FIXED = ("-ffp-contract=off", "-fPIC", "-fvisibility=hidden")
# Other variables that a compiler reads by itself.
COMPILER_VARIABLES = (
    "CPATH",
    "C_INCLUDE_PATH",
    "LIBRARY_PATH",
    "COMPILER_PATH",
    "GCC_EXEC_PREFIX",
    "SDKROOT",
    "LD_RUN_PATH",
)
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
    files: tuple[tuple[str, str], ...] = ()  # what the programs and forced headers are, by their paths
    versions: tuple[Version, ...] = ()  # of a portable library, the best first; none: the flags alone decide

    @classmethod
    def detect(cls, *, portable: bool = False) -> "Toolchain":
        """Return this machine's toolchain: the compiler is $CC, else cc, gcc or clang on the PATH.

        ``portable``: what it builds runs on other processors of the architecture too, not on this one alone. Raises
        `CompilerNotFoundError`, which names what was looked for and how to get one; `BuildError` where $CFLAGS cannot
        be split, or are for this processor and ``portable`` is asked for.
        """
        cc, cflags, machine = _find_compiler(), _split_variable("CFLAGS"), platform.machine()
        version = _compiler_version(cc)
        if portable:
            refuse_native((*cc, *cflags))
        level = LEVEL_OF_GCC if _is_gcc(version) else LEVEL
        processor = baseline(machine, version) if portable else ("-march=native",)
        flags = (level, *processor, *OPTIMISATION, *WIDE_VECTORS, *cflags, *FIXED)
        return cls(
            cc=cc,
            version=version,
            flags=flags,
            cython=installed_version("cython"),
            **{**surroundings(), **({"processor": f"any {machine}"} if portable else {})},
            libc=_libc(),
            environment=tuple((name, os.environ[name]) for name in COMPILER_VARIABLES if os.environ.get(name)),
            files=identities(cc, cflags),
            versions=versions_for(machine, version) if portable else (),
        )

    @property
    def is_gcc(self) -> bool:
        """Whether the compiler is GCC."""
        return _is_gcc(self.version)

    def report(self) -> tuple[tuple[str, str], ...]:
        """Return what `symgrad doctor` shows: pairs of a label and a text."""
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


def surroundings() -> dict[str, str]:
    """Return the fields of a toolchain that a module has to be built for, by whatever compiler, to run here."""
    return {
        "python": f"{sys.version.split()[0]} {sysconfig.get_config_var('SOABI')}",
        "numpy": installed_version("numpy"),
        "processor": this_processor(),
    }


def _is_gcc(version: str) -> bool:
    return "Free Software Foundation" in version


def installed_version(distribution: str) -> str:
    """Return the version of an installed distribution, found without importing it."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"


def python_header() -> Path:
    """Return where Python.h should be."""
    return Path(sysconfig.get_path("include")) / "Python.h"


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
            command, stdin=subprocess.DEVNULL, capture_output=True, env=build_environment(), timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        limit = limit_behind(str(error))
        if limit:
            raise BuildError(f"the C compiler could not be started: {shlex.join(command)}: {error}; {limit}") from None
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


def build_environment() -> dict[str, str]:
    """Return the environment of a command: English messages, and one hash seed, as Cython's text depends on it.

    A Python that ignores the environment (`python -I` or `-E`) hands nothing of it on to the Pythons that it starts.
    """
    ignoring = sys.flags.ignore_environment
    inherited = {name: text for name, text in os.environ.items() if not (ignoring and name.startswith("PYTHON"))}
    return {**inherited, "LC_ALL": "C", "PYTHONHASHSEED": "0"}
