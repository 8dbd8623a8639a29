"""Linear algebra under NumPy's names, over the last two axes, any batch axes in front.

w, v = gx.linalg.eigh(a @ a.mT)
"""

from __future__ import annotations

from graphc.ops.linalg.eigen import eigh, eigvalsh

__all__ = ["eigh", "eigvalsh"]
