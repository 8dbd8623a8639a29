"""Recurrent layers over `gx.scan`: the three wirings of a plain net, LSTM, GRU; sequences of several lengths; both directions.

x is (time, .., features): time first, then any axes of examples. What is read at all turns is one product before the loop, what is
carried one product a turn; the derivative is a scan backwards. A layer gives (outputs of all turns, the last state):

    hs, (h, c) = gx.nn.lstm(p, x)            gx.nn.dense(out, hs) scores every turn, gx.nn.dense(out, h) the whole sequence
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc.control.scan import Checkpoint, scan
from graphc.dtypes import is_integer, promote
from graphc.errors import ArgumentError, DTypeError, ShapeError, fail
from graphc.ir import Node
from graphc.nn.layers import dense
from graphc.nn.parameters import Params, agree, floats, parameter, part
from graphc.ops.compare import where
from graphc.ops.create import arange, zeros
from graphc.ops.elementwise import sigmoid, tanh
from graphc.ops.joining import concatenate
from graphc.ops.products import matmul
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.shape import expand_dims
from graphc.ops.spread import astype, broadcast_to
from graphc.types import same_size

Step = Callable[[tuple[Node, ...], Node], tuple[Node, ...]]  # (state, what is read) -> state; the output is its first part
SQUASHED = ("cell", "product")


# -- one turn -----------------------------------------------------------------------------------------------------------
def _rnn_step(p: Params, activation: Callable[[Node], Node]) -> Step:
    recurrent = parameter(p, "recurrent", "rnn", 2)
    return lambda state, read: (activation(read + matmul(state[0], recurrent)),)


def _lstm_step(p: Params, squash: str) -> Step:
    recurrent = parameter(p, "recurrent", "lstm", 2)
    if squash not in SQUASHED:
        fail(ArgumentError, f"lstm: squash is 'cell' or 'product', got {squash!r}")

    def step(state: tuple[Node, ...], read: Node) -> tuple[Node, ...]:
        h, c = state
        enter, forget, value, leave = _blocks(read + matmul(h, recurrent), 4)
        c = sigmoid(forget) * c + sigmoid(enter) * tanh(value)
        return (sigmoid(leave) * tanh(c) if squash == "cell" else tanh(sigmoid(leave) * c)), c

    return step


def _gru_step(p: Params, reset_after: bool) -> Step:
    recurrent, bias = parameter(p, "recurrent", "gru", 2), parameter(p, "recurrent_bias", "gru", 1)
    agree("gru", bias.shape[0], recurrent.shape[1], "elements of 'recurrent_bias' and columns of 'recurrent' differ", bias, recurrent)
    size = recurrent.shape[0]

    def step(state: tuple[Node, ...], read: Node) -> tuple[Node, ...]:
        (h,) = state
        reset, update, new = _blocks(read, 3)
        if reset_after:
            more_reset, more_update, more_new = _blocks(matmul(h, recurrent) + bias, 3)
            made = tanh(new + sigmoid(reset + more_reset) * more_new)
        else:
            more_reset, more_update = _blocks(matmul(h, recurrent[:, : 2 * size]) + bias[: 2 * size], 2)
            made = tanh(new + matmul(sigmoid(reset + more_reset) * h, recurrent[:, 2 * size :]) + bias[2 * size :])
        z = sigmoid(update + more_update)
        return ((1 - z) * made + z * h,)

    return step


def _blocks(gates: Node, count: int) -> list[Node]:
    size = gates.shape[-1] // count
    return [gates[..., k * size : (k + 1) * size] for k in range(count)]


# -- layers -------------------------------------------------------------------------------------------------------------
def rnn(
    p: Params, x: ArrayLike, state: ArrayLike | None = None, *, activation: Callable[[Node], Node] = tanh, lengths: ArrayLike | None = None,
    reverse: bool = False, checkpoint: Checkpoint = None,
) -> tuple[Node, Node]:  # fmt: skip
    """(hs, h): h = activation(x[t] @ weight + bias + h @ recurrent) turn by turn, hs[t] = h; the h of the last turn.

    p: {"weight": (n_in, n), "recurrent": (n, n), "bias": (n,)}. x: (time, .., n_in) -> hs: (time, .., n), h: (.., n). state: what h begins
    as, zeros by default. lengths: of the sequences, integers (..): beyond its length a sequence keeps its h, and hs is 0. reverse: from
    the last turn (of each sequence) to the first. checkpoint: as of `gx.scan`. Raises ArgumentError where a parameter is missing,
    ShapeError with both sizes, DTypeError.

    >>> p = gx.nn.init.rnn(0, 3, 5)
    >>> hs, h = gx.nn.rnn(p, np.ones((7, 2, 3)))
    >>> hs.shape, h.shape
    ((7, 2, 5), (2, 5))
    """
    hs, (h,) = _run("rnn", p, 1, x, (state,), _rnn_step(p, activation), lengths, reverse, checkpoint)
    return hs, h


def lstm(
    p: Params, x: ArrayLike, state: tuple[ArrayLike, ArrayLike] | None = None, *, squash: str = "cell", lengths: ArrayLike | None = None,
    reverse: bool = False, checkpoint: Checkpoint = None,
) -> tuple[Node, tuple[Node, Node]]:  # fmt: skip
    """(hs, (h, c)): i, f, g, o = x[t] @ weight + bias + h @ recurrent in four blocks; c = sigmoid(f) * c + sigmoid(i) * tanh(g);

    h = sigmoid(o) * tanh(c), hs[t] = h: the long short-term memory (Hochreiter and Schmidhuber 1997; Gers et al. 2000).

    squash="product": h = tanh(sigmoid(o) * c), as some books have it. p: {"weight": (n_in, 4 n), "recurrent": (n, 4 n), "bias": (4 n,)}.
    x: (time, .., n_in) -> hs: (time, .., n), h and c: (.., n). state: (h, c) to begin with. Other arguments and errors as for `rnn`.
    """
    if state is not None and (not isinstance(state, tuple) or len(state) != 2):
        fail(ArgumentError, f"lstm: a state is a pair (h, c), got {type(state).__name__}")
    hs, (h, c) = _run("lstm", p, 4, x, (None, None) if state is None else state, _lstm_step(p, squash), lengths, reverse, checkpoint)
    return hs, (h, c)


def gru(
    p: Params, x: ArrayLike, state: ArrayLike | None = None, *, reset_after: bool = True, lengths: ArrayLike | None = None,
    reverse: bool = False, checkpoint: Checkpoint = None,
) -> tuple[Node, Node]:  # fmt: skip
    """(hs, h): h = (1 - z) * tanh(n + r * (h @ U_n + c_n)) + z * h, r = sigmoid(.. + h @ U_r + c_r), z = sigmoid(.. + h @ U_z + c_z).

    The dots and n are the blocks of x[t] @ weight + bias. reset_after=False: tanh(n + (r * h) @ U_n + c_n), as first published (Cho et al.
    2014), which takes two products a turn. p: {"weight": (n_in, 3 n), "recurrent": (n, 3 n), "bias": (3 n,), "recurrent_bias": (3 n,)},
    blocks r, z, n. x: (time, .., n_in) -> hs: (time, .., n), h: (.., n). Other arguments and errors as for `rnn`.
    """
    hs, (h,) = _run("gru", p, 3, x, (state,), _gru_step(p, reset_after), lengths, reverse, checkpoint)
    return hs, h


def _run(
    what: str, p: Params, blocks: int, x: ArrayLike, state: tuple[ArrayLike | None, ...], step: Step, lengths: ArrayLike | None,
    reverse: bool, checkpoint: Checkpoint,
) -> tuple[Node, tuple[Node, ...]]:  # fmt: skip
    """The scan of a step over what is read of x at all turns, in one product."""
    weight, recurrent = parameter(p, "weight", what, 2), parameter(p, "recurrent", what, 2)
    node = floats(what, x)
    if node.ndim < 2:
        fail(ShapeError, f"{what}: the input has the axes (time, .., features), not {node.ndim} axes", node)
    size = recurrent.shape[0]
    for name, have in (("recurrent", recurrent.shape[1]), ("weight", weight.shape[1])):
        agree(what, have, blocks * size, f"columns of {name!r} and {blocks} times the rows of 'recurrent' differ", weight, recurrent)
    read = dense(p, node)
    dtype = promote(read.dtype, recurrent.dtype)
    read, rows = astype(read, dtype), (*node.shape[1:-1], size)
    start = tuple([zeros(rows, dtype) if s is None else _state(what, s, rows, dtype) for s in state])
    inside = None if lengths is None else _inside(what, lengths, node)

    def turn(carry: tuple[Node, ...], xs: tuple[Node, Node | None]) -> tuple[tuple[Node, ...], Node]:
        made, here = step(carry, xs[0]), xs[1]
        if here is None:
            return made, made[0]
        kept = tuple([where(here, new, old) for new, old in zip(made, carry, strict=True)])
        return kept, where(here, made[0], 0)

    last, hs = scan(turn, start, (read, inside), reverse=reverse, checkpoint=checkpoint)
    return hs, last


def _state(what: str, state: ArrayLike, rows: tuple[Any, ...], dtype: Any) -> Node:
    node = astype(floats(what, state), dtype)
    if node.ndim > len(rows) or not all(n == 1 or same_size(n, m) for n, m in zip(node.shape[::-1], rows[::-1])):
        fail(ShapeError, f"{what}: a state should have the shape ({', '.join(map(str, rows))})", node)
    return broadcast_to(node, rows)


def _inside(what: str, lengths: ArrayLike, x: Node) -> Node:
    """[t, .., 0]: whether turn t is one of the sequence's."""
    node = asarray(lengths)
    if not is_integer(node.dtype):
        fail(DTypeError, f"{what}: lengths are integers", node)
    if node.ndim != x.ndim - 2 or not all(same_size(n, m) for n, m in zip(node.shape, x.shape[1:-1])):
        fail(ShapeError, f"{what}: needs a length for each sequence, ({', '.join(map(str, x.shape[1:-1]))})", node, x)
    turns = arange(x.shape[0])
    for _ in range(node.ndim):
        turns = expand_dims(turns, -1)
    return expand_dims(turns < node, -1)


