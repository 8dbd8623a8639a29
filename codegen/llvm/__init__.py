"""Loops -> LLVM text."""
