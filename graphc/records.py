"""`dataclass`, as the standard library's, whose methods are written when they are first called.

    @dataclass(frozen=True)
    class Axis:                  ->     Axis.__init__, __eq__, __hash__ : each a few lines of text, compiled at its first call
        index: Dim
        extent: Size

The standard library compiles all six methods of a class where it is declared, .4 ms together: for the 130 classes of a compiler a tenth
of the time to the first result. Most of these are never compared, printed or hashed, and many are never made. What is written is the same,
and so are `fields`, `replace` and `match`. Classes that users may derive their own dataclasses from are the standard library's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import MISSING, Field, FrozenInstanceError
from typing import TYPE_CHECKING, Any, NoReturn

Method = Callable[..., Any]


def _declared(cls: type | None = None, /, *, frozen: bool = False, eq: bool = True, repr: bool = True) -> Any:
    """The class, or what makes one of a class."""
    return (lambda c: _record(c, frozen, eq, repr)) if cls is None else _record(cls, frozen, eq, repr)


def _record(cls: type, frozen: bool, eq: bool, repr: bool) -> type:
    made: type = dataclasses.dataclass(init=False, repr=False, eq=False)(cls)
    own, fields = made.__dict__, dataclasses.fields(made)
    compared = [f.name for f in fields if f.compare]
    hashed = [f.name for f in fields if (f.compare if f.hash is None else f.hash)]
    methods: dict[str, Method | None] = {"__init__": _later(made, "__init__", lambda: _init(made, fields, frozen))}
    if repr:
        methods["__repr__"] = _shown(tuple([f.name for f in fields if f.repr]))
    if eq:
        methods["__eq__"] = _later(made, "__eq__", lambda: _eq(made, compared))
        if own.get("__hash__") is None:  # a class that says how it is compared has None there
            methods["__hash__"] = _later(made, "__hash__", lambda: _hash(made, hashed)) if frozen else None
    if frozen:
        methods |= {"__setattr__": _refuse_to_set, "__delattr__": _refuse_to_delete}
    for name, method in methods.items():
        if name not in own or name == "__hash__":
            setattr(made, name, method)
    return made


def _later(cls: type, name: str, write: Callable[[], Method]) -> Method:
    """A method that puts what `write` gives in its place. Threads may both do so: to the same effect."""

    def first(self: object, *args: object, **keywords: object) -> Any:
        method = write()
        method.__name__, method.__qualname__ = name, f"{cls.__qualname__}.{name}"
        setattr(cls, name, method)
        return method(self, *args, **keywords)

    return first


def _written(cls: type, head: str, body: list[str], **known: object) -> Method:
    """The function `method` of this head and body, which stands where the class does: sizes ask who compares them."""
    known["__name__"] = cls.__module__
    exec(compile("\n ".join([f"def method({head}):", *body]), __file__, "exec"), known)
    method: Method = known["method"]  # type: ignore[assignment]
    return method


def _init(cls: type, fields: tuple[Field[Any], ...], frozen: bool) -> Method:
    """self.x = x for each field, or what its default is or makes; then `__post_init__`."""
    known: dict[str, object] = {"_missing": MISSING, "_set": object.__setattr__}
    head, body = ["self"], []
    for f in fields:
        value = f.name
        if f.default_factory is not MISSING:
            known[f"_make_{f.name}"] = f.default_factory
            head += [f"{f.name}=_missing"] if f.init else []
            value = f"_make_{f.name}() if {f.name} is _missing else {f.name}" if f.init else f"_make_{f.name}()"
        elif not f.init:
            continue
        elif f.default is not MISSING:
            known[f"_default_{f.name}"] = f.default
            head.append(f"{f.name}=_default_{f.name}")
        else:
            head.append(f.name)
        body.append(f"_set(self, {f.name!r}, {value})" if frozen else f"self.{f.name} = {value}")
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    return _written(cls, ", ".join(head), body or ["pass"], **known)


def _tuple(of: str, names: list[str]) -> str:
    return f"({''.join([f'{of}.{name}, ' for name in names])})"


def _eq(cls: type, names: list[str]) -> Method:
    compared = f"return {_tuple('self', names)} == {_tuple('other', names)} if other.__class__ is self.__class__ else NotImplemented"
    return _written(cls, "self, other", [compared])


def _hash(cls: type, names: list[str]) -> Method:
    return _written(cls, "self", [f"return hash({_tuple('self', names)})"])


def _shown(names: tuple[str, ...]) -> Method:
    """Name(x=1, y=2)"""

    def shown(self: object) -> str:
        return f"{type(self).__qualname__}({', '.join([f'{name}={getattr(self, name)!r}' for name in names])})"

    return shown


def _refuse_to_set(self: object, name: str, value: object) -> NoReturn:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(self: object, name: str) -> NoReturn:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


if TYPE_CHECKING:  # what type checkers know
    from dataclasses import dataclass as dataclass
else:
    dataclass = _declared
