"""JAX: one jit around the row; arguments are JAX arrays, state is donated; NumPy in and out for the call rows."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.peers import SGD_RATE, Built, Ops, Peer, Skip, adam, moments
from benchmarks.peers.numpy import as_arrays
from benchmarks.row import DTYPES, Arrays, Row

jax.config.update("jax_enable_x64", True)  # float32 rows stay float32; Python numbers are weak
if os.environ.get("BENCHMARKS_THREADS") == "1":
    jax.config.update("jax_cpu_enable_async_dispatch", False)  # a second thread only costs on one core


class JaxOps(Ops):
    module = jnp
    functions = (jax.scipy.special,)
    scan, while_loop, sigmoid = staticmethod(jax.lax.scan), staticmethod(jax.lax.while_loop), staticmethod(jax.nn.sigmoid)
    erf, relu = staticmethod(jax.scipy.special.erf), staticmethod(jax.nn.relu)

    def sum(self, x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
        return jnp.sum(x, axis=axis, keepdims=keepdims)

    def mean(self, x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
        return jnp.mean(x, axis=axis, keepdims=keepdims)

    def max(self, x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
        return jnp.max(x, axis=axis, keepdims=keepdims)

    def softmax(self, x: Any) -> Any:
        return jax.nn.softmax(x, axis=1)

    def logsumexp(self, x: Any) -> Any:
        return jax.scipy.special.logsumexp(x, axis=1)

    def gelu(self, x: Any) -> Any:
        return jax.nn.gelu(x, approximate=False)

    def gelu_by_tanh(self, x: Any) -> Any:
        return jax.nn.gelu(x, approximate=True)

    def topk(self, x: Any, k: int) -> Any:
        return jax.lax.top_k(x, k)[0]

    def scatter_add(self, x: Any, i: Any, u: Any) -> Any:
        return x.at[i].add(u)

    def conv2d(self, x: Any, w: Any, padding: int, groups: int = 1) -> Any:
        return jax.lax.conv_general_dilated(x, w, (1, 1), [(padding, padding)] * 2, feature_group_count=groups)

    def conv2d_gradient(self, x: Any, w: Any, g: Any, which: int) -> Any:
        return jax.vjp(lambda x, w: self.conv2d(x, w, 1), x, w)[1](g)[which]

    def max_pool(self, x: Any, size: int) -> Any:
        window = (1, 1, size, size)
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, window, "VALID")

    def attention(self, q: Any, k: Any, v: Any, causal: bool) -> Any:
        scores = q @ jnp.swapaxes(k, -1, -2) * q.shape[-1] ** -0.5
        return jax.nn.softmax(jnp.where(jnp.tri(q.shape[-2], dtype=bool), scores, -jnp.inf) if causal else scores) @ v

    def pick(self, x: Any, y: Any) -> Any:
        return jnp.take_along_axis(x, y[:, None], axis=1)[:, 0]


class Draws:
    """By JAX's default generator."""

    def __init__(self, key: Any, dtype: Any) -> None:
        self.key, self.dtype = key, dtype

    def uniform(self, n: int) -> Any:
        return jax.random.uniform(self.key, (n,), self.dtype)

    def normal(self, n: int) -> Any:
        return jax.random.normal(self.key, (n,), self.dtype)

    def exponential(self, n: int) -> Any:
        return jax.random.exponential(self.key, (n,), self.dtype)

    def gamma(self, n: int, a: float) -> Any:
        return jax.random.gamma(self.key, a, (n,), self.dtype)

    def bernoulli(self, n: int, p: float) -> Any:
        return jax.random.bernoulli(self.key, p, (n,))

    def poisson(self, n: int, lam: float) -> Any:
        return jax.random.poisson(self.key, lam, (n,))

    def binomial(self, n: int, trials: float, p: float) -> Any:
        return jax.random.binomial(self.key, trials, p, (n,))

    def permutation(self, n: int) -> Any:
        return jax.random.permutation(self.key, n)


