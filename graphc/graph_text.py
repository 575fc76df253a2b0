"""Graphs as text that parses back to the same graph.

    text       ::= graph* graph                 bodies before those that hold them, the graph last
    graph      ::= 'graph' NAME '(' parameter,* ')' '{' line* return assign* '}'
    parameter  ::= '%'NAME ':' type
    line       ::= '%'NAME '=' op '(' '%'NAME,* ')' attributes? ':' types comment?
    types      ::= type | '(' type,* ')'        of an op with several results
    attributes ::= '{' (NAME '=' value),* '}'
    value      ::= Python literal | dtype name | array | 'state' string | body | '(' body,+ ')'
    body       ::= '@'NAME                      a graph that was printed before
    array      ::= 'array' '(' hexadecimal bytes ')' | 'elided' '(' count 'elements' ')'
    return     ::= 'return' '%'NAME,*
    assign     ::= 'assign' '%'NAME ':=' '%'NAME
    comment    ::= '#' the user's line

A printed graph elides the values of large constants; `print_graph(graph, full=True)` writes every
bit, and only that text can be parsed. Attributes that have their default are left out. Inputs and
variables come back as new ones of the same names and types (a variable starts at zero unless its
state is given); with these put for the old ones, the parsed graph *is* the printed one, node for
node, since equal nodes are one.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc import dtypes
from graphc.body import Body, nested_bodies
from graphc.dtypes import DType
from graphc.errors import GraphcError, ParseError
from graphc.graph import Graph
from graphc.node import ArrayData, Node, fresh_number, shown_type
from graphc.op import find
from graphc.state import VariableState
from graphc.tensor_type import TensorType, tensor_type

SHOWN_ELEMENTS = 8


def print_graph(graph: Graph, *, full: bool = False, lines: bool = True) -> str:
    """Return the text of `graph`; `full` writes out constants, `lines` adds the user's lines."""
    bodies: dict[Body, str] = {}
    text: list[str] = []
    for number, body in enumerate(nested_bodies(graph.nodes), 1):
        bodies[body] = f"body_{number}"
        text += _print_graph(body.graph, bodies[body], _Style(bodies, full, lines))
    return "\n".join(text + _print_graph(graph, graph.name, _Style(bodies, full, lines)))


@dataclass(frozen=True, slots=True)
class _Style:
    """The names of the bodies that are printed already, and what the caller chose."""

    bodies: Mapping[Body, str]
    full: bool
    lines: bool


def _print_graph(graph: Graph, name: str, style: _Style) -> list[str]:
    names = node_names(graph)
    head = ", ".join(f"%{names[i]}: {i.type}" for i in graph.inputs)
    text = [f"graph {name}({head}) {{"]
    text += [
        "  " + _print_node(node, names, style) for node in graph.nodes if node.op.name != "input"
    ]
    text.append("  return " + ", ".join(f"%{names[o]}" for o in graph.outputs))
    text += [f"  assign %{names[t]} := %{names[v]}" for t, v in graph.assignments]
    return [*text, "}"]


def node_names(graph: Graph) -> dict[Node, str]:
    """Return a short unique name for each node: its own for leaves that have one, else a number."""
    names: dict[Node, str] = {}
    used: set[str] = set()
    for number, node in enumerate(graph.nodes):
        name = _own_name(node) or str(number)
        if name in used:
            name = f"{name}_{number}"
        used.add(name)
        names[node] = name
    return names


def _own_name(node: Node) -> str:
    name = ""
    if node.op.name == "input":
        name = node.attributes["name"] or ""
    elif node.op.name == "variable":
        name = node.attributes["state"].name
    return name if re.fullmatch(r"[A-Za-z_][\w.]*", name) else ""


def _print_node(node: Node, names: Mapping[Node, str], style: _Style) -> str:
    operands = ", ".join(f"%{names[i]}" for i in node.inputs)
    given = {k: v for k, v in node.attributes.items() if (k, v) not in node.op.defaults.items()}
    pairs = ", ".join(f"{k}={_print_value(v, style)}" for k, v in given.items())
    attributes = f" {{{pairs}}}" if pairs else ""
    comment = f"  # {node.line}" if style.lines and node.line else ""
    return f"%{names[node]} = {node.op.name}({operands}){attributes} : {shown_type(node)}{comment}"


