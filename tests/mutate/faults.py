"""The single-token faults of a source file.

    for k in range(1, n):   ->  for k in range(2, n):          a < b   ->  a <= b          p and q  ->  p or q
    if not empty:           ->  if empty:                      x + y   ->  x - y           any(..)  ->  all(..)
    "icmp slt i64"          ->  "icmp sle i64"                 mode == "add"  ->  mode == "set"

Docstrings, annotations, decorators, assertions and the texts of errors are left alone: a fault there changes no result. So are the
numbers of a module, `MOST = 1 << 20`: they are sizes and thresholds, and what holds for one holds for the next.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"), ast.Gt: (">", ">="), ast.GtE: (">=", ">"), ast.Eq: ("==", "!="), ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"), ast.IsNot: ("is not", "is"), ast.In: ("in", "not in"), ast.NotIn: ("not in", "in"),
}  # fmt: skip
ARITHMETIC: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "+"), ast.FloorDiv: ("//", "*"), ast.Mod: ("%", "//"), ast.Div: ("/", "*"),
    ast.BitOr: ("|", "&"), ast.BitAnd: ("&", "|"), ast.LShift: ("<<", ">>"), ast.RShift: (">>", "<<"),
}  # fmt: skip
NAMES = {"any": "all", "all": "any", "min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum", "floordiv": "mod",
         "prev": "next", "first": "last", "last": "first"}  # fmt: skip
WORDS = {"add": "set", "set": "add", "inclusive": "exclusive", "exclusive": "inclusive", "sum": "max", "max": "sum"}  # whole literals
IN_TEXT = {  # words of LLVM text inside a literal
    "slt": "sle", "sle": "slt", "sgt": "sge", "sge": "sgt", "ult": "ule", "ule": "ult", "ugt": "uge", "uge": "ugt", "olt": "ole",
    "ogt": "oge", "eq": "ne", "ne": "eq", "add": "sub", "sub": "add", "fadd": "fsub", "fsub": "fadd", "zext": "sext", "sext": "zext",
    "umin": "umax", "smin": "smax", "smax": "smin", "lshr": "ashr",
}  # fmt: skip
SILENT_CALLS = ("fail", "fault", "broken", "_broken", "TypeVar", "NewType", "namedtuple", "note")  # their arguments are texts for people


@dataclass(frozen=True)
class Fault:
    """One token replaced. `start` and `end` are offsets into the source."""

    path: str
    line: int
    start: int
    end: int
    before: str
    after: str
    text: str  # the line of source, stripped: with it a list of equivalents survives edits elsewhere

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.before} -> {self.after}    in: {self.text}"

    @property
    def key(self) -> str:
        return f"{self.path} | {self.text} | {self.before} -> {self.after}"

    def apply(self, source: str) -> str:
        return source[: self.start] + self.after + source[self.end :]


class _Source:
    """Offsets of (line, column) pairs; columns of `ast` count bytes of UTF-8."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = text.splitlines(keepends=True)
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line))

    def offset(self, line: int, column: int) -> int:
        return self.starts[line - 1] + len(self.lines[line - 1].encode()[:column].decode())

    def span(self, node: ast.AST) -> tuple[int, int]:
        return self.offset(node.lineno, node.col_offset), self.offset(node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]


def faults(path: str, text: str) -> list[Fault]:
    """Every fault of a file in the order of its text, without those that do not compile."""
    source = _Source(text)
    found = []
    for start, end, after in sorted(set(_places(ast.parse(text), source))):
        line = text.count("\n", 0, start) + 1
        fault = Fault(path, line, start, end, text[start:end], after, source.lines[line - 1].strip())
        if _compiles(fault.apply(text)):
            found.append(fault)
    return found


