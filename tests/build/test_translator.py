"""The kept Cython process: what it gives, what it leaves behind, and who can hang it."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from symgrad.build import cython_process, translator
from tests.helpers.building import fake_cython

SOURCE = '"""∇R"""\ndef twice(x):\n    return 2 * x\n'


def write(folder: Path, name: str, text: str = SOURCE) -> str:
    (folder / f"{name}.pyx").write_text(text, encoding="utf-8")
    return f"_symgrad.{name}={name}.pyx"


@pytest.fixture
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no server of an earlier test answer."""
    monkeypatch.setattr(translator, "_server", None)
    monkeypatch.setattr(translator, "_started_for", None)  # put back together, or a server would pass for another


def server_process() -> int:
    """The process that serves this one: whoever holds the other end of its socket. Found by its parent: nobody's."""
    own = os.getpid()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != own:
            try:
                command = (entry / "cmdline").read_bytes().split(b"\0")
                environment = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if (
                any(word.endswith(b"cython_process.py") for word in command)
                and f"PYTHON_OF={own}".encode() in environment
            ):
                return int(entry.name)
    raise AssertionError("no server")


def test_a_translation_by_the_server_is_what_the_command_gives_by_hand_whatever_came_before(
    tmp_path: Path, no_server: None
) -> None:
    for folder in ("first", "second", "hand"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, "größe")
    assert translator.translate(tmp_path / "first", ["_symgrad.größe=größe.pyx"]) == (0, "")
    other = write(tmp_path, "broken", "def broken(:\n")
    assert translator.translate(tmp_path, [other])[0] == 1
    assert translator.translate(tmp_path / "second", ["_symgrad.größe=größe.pyx"]) == (0, "")
    command = translator.cython_command(["_symgrad.größe=größe.pyx"])
    subprocess.run(command, cwd=tmp_path / "hand", env=translator.build_environment(), check=True)
    texts = {(tmp_path / folder / "größe.c").read_bytes() for folder in ("first", "second", "hand")}
    assert len(texts) == 1


def test_several_files_of_one_request_and_what_is_printed(tmp_path: Path) -> None:
    files = [write(tmp_path, "bad", "def broken(:\n"), write(tmp_path, "half")]
    status, output = translator.translate(tmp_path, files)
    assert status == 1
    assert "bad.pyx:1:11" in output
    assert (tmp_path / "half.c").is_file()


def test_one_server_answers_many_threads(tmp_path: Path, no_server: None) -> None:
    names = [f"m{index}" for index in range(8)]
    files = [write(tmp_path, name) for name in names]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda file: translator.translate(tmp_path, [file]), files)) == [(0, "")] * 8
    assert all((tmp_path / f"{name}.c").is_file() for name in names)


def test_a_server_that_is_gone_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON_OF", str(os.getpid()))  # Python reads it, one might think: so a server of this one's own
    file = write(tmp_path, "half")
    assert translator.translate(tmp_path, [file]) == (0, "")
    os.kill(server_process(), signal.SIGKILL)
    assert translator.translate(tmp_path, [file]) == (0, "")


def test_a_process_that_does_not_serve_is_told_by_what_it_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\necho no library of that name\nexit 127\n", encoding="utf-8")
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))
    assert translator.translate(tmp_path, []) == (127, "no library of that name\n")


def test_a_killed_worker_is_told_by_its_signal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(fake_cython(tmp_path, "os.kill(os.getpid(), 9)")))
    assert translator.translate(tmp_path, ["a=b.pyx"]) == (-signal.SIGKILL, "")


HANG = "open('at', 'w').write(str(os.getpid())); time.sleep(600)"


def wait_for(path: Path) -> int:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if path.is_file() and path.read_text():
            return int(path.read_text())
        time.sleep(0.01)
    raise AssertionError(f"no {path}")


def wait_for_the_end_of(process: int) -> None:
    deadline = time.monotonic() + 10
    while Path(f"/proc/{process}").exists():
        assert time.monotonic() < deadline, "it still runs"
        time.sleep(0.01)


@pytest.mark.parametrize("end", ["SIGINT", "SIGKILL"])
def test_whoever_is_interrupted_or_killed_leaves_no_process(end: str, tmp_path: Path) -> None:
    """Neither the translation that it waited for nor the server."""
    ask = "translator.translate(Path.cwd(), ['a=b.pyx'])"
    code = f"from pathlib import Path; from symgrad.build import translator; {ask}"
    environment = {**os.environ, "PYTHONPATH": str(fake_cython(tmp_path / "fake", HANG))}
    asking = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=environment, stderr=subprocess.PIPE)
    worker = wait_for(tmp_path / "at")
    keeper = int(Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[1])
    server = int(Path(f"/proc/{keeper}/stat").read_text().rpartition(")")[2].split()[1])
    asking.send_signal(signal.Signals[end])
    asking.communicate(timeout=20)
    for process in (worker, keeper, server):
        wait_for_the_end_of(process)


@pytest.mark.parametrize(("flags", "ran"), [((), True), (("-I",), False), (("-E",), False)])
def test_the_process_is_as_isolated_as_its_parent(flags: tuple[str, ...], ran: bool, tmp_path: Path) -> None:
    planted = tmp_path / "planted"
    planted.mkdir()
    (planted / "sitecustomize.py").write_text("import os\nopen(os.path.dirname(__file__) + '/ran', 'w')\n")
    fake = "import sys; from symgrad.build import translator as t; sys.exit(t.translate(t.Path.cwd(), [])[0])"
    environment = {**os.environ, "PYTHONPATH": str(planted)}
    subprocess.run([sys.executable, *flags, "-c", fake], cwd=tmp_path, env=environment, check=True)
    assert (planted / "ran").exists() == ran


def test_flags_about_sites_are_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "flags", SimpleNamespace(no_user_site=1, no_site=1))
    assert translator.cython_command(())[1:3] == ["-s", "-S"]


def test_a_forked_child_has_a_server_of_its_own(tmp_path: Path) -> None:
    """Also where another thread was starting one: its lock is not the child's."""
    file = write(tmp_path, "half")
    translator.start_translator()
    with translator._starting:
        child = os.fork()
        if child == 0:
            os._exit(translator.translate(tmp_path, [file])[0])
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_no_child_of_this_process_remains(tmp_path: Path) -> None:
    """A program that waits for all its children must not wait for ours."""
    code = """
        import os
        from pathlib import Path
        from symgrad.build import translator
        translator.start_translator()
        try:
            os.wait()
        except ChildProcessError:
            print("none")
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("none\n", "")


def test_the_server_ends_when_nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    monkeypatch.setattr(cython_process, "IDLE", 0.05)
    monkeypatch.setattr(cython_process, "_warm_up", lambda: None)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with ours, theirs:
        serving = threading.Thread(target=cython_process.serve, args=(theirs,))
        serving.start()
        serving.join(5)
        assert not serving.is_alive()
