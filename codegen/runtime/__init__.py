"""Running a compiled program: binding, arena, threads, errors."""
