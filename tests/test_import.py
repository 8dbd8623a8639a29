"""`import graphc` is light: no LLVM, no networkx, no compiler."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = ("llvmlite", "networkx", "passes", "codegen", "scipy", "mpmath", "pytest")
LATER = ("cache", "infer", "nn", "optim", "random", "stats", "training")  # namespaces that are loaded when they are asked for


def fresh(code: str, at: Path = ROOT, **environment: str) -> str:
    """What `code` prints in a new process that sees only this checkout, or what else lies `at` where it is started."""
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | environment
    done = subprocess.run([sys.executable, "-c", code], cwd=at, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_loads_nothing_heavy() -> None:
    loaded = fresh(f"import sys, graphc; print([m for m in {HEAVY} if m in sys.modules])")
    assert loaded == "[]"


def test_import_loads_what_every_program_needs() -> None:
    """And not what some do: that, and the time it takes, comes with the first use."""
    more = [f"graphc.{name}" for name in (*LATER, "program", "user.audit", "user.cost")] + ["hashlib", "pathlib", "statistics"]
    assert fresh(f"import sys, numpy; old = set(sys.modules); import graphc; print((set(sys.modules) - old) & set({more}))") == "set()"


@pytest.mark.parametrize("use", ["import graphc as gx; gx.{0}", "from graphc import {0}", "import graphc.{0}", "from graphc import *; {0}"])
def test_what_is_loaded_later_is_found(use: str) -> None:
    """By whatever way, in the listing before it is loaded, and as the one module that there is."""
    for name in LATER if "as gx" in use else ("nn", "training"):
        code = f"import graphc, sys; assert {name!r} in dir(graphc) and 'graphc.{name}' not in sys.modules; {use.format(name)}"
        assert fresh(f"{code}; print(graphc.{name} is sys.modules['graphc.{name}'] and {name!r} in vars(graphc))") == "True", name


def test_functions_that_are_loaded_later() -> None:
    code = "import pickle, graphc as gx; a = gx.load; from graphc.training import saving; from graphc import fit, save"
    assert fresh(f"{code}; print(a is saving.load, save is saving.save, pickle.loads(pickle.dumps(gx.fit)) is fit)") == "True True True"


def test_threads_that_ask_at_the_same_time() -> None:
    code = """
import sys, threading, graphc as gx
sys.setswitchinterval(1e-6)
start, seen = threading.Barrier(8), []
def ask(k):
    start.wait()
    seen.append([gx.stats.norm if k % 2 else gx.nn.gelu, gx.training.fit, gx.fit])
