"""A graph as text with nothing left out, and back to the very same nodes.

    write([gx.sin(x) * 2])    input x: float64[n]
                              %0 = sin(x)
                              %1 = constant(value=array("float64", (), "0000000000000040"))
                              %2 = broadcast(%1, shape=(n,), axes=())
                              %3 = multiply(%0, %2)
                              return %3
    parse(text, [x])          [gx.sin(x) * 2], the same node

What `graphc.printer` shortens for the eye stands here in full: arrays by their bytes, every parameter. Bodies stand below their nodes.
Variables are not written, only named: whoever reads the text gives them, in the order of their lines.
"""

from __future__ import annotations

import ast
import json
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from graphc import dims
from graphc.dims import Dim, Size
from graphc.errors import ArgumentError, fail
from graphc.frozen import Frozen
from graphc.ir import Node, make, toposort
from graphc.ops.outputs import GET, get
from graphc.ops.registry import OPS
from graphc.region import BOUND, Region, bound, regions_of
from graphc.types import TensorType, tensor_type

INDENT = "    "
_PLAIN = re.compile(r"[A-Za-z_]\w*")
_ARRAY = re.compile(r"(\w+)\[(.*)\]")


# -- writing ----------------------------------------------------------------------------------------------------------
def write(outputs: Sequence[Node]) -> str:
    """The text of what the outputs need."""
    order = toposort(outputs)
    names: dict[Node, str] = {}
    taken: dict[str, int] = {}
    lines = []
    for node in order:
        if node.op.traits.variable:
            count = taken[str(node.name)] = taken.get(str(node.name), -1) + 1
            name = f"{node.name}.{count}" if count else str(node.name)
            names[node] = name if _PLAIN.fullmatch(name) else json.dumps(name)
            lines.append(f"{node.op.name} {names[node]}: {_type(node.tensor)}")
    return "\n".join([*lines, *_body(order, outputs, names)])


def _body(order: Sequence[Node], outputs: Sequence[Node], names: dict[Node, str]) -> list[str]:
    lines: list[str] = []
    count = 0
    for node in order:
        if node.op is GET:
            names[node] = f"{names[node.inputs[0]]}.{node.params[0]}"
        elif node.op is BOUND:
            names[node] = f"@{node.params[0]}"
        elif node not in names:
            names[node] = f"%{count}"
            count += 1
            params = [f"{k}={_param(v)}" for k, v in zip(node.op.params, node.params) if k not in node.op.regions]
            lines.append(f"{names[node]} = {node.op.name}({', '.join([*(names[i] for i in node.inputs), *params])})")
            for name, region in regions_of(node):
                heads = ", ".join([f"@{k}: {_type(t)}" for k, t in enumerate(region.types)])
                inner = _body(toposort(region.outputs), region.outputs, {})
                lines += [f"{INDENT}{name}({heads}):", *(INDENT * 2 + line for line in inner)]
    return [*lines, "return " + ", ".join([names[o] for o in outputs])]


def _type(type: TensorType) -> str:
    return f"{type.dtype.name}[{', '.join(map(str, type.shape))}]"


def _param(value: Any) -> str:
    kind = type(value)
    if kind is tuple:
        return "(" + ", ".join(map(_param, value)) + ("," if len(value) == 1 else "") + ")"
    if isinstance(value, Frozen):
        array = value.array
        return f'array("{array.dtype.name}", {_param(array.shape)}, "{array.tobytes().hex()}")'
    if isinstance(value, np.dtype):
        return f'dtype("{value.name}")'
    if isinstance(value, TensorType):
        return f'type("{value.dtype.name}", {_param(value.shape)})'
    if kind is str:
        return json.dumps(value)
    if value is None or kind in (bool, int, float) or isinstance(value, Dim):
        return str(value) if isinstance(value, Dim) else repr(value)
    fail(ArgumentError, f"a parameter of {kind.__name__} has no text: {value!r:.60}")


# -- reading ----------------------------------------------------------------------------------------------------------
def parse(text: str, variables: Sequence[Node]) -> list[Node]:
    """The outputs of a text that `write` made, over these variables, in the order of its lines. Raises ArgumentError."""
    lines = [line for line in text.splitlines() if line.strip()]
    heads = [line for line in lines if line.startswith(("input ", "shared "))]
    if len(heads) != len(variables):
        fail(ArgumentError, f"the text names {len(heads)} variables, {len(variables)} are given", *variables)
    symbols = {s.name: dims.of_symbol(s) for v in variables for size in v.shape for s in dims.symbols(size)}
    values: dict[str, Node] = {}
    for line, node in zip(heads, variables):
        name, kind = line.split(" ", 1)[1].rsplit(": ", 1)
        if kind != _type(node.tensor):
            fail(ArgumentError, f"the text wants {name} as {kind}", node)
        values[name] = node
    return _Reader(lines[len(heads) :], symbols).body("", values)


