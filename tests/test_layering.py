"""Imports run along the edges drawn here, and no others.

    graphc    <-  graphc.passes       numpy, networkx
    graphc    <-  graphc.codegen      numpy, llvmlite

Both leaves lie beside the trunk and are linked into it (graphc/passes -> ../passes), so an installation holds one name.
Inside the trunk a module imports from its own layer or a lower one, and no import goes in a circle. What is imported inside a
function is listed below with its reason: the two joints of the three packages, and what would be a circle at the top.
"""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LEAVES = ("passes", "codegen")
PACKAGES = ("graphc", *LEAVES)
EXTERNAL = {"graphc": {"numpy"}, "passes": {"numpy", "networkx"}, "codegen": {"numpy", "llvmlite"}}
OTHERS = {"graphc": set(), "passes": {"graphc"}, "codegen": {"graphc"}}

# graphc from the ground up. A prefix stands for all modules under it; what is not listed is in the layer TOOLS.
LAYERS: list[tuple[str, ...]] = [
    (
        "graphc.errors",
        "graphc.refused",
        "graphc.refused_special",
        "graphc.protocol",
        "graphc.forking",
        "graphc.records",
        "graphc.intern",
        "graphc.dims",
        "graphc.tree",
    ),
    ("graphc.dtypes", "graphc.frozen"),
    ("graphc.types",),
    ("graphc.operators", "graphc.ir", "graphc.region", "graphc.scalars", "graphc.loopform", "graphc.target", "graphc.traits"),
    ("graphc.ops",),
    (),  # TOOLS: grad, batch, interp, printer, verify, program, user namespaces, ...
    ("graphc.control",),  # ops with bodies, whose rules differentiate and batch them
    ("graphc.user.function", "graphc.user.jit"),
    # what users find under a name of its own and what is composed of all below
    ("graphc.infer", "graphc.nn", "graphc.optim", "graphc.random", "graphc.stats", "graphc.training"),
    ("graphc",),
]
TOOLS, CONTROL = 5, 6

# (module, function that imports, what it imports): why it cannot be at the top
INSIDE: dict[tuple[str, str, str], str] = {
    ("graphc.user.function", "_compile", "graphc.passes"): "the joint of the three packages; `import graphc` stays light",
    ("graphc.user.function", "_compile", "graphc.codegen"): "the joint of the three packages; `import graphc` stays light",
    ("graphc.calibrate", "main", "graphc.codegen"): "the command that measures; the trunk reads what it has found",
    ("graphc.derivatives.grad", "prepared", "graphc.passes"): "the joint of the trunk and passes: stable rules run before differentiation",
    ("graphc.graphs", "to_networkx", "networkx"): "loaded when a graph is exported; `import graphc` stays light",
    **{
        ("graphc", "__getattr__", f"graphc.{name}"): "a name of its own, loaded when it is asked for"
        for name in ("cache", "calibration", "infer", "nn", "optim", "random", "stats", "training")
    },
    ("graphc.user.function", "program", "graphc.program"): "what describes compiled functions is loaded with the first one",
    ("graphc.user.function", "cost", "graphc.user.cost"): "the same",
    ("graphc.user.function", "memory", "graphc.user.cost"): "the same",
    ("graphc.user.function", "audit", "graphc.user.audit"): "the same, and decimal arithmetic with it",
    ("graphc.user.signature", "layout", "graphc.program"): "the same",
    ("graphc.training.progress", "progress_of", "tqdm"): "an extra; a line an epoch is shown without it",
    ("graphc.training.saving", "_safetensors", "safetensors"): "an extra; .npz needs nothing",
    ("graphc.tree", "_functions", "graphc.ops"): "ravel of a tree of nodes; ops use trees",
}
# for annotations only, under `if TYPE_CHECKING`: no edge when the program runs
TYPES_ONLY = {
    **{
        ("graphc", f"graphc.{name}"): "for type checkers and editors: names that are loaded when they are asked for"
        for name in ("cache", "calibration", "infer", "nn", "optim", "random", "stats", "training", "training.fit", "training.saving")
    },
    ("graphc.operators", "graphc.ir"): "the mix-in below Node returns Nodes",
    ("graphc.operators", "graphc.ops.registry"): "what its methods take",
    ("graphc.operators", "graphc.ops.at"): "what its methods return",
    ("graphc.graphs", "networkx"): "what the export gives back",
    ("graphc.ir", "graphc.loopform"): "Op.loop returns a LoopForm, whose bodies are Scalars",
    ("graphc.traits", "graphc.ir"): "traits are functions of nodes",
    ("graphc.traits", "graphc.loopform"): "the native form of a host op is a Routine",
    ("graphc.traits", "graphc.scalars"): "the element of an elementwise op is a Scalar",
    ("graphc.user.function", "graphc.codegen.runtime.executable"): "what the joint gives back",
    ("graphc.user.function", "graphc.passes.pipeline"): "what the joint gives back",
    ("graphc.user.function", "graphc.program"): "what its methods pass on",
    ("graphc.user.function", "graphc.user.audit"): "what its method returns",
    ("graphc.user.signature", "graphc.program"): "what its method returns",
}


@dataclass(frozen=True)
class Edge:
    """An import: who, what, in which function ("" at the top), for annotations only."""

    importer: str
    imported: str
    function: str
    types_only: bool
    line: int

    def __str__(self) -> str:
        where = f" in {self.function}()" if self.function else " under TYPE_CHECKING" if self.types_only else ""
        return f"{self.importer} imports {self.imported}{where}, line {self.line}"


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = ("graphc", *parts) if parts[0] in LEAVES else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def package(module: str) -> str:
    """The trunk, one of the leaves, or what comes from outside."""
    top, *below = module.split(".")
    return below[0] if top == "graphc" and below and below[0] in LEAVES else top


