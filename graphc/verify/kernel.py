"""The invariants of a `Kernel` by itself: typed, bound, in range; what is read was computed, what is written is marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NoReturn

from graphc import dims
from graphc.dims import Dim, Size, Symbol
from graphc.dtypes import bool_, int64
from graphc.errors import CompileError
from graphc.ops.registry import OPS
from graphc.program import (
    NEUTRAL_COMBINES,
    POSITIONS,
    RANKED,
    UPDATES,
    Axis,
    Kernel,
    Put,
    ScalarCode,
    Stage,
    Store,
    format_kernel,
    places_read,
)
from graphc.scalars import Scalar, order
from graphc.verify.scalar import outside, scalar_fault, show, unbound
from graphc.verify.scalar_code import code_fault

COMBINES = (*NEUTRAL_COMBINES, *RANKED, "recur")


@lru_cache(maxsize=4096)
def verify_kernel(kernel: Kernel) -> None:
    """Raise CompileError unless a kernel is well formed by itself."""
    if kernel.kind not in ("loops", "scalar", "matrices") and not any(op.traits.kernel == kernel.kind for op in OPS.values()):
        _broken(f"a kernel of the unknown kind {kernel.kind!r}", kernel)
    if (kernel.kind == "scalar") != (kernel.code is not None):
        _broken(f"a kernel of kind {kernel.kind!r} {'without' if kernel.code is None else 'with'} scalar code", kernel)
    if (kernel.kind == "matrices") != (kernel.routine is not None) or (kernel.routine is not None and (kernel.axes or kernel.stages)):
        _broken(f"a kernel of kind {kernel.kind!r} with {'a' if kernel.routine else 'no'} routine", kernel)
    outer = _bind({}, kernel.axes, "the kernel", kernel)
    stored: set[int] = set()
    loaded: set[int] = set()
    if kernel.code is not None:
        stored, loaded = _code(kernel, kernel.code)
    if kernel.routine is not None:
        stored, loaded = {slot for slot, o in enumerate(kernel.operands) if o.written}, set(kernel.loaded)
    for k, stage in enumerate(kernel.stages):
        name = f"stage t{k}"
        own = _bind(outer, stage.axes, name, kernel)
        bound = _bind(own, stage.reduce, name, kernel)
        _combined(stage, name, kernel)
        if k and stage.nest < kernel.stages[k - 1].nest:
            _broken(f"{name} is of nest {stage.nest}, after one of nest {kernel.stages[k - 1].nest}", kernel)
        loaded |= _scalars(values_of(stage), bound, stage, k, kernel)
        for store in stage.stores:
            loaded |= _scalars(store.at, bound if stage.scan else own, stage, k, kernel)
            _store(store, stage, name, bound if stage.scan else own, kernel)
            stored.add(store.slot)
    for slot, operand in enumerate(kernel.operands):
        if operand.written != (slot in stored):
            marked, stores = ("written", "no") if operand.written else ("read-only", "a")
            _broken(f"operand b{slot} is marked {marked}, but {stores} stage stores to it", kernel)
        if slot not in stored | loaded:
            _broken(f"operand b{slot} is neither read nor written", kernel)


def _code(kernel: Kernel, code: ScalarCode) -> tuple[set[int], set[int]]:
    """The operands that scalar code stores and loads: none is both, for what it loads may be kept in a register."""
    if kernel.stages or kernel.axes:
        _broken("scalar code has neither axes nor stages beside it", kernel)

    def load_fault(s: Scalar, bound: Mapping[Symbol, Size]) -> str:
        return _load_fault(s, bound, kernel)

    def put_fault(put: Put, bound: Mapping[Symbol, Size]) -> str:
        if not 0 <= put.slot < len(kernel.operands):
            return f"a store to b{put.slot}, which is no operand"
        if kernel.operands[put.slot].dtype != put.value.dtype:
            return f"{put.value.dtype} is stored to b{put.slot}, which holds {kernel.operands[put.slot].dtype}"
        fault = _place_fault(put.slot, put.at, bound, kernel)
        return f"a store out of place: {fault}" if fault else ""

    fault = code_fault(code, load_fault, put_fault)
    if fault:
        _broken(fault, kernel)
    stored, loaded = {put.slot for put in code.stored}, {s.param[0] for s in kernel.parts if s.op == "load"}
    if stored & loaded:
        _broken(f"b{min(stored & loaded)} is loaded and stored by scalar code", kernel)
    return stored, loaded


def values_of(stage: Stage) -> tuple[Scalar, ...]:
    """What a stage computes for each element."""
    return (stage.body,) if stage.factor is None else (stage.body, stage.factor)


def _bind(bound: dict[Symbol, Size], axes: Sequence[Axis], what: str, kernel: Kernel) -> dict[Symbol, Size]:
    result = dict(bound)
    for axis in axes:
        symbol = dims.as_symbol(axis.index)
        if symbol is None or symbol.kind != "axis":
            _broken(f"{what} runs over {axis.index}, which is no loop index", kernel)
        if symbol in result:
            _broken(f"{what} binds the loop index {axis.index} twice", kernel)
        if unbound(axis.extent, result):
            _broken(f"{what} runs {axis.index} over {axis.extent}, which is no size", kernel)
        result[symbol] = axis.extent
    return result


def _combined(stage: Stage, name: str, kernel: Kernel) -> None:
    if (stage.combine is None) != (not stage.reduce):
        _broken(f"{name} has {len(stage.reduce)} reduced axes, and combine={stage.combine}", kernel)
    if stage.combine is not None and stage.combine not in COMBINES:
        _broken(f"{name} combines by {stage.combine!r}, which is none of {', '.join(COMBINES)}", kernel)
    ranked = stage.combine in RANKED
    if ranked and kernel.kind != "sort":
        _broken(f"{name} combines by {stage.combine} in a kernel of kind {kernel.kind!r}", kernel)
    if (stage.combine == "recur" or ranked) != (stage.factor is not None):
        _broken(f"{name} combines by {stage.combine}, {'without' if stage.factor is None else 'with'} a factor", kernel)
    if stage.factor is not None and ranked:
        _ranked(stage, stage.factor, name, kernel)
    elif stage.factor is not None and (stage.factor.dtype != stage.body.dtype or not stage.scan):
        _broken(f"{name} is a recurrence of {stage.factor.dtype} and {stage.body.dtype}, scan={stage.scan}", kernel)
    if stage.scan not in (None, "inclusive", "exclusive") or (stage.scan and (len(stage.reduce) != 1 or stage.combine in POSITIONS)):
        _broken(f"{name} is a {stage.scan!r} scan by {stage.combine} of {len(stage.reduce)} axes", kernel)
    wanted = int64 if stage.combine in POSITIONS else stage.body.dtype
    if stage.combine in ("any", "all") and stage.body.dtype != bool_:
        _broken(f"{name} combines {stage.body.dtype} by {stage.combine}", kernel)
    if stage.dtype != wanted:
        _broken(f"{name} is {stage.dtype}, but its value is {wanted}", kernel)


def _ranked(stage: Stage, rank: Scalar, name: str, kernel: Kernel) -> None:
    """One row is put in order, and read along a loop of its own, or once, from some place on; all that the kernel orders is alike."""
    if len(stage.reduce) != 1 or stage.axes:
        _broken(f"{name} puts {len(stage.reduce)} axes in order, in {len(stage.axes)} loops of its own", kernel)
    along, start = places_read(rank, kernel.axes)
    end = start + (1 if along is None else along.extent)
    fits = dims.less_equal(0, start) is not False and dims.less_equal(end, stage.reduce[0].extent) is not False
    if rank.op not in ("index", "const") or unbound(start, {}) or not fits:
        _broken(f"{name} reads the place {show(rank)} of an order", kernel)
    own = set() if along is None else dims.symbols(along.index)
    if any(s.op == "index" and own & dims.symbols(s.param) for s in order((stage.body,))):
        _broken(f"{name} puts in order what depends on the place that it reads", kernel)
    first = next(s for s in kernel.stages if s.combine in RANKED)
    if (stage.body, stage.factor, stage.reduce) != (first.body, first.factor, first.reduce):
        _broken(f"{name} puts in order what another stage does not", kernel)


def _scalars(roots: Sequence[Scalar], bound: dict[Symbol, Size], stage: Stage, k: int, kernel: Kernel) -> set[int]:
    """Check all Scalars that `roots` of stage k need; returns the slots they load from."""
    loaded: set[int] = set()
    for s in order(roots):
        fault = scalar_fault(s) or _leaf_fault(s, bound, stage, k, kernel)
        if fault:
            _broken(f"stage t{k}: {fault}, in {show(s)}", kernel)
        if s.op == "load":
            loaded.add(s.param[0])
    return loaded


def _leaf_fault(s: Scalar, bound: dict[Symbol, Size], stage: Stage, k: int, kernel: Kernel) -> str:
    if s.op == "index":
        loose = unbound(s.param, bound)
        return f"the loop index {loose[0]} is not bound here" if loose else ""
    if s.op == "load":
        return _load_fault(s, bound, kernel)
    if s.op == "local":
        return _local_fault(s, bound, stage, k, kernel)
    return f"{s.op} has no meaning in a kernel" if s.op in ("fetch", "arg") else ""


def _load_fault(s: Scalar, bound: Mapping[Symbol, Size], kernel: Kernel) -> str:
    slot, masked = s.param
    if not 0 <= slot < len(kernel.operands):
        return f"there is no operand b{slot}"
    at = s.args[:-1] if masked else s.args
    if masked and s.args[-1].dtype != bool_:
        return f"the mask is {s.args[-1].dtype}"
    if s.dtype != kernel.operands[slot].dtype:
        return f"b{slot} holds {kernel.operands[slot].dtype}, not {s.dtype}"
    return _place_fault(slot, at, None if masked else bound, kernel)


def _local_fault(s: Scalar, bound: dict[Symbol, Size], stage: Stage, k: int, kernel: Kernel) -> str:
    if not 0 <= s.param < k:
        return f"t{s.param} is no earlier stage"
    source = kernel.stages[s.param]
    axes = source.reduce if source.scan else source.axes
    if s.dtype != source.dtype:
        return f"t{s.param} is {source.dtype}, not {s.dtype}"
    if len(s.args) != len(axes):
        return f"t{s.param} has {len(axes)} axes, read with {len(s.args)} indices"
    if axes and source.nest != stage.nest:
        return f"t{s.param} has an element for each turn of nest {source.nest}, read in nest {stage.nest}"
    for i, axis in zip(s.args, axes):
        symbol = dims.as_symbol(axis.index)
        if i.op != "index" or i.param != axis.index or symbol is None or bound.get(symbol) != axis.extent:
            return f"t{s.param} is read at another element than its loops are at"
    return ""


def _place_fault(slot: int, at: Sequence[Scalar], bound: Mapping[Symbol, Size] | None, kernel: Kernel) -> str:
    """What is wrong with an index of operand `slot`; reach is checked where `bound` gives the loops, and not below a mask."""
    shape = kernel.operands[slot].shape
    if len(at) != len(shape):
        return f"b{slot} has {len(shape)} axes, indexed with {len(at)}"
    for i, size in zip(at, shape):
        if i.dtype != int64:
            return f"b{slot} is indexed by {i.dtype}"
        if bound is None or not (i.op == "const" or (i.op == "index" and bound)):
            continue
        if not unbound(i.param, bound) and outside(i.param, size, bound):
            return f"the index {i.param} of b{slot} leaves the axis of size {size}"
    return ""


def _store(store: Store, stage: Stage, name: str, bound: dict[Symbol, Size], kernel: Kernel) -> None:
    if not 0 <= store.slot < len(kernel.operands):
        _broken(f"{name} stores to b{store.slot}, which is no operand", kernel)
    if store.mode != "set" and store.mode not in UPDATES:
        _broken(f"{name} stores with the unknown mode {store.mode!r}", kernel)
    if kernel.operands[store.slot].dtype != stage.dtype:
        _broken(f"{name} stores {stage.dtype} to b{store.slot}, which holds {kernel.operands[store.slot].dtype}", kernel)
    fault = _place_fault(store.slot, store.at, bound, kernel)
    if fault:
        _broken(f"{name} stores out of place: {fault}", kernel)
    kept = still(store, (*stage.axes, *(stage.reduce if stage.scan else ())))
    if kept and kernel.kind != "scatter":
        _broken(f"{name} stores all points of the loop {kept[0]} to one element of b{store.slot}", kernel)


def still(store: Store, axes: Sequence[Axis]) -> list[Dim]:
    """The loops along which a store stays at one element."""
    moving = {s for i in store.at if i.op == "index" for s in dims.symbols(i.param)}
    return [a.index for a in axes if dims.as_symbol(a.index) not in moving]


def _broken(what: str, kernel: Kernel) -> NoReturn:
    raise CompileError("\n".join([f"verify: {what}", *kernel_lines(kernel)]))


def kernel_lines(kernel: Kernel) -> list[str]:
    """The text of a kernel, to stand below a message."""
    return ["  " + line for line in format_kernel(kernel).splitlines()]
