"""Single-token faults, planted one at a time, to see which of them no test notices. See `python -m tests.mutate --help`."""
