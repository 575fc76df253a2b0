"""Recursive network: an expression of a program is understood along its tree, from the leaves up.

One small function joins the vector of a part of a tree with that of the next part, again and again,
until one vector stands for the whole; what the expression is used for is read off that. Trees of
all shapes run in one batch: the steps of a tree in post-order are its program for a machine with a
stack, which is the carry of a scan. A step pushes the vector of a node, or joins the two on top.
Source: R. Socher et al., Parsing natural scenes and natural language with recursive neural
networks, 2011; S. Bowman et al., arXiv:1603.06021 (the stack).

Data: the different expressions in the source of Python's own library, as `ast` reads them, 3 to 12
nodes each, names left out: is it mostly a condition, what a function returns, an index, or what a
loop runs over? One in five is held out. Peer: scikit-learn's logistic regression on the counts of
the kinds of nodes, which sees no tree. Bar: above the peer.
"""

from __future__ import annotations

import ast
import pathlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

import graphc
from graphc import nn, optim
from graphc.zoo.shared import Lesson, network
from graphc.zoo.shared.data import Split, split

Array = np.ndarray[Any, Any]
USES = ("condition", "returned", "index", "range")
JOIN, NOTHING, STEPS, DEPTH, WIDTH = 0, 1, 23, 8, 48


def expressions(path: pathlib.Path) -> Iterator[tuple[ast.expr, int]]:
    """Yield the expressions of a module's source, and the number of their use."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.If | ast.While | ast.IfExp):
            yield node.test, 0
        elif isinstance(node, ast.Return) and node.value is not None:
            yield node.value, 1
        elif isinstance(node, ast.Subscript):
            yield node.slice, 2
        elif isinstance(node, ast.For):
            yield node.iter, 3


def post_order(root: ast.expr) -> list[str]:
    """Return the steps of a tree: a node is pushed, then each of its children is joined to it."""
    steps: list[str] = []
    waiting: list[ast.AST | None] = [root]
    while waiting:
        node = waiting.pop()
        if node is None:
            steps.append("JOIN")
            continue
        steps.append(type(node).__name__)
        for child in reversed(list(ast.iter_child_nodes(node))):
            if not isinstance(child, ast.expr_context):
                waiting += [None, child]
    return steps


def depth(steps: Sequence[str]) -> int:
    """Return how high the stack grows."""
    return int(np.max(np.cumsum([-1 if step == "JOIN" else 1 for step in steps])))


def trees() -> tuple[Split, list[str]]:
    """Return the steps of all trees, as numbers, and the kinds of steps.

    In front they are filled up with NOTHING: it is pushed, below the tree, and never joined.
    """
    uses: dict[tuple[str, ...], Counter[int]] = {}
    for path in sorted(pathlib.Path(ast.__file__).parent.glob("*.py")):
        for tree, use in expressions(path):
            steps = tuple(post_order(tree))
            if 5 <= len(steps) <= STEPS and depth(steps) <= DEPTH:
                uses.setdefault(steps, Counter())[use] += 1
    rows = [(steps, uses[steps].most_common(1)[0][0]) for steps in sorted(uses)]
    kinds = ["JOIN", "NOTHING", *sorted({step for steps, _ in rows for step in steps} - {"JOIN"})]
    numbers = {kind: number for number, kind in enumerate(kinds)}
    x = np.full((len(rows), STEPS), NOTHING)
    for line, (steps, _) in zip(x, rows, strict=True):
        line[STEPS - len(steps) :] = [numbers[step] for step in steps]
    return split(x, np.array([use for _, use in rows]), held_out=0.2), kinds


class Tree(nn.Module):
    """Steps of a machine with a stack -> the vector on top of it at the end -> scores."""

    def __init__(self, kinds: int, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.vectors = graphc.Variable(random.normal(0, 0.5, (kinds, WIDTH)).astype(np.float32))
        self.joined = nn.Linear(2 * WIDTH, WIDTH, seed=random)
        self.gate = nn.Linear(2 * WIDTH, WIDTH, seed=random)
        self.scores = nn.Linear(WIDTH, len(USES), seed=random)

    def join(self, below: graphc.Tensor, top: graphc.Tensor) -> graphc.Tensor:
        """Return the vector of a part of a tree to which the next part, `top`, was joined."""
        both = graphc.concat([below, top], axis=-1)
        gate = nn.sigmoid(self.gate(both))
        return gate * below + (1 - gate) * graphc.tanh(self.joined(both))

    def forward(self, steps: graphc.Tensor) -> Any:
        """Return the scores of the uses of trees, given as their steps: (batch, uses)."""
        return self.scores(self.tops(steps)[-1])

    def tops(self, steps: graphc.Tensor) -> Any:
        """Return what is on top of the stack after each step: (steps, batch, WIDTH)."""

        def step(stack: graphc.Tensor, now: Any) -> tuple[graphc.Tensor, graphc.Tensor]:
            kind, vector = now
            pushed = graphc.concat([vector[None], stack[:-1]])
            joined = graphc.concat([self.join(stack[1], stack[0])[None], stack[2:], stack[-1:]])
            stack = graphc.where(kind[:, None] == JOIN, joined, pushed)
            return stack, stack[0]

        vectors = graphc.take(self.vectors, steps.T, axis=0)
        empty = graphc.zeros((DEPTH, steps.shape[0], WIDTH))
        return graphc.scan(step, empty, (steps.T, vectors))[1]


@network("held-out accuracy of an expression's use", at_least=0.86, quick=0.7, peer=0.8566)
def train(lesson: Lesson) -> float:
    """Train, draw how an expression is understood step by step, and return the accuracy."""
    data, kinds = trees()
    model = Tree(len(kinds), lesson.seed)
    history = graphc.fit(
        model,
        nn.cross_entropy,
        optim.Adam(3e-3, clip=optim.ClipByGlobalNorm(1.0)),
        data.train,
        epochs=lesson.choose(10, quick=2),
        batch_size=32,
        validation=data.test,
        metrics="accuracy",
        seed=lesson.seed,
        verbose=lesson.verbose,
    )
    lesson.draw(model, history, data.test_x[:32])
    predict = graphc.compile(lambda steps: nn.softmax(model.scores(model.tops(steps))))
    chances = predict(data.test_x[:3])
    with lesson.figure("steps.png", 1, 3, size=(3.0, 4.2)) as axes:
        for column, place in enumerate(axes):
            steps = [step for step in data.test_x[column] if step != NOTHING]
            shown = chances[STEPS - len(steps) :, column]
            place.imshow(shown, cmap="viridis", vmin=0, vmax=1, aspect="auto")
            place.set_yticks(range(len(steps)), [kinds[step] for step in steps], fontsize=7)
            place.set_xticks(range(len(USES)), USES, fontsize=7)
            place.set_title(f"{USES[data.test_y[column]]} it is", fontsize=8)
    return history.last["validation_accuracy"]
