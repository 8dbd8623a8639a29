"""What the machine can do right now: a throughput probe, peak arithmetic, bandwidth by working set. Own kernels, no peer involved."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.worker import Clock
from graphc.codegen import jit
from graphc.codegen.target import host

CHAINS = 12  # independent multiply-adds in flight: at least latency x ports of any core, at most the registers of AVX2
LEVELS = {"L2": 256 << 10, "L3": 8 << 20, "memory": 128 << 20}  # bytes touched
FEATURES = ("sse4.2", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512vl", "avx512vnni", "amx-tile", "neon", "sve")
HEALTHY = 0.9  # of the best probe of the run


class Machine:
    """The cores a run is pinned to, and what was measured on one of them: FLOP/s by dtype, bytes/s by level of the memory."""

    def __init__(self, threads: int) -> None:
        self.code = jit.load(jit.compile_module(_kernels(), host()))
        self.sink = np.zeros(1024, np.uint8)
        self.memory = np.ones(max(LEVELS.values()), np.uint8)
        self.best = 0.0
        self.peak = dict.fromkeys(("f32", "f64"), 0.0)
        self.bandwidth = dict.fromkeys(LEVELS, 0.0)
        self.cores = self._quietest(threads)
        os.sched_setaffinity(0, self.cores)
        for _ in range(5):
            self.measure()

    def probe(self, dtype: str = "f32", milliseconds: float = 2.0) -> float:
        """GFLOP/s of register-only multiply-adds, for about so long."""
        lanes = host().vector_bytes // (4 if dtype == "f32" else 8)
        steps = int(milliseconds * 4e5)
        run = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p)(self.code.address(f"peak_{dtype}"))
        clock = Clock()
        run(steps, self.sink.ctypes.data)
        rate = 2 * CHAINS * lanes * steps / clock.seconds() / 1e9
        if dtype == "f32":
            self.best = max(self.best, rate)
        return rate

    def wait(self, patience: float) -> float:
        """The probe, once it is within 10 % of the best seen, or after `patience` seconds."""
        end = time.perf_counter() + patience
        while (rate := self.probe()) < HEALTHY * self.best and time.perf_counter() < end:
            time.sleep(0.01)
        return rate

    def measure(self) -> None:
        """Peak and bandwidth once more; the best of a run counts, for a moment's disturbance only ever lowers them."""
        for dtype in self.peak:
            self.peak[dtype] = max(self.peak[dtype], 1e9 * self.probe(dtype))
        for level, nbytes in LEVELS.items():
            self.bandwidth[level] = max(self.bandwidth[level], self._bandwidth(nbytes))

    def _bandwidth(self, nbytes: int) -> float:
        """Bytes/s of a vector read or of a copy (read + written) that touches so many bytes, whichever is more."""
        read = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)(self.code.address("read"))
        half, count = nbytes // 2, nbytes // (8 * host().vector_bytes)
        calls = (
            lambda: read(count, self.memory.ctypes.data, self.sink.ctypes.data),
            lambda: np.copyto(self.memory[:half], self.memory[half:nbytes]),
        )
        return max(nbytes / _timed(call, nbytes) for call in calls)

    def limit(self, dtype: str, flops: float, nbytes: float) -> float:
        """Seconds that `flops` operations or the movement of `nbytes` must take, whichever is longer."""
        level = next((k for k, size in LEVELS.items() if nbytes <= 4 * size), "memory")
        return max(flops / (self.peak[dtype] * len(self.cores)), nbytes / self.bandwidth[level])

    def facts(self) -> dict[str, object]:
        """What belongs beside every number."""
        return {
            "cpu": model(),
            "cores": sorted(self.cores),
            "features": [x for x in FEATURES if f"+{x}" in host().features.split(",")],
            "vector bytes": host().vector_bytes,
            "caches KB": caches(),
            "huge pages": huge_pages(),
            "system": platform.system(),
            "python": platform.python_version(),
            "peak GFLOP/s": {k: round(v / 1e9, 1) for k, v in self.peak.items()},
            "bandwidth GB/s": {k: round(v / 1e9, 1) for k, v in self.bandwidth.items()},
        }

    def _quietest(self, count: int) -> set[int]:
        """The cores with the best probe of those allowed."""
        rates = {}
        allowed = os.sched_getaffinity(0)
        for core in sorted(allowed):
            os.sched_setaffinity(0, {core})
            rates[core] = sorted(self.probe() for _ in range(15))[7]
        return set(sorted(rates, key=lambda c: -rates[c])[:count])


