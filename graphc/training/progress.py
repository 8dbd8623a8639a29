"""How a long run shows that it is alive: a bar of tqdm where that is installed, a line an epoch where it is not."""

from __future__ import annotations

import sys
from typing import Any, Protocol

from graphc.errors import ArgumentError, fail


class Progress(Protocol):
    """What `fit` tells whoever looks on."""

    def turns(self, count: int) -> None:
        """So many more minibatches are done."""

    def epoch(self, number: int, record: dict[str, float]) -> None:
        """An epoch is done."""

    def close(self) -> None:
        """The run is over."""


class Silent:
    """Nobody looks on."""

    def turns(self, count: int) -> None: ...

    def epoch(self, number: int, record: dict[str, float]) -> None: ...

    def close(self) -> None: ...


class Lines:
    """`epoch 3/20  loss 0.1234  validation 0.2345`, a line each, to stderr."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def turns(self, count: int) -> None: ...

    def epoch(self, number: int, record: dict[str, float]) -> None:
        print(f"epoch {number}/{self.epochs}  {shown(record)}", file=sys.stderr, flush=True)

    def close(self) -> None: ...


class Bar:
    """tqdm's bar over all minibatches of the run, with the figures of the last epoch behind it."""

    def __init__(self, bar: Any) -> None:
        self.bar = bar

    def turns(self, count: int) -> None:
        self.bar.update(count)

    def epoch(self, number: int, record: dict[str, float]) -> None:
        self.bar.set_postfix_str(f"epoch {number}  {shown(record)}")

    def close(self) -> None:
        self.bar.close()


def shown(record: dict[str, float]) -> str:
    """`loss 0.1234  validation 0.2345`."""
    return "  ".join(f"{key} {value:.4g}" for key, value in record.items())


def progress_of(wanted: Any, epochs: int, turns: int, done: int) -> Progress:
    """wanted: True, False, or None: where stderr is a terminal. `done` of all minibatches, `turns` an epoch, belong to an earlier run."""
    if not (wanted is None or isinstance(wanted, bool)):
        fail(ArgumentError, f"fit: progress={wanted!r:.60}", hint="True, False, or None: where stderr is a terminal")
    if wanted is False or (wanted is None and not (sys.stderr is not None and sys.stderr.isatty())):
        return Silent()
    try:
        import tqdm  # an extra, pip install "graphc[progress]": `import graphc` does without it
    except ImportError:
        return Lines(epochs)
    return Bar(tqdm.tqdm(total=epochs * turns, initial=done, unit="step"))
