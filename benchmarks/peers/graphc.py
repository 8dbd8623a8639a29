"""graphc as its users write it: NumPy arrays in, fresh NumPy arrays out, all checks on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np

import graphc as gx
from benchmarks.peers import SGD_RATE, Built, Ops, Peer, moments
from benchmarks.peers.numpy import Draws as NumpyDraws
from benchmarks.peers.numpy import as_arrays
from benchmarks.row import Arrays, Row
from benchmarks.worker import Clock
from graphc.options import default_options, set_default_options

gx.cache.enabled = False  # compile rows measure compiling; no round may find what the one before left on disk


class GraphcOps(Ops):
    module = gx
    functions = (gx.special,)

    def sum(self, x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
        return gx.sum(x, axis=axis, keepdims=keepdims)

    def mean(self, x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
        return gx.mean(x, axis=axis, keepdims=keepdims)

    def max(self, x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
        return gx.max(x, axis=axis, keepdims=keepdims)

    def softmax(self, x: Any) -> Any:
        return gx.softmax(x, axis=1)

    def logsumexp(self, x: Any) -> Any:
        return gx.logsumexp(x, axis=1)

    def mean_and_variance(self, x: Any) -> Any:
        return gx.mean(x, axis=0), gx.var(x, axis=0)

    def gelu(self, x: Any) -> Any:
        return gx.nn.gelu(x)

    def gelu_by_tanh(self, x: Any) -> Any:
        return gx.nn.gelu(x, approximate=True)

    def pick(self, x: Any, y: Any) -> Any:
        return gx.take_along_axis(x, y[:, None], axis=1)[:, 0]

    def topk(self, x: Any, k: int) -> Any:
        return gx.topk(x, k)[0]

    def scatter_add(self, x: Any, i: Any, u: Any) -> Any:
        return x.at[i].add(u)

    def conv2d(self, x: Any, w: Any, padding: int, groups: int = 1) -> Any:
        return gx.nn.conv2d(x, w, padding=padding, groups=groups)

    def conv2d_gradient(self, x: Any, w: Any, g: Any, which: int) -> Any:
        return gx.vjp(self.conv2d(x, w, 1), [(x, w)[which]], g)[0]

    def max_pool(self, x: Any, size: int) -> Any:
        return gx.nn.max_pool2d(x, size)

    def cross_entropy(self, logits: Any, y: Any) -> Any:
        return gx.nn.cross_entropy(logits, y)

    def attention(self, q: Any, k: Any, v: Any, causal: bool) -> Any:
        return gx.nn.attention(q, k, v, causal=causal)

    def lstm(self, w: Any, u: Any, b: Any, x: Any) -> Any:
        return gx.nn.lstm({"weight": w, "recurrent": u, "bias": b}, x)[0]


class Draws(NumpyDraws):
    """By an rng of the same methods, whose state each call advances."""

    def __init__(self, dtype: str) -> None:
        super().__init__(gx.random.default_rng(0), {"f32": "float32", "f64": "float64"}[dtype])

    def bernoulli(self, n: int, p: float) -> Any:
        return self.rng.bernoulli(p, n)

    def binomial(self, n: int, trials: float, p: float) -> Any:
        return self.rng.binomial(trials, p, n)


@cache
def _calibrate() -> None:
    """As the first product of a user would, which keeps it beside the object cache: that is off here."""
    from graphc.codegen.calibration import first_use  # late: the time to import this module is a row
    from graphc.codegen.target import host

    target = replace(host(), measured=first_use.calibrate()[0].measured)
    set_default_options(replace(default_options(), target=target))


class Graphc(Peer):
    def __init__(self, threads: int) -> None:
        gx.set_num_threads(threads)

    def build(self, row: Row, data: Arrays) -> Built:
        if not row.fresh and row.want != "nodes":
            _calibrate()
        return super().build(row, data)

    def value(self, row: Row, data: Arrays) -> Built:
        inputs = _variables(row, data)
        return _built(inputs, row.function(GraphcOps(), *inputs), data)

    call = value

    def draws(self, row: Row, data: Arrays) -> Built:
        f = gx.function([], row.function(Draws(row.dtype)))
        return Built(f, (), moments, facts=_facts(f))

    def call_out(self, row: Row, data: Arrays) -> Built:
        built = self.value(row, data)
        built.out = gx.tree.map(np.empty_like, built.call(*data))
        return built

    def resize(self, row: Row, data: Arrays) -> Built:
        """Counts what is compiled after the first call: 0."""
        from graphc.codegen import jit

        built, compiled = self.value(row, data), [0]
        original = jit.compile_module

        def counting(*args: Any) -> bytes:
            compiled[0] += 1
            return original(*args)

        jit.compile_module = counting
        built.prepare, built.late = row.data, lambda: {"recompilations": compiled[0]}
        return built

    def gradient(self, row: Row, data: Arrays) -> Built:
        inputs = _variables(row, data)
        return _built(inputs, gx.grad(_scalar(row, inputs), inputs[: row.wrt]), data)

    def value_and_gradient(self, row: Row, data: Arrays) -> Built:
        inputs = _variables(row, data)
        return _built(inputs, gx.value_and_grad(_scalar(row, inputs), inputs[: row.wrt]), data)

    def hvp(self, row: Row, data: Arrays) -> Built:
        inputs = _variables(row, data)
        params, directions = inputs[: row.wrt], inputs[-row.wrt :]
        return _built(inputs, gx.hvp(row.function(GraphcOps(), *inputs[: -row.wrt]), params, directions), data)

    def hessian(self, row: Row, data: Arrays) -> Built:
        inputs = _variables(row, data)
        return _built(inputs, gx.hessian(_scalar(row, inputs), inputs[0]), data)

    def step(self, row: Row, data: Arrays) -> Built:
        with split() as times:
            state, rest, loss, updates = training_step(row, data, times)
            f = gx.function(rest, loss, updates=updates)
        first = gx.get_values(state)

        return Built(
            f,
            data[row.wrt :],
            as_arrays,
            reset=lambda: gx.set_values(state, first),
            check_calls=3,
            facts=_facts(f) | {"split ms": {k: round(1e3 * t, 1) for k, t in times.items()}},
        )

    def sgd_step(self, row: Row, data: Arrays) -> Built:
        """Loss, gradient, and p - rate * g."""
        params = [gx.shared(p, f"p{k}") for k, p in enumerate(data[: row.wrt])]
        rest = _variables(row, data)[row.wrt :]
        loss = row.function(GraphcOps(), *params, *rest)
        f = gx.function(rest, loss, updates=[(p, p - SGD_RATE * g) for p, g in zip(params, gx.grad(loss, params))])
        first = gx.get_values(params)
        reset = lambda: gx.set_values(params, first)
        return Built(f, data[row.wrt :], as_arrays, reset=reset, check_calls=3, facts=_facts(f))

    def update(self, row: Row, data: Arrays) -> Built:
        return self._update(gx.optim.adam(1e-3), data)

    def clipped_update(self, row: Row, data: Arrays) -> Built:
        return self._update(gx.optim.chain(gx.optim.clip_by_global_norm(1.0), gx.optim.adam(1e-3)), data)

    def _update(self, optimizer: Any, data: Arrays) -> Built:
        """Of given gradients."""
        p, g = gx.shared(data[0], "p"), gx.like(data[1], "g")
        f = gx.function([g], None, updates=optimizer.updates(g, p))
        return Built(f, data[1:], lambda _: [p.get_value()], check_calls=3, facts=_facts(f))

    def epoch(self, row: Row, data: Arrays) -> Built:
        """gx.training.epoch: one native call."""
        step, reset = self._minibatch_step(row, data)
        f = gx.training.epoch(step, data[-1].shape[1])
        return Built(f, data[row.wrt :], as_arrays, reset=reset, facts=_facts(f))

    def epoch_loop(self, row: Row, data: Arrays) -> Built:
        step, reset = self._minibatch_step(row, data)
        call = lambda x, y, order: [step(x[rows], y[rows]) for rows in order]
        return Built(call, data[row.wrt :], lambda losses: [np.array(losses)], reset=reset)

    def _minibatch_step(self, row: Row, data: Arrays) -> tuple[Any, Callable[[], None]]:
        """(the step for any minibatch, back to the first state)."""
        params = gx.shared(list(data[: row.wrt]), "p")
        x, y = (gx.tensor(name, ("n", *a.shape[1:]), a.dtype) for name, a in zip("xy", data[row.wrt : -1], strict=True))
        loss = row.function(GraphcOps(), *params, x, y)
        step = gx.function([x, y], loss, updates=gx.optim.adam(1e-3).updates(loss, params))
        state = [s for s, _ in step.updates]
        first = gx.get_values(state)
        return step, lambda: gx.set_values(state, first)

    def warm(self, row: Row, data: Arrays) -> Built:
        """The training step in a new process that finds its object on disk: seconds to read, link and look up the code."""
        script = f"from benchmarks.peers import graphc; graphc.link_time({row.name!r})"
        for _ in range(2):  # the first process leaves the object behind
            answer = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=True).stdout
        return Built(lambda: None, (), lambda _: [], facts=json.loads(answer))

    def nodes(self, row: Row, data: Arrays) -> Built:
        """Declare, differentiate, optimise, write LLVM text: everything before LLVM, a node of the user's graph."""
        from graphc.codegen.compile import write_module
        from graphc.codegen.strategy.product_scratch import scratch_of
        from graphc.codegen.target import host
        from graphc.derivatives.grad import collector_paused
        from graphc.ir import Graph
        from graphc.options import Options
        from graphc.passes import pipeline

        sizes: list[int] = []
        times: dict[str, float] = {}

        def build() -> list[np.ndarray]:
            with split() as latest:
                inputs, outputs, updates = _graph(row, data, latest)
                graph = Graph(tuple(inputs), (*outputs, *[v for _, v in updates]))
                sizes[:] = [len(graph.order)]
                log, options = pipeline.Log(), Options(target=host())
                needs = partial(scratch_of, options=options)
                with collector_paused():  # as in `function`
                    best = pipeline.optimise(graph, "default", log)
                    values = best.outputs[len(outputs) :]
                    program = pipeline.plan(best, [(s, v) for (s, _), v in zip(updates, values, strict=True)], [], log, options, needs)
                    clock = Clock()
                    write_module(program, options)
                    latest["codegen"] = clock.seconds()
            times.update({k: round(1e6 * v / sizes[0], 2) for k, v in latest.items()})
            return []

        build()
        late = lambda: {"nodes": sizes[0], "us/node": times}
        return Built(build, (), as_arrays, prepare=lambda k: (), divisor=sizes[0], late=late)


