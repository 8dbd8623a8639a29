"""Where windows lie: strides, dilations and padding in all the forms that users write, and the number of places they give.

n = (m - f + p) // s + 1     of an axis of m elements, a kernel that reaches over f = dilation * (k - 1) + 1 of them, p elements of padding,
                             stride s
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from graphc import dims
from graphc.dims import Dim, Size
from graphc.errors import ArgumentError, ShapeError, fail
from graphc.ir import Node
from graphc.ops.padding import pad
from graphc.ops.shape import at_most
from graphc.records import dataclass
from graphc.types import whole_number

Widths = int | str | Sequence[int | Dim | Sequence[int | Dim]]
PADDINGS = ("valid", "same", "full")
MODES = {"zeros": "constant", "reflect": "reflect", "edge": "edge", "replicate": "edge", "circular": "wrap"}  # ours, and NumPy's


@dataclass(frozen=True)
class Place:
    """One axis of places: m elements, k taps, and what lies before and after the axis."""

    size: Size
    taps: Size
    stride: int
    dilation: int
    before: Size
    after: Size

    @property
    def reach(self) -> Size:
        """Over how many elements a kernel reaches."""
        return self.dilation * (self.taps - 1) + 1

    @property
    def count(self) -> Size:
        """The number of places; a kernel that does not fit has been refused."""
        return dims.floordiv(self.size + self.before + self.after - self.reach, self.stride) + 1

    @property
    def sizes(self) -> str:
        """The sizes by the letters of the formula."""
        p = f"{self.before} + {self.after}" if self.before != self.after else f"2 * {self.before}"
        return f"input m = {self.size}, kernel f = {self.reach}, stride s = {self.stride}, padding p = {p}"


def spread(value: object, rank: int, what: str, *operands: Node, least: int = 1) -> tuple[int, ...]:
    """An int for each of `rank` axes, from one or a sequence. ArgumentError, ShapeError for what is below `least`."""
    listed = list(value) if isinstance(value, (tuple, list)) else [value] * rank
    if len(listed) != rank:
        fail(ArgumentError, f"{what}: {value!r} does not give a number for each of {rank} axes", *operands)
    numbers = tuple([whole_number(v, what, *operands) for v in listed])
    if min(numbers, default=least) < least:
        fail(ShapeError, f"{what} must be at least {least}, got {value!r}", *operands)
    return numbers


def places(
    what: str, x: Node, sizes: Sequence[Size], taps: Sequence[Size], stride: object, padding: object, dilation: object, remainder: str
) -> list[Place]:
    """The places along each axis. ShapeError where a kernel does not fit, or, with remainder="error", windows do not end with the axis."""
    rank = len(sizes)
    strides, dilations = spread(stride, rank, f"{what}: stride", x), spread(dilation, rank, f"{what}: dilation", x)
    if remainder not in ("floor", "error"):
        fail(ArgumentError, f"{what}: remainder is 'floor' or 'error', got {remainder!r}")
    pairs = _pairs(what, x, sizes, taps, strides, dilations, padding)
    found = [Place(*row, *pair) for row, pair in zip(zip(sizes, taps, strides, dilations), pairs)]
    for place in found:
        room = place.size + place.before + place.after
        if not at_most(1, place.taps) or not at_most(place.reach, room):
            hint = "pad the input, or make the kernel smaller"
            fail(ShapeError, f"{what}: the kernel does not fit: {place.sizes}", x, hint=hint)
        if remainder == "error" and not at_most(dims.mod(room - place.reach, place.stride), 0):
            hint = "remainder='floor' leaves the last elements out, padding='same' keeps them"
            fail(ShapeError, f"{what}: (m - f + p) / s is no whole number: {place.sizes}", x, hint=hint)
    return found


def _pairs(
    what: str, x: Node, sizes: Sequence[Size], taps: Sequence[Size], strides: Sequence[int], dilations: Sequence[int], padding: object
) -> list[tuple[Size, Size]]:
    """The widths of the padding before and after each axis."""
    if isinstance(padding, str):
        name = padding.lower()
        if name not in PADDINGS:
            fail(ArgumentError, f"{what}: padding {padding!r} is none of {', '.join(map(repr, PADDINGS))}", x)
        if name == "valid":
            return [(0, 0)] * len(sizes)
        reaches = [d * (k - 1) for k, d in zip(taps, dilations)]
        if name == "full":
            return [(r, r) for r in reaches]
        whole = [dims.maximum((-(-m // s) if isinstance(m, int) else dims.floordiv(m + (s - 1), s)) * s - s + r + 1 - m, 0)
                 for m, r, s in zip(sizes, reaches, strides)]  # fmt: skip
        return [(dims.floordiv(p, 2), p - dims.floordiv(p, 2)) for p in whole]
    listed = list(padding) if isinstance(padding, (tuple, list)) else [padding] * len(sizes)
    if len(listed) != len(sizes):
        fail(ArgumentError, f"{what}: padding {padding!r} does not give a width or a pair for each of {len(sizes)} axes", x)
    pairs = [tuple(p) if isinstance(p, (tuple, list)) else (p, p) for p in listed]
    if any(len(pair) != 2 for pair in pairs):
        fail(ArgumentError, f"{what}: padding {padding!r} does not give a width or a pair for each of {len(sizes)} axes", x)
    return [(_width(what, x, low), _width(what, x, high)) for low, high in pairs]


def _width(what: str, x: Node, width: object) -> Size:
    if isinstance(width, Dim):
        return width
    number = whole_number(width, f"{what}: padding", x)
    if number < 0:
        fail(ShapeError, f"{what}: padding cannot be negative, got {number}", x, hint="slice the input")
    return number


def padded(what: str, x: Node, axes: Sequence[int], found: Sequence[Place], mode: str) -> tuple[Node, list[Place]]:
    """x continued beyond its ends as `gx.pad` does in a mode, and the places with no padding left; "zeros" needs no copy."""
    if mode not in MODES:
        fail(ArgumentError, f"{what}: padding_mode {mode!r} is none of {', '.join(map(repr, MODES))}", x)
    if mode == "zeros":
        return x, list(found)
    for place in found:
        if mode == "reflect" and not at_most(1 + dims.maximum(place.before, place.after), place.size):
            least = 1 + dims.maximum(place.before, place.after)
            fail(ShapeError, f"{what}: padding by 'reflect' needs at least {least} elements: {place.sizes}", x)
    sides: list[tuple[Size, Size]] = [(0, 0)] * x.ndim
    for axis, place in zip(axes, found):
        sides[axis] = (place.before, place.after)
    x = pad(x, sides, MODES[mode])
    return x, [replace(place, size=x.shape[axis], before=0, after=0) for axis, place in zip(axes, found)]


@dataclass(frozen=True)
class Layout:
    """Where the axes of an array of images are: batch (None: a single image), channel, and the axes of space."""

    batch: bool
    channel: int
    space: tuple[int, ...]

    @property
    def channels_first(self) -> bool:
        """Whether the channels come before the axes of space."""
        return self.channel == int(self.batch)


def layout_of(what: str, x: Node, rank: int, layout: str) -> Layout:
    """N C space or N space C, by the names that libraries use: NCHW, NHWC, NCL, NLC, NCDHW, ... ; without N a single image."""
    name = layout.upper() if isinstance(layout, str) else ""
    if len(name) < 3 or name[0] != "N" or "C" not in (name[1], name[-1]):
        fail(ArgumentError, f"{what}: layout {layout!r} is neither 'NCHW' nor 'NHWC'", x)
    if x.ndim not in (rank + 1, rank + 2):
        fail(ShapeError, f"{what}: needs an array of rank {rank + 2} (or {rank + 1}, without a batch axis), not {x.ndim}", x)
    batch = x.ndim == rank + 2
    first = int(batch)
    if name[1] == "C":
        return Layout(batch, first, tuple(range(first + 1, first + 1 + rank)))
    return Layout(batch, first + rank, tuple(range(first, first + rank)))
