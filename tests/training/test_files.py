"""`save` and `load`: what comes back, bit for bit; files that are damaged, missing, or of another model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import graphc as gx

SUFFIXES = (".npz", ".safetensors")


class Pair(NamedTuple):
    left: Any
    right: Any


@dataclass
class Layer:
    weight: Any
    bias: Any


def tree_of(rng: np.random.Generator) -> dict[str, Any]:
    """Containers of every kind, names that need care, dtypes and sizes of every kind."""
    odd = np.array([np.nan, -np.nan, np.inf, -0.0, 5e-324])
    return {
        "layers": [{"W": rng.standard_normal((3, 4)).T, "b": np.zeros(0, "float32")}, None, ()],
        "pair": (np.int64(3), [odd, rng.integers(0, 255, 5).astype("uint8")]),
        "x": np.float32(1.5), "x.npy": np.array(2), "file": np.array([True, False]), "a.b": 1.0, "a": {"b": 2, 7: np.ones((0, 3))},
        "__tree__": np.arange(3), "f/g": np.ones(1), "é": 1,
    }  # fmt: skip


def same(found: Any, wanted: Any) -> None:
    assert gx.tree.structure(found) == gx.tree.structure(wanted)
    for a, b in zip(gx.tree.leaves(found), map(np.asarray, gx.tree.leaves(wanted)), strict=True):
        assert type(a) is np.ndarray and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@pytest.fixture(params=SUFFIXES)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == ".safetensors":
        pytest.importorskip("safetensors")
    return tmp_path / f"net{request.param}"


def test_comes_back(path: Path) -> None:
    """Structure, dtypes, shapes and bits; twice the same tree is twice the same file; nothing else is left in the folder."""
    tree = tree_of(np.random.default_rng(0))
    gx.save(path, tree)
    same(gx.load(str(path)), tree)
    first = path.read_bytes()
    gx.save(path, tree)
    assert path.read_bytes() == first and [p.name for p in path.parent.iterdir()] == [path.name]
    for small in (np.arange(4.0), {}, [], None, {"a": None}):
        gx.save(path, small)
        same(gx.load(path), small)


def test_named_containers(path: Path) -> None:
    """NamedTuples and dataclasses are dicts of their fields, and themselves with `like`; state is its value."""
    tree = {"pair": Pair(np.ones(2), Layer(np.zeros((2, 2)), np.ones(1)))}
    gx.save(path, gx.shared(tree, "p"))
    same(gx.load(path), {"pair": {"left": np.ones(2), "right": {"weight": np.zeros((2, 2)), "bias": np.ones(1)}}})
    same(gx.load(path, like=tree), tree)
    p = gx.shared(gx.tree.map(np.zeros_like, tree), "p")
    gx.set_values(p, gx.load(path, like=p))
    same(gx.get_values(p), tree)


def test_numpy_reads_it(tmp_path: Path) -> None:
    gx.save(tmp_path / "net.npz", {"layers": [{"W": np.eye(3)}]})
    with np.load(tmp_path / "net.npz") as file:
        assert np.array_equal(file["layers.0.W"], np.eye(3))
    np.savez_compressed(tmp_path / "other.npz", a=np.eye(2), b=np.arange(3))
    same(gx.load(tmp_path / "other.npz"), {"a": np.eye(2), "b": np.arange(3)})


def test_another_model(path: Path) -> None:
    gx.save(path, {"W": np.ones((2, 3)), "b": np.zeros(3)})
    for like, text in (
        ({"W": np.ones((2, 3)), "c": np.zeros(3)}, "has no 'c'; hint: the file holds 'W', 'b'; wanted are 'W', 'c'"),
        ({"W": np.ones((2, 3))}, "it has 'b' besides"),
        ({"W": np.ones((3, 3)), "b": np.zeros(3)}, r"'W' is float64\[2, 3\], where float64\[3, 3\] is wanted"),
        ({"W": np.ones((2, 3)), "b": np.zeros(3, "float32")}, r"'b' is float64\[3\], where float32\[3\] is wanted"),
        (np.ones(3), "has no 'value'"),
    ):
        with pytest.raises(gx.FileError, match=text) as caught:
            gx.load(path, like=like)
        assert repr(str(path)) in str(caught.value)
    gx.load(path, like={"W": gx.tensor("w", ("n", 3)), "b": gx.vector("b", 3)})


def test_damaged(path: Path) -> None:
    """Cut anywhere, or one byte another: a FileError that names the file, or what was saved (where nobody reads the byte)."""
    rng = np.random.default_rng(1)
    tree = {"W": rng.standard_normal((2, 3)), "n": [np.arange(2), np.float32(1)]}
    gx.save(path, tree)
    good = path.read_bytes()
    cuts = [good[:n] for n in rng.integers(0, len(good), 25)]
    at, by = rng.integers(0, len(good), 100), rng.integers(1, 256, 100)
    flips = [good[:n] + bytes([good[n] ^ int(x)]) + good[n + 1 :] for n, x in zip(at, by, strict=True)]
    refused = 0
    for data in [b"", b"not a file of arrays", good + good, *cuts, *flips]:
        path.write_bytes(data)
        try:
            same(gx.load(path), tree)
        except gx.FileError as error:
            refused += 1
            assert repr(str(path)) in str(error)
    assert refused >= 2 + len(cuts)


def test_refused(tmp_path: Path) -> None:
    here = tmp_path / "net.npz"
    for call, kind, text in (
        (lambda: gx.load(here), gx.FileError, "cannot be read: FileNotFoundError"),
        (lambda: gx.save(tmp_path / "none" / "net.npz", {}), gx.FileError, "cannot be written: FileNotFoundError"),
        (lambda: gx.save(tmp_path / "net.pickle", {}), gx.ArgumentError, "suffix '.pickle'; hint: .* .npz or .safetensors"),
        (lambda: gx.save(7, {}), gx.ArgumentError, "7 is not the path of a file"),
        (lambda: gx.save(here, {"a": [1.0, "text"]}), gx.ArgumentError, r"'a.1' is a str, not an array of numbers"),
        (lambda: gx.save(here, {"a": np.array([None])}), gx.ArgumentError, "'a' is a ndarray, not an array of numbers"),
        (lambda: gx.save(here, {"a": gx.scalar("x")}), gx.ArgumentError, "'a' is an expression, which has no value"),
        (lambda: gx.save(here, {("a", 1): 1.0}), gx.ArgumentError, r"the key \('a', 1\) at the root cannot be written"),
        (lambda: gx.save(here, {"a\0b": 1.0}), gx.ArgumentError, "cannot be written"),
    ):
        with pytest.raises(kind, match=text):
            call()
    assert not list(tmp_path.iterdir())


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "net.npz"
    gx.save(here, {"a": np.ones(3)})

    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array", full)
    with pytest.raises(gx.FileError, match="No space left"):
        gx.save(here, {"a": np.zeros(3)})
    monkeypatch.undo()
    same(gx.load(here), {"a": np.ones(3)})
    assert [p.name for p in tmp_path.iterdir()] == ["net.npz"]


def test_nothing_in_a_file_is_run(tmp_path: Path) -> None:
    np.savez(tmp_path / "evil.npz", a=np.array([{"an": "object"}], dtype=object))
    with pytest.raises(gx.FileError, match="allow_pickle"):
        gx.load(tmp_path / "evil.npz")
