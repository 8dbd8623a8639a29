"""How the size symbols of a program follow from the shapes of its variables, and what must hold between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from graphc import dims
from graphc.dims import Dim, Size, Symbol
from graphc.errors import ShapeError, fail
from graphc.ir import Node
from graphc.ops.registry import DIM
from graphc.program import Program
from graphc.scalars import order
from graphc.types import too_large


class Binding:
    """How the size symbols follow from the shapes of the variables, and what else must hold."""

    def __init__(
        self,
        variables: Sequence[Node],
        symbols: Sequence[Symbol],
        size_checks: Sequence[tuple[Size, Size]],
        given: Sequence[Dim] = (),
        values: Sequence[Size] = (),
        assuming: Callable[[Size, Size], Node | None] = lambda a, b: None,
    ) -> None:
        """assuming(a, b): the node that took these two sizes to be equal, for the text of an error."""
        self.assuming = assuming
        self.variables = variables
        self.given = [dims.as_symbol(d) for d in given]
        self.sources: list[tuple[Symbol, int, int, Size]] = []
        self.checks: list[tuple[int, int, Size]] = []  # variable, axis, size
        bound: set[Symbol] = {s for s in self.given if s is not None}
        for k, v in enumerate(variables):
            for axis, size in enumerate(v.shape):
                if isinstance(size, int):
                    self.checks.append((k, axis, size))
                    continue
                found = dims.solve(size, 0) if dims.as_symbol(size) is not None else _form(size)
                if found is not None and found[0] not in bound:
                    bound.add(found[0])
                    self.sources.append((found[0], k, axis, size))
                else:
                    self.checks.append((k, axis, size))
        missing = [s.name for s in symbols if s not in bound]
        if missing:
            fail(
                ShapeError,
                f"the size {', '.join(missing)} is not determined by any input or shared variable",
                hint="give a variable an axis of that size, or list the size among the inputs",
            )
        self.symbols = symbols
        self.size_checks = list(size_checks)
        self.values = list(values)  # sizes that the program computes with
        self.safe = dims.safe_up_to(values)  # with no symbol above this they are right in int64; else each is asked
        self.fixed = [(k, axis, size) for k, axis, size in self.checks if isinstance(size, int)]
        self.derived = [(k, axis, size) for k, axis, size in self.checks if not isinstance(size, int)]

    def sizes(self, arrays: Sequence[np.ndarray], given: Sequence[int] = ()) -> tuple[int, ...]:
        """The value of every symbol, in order; `ShapeError` where the arrays disagree."""
        for k, axis, known in self.fixed:
            if arrays[k].shape[axis] != known:
                self._disagree(k, axis, known, {}, arrays)
        env: dict[Symbol, int] = {s: v for s, v in zip(self.given, given, strict=True) if s is not None}
        for symbol, k, axis, size in self.sources:
            value = arrays[k].shape[axis]
            if dims.as_symbol(size) is not None:
                env[symbol] = value
                continue
            try:
                solved = dims.solve(size, value)
            except ValueError:
                solved = None
            if solved is None:
                v = self.variables[k]
                what = f"{_role(v)} {v.name!r} has shape {arrays[k].shape}, but axis {axis} must be of the form {size}, for a size >= 0"
                fail(ShapeError, what, v)
            env[symbol] = solved[1]
        for k, axis, size in self.derived:
            wanted = dims.evaluate(size, env)
            if arrays[k].shape[axis] != wanted:
                self._disagree(k, axis, size, env, arrays)
        for a, b in self.size_checks:
            if dims.evaluate(a, env) != dims.evaluate(b, env):
                self._unequal(a, b, env, arrays)
        if any(value > self.safe for value in env.values()):
            for size in self.values:
                if not dims.fits_int64(size, env):
                    too_large(size, dims.evaluate(size, env))
        return tuple([env[s] for s in self.symbols])

    # -- the message: arguments, their lines and shapes, and what wants them to agree ------------------------------------
    def _disagree(self, k: int, axis: int, size: Size, env: dict[Symbol, int], arrays: Sequence[np.ndarray]) -> None:
        v = self.variables[k]
        what = f"{_role(v)} {v.name!r} has shape {arrays[k].shape}, but axis {axis} must be {self._shown(size, env)}"
        others = [j for j in self._owners(size) if j != k]
        fail(ShapeError, what + self._shapes(others, arrays), v, *[self.variables[j] for j in others])

    def _unequal(self, a: Size, b: Size, env: dict[Symbol, int], arrays: Sequence[np.ndarray]) -> None:
        node = self.assuming(a, b)
        if node is not None and node.op is DIM:  # a size as a value, in a dtype that does not hold it
            too_large(node.params[0], dims.evaluate(node.params[0], env), node.dtype)
        if (least := _least(a, b)) is not None:
            owners = self._owners(b)
            what = f"the size {self._shown(b, env)} must be at least {least}" + self._shapes(owners, arrays)
            fail(ShapeError, what, *[self.variables[k] for k in owners], hint="an array is too short for what is done with it")
        owners = sorted({*self._owners(a), *self._owners(b)})
        who = "" if node is None else "updates: " if node.op.traits.leaf == "shared" else f"{node.op.name}: "
        what = f"{who}{self._shown(a, env)} and {self._shown(b, env)} must be equal" + self._shapes(owners, arrays)
        shown = [] if node is None else [node, *node.inputs]
        fail(ShapeError, what, *dict.fromkeys([*shown, *[self.variables[k] for k in owners]]))

    def _owners(self, size: Size) -> list[int]:
        """The variables whose shapes determine a size."""
        return sorted({k for symbol, k, _, _ in self.sources if symbol in dims.symbols(size)})

    def _shapes(self, owners: Sequence[int], arrays: Sequence[np.ndarray]) -> str:
        """`: argument 'x' has shape (2, 4), argument 'y' has shape (3, 4)`."""
        said = [f"{_role(self.variables[k])} {self.variables[k].name!r} has shape {arrays[k].shape}" for k in owners]
        return f": {', '.join(said)}" if said else ""

    def _shown(self, size: Size, env: dict[Symbol, int]) -> str:
        """`n + 1 = 3 (n = x.shape[0] = 2)`, the simplest that says as much."""
        if isinstance(size, int):
            return str(size)
        where = {s: f"{self.variables[k].name}.shape[{axis}]" for s, k, axis, form in self.sources if dims.as_symbol(form) is not None}
        symbol = dims.as_symbol(size)
        spellings = [str(size), *([where[symbol]] if symbol in where else []), str(dims.evaluate(size, env))]
        named = " = ".join(dict.fromkeys(spellings))
        inner = [self._shown(dims.of_symbol(s), env) for s in sorted(dims.symbols(size))] if symbol is None else []
        return f"{named} ({', '.join(inner)})" if inner else named


def _role(variable: Node) -> str:
    return "state" if variable.op.traits.leaf == "shared" else "argument"


def size_values(program: Program) -> list[Size]:
    """The sizes that kernels compute with, such as n*m where a mean divides by it, and that branches compare.

    Indices along loops are not among them.
    """
    bodies = [root for kernel in program.kernels() for stage in kernel.stages for root in (stage.body, stage.factor) if root is not None]
    bodies += [root for kernel in program.kernels() if kernel.code is not None for root in kernel.code.scalars()]
    found = [s.param for s in order(bodies) if s.op == "index" and isinstance(s.param, Dim)]
    compared = [below for step in program.numbered for below in step.compared]
    found += [size for below in compared for size in (below.size, below.limit) if isinstance(size, Dim)]
    turning = {*program.counters}
    return [size for size in dict.fromkeys(found) if all(s.kind == "size" and s not in turning for s in dims.symbols(size))]


def not_negative(program: Program) -> list[tuple[Size, Size]]:
    """The sizes of buffers that may be negative, such as n - 5, as pairs (max(size, 0), size) that must be equal."""
    symbolic = dict.fromkeys(s for b in program.buffers for s in b.shape if isinstance(s, Dim))
    return [(dims.maximum(s, 0), s) for s in symbolic if dims.less_equal(0, s) is not True]


def _least(a: Size, b: Size) -> Size | None:
    """c for a = max(b, c): the graph needs b to be at least c."""
    if isinstance(a, Dim) and len(a.terms) == 1:
        ((monomial, coefficient),) = a.terms
        atom = monomial[0][0] if len(monomial) == 1 and monomial[0][1] == coefficient == 1 else None
        if isinstance(atom, dims.Call) and atom.fn == "max" and b in atom.args:
            return next((c for c in atom.args if c != b), None)
    return None


def _form(size: Size) -> tuple[Symbol, int] | None:
    """The symbol of a size n + c or c*n (+ k), if it is of such a form."""
    listed = dims.symbols(size)
    if len(listed) != 1:
        return None
    (symbol,) = listed
    split = dims.affine(size, symbol)
    if split is None or not isinstance(split[0], int) or not isinstance(split[1], int):
        return None
    return symbol, 0


__all__ = ["Binding", "not_negative", "size_values"]
