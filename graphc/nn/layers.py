"""Layers without state: functions of a dict of parameters and an input. `gx.nn.init` has one of the same name for each dict."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.errors import ShapeError, fail
from graphc.ir import Node
from graphc.nn.convolution import conv
from graphc.nn.geometry import Widths
from graphc.nn.parameters import Params, agree, floats, optional, parameter
from graphc.nn.transposed import conv_transpose
from graphc.ops.arithmetic import square
from graphc.ops.elementwise import exp
from graphc.ops.indexing import take
from graphc.ops.products import matmul
from graphc.ops.reductions import sum as total
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.shape import expand_dims

Numbers = int | Sequence[int]


def dense(p: Params, x: ArrayLike) -> Node:
    """out = x @ weight + bias.

    p: {"weight": (n_in, n_out), "bias": (n_out,)}, the bias optional. x: (.., n_in) -> (.., n_out), any float or integer dtype, promoted.
    Raises ArgumentError where a parameter is missing, ShapeError with both sizes, DTypeError.

    >>> p = gx.nn.init.dense(0, 3, 2)
    >>> gx.nn.dense(p, np.ones((5, 3))).shape
    (5, 2)
    """
    weight, bias, node = parameter(p, "weight", "dense", 2), optional(p, "bias", "dense", 1), asarray(x)
    if node.ndim == 0:
        fail(ShapeError, "dense: the input is one number, not an array with an axis of features", node)
    agree("dense", node.shape[-1], weight.shape[0], "features of the input and rows of 'weight' differ", node, weight)
    out = matmul(floats("dense", node) if node.dtype.kind == "b" else node, weight)
    if bias is None:
        return out
    agree("dense", bias.shape[0], weight.shape[1], "elements of 'bias' and columns of 'weight' differ", bias, weight)
    return out + bias


def embedding(p: Params, ids: ArrayLike) -> Node:
    """out[.., :] = weight[ids[..], :]: rows of a table; the derivative adds up those of equal ids.

    p: {"weight": (count, width)}. ids: (..), integers in -count .. count - 1 -> (.., width). Raises ArgumentError where the parameter is
    missing, DTypeError for ids that are no integers, IndexOutOfRange at the call.

    >>> gx.nn.embedding({"weight": np.eye(3)}, [2, 0]).eval()
    array([[0., 0., 1.],
           [1., 0., 0.]])
    """
    return take(parameter(p, "weight", "embedding", 2), ids, axis=0)


def conv_layer(
    p: Params, x: ArrayLike, stride: Numbers = 1, padding: Widths = 0, dilation: Numbers = 1, groups: int = 1, *, layout: str = "NCHW",
    padding_mode: str = "zeros", remainder: str = "floor",
) -> Node:  # fmt: skip
    """`gx.nn.conv(x, weight, bias, ..)` with p = {"weight": .., "bias": (out channels,)}, the bias optional.

    As many axes of space as the weight has: `gx.nn.init.conv(rng, 3, 16, (5, 5))` is of two. Arguments and errors are those of `conv`;
    ArgumentError where a parameter is missing.
    """
    weight, bias = parameter(p, "weight", "conv_layer"), optional(p, "bias", "conv_layer", 1)
    return conv(x, weight, bias, stride, padding, dilation, groups, layout=layout, padding_mode=padding_mode, remainder=remainder)


def conv_transpose_layer(
    p: Params, x: ArrayLike, stride: Numbers = 1, padding: Numbers | Sequence[Sequence[int]] = 0, output_padding: Numbers = 0,
    groups: int = 1, dilation: Numbers = 1, *, layout: str = "NCHW",
) -> Node:  # fmt: skip
    """`gx.nn.conv_transpose(x, weight, bias, ..)` with p = {"weight": .., "bias": (out channels,)}, the bias optional."""
    what = "conv_transpose_layer"
    weight, bias = parameter(p, "weight", what), optional(p, "bias", what, 1)
    return conv_transpose(x, weight, bias, stride, padding, output_padding, groups, dilation, layout=layout)


def rbf(p: Params, x: ArrayLike) -> Node:
    """out[.., i] = exp(-|x[.., :] - centres[i]|**2 / width[i]**2): units that answer near their centre.

    p: {"centres": (units, n_in), "width": (units,)}. x: (.., n_in) -> (.., units). The distances are sums of squared differences, so
    accurate beside the centre; no array of (.., units, n_in) is made. Raises ArgumentError, ShapeError, DTypeError.
    """
    centres, width, node = parameter(p, "centres", "rbf", 2), parameter(p, "width", "rbf", 1), floats("rbf", x)
    if node.ndim == 0:
        fail(ShapeError, "rbf: the input is one number, not an array with an axis of features", node)
    agree("rbf", node.shape[-1], centres.shape[1], "features of the input and of 'centres' differ", node, centres)
    agree("rbf", width.shape[0], centres.shape[0], "elements of 'width' and rows of 'centres' differ", width, centres)
    distance = total(square(expand_dims(node, -2) - centres), axis=-1)
    return exp(-distance / square(width))


__all__ = ["conv_layer", "conv_transpose_layer", "dense", "embedding", "rbf"]
