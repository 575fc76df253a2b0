"""Locks across fork and interrupt: nothing hangs, and what they guard is whole."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

PROGRAM = """
    import os, signal, sys, threading, time
    import numpy as np
    import graphc

    v = graphc.Variable(np.zeros((128, 128), np.float32))
    x = np.ones((128, 128), np.float32)

    @graphc.compile
    def step(x):
        v.assign(v * 0.5 + graphc.softmax(x) @ x.mT)
        return v.sum()

    step(x)
"""
FORK_WHILE_RUNNING = """
    threading.Thread(target=lambda: [step(x) for _ in iter(int, 1)], daemon=True).start()
    for _ in range(20):
        time.sleep(0.002)
        child = os.fork()
        if child == 0:
            step(x), v.value
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    os._exit(0)
"""
FORK_WHILE_COMPILING = """
    def compile_for_ever():
        for size in iter(int, 1):
            graphc.compile(lambda a: graphc.exp(a) * len(str(size)))(x)

    threading.Thread(target=compile_for_ever, daemon=True).start()
    for number in range(8):
        time.sleep(0.003)
        child = os.fork()
        if child == 0:
            graphc.compile(lambda a: a * 3 + number)(x)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    os._exit(0)
"""
FORK_WHILE_PROFILING = """
    plain = graphc.compile(lambda a: graphc.softmax(a) @ a)
    right = plain(x)
    plain.programs[0].profile(x, repeat=1)  # imports, whose locks a fork in Python leaves held

    def profile_for_ever():  # compiles, too, but outside of graphc.compile
        for _ in iter(int, 1):
            plain.programs[0].profile(x, repeat=1)

    threading.Thread(target=profile_for_ever, daemon=True).start()
    for number in range(20):
        time.sleep(0.003)
        child = os.fork()
        if child == 0:
            new = graphc.compile(lambda a: graphc.exp(a) * number)
            [new(x) for _ in range(5)]  # the last ones natively
            os._exit(not np.array_equal(plain(x), right))
        assert os.waitpid(child, 0)[1] == 0
    os._exit(0)
"""
INTERRUPTED = """
    def interrupt(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, interrupt)
    caught = 0
    while caught < 200:
        signal.setitimer(signal.ITIMER_REAL, 0.0002 + 0.00001 * (caught % 50))
        try:
            while True:
                step(x)
        except KeyboardInterrupt:
            caught += 1
    other = threading.Thread(target=lambda: (step(x), v.value), daemon=True)
    other.start()
    other.join(20)
    sys.exit(other.is_alive())
"""
IN_A_HANDLER = """
    a, ones = graphc.Variable(np.zeros((1500, 1500), np.float32)), np.eye(1500, dtype=np.float32)

    @graphc.compile
    def long_step(x):
        a.assign(a @ x @ x @ x + 1)
        return x[0, 0]

    def handle(*_):  # in the middle of a long step, which has the lock of the variables
        seen.append(1)
        compiled = graphc.compile(lambda z: z * len(seen) + 1)(np.ones(3, np.float32))
        assert compiled[0] == len(seen) + 1
        child = os.fork()
        if child == 0:
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0

    def compile_for_ever():
        for number in iter(int, 1):
            w = graphc.Variable(np.zeros(5, np.float32))
            def f(z): w.assign(w + z * len(seen)); return w.sum()
            graphc.compile(f)(np.ones(5, np.float32))

    def fork_for_ever():
        for _ in iter(int, 1):
            child = os.fork()
            if child == 0:
                os._exit(0)
            os.waitpid(child, 0)
            time.sleep(0.01)

    seen = []
    long_step(ones)
    signal.signal(signal.SIGALRM, handle)
    for work in (compile_for_ever, fork_for_ever):
        threading.Thread(target=work, daemon=True).start()
    for number in range(15):
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        long_step(ones)
    assert seen
    os._exit(0)
"""
BODIES = [IN_A_HANDLER, FORK_WHILE_RUNNING, FORK_WHILE_COMPILING, FORK_WHILE_PROFILING, INTERRUPTED]


@pytest.mark.parametrize("body", BODIES)
def test_nobody_is_left_waiting(body: str) -> None:
    program = textwrap.dedent(PROGRAM) + textwrap.dedent(body)
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, timeout=120, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
