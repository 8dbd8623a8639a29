"""The op tables. `OPS` holds every op by name; the public functions are re-exported by `graphc`."""
