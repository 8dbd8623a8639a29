"""Golden files: `golden("name", text)` compares a text with tests/golden/name.txt; `pytest --update-golden` writes what differs."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files that differ instead of failing")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with its golden file. A reviewer reads the diff of the file, so texts hold no paths, times or addresses."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / f"{name}.txt"
        wanted = path.read_text() if path.exists() else ""
        text = text.rstrip() + "\n"
        if text == wanted:
            return
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            return
        difference = "\n".join(difflib.unified_diff(wanted.splitlines(), text.splitlines(), f"golden/{name}.txt", "now", lineterm=""))
        pytest.fail(f"{difference}\nif this is meant, run: pytest --update-golden", pytrace=False)

    return compare
