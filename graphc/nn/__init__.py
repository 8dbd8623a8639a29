"""`gx.nn`: convolutions and pooling under the names of torch.nn.functional, with padding by name and the layout NHWC besides."""

from graphc.nn.convolution import conv, conv1d, conv2d, conv3d, locally_connected
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
from graphc.nn.transposed import conv_transpose, conv_transpose1d, conv_transpose2d, conv_transpose3d

__all__ = [
    "adaptive_avg_pool", "adaptive_avg_pool2d", "adaptive_max_pool", "adaptive_max_pool2d", "avg_pool", "avg_pool1d", "avg_pool2d",
    "avg_pool3d", "conv", "conv1d", "conv2d", "conv3d", "conv_transpose", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
    "locally_connected", "lp_pool", "max_pool", "max_pool1d", "max_pool2d", "max_pool3d",
]  # fmt: skip
