"""Loops and branches as the graph passes see them: fewer of them, with less inside. `simplify_loops` is the page to read first."""
