"""Side-by-side measurements of graphc and its peers: `python -m benchmarks`. See README.md."""
