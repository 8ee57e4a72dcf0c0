"""Loading modules, and the whole way from key to callable with the real Cython, compiler and processes."""

import copy
import os
import pickle
import queue
import shutil
import signal
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from symgrad.build import EXTENSION_SUFFIX, Built, Cache, Entry, Toolchain, build, load_module, load_or_build
from symgrad.build.load import CONSTANTS, FUNCTIONS
from symgrad.errors import ArrayError, ArrayTypeError, BuildError, CacheWarning

KEY, TEXT = "0123456789abcdef" * 4, "all that went into the key"

# "queue" is a module of the standard library too: nothing may take one for the other.
NAME = "queue"
SOURCE = '''"""A module with the names of a generated one."""
import numpy as np
class _sweep:
    ArrayError = ValueError
    ArrayTypeError = TypeError
PARAMETERS = (("A", ()), ("W", (2, 3)))
INPUTS = (("x", ()),)
TARGETS = ()
N_PARAMETERS = 7
TILE = 1024
def risk(theta):
    if theta is None:
        raise _sweep.ArrayTypeError("theta is None")
    if len(theta) != 7:
        raise _sweep.ArrayError("theta has another length")
    return float(np.sum(theta))
gradient = risk_and_gradient = per_sample_loss = per_sample_gradient = predict = bind = pack = unpack = risk
partial_sums = merge_sums = reduce = risk
'''


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(SOURCE, NAME, Toolchain.detect(), folder=tmp_path_factory.mktemp("with spaces and ünicode"))


@pytest.fixture
def copying(built: Built) -> Callable[[Path], Built]:
    """Makes an entry of the built module without building it again."""

    def make(folder: Path) -> Built:
        for path in (built.library, built.source, built.log):
            shutil.copy(path, folder)
        files = (folder / path.name for path in (built.library, built.source, built.log))
        return Built(NAME, *files, {"compiler": 1.5}, ("log1p",))

    return make


@pytest.fixture
def store(tmp_path: Path) -> Cache:
    (tmp_path / "my cache é").mkdir(mode=0o700)
    return Cache(tmp_path / "my cache é")


def never(folder: Path) -> Built:
    pytest.fail("built again what was there")


def variant(library: Path, path: Path) -> Path:
    """Another library of the same name: what follows the end of an ELF file means nothing."""
    path.write_bytes(library.read_bytes() + str(path).encode())
    return path


# --- one module ----------------------------------------------------------------------------------------------------


def test_loading_leaves_path_and_modules_as_they_were(built: Built) -> None:
    path, modules = list(sys.path), dict(sys.modules)
    module = load_module(built.library, NAME)
    assert sys.path == path
    new = {name for name in sys.modules if name not in modules}
    assert {name for name in new if not name.startswith(("_cython_", "cython_runtime"))} == set()
    assert sys.modules["queue"] is queue
    assert module is not queue
    assert module.risk(np.ones(7)) == 7.0


def test_the_same_library_is_one_module_by_whatever_path(built: Built, tmp_path: Path) -> None:
    first = load_module(built.library, NAME)
    (tmp_path / "link.so").symlink_to(built.library)
    os.link(built.library, built.library.parent / "hard.so")
    assert load_module(built.library, NAME) is first
    assert load_module(tmp_path / "link.so", NAME) is first
    assert load_module(built.library.parent / "hard.so", NAME) is first


def test_two_libraries_of_one_name_are_two_modules(built: Built, tmp_path: Path) -> None:
    first = load_module(built.library, NAME)
    second = load_module(variant(built.library, tmp_path / built.library.name), NAME)
    assert second is not first
    first.risk = None
    assert second.risk([1] * 7) == 7.0
    del first.risk
    first.risk = first.gradient


def test_a_replaced_library_is_a_new_module(built: Built, tmp_path: Path) -> None:
    path = variant(built.library, tmp_path / built.library.name)
    first = load_module(path, NAME)
    os.replace(variant(built.library, tmp_path / "new"), path)
    second = load_module(path, NAME)
    assert second is not first
    assert second.__file__ == str(path)
    assert (first.risk([1] * 7), second.risk([1] * 7)) == (7.0, 7.0)


def test_the_module_raises_symgrads_errors(built: Built) -> None:
    module = load_module(built.library, NAME)
    with pytest.raises(ArrayError, match="another length"):
        module.risk([1])
    with pytest.raises(ArrayTypeError, match="theta is None"):
        module.risk(None)


def test_a_plain_import_does_not_hide_another_module_of_that_name(built: Built) -> None:
    """As `from generated import queue` does it, with nothing of symgrad."""
    program = (
        "import sys; from importlib.machinery import ExtensionFileLoader as Loader, ModuleSpec\n"
        "import numpy; assert 'queue' not in sys.modules\n"
        "loader = Loader('generated.queue', sys.argv[1])\n"
        "loader.exec_module(loader.create_module(ModuleSpec('generated.queue', loader, origin=sys.argv[1])))\n"
        "import queue; queue.Queue()"
    )
    subprocess.run([sys.executable, "-c", program, str(built.library)], check=True)


