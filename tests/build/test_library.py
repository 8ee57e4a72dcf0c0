"""Toolchain, cache key and build: real tools where that matters, scripts in their place for failures."""

import dataclasses
import os
import sys
from pathlib import Path
from tempfile import mkdtemp

import pytest

from symgrad.build import (
    EXTENSION_SUFFIX,
    Built,
    Toolchain,
    build,
    build_sweep,
    load_module,
)
from symgrad.build import library as room
from symgrad.errors import BuildError, CompilerNotFoundError
from tests.helpers.building import fake_cython, load_part

SOURCE = '"""∇R"""\ndef twice(x):\n    return 2 * x\n'


@pytest.fixture(scope="module")
def toolchain() -> Toolchain:
    return Toolchain.detect()


@pytest.fixture(scope="module")
def built(toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(SOURCE, "größe", toolchain, folder=tmp_path_factory.mktemp("with spaces and ünicode"))


def script(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
def instead_of_cython(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Put a package of that name in Cython's place, which does what the given statements say."""

    def put(statements: str) -> None:
        # Another environment: another server.
        monkeypatch.setenv("PYTHONPATH", str(fake_cython(Path(mkdtemp(dir=tmp_path)), statements)))

    return put


@pytest.fixture
def cython_writes(instead_of_cython):
    """Have Cython write the given C: for what can go wrong after it."""

    def put(c_text: str) -> None:
        instead_of_cython(f"open(output, 'w').write({c_text!r})")

    return put


def failure(source: str, folder: Path) -> str:
    with pytest.raises(BuildError) as caught:
        build(source, "decay", Toolchain.detect(), folder=folder)
    return str(caught.value)


# --- a build that works --------------------------------------------------------------------------------------------


def test_a_build_leaves_library_source_and_log(built: Built) -> None:
    assert built.library.name == f"größe{EXTENSION_SUFFIX}"
    assert {path.name for path in built.library.parent.iterdir()} == {
        built.library.name, built.source.name, built.log.name,
    }  # fmt: skip
    assert built.source.read_text("utf-8") == SOURCE
    assert "cython_process.py" in built.log.read_text("utf-8")
    assert "-shared" in built.log.read_text("utf-8")
    assert set(built.timings) == {"cython", "compiler"}
    assert load_module(built.library, "größe").twice(21) == 42


def test_the_library_has_the_same_bytes_in_another_folder_and_under_another_hash_seed(
    built: Built, toolchain: Toolchain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "12345")
    other = build(SOURCE, "größe", toolchain, folder=tmp_path)
    assert other.library.read_bytes() == built.library.read_bytes()
    assert str(built.library.parent).encode() not in built.library.read_bytes()


HALF = "def half(x):\n    return x / 2\n"


def test_what_is_linked_in_is_asked_for_last_and_stays(toolchain: Toolchain, tmp_path: Path) -> None:
    """One library with two modules; the object comes from elsewhere, and the folder keeps nothing of it."""
    (tmp_path / "shared").mkdir()
    (tmp_path / "model").mkdir()
    half = build_sweep(HALF, "half", toolchain, folder=tmp_path / "shared")
    assert half.library == tmp_path / "shared" / "half.o"
    assert {path.name for path in half.library.parent.iterdir()} == {"half.o", "half.pyx", "half.log"}
    asked: list[set[str]] = []

    def sweep() -> Path:
        asked.append({path.name for path in (tmp_path / "model").iterdir()})
        return half.library

    built = build(SOURCE, "twice", toolchain, folder=tmp_path / "model", sweep=sweep)
    assert asked == [{"twice.pyx", "twice.log", "twice.c", "twice.o"}]
    assert {path.name for path in built.library.parent.iterdir()} == {"twice.pyx", "twice.log", built.library.name}
    assert half.library.is_file()
    assert load_module(built.library, "twice").twice(4) == 8
    assert load_part(built.library, "half").half(3) == 1.5


def test_what_cannot_be_linked_is_an_error_with_command_and_log(toolchain: Toolchain, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "shared.o").write_bytes(b"no object")
    with pytest.raises(BuildError) as caught:
        build(SOURCE, "decay", toolchain, folder=tmp_path / "model", sweep=lambda: tmp_path / "shared.o")
    for part in (
        "the C compiler failed on decay.pyx",
        "-shared decay.o sweep.o",
        str(tmp_path / "model" / "decay.log"),
    ):
        assert part in str(caught.value)


# --- the toolchain -------------------------------------------------------------------------------------------------


def test_cc_may_have_arguments_and_a_path_with_spaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrapper = script(tmp_path / "my cc", 'if [ "$2" = --version ]; then echo mycc 7; else exec gcc "$@"; fi')
    monkeypatch.setenv("CC", f"'{wrapper}' -DA='1 2'")
    monkeypatch.chdir(tmp_path)
    found = Toolchain.detect()
    assert (found.cc, found.version) == ((str(wrapper), "-DA=1 2"), "mycc 7")
    monkeypatch.setenv("CC", "'./my cc'")  # the compiler does not run in this folder
    assert Toolchain.detect().cc == (str(wrapper),)
    monkeypatch.setenv("CC", "gcc -pipe")
    assert os.path.isabs(Toolchain.detect().cc[0])
    assert Toolchain.detect().cc[1:] == ("-pipe",)


def test_cflags_follow_the_optimisation_and_cannot_switch_contraction_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CFLAGS", "-O2 -ffp-contract=fast '-DTEXT=a b'")
    flags = Toolchain.detect().flags
    assert flags.index("-march=native") < flags.index("-O2") < flags.index("-DTEXT=a b")
    assert flags.index("-ffp-contract=fast") < flags.index("-ffp-contract=off")


def test_only_gcc_may_leave_the_level_to_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for maker, level in (("Copyright (C) 2022 Free Software Foundation, Inc.", "-Og"), ("clang version 17", "-O3")):
        monkeypatch.setenv("CC", str(script(tmp_path / "cc", f"echo '{maker}'")))
        assert Toolchain.detect().flags[0] == level


ODD_FLAGS = ("-c", "-E", "-S", "-M", "-o/dev/null", "-static", "-nostdlib", "-fsyntax-only", "-m32", "-x", "@nothing")


def test_odd_flags_make_a_whole_library_or_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cython_writes
) -> None:
    cython_writes('__attribute__((visibility("default"))) void* PyInit_odd(void) { return 0; }')
    errors = 0
    for flag in ODD_FLAGS:
        monkeypatch.setenv("CFLAGS", flag)
        (tmp_path / flag.replace("/", " ")).mkdir()
        try:
            built = build(SOURCE, "odd", Toolchain.detect(), folder=tmp_path / flag.replace("/", " "))
        except BuildError:
            errors += 1
        else:
            assert b"PyInit_odd" in built.library.read_bytes(), flag
    assert errors >= 5


@pytest.mark.parametrize("variable", ["CC", "CFLAGS"])
def test_no_shell_ever_runs(variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cython_writes) -> None:
    monkeypatch.chdir(tmp_path)
    cython_writes("int decay;")
    monkeypatch.setenv(variable, "gcc; touch broken_in; $(touch broken_in) `touch broken_in` | touch broken_in")
    with pytest.raises(BuildError, match=r"touch|gcc;"):
        build(SOURCE, "decay", Toolchain.detect(), folder=tmp_path)
    assert not (tmp_path / "broken_in").exists()


def test_no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(CompilerNotFoundError) as caught:
        Toolchain.detect()
    for part in ("cc, gcc, clang", "$CC is not set", f"PATH='{tmp_path}'"):
        assert part in str(caught.value)
    for system in ("Debian", "Fedora", "Arch", "Alpine", "macOS", "conda"):
        assert [line for line in str(caught.value).splitlines() if line.strip().startswith(system)] != []
    monkeypatch.setenv("CC", "mycc -O1")
    with pytest.raises(CompilerNotFoundError, match=r"\$CC is 'mycc -O1': 'mycc' was looked for"):
        Toolchain.detect()


def test_cc_that_is_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = tmp_path / "cc"
    text.write_bytes(b"\x7fELF no program")
    text.chmod(0o755)
    monkeypatch.setenv("CC", str(text))
    with pytest.raises(CompilerNotFoundError, match="does not run"):
        Toolchain.detect()
    monkeypatch.setenv("CC", "'gcc")
    with pytest.raises(BuildError, match=r"\$CC is \"'gcc\".*No closing quotation"):
        Toolchain.detect()


def test_the_report_says_when_headers_are_missing(
    toolchain: Toolchain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = dict(toolchain.report())
    assert shown["compiler"] == toolchain.cc[0]
    assert Path(shown["Python headers"]).name == "Python.h"
    monkeypatch.setattr(room.sysconfig, "get_path", lambda name: str(tmp_path))
    assert "python3-dev" in dict(toolchain.report())["Python headers"]


# --- what goes wrong -----------------------------------------------------------------------------------------------


def test_broken_cython_names_command_line_log_and_source(tmp_path: Path) -> None:
    text = failure("def f():\n    cdef double x = 'a' +\n", tmp_path)
    assert "first error: decay.pyx:2:25: Expected" in text
    for part in (sys.executable, "_symgrad.decay=decay.pyx", str(tmp_path / "decay.log"), str(tmp_path / "decay.pyx")):
        assert part in text
    assert "decay.pyx:2:25" in (tmp_path / "decay.log").read_text("utf-8")
    assert (tmp_path / "decay.pyx").is_file()


def test_broken_c_names_command_line_log_and_source(tmp_path: Path, cython_writes) -> None:
    cython_writes("#warning not this\nint f(void) { return nothing_of_that_name; }")
    text = failure(SOURCE, tmp_path)
    assert "first error: decay.c:2:" in text
    assert "nothing_of_that_name" in text
    for part in (
        "-march=native",
        "-c decay.c",
        str(tmp_path / "decay.log"),
        str(tmp_path / "decay.pyx"),
        "exit status 1",
    ):
        assert part in text


def test_missing_python_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cython_writes) -> None:
    cython_writes("#include <Python.h>")
    monkeypatch.setattr(room.sysconfig, "get_path", lambda name: str(tmp_path))
    text = failure(SOURCE, tmp_path)
    assert "Python.h: the C headers of this Python are not installed" in text
    assert "apt install python3-dev" in text


def test_missing_header_of_the_c_library(tmp_path: Path, cython_writes) -> None:
    cython_writes("#include <no_such_header.h>")
    assert "no_such_header.h: the headers of the C library" in failure(SOURCE, tmp_path)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("kill -SEGV $$", "killed by SIGSEGV"),
        ("kill -9 $$", "killed by SIGKILL"),
        ("exit 0", "wrote no decay"),
        ('echo "error: in the language $LC_ALL"; exit 1', "first error: error: in the language C"),
        ('while [ "$1" != -o ]; do shift; done; : > "$2"', "wrote no decay"),
        ("echo 'gcc: fatal error: Killed signal terminated program cc1' >&2; exit 1", "out of memory"),
    ],
)
def test_a_compiler_that_dies(
    body: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cython_writes
) -> None:
    cython_writes("int decay;")
    compiler = script(tmp_path / "cc", f'[ "$1" = --version ] && exit 0\n{body}')
    monkeypatch.setenv("CC", str(compiler))
    assert said in failure(SOURCE, tmp_path)


