"""Traits: no op is known by its name outside its row, and what the rows say of their ops is true."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

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