def test_what_is_no_library(tmp_path: Path) -> None:
    (tmp_path / "bad.so").write_bytes(b"no library")
    with pytest.raises(ImportError):
        load_module(tmp_path / "bad.so", "bad")
    with pytest.raises(FileNotFoundError):
        load_module(tmp_path / "none.so", "none")


# --- the compiled risk ---------------------------------------------------------------------------------------------


def test_the_compiled_risk_has_the_modules_own_functions(store: Cache, copying: Callable[[Path], Built]) -> None:
    compiled = load_or_build(store, KEY, TEXT, copying)
    module = load_module(compiled.path, NAME)
    assert isinstance(module, ModuleType)
    for name in (*FUNCTIONS, *CONSTANTS):
        own = ("bind", "reduce", "partial_sums", "merge_sums")  # they do more, by the module's own
        assert name in own or getattr(compiled, name) is getattr(module, name)
    assert (compiled.name, compiled.source) == (NAME, SOURCE)
    assert (compiled.timings, compiled.rewrites) == ({"compiler": 1.5}, ("log1p",))
    assert repr(compiled) == "<CompiledRisk queue: parameters A, W[2x3] (7 in all); inputs x; targets none>"


def test_without_its_declaration_a_compiled_risk_is_not_pickled(store: Cache, copying: Callable[[Path], Built]) -> None:
    compiled = load_or_build(store, KEY, TEXT, copying)
    with pytest.raises(TypeError, match="loaded without its declaration; pass the declared risk"):
        pickle.dumps(compiled)
    assert copy.copy(compiled) is compiled


# --- from key to callable ------------------------------------------------------------------------------------------


def test_the_second_time_nothing_is_made(store: Cache, copying: Callable[[Path], Built]) -> None:
    first = load_or_build(store, KEY, TEXT, copying)
    again = load_or_build(store, KEY, TEXT, never)
    assert again.risk is first.risk
    assert again.source == first.source


@pytest.mark.parametrize("size", [0, 100, 5000, -1])
def test_a_broken_library_is_rebuilt_before_it_is_loaded(
    size: int, store: Cache, copying: Callable[[Path], Built]
) -> None:
    """dlopen of a truncated file kills the process."""
    library = store.publish(KEY, TEXT, copying).library
    library.write_bytes(library.read_bytes()[:size])
    with pytest.warns(CacheWarning, match=rf"{NAME}\S+\.so is damaged"):
        assert load_or_build(store, KEY, TEXT, copying).risk([1] * 7) == 7.0


def test_a_whole_library_that_does_not_load_is_rebuilt_once(store: Cache, copying: Callable[[Path], Built]) -> None:
    def foreign(folder: Path) -> Built:
        made = copying(folder)
        made.library.write_bytes(b"a library of another machine")
        return made

    store.publish(KEY, TEXT, foreign)
    with pytest.warns(CacheWarning, match="does not load"):
        assert load_or_build(store, KEY, TEXT, copying).risk([1] * 7) == 7.0


def test_a_library_that_never_loads_is_an_error(store: Cache, copying: Callable[[Path], Built]) -> None:
    def foreign(folder: Path) -> Built:
        made = copying(folder)
        made.library.write_bytes(b"a library of another machine")
        return made

    with pytest.raises(BuildError, match="was built, but does not load into Python"):
        load_or_build(store, KEY, TEXT, foreign)


