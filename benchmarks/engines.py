"""The engines: how graphc and each peer compile a work and run it, at their best honest setting.

`prepare` converts the inputs, which is not counted, and returns a function that builds what the
engine builds ahead of its first call; that and the first call are the time of the first call. A
call has no arguments and returns when the result lies in host memory. Threads are set three times
over: by affinity (for JAX, which asks for nothing else), by the usual variables, and by each
engine's own option.
"""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from benchmarks.work import Array, Work

Call: TypeAlias = Callable[[], Any]


@dataclass(frozen=True)
class Runner:
    """A work that is ready to run: the call, how its value is read, and what must outlive it."""

    call: Call
    read: Callable[[Any], list[Array]]
    kept: Any = None


Start: TypeAlias = Callable[[], Runner]
ONNX_HEADER = '<ir_version: 10, opset_import: ["" : 20]>\n'
THREAD_VARIABLES = (
    "GRAPHC_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
)


@dataclass(frozen=True)
class Engine:
    """One way to run works.

    prepare    (work, inputs, threads) to the function that starts it
    spelling   the field of a Work that it runs
    peer       what `--peers` calls it
    packages   whose versions are reported
    compiles   False for an eager engine, which has no compile time to compare
    cache      variables that put its compilation cache into the directory {}, for warm first calls
    """

    prepare: Callable[[Work, Sequence[Array], int], Start]
    spelling: str
    peer: str
    packages: tuple[str, ...]
    compiles: bool = True
    cache: dict[str, str] = field(default_factory=dict)


def _graphc(work: Work, inputs: Sequence[Array], threads: int) -> Start:
    graphc: Any = importlib.import_module("graphc")
    spelling = _spelling(work, "graphc")
    if work.stateful:
        return lambda: Runner(spelling(graphc, graphc.compile, *inputs), as_arrays)
    return lambda: Runner(functools.partial(graphc.compile(spelling(graphc)), *inputs), as_arrays)


def _torch(work: Work, inputs: Sequence[Array], threads: int, *, eager: bool) -> Start:
    torch: Any = importlib.import_module("torch")
    torch.set_num_threads(threads)
    tensors = [torch.from_numpy(array) for array in inputs]
    compiler = _unchanged if eager else functools.partial(torch.compile, dynamic=False)
    spelling = _spelling(work, "torch")
    if work.stateful:
        return lambda: Runner(spelling(torch, compiler, *tensors), as_arrays)
    # Inference mode is a state of the thread: entered once and never left.
    torch.inference_mode().__enter__()
    return lambda: Runner(functools.partial(compiler(spelling(torch)), *tensors), as_arrays)


def _unchanged(function: Any) -> Any:
    return function


def _jax(work: Work, inputs: Sequence[Array], threads: int) -> Start:
    jax: Any = importlib.import_module("jax")
    arrays = [jax.numpy.asarray(array) for array in inputs]
    jax.block_until_ready(arrays)
    spelling, ready = _spelling(work, "jax"), jax.block_until_ready

    def start() -> Runner:
        if work.stateful:
            call = spelling(jax, jax.jit, *arrays)
        else:
            call = functools.partial(jax.jit(spelling(jax)), *arrays)
        return Runner(lambda: ready(call()), as_arrays)

    return start


def _model(work: Work, inputs: Sequence[Array]) -> tuple[Any, Sequence[Array]]:
    """Return the work as an ONNX model that holds its weights, and the inputs that remain."""
    onnx: Any = importlib.import_module("onnx")
    model = importlib.import_module("onnx.parser").parse_model(f"{ONNX_HEADER}main {work.onnx}")
    free = len(inputs) - work.weights
    for value, array in zip(model.graph.input[free:], inputs[free:], strict=True):
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, value.name))
    del model.graph.input[free:]
    return model, inputs[:free]


