"""Graph to graph to Program: simplify, stabilise, fuse, plan memory. One pass per file; `pipeline` is the page to read first."""
