"""Running the programs of examples/gallery as their users do: a program by its name, and the figures of its short run."""

from __future__ import annotations

import functools
import importlib
import sys
from pathlib import Path
from types import ModuleType

from graphc.options import Options, default_options, set_default_options

GALLERY = Path(__file__).parents[2] / "examples" / "gallery"
SHARED = {"data", "stage"}  # modules that programs import, not programs
PROGRAMS = sorted(path.stem for path in GALLERY.glob("*.py") if path.stem not in SHARED)


@functools.cache
def program(name: str) -> ModuleType:
    """The module of a program; neither the path nor the plain names of the gallery's modules stay behind for other tests."""
    kept = {known: sys.modules.pop(known) for known in (name, *SHARED) if known in sys.modules}
    sys.path.insert(0, str(GALLERY))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(GALLERY))
        for known in (name, *SHARED):
            sys.modules.pop(known, None)
        sys.modules.update(kept)


@functools.cache
def figures(name: str) -> dict[str, float]:
    """What the program's short run returns, compiled as its users compile it; it has asserted its claims by then."""
    before = default_options()
    set_default_options(Options())
    try:
        found: dict[str, float] = program(name).main(short=True)
    finally:
        set_default_options(before)
    return found
