"""The cache of objects: whatever is done to its files, it gives what was stored, or nothing."""

from __future__ import annotations

import errno
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest

from graphc.backends.llvm import object_cache
from graphc.backends.llvm.object_cache import OVERHEAD, ObjectCache, Summary
from tests.source_tree import ROOT

KEYS = tuple(bytes([number]) * object_cache.KEY_BYTES for number in range(8))
LIMIT = 1 << 20
ROUNDS = 200


@pytest.fixture
def cache(tmp_path: Path) -> ObjectCache:
    return ObjectCache(str(tmp_path / "own" / "objects"), LIMIT)


def file_of(cache: ObjectCache, key: bytes = KEYS[0]) -> Path:
    return Path(cache.path) / f"{key.hex()}.object"


def age(cache: ObjectCache, key: bytes, seconds: float) -> None:
    """Let an entry have been used so long ago."""
    then = time.time() - seconds
    os.utime(file_of(cache, key), (then, then))


@pytest.mark.parametrize("image", [b"", b"x", bytes(range(256)) * 100], ids=len)
def test_what_was_stored_is_found(cache: ObjectCache, image: bytes) -> None:
    assert cache.load(KEYS[0]) is None
    cache.store(KEYS[0], image)
    assert cache.load(KEYS[0]) == image
    assert cache.load(KEYS[1]) is None
    assert cache.summary() == Summary(1, len(image) + OVERHEAD)


def test_directory_and_entries_are_private_whatever_the_umask(cache: ObjectCache) -> None:
    previous = os.umask(0)
    try:
        cache.store(KEYS[0], b"image")
    finally:
        os.umask(previous)
    assert os.stat(cache.path).st_mode & 0o777 == 0o700
    assert file_of(cache).stat().st_mode & 0o777 == 0o600


# --- damage ---------------------------------------------------------------------------------------


def altered(entry: bytes, chance: random.Random) -> bytes:
    """Return an entry with some bytes replaced, at least one of them by another."""
    damaged = bytearray(entry)
    for _ in range(chance.choice((1, 1, 2, 50))):
        damaged[chance.randrange(len(entry))] ^= chance.randrange(1, 256)
    return bytes(damaged) if bytes(damaged) != entry else b""


def truncated(entry: bytes, chance: random.Random) -> bytes:
    return entry[: chance.randrange(len(entry))]


def extended(entry: bytes, chance: random.Random) -> bytes:
    return entry + chance.randbytes(chance.randrange(1, 100))


def torn(entry: bytes, chance: random.Random) -> bytes:
    """Return an entry whose end was never written, as after a power failure."""
    length = chance.randrange(len(entry) - 1)
    return entry[:length] + bytes(len(entry) - length)


@pytest.mark.parametrize("damage", [altered, truncated, extended, torn])
def test_a_damaged_entry_is_not_given_out_and_is_replaced(cache: ObjectCache, damage: Any) -> None:
    chance = random.Random(1)
    for _ in range(ROUNDS):
        image = chance.randbytes(chance.randrange(300))
        cache.store(KEYS[0], image)
        path = file_of(cache)
        path.write_bytes(damage(path.read_bytes(), chance))
        assert cache.load(KEYS[0]) is None
        cache.store(KEYS[0], image)
        assert cache.load(KEYS[0]) == image


def test_an_entry_under_another_key_is_foreign(cache: ObjectCache) -> None:
    cache.store(KEYS[0], b"zero")
    os.rename(file_of(cache, KEYS[0]), file_of(cache, KEYS[1]))
    assert cache.load(KEYS[1]) is None


def put_link(path: Path) -> None:
    os.rename(path, path.with_suffix(".elsewhere"))
    path.symlink_to(path.with_suffix(".elsewhere"))


def put_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def put_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def put_hole(path: Path) -> None:
    with open(path, "wb") as file:
        file.truncate(1 << 40)


@pytest.mark.parametrize("put", [put_link, put_pipe, put_directory, put_hole])
def test_what_is_no_plain_file_of_ours_is_not_read(cache: ObjectCache, put: Any) -> None:
    cache.store(KEYS[0], b"image")
    put(file_of(cache))
    assert cache.load(KEYS[0]) is None
    cache.store(KEYS[0], b"new")
    assert cache.load(KEYS[0]) == (None if put is put_directory else b"new")


