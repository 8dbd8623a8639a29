"""The facts of this machine, and of a few named ones that tests compile for."""

from __future__ import annotations

import os
import threading
from functools import cache, lru_cache
from pathlib import Path

import llvmlite.binding as llvm

from graphc.errors import CompileError, fail
from graphc.forking import held_over_fork
from graphc.target import Target

_TURNS = getattr(getattr(llvm.ffi.lib, "_lock", None), "_lock", None)  # llvmlite's own lock, which is taken inside ours
if _TURNS is not None:
    held_over_fork(_TURNS)
_LOCK = held_over_fork(threading.RLock())
_READY: set[str] = set()

# What each named target adds to its architecture's baseline; the x86 levels are those of the System V psABI.
_V3 = "+avx,+avx2,+bmi,+bmi2,+f16c,+fma,+lzcnt,+movbe,+popcnt,+sse3,+sse4.1,+sse4.2,+ssse3,+xsave"
_V4 = _V3 + ",+avx512bw,+avx512cd,+avx512dq,+avx512f,+avx512vl"
_NAMED = {
    "x86-64": ("x86_64-unknown-linux-gnu", "x86-64", ""),
    "x86-64-v3": ("x86_64-unknown-linux-gnu", "x86-64-v3", _V3),
    "x86-64-v4": ("x86_64-unknown-linux-gnu", "x86-64-v4", _V4),
    "aarch64": ("aarch64-unknown-linux-gnu", "generic", "+neon"),
}


@lru_cache(maxsize=1)
def host() -> Target:
    """The CPU this process runs on, by its features: under virtualisation the CPU's name is often wrong."""
    features = llvm.get_host_cpu_features()
    text = ",".join(f"{'+' if on else '-'}{name}" for name, on in sorted(features.items()))
    return _describe(llvm.get_process_triple(), llvm.get_host_cpu_name(), text, *_caches(), cores=_cores())


@cache
def named(name: str) -> Target:
    """One of "x86-64", "x86-64-v3", "x86-64-v4", "aarch64"."""
    if name not in _NAMED:
        fail(CompileError, f"no target is named {name!r}", hint="one of " + ", ".join(_NAMED))
    return _describe(*_NAMED[name])


def _describe(triple: str, cpu: str, features: str, l1: int = 32 << 10, l2: int = 1 << 20, cores: int = 1) -> Target:
    on = {f[1:] for f in features.split(",") if f.startswith("+")}
    if triple.startswith(("x86_64", "i386", "i686")):
        wide = {"avx512f", "avx512vl", "avx512dq", "avx512bw"} <= on  # a CPU with only some of them is treated as AVX2
        return Target(
            triple, cpu, features,
            vector_bytes=64 if wide else 32 if "avx2" in on else 16,
            has_fma="fma" in on, has_ldexp=wide, has_round="sse4.1" in on, has_gather="avx2" in on,
            has_permute=wide, registers=32 if wide else 16, l1=l1, l2=l2, cores=cores,
        )  # fmt: skip
    arm = triple.startswith(("aarch64", "arm64"))
    return Target(
        triple, cpu, features, vector_bytes=16, has_fma=arm, has_ldexp=False, has_round=arm, has_gather=False,
        l1=l1, l2=l2, cores=cores,
    )  # fmt: skip


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _caches() -> tuple[int, int]:
    """Bytes of the first data cache and the second cache, where the system tells (Linux), else common sizes."""
    sizes = {1: 32 << 10, 2: 1 << 20}
    cpu = min(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0  # where cores differ, one that this process runs on
    try:
        for entry in sorted(Path(f"/sys/devices/system/cpu/cpu{cpu}/cache").glob("index*")):
            level, kind = int((entry / "level").read_text()), (entry / "type").read_text().strip()
            size = (entry / "size").read_text().strip()
            if level in sizes and kind in ("Data", "Unified") and size.endswith("K"):
                sizes[level] = int(size[:-1]) << 10
    except (OSError, ValueError):
        pass
    return sizes[1], sizes[2]


def initialise(triple: str) -> None:
    """Load LLVM's back end for `triple`, once: the native one, or all of them for a foreign triple."""
    native = triple == llvm.get_process_triple()
    key = "native" if native else "all"
    with _LOCK:
        if key in _READY:
            return
        if native:
            llvm.initialize_native_target()
            llvm.initialize_native_asmprinter()
        else:
            llvm.initialize_all_targets()
            llvm.initialize_all_asmprinters()
        _READY.add(key)


@cache
def machine(target: Target, hasty: bool = False) -> llvm.TargetMachine:
    """LLVM's code generator for `target`, in haste without the second scheduling. One a target serves all threads: llvmlite takes turns."""
    initialise(target.triple)
    made = llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=1 if hasty else 2, reloc="static", codemodel="jitdefault", jit=True
    )
    made.set_asm_verbosity(True)
    return made