def _compiles(text: str) -> bool:
    try:
        compile(text, "fault", "exec")
    except SyntaxError:
        return False
    return True


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """What is executed and shows in results: no docstrings, annotations, decorators, default error texts."""
    if isinstance(node, (ast.Raise, ast.Assert)) or (isinstance(node, ast.keyword) and node.arg == "strict"):
        return  # what only asserts
    if isinstance(node, ast.Call) and isinstance(node.func, (ast.Name, ast.Attribute)):
        name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
        if name in SILENT_CALLS:
            return
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        return
    skipped = {"annotation", "returns", "decorator_list", "type_params", "type_comment"}
    for name, value in ast.iter_fields(node):
        if name in skipped:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
                continue  # a docstring
            if isinstance(node, ast.Module) and _is_number(child):
                continue
            if isinstance(child, ast.AST):
                yield child


def _is_number(statement: ast.AST) -> bool:
    """NAME = 64, NAME = 1 << 20, A, B = 0, 8: of numbers alone."""
    if not isinstance(statement, (ast.Assign, ast.AnnAssign)) or statement.value is None:
        return False
    allowed = (ast.Constant, ast.BinOp, ast.UnaryOp, ast.Tuple, ast.operator, ast.unaryop, ast.expr_context)
    parts = list(ast.walk(statement.value))
    return all(isinstance(p, allowed) for p in parts) and not any(isinstance(p, ast.Constant) and isinstance(p.value, str) for p in parts)


def _places(tree: ast.AST, source: _Source) -> Iterator[tuple[int, int, str]]:
    """(start, end, replacement) of every fault."""
    pending = [tree]
    while pending:
        node = pending.pop()
        pending += _children(node)
        if isinstance(node, ast.Compare):
            operands = [node.left, *node.comparators]
            for k, op in enumerate(node.ops):
                yield from _between(source, operands[k], operands[k + 1], *COMPARISONS[type(op)])
        elif isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in ARITHMETIC:
            left, right = (node.left, node.right) if isinstance(node, ast.BinOp) else (node.target, node.value)
            yield from _between(source, left, right, *ARITHMETIC[type(node.op)])
        elif isinstance(node, ast.BoolOp):
            before, after = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
            for left, right in zip(node.values, node.values[1:]):
                yield from _between(source, left, right, before, after)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            start, _ = source.span(node)
            yield start, start + len("not "), ""
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            start, _ = source.span(node)
            yield start, start + 1, "+"
        elif isinstance(node, ast.Name) and node.id in NAMES:
            yield *source.span(node), NAMES[node.id]
        elif isinstance(node, (ast.Break, ast.Continue)):
            yield *source.span(node), "continue" if isinstance(node, ast.Break) else "break"
        elif isinstance(node, ast.Constant):
            yield from _constant(node, source)


def _between(source: _Source, left: ast.AST, right: ast.AST, before: str, after: str) -> Iterator[tuple[int, int, str]]:
    start, end = source.span(left)[1], source.span(right)[0]
    pattern = r"\s+".join(map(re.escape, before.split()))
    if before.isidentifier() or " " in before:
        pattern = rf"\b{pattern}\b"
    match = re.search(pattern, re.sub(r"#.*", lambda m: " " * len(m.group()), source.text[start:end]))
    if match:
        yield start + match.start(), start + match.end(), after


def _constant(node: ast.Constant, source: _Source) -> Iterator[tuple[int, int, str]]:
    start, end = source.span(node)
    literal = source.text[start:end]
    if isinstance(node.value, bool):
        yield start, end, str(not node.value)
    elif isinstance(node.value, int) and literal.isdigit():
        yield start, end, str(node.value + 1)
    elif isinstance(node.value, str):
        if node.value in WORDS and literal[:1] in "\"'":
            yield start, end, repr(WORDS[node.value])
        for match in re.finditer(r"(?<![\w.%@])[a-z]+(?![\w(])", literal):
            if match.group() in IN_TEXT and (" " in node.value):
                yield start + match.start(), start + match.end(), IN_TEXT[match.group()]
