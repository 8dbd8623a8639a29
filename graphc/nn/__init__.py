"""`gx.nn`: layers as plain functions of a dict of parameters and an input, activations, normalisations, losses, initial parameters.

    p = gx.shared({"hidden": gx.nn.init.dense(0, 64, 32), "out": gx.nn.init.dense(1, 32, 10)})
    scores = gx.nn.dense(p["out"], gx.relu(gx.nn.dense(p["hidden"], x)))
    loss = gx.nn.cross_entropy(scores, labels)

All is composed of public functions. Convolutions and pooling have the names of torch.nn.functional, with padding by name and the layout
NHWC besides; `conv_layer` is the one that takes a dict.
"""

from graphc.nn import activations, deletion, densities, heads, init, layers, losses, normalisation, recurrent
from graphc.nn.activations import *  # noqa: F403
from graphc.nn.convolution import conv, conv1d, conv2d, conv3d, locally_connected
from graphc.nn.deletion import *  # noqa: F403
from graphc.nn.densities import *  # noqa: F403
from graphc.nn.heads import *  # noqa: F403
from graphc.nn.layers import *  # noqa: F403
from graphc.nn.losses import *  # noqa: F403
from graphc.nn.normalisation import *  # noqa: F403
from graphc.nn.pooling import (
    adaptive_avg_pool,
    adaptive_avg_pool2d,
    adaptive_max_pool,
    adaptive_max_pool2d,
    avg_pool,
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    lp_pool,
    max_pool,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)  # fmt: skip
from graphc.nn.recurrent import *  # noqa: F403
from graphc.nn.transposed import conv_transpose, conv_transpose1d, conv_transpose2d, conv_transpose3d

__all__ = [
    "adaptive_avg_pool", "adaptive_avg_pool2d", "adaptive_max_pool", "adaptive_max_pool2d", "avg_pool", "avg_pool1d", "avg_pool2d",
    "avg_pool3d", "conv", "conv1d", "conv2d", "conv3d", "conv_transpose", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
    "init", "locally_connected", "lp_pool", "max_pool", "max_pool1d", "max_pool2d", "max_pool3d",
    *activations.__all__, *deletion.__all__, *densities.__all__, *heads.__all__, *layers.__all__, *losses.__all__, *normalisation.__all__,
    *recurrent.__all__,
]  # fmt: skip
