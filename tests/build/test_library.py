"""Toolchain, cache key and build: real tools where that matters, scripts in their place for failures."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from symgrad.build import (
    EXTENSION_SUFFIX,
    Built,
    Toolchain,
    build,
    build_sweep,
    cache_key,
    load_module,
    sweep_key,
    translate,
)
from symgrad.build import library as room
from symgrad.build.library import sources_digest
from symgrad.errors import BuildError, CompilerNotFoundError
from tests.helpers.building import load_part

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
def cython_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Put a script in Cython's place, which writes the given C: for what can go wrong after Cython."""

    def put(c_text: str) -> None:
        (tmp_path / "given.c").write_text(c_text, encoding="utf-8")
        body = f'for last; do :; done; last=${{last#*=}}; cp "{tmp_path}/given.c" "${{last%.pyx}}.c"'
        monkeypatch.setattr(sys, "executable", str(script(tmp_path / "cython", body)))

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


def test_one_process_translates_several_texts_to_what_each_gives_alone(toolchain: Toolchain, tmp_path: Path) -> None:
    folders = tmp_path / "together", tmp_path / "alone"
    for folder in folders:
        folder.mkdir()
    texts = translate({"twice": SOURCE, "half": HALF}, toolchain, folders[0])
    assert {path.name for path in texts.values()} == {"twice.c", "half.c"}
    (log,) = folders[0].glob("*.log")
    assert log.read_text("utf-8").count("[exit status 0]") == 1
    for name, text in (("twice", SOURCE), ("half", HALF)):
        alone = translate({name: text}, toolchain, folders[1])[name]
        assert alone.read_bytes() == texts[name].read_bytes()
    built = build(HALF, "half", toolchain, folder=folders[1], translated=texts["half"])
    assert load_module(built.library, "half").half(3) == 1.5
    assert (built.source.read_text("utf-8"), built.timings["cython"]) == (HALF, 0.0)
    assert texts["half"].is_file()  # it belongs to the caller
    assert translate({}, toolchain, tmp_path) == {}


def test_a_text_that_cannot_be_translated_is_named(toolchain: Toolchain, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"first error: bad\.pyx:1:11"):
        translate({"bad": "def broken(:\n", "half": HALF}, toolchain, tmp_path)


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


# --- the key -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Toolchain)])
def test_every_part_of_the_toolchain_is_in_the_key(name: str, toolchain: Toolchain) -> None:
    value = getattr(toolchain, name)
    changed = dataclasses.replace(toolchain, **{name: value + "+" if isinstance(value, str) else (*value, ("a", "b"))})
    assert cache_key("f", "float64", changed)[0] != cache_key("f", "float64", toolchain)[0]
    assert sweep_key("float64", changed)[0] != sweep_key("float64", toolchain)[0]
    assert sweep_key("float64", dataclasses.replace(toolchain)) == sweep_key("float64", toolchain)
    assert cache_key("f", "float64", dataclasses.replace(toolchain)) == cache_key("f", "float64", toolchain)


