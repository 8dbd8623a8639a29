"""`fit`: against a loop by hand, early stopping, native epochs, and runs that go on from a checkpoint with the same bits."""

from __future__ import annotations

import builtins
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from tests.training.kill import killed
from tests.training.trainee import EPOCHS, ROWS, built, run

MADE = STEP, STATE, DATA, START = built()


def again() -> Any:
    """The step, compiled once, with its state as it began."""
    gx.set_values(STATE, START)
    return STEP


def same(found: Any, wanted: Any) -> None:
    for a, b in zip(gx.tree.leaves(found), gx.tree.leaves(wanted), strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def by_hand(epochs: int, batch: int, shuffle: bool = True, seed: int = 0, drop: bool = False) -> tuple[Any, list[float]]:
    step, losses = again(), []
    for epoch in range(epochs):
        order = np.random.Generator(np.random.Philox(key=np.array([seed, epoch], np.uint64))).permutation(ROWS)
        order = order if shuffle else np.arange(ROWS)
        parts = [order[k : k + batch] for k in range(0, ROWS, batch)]
        parts = [p for p in parts if len(p) == batch or not drop]
        losses.append(sum(float(step(*(a[p] for a in DATA))) * len(p) for p in parts) / sum(map(len, parts)))
    return gx.get_values(STATE), losses


def test_equals_a_loop_by_hand() -> None:
    """Whole and odd last minibatches, with and without shuffling; arguments by position and by name."""
    for batch, shuffle, seed, drop in ((8, True, 0, False), (8, True, 7, True), (10, False, 0, False), (64, True, 1, False)):
        wanted, losses = by_hand(3, batch, shuffle, seed, drop)
        for data in (DATA, {"x": DATA[0], "y": DATA[1]}):
            fitted = gx.fit(again(), data, 3, batch_size=batch, shuffle=shuffle, seed=seed, drop_last=drop)
            assert fitted.history == {"loss": losses} and fitted.epochs == 3 and not fitted.stopped
            same(gx.get_values(STATE), wanted)


def test_any_function_and_figures() -> None:
    """A step of Python that gives a dict; validation as a function, and of data; callbacks see the record and end the run."""
    calls: list[int] = []

    def step(x: np.ndarray) -> dict[str, Any]:
        calls.append(len(x))
        return {"loss": x.mean(), "size": {"most": x.max()}}

    x, seen = np.arange(10.0), []
    fitted = gx.fit(
        step, x, 5, batch_size=4, validation=(lambda z: z.mean(), np.arange(7.0)), callbacks=[seen.append, lambda r: r["epoch"] == 2]
    )  # fmt: skip
    assert calls == [4, 4, 2] * 2 and fitted.epochs == 2 and fitted.stopped
    assert fitted.history["loss"] == pytest.approx([4.5, 4.5]) and fitted.history["validation"] == pytest.approx([3.0, 3.0])
    assert set(fitted.history) == {"loss", "size.most", "validation"}
    assert [r["epoch"] for r in seen] == [1, 2] and seen[0]["loss"] == pytest.approx(4.5)
    assert gx.fit(lambda x: None, x, 1, validation=lambda: {"a": 1, "b": 2}).history == {"validation a": [1.0], "validation b": [2.0]}
    assert gx.fit(step, x, 0).history == {}
    nested = lambda parts, z: float(parts["a"].sum() + parts["b"][0].sum() - z.sum())
    assert gx.fit(nested, ({"a": x, "b": [x]}, 2 * x), 1, batch_size=3).history == {"loss": [0.0]}
    assert gx.fit(lambda parts: parts["a"].mean(), ({"a": x},), 1, batch_size=5).history == {"loss": [4.5]}


@pytest.mark.parametrize("mode", ["min", "max"])
def test_early_stopping_restores_the_best(mode: str) -> None:
    """Figures that are known: the best of them, the epoch at which patience ends, the state of the best epoch; nan is never better."""
    figures = [5.0, np.nan, 3.0, 2.9, 3.5, 2.5, 2.6, 2.7, 9.0, 1.0]
    scores = [f if mode == "min" else -f for f in figures]
    p, x = gx.shared(np.array(0.0), "p"), gx.vector("x", "n")
    step = gx.function([x], gx.mean(x), updates={p: p + 1})
    watched = lambda: scores[int(p.get_value()) - 1]
    for patience, min_delta, best, epochs in (
        (3, 0.0, 6, 9),
        (2, 0.0, 6, 8),
        (1, 0.0, 1, 2),
        (3, 0.2, 6, 9),
        (2, 1.0, 3, 5),
        (20, 0.0, 10, 10),
    ):
        p.set_value(0.0)
        fitted = gx.fit(step, np.ones(3), 10, validation=watched, patience=patience, min_delta=min_delta, mode=mode)
        assert (fitted.best_epoch, fitted.epochs, float(p.get_value())) == (best, epochs, best)
        assert fitted.stopped == (epochs < 10)
    p.set_value(0.0)
    assert gx.fit(step, np.ones(3), 10, validation=lambda: np.nan, patience=4).epochs == 4 and float(p.get_value()) == 4


def test_native_epoch() -> None:
    """One call an epoch: the state and the figures of the loop, to rounding; the odd rest goes through the step."""
    for batch, drop in ((8, False), (8, True), (64, False)):
        wanted, losses = by_hand(3, batch, drop=drop)
        fitted = gx.fit(again(), DATA, 3, batch_size=batch, drop_last=drop, native=True)
        np.testing.assert_allclose(fitted.history["loss"], losses, rtol=1e-12)
        for a, b in zip(gx.get_values(STATE), wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-14)
    epoch = gx.training.epoch(again())
    order = np.arange(48).reshape(-1, 6)
    losses = epoch(x=DATA[0], y=DATA[1], order=order)
    again()
    assert losses.shape == (8,)
    np.testing.assert_allclose(losses, [STEP(*(a[rows] for a in DATA)) for rows in order], rtol=1e-12)
    with pytest.raises(gx.IndexOutOfRange):
        epoch(*DATA, order=np.array([[0, 50]]))


# -- checkpoints ------------------------------------------------------------------------------------------------------
def test_goes_on(tmp_path: Path) -> None:
    """A run that ends early goes on where it was, in the middle of an epoch as well, also native; a finished one does nothing."""
    for native in (False, True):
        wanted = run(None, native=native, made=MADE)
        path = str(tmp_path / f"{native}.npz")
        assert len(run(path, epochs=5, native=native, made=MADE)["history"]) == 5
        same(run(path, native=native, made=MADE), wanted)
    same(run(path, native=True, made=MADE), wanted)

    class Stop(Exception):
        pass

    wanted, calls = run(None, made=MADE), 0

    def step(x: np.ndarray, y: np.ndarray) -> Any:
        nonlocal calls
        calls += 1
        if calls == 7 * 4 + 5:  # the 5th minibatch of the 5th epoch
            raise Stop
        return STEP(x, y)

    again()
    how: dict[str, Any] = {
        "batch_size": 8, "seed": 5, "checkpoint": tmp_path / "middle.npz", "checkpoint_every": 3, "patience": 50, "state": STATE,
    }  # fmt: skip
    with pytest.raises(Stop):
        gx.fit(step, DATA, EPOCHS, **how)
    again()
    fitted = gx.fit(step, DATA, EPOCHS, **how)
    same([gx.get_values(STATE), fitted.history["loss"]], [wanted["state"], list(wanted["history"])])
    assert calls == 7 * EPOCHS + 2  # the interrupted one, and the 4th of the epoch, which no checkpoint had seen


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="a signal that nobody can catch")
def test_killed(tmp_path: Path) -> None:
    """SIGKILL at a random moment: who goes on ends with the same bits. `python -m tests.training.kill 50` does this at length."""
    assert killed(tmp_path, seed=0, kills=1) == 1
    same(run(str(tmp_path / "run.npz"), made=MADE), run(None, made=MADE))
    assert [p.name for p in tmp_path.iterdir() if not p.name.endswith(".part")] == ["run.npz"]


