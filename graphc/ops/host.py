"""Host ops: ops whose value is a call of a function of NumPy's arrays, made by the running program when its turn has come.

    EXPM = host_op("expm", 1, "The exponential of a square matrix.", type_rule=square, ref=expm_ref, vjp=expm_vjp)

The row is an op like any other: the interpreter calls `ref`, and so does a compiled call, with arrays of its own. Results are checked
against the type. It is written in a pickle by its name. Batch axes stand in front of the axes that it knows, in all operands alike, so
that it is mapped without a loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from graphc.dims import Dim, Size
from graphc.errors import LinAlgError, compose
from graphc.ir import Node, Op, make
from graphc.ops.outputs import outputs
from graphc.ops.registry import OPS, register
from graphc.ops.spread import broadcast
from graphc.records import dataclass
from graphc.traits import Traits

HOST = "host"


@dataclass(frozen=True)
class Reference:
    """What a program calls: `ref` of the op with these parameters, those that are sizes given as numbers behind the arrays."""

    op: Op
    params: tuple[Any, ...] = ()

    @property
    def __name__(self) -> str:
        return self.op.name

    @property
    def sizes(self) -> tuple[Size, ...]:
        """The parameters that a call gives a value."""
        return tuple([p for p in self.params if isinstance(p, Dim)])

    def __call__(self, *given: Any) -> Any:
        count = len(given) - len(self.sizes)
        sizes = iter(given[count:])
        params = [next(sizes) if isinstance(p, Dim) else p for p in self.params]
        with np.errstate(all="ignore"):
            return self.op.ref(*given[:count], **dict(zip(self.op.params, params, strict=True)))  # type: ignore[misc]

    def __reduce__(self) -> Any:
        return _reference, (self.op.name, self.params)


def _reference(name: str, params: tuple[Any, ...]) -> Reference:
    return Reference(OPS[name], params)


def is_host(node: Node) -> bool:
    """Whether a compiled call leaves native code for the value of a node."""
    return node.op.traits.kernel == HOST


def refusal(node: Node) -> tuple[int, str] | None:
    """The output of a node that says which examples have no value, and what is wrong with them; None where nobody asks."""
    found = node.op.traits.refusal
    return None if found is None else found(node)


def refuse(node: Node, results: Sequence[np.ndarray]) -> None:
    """Raise LinAlgError if one of the examples has no value."""
    asked = refusal(node)
    if asked is not None and np.any(bad := results[asked[0]]):
        raise LinAlgError(refused_text(node, tuple(int(i) for i in np.argwhere(bad)[0])))


def refused_text(node: Node, at: tuple[int, ...]) -> str:
    """The text of the error for the example at this place in the batch."""
    asked = refusal(node)
    assert asked is not None
    where = f" at {at} of the batch" if at else ""
    return compose(f"{node.op.name}: the matrix{where} {asked[1]}", *node.inputs, hint='on_error="nan" gives nan for such a matrix')


def lanes_in_front(op: Callable[[], Op]) -> Callable[..., Any]:
    """A batch rule: the mapped axis is one more batch axis, in front of all operands."""

    def batch(inputs: Sequence[Node], mapped: Sequence[bool], **params: Any) -> Any:
        size = next(x.shape[0] for x, m in zip(inputs, mapped) if m)
        every = [x if m else broadcast(x, (size, *x.shape), tuple(range(1, x.ndim + 1))) for x, m in zip(inputs, mapped)]
        made = make(op(), tuple(every), tuple(params.values()))
        return outputs(made) if isinstance(made.type, tuple) else made

    return batch


def host_op(name: str, arity: int | None, doc: str, *, traits: Traits | None = None, **fields: Any) -> Op:
    """Declare and register a host op: `type_rule`, `ref`, `vjp` and the other fields of `graphc.ir.Op`; `batch` is `lanes_in_front`."""
    fields.setdefault("batch", lanes_in_front(lambda: OPS[name]))
    fields.setdefault("params", ())
    return register(Op(name=name, arity=arity, doc=doc, traits=replace(traits or Traits(), kernel=HOST), **fields))
