"""LLVM by llvmlite's own Python, where its C functions are not those that `direct` knows.

The same two methods with the same results; one thread at a time compiles.
"""

from __future__ import annotations

from typing import Any

from graphc.backends.llvm.order import PASSES, Host, Order


class ByLlvmlite:
    """LLVM as `llvmlite.binding` gives it."""

    def __init__(self, binding: Any) -> None:
        self._llvm = binding

    def host(self) -> Host:
        """Return what LLVM says of this computer."""
        llvm = self._llvm
        features = frozenset(name for name, has in llvm.get_host_cpu_features().items() if has)
        version = tuple(llvm.llvm_version_info)
        return Host(llvm.get_host_cpu_name(), features, llvm.get_process_triple(), version)

    def compile(self, text: str, order: Order, *, as_assembly: bool = False) -> bytes:
        """Return the object, or the assembly, of a module; RuntimeError for what LLVM refuses."""
        llvm = self._llvm
        target = llvm.Target.from_triple(order.triple).create_target_machine(
            cpu=order.cpu,
            features=order.features,
            opt=order.level,
            reloc=order.relocation,
            codemodel=order.code_model,
            jit=True,
        )
        module = llvm.parse_assembly(text, llvm.create_context())
        module.triple, module.data_layout = order.triple, str(target.target_data)
        module.verify()
        manager = llvm.create_new_module_pass_manager()
        for name in PASSES:
            getattr(manager, f"add_{name}_pass")()
        options = llvm.create_pipeline_tuning_options()
        manager.run(module, llvm.create_pass_builder(target, options))
        emitted = target.emit_assembly(module) if as_assembly else target.emit_object(module)
        return emitted.encode() if as_assembly else bytes(emitted)
