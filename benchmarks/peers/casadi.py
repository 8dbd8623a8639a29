"""CasADi on scalar expressions (SX), by its virtual machine or compiled from C; fixed buffers, its fastest and unchecked call."""

from __future__ import annotations

import os
import tempfile
from typing import Any

import casadi as ca
import numpy as np

from benchmarks.peers import Built, Ops, Peer, Skip
from benchmarks.row import Arrays, Row

LARGEST = 4096  # elements: every one is an expression of its own


class CasadiOps(Ops):
    module = ca

    def sum(self, x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
        return ca.sum1(ca.vec(x))


class Casadi(Peer):
    def __init__(self, variant: str) -> None:
        self.compiled = variant == "c"

    def value(self, row: Row, data: Arrays) -> Built:
        inputs = _symbols(data)
        return self._built(inputs, row.function(CasadiOps(), *inputs), data)

    call = call_out = value

    def gradient(self, row: Row, data: Arrays) -> Built:
        inputs = _symbols(data)
        return self._built(inputs, ca.gradient(CasadiOps().sum(row.function(CasadiOps(), *inputs)), inputs[0]), data)

    def value_and_gradient(self, row: Row, data: Arrays) -> Built:
        inputs = _symbols(data)
        loss = row.function(CasadiOps(), *inputs)
        return self._built(inputs, (loss, ca.gradient(loss, inputs[0])), data)

    def hessian(self, row: Row, data: Arrays) -> Built:
        inputs = _symbols(data)
        return self._built(inputs, ca.densify(ca.hessian(row.function(CasadiOps(), *inputs), inputs[0])[0]), data)

    def _built(self, inputs: list[Any], outputs: Any, data: Arrays) -> Built:
        outputs = list(outputs) if isinstance(outputs, tuple) else [outputs]
        f = ca.Function("f", inputs, [ca.densify(o) for o in outputs])
        if self.compiled:
            f = _through_c(f)
        arguments = [np.ascontiguousarray(a) for a in data]
        results = [np.zeros(f.numel_out(k)) for k in range(len(outputs))]
        buffer, evaluate = f.buffer()
        for k, a in enumerate(arguments):
            buffer.set_arg(k, memoryview(a))
        for k, r in enumerate(results):
            buffer.set_res(k, memoryview(r))
        keep = (f, buffer, arguments)  # the call holds none of them
        return Built(evaluate, (), lambda _, keep=keep: [r.reshape(f.size_out(k), order="F") for k, r in enumerate(results)])


def _symbols(data: Arrays) -> list[Any]:
    if any(a.dtype != np.float64 or a.ndim > 1 or a.size > LARGEST for a in data):
        raise Skip("scalar expressions in float64, small graphs only")
    return [ca.SX.sym(f"a{k}", a.size) for k, a in enumerate(data)]


def _through_c(f: Any) -> Any:
    """The function as C, compiled with all optimisation for this machine."""
    folder = tempfile.mkdtemp(prefix="casadi-", dir=os.environ.get("XDG_CACHE_HOME") and os.path.dirname(os.environ["XDG_CACHE_HOME"]))
    here = os.getcwd()
    os.chdir(folder)  # CasADi writes to the working directory only
    try:
        f.generate("f.c")
        if os.system("cc -O3 -march=native -fPIC -shared -o f.so f.c -lm"):
            raise Skip("no C compiler")
    finally:
        os.chdir(here)
    return ca.external("f", os.path.join(folder, "f.so"))


def make(variant: str) -> Casadi:
    return Casadi(variant)
