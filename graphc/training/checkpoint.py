"""Checkpoints: everything that a run of `fit` needs to go on as if it had never stopped, in one file that is whole at any moment."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from graphc.errors import FileError, fail
from graphc.training.files import faults
from graphc.training.saving import load, save
from graphc.user.state import Shared, get_values

FORMAT = 1


@dataclass
class Best:
    """The best epoch so far: what was watched there, and the values of the state at its end."""

    value: float
    epoch: int
    state: list[np.ndarray] = field(default_factory=list)


@dataclass
class Run:
    """How far a run is."""

    epoch: int = 0
    """Epochs that are done."""
    turn: int = 0
    """Minibatches that are done of the next one."""
    sums: dict[str, float] = field(default_factory=dict)
    """What these gave, times their rows, added up."""
    rows: int = 0
    history: dict[str, list[float]] = field(default_factory=dict)
    best: Best | None = None
    stopped: bool = False


@dataclass(frozen=True)
class Checkpoint:
    """A file, the state that goes into it, and the settings that a run must share to go on from it."""

    path: Path
    state: Sequence[Shared]
    settings: dict[str, Any]

    def write(self, run: Run) -> None:
        """Put the run and the state into the file, in one step. Raises FileError; the file is then what it was."""
        about: dict[str, Any] = {"format": FORMAT, "settings": self.settings, "model": describe(self.state), "run": asdict(run)}
        best = [] if run.best is None else run.best.state
        if run.best is not None:
            about["run"]["best"]["state"] = []
        content = {"about": np.frombuffer(json.dumps(about).encode(), np.uint8), "state": get_values(list(self.state)), "best": best}
        save(self.path, content)

    def read(self) -> tuple[Run, list[np.ndarray]] | None:
        """(the run, the values of the state); None where there is no file yet.

        FileError where the file is damaged, of another model, or of a run with other settings; neither it nor the state is touched.
        """
        if not self.path.exists():
            return None
        content = load(self.path)
        with faults("fit", self.path, "is no checkpoint"):
            about = json.loads(content["about"].tobytes())
            if about["format"] != FORMAT:
                raise ValueError(f"format {about['format']}, where {FORMAT} is known")
            self._same("model", about["model"], describe(self.state))
            self._same("run", about["settings"], self.settings)
            run = Run(**about["run"])
            if run.best is not None:
                run.best = Best(**{**about["run"]["best"], "state": list(content["best"])})
            values = list(content["state"])
            if len(values) != len(self.state):
                raise ValueError(f"{len(values)} arrays for {len(self.state)} variables")
        return run, values

    def _same(self, what: str, there: Any, here: Any) -> None:
        """FileError for the first thing that differs."""
        if there == here:
            return
        if isinstance(there, dict):
            differ = [
                f"{key}={there.get(key)!r} there and {here.get(key)!r} here" for key in {**there, **here} if there.get(key) != here.get(key)
            ]
        else:
            differ = [f"{a} there and {b} here" for a, b in zip(there, here) if a != b]
            differ = differ or [f"{len(there)} shared variables there and {len(here)} here"]
        hint = "give this run a file of its own, or remove the old one"
        fail(FileError, f"fit: the checkpoint {str(self.path)!r} is of another {what}: {differ[0]}", hint=hint)


def describe(state: Sequence[Shared]) -> list[str]:
    """Name, dtype and declared shape of every variable, in the order in which they were made."""
    return [f"{s.name}: {s.dtype}[{', '.join(map(str, s.shape))}]" for s in state]
