"""Parts of the sequence networks of the zoo: text, trees, masks, and a machine with a stack."""

from __future__ import annotations

import ast
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import graphc
from graphc.zoo import bidirectional_recurrent_network as tagger
from graphc.zoo import recursive_network as recursive
from graphc.zoo import sequence_to_sequence as translator
from graphc.zoo.shared.text import CHARACTERS, decode, encode, manual, passages, streams
from graphc.zoo.transformer import GPT, LENGTH
from graphc.zoo.truncated_backpropagation import BATCH, SEGMENT, Reader

Array = np.ndarray[Any, Any]


def compiled(function: Any) -> Any:
    """Return the function compiled, to be called with arrays."""
    return graphc.compile(function)


def test_text_is_numbers_and_back() -> None:
    assert decode(encode("a \u00e9~b\n")) == "a ~b"
    train, test = map(encode, manual())
    assert len(train) > 5 * len(test) > 50_000
    assert train.min() == 0 and train.max() == CHARACTERS - 1


def test_passages_are_followed_by_their_next_characters_and_do_not_overlap() -> None:
    codes, seen = np.arange(1000), []
    for text, following in passages(codes, 8, 4, seed=3):
        assert text.shape == (4, 8)
        assert (following == text + 1).all()
        seen += list(text.reshape(-1))
    assert len(seen) == len(set(seen)) > 900


def test_a_stream_goes_on_where_it_stopped() -> None:
    segments = [text for text, _ in streams(np.arange(1000), 8, 4)]
    assert len(segments) == 31
    for before, after in pairwise(segments):
        assert (after[:, 0] == before[:, -1] + 1).all()


def test_the_state_is_handed_on_between_segments() -> None:
    codes = np.random.default_rng(0).integers(CHARACTERS, size=(BATCH, 2 * SEGMENT))
    model = Reader(is_handed_on=True, seed=0)
    read = compiled(model.forward)
    halves = [read(codes[:, :SEGMENT]), read(codes[:, SEGMENT:])]
    model.state.assign(np.zeros_like(model.state.value))
    whole = read(codes)
    np.testing.assert_allclose(np.concatenate(halves, axis=1), whole, rtol=1e-5, atol=1e-5)


def test_ends_of_words_are_marked() -> None:
    letters, ends = tagger.letters_and_ends("To be, or")
    assert "".join(chr(97 + letter) for letter in letters) == "tobeor"
    assert ends.tolist() == [0, 1, 0, 1, 0, 1]


def test_words_are_turned_and_their_ends_stay() -> None:
    words = np.array([[1, 2, 3] + [translator.END] * (translator.LENGTH - 3)])
    turned = translator.backwards(words)
    assert turned[0, :4].tolist() == [3, 2, 1, translator.END]
    assert (translator.backwards(turned) == words).all()


def test_the_decoder_writes_the_same_when_it_reads_its_own_letters() -> None:
    model, words = translator.Translator(seed=0), translator.read_words()[:5]
    written, looked = compiled(model.translate)(words)
    before = np.column_stack([np.full(5, translator.START), written[:, :-1]])
    scores = compiled(model.forward)(words, before)
    assert (scores.argmax(axis=-1) == written).all()
    np.testing.assert_allclose(looked.sum(axis=-1), 1, rtol=1e-5)


def test_no_character_sees_a_later_one() -> None:
    model = GPT(seed=0)
    predict = compiled(model.forward)
    text = np.random.default_rng(0).integers(CHARACTERS, size=(2, LENGTH))
    changed = text.copy()
    changed[:, 40:] = (changed[:, 40:] + 1) % CHARACTERS
    first, second = predict(text), predict(changed)
    assert (first[:, :40] == second[:, :40]).all()
    assert (first[:, 40:] != second[:, 40:]).any(axis=-1).all()


@pytest.mark.parametrize(
    ("source", "steps"),
    [
        ("a", ["Name"]),
        ("-a", ["UnaryOp", "USub", "JOIN", "Name", "JOIN"]),
        ("a[b.c]", ["Subscript", "Name", "JOIN", "Attribute", "Name", "JOIN", "JOIN"]),
    ],
)
def test_the_steps_of_a_tree(source: str, steps: list[str]) -> None:
    assert recursive.post_order(ast.parse(source, mode="eval").body) == steps


def test_the_machine_with_a_stack_joins_as_the_tree_does() -> None:
    steps = recursive.post_order(ast.parse("f(a, b[0]) + c * d", mode="eval").body)
    kinds = ["JOIN", "NOTHING", *sorted(set(steps) - {"JOIN"})]
    assert recursive.depth(steps) <= recursive.DEPTH
    model = recursive.Tree(len(kinds), seed=0)
    join = compiled(model.join)
    stack: list[Array] = []
    for step in steps:
        if step == "JOIN":
            top = stack.pop()
            stack.append(join(stack.pop()[None], top[None])[0])
        else:
            stack.append(model.vectors.value[kinds.index(step)])
    numbers = np.array([[1, 1, *(kinds.index(step) for step in steps)]])
    tops = compiled(model.tops)(numbers)
    assert len(stack) == 1
    np.testing.assert_allclose(tops[-1, 0], stack[0], rtol=1e-5, atol=1e-6)