@pytest.mark.parametrize("times", [1, 3])
def test_a_library_that_is_cleared_away_before_it_is_loaded_is_made_again(
    times: int, store: Cache, copying: Callable[[Path], Built], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often: in the end where nobody clears."""
    real, cleared = Cache.publish, []

    def publish(self: Cache, *arguments: Any) -> Entry:
        entry = real(self, *arguments)
        if len(cleared) < times:
            cleared.append(self.clear())
        return entry

    monkeypatch.setattr(Cache, "publish", publish)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compiled = load_or_build(store, KEY, TEXT, copying)
    assert compiled.risk([1] * 7) == 7.0
    assert compiled.path.is_relative_to(store.folder) == (times == 1)


def test_loads_while_another_process_clears(store: Cache, copying: Callable[[Path], Built]) -> None:
    """No error, and no warning: two that load, and one that clears as fast as it can, for a second."""
    load_or_build(store, KEY, TEXT, copying)
    end, children = time.monotonic() + 1, []
    for _ in range(2):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                warnings.simplefilter("error")
                while time.monotonic() < end:
                    load_or_build(Cache(store.folder), KEY, TEXT, copying)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        children.append(child)
    while time.monotonic() < end:
        store.clear()
        time.sleep(0.002)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0]


def test_a_missing_package_is_named(store: Cache, tmp_path: Path) -> None:
    def needs(package: str) -> Callable[[Path], Built]:
        return lambda folder: build(f"import {package}\n", "decay", Toolchain.detect(), folder=folder)

    for _ in range(2):  # when it is built, and when it is found in the cache
        with pytest.raises(BuildError, match=r'python -m pip install "symgrad\[scipy\]"'):
            load_or_build(store, KEY, TEXT, needs("scipy.nowhere"))
    assert len(store.entries()) == 1


# --- fresh processes -----------------------------------------------------------------------------------------------

PROGRAM = """
import sys, time
from pathlib import Path
from symgrad.build import Toolchain, build
from symgrad.build import Cache
from symgrad.load import load_or_build
source, count, key = Path(sys.argv[1]).read_text("utf-8"), Path(sys.argv[2]), sys.argv[3]
toolchain = Toolchain.detect()
def make(folder):
    with count.open("a") as log:
        log.write("x")
    return build(source, "queue", toolchain, folder=folder)
print("ready", flush=True)
sys.stdin.readline()
compiled = load_or_build(Cache.open(), key, "text", make)
print(compiled.risk([1] * 7), compiled.path)
"""


def start(program: Path, built: Built, folder: Path, store: Cache, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(program), str(built.source), str(folder / "count"), KEY],
        cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "SYMGRAD_CACHE_DIR": str(store.folder), **environment}, start_new_session=True,
    )  # fmt: skip


@pytest.fixture
def program(tmp_path: Path) -> Path:
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs" / "program.py").write_text(PROGRAM, encoding="utf-8")
    return tmp_path / "programs" / "program.py"


def test_32_processes_that_start_together_compile_once(
    program: Path, built: Built, store: Cache, tmp_path: Path
) -> None:
    processes = [start(program, built, tmp_path, store) for _ in range(32)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate() for process in processes]
    assert {process.returncode for process in processes} == {0}
    assert {errors for _, errors in answers} == {""}
    expected = store.folder / KEY[:40] / f"{NAME}{EXTENSION_SUFFIX}"
    assert {answer for answer, _ in answers} == {f"7.0 {expected}\n"}
    assert (tmp_path / "count").read_text() == "x"
    assert [path.name for path in store.folder.iterdir()] == [KEY[:40]]


def test_kill_9_in_the_middle_of_a_build(program: Path, built: Built, store: Cache, tmp_path: Path) -> None:
    slow = tmp_path / "slow cc"
    slow.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && exec gcc --version\n: > "{tmp_path}/compiling"\nsleep 1\ngcc "$@"\n'
        f': > "{tmp_path}/compiled"\n'
    )
    slow.chmod(0o755)
    process = start(program, built, tmp_path, store, CC=f"'{slow}'")
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    wait_for(tmp_path / "compiling")
    process.kill()  # -9, and the compiler lives on
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert store.find(KEY, "text") is None
    assert store.entries() == ()
    second = start(program, built, tmp_path, store)  # while the orphan still compiles
    answer, errors = second.communicate("go\n")
    assert (answer.split(" ")[0], errors) == ("ready\n7.0", "")
    wait_for(tmp_path / "compiled")
    assert store.find(KEY, "text") is not None
    assert [path.name for path in store.folder.iterdir()] == [KEY[:40]]


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not come"
        time.sleep(0.01)


def test_files_in_the_working_folder_mean_nothing(program: Path, built: Built, store: Cache, tmp_path: Path) -> None:
    folder = tmp_path / "planted"
    folder.mkdir()
    for name in ("numpy", "Cython", "cython", "re", "queue", "symgrad", "sitecustomize"):
        (folder / f"{name}.py").write_text(f"open('{tmp_path}/ran', 'w')\nraise SystemExit('{name}')\n")
    (folder / "numpy.pxd").write_text("nonsense")
    process = start(program, built, folder, store)
    answer, errors = process.communicate("go\n")
    assert (answer.split(" ")[0], errors) == ("ready\n7.0", "")
    assert not (tmp_path / "ran").exists()


def test_a_warm_load_imports_nothing_heavy(store: Cache, copying: Callable[[Path], Built], tmp_path: Path) -> None:
    store.publish(KEY, TEXT, copying)
    text = (
        "import sys; from pathlib import Path\n"
        "from symgrad.build import Cache; from symgrad.load import load_or_build\n"
        "compiled = load_or_build(Cache(Path(sys.argv[1])), sys.argv[2], sys.argv[3], None)\n"
        "print(compiled.risk([1] * 7), *sys.modules)"
    )
    command = [sys.executable, "-c", text, str(store.folder), KEY, TEXT]
    answer, *modules = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert answer == "7.0"
    assert "numpy" in modules
    heavy = {"sympy", "mpmath", "Cython", "jinja2", "setuptools", "scipy", "subprocess", "symgrad.build.library"}
    assert heavy & set(modules) == set()
