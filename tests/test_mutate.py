"""The mutation command: the faults that it plants, and that it tells a dead one from a survivor."""

from __future__ import annotations

import json
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.mutate import targets
from tests.mutate.__main__ import Campaign, collected, equivalents, tracked
from tests.mutate.entered import Entered, function_at
from tests.mutate.faults import faults

SOURCE = '''
"""A docstring with 1 < 2 and any(x)."""

LIMIT = 1 << 20


def f(x: "int | None" = None, é: bool = True) -> int:
    """if 3 < 4: nothing."""
    if not x and é < 7:  # 1 < 2
        return max(x, 2) // 3
    if x is not None:
        fail(ValueError, f"{x} < 3")
    y = f"  %a = icmp slt i64 {x + 1}, 2"
    return -x if y == "add" else x
'''

FOUND = [
    "True -> False", "not  -> ", "and -> or", "< -> <=", "7 -> 8", "max -> min", "2 -> 3", "// -> *", "3 -> 4", "is not -> is",
    "slt -> sle", "+ -> -", "1 -> 2", "- -> +", "== -> !=", '"add" -> \'set\'',
]  # fmt: skip


def test_faults_of_a_source() -> None:
    found = faults("f.py", SOURCE)
    assert sorted(f"{x.before} -> {x.after}" for x in found) == sorted(FOUND)
    for fault in found:
        changed = fault.apply(SOURCE)
        assert changed != SOURCE and len(changed.splitlines()) == len(SOURCE.splitlines())
        assert fault.text == SOURCE.splitlines()[fault.line - 1].strip()


def test_every_file_of_the_house_has_tests_that_notice() -> None:
    files = tracked()
    sources = [f for f in files if f.endswith(".py") and any(fnmatch(f, p) for p in targets.DEFAULT)]
    assert len(sources) > 40 and all((Path(__file__).parents[1] / f).exists() for f in sources)
    assert [f for f in sources if not targets.tests_of(f, files)] == []


def test_equivalents_name_lines_that_are_there() -> None:
    for key, reason in equivalents().items():
        path, text, change = key.split(" | ", 1)[0], key.split(" | ", 1)[1].rsplit(" | ", 1)[0], key.rsplit(" | ", 1)[1]
        assert reason.strip() and " -> " in change
        assert text in (Path(__file__).parents[1] / path).read_text(), f"{path} has no line {text!r} any more: drop the entry"


@pytest.mark.parametrize("noticed", [True, False])
def test_a_fault_that_is_noticed_and_one_that_is_not(noticed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "tests/test_fold.py": "from fold import f\ndef test_f(): assert f(3) == 4\n" if noticed else "def test_nothing(): assert True\n",
        "fold.py": "def f(x): return x + 1\n",
        "pyproject.toml": "[tool.pytest.ini_options]\npythonpath = ['.']\n",
    }
    root = tmp_path / "root"
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    monkeypatch.setattr("tests.mutate.__main__.ROOT", root)
    monkeypatch.setattr("tests.mutate.__main__.tracked", lambda: list(files))
    monkeypatch.setattr("tests.mutate.__main__.tests_of", lambda path, everything: ["tests/test_fold.py"])
    campaign = Campaign(1, tmp_path / "trees")
    fault = next(x for x in faults("fold.py", files["fold.py"]) if x.before == "+")
    assert campaign.survives(fault) is not noticed
    assert (tmp_path / "trees/tree0/fold.py").read_text() == files["fold.py"]


def test_where_no_test_can_run_nothing_is_called_killed(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="cannot be collected"):
        collected(tmp_path)


NESTED = """
class A:
    def f(self):
        return any(x > 0
                   for x in self)

    def g(self):
        def inner():
            return lambda x: (
                x + 1)
        return inner

TABLE = (
    lambda x: x - 1,
)
"""


@pytest.mark.parametrize(
    ("line", "name"),
    [(4, "A.f"), (5, "A.f"), (10, "A.g.<locals>.inner.<locals>.<lambda>"), (11, "A.g"), (2, ""), (13, ""), (14, "<lambda>:14")],
)
def test_the_function_around_a_line(line: int, name: str) -> None:
    assert function_at(NESTED, line) == name


def test_tests_that_enter_a_function_come_cheapest_first(tmp_path: Path) -> None:
    rows = [
        ("tests/test_a.py::test_slow", True, 5.0), ("tests/test_a.py::test_each[1]", True, 0.2),
        ("tests/test_a.py::test_each[2]", True, 0.1),
        ("tests/test_b.py::test_far", True, 0.01), ("tests/test_a.py::test_fails", False, 0.01), ("tests/test_a.py::test_gone", True, 0.01),
        ("tests/test_a.py::test_too_slow", True, 90.0),
    ]  # fmt: skip
    place = tmp_path / "map.jsonl"
    place.write_text("\n".join(json.dumps({"test": t, "passed": p, "seconds": s, "functions": ["f.py A.f"]}) for t, p, s in rows))
    entered = Entered(place, [t for t, _, _ in rows if "gone" not in t])
    (fault,) = [x for x in faults("f.py", NESTED) if x.line == 4 and x.before == ">"]
    names = [t.partition("::test_")[2] for t in entered.chosen(fault, NESTED, ["tests/test_a.py"])]
    assert names == ["each[2]", "slow", "each[1]", "far"]
    assert entered.time(["tests/test_a.py"]) == pytest.approx(95.3) and entered.time(["tests/test_b.py::test_far", "tests/no.py"]) == 0.01
    (other,) = [x for x in faults("f.py", NESTED) if x.line == 10 and x.before == "+"]
    assert entered.chosen(other, NESTED, []) == []
    assert entered.of_row('Rule("2", exp(x) - 1),', ["tests/test_a.py"]) == ["tests/test_a.py::test_each[2]"]
    assert entered.of_row('f("3")', ["tests/test_a.py"]) == entered.of_row('f("2")', ["tests/test_b.py"]) == []


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring is new in 3.12")
def test_the_map_of_a_run(tmp_path: Path) -> None:
    place = tmp_path / "map.jsonl"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-o",
        "addopts=",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "tests.mutate.trace",
        "--map",
        str(place),
    ]
    chosen = ["tests/test_dims.py", "-k", "test_printing"]
    subprocess.run([*command, *chosen], cwd=Path(__file__).parents[1], check=True, capture_output=True, stdin=subprocess.DEVNULL)
    rows = [json.loads(line) for line in place.read_text().splitlines()]
    assert rows and all(row["passed"] and row["seconds"] > 0 for row in rows)
    assert any("graphc/dims/algebra.py" in name for row in rows for name in row["functions"])
