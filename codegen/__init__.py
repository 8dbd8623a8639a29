"""Program to machine code: lower to loops, schedule, emit LLVM text, link, run."""
