"""The team: the same bits on any number of threads, callers at once, forks, ends."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from graphc.backends.llvm import work
from graphc.kernel_text import parse_kernel
from tests.backends.llvm.harness import assert_same_bits, check, compile_kernel, expected

ROOT = Path(__file__).resolve().parents[3]

# every element of z is made from two elements of y that other threads have written
MIXED = """kernel mixed(x: float32[1000] in, y: float32[1000] inout, z: float32[1000] out) {
  for i < 125 parallel { for l < 8 vector {
    %a = load x[8*i + l] : float32  %b = mul(%a, %a) : float32  store y[8*i + l] = %b } }
  barrier
  for j < 1000 parallel {
    scratch big : float32[3000] cache
    %c = load y[-1*j + 999] : float32
    %d = load y[((7*j) mod 1000)] : float32
    store big[2*j + 1] = %c
    %e = load big[2*j + 1] : float32
    %f = sub(%e, %d) : float32
    store z[j] = %f } }"""


@pytest.fixture(autouse=True)
def _tiny_work_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "STEPS_PER_THREAD", 1)


def arrays(seed: int = 0) -> dict[str, np.ndarray]:
    x = np.random.default_rng(seed).normal(size=1000).astype(np.float32)
    return {"x": x, "y": np.zeros(1000, np.float32)}


@pytest.mark.parametrize("cores", [1, 2, 3, 4])
def test_any_number_of_threads_gives_the_same_bits(cores: int) -> None:
    check(MIXED, arrays(), cpus=[""], cores=cores)


@pytest.mark.parametrize("extent", [1, 2, 3, 5])
def test_fewer_iterations_than_threads(extent: int) -> None:
    text = f"""kernel few(x: int32[{extent}, 16] in, y: int32[{extent}, 16] out) {{
      for i < {extent} parallel {{ for l < 16 vector {{
        %a = load x[i, l] : int32  %b = add(%a, %a) : int32  store y[i, l] = %b }} }} }}"""
    check(text, {"x": np.arange(extent * 16, dtype=np.int32).reshape(extent, 16)}, [""], cores=4)


def test_many_callers_at_once() -> None:
    text = MIXED.replace("y: float32[1000] inout", "y: float32[1000] out")
    kernel = parse_kernel(text)
    executable, _, _ = compile_kernel(kernel, arrays(), cores=3)
    samples = [arrays(seed) for seed in range(20)]
    wanted = [expected(kernel, sample)["z"] for sample in samples]

    def call(number: int) -> None:
        for _ in range(50):
            assert_same_bits(executable.run([samples[number]["x"]])[1], wanted[number])

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(call, range(20)))


def test_compiling_in_many_threads_at_once() -> None:
    def compile_and_run(number: int) -> None:
        check(MIXED.replace("7*j", f"{number}*j"), arrays(number), [""], cores=2)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(compile_and_run, range(8)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_makes_its_own_team() -> None:
    check(MIXED, arrays(), [""], cores=3)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(10)
            check(MIXED, arrays(1), [""], cores=3)
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    check(MIXED, arrays(2), [""], cores=3)


SCRIPT = """
import threading, numpy as np
from graphc.backends.llvm import work
work.STEPS_PER_THREAD = 1
from tests.backends.llvm.test_threads import MIXED, arrays
from tests.backends.llvm.harness import check, compile_kernel
from graphc.kernel_text import parse_kernel
check(MIXED, arrays(), [""], cores=4)
{then}
print("done", flush=True)
"""


def run_script(then: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python code after a kernel has started the team, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    command = [sys.executable, "-c", SCRIPT.format(then=then)]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_interpreter_ends_while_workers_sleep() -> None:
    done = run_script("")
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_control_c_reaches_python_while_a_program_runs() -> None:
    done = run_script("""
import os, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
executable, given, _ = compile_kernel(parse_kernel(MIXED), arrays(), cores=4)
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    while True:
        executable.run(given)
except KeyboardInterrupt:
    executable.run(given)
    print("interrupted", flush=True)
""")
    assert (done.returncode, done.stdout) == (0, "interrupted\ndone\n")


def test_threads_are_what_the_environment_says() -> None:
    done = run_script(
        "from graphc.backends.llvm import BACKEND; print(BACKEND.target().cores)",
        GRAPHC_NUM_THREADS="7",
    )
    assert done.stdout == "7\ndone\n"


def test_executables_are_freed() -> None:
    executable, given, _ = compile_kernel(parse_kernel(MIXED), arrays(), cores=2)
    executable.run(given)
    gone = weakref.ref(executable)
    del executable
    gc.collect()
    assert gone() is None


LINUX = pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity here")


MASKS = """
import os, time
from graphc.backends.llvm import team_code
cores = os.sched_getaffinity(0)
threads = THREADS
executable, given, _ = compile_kernel(parse_kernel(MIXED), arrays(), cores=threads)
for core in sorted(cores):
    os.sched_setaffinity(0, {core})  # the caller is there now
    os.sched_setaffinity(0, cores)
    for _ in range(3):
        executable.run(given)
        time.sleep(0.01)
    workers = [int(task) for task in os.listdir("/proc/self/task") if int(task) != os.getpid()]
    masks = [os.sched_getaffinity(worker) for worker in workers]
    assert masks and all(mask <= cores for mask in masks), masks
    others = [mask for mask in masks if mask != cores]
    CHECK
assert os.sched_getaffinity(0) == cores
"""


@LINUX
def test_workers_keep_off_the_callers_core() -> None:
    check = """
    assert len(others) >= len(cores) - 1, masks
    assert all(len(mask) == len(cores) - 1 for mask in others), masks"""
    done = run_script(MASKS.replace("THREADS", "len(cores)").replace("CHECK", check))
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


@LINUX
def test_more_threads_than_cores_share_all_of_them_and_do_not_spin() -> None:
    check = """
    assert not others, masks
    assert spins() == 0
few, given, _ = compile_kernel(parse_kernel(MIXED), arrays(), cores=len(cores))
few.run(given)
assert len(cores) == 1 or spins() > 0"""
    spins = """
import ctypes
from graphc.backends.llvm import team
def spins():
    return ctypes.c_int32.from_address(team.address(1) + team_code.SPINS_OFFSET).value
"""
    script = MASKS.replace("THREADS", "2 * len(cores) + 1").replace("CHECK", check)
    done = run_script(script.replace("cores =", spins + "cores =", 1))
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


@LINUX
def test_workers_stay_within_the_callers_affinity() -> None:
    done = run_script("""
import os
executable, given, _ = compile_kernel(parse_kernel(MIXED), arrays(), cores=4)
wanted = executable.run(given)[-1].tobytes()
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
for _ in range(20):
    assert executable.run(given)[-1].tobytes() == wanted
""")
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
