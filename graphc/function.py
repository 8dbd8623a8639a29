"""`function`: from expressions to a native function; `substitute`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc import dims, tree
from graphc.arguments import as_argument, check_out
from graphc.cost import count_cost, count_memory
from graphc.dims import Dim, Size, Symbol
from graphc.errors import ArgumentError, DTypeError, ShapeError, fail
from graphc.interp import evaluate
from graphc.ir import Graph, Node, replace, toposort
from graphc.ops.registry import asarray
from graphc.printer import format_graph
from graphc.program import Program, format_program
from graphc.state import Shared
from graphc.types import same_size
from graphc.verify import size_assumptions

if TYPE_CHECKING:
    from codegen.runtime import Executable
    from passes.pipeline import Log

MODES = ("default", "none", "interpret")


def function(
    inputs: Sequence[Any] | Mapping[str, Any],
    outputs: Any = None,
    *,
    updates: Any = None,
    givens: Any = None,
    defaults: Any = None,
    name: str | None = None,
    threads: int | None = None,
    casting: str = "safe",
    mode: str | None = None,
) -> Function:
    """Compile outputs = f(inputs), with state[k] <- updates[k] at the end of each call.

    inputs: a list of variables or trees of variables (or sizes), or a dict of argument names. outputs: a tree.
    updates: a dict {shared: new value}, a list of such pairs, or a pair (tree of shared, tree of values); all read the
    old state. givens: replacements as in `substitute`. defaults: {variable or name: value}. casting: NumPy's rule for
    array arguments. threads: reserved for the parallel back end; 1 thread runs. mode: "default", "none" (no graph
    passes) or "interpret" (NumPy, node by node).
    Raises ArgumentError, DTypeError, ShapeError, CompileError.
    """
    return Function(inputs, outputs, updates, givens, defaults, name or "function", threads, casting, mode or "default")


class Function:
    """A compiled function. Call it with arrays, or with nodes to inline its graph. See `function`."""

    def __init__(
        self, inputs: Any, outputs: Any, updates: Any, givens: Any, defaults: Any, name: str, threads: int | None, casting: str, mode: str
    ) -> None:
        if mode not in MODES:
            fail(ArgumentError, f"mode {mode!r} is unknown", hint="one of " + ", ".join(map(repr, MODES)))
        if casting not in ("no", "equiv", "safe", "same_kind", "unsafe"):
            fail(ArgumentError, f"casting {casting!r} is unknown", hint="NumPy's rules: 'safe', 'same_kind', 'unsafe'")
        if threads is not None and (not isinstance(threads, int) or threads < 1):
            fail(ArgumentError, f"threads must be a positive int, got {threads!r}")
        self.name, self.casting, self.mode = name, casting, mode
        self.inputs, self.outputs = inputs, outputs
        self._arguments = _Arguments(inputs, defaults)
        leaves, self._structure = tree.flatten(outputs)
        self._outputs = [asarray(o) for o in leaves]
        self.updates = _as_updates(updates)
        values = [v for _, v in self.updates]
        if givens is not None:
            replaced = substitute([self._outputs, values], dict(givens))
            self._outputs, values = replaced
        self.updates = [(s, v) for (s, _), v in zip(self.updates, values, strict=True)]
        for s, v in self.updates:
            _check_update(s, v)
        self._graph = Graph(tuple(self._arguments.variables), (*self._outputs, *values))
        self._size_checks = size_assumptions(self._graph.outputs)
        self._shared = _check_variables(self._graph, self._arguments)
        self._log: Log | None = None
        self._optimised, self._program, self._executable = self._compile()

    def _compile(self) -> tuple[Graph, Program | None, Executable | None]:
        if self.mode == "interpret":
            return self._graph, None, None
        # the joint of the three packages: imported here so that `import graphc` loads neither passes nor LLVM
        from codegen.runtime import Executable
        from passes.pipeline import Log, optimise, plan

        self._log = Log()
        graph = optimise(self._graph, self.mode, self._log)
        values = graph.outputs[len(self._outputs) :]
        updates = [(s, v) for (s, _), v in zip(self.updates, values, strict=True)]
        program = plan(graph, updates, self._size_checks, self._log)
        return graph, program, Executable(program, given=self._arguments.sizes)

    # -- calling -----------------------------------------------------------------------------------------------
    def __call__(self, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        leaves = self._arguments.bind(self.name, args, kwargs)
        if any(isinstance(v, Node) for v in leaves):
            return self._inline(leaves)
        variables = self._arguments.variables
        arrays = [as_argument(v, x, self.casting) for v, x in zip(leaves, variables, strict=False)]
        given = [_as_size(v, d) for v, d in zip(leaves[len(variables) :], self._arguments.sizes, strict=True)]
        with ExitStack() as stack:
            for s in self._shared:
                stack.enter_context(s.lock)
            results = self._interpret(arrays, given) if self._executable is None else self._run(arrays, given)
        if out is not None:
            results = self._written(results, out)
        return tree.unflatten(self._structure, results)

    def _run(self, arrays: list[np.ndarray], given: list[int]) -> list[np.ndarray]:
        assert self._executable is not None
        state = [s.value for s in self._executable.program.shared]  # type: ignore[attr-defined]
        return self._executable(arrays, state, given)

    def _interpret(self, arrays: list[np.ndarray], given: list[int]) -> list[np.ndarray]:
        env = dict(zip(self._arguments.variables, arrays, strict=True))
        sizes = {s: v for d, v in zip(self._arguments.sizes, given, strict=True) if (s := dims.as_symbol(d)) is not None}
        results = evaluate(self._graph.outputs, env, sizes)
        for (s, _), value in zip(self.updates, results[len(self._outputs) :], strict=True):
            s.set_value(value)
        return results[: len(self._outputs)]

    def _written(self, results: list[np.ndarray], out: Any) -> list[np.ndarray]:
        targets, structure = tree.flatten(out)
        if structure != self._structure:
            fail(ArgumentError, f"out must have the structure of the outputs, {self._structure}, got {structure}")
        checked = [check_out(t, r, p) for t, r, p in zip(targets, results, tree.paths(out), strict=True)]
        for k, t in enumerate(checked):
            if any(np.may_share_memory(t, o) and np.shares_memory(t, o) for o in checked[:k]):
                fail(ArgumentError, "out: two of the arrays overlap")
        for t, r in zip(checked, results, strict=True):
            np.copyto(t, r)
        return checked

    def _inline(self, leaves: list[Any]) -> Any:
        if self.updates:
            fail(ArgumentError, f"{self.name} has updates, so it cannot be inlined in another graph")
        nodes: dict[Any, Any] = {x: asarray(v) for x, v in zip(self._arguments.variables, leaves, strict=False)}
        nodes |= dict(zip(self._arguments.sizes, leaves[len(self._arguments.variables) :], strict=True))
        return tree.unflatten(self._structure, substitute(self._outputs, nodes))

    # -- looking inside ----------------------------------------------------------------------------------------
    @property
    def graph(self) -> str:
        """The optimised graph as text."""
        return format_graph(self._optimised)

    @property
    def program(self) -> str:
        """Buffers, kernels with their stages, and steps, as text."""
        return format_program(self._native().program)

    @property
    def loops(self) -> str:
        """The loops of each kernel as text."""
        return self._native().loops()

    @property
    def llvm(self) -> str:
        """The LLVM text."""
        return self._native().text

    @property
    def asm(self) -> str:
        """The machine code as assembly."""
        return self._native().assembly()

    def cost(self, **sizes: int) -> dict[str, int]:
        """Counted work of one call, for sizes by name: `operations`, `transcendental` (of those), `bytes` read and written, `kernels`."""
        program = self._native().program
        return count_cost(program, _environment(program, self, sizes))

    def memory(self, **sizes: int) -> dict[str, int]:
        """Bytes for sizes by name: `inputs`, `state`, `constants`, `outputs`, `arena` (intermediates), `largest` (single intermediate)."""
        program = self._native().program
        return count_memory(program, _environment(program, self, sizes))

    def explain(self) -> str:
        """What the compiler did: passes, and the rules that fired with the user's lines."""
        if self._log is None:
            return "interpreted, node by node"
        lines = list(self._log.lines)
        for rule, count in self._log.fired.items():
            sites = self._log.sites.get(rule, [])
            lines.append(f"  {rule} x{count}" + (f"   {', '.join(sites)}" if sites else ""))
        return "\n".join(lines)

    def _native(self) -> Executable:
        if self._executable is None:
            fail(ArgumentError, "mode='interpret' compiles nothing", hint="leave out mode=")
        return self._executable

    def __repr__(self) -> str:
        return f"<compiled {self.name}({', '.join(self._arguments.names)}) -> {self._structure}>"