def test_checkpoints_that_do_not_fit(tmp_path: Path) -> None:
    """Damaged, of another model, of another run, not a checkpoint: an error with the path; the file and the state stay."""
    path = tmp_path / "run.npz"
    gx.fit(again(), DATA, 1, checkpoint=path)
    good = path.read_bytes()
    w = gx.shared(np.zeros(2), "w")
    other = gx.function([gx.tensor("x", ("n", 4)), gx.tensor("y", ("n",))], None, updates={w: w + 1})
    rows = tuple(a[:40] for a in DATA)
    for step, data, how, content, text in (
        (STEP, DATA, {}, good[:-7], "cannot be read: ValueError: its check sum is wrong"),
        (STEP, DATA, {}, good[:900] + b"\0\1\2" + good[903:], "cannot be read"),
        (STEP, DATA, {}, b"", "cannot be read"),
        (other, DATA, {}, good, r"is of another model: rng: uint64\[2\] there and w: float64\[2\] here"),
        (STEP, DATA, {"state": w}, good, "of another model: 5 shared variables there and 6 here"),
        (STEP, DATA, {"seed": 1}, good, "of another run: seed=0 there and 1 here"),
        (STEP, DATA, {"batch_size": 5}, good, "batch_size=32 there and 5 here"),
        (STEP, rows, {}, good, "rows=50 there and 40 here"),
    ):
        path.write_bytes(content)
        again()
        with pytest.raises(gx.FileError, match=text) as caught:
            gx.fit(step, data, 3, checkpoint=path, **how)
        assert repr(str(path)) in str(caught.value) and path.read_bytes() == content
        same(gx.get_values(STATE), START)
    gx.save(path, {"W": np.ones(2)})
    with pytest.raises(gx.FileError, match="is no checkpoint: KeyError"):
        gx.fit(again(), DATA, 3, checkpoint=path)


