"""The tasks of a product: each place of the output in one of them, and results that do not depend on their order."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import graphc.ops  # noqa: F401
from graphc import dims
from graphc.codegen.compile import write_module
from graphc.codegen.llvm.loops import Loops
from graphc.codegen.loops.loopir import Call, walk
from graphc.codegen.loops.lower import lower
from graphc.codegen.runtime.executable import Executable
from graphc.codegen.strategy.contract import K_BLOCK, Product, brings_panels, shared_pays
from graphc.codegen.strategy.grid import WIDEST, column_panels, panel_count, row_blocks
from graphc.codegen.strategy.operands import depth, panel_bytes
from graphc.codegen.strategy.product import TASK
from graphc.codegen.strategy.rounds import GROUP_BYTES, PACKED_PANELS, PLACES, rounds, words
from graphc.codegen.strategy.sweeping import SweepWriter
from graphc.codegen.strategy.together import scratch, shared, tasks
from graphc.codegen.target import host
from graphc.dims import Dim, Size
from graphc.operators import FUNCTIONS as F
from graphc.ops.registry import tensor
from graphc.options import Options
from graphc.target import Measured
from tests.test_contract_kernels import array, program

EXTENTS = (0, 1, 2, 3, 7, 8, 16, 31, 33, 47, 48, 49, 64, 96, 127, 128, 129, 130, 255, 256, 257, 300, 1000)


ALONE = replace(host(), measured=Measured(crossing=1.0))
"""Vectors may cross lines at no cost: small products read b where it lies, and their tasks do not wait for each other."""


def product_of(shape: tuple[Size, Size, Size], dtype: str = "float32") -> Product | None:
    m, k, n = shape
    kernels = program((a := tensor("a", (m, k), dtype), b := tensor("b", (k, n), dtype)), (F["maximum"](a @ b, 0.0),)).kernels()
    calls = [s for kernel in kernels for s in walk(lower(kernel, ALONE)) if isinstance(s, Call)]
    return calls[0].params if calls else None  # type: ignore[return-value]


@pytest.mark.parametrize("k", [3, 900])
@pytest.mark.parametrize("m", EXTENTS)
def test_blocks_and_panels_cover_the_output(m: int, k: int) -> None:
    for n in EXTENTS:
        p = product_of((m, k, n))
        if p is None:
            continue
        rows, panels = row_blocks(p), column_panels(p)
        count = tasks(p)
        assert isinstance(rows.count, int) and isinstance(count, int)
        assert (rows.count - 1) * rows.height < p.extent_m <= rows.count * rows.height or p.extent_m == rows.count == 0
        assert rows.whole == (p.extent_m == rows.count * rows.height) or p.extent_m == 0
        at = first = 0
        for panel in panels:
            step = panel.vectors * p.lanes
            assert (panel.start, panel.first) == (at, first)
            at, first = panel.stop, first + panel.count
            assert panel.start + (panel.count - 1) * step < panel.stop <= panel.start + panel.count * step
            assert panel.masked or panel.stop == panel.start + panel.count * step
            over = p.n.extent % p.lanes if panel is panels[-1] else 0
            assert panel.half == (0 < over <= p.lanes // 2 and host().vector_bytes == WIDEST) and not (panel.half and panel.count > 1)
        assert at == p.n.extent and first == panel_count(p)
        assert count == (rows.count * first if shared_pays(p) is False else rounds(p).tasks)
        unknown = product_of(("m", k, "n"))  # type: ignore[arg-type]
        assert unknown is not None
        at_sizes = {s: m if s.name == "m" else n for s in dims.symbols(tasks(unknown))}
        assert (dims.evaluate(tasks(unknown), at_sizes) == 0) == (m == 0 or n == 0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_blocks_of_rows_known_when_called_cover_them(dtype: str) -> None:
    """Those of tasks that pack for themselves, and of tasks that share."""
    p = product_of(("m", "k", "n"), dtype)  # type: ignore[arg-type]
    assert p is not None
    for rows in (row_blocks(p), rounds(p).rows):
        for m in (0, 1, 63, 64, 257, 1000, 5003):
            count, height = (dims.evaluate(x, dict.fromkeys(dims.symbols(x), m)) for x in (rows.count, rows.height))
            assert (count - 1) * height < m <= count * height or m == count == 0
            assert height <= rows.most and height % p.rows == 0


@pytest.mark.parametrize("known", [True, False])
def test_rounds_cover_panels_and_rows(known: bool) -> None:
    """Each panel is packed once a round, each block of rows meets each panel once."""
    for m, k, n in [(256, 1024, 1024), (257, 300, 20_000), (5003, 257, 1030), (600, 70, 9000)]:
        p = product_of((m, k, n) if known else ("m", "k", "n"))  # type: ignore[arg-type]
        assert p is not None
        env = dict(zip(sorted(dims.symbols(tasks(p))), (k, m, n), strict=True)) if not known else {}
        at = lambda size: dims.evaluate(size, env)  # noqa: B023
        grid = rounds(p)
        across, group, chunk = at(grid.across), at(grid.group), at(grid.chunk)
        assert across == at(panel_count(p)) and at(tasks(p)) == at(grid.tasks)
        assert (at(grid.groups) - 1) * group < across <= at(grid.groups) * group
        assert (at(grid.packs) - 1) * PACKED_PANELS < group <= at(grid.packs) * PACKED_PANELS
        assert (at(grid.chunks) - 1) * chunk < group <= at(grid.chunks) * chunk
        assert at(grid.count) == at(grid.groups) * -(-k // K_BLOCK)
        assert at(words(p)) == at(grid.packs) + at(grid.tiles)
        assert group * panel_bytes(p) <= GROUP_BYTES


def test_panels_that_do_not_stay_in_cache_are_brought() -> None:
    """Those of a large b, by tiles of whole height; where sizes are not known, all tasks have the same tiles."""
    for shape, brought in (((1024, 1024, 1024), True), (("m", "k", "n"), True), ((256, 256, 256), False), ((64, 1024, 1024), False)):
        p = product_of(shape)  # type: ignore[arg-type]
        assert p is not None and brings_panels(p) is brought
        made = program((a := tensor("a", shape[:2], "float32"), b := tensor("b", shape[1:], "float32")), (a @ b,), ALONE)
        tiles = set(re.findall(r"@(tile\.float32\.[\w.]+)", write_module(made, Options(target=ALONE))))
        whole = {t for t in tiles if t.split(".")[2].startswith(f"{p.rows}x{p.vectors}")}
        assert whole and all("p" in t for t in whole) is brought


def test_enough_tasks_for_threads() -> None:
    """A step of training on few rows, and matrices with a vector, are still many tasks; a tiny product is one."""
    for dtype, shape, least in [("float32", (64, 784, 256), 8), ("float64", (64, 784, 256), 16), ("float32", (64, 784, 128), 6)]:
        p = product_of(shape, dtype)
        assert p is not None and tasks(p) >= least
    for shape in [(1024, 1024, 1), (1, 1024, 1024)]:
        p = product_of(shape)
        assert p is not None and tasks(p) >= 8
    small = product_of((16, 16, 16))
    assert small is not None and tasks(small) == 1


CASES: dict[str, tuple[str, tuple[int, ...], tuple[int, ...]]] = {
    "plain": ("ik,kj->ij", (300, 270), (270, 100)),
    "few rows": ("ik,kj->ij", (64, 700), (700, 130)),
    "turned": ("ki,jk->ij", (270, 133), (75, 270)),
    "batched": ("bik,bkj->bij", (5, 9, 30), (5, 30, 70)),
    "two outer axes": ("abik,bkj->abij", (3, 4, 9, 30), (4, 30, 70)),
    "with a vector": ("ik,k->i", (300, 200), (200,)),
    "one row": ("k,kj->j", (200,), (200, 300)),
    "one row of each": ("bk,bkj->bj", (7, 60), (7, 60, 700)),
    "one row, two summed axes": ("kl,lkj->j", (20, 30), (30, 20, 333)),
    "two summed axes": ("ikl,lkj->ij", (150, 20, 300), (300, 20, 60)),
}


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_the_order_of_tasks_does_not_matter(case: str, known: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, *shapes = CASES[case]
    rng = np.random.default_rng(12)
    letters = spec.split("->")[0].split(",")
    x, y = (array(rng, s, "float32") for s in shapes)
    a, b = (
        tensor(name, s if known else tuple([f"{c}{c}" for c in axes]), "float32")
        for name, s, axes in zip("ab", shapes, letters, strict=True)
    )
    made = F["einsum"](spec, a, b)
    outputs = (made, F["tanh"](made * 0.01))
    forwards = Executable(program((a, b), outputs, ALONE), Options(threads=1, target=ALONE))([x, y], [])
    each = Loops.each
    cuts: list[Dim] = []

    def backwards(self: Loops, index: Dim, start: Size, stop: Size, step: int, write: Callable[[], None], outer: bool = False) -> None:
        """Its last third, its first, then the middle one."""
        if index is not TASK:
            each(self, index, start, stop, step, write, outer)
            return
        cuts.append(index)
        one, two = (start + dims.floordiv((stop - start) * k, 3) for k in (1, 2))
        for low, high in ((two, stop), (start, one), (one, two)):
            each(self, index, low, high, step, write, outer)

    run = SweepWriter.run

    def sweep_backwards(self: SweepWriter, start: Size, stop: Size) -> None:
        cuts.append(TASK)
        one, two = (start + dims.floordiv((stop - start) * k, 3) for k in (1, 2))
        for low, high in ((two, stop), (start, one), (one, two)):
            run(self, low, high)

    monkeypatch.setattr(Loops, "each", backwards)
    monkeypatch.setattr(SweepWriter, "run", sweep_backwards)
    other = Executable(program((a, b), outputs, ALONE), Options(threads=1, target=ALONE))([x, y], [])
    assert cuts
    for got, want in zip(other, forwards, strict=True):
        np.testing.assert_array_equal(got, want)
    want = np.einsum(spec, x.astype("f8"), y)
    bound = np.einsum(spec, abs(x).astype("f8"), abs(y)) * 700 * np.finfo("f4").eps
    assert (abs(forwards[0] - want) <= bound).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scratch_does_not_grow_with_what_is_summed(dtype: str) -> None:
    """Copies hold one block of k, so a product of a hundred thousand steps needs no more than one of a thousand; few steps need less."""
    for rows in (100, 512):
        sizes = []
        for k in (8, 64, K_BLOCK, 1000, 100_000):
            p = product_of((rows, k, 1 << 14), dtype)
            assert p is not None
            assert depth(p) == min(k, p.k_block)
            sizes.append((scratch(p), shared(p)[1]))
        few, more, *blocks = sizes
        assert few <= more <= blocks[0] and len(set(blocks[1:])) == 1 and blocks[-1][0] > 0 and (blocks[-1][1] > 0) is (rows == 512)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_threads_share_is_bounded(dtype: str) -> None:
    """However large the operands are."""
    for n in (1024, 4096, 1 << 20):
        for shape in ((4096, 4096, n), ("m", "k", "n")):
            p = product_of(shape, dtype)  # type: ignore[arg-type]
            assert p is not None
            both = [dims.evaluate(x, dict.fromkeys(dims.symbols(x), n)) for x in shared(p)]
            assert 0 < both[1] <= PLACES * GROUP_BYTES
            assert both[1] == PLACES * panel_bytes(p) * dims.evaluate(rounds(p).group, dict.fromkeys(dims.symbols(rounds(p).group), n))