def _print_value(value: Any, style: _Style) -> str:
    if isinstance(value, ArrayData):
        return _print_array(value.array, full=style.full)
    if isinstance(value, Body):
        return f"@{style.bodies[value]}"
    if isinstance(value, tuple) and any(isinstance(part, Body) for part in value):
        return f"({', '.join(_print_value(part, style) for part in value)})"
    if isinstance(value, VariableState):
        return f"state {value.name!r}"
    if isinstance(value, float) and not np.isfinite(value):
        return f"float({str(value)!r})"
    return str(value) if isinstance(value, DType) else repr(value)


def _print_array(array: np.ndarray[Any, Any], *, full: bool) -> str:
    if full:
        return f"array({array.tobytes().hex()})"
    if array.size <= SHOWN_ELEMENTS:
        return f"shown({' '.join(map(str, array.ravel()))})"
    return f"elided({array.size} elements)"


def parse_graph(text: str, states: Mapping[str, VariableState] | None = None) -> Graph:
    """Return the graph that `text` (printed with full=True) describes.

    `states` gives the memory of variables by name. Whatever is wrong with the text raises
    ParseError with the number of the line.
    """
    return _Parser(text, states or {}).parse()


_NO_HEAD = "a graph begins with `graph NAME(inputs) {`"
_HEAD = re.compile(r"graph (\S+?)\((.*)\) \{$")
_LINE = re.compile(r"%(\S+) = (\w+)\((.*?)\)(?: \{(.*)\})? : (\w+\[[\d, ]*\]|\(.*\))$")
_TYPE = re.compile(r"(\w+)\[([\d, ]*)\]$")
_DTYPES = {dtype.name: dtype for dtype in dtypes.ALL}
_PARAMETER = re.compile(r"%([\w.]+): (\w+\[[\d, ]*\])")


