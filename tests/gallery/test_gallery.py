"""The gallery as a whole: its table names every program, every program is tested, each keeps to a page; and the data are what they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.gallery.kit import GALLERY, PROGRAMS, program

ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (GALLERY / "README.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| system ")
]


def linked(row: list[str]) -> list[Path]:
    """The files that the column `program` of a row links to, relative to the gallery."""
    return [Path(target) for target in re.findall(r"\]\(([^)]+)\)", row[2])]


def test_the_table_names_every_program_and_no_other() -> None:
    wrong = [row for row in ROWS if len(row) != 5 or not all(row)]
    assert not wrong
    files = {path for row in ROWS for path in linked(row)}
    assert {path.stem for path in files if path.parent == Path()} == set(PROGRAMS)
    assert all((GALLERY / path).exists() for path in files)


def test_every_function_that_the_table_names_is_there() -> None:
    for row in ROWS:
        source = "".join((GALLERY / path).read_text() for path in linked(row))
        assert all(f"def {name}(" in source for name in re.findall(r"`(\w+)`", row[2])), row


def test_every_program_is_run_by_a_test() -> None:
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert [name for name in PROGRAMS if f'("{name}")' not in tests] == []


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_is_a_page(name: str) -> None:
    text = (GALLERY / f"{name}.py").read_text()
    assert 40 <= text.count("\n") <= 160
    assert f"python examples/gallery/{name}.py" in text and "assert " in text and "    stage.run(main)\n" in text


def test_a_program_runs_from_the_command_line() -> None:
    """As its docstring says, in a process and a folder of its own."""
    command = [sys.executable, str(GALLERY / "gates.py"), "--short"]
    environment = {**os.environ, "PYTHONPATH": str(GALLERY.parents[1])}
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", env=environment)
    assert done.returncode == 0, done.stderr
    assert "8 good of 16" in done.stdout


def test_pictures_are_written_and_what_they_need_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    stage = program("stage")
    with stage.picture(str(tmp_path / "line.png")) as ax:
        ax.plot([0, 1])
    assert (tmp_path / "line.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(SystemExit, match=re.escape("graphc[examples]")), stage.picture(str(tmp_path / "none.png")):
        pass


# -- data -------------------------------------------------------------------------------------------------------------------
def test_the_tables_are_those_of_the_literature() -> None:
    """Their sizes, and the means and lines through them that textbooks print."""
    data = program("data")
    geyser, cars, plant, rings = (data.table(name) for name in ("geyser", "stopping", "stackloss", "orings"))
    assert [len(next(iter(t.values()))) for t in (geyser, cars, plant, rings)] == [272, 50, 21, 23]
    line = lambda y, *x: np.linalg.lstsq(np.stack([np.ones_like(y), *x], 1), y, rcond=None)[0]
    np.testing.assert_allclose(line(geyser["minutes"], geyser["wait"]), [-1.874016, 0.075628], atol=5e-7)
    np.testing.assert_allclose(line(cars["distance"], cars["speed"]), [-17.5791, 3.9324], atol=5e-5)
    inputs = (plant["air_flow"], plant["water_temperature"], plant["acid"])
    np.testing.assert_allclose(line(plant["loss"], *inputs), [-39.9197, 0.7156, 1.2953, -0.1521], atol=5e-5)
    assert rings["distressed"].sum() == 9 and rings["fahrenheit"].mean() == pytest.approx(1600 / 23)
    flowers, species = data.iris()
    means = [[5.006, 3.428, 1.462, 0.246], [5.936, 2.770, 4.260, 1.326], [6.588, 2.974, 5.552, 2.026]]
    np.testing.assert_allclose([flowers[species == k].mean(0) for k in range(3)], means, rtol=1e-12)
    assert len(data.text()) > 10_000
