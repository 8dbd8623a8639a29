"""The Python entry point of a compiled function, emitted as LLVM text.

    PyObject *entry(PyObject *f, PyObject *const *args, size_t nargsf, PyObject *kwnames)

It takes the common calls straight through: C-contiguous native arrays of the declared dtypes and fitting sizes, Python numbers
for rank 0, trees of them, keywords in the declared order, defaults at the end, fresh results or `out=`. Anything else (casts,
lists for arrays, strided arrays, wrong sizes, overlapping `out`, state or the arena in use, an index out of range) goes to the
Python path, which has the same checks and raises the errors.

All checks are made with the GIL held, so they need no locks. Short work keeps the GIL; long work releases it, after marking what
it uses: the arena (by its capacity, see `graphc.codegen.entry.context`) and the state (in its cells, see `graphc.user.state`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from graphc import dims
from graphc import scalars as sc
from graphc.codegen.entry import cpython
from graphc.codegen.entry.context import ARENA, CAPACITY
from graphc.codegen.entry.cpython import symbol
from graphc.codegen.entry.fits import MOST_WORK, can_write_directly
from graphc.codegen.entry.results import FIT, MAKE, ROW, ROW_BYTES
from graphc.codegen.entry.run import INTERRUPTED, RunEmitter
from graphc.codegen.entry.ways import DECLARED, FAULTED, SLOW
from graphc.codegen.frame import FINISHED, frame_of, replaced_state
from graphc.codegen.llvm.emit_scalar import Function
from graphc.codegen.llvm.module import Unit
from graphc.codegen.runtime.binding import Binding
from graphc.codegen.runtime.estimate import in_double, work
from graphc.dims import Size, Symbol
from graphc.dtypes import SHORT
from graphc.program import Buffer, Layout, Program
from graphc.user.state import ADDRESS, NATIVE, QUEUE

LONG_WORK = 3e4  # ns: beyond, the GIL is released, which costs 35
STRAIGHT = 3  # results: of so few, what is most likely is straight code, 4 to 10 ns of a call less; a loop is less for LLVM to do
PARAMETERS = ("ptr %f", "ptr %args", "i64 %nargsf", "ptr %kwnames")
Place = tuple[str, str]  # the address and the number of bytes of an array


class EntryEmitter(RunEmitter):
    """Writes the entry of one program. `objects` collects the Python objects that it refers to, see `Context`."""

    def __init__(self, unit: Unit, program: Program, binding: Binding, layout: Layout, objects: list[object], arena_bytes: Size) -> None:
        super().__init__(unit, program, layout, objects)
        self.binding, self.arena_bytes = binding, arena_bytes
        self.arrays: list[str] = []  # the data of inputs
        self.tabled = False  # whether the module has the table of the results
        self.output_buffers = [program.buffers[b] for b in program.outputs]

    def functions(self) -> list[Function]:
        """The entry."""
        given, out = self.count()
        self.arguments(given)
        targets = self.targets(out, can_write_directly(self.program))
        shapes = self.checked()
        self.sizes(shapes)
        long = self.long()
        arena = self.arena()
        self.idle()
        self.state_apart(shapes)
        self.not_negative()
        outputs = self.results(out, targets, shapes)
        status = self.run(long, arena, outputs)
        self.finish(status, out, outputs)
        self.slow()
        return [Function("entry", PARAMETERS, [*self.slots, *self.entry.lines], result="ptr", linkage="")]

    def slow(self) -> None:
        """The way to the Python path."""
        self.entry.label("slow")  # one jump, so that nothing is kept for it in registers that must be saved
        self.module.declare(DECLARED[SLOW])
        called = f"tail call ptr @{SLOW}({', '.join(PARAMETERS)}, ptr @context)"
        self.entry.line(f"ret ptr {self.entry.emit(called)}")

    # -- arguments ----------------------------------------------------------------------------------------------
    def checked(self) -> list[list[str]]:
        """Check the inputs; the sizes of each."""
        return [self.argument(k, value) for k, value in enumerate(self.inputs)]

    def argument(self, k: int, value: str) -> list[str]:
        """Check the k-th input; its sizes."""
        node = self.program.inputs[k]
        if node.ndim == 0:
            self.arrays.append(self.number(value, node.dtype))
            return []
        self.is_array(value, node.dtype, node.ndim)
        self.arrays.append(self.field(value, cpython.DATA))
        return self.shape(value, node.ndim)

    def sizes(self, shapes: Sequence[list[str]]) -> None:
        """Bind the size symbols and compare everything that must agree, as `Binding.sizes` does."""
        e, n = self.entry, len(self.program.inputs)
        for k, axis, known in self.binding.fixed:
            if k < n and shapes[k][axis] != str(known):
                self.require(e.emit(f"icmp eq i64 {shapes[k][axis]}, {known}"))
        for s, k, axis, size in self.binding.sources:
            self.scopes[0].axis[s] = self.constant(self.solved(s, shapes[k][axis], size))
        for k, axis, size in self.binding.derived:
            self.require(e.emit(f"icmp eq i64 {shapes[k][axis]}, {self.size(size).text}"))
        if self.binding.safe < dims.MAX_INT64:  # larger sizes are for the Python path, which computes them exactly
            for s in dict.fromkeys(s for size in self.binding.values for s in sorted(dims.symbols(size))):
                self.require(e.emit(f"icmp sle i64 {self.axis(s).text}, {self.binding.safe}"))
        for a, b in self.binding.size_checks:
            self.require(e.emit(f"icmp eq i64 {self.size(a).text}, {self.size(b).text}"))

    def solved(self, s: Symbol, value: str, size: Size) -> str:
        """The symbol's value where an axis of size c*n + k has this value."""
        e = self.entry
        split = dims.affine(size, s)
        assert split is not None
        c, k = split
        if k != 0:
            value = e.emit(f"sub i64 {value}, {k}")
        if c != 1:
            self.require(e.emit(f"icmp eq i64 {e.emit(f'srem i64 {value}, {c}')}, 0"))
            value = e.emit(f"sdiv i64 {value}, {c}")
        if k != 0 or c != 1:
            self.require(e.emit(f"icmp sge i64 {value}, 0"))
        return value

    # -- resources ----------------------------------------------------------------------------------------------
    def long(self) -> str:
        """Whether the work is long enough to release the GIL. Far too long work goes the Python path: its sizes may not fit 64 bits."""
        total = in_double(work(self.program))
        if total.op == "const":
            return "true" if sc.const_value(total) > LONG_WORK else "false"
        self.require(self.value(total < MOST_WORK).text)
        return self.value(total > LONG_WORK).text

    def arena(self) -> str:
        """The arena, if it is free and large enough."""
        if self.arena_bytes == 0:
            return "null"
        self.require(self.entry.emit(f"icmp sle i64 {self.size(self.arena_bytes).text}, {self.word(CAPACITY, 'i64')}"))
        return self.word(ARENA)

    def idle(self) -> None:
        """No other thread is inside a call that reads or writes the same state."""
        e, busy = self.entry, "0"
        for k in range(len(self.program.shared)):
            waiting = self.field(self.field(self.cell(k), QUEUE), cpython.SIZE, "i64")
            for word in (waiting, self.field(self.cell(k), NATIVE, "i64")):
                busy = e.emit(f"or i64 {busy}, {word}")
        if busy != "0":
            self.same("i64", busy, 0)

    # -- memory apart -------------------------------------------------------------------------------------------
    def input_places(self, shapes: Sequence[list[str]]) -> list[Place]:
        return [(p, self.nbytes(x.dtype.itemsize, shape)) for p, x, shape in zip(self.arrays, self.program.inputs, shapes, strict=True)]

    def state_place(self, k: int) -> Place:
        v = self.program.shared[k]
        return self.field(self.cell(k), ADDRESS), str(dims.product(v.shape) * v.dtype.itemsize)  # `misfit` wants known sizes

    def nbytes(self, itemsize: int, shape: Sequence[str]) -> str:
        total, known = "", itemsize
        for size in shape:
            if not size.startswith("%"):
                known *= int(size)
            else:
                total = self.entry.emit(f"mul i64 {total}, {size}") if total else size
        return str(known) if not total else total if known == 1 else self.entry.emit(f"mul i64 {total}, {known}")

    def apart(self, a: Place, b: Place) -> None:
        """Go on if two arrays share no byte: not -bytes_a < start_a - start_b < bytes_b. Empty ones may go the Python path."""
        if "0" in (a[1], b[1]):
            return
        e = self.entry
        ahead = e.emit(f"sub i64 {e.emit(f'ptrtoint ptr {a[0]} to i64')}, {e.emit(f'ptrtoint ptr {b[0]} to i64')}")
        less = e.emit(f"sub i64 {a[1]}, 1")
        self.require(e.emit(f"icmp uge i64 {e.emit(f'add i64 {ahead}, {less}')}, {e.emit(f'add i64 {b[1]}, {less}')}"))

    def state_apart(self, shapes: Sequence[list[str]]) -> None:
        """No argument shares memory with state that the call replaces."""
        replaced = [self.state_place(k) for k in replaced_state(self.program)]
        for a in self.input_places(shapes) if replaced else []:
            for b in replaced:
                self.apart(a, b)

    def not_negative(self) -> None:
        """Sizes of outputs; asked before the first output is made, which the Python path would not take over."""
        for size in dict.fromkeys(s for b in self.output_buffers for s in b.shape if not isinstance(s, int)):
            self.require(self.entry.emit(f"icmp sge i64 {self.size(size).text}, 0"))

    # -- results ------------------------------------------------------------------------------------------------
    def results(self, out: str, targets: Sequence[str], shapes: Sequence[list[str]]) -> list[str]:
        """The arrays to write to: fresh ones, or `targets` where they fit."""
        if not self.output_buffers:
            return []
        e, few = self.entry, len(self.output_buffers) <= STRAIGHT
        arrays = "" if few else self.slot(f"[{len(self.output_buffers)} x ptr]")
        sizes = "" if few else self.result_sizes(self.output_buffers)
        make = self.make_few if few else partial(self.make, arrays, sizes)
        if not targets:
            return make()
        fresh, given, ready = self.label("fresh"), self.label("given"), self.label("ready")
        e.line(f"br i1 {e.emit(f'icmp eq ptr {out}, null')}, label %{fresh}, label %{given}")
        e.label(given)
        if few:
            self.fitting_few(targets, shapes)
        else:
            self.fitting(arrays, sizes, targets, shapes)
        written = e.current
        e.line(f"br label %{ready}")
        e.label(fresh)
        made = make()
        block = e.current
        e.line(f"br label %{ready}")
        e.label(ready)
        return [e.emit(f"phi ptr [ {m}, %{block} ], [ {t}, %{written} ]") for m, t in zip(made, targets, strict=True)]

    def make_few(self) -> list[str]:
        """As `make`, where what is most likely is straight code: one of the last two arrays is free and as it was made.

        The sizes are known by now (`not_negative`), in a block from which all of these are reached.
        """
        e, made = self.entry, list[str]()
        spares = self.spare_arrays()
        for k, b in enumerate(self.output_buffers):
            afresh, ready, pair = self.label("afresh"), self.label("ready"), self.offset(spares, 16 * k)
            first, second = self.field(pair, 0), self.field(pair, 8)
            alone = e.emit(f"icmp eq i64 {self.field(first, cpython.COUNT, 'i64')}, 1")
            spare = e.emit(f"select i1 {alone}, ptr {first}, ptr {second}")
            with self.otherwise(afresh):
                self.same("i64", self.field(spare, cpython.COUNT, "i64"), 1)
                kept = e.emit(f"and i32 {self.field(spare, cpython.FLAGS, 'i32')}, {~cpython.FORTRAN}")
                fresh, unwatched = self.equal("i32", kept, cpython.FRESH), self.equal("ptr", self.field(spare, cpython.WEAK), "null")
                self.is_like(spare, b, fresh, unwatched)
            self.put_field(spare, cpython.COUNT, "i64", 2)
            again = e.current
            e.line(f"br label %{ready}")
            e.label(afresh)
            new = self.slot("ptr")
            self.make_rows(k, [b], pair, new, self.result_sizes([b]), made)
            other, block = self.field(new, 0), e.current
            e.line(f"br label %{ready}")
            e.label(ready)
            made.append(e.emit(f"phi ptr [ {spare}, %{again} ], [ {other}, %{block} ]"))
        return made

    def fitting_few(self, targets: Sequence[str], shapes: Sequence[list[str]]) -> None:
        """As `fitting`, as straight code."""
        others = self.read_places(shapes)
        for target, b in zip(targets, self.output_buffers, strict=True):
            self.same("ptr", self.field(target, cpython.TYPE), f"@{symbol('ndarray')}")
            self.is_like(target, b, self.has_flags(target, cpython.WRITEABLE))
            place = self.field(target, cpython.DATA), self.nbytes(b.dtype.itemsize, [self.size(s).text for s in b.shape])
            for other in others:
                self.apart(place, other)
            others.append(place)

    def is_like(self, array: str, b: Buffer, *also: str) -> None:
        """Go on if an array has the dtype and the shape of a result, and these conditions hold."""
        self.all_of(*also, *self.has_type(array, b.dtype, len(b.shape)))
        if b.shape:
            sizes = zip(self.shape(array, len(b.shape)), b.shape, strict=True)
            self.all_of(*[self.equal("i64", have, self.size(wanted).text) for have, wanted in sizes])

    def result_sizes(self, buffers: Sequence[Buffer]) -> str:
        """The slot of the sizes of these results, one after the other."""
        sizes = [self.size(s).text for b in buffers for s in b.shape]
        if not sizes:
            return "null"
        slot = self.slot(f"[{len(sizes)} x i64]")
        for k, size in enumerate(sizes):
            self.put_field(slot, 8 * k, "i64", size)
        return slot

    def table(self, first: int, count: int) -> str:
        """What does not change of some results, see `graphc.codegen.entry.results`."""
        rows = [
            f"{ROW} {{ ptr @{symbol('dtype.' + SHORT[b.dtype])}, i64 {len(b.shape)}, i64 {b.dtype.itemsize} }}" for b in self.output_buffers
        ]
        if not self.tabled:
            self.module.add_global(f"@results = private constant [{len(rows)} x {ROW}] [{', '.join(rows)}]")
            self.tabled = True
        return f"ptr {self.offset('@results', ROW_BYTES * first)}, i64 {count}"

    def spare_arrays(self) -> str:
        return self.field(self.word(self.object_word(self.spares)), cpython.LIST_ITEMS)

    def make(self, arrays: str, sizes: str) -> list[str]:
        """A new array for each result: one of its last two if nobody but us holds it any more, or else a fresh one.

        Making an array and freeing another takes 40 ns, more than all else in a short call. It is handed out only as it was made:
        without a weak reference, a view, or a change by the user; else it goes, and a fresh one takes its place.
        """
        self.make_rows(0, self.output_buffers, self.spare_arrays(), arrays, sizes, [])
        return [self.field(arrays, 8 * k) for k in range(len(self.output_buffers))]

    def make_rows(self, first: int, buffers: Sequence[Buffer], spares: str, arrays: str, sizes: str, made: Sequence[str]) -> None:
        """The arrays of some results, by the loop that all entries share; those that were `made` before go if memory is out."""
        count, doomed = self.doom()
        given = f"{self.table(first, len(buffers))}, ptr {sizes}, ptr {spares}, ptr {arrays}, ptr {count}, ptr {doomed}"
        self.unless(self.entry.emit(f"call i1 @{MAKE}({given})"), made)

    def read_places(self, shapes: Sequence[list[str]]) -> list[Place]:
        """All that the call reads of what a caller may hold."""
        return self.input_places(shapes) + [self.state_place(k) for k in range(len(self.program.shared))]

    def fitting(self, arrays: str, sizes: str, targets: Sequence[str], shapes: Sequence[list[str]]) -> None:
        """Go on if results may be written into `targets` at any time: they lie apart from all that is read, and from each other."""
        for k, target in enumerate(targets):
            self.put_field(arrays, 8 * k, "ptr", target)
        read = self.read_places(shapes)
        places = self.slot(f"[{len(read) + len(targets)} x {{ ptr, i64 }}]")
        for k, (address, nbytes) in enumerate(read):
            self.put_field(places, 16 * k, "ptr", address)
            self.put_field(places, 16 * k + 8, "i64", nbytes)
        given = f"{self.table(0, len(targets))}, ptr {sizes}, ptr {arrays}, ptr {places}, i64 {len(read)}"
        self.require(self.entry.emit(f"call i1 @{FIT}({given})"))

    def finish(self, status: str, out: str, outputs: Sequence[str]) -> None:
        e = self.entry
        if not any(step.can_fail for step in self.program.steps):
            self.finished(out, outputs)
            return
        good, bad, drop, told = self.label("good"), self.label("bad"), self.label("drop"), self.label("told")
        e.line(f"br i1 {e.emit(f'icmp eq i64 {status}, {FINISHED}')}, label %{good}, label %{bad}, !prof {self.likely}")
        e.label(bad)
        e.line(f"br i1 {e.emit(f'icmp eq ptr {out}, null')}, label %{drop}, label %{told}")
        e.label(drop)
        self.drop(outputs)
        e.line(f"br label %{told}")
        e.label(told)
        self.bury()
        if self.program.interruptible:
            raised, checked = self.label("raised"), self.label("checked")
            e.line(f"br i1 {e.emit(f'icmp eq i64 {status}, {INTERRUPTED}')}, label %{raised}, label %{checked}")
            e.label(raised)
            e.line("ret ptr null")
            e.label(checked)
        self.fault(status)
        e.label(good)
        self.finished(out, outputs)

    def finished(self, out: str, outputs: Sequence[str]) -> None:
        """Give the results back."""
        e = self.entry
        fresh, given = self.label("fresh"), self.label("given")
        e.line(f"br i1 {e.emit(f'icmp eq ptr {out}, null')}, label %{fresh}, label %{given}")
        e.label(given)
        self.own(out)
        e.line(f"ret ptr {out}")
        e.label(fresh)
        made = self.handed_out(outputs)
        self.bury()
        e.line(f"ret ptr {made}")

    def drop(self, outputs: Sequence[str]) -> None:
        """Give up new results: the call has failed."""
        for o in outputs:
            self.disown(o)

    def handed_out(self, outputs: Sequence[str]) -> str:
        """New results as the caller wants them."""
        return self.build(self.layout.outputs, outputs)

    def fault(self, status: str) -> None:
        """A check has failed: hand the words of the run to Python, which raises the error. Nothing is run again."""
        e, frame = self.entry, frame_of(self.program)
        self.put_field(self.words, 8 * (frame.words - 1), "i64", status)
        self.module.declare(DECLARED[FAULTED])
        answer = e.emit(f"call ptr @{FAULTED}(ptr %f, ptr {self.words}, ptr @context)")
        e.line(f"ret ptr {answer}")