class _Parser:
    """One reading of one text. `named` holds the nodes made so far."""

    def __init__(self, text: str, states: Mapping[str, VariableState]) -> None:
        self.lines = [re.sub(r"\s+# .*$", "", raw).strip() for raw in text.strip().splitlines()]
        self.states = states
        self.bodies: dict[str, Body] = {}
        self.named: dict[str, Node] = {}
        self.number = 0

    def fail(self, what: str) -> ParseError:
        return ParseError(f"line {self.number}: {what}")

    def parse(self) -> Graph:
        self.number = 1
        heads = [place for place, line in enumerate(self.lines) if line.startswith("graph ")]
        if not self.lines or heads[:1] != [0]:
            raise self.fail(_NO_HEAD)
        *bodies, last = itertools.pairwise([*heads, len(self.lines)])
        try:
            for start, end in bodies:
                body = self.graph(start, end)
                self.bodies[body.name] = Body(body)
            return self.graph(*last)
        except ParseError:
            raise
        except Exception as error:  # the rules of ops are given attributes of any kind
            reason = str(error) if isinstance(error, GraphcError) else f"cannot read it: {error}"
            raise self.fail(reason) from error

    def graph(self, start: int, end: int) -> Graph:
        """Read the graph in the lines from `start` to `end`, counted from 0."""
        head, self.number = _HEAD.match(self.lines[start]), start + 1
        if head is None:
            raise self.fail(_NO_HEAD)
        self.named = {}
        inputs = [self.parameter(p) for p in _split_commas(head[2])]
        outputs: list[Node] | None = None
        assignments: list[tuple[Node, Node]] = []
        lines = self.lines[start + 1 : end]
        for self.number, line in enumerate(lines, start + 2):  # errors name it
            if line.startswith("return"):
                outputs = [self.node(n) for n in _names(line[6:])]
            elif line.startswith("assign "):
                target, value = line[7:].split(" := ")
                assignments.append((self.node(target[1:]), self.node(value[1:])))
            elif line not in ("", "}"):
                self.statement(line)
        if outputs is None:
            raise self.fail("a graph returns its outputs: `return %a, %b`")
        return Graph(inputs, outputs, assignments, head[1])

    def parameter(self, text: str) -> Node:
        match = _PARAMETER.fullmatch(text.strip())
        if match is None or match[1] in self.named:
            raise self.fail(f"{text.strip()!r} is no new parameter")
        name, type_ = match[1], self.type(match[2])
        own = "" if name.isdigit() else name
        node: Node = _op("input")(
            number=fresh_number(), name=own, shape=type_.shape, dtype=type_.dtype
        )
        self.named[name] = node
        return node

    def node(self, name: str) -> Node:
        if name not in self.named:
            raise self.fail(f"%{name} is not defined")
        return self.named[name]

    def type(self, text: str) -> TensorType:
        match = _TYPE.match(text.strip())
        if match is None or match[1] not in _DTYPES:
            raise self.fail(f"{text!r} is no type")
        return tensor_type([int(e) for e in match[2].split(",") if e.strip()], match[1])

    def statement(self, line: str) -> None:
        match = _LINE.match(line)
        if match is None:
            raise self.fail(f"cannot read {line!r}")
        name, op_name, operands, attributes, type_text = match.groups()
        op = find(op_name)
        if op is None:
            raise self.fail(f"no op is called {op_name}")
        is_tuple = type_text.startswith("(")
        types = [self.type(t) for t in _split_commas(type_text[1:-1])] if is_tuple else []
        type_ = None if is_tuple else self.type(type_text)
        values = self.attributes(attributes or "", type_)
        node = op(*(self.node(n) for n in _names(operands)), **values)
        if node.is_tuple != is_tuple or node.results != tuple(types if is_tuple else [type_]):
            raise self.fail(f"%{name} is of type {shown_type(node)}, not {type_text}")
        self.named[name] = node

    def attributes(self, text: str, type_: TensorType | None) -> dict[str, Any]:
        pairs = [p.split("=", 1) for p in _split_commas(text)]
        if type_ is not None and [" pairs", "True"] in pairs:  # of a variable of complex numbers
            type_ = TensorType(type_.shape[:-1], type_.dtype.complex)
        return {key.strip(): self.value(value.strip(), type_) for key, value in pairs}

    def value(self, text: str, type_: TensorType | None) -> Any:
        if text.startswith("@"):
            return self.body(text)
        if text.startswith("(@"):
            return tuple(self.body(part.strip()) for part in _split_commas(text[1:-1]))
        if text.startswith("array(") and type_ is not None:
            raw = np.frombuffer(bytes.fromhex(text[6:-1]), type_.dtype.numpy)
            return ArrayData(raw.reshape(type_.shape))
        if text.startswith("state ") and type_ is not None:
            return self.state(ast.literal_eval(text[6:]), type_)
        if text.startswith(("elided(", "shown(")):
            raise self.fail("the value of a constant was left out; print with full=True")
        if text.startswith("float("):
            return float(ast.literal_eval(text[6:-1]))
        return _DTYPES[text] if text in _DTYPES else self.literal(text)

    def literal(self, text: str) -> Any:
        """Read numbers, strings, None and tuples of them: the attributes that ops have."""
        value = ast.literal_eval(text)
        pending = [value]
        while pending:
            part = pending.pop()
            if isinstance(part, tuple):
                pending.extend(part)
            elif not isinstance(part, bool | int | float | str | None):
                raise self.fail(f"{text!r} is no attribute")
        return value

    def body(self, text: str) -> Body:
        if text[1:] not in self.bodies:
            raise self.fail(f"{text} is no graph above")
        return self.bodies[text[1:]]

    def state(self, name: object, type_: TensorType) -> VariableState:
        if not isinstance(name, str):
            raise self.fail(f"{name!r} is no name of a variable")
        if name in self.states:
            return self.states[name]
        return VariableState(type_, np.zeros((), type_.dtype.numpy), name)


def _op(name: str) -> Any:
    found = find(name)
    assert found is not None
    return found


def _names(text: str) -> list[str]:
    return [n.strip()[1:] for n in text.split(",") if n.strip()]


def _split_commas(text: str) -> list[str]:
    """Split at the commas outside brackets and quotes."""
    parts, depth, quote, current = [], 0, "", ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif character == "," and depth == 0:
            parts.append(current)
            current = ""
            continue
        current += character
    return [p for p in [*parts, current] if p.strip()]
