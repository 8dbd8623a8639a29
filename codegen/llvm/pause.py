"""What a thread does between two looks at a word that another one will write."""

from __future__ import annotations

from graphc.target import Target

_PAUSES = (
    ("x86_64", "call void @llvm.x86.sse2.pause()", "declare void @llvm.x86.sse2.pause()"),
    ("aarch64", "call void @llvm.aarch64.hint(i32 1)", "declare void @llvm.aarch64.hint(i32)"),
    ("arm64", "call void @llvm.aarch64.hint(i32 1)", "declare void @llvm.aarch64.hint(i32)"),
)


def pause_of(target: Target) -> tuple[str, str]:
    """The instruction and its declaration; nothing where none is known."""
    for stem, call, declaration in _PAUSES:
        if target.triple.startswith(stem):
            return call, declaration
    return "", ""
