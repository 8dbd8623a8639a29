"""Modules of loops that all entries of a process share: how their text is filled in, and how they are compiled and linked, once."""

from __future__ import annotations

from collections.abc import Mapping

from graphc.codegen import jit
from graphc.codegen import object_cache as cache
from graphc.codegen.entry import cpython
from graphc.codegen.target import host

_CODE: list[jit.Loaded] = []


def filled(text: str, values: Mapping[str, object]) -> str:
    """The text with a value in place of each $name$."""
    for name, value in values.items():
        text = text.replace(f"${name}$", str(value))
    return text


def linked(text: str, names: tuple[str, ...]) -> dict[str, int]:
    """The addresses of these functions of a module, whose code stays from now on."""
    code = jit.load(cache.compiled(text, host()), cpython.addresses())
    _CODE.append(code)
    return {name: code.address(name) for name in names}


def for_each(name: str, parameters: str, body: str) -> str:
    """A function that does `body`, which needs the number %k, for each k below its parameter %count."""
    return f"""
define void @{name}({parameters}) nounwind {{
entry:
  br label %next
next:
  %k = phi i64 [ 0, %entry ], [ %k1, %one ]
  %on = icmp slt i64 %k, %count
  br i1 %on, label %one, label %done
one:
{body}
  %k1 = add i64 %k, 1
  br label %next
done:
  ret void
}}
"""
