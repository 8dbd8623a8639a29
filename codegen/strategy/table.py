"""The strategies, in the order in which they are asked. What none of them takes becomes loops over its points, see `lower`.

The kind of a kernel, by which they accept it, is what the row of its op says (`Traits.kernel`).
"""

from __future__ import annotations

from graphc.codegen.strategy.convolve import CONVOLVE
from graphc.codegen.strategy.door import Strategy
from graphc.codegen.strategy.matrices import MATRICES
from graphc.codegen.strategy.scalar import SCALAR
from graphc.codegen.strategy.scatter import SCATTER
from graphc.codegen.strategy.search import SEARCH
from graphc.codegen.strategy.sort import SORT
from graphc.codegen.strategy.together import PRODUCT

STRATEGIES: dict[str, Strategy] = {row.name: row for row in (SCATTER, PRODUCT, CONVOLVE, SCALAR, SORT, SEARCH, MATRICES)}