threads = [threading.Thread(target=ask, args=(k,)) for k in range(8)]
[t.start() for t in threads], [t.join() for t in threads]
print(len(seen), len({id(x) for row in seen for x in row}))
"""
    assert fresh(code) == "8 3"


def test_names_that_are_not_there() -> None:
    import graphc

    with pytest.raises(AttributeError, match="module 'graphc' has no attribute 'stat'"):
        graphc.stat  # type: ignore[attr-defined]  # noqa: B018
    assert not hasattr(graphc, "importlib")


def test_building_and_evaluating_load_nothing_heavy() -> None:
    code = "import sys, graphc as gx; x = gx.tensor('x', (3,)); y = gx.tanh(x) + 1; print(repr(y), y.eval({x: [0.0, 0.0, 0.0]}))"
    loaded = fresh(f"{code}; print([m for m in {HEAVY} if m in sys.modules])")
    assert loaded.splitlines() == ["<add(tanh, broadcast): f64[3]> [1. 1. 1.]", "[]"]


def test_public_names_exist() -> None:
    import graphc

    assert [name for name in graphc.__all__ if not hasattr(graphc, name)] == []
    assert len(set(graphc.__all__)) == len(graphc.__all__)


def test_public_names_are_what_a_user_sees() -> None:
    import graphc

    seen = [name for name in dir(graphc) if not name.startswith("__")]
    assert seen == sorted(graphc.__all__)
    scope: dict[str, object] = {}
    exec("from graphc import *", scope)
    assert scope.keys() - {"__builtins__"} == set(graphc.__all__)


def test_help_mentions_what_exists() -> None:
    import graphc

    text = graphc.__doc__ or ""
    listed = text.split("Declare")[1].split("help(")[0]
    names = set(re.findall(r"gx\.([a-z_]+)", text)) | set(re.findall(r"\b[a-z_]{4,}(?=[,;])", listed))
    outside = {"explain"}  # of compiled functions
    assert [name for name in sorted(names - outside) if not hasattr(graphc, name) and not hasattr(graphc.Function, name)] == []
    code = "\n".join(line[4:] for line in text.splitlines() if line.startswith("    "))
    scope: dict[str, object] = {}
    exec(code, scope)
    assert len(names) > 20 and "compiled" in repr(scope["step"])


def test_version() -> None:
    """One source: the number in graphc/__init__.py; what is installed was made from it."""
    import graphc

    assert re.fullmatch(r"\d+\.\d+\.\d+", graphc.__version__)
    project = (ROOT / "pyproject.toml").read_text()
    assert 'version = { attr = "graphc.__version__" }' in project and graphc.__version__ not in project


# -- a user's own packages may be called passes and codegen -------------------------------------------------------------
COMPILES = """
import graphc as gx, numpy as np
x = gx.tensor("x", ("n", 3))
f = gx.function([x], gx.grad(gx.sum(gx.log(1 + gx.exp(x @ x.T))), x), threads=1)
assert abs(f(np.eye(3)) - 1.4621171572600098 * np.eye(3) - 0.5 * (1 - np.eye(3)) * 2).max() < 1e-12, f(np.eye(3))
assert gx.jit(gx.tanh)(0.0) == 0 and f.loops and f.explain()
"""
USERS = """
import passes, codegen, passes.pipeline
assert passes.OWNER == codegen.OWNER == passes.pipeline.OWNER == "the user", passes.__path__
"""


def make_users_packages(folder: Path) -> None:
    for name in ("passes", "codegen"):
        (folder / name).mkdir(parents=True)
        for module in ("__init__", "pipeline", "jit", "target", "compile"):
            (folder / name / f"{module}.py").write_text("OWNER = 'the user'\n")


@pytest.mark.parametrize("order", [COMPILES + USERS, USERS + COMPILES], ids=["ours first", "theirs first"])
@pytest.mark.parametrize("place", ["installed", "working directory"])
def test_a_bare_checkout_beside_a_users_packages(order: str, place: str, tmp_path: Path) -> None:
    make_users_packages(tmp_path)
    paths = [str(ROOT), str(tmp_path)] if place == "installed" else [str(ROOT)]
    start = tmp_path if place == "working directory" else tmp_path / "passes"
    assert fresh(order, at=start, PYTHONPATH=os.pathsep.join(paths)) == ""


def test_a_wheel_holds_one_name_and_works_beside_a_users_packages(tmp_path: Path) -> None:
    """What is built from a copy of this checkout, unpacked where packages are installed: real files, no links, nothing beside `graphc`."""
    source, target = tmp_path / "source", tmp_path / "site"
    kept = shutil.ignore_patterns("__pycache__", ".git", "build", "*.egg-info", "results", "tests", "examples", ".*_cache")
    shutil.copytree(ROOT, source, symlinks=True, ignore=kept)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), "."]
    try:
        new_enough = int(importlib.metadata.version("setuptools").split(".")[0]) >= 77  # as pyproject.toml asks
    except importlib.metadata.PackageNotFoundError:
        new_enough = False
    if not new_enough:
        command.remove("--no-build-isolation")  # then pip fetches one
    built = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=120)
    if built.returncode and "No module named pip" in built.stderr:
        pytest.skip("this environment has no pip")
    assert built.returncode == 0, built.stderr
    import graphc

    (wheel,) = tmp_path.glob(f"graphc-{graphc.__version__}-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(target)
    assert {name.split("/")[0] for name in names} == {"graphc", f"graphc-{graphc.__version__}.dist-info"}
    files = [p.relative_to(ROOT) for folder in ("passes", "codegen") for p in (ROOT / folder).rglob("*.py")]
    ours = {str(Path("graphc", p)) for p in files} | {str(p.relative_to(ROOT)) for p in (ROOT / "graphc").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == ours and "graphc/py.typed" in names
    make_users_packages(tmp_path / "theirs")
    paths = os.pathsep.join([str(target), str(tmp_path / "theirs")])
    where = f"import graphc; assert graphc.__file__.startswith({str(target)!r}), graphc.__file__\n"
    assert fresh(USERS + where + COMPILES, at=tmp_path / "theirs", PYTHONPATH=paths) == ""
