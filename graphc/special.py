"""Special functions, under SciPy's names: `gx.special.erfcx(x)`, and `scipy.special.erfcx(x)` of a node x is the same.

Each is elementwise with NumPy's broadcasting and promotion unless it says otherwise, and has derivatives of every order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc.operators import SPECIAL_FUNCTIONS
from graphc.ops.arithmetic import round
from graphc.ops.elementwise import erf, erfc, exp2, expm1, log1p, log_sigmoid, sigmoid, softplus, xlogy
from graphc.ops.sinc import sinc
from graphc.ops.special import bessel, incomplete, integrals
from graphc.ops.special import polygamma as polygammas
from graphc.ops.special.bessel import *  # noqa: F403
from graphc.ops.special.dawson import dawsn, erfi
from graphc.ops.special.entropy import entr, kl_div, logit, rel_entr, xlog1py
from graphc.ops.special.error import erfcx
from graphc.ops.special.exponentials import log_softmax, logsumexp, softmax
from graphc.ops.special.factorials import beta, betaln, binom, comb, factorial, multigammaln
from graphc.ops.special.gamma import digamma, gamma, gammaln
from graphc.ops.special.incomplete import *  # noqa: F403
from graphc.ops.special.integrals import *  # noqa: F403
from graphc.ops.special.normal import erfcinv, erfinv, log_ndtr, ndtr, ndtri
from graphc.ops.special.polygamma import *  # noqa: F403
from graphc.ops.special.zetas import zeta
from graphc.ops.ufuncs import cbrt

expit, log_expit, psi = sigmoid, log_sigmoid, digamma

__all__ = [
    *bessel.__all__, *incomplete.__all__, *integrals.__all__, *polygammas.__all__,
    "cbrt", "exp2", "expm1", "log1p", "round", "sinc", "softplus",
    "beta", "betaln", "binom", "comb", "dawsn", "digamma", "entr", "erf", "erfc", "erfcinv", "erfcx", "erfi", "erfinv", "expit",
    "factorial", "gamma", "gammaln", "kl_div", "log_expit", "log_ndtr", "log_softmax", "logit", "logsumexp", "multigammaln", "ndtr",
    "ndtri", "psi", "rel_entr", "softmax", "xlog1py", "xlogy", "zeta",
]  # fmt: skip

# what SciPy's ufuncs are called where that is not the name they are found under
_NAMES: dict[str, Callable[..., Any]] = {
    "jv": bessel.jn, "_zeta": zeta, "_riemann_zeta": zeta, "_lambertw": lambda z, k=0, tol=None: integrals.lambertw(z, int(k)),
}  # fmt: skip
SPECIAL_FUNCTIONS |= {name: globals()[name] for name in __all__} | _NAMES
