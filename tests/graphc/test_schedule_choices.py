"""Schedule choices as data: how they print, and that nothing but their own JSON is read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from graphc.schedule_choices import MODEL, ScheduleChoices, Tuned, tuned_from_json

FOUND = Tuned(ScheduleChoices(tile_rows=8, serial_block=0), 1e-3, 1.25e-3, 12, 2)


def test_choices_print_what_is_chosen() -> None:
    assert str(FOUND.choices) == "tile_rows 8, serial_block 0"
    assert str(MODEL) == "the cost model's own" and MODEL.chosen == {}


@pytest.mark.parametrize("found", [FOUND, Tuned(MODEL, 2e-6, 2e-6, 3, 1)])
def test_what_was_found_is_read_back(found: Tuned) -> None:
    assert tuned_from_json(found.to_json()) == found


@pytest.mark.parametrize(
    "change",
    [
        {"choices": {"tile_rows": -1}},
        {"choices": {"tile_rows": True}},
        {"choices": {"colour": 3}},
        {"choices": [1]},
        {"seconds": 0.0},
        {"seconds": "1"},
        {"model_seconds": float("nan")},
        {"candidates": 1.5},
        {"threads": None},
    ],
)
def test_other_values_are_no_record(change: dict[str, Any]) -> None:
    altered = json.loads(FOUND.to_json()) | change
    assert tuned_from_json(json.dumps(altered).encode()) is None


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b"\xff\x00", b"7f454c46", b"null"])
def test_other_texts_are_no_record(text: bytes) -> None:
    assert tuned_from_json(text) is None
