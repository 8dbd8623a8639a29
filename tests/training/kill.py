"""Kill a training process at random moments until it has come to its end, and compare with one that nobody killed: every bit.

python -m tests.training.kill 20            twenty runs, each killed again and again
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import graphc as gx
from tests.training.trainee import run


def killed(folder: Path, seed: int, kills: int) -> int:
    """How many of so many processes were killed at work, each at a random moment after its checkpoint was seen to change."""
    rng = np.random.default_rng(seed)
    checkpoint = folder / "run.npz"
    arguments = [sys.executable, "-m", "tests.training.trainee", str(checkpoint), str(folder / "result.npz"), "0.02"]
    done = 0
    for _ in range(kills):
        process = subprocess.Popen(arguments, cwd=Path(__file__).parents[2])
        _wait_for_news(checkpoint, process)
        time.sleep(float(rng.uniform(0, 0.1)))
        process.send_signal(signal.SIGKILL)
        done += process.wait() == -signal.SIGKILL
    return done


def _wait_for_news(checkpoint: Path, process: subprocess.Popen[bytes]) -> None:
    """Until the process has written its checkpoint, or is done."""
    before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else None
    while process.poll() is None and (not checkpoint.exists() or checkpoint.stat().st_mtime_ns == before):
        time.sleep(0.002)


if __name__ == "__main__":
    wanted = run(None)
    for seed in range(int(sys.argv[1])):
        with tempfile.TemporaryDirectory() as folder:
            count = killed(Path(folder), seed, 3)
            found = run(f"{folder}/run.npz")
        pairs = zip(gx.tree.leaves(found), gx.tree.leaves(wanted), strict=True)
        print(f"run {seed}: {count} processes killed, {'equal' if all(a.tobytes() == b.tobytes() for a, b in pairs) else 'DIFFERENT'}")
