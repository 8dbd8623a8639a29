"""Deep Q-learning: values of moves learnt from experience, by targets that no gradient flows through.

    python examples/gallery/q_learning.py

A walker on a grid with walls earns 1 at the goal; every move costs 0.02. Q(s, a) should be the reward and gamma times the largest Q of the
next state (RN 22.8.3, Mnih et al. 2015). `table`: with one number a pair and all pairs at once, a step is value iteration. `network`: a net
of the walker's coordinates learns from moves drawn at random: simulator, draws, target net and Adam are one native loop. `stop_gradient`
is what makes it Q-learning: without it the target would move to meet the estimate.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import stage

import graphc as gx

WORLD = ("....#..G", ".##.#.#.", ".#....#.", ".#.####.", "........")
HEIGHT, WIDTH = len(WORLD), len(WORLD[0])
FREE = np.array([[c != "#" for c in row] for row in WORLD])
GOAL = int(np.argmax([c == "G" for c in "".join(WORLD)]))
MOVES = np.array([[-1, 0], [1, 0], [0, -1], [0, 1]])
GAMMA, COST = 0.95, 0.02


def move(state: gx.Node, action: gx.Node) -> tuple[gx.Node, gx.Node, gx.Node]:
    """The simulator: the next state, the reward, and whether the walk is over, for arrays of states and moves; walls stop the walker."""
    row = gx.clip(state // WIDTH + gx.asarray(MOVES[:, 0])[action], 0, HEIGHT - 1)
    column = gx.clip(state % WIDTH + gx.asarray(MOVES[:, 1])[action], 0, WIDTH - 1)
    there = row * WIDTH + column
    after = gx.where(gx.asarray(FREE.ravel())[there], there, state)
    done = after == GOAL
    return after, gx.where(done, 1.0, 0.0) - COST, done


def target(values: gx.Node, reward: gx.Node, done: gx.Node) -> gx.Node:
    """What Q should have been: the reward, and what the best move from the next state promises. No gradient flows through it."""
    return gx.stop_gradient(reward + GAMMA * gx.where(done, 0.0, gx.max(values, axis=1)))


def table(sweeps: int) -> tuple[np.ndarray, np.ndarray]:
    """Q of every pair after so many gradient steps on half the squared error, rate 1; and by value iteration written in NumPy."""
    n = HEIGHT * WIDTH
    states, actions = np.repeat(np.arange(n), 4), np.tile(np.arange(4), n)
    after, reward, done = move(gx.asarray(states), gx.asarray(actions))

    def sweep(q: gx.Node, _: Any) -> tuple[gx.Node, None]:
        error = q[states, actions] - target(q[after], reward, done)
        return q - gx.grad(0.5 * gx.sum(error**2), q), None

    learnt, there, paid, over = gx.function([], [gx.scan(sweep, gx.zeros((n, 4)), None, sweeps)[0], after, reward, done])()
    q = np.zeros((n, 4))
    for _ in range(sweeps):
        q[states, actions] = paid + GAMMA * np.where(over, 0.0, q[there].max(axis=1))
    return learnt, q


def values(p: Any, state: gx.Node) -> gx.Node:
    """The net: bumps around every column and row of the walker, one hidden layer, a value for each of four moves."""
    row, column = (state // WIDTH).astype("float32"), (state % WIDTH).astype("float32")
    x = gx.concatenate([gx.exp(-((row[:, None] - np.arange(HEIGHT, dtype="float32")) ** 2) * 2),
                        gx.exp(-((column[:, None] - np.arange(WIDTH, dtype="float32")) ** 2) * 2)], axis=1)  # fmt: skip
    return gx.tanh(x @ p["in"]["W"] + p["in"]["b"]) @ p["out"]["W"] + p["out"]["b"]


def network(steps: int, hidden: int, refresh: int = 50, batch: int = 64) -> np.ndarray:
    """Q of every pair by the net: each step draws walkers anywhere and their moves, and every `refresh` steps the target net is renewed."""
    rng = np.random.default_rng(0)
    p0 = gx.like({"in": stage.dense(rng, HEIGHT + WIDTH, hidden), "out": stage.dense(rng, hidden, 4)})
    key, opt, places = gx.random.key(0), gx.optim.adam(3e-3), gx.asarray(np.flatnonzero(FREE))

    def step(k: gx.Node, carry: Any) -> Any:
        p, old, slots = carry
        one, two = gx.random.split(gx.random.fold_in(key, k))
        state = places[gx.random.randint(one, (batch,), 0, int(FREE.sum()))]
        action = gx.random.randint(two, (batch,), 0, 4)
        after, reward, done = move(state, action)
        wanted = target(values(old, after), reward.astype("float32"), done)
        taken = gx.take_along_axis(values(p, state), action[:, None], axis=1)[:, 0]
        p, slots = opt.update(gx.grad(gx.nn.huber(taken, wanted), p), slots, p)
        return p, gx.tree.map(lambda a, b: gx.where(k % refresh == 0, a, b), p, old), slots

    trained = gx.fori_loop(0, steps, step, (p0, p0, opt.init(p0)))[0]
    f = gx.function([p0], values(trained, gx.arange(HEIGHT * WIDTH)))
    return f({"in": stage.dense(rng, HEIGHT + WIDTH, hidden), "out": stage.dense(rng, hidden, 4)})


def walk(q: np.ndarray, state: int) -> int:
    """How many moves the walker takes to the goal by the best values; 99 where it does not arrive."""
    for count in range(99):
        if state == GOAL:
            return count
        place = np.array(divmod(state, WIDTH)) + MOVES[np.argmax(q[state])]
        inside = (place >= 0).all() and (place < [HEIGHT, WIDTH]).all() and FREE[tuple(place)]
        state = int(place[0] * WIDTH + place[1]) if inside else state
    return 99


def main(short: bool = False) -> dict[str, float]:
    """The table against value iteration, then the net: its walks from everywhere beside the shortest ones."""
    learnt, exact = table(60)
    print(f"table: differs from value iteration by {np.abs(learnt - exact).max()}")
    np.testing.assert_allclose(learnt, exact, rtol=1e-14, atol=1e-15)
    starts = [s for s in np.flatnonzero(FREE) if s != GOAL]
    best = np.array([walk(exact, s) for s in starts])
    assert best.max() < 30
    q = network(3000 if short else 6000, 64)
    walks = np.array([walk(q, s) for s in starts])
    arrived, extra = float(np.mean(walks < 99)), float(np.mean(walks[walks < 99] - best[walks < 99]))
    off = float(np.abs(q - exact)[starts].max())
    print(f"network: arrives from {arrived:.0%} of {len(starts)} places, {extra:.2f} moves longer than the shortest; Q is off by {off:.3f}")
    assert arrived > (0.8 if short else 0.99)
    return {"table: difference": float(np.abs(learnt - exact).max()), "arrived": arrived, "extra moves": extra, "error of Q": off}


if __name__ == "__main__":
    stage.run(main)
