"""The Python entry point of a compiled function, emitted as LLVM text."""
