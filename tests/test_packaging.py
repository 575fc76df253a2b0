"""The wheel and the source distribution, built from a clean copy of the checkout.

Each holds every module of the four folders and every data file, as real folders, and nothing of the
tests. The wheel works from any directory, the checkout's root included. Nothing is downloaded: the
build runs with the setuptools of the environment.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.source_tree import LAYERS, LINKED, LINKS, ROOT, SOURCES, installed_name

DATA_SUFFIXES = (".typed", ".npz", ".md")
NOT_PACKAGED = ("tests", "benchmarks", "examples", *LAYERS)

pytestmark = pytest.mark.xdist_group("packaging")


@dataclass(frozen=True)
class Built:
    """Where the copy of the checkout is, and what was built from it.

    `wheels` are of the checkout and of the source distribution; `site` is the first, installed.
    """

    copy: Path
    wheels: tuple[Path, Path]
    sdist: Path
    site: Path


def run(*command: str | Path, cwd: Path, **variables: str) -> str:
    """Run a command and return what it printed; what it said on failure is the test's message."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=cwd, env=environment | variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def is_git_checkout() -> bool:
    return shutil.which("git") is not None and (ROOT / ".git").exists()


def tracked_files() -> list[str]:
    """List the files that git knows; without git, all but what tools leave behind."""
    if is_git_checkout():
        listed = run("git", "ls-files", "-z", cwd=ROOT).split("\0")
        return [name for name in listed if name and os.path.lexists(ROOT / name)]
    files = [path for path in ROOT.iterdir() if path.is_file()]
    for folder in SOURCES:
        files += [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    kept = [path for path in files if path.suffix != ".pyc"]
    inside = [path for path in kept if not any(map(path.is_relative_to, LINKS))]
    return [str(path.relative_to(ROOT)) for path in [*inside, *LINKS]]


def copy_checkout(names: list[str], target: Path) -> None:
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target / name, follow_symlinks=False)


def packaged_name(name: str) -> str | None:
    """Map a file of the checkout to its place in the package; None where it has none."""
    is_source = name.startswith(tuple(f"{folder}/" for folder in SOURCES))
    is_link = (ROOT / name).is_symlink()
    if not is_source or is_link or not name.endswith((".py", *DATA_SUFFIXES)):
        return None
    return installed_name(name)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    base = tmp_path_factory.mktemp("packaging")
    copy, site = base / "copy", base / "site"
    copy_checkout(tracked_files(), copy)
    build = (sys.executable, "-m", "build", "--no-isolation", copy, "--outdir")
    run(*build, base / "direct", "--wheel", cwd=base)
    run(*build, base / "through", cwd=base)
    (direct,), (through,) = base.glob("direct/*.whl"), base.glob("through/*.whl")
    (sdist,) = base.glob("through/*.tar.gz")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    run(*pip, "--no-deps", "--no-index", "--no-compile", "--target", site, direct, cwd=base)
    return Built(copy, (direct, through), sdist, site)


def expected_files() -> set[str]:
    packaged = {packaged_name(name) for name in tracked_files()}
    expected = {name for name in packaged if name is not None}
    assert {"graphc/py.typed", "graphc/data/digits.npz", "graphc/dtypes.py"} <= expected
    return expected


def test_wheels_hold_every_module_and_data_file_and_nothing_else(built: Built) -> None:
    for wheel in built.wheels:
        with zipfile.ZipFile(wheel) as archive:
            names = {name for name in archive.namelist() if ".dist-info/" not in name}
        assert names == expected_files()


def test_sdist_holds_every_module_and_data_file_but_no_tests_and_no_links(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        members = archive.getmembers()
    assert not [member.name for member in members if member.issym() or member.islnk()]
    names = {member.name.partition("/")[2] for member in members if member.isfile()}
    assert expected_files() <= names
    assert not [name for name in names if name.partition("/")[0] in NOT_PACKAGED]


def test_checkout_holds_the_relative_links(built: Built) -> None:
    for name, folder in LINKED.items():
        assert os.readlink(built.copy / "graphc" / name) == f"../{folder}"
        if is_git_checkout():
            assert run("git", "ls-files", "-s", f"graphc/{name}", cwd=ROOT).startswith("120000 ")


LOAD = """
import graphc, graphc.datasets, pathlib
assert graphc.datasets.load_digits().train_images.shape == (1437, 64)
print(pathlib.Path(graphc.__file__).parent.resolve())
"""


def test_installed_wheel_works_from_an_unrelated_directory(built: Built, tmp_path: Path) -> None:
    printed = run(sys.executable, "-c", LOAD, cwd=tmp_path, PYTHONPATH=str(built.site))
    assert printed.strip() == str(built.site / "graphc")


def test_installed_wheel_works_from_the_root_of_the_checkout(built: Built) -> None:
    """With `-c` the checkout is first on the path, with a safe path the wheel: both work."""
    first = run(sys.executable, "-c", LOAD, cwd=built.copy, PYTHONPATH=str(built.site))
    assert first.strip() == str(built.copy / "graphc")
    safe = run(sys.executable, "-P", "-c", LOAD, cwd=built.copy, PYTHONPATH=str(built.site))
    assert safe.strip() == str(built.site / "graphc")


def test_the_zoo_of_the_installed_wheel_is_listed_and_trains(built: Built, tmp_path: Path) -> None:
    command = (sys.executable, "-m", "graphc", "zoo")
    listed = run(*command, cwd=tmp_path, PYTHONPATH=str(built.site))
    assert len(listed.splitlines()) == len(list((ROOT / "examples" / "zoo").glob("[a-z]*.py")))
    quick = (*command, "multi-layer-perceptron", "--quick", "--json")
    report = json.loads(run(*quick, cwd=tmp_path, PYTHONPATH=str(built.site)))
    assert report["passed"]
    assert (tmp_path / "graphc-zoo" / "multi_layer_perceptron" / "step.svg").exists()


def test_every_module_of_the_installed_wheel_is_found(built: Built, tmp_path: Path) -> None:
    modules = sorted(name[:-3] for name in expected_files() if name.endswith(".py"))
    dotted = [name.removesuffix("/__init__").replace("/", ".") for name in modules]
    code = "import sys, importlib.util as u; print([n for n in sys.argv[1:] if not u.find_spec(n)])"
    found = run(sys.executable, "-c", code, *dotted, cwd=tmp_path, PYTHONPATH=str(built.site))
    assert found.strip() == "[]"
