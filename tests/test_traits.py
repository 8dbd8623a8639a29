"""Traits: no op is known by its name outside its row, and what the rows say of their ops is true."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

import graphc as gx
from graphc import dims
from graphc.interp import evaluate
from graphc.ir import Node, toposort
from graphc.loopform import LoopForm
from graphc.ops.registry import OPS
from graphc.scalars import const
from graphc.traits import Traits
from tests.test_audit import ELEMENTWISE, STRUCTURAL

ROOT = Path(__file__).parent.parent
FILES = [p for folder in ("graphc", "passes", "codegen") for p in sorted((ROOT / folder).glob("**/*.py"))]
FILES = [p for p in FILES if "ops" not in p.relative_to(ROOT).parts[:2]]
EXCEPTIONS: dict[tuple[str, str], str] = {}  # (file, line of source): reason


def is_name_of_op(node: ast.AST) -> bool:
    """`x.op.name` or `op.name`."""
    if not isinstance(node, ast.Attribute) or node.attr != "name":
        return False
    below = node.value
    return (isinstance(below, ast.Name) and below.id == "op") or (isinstance(below, ast.Attribute) and below.attr == "op")


def decides_by_name(source: str) -> Iterator[int]:
    """The lines that compare the name of an op, look it up in a literal table, match on it, or keep it to do so later."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare):
            found = any(map(is_name_of_op, [node.left, *node.comparators]))
        elif isinstance(node, ast.Subscript):
            found = isinstance(node.value, ast.Dict) and is_name_of_op(node.slice)
        elif isinstance(node, ast.Call):
            table = isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Dict)
            found = table and any(map(is_name_of_op, node.args))
        elif isinstance(node, ast.Match):
            found = is_name_of_op(node.subject)
        else:
            found = isinstance(node, ast.Assign) and is_name_of_op(node.value)
        if found:
            yield node.lineno  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_op_is_known_by_its_name(path: Path) -> None:
    lines = path.read_text().splitlines()
    found = [k for k in decides_by_name(path.read_text()) if (str(path.relative_to(ROOT)), lines[k - 1].strip()) not in EXCEPTIONS]
    assert not found, f"ask the traits of the op, or compare ops themselves: {[lines[k - 1].strip() for k in found]}"


@pytest.mark.parametrize(
    "source",
    [
        'node.op.name == "exp"',
        'node.op.name != "exp"',
        'op.name in ("exp", "log")',
        '"exp" == x.inputs[0].op.name',
        "node.op.name in NAMES",
        '{"exp": 1}.get(node.op.name)',
        '{"exp": 1}[node.op.name]',
        "match node.op.name:\n    case 'exp':\n        pass",
        "name = node.op.name",
    ],
)
def test_the_search_finds(source: str) -> None:
    assert list(decides_by_name(source))


@pytest.mark.parametrize("source", ['f"{node.op.name} has no rule"', "node.op is EXP", "OPS.get(op.name) is op", 's.op == "load"'])
def test_the_search_passes(source: str) -> None:
    assert not list(decides_by_name(source))


# -- what the rows say is true ---------------------------------------------------------------------------------------------
def every_node() -> Iterator[tuple[Node, np.ndarray, list[np.ndarray]]]:
    """Each structural op at its examples: the node, its value, its operands."""
    for name, examples in {**ELEMENTWISE, **STRUCTURAL}.items():
        for example in examples:
            xs = [gx.tensor(f"x{k}", v.shape, v.dtype) for k, v in enumerate(example.arrays)]
            env = dict(zip(xs, example.arrays))
            for node in toposort([example.f(*xs)]):
                if node.op.name == name and node.inputs and not isinstance(node.type, tuple):
                    value, *operands = evaluate([node, *node.inputs], env)
                    yield node, value, operands


NODES = list(every_node())


@pytest.mark.parametrize(("node", "value", "operands"), NODES, ids=[n.op.name for n, _, _ in NODES])
def test_what_moves_only_moves(node: Node, value: np.ndarray, operands: list[np.ndarray]) -> None:
    traits = node.op.traits
    form = node.op.loop(node) if node.op.loop else None
    if isinstance(form, LoopForm) and form.view and len(node.inputs) == 1:
        assert traits.moves == "view", "an index map of one operand says so in its traits"
    sources = operands[: {"join": None, "fill": 2}.get(str(traits.moves), 1)]
    if traits.moves is None:
        assert not (traits.permutes or traits.repeats or traits.relabels or traits.starts or traits.affine)
        return
    assert set(value.ravel().tolist()) <= set(np.concatenate([s.ravel() for s in sources]).tolist())
    if traits.moves == "same":
        np.testing.assert_array_equal(value, operands[0])
    if traits.moves == "view" and not traits.repeats:
        assert len(set(value.ravel().tolist())) == value.size <= operands[0].size
    if traits.relabels:
        np.testing.assert_array_equal(value.ravel(), operands[0].ravel())
    if traits.permutes:
        at, seen = [dims.axis(f"a{k}") for k in range(node.ndim)], []
        form.body(lambda k, index, mask=None: seen.append(index) or const(0, node.dtype), tuple(at), ())
        assert all(any(i is a for a in at) or i == 0 for index in seen for i in index)


def test_joins_say_where_their_parts_begin() -> None:
    joins = [(node, value, operands) for node, value, operands in NODES if node.op.traits.moves == "join"]
    assert joins
    for node, value, operands in joins:
        for start, part in zip(node.op.traits.starts(node), operands, strict=True):
            np.testing.assert_array_equal(value[tuple([slice(a, a + n) for a, n in zip(start, part.shape)])], part)


def test_every_trait_is_somebodys() -> None:
    """A field that no row sets is no fact; by_address and by_data name operands that there are."""
    for field in fields(Traits):
        assert any(getattr(op.traits, field.name) != field.default for op in OPS.values()), field.name
    for op in OPS.values():
        assert all(k < (op.arity or 2) for k in (*op.traits.by_address, *op.traits.by_data))
        assert (op.traits.leaf is None) or op.arity == 0
