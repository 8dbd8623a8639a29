"""Initial parameters, as NumPy arrays: `gx.shared` makes state of them, `gx.like` inputs.

    rng = np.random.default_rng(0)
    p = gx.shared({"hidden": gx.nn.init.dense(rng, 784, 100), "out": gx.nn.init.dense(rng, 100, 10)})

rng: a numpy Generator, which is advanced, or a seed; with a seed, two calls of one shape draw the same numbers. dtype: float64 unless you
say "float32". A dict has the names that the layer of `gx.nn` with the same name reads.
"""

from graphc.nn import dicts, weights
from graphc.nn.biases import bias_for
from graphc.nn.dicts import *  # noqa: F403
from graphc.nn.rescaling import rescale
from graphc.nn.weights import *  # noqa: F403

__all__ = ["bias_for", "rescale", *dicts.__all__, *weights.__all__]
