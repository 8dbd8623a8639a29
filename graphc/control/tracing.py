"""A user's function traced to a body: called once on stand-ins for its arguments, what it captures becomes operands.

    body = trace("scan", f, [carry types, element types])      body.outputs over body.inputs, before it is closed

Outside a body is what was made before its function was called; the rest was made by the function and stays inside, also where it
does not depend on an argument, so that a branch that is not taken costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

from graphc import tree
from graphc.dims import Size
from graphc.dtypes import int64
from graphc.enclosing import inside
from graphc.errors import ArgumentError, DTypeError, ShapeError, fail
from graphc.ir import Node, make
from graphc.ops.registry import INPUT, asarray, new_serial
from graphc.records import dataclass
from graphc.tree import Tree, TreeDef
from graphc.types import TensorType, as_size, same_size, tensor_type

INDEX = tensor_type(int64, ())

_turns: ContextVar[tuple[Node, ...]] = ContextVar("turns", default=())


def fits(given: TensorType, wanted: TensorType) -> bool:
    """Whether a value of the one type may stand for the other; sizes that nobody can compare are taken to be equal."""
    return given.dtype == wanted.dtype and len(given.shape) == len(wanted.shape) and all(map(same_size, given.shape, wanted.shape))


@dataclass(frozen=True)
class Leaves:
    """A tree as nodes: the path of each leaf in words, and which leaves were Python numbers, whose dtype may yet give way."""

    nodes: tuple[Node, ...]
    paths: tuple[str, ...]
    structure: TreeDef
    weak: tuple[bool, ...]

    @property
    def types(self) -> tuple[TensorType, ...]:
        return tuple([n.tensor for n in self.nodes])


def leaves_of(what: str, name: str, value: Tree) -> Leaves:
    """The leaves of what a user gave or returned as `name`; ArgumentError names the one that is no array."""
    values, structure = tree.flatten(value)
    paths = tuple([name + path for path in tree.paths(value)])
    nodes = []
    for leaf, path in zip(values, paths):
        if callable(leaf) and not isinstance(leaf, Node):
            fail(ArgumentError, f"{what}: {path} is a function, not an array", hint="functions are captured, not carried")
        nodes.append(_array(what, path, leaf))
    weak = tuple([isinstance(leaf, (int, float)) and not isinstance(leaf, bool) for leaf in values])
    return Leaves(tuple(nodes), paths, structure, weak)


def _array(what: str, path: str, leaf: Any) -> Node:
    try:
        return asarray(leaf)
    except (ArgumentError, DTypeError) as reason:
        raise type(reason)(f"{what}: {path}: {reason}") from None


def size_of(what: str, name: str, value: Any) -> Size:
    """A number of turns: an int, a Dim, the name of a size."""
    if isinstance(value, Node):
        hint = "a number of turns that is a value is a bound of fori_loop, or the condition of while_loop"
        fail(ShapeError, f"{what}: {name} is a size, which cannot come from a value", value, hint=hint)
    try:
        return as_size(value)
    except ShapeError as reason:
        raise ShapeError(f"{what}: {name}: {reason}") from None


def called(what: str, f: Any) -> None:
    """ArgumentError unless f can be called."""
    if not callable(f):
        fail(ArgumentError, f"{what}: {f!r:.60} is no function")


STAND_IN = -(1 << 40)  # the numbers of stand-ins lie below it: those of a user's variables are positive


def stand_in(type: TensorType, name: str = "x") -> Node:
    """A new variable of the type, for use in a body."""
    return make(INPUT, (), (name or "x", STAND_IN - new_serial(), type.dtype, type.shape))


def is_stand_in(variable: Node) -> bool:
    """Whether a variable means nothing outside of the body that it was made for."""
    return variable.op is INPUT and bool(variable.params[1] < STAND_IN)


def stand_ins(like: Sequence[TensorType], names: Sequence[str]) -> list[Node]:
    """A new variable for each type."""
    return [stand_in(t, name) for t, name in zip(like, names, strict=True)]


@dataclass(frozen=True)
class Traced:
    """What a function of stand-ins gave: `result` over `index` and `arguments`; nodes older than `since` lie outside of it."""

    index: Node
    arguments: tuple[Node, ...]
    result: Any
    since: int


def trace(what: str, f: Callable[..., Any], arguments: Sequence[Tree], loop: bool) -> Traced:
    """f called on stand-ins for trees of nodes; of a `loop`, `turn_index` is known inside."""
    called(what, f)
    index = stand_in(INDEX, "turn")
    variables: list[Node] = []
    given = []
    for argument in arguments:
        nodes, structure = tree.flatten(argument)
        fresh = stand_ins([n.tensor for n in nodes], [n.name or "x" for n in nodes])
        variables += fresh
        given.append(tree.unflatten(structure, fresh))
    with _turn(index) if loop else _nothing():
        return Traced(index, tuple(variables), f(*given), index.serial)


@contextmanager
def _turn(index: Node) -> Iterator[None]:
    token = _turns.set((*_turns.get(), index))
    try:
        with inside(index):
            yield
    finally:
        _turns.reset(token)


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def turn_index() -> Node:
    """The number of the turn of the innermost loop whose body is being built, a 0-d int64: the row of `xs` that it sees.

        gx.scan(lambda s, x: (s + gx.turn_index() * x, None), 0.0, xs)        sum of t * xs[t]

    Of a while loop, the number of turns before this one. Raises ArgumentError outside of a body.
    """
    turns = _turns.get()
    if not turns:
        fail(ArgumentError, "turn_index: no loop is being built", hint="call it inside the function that scan or while_loop is given")
    return turns[-1]


def with_numbers(carry: Leaves, init: Tree, body: Callable[[Tree], Tree]) -> Leaves:
    """The carry with its Python numbers in the dtype that one turn of `body` gives them, called on the numbers themselves.

    0.0 + x is of the dtype of x. A body that takes no plain numbers leaves them in their own dtypes, and `settle` has the last word.
    """
    if not any(carry.weak):
        return carry
    values = [v if w else stand_in(n.tensor, n.name or "x") for v, w, n in zip(tree.leaves(init), carry.weak, carry.nodes)]
    try:
        with _turn(stand_in(INDEX, "turn")):
            found = tree.leaves(body(tree.unflatten(carry.structure, values)))
    except Exception:
        return carry
    if len(found) != len(values):
        return carry
    nodes = [n.astype(f.dtype) if w and isinstance(f, Node) else n for n, w, f in zip(carry.nodes, carry.weak, found)]
    return Leaves(tuple(nodes), carry.paths, carry.structure, carry.weak)


def settle(what: str, carry: Leaves, found: Leaves) -> Leaves | None:
    """The carry in the dtypes in which the body gives it back, which Python numbers take; None where it goes in as it comes out.

    ArgumentError, DTypeError or ShapeError names the leaf that changes.
    """
    if carry.structure != found.structure:
        difference = carry.structure.difference(found.structure)
        fail(
            ArgumentError,
            f"{what}: the carry goes in and comes out with different structures, {difference}",
            hint="return a tree like init",
        )
    nodes = []
    for before, after, path, weak in zip(carry.nodes, found.nodes, carry.paths, carry.weak):
        nodes.append(before.astype(after.dtype))
        if after.dtype != before.dtype and not weak:
            hint = f"cast one of the two, as by .astype({before.dtype.name!r})"
            fail(DTypeError, f"{what}: {path} goes in as {before.dtype} and comes out as {after.dtype}", before, after, hint=hint)
        same_shape(f"{what}: {path} goes in as {before.tensor} and comes out as {after.tensor}", before.shape, after.shape, before, after)
    if all(a is b for a, b in zip(nodes, carry.nodes)):
        return None
    return replace(carry, nodes=tuple(nodes))


def same_shape(text: str, a: Sequence[Size], b: Sequence[Size], *operands: Node, hint: str = "its shape may not change") -> None:
    """ShapeError unless the shapes may be equal."""
    if len(a) != len(b) or not all(map(same_size, a, b)):
        fail(ShapeError, text, *operands, hint=hint)
