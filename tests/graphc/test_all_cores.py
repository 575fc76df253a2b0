"""Work on large arrays on all cores: every item once, and errors come back."""

from __future__ import annotations

import threading

import pytest

from graphc.all_cores import LARGE_BYTES, on_all_cores, shares


@pytest.mark.parametrize("threads", ["1", "3"])
def test_each_item_is_worked_on_once(threads: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHC_NUM_THREADS", threads)
    found: list[int] = []
    on_all_cores(found.append, range(50))
    assert sorted(found) == [*range(50)]
    used: set[int] = set()
    on_all_cores(lambda _: used.add(threading.get_ident()), range(50))
    assert (used == {threading.get_ident()}) == (threads == "1")
    on_all_cores(found.append, [])


def test_an_error_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHC_NUM_THREADS", "3")
    with pytest.raises(ZeroDivisionError):
        on_all_cores(lambda x: 1 // x, [1, 0, 1])


def test_shares_make_up_the_whole() -> None:
    for count in (0, 1, 5, 16, 1000):
        for nbytes in (0, LARGE_BYTES):
            places = [place for part in shares(count, nbytes) for place in range(count)[part]]
            assert places == [*range(count)]
    assert len(shares(1000, LARGE_BYTES - 1)) == 1 < len(shares(1000, LARGE_BYTES))
