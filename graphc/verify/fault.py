"""The message of a broken invariant: the step, the kernel, and the user's lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from graphc import dims
from graphc.dims import Size
from graphc.dtypes import SHORT
from graphc.errors import CompileError
from graphc.program import Kernel, Step
from graphc.verify.kernel import kernel_lines


def array_text(dtype: object, shape: Sequence[Size]) -> str:
    return f"{SHORT.get(dtype, dtype)}[{dims.format_shape(tuple(shape))}]"  # type: ignore[call-overload]


def broken(what: str, kernel: Kernel | None = None, k: int | None = None, step: Step | None = None) -> NoReturn:
    lines = [f"verify: {what}" if k is None else f"verify: step {k} {what}" if what[0].islower() else f"verify: {what}"]
    if step is not None:
        made = ", ".join(n.describe() for n in step.made[:4])
        lines.append(f"  step {k}: {type(step).__name__} of ({', '.join(f'%{b}' for b in step.own)}), for {made or 'no node'}")
    raise CompileError("\n".join([*lines, *(kernel_lines(kernel) if kernel is not None else ())]))
