"""The environment: where compiled code is kept, and how much of it."""

from __future__ import annotations

import os

import pytest

from graphc import settings
from graphc.errors import GraphcValueError


@pytest.mark.parametrize(
    ("variables", "directory"),
    [
        ({"HOME": "/h"}, "/h/.cache/graphc"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "/x"}, "/x/graphc"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "relative"}, "/h/.cache/graphc"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "/x", "GRAPHC_CACHE_DIR": "/g/"}, "/g"),
        ({"HOME": "/h", "GRAPHC_CACHE_DIR": "~/g"}, "/h/g"),
        ({"HOME": "/h", "GRAPHC_CACHE_DIR": "g"}, os.path.abspath("g")),
        ({"HOME": "/h", "GRAPHC_CACHE_DIR": " "}, "/h/.cache/graphc"),
        ({"HOME": "h"}, ""),
    ],
)
def test_cache_directory(
    variables: dict[str, str], directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert settings.cache_directory() == directory


@pytest.mark.parametrize(("text", "enabled"), [("0", False), ("1", True), ("", True)])
def test_cache_can_be_switched_off(
    text: str, enabled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHC_CACHE", text)
    assert settings.cache_enabled() is enabled


@pytest.mark.parametrize("text", ["0", "-1", "²", "two", "9" * 5000])
def test_a_number_of_threads_is_a_whole_one(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("GRAPHC_NUM_THREADS", text)
    with pytest.raises(GraphcValueError, match="no number of threads"):
        settings.thread_count()


def test_cache_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.cache_bytes() == 256 * 1024**2
    monkeypatch.setenv("GRAPHC_CACHE_BYTES", " 4096 ")
    assert settings.cache_bytes() == 4096
    for wrong in ("-1", "1e6", "much", "٣", "9" * 5000):
        monkeypatch.setenv("GRAPHC_CACHE_BYTES", wrong)
        with pytest.raises(GraphcValueError, match="no number of bytes"):
            settings.cache_bytes()
