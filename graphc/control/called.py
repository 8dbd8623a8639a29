"""What rules of ops share that call their body once: the body differentiated or mapped, as a new body."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.control.bodies import lifted, opened, with_lanes
from graphc.control.tracing import fits, stand_in
from graphc.derivatives.batch import batch
from graphc.derivatives.forward import push_forward
from graphc.derivatives.grad import pull_back
from graphc.derivatives.user_trees import filled
from graphc.dims import Size
from graphc.dtypes import is_float
from graphc.errors import ShapeError, fail
from graphc.ir import Node
from graphc.region import Region, bind
from graphc.types import TensorType

Parts = Sequence["Node | None"]


def called_type(what: str, body: Region, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
    """The types of the outputs of a body that is called on inputs of these types; ShapeError where they do not fit."""
    if len(inputs) != len(body.types) or not all(map(fits, inputs, body.types)):
        fail(ShapeError, f"{what} takes {', '.join(map(str, body.types))}, given {', '.join(map(str, inputs))}")
    return tuple([o.tensor for o in body.outputs])


def pulled(body: Region, cotangents: Parts) -> tuple[Region, list[int], list[Node]]:
    """(the body of a reverse derivative, the inputs whose cotangents it gives, the cotangents that it reads behind the inputs).

    It reads the inputs of `body` and the cotangents that are not None.
    """
    xs, ys = opened(body)
    seeds = [(y, stand_in(u.tensor)) for y, u in zip(ys, cotangents) if u is not None]
    found = pull_back(seeds, {x for x in xs if is_float(x.dtype)})
    reached = [k for k, x in enumerate(xs) if x in found]
    back = bind([found[xs[k]] for k in reached], [*xs, *[u for _, u in seeds]])
    return back, reached, [u for u in cotangents if u is not None]


def pushed(body: Region, tangents: Parts) -> tuple[Region, list[int], list[Node]]:
    """(the body of a forward derivative, the outputs whose tangents it gives, the tangents that it reads behind the inputs)."""
    xs, ys = opened(body)
    seeds = {x: stand_in(t.tensor) for x, t in zip(xs, tangents) if t is not None}
    made = push_forward(ys, seeds)
    reached = [k for k, t in enumerate(made) if t is not None]
    return bind([t for t in made if t is not None], [*xs, *seeds.values()]), reached, [t for t in tangents if t is not None]


def mapped_body(body: Region, mapped: Sequence[bool], size: Size) -> Region:
    """The body over inputs with a leading axis of lanes where `mapped`; all outputs have one."""
    xs, ys = opened(body)
    lanes = {x: with_lanes(x, size) for x, m in zip(xs, mapped) if m}
    return bind(lifted(batch(ys, lanes, size), size), [lanes.get(x, x) for x in xs])


def zeros_for(values: Parts, like: Sequence[Node]) -> list[Node]:
    """The values, zeros where there is none."""
    return [filled(0, n) if v is None else v for v, n in zip(values, like)]
