"""Tests of examples/gallery: each program runs in its short setting and reaches what the textbook claims."""
