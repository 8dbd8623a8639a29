"""What the documentation shows, as a user's type checker sees it: `mypy --strict` accepts every line. Never run; see test_typing.py."""

from __future__ import annotations

import numpy as np

import graphc as gx

x = gx.tensor("x", ("n", 3), "float32")
y: gx.Node = gx.vector("y", "n")
m = gx.matrix("m", (None, 4))
t: gx.Node = gx.scalar("t")
state = gx.shared(np.zeros(3), "state")
n: gx.Dim = gx.dim("n")

total: gx.Node = x.sum() + x.mean(axis=0).max() * 2 - x.sum(axis=(0, 1), keepdims=True) / n
moved: gx.Node = x.T.reshape(3, -1).transpose((1, 0)).astype("float32").ravel().clip(-1, 1).round(2).cumsum(axis=0)
more: gx.Node = gx.exp(x) + gx.power(x, 2) + gx.where(x > 0, x, 0.0) + gx.maximum(1.0, x) + gx.clip(x, 0, 1) + gx.abs(-x)
kept: gx.Node = x.at[0].set(1.0).at[1:].add(x[1:])
reduced: gx.Node = x.std(ddof=1) + x.var(axis=-1) + x.argmax(axis=0) + x.any() + x.all(axis=0) + x.prod(dtype="float64") + x.min()
other: gx.Node = x.dot(m).squeeze().repeat(2, axis=0).swapaxes(0, 1).take([0, 1], axis=1).diagonal(1).trace()
tests: gx.Node = (x == y) & ~gx.isnan(x) | (x > 2)
text: str = x.graph + str(x) + repr(x)

loss: gx.Node = gx.mean((x @ state - y) ** 2)
value, slopes = gx.value_and_grad(loss, {"w": state})
f: gx.Function = gx.function([x, y], {"loss": loss}, updates={state: state - 0.1 * gx.grad(loss, state)}, name="step", threads=1)
result = f(np.ones((2, 3), "float32"), y=np.ones(2))
cost: dict[str, int] = f.cost(n=64)
loops: str = f.loops + f.graph + f.explain()


@gx.jit
def double(a: gx.Node, *, times: int = 2) -> gx.Node:
    return a * times


@gx.jit(static_argnames=("axis",))
def along(a: gx.Node, axis: int) -> gx.Node:
    return a.sum(axis=axis)


class Model:
    @gx.jit
    def predict(self, a: gx.Node) -> gx.Node:
        return gx.tanh(a) + gx.log1p(a)


doubled: gx.Node = double(x, times=3) + along(x, axis=0) + Model().predict(x)
