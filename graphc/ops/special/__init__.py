"""The rows of special functions, a family a module. Users find them in `graphc.special`."""

from graphc.ops.special import bessel

MODULES = (bessel,)

__all__ = ["MODULES"]
