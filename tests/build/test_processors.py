"""Portable libraries: what is in them, which version runs where, and that all versions compute the same."""

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from symgrad.build import EXTENSION_SUFFIX, Built, Toolchain, build, cache_key
from symgrad.build import toolchain as room
from symgrad.build.processors import VERSIONS, chooser, refuse_native, this_processor, version_flags, versions_for
from symgrad.cli import main
from symgrad.commands import generate as generating
from symgrad.errors import BuildError
from tests.helpers.building import build_model, load_part

NAMES = [version.name for version in VERSIONS]
GCC = "gcc (GCC) 12\nCopyright (C) 2022 Free Software Foundation, Inc."
# Which version of it this is, a module says by the macros that its C text was compiled with.
TELLS = '''
cdef extern from *:
    """
    #if defined(__AVX512F__)
    #define BITS 512
    #elif defined(__AVX2__) && defined(__FMA__)
    #define BITS 256
    #elif defined(__AVX__) || defined(__SSE3__)
    #define BITS -1
    #else
    #define BITS 128
    #endif
    """
    const int BITS
def bits():
    return BITS
'''
BITS = {"avx512": 512, "avx2": 256, "sse2": 128}

x, y, A, k, p = sp.symbols("x y A k p")
CURVE = sg.EmpiricalRisk(
    sg.Model(A * sp.exp(-k * x), inputs=[x], parameters=[A, k]),
    sg.Loss((p - y) ** 2 / 2, prediction=p, target=y),
    name="curve",
)
W, V, u, t, z = (sp.MatrixSymbol(*args) for args in (("W", 9, 20), ("V", 3, 9), ("u", 20, 1), ("t", 3, 1), ("z", 3, 1)))
PRODUCTS = sg.EmpiricalRisk(
    sg.Model(V * W * u, inputs=[u], parameters=[W, V]),
    sg.Loss(((z - t).T * (z - t))[0, 0] / 2, prediction=z, target=t),
    name="products",
)
CURVE_ROWS = (np.array([1.3, 0.7]), np.linspace(0, 5, 333), np.linspace(1, 0, 333) ** 3)
FUNCTIONS = ("risk", "gradient", "per_sample_loss", "per_sample_gradient")


@pytest.fixture(scope="module")
def toolchain() -> Toolchain:
    found = Toolchain.detect(portable=True)
    if not found.versions:
        pytest.skip("this compiler makes no versions for this architecture")
    return found


