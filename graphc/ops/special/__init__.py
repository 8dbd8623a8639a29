"""The rows of special functions, a family a module. Users find them in `graphc.special`."""

from graphc.ops.special import error, hyperbolic

MODULES = (error, hyperbolic)

__all__ = ["MODULES"]
