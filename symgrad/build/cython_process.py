"""Cython files to C. Run by its path, never imported.

    python -P cython_process.py MODULE=PATH.pyx ...   writes PATH.c beside each; exit status 1 if one has errors
    python -P cython_process.py                       serves on the socket that is its standard input

To start Cython takes 0.3 s, and then a model 0.05: the server starts it once, and works on each request in a fork of
itself. So each finds the same fresh state, whatever came before, gives its memory back, and may fail or be killed
without harm to the next. `translator` is the other side, and says what goes over the sockets.

Collections of garbage, a tenth of Cython's time, are few. Each process makes Cython's scanner anew, a third of its
time, most of it for letters beyond ASCII, which no name in a module's text has (but the module's own, perhaps).
"""

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
import tempfile
import traceback
from pathlib import Path

IDLE = 20.0  # seconds without a request, and the server ends


def translate(arguments: list[str]) -> int:
    """Translate each file; return 1 where one has errors."""
    from Cython.Compiler.Main import CompilationOptions, compile_single, default_options

    gc.set_threshold(3_000_000, 50, 50)
    if all(argument.isascii() for argument in arguments):
        _know_no_letters_beyond_ascii()
    failed = 0
    for argument in arguments:
        module, _, path = argument.partition("=")
        options = CompilationOptions(
            default_options,
            language_level=3,
            output_file=path.removesuffix(".pyx") + ".c",
            compiler_directives={"emit_code_comments": False},
        )
        failed += compile_single(path, options, full_module_name=module).num_errors > 0
    return min(1, failed)


def _know_no_letters_beyond_ascii() -> None:
    from Cython.Compiler import Lexicon

    for name in [name for name in dir(Lexicon) if name.startswith("unicode_")]:
        setattr(Lexicon, name, "".join(filter(str.isascii, getattr(Lexicon, name))))


def serve(requests: socket.socket) -> None:
    """Answer each request in a process of its own, until nobody is left who could ask, or nobody did for a while."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever answers is waited for by nobody
    with contextlib.suppress(Exception):  # without Cython, say: each request will meet it again, and tell
        _warm_up()
    while select.select([requests], [], [], IDLE)[0]:
        message, descriptors, _, _ = socket.recv_fds(requests, 1, 1)
        if not message:
            return
        if os.fork() == 0:
            requests.close()
            try:
                with socket.socket(fileno=descriptors[0]) as channel:
                    _answer(channel)
            finally:
                os._exit(0)
        os.close(descriptors[0])


def _warm_up() -> None:
    """Translate next to nothing: what Cython reads and makes for any file is there from then on."""
    with tempfile.TemporaryDirectory(prefix="symgrad-") as folder:
        path = Path(folder, "nothing.pyx")
        path.write_text("", encoding="utf-8")
        translate([f"_symgrad.nothing={path}"])


def _answer(channel: socket.socket) -> None:
    """Read one request, have it done by a fork, and write its output and, after a zero byte, its status."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    channel.sendall(b"\n")  # it is taken
    with channel.makefile("rb") as lines:
        request = json.loads(lines.readline())
    ended, held = os.pipe()  # what the worker holds closes when it ends, however that comes
    worker = os.fork()
    if worker == 0:
        os.close(ended)
        _work(request["folder"], request["arguments"], channel)
    os.close(held)
    if ended not in select.select([channel.fileno(), ended], [], [])[0]:  # nothing more is sent: whoever asked is gone
        os.kill(worker, signal.SIGKILL)
    channel.sendall(b"\0%d" % os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]))


def _work(folder: str, arguments: list[str], channel: socket.socket) -> None:
    status = 1
    try:
        os.dup2(channel.fileno(), 1)
        os.dup2(channel.fileno(), 2)
        os.chdir(folder)
        status = translate(arguments)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _leave_the_family() -> None:
    """Go on as nobody's child, in a session of its own: no interrupt from a terminal and no `os.wait` meets it."""
    if os.fork() != 0:
        os._exit(0)
    os.setsid()


if __name__ == "__main__":
    if sys.argv[1:]:
        sys.exit(translate(sys.argv[1:]))
    _leave_the_family()
    served = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    serve(served)
