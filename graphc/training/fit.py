"""`fit`: a compiled step over minibatches, epoch by epoch, with validation, early stopping, and checkpoints to go on from."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc import tree
from graphc.errors import ArgumentError, fail
from graphc.training.batches import Data, Order, as_data, whole
from graphc.training.checkpoint import Best, Checkpoint, Run
from graphc.training.epoch import epoch_of
from graphc.training.files import as_path
from graphc.training.layout import described
from graphc.training.progress import Progress, progress_of
from graphc.tree import Tree
from graphc.user.function import Function
from graphc.user.state import Shared, get_values, set_values

LOSS, VALIDATION = "loss", "validation"
Callback = Callable[[dict[str, float]], Any]


@dataclass(frozen=True)
class Fit:
    """What `fit` gives back."""

    history: dict[str, list[float]]
    """For each figure its value after every epoch: loss, validation, or the names that the step and the validation give."""
    epochs: int
    """How many epochs were run, those before a checkpoint included."""
    best_epoch: int | None
    """The epoch, counted from 1, whose state was restored; None without early stopping, or where no epoch had a number to compare."""
    stopped: bool
    """Whether patience ended or a callback asked for it."""


def fit(
    step: Callable[..., Any], data: Any, epochs: int, *, batch_size: int = 32, shuffle: bool = True, seed: int = 0,
    drop_last: bool = False, validation: Any = None, patience: int | None = None, monitor: str | None = None, min_delta: float = 0.0,
    mode: str = "min", callbacks: Sequence[Callback] = (), checkpoint: Any = None, checkpoint_every: int | None = None,
    state: Tree = None, native: bool = False, progress: bool | None = None,
) -> Fit:  # fmt: skip
    """Call `step` on every minibatch of the data, `epochs` times over; return how it went. The state that `step` updates is trained.

    step: a compiled function, or any function of the same arguments. It gives a number, the loss, or a tree of numbers: a dict by name.
    data: arrays of one leading size: one, a tuple of the arguments of `step`, or a dict of them by name. The last minibatch of an epoch
    has the rows that are left, or is left out (drop_last). shuffle: a permutation for each epoch, by Philox of (seed, epoch).

    validation: (f, data), f called on minibatches after each epoch; or a function of no arguments. Its figures are means over rows, as
    those of `step`. patience: stop when `monitor` (of the history: by default validation, else loss) was not better by more than
    min_delta for so many epochs, and restore the whole state of the best epoch. mode: "min" or "max". callbacks: called after each epoch
    with {"epoch": number, figures...}; one that returns True ends the run.

    checkpoint: a .npz file, written after every epoch, and with checkpoint_every=k after every k minibatches: the values of all state
    (random generators, too), how far the run is, history, the best so far. Where it exists the run goes on from it; a run that was
    killed at any moment and goes on, with the same data, ends with the same bits as one that was not. state: a tree of shared variables
    besides those of a compiled `step`, needed with checkpoint or patience where `step` is another function.

    native: an epoch is one native call, see `gx.training.epoch`; the rest of the last minibatch is a call of `step`. progress: a bar of
    tqdm (pip install "graphc[progress]"), a line an epoch without it; None: where stderr is a terminal.

    Raises ArgumentError, ShapeError, what `step` raises, and FileError for a checkpoint that is damaged, of another model or of a run
    with other settings; it is not overwritten then, and no state is changed.

        step = gx.function([x, y], loss, updates=gx.optim.adam(1e-3).updates(loss, p))
        result = gx.fit(step, (images, labels), 20, validation=(loss_of, held_out), patience=3, checkpoint="net.npz")
    """
    if native is True and not isinstance(step, Function):
        fail(ArgumentError, "fit: native=True takes a compiled step", hint="gx.function([x, y], loss, updates=...)")
    source = as_data("fit: data", data)
    order = _order(source.rows, batch_size, shuffle, seed, drop_last)
    trained = _state(step, state)
    watch = _watch(patience, monitor, min_delta, mode, validation is not None)
    if not trained and (watch is not None or checkpoint is not None):
        fail(ArgumentError, "fit: there is no state to restore", hint="a compiled step with updates, or state=tree of shared variables")
    kept = _checkpoint(checkpoint, checkpoint_every, native, trained, order)
    loop = _Loop(
        step, source, order, _validation(validation, order.batch), trained, watch, tuple(callbacks), kept, checkpoint_every, native
    )
    return loop.run(whole("fit: epochs", epochs, 0), progress)


@dataclass(frozen=True)
class _Watch:
    """Early stopping: what is compared, and for how long it may get no better."""

    patience: int
    monitor: str
    min_delta: float
    mode: str

    def better(self, value: float, best: Best | None) -> bool:
        """Whether a figure is better than the best one; nan never is."""
        sign = 1.0 if self.mode == "min" else -1.0
        return not math.isnan(value) and (best is None or sign * value < sign * best.value - self.min_delta)


@dataclass(frozen=True)
class _Loop:
    step: Callable[..., Any]
    data: Data
    order: Order
    validation: Callable[[], dict[str, float]] | None
    state: list[Shared]
    watch: _Watch | None
    callbacks: tuple[Callback, ...]
    checkpoint: Checkpoint | None
    every: int | None
    native: bool

    def run(self, epochs: int, progress: bool | None) -> Fit:
        """All epochs that are not done yet."""
        run = Run()
        found = None if self.checkpoint is None else self.checkpoint.read()
        if found is not None:
            run, values = found
            set_values(self.state, values)
        whole_epoch = self._native() if self.native else None
        done = run.epoch * self.order.turns + run.turn
        looking = progress_of(progress, epochs, self.order.turns, done)
        try:
            while run.epoch < epochs and not run.stopped:
                if whole_epoch is None:
                    self._minibatches(run, looking)
                else:
                    whole_epoch(run)
                    looking.turns(self.order.turns)
                self._finish(run, looking)
        finally:
            looking.close()
        if run.best is not None:
            set_values(self.state, run.best.state)
        return Fit(run.history, run.epoch, None if run.best is None else run.best.epoch, run.stopped)

    def _minibatches(self, run: Run, looking: Progress) -> None:
        """The minibatches of an epoch that are not done yet."""
        for rows in self.order.batches(run.epoch, run.turn):
            count = (rows.stop - rows.start) if isinstance(rows, slice) else len(rows)
            _add(run, figures("fit: step", LOSS, self.data.call(self.step, rows)), count)
            run.turn += 1
            looking.turns(1)
            if self.checkpoint is not None and self.every and run.turn % self.every == 0 and run.turn < self.order.turns:
                self.checkpoint.write(run)

    def _native(self) -> Callable[[Run], None]:
        """An epoch as one call: (run) -> None."""
        batch, rows = self.order.batch, self.order.rows
        full = rows // batch
        assert isinstance(self.step, Function)
        compiled = epoch_of(self.step, batch) if full else self.step

        def whole_epoch(run: Run) -> None:
            order = self.order.of(run.epoch)
            if full:
                listed = order[: full * batch].reshape(full, batch)
                arguments = self.data.arguments
                rows_of = compiled(**arguments, order=listed) if isinstance(arguments, dict) else compiled(*arguments, listed)
                means = tree.map(lambda a: np.mean(np.asarray(a, np.float64), axis=0), rows_of)
                _add(run, figures("fit: step", LOSS, means), full * batch)
            if full < self.order.turns:
                _add(run, figures("fit: step", LOSS, self.data.call(self.step, order[full * batch :])), rows - full * batch)

        return whole_epoch

    def _finish(self, run: Run, looking: Progress) -> None:
        """What follows the last minibatch of an epoch: figures, early stopping, callbacks, the checkpoint."""
        record = {key: total / run.rows for key, total in run.sums.items()}
        if self.validation is not None:
            record |= self.validation()
        run.epoch, run.turn, run.sums, run.rows = run.epoch + 1, 0, {}, 0
        for key, value in record.items():
            run.history.setdefault(key, []).append(value)
        if self.watch is not None:
            self._compare(run, record, self.watch)
        looking.epoch(run.epoch, record)
        asked = [callback({"epoch": run.epoch, **record}) for callback in self.callbacks]
        run.stopped = run.stopped or any(answer is True for answer in asked)
        if self.checkpoint is not None:
            self.checkpoint.write(run)

    def _compare(self, run: Run, record: dict[str, float], watch: _Watch) -> None:
        if watch.monitor not in record:
            fail(ArgumentError, f"fit: there is no figure {watch.monitor!r} to monitor", hint="there are " + ", ".join(map(repr, record)))
        if watch.better(record[watch.monitor], run.best):
            run.best = Best(record[watch.monitor], run.epoch, get_values(self.state))
        run.stopped = run.epoch - (0 if run.best is None else run.best.epoch) >= watch.patience


def _add(run: Run, record: Mapping[str, float], rows: int) -> None:
    for key, value in record.items():
        run.sums[key] = run.sums.get(key, 0.0) + value * rows
    run.rows += rows


def figures(what: str, name: str, value: Any) -> dict[str, float]:
    """A number as {name: number}, a tree of numbers by their paths, `head.loss`; ArgumentError for what is no number."""
    if type(value) is np.ndarray and not value.ndim and value.dtype.kind in "fiub":  # what a compiled step gives: the quick way
        return {name: float(value)}
    found = {}
    alone = not tree.is_container(value)
    for path, leaf in described(what, value)[1].items():
        array = np.asarray(leaf)
        if array.size != 1 or array.dtype.kind not in "fiub":
            where = "" if alone else f" at {path!r}"
            fail(ArgumentError, f"{what}: the result{where} is no number", hint="a mean over the minibatch, or a dict of such")
        found[name if alone else path] = float(array.reshape(())[()])
    return found


# -- what may be given ------------------------------------------------------------------------------------------------
def _order(rows: int, batch_size: Any, shuffle: Any, seed: Any, drop_last: Any) -> Order:
    for name, value in (("shuffle", shuffle), ("drop_last", drop_last)):
        if not isinstance(value, bool):
            fail(ArgumentError, f"fit: {name}={value!r:.60}", hint="True or False")
    batch = whole("fit: batch_size", batch_size, 1)
    number = whole("fit: seed", seed, 0)
    if number >= 1 << 64:
        fail(ArgumentError, f"fit: seed={number}", hint="a number below 2**64")
    if drop_last and rows < batch:
        fail(ArgumentError, f"fit: {rows} rows are less than a minibatch of {batch}, and drop_last leaves nothing")
    return Order(rows, batch, shuffle, number, drop_last)


def _state(step: Any, state: Tree) -> list[Shared]:
    """Everything that a run changes, in the order in which it was made."""
    if not callable(step):
        fail(ArgumentError, f"fit: step is {step!r:.60}", hint="gx.function([x, y], loss, updates=...)")
    found: dict[int, Shared] = {s.serial: s for s in (step._replaced if isinstance(step, Function) else [])}
    for s, path in zip(tree.leaves(state), tree.paths(state)):
        if not isinstance(s, Shared):
            fail(ArgumentError, f"fit: state{path} is a {type(s).__name__}, not a shared variable")
        found[s.serial] = s
    return [found[serial] for serial in sorted(found)]


def _watch(patience: Any, monitor: Any, min_delta: Any, mode: Any, validated: bool) -> _Watch | None:
    if mode not in ("min", "max"):
        fail(ArgumentError, f"fit: mode={mode!r:.60}", hint="'min' or 'max'")
    if isinstance(min_delta, bool) or not isinstance(min_delta, (int, float)) or not 0 <= min_delta < math.inf:
        fail(ArgumentError, f"fit: min_delta={min_delta!r:.60}", hint="a number, 0 or more")
    if patience is None:
        if monitor is not None:
            fail(ArgumentError, "fit: monitor goes with patience", hint="patience=5, say")
        return None
    return _Watch(whole("fit: patience", patience, 1), monitor or (VALIDATION if validated else LOSS), float(min_delta), mode)


def _checkpoint(path: Any, every: Any, native: Any, state: list[Shared], order: Order) -> Checkpoint | None:
    if not isinstance(native, bool):
        fail(ArgumentError, f"fit: native={native!r:.60}", hint="True or False")
    if every is not None:
        whole("fit: checkpoint_every", every, 1)
        if path is None or native:
            why = "an epoch is one call" if native else "there is no checkpoint"
            fail(ArgumentError, f"fit: checkpoint_every={every}, but {why}")
    if path is None:
        return None
    settings = {"rows": order.rows, "batch_size": order.batch, "shuffle": order.shuffle, "seed": order.seed, "drop_last": order.drop_last}
    return Checkpoint(as_path("fit: checkpoint", path, (".npz",)), state, {**settings, "native": native})


def _validation(given: Any, batch: int) -> Callable[[], dict[str, float]] | None:
    """() -> figures, whose names begin with "validation"."""
    if given is None:
        return None
    if callable(given):
        call: Callable[[], dict[str, float]] = lambda: figures("fit: validation", "", given())
    else:
        if not isinstance(given, (tuple, list)) or len(given) != 2 or not callable(given[0]):
            fail(ArgumentError, f"fit: validation is {given!r:.60}", hint="(function, data), or a function of no arguments")
        data = as_data("fit: validation data", given[1])
        order = Order(data.rows, batch, False, 0, False)

        def call() -> dict[str, float]:
            run = Run()
            for rows in order.batches(0):
                assert isinstance(rows, slice)
                _add(run, figures("fit: validation", "", data.call(given[0], rows)), rows.stop - rows.start)
            return {key: total / run.rows for key, total in run.sums.items()}

    return lambda: {f"{VALIDATION} {key}".strip(): value for key, value in call().items()}
