"""Graph -> Program: which values share a kernel, in which loops, in which order."""
