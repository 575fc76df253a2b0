"""OpenCL devices: which there are, which of them work, and what they can do.

A device counts as usable only after a probe kernel was built and ran correctly on it: being listed
proves nothing. GRAPHC_OPENCL_DEVICE names the one to use; otherwise it is the first usable one,
GPUs first and simulators last. pyopencl is imported here, when a device is first asked for.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc import settings
from graphc.backends.opencl.primitives import Features
from graphc.errors import BackendError

if TYPE_CHECKING:
    import pyopencl

_PROBE = """
#pragma OPENCL FP_CONTRACT OFF
__kernel void probe(__global const float *x, __global float *y) {
  __local float shared[4];
  const int i = (int)get_local_id(0);
  shared[i] = fma(x[i], x[i], -1.0f);
  barrier(CLK_LOCAL_MEM_FENCE);
  y[4 * get_group_id(0) + i] = shared[3 - i];
}
"""


_TRYING = threading.Lock()  # each device gets one context, whoever asks first


@dataclass(frozen=True, slots=True)
class DeviceDescription:
    """One device that OpenCL lists; `reason` says why it is usable or is not."""

    name: str
    platform: str
    version: str
    usable: bool
    reason: str


class Device:
    """A device that works: its context, and one queue that runs commands in order.

    Commands are enqueued inside `working`, by one thread at a time.
    """

    def __init__(self, handle: pyopencl.Device) -> None:
        import pyopencl as cl

        self.handle = handle
        self.name = handle.name.strip()
        self.lock = threading.RLock()
        self.context = cl.Context([handle])
        self.queue = cl.CommandQueue(self.context)
        correctly_rounded = cl.device_fp_config.CORRECTLY_ROUNDED_DIVIDE_SQRT
        self.features = Features(
            has_float64="cl_khr_fp64" in handle.extensions.split(),
            exact_division=bool(handle.single_fp_config & correctly_rounded),
        )
        self.group_items = min(256, int(handle.max_work_group_size))
        self.cores = int(handle.max_compute_units)
        self.local_bytes = int(handle.local_mem_size)
        self.parameter_bytes = int(handle.max_parameter_size)
        self.memory_bytes = int(handle.global_mem_size)

    def build(self, source: str) -> pyopencl.Program:
        """Return the built program; raises BackendError with the log of the compiler."""
        import pyopencl as cl

        options = ["-cl-std=CL1.2"]
        if self.name.startswith("Oclgrind"):
            # its compiler makes funnel shifts of rotations, which its interpreter does not know
            options.append("-cl-opt-disable")
        if self.features.exact_division:
            options.append("-cl-fp32-correctly-rounded-divide-sqrt")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", cl.CompilerWarning)  # remarks of a build that succeeds
            try:
                program: pyopencl.Program = cl.Program(self.context, source).build(options=options)
            except cl.Error as error:
                raise BackendError(
                    f"the OpenCL compiler of {self.name} refuses the program: {error}"
                ) from None
        return program

    @contextmanager
    def working(self, what: str) -> Iterator[None]:
        """Hold the device; raises BackendError, naming `what`, where a command of OpenCL fails."""
        import pyopencl as cl

        with self.lock:
            try:
                yield
            except cl.Error as error:
                raise BackendError(f"{self.name} cannot {what}: {error}") from None

    def allocate(self, size: int) -> pyopencl.Buffer:
        """Return a buffer of `size` bytes (OpenCL has none of 0)."""
        import pyopencl as cl

        return cl.Buffer(self.context, cl.mem_flags.READ_WRITE, max(size, 4))

    def upload(self, buffer: pyopencl.Buffer, array: np.ndarray[Any, Any], skip: int = 0) -> None:
        """Copy a dense array to `buffer`, behind `skip` bytes; done when this returns."""
        import pyopencl as cl

        if array.nbytes:
            cl.enqueue_copy(self.queue, buffer, _bytes(array), dst_offset=skip)

    def download(self, array: np.ndarray[Any, Any], buffer: pyopencl.Buffer, skip: int = 0) -> None:
        """Copy to a dense array from `buffer`, behind `skip` bytes; done when this returns."""
        import pyopencl as cl

        if array.nbytes:
            cl.enqueue_copy(self.queue, _bytes(array), buffer, src_offset=skip)

    def copy(
        self, target: tuple[pyopencl.Buffer, int], source: tuple[pyopencl.Buffer, int], size: int
    ) -> None:
        """Copy `size` bytes between buffers, each behind some bytes; nothing where they are one."""
        import pyopencl as cl

        (to, to_skip), (memory, skip) = target, source
        if size and (to is not memory or to_skip != skip):
            queue = self.queue
            cl.enqueue_copy(queue, to, memory, byte_count=size, src_offset=skip, dst_offset=to_skip)


def _bytes(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the memory of a dense array as bytes: extension types have no buffer protocol."""
    return array.reshape(-1).view(np.uint8)


