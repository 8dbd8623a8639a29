"""The tests of the native entry on every CPython of this machine: python -m tests.interpreters [--only 3.10 3.13] [--oldest]

Finds python3.10 to python3.14 on the PATH and below pyenv's directory, makes a virtual environment for each, installs what graphc needs
to run and to be tested, and runs the tests of the entry, threads and state there. `--oldest` takes the oldest llvmlite and NumPy that
graphc supports (pyproject.toml) and adds the tests of kernels and texts. Exit status 0 if all pass on all that were found.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
VERSIONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
ENTRY = ("test_entry.py", "test_entry_reentry.py", "test_entry_threads.py", "test_spare.py", "test_threads.py", "test_state.py")
TEXTS = ("test_kernels.py", "test_contract_kernels.py", "test_text.py")


NEWEST_OF_OLDEST = "3.12"  # NumPy 2.0 has builds up to it


@dataclass(frozen=True)
class Result:
    version: str
    fine: bool
    summary: str


def interpreters() -> dict[str, Path]:
    """The command of each version that can be started: {"3.10": path, ..}."""
    found: dict[str, Path] = {}
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for version in VERSIONS:
        places = [*pyenv.glob(f"{version}.*/bin/python{version}")]
        if on_path := shutil.which(f"python{version}"):
            places.append(Path(on_path))
        for place in sorted(places, reverse=True):
            asked = subprocess.run([place, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True, text=True)
            if asked.returncode == 0 and asked.stdout.strip() == version:
                found[version] = place
                break
    return found


def requirements(oldest: bool) -> list[str]:
    """What to install: the dependencies and the extra `test` of pyproject.toml; with `oldest` each >= is ==."""
    text = (ROOT / "pyproject.toml").read_text()  # by pattern: the parser of such files came with Python 3.11
    needed = re.findall(r'"([^"]+)"', re.search(r"^dependencies = \[(.*?)\]", text, re.M | re.S)[1])  # type: ignore[index]
    tests = re.findall(r'"([^"]+)"', re.search(r"^test = \[(.*?)\]", text, re.M | re.S)[1])  # type: ignore[index]
    return [n.replace(">=", "==") + (".*" if ">=" in n else "") if oldest else n for n in needed] + tests


def tested(version: str, python: Path, oldest: bool) -> Result:
    """Run the tests with this interpreter in an environment of its own."""
    with tempfile.TemporaryDirectory(prefix="graphc-interpreter-") as place:
        own = Path(place) / "venv"
        steps = (
            ("no virtual environment", [python, "-m", "venv", own]),
            ("not installed", [own / "bin" / "python", "-m", "pip", "install", "-q", "--only-binary", ":all:", *requirements(oldest)]),
        )
        for failure, command in steps:
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                return Result(version, False, f"{failure}: {(done.stderr or done.stdout).strip().splitlines()[-1]}")
        files = [f"tests/{name}" for name in ENTRY + (TEXTS if oldest else ())]
        command = [own / "bin" / "python", "-m", "pytest", "-p", "no:cacheprovider", "-o", "addopts=", *files]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        lines = done.stdout.strip().splitlines() or ["nothing said"]
        if done.returncode:
            print(done.stdout)
        return Result(version, done.returncode == 0, lines[-1].strip("= "))


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.interpreters", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", nargs="*", choices=VERSIONS, default=VERSIONS)
    parser.add_argument("--oldest", action="store_true")
    options = parser.parse_args()
    found = interpreters()
    wanted = [v for v in options.only if not options.oldest or VERSIONS.index(v) <= VERSIONS.index(NEWEST_OF_OLDEST)]
    results = []
    for version in wanted:
        if version in found:
            print(f"{version}: {found[version]}", flush=True)
            results.append(tested(version, found[version], options.oldest))
    for version in wanted:
        for r in (r for r in results if r.version == version):
            print(f"{version}  {'passes' if r.fine else 'FAILS'}   {r.summary}")
        if version not in found:
            print(f"{version}  not installed")
    return 0 if results and all(r.fine for r in results) else 1


if __name__ == "__main__":
    sys.exit(main())
