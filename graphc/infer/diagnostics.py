"""How far draws of a Markov chain can be trusted: effective sample sizes and R-hat, of arrays.

A. Vehtari, A. Gelman, D. Simpson, B. Carpenter and P.-C. Buerkner, "Rank-normalization, folding, and localization: an improved R-hat"
(Bayesian Analysis, 2021). Chains are split in halves, so a trend within one shows; ranks make the numbers hold for heavy tails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import NormalDist
from typing import Any

import numpy as np

from graphc import tree
from graphc.errors import ArgumentError, ShapeError, fail
from graphc.infer.sampling import Samples
from graphc.ir import Node

LEAST = 4  # draws a chain


def rhat(draws: Any) -> Any:
    """R-hat of draws (chains, draws, ...): how much wider all chains lie than one of them; 1 where they agree, above 1.01 they do not yet.

    The larger of those of ranks and of folded ranks of split chains. draws: an array or a tree of arrays, which gives a tree of arrays of
    the shapes (...); nan where draws are not finite, or are all equal. Raises ArgumentError, ShapeError.

        gx.infer.rhat(samples.positions["mu"])
    """
    return _each("rhat", draws, _rhat)


def ess(draws: Any, kind: str = "bulk") -> Any:
    """The effective sample size of draws (chains, draws, ...): how many independent draws would say as much.

    kind: "bulk", about the middle (of normalised ranks); "tail", the smaller of those of the 5 % and 95 % quantiles; "mean", of the draws
    themselves, about their mean. Autocorrelations are summed by Geyer's initial monotone sequence (1992). The rest as `rhat`.

        gx.infer.ess(samples.positions, "tail")
    """
    kinds: dict[str, Callable[[np.ndarray], float]] = {
        "bulk": lambda x: _ess(_normal_scores(_split(x))),
        "tail": lambda x: min(_ess(_split((x <= np.quantile(x, q)).astype(float))) for q in (0.05, 0.95)),
        "mean": lambda x: _ess(_split(x)),
    }
    if kind not in kinds:
        fail(ArgumentError, f"ess: kind={kind!r:.60}", hint="one of " + ", ".join(map(repr, kinds)))
    return _each("ess", draws, kinds[kind])


def summary(samples: Samples) -> str:
    """A table, a line a number: mean, standard deviation, 5 % and 95 % quantiles, effective sample sizes (bulk, tail), R-hat.

    samples: what a compiled sampler returned, with chains or without.
    """
    if not isinstance(samples, Samples):
        fail(ArgumentError, f"summary: {samples!r:.60} is not what a sampler gives")
    one = np.asarray(_array("summary", samples.step_size)).ndim == 0
    head = ("", "mean", "sd", "5%", "95%", "ess", "ess tail", "rhat")
    rows: list[tuple[str, ...]] = [head]
    for name, x in _columns(samples.positions, one):
        low, high = np.quantile(x, (0.05, 0.95))
        numbers = (x.mean(), x.std(), low, high)
        sizes = (ess(x, "bulk"), ess(x, "tail"))
        rows.append((name, *[f"{v:.4g}" for v in numbers], *[f"{v:.0f}" for v in sizes], f"{rhat(x):.3f}"))
    widths = [max(len(row[k]) for row in rows) for k in range(len(head))]
    lines = ["  ".join([row[0].ljust(widths[0]), *[c.rjust(w) for c, w in zip(row[1:], widths[1:])]]) for row in rows]
    diverged = int(np.sum(samples.diverged))
    lines.append(f"acceptance {np.mean(samples.acceptance):.2f}, divergences {diverged}, step {np.mean(samples.step_size):.3g}")
    return "\n".join(lines)


def _columns(positions: Any, one: bool) -> Iterator[tuple[str, np.ndarray]]:
    """(name, draws of a chain a row) of every number of a tree of positions."""
    for leaf, path in zip(tree.leaves(positions), tree.paths(positions)):
        x = np.asarray(leaf, float)
        x = x[None] if one else x
        for index in np.ndindex(*x.shape[2:]):
            place = ", ".join(map(str, index))
            yield (path or "x") + (f"[{place}]" if index else ""), x[(slice(None), slice(None), *index)]


def _array(what: str, value: Any) -> np.ndarray:
    if isinstance(value, Node):
        fail(ArgumentError, f"{what}: these are nodes, not draws", value, hint="compile the sampler with gx.function and call it")
    return np.asarray(value)


def _each(what: str, draws: Any, f: Callable[[np.ndarray], float]) -> Any:
    def of(leaf: Any) -> Any:
        x = _array(what, leaf)
        if x.ndim < 2 or x.shape[1] < LEAST:
            hint = f"(chains, draws, ...) with {LEAST} draws or more; of one chain x[None]"
            fail(ShapeError, f"{what}: draws of shape {x.shape}", hint=hint)
        flat = x.reshape(*x.shape[:2], -1).astype(float)
        found = [f(flat[:, :, k]) if np.isfinite(flat[:, :, k]).all() else np.nan for k in range(flat.shape[2])]
        return np.array(found).reshape(x.shape[2:])[()]

    return tree.map(of, draws)


def _split(x: np.ndarray) -> np.ndarray:
    """Each chain as two."""
    half = x.shape[1] // 2
    return np.concatenate([x[:, :half], x[:, x.shape[1] - half :]])


def _normal_scores(x: np.ndarray) -> np.ndarray:
    """The normal quantiles of the ranks of all draws; equal draws share their mean rank."""
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    quantile = NormalDist().inv_cdf
    scores = np.array([quantile((r - 0.375) / (x.size + 0.25)) for r in ranks.tolist()])
    return scores[inverse].reshape(x.shape)


def _rhat(x: np.ndarray) -> float:
    halves = _split(x)
    folded = np.abs(halves - np.median(halves))
    return max(_width_ratio(_normal_scores(v)) for v in (halves, folded))


def _width_ratio(x: np.ndarray) -> float:
    n = x.shape[1]
    within, between = x.var(axis=1, ddof=1).mean(), n * x.mean(axis=1).var(ddof=1)
    return float(np.sqrt(((n - 1) / n * within + between / n) / within)) if within > 0 else np.nan


def _autocovariance(x: np.ndarray) -> np.ndarray:
    """Of each chain, at all lags, by a Fourier transform; divided by the number of draws at every lag."""
    n = x.shape[1]
    centred = x - x.mean(axis=1, keepdims=True)
    spectrum = np.fft.rfft(centred, 2 * n, axis=1)
    return np.asarray(np.fft.irfft(np.abs(spectrum) ** 2, 2 * n, axis=1)[:, :n] / n)


def _ess(x: np.ndarray) -> float:
    m, n = x.shape
    covariance = _autocovariance(x)
    within = covariance[:, 0].mean() * n / (n - 1)
    total = within * (n - 1) / n + x.mean(axis=1).var(ddof=1)
    if not total > 0:
        return float(np.nan)
    rho = 1 - (within - covariance.mean(axis=0)) / total
    rho[0] = 1.0
    pairs = rho[: n - n % 2].reshape(-1, 2).sum(axis=1)  # sums of two lags are positive and fall, but for noise
    positive = len(pairs) if (pairs > 0).all() else int(np.argmin(pairs > 0))
    kept = np.minimum.accumulate(pairs[:positive])
    tau = max(2 * kept.sum() - 1, 1 / np.log10(m * n))  # draws that repel each other count as more, up to a bound
    return float(m * n / tau)


__all__ = ["ess", "rhat", "summary"]
