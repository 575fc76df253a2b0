"""The digest of the compiler's sources: another for every change, none where that is not known."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from graphc.compiler_digest import compiler_digest, digest_of_sources
from tests.source_tree import ROOT


def make(folder: Path) -> Path:
    for name, text in (("a.py", "x = 1\n"), ("passes/b.py", "y = 2\n"), ("cli/c.py", "z = 3\n")):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


def digest(folder: Path) -> bytes | None:
    return digest_of_sources(str(folder), time.time_ns() + 10**9)


def test_every_change_of_a_source_gives_another_digest(tmp_path: Path) -> None:
    found = {digest(make(tmp_path))}
    assert digest(tmp_path) in found
    (tmp_path / "a.py").write_text("x = 2\n")
    found.add(digest(tmp_path))
    (tmp_path / "a.py").rename(tmp_path / "d.py")
    found.add(digest(tmp_path))
    (tmp_path / "passes" / "e.py").write_text("")
    found.add(digest(tmp_path))
    (tmp_path / "passes" / "b.py").unlink()
    found.add(digest(tmp_path))
    assert len(found) == 5 and None not in found


def test_what_decides_nothing_does_not_count(tmp_path: Path) -> None:
    before = digest(make(tmp_path))
    (tmp_path / "cli" / "c.py").write_text("other\n")
    (tmp_path / "data.txt").write_text("other\n")
    assert digest(tmp_path) == before


def test_folders_behind_links_count(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "inside").mkdir()
    make(tmp_path / "inside")
    (tmp_path / "inside" / "linked").symlink_to("../outside")
    before = digest(tmp_path / "inside")
    (tmp_path / "outside" / "f.py").write_text("")
    assert digest(tmp_path / "inside") != before


def test_a_source_younger_than_the_process_gives_none(tmp_path: Path) -> None:
    make(tmp_path)
    assert digest_of_sources(str(tmp_path), time.time_ns() - 10**9) is None
    now = time.time_ns() + 10**9
    assert digest_of_sources(str(tmp_path), now) is not None
    os.utime(tmp_path / "a.py", ns=(now + 1, now + 1))
    assert digest_of_sources(str(tmp_path), now) is None


def test_no_sources_give_none(tmp_path: Path) -> None:
    assert digest(tmp_path) is None
    assert digest(tmp_path / "nowhere") is None


def test_it_is_the_first_module_that_is_imported() -> None:
    code = "import graphc, sys; print([m for m in sys.modules if m.startswith('graphc.')][0])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "graphc.compiler_digest"
    digest_here = compiler_digest()
    assert digest_here is None or len(digest_here) == 32
