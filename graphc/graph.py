"""Graphs: lists of inputs and of outputs over nodes.

    graph ::= inputs outputs assignments
    assignment ::= variable ':=' node

A `Graph` is immutable. What no output or assignment reaches is not in it; what an output reaches
and is a leaf is an input, a variable or a constant. An assignment is one more output: the runtime
stores it in the variable when the program has run, so within one call a variable always reads as
its old value. `nodes` is a deterministic topological order. Everything is iterative: depth costs no
stack.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence

from graphc.errors import GraphcValueError
from graphc.lazy import LazyProperty
from graphc.node import Node, at_line

_owners: weakref.WeakKeyDictionary[Node, str] = weakref.WeakKeyDictionary()


def belongs_to(node: Node, owner: str) -> None:
    """Note that `node` is a parameter of a body of `owner`, a function that its user called."""
    _owners[node] = owner


def stray_error(nodes: Sequence[Node]) -> GraphcValueError | None:
    """Return the error of a body's parameter that is used outside of the body, if one is there."""
    found = next((node for node in nodes if node in _owners), None)
    if found is None:
        return None
    names = ", ".join(f"{n.attributes['name']} ({n.type})" for n in nodes if n in _owners)
    return GraphcValueError(
        f"a tensor of a function given to {_owners[found]} is used outside of it, where it has no "
        f"value; it depends on {names}",
        line=str(found.line or ""),
        hint="what is needed outside is a result of that function: return it",
    )


class Graph:
    """`inputs` and `outputs` are in the caller's order; `assignments` are (variable, value)."""

    def __init__(
        self,
        inputs: Sequence[Node],
        outputs: Sequence[Node],
        assignments: Sequence[tuple[Node, Node]] = (),
        name: str = "main",
    ) -> None:
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        self.assignments, self.name = tuple(assignments), name
        if len(set(self.inputs)) != len(self.inputs):
            raise GraphcValueError("an input is listed twice")
        missing = [n for n in self.nodes if n.op.name == "input" and n not in set(self.inputs)]
        if missing:
            raise stray_error(missing) or GraphcValueError(
                "the outputs depend on inputs that are not listed: "
                + ", ".join(f"{n.attributes['name']} ({n.type})" for n in missing),
                line=str(missing[0].line or ""),
                hint="add them to inputs=[…]; that of another function is an argument of this one",
            )

    @property
    def roots(self) -> tuple[Node, ...]:
        """The outputs, then the assigned values."""
        return self.outputs + tuple(value for _, value in self.assignments)

    @LazyProperty
    def nodes(self) -> tuple[Node, ...]:
        """Every node, operands before users; the inputs first, in their order, used or not."""
        targets = [target for target, _ in self.assignments]
        return topological_order([*self.inputs, *targets, *self.roots])

    @LazyProperty
    def tuples(self) -> tuple[Node, ...]:
        """The nodes of several results, which alone may hold bodies, in topological order."""
        return tuple([n for n in self.nodes if n.is_tuple])

    @LazyProperty
    def variables(self) -> tuple[Node, ...]:
        """The variables that are read or assigned, in topological order."""
        return tuple(n for n in self.nodes if n.op.name == "variable")

    @LazyProperty
    def users(self) -> Mapping[Node, tuple[Node, ...]]:
        """For each node the nodes that use it, once for each use; roots count as no use."""
        users: dict[Node, list[Node]] = {node: [] for node in self.nodes}
        for node in self.nodes:
            for operand in node.inputs:
                users[operand].append(node)
        return {node: tuple(found) for node, found in users.items()}

    def with_roots(self, roots: Sequence[Node]) -> Graph:
        """Return the graph with the same inputs and other outputs and assigned values."""
        if tuple(roots) == self.roots:
            return self
        count = len(self.outputs)
        targets = (target for target, _ in self.assignments)
        assignments = tuple(zip(targets, roots[count:], strict=True))
        return Graph(self.inputs, roots[:count], assignments, self.name)

    def rewrite(self, replace: Callable[[Node, tuple[Node, ...]], Node]) -> Graph:
        """Return the graph, each node rebuilt by `replace(node, new_inputs)`, operands first."""
        return self.with_roots(_rewrite(self.nodes, self.roots, replace))

    def __str__(self) -> str:
        from graphc.graph_text import print_graph  # the printer knows this class

        return print_graph(self)


def topological_order(roots: Iterable[Node]) -> tuple[Node, ...]:
    """Return every node that `roots` reach, each after its operands, in a deterministic order."""
    order: list[Node] = []
    done: set[Node] = set()
    for root in roots:
        if root in done:
            continue
        path, pending = [root], [iter(root.inputs)]
        while path:
            for operand in pending[-1]:
                if operand not in done:
                    path.append(operand)
                    pending.append(iter(operand.inputs))
                    break
            else:
                pending.pop()
                node = path.pop()
                done.add(node)
                order.append(node)
    return tuple(order)


def rebuild(node: Node, inputs: tuple[Node, ...]) -> Node:
    """Return `node` over other operands, at its own line; itself if they are its own."""
    if inputs == node.inputs:
        return node
    with at_line(node.line):
        return node.op(*inputs, **node.attributes)


def rewrite(
    roots: Sequence[Node], replace: Callable[[Node, tuple[Node, ...]], Node]
) -> tuple[Node, ...]:
    """Return the images of `roots` when every node is rebuilt by `replace`, operands first."""
    return _rewrite(topological_order(roots), roots, replace)


def _rewrite(
    order: Iterable[Node],
    roots: Sequence[Node],
    replace: Callable[[Node, tuple[Node, ...]], Node],
) -> tuple[Node, ...]:
    image: dict[Node, Node] = {}
    for node in order:
        image[node] = replace(node, tuple([image[i] for i in node.inputs]))
    return tuple(image[root] for root in roots)


def substitute(roots: Sequence[Node], mapping: Mapping[Node, Node]) -> tuple[Node, ...]:
    """Return `roots` with every node that `mapping` holds replaced."""
    return rewrite(roots, lambda n, i: mapping[n] if n in mapping else rebuild(n, i))
