"""One LLVM module being written: the attributes its functions share, and out-of-line scalar math."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from codegen.mathlib import expand
from codegen.text import Block as Lines
from codegen.text import Module, evaluate, llvm_type
from graphc import scalar as sc
from graphc.program import Kernel
from graphc.target import Target


def fresh(lines: Lines) -> str:
    """A new SSA name."""
    return f"%v{next(lines.names)}"


class Unit:
    """One LLVM module being written: kernels once each, and out-of-line scalar math."""

    def __init__(self, target: Target, fma: bool = True) -> None:
        self.target = target
        self.product_target = target if fma else replace(target, has_fma=False)  # products write their multiply-adds themselves
        self.module = Module()
        self.names: dict[Kernel, str] = {}  # of the kernels' functions, for kernels that call others
        self.kernel_attributes = self.module.attributes(f'nounwind "prefer-vector-width"="{8 * target.vector_bytes}"')
        self.math_attributes = self.module.attributes("nounwind noinline")
        self.math_functions: dict[tuple[str, tuple[np.dtype, ...]], str] = {}

    def math_function(self, name: str, dtypes: tuple[np.dtype, ...]) -> str:
        """The out-of-line scalar copy of a math function, written once a module."""
        known = self.math_functions.get((name, dtypes))
        if known is not None:
            return known
        symbol = self.math_functions[name, dtypes] = f"m.{name}." + ".".join(d.name for d in dtypes)
        root = expand(sc.math(name, *[sc.arg(k, d) for k, d in enumerate(dtypes)]), self.target)
        lines = Lines()
        lines.current = "entry"
        result = evaluate(self.module, lines, self.target, root, [f"%x{k}" for k in range(len(dtypes))], 1)
        params = ", ".join(f"{llvm_type(d, 1)} %x{k}" for k, d in enumerate(dtypes))
        kind, text = llvm_type(root.dtype, 1), "\n".join(lines.lines)
        self.module.functions[symbol] = (
            f"define internal {kind} @{symbol}({params}) {self.math_attributes} {{\nentry:\n{text}\n  ret {kind} {result}\n}}\n"
        )
        return symbol
