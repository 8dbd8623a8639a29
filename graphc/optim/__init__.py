"""`gx.optim`: how parameters move by their gradients. One line of training:

    step = gx.function([x, y], loss, updates=gx.optim.adam(1e-3).updates(loss, p))

Methods    sgd, momentum, nesterov, adagrad, adadelta, rmsprop, adam, adamw, lion, delta_bar_delta
Rates      a number, a 0-d node, state, or a schedule: gx.optim.schedules.cosine, warmup, linear, ...
Stages     clip_by_value, clip_by_norm, clip_by_global_norm, add_decayed_weights; project, polyak; chain puts them together
Parts      masked, freeze, apply_if_finite
"""

from graphc.optim import schedules
from graphc.optim.adam import adam, adamw, lion
from graphc.optim.adaptive import adadelta, adagrad, delta_bar_delta, rmsprop
from graphc.optim.clipping import add_decayed_weights, clip_by_global_norm, clip_by_norm, clip_by_value, global_norm
from graphc.optim.descent import momentum, nesterov, sgd
from graphc.optim.optimizer import Optimizer, Updates
from graphc.optim.stages import apply_if_finite, chain, freeze, masked, polyak, project

__all__ = [
    "Optimizer", "Updates", "adadelta", "adagrad", "adam", "adamw", "add_decayed_weights", "apply_if_finite", "chain",
    "clip_by_global_norm", "clip_by_norm", "clip_by_value", "delta_bar_delta", "freeze", "global_norm", "lion", "masked", "momentum",
    "nesterov", "polyak", "project", "rmsprop", "schedules", "sgd",
]  # fmt: skip