class _Arguments:
    """The parameters of a function: names, structures, variables, sizes among them, defaults."""

    def __init__(self, inputs: Any, defaults: Any) -> None:
        if isinstance(inputs, Mapping):
            entries = list(inputs.items())
        elif isinstance(inputs, (list, tuple)):
            entries = [(e.name if isinstance(e, Node) else str(e) if isinstance(e, Dim) else None, e) for e in inputs]
        else:
            fail(
                ArgumentError,
                f"inputs must be a list or a dict of variables, got {type(inputs).__name__}",
                hint="gx.function([x, y], outputs)",
            )
        self.names: list[str] = [n if n is not None else f"argument {k}" for k, (n, _) in enumerate(entries)]
        twice = sorted({n for n in self.names if self.names.count(n) > 1})
        if twice:
            fail(
                ArgumentError,
                f"two inputs are named {', '.join(map(repr, twice))}",
                hint="give the variables different names, or pass inputs as a dict of argument names",
            )
        self.structures: list[tree.TreeDef] = []
        self.variables: list[Node] = []
        self.sizes: list[Dim] = []
        self._slots: list[list[tuple[str, int]]] = []
        seen: set[Any] = set()
        for name, entry in zip(self.names, [e for _, e in entries], strict=True):
            leaves, structure = tree.flatten(entry)
            slots = []
            for leaf in leaves:
                if isinstance(leaf, Dim) and dims.as_symbol(leaf) is not None:
                    slots.append(("size", len(self.sizes)))
                    self.sizes.append(leaf)
                elif isinstance(leaf, Node) and leaf.op.name == "input":
                    slots.append(("node", len(self.variables)))
                    self.variables.append(leaf)
                elif isinstance(leaf, Node):
                    hint = (
                        "shared variables are read without being listed"
                        if leaf.op.name == "shared"
                        else "use givens= to replace an inner value"
                    )
                    fail(ArgumentError, f"input {name!r} is not an input variable", leaf, hint=hint)
                else:
                    fail(
                        ArgumentError,
                        f"input {name!r}: {type(leaf).__name__} is not a variable",
                        hint="declare it with gx.tensor(name, shape, dtype)",
                    )
                if leaf in seen:
                    fail(ArgumentError, f"input {name!r} is listed twice", leaf)
                seen.add(leaf)
            self.structures.append(structure)
            self._slots.append(slots)
        self.defaults = self._defaults(defaults)

    def _defaults(self, defaults: Any) -> dict[str, Any]:
        result = {}
        for key, value in dict(defaults or {}).items():
            name = key.name if isinstance(key, Node) else key
            if name not in self.names:
                fail(ArgumentError, f"defaults: {name!r} is not an input", hint=f"inputs are {', '.join(self.names)}")
            result[name] = value
        return result

    def bind(self, what: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        """The leaves of a call: variables in order, then sizes. ArgumentError for a wrong number, name or structure."""
        if len(args) > len(self.names):
            fail(ArgumentError, f"{what} takes {len(self.names)} arguments ({', '.join(self.names)}), got {len(args)}")
        given = dict(zip(self.names, args, strict=False))
        for name, value in kwargs.items():
            if name not in self.names:
                fail(ArgumentError, f"{what} has no input {name!r}", hint=f"inputs are {', '.join(self.names)}")
            if name in given:
                fail(ArgumentError, f"{what} got input {name!r} twice")
            given[name] = value
        missing = [n for n in self.names if n not in given and n not in self.defaults]
        if missing:
            fail(ArgumentError, f"{what} misses input {', '.join(map(repr, missing))}")
        nodes: list[Any] = [None] * len(self.variables)
        sizes: list[Any] = [None] * len(self.sizes)
        for name, structure, slots in zip(self.names, self.structures, self._slots, strict=True):
            value = given[name] if name in given else self.defaults[name]
            if structure.num_leaves == 1 and structure == _LEAF:
                leaves = [value]
            else:
                leaves, have = tree.flatten(value)
                if have != structure:
                    fail(
                        ArgumentError,
                        f"input {name!r} has another structure than declared: {structure.difference(have) or f'{structure}, got {have}'}",
                    )
            for (kind, k), leaf in zip(slots, leaves, strict=True):
                (nodes if kind == "node" else sizes)[k] = leaf
        return nodes + sizes


_LEAF = tree.structure(0)


def _as_size(value: Any, size: Dim) -> int:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)) or value < 0:
        fail(ArgumentError, f"size {size}: expected a non-negative int, got {value!r}")
    return int(value)


