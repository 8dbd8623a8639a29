"""graphc as a user's type checker sees it: tests/typing/uses.py passes `mypy --strict`, each line of misuses.py has the error it names."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import graphc as gx
from graphc.ops.registry import OPS
from graphc.ops.rows import PUBLIC

pytest.importorskip("mypy")
ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "tests" / "typing"


def test_uses_are_accepted_and_misuses_rejected() -> None:
    files = [str(FOLDER / name) for name in ("uses.py", "misuses.py")]
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--hide-error-context", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    found = re.findall(r"^(\S+?):(\d+): error: (.*?)  \[([a-z-]+)\]$", done.stdout, re.MULTILINE)
    assert [text for text in found if text[0].endswith("uses.py") and "misuses" not in text[0]] == [], done.stdout
    wanted = {}
    for number, line in enumerate((FOLDER / "misuses.py").read_text().splitlines(), start=1):
        if "# error: " in line:
            wanted[number] = set(line.split("# error: ")[1].split())
    assert len(wanted) > 20
    got: dict[int, set[str]] = {}
    for _, number, _, code in found:
        got.setdefault(int(number), set()).add(code)
    assert got == wanted, done.stdout + done.stderr


def test_signatures_of_elementwise_functions() -> None:
    """Arity, names and formula, as `help` shows them; what is written in the row."""
    assert str(inspect.signature(gx.exp)).startswith("(x: ") and len(inspect.signature(gx.exp).parameters) == 1
    assert list(inspect.signature(gx.left_shift).parameters) == ["x", "n"]
    for name, function in PUBLIC.items():
        op = OPS.get(name)
        if op is None or not op.elementwise or getattr(function, "__signature__", None) is None:
            continue
        parameters = inspect.signature(function).parameters
        assert len(parameters) == op.arity and {p.kind for p in parameters.values()} == {inspect.Parameter.POSITIONAL_ONLY}, name
        assert inspect.signature(function).return_annotation is gx.Node
        assert (function.__doc__ or "").startswith(f"{name}({', '.join(parameters)}): {op.doc}"), name
    assert (gx.square.__doc__ or "").startswith("square(x): x * x.")
    with pytest.raises(gx.ArgumentError, match="exp takes 1 argument, got 2"):
        gx.exp(1.0, 2.0)  # type: ignore[call-arg]


def test_every_public_function_has_a_docstring_and_annotations() -> None:
    for name in gx.__all__:
        function = getattr(gx, name)
        if inspect.isfunction(function):
            assert function.__doc__, name
            signature = inspect.signature(function)
            assert signature.return_annotation is not inspect.Signature.empty, name
            assert all(p.annotation is not p.empty for p in signature.parameters.values()), name
