"""The rows of special functions, a family a module. Users find them in `graphc.special`."""

from graphc.ops.special import dawson, entropy, error, hyperbolic, normal

MODULES = (dawson, entropy, error, hyperbolic, normal)
