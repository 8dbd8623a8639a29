"""Pickles of nodes, sizes, state and compiled functions: the same here, equal elsewhere, and state that stays shared."""

from __future__ import annotations

import multiprocessing
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc import pickling
from graphc.ir import Node, toposort
from graphc.text import write

ROOT = Path(__file__).parent.parent


def again(value: Any, protocol: int = pickle.DEFAULT_PROTOCOL) -> Any:
    return pickle.loads(pickle.dumps(value, protocol))


def model() -> dict[str, Any]:
    """A bit of everything that nodes may hold."""
    x, w = gx.tensor("x", ("n", None)), gx.vector("w", 3)
    y = gx.tanh(x[:, :3] * w) + gx.asarray(np.arange(3.0)) * 0.5 + gx.arange(x.shape[0] // 2 + 1)[0]
    c, ys = gx.scan(lambda c, row: (c * w + row, gx.cond(c[0] > 0, lambda: c, lambda: -c)), w, y)
    return {"x": x, "w": w, "y": y, "scan": (c, ys), "grad": gx.grad(gx.sum(c) + gx.sum(ys), w), "n": x.shape[0] * 2 + 1}


# -- graphs ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_nodes_and_sizes_come_back_as_themselves(protocol: int) -> None:
    made = model()
    read = again(made, protocol)
    for a, b in zip(gx.tree.leaves(made), gx.tree.leaves(read)):
        assert a is b if isinstance(a, Node) else a == b
    assert again(gx.dim("n"), protocol) is gx.dim("n") or again(gx.dim("n")) == gx.dim("n")
    open_size = made["x"].shape[1]
    assert again(open_size) is open_size or again(open_size) == open_size
    assert again(open_size % 3 + gx.dim("m") // open_size) == open_size % 3 + gx.dim("m") // open_size


def test_lines_are_kept() -> None:
    x = gx.vector("x", 3)
    y = gx.sin(x) + 1
    site, text = y.site, pickle.dumps(y)
    del y
    assert pickle.loads(text).site == site


def test_a_tree_of_nodes_costs_what_its_graph_costs() -> None:
    x = gx.vector("x", 3)
    parts = [x]
    for k in range(300):
        parts.append(gx.sin(parts[-1]) + k)
    alone = len(pickle.dumps(parts[-1]))
    assert len(pickle.dumps(parts)) < 3 * alone
    assert len(pickle.dumps(x)) < 1000  # not what an earlier pickle has written with it
    assert all(a is b for a, b in zip(parts, again(parts)))
    assert not pickling._PLACES


def test_deep_graphs_do_not_recurse() -> None:
    x = y = gx.scalar("x")
    for _ in range(20_000):
        y = gx.sin(y) * 0.5
    assert again(y) is y
    assert len(toposort([again([y, x])[0]])) == len(toposort([y]))


def test_variables_of_another_process_are_not_taken_for_ours(tmp_path: Path) -> None:
    """A process that makes as many variables as this one gives them the same numbers."""
    code = f"""
import pickle, sys
import graphc as gx
x, y = gx.tensor("x", (None, 3)), gx.tensor("y", (None, 3))
pickle.dump([x, y, gx.sin(x) * y], open({str(tmp_path / "p")!r}, "wb"))
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
    data = (tmp_path / "p").read_bytes()
    mine = [gx.tensor("x", (None, 3)) for _ in range(5)]
    x, y, z = pickle.loads(data)
    assert x is not y and all(x is not m and y is not m for m in mine) and z is gx.sin(x) * y
    assert x.shape[0] is not y.shape[0] and pickle.loads(data)[0] is x
    assert again([x, z])[0] is x
    np.testing.assert_allclose(z.eval({x: np.ones((2, 3)), y: np.full((2, 3), 2.0)}), 2 * np.sin(np.ones((2, 3))))


def test_what_does_not_fit_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    x = gx.vector("x", 3)
    data = pickle.dumps(gx.sin(x))
    monkeypatch.setattr(pickling, "FORMAT", 2)
    with pytest.raises(gx.ArgumentError, match=r"format 1, graphc .* reads format 2"):
        pickle.loads(data)
    monkeypatch.undo()
    with pytest.raises(gx.ArgumentError, match="has no op 'sinus'"):
        pickling._read_stretch(1, "0.0", [("sinus", (), (), (), None)], [])
    with pytest.raises(gx.ArgumentError, match=r"has slice with parameters starts, sizes, steps, not starts"):
        pickling._read_stretch(1, "0.0", [("slice", ("starts",), ((),), (), None)], [])


def test_functions_of_python_go_by_name() -> None:
    y = gx.callback(np.sort, lambda x: x)(gx.vector("x", 3))
    assert again(y) is y
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(gx.callback(lambda x: x, lambda x: x)(gx.vector("x", 3)))


# -- state and functions ----------------------------------------------------------------------------------------------------
def counter() -> tuple[gx.Shared, Any]:
    s, x = gx.shared(np.zeros(3), "s"), gx.vector("x", 3)
    return s, gx.function([x], s * 2 + x, updates={s: s + x}, name="count", defaults={x: np.ones(3)})


def test_a_function_takes_its_state_along() -> None:
    s, f = counter()
    f()
    g, t = again((f, s))
    assert repr(g) == repr(f) and t is not s and isinstance(t, gx.Shared) and t.name == "s"
    np.testing.assert_array_equal(t.get_value(), np.ones(3))
    np.testing.assert_array_equal(g(np.full(3, 5.0)), np.full(3, 7.0))
    np.testing.assert_array_equal(t.get_value(), np.full(3, 6.0))  # shared with what was pickled beside it
    np.testing.assert_array_equal(s.get_value(), np.ones(3))


@pytest.mark.parametrize("mode", ["default", "none", "interpret"])
def test_functions_of_all_kinds(mode: str) -> None:
    x, n = gx.tensor("x", ("n", 2)), gx.dim("n")
    f = gx.function({"a": {"x": x, "size": n}}, {"sum": gx.sum(x, 0), "n": x * n}, mode=mode, threads=1, casting="same_kind")
    g, given = again(f), {"x": np.arange(6.0).reshape(3, 2), "size": 3}
    for a, b in zip(gx.tree.leaves(f(given)), gx.tree.leaves(g(given))):
        np.testing.assert_array_equal(a, b)
    assert (g.mode, g.threads, g.casting) == (mode, 1, "same_kind")


def work(f: Any, x: np.ndarray) -> Any:
    return f(x), pickle.dumps(f)


@pytest.mark.parametrize("method", [m for m in ("spawn", "forkserver") if m in multiprocessing.get_all_start_methods()])
def test_workers(method: str) -> None:
    s, f = counter()
    with multiprocessing.get_context(method).Pool(1) as pool:
        first, back = pool.apply(work, (f, np.ones(3)))
    np.testing.assert_array_equal(first, np.ones(3))
    np.testing.assert_array_equal(s.get_value(), np.zeros(3))
    np.testing.assert_array_equal(pickle.loads(back)(np.zeros(3)), np.full(3, 2.0))  # with the state that the worker left


def test_the_text_of_what_comes_back_is_the_same() -> None:
    made = model()
    assert write([made["grad"]]) == write([again(made["grad"])])
