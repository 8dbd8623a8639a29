"""`Options`: how to compile, as one frozen value that is passed down: `Options(mode="default", threads=2, verify=True)`."""

from __future__ import annotations

from graphc.records import dataclass
from graphc.target import Target


@dataclass(frozen=True)
class Options:
    """What does not change what a function means, but how it is made."""

    mode: str = "default"
    """The level of the graph passes."""
    threads: int | None = None
    """How many one call may use; None: what `set_num_threads` says."""
    fma: bool = True
    """Whether a product and a sum may become one operation with one rounding."""
    flush_subnormals: bool = False
    """Whether subnormal numbers are taken for zero, see `graphc.flush_subnormals`."""
    verify: bool = False
    """Whether graphs, clusters, programs and loops are verified at each boundary of the compiler."""
    canaries: bool = False
    """Whether arrays of a call lie apart, with a pattern between that is checked after it, see `graphc.codegen.runtime.canaries`."""
    target: Target | None = None
    """The CPU to make code for; None: this one."""


_DEFAULT = [Options()]


def default_options() -> Options:
    """What a function is compiled with where its caller says nothing."""
    return _DEFAULT[0]


def set_default_options(options: Options) -> None:
    """Make these the options of functions compiled from now on. The tests verify: `set_default_options(Options(verify=True))`."""
    _DEFAULT[0] = options
