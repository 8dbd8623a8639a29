"""A comparison of sizes that only a call can decide.

x = gx.matrix("x")
x.shape[0] == x.shape[0]        True: the same normal form
x.shape[0] == x.shape[0] + 1    False: for no size equal
if x.shape[0] == 3: ...         ArgumentError: a guard that were silently False would let the wrong code run
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

from graphc.errors import ArgumentError, fail

_RELATIONS = {"==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


class Undecided:
    """`a == b` (`<`, `<=`, ..) of sizes where it depends on the call: its truth value raises, with both in the text.

    It may stand where a condition of the graph may: `gx.where(x.shape[0] == 3, a, b)`.
    """

    __slots__ = ("a", "b", "relation")

    def __init__(self, a: object, relation: str, b: object) -> None:
        self.a, self.relation, self.b = a, relation, b

    def __bool__(self) -> bool:
        what = f"whether {self} is not known before the call: the function is built once, for all sizes"
        hint = "declare the size as a number, or choose in the graph: gx.where(size == value, a, b)"
        fail(ArgumentError, what, hint=hint)

    def of(self, value: Callable[[Any], Any]) -> Any:
        """The relation of value(a) and value(b)."""
        return _RELATIONS[self.relation](value(self.a), value(self.b))

    def __repr__(self) -> str:
        return f"{self.a} {self.relation} {self.b}"


def decided(known: bool | None, a: object, relation: str, b: object) -> bool | Undecided:
    """What is known of a relation, or the relation itself, which raises where its truth is asked."""
    return Undecided(a, relation, b) if known is None else known


def no_value(size: object) -> NoReturn:
    """Raise: a size is no int or float."""
    hint = "gx.asarray(size) is its value in the graph; gx.arange, gx.zeros and shapes take the size as it is"
    fail(ArgumentError, f"the symbolic size {size} has no value until the function is called, so it is no int or float", hint=hint)


def inside(frame: FrameType) -> bool:
    """Whether a comparison stands in graphc's own code, where `==` of sizes means the same normal form, as for types and parameters.

    Equality of tuples and dicts calls `==` of what they hold without a frame in between, so this is the frame that compares.
    """
    name = frame.f_globals.get("__name__")
    return type(name) is str and name.startswith("graphc.")
