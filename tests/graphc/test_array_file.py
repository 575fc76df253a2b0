"""Files of arrays: every dtype comes back, damage is found, and no write leaves half a file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphc import dtypes
from graphc.array_file import check_writable, read_arrays, write_arrays
from graphc.errors import DamagedFileError, GraphcValueError, UnwritableFileError

ARRAYS: dict[str, np.ndarray[Any, Any]] = {
    "scalar": np.array(3, np.int64),
    "empty": np.zeros((0, 3), np.float32),
    "transposed": np.arange(6, dtype=np.float64).reshape(2, 3).T,
    **{d.name: np.ones((2, 2)).astype(d.numpy) for d in dtypes.ALL},
}


def test_every_dtype_and_shape_comes_back(tmp_path: Path) -> None:
    write_arrays(tmp_path / "a", ARRAYS, {"note": "ä"})
    arrays, metadata = read_arrays(tmp_path / "a")
    assert metadata == {"note": "ä"} and set(arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype and arrays[name].shape == array.shape
        assert np.array_equal(arrays[name], array)


def test_the_file_is_one_that_safetensors_reads(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    write_arrays(tmp_path / "a", {"w": np.array([1, 2], np.float32)}, {})
    assert load_file(tmp_path / "a")["w"].tolist() == [1, 2]


def test_wide_complex_numbers_are_pairs_to_others(tmp_path: Path) -> None:
    """The format has complex64 (C64) and no complex128."""
    from safetensors.numpy import load_file

    wide = np.array([1 + 2j, 3 - 4j])
    write_arrays(tmp_path / "a", {"w": wide, "n": wide.astype("complex64")}, {"note": "x"})
    found = load_file(tmp_path / "a")
    assert found["w"].tolist() == [[1, 2], [3, -4]] and found["n"].tolist() == wide.tolist()
    arrays, metadata = read_arrays(tmp_path / "a")
    assert arrays["w"].tolist() == wide.tolist() and metadata == {"note": "x"}


def test_files_of_others_are_read_without_a_checksum(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"w": np.array([1, 2], np.float32)}, tmp_path / "a")
    arrays, metadata = read_arrays(tmp_path / "a")
    assert arrays["w"].tolist() == [1, 2] and metadata == {}


def test_every_flipped_bit_and_every_truncation_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_arrays(
        path, {"w": np.array([1, 2], np.float32), "v": np.array([3], np.int8)}, {"note": "x"}
    )
    content = path.read_bytes()
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        with pytest.raises(GraphcValueError):  # in a name of a dtype it may be another dtype
            read_arrays(path)
        path.write_bytes(content[:place])
        with pytest.raises(DamagedFileError, match="damaged"):
            read_arrays(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("not a file of arrays, but long enough for a header")
    with pytest.raises(DamagedFileError, match="a is damaged, or no safetensors file"):
        read_arrays(tmp_path / "a")
    with pytest.raises(FileNotFoundError):
        read_arrays(tmp_path / "missing")


def test_a_dtype_that_graphc_lacks_is_named(tmp_path: Path) -> None:
    header = b'{"w":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]}}'
    (tmp_path / "a").write_bytes(len(header).to_bytes(8, "little") + header + bytes(2))
    with pytest.raises(GraphcValueError, match="w is of dtype F8_E4M3"):
        read_arrays(tmp_path / "a")


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_arrays(tmp_path / "a", {"w": np.array([1], np.float32)}, {})

    def fail(_: int) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UnwritableFileError, match="a cannot be written: the disk is full"):
        write_arrays(tmp_path / "a", {"w": np.array([2], np.float32)}, {})
    assert os.listdir(tmp_path) == ["a"]
    assert read_arrays(tmp_path / "a")[0]["w"].tolist() == [1]


def test_the_file_is_flushed_before_it_is_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    flush, rename = os.fsync, os.replace

    def note_flush(descriptor: int) -> None:
        calls.append("fsync")
        flush(descriptor)

    def note_rename(source: Any, target: Any) -> None:
        calls.append("rename")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", note_flush)
    monkeypatch.setattr(os, "replace", note_rename)
    write_arrays(tmp_path / "a", {"w": np.array([2], np.float32)}, {})
    assert calls == ["fsync", "rename", "fsync"]


def test_leftovers_of_dead_processes_are_removed_and_those_of_living_ones_kept(
    tmp_path: Path,
) -> None:
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"],
                          capture_output=True, text=True, check=True).stdout.strip()  # fmt: skip
    for name in (f".a.{dead}.1.partial", f".a.{os.getppid()}.1.partial", f".b.{dead}.1.partial"):
        (tmp_path / name).touch()
    write_arrays(tmp_path / "a", {}, {})
    assert set(os.listdir(tmp_path)) == {
        "a", f".a.{os.getppid()}.1.partial", f".b.{dead}.1.partial",
    }  # fmt: skip


def test_the_file_that_a_symbolic_link_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "link").symlink_to("inner/a")
    for value in (1, 2):  # the link leads to nothing, then to a file
        check_writable(tmp_path / "link")
        write_arrays(tmp_path / "link", {"w": np.array([value], np.float32)}, {})
        assert (tmp_path / "link").is_symlink()
        assert read_arrays(tmp_path / "inner" / "a")[0]["w"].tolist() == [value]
    assert os.listdir(tmp_path / "inner") == ["a"]


def test_what_is_no_regular_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for name, text in (("pipe", "no regular file"), ("link", "no regular file"),
                       ("", "a directory"), ("none/a", "there is no directory")):  # fmt: skip
        for act in (check_writable, lambda path: write_arrays(path, {}, {})):
            with pytest.raises(UnwritableFileError, match=text):
                act(tmp_path / name)
    assert (tmp_path / "pipe").is_fifo() and set(os.listdir(tmp_path)) == {"pipe", "link"}


def test_a_look_at_a_place_changes_nothing(tmp_path: Path) -> None:
    check_writable(tmp_path / "a")
    assert not os.listdir(tmp_path)
    (tmp_path / "a").write_text("old")
    check_writable(tmp_path / "a")
    assert (tmp_path / "a").read_text() == "old"