def test_declaration_dtype_and_versions_are_in_the_key(toolchain: Toolchain, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {cache_key("f", "float64", toolchain)[0], cache_key("g", "float64", toolchain)[0]}
    keys |= {cache_key("f", "float32", toolchain)[0]}
    real = room.installed_version
    for library in ("sympy", "jinja2"):
        with monkeypatch.context() as patch:
            patch.setattr(room, "installed_version", lambda name, changed=library: real(name) + "+" * (name == changed))
            keys.add(cache_key("f", "float64", toolchain)[0])
    monkeypatch.setattr(room, "sources_digest", lambda: "another")
    keys.add(cache_key("f", "float64", toolchain)[0])
    assert len(keys) == 6


@pytest.mark.parametrize("package", ["symgrad", "symgrad.templates"])
def test_the_digest_covers_modules_and_templates(package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.py").write_text("1")
    (tmp_path / "a.jinja").write_text("1")
    real = room.resources.files
    monkeypatch.setattr(room.resources, "files", lambda name: tmp_path if name == package else real(name))
    digests = [sources_digest.__wrapped__()]
    (tmp_path / ("a.py" if package == "symgrad" else "a.jinja")).write_text("2")
    digests.append(sources_digest.__wrapped__())
    (tmp_path / ("a.jinja" if package == "symgrad" else "a.py")).write_text("2")
    (tmp_path / "notes.txt").write_text("nothing that is compiled")
    digests.append(sources_digest.__wrapped__())
    assert digests[0] != digests[1]
    assert digests[1] == digests[2]


def test_the_digest_sees_every_module_of_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each in turn with one more line, whatever folder it lies in; and two that change places."""
    package = Path(room.__file__).parents[1]
    modules = sorted(path.relative_to(package) for path in package.rglob("*.py"))
    assert len({module.parent for module in modules}) >= 15
    for module in modules:
        (tmp_path / module).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / module).write_bytes((package / module).read_bytes())
    real = room.resources.files
    monkeypatch.setattr(room.resources, "files", lambda name: tmp_path if name == "symgrad" else real(name))
    digests = {sources_digest.__wrapped__()}
    for module in modules:
        text = (tmp_path / module).read_bytes()
        (tmp_path / module).write_bytes(text + b"#\n")
        digests.add(sources_digest.__wrapped__())
        (tmp_path / module).write_bytes(text)
    assert len(digests) == 1 + len(modules)
    one, other = tmp_path / "trace" / "matrices.py", tmp_path / "oracle" / "matrices.py"
    text = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(text)
    digests.add(sources_digest.__wrapped__())
    assert len(digests) == 2 + len(modules)


def test_all_that_makes_the_sweep_is_in_its_key(
    toolchain: Toolchain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its templates, what they are given, and how it is built; but not what models are made of alone."""
    package = Path(room.__file__).parents[1]
    for module in ("build/library.py", "build/processors.py", "render/environment.py", "trace/matrices.py"):
        (tmp_path / module).parent.mkdir(exist_ok=True)
        (tmp_path / module).write_bytes((package / module).read_bytes())
    (tmp_path / "templates" / "sweep").mkdir(parents=True)
    (tmp_path / "templates" / "sweep" / "sums.pyx.jinja").touch()
    found = {"symgrad": tmp_path, "symgrad.templates": tmp_path / "templates"}
    monkeypatch.setattr(room.resources, "files", found.__getitem__)
    keys = {sweep_key("float64", toolchain)[0], sweep_key("float32", toolchain)[0]}
    for changed in (
        "build/library.py",
        "build/processors.py",
        "render/environment.py",
        "templates/sweep/sums.pyx.jinja",
    ):
        with (tmp_path / changed).open("a") as file:
            file.write("#\n")
        keys.add(sweep_key("float64", toolchain)[0])
    real = room.installed_version
    monkeypatch.setattr(room, "installed_version", lambda name: real(name) + "+" * (name == "jinja2"))
    keys.add(sweep_key("float64", toolchain)[0])
    assert len(keys) == 7
    (tmp_path / "trace/matrices.py").unlink()
    assert sweep_key("float64", toolchain)[0] in keys


def test_what_the_compiler_reads_from_the_environment_is_in_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CPATH", "/somewhere/include")
    assert ("CPATH", "/somewhere/include") in Toolchain.detect().environment


def test_nothing_else_changes_the_key(tmp_path: Path) -> None:
    program = "from symgrad.build import *; print(*cache_key('f', 'float64', Toolchain.detect()))"
    texts = set()
    for number, home in enumerate((tmp_path / "a", tmp_path / "b")):
        home.mkdir()
        changed = {"HOME": str(home), "PYTHONHASHSEED": str(number), "TZ": f"X{number}", "LANG": ("C", "de_DE")[number]}
        run = subprocess.run(
            [sys.executable, "-c", program], cwd=home, env={**os.environ, **changed}, capture_output=True, check=True
        )
        texts.add(run.stdout)
    assert len(texts) == 1


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
    tmp_path: Path, toolchain: Toolchain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the cache can go elsewhere."""
    fake = script(tmp_path / "python", "echo 'decay.c: No space left on device'; exit 1")
    monkeypatch.setattr(sys, "executable", str(fake))
    with pytest.raises(OSError, match="No space left on device"):
        build(SOURCE, "decay", toolchain, folder=tmp_path)
    workshop = tmp_path / "workshop"
    workshop.mkdir()
    fake = script(tmp_path / "python", f"mv '{workshop}' '{tmp_path}/elsewhere'; echo 'int x;' > decay.c")
    with pytest.raises(FileNotFoundError):
        build(SOURCE, "decay", toolchain, folder=workshop)
