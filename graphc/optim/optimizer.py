"""`Optimizer`: how parameters move by their gradients, as a pure pair `init`, `update`, or as pairs for `updates=` of a function.

A stage is one of three kinds. What changes gradients (clipping, weight decay) and what changes the parameters that a step has led to
(projections, averages) are stages of a chain; exactly one stage of a chain, a descent, makes of gradients new parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from graphc import tree
from graphc.derivatives.grad import grad
from graphc.derivatives.user_trees import zeros_like
from graphc.errors import ArgumentError, fail
from graphc.ir import Node
from graphc.optim.leaves import fitted, has_nodes, on_arrays, parameters, stand_ins
from graphc.substitute import substitute
from graphc.tree import Tree
from graphc.user.state import Shared, shared

Kind = Literal["gradients", "descent", "parameters"]
Advance = Callable[[Tree, Tree, Tree, bool], tuple[Tree, Tree]]
"""(values, state, parameters, ahead) -> (values, new state): `values` are gradients, taken at `Optimizer.interim` if `ahead`;
of the kind "parameters" they are where the step has led to."""


class Updates(list[tuple[Shared, Node]]):
    """Pairs (shared variable, new value) for `updates=` of `gx.function`, and `state`, the tree of the slots among them."""

    def __init__(self, pairs: Sequence[tuple[Shared, Node]], state: Tree) -> None:
        super().__init__(pairs)
        self.state = state


@dataclass(frozen=True)
class Optimizer:
    """How parameters move by their gradients; `gx.optim.adam(1e-3)` and the others make them.

    opt = gx.optim.adam(1e-3)
    step = gx.function([x, y], loss, updates=opt.updates(loss, p))       p: a tree of gx.shared
    state = opt.init(p); p, state = opt.update(grads, state, p)          pure: p a tree of nodes or arrays
    """

    name: str
    """What its slots and errors are called."""
    kind: Kind
    """gradients, descent or parameters: which of the three a stage of a chain takes and gives."""
    begin: Callable[[Tree], Tree] = field(repr=False)
    """From the parameters to the state before the first update."""
    advance: Advance = field(repr=False)
    """One update on trees of nodes."""
    interim: Callable[[Tree, Tree], Tree] | None = field(default=None, repr=False)
    """(state, parameters) -> where Nesterov's method takes the gradient; None: at the parameters."""
    trains: Callable[[Tree], list[bool]] | None = field(default=None, repr=False)
    """Which leaves move; None: all."""

    def init(self, params: Tree) -> Tree:
        """The state before the first update: a tree of arrays beside parameters that own a value, of nodes beside other nodes.

        params: a tree of float arrays, of nodes or of shared variables. Raises ArgumentError, DTypeError with the path of a leaf.
        """
        return self.begin(parameters(f"{self.name}.init", params))

    def update(self, grads: Tree, state: Tree, params: Tree) -> tuple[Tree, Tree]:
        """(new parameters, new state) from the gradients at `params`: nodes, or arrays if there is no node among the three trees.

        Every leaf keeps its dtype and shape. Nesterov's methods, whose gradients belong ahead of the parameters, take and give the
        points ahead here: v' = a v - r g, p' = p + a v' - r g, the same iteration in other variables.
        Raises ArgumentError where a tree has another structure, ShapeError, DTypeError where a leaf does not fit: with its path.
        """
        self._must_descend("update")
        if not has_nodes(grads, state, params):
            new, after = on_arrays(self._update, grads, state, params)
            return new, after
        return self._update(grads, state, params)

    def _update(self, grads: Tree, state: Tree, params: Tree) -> tuple[Tree, Tree]:
        what = f"{self.name}.update"
        known = parameters(what, params)
        p = fitted(what, "params", known, known, "")
        g = fitted(what, "grads", grads, known, "gradients are a tree like the parameters, of their shapes")
        s = fitted(
            what, "state", state, self.begin(stand_ins(known)), f"the state is what {self.name}.init(params) gave, or the last update"
        )
        return self.advance(g, s, p, False)

    def updates(self, loss_or_grads: Tree, params: Tree) -> Updates:
        """Pairs (shared, new value) for `updates=` of `gx.function`: of the parameters and of the slots, shared variables made here.

        loss_or_grads: a loss, a 0-d float node, which is differentiated (Nesterov's methods: ahead of the parameters, the graph with
        p + a v put in place of p), or the tree of gradients at `params`. One 0-d node is a loss; where it is the gradient of a single
        0-d parameter, write [g], [p]. params: a tree of shared variables. The list has the slots as a tree in `.state`.
        Each call makes new slots. Raises ArgumentError, ShapeError, DTypeError, DisconnectedError; they name the leaf.

            step = gx.function([x, y], loss, updates=gx.optim.adam(1e-3).updates(loss, p))
        """
        what = f"{self.name}.updates"
        self._must_descend("updates")
        seen: set[int] = set()
        for leaf, path in zip(tree.leaves(params), tree.paths(params)):
            if not isinstance(leaf, Shared):
                hint = "gx.shared(tree of arrays) makes state; of other trees use init and update"
                fail(ArgumentError, f"{what}: params{path} is a {type(leaf).__name__}, not a shared variable", hint=hint)
            if leaf.serial in seen:
                fail(ArgumentError, f"{what}: params{path} stands in the tree twice", leaf)
            seen.add(leaf.serial)
        known = parameters(what, params)
        state = _slots(self.name, self.begin(known), self.begin(stand_ins(known)))
        if isinstance(loss_or_grads, Node) and loss_or_grads.ndim == 0:
            ahead = self.interim is not None
            g = self._gradients(loss_or_grads, state, known)
        else:
            ahead, hint = False, "a loss is a 0-d node; gradients are a tree like the parameters, of their shapes"
            g = fitted(what, "grads", loss_or_grads, known, hint)
        new, after = self.advance(g, state, known, ahead)
        values = tree.leaves((new, after))
        pairs = [(s, v) for s, v in zip(tree.leaves((params, state)), values) if s is not v]
        return Updates(pairs, state)

    def _gradients(self, loss: Node, state: Tree, params: Tree) -> Tree:
        """The gradients of a loss where this optimiser takes them; 0 for what does not move."""
        leaves, structure = tree.flatten(params)
        moves = [True] * len(leaves) if self.trains is None else self.trains(params)
        found = grad(loss, tree.unflatten(structure, [p if m else None for p, m in zip(leaves, moves)]))
        if self.interim is not None:
            there = tree.leaves(self.interim(state, params))
            found = substitute(found, {p: at for p, at, m in zip(leaves, there, moves) if m})
        slopes = iter(tree.leaves(found))
        return tree.unflatten(structure, [next(slopes) if m else zeros_like(p) for p, m in zip(leaves, moves)])

    def _must_descend(self, method: str) -> None:
        if self.kind != "descent":
            gives = "gradients" if self.kind == "gradients" else "parameters that a step has led to"
            hint = "put it in a chain with a method that makes steps: gx.optim.chain(gx.optim.clip_by_global_norm(1.0), gx.optim.sgd(0.1))"
            fail(ArgumentError, f"{self.name}.{method}: {self.name} changes {gives}, and makes no step", hint=hint)


def _slots(name: str, values: Tree, like: Tree) -> Tree:
    """Shared variables of these values, in the shapes of `like`: a slot beside a parameter of symbolic sizes has these as well."""
    leaves, structure = tree.flatten(values)
    rows = zip(leaves, tree.leaves(like), tree.paths(values))
    return tree.unflatten(structure, [shared(value, name + path, other.shape) for value, other, path in rows])