def _as_updates(updates: Any) -> list[tuple[Shared, Node]]:
    """The pairs (shared variable, new value) of any accepted spelling."""
    if updates is None:
        return []
    if isinstance(updates, Mapping):
        pairs = list(updates.items())
    elif (
        len(updates) == 2
        and all(isinstance(s, Shared) for s in tree.leaves(updates[0]))
        and tree.structure(updates[0]) == tree.structure(updates[1])
    ):
        pairs = list(zip(*(tree.leaves(u) for u in updates), strict=True))
    else:
        pairs = [tuple(p) for p in updates]
    seen: set[Node] = set()
    result = []
    for s, v in pairs:
        if not isinstance(s, Shared):
            fail(ArgumentError, f"updates: {s!r} is not a shared variable", hint="gx.shared(value) makes state")
        if s in seen:
            fail(ArgumentError, "updates: a shared variable is updated twice", s)
        seen.add(s)
        result.append((s, asarray(v, s.dtype if isinstance(v, (int, float)) else None)))
    return result


def _check_update(s: Shared, v: Node) -> None:
    if v.dtype != s.dtype:
        fail(DTypeError, f"updates: the new value is {v.dtype}, the state {s.dtype}", s, v, hint=f"cast it with .astype({s.dtype.name!r})")
    if v.ndim != s.ndim or not all(map(same_size, v.shape, s.shape)):
        fail(ShapeError, "updates: the new value and the state differ in shape", s, v)