def _onnxruntime(work: Work, inputs: Sequence[Array], threads: int) -> Start:
    """Inputs and outputs are bound once, so that a call copies neither."""
    ort: Any = importlib.import_module("onnxruntime")
    model, inputs = _model(work, inputs)
    names = [value.name for value in model.graph.input]
    text = model.SerializeToString()
    values = [ort.OrtValue.ortvalue_from_numpy(array) for array in inputs]
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3

    def start() -> Runner:
        session = ort.InferenceSession(text, options, providers=["CPUExecutionProvider"])
        binding = session.io_binding()
        for name, value in zip(names, values, strict=True):
            binding.bind_ortvalue_input(name, value)
        for output in session.get_outputs():
            binding.bind_output(output.name, "cpu")
        call = functools.partial(session.run_with_iobinding, binding)
        return Runner(call, lambda _: list(binding.copy_outputs_to_cpu()), values)

    return start


def _openvino(work: Work, inputs: Sequence[Array], threads: int) -> Start:
    """The low-latency setting, in float32: the default rounds to bfloat16 on some CPUs."""
    openvino: Any = importlib.import_module("openvino")
    model, inputs = _model(work, inputs)
    text = model.SerializeToString()
    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
    }

    def start() -> Runner:
        core = openvino.Core()
        request = core.compile_model(core.read_model(text), "CPU", options).create_infer_request()
        for place, array in enumerate(inputs):
            request.set_input_tensor(place, openvino.Tensor(array, shared_memory=True))
        call = functools.partial(request.infer, None, share_inputs=True, share_outputs=True)
        return Runner(call, lambda _: [tensor.data for tensor in request.output_tensors], inputs)

    return start


def _spelling(work: Work, engine: str) -> Callable[..., Any]:
    spelling: Callable[..., Any] | None = getattr(work, engine)
    if spelling is None:
        raise ValueError(f"{work.name} is not spelled for {engine}")
    return spelling


def as_arrays(value: Any) -> list[Array]:
    """Return tensors of any framework, alone or in a list, tuple or dictionary, as arrays."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [array for item in value for array in as_arrays(item)]
    return [np.asarray(value.detach() if hasattr(value, "detach") else value)]


ENGINES: dict[str, Engine] = {
    "graphc": Engine(
        _graphc,
        "graphc",
        "graphc",
        ("graphc", "numpy", "llvmlite"),
        cache={"XDG_CACHE_HOME": "{}"},
    ),
    "torch.eager": Engine(
        functools.partial(_torch, eager=True), "torch", "torch", ("torch",), compiles=False
    ),
    "torch.compile": Engine(
        functools.partial(_torch, eager=False),
        "torch",
        "torch",
        ("torch",),
        cache={"TORCHINDUCTOR_CACHE_DIR": "{}"},
    ),
    "jax": Engine(
        _jax,
        "jax",
        "jax",
        ("jax", "jaxlib"),
        cache={
            "JAX_COMPILATION_CACHE_DIR": "{}",
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        },
    ),
    "onnxruntime": Engine(_onnxruntime, "onnx", "onnxruntime", ("onnxruntime",)),
    "openvino": Engine(_openvino, "onnx", "openvino", ("openvino",)),
}
PEERS: dict[str, str] = {  # what may be asked for, and the package that must be there
    name: engine.peer
    for engine_name, engine in ENGINES.items()
    for name in (engine.peer, engine_name)
    if engine.peer != "graphc"
}


def engines_for(work: Work, peers: Sequence[str]) -> list[str]:
    """Return graphc and the engines of these peers that the work is spelled for.

    "torch" means both of its engines, "torch.eager" one. Where compiling is what is measured, only
    those that compile.
    """
    return [
        name
        for name, engine in ENGINES.items()
        if (name in ("graphc", *peers) or engine.peer in peers)
        and getattr(work, engine.spelling) is not None
        and (engine.compiles or work.measure == "call")
    ]


def environment(threads: int, cache: str) -> dict[str, str]:
    """Return the environment of a worker: threads, and an empty directory for every cache.

    Python may keep bytecode, as it has that of the peers, which are installed.
    """
    own = dict.fromkeys(THREAD_VARIABLES, str(threads))
    own |= {"XDG_CACHE_HOME": cache, "TORCHINDUCTOR_CACHE_DIR": f"{cache}/inductor"}
    own["JAX_PLATFORMS"] = "cpu"
    own["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "")
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, **own}
