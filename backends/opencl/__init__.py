"""The OpenCL backend: plans as OpenCL C 1.2 kernels on a device, through pyopencl.

`BACKEND` is its face to the rest of graphc; pyopencl is imported when a device is first asked for.
"""

from __future__ import annotations

from graphc.backends.opencl.device import DeviceDescription, default_device, devices
from graphc.backends.opencl.runtime import OpenCLExecutable
from graphc.plan import Plan
from graphc.target import Target

__all__ = ["BACKEND", "DeviceDescription", "OpenCLBackend", "devices"]


class OpenCLBackend:
    """See `graphc.executable.Backend`."""

    name = "opencl"
    stages = ("opencl",)
    takes_donations = False

    def target(self) -> Target:
        """Return the limits of the device; raises BackendError where none is usable."""
        device = default_device()
        return Target(
            name=device.name,
            kind="gpu",
            vector_bytes=16,
            vector_registers=16,
            cores=device.cores,
            local_bytes=device.local_bytes,
            group_items=device.group_items,
        )

    def compile(self, plan: Plan) -> OpenCLExecutable:
        """Return `plan` built for the device; raises BackendError where it cannot be."""
        return OpenCLExecutable(plan, default_device())


BACKEND = OpenCLBackend()
