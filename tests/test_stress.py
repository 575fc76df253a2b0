"""The trials of `python -m tests.stress`, each a few times."""

from __future__ import annotations

import os

import pytest

from tests import stress


@pytest.mark.skipif(not hasattr(os, "fork"), reason="some trials fork")
@pytest.mark.parametrize("name", stress.TRIALS)
def test_nothing_goes_wrong(name: str) -> None:
    assert stress.run(name, is_quick=True) == 0


def test_what_goes_wrong_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for wrong, said in ((3, "3 wrong"), (-1, "hangs or crashes")):
        monkeypatch.setattr(stress, "run", lambda name, *, is_quick, wrong=wrong: wrong)
        assert stress.main(["bits"]) == 1
        assert said in capsys.readouterr().out
    monkeypatch.undo()
    assert stress.status_of(0) == 0 and stress.status_of(500) == 199
    monkeypatch.setattr(stress, "SECONDS", 0.01)
    assert stress.run("bits", is_quick=True) == -1