class _Reader:
    """The lines of a graph, read from the top; a body is read when its node is."""

    def __init__(self, lines: Sequence[str], symbols: Mapping[str, Size]) -> None:
        self.lines, self.symbols, self.at = lines, symbols, 0

    def body(self, indent: str, values: dict[str, Node]) -> list[Node]:
        """The nodes of the lines that start with `indent`, up to their return."""
        while self.at < len(self.lines) and self.lines[self.at].startswith(indent):
            line = self.lines[self.at][len(indent) :]
            self.at += 1
            if line == "return" or line.startswith("return "):
                return [_value(name, values) for name in _split(line[len("return ") :])]
            name, call = line.split(" = ", 1)
            values[name] = self.node(call, indent, values)
        fail(ArgumentError, "the text of a graph ends without a return")

    def node(self, call: str, indent: str, values: dict[str, Node]) -> Node:
        name, arguments = call.split("(", 1)
        if name not in OPS:
            fail(ArgumentError, f"the text has an unknown op, {name}")
        op = OPS[name]
        parts = _split(arguments[:-1])
        given = {key: p[len(key) + 1 :] for p in parts for key in op.params if p.startswith(key + "=")}
        inputs = [_value(p, values) for p in parts[: len(parts) - len(given)]]
        params = {key: self.param(ast.parse(value, mode="eval").body) for key, value in given.items()}
        return make(op, tuple(inputs), tuple([{**params, **self.regions(op.regions, indent)}[key] for key in op.params]))

    def regions(self, names: Sequence[str], indent: str) -> dict[str, Any]:
        """The bodies below a node: one each, or a tuple where they are numbered."""
        found: dict[str, Any] = dict.fromkeys(names, ())
        while names and self.at < len(self.lines) and self.lines[self.at].startswith(indent + INDENT):
            name, head = self.lines[self.at].strip().split("(", 1)
            self.at += 1
            types = [self.type(part.split(": ", 1)[1]) for part in _split(head[:-2])]
            leaves = {f"@{k}": bound(k, t) for k, t in enumerate(types)}
            region = Region(types, self.body(indent + INDENT * 2, dict(leaves)))
            key, _, number = name.partition(".")
            found[key] = (*found[key], region) if number else region
        return found

    def type(self, text: str) -> TensorType:
        matched = _ARRAY.fullmatch(text)
        assert matched is not None
        shape = tuple([self.param(ast.parse(part, mode="eval").body) for part in _split(matched[2])])
        return tensor_type(np.dtype(matched[1]), shape)

    def param(self, tree: ast.expr) -> Any:
        """A parameter from its expression: literals, sizes, and the calls that `_param` writes."""
        match tree:
            case ast.Constant():
                return tree.value
            case ast.Tuple():
                return tuple([self.param(item) for item in tree.elts])
            case ast.Name():
                number = {"nan": float("nan"), "inf": float("inf")}.get(tree.id)
                return number if number is not None else self.symbols[tree.id] if tree.id in self.symbols else dims.dim(tree.id)
            case ast.Subscript() if (name := ast.unparse(tree)) in self.symbols:  # x.shape[0]: a size without a name of its own
                return self.symbols[name]
            case ast.UnaryOp():
                return -self.param(tree.operand)
            case ast.BinOp():
                return _OPERATORS[type(tree.op)](self.param(tree.left), self.param(tree.right))
            case ast.Call(func=ast.Name()):
                return _CALLS[tree.func.id](*[self.param(a) for a in tree.args])  # type: ignore[attr-defined]
            case _:
                fail(ArgumentError, f"the text has a parameter that is none: {ast.unparse(tree)}")


def _array(dtype: str, shape: tuple[int, ...], data: str) -> Frozen:
    return Frozen(np.frombuffer(bytes.fromhex(data), dtype).reshape(shape))


_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
    ast.Pow: lambda size, times: dims.product([size] * times),
}  # fmt: skip
_CALLS: dict[str, Callable[..., Any]] = {
    "array": _array, "dtype": np.dtype, "type": lambda dtype, shape: tensor_type(np.dtype(dtype), shape), "min": dims.minimum,
    "max": dims.maximum,
}  # fmt: skip


def _value(name: str, values: Mapping[str, Node]) -> Node:
    """A node by its name, or an output of one: `%3.1`."""
    if name in values:
        return values[name]
    source, _, number = name.rpartition(".")
    if source not in values or not number.isdigit():
        fail(ArgumentError, f"the text reads {name}, which no line before has made")
    return get(values[source], int(number))


def _split(text: str) -> list[str]:
    """The parts between commas that stand outside of brackets and strings."""
    parts, depth, start, quoted, k = [], 0, 0, False, 0
    while k < len(text):
        c = text[k]
        if quoted:
            k += c == "\\"
            quoted = c != '"'
        elif c == '"':
            quoted = True
        elif c in "([":
            depth += 1
        elif c in ")]":
            depth -= 1
        elif c == "," and not depth:
            parts.append(text[start:k].strip())
            start = k + 1
        k += 1
    return [*parts, text[start:].strip()] if text[start:].strip() else parts
