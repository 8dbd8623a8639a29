"""The worst error of each function of vector math beside NumPy's, SciPy's and PyTorch's, on the same arguments.

    python -m tests.ulp_table                write tests/accuracy/ulp.md: every function, 5,000 samples a piece
    python -m tests.ulp_table erfc j0        print the rows of some functions
    python -m tests.ulp_table -n 100000      more samples

The samples are those of `tests.ulp`: the ranges where a function is looked at closely, all exponents, neighbours of whole numbers and of
multiples of pi/4, and extreme numbers. Exact values take mpmath long: they are kept in a folder of temporary files for the next time.
Functions without a peer's name have an empty place there; so has a peer that is not installed.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mpmath as mp
import numpy as np

from graphc.codegen.mathlib import MATH
from graphc.dtypes import float32, float64
from tests import ulp

TABLE = Path(__file__).parent / "accuracy" / "ulp.md"
EXACT = Path(tempfile.gettempdir()) / "graphc-exact-values"
PEERS = ("NumPy", "SciPy", "PyTorch")
Of = Callable[..., Any]

# What a peer calls a function, where it is not the same name; of modules in which names are looked up, the first counts.
MODULES = {"NumPy": ("numpy",), "SciPy": ("scipy.special",), "PyTorch": ("torch.special", "torch", "torch.nn.functional")}
PACKAGES = {"NumPy": "numpy", "SciPy": "scipy", "PyTorch": "torch"}
NAMES = {
    "NumPy": {**{f"a{n}": f"arc{n}" for n in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "tan2")}, "pow": "power"},
    "SciPy": {"sigmoid": "expit", "log_sigmoid": "log_expit"},
    "PyTorch": {
        "gammaln": "gammaln", "log_sigmoid": "logsigmoid", "gamma": "", "gammainc": "",
        **{f"{k}{n}": f"bessel_{k}{n}" for k in "jy" for n in (0, 1)},
        **{f"k{n}{e}": f"{'scaled_' if e else ''}modified_bessel_k{n}" for n in (0, 1) for e in ("", "e")},
    },
}  # fmt: skip
CALLS: dict[tuple[str, str], Callable[[Any], Of]] = {  # of a module, those that are more than a name
    # not polygamma, which SciPy and PyTorch sum from the argument up to 0: of a large negative one they do not come back
    ("SciPy", "si"): lambda m: lambda x: m.sici(x)[0],
    ("SciPy", "ci"): lambda m: lambda x: m.sici(x)[1],
    ("SciPy", "lambertw"): lambda m: lambda x: m.lambertw(x).real,
    ("SciPy", "lambertw_lower"): lambda m: lambda x: m.lambertw(x, -1).real,
}


def peer(who: str, name: str) -> Of | None:
    """A peer's function of arrays, None where it has none or is not installed."""
    for place in MODULES[who]:
        try:
            module = importlib.import_module(place)
        except ImportError:
            return None
        special = CALLS.get((who, name))
        found = special(module) if special else getattr(module, NAMES[who].get(name, name) or " ", None)
        if found is not None:
            return _of_tensors(found) if who == "PyTorch" else found
    return None


def _of_tensors(f: Of) -> Of:
    torch = importlib.import_module("torch")
    return lambda *x: f(*[torch.from_numpy(np.ascontiguousarray(v)) for v in x]).numpy()


def exact_values(name: str, arguments: Sequence[np.ndarray], what: str) -> list[tuple[mp.mpf, mp.mpf]]:
    """Those of `tests.ulp`, kept in a file for the next time."""
    EXACT.mkdir(exist_ok=True)
    path = EXACT / f"{what}.json"
    if path.exists():
        with mp.workprec(ulp.PRECISION):
            return [(mp.mpf(value), mp.mpf(measure)) for value, measure in json.loads(path.read_text())]
    found = ulp.exact_values(name, arguments)
    with mp.workprec(ulp.PRECISION):
        path.write_text(json.dumps([[mp.nstr(v, 70) for v in pair] for pair in found]))
    return found


