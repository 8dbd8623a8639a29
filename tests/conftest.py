"""Golden files, and verification at every boundary of the compiler for all tests.

`golden("name", text)` compares a text with tests/golden/name.txt; `pytest --update-golden` writes what differs.
`pytest --canaries` runs what tests compile with a pattern around every array that must be whole after the call; calls go through
Python then, so it is for the tests of kernels, not for those of the native entry.
"""

from __future__ import annotations

import difflib
import gc
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from graphc.target import Target

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files that differ instead of failing")
    parser.addoption("--canaries", action="store_true", help="check after each call that no kernel has written beyond an array")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Compiled objects of this run, and of processes that it starts, go to a directory of its own, never to the user's.

    So does the bytecode of these processes: where none is written beside the sources, each would compile all modules anew.
    """
    place = tempfile.TemporaryDirectory(prefix="graphc-tests-")
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", place.name)  # before the first import of graphc, which happens in the test modules
    patch.setenv("PYTHONPYCACHEPREFIX", str(Path(place.name, "bytecode")))
    patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
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
def verified(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every graph, cluster, program and loop nest that a test compiles is verified: at each boundary in tests, at none in release."""
    try:
        from graphc import calibration
        from graphc.options import Options, default_options, set_default_options
    except ImportError:  # a package that does not import fails the tests that use it, not all
        yield
        return
    before = default_options()
    calibration.enabled = False  # what is measured differs between machines and moments; tests of it switch it on
    set_default_options(Options(verify=True, canaries=request.config.getoption("--canaries")))
    yield
    set_default_options(before)


@pytest.fixture(scope="session")
def damaged() -> Iterator[Callable[[], int]]:
    """How many of NumPy's arrays have been found written beyond their ends."""
    try:
        from tests.fuzz.canaries import canaries
    except ImportError:  # as above
        yield lambda: 0
        return
    with canaries() as damage:
        yield damage


@pytest.fixture(autouse=True)
def nothing_is_written_beside_arrays(damaged: Callable[[], int]) -> Iterator[None]:
    """Every array that a test makes, results of calls among them, lies between canaries."""
    before = damaged()
    yield
    assert damaged() == before, "memory beside an array of NumPy has been written"


@pytest.fixture
def measured() -> Iterator[Callable[..., None]]:
    """`measured(threads=0.0)`: what is compiled in this test from then on is for this machine, or a target, had calibration found that."""
    from graphc.codegen.target import host
    from graphc.options import default_options, set_default_options
    from graphc.target import Measured

    before = default_options()

    def found(base: Target | None = None, **facts: Any) -> None:
        set_default_options(replace(before, target=replace(base or host(), measured=replace(Measured(), **facts))))

    yield found
    set_default_options(before)


@pytest.fixture(scope="module", autouse=True)
def young_heap() -> None:
    """Collections look through the objects of one file of tests only, not through all that the files before it have left, and seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)  # a compilation makes more objects than that, and most of them stay until its end
