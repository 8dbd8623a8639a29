"""The rows of special functions, a family a module. Users find them in `graphc.special`."""

from graphc.ops.special import bessel, error

MODULES = (bessel, error)

__all__ = ["MODULES"]
