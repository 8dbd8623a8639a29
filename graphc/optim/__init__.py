"""`gx.optim`: how parameters move by their gradients. One line of training:

    step = gx.function([x, y], loss, updates=gx.optim.adam(1e-3).updates(loss, p))

Methods    sgd, momentum, nesterov, adagrad, adadelta, rmsprop, adam, adamw, lion, delta_bar_delta
Rates      a number, a 0-d node, state, or a schedule: gx.optim.schedules.cosine, warmup, linear, ...
Stages     clip_by_value, clip_by_norm, clip_by_global_norm, add_decayed_weights; project, polyak; chain puts them together
Parts      masked, freeze, apply_if_finite

A whole minimisation as one loop of the graph, by second derivatives or what is learnt of them:

    found = gx.optim.minimize(fun, x0, method="bfgs")                 found.x, found.fun, found.status, ...

Minimise   minimize, least_squares: steepest_descent to trust_region and levenberg_marquardt; Result, Status; implicit
Search     line_search; armijo, strong_wolfe, exact, full_step
Products   krylov: cg, minres, lanczos, power_iteration, hutchinson_trace, hutchinson_diagonal, probes
"""

from graphc.optim import krylov, schedules
from graphc.optim.adam import adam, adamw, lion
from graphc.optim.adaptive import adadelta, adagrad, delta_bar_delta, rmsprop
from graphc.optim.clipping import add_decayed_weights, clip_by_global_norm, clip_by_norm, clip_by_value, global_norm
from graphc.optim.descent import momentum, nesterov, sgd
from graphc.optim.implicit import implicit
from graphc.optim.line_search import LineSearch, Step, armijo, exact, full_step, line_search, strong_wolfe
from graphc.optim.minimize import least_squares, minimize
from graphc.optim.optimizer import Optimizer, Updates
from graphc.optim.problem import Result, Status
from graphc.optim.stages import apply_if_finite, chain, freeze, masked, polyak, project

__all__ = [
    "LineSearch", "Optimizer", "Result", "Status", "Step", "Updates", "adadelta", "adagrad", "adam", "adamw", "add_decayed_weights",
    "apply_if_finite", "armijo", "chain", "clip_by_global_norm", "clip_by_norm", "clip_by_value", "delta_bar_delta", "exact", "freeze",
    "full_step", "global_norm", "implicit", "krylov", "least_squares", "line_search", "lion", "masked", "minimize", "momentum", "nesterov",
    "polyak", "project", "rmsprop", "schedules", "sgd", "strong_wolfe",
]  # fmt: skip
