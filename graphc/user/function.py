"""`function`: from expressions to a native function; `substitute`."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc import dims, tree
from graphc.control.tracing import is_stand_in
from graphc.derivatives.grad import collector_paused
from graphc.dims import Dim, Size, Symbol
from graphc.errors import ArgumentError, DTypeError, ShapeError, fail
from graphc.interp import evaluate
from graphc.ir import Graph, Node, toposort
from graphc.ir import replace as replace_nodes
from graphc.ops.derived import settled
from graphc.ops.registry import asarray
from graphc.options import Options, default_options
from graphc.printer import format_graph
from graphc.substitute import substitute
from graphc.threads import as_thread_count
from graphc.types import assumed_sizes
from graphc.user.arguments import CASTINGS, as_argument, as_size_argument, check_outs
from graphc.user.signature import Signature
from graphc.user.state import Shared, hold, replace_values
from graphc.user.updates import advances, as_updates, check_update
from graphc.user.vectorcall import callable_class, entry_of, is_kept, set_entry
from graphc.verify.graph import assuming, size_assumptions

if TYPE_CHECKING:
    from graphc.codegen.runtime.executable import Executable
    from graphc.passes.pipeline import Log
    from graphc.program import Program
    from graphc.user.audit import Audit

MODES = ("default", "none", "verify", "interpret")


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
    flush_subnormals: bool = False,
) -> Function:
    """Compile outputs = f(inputs), with state[k] <- updates[k] at the end of each call.

    inputs: a list of variables or trees of variables (or sizes), or a dict of argument names. outputs: a tree.
    updates: a dict {shared: new value}, a list of such pairs, or a pair (tree of shared, tree of values); all read the
    old state. givens: replacements as in `substitute`. defaults: {variable or name: value}. casting: NumPy's rule for
    array arguments. threads: how many one call may use; by default what `set_num_threads` says. mode: "default", "none" (no graph
    passes), "verify" (every stage of the compiler is checked by its verifier) or "interpret" (NumPy, node by node). The state of random
    draws in the graph moves on by itself at each call that succeeds, see `gx.random.default_rng`; it is not among `f.updates`.
    flush_subnormals: native code takes them for zero, see `gx.flush_subnormals`.
    Raises ArgumentError, DTypeError, ShapeError, CompileError.
    """
    made: Function = callable_class(Function)(
        inputs, outputs, updates, givens, defaults, name or "function", threads, casting, mode or "default", flush_subnormals
    )
    return made


class Function:
    """A compiled function. Call it with arrays, or with nodes to inline its graph. See `function`."""

    def __init__(
        self,
        inputs: Any,
        outputs: Any,
        updates: Any,
        givens: Any,
        defaults: Any,
        name: str,
        threads: int | None,
        casting: str,
        mode: str,
        flush_subnormals: bool,
    ) -> None:
        if not isinstance(mode, str) or mode not in MODES:
            fail(ArgumentError, f"mode {mode!r} is unknown", hint="one of " + ", ".join(map(repr, MODES)))
        if not isinstance(casting, str) or casting not in CASTINGS:
            fail(ArgumentError, f"casting {casting!r} is unknown", hint="NumPy's rules: " + ", ".join(map(repr, CASTINGS)))
        if not isinstance(flush_subnormals, bool):
            fail(ArgumentError, f"flush_subnormals is True or False, got {flush_subnormals!r}")
        self.flush_subnormals = flush_subnormals
        self.threads = None if threads is None else as_thread_count(threads)
        self.name, self.casting, self.mode = name, casting, mode
        self.inputs, self.outputs = inputs, outputs
        self._arguments = Signature(inputs, defaults, casting)
        leaves, self._structure = tree.flatten(outputs)
        self._outputs = [asarray(o) for o in leaves]
        self.updates = as_updates(updates)
        values = [v for _, v in self.updates]
        if givens is not None:
            self._outputs, values = substitute([self._outputs, values], dict(givens))
        stated = [(s, v) for (s, _), v in zip(self.updates, values, strict=True)]
        self._updates = [*stated, *advances([*self._outputs, *values], self.updates)]
        values = [v for _, v in self._updates]
        with assumed_sizes() as assumed:
            for s, v in self._updates:
                check_update(s, v)
        self._graph = Graph(tuple(self._arguments.variables), tuple(settled((*self._outputs, *values))))
        self._size_checks = [*size_assumptions(self._graph.outputs), *assumed]
        self._replaced = [s for s, _ in self._updates]
        self._shared = _check_variables(self._graph, self._arguments, self._replaced)
        self._log: Log | None = None
        with collector_paused():
            self._optimised, self._program, self._executable = self._compile()

    def _compile(self) -> tuple[Graph, Program | None, Executable | None]:
        if self.mode == "interpret":
            return self._graph, None, None
        # the joint of the three packages: imported here so that `import graphc` loads neither passes nor LLVM
        from graphc.codegen.calibration.first_use import this_machine
        from graphc.codegen.runtime.executable import Executable
        from graphc.codegen.strategy.product_scratch import scratch_of
        from graphc.passes.pipeline import Log, optimise, plan

        self._log = Log()
        options = self._options()
        options = replace(options, target=options.target or this_machine(self._graph.outputs))
        graph = optimise(self._graph, options.mode, self._log, options.verify)
        values = graph.outputs[len(self._outputs) :]
        updates = [(s, v) for (s, _), v in zip(self._updates, values, strict=True)]
        program = plan(graph, updates, self._size_checks, self._log, options, partial(scratch_of, options=options))
        layout = self._arguments.layout(self._structure)
        who = partial(_assuming, self._graph.outputs, self._updates)  # not a method: the executable shall not lead back to the function
        executable = Executable(program, options, self._arguments.sizes, layout, who)
        set_entry(self, executable.entry(Function.__call__, Function._fault), executable)
        return graph, program, executable

    def _options(self) -> Options:
        given = default_options()
        mode = "default" if self.mode == "verify" else self.mode
        verify = given.verify or self.mode == "verify"
        flush = given.flush_subnormals or self.flush_subnormals
        return replace(given, mode=mode, threads=self.threads, verify=verify, flush_subnormals=flush)

    # -- calling -----------------------------------------------------------------------------------------------
    def __call__(self, /, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        """The outputs for these arguments; written into the arrays `out`, a tree like the outputs, if given.

        An error leaves state and `out` untouched.
        """
        leaves = self._arguments.bind(self.name, args, kwargs)
        if any(isinstance(v, (Node, Dim)) for v in leaves):
            if out is not None:
                fail(ArgumentError, f"{self.name}: out= goes with arrays, not with nodes")
            return self._inline(leaves)
        variables = self._arguments.variables
        arrays = [as_argument(v, x, self.casting) for v, x in zip(leaves, variables, strict=False)]
        given = [as_size_argument(v, d) for v, d in zip(leaves[len(variables) :], self._arguments.sizes, strict=True)]
        run = self._interpret if self._executable is None else self._run
        held = None
        try:
            held = hold(self._shared, self._replaced)
            results = run(arrays, given, out)
        finally:
            held = None  # noqa: F841
        return tree.unflatten(self._structure, results) if out is None else out

    def _run(self, arrays: list[np.ndarray], given: list[int], out: Any) -> list[np.ndarray]:
        executable = self._native()
        if not is_kept(self):  # a finaliser calls it, or has saved it
            set_entry(self, executable.entry(Function.__call__, Function._fault), executable)
        state = [s.value for s in executable.program.shared]  # type: ignore[attr-defined]
        if out is None:
            return executable(arrays, state, given)
        targets = self._targets(out, executable.output_shapes(arrays, state, given))
        return _write(executable(arrays, state, given), targets)

    def _fault(self, address: int) -> None:
        """The entry hands over what a failed check found: nothing is run again."""
        self._native().fault(address)

    def _interpret(self, arrays: list[np.ndarray], given: list[int], out: Any) -> list[np.ndarray]:
        env: dict[Any, Any] = dict(zip(self._arguments.variables, arrays, strict=True))
        env |= dict(zip(self._arguments.sizes, given, strict=True))
        results = evaluate(self._graph.outputs, env)
        outputs, values = [np.asarray(r, order="C") for r in results[: len(self._outputs)]], results[len(self._outputs) :]
        for (s, new), value in zip(self._updates, values, strict=True):
            if value.shape != s.value.shape:
                fail(ShapeError, f"updates: the new value has shape {value.shape}, the state {s.value.shape}", s, new)
        targets = None if out is None else self._targets(out, [r.shape for r in outputs])
        replace_values(self._replaced, values)
        return outputs if targets is None else _write(outputs, targets)

    def _targets(self, out: Any, shapes: list[tuple[int, ...]]) -> list[np.ndarray]:
        """The arrays of `out`, checked before anything is computed."""
        targets, structure = tree.flatten(out)
        if structure != self._structure:
            fail(ArgumentError, f"out must have the structure of the outputs, but they differ {self._structure.difference(structure)}")
        return check_outs(targets, [(o.dtype, s) for o, s in zip(self._outputs, shapes, strict=True)], tree.paths(out))

    def _inline(self, leaves: list[Any]) -> Any:
        if self.updates:
            fail(ArgumentError, f"{self.name} has updates, so it cannot be inlined in another graph")
        variables = self._arguments.variables
        nodes: dict[Any, Any] = {x: self._argument_node(v, x) for v, x in zip(leaves, variables, strict=False)}
        for size, value in zip(self._arguments.sizes, leaves[len(variables) :], strict=True):
            nodes[size] = value if isinstance(value, Dim) else as_size_argument(value, size)
        return tree.unflatten(self._structure, substitute(self._outputs, nodes))

    def _argument_node(self, value: Any, variable: Node) -> Node:
        """An argument as a node of the variable's dtype, by the casting rule that arrays follow."""
        if not isinstance(value, (Node, Dim)):
            return asarray(as_argument(value, variable, self.casting))
        node = asarray(value)
        if not np.can_cast(node.dtype, variable.dtype, self.casting):  # type: ignore[arg-type]
            hint = f"cast it with .astype({variable.dtype.name!r})"
            fail(DTypeError, f"argument {variable.name!r}: {node.dtype} does not fit {variable.dtype}", node, variable, hint=hint)
        return node.astype(variable.dtype)

    # -- looking inside ----------------------------------------------------------------------------------------
    @property
    def graph(self) -> str:
        """The optimised graph as text."""
        return format_graph(self._optimised)

    @property
    def program(self) -> str:
        """Buffers, kernels with their stages, and steps, as text."""
        from graphc.program import format_program

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

    def cost(self, sizes: Mapping[str | Dim, int] | None = None, /, **named: int) -> dict[str, int]:
        """Counted work of one call: `operations`, `transcendental` (of those), `bytes` read and written, `kernels`.

        A scan counts as all its turns, a branch as its dearer side, a while loop as `max_steps` turns, without these as one turn.
        Sizes by name, f.cost(n=64), or where they have none of their own, f.cost({x.shape[0]: 64}).
        """
        from graphc.user.cost import count_cost

        program = self._native().program
        return count_cost(program, _environment(program, self, {**(sizes or {}), **named}))

    def memory(self, sizes: Mapping[str | Dim, int] | None = None, /, **named: int) -> dict[str, int]:
        """Bytes by role: `inputs`, `state`, `constants`, `outputs`, `arena` (intermediates), `largest` (of them). Sizes as for `cost`."""
        from graphc.user.cost import count_memory

        executable = self._native()
        env = _environment(executable.program, self, {**(sizes or {}), **named})
        return count_memory(executable.program, env, executable.threads.most)

    def explain(self) -> str:
        """What the compiler did: passes, the rules that fired with the user's lines, and which way a call goes."""
        if self._log is None:
            return "interpreted, node by node"
        lines = list(self._log.lines)
        for rule, count in self._log.fired.items():
            sites = self._log.sites.get(rule, [])
            lines.append(f"  {rule} x{count}" + (f"   {', '.join(sites)}" if sites else ""))
        if self.flush_subnormals:
            lines.append("subnormal numbers: taken for zero")
        detour = "" if entry_of(self) else self._native().detour or "this interpreter has no vectorcall"
        lines.append("calls: " + (f"through Python and ctypes ({detour})" if detour else "native, by vectorcall"))
        return "\n".join(lines)

    def audit(self, /, *args: Any, digits: int = 60, **kwargs: Any) -> Audit:
        """The same graph for these arguments in `digits` decimal digits, and the worst error of every node, with the line that made it.

            f = gx.function([x], gx.log(1 + gx.exp(x)))
            print(f.audit(np.array([-50.0])))          # as written the logarithm has lost all digits; as compiled none

        Both the graph as it was written and as it was compiled are evaluated, in NumPy's floats and in decimal floats without bounds:
        `written` and `compiled` hold a row for each node, loops and branches one for each array they give, `results` what a call gives.
        Functions are evaluated from their definitions; the few that are not known so are listed in `rounded` and have float64's digits.
        What the graph cancels by more than `digits` is not seen. State is read, not updated. Takes microseconds an element and node.
        Raises ArgumentError, ShapeError, DTypeError, and what a call raises.
        """
        from graphc.user.audit import audit

        if isinstance(digits, bool) or not isinstance(digits, int) or not 20 <= digits <= 10_000:
            fail(ArgumentError, f"{self.name}.audit: digits is a whole number from 20 to 10000, got {digits!r}")
        leaves, variables = self._arguments.bind(self.name, args, kwargs), self._arguments.variables
        arrays = [as_argument(v, x, self.casting) for v, x in zip(leaves, variables, strict=False)]
        given = [as_size_argument(v, d) for v, d in zip(leaves[len(variables) :], self._arguments.sizes, strict=True)]
        env: dict[Any, Any] = {**dict(zip(variables, arrays, strict=True)), **dict(zip(self._arguments.sizes, given, strict=True))}
        results = None if self._updates or self._executable is None else tree.leaves(self(*args, **kwargs))
        return audit(self._graph, self._optimised, len(self._outputs), results, env, digits)

    def _native(self) -> Executable:
        if self._executable is None:
            fail(ArgumentError, "mode='interpret' compiles nothing", hint="leave out mode=")
        return self._executable

    def __copy__(self) -> Function:
        return self  # as Python's own functions: it shares its state anyway

    def __deepcopy__(self, memo: dict[int, Any]) -> Function:
        """The same function with state of its own; what shares state here shares the copy there. The function itself if it has no state."""
        if not self._shared:
            return self
        held = None
        try:
            held = hold(self._shared)  # all of it as it was between two calls
            nodes: dict[Node, Node] = {s: copy.deepcopy(s, memo) for s in self._shared}
        finally:
            held = None  # noqa: F841
        return self._again(nodes, copy.deepcopy(self._arguments.defaults, memo), self.flush_subnormals)

    def flushed(self) -> Function:
        """The same function, of the same state, that takes subnormal numbers for zero; itself if it does. See `gx.flush_subnormals`."""
        return self if self.flush_subnormals else self._again({}, self._arguments.defaults, True)

    def _again(self, nodes: dict[Node, Node], defaults: Any, flush_subnormals: bool) -> Function:
        """The function compiled again, with `nodes` for its state."""
        given = self._given_updates()
        renewed = replace_nodes([*self._outputs, *[v for _, v in given]], nodes)
        outputs = tree.unflatten(self._structure, renewed[: len(self._outputs)])
        updates = [(nodes.get(s, s), v) for (s, _), v in zip(given, renewed[len(self._outputs) :], strict=True)]
        how = (self.name, self.threads, self.casting, self.mode, flush_subnormals)
        made: Function = type(self)(self.inputs, outputs, updates, None, defaults, *how)
        return made

    def __reduce_ex__(self, protocol: Any) -> Any:
        """What `function` was given; it is compiled again where it is read, with machine code from the object cache."""
        outputs = tree.unflatten(self._structure, self._outputs)
        how: dict[str, Any] = {"name": self.name, "threads": self.threads, "casting": self.casting, "mode": self.mode}
        if self.flush_subnormals:
            how["flush_subnormals"] = True
        return _read, (self.inputs, outputs, self._given_updates(), self._arguments.defaults, how)

    def _given_updates(self) -> list[tuple[Shared, Node]]:
        """The updates that the user asked for, after `givens`; the rest follows from the graph."""
        return self._updates[: len(self.updates)]

    def __repr__(self) -> str:
        return f"<compiled {self.name}({', '.join(self._arguments.names)}) -> {self._structure}>"


