"""The keys under which what was built is kept: all that can change the result is in them, and nothing else."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from symgrad.build import Toolchain, cache_key, likeness, sweep_key
from symgrad.build import library as room
from symgrad.build.library import sources_digest


@pytest.fixture(scope="module")
def toolchain() -> Toolchain:
    return Toolchain.detect()


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


def test_what_is_alike_without_a_compiler_is_what_the_key_says_of_all_else(toolchain: Toolchain) -> None:
    alike, text = likeness("f", "float32"), json.loads(cache_key("f", "float32", toolchain)[1])
    outside = {"cc", "version", "flags", "cython", "libc", "environment", "files", "versions"}
    text["toolchain"] = {name: value for name, value in text["toolchain"].items() if name not in outside}
    assert alike == text


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


def test_the_text_of_what_cc_and_forced_headers_name_is_in_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though their names, sizes and times stay the same; and what `ld` and `as` look like."""
    names = ("cc", "wrapped", "ld", "as", "forced.h", "macros.h", "options")
    files = {name: tmp_path / name for name in names}
    for name, file in files.items():
        text = "-DNOTHING=1" if name == "options" else "#!/bin/sh\necho version 1\n"
        file.write_text(text, encoding="utf-8")
        file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("CC", f"cc wrapped -include {files['forced.h']}")
    monkeypatch.setenv("CFLAGS", f"-imacros{files['macros.h']} @{files['options']}")
    keys = {cache_key("f", "float64", Toolchain.detect())[0]}
    for name in names:
        text, status = files[name].read_text(encoding="utf-8"), files[name].stat()
        (tmp_path / "new").write_text(text.replace("1", "2") + "#" * (name in ("ld", "as")), encoding="utf-8")
        (tmp_path / "new").chmod(0o755)
        os.utime(tmp_path / "new", ns=(status.st_atime_ns, status.st_mtime_ns))
        os.replace(tmp_path / "new", files[name])
        keys.add(cache_key("f", "float64", Toolchain.detect())[0])
    assert len(keys) == 1 + len(names)
    assert cache_key("f", "float64", Toolchain.detect())[0] in keys


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
