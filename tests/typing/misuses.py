"""What a type checker finds before anything runs: each line has the error that `mypy --strict` gives it. Never run; see test_typing.py."""

import graphc as gx

x = gx.tensor("x", (3,))

gx.exp(x, x)  # error: call-arg
gx.exp()  # error: call-arg
gx.exp(None)  # error: arg-type
gx.maximum(x)  # error: call-arg
gx.power(x, 2, 3)  # error: call-arg
gx.where(x, x)  # error: call-arg
gx.sum(x, axis="0", keepdim=True)  # error: arg-type call-arg
x.sum(axis=1.5)  # error: arg-type
x.sum(0, "float32", True)  # error: call-arg
x.mean(keepdims="yes")  # error: arg-type
x.max(axes=0)  # error: call-arg
x.dot()  # error: call-arg
x.swapaxes(0)  # error: call-arg
x.clip(low=0)  # error: call-arg
x.softmax()  # error: attr-defined
x.at[0].times(2)  # error: attr-defined
x[0] = 1.0  # error: index
gx.tensor(shape=(3,))  # error: call-arg
gx.vector("v", size=3)  # error: call-arg
gx.function([x], x, thread=2)  # error: call-arg
gx.grad()  # error: call-arg
gx.function([x], x).cost(n="64")  # error: arg-type
gx.sinus(x)  # error: attr-defined