def _check_variables(graph: Graph, arguments: _Arguments) -> list[Shared]:
    """The shared variables in lock order; ArgumentError for an input that the graph needs and nobody listed."""
    listed = set(arguments.variables)
    shared: list[Shared] = []
    for node in toposort(graph.outputs):
        if node.op.name == "input" and node not in listed:
            fail(
                ArgumentError,
                f"the outputs depend on {node.name!r}, which is not among the inputs",
                node,
                hint="list it, give it a value with givens=, or make it gx.shared",
            )
        if isinstance(node, Shared):
            shared.append(node)
    return sorted(shared, key=lambda s: s.serial)


def _environment(program: Program, f: Function, sizes: Mapping[str, int]) -> dict[Symbol, int]:
    from_shared: dict[Symbol, int] = {}
    needed = sorted(
        {s for v in (*program.inputs, *program.shared) for size in v.shape for s in dims.symbols(size)}
        | {dims.as_symbol(d) for d in f._arguments.sizes}
    )  # type: ignore[type-var,arg-type]
    for v in program.shared:
        for size, value in zip(v.shape, v.value.shape, strict=True):  # type: ignore[attr-defined]
            symbol = dims.as_symbol(size)
            if symbol is not None:
                from_shared[symbol] = value
    env: dict[Symbol, int] = {}
    for s in needed:
        if s.name in sizes:
            env[s] = sizes[s.name]
        elif s in from_shared:
            env[s] = from_shared[s]
        else:
            fail(ArgumentError, f"the size {s.name} is needed", hint=f"pass {s.name}=...")
    unknown = [k for k in sizes if k not in {s.name for s in needed}]
    if unknown:
        fail(
            ArgumentError,
            f"there is no size named {', '.join(unknown)}",
            hint=f"sizes are {', '.join(s.name for s in needed) or 'all fixed'}",
        )
    return env


def substitute(exprs: Any, mapping: Mapping[Any, Any]) -> Any:
    """`exprs` (a tree) with nodes and sizes replaced simultaneously; structure kept.

    Replacing x: (n, ..) by y: (m, ..) also replaces the size n by m. Raises ArgumentError, DTypeError, ShapeError.
    """
    leaves, structure = tree.flatten(exprs)
    roots = [asarray(x) for x in leaves]
    nodes: dict[Node, Node] = {}
    sizes: dict[Symbol, Size] = {}
    for old, new in mapping.items():
        if isinstance(old, Dim):
            symbol = dims.as_symbol(old)
            if symbol is None:
                fail(ArgumentError, f"substitute: {old} is not a single size symbol")
            sizes[symbol] = new
            continue
        if not isinstance(old, Node):
            fail(ArgumentError, f"substitute: {old!r} is neither a node nor a size")
        value = asarray(new, old.dtype if isinstance(new, (int, float)) and not isinstance(new, bool) else None)
        if value.dtype != old.dtype:
            fail(
                DTypeError,
                f"substitute: the replacement is {value.dtype}, the original {old.dtype}",
                old,
                value,
                hint="cast it with .astype",
            )
        if value.ndim != old.ndim:
            fail(ShapeError, "substitute: the replacement has another rank", old, value)
        for a, b in zip(old.shape, value.shape, strict=True):
            symbol = None if isinstance(a, int) else dims.as_symbol(a)
            if symbol is not None and a != b:
                sizes.setdefault(symbol, b)
        nodes[old] = value
    return tree.unflatten(structure, replace(roots, nodes, sizes or None))
