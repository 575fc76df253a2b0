"""The LLVM backend: kernels to native code for the CPU, and the threads that run it.

The way of a plan: `program` writes one module (`kernels` a function for each kernel, by way of
`operations`, `primitives`, `conversions`, `addresses` and `memory`), `compilation` turns it into
machine code for a `machine` or finds it in the `object_cache`, `executable` calls it, and the
`team` shares the work. `call_native` and `call_code` are the same call without Python,
`call_outputs` the memory of its results.
"""

from __future__ import annotations

from graphc.backends.llvm.executable import LlvmExecutable
from graphc.backends.llvm.machine import describe, machine_of
from graphc.plan import Plan
from graphc.target import Target


class LlvmBackend:
    """Native code for the CPU; see `graphc.executable.Backend`."""

    name = "llvm"
    stages = ("llvm", "asm")
    takes_donations = True

    def target(self, cpu: str | None = None) -> Target:
        """Return the limits of the host, or of a lesser CPU: `cpu`, else what GRAPHC_CPU names.

        Raises BackendError for a CPU whose code this host cannot run.
        """
        return describe(cpu)

    def compile(self, plan: Plan) -> LlvmExecutable:
        """Return `plan` in machine code for the CPU that its target names."""
        return LlvmExecutable(plan, machine_of(plan.target))


BACKEND = LlvmBackend()
