"""`python -m benchmarks.opencl`: works on an OpenCL device, beside PyTorch on the same GPU.

    python -m benchmarks.opencl                            the works of the table in the documents
    python -m benchmarks.opencl --work "softmax*" --seconds 2

Each work has two figures for each framework. *On the device*: operands and results stay there
(graphc: variables; torch: tensors of the GPU); calls are made one after the other, the host waits
for the last. *From host to host*: NumPy arrays in, NumPy arrays out; batches of a training step
stay with torch, which is given them once, and travel each time with graphc. Times are medians of
turns, on random data, after the result was checked: against NumPy in float64, or, in a training
step, against torch. torch computes in float32, without TF32; where it is missing or sees no GPU,
graphc is measured alone. GRAPHC_OPENCL_DEVICE chooses the device.
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

import graphc
from benchmarks.work import Array, Work, find_works
from benchmarks.works import matmul
from graphc.backends.opencl.device import default_device

Call: TypeAlias = Callable[[], Any]
CHOSEN = (
    *("matmul 1024", "matmul 2048", "matmul 4096", "matmul 96 of 128x128x64"),
    *("chain 16M", "softmax 16M", "layer norm 16M", "sum 4096x1024 axis 0", "mlp step"),
    "call with 1 argument",
)
SHORTEST_TURN = 5e-3  # seconds: a turn has as many calls as that takes


@dataclass(frozen=True)
class Runner:
    """One framework on one work: its first result, a call on the device, one from host to host, a
    wait for all."""

    first: Array
    on_device: Call
    from_host: Call
    wait: Call


@dataclass(frozen=True)
class Row:
    """What was measured of one work: seconds by framework and figure; None where it was not."""

    work: Work
    graphc: tuple[float, float]
    torch: tuple[float, float] | None


def works(patterns: Sequence[str]) -> list[Work]:
    """Return the works for a device that match any pattern, in the order of the patterns."""
    known = find_works()
    large = matmul.work("4096", (4096, 4096), (4096, 4096))
    known[large.name] = large
    found = [w for pattern in patterns for w in known.values() if fnmatch.fnmatch(w.name, pattern)]
    return [w for w in found if w.measure == "call" and w.graphc is not None and not w.busy]


def run_graphc(work: Work, inputs: Sequence[Array]) -> Runner:
    """Return `work` on the OpenCL device."""
    function, arguments = _function(work, inputs)
    operands = [graphc.Variable(argument) for argument in arguments]
    compiled = graphc.compile(function, backend="opencl")
    first = np.asarray(compiled(*arguments))
    result = graphc.Variable(np.full_like(first, np.nan))

    @graphc.compile(backend="opencl")
    def on_device() -> None:
        result.assign(function(*operands))

    if not work.stateful:
        on_device()
        _assert_close(work, result.value, first)
    return Runner(first, on_device, lambda: compiled(*arguments), default_device().queue.finish)


def _function(work: Work, inputs: Sequence[Array]) -> tuple[Callable[..., Any], Sequence[Array]]:
    """Return the function that graphc compiles for `work`, and its arguments."""
    assert work.graphc is not None
    if not work.stateful:
        return work.graphc(graphc), inputs

    def as_given(function: Any) -> Any:
        return lambda *arguments: (function, arguments)

    found: tuple[Any, Any] = work.graphc(graphc, as_given, *inputs)()
    return found


def run_torch(work: Work, inputs: Sequence[Array]) -> Runner | None:
    """Return `work` on the GPU of torch, None where there is none."""
    try:
        torch: Any = importlib.import_module("torch")
    except ImportError:
        return None
    if work.torch is None or not torch.cuda.is_available():
        return None
    torch.backends.cuda.matmul.allow_tf32 = False
    tensors = [torch.from_numpy(array).cuda() for array in inputs]
    wait = torch.cuda.synchronize
    if work.stateful:
        step = work.torch(torch, lambda function: function, *tensors)
        return Runner(step().cpu().numpy(), step, lambda: step().cpu().numpy(), wait)
    function = work.torch(torch)

    def from_host() -> Any:
        return function(*(torch.from_numpy(array).cuda() for array in inputs)).cpu().numpy()

    return Runner(from_host(), lambda: function(*tensors), from_host, wait)


def _assert_close(work: Work, got: Array, wanted: Array) -> None:
    scale = float(np.abs(wanted).max()) or 1.0
    error = float(np.abs(got.astype(np.float64) - wanted).max()) / scale
    if not error <= work.tolerance:  # NaN is wrong, too
        raise ValueError(f"{work.name}: a relative error of {error:.2g}")


def _check(work: Work, inputs: Sequence[Array], runner: Runner, peer: Runner | None) -> None:
    if work.numpy is not None:
        wanted = work.numpy(*(array.astype(np.float64) for array in inputs))
        _assert_close(work, runner.first, wanted)
    elif peer is not None:
        _assert_close(work, runner.first, peer.first)


def seconds(call: Call, wait: Call, limit: float) -> float:
    """Return the median time of a call over turns of many calls, for `limit` seconds."""
    for _ in range(3):
        call()
    wait()
    count, taken = 1, 0.0
    while taken < SHORTEST_TURN:
        count *= 2 if taken else 1
        taken = _turn(call, wait, count)
    turns = [_turn(call, wait, count) / count]
    end = time.perf_counter() + limit
    while time.perf_counter() < end or len(turns) < 3:
        turns.append(_turn(call, wait, count) / count)
    return statistics.median(turns)


def _turn(call: Call, wait: Call, count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        call()
    wait()
    return time.perf_counter() - start


def measure(work: Work, limit: float) -> Row:
    """Return the row of one work; raises ValueError where a result is wrong."""
    inputs = work.inputs()
    runner, peer = run_graphc(work, inputs), run_torch(work, inputs)
    _check(work, inputs, runner, peer)
    both = [
        (seconds(r.on_device, r.wait, limit), seconds(r.from_host, r.wait, limit))
        for r in (runner, peer)
        if r is not None
    ]
    return Row(work, both[0], both[1] if len(both) > 1 else None)


def speed(work: Work, taken: float) -> str:
    """Spell how fast the necessary operations were done, or the necessary bytes moved."""
    if work.flops:
        return f"{work.flops / taken / 1e9:,.0f} GFLOP/s"
    return f"{work.moved / taken / 1e9:,.0f} GB/s" if work.moved else ""


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the lines of a Markdown table, times in microseconds."""
    yield "| work | graphc, on the device | torch | ratio | graphc, from host to host | torch |"
    yield "|---|---|---|---|---|---|"
    for row in rows:
        cells = [row.work.name]
        for figure in (0, 1):
            own, peer = row.graphc[figure], row.torch[figure] if row.torch else None
            cells.append(_cell(row.work, own, figure))
            cells.append(_cell(row.work, peer, figure) if peer else "-")
            if figure == 0:
                cells.append(f"{peer / own:.2f}" if peer else "-")
        yield f"| {' | '.join(cells)} |"


def _cell(work: Work, taken: float, figure: int) -> str:
    fast = speed(work, taken)
    return f"{taken * 1e6:,.1f} µs" + (f" ({fast})" if fast and figure == 0 else "")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.opencl", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--work", action="append", help="a name or a pattern; may be repeated")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each figure (1)")
    options = parser.parse_args(arguments)
    handle = default_device().handle
    print(f"{handle.name.strip()}, driver {handle.driver_version}, {handle.platform.name}\n")
    rows = [measure(work, options.seconds) for work in works(options.work or CHOSEN)]
    print("\n".join(table(rows)))


if __name__ == "__main__":
    main()