def model() -> str:
    """What the processor calls itself; under virtualisation often no more than its maker's name."""
    return next((x.split(":")[1].strip() for x in _cpu_lines() if x.startswith("model name")), platform.machine())


def ledger() -> str:
    """A machine's folder among the ledgers: its processor, its vectors and its second cache, for the name alone may say little.

    "AMD EPYC", AVX-512, 1 MB -> "amd-epyc-avx512-1024k"
    """
    words = re.sub(r"\(\w+\)|@.*|\bCPU\b|\bProcessor\b", " ", model()).lower()
    widest = {64: "avx512", 32: "avx2", 16: "sse2" if platform.machine() in ("x86_64", "AMD64") else platform.machine()}[
        host().vector_bytes
    ]
    return "-".join([*re.findall(r"[a-z0-9]+", words), widest, f"{host().l2 >> 10}k"])


def caches() -> dict[str, int]:
    """KB of each level that holds data, as the system tells (Linux)."""
    found = {}
    for entry in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = ((entry / what).read_text().strip() for what in ("level", "type", "size"))
        if kind in ("Data", "Unified"):
            found[f"L{level}"] = int(size.removesuffix("K"))
    return found


def huge_pages() -> str:
    """When the system backs memory by large pages: always, madvise, never; empty where it does not tell."""
    file = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    return (re.findall(r"\[(\w+)\]", file.read_text()) or [""])[0] if file.exists() else ""


def _cpu_lines() -> list[str]:
    file = Path("/proc/cpuinfo")
    return file.read_text().splitlines() if file.exists() else []


def _timed(call: Callable[[], object], nbytes: int) -> float:
    """Seconds a call, over enough calls to last 3 ms."""
    repeats = max(1, int(3e-3 / (nbytes / 4e10)))
    call()
    clock = Clock()
    for _ in range(repeats):
        call()
    return clock.seconds() / repeats


def _kernels() -> str:
    """LLVM text: peak_f32 and peak_f64 (n, sink), chains of multiply-adds in registers; read(n, source, sink), eight vectors a step."""
    width = host().vector_bytes
    return (
        _loop("peak_f32", f"<{width // 4} x float>", f".v{width // 4}f32", CHAINS)
        + _loop("peak_f64", f"<{width // 8} x double>", f".v{width // 8}f64", CHAINS)
        + _loop("read", f"<{width // 4} x float>", "", 8)
    )


def _loop(name: str, vector: str, suffix: str, chains: int) -> str:
    """sink <- sum of `chains` accumulators, each a <- fma(x, x, a), or a <- a + source[...] where there is no suffix."""
    reading = not suffix
    lines = [f"define void @{name}(i64 %n, {'ptr %source, ' if reading else ''}ptr %sink) {{", "entry:"]
    lines += [f"  %x = load {vector}, ptr %sink, align 4", "  br label %loop", "loop:", "  %i = phi i64 [0, %entry], [%next, %loop]"]
    lines += [f"  %a{k} = phi {vector} [zeroinitializer, %entry], [%b{k}, %loop]" for k in range(chains)]
    for k in range(chains):
        if reading:
            lines += [
                f"  %j{k} = mul i64 %i, {chains}",
                f"  %k{k} = add i64 %j{k}, {k}",
                f"  %p{k} = getelementptr {vector}, ptr %source, i64 %k{k}",
                f"  %v{k} = load {vector}, ptr %p{k}, align 4",
                f"  %b{k} = fadd {vector} %a{k}, %v{k}",
            ]
        else:
            lines.append(f"  %b{k} = call {vector} @llvm.fma{suffix}({vector} %x, {vector} %x, {vector} %a{k})")
    lines += ["  %next = add i64 %i, 1", "  %more = icmp slt i64 %next, %n", "  br i1 %more, label %loop, label %done", "done:"]
    lines += [f"  %s1 = fadd {vector} %b0, %b1"] + [f"  %s{k} = fadd {vector} %s{k - 1}, %b{k}" for k in range(2, chains)]
    lines += [f"  store {vector} %s{chains - 1}, ptr %sink, align 4", "  ret void", "}"]
    if suffix:
        lines.append(f"declare {vector} @llvm.fma{suffix}({vector}, {vector}, {vector})")
    return "\n".join(lines) + "\n"
