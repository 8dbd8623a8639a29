"""The rows of the project's written requirements as named tests; README.md lists every row."""
