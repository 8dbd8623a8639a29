"""python -m benchmarks.sampling: effective draws a second of the no-U-turn sampler, graphc beside BlackJAX, one thread, in turns.

Both run four chains in turn: a warm-up of 1000 draws in windows like those of Stan, a diagonal metric, acceptance .8, then 1000 draws.
A line a model: of the worst parameter, the effective sample size (of means, one estimate for both) by seconds, without compilation.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"}

import blackjax
import jax
import jax.numpy as jnp
import numpy as np

import graphc as gx

CHAINS, WARMUP, DRAWS, ROUNDS = 4, 1000, 1000, 5
Model = tuple[Callable[[Any], Any], Any]
SCHOOLS = np.array([28.0, 8, -3, 7, -1, 1, 18, 12]), np.array([15.0, 10, 16, 11, 9, 11, 10, 18])  # D. B. Rubin (1981)


def schools(xp: Any) -> Model:
    """Eight schools, effects as multiples of their standard deviation."""
    effects, errors = SCHOOLS

    def density(q: Any) -> Any:
        away = (effects - q["mu"] - xp.exp(q["log_tau"]) * q["standard"]) / errors
        prior = -0.5 * (q["mu"] / 5) ** 2 - xp.log1p(xp.exp(2 * q["log_tau"]) / 25) + q["log_tau"]
        return prior - 0.5 * xp.sum(q["standard"] ** 2) - 0.5 * xp.sum(away**2)

    return density, {"mu": np.zeros(()), "log_tau": np.zeros(()), "standard": np.zeros(8)}


def logistic(xp: Any) -> Model:
    """500 observations of 20 variables."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((500, 20))
    y = (0.5 * x @ rng.standard_normal(20) + rng.logistic(size=500) > 0).astype(float)

    def density(q: Any) -> Any:
        logits = x @ q["w"] + q["b"]
        return xp.sum(y * logits - xp.logaddexp(0.0, logits)) - 0.5 * xp.sum(q["w"] ** 2) - 0.5 * q["b"] ** 2

    return density, {"w": np.zeros(20), "b": np.zeros(())}


def gaussian(xp: Any) -> Model:
    """100 correlated normal numbers."""
    a = np.random.default_rng(1).standard_normal((100, 100))
    precision = np.linalg.inv(a @ a.T / 100 + 0.1 * np.eye(100))
    return (lambda q: -0.5 * (q @ (precision @ q))), np.zeros(100)


def graphc_sampler(model: Callable[[Any], Model]) -> Callable[[int], Any]:
    density, start = model(gx)
    key = gx.scalar("key", "uint64")
    f = gx.function([key], gx.infer.nuts(density, start, key, DRAWS, WARMUP, chains=CHAINS).positions)
    return lambda seed: f(np.uint64(seed))


def blackjax_sampler(model: Callable[[Any], Model]) -> Callable[[int], Any]:
    density, start = model(jnp)
    adaptation = blackjax.window_adaptation(blackjax.nuts, density, target_acceptance_rate=0.8)

    def chain(key: Any) -> Any:
        place, warm, draw = jax.random.split(key, 3)
        position = jax.tree.map(lambda x: x + jax.random.uniform(place, x.shape, minval=-1.0), start)
        (state, parameters), _ = adaptation.run(warm, position, num_steps=WARMUP)
        step = blackjax.nuts(density, **parameters).step
        _, positions = jax.lax.scan(lambda s, k: (lambda new: (new, new.position))(step(k, s)[0]), state, jax.random.split(draw, DRAWS))
        return positions

    run = jax.jit(lambda key: jax.lax.map(chain, jax.random.split(key, CHAINS)))
    return lambda seed: jax.tree.map(np.asarray, run(jax.random.PRNGKey(seed)))


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    gx.set_num_threads(1)
    for model in (schools, logistic, gaussian):
        peers: dict[str, Callable[[int], Any]] = {}
        for name, made in (("graphc", graphc_sampler), ("BlackJAX", blackjax_sampler)):
            begin = time.perf_counter()
            peers[name] = made(model)
            peers[name](0)
            print(f"{model.__name__:10} {name:10} compiled and called once in {time.perf_counter() - begin:.2f} s", flush=True)
        rates: dict[str, list[float]] = {name: [] for name in peers}
        for seed in range(1, ROUNDS + 1):
            for name, peer in peers.items():
                begin = time.perf_counter()
                draws = peer(seed)
                seconds = time.perf_counter() - begin
                rates[name].append(min(float(np.min(e)) for e in gx.tree.leaves(gx.infer.ess(draws, "mean"))) / seconds)
        ours, theirs = (float(np.median(rates[name])) for name in peers)
        print(
            f"{model.__name__:10} effective draws a second: graphc {ours:.0f}, BlackJAX {theirs:.0f}, ratio {ours / theirs:.1f}", flush=True
        )


if __name__ == "__main__":
    main()
