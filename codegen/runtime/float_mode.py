"""How a thread computes, as a word: rounding, which exceptions trap, and what becomes of subnormal numbers.

    i64 float.mode()              the word of this thread
    void float.set_mode(i64)      ... from now on

x86-64 has it in MXCSR, AArch64 in FPCR. Elsewhere the word is 0, and setting it does nothing.
"""

from __future__ import annotations

from dataclasses import replace

from graphc.codegen.llvm.llvm_text import Function, Module
from graphc.target import Target

MODE, SET_MODE = "float.mode", "float.set_mode"
_X86_CONTROL = 0xFFC0  # of MXCSR: denormals are zero, exceptions masked, rounding, flush to zero; the rest are flags of what has happened
_X86_FLUSH = 0x8040  # results become zero, arguments count as zero
_ARM_FLUSH = 1 << 24  # both
_FLUSHED = '"denormal-fp-math"="preserve-sign,preserve-sign"'
_X86_MODE = (
    "%word = alloca i32, align 4", "call void @llvm.x86.sse.stmxcsr(ptr %word)", "%all = load i32, ptr %word, align 4",
    f"%control = and i32 %all, {_X86_CONTROL}", "%mode = zext i32 %control to i64", "ret i64 %mode",
)  # fmt: skip
_X86_SET = (
    "%word = alloca i32, align 4", "call void @llvm.x86.sse.stmxcsr(ptr %word)", "%all = load i32, ptr %word, align 4",
    f"%flags = and i32 %all, {0xFFFF ^ _X86_CONTROL}", "%control = trunc i64 %mode to i32", "%new = or i32 %flags, %control",
    "store i32 %new, ptr %word, align 4", "call void @llvm.x86.sse.ldmxcsr(ptr %word)", "ret void",
)  # fmt: skip
_X86 = ("declare void @llvm.x86.sse.stmxcsr(ptr)", "declare void @llvm.x86.sse.ldmxcsr(ptr)")
_ARM = ("declare i64 @llvm.aarch64.get.fpcr()", "declare void @llvm.aarch64.set.fpcr(i64)")
_ARM_MODE = ("%mode = call i64 @llvm.aarch64.get.fpcr()", "ret i64 %mode")
_ARM_SET = ("call void @llvm.aarch64.set.fpcr(i64 %mode)", "ret void")


def mode_functions(target: Target) -> tuple[tuple[str, ...], tuple[Function, Function]]:
    """What they declare, and the two functions."""
    declarations: tuple[str, ...] = ()
    read: tuple[str, ...] = ("ret i64 0",)
    written: tuple[str, ...] = ("ret void",)
    if target.triple.startswith("x86_64"):
        declarations, read, written = _X86, _X86_MODE, _X86_SET
    elif target.triple.startswith(("aarch64", "arm64")):
        declarations, read, written = _ARM, _ARM_MODE, _ARM_SET
    return declarations, (
        Function(MODE, (), [f"  {line}" for line in read], ("nounwind",), "i64"),
        Function(SET_MODE, ("i64 %mode",), [f"  {line}" for line in written], ("nounwind",)),
    )


def flush_inside(module: Module, name: str, target: Target) -> None:
    """Let the function `name` of the module compute with subnormal numbers as zeros, and its caller as before.

    What it was is a function of its own that is called between two changes of the mode: no arithmetic moves across these. All functions
    that the module has so far are marked: without that LLVM looks at bits where a comparison with zero is written.
    """
    for function in [*module.functions.values()]:
        module.add(replace(function, attributes=(*function.attributes, _FLUSHED)))
    flush = _X86_FLUSH if target.triple.startswith("x86_64") else _ARM_FLUSH
    inner = module.functions[name]
    module.add(replace(inner, name=f"{name}.flushed", linkage="internal ", attributes=(*inner.attributes, "noinline")))
    declarations, functions = mode_functions(target)
    for declaration in declarations:
        module.declare(declaration)
    for function in functions:
        module.add(function)
    lines = [
        f"  %mode = call i64 @{MODE}()",
        f"  %flush = or i64 %mode, {flush}",
        f"  call void @{SET_MODE}(i64 %flush)",
        f"  %result = call {inner.result} @{name}.flushed({', '.join(inner.params)})",
        f"  call void @{SET_MODE}(i64 %mode)",
        f"  ret {inner.result} %result",
    ]
    module.add(replace(inner, lines=lines))
