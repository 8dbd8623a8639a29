"""Golden files, and verification at every boundary of the compiler for all tests.

`golden("name", text)` compares a text with tests/golden/name.txt; `pytest --update-golden` writes what differs.
"""

from __future__ import annotations

import difflib
import functools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files that differ instead of failing")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Compiled objects of this run, and of processes that it starts, go to a directory of its own, never to the user's."""
    place = tempfile.TemporaryDirectory(prefix="graphc-tests-")
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", place.name)  # before the first import of graphc, which happens in the test modules
    config.add_cleanup(patch.undo)
    config.add_cleanup(place.cleanup)


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


@pytest.fixture(scope="session", autouse=True)
def verified() -> Iterator[None]:
    """Every graph, program and loop nest that a test compiles is verified: at each boundary in tests, at none in release."""
    try:
        from graphc.codegen import compile as native
        from graphc.codegen.loops.check_loops import check_loops
        from graphc.passes import pipeline
        from graphc.verify.graph import verify
        from graphc.verify.program import verify_program
    except ImportError:  # a package that does not import fails the tests that use it, not all
        yield
        return

    def graph_pass(run: Any) -> Any:
        @functools.wraps(run)
        def checked(graph: Any, log: Any) -> Any:
            verify(graph)
            result = run(graph, log)
            verify(result)
            return result

        return checked

    def plan_checked(*args: Any) -> Any:
        program = plan(*args)
        verify_program(program)
        return program

    def lower_checked(kernel: Any, target: Any) -> Any:
        block = lower(kernel, target)
        check_loops(block, kernel)
        return block

    plan, lower = pipeline.plan, native.lower
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "LEVELS", {level: tuple(map(graph_pass, passes)) for level, passes in pipeline.LEVELS.items()})
        patch.setattr(pipeline, "plan", plan_checked)
        patch.setattr(native, "lower", lower_checked)
        yield