@pytest.fixture(scope="module")
def tells(toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(TELLS, "tells", toolchain, folder=tmp_path_factory.mktemp("tells"))


@pytest.fixture(scope="module")
def curve(toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build_model(sg.generate(CURVE).source, "curve", toolchain, tmp_path_factory.mktemp("curve"))


def runnable() -> list[str]:
    """The versions that this machine can run, the best first."""
    flags = {word for line in this_processor().splitlines() if line.startswith("flags:") for word in line.split()}
    if not flags:
        pytest.skip("the system does not tell what the processor has")
    return [version.name for version in VERSIONS if flags.issuperset(version.features)]


# --- which version runs --------------------------------------------------------------------------------------------


def test_the_best_version_that_this_processor_has_runs(tells: Built) -> None:
    assert load_part(tells.library, "tells").bits() == BITS[runnable()[0]]


def test_each_version_is_there_by_its_name(tells: Built) -> None:
    assert runnable()[-1] == "sse2"
    for name in runnable():
        assert load_part(tells.library, f"tells_{name}").bits() == BITS[name]


def emulator(*command: str) -> list[str]:
    """The start of a command that runs programs on another processor; where it is not installed the test is skipped."""
    path = shutil.which(command[0])
    if path is None:
        pytest.skip(f"{command[0]} is not installed")
    return [path, *command[1:]]


def run_there(emulating: list[str], library: Path, name: str, asked: str) -> str:
    """What an expression of the module is, on the processor that is emulated."""
    program = (
        "import sys, importlib.machinery as m, importlib.util as u\n"
        f"loader = m.ExtensionFileLoader({name!r}, sys.argv[1])\n"
        f"module = u.module_from_spec(u.spec_from_file_location({name!r}, sys.argv[1], loader=loader))\n"
        f"loader.exec_module(module)\nprint({asked})"
    )
    command = [*emulating, sys.executable, "-c", program, str(library)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


EMULATED = pytest.mark.parametrize(
    ("command", "version"),
    [
        (("valgrind", "--tool=none", "-q"), "avx2"),  # knows no AVX-512, and says so to those who ask the processor
        (("qemu-x86_64-static", "-cpu", "Haswell"), "avx2"),
        (("qemu-x86_64-static", "-cpu", "Nehalem"), "sse2"),
        (("qemu-x86_64-static", "-cpu", "Haswell,-fma"), "sse2"),
    ],
)


@EMULATED
def test_other_processors_run_the_version_that_they_have(command: tuple[str, ...], version: str, tells: Built) -> None:
    if version not in runnable():
        pytest.skip("this processor itself cannot run that version, nor can what runs on it")
    assert run_there(emulator(*command), tells.library, "tells", "module.bits()") == str(BITS[version])


@EMULATED
def test_a_version_gives_the_same_bits_here_and_there(
    command: tuple[str, ...], version: str, curve: Built, tmp_path: Path
) -> None:
    if version not in runnable():
        pytest.skip("this processor itself cannot run that version, nor can what runs on it")
    theta, inputs, targets = CURVE_ROWS
    here = load_part(curve.library, f"curve_{version}").per_sample_gradient(theta, inputs, targets)
    np.save(tmp_path / "rows.npy", [inputs, targets])  # computed there, NumPy would give these other bits
    rows = f"*__import__('numpy').load({str(tmp_path / 'rows.npy')!r})"
    asked = f"module.per_sample_gradient({theta.tolist()}, {rows}).tobytes().hex()"
    assert run_there(emulator(*command), curve.library, "curve", asked) == here.tobytes().hex()


# --- what is in the library ----------------------------------------------------------------------------------------

Block = tuple[str, str]  # the name of a function, and its instructions


@pytest.fixture(scope="module")
def blocks(curve: Built) -> list[Block]:
    objdump = shutil.which("objdump")
    if objdump is None:
        pytest.skip("objdump is not installed")
    command = [objdump, "-d", "--no-show-raw-insn", str(curve.library)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return re.findall(r"^[0-9a-f]+ <([^>]+)>:\n(.*?)(?:\n\n|\Z)", text, re.MULTILINE | re.DOTALL)


def instructions_of(block: str) -> str:
    """Which instructions a function has, by its widest registers and by how its mnemonics are encoded."""
    if "%zmm" in block:
        return "avx512"
    if "%ymm" in block:
        return "avx2"
    return "sse2" if not re.search(r"\tv[a-z]+ ", block) else "128 bits of AVX"


@pytest.mark.parametrize("function", ["curve_gradients", "curve_losses", "curve_predictions", "_sweep_accumulate"])
def test_a_hot_function_is_there_for_each_processor(function: str, blocks: list[Block]) -> None:
    """The model's, and the sweep's that is linked in."""
    found = [instructions_of(block) for name, block in blocks if re.search(rf"{function}(\.|$)", name)]
    assert sorted(found) == sorted(NAMES)


def test_each_version_calls_the_vector_functions_of_its_width(blocks: list[Block]) -> None:
    libc, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    if libc != "glibc" or tuple(map(int, version.split("."))) < (2, 35):
        pytest.skip("this C library has no vector functions, or too few")
    if "Free Software Foundation" not in Toolchain.detect().version:
        pytest.skip("the compiler is not GCC, the only one that is asked for vector functions")
    callers = [block for name, block in blocks if not name.endswith("@plt")]
    calls = [(instructions_of(block), name) for block in callers for name in re.findall(r"<(_ZGV\w+_exp)@", block)]
    assert set(calls) == {("sse2", "_ZGVbN2v_exp"), ("avx2", "_ZGVdN4v_exp"), ("avx512", "_ZGVeN8v_exp")}


def test_the_version_for_all_processors_has_their_instructions_alone(blocks: list[Block]) -> None:
    """In all its functions, hot or not: of three of one name (six, where model and sweep both have it), one has no
    register or encoding that came later.
    """
    kinds: dict[str, list[str]] = {}
    for name, block in blocks:
        kinds.setdefault(name, []).append(instructions_of(block))
    in_each = {name: found for name, found in kinds.items() if len(found) % len(VERSIONS) == 0}
    assert len(in_each) > 50
    assert [name for name, found in in_each.items() if found.count("sse2") < len(found) // len(VERSIONS)] == []


def test_model_and_sweep_are_both_there_by_the_names_of_their_versions(curve: Built) -> None:
    for name in ("curve", "_sweep"):
        for version in runnable():
            module = load_part(curve.library, f"{name}_{version}")
            assert module.__name__.endswith(name) or module.__name__.endswith(f"{name}_{version}")
            assert hasattr(module, "Risk" if name == "_sweep" else "gradient")


# --- the results ---------------------------------------------------------------------------------------------------


def test_versions_agree_with_a_build_for_this_processor(curve: Built) -> None:
    native, (theta, inputs, targets) = sg.compile(CURVE), CURVE_ROWS
    prediction, gradients = native.predict(theta, inputs), native.per_sample_gradient(theta, inputs, targets)
    for name in ("curve", *(f"curve_{version}" for version in runnable())):
        module = load_part(curve.library, name)
        assert np.max(np.abs(module.predict(theta, inputs) - prediction) / np.spacing(prediction)) <= 4
        rows = module.per_sample_gradient(theta, inputs, targets)
        np.testing.assert_allclose(rows, gradients, rtol=0, atol=1e-14 * np.abs(gradients).max())
        for function in FUNCTIONS:
            one, two = (getattr(module, function)(theta, inputs, targets, threads=threads) for threads in (1, 2))
            assert np.asarray(one).tobytes() == np.asarray(two).tobytes()


def test_parts_from_different_processors_are_put_together(curve: Built) -> None:
    """Within the digits of one call; the same rows with other bits, computed on two of them, are refused by name."""
    first, last = (load_part(curve.library, f"curve_{name}") for name in (runnable()[0], runnable()[-1]))
    theta, tile, random = CURVE_ROWS[0], first.TILE, np.random.default_rng(4)
    x_rows, y_rows = random.uniform(0, 5, 3 * tile), random.uniform(0, 1, 3 * tile)
    early = first.partial_sums(theta, x_rows[:tile], y_rows[:tile])
    late = [module.partial_sums(theta, x_rows[tile:], y_rows[tile:], first=tile) for module in (last, first)]
    risk, gradient = first.merge_sums(theta, late[0], early)
    np.testing.assert_allclose(gradient, first.gradient(theta, x_rows, y_rows), rtol=1e-13)
    assert risk == pytest.approx(first.risk(theta, x_rows, y_rows), rel=1e-14)
    if any(late[0][key].tobytes() != late[1][key].tobytes() for key in late[0]):
        with pytest.raises(ValueError, match="one array for the node"):
            first.merge_sums(theta, early, *late)


def test_without_vector_functions_all_versions_have_the_same_bits(toolchain: Toolchain, tmp_path: Path) -> None:
    """Products and sums of matrices are blocked by the width of the vectors; in what order they are summed is not."""
    built = build_model(sg.generate(PRODUCTS).source, "products", toolchain, tmp_path)
    native, random = sg.compile(PRODUCTS), np.random.default_rng(3)
    theta, inputs, targets = (random.standard_normal(shape) for shape in (9 * 20 + 3 * 9, (1003, 20), (1003, 3)))
    for version in runnable():
        module = load_part(built.library, f"products_{version}")
        for function in FUNCTIONS:
            wanted = np.asarray(getattr(native, function)(theta, inputs, targets))
            assert np.asarray(getattr(module, function)(theta, inputs, targets)).tobytes() == wanted.tobytes(), version


# --- the build -----------------------------------------------------------------------------------------------------


def test_a_portable_build_leaves_library_source_and_log(tells: Built, toolchain: Toolchain, tmp_path: Path) -> None:
    other = build(TELLS, "tells", toolchain, folder=tmp_path)
    assert other.library.read_bytes() == tells.library.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"tells.pyx", "tells.log", f"tells{EXTENSION_SUFFIX}"}
    log = other.log.read_text("utf-8")
    assert "native" not in log
    assert log.count("[exit status 0]") == 3 + len(VERSIONS)  # Cython, each version, the chooser, the library
    assert set(other.timings) == {"cython", "compiler"}


def test_a_version_that_does_not_build_is_no_library(toolchain: Toolchain, tmp_path: Path) -> None:
    source = TELLS.replace("#define BITS 256", "#error no such version")
    with pytest.raises(BuildError, match=r"first error: .*no such version"):
        build(source, "tells", toolchain, folder=tmp_path)
    assert not (tmp_path / f"tells{EXTENSION_SUFFIX}").exists()


def test_a_portable_build_has_a_key_of_its_own_and_the_same_on_every_processor(
    toolchain: Toolchain, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = cache_key("f", "float64", toolchain)[0]
    assert key != cache_key("f", "float64", Toolchain.detect())[0]
    monkeypatch.setattr(room, "this_processor", lambda: "another")
    assert cache_key("f", "float64", Toolchain.detect(portable=True))[0] == key
    assert toolchain.processor == f"any {platform.machine()}"
    assert not any("native" in flag for flag in toolchain.flags)


@pytest.mark.parametrize(
    ("machine", "compiler", "known"),
    [
        ("x86_64", GCC, True),
        ("x86_64", "Apple clang version 16.0.0", True),
        ("x86_64", "mycc 7", False),
        ("aarch64", GCC, False),
    ],
)
def test_versions_are_made_where_the_compiler_has_them(machine: str, compiler: str, known: bool) -> None:
    assert versions_for(machine, compiler) == (VERSIONS if known else ())


def test_elsewhere_a_portable_build_has_one_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room.platform, "machine", lambda: "riscv64")
    found = Toolchain.detect(portable=True)
    assert (found.versions, found.processor) == ((), "any riscv64")
    assert not any(flag.startswith("-march") for flag in found.flags)
    built = build(TELLS, "tells", found, folder=tmp_path)
    assert load_part(built.library, "tells").bits() in {*BITS.values(), -1}
    assert built.log.read_text("utf-8").count("[exit status 0]") == 3  # Cython, the compiler, the library


@pytest.mark.parametrize(("variable", "value"), [("CFLAGS", "-O2 -march=native"), ("CC", "cc -mcpu=native")])
def test_flags_for_this_processor_are_refused(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(BuildError, match=rf"{value.split()[-1]} in \$CFLAGS .* take it out"):
        Toolchain.detect(portable=True)
    refuse_native(["-march=x86-64-v2", "-O2"])  # the user's own choice of what is the least


def test_c_text_without_a_function_that_starts_it_is_refused() -> None:
    for use in (lambda: chooser("int f;", VERSIONS), lambda: version_flags("int f;", VERSIONS[0])):
        with pytest.raises(BuildError, match="no function PyInit_NAME was found"):
            use()


# --- the command ---------------------------------------------------------------------------------------------------

DECLARATION = """
import sympy as sp
import symgrad as sg

a, x, y = sp.symbols("a x y")
slope = sg.EmpiricalRisk.from_expression((a * x - y) ** 2, inputs=[x], targets=[y], parameters=[a], name="slope")
"""


@pytest.fixture
def built_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Toolchain]:
    """The toolchains that `symgrad generate` builds with; a file takes the library's place."""
    seen: list[Toolchain] = []

    def stand_in(
        risks: Sequence[sg.EmpiricalRisk], made: object, dtype: str, toolchain: Toolchain, done: object
    ) -> dict[str, Path]:
        seen.append(toolchain)
        libraries = {risk.name: tmp_path / f"{risk.name}{EXTENSION_SUFFIX}" for risk in risks}
        for library in libraries.values():
            library.write_bytes(b"library")
        return libraries

    monkeypatch.setattr(generating, "build_all", stand_in)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "slope.py").write_text(DECLARATION, encoding="utf-8")
    return seen


@pytest.mark.parametrize(
    ("machine", "told"), [("x86_64", "in versions for avx512, avx2, sse2"), ("s390x", "in one version")]
)
def test_generate_builds_for_others_and_says_so(
    machine: str,
    told: str,
    built_with: list[Toolchain],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    versions: Callable[[str, str], object] = room.versions_for
    monkeypatch.setattr(room.platform, "machine", lambda: machine)
    monkeypatch.setattr(room, "versions_for", lambda machine, _: versions(machine, GCC))
    assert main(["generate", "slope.py", "--portable"]) == 0
    assert f"runs on any {machine} processor, {told}" in capsys.readouterr().out
    assert [toolchain.processor for toolchain in built_with] == [f"any {machine}"]
    assert main(["generate", "slope.py"]) == 0
    assert "processor" not in capsys.readouterr().out
    assert [toolchain.versions for toolchain in built_with[1:]] == [()]


def test_portable_without_a_build_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["generate", "slope.py", "--portable", "--no-build"])
    assert caught.value.code == 2
    assert "not allowed with argument" in capsys.readouterr().err


def test_a_portable_module_is_generated_and_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "slope.py").write_text(DECLARATION, encoding="utf-8")
    assert main(["generate", "slope.py", "--portable"]) == 0
    program = "from generated import slope; print(slope.gradient([3.0], [1.0, 2.0], [1.0, 1.0])[0])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("12.0", "")