# -- progress, and what is refused ------------------------------------------------------------------------------------
def test_progress(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing where nobody looks; a line an epoch without tqdm; a bar with it."""
    step = lambda x: x.mean()
    gx.fit(step, np.ones(10), 2, batch_size=5)
    assert capsys.readouterr() == ("", "")
    find = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "tqdm":
            raise ImportError(name)
        return find(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    gx.fit(step, np.ones(10), 2, batch_size=5, progress=True)
    assert capsys.readouterr().err == "epoch 1/2  loss 1\nepoch 2/2  loss 1\n"
    monkeypatch.undo()
    pytest.importorskip("tqdm")
    gx.fit(step, np.ones(10), 2, batch_size=5, progress=True)
    assert "4/4" in (shown := capsys.readouterr().err) and "epoch 2  loss 1" in shown


def test_refused(tmp_path: Path) -> None:
    x = np.ones(6)
    step = lambda x: x.mean()
    cases: list[tuple[Any, type[Exception], str]] = [
        (lambda: gx.fit(step, (x, np.ones(5)), 1), gx.ShapeError, r"\[1\] has 5 rows, \[0\] has 6"),
        (lambda: gx.fit(step, {"a": x, "b": [x, 3.0]}, 1), gx.ArgumentError, r"\['b'\]\[1\] is no array of rows"),
        (lambda: gx.fit(step, np.ones(0), 1), gx.ArgumentError, "there are no rows"),
        (lambda: gx.fit(step, x, -1), gx.ArgumentError, "epochs is -1"),
        (lambda: gx.fit(step, x, 1, batch_size=0), gx.ArgumentError, "batch_size is 0"),
        (lambda: gx.fit(step, x, 1, seed=-1), gx.ArgumentError, "seed is -1"),
        (lambda: gx.fit(step, x, 1, batch_size=8, drop_last=True), gx.ArgumentError, "6 rows are less than a minibatch of 8"),
        (lambda: gx.fit(7, x, 1), gx.ArgumentError, "step is 7"),
        (lambda: gx.fit(step, x, 1, patience=1), gx.ArgumentError, "there is no state to restore"),
        (lambda: gx.fit(step, x, 1, checkpoint=tmp_path / "a.npz"), gx.ArgumentError, "there is no state"),
        (lambda: gx.fit(STEP, DATA, 1, checkpoint="a.pt"), gx.ArgumentError, "suffix '.pt'"),
        (lambda: gx.fit(STEP, DATA, 1, patience=1, monitor="accuracy"), gx.ArgumentError, "no figure 'accuracy' to monitor; .* 'loss'"),
        (lambda: gx.fit(STEP, DATA, 1, monitor="loss"), gx.ArgumentError, "monitor goes with patience"),
        (lambda: gx.fit(STEP, DATA, 1, patience=1, mode="low"), gx.ArgumentError, "mode='low'"),
        (lambda: gx.fit(STEP, DATA, 1, checkpoint_every=2), gx.ArgumentError, "there is no checkpoint"),
        (lambda: gx.fit(step, x, 1, native=True), gx.ArgumentError, "native=True takes a compiled step"),
        (lambda: gx.fit(step, x, 1, state=[x]), gx.ArgumentError, r"state\[0\] is a ndarray"),
        (lambda: gx.fit(step, x, 1, validation=3), gx.ArgumentError, "validation is 3"),
        (lambda: gx.fit(step, x, 1, progress="bar"), gx.ArgumentError, "progress='bar'"),
        (lambda: gx.fit(lambda x: x, x, 1), gx.ArgumentError, "the result is no number"),
        (lambda: gx.fit(lambda x: {"a": {"b": x}}, x, 1), gx.ArgumentError, "the result at 'a.b' is no number"),
        (lambda: gx.training.epoch(step), gx.ArgumentError, "is no compiled function"),
        (lambda: gx.training.epoch(gx.function([gx.scalar("a")], None)), gx.ArgumentError, "has no updates"),
    ]  # fmt: skip
    for call, kind, text in cases:
        with pytest.raises(kind, match=text):
            call()
