"""The tests that enter the function of a fault, by the map that `tests.mutate.trace` draws: the cheapest of each test function first.

>>> function_at("class A:\\n    def f(self):\\n        return any(x for x in self)", 3)
'A.f'
"""

from __future__ import annotations

import ast
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from tests.mutate.faults import Fault

SECONDS = 8.0  # what the tests of one fault may take, by the map
FILES = 12  # so many test files at most: each has to be imported
MOST = 400  # so many tests at most: a command line ends somewhere


def function_at(source: str, line: int) -> str:
    """The innermost function around a line as `__qualname__` spells it; comprehensions count as part of it; "" in none."""
    name = ""
    pending: list[tuple[ast.AST, str, bool]] = [(ast.parse(source), "", False)]
    while pending:
        node, around, inside = pending.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            own = "<lambda>" if isinstance(node, ast.Lambda) else node.name
            if not node.lineno <= line <= (node.end_lineno or node.lineno):
                continue
            around = f"{around}.<locals>.{own}" if inside else f"{around}.{own}" if around else own
            inside = not isinstance(node, ast.ClassDef)
            name = (f"{around}:{node.lineno}" if around == "<lambda>" else around) if inside else name
        pending += [(child, around, inside) for child in ast.iter_child_nodes(node)]
    return name


class Entered:
    """The map, less the tests that are no more or that fail by themselves."""

    def __init__(self, place: Path, there: Iterable[str]) -> None:
        self.seconds: dict[str, float] = {}
        self.tests: defaultdict[str, list[str]] = defaultdict(list)
        there = set(there)
        for line in place.read_text().splitlines():
            row = json.loads(line)
            if row["passed"] and row["test"] in there:
                self.seconds[row["test"]] = row["seconds"]
                for name in row["functions"]:
                    self.tests[name].append(row["test"])

    def time(self, tests: Iterable[str]) -> float:
        """What these tests and files of tests take."""
        wanted = set(tests)
        return sum(seconds for test, seconds in self.seconds.items() if test in wanted or test.partition("::")[0] in wanted)

    def of_row(self, text: str, near: list[str]) -> list[str]:
        """The tests of `near` with the name of a row of a table in theirs: test_exact[expm1-float32] for Rule("expm1", exp(x) - 1, ..)."""
        row = re.match(r"\w*\(?\"([^\"]+)\"", text)
        if row is None:
            return []
        return [t for t in self.seconds if t.partition("::")[0] in near and re.search(rf"[\[-]{re.escape(row[1])}[-\]]", t)]

    def chosen(self, fault: Fault, source: str, near: list[str]) -> list[str]:
        """The tests to run, those of the files in `near` before others; none where the map knows nothing."""
        name = function_at(source, fault.line)
        if not name or name.startswith("<lambda>:"):
            tests = self.of_row(fault.text, near) or self.tests[f"{fault.path} {name}"]
        else:
            tests = self.tests[f"{fault.path} {name}"]
        tests = sorted(tests, key=self.seconds.__getitem__)
        turn: Counter[str] = Counter()
        order = []
        for test in tests:
            function = test.partition("[")[0]
            turn[function] += 1  # one of each parametrised test before the second of any
            order.append((turn[function] + (0 if test.partition("::")[0] in near else 4), self.seconds[test], test))
        result: list[str] = []
        files: set[str] = set()
        spent = 0.0
        for _, seconds, test in sorted(order):
            file = test.partition("::")[0]
            if spent + seconds <= SECONDS and len(result) < MOST and (file in files or len(files) < FILES):
                result.append(test)
                files.add(file)
                spent += seconds
        return result
