"""The rows of special functions, a family a module. Users find them in `graphc.special`."""

from graphc.ops.special import bessel, dawson, entropy, error, gamma, hyperbolic, incomplete, integrals, normal

MODULES = (bessel, dawson, entropy, error, gamma, hyperbolic, incomplete, integrals, normal)
