"""Every callable name of NumPy is there or refused with a reason; what is refused says its full name and what to use instead."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import scipy.special

import graphc as gx
from graphc.errors import ArgumentError
from graphc.interp import evaluate
from graphc.operators import NUMPY_FUNCTIONS
from graphc.protocol import dotted_name
from graphc.refused import REFUSED, hint_for


def callables(module: ModuleType) -> Iterator[str]:
    for name in dir(module):
        if not name.startswith("_") and callable(getattr(module, name)):
            yield name


def dispatches(theirs: Any) -> bool:
    """Whether NumPy asks its operands what to do."""
    return isinstance(theirs, (np.ufunc, type(np.sum)))


def test_every_name_of_numpy_is_there_or_refused() -> None:
    missing = [n for n in callables(np) if n not in gx.__all__ and f"np.{n}" not in REFUSED]
    assert missing == [], f"add them, or a reason to graphc/refused.py: {missing}"
    ours = {"load", "save"}  # of trees of arrays, in NumPy's format: no functions of nodes
    both = [
        n
        for n in callables(np)
        if n in gx.__all__ and n not in ours and "changes its argument" not in REFUSED.get(f"np.{n}", "changes its argument")
    ]
    assert both == [], f"there, and refused: {both}"


def test_numpys_functions_find_ours() -> None:
    """What NumPy dispatches and graphc has is bound, under every alias."""
    for name in callables(np):
        theirs = getattr(np, name)
        if (
            dispatches(theirs) and name in gx.__all__ and name != "where" and f"np.{name}" not in REFUSED
        ):  # of one argument NumPy's is nonzero
            assert NUMPY_FUNCTIONS.get(theirs) is getattr(gx, name), name


def test_the_table_names_what_exists() -> None:
    """Of this version of NumPy or an older one: a name that was never there would be a slip."""
    once = {"matrix", "chararray", "complex192", "float96", "asmatrix", "bmat", "busdaycalendar"}  # by platform and version
    for dotted, hint in REFUSED.items():
        if dotted.startswith("scipy."):
            continue
        space, _, name = dotted.removeprefix("np.").rpartition(".")
        module = getattr(np, space) if space else np
        assert hint and (hasattr(module, name) or name in once), dotted


@pytest.mark.parametrize("space", ["", "linalg", "fft"])
def test_what_is_refused_says_so(space: str) -> None:
    """Every function that dispatches and is in the table, called with a node."""
    module, x, seen = getattr(np, space) if space else np, gx.tensor("x", (3, 3)), 0
    for name in callables(module):
        theirs = getattr(module, name)
        dotted = f"np.{space}.{name}" if space else f"np.{name}"
        if not dispatches(theirs) or dotted not in REFUSED:
            continue
        seen += 1
        assert dotted_name(theirs) == dotted
        for count in (1, 2, 3, 4):
            try:
                theirs(*[x] * count)
            except ArgumentError as error:
                assert str(error) == f"{dotted} has no symbolic form ({x.describe()}); hint: {REFUSED[dotted]}"
                break
            except TypeError:  # it takes more
                continue
        else:
            raise AssertionError(f"{dotted} of a node was not refused")
    assert seen > 20 or space


# of scipy.special, functions that graphc.special shall have; what of them is there already does no harm here
WANTED = {
    "beta", "betainc", "betaln", "binom", "comb", "digamma", "ellipe", "ellipk", "exp1", "expi", "factorial", "gamma", "gammainc",
    "gammaincc", "gammaln", "lambertw", "multigammaln", "polygamma", "psi", "sici", "spence", "zeta",
}  # fmt: skip


def test_the_other_namespaces(capsys: pytest.CaptureFixture[str]) -> None:
    """Of linear algebra, transforms and SciPy's special functions nothing is left; those that are on their way are printed."""
    for module, dotted in ((np.linalg, "np.linalg"), (np.fft, "np.fft"), (scipy.special, "scipy.special")):
        space = getattr(gx, dotted.rpartition(".")[2], None)
        left = [n for n in callables(module) if not hasattr(space, n) and f"{dotted}.{n}" not in REFUSED]
        if left:
            with capsys.disabled():
                print(f"\n{dotted}: {len(left)} neither there nor refused: {' '.join(left)}")
        assert set(left) <= (WANTED if dotted == "scipy.special" else set()), f"add them, or a reason to graphc/refused.py: {left}"


def test_what_is_refused_of_scipy() -> None:
    x, seen = gx.vector("x", 3), 0
    for name in callables(scipy.special):
        theirs, dotted = getattr(scipy.special, name), f"scipy.special.{name}"
        if isinstance(theirs, np.ufunc) and dotted in REFUSED and not hasattr(gx.special, name) and theirs is not scipy.special.jn:
            seen += 1
            with pytest.raises(ArgumentError, match="has no symbolic form") as caught:
                theirs(*[x] * theirs.nin)
            assert str(caught.value) == f"scipy.special.{theirs.__name__} has no symbolic form ({x.describe()}); hint: " + hint_for(
                f"scipy.special.{theirs.__name__}"
            )
    assert seen > 100


def test_hints() -> None:
    assert hint_for("np.union1d").startswith("its size depends on values")
    assert hint_for("np.no_such_function") == "see graphc's functions for what there is"


def test_methods_of_ufuncs() -> None:
    a, b = np.arange(6.0).reshape(2, 3) - 2.5, np.arange(3.0) + 1
    x, y = gx.tensor("x", a.shape), gx.tensor("y", b.shape)
    for f in (
        lambda x, y: np.add.reduce(x), lambda x, y: np.add.reduce(x, 1), lambda x, y: np.multiply.reduce(x, axis=None),
        lambda x, y: np.maximum.reduce(x, axis=1, keepdims=True), lambda x, y: np.minimum.reduce(x),
        lambda x, y: np.logical_and.reduce(x > 0),
        lambda x, y: np.logical_or.reduce(x > 0, axis=1), lambda x, y: np.add.accumulate(x), lambda x, y: np.multiply.accumulate(x, 1),
        lambda x, y: np.subtract.outer(x, y), lambda x, y: np.add.reduce(x, initial=2.0, where=x > 0), lambda x, y: np.hypot.outer(y, y),
        lambda x, y: np.maximum.accumulate(x), lambda x, y: np.minimum.accumulate(x, 1),
        lambda x, y: np.logaddexp.reduce(x), lambda x, y: np.logaddexp.accumulate(x, 1),
    ):  # fmt: skip
        np.testing.assert_allclose(evaluate([f(x, y)], {x: a, y: b})[0], f(a, b), rtol=1e-14)
