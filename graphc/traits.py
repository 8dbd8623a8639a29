"""`Traits`: what the compiler must know of an op besides its value and its derivatives, as typed fields of the op's row.

    GATHER = structural("gather", ..., traits=Traits(moves="data", by_data=(0,), checked=...))

Whoever needs to know whether an op only moves elements, must be checked, or has a kernel of its own asks its traits, and
never for its name: a new op is treated as its row says, everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from graphc.dims import Size
from graphc.records import dataclass

if TYPE_CHECKING:
    from graphc.ir import Node
    from graphc.loopform import Routine
    from graphc.scalars import Scalar

Leaf = Literal["input", "shared", "constant"]
Moves = Literal["same", "view", "data", "fill", "join"]


@dataclass(frozen=True)
class Selects:
    """Indices that select along an axis of operand 0, to be checked: all must lie in [0, size), in [-size, size) where they `wrap`.

    copies: how many elements of the op's own index each of them is for; of none nothing is checked.
    """

    indices: Node
    axis: int
    size: Size
    wraps: bool = False
    copies: Size = 1


@dataclass(frozen=True)
class Traits:
    """One line an attribute; the default is what an op is that says nothing.

    leaf: a value that is given, not computed: by the caller, by state, by the graph.

    moves: every element of the result is an element of an operand, unchanged:
        same    operand 0 itself                                             stop_gradient
        view    operand 0 at an index that the parameters alone give         slice, reverse, reshape, transpose, broadcast, diagonal
        data    operand 0 at an index that integer operands give             gather
        fill    operand 0 as for a view, operand 1 where there is none       pad
        join    one operand or another, by the index alone                   concat
    permutes: of views, those whose index is the result's, reordered or in part: nothing is computed to find an element.
    repeats: of views, those that may read one element for many of the result.
    relabels: of views, the same elements in the same order in memory: a stored operand is the stored result.
    piece: of views, node -> the element of the operand from which on the result lies in memory as it is; None where it lies scattered.
    affine: of views, whether addresses move evenly along the loops; None: they always do.
    starts: of joins, node -> for each operand the index of the result at which it begins.

    by_address: operands that the op's kernel reads at addresses of its own, or more than once an element: they are stored first.
    by_data: such operands whose addresses come from data, so that no index arithmetic can be done on the way.
    checked: node -> the indices to check before its kernel runs.
    kernel: the kind of kernel that the op has alone, for a row of `graphc.codegen.strategy.table` to accept (what none accepts becomes
        loops, as its LoopForm says); None: it is a stage among others.
    routine: node -> how a host op is computed in native code where its matrices are small, or None.
    refusal: node -> the output with a number for each example that is 0 where its value is good, and what is wrong where it is not:
        the call ends with LinAlgError there; None where such examples are the user's to find.
    reduces: combines over the axes of its parameter `axes`, which disappear: a reduction that may share loops with its producers.

    stops: derivatives do not pass, by definition.
    refuses: operands by which there is no derivative though there is one by others, each with what the error says; see `refuse`.
    marks: the result is operand 0, and only derivatives see a difference: it is gone before anything is compiled.
    jumps: the result is drawn at random as the operands say, from separated values: no derivative, and none that is 0 either; what depends
        on it has no derivative by what the operands depend on, see `graphc.derivatives.jumps`.
    stated: of ops with bodies, the derivative is the user's: nobody looks for one in the bodies.
    keeps_zeros: of elementwise ops, a cotangent that is 0 gives 0, whatever the operands.
    masks: (out, *inputs, **params) -> for each input where a cotangent can be other than 0, or None; see `derivatives.grad`.
    through: (cotangents of the outputs with their masks, whether an input has use for a mask, outputs, *inputs, **params) -> cotangents of
        the inputs with their masks: the vjp of an op with bodies, inside of which masks arise and matter.
    reads: (node, k) -> the operands on which output k depends, of an op with bodies; None: on all of them.
    instruction: costly, but an instruction of the machine, not a function of the math library.
    together: ops of one such name share most of their work where they have the same argument.
    """

    leaf: Leaf | None = None
    moves: Moves | None = None
    permutes: bool = False
    repeats: bool = False
    relabels: bool = False
    piece: Callable[[Node], Size | None] | None = None
    affine: Callable[[Node], bool] | None = None
    starts: Callable[[Node], list[tuple[Size, ...]]] | None = None
    by_address: tuple[int, ...] = ()
    by_data: tuple[int, ...] = ()
    checked: Callable[[Node], list[Selects]] | None = None
    kernel: str | None = None
    routine: Callable[[Node], Routine | None] | None = None
    refusal: Callable[[Node], tuple[int, str] | None] | None = None
    reduces: bool = False
    stops: bool = False
    refuses: tuple[tuple[int, str], ...] = ()
    marks: bool = False
    jumps: bool = False
    stated: bool = False
    keeps_zeros: bool = False
    masks: Callable[..., Sequence[Node | None]] | None = None
    through: Callable[..., Sequence[Any]] | None = None
    reads: Callable[[Node, int], Sequence[int]] | None = None
    instruction: bool = False
    together: str | None = None

    @cached_property
    def stored(self) -> tuple[int, ...]:
        """The operands that the op's kernel reads by address."""
        return (*self.by_address, *self.by_data)

    @cached_property
    def variable(self) -> bool:
        """A leaf whose value may differ from call to call."""
        return self.leaf == "input" or self.leaf == "shared"

    @property
    def picks(self) -> bool:
        """Every element is one of operand 0: what holds for all of its elements holds for the result, and f(op(x)) is op(f(x))."""
        return self.moves in ("same", "view", "data")


PLAIN = Traits()


@dataclass(frozen=True)
class Row:
    """What an elementwise op of the table says of itself besides: see `graphc.ops.rows.elementwise`."""

    emit: Callable[..., Scalar]
    domain: Any  # (lo, hi) in which tests sample each input, or one for each
    dtype: str  # a name of `DTYPE_RULES`
    kinds: str  # the NumPy kinds that the promoted dtype may have
    mixed: bool = False  # the operands may have different dtypes