def test_files_of_others_in_the_directory_are_left_alone(cache: ObjectCache) -> None:
    cache.store(KEYS[0], b"image")
    names = ("notes.txt", "a.object", f"{'A' * 64}.object")
    for name in names:
        (Path(cache.path) / name).write_bytes(bytes(LIMIT))
    assert cache.summary().entries == 1
    cache.store(KEYS[1], bytes(LIMIT // 2))
    assert cache.clear().entries == 2
    assert sorted(os.listdir(cache.path)) == sorted(names)


# --- who may use it -------------------------------------------------------------------------------


def refuses(cache: ObjectCache) -> str:
    """Return why the cache is not in use, having seen that it is not."""
    before = sorted(os.listdir(cache.path))
    assert cache.load(KEYS[0]) is None
    cache.store(KEYS[1], b"image")
    assert sorted(os.listdir(cache.path)) == before
    refusal = cache.summary().refusal
    assert refusal and cache.clear().refusal == refusal
    assert sorted(os.listdir(cache.path)) == before
    return refusal


@pytest.mark.parametrize("mode", [0o701, 0o710, 0o720, 0o755, 0o777])
def test_a_directory_open_to_others_is_not_used(cache: ObjectCache, mode: int) -> None:
    cache.store(KEYS[0], b"image")
    os.chmod(cache.path, mode)
    assert "open to other users" in refuses(cache)
    os.chmod(cache.path, 0o700)
    assert cache.load(KEYS[0]) == b"image"


def test_the_directory_of_another_user_is_not_used(
    cache: ObjectCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.store(KEYS[0], b"image")
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    assert "another user's" in refuses(cache)


def test_an_entry_of_another_user_is_not_read(
    cache: ObjectCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    cache.store(KEYS[0], b"image")
    os.chown(file_of(cache), 12345, -1)
    assert cache.load(KEYS[0]) is None


def test_a_link_to_a_directory_is_not_used(cache: ObjectCache, tmp_path: Path) -> None:
    cache.store(KEYS[0], b"image")
    link = tmp_path / "link"
    link.symlink_to(cache.path)
    assert refuses(ObjectCache(str(link), LIMIT))


def test_root_makes_nothing_in_the_directory_of_a_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root could")
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, 12345, -1)
    cache = ObjectCache(str(home / ".cache" / "graphc" / "objects"), LIMIT)
    cache.store(KEYS[0], b"image")
    assert os.listdir(home) == [] and "another user's" in cache.summary().refusal


def test_a_file_in_the_place_of_the_directory_is_no_cache(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("mine")
    for place in (path, path / "objects"):
        cache = ObjectCache(str(place), LIMIT)
        cache.store(KEYS[0], b"image")
        assert cache.load(KEYS[0]) is None and cache.summary().refusal and cache.clear().refusal
    assert path.read_text() == "mine"


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_write_that_stops_half_way_leaves_what_was_there(cache: ObjectCache) -> None:
    cache.store(KEYS[0], b"old")
    with file_size_limit(4096):
        cache.store(KEYS[0], bytes(100_000))
        cache.store(KEYS[1], bytes(100_000))
    assert cache.load(KEYS[0]) == b"old" and cache.load(KEYS[1]) is None
    assert os.listdir(cache.path) == [file_of(cache).name]


CALLS = ("open", "fstat", "replace", "unlink", "utime", "scandir", "makedirs", "stat", "access")


@pytest.mark.parametrize("code", [errno.EACCES, errno.ENOSPC, errno.EIO, errno.EROFS, errno.ESTALE])
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("exists", [False, True])
def test_failures_of_the_file_system_are_silent(
    cache: ObjectCache, name: str, code: int, exists: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> NoReturn:
        raise OSError(code, os.strerror(code))

    if exists:
        cache.store(KEYS[0], b"image")
    with monkeypatch.context() as patched:
        patched.setattr(os, name, failing)
        assert cache.load(KEYS[0]) in (None, b"image" if exists else None)
        cache.store(KEYS[0], b"image")
        cache.store(KEYS[1], bytes(LIMIT // 2))
        cache.summary()
        cache.clear()
    cache.store(KEYS[0], b"image")
    assert cache.load(KEYS[0]) == b"image"


# --- the limit ------------------------------------------------------------------------------------


def test_what_was_used_least_recently_goes_first(tmp_path: Path) -> None:
    size = 1000
    cache = ObjectCache(str(tmp_path / "objects"), 4 * (size + OVERHEAD))
    for number, key in enumerate(KEYS[:4]):
        cache.store(key, bytes(size))
        age(cache, key, 1000 - number)
    assert cache.load(KEYS[0]) is not None  # used just now
    cache.store(KEYS[4], bytes(size))
    kept = [key for key in KEYS if file_of(cache, key).exists()]
    assert kept == [KEYS[0], KEYS[3], KEYS[4]]
    assert cache.summary().bytes <= cache.limit * 7 / 8


def test_the_limit_holds_over_many_stores(tmp_path: Path) -> None:
    cache = ObjectCache(str(tmp_path / "objects"), 100_000)
    chance, entries = random.Random(2), []
    for _ in range(300):
        key = chance.randbytes(object_cache.KEY_BYTES)
        cache.store(key, bytes(chance.randrange(6_250, 10_000)))  # each looks at the rest
        assert cache.load(key) is not None
        assert cache.summary().bytes <= cache.limit
        entries.append(cache.summary().entries)
    assert min(entries[15:]) > 5


def test_small_entries_keep_the_limit_too(tmp_path: Path) -> None:
    cache = ObjectCache(str(tmp_path / "objects"), 20_000)
    for number in range(1000):
        cache.store(number.to_bytes(object_cache.KEY_BYTES, "big"), b"")
    # one store of 14 looks at the rest: that none does in 20,000 bytes has a chance of 6e-8
    assert 10_000 < cache.summary().bytes <= 2 * cache.limit


def test_the_draw_is_as_likely_as_said() -> None:
    assert object_cache._is_chosen(1.0) and not object_cache._is_chosen(0.0)
    assert 300 < sum(object_cache._is_chosen(0.5) for _ in range(1000)) < 700


def test_an_entry_beyond_the_limit_is_not_stored(tmp_path: Path) -> None:
    cache = ObjectCache(str(tmp_path / "objects"), 1000)
    cache.store(KEYS[0], bytes(1001 - OVERHEAD))
    assert not os.path.exists(cache.path)
    cache.store(KEYS[0], bytes(1000 - OVERHEAD))
    assert cache.load(KEYS[0]) is not None
    cache.store(KEYS[1], bytes(1000 - OVERHEAD - 1))  # more than is kept of the rest
    assert cache.load(KEYS[0]) is None and cache.load(KEYS[1]) is not None
    ObjectCache(str(tmp_path / "none"), 0).store(KEYS[0], b"")
    assert not (tmp_path / "none").exists()


def test_files_that_a_killed_process_left_go_after_an_hour(cache: ObjectCache) -> None:
    cache.store(KEYS[0], b"image")
    old, new = (Path(cache.path) / f"{digit * 32}.temporary" for digit in "ab")
    old.write_bytes(b"half")
    new.write_bytes(b"half")
    hours_ago = time.time() - 2 * 3600
    os.utime(old, (hours_ago, hours_ago))
    cache.store(KEYS[1], bytes(LIMIT // 16))  # enough to have a look at the rest
    assert not old.exists() and new.exists()
    assert cache.summary().entries == 2
    assert cache.clear().bytes == 4 + 5 + LIMIT // 16 + 2 * OVERHEAD
    assert os.listdir(cache.path) == []


# --- several processes ----------------------------------------------------------------------------

KILLED = """
import os, random, signal, sys, time
from graphc.backends.llvm.object_cache import ObjectCache

path, rounds = sys.argv[1], int(sys.argv[2])
cache, chance = ObjectCache(path, 1 << 20), random.Random(3)
keys = [bytes([number]) * 32 for number in range(4)]
image = {key: key * (500 * (number + 1)) for number, key in enumerate(keys)}
found = set()
for _ in range(rounds):
    child = os.fork()
    if child == 0:
        while True:
            for key in keys:
                cache.store(key, image[key])
    time.sleep(chance.random() * 0.004)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    for key in keys:
        loaded = cache.load(key)
        assert loaded == (image[key] if key in found or loaded else None)  # never lost again
        found |= {key} if loaded else set()
assert len(found) == len(keys)
"""

AT_ONCE = """
import os, random, sys
from graphc.backends.llvm.object_cache import ObjectCache

path, rounds = sys.argv[1], int(sys.argv[2])
cache = ObjectCache(path, 60_000)
keys = [bytes([number]) * 32 for number in range(16)]
children = []
for number in range(4):
    child = os.fork()
    if child:
        children.append(child)
        continue
    chance, code = random.Random(number), 0
    try:
        for _ in range(rounds):
            key = chance.choice(keys)
            if chance.random() < 0.01:
                cache.clear()
            loaded = cache.load(key)
            assert loaded in (None, key * (40 * key[0]))
            cache.store(key, key * (40 * key[0]))
            assert not cache.summary().refusal
    except BaseException:
        import traceback
        traceback.print_exc()
        code = 1
    os._exit(code)
codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
print(codes, cache.summary().bytes)
"""


def run_script(script: str, *arguments: str) -> list[str]:
    # Python 3.12 warns of a fork beside NumPy's threads, which these children do not need
    quiet = ("-W", "ignore::DeprecationWarning")
    command = [sys.executable, *quiet, "-c", script, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return done.stdout.split()


def test_a_process_killed_while_it_writes_leaves_no_half_entry(tmp_path: Path) -> None:
    run_script(KILLED, str(tmp_path / "objects"), str(ROUNDS))


def test_processes_that_store_load_evict_and_clear_at_once(tmp_path: Path) -> None:
    *codes, size = run_script(AT_ONCE, str(tmp_path / "objects"), str(ROUNDS))
    assert "".join(codes) == "[0,0,0,0]"
    assert int(size) <= 2 * 60_000