def _read(inputs: Any, outputs: Any, updates: Any, defaults: Any, how: dict[str, Any]) -> Function:
    return function(inputs, outputs, updates=updates, defaults=defaults, **how)


def _assuming(outputs: Sequence[Node], updates: Sequence[tuple[Shared, Node]], a: Size, b: Size) -> Node | None:
    """Who took these sizes to be equal: a node, or the state that is updated."""
    node = assuming(outputs, a, b)
    if node is not None:
        return node
    pairs = [(s, {*zip(s.shape, v.shape, strict=True), *zip(v.shape, s.shape, strict=True)}) for s, v in updates]
    return next((s for s, listed in pairs if (a, b) in listed), None)


def _write(results: list[np.ndarray], targets: list[np.ndarray]) -> list[np.ndarray]:
    """Results are complete before the first target is written, so a target may overlap an input."""
    for target, result in zip(targets, results, strict=True):
        np.copyto(target, result)
    return targets


def _check_variables(graph: Graph, arguments: Signature, updated: Sequence[Shared]) -> list[Shared]:
    """The shared variables, read or updated, in lock order; ArgumentError for an input that the graph needs and nobody listed."""
    listed = set(arguments.variables)
    shared: set[Shared] = set(updated)
    for node in toposort(graph.outputs):
        if node.op.traits.leaf == "input" and node not in listed:
            if is_stand_in(node):
                what = f"the outputs depend on {node.name!r}, which stands for a value inside the body of a loop or a branch"
                fail(ArgumentError, what, node, hint="what leaves a body is what its function returns")
            hint = "list it, give it a value with givens=, or make it gx.shared"
            fail(ArgumentError, f"the outputs depend on {node.name!r}, which is not among the inputs", node, hint=hint)
        if isinstance(node, Shared):
            shared.add(node)
    return sorted(shared, key=lambda s: s.serial)


def _environment(program: Program, f: Function, sizes: Mapping[Any, int]) -> dict[Symbol, int]:
    """Symbol -> value, from sizes by name or by Dim, and from the state."""
    listed = [*f._arguments.sizes, *(size for v in (*program.inputs, *program.shared) for size in v.shape)]
    needed = sorted({s for size in listed for s in dims.symbols(size)})
    env: dict[Symbol, int] = {}
    for v in program.shared:
        for size, value in zip(v.shape, v.value.shape, strict=True):  # type: ignore[attr-defined]
            if (symbol := dims.as_symbol(size)) is not None:
                env[symbol] = value
    names = {s.name: s for s in needed}
    for key, value in sizes.items():
        found = dims.as_symbol(key) if isinstance(key, Dim) else names.get(key)
        if found not in needed or found is None:
            fail(ArgumentError, f"there is no size named {key}", hint=f"sizes are {', '.join(names) or 'all fixed'}")
        env[found] = as_size_argument(value, dims.of_symbol(found))
    for s in needed:
        if s not in env:
            fail(
                ArgumentError,
                f"the size {s.name} is needed",
                hint=f"pass {s.name}=..." if s.name.isidentifier() else f"pass {{{s.name}: ...}}",
            )
    return env
