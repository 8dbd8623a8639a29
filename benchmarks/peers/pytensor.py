"""PyTensor with its default linker; NumPy arrays in and out, trusted (its fastest call)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt

from benchmarks.peers import Built, Ops, Peer, adam
from benchmarks.peers.numpy import as_arrays
from benchmarks.row import Arrays, Row


class PyTensorOps(Ops):
    module = pt

    def relu(self, x: Any) -> Any:
        return pt.maximum(x, 0)

    def sum(self, x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
        return pt.sum(x, axis=axis, keepdims=keepdims)

    def mean(self, x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
        return pt.mean(x, axis=axis, keepdims=keepdims)

    def max(self, x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
        return pt.max(x, axis=axis, keepdims=keepdims)

    def softmax(self, x: Any) -> Any:
        return pt.special.softmax(x, axis=1)

    def logsumexp(self, x: Any) -> Any:
        return pt.logsumexp(x, axis=1)

    def pick(self, x: Any, y: Any) -> Any:
        return x[pt.arange(y.shape[0]), y]

    def parts(self, x: Any) -> list[Any]:
        return [x[i] for i in range(x.type.shape[0])]


class PyTensor(Peer):
    def value(self, row: Row, data: Arrays) -> Built:
        inputs = _variables(row, data)
        return _built(inputs, row.function(PyTensorOps(), *inputs), data)

    call = value

    def resize(self, row: Row, data: Arrays) -> Built:
        built = self.value(row, data)
        built.prepare = row.data
        return built

    def gradient(self, row: Row, data: Arrays) -> Built:
        inputs = _variables(row, data)
        loss = pt.sum(row.function(PyTensorOps(), *inputs))
        return _built(inputs, pytensor.grad(loss, inputs[: row.wrt]), data)

    def value_and_gradient(self, row: Row, data: Arrays) -> Built:
        inputs = _variables(row, data)
        loss = pt.sum(row.function(PyTensorOps(), *inputs))
        return _built(inputs, [loss, *pytensor.grad(loss, inputs[: row.wrt])], data)

    def hvp(self, row: Row, data: Arrays) -> Built:
        inputs = _variables(row, data)
        params, directions = inputs[: row.wrt], inputs[-row.wrt :]
        grads = pytensor.grad(row.function(PyTensorOps(), *inputs[: -row.wrt]), params)
        inner = sum(pt.sum(g * v) for g, v in zip(grads, directions, strict=True))
        return _built(inputs, pytensor.grad(inner, params), data)

    def hessian(self, row: Row, data: Arrays) -> Built:
        inputs = _variables(row, data)
        return _built(inputs, pytensor.gradient.hessian(row.function(PyTensorOps(), *inputs), inputs[0]), data)

    def step(self, row: Row, data: Arrays) -> Built:
        n = row.wrt
        params = [pytensor.shared(p) for p in data[:n]]
        m, v = ([pytensor.shared(np.zeros_like(p)) for p in data[:n]] for _ in range(2))
        count = pytensor.shared(np.zeros((), data[0].dtype))
        rest = _variables(row, data)[n:]
        loss = row.function(PyTensorOps(), *params, *rest)
        grads = pytensor.grad(loss, params)
        t = count + 1
        updates = [(count, t.astype(count.dtype))]
        for p, g, a, b in zip(params, grads, m, v, strict=True):
            new = adam(p, g, a, b, t, pt.sqrt)
            updates += [(old, value.astype(old.dtype)) for old, value in zip((p, a, b), new, strict=True)]

        def reset() -> None:
            count.set_value(np.zeros_like(count.get_value()))
            for k in range(n):
                params[k].set_value(data[k])
                m[k].set_value(np.zeros_like(data[k]))
                v[k].set_value(np.zeros_like(data[k]))

        built = _built(rest, loss, data[n:], updates=updates)
        built.reset, built.check_calls = reset, 3
        return built


def _variables(row: Row, data: Arrays) -> list[Any]:
    shapes = row.shapes or tuple(a.shape for a in data)
    known = [tuple(None if isinstance(s, str) else s for s in shape) for shape in shapes]
    return [pt.tensor(f"input{k}", dtype=a.dtype.name, shape=s) for k, (a, s) in enumerate(zip(data, known, strict=True))]


def _built(inputs: list[Any], outputs: Any, data: Arrays, **options: Any) -> Built:
    outputs = list(outputs) if isinstance(outputs, (tuple, list)) else outputs
    f = pytensor.function(inputs, outputs, on_unused_input="ignore", **options)
    f.trust_input = True
    return Built(f, data, as_arrays)


def make(variant: str) -> PyTensor:
    return PyTensor()
