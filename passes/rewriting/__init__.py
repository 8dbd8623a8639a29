"""Rules, patterns, and rewriting to a normal form."""
