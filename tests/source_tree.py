"""Where the sources are and how their modules are called; shared by the tests that read files."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LAYERS = ("frontend", "passes", "backends")
# The packages that are links, and the folders that they lead to.
LINKED = {**{layer: layer for layer in LAYERS}, "zoo": "examples/zoo"}
SOURCES = ("graphc", *LINKED.values())
LINKS = tuple(ROOT / "graphc" / name for name in LINKED)


def python_files(folders: tuple[str, ...] = SOURCES) -> list[Path]:
    """List the Python files of some folders, each once: the links are not entered."""
    files = (path for folder in folders for path in sorted((ROOT / folder).rglob("*.py")))
    return [path for path in files if not any(map(path.is_relative_to, LINKS))]


def module_of(path: Path) -> str:
    """Name the module of a source file, `passes/fuse.py` being `graphc.passes.fuse`."""
    name = installed_name(path.relative_to(ROOT).as_posix()).removesuffix(".py")
    return name.removesuffix("/__init__").replace("/", ".")


def installed_name(name: str) -> str:
    """Return the place in the package of a source file, `passes/fuse.py` in `graphc/passes`."""
    for package, folder in LINKED.items():
        if name.startswith(folder + "/"):
            return f"graphc/{package}{name.removeprefix(folder)}"
    return name
