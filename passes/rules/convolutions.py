"""Convolutions: what only moves or pads their operands becomes part of their relations.

    convolve(pad(x), w)          ->    convolve(x, w) with more padding; gaps of zeros between elements are a stride or a dilation
    convolve(transpose(x), w)    ->    convolve(x, w), of another spec

Views of a result, which are worth it only where nobody reads the rest, have a pass of their own: `graphc.passes.narrow`.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc import dims
from graphc.dims import Size
from graphc.ir import Node
from graphc.ops.contract import Spec, fold_operand, fold_output
from graphc.ops.convolve import Relation, convolution
from graphc.ops.shape import TRANSPOSE
from graphc.ops.slicing import PAD, cut
from graphc.passes.rewriting.match import params, splat
from graphc.passes.rewriting.rule import AnyRule, Local


def pad_in_convolution(node: Node) -> Node | None:
    """convolve(pad(a), b) -> convolve(a, b), of zeros along axes whose positions relations couple; and so for b."""
    spec, relations, extents = params(node)
    for k, operand in enumerate(node.inputs):
        if operand.op is not PAD or splat(operand.inputs[1]) != 0:
            continue
        rules = _without_padding(spec, [Relation(*r) for r in relations], operand, k)
        if rules is not None:
            operands = list(node.inputs)
            operands[k] = operand.inputs[0]
            return convolution(operands[0], operands[1], spec, rules, extents)
    return None


def _without_padding(spec: Spec, rules: Sequence[Relation], padded: Node, k: int) -> list[Relation] | None:
    """The relations of an operand, the k-th, that is not padded; None where they cannot say as much."""
    found = list(rules)
    for label, before, after, between in zip(spec[k], *params(padded)):
        if before == 0 and after == 0 and between == 0:
            continue
        at = [n for n, r in enumerate(found) if label in r[:3]]
        if not at or sum(label in part for part in spec) != 1:
            return None  # what others have, too, ends for them as well
        changed = _shifted(found[at[0]], label, before, between)
        if changed is None:
            return None
        found[at[0]] = changed
    return found


def _shifted(r: Relation, label: int, before: Size, between: Size) -> Relation | None:
    """The relation in z, where the one of its positions with this label is before + (between + 1) * z."""
    if not isinstance(between, int):
        return None
    step = between + 1
    if (narrowed := _narrowed(r, label, before, step)) is not None:
        return narrowed
    if r.stride == 1:  # step * z + before = i + d p - pad, which is i = step * z - d p + (before + pad)
        return Relation(r.place, r.long, r.tap, step, -r.dilation, -(r.pad + before))
    return None


def transpose_in_convolution(node: Node) -> Node | None:
    """convolve(transpose(a), b) -> convolve(a, b), and so for b, of another spec."""
    spec, relations, extents = params(node)
    operands = list(node.inputs)
    for k in (0, 1):
        if operands[k].op is TRANSPOSE:
            spec = fold_operand(spec, k, params(operands[k])[0])
            operands[k] = operands[k].inputs[0]
    return convolution(operands[0], operands[1], spec, [Relation(*r) for r in relations], extents)


# -- views of a result --------------------------------------------------------------------------------------------------------
def turned(node: Node, axes: Sequence[int]) -> Node:
    """transpose(convolve(a, b)) as a convolution of another spec."""
    spec, relations, extents = params(node)
    a, b = node.inputs
    return convolution(a, b, fold_output(spec, axes), [Relation(*r) for r in relations], extents)


def sliced(node: Node, starts: Sequence[Size], sizes: Sequence[Size], steps: Sequence[int]) -> Node | None:
    """convolve(a, b)[starts : : steps] as a smaller convolution; None where relations cannot say it, or nothing may be left."""
    spec, relations, extents = params(node)
    rules, counts, operands = [Relation(*r) for r in relations], dict(extents), list(node.inputs)
    for axis, (label, start, size, step) in enumerate(zip(spec[2], starts, sizes, steps)):
        if start == 0 and step == 1 and size == node.shape[axis]:
            continue
        at = [n for n, r in enumerate(rules) if label in r[:3]]
        if not at:
            operands = [_taken(x, labels, label, start, size, step) for x, labels in zip(operands, spec)]
            continue
        every = start == 0 and size == dims.floordiv(node.shape[axis] + (step - 1), step)
        narrowed = _narrowed(rules[at[0]], label, start, step)
        if label not in counts or narrowed is None:
            return None
        if label == rules[at[0]].place and not (every or dims.less_equal(1, size) is True):
            return None  # a convolution has a place
        rules[at[0]], counts[label] = narrowed, size
    return convolution(operands[0], operands[1], spec, rules, tuple(counts.items()))


def _narrowed(r: Relation, label: int, start: Size, step: int) -> Relation | None:
    """The relation in z, where the one of its positions with this label is start + step * z; None where that is not one in z."""
    if label == r.place:
        return r._replace(stride=r.stride * step, pad=r.pad - start * r.stride)
    if label == r.tap:
        return r._replace(dilation=r.dilation * step, pad=r.pad - start * r.dilation)
    return r._replace(pad=r.pad + start) if step == 1 else None


def _taken(x: Node, labels: Sequence[int], label: int, start: Size, size: Size, step: int) -> Node:
    """Some positions of the axis of x with a label, if it has it."""
    if label not in labels:
        return x
    axis = labels.index(label)
    whole = [(0, n, 1) for n in x.shape]
    starts, sizes, steps = zip(*[*whole[:axis], (start, size, step), *whole[axis + 1 :]])
    return cut(x, starts, sizes, steps)


CONVOLUTIONS: tuple[AnyRule, ...] = (
    # the products with zeros that are left out are 0, but for infinite factors: as everywhere in convolutions, those may be nan or not
    Local("pad in convolution", "convolve", pad_in_convolution, floats="reassoc", inputs=("pad",)),
    Local("transpose in convolution", "convolve", transpose_in_convolution, inputs=("transpose",)),
)
