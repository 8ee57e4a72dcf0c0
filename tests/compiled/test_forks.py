"""Forks and signals at any moment of a sweep on several threads: no child hangs, and each computes the same bits.

A child has the thread that forked and no other: those that helped with a sweep under way are gone. These programs fork
in a signal handler, which Python runs in the middle of a sweep.
"""

import json
import os
import subprocess
import sys
from typing import Any

import pytest
import sympy as sp

import symgrad as sg

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")

PROGRAM = """
import json, os, random, signal, sys, threading, time, warnings
from pathlib import Path
import numpy as np
from symgrad.load import load_module
warnings.simplefilter("ignore")  # of forks of a process with threads
mean = load_module(Path(sys.argv[1]), "mean_of_data")
data = np.random.default_rng(0).normal(size=2_000_000)
moment = random.Random(1)
children, child = [], False

def same(threads=3):
    return mean.gradient([0.5], None, data, threads=threads).tobytes() == expected and \\
        mean.per_sample_loss([0.5], None, data, threads=threads).tobytes() == losses

def calls_of_a_child():
    # what waits for a thread that is gone is ended by the alarm
    global child
    child = True
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(30)
    return same()

expected = mean.gradient([0.5], None, data, threads=1).tobytes()
losses = mean.per_sample_loss([0.5], None, data, threads=1).tobytes()
"""
FORKS = """
def handler(*_):
    pid = os.fork()
    if pid:
        children.append(pid)
    elif not calls_of_a_child():
        os._exit(1)  # else it comes back to the sweep that was interrupted

signal.signal(signal.SIGALRM, handler)
for _ in range(16):
    signal.setitimer(signal.ITIMER_REAL, moment.uniform(1e-4, 6e-3))
    fine = same() and same(4)
    if child:
        os._exit(0 if fine else 2)
print(json.dumps([fine, len(children), [os.waitpid(pid, 0)[1] for pid in children]]))
"""
INTERRUPTED = """
def handler(*_):
    pid = os.fork()
    if pid:
        children.append(pid)
    elif calls_of_a_child():
        raise KeyboardInterrupt

signal.signal(signal.SIGALRM, handler)
for _ in range(4):
    signal.setitimer(signal.ITIMER_REAL, moment.uniform(1e-4, 1e-3))
    try:
        fine = same()
    except KeyboardInterrupt:
        os._exit(0 if child and same() else 3)
print(json.dumps([fine, len(children), [os.waitpid(pid, 0)[1] for pid in children]]))
"""
SIGNALS = """
small = data[:2000]
of_small = mean.gradient([0.5], None, small).tobytes()
bad = []
signal.signal(signal.SIGALRM, lambda *_: bad.append(mean.gradient([0.5], None, small).tobytes() != of_small))
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
fine = all(same(1 + i % 3) for i in range(20))
signal.setitimer(signal.ITIMER_REAL, 0)
handled = len(bad)
signal.signal(signal.SIGALRM, lambda *_: 1 / 0)
for i in range(15):
    out = np.full(len(data), 7.0)
    signal.setitimer(signal.ITIMER_REAL, moment.uniform(1e-4, 6e-3))
    try:
        while True:
            mean.per_sample_loss([0.5], None, data, out=out, threads=3)
    except ZeroDivisionError:
        after = out.copy()
    time.sleep(0.002)
    bad.append(after.tobytes() != out.tobytes())  # nothing is written when the call has ended
print(json.dumps([fine, handled, bad]))
"""


def answer(program: str) -> Any:
    """Return what a program prints, in a process of its own."""
    theta, y = sp.symbols("theta y")
    risk = sg.EmpiricalRisk.from_expression(
        (theta - y) ** 2 / 2, inputs=[], targets=[y], parameters=[theta], name="mean_of_data"
    )
    compiled: Any = sg.compile(risk)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + program, str(compiled.path)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("program", [FORKS, INTERRUPTED], ids=["forks", "interrupted"])
def test_a_fork_in_a_signal_handler_in_the_middle_of_a_sweep(program: str) -> None:
    fine, forks, statuses = answer(program)
    assert fine
    assert forks > 1
    assert statuses == [0] * forks


def test_a_storm_of_signals_whose_handlers_sweep_or_raise() -> None:
    fine, handled, bad = answer(SIGNALS)
    assert fine
    assert handled > 5
    assert not any(bad)
