"""Kernel -> loops: the loop language, lowering to it, its checks."""
