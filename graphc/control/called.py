"""What rules of ops with bodies share: a body differentiated or mapped as an ordinary stretch of graph over stand-ins."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.derivatives.batch import batch, lift
from graphc.derivatives.forward import push_forward
from graphc.derivatives.grad import pull_back
from graphc.derivatives.user_trees import filled
from graphc.dims import Size
from graphc.dtypes import is_float
from graphc.ir import Node
from graphc.ops.registry import INPUT, variable
from graphc.region import Region, bind
from graphc.types import TensorType


def fresh(types: Sequence[TensorType], name: str = "x") -> list[Node]:
    """A new variable for each type."""
    return [variable(INPUT, name, t.dtype, t.shape) for t in types]


def pulled(body: Region, cotangents: Sequence[Node | None]) -> tuple[Region, list[int], list[Node]]:
    """(the body of a reverse derivative, the inputs whose cotangents it gives, the cotangents that it reads behind the inputs).

    It reads the inputs of `body` and the cotangents that are not None.
    """
    xs = fresh(body.types)
    ys = body(*xs)
    given = [u for u in cotangents if u is not None]
    stand_ins = fresh([u.tensor for u in given], "u")
    seeds = zip([y for y, u in zip(ys, cotangents) if u is not None], stand_ins)
    found = pull_back(list(seeds), {x for x in xs if is_float(x.dtype)})
    reached = [k for k, x in enumerate(xs) if x in found]
    return bind([found[xs[k]] for k in reached], [*xs, *stand_ins]), reached, given


def pushed(body: Region, tangents: Sequence[Node | None]) -> tuple[Region, list[int], list[Node]]:
    """(the body of a forward derivative, the outputs whose tangents it gives, the tangents that it reads behind the inputs)."""
    xs = fresh(body.types)
    given = [t for t in tangents if t is not None]
    stand_ins = iter(fresh([t.tensor for t in given], "t"))
    seeds = {x: next(stand_ins) for x, t in zip(xs, tangents) if t is not None}
    made = push_forward(body(*xs), seeds)
    reached = [k for k, t in enumerate(made) if t is not None]
    return bind([t for t in made if t is not None], [*xs, *seeds.values()]), reached, given


def mapped_body(body: Region, mapped: Sequence[bool], size: Size) -> Region:
    """The body over inputs with a leading axis of lanes where `mapped`; all outputs have one."""
    xs = fresh(body.types)
    lanes = {x: variable(INPUT, "lanes", x.dtype, (size, *x.shape)) for x, m in zip(xs, mapped) if m}
    made = [y if has else lift(y, size) for y, has in batch(body(*xs), lanes, size)]
    return bind(made, [lanes.get(x, x) for x in xs])


def zeros_for(values: Sequence[Node | None], like: Sequence[Node]) -> list[Node]:
    """The values, zeros where there is none."""
    return [filled(0, n) if v is None else v for v, n in zip(values, like)]
