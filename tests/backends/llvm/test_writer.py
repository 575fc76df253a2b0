"""The writer: where pure instructions end up, and that regions nest."""

from __future__ import annotations

from graphc.backends.llvm.writer import Writer


def lines(writer: Writer) -> list[str]:
    return [line.strip() for line in writer.text().splitlines()]


def test_a_pure_instruction_is_written_once() -> None:
    writer = Writer()
    first = writer.pure("add i64 %n, 1")
    assert writer.pure("add i64 %n, 1") == first
    assert lines(writer) == ["entry:", f"{first} = add i64 %n, 1", "ret void"]


def test_invariants_stand_in_front_of_the_loops_that_do_not_change_them() -> None:
    writer = Writer()
    with (
        writer.loop("0", "8", "i", maybe_empty=False) as i,
        writer.loop("0", "4", "j", maybe_empty=False) as j,
    ):
        writer.line(f"call void @f(i64 {writer.pure('mul i64 %n, 3')})")
        writer.line(f"call void @g(i64 {writer.pure(f'mul i64 {i}, 5')})")
        writer.line(f"call void @h(i64 {writer.pure(f'mul i64 {j}, 7')})")
    text = lines(writer)
    heads = [number for number, line in enumerate(text) if "phi" in line]
    places = [next(n for n, line in enumerate(text) if f", {f}" in line) for f in (3, 5, 7)]
    assert places[0] < heads[0] < places[1] < heads[1] < places[2]


def test_what_a_guard_defines_is_not_known_behind_it() -> None:
    writer = Writer()
    with writer.guarded("%condition"):
        inner = writer.emit("call i64 @f()")
        first = writer.pure(f"add i64 {inner}, 1")
        loaded = writer.pure("load float, ptr %x", within=writer.depth)
    assert writer.pure("load float, ptr %x", within=writer.depth) != loaded
    text = lines(writer)
    then = next(n for n, line in enumerate(text) if line.startswith("then"))
    assert text.index(f"{first} = add i64 {inner}, 1") > then
    assert [line.endswith("load float, ptr %x") for line in text].count(True) == 2


def test_a_loop_that_may_be_empty_is_tested_first() -> None:
    writer = Writer()
    with writer.loop("%begin", "%end", "i", maybe_empty=True):
        pass
    text = lines(writer)
    assert text[1].endswith("icmp slt i64 %begin, %end")
    assert text[2].startswith("br i1")
