"""The functions there are in decimals, by the names that they have in vector math; families by an order, which is the op's parameter."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from graphc.extended import functions
from graphc.extended.bessel import BESSEL, BESSEL_FAMILIES
from graphc.extended.gamma import GAMMA, polygamma
from graphc.extended.gaussian import GAUSSIAN
from graphc.extended.integrals import INTEGRAL_FAMILIES, INTEGRALS

FUNCTIONS: dict[str, Callable[..., Decimal]] = {**functions.FUNCTIONS, **GAUSSIAN, **GAMMA, **BESSEL, **INTEGRALS}
PAIRS = ("pow", "logaddexp", "logaddexp2", "hypot", "atan2", "fmod", "log_ratio", "rel_entr", "kl_div", "beta_large")
FAMILIES: dict[str, Callable[[int], Callable[[Decimal], Decimal]]] = {**BESSEL_FAMILIES, **INTEGRAL_FAMILIES, "polygamma": polygamma}