def test_a_compiler_that_goes_away(tmp_path: Path, toolchain: Toolchain, cython_writes) -> None:
    cython_writes("int decay;")
    gone = dataclasses.replace(toolchain, cc=(str(tmp_path / "gone"),))
    with pytest.raises(BuildError, match=r"the C compiler failed on decay\.pyx: could not be started"):
        build(SOURCE, "decay", gone, folder=tmp_path)


GUARDED = """
cdef extern from *:
    '''
    #if defined(__FAST_MATH__) || (defined(__GCC_IEC_559) && __GCC_IEC_559 < 1)
    #error "exact arithmetic is needed"
    #endif
    '''
"""


@pytest.mark.parametrize("flag", ["-Ofast", "-freciprocal-math"])
def test_fast_math_is_refused_by_name(flag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CFLAGS", f"-DHARMLESS {flag}")
    assert f"take {flag} out of $CFLAGS" in failure(GUARDED, tmp_path)


def test_missing_scipy_names_the_extra(tmp_path: Path) -> None:
    text = failure("cimport scipy.nowhere.cython_special\n", tmp_path)
    assert 'python -m pip install "symgrad[scipy]"' in text


def test_missing_cython(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = script(tmp_path / "python", f'exec "{sys.executable}" -S "$@"')  # without site-packages
    monkeypatch.setattr(sys, "executable", str(fake))
    assert "python -m pip install cython" in failure(SOURCE, tmp_path)
    monkeypatch.setattr(sys, "executable", "")
    assert "needs an interpreter" in failure(SOURCE, tmp_path)


def test_a_full_disk_or_a_vanished_folder_is_an_oserror(
    tmp_path: Path, toolchain: Toolchain, instead_of_cython
) -> None:
    """So that the cache can go elsewhere."""
    instead_of_cython("print('decay.c: No space left on device'); os._exit(1)")
    with pytest.raises(OSError, match="No space left on device"):
        build(SOURCE, "decay", toolchain, folder=tmp_path)
    workshop = tmp_path / "workshop"
    workshop.mkdir()
    instead_of_cython(
        f"os.rename({str(workshop)!r}, {str(tmp_path / 'elsewhere')!r}); open(output, 'w').write('int x;')"
    )
    with pytest.raises(FileNotFoundError):
        build(SOURCE, "decay", toolchain, folder=workshop)