def link_time(name: str) -> None:
    """Print the seconds that reading, linking and looking up the code of a training step took, and whether it came from the cache."""
    import graphc.codegen.runtime.executable
    from benchmarks.row import find
    from graphc.codegen import jit

    gx.cache.enabled = True  # in the run's own directory
    times: dict[str, float] = {}
    graphc.codegen.runtime.executable.cache.compiled = _timed(graphc.codegen.runtime.executable.cache.compiled, times, "read")
    graphc.codegen.runtime.executable.jit.load = _timed(jit.load, times, "link")
    jit.Loaded.address = _timed(jit.Loaded.address, times, "look up")  # type: ignore[method-assign]
    row = find(name)
    _, rest, loss, updates = training_step(row, row.data(), {})
    gx.function(rest, loss, updates=updates)
    split = {k: round(1e3 * t, 2) for k, t in times.items()}
    print(json.dumps({"seconds": sum(times.values()), "cached": gx.cache.info().hits == 1, "split ms": split}))


def training_step(row: Row, data: Arrays, times: dict[str, float]) -> Any:
    """Declares parameters and the updates of Adam with its slots; writes the time of each phase into `times`."""
    clock = Clock()
    n = row.wrt
    params = [gx.shared(p, f"p{k}") for k, p in enumerate(data[:n])]
    rest = _variables(row, data)[n:]
    loss = row.function(GraphcOps(), *params, *rest)
    times["build"] = clock.seconds()
    clock = Clock()
    grads = gx.grad(loss, params)
    times["grad"] = clock.seconds()
    clock = Clock()
    updates = gx.optim.adam(1e-3).updates(grads, params)
    times["build"] += clock.seconds()
    return [s for s, _ in updates], rest, loss, updates


