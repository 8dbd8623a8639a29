"""Each named target gets tiles that fit its registers, strips of as many rows as its tiles have, and inner loops without spills."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

import graphc.ops  # noqa: F401
from graphc.codegen import jit
from graphc.codegen.compile import write_module
from graphc.codegen.loops.loopir import Call, walk
from graphc.codegen.loops.lower import lower
from graphc.codegen.runtime.executable import Executable
from graphc.codegen.strategy import contract, operands
from graphc.codegen.strategy.contract import Product, shared_pays, tile_shape
from graphc.codegen.strategy.packing import SQUARE, overrun
from graphc.codegen.target import host, named
from graphc.operators import FUNCTIONS as F
from graphc.ops.registry import tensor
from graphc.options import Options
from tests.test_contract_kernels import array, program

TARGETS = {"x86-64": (6, 2), "x86-64-v3": (6, 2), "x86-64-v4": (8, 3), "aarch64": (8, 3)}  # rows and vectors of a tile
LARGE = 1024


def product(target_name: str, dtype: str) -> Product:
    a, b = tensor("a", (LARGE, LARGE), dtype), tensor("b", (LARGE, LARGE), dtype)
    (kernel,) = program((a, b), (a @ b,)).kernels()
    (call,) = [s for s in walk(lower(kernel, named(target_name))) if isinstance(s, Call)]
    assert isinstance(call.params, Product)
    return call.params


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", TARGETS)
def test_tiles_fill_the_registers(name: str, dtype: str) -> None:
    target, p = named(name), product(name, dtype)
    assert (p.rows, p.vectors) == tile_shape(target) == TARGETS[name] and p.lanes == target.vector_bytes // np.dtype(dtype).itemsize
    needed = p.rows * p.vectors + p.vectors + (1 if target.has_fma else 2)
    assert 0.75 * target.registers < needed <= target.registers


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", TARGETS)
def test_large_products_share_what_they_pack_everywhere(name: str, dtype: str) -> None:
    assert shared_pays(product(name, dtype)) is True


def inner_loops(assembly: str, stem: str) -> dict[str, list[list[str]]]:
    """Of each function whose name begins so the loops of one block, as lists of instructions."""
    found: dict[str, list[list[str]]] = {}
    for name, body in re.findall(rf"^({re.escape(stem)}[\w.]*):(.*?)^\s*\.size", assembly, re.S | re.M):
        pieces = re.split(r"^(\.L\w+):", body, flags=re.M)
        for label, block in zip(pieces[1::2], pieces[2::2], strict=True):
            lines = [line.strip() for line in block.split("\n") if line.startswith("\t") and not line.startswith("\t.")]
            back = [k for k, line in enumerate(lines) if re.search(rf"^[jbct]\S*\s.*{re.escape(label)}\b", line)]
            if back:
                found.setdefault(name, []).append(lines[: back[0] + 1])
    return found


def spills(loop: list[str]) -> list[str]:
    return [line for line in loop if re.search(r"\(%rsp|\[sp", line)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", TARGETS)
def test_the_inner_loop_keeps_its_sums_in_registers(name: str, dtype: str) -> None:
    target = named(name)
    a, b = tensor("a", (LARGE, LARGE), dtype), tensor("b", (LARGE, LARGE), dtype)
    text = write_module(program((a, b), (a @ b,), target), Options(target=target))
    rows, vectors = TARGETS[name]
    tiles = inner_loops(jit.assembly(text, target), f"tile.{dtype}.{rows}x{vectors}")
    multiplies = r"^(v?fmadd|fmla|mulp)" if target.has_fma else r"^mulp"
    (steps,) = [loop for loops in tiles.values() for loop in loops if sum(bool(re.match(multiplies, x)) for x in loop) >= rows * vectors]
    assert sum(bool(re.match(multiplies, x)) for x in steps) == rows * vectors
    assert spills(steps) == []
    most = 3 if target.has_fma else 5  # without FMA a product, its copy and its sum take three
    assert len(steps) <= most * rows * vectors


def test_spills_are_seen() -> None:
    """A tile too large for the registers."""
    target = replace(named("x86-64-v3"), registers=32)
    a, b = tensor("a", (LARGE, LARGE)), tensor("b", (LARGE, LARGE))
    text = write_module(program((a, b), (a @ b,), target), Options(target=target))
    loops = [loop for some in inner_loops(jit.assembly(text, target), "tile.float64.8x3").values() for loop in some]
    assert any(spills(loop) for loop in loops)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_last_vector_of_known_length_is_masked_not_expanded(dtype: str) -> None:
    """LLVM chooses the first lanes of a vector by an instruction that takes fifty cycles on some processors, where it knows them."""
    target = named("x86-64-v4")
    for n in (5, 10, 21):
        x = tensor("x", (8, n), dtype)
        outputs = (F["sum"](x, 1), F["max"](x, 1), F["sum"](F["exp"](x), 1), F["prod"](x, 1), F["argmax"](x, 1), F["sum"](x, 0))
        assembly = jit.assembly(write_module(program((x,), outputs, target), Options(target=target)), target)
        assert "vpexpand" not in assembly and not re.search(r"v(expand|compress)p[sd]", assembly)


@pytest.mark.parametrize("lanes", [2, 4, 8, 16])
@pytest.mark.parametrize("height", [2, 4, 6, 8])
def test_what_squares_write_behind_a_strip(lanes: int, height: int) -> None:
    """The last element of the last row that a square stores, counted by hand."""
    square = min(lanes, SQUARE)
    kc = square + 1  # the second round stores `square` rows, of which one exists
    end = max(k * height + n * square + square for k in range(2 * square) for n in range(-(-height // square)))
    assert end - kc * height == overrun(lanes, height, height)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(("vector_bytes", "registers"), [(16, 16), (16, 32), (32, 16), (64, 32)])
def test_strips_of_every_height_are_right(vector_bytes: int, registers: int, known: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packing made to pay for small products; lanes and registers as SSE2, NEON, AVX2 and AVX-512 have them."""
    if vector_bytes > host().vector_bytes:
        pytest.skip("vectors wider than this machine has")
    for name, value in {"SHARED_BYTES": 1, "PACK_BYTES": 1, "SHARED_ROWS": 5, "PACK_ROWS": 5}.items():
        monkeypatch.setattr(contract, name, value)
    monkeypatch.setattr(operands, "STRIP_PANELS", 1)
    target = replace(host(), vector_bytes=vector_bytes, registers=registers)
    rng = np.random.default_rng(3)
    for dtype in ("float32", "float64"):
        for m, k, n in [(5, 7, 3), (131, 300, 37), (511, 9, 50), (97, 513, 65)]:
            x, y = array(rng, (m, k), dtype), array(rng, (k, n), dtype)
            shapes = ((m, k), (k, m), (k, n), (n, k)) if known else (("m", "k"), ("k", "m"), ("k", "n"), ("n", "k"))
            a, at, b, bt = (tensor(name, shape, dtype) for name, shape in zip(("a", "at", "b", "bt"), shapes, strict=True))
            outputs = (a @ b, at.T @ b, a @ bt.T, at.T @ bt.T, F["maximum"](a @ b, 0.0))
            run = Executable(program((a, at, b, bt), outputs, target), Options(target=target, threads=1))
            got = run([x, x.T.copy(), y, y.T.copy()], [])
            want = x.astype("f8") @ y
            bound = (k + 2) * np.finfo(dtype).eps * (abs(x).astype("f8") @ abs(y))
            for one, right in zip(got, (want, want, want, want, np.maximum(want, 0)), strict=True):
                assert (abs(one - right) <= bound).all(), (dtype, m, k, n)
