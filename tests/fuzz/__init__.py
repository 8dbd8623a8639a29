"""Differential fuzzing: random graphs over the whole registry, interpreter = unoptimised native = optimised native."""
