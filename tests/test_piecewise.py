"""Tables of polynomials: as good as their modules say, made by the fits that are stated, and read within their ends whatever x is."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest

from graphc.codegen.mathlib.piecewise import Table
from graphc.dtypes import float32, float64
from tests import ulp
from tests.fit_piecewise import DIGITS, FOLDER, REGISTER, Fitter, horner, solve
from tests.piecewise_tables import TABLES
from tests.vector import Vectorised

FLOATS = (float32, float64)


def table(name: str, dtype: np.dtype) -> Table:
    module = import_module(f"graphc.codegen.mathlib.tables.{name}")
    return module.F32 if dtype == float32 else module.F64


def test_every_table_is_stated() -> None:
    """The points of Gauss's quadrature are none of polynomials."""
    assert {p.stem for p in FOLDER.glob("*.py")} == {"__init__", "legendre", *TABLES}


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_as_good_as_stated(name: str) -> None:
    """The error beside each, computed again of the coefficients as they are rounded, at other points; with the rounding of the first."""
    source = (Path(FOLDER) / f"{name}.py").read_text(encoding="utf-8")
    stated = [float(e) for e in re.findall(r"relative error 2\^(-[\d.]+)", source)]
    for dtype, error in zip(TABLES[name].bits, stated, strict=True):
        t = table(name, dtype)
        assert t.size == len(t.rows[0]) and t.size & (t.size - 1) == 0 and t.size * dtype.itemsize % REGISTER == 0
        with mp.workdps(DIGITS):
            room = mp.mpf(2) ** (error + 0.3) + 0.75 * np.finfo(dtype).eps
            for i, (f, low, high, centre) in enumerate(Fitter(TABLES[name], dtype).pieces):
                assert centre == t.centres[i]
                x = low + (high - low) * mp.mpf("0.71")
                y = f(x)
                got = horner([mp.mpf(row[i]) for row in t.rows], x - centre)
                size = abs(y) if TABLES[name].size is None or f is not TABLES[name].f else abs(TABLES[name].size(x))
                assert abs(got - y) <= room * size, (name, dtype, i)


def test_a_table_comes_from_its_fit() -> None:
    assert solve(TABLES["erfcx"], float32)[0] == table("erfcx", float32)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_a_lookup_is_inside_its_table(dtype: np.dtype) -> None:
    """Of nan, infinities and everything else; the pieces inside are those that the fit has."""
    t = table("erfcx", dtype)
    f = Vectorised({"i": (t.index, (dtype,))})["i"]
    rng = np.random.default_rng(0)
    anything = np.frombuffer(rng.bytes(4000 * dtype.itemsize), dtype)
    for x in (ulp.special_values(dtype), anything):
        i = f(x)
        assert i.min() >= 0 and i.max() < t.size
    with mp.workdps(DIGITS):
        for i, (_, low, high, _) in enumerate(Fitter(TABLES["erfcx"], dtype).pieces[: t.near]):
            x = np.linspace(float(low), float(high), 9, endpoint=False).astype(dtype)
            assert set(f(x).tolist()) == {i}