def devices() -> list[DeviceDescription]:
    """Return every device that OpenCL lists, tried out. Empty where pyopencl is not installed."""
    try:
        with _TRYING:
            return [description for description, _ in _tried()]
    except BackendError:
        return []


def default_device() -> Device:
    """Return the device that programs run on; raises BackendError where there is none."""
    with _TRYING:
        return _chosen(settings.opencl_device())


@cache
def _chosen(wish: str) -> Device:
    tried = [
        (description, device)
        for description, device in _tried()
        if wish.lower() in f"{description.platform} {description.name}".lower()
    ]
    for _, device in tried:
        if device is not None:
            return device
    listed = tuple(f"{d.platform}, {d.name}: {d.reason}" for d, _ in tried)
    named = f" called {wish!r} (GRAPHC_OPENCL_DEVICE)" if wish else ""
    raise BackendError(
        f"no OpenCL device{named} is usable",
        notes=listed,
        hint="install a driver, or the simulator: pip install 'pyopencl[oclgrind]'",
    )


@cache
def _tried() -> tuple[tuple[DeviceDescription, Device | None], ...]:
    try:
        import pyopencl as cl
    except ImportError:
        raise BackendError(
            "the OpenCL backend needs pyopencl",
            hint="pip install '.[opencl]', where graphc's source is",
        ) from None
    try:
        platforms = cl.get_platforms()
    except cl.Error:  # no driver is installed
        return ()
    handles = [h for platform in platforms for h in platform.get_devices()]
    return tuple(_try(handle) for handle in sorted(handles, key=_preference))


def _preference(handle: pyopencl.Device) -> int:
    """Order devices: simulators list themselves as every type at once."""
    import pyopencl as cl

    kinds = [cl.device_type.GPU, cl.device_type.ACCELERATOR, cl.device_type.CPU]
    own = [order for order, kind in enumerate(kinds) if handle.type & kind]
    return own[0] if len(own) == 1 else len(kinds)


def _try(handle: pyopencl.Device) -> tuple[DeviceDescription, Device | None]:
    import pyopencl as cl

    name, platform = handle.name.strip(), handle.platform.name.strip()
    device: Device | None = None
    try:
        candidate = Device(handle)
        reason = _fault(candidate)
        if not reason:
            device, reason = candidate, "built and ran a probe kernel"
    except (cl.Error, BackendError) as error:
        reason = str(error).strip()
    version = handle.version.strip()
    return DeviceDescription(name, platform, version, device is not None, reason), device


def _fault(device: Device) -> str:
    """Run the probe on eight work-items; return what is wrong with its results."""
    kernel = device.build(_PROBE).probe
    values = np.array([1 + 2**-12, 2, -0.5, 0], np.float32)  # the first needs a fused product
    x, y = device.allocate(16), device.allocate(32)
    device.upload(x, values)
    kernel(device.queue, (8,), (4,), x, y)
    result = np.empty(8, np.float32)
    device.download(result, y)
    exact = values.astype(np.float64) ** 2 - 1
    if np.array_equal(result, np.tile(exact[::-1], 2).astype(np.float32)):
        return ""
    return f"a probe kernel gave {result.tolist()}"
