"""One command of a build: how long it may take, what is kept of what it prints, and how its end is known."""

import errno
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from symgrad.build import Toolchain, build_sweep, translator
from symgrad.build.command import Step, run_compiler
from symgrad.build.limits import Capped, build_timeout
from symgrad.errors import BuildError
from tests.helpers.building import fake_cython

Run = Callable[[str], float]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a script in the compiler's place, which has to write `product`."""

    def run_it(body: str) -> float:
        program, source = tmp_path / "cc", tmp_path / "decay.pyx"
        program.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        program.chmod(0o755)
        toolchain, product = Toolchain.detect(), tmp_path / "product"
        return Step("cc", [str(program)], toolchain, source, tmp_path / "decay.log", product, run_compiler).run()

    return run_it


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYMGRAD_BUILD_TIMEOUT", "0.3")


def wait_for_the_end_of(process: int) -> None:
    deadline = time.monotonic() + 20
    stat = Path(f"/proc/{process}/stat")
    while stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < deadline, "it still runs"
        time.sleep(0.01)


def test_a_compiler_that_hangs_is_stopped_with_all_that_it_started(run: Run, tmp_path: Path, quick: None) -> None:
    with pytest.raises(BuildError, match=r"cc failed on decay.pyx: stopped, as it had not ended after 0.3 s") as caught:
        run("echo begun; sleep 300 & echo $! > child; wait")
    assert "first error: begun" in str(caught.value)
    assert "set SYMGRAD_BUILD_TIMEOUT to more seconds" in str(caught.value)
    assert (tmp_path / "decay.log").read_text().endswith("begun\n\n[stopped]\n")
    wait_for_the_end_of(int((tmp_path / "child").read_text()))


def test_a_sweep_that_takes_too_long_is_not_tried_another_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "cc"  # which passes for GCC, so that it is to work in pieces first
    version = '[ "$1" = --version ] && exec echo Free Software Foundation'
    compiler.write_text(f"#!/bin/sh\n{version}\necho >> '{tmp_path}/runs'; exec sleep 300\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    monkeypatch.setenv("PYTHONPATH", str(fake_cython(tmp_path / "fake", "open(output, 'w').write('int x;')")))
    toolchain = Toolchain.detect()
    translator.translate(tmp_path, ["a=b.pyx"])  # its process takes a while to start
    monkeypatch.setenv("SYMGRAD_BUILD_TIMEOUT", "0.3")
    with pytest.raises(BuildError, match="SYMGRAD_BUILD_TIMEOUT"):
        build_sweep("", "sweep", toolchain, folder=tmp_path)
    assert (tmp_path / "runs").read_text() == "\n"


def test_an_interrupt_stops_the_compiler(run: Run, tmp_path: Path) -> None:
    """It has a group of its own: a terminal's Ctrl-C does not reach it."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(KeyboardInterrupt):
            run("sleep 300 & echo $! > child; wait")
    finally:
        signal.signal(signal.SIGALRM, before)
    wait_for_the_end_of(int((tmp_path / "child").read_text()))


def test_a_process_that_the_compiler_leaves_behind_is_not_waited_for(run: Run, tmp_path: Path) -> None:
    """Though it holds what the compiler printed to."""
    run("sleep 300 & echo $! > child; echo x > product")
    os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)


def test_of_a_flood_the_start_and_the_end_are_kept(run: Run, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"first error: decay\.c:1:2: error: the first"):
        run("echo decay.c:1:2: error: the first; yes 'error: another' | head -c 100000000; echo the last; exit 1")
    log = (tmp_path / "decay.log").read_text()
    assert len(log) < 400_000
    assert "bytes are left out" in log
    assert log.endswith("the last\n\n[exit status 1]\n")


def test_a_line_without_end_is_cut() -> None:
    output = Capped()
    output.add(b"error " * 50_000 + b"\nnext")
    assert next(map(len, output.text().splitlines())) == 4000
    assert output.text().splitlines()[-1] == "next"


@pytest.mark.parametrize("cut", [1, 256_000, 256_001, 300_000])
def test_what_is_kept_is_the_same_however_it_comes(cut: int) -> None:
    data = b"".join(b"%07d\n" % number for number in range(50_000))
    whole, parts = Capped(), Capped()
    whole.add(data)
    for piece in (data[:cut], data[cut:]):
        parts.add(piece)
    assert whole == parts
    assert whole.text() == (data[:256_000] + b"\n... 80000 bytes are left out ...\n" + data[-64_000:]).decode()


# --- Cython's kept process -----------------------------------------------------------------------------------------


def test_a_translation_that_hangs_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: None) -> None:
    hangs = "print('begun', flush=True); open('at', 'w').write(str(os.getpid())); time.sleep(300)"
    monkeypatch.setenv("PYTHONPATH", str(fake_cython(tmp_path / "fake", hangs)))
    monkeypatch.setenv("SYMGRAD_BUILD_TIMEOUT", "1")  # the server has to start

    def call(step: Step) -> tuple[int, str]:
        return translator.translate(tmp_path, ["a=decay.pyx"])

    step = Step("Cython", [], Toolchain.detect(), tmp_path / "decay.pyx", tmp_path / "log", tmp_path / "decay.c", call)
    with pytest.raises(BuildError, match=r"Cython failed on decay.pyx: stopped, .* after 1 s\n  first error: begun"):
        step.run()
    wait_for_the_end_of(int((tmp_path / "at").read_text()))


# --- limits, and ends ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["soon", "0", "-3", "nan", "inf", " "])
def test_a_limit_that_is_no_number_of_seconds_is_named(text: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYMGRAD_BUILD_TIMEOUT", text)
    with pytest.raises(BuildError, match=rf"\$SYMGRAD_BUILD_TIMEOUT is '{text}', expected a number of seconds"):
        run("echo x > product")


def test_the_limit_without_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in (None, ""):
        monkeypatch.delenv("SYMGRAD_BUILD_TIMEOUT", raising=False)
        if text is not None:
            monkeypatch.setenv("SYMGRAD_BUILD_TIMEOUT", text)
        assert build_timeout() == 600


@pytest.fixture
def no_child_is_reported() -> Iterator[None]:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGCHLD, before)


def test_a_failure_is_seen_where_the_program_ignores_its_children(run: Run, no_child_is_reported: None) -> None:
    run("echo x > product")
    with pytest.raises(BuildError, match="exit status 3"):
        run("echo half > product; exit 3")
    with pytest.raises(BuildError, match="killed by SIGSEGV"):
        run("echo half > product; kill -SEGV $$")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_no_error_of_the_model(number: int, run: Run, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=os.strerror(number)) as caught:
        run(f"echo 'as: decay.o: {os.strerror(number)}'; exit 1")
    assert (caught.value.errno, caught.value.filename) == (number, str(tmp_path))
