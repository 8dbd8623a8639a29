"""`import graphc` is light: no LLVM, no networkx, no compiler."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
HEAVY = ("llvmlite", "networkx", "passes", "codegen", "scipy", "mpmath", "pytest")


def fresh(code: str, **environment: str) -> str:
    """What `code` prints in a new process that sees only this checkout."""
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | environment
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_loads_nothing_heavy() -> None:
    loaded = fresh(f"import sys, graphc; print([m for m in {HEAVY} if m in sys.modules])")
    assert loaded == "[]"


def test_building_and_evaluating_load_nothing_heavy() -> None:
    code = "import sys, graphc as gx; x = gx.tensor('x', (3,)); y = gx.tanh(x) + 1; print(repr(y), y.eval({x: [0.0, 0.0, 0.0]}))"
    loaded = fresh(f"{code}; print([m for m in {HEAVY} if m in sys.modules])")
    assert loaded.splitlines() == ["<add(tanh, broadcast): f64[3]> [1. 1. 1.]", "[]"]


def test_public_names_exist() -> None:
    import graphc

    assert [name for name in graphc.__all__ if not hasattr(graphc, name)] == []
    assert len(set(graphc.__all__)) == len(graphc.__all__)