@dataclass(frozen=True)
class Line:
    """The worst errors of one function in one type, in ulps: ours, where, and each peer's; None: it has no such function."""

    name: str
    dtype: np.dtype
    ours: float
    where: tuple[float, ...]
    theirs: tuple[float | None, ...]

    @property
    def bound(self) -> float:
        return MATH[self.name].bound_ulp[self.dtype]

    def __str__(self) -> str:
        at = ", ".join([f"{v:.9g}" if self.dtype == float32 else f"{v:.17g}" for v in self.where])
        return " | ".join([f"| {self.name}", self.dtype.name, f"{self.bound:g}", shown(self.ours), *map(shown, self.theirs), f"{at} |"])


def shown(error: float | None) -> str:
    """A number of ulps; `nan` for a result that is none, or an infinity, where the function is finite."""
    return "" if error is None else "nan" if math.isinf(error) else f"{error:.2f}" if error < 1000 else f"{error:.0e}".replace("e+0", "e")


def worst(f: Of, arguments: Sequence[np.ndarray], exact: Sequence[tuple[mp.mpf, mp.mpf]]) -> tuple[float, tuple[float, ...]]:
    """The largest error of a function of arrays, and where."""
    with np.errstate(all="ignore"):
        got = np.asarray(f(*arguments)).astype(arguments[0].dtype)
    found = ulp.distances(got, exact)
    found[np.isinf(got) & (found > 4)] = math.inf  # not of what overflows in truth
    i = int(np.argmax(found))
    return float(found[i]), tuple([float(a[i]) for a in arguments])


def line(name: str, dtype: np.dtype, ours: Of, count: int, seed: int) -> Line:
    """Everyone's errors on one set of arguments; where the function has no finite value nobody is asked."""
    drawn = ulp.samples(name, dtype, count, seed)
    drawn = [a[ulp.regular(drawn)] for a in drawn]
    exact = exact_values(name, drawn, f"{name}-{dtype.name}-{count}-{seed}")
    defined = np.array([bool(mp.isfinite(value)) for value, _ in exact])
    arguments, exact = [a[defined] for a in drawn], [e for e, d in zip(exact, defined) if d]
    error, where = worst(ours, arguments, exact)
    others = [peer(who, name) for who in PEERS]
    return Line(name, dtype, error, where, tuple([worst(f, arguments, exact)[0] if f else None for f in others]))


HEAD = """# Errors of the vector math, in units of the last place

The worst error over {count} samples a function (fewer of those that take mpmath long): arguments from where each is looked at closely, of
every exponent, beside whole numbers and multiples of pi/4, and extreme ones, all of them the same for everyone. Exact values are mpmath's.
Near a zero of f other than 0 the unit is that of |x f'(x)| where this is the larger. `bound` is what the tests hold graphc to; `nan` is no
number or an infinity where the function is finite; an empty place is a function that a library does not have. The last column is where
graphc's error is largest.

{versions}. Written by `python -m tests.ulp_table`.
"""
TITLES = "| function | type | bound | graphc | " + " | ".join(PEERS) + " | at |\n|---|---|---|---|" + "---|" * len(PEERS) + "---|"


def summary(lines: Sequence[Line]) -> str:
    """How often nobody is nearer."""
    beside = [x for x in lines if any(e is not None for e in x.theirs)]
    best = [x for x in beside if x.ours <= min(e for e in x.theirs if e is not None)]
    within = [x for x in lines if x.ours <= 4]
    return (
        f"Of {len(lines)} rows {len(within)} are within 4 units. Of {len(beside)} that a library beside has, graphc's worst error is the"
        f" least in {len(best)}."
    )


def versions() -> str:
    """Of the peers there are."""
    found = []
    for who, package in PACKAGES.items():
        try:
            found.append(f"{who} {importlib.import_module(package).__version__}")
        except ImportError:
            found.append(f"{who} is not installed")
    return ", ".join(found)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.ulp_table", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("-n", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    names = options.names or list(MATH)
    functions = ulp.compiled(names)
    lines = []
    for name in names:
        for dtype in (float32, float64):
            lines.append(line(name, dtype, functions[f"{name}.{dtype.name}"], options.n, options.seed))
            print(lines[-1], file=sys.stderr, flush=True)
    if not options.names:
        head = HEAD.format(count=options.n, versions=versions())
        TABLE.write_text("\n".join([head, summary(lines), "", TITLES, *map(str, lines), ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
