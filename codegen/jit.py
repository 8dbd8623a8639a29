"""LLVM text to object code, and object code to callable addresses."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping

import llvmlite.binding as llvm

from graphc.codegen.target import host, machine
from graphc.errors import CompileError, fail
from graphc.forking import held_over_fork
from graphc.target import Target

VERSION = 2
"""Raise it whenever the same text would become other code: passes, options of the machine. Objects kept on disk are then compiled anew."""

HASTY = 1 << 20
"""Characters of text above which code is not scheduled again after registers are assigned: 15 % of the time for what a processor
that reorders hardly notices; short loops over data in the first cache do, by 5 %."""

_LOCK = held_over_fork(threading.RLock())
_LIBRARIES = itertools.count()  # a library's name is never used twice, not even after it was unloaded
_ENGINE: list[llvm.LLJIT] = []


def compile_module(text: str, target: Target, verify: bool = False) -> bytes:
    """The object file of a module in LLVM text. It refers to the outside by symbol only, so it may be kept on disk."""
    with _LOCK:
        code: bytes = machine(target, len(text) > HASTY).emit_object(_prepare(text, target, verify))
        return code


def assembly(text: str, target: Target) -> str:
    """The assembly that `compile_module` would encode."""
    with _LOCK:
        code: str = machine(target, len(text) > HASTY).emit_assembly(_prepare(text, target, verify=True))
        return code


def optimised(text: str, target: Target) -> str:
    """The module's text after the passes."""
    with _LOCK:
        return str(_prepare(text, target, verify=True))


def _prepare(text: str, target: Target, verify: bool) -> llvm.ModuleRef:
    """Parse and clean up. Only these passes: the standard levels double compile time and gain no speed on vector code."""
    try:
        module = llvm.parse_assembly(text)
        module.triple = target.triple
        module.data_layout = str(machine(target).target_data)
        if verify:
            module.verify()
    except RuntimeError as error:
        fail(CompileError, f"the emitted code is not valid LLVM text: {error}")
    builder = llvm.create_pass_builder(machine(target), llvm.create_pipeline_tuning_options(speed_level=1))
    passes = llvm.create_new_module_pass_manager()
    passes.add_always_inliner_pass()  # what is marked so: short kernels and the code that launches them
    passes.add_sroa_pass()
    passes.add_instruction_combine_pass()
    passes.add_simplify_cfg_pass()
    passes.run(module, builder)
    return module


class Loaded:
    """Machine code in memory. It is unloaded when this object goes: keep it as long as any of its addresses is in use."""

    def __init__(self, name: str, tracker: llvm.orcjit.ResourceTracker) -> None:
        self._name = name
        self._trackers = {"": tracker}

    def address(self, symbol: str) -> int:
        """The address of a function or variable that the object defines."""
        with _LOCK:
            if symbol not in self._trackers:
                try:
                    self._trackers[symbol] = _engine().lookup(self._name, symbol)
                except RuntimeError as error:
                    fail(CompileError, f"{symbol} cannot be linked: {error}", hint="every symbol it refers to must be given to load()")
            return int(self._trackers[symbol][symbol])


def load(code: bytes, symbols: Mapping[str, int] | None = None) -> Loaded:
    """Link an object file into this process; `symbols` are the addresses of what it refers to."""
    with _LOCK:
        name = f"graphc-{next(_LIBRARIES)}"
        builder = llvm.JITLibraryBuilder().add_object_img(code)
        for symbol, address in (symbols or {}).items():
            builder.import_symbol(symbol, address)
        try:
            return Loaded(name, builder.link(_engine(), name))
        except RuntimeError as error:
            fail(CompileError, f"the object code cannot be linked: {error}")


def _engine() -> llvm.LLJIT:
    """The one linker of the process, made at first use (3 ms)."""
    if not _ENGINE:
        _ENGINE.append(llvm.create_lljit_compiler(machine(host())))
    return _ENGINE[0]