def _graph(row: Row, data: Arrays, times: dict[str, float]) -> tuple[list[Any], list[Any], list[Any]]:
    """Inputs, outputs and updates of the graph whose nodes are counted."""
    if row.wrt > 1:
        _, rest, loss, updates = training_step(row, data, times)
        return rest, [loss], updates
    clock = Clock()
    inputs = _variables(row, data)
    loss = _scalar(row, inputs)
    times["build"] = clock.seconds()
    clock = Clock()
    grads = gx.grad(loss, inputs[0])
    times["grad"] = clock.seconds()
    return inputs, [loss, grads], []


@contextmanager
def split() -> Iterator[dict[str, float]]:
    """Seconds of the compiler's phases while the block runs: passes, plan, codegen, LLVM, link."""
    import graphc.codegen.runtime.executable
    from graphc.codegen import jit
    from graphc.passes import pipeline

    times: dict[str, float] = {}
    places = {
        "passes": (pipeline, "optimise"),
        "plan": (pipeline, "plan"),
        "codegen": (graphc.codegen.runtime.executable, "write_module"),
        "LLVM": (jit, "compile_module"),
        "link": (jit, "load"),
    }
    originals = {name: getattr(module, attribute) for name, (module, attribute) in places.items()}
    for name, (module, attribute) in places.items():
        setattr(module, attribute, _timed(originals[name], times, name))
    try:
        yield times
    finally:
        for name, (module, attribute) in places.items():
            setattr(module, attribute, originals[name])


def _timed(function: Callable[..., Any], times: dict[str, float], name: str) -> Callable[..., Any]:
    def timed(*args: Any, **kwargs: Any) -> Any:
        clock = Clock()
        try:
            return function(*args, **kwargs)
        finally:
            times[name] = times.get(name, 0.0) + clock.seconds()

    return timed


def _variables(row: Row, data: Arrays) -> list[Any]:
    shapes = row.shapes or tuple(a.shape for a in data)
    return [gx.tensor(f"a{k}", s, a.dtype) for k, (a, s) in enumerate(zip(data, shapes, strict=True))]


def _scalar(row: Row, inputs: list[Any]) -> Any:
    out = row.function(GraphcOps(), *inputs)
    return gx.sum(out) if out.ndim else out


def _built(inputs: list[Any], outputs: Any, data: Arrays) -> Built:
    f = gx.function(inputs, outputs)
    return Built(f, data, as_arrays, facts=_facts(f))


def _facts(f: Any) -> dict[str, Any]:
    program = f._executable.program
    return {"steps": len(program.steps)} | (
        {"arena bytes": program.arena + program.scratch} if isinstance(program.arena + program.scratch, int) else {}
    )


def make(variant: str) -> Graphc:
    return Graphc(int(variant or os.environ.get("BENCHMARKS_THREADS", "1")))