def bidirectional(layer: Callable[..., tuple[Node, Any]], p: Params, x: ArrayLike, **options: Any) -> tuple[Node, tuple[Any, Any]]:
    """(hs, (state there, state back)): a layer run forwards and backwards over time, its outputs side by side: (time, .., 2 n).

    p: {"forward", "backward"}, two dicts of the layer, which is `rnn`, `lstm`, `gru` or of their kind. options: the layer's, such as
    `lengths`. Raises ArgumentError where a dict is missing.

    >>> p = {"forward": gx.nn.init.gru(0, 3, 5), "backward": gx.nn.init.gru(1, 3, 5)}
    >>> gx.nn.bidirectional(gx.nn.gru, p, np.ones((7, 2, 3)))[0].shape
    (7, 2, 10)
    """
    if "reverse" in options or "state" in options:
        fail(ArgumentError, "bidirectional: the directions and the states are its own")
    there, first = layer(part(p, "forward", "bidirectional"), x, **options)
    back, second = layer(part(p, "backward", "bidirectional"), x, reverse=True, **options)
    return concatenate([there, back], axis=-1), (first, second)


def jordan_rnn(
    p: Params, x: ArrayLike, targets: ArrayLike | None = None, *, activation: Callable[[Node], Node] = tanh,
    feedback: Callable[[Node], Node] | None = None, first: ArrayLike | None = None,
) -> Node:  # fmt: skip
    """o: h = activation(x[t] @ weight + bias + y @ recurrent), o[t] = h @ V + c, y what the turn before gave: outputs alone are carried.

    p: {"weight": (n_in, n), "recurrent": (n_out, n), "bias": (n,), "out": a dict of `dense`, (n, n_out)}. x: (time, .., n_in) ->
    (time, .., n_out). y is feedback(o[t - 1]), by default o[t - 1] itself, and at first `first`, zeros by default. With targets
    (time, .., n_out), teacher forcing: y = targets[t - 1], all turns at once, no loop. Raises ArgumentError where a parameter is missing,
    ShapeError with both sizes, DTypeError. (Jordan 1986)
    """
    what = "jordan_rnn"
    recurrent, out, node = parameter(p, "recurrent", what, 2), part(p, "out", what), floats(what, x)
    if node.ndim < 2:
        fail(ShapeError, f"{what}: the input has the axes (time, .., features), not {node.ndim} axes", node)
    read = dense(p, node)
    agree(what, read.shape[-1], recurrent.shape[1], "columns of 'weight' and 'recurrent' differ", read, recurrent)
    dtype = promote(read.dtype, recurrent.dtype)
    rows = (*node.shape[1:-1], recurrent.shape[0])
    start = zeros(rows, dtype) if first is None else _state(what, first, rows, dtype)
    if targets is not None:
        known = astype(floats(what, targets), dtype)
        _same_shape(what, known, (node.shape[0], *rows))
        before = concatenate([expand_dims(start, 0), known], axis=0)[: node.shape[0]]
        return dense(out, activation(read + matmul(before, recurrent)))

    def turn(before: Node, at: Node) -> tuple[Node, Node]:
        o = dense(out, activation(at + matmul(before, recurrent)))
        return astype(o if feedback is None else feedback(o), dtype), o

    return scan(turn, start, read)[1]  # type: ignore[no-any-return]


def _same_shape(what: str, targets: Node, shape: tuple[Any, ...]) -> None:
    if targets.ndim != len(shape) or not all(same_size(a, b) for a, b in zip(targets.shape, shape)):
        fail(ShapeError, f"{what}: targets should have the shape ({', '.join(map(str, shape))})", targets)


__all__ = ["bidirectional", "gru", "jordan_rnn", "lstm", "rnn"]