MODULES = {module_name(p): p for folder in PACKAGES for p in sorted((ROOT / folder).rglob("*.py"))}


def imports(name: str, source: str, is_package: bool = False) -> Iterator[Edge]:
    """Every import of a module, wherever it stands."""
    stack: list[tuple[ast.AST, str, bool]] = [(ast.parse(source), "", False)]
    while stack:
        node, function, types_only = stack.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            function = node.name
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            stack += [(child, function, True) for child in node.body] + [(child, function, types_only) for child in node.orelse]
            continue
        if isinstance(node, ast.Import):
            yield from (Edge(name, alias.name, function, types_only, node.lineno) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = name.split(".")[: len(name.split(".")) - node.level + is_package]
                base = ".".join([*above, base]) if base else ".".join(above)
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield Edge(name, full if full in MODULES else base, function, types_only, node.lineno)
        stack += [(child, function, types_only) for child in ast.iter_child_nodes(node)]


@functools.cache
def edges() -> list[Edge]:
    return [e for name, path in MODULES.items() for e in imports(name, path.read_text(), path.name == "__init__.py")]


def layer(module: str) -> int:
    """The layer of the longest prefix that is listed; `graphc` itself stands for its `__init__` alone."""
    above = lambda prefix: module == prefix or (prefix != "graphc" and module.startswith(prefix + "."))
    listed = [(len(prefix), k) for k, prefixes in enumerate(LAYERS) for prefix in prefixes if above(prefix)]
    return max(listed)[1] if listed else TOOLS


def allowed_inside(e: Edge) -> tuple[str, str, str] | None:
    return next((key for key in INSIDE if key[:2] == (e.importer, e.function) and (e.imported + ".").startswith(key[2] + ".")), None)


def fault(e: Edge) -> str:
    """Why an edge is not allowed, "" where it is."""
    own, other = package(e.importer), package(e.imported)
    if e.imported.split(".")[0] in LEAVES:
        return "a leaf is imported as a part of graphc"
    if other not in PACKAGES:
        known = other in EXTERNAL[own] or other in sys.stdlib_module_names
        lazy = allowed_inside(e) or (e.types_only and (e.importer, e.imported) in TYPES_ONLY)
        return "" if known or lazy else f"{own} does not use {other}"
    if e.types_only:
        listed = (e.importer, e.imported) in TYPES_ONLY or (own == other and own != "graphc")
        return "" if listed else "not among the imports for annotations"
    if e.function:
        return "" if allowed_inside(e) else "imports belong at the top; an exception is listed with its reason"
    if own != other:
        if other not in OTHERS[own]:
            return f"{own} never imports {other} at the top"
        return "only the user's side imports graphc.user.function" if layer(e.imported) > CONTROL else ""
    if own == "graphc" and layer(e.imported) > layer(e.importer):
        return "an import upwards"
    return ""


def test_edges() -> None:
    assert [f"{e}: {why}" for e in edges() if (why := fault(e))] == []


def test_no_circles() -> None:
    below: dict[str, set[str]] = {name: set() for name in MODULES}
    for e in edges():
        if not e.function and not e.types_only and e.imported != e.importer and e.imported in MODULES:
            below[e.importer].add(e.imported)
    while True:
        free = [name for name, needs in below.items() if not needs]
        if not free:
            break
        below = {name: needs - set(free) for name, needs in below.items() if name not in free}
    assert below == {}


def test_exceptions_are_used() -> None:
    used = {allowed_inside(e) for e in edges() if e.function}
    assert [key for key in INSIDE if key[0] in MODULES and key not in used] == []
    types = {(e.importer, e.imported) for e in edges() if e.types_only}
    assert [key for key in TYPES_ONLY if key[0] in MODULES and key not in types] == []


def test_no_import_by_another_way() -> None:
    """`importlib` and `__import__` would go past this test."""
    assert [str(e) for e in edges() if e.imported.split(".")[0] in ("importlib", "imp", "pkgutil")] == []
    assert [name for name, path in MODULES.items() if "__import__" in path.read_text()] == []


@pytest.mark.parametrize(
    ("importer", "source", "why"),
    [
        ("graphc.program", "import llvmlite", "does not use"),
        ("graphc.dims", "from graphc.ir import Node", "upwards"),
        ("graphc.derivatives.grad", "import graphc.passes.prepare", "never imports"),
        ("graphc.interp", "def f():\n    from graphc.user.function import function", "belong at the top"),
        ("graphc.interp", "from graphc.user.function import function", "upwards"),
        ("graphc.passes.fusion.fuse", "from graphc.codegen.loops.lower import lower", "never imports"),
        ("graphc.passes.fusion.fuse", "from graphc.user.function import function", "user's side"),
        ("graphc.codegen.llvm.emit", "def f():\n    import graphc.passes", "belong at the top"),
        ("graphc.codegen.llvm.emit", "import networkx", "does not use"),
        ("graphc.codegen.llvm.emit", "import passes.prepare", "as a part of graphc"),
        ("graphc", "def __getattr__(name):\n    import graphc.ops.shape", "belong at the top"),
        ("graphc.types", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from graphc.ir import Node", "annotations"),
    ],
)
def test_what_would_fail(importer: str, source: str, why: str) -> None:
    assert any(why in fault(e) for e in imports(importer, source))
