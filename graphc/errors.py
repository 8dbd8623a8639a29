"""The error classes, and the one function that formats an error: what / the operands with where they were made / a hint."""

from __future__ import annotations

from typing import NoReturn

import numpy as np


class GraphcError(Exception):
    """Base of every error that graphc raises on purpose."""


class ShapeError(GraphcError, ValueError):
    """Sizes or ranks that do not fit."""


class DTypeError(GraphcError, TypeError):
    """Element types that do not fit."""


class ArgumentError(GraphcError, TypeError):
    """A wrong number, name or kind of argument."""


class IndexOutOfRange(GraphcError, IndexError):
    """An index outside the axis it selects from."""


class NotDifferentiableError(GraphcError, TypeError):
    """A derivative that does not exist was asked for."""


class DisconnectedError(GraphcError, ValueError):
    """A derivative with respect to something that the outputs do not depend on."""


class NumericError(GraphcError, FloatingPointError):
    """A nan or infinity where none was allowed."""


class LinAlgError(GraphcError, np.linalg.LinAlgError):
    """A singular or indefinite matrix where that is an error."""


class ConvergenceError(GraphcError, RuntimeError):
    """An iteration that did not converge."""


class StateInUseError(GraphcError, RuntimeError):
    """A callback or a handler of signals changes state that the call which it interrupts works with."""


class FileError(GraphcError, OSError):
    """A file that is damaged, cannot be read or written, or holds what belongs to another model."""


class CompileError(GraphcError, RuntimeError):
    """A graph or program that breaks an invariant, or code that cannot be generated."""


def fail(kind: type[GraphcError], what: str, *operands: object, hint: str = "") -> NoReturn:
    """Raise `kind` with the text `what (operand, operand); hint: hint`.

    An operand that has a `describe()` method (a node) shows its name, type and the line that made it.
    """
    raise kind(compose(what, *operands, hint=hint))


def compose(what: str, *operands: object, hint: str = "") -> str:
    """The text of an error, see `fail`."""
    shown = ", ".join(_describe(o) for o in operands)
    text = f"{what} ({shown})" if shown else what
    return f"{text}; hint: {hint}" if hint else text


def _describe(operand: object) -> str:
    describe = getattr(operand, "describe", None)
    return describe() if callable(describe) else repr(operand)
