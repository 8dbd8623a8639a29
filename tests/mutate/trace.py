"""Which functions each test enters, and how long it takes: the map by which `python -m tests.mutate` picks the tests of a fault.

    python -m pytest -o addopts=-q -p tests.mutate.trace --map map.jsonl

A pytest plugin for CPython 3.12 or newer, whose monitoring costs next to nothing: a function tells of its first call in a test, then
is silent. One line of JSON a test: {"test": id, "passed": true, "seconds": 0.31, "functions": ["passes/prepare.py prepare", ..]}.
What is cached from an earlier test is not entered again, so the map is a guess of where to look first, no proof of what is not tested.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Generator
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOUSE = ("graphc/", "passes/", "codegen/")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--map", type=Path, required=True, help="where the map goes, one line a test")


class Tracer:
    """Collects the functions of the house that are entered."""

    def __init__(self, place: Path) -> None:
        self.out = place.open("w")
        self.names: dict[CodeType, str | None] = {}
        self.entered: set[str] = set()
        self.passed = True
        self.monitoring: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]  # from 3.12
        self.restart, self.disable, self.tool = self.monitoring.restart_events, self.monitoring.DISABLE, self.monitoring.COVERAGE_ID
        self.monitoring.use_tool_id(self.tool, "graphc-mutate")
        self.monitoring.register_callback(self.tool, self.monitoring.events.PY_START, self.enter)
        self.monitoring.set_events(self.tool, self.monitoring.events.PY_START)

    def name(self, code: CodeType) -> str | None:
        file = os.path.relpath(os.path.realpath(code.co_filename), ROOT)  # graphc/passes is a link to passes
        if not file.startswith(HOUSE):
            return None
        name: str = code.co_qualname  # type: ignore[attr-defined,unused-ignore]
        return f"{file} {name}" + (f":{code.co_firstlineno}" if name.startswith("<lambda>") else "")

    def enter(self, code: CodeType, offset: int) -> object:
        if code not in self.names:
            self.names[code] = self.name(code)
        if (name := self.names[code]) is not None:
            self.entered.add(name)
        return self.disable

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self.entered.clear()
        self.passed = True
        self.restart()
        begin = time.perf_counter()
        result = yield
        seconds = round(time.perf_counter() - begin, 4)
        row = {"test": item.nodeid, "passed": self.passed, "seconds": seconds, "functions": sorted(self.entered)}
        self.out.write(json.dumps(row) + "\n")
        self.out.flush()
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.passed = self.passed and report.passed

    def pytest_unconfigure(self) -> None:
        self.monitoring.set_events(self.tool, 0)  # what runs while the interpreter ends is no test
        self.monitoring.free_tool_id(self.tool)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Tracer(config.getoption("--map")), "graphc-tracer")
