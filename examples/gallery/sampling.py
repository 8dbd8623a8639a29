"""Sampling: what the data say of a model's parameters, drawn by Markov chains that are one native call each.

    python examples/gallery/sampling.py

Logistic regression of the O-rings: how sure can one be of distress at 31 F? Four samplers answer, and so does a sum over a grid.
Eight schools: the effects of coaching in eight schools, each measured badly, borrow strength from each other. Written plainly the model
has a funnel that no step size fits; with the effects as multiples of their spread it has none.
"""

from __future__ import annotations

import time

import data
import numpy as np
import stage

import graphc as gx

EFFECTS = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])  # D. B. Rubin, Estimation in parallel randomized experiments (1981)
ERRORS = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])


def orings(q: gx.Node) -> gx.Node:
    """The log-density of intercept at 70 F and slope for 10 F, given 23 launches; normal priors of standard deviation 5."""
    flights = data.table("orings")
    logits = q[0] + q[1] * (flights["fahrenheit"] - 70) / 10
    return gx.sum((flights["distressed"] > 0) * logits - gx.softplus(logits)) + gx.sum(gx.stats.norm.logpdf(q, 0.0, 5.0))


def schools(q: dict[str, gx.Node], centred: bool) -> gx.Node:
    """The log-density of mean and spread of all effects, and of the effects: themselves if `centred`, else their standard scores."""
    tau = gx.exp(q["log_tau"])
    effects = q["effects"] if centred else q["mu"] + tau * q["effects"]
    prior = gx.stats.norm.logpdf(q["effects"], q["mu"], tau) if centred else gx.stats.norm.logpdf(q["effects"])
    top = gx.stats.norm.logpdf(q["mu"], 0.0, 5.0) + gx.stats.halfcauchy.logpdf(tau, 0.0, 5.0) + q["log_tau"]
    return top + gx.sum(prior) + gx.sum(gx.stats.norm.logpdf(EFFECTS, effects, ERRORS))


def on_a_grid(count: int) -> float:
    """The probability of distress at 31 F by summing over intercepts and slopes."""
    q = gx.tensor("q", (2,))
    density = gx.function([q], orings(q))
    a, b = np.linspace(-6, 4, count), np.linspace(-10, 4, count)
    logs = np.array([[float(density([u, v])) for v in b] for u in a])
    weight = np.exp(logs - logs.max())
    cold = 1 / (1 + np.exp(-(a[:, None] + b * (31 - 70) / 10)))
    return float((weight * cold).sum() / weight.sum())


def main(short: bool = False) -> dict[str, float]:
    """Draw from both posteriors; compare samplers with a grid, and the two ways to write the schools."""
    draws, key = 500 if short else 4000, gx.scalar("key", "uint64")
    exact = on_a_grid(60 if short else 200)
    found = {"distress at 31 F": exact}
    print(f"O-rings: P(distress at 31 F) = {exact:.4f} by a grid")
    methods = (gx.infer.langevin,) if short else (gx.infer.metropolis, gx.infer.langevin, gx.infer.hmc, gx.infer.nuts)
    for method in methods:
        sampler = gx.function([key], method(orings, np.zeros(2), key, draws, 500, chains=4, dense=True))
        begin = time.perf_counter()
        samples = sampler(1)
        seconds = time.perf_counter() - begin
        cold = 1 / (1 + np.exp(-(samples.positions[..., 0] + samples.positions[..., 1] * (31 - 70) / 10)))
        size = float(gx.infer.ess(cold, "mean"))
        print(f"    {method.__name__:10} {cold.mean():.4f}, worth {size:6.0f} independent draws, {size / seconds:9.0f} a second")
        assert abs(cold.mean() - exact) < 5 * cold.std() / np.sqrt(size)
        found[method.__name__] = float(cold.mean())
    for centred in (True, False):
        start = {"mu": 0.0, "log_tau": 1.0, "effects": np.zeros(8)}
        sampler = gx.function([key], gx.infer.nuts(lambda q, c=centred: schools(q, c), start, key, draws, 1000, chains=4))
        samples = sampler(2)
        name = "centred" if centred else "by scores"
        found[f"divergences, {name}"] = float(samples.diverged.sum())
        mixed = gx.infer.rhat(samples.positions["log_tau"])
        print(f"eight schools, {name}: {int(samples.diverged.sum())} divergences, R-hat of log tau {mixed:.3f}")
    print(gx.infer.summary(samples))
    tau = np.exp(samples.positions["log_tau"])
    effects = samples.positions["mu"][..., None] + tau[..., None] * samples.positions["effects"]
    found["first school"], found["mean effect"] = float(effects[..., 0].mean()), float(samples.positions["mu"].mean())
    print(f"the first school's effect: measured {EFFECTS[0]:.0f}, believed {found['first school']:.1f}")
    assert found["divergences, by scores"] < found["divergences, centred"] and 3 < found["first school"] < 10
    return found


if __name__ == "__main__":
    stage.run(main)