class Jax(Peer):
    def _built(self, function: Any, args: Any) -> Built:
        compiled = jax.jit(function)
        return Built(lambda *a: jax.block_until_ready(compiled(*a)), tuple(map(jnp.asarray, args)), as_arrays)

    def value(self, row: Row, data: Arrays) -> Built:
        return self._built(partial(row.function, JaxOps()), data)

    def draws(self, row: Row, data: Arrays) -> Built:
        """A key an argument, as one would pass it."""
        compiled = jax.jit(lambda key: row.function(Draws(key, jnp.dtype(DTYPES[row.dtype]))))
        return Built(lambda key: jax.block_until_ready(compiled(key)), (jax.random.key(0),), moments)

    def call(self, row: Row, data: Arrays) -> Built:
        compiled = jax.jit(partial(row.function, JaxOps()))

        def call(*args: np.ndarray) -> Any:
            out = compiled(*args)
            return [np.asarray(o) for o in out] if isinstance(out, tuple) else np.asarray(out)

        return Built(call, data, as_arrays)

    def resize(self, row: Row, data: Arrays) -> Built:
        compiled = jax.jit(partial(row.function, JaxOps()))
        return Built(lambda *a: jax.block_until_ready(compiled(*a)), data, as_arrays, prepare=row.data)

    def gradient(self, row: Row, data: Arrays) -> Built:
        return self._built(jax.grad(_scalar(row), argnums=tuple(range(row.wrt))), data)

    def value_and_gradient(self, row: Row, data: Arrays) -> Built:
        return self._built(jax.value_and_grad(_scalar(row), argnums=tuple(range(row.wrt))), data)

    def hvp(self, row: Row, data: Arrays) -> Built:
        n = row.wrt

        def product(*args: Any) -> Any:
            params, rest, directions = args[:n], args[n:-n], args[-n:]
            gradient = lambda *p: jax.grad(_scalar(row), argnums=tuple(range(n)))(*p, *rest)
            return jax.jvp(gradient, params, directions)[1]

        return self._built(product, data)

    def hessian(self, row: Row, data: Arrays) -> Built:
        return self._built(jax.hessian(_scalar(row)), data)

    def step(self, row: Row, data: Arrays) -> Built:
        n = row.wrt
        state: list[Any] = []

        def reset() -> None:
            params = tuple(jnp.array(p) for p in data[:n])
            state[:] = [(params, tuple(map(jnp.zeros_like, params)), tuple(map(jnp.zeros_like, params)), jnp.zeros((), params[0].dtype))]

        @partial(jax.jit, donate_argnums=0)
        def step(old: Any, *rest: Any) -> Any:
            params, m, v, t = old
            t = t + 1
            loss, grads = jax.value_and_grad(lambda p: _scalar(row)(*p, *rest))(params)
            new = [adam(*leaf, t, jnp.sqrt) for leaf in zip(params, grads, m, v)]
            return (*zip(*new), t), loss

        def call(*rest: Any) -> Any:
            state[0], loss = step(state[0], *rest)
            return loss.block_until_ready()

        reset()
        return Built(call, tuple(map(jnp.asarray, data[n:])), as_arrays, reset=reset, check_calls=3)

    def sgd_step(self, row: Row, data: Arrays) -> Built:
        state: list[Any] = []

        @partial(jax.jit, donate_argnums=0)
        def step(params: Any, *rest: Any) -> Any:
            loss, grads = jax.value_and_grad(lambda p: _scalar(row)(*p, *rest))(params)
            return tuple([p - SGD_RATE * g for p, g in zip(params, grads)]), loss

        def reset() -> None:
            state[:] = [tuple(jnp.array(p) for p in data[: row.wrt])]

        def call(*rest: Any) -> Any:
            state[0], loss = step(state[0], *rest)
            return loss.block_until_ready()

        reset()
        return Built(call, tuple(map(jnp.asarray, data[row.wrt :])), as_arrays, reset=reset, check_calls=3)

    def update(self, row: Row, data: Arrays) -> Built:
        return self._update(_optax().adam(1e-3), data)

    def clipped_update(self, row: Row, data: Arrays) -> Built:
        return self._update(_optax().chain(_optax().clip_by_global_norm(1.0), _optax().adam(1e-3)), data)

    def _update(self, optimizer: Any, data: Arrays) -> Built:
        """Optax of given gradients, the state donated."""
        params = jnp.array(data[0])
        state = [(params, optimizer.init(params))]

        @partial(jax.jit, donate_argnums=0)
        def update(old: Any, g: Any) -> Any:
            moved, after = optimizer.update(g, old[1], old[0])
            return old[0] + moved, after

        def call(g: Any) -> Any:
            state[0] = jax.block_until_ready(update(state[0], g))

        return Built(call, (jnp.asarray(data[1]),), lambda _: [np.array(state[0][0])], check_calls=3)

    def epoch(self, row: Row, data: Arrays) -> Built:
        """lax.scan over the minibatches."""
        step, first = self._minibatch_step(row, data)
        turn = lambda carry, rows, x, y: step(carry, x[rows], y[rows])
        run = jax.jit(lambda carry, x, y, order: jax.lax.scan(lambda c, rows: turn(c, rows, x, y), carry, order), donate_argnums=0)
        return self._of_epochs(run, first, tuple(map(jnp.asarray, data[row.wrt :])))

    def epoch_loop(self, row: Row, data: Arrays) -> Built:
        """One jitted step a minibatch, whose rows NumPy takes."""
        step, first = self._minibatch_step(row, data)
        compiled = jax.jit(step, donate_argnums=0)

        def run(carry: Any, x: Any, y: Any, order: Any) -> Any:
            losses = []
            for rows in order:
                carry, loss = compiled(carry, x[rows], y[rows])
                losses.append(loss)
            return carry, losses

        return self._of_epochs(run, first, data[row.wrt :])

    def _of_epochs(self, run: Any, first: Any, args: Any) -> Built:
        state: list[Any] = []

        def call(*rest: Any) -> Any:
            state[0], losses = run(state[0], *rest)
            return jax.block_until_ready(losses)

        reset = lambda: state.__setitem__(slice(None), [first()])
        reset()
        return Built(call, args, lambda losses: [np.array(losses)], reset=reset)

    def _minibatch_step(self, row: Row, data: Arrays) -> tuple[Any, Any]:
        """(the step with optax, a fresh state)."""
        optimizer = _optax().adam(1e-3)

        def step(carry: Any, x: Any, y: Any) -> Any:
            params, state = carry
            loss, grads = jax.value_and_grad(lambda p: _scalar(row)(*p, x, y))(params)
            moved, state = optimizer.update(grads, state, params)
            return (jax.tree.map(jnp.add, params, moved), state), loss

        def first() -> Any:
            params = tuple(jnp.array(p) for p in data[: row.wrt])
            return params, optimizer.init(params)

        return step, first


def _optax() -> Any:
    try:
        import optax
    except ImportError:
        raise Skip("optax is not installed") from None
    return optax


def _scalar(row: Row) -> Any:
    """The row as a scalar function: its sum."""
    return lambda *args: jnp.sum(row.function(JaxOps(), *args))


def make(variant: str) -> Jax:
    return Jax()
