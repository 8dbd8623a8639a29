"""`gx.training`: loops over minibatches, and files: what is public as gx.fit, gx.save, gx.load, and `epoch`, a whole epoch as one call."""

from graphc.training.epoch import epoch
from graphc.training.fit import Fit, fit
from graphc.training.saving import load, save

__all__ = ["Fit", "epoch", "fit", "load", "save"]
