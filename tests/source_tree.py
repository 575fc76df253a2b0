"""Where the sources are and how their modules are called; shared by the tests that read files."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LAYERS = ("frontend", "passes", "backends")
SOURCES = ("graphc", *LAYERS)
LINKS = tuple(ROOT / "graphc" / layer for layer in LAYERS)


def python_files(folders: tuple[str, ...] = SOURCES) -> list[Path]:
    """List the Python files of some folders, each once: the links are not entered."""
    files = (path for folder in folders for path in sorted((ROOT / folder).rglob("*.py")))
    return [path for path in files if not any(map(path.is_relative_to, LINKS))]


def module_of(path: Path) -> str:
    """Name the module of a source file, `passes/fuse.py` being `graphc.passes.fuse`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts if parts[0] == "graphc" else ("graphc", *parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
