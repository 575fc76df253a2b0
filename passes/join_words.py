"""Neighbours in memory of which a word is made are read as one. Law: none; the same bits are read.

    %0 = load x[i, 2*k]; %1 = load x[i, 2*k + 1]; %2 = pair(%0, %1)   ->   %2 = load x[i, 2*k] by 2

That is done where the row-major offset of the first is a multiple of two, whatever the loops, and
again for a pair of such words.
"""

from __future__ import annotations

from dataclasses import replace

from graphc.index import as_index
from graphc.kernel import Guard, Let, Load, Loop, Statement, statements
from graphc.passes.loop_analysis import Shapes, offset_of
from graphc.passes.rewrite_statements import Body, used


def join_words(body: Body, shapes: Shapes) -> Body:
    """Return `body` with loads of words for pairs of adjacent elements, and without their parts."""
    loads = {s.result.name: s for s in statements(body) if isinstance(s, Load)}
    words: dict[str, Load] = {}
    for statement in statements(body):
        if isinstance(statement, Let) and statement.op == "pair":
            low, high = (loads.get(operand.name) for operand in statement.operands)
            if low is not None and high is not None and _are_a_word(low, high, shapes):
                count = 2 * low.count
                word = replace(low, result=statement.result, count=count)
                words[word.result.name] = loads[word.result.name] = word
    return replace_values(body, words) if words else body


def _are_a_word(low: Load, high: Load, shapes: Shapes) -> bool:
    if low.buffer != high.buffer or low.where != high.where or low.buffer not in shapes:
        return False
    if low.count != high.count:
        return False
    first, second = (offset_of(load, shapes) for load in (low, high))
    return second - first == as_index(1) and first % 2 == as_index(0)


def replace_values(body: Body, words: dict[str, Load]) -> Body:
    """Return `body` with the loads `words` for what makes values of these names.

    Loads and pairs that only that needed are left out.
    """
    known, body = set(used(body)), _replaced(body, words)
    while unused := known - set(used(body)):  # pairs, then what they were made of
        body = _without(body, unused)
        known -= unused
    return body


def _replaced(body: Body, words: dict[str, Load]) -> Body:
    done: list[Statement] = []
    for s in body:
        if isinstance(s, Loop | Guard):
            done.append(replace(s, body=_replaced(s.body, words)))
        elif isinstance(s, Let | Load):
            done.append(words.get(s.result.name, s))
        else:
            done.append(s)
    return tuple(done)


def _without(body: Body, given_up: set[str]) -> Body:
    done: list[Statement] = []
    for s in body:
        if isinstance(s, Loop | Guard):
            done.append(replace(s, body=_without(s.body, given_up)))
        elif not (isinstance(s, Load | Let) and s.result.name in given_up):
            done.append(s)
    return tuple(done)
