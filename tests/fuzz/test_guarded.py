"""No kernel reads outside its operands: run beside forbidden pages, in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs mprotect as Linux has it")
@pytest.mark.parametrize("beyond", [False, True])
def test_nothing_is_read_beside_an_argument(beyond: bool) -> None:
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.fuzz.guarded", "--seeds", "20", *["--beyond"] * beyond]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if beyond:
        assert done.returncode == -signal.SIGSEGV
    else:
        assert (done.returncode, done.stdout) == (0, "fine\n"), done.stderr[-3000:]
