"""Where values live: in-place updates, cache blocks, one planned arena."""
