"""Processors: which one this is, and libraries that run on every one of an architecture.

A portable library has the whole module in several versions, each compiled with flags of its own. So all that the C text
makes of the processor's macros (how wide its vectors are, which functions of the vector library it calls) holds in each
of them, and each loop is compiled as it would be for one processor alone. The chooser, a C file beside them, has the
function that Python calls when it imports the module: it asks the processor, and starts the best version that this one
can run. Nothing is asked later.
"""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from symgrad.errors import BuildError

_START = re.compile(r"^__Pyx_PyMODINIT_FUNC (PyInitU?_\w+)\(void\)", re.MULTILINE)
_GLOBAL = re.compile(r"^int (__pyx_module_is_main_\w+) = 0;", re.MULTILINE)
CPUINFO_LABELS = (
    "model name", "vendor_id", "cpu family", "model", "stepping", "flags", "Features", "CPU part", "CPU variant",
)  # fmt: skip
_OF_THIS_MACHINE = re.compile(r"-m(arch|cpu|tune)=native")


@dataclass(frozen=True)
class Version:
    """A version of a module: its name, and what a processor must have to run it, as GCC and Clang spell it."""

    name: str
    features: tuple[str, ...]
    tuning: tuple[str, ...] = ()

    @property
    def flags(self) -> tuple[str, ...]:
        """What is compiled in: exactly what is asked for, and none of the rest that "-march=x86-64-v3" would bring."""
        return (*(f"-m{feature}" for feature in self.features), *self.tuning)

    @property
    def condition(self) -> str:
        """A condition in C: can this processor, and the system on it, run this version?"""
        return " && ".join(f'__builtin_cpu_supports("{feature}")' for feature in self.features) or "1"


_AVX512 = ("avx2", "fma", "avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl")
# The best first. Tuned for no processor in particular, loops over vectors of 512 bits are 3 % slower.
VERSIONS = (
    Version("avx512", _AVX512, ("-mtune=icelake-server",)),
    Version("avx2", ("avx2", "fma")),
    Version("sse2", ()),
)


def this_processor() -> str:
    """Return the processor's identity, the model first: on Linux without what changes from one second to the next."""
    found: dict[str, str] = {}
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                label, _, text = line.partition(":")
                if label.strip() in CPUINFO_LABELS:
                    found[label.strip()] = text.strip()
                if found and not line.strip():
                    break  # the next core
    except OSError:
        pass
    machine = os.uname().machine
    first = found.pop("model name", machine)
    return "\n".join([first, machine, *(f"{label}: {found[label]}" for label in sorted(found))])


def versions_for(machine: str, compiler: str) -> tuple[Version, ...]:
    """Return the versions for an architecture, as far as the compiler (by all that it says of its version) has them."""
    knows = "Free Software Foundation" in compiler or "clang version" in compiler
    return VERSIONS if knows and machine in ("x86_64", "AMD64") else ()


def baseline(machine: str, compiler: str) -> tuple[str, ...]:
    """Return flags for any processor of an architecture: some systems' compilers ask for a newer one by themselves."""
    return ("-march=x86-64",) if versions_for(machine, compiler) else ()


def refuse_native(words: Iterable[str]) -> None:
    """Raise `BuildError` if the user's own flags are for this machine's processor."""
    native = [word for word in words if _OF_THIS_MACHINE.fullmatch(word)]
    if native:
        raise BuildError(
            f"a portable build must run on other processors, and {' '.join(native)} in $CFLAGS (or $CC) is for this "
            "machine's; take it out, or build without --portable"
        )


def version_flags(c_text: str, version: Version) -> list[str]:
    """Return flags that make a version's object of the C text: its processor, and other names for what it exports."""
    start = _start(c_text)
    names = [f"-D{start}={_start_of(start, version)}", "-DCYTHON_NO_PYINIT_EXPORT"]
    names += [f"-D{name}={name}_{version.name}" for name in _GLOBAL.findall(c_text)]
    return [*version.flags, *names]


def chooser(c_text: str, versions: Sequence[Version]) -> str:
    """Return the C text of the function that starts one of the versions, the last where no other can run.

    A version is also to be had by its name: `NAME_avx2` is a module in the same library.
    """
    start = _start(c_text)
    lines = [
        "/* One module in versions for several processors: which one runs is decided when it is imported. */",
        "typedef struct _object Module;",
        '#define EXPORTED __attribute__((visibility("default")))',
        *(f"Module *{_start_of(start, version)}(void);" for version in versions),
        *(f"EXPORTED Module *{start}_{v.name}(void) {{ return {_start_of(start, v)}(); }}" for v in versions),
        f"EXPORTED Module *{start}(void) {{",
        "    __builtin_cpu_init();",
        *(f"    if ({version.condition}) return {_start_of(start, version)}();" for version in versions[:-1]),
        f"    return {_start_of(start, versions[-1])}();",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _start_of(start: str, version: Version) -> str:
    return f"{start}_in_{version.name}"


def _start(c_text: str) -> str:
    """The name of the function that Python calls when it imports the module."""
    found = _START.search(c_text)
    if found is None:
        raise BuildError(
            "no function PyInit_NAME was found in what Cython wrote, so no portable library can be made of it; "
            "build without --portable, or take another version of Cython"
        )
    return found[1]
