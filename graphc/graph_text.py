"""Graphs as text that parses back to the same graph.

    graph      ::= 'graph' NAME '(' parameter,* ')' '{' line* return assign* '}'
    parameter  ::= '%'NAME ':' type
    line       ::= '%'NAME '=' op '(' '%'NAME,* ')' attributes? ':' type comment?
    attributes ::= '{' (NAME '=' value),* '}'
    value      ::= Python literal | dtype name | array | 'state' string
    array      ::= 'array' '(' hexadecimal bytes ')' | 'elided' '(' count 'elements' ')'
    return     ::= 'return' '%'NAME,*
    assign     ::= 'assign' '%'NAME ':=' '%'NAME
    comment    ::= '#' the user's line

A printed graph elides the values of large constants; `print_graph(graph, full=True)` writes every
bit, and only that text can be parsed. Attributes that
have their default are left out. Inputs and variables come back as new ones of the same names
and types (a variable starts at zero unless its state is given); with these put for the old ones,
the parsed graph *is* the printed one, node for node, since equal nodes are one.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from graphc import dtypes
from graphc.dtypes import DType
from graphc.errors import GraphcError, ParseError
from graphc.graph import Graph
from graphc.node import ArrayData, Node, fresh_number
from graphc.op import find
from graphc.state import VariableState
from graphc.tensor_type import TensorType, tensor_type

SHOWN_ELEMENTS = 8


def print_graph(graph: Graph, *, full: bool = False, lines: bool = True) -> str:
    """Return the text of `graph`; `full` writes out constants, `lines` adds the user's lines."""
    names = node_names(graph)
    head = ", ".join(f"%{names[i]}: {i.type}" for i in graph.inputs)
    text = [f"graph {graph.name}({head}) {{"]
    text += [
        "  " + _print_node(node, names, full=full, lines=lines)
        for node in graph.nodes
        if node.op.name != "input"
    ]
    text.append("  return " + ", ".join(f"%{names[o]}" for o in graph.outputs))
    text += [f"  assign %{names[t]} := %{names[v]}" for t, v in graph.assignments]
    return "\n".join([*text, "}"])


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


def _print_node(node: Node, names: Mapping[Node, str], *, full: bool, lines: bool) -> str:
    operands = ", ".join(f"%{names[i]}" for i in node.inputs)
    given = {k: v for k, v in node.attributes.items() if (k, v) not in node.op.defaults.items()}
    pairs = ", ".join(f"{k}={_print_value(v, full=full)}" for k, v in given.items())
    attributes = f" {{{pairs}}}" if pairs else ""
    comment = f"  # {node.line}" if lines and node.line else ""
    return f"%{names[node]} = {node.op.name}({operands}){attributes} : {node.type}{comment}"


def _print_value(value: Any, *, full: bool) -> str:
    if isinstance(value, ArrayData):
        return _print_array(value.array, full=full)
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


_HEAD = re.compile(r"graph (\S+?)\((.*)\) \{$")
_LINE = re.compile(r"%(\S+) = (\w+)\((.*?)\)(?: \{(.*)\})? : (\w+\[[\d, ]*\])$")
_TYPE = re.compile(r"(\w+)\[([\d, ]*)\]$")
_DTYPES = {dtype.name: dtype for dtype in dtypes.ALL}
_PARAMETER = re.compile(r"%([\w.]+): (\w+\[[\d, ]*\])")


class _Parser:
    """One reading of one text. `named` holds the nodes made so far."""

    def __init__(self, text: str, states: Mapping[str, VariableState]) -> None:
        self.lines = [re.sub(r"\s+# .*$", "", raw).strip() for raw in text.strip().splitlines()]
        self.states = states
        self.named: dict[str, Node] = {}
        self.number = 0

    def fail(self, what: str) -> ParseError:
        return ParseError(f"line {self.number}: {what}")

    def parse(self) -> Graph:
        head = _HEAD.match(self.lines[0]) if self.lines else None
        self.number = 1
        if head is None:
            raise self.fail("a graph begins with `graph NAME(inputs) {`")
        try:
            return self.graph(head[1], head[2])
        except ParseError:
            raise
        except Exception as error:  # the rules of ops are given attributes of any kind
            reason = str(error) if isinstance(error, GraphcError) else f"cannot read it: {error}"
            raise self.fail(reason) from error

    def graph(self, name: str, parameters: str) -> Graph:
        inputs = [self.parameter(p) for p in _split_commas(parameters)]
        outputs: list[Node] | None = None
        assignments: list[tuple[Node, Node]] = []
        for self.number, line in enumerate(self.lines[1:], 2):  # noqa: B020  # errors name it
            if line.startswith("return"):
                outputs = [self.node(n) for n in _names(line[6:])]
            elif line.startswith("assign "):
                target, value = line[7:].split(" := ")
                assignments.append((self.node(target[1:]), self.node(value[1:])))
            elif line not in ("", "}"):
                self.statement(line)
        if outputs is None:
            raise self.fail("a graph returns its outputs: `return %a, %b`")
        return Graph(inputs, outputs, assignments, name)

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
        match = _TYPE.match(text)
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
        type_ = self.type(type_text)
        values = self.attributes(attributes or "", type_)
        node = op(*(self.node(n) for n in _names(operands)), **values)
        if node.type != type_:
            raise self.fail(f"%{name} is of type {node.type}, not {type_}")
        self.named[name] = node

    def attributes(self, text: str, type_: TensorType) -> dict[str, Any]:
        pairs = [p.split("=", 1) for p in _split_commas(text)]
        return {key.strip(): self.value(value.strip(), type_) for key, value in pairs}

    def value(self, text: str, type_: TensorType) -> Any:
        if text.startswith("array("):
            raw = np.frombuffer(bytes.fromhex(text[6:-1]), type_.dtype.numpy)
            return ArrayData(raw.reshape(type_.shape))
        if text.startswith("state "):
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
