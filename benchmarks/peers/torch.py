"""PyTorch, eager or through torch.compile; tensors in and out, NumPy arrays for the call rows. Its own fused functions and Adam."""

from __future__ import annotations

import os
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.peers import SGD_RATE, Built, Ops, Peer, adam, moments
from benchmarks.row import Arrays, Row

torch.set_num_threads(int(os.environ.get("BENCHMARKS_THREADS", "1")))


class TorchOps(Ops):
    module = torch
    functions = (torch.special,)
    renamed = MappingProxyType({
        "i0": "modified_bessel_i0", "i1": "modified_bessel_i1", "j0": "bessel_j0", "j1": "bessel_j1", "y0": "bessel_y0",
        "k0": "modified_bessel_k0", "k1": "modified_bessel_k1",
    })  # fmt: skip
    gelu, cross_entropy = staticmethod(F.gelu), staticmethod(F.cross_entropy)

    def gelu_by_tanh(self, x: Any) -> Any:
        return F.gelu(x, approximate="tanh")

    def sum(self, x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
        return torch.sum(x) if axis is None else torch.sum(x, dim=axis, keepdim=keepdims)

    def mean(self, x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
        return torch.mean(x) if axis is None else torch.mean(x, dim=axis, keepdim=keepdims)

    def max(self, x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
        return torch.amax(x, dim=() if axis is None else axis, keepdim=keepdims)

    def softmax(self, x: Any) -> Any:
        return torch.softmax(x, dim=1)

    def logsumexp(self, x: Any) -> Any:
        return torch.logsumexp(x, dim=1)

    def layer_norm(self, x: Any, gain: Any, bias: Any) -> Any:
        return F.layer_norm(x, gain.shape, gain, bias, 1e-5)

    def sort(self, x: Any, axis: int) -> Any:
        return torch.sort(x, dim=axis)[0]

    def topk(self, x: Any, k: int) -> Any:
        return torch.topk(x, k)[0]

    def median(self, x: Any) -> Any:
        return torch.quantile(x, 0.5)

    def scatter_add(self, x: Any, i: Any, u: Any) -> Any:
        return x.scatter_add(0, i, u)

    def conv2d(self, x: Any, w: Any, padding: int, groups: int = 1) -> Any:
        return F.conv2d(x, w, padding=padding, groups=groups)

    def conv2d_gradient(self, x: Any, w: Any, g: Any, which: int) -> Any:
        if which == 0:
            return torch.nn.grad.conv2d_input(x.shape, w, g, padding=1)
        return torch.nn.grad.conv2d_weight(x, w.shape, g, padding=1)

    def max_pool(self, x: Any, size: int) -> Any:
        return F.max_pool2d(x, size)

    def attention(self, q: Any, k: Any, v: Any, causal: bool) -> Any:
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal)

    def parts(self, x: Any) -> list[Any]:
        return list(x.unbind())

    def lstm(self, w: Any, u: Any, b: Any, x: Any) -> Any:
        zeros = x.new_zeros(1, x.shape[1], u.shape[0])
        weights = [w.T.contiguous(), u.T.contiguous(), b, torch.zeros_like(b)]
        return torch.lstm(x, (zeros, zeros), weights, True, 1, 0.0, False, False, False)[0]


class Draws:
    """By torch's default generator."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype

    def uniform(self, n: int) -> Any:
        return torch.rand(n, dtype=self.dtype)

    def normal(self, n: int) -> Any:
        return torch.randn(n, dtype=self.dtype)

    def exponential(self, n: int) -> Any:
        return torch.empty(n, dtype=self.dtype).exponential_()

    def gamma(self, n: int, a: float) -> Any:
        return torch._standard_gamma(torch.full((n,), a, dtype=self.dtype))

    def bernoulli(self, n: int, p: float) -> Any:
        return torch.empty(n, dtype=torch.bool).bernoulli_(p)

    def poisson(self, n: int, lam: float) -> Any:
        return torch.poisson(torch.full((n,), lam, dtype=self.dtype))

    def binomial(self, n: int, trials: float, p: float) -> Any:
        return torch.binomial(torch.full((n,), trials, dtype=self.dtype), torch.full((n,), p, dtype=self.dtype))

    def permutation(self, n: int) -> Any:
        return torch.randperm(n)


class Torch(Peer):
    def __init__(self, variant: str) -> None:
        self.compiled = variant == "compile"

    def _built(self, function: Any, args: Any, dynamic: bool | None = None) -> Built:
        made = self._compile(function, dynamic)
        return Built(made, tuple(torch.from_numpy(np.require(a, requirements="W")) for a in args), as_arrays)  # where the row put them

    def _compile(self, function: Any, dynamic: bool | None = None) -> Any:
        return torch.compile(function, dynamic=dynamic) if self.compiled else function

    def value(self, row: Row, data: Arrays) -> Built:
        dynamic = True if row.shapes else None
        return self._built(_without_graph(partial(row.function, TorchOps())), data, dynamic)

    def draws(self, row: Row, data: Arrays) -> Built:
        torch.manual_seed(0)
        return Built(partial(row.function, Draws(torch.float32 if row.dtype == "f32" else torch.float64)), (), moments)

    def call(self, row: Row, data: Arrays) -> Built:
        function = self._compile(partial(row.function, TorchOps()))

        def call(*args: np.ndarray) -> Any:
            out = function(*map(torch.from_numpy, args))
            return [o.numpy() for o in out] if isinstance(out, tuple) else out.numpy()

        return Built(_without_graph(call), data, as_arrays)

    def resize(self, row: Row, data: Arrays) -> Built:
        prepare = lambda k: tuple(map(torch.from_numpy, row.data(k)))
        function = self._compile(_without_graph(partial(row.function, TorchOps())), True)
        return Built(function, data, as_arrays, prepare=prepare)

    def gradient(self, row: Row, data: Arrays) -> Built:
        return self._derivative(row, data, lambda loss, grads: grads)

    def value_and_gradient(self, row: Row, data: Arrays) -> Built:
        return self._derivative(row, data, lambda loss, grads: (loss, *grads))

    def _derivative(self, row: Row, data: Arrays, keep: Any) -> Built:
        forward = self._compile(lambda *a: torch.sum(row.function(TorchOps(), *a)))

        def call(*args: Any) -> Any:
            loss = forward(*args)
            return keep(loss.detach(), torch.autograd.grad(loss, args[: row.wrt]))

        built = Built(call, tuple(torch.from_numpy(np.array(a)) for a in data), as_arrays)
        for a in built.args[: row.wrt]:
            a.requires_grad_()
        return built

    def hvp(self, row: Row, data: Arrays) -> Built:
        n = row.wrt

        def product(*args: Any) -> Any:
            params, rest, directions = args[:n], args[n:-n], args[-n:]
            loss = lambda *p: torch.sum(row.function(TorchOps(), *p, *rest))
            return torch.func.jvp(torch.func.grad(loss, argnums=tuple(range(n))), params, directions)[1]

        return self._built(product, data)

    def hessian(self, row: Row, data: Arrays) -> Built:
        return self._built(torch.func.hessian(lambda *a: torch.sum(row.function(TorchOps(), *a))), data)

    def step(self, row: Row, data: Arrays) -> Built:
        adam = partial(torch.optim.Adam, lr=1e-3, fused=True)
        return self._functional_step(row, data) if self.compiled else self._eager_step(row, data, adam)

    def sgd_step(self, row: Row, data: Arrays) -> Built:
        sgd = partial(torch.optim.SGD, lr=SGD_RATE, fused=True)
        return self._functional_sgd(row, data) if self.compiled else self._eager_step(row, data, sgd)

    def _eager_step(self, row: Row, data: Arrays, make: Any) -> Built:
        """autograd and a fused optimiser."""
        params = [torch.from_numpy(p.copy()).requires_grad_() for p in data[: row.wrt]]
        optimiser = [make(params)]

        def reset() -> None:
            with torch.no_grad():
                for p, start in zip(params, data, strict=False):
                    p.copy_(torch.from_numpy(start))
            optimiser[0] = make(params)

        def call(*rest: Any) -> Any:
            loss = row.function(TorchOps(), *params, *rest)
            optimiser[0].zero_grad()
            loss.backward()
            optimiser[0].step()
            return loss.detach()

        return Built(call, tuple(map(torch.from_numpy, data[row.wrt :])), as_arrays, reset=reset, check_calls=3)

    def _functional_step(self, row: Row, data: Arrays) -> Built:
        """Loss, gradient and Adam in one compiled function that writes its state in place."""
        params = [torch.from_numpy(p.copy()) for p in data[: row.wrt]]
        moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in params]
        count = torch.zeros((), dtype=params[0].dtype)

        def reset() -> None:
            count.zero_()
            for p, start, (m, v) in zip(params, data, moments, strict=False):
                p.copy_(torch.from_numpy(start)), m.zero_(), v.zero_()

        def step(params: Any, moments: Any, count: Any, *rest: Any) -> Any:
            count.add_(1)
            loss = lambda p: row.function(TorchOps(), *p, *rest)
            grads, value = torch.func.grad_and_value(loss)(tuple(params))
            for p, g, (m, v) in zip(params, grads, moments, strict=True):
                for old, new in zip((p, m, v), adam(p, g, m, v, count, torch.sqrt), strict=True):
                    old.copy_(new)
            return value

        compiled = torch.compile(torch.no_grad()(step))
        call = lambda *rest: compiled(params, moments, count, *rest)
        return Built(call, tuple(map(torch.from_numpy, data[row.wrt :])), as_arrays, reset=reset, check_calls=3)

    def _functional_sgd(self, row: Row, data: Arrays) -> Built:
        """Loss, gradient and the new parameters in one compiled function that writes them in place."""
        params = [torch.from_numpy(p.copy()) for p in data[: row.wrt]]

        def reset() -> None:
            for p, start in zip(params, data, strict=False):
                p.copy_(torch.from_numpy(start))

        def step(params: Any, *rest: Any) -> Any:
            grads, value = torch.func.grad_and_value(lambda p: row.function(TorchOps(), *p, *rest))(tuple(params))
            for p, g in zip(params, grads, strict=True):
                p.sub_(SGD_RATE * g)
            return value

        compiled = torch.compile(torch.no_grad()(step))
        call = lambda *rest: compiled(params, *rest)
        return Built(call, tuple(map(torch.from_numpy, data[row.wrt :])), as_arrays, reset=reset, check_calls=3)

    def update(self, row: Row, data: Arrays) -> Built:
        """Its fused Adam; compiled, the formula on tensors in place."""
        p, g = torch.from_numpy(data[0].copy()), torch.from_numpy(data[1])
        if self.compiled:
            m, v, count = torch.zeros_like(p), torch.zeros_like(p), torch.zeros((), dtype=torch.float64)

            def update(p: Any, g: Any, m: Any, v: Any, count: Any) -> None:
                for old, new in zip((p, m, v), row.function(p, g, m, v, count.to(p.dtype), torch.sqrt), strict=True):
                    old.copy_(new)

            compiled = torch.compile(torch.no_grad()(update))
            call = lambda g: compiled(p, g, m, v, count.add_(1))  # counted outside: inside, f64 kernels read it too early and give nan
            return Built(call, (g,), lambda _: [p.numpy().copy()], check_calls=3)
        p.requires_grad_()
        p.grad = g
        optimiser = torch.optim.Adam([p], lr=1e-3, fused=True)
        return Built(lambda g: optimiser.step(), (g,), lambda _: [p.detach().numpy().copy()], check_calls=3)

    clipped_update = update

    def epoch_loop(self, row: Row, data: Arrays) -> Built:
        """The training step, on the rows of each minibatch."""
        *_, x, y, order = data
        built = self.step(row, (*data[: row.wrt], x[order[0]], y[order[0]]))
        call = lambda x, y, order: [built.call(x[rows], y[rows]) for rows in order]
        return Built(
            call, tuple(map(torch.from_numpy, data[row.wrt :])), lambda losses: [np.array([float(v) for v in losses])], built.reset
        )

    epoch = epoch_loop


def _without_graph(function: Any) -> Any:
    """The function without autograd's recording."""
    return torch.inference_mode()(function)


def as_arrays(out: Any) -> list[np.ndarray]:
    if isinstance(out, (tuple, list)):
        return [a for o in out for a in as_arrays(o)]
    return [np.asarray(out.detach() if isinstance(out, torch.Tensor) else out)]


def make(variant: str) -> Torch:
    return Torch(variant)
