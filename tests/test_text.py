"""Every primitive op on every dtype against NumPy at edge values, one lane and a full vector, with and without FMA."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable

import numpy as np
import pytest

from graphc import dtypes as d
from graphc import scalars as sc
from graphc.codegen import jit
from graphc.codegen.llvm.emit_scalar import PRIMITIVES, Block, Function, Module, emit_op, literal, llvm_type, splat
from graphc.codegen.target import host, named
from graphc.errors import CompileError
from graphc.scalars import Scalar
from tests.vector import Body, Vectorised

FLOATS = (d.float32, d.float64)
SIGNED = (d.int8, d.int16, d.int32, d.int64)
UNSIGNED = (d.uint8, d.uint16, d.uint32, d.uint64)
INTEGERS = SIGNED + UNSIGNED
EVERY = (d.bool_, *INTEGERS, *FLOATS)
VARIANTS = [("host", 1), ("host", 0), ("x86-64", 1), ("x86-64", 0), ("x86-64-v3", 0)]
Case = tuple[Body, tuple[np.dtype, ...], Callable[..., np.ndarray]]


def edges(dtype: np.dtype) -> np.ndarray:
    """Values at which something might go wrong."""
    if dtype == d.bool_:
        return np.array([False, True])
    if dtype.kind == "f":
        info = np.finfo(dtype)
        odd = [0.5, 0.49999997, 1.5, 2.5, 3.7, 8388607.5, 4503599627370495.5, 2147483648.0, 255.0, 9.3e18, 1e-3]
        near = [0.0, 1.0, float(info.tiny), float(info.smallest_subnormal), float(info.max), np.inf, *odd]
        return np.array([*near, *[-v for v in near], np.nan], dtype)
    info = np.iinfo(dtype)
    chosen = {v for v in (0, 1, 2, 3, 7, 31, 32, 63, 64, 100, info.max, info.max - 1, info.min, info.min + 1, -1, -2, -3, -7, -64)}
    return np.array(sorted(v for v in chosen if info.min <= v <= info.max), dtype)


def grid(dtypes: tuple[np.dtype, ...]) -> list[np.ndarray]:
    return [a.ravel() for a in np.meshgrid(*[edges(t) for t in dtypes], indexing="ij")]


def _shift(name: str) -> Callable[..., np.ndarray]:
    def exact(a: np.ndarray, n: np.ndarray) -> np.ndarray:
        bits, dtype, out = 8 * a.dtype.itemsize, a.dtype, []
        for x, k in zip(a.tolist(), n.tolist()):
            if name == "lshr":
                x %= 1 << bits
            inside = 0 <= k < bits
            value = (x << k if inside else 0) if name == "shl" else x >> (k if inside else bits)
            out.append(value % (1 << bits))
        return np.array(out, f"u{dtype.itemsize}").view(dtype)

    return exact


def _to_integer(dtype: np.dtype) -> Callable[[np.ndarray], np.ndarray]:
    info = np.iinfo(dtype)

    def exact(a: np.ndarray) -> np.ndarray:
        clipped = [0 if x != x else info.max if x >= info.max else info.min if x <= info.min else int(x) for x in a.tolist()]
        return np.array(clipped, dtype)

    return exact


def _as(dtype: np.dtype) -> Callable[[np.ndarray], np.ndarray]:
    return lambda a: a.astype(dtype)


def cases() -> dict[str, Case]:
    """Name -> body, dtypes, NumPy's answer."""
    found: dict[str, Case] = {}

    def add(op: str, body: Body, dtypes: tuple[np.dtype, ...], exact: Callable[..., np.ndarray]) -> None:
        found[".".join([op.replace(" ", "_").replace("-", "m"), *[t.name for t in dtypes]])] = (body, dtypes, exact)

    def plain(op: str, arity: int, kinds: tuple[np.dtype, ...], exact: Callable[..., np.ndarray]) -> None:
        for t in kinds:
            add(op, lambda *x, op=op: sc.scalar(op, x, x[0].dtype), (t,) * arity, exact)

    number = INTEGERS + FLOATS
    for op, exact in (("add", np.add), ("mul", np.multiply), ("min", np.minimum), ("max", np.maximum)):
        plain(op, 2, EVERY, exact)
    plain("sub", 2, number, np.subtract)
    plain("neg", 1, number, np.negative)
    plain("abs", 1, number, np.abs)
    plain("div", 2, FLOATS, np.divide)
    plain("sqrt", 1, FLOATS, np.sqrt)
    plain("copysign", 2, FLOATS, np.copysign)
    for op in ("floor", "ceil", "trunc", "rint"):
        plain(op, 1, FLOATS, getattr(np, op))
        plain(op, 1, (d.int32,), lambda a: a)
    plain("fma", 3, INTEGERS, lambda a, b, c: a * b + c)
    plain("floordiv", 2, INTEGERS, np.floor_divide)
    plain("mod", 2, INTEGERS, np.remainder)
    for op, exact in (("and", np.bitwise_and), ("or", np.bitwise_or), ("xor", np.bitwise_xor)):
        plain(op, 2, (d.bool_, *INTEGERS), exact)
    plain("not", 1, (d.bool_, *INTEGERS), np.invert)
    for op in ("shl", "lshr", "ashr"):
        plain(op, 2, INTEGERS, _shift(op))
        add(f"{op} by 3", lambda x, op=op: sc.binary(op, x, 3), (d.int32,), lambda a, op=op: _shift(op)(a, np.full_like(a, 3)))
        add(f"{op} by 32", lambda x, op=op: sc.binary(op, x, 32), (d.int32,), lambda a, op=op: _shift(op)(a, np.full_like(a, 32)))
    for k in (-7, -1, 0, 1, 8):
        add(f"floordiv by {k}", lambda x, k=k: x // k, (d.int32,), lambda a, k=k: a // np.int32(k))
        add(f"mod by {k}", lambda x, k=k: x % k, (d.int32,), lambda a, k=k: a % np.int32(k))
    names = {"eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal"}
    for op, t in itertools.product(names, EVERY):
        add(op, lambda a, b, op=op: sc.compare(op, a, b), (t, t), getattr(np, names[op]))
    for t in EVERY:
        add("select", sc.select, (d.bool_, t, t), np.where)
    for a, b in itertools.product(EVERY, EVERY):
        exact = _to_integer(b) if a.kind == "f" and b.kind in "iu" else _as(b)
        add(f"cast to {b.name}", lambda x, b=b: sc.scalar("cast", (x,), b), (a,), exact)
    pairs = [(s, t) for s, t in itertools.product(number, number) if s.itemsize == t.itemsize]
    for a, b in pairs:
        add(f"bitcast to {b.name}", lambda x, b=b: sc.scalar("bitcast", (x,), b), (a,), lambda x, b=b: x.view(b))
    for t in EVERY:
        for k, v in enumerate(edges(t).tolist()):
            body = lambda x, v=v, t=t: sc.select(x, sc.const(v, t), sc.const(0, t))
            add(f"const {t.name} {k}", body, (d.bool_,), _constant(v, t))
    return found


def _constant(value: float, dtype: np.dtype) -> Callable[[np.ndarray], np.ndarray]:
    return lambda a: np.where(a, np.array(value, dtype), np.array(0, dtype))


CASES = cases()


@pytest.mark.parametrize("name, lanes", VARIANTS)
def test_every_op_agrees_with_numpy(name: str, lanes: int) -> None:
    target = host() if name == "host" else named(name)
    functions = Vectorised({k: case[:2] for k, case in CASES.items()}, target, lanes or None)
    wrong = []
    for key, (_, dtypes, exact) in CASES.items():
        arguments = grid(dtypes)
        got = functions[key](*arguments)
        with np.errstate(all="ignore"):
            expected = exact(*arguments)
        if not _same(got, expected, signed_zero=not key.startswith(("min", "max"))):
            k = int(np.argmax([not _same(g, e, True) for g, e in zip(got, expected)]))
            wrong.append(f"{key}{tuple(a[k] for a in arguments)} = {got[k]!r}, expected {expected[k]!r}")
    assert not wrong, "\n".join(wrong)


def _same(got: np.ndarray, expected: np.ndarray, signed_zero: bool) -> bool:
    if got.dtype != expected.dtype:
        return False
    if got.dtype.kind != "f":
        return bool(np.all(got == expected))
    nan = np.isnan(got) & np.isnan(expected)
    sign = np.signbit(got) == np.signbit(expected) if signed_zero else True
    return bool(np.all(nan | ((got == expected) & sign)))


def test_every_primitive_is_tried() -> None:
    tried = {re.split(r"[._]", key)[0] for key in CASES}
    assert set(PRIMITIVES) - tried == {"lookup", "ldexp", "rare", "detour", "summed", "outlined"}  # these have tests of their own


@pytest.mark.parametrize("name, fused", [("host", host().has_fma), ("x86-64", False)])
def test_fma_is_one_rounding_where_the_target_has_it(name: str, fused: bool) -> None:
    target = host() if name == "host" else named(name)
    f = Vectorised({"f": (sc.fma, (d.float32,) * 3), "g": (sc.fma, (d.float64,) * 3)}, target)
    for key, dtype in (("f", d.float32), ("g", d.float64)):
        small = np.finfo(dtype).eps
        got = f[key](*[np.array([v], dtype) for v in (1 + small, 1 - small, -1)])
        assert got[0] == (-(small**2) if fused else 0)


@pytest.mark.parametrize("name, lanes", VARIANTS)
@pytest.mark.parametrize("index", [d.int32, d.int64])
def test_lookup(name: str, lanes: int, index: np.dtype) -> None:
    target = host() if name == "host" else named(name)
    for size in (37, 8, 16, 32, 64):  # from 8 on tables that fill 1, 2 or 4 registers
        table = tuple(np.linspace(-3, 8, size).tolist())
        body = lambda i, t, table=table: sc.lookup(table, i, t)
        f = Vectorised({t.name: (lambda i, t=t, body=body: body(i, t), (index,)) for t in FLOATS}, target, lanes or None)
        at = np.arange(2 * size + 3, dtype=index) * 5 % size
        for t in FLOATS:
            np.testing.assert_array_equal(f[t.name](at), np.array(table, t)[at])


@pytest.mark.skipif(not host().has_ldexp, reason="this machine has no such instruction")
@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16, 32, 64])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_ldexp(dtype: np.dtype, lanes: int) -> None:
    """In lanes less than a register, one register, and several."""
    f = Vectorised({"f": (lambda x, n: sc.scalar("ldexp", (x, n), x.dtype), (dtype, dtype))}, lanes=lanes)
    span = 300 if dtype == d.float32 else 2200
    x, n = [a.ravel() for a in np.meshgrid(edges(dtype), np.arange(-span, span, span // 40))]
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(f["f"](x, n.astype(dtype)), np.ldexp(x, n))


@pytest.mark.parametrize("lanes", [1, 4, 16])
def test_a_rare_case_is_computed_only_where_wanted(lanes: int) -> None:
    from graphc.codegen.mathlib.kit import rare

    body = lambda x, y: rare(x > 10.0, x + y, lambda a, b: a * 100.0 - b, x, y)
    f = Vectorised({"f": (lambda x, y: body(x, y) + body(y, x), (d.float64, d.float64))}, lanes=lanes)
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 11, 1000), rng.uniform(-5, 10, 1000)
    np.testing.assert_array_equal(f["f"](x, y), np.where(x > 10, x * 100 - y, x + y) + (x + y))
    assert f.text.count("define internal") == (1 if lanes == 1 else 2)


@pytest.mark.parametrize("lanes", [1, 4, 16])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_a_sum_over_a_table_is_a_loop_of_its_own(dtype: np.dtype, lanes: int) -> None:
    from graphc.codegen.mathlib.kit import summed

    weights, points = (1.0, 2.0, 0.5), (0.25, -1.0, 3.0)
    body = lambda x, y: summed((weights, points), lambda a, b, w, u: w * (a + u * b), x, y)
    f = Vectorised({"f": (lambda x, y: body(x, y) - body(y, x), (dtype, dtype))}, lanes=lanes)
    x, y = np.arange(40, dtype=dtype), np.arange(40, dtype=dtype)[::-1].copy()
    wanted = sum(w * (x + u * y) for w, u in zip(weights, points)) - sum(w * (y + u * x) for w, u in zip(weights, points))
    np.testing.assert_array_equal(f["f"](x, y), wanted)
    assert f.text.count("define internal") == 1


def test_integers_divide_as_vectors_where_floats_hold_them_exactly() -> None:
    rng = np.random.default_rng(1)
    for dtype in INTEGERS:
        info = np.iinfo(dtype)
        a = rng.integers(info.min, info.max, 4000, dtype, endpoint=True)
        b = (rng.integers(info.min, info.max, 4000, dtype, endpoint=True) >> rng.integers(0, info.bits, 4000).astype(dtype)).astype(dtype)
        f = Vectorised({"q": (lambda x, y: x // y, (dtype, dtype)), "r": (lambda x, y: x % y, (dtype, dtype))})
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(f["q"](a, b), a // b)
            np.testing.assert_array_equal(f["r"](a, b), a % b)


def test_literals() -> None:
    assert literal(sc.const(0.1, d.float32), 1) == "0x3FB99999A0000000"
    assert literal(sc.const(-0.0, d.float64), 4) == "splat (double 0x8000000000000000)"
    assert literal(sc.const(2**64 - 1, d.uint64), 1) == "-1"
    assert literal(sc.const(True, d.bool_), 2) == "splat (i1 true)"


def test_types_and_splats() -> None:
    assert (llvm_type(d.float32, 1), llvm_type(d.bool_, 8), llvm_type(d.uint16, 4)) == ("float", "<8 x i1>", "<4 x i16>")
    block = Block()
    assert splat(block, "%x", d.float32, 1) == "%x"
    assert splat(block, "0x3FF0000000000000", d.float32, 8) == "splat (float 0x3FF0000000000000)"
    splat(block, "%x", d.float32, 8)
    assert len(block.lines) == 2


def test_equal_tables_and_declarations_are_one() -> None:
    module = Module()
    assert module.table((1.0, 2.0), d.float32) == module.table((1.0, 2.0), d.float32) != module.table((1.0, 2.0), d.float64)
    module.declare("declare void @f()")
    module.declare("declare void @f()")
    assert module.text().count("declare") == 1
    for name in "fgh":
        module.add(Function(name, (), ["  ret void"], () if name == "h" else ("nounwind", '"key"="value"')))
    text = module.text()
    assert text.count("attributes #") == 2 and 'attributes #0 = { nounwind "key"="value" "no-realign-stack" }' in text
    assert "define internal void @g() #0 {" in text and "define internal void @h() #1 {" in text
    assert module.metadata("!{}") == "!0"


@pytest.mark.parametrize(
    "op, dtype", [("div", d.int32), ("floordiv", d.float32), ("shl", d.float32), ("and", d.float64), ("tanh", d.float32)]
)
def test_what_has_no_meaning_is_an_error(op: str, dtype: np.dtype) -> None:
    x: Scalar = sc.arg(0, dtype)
    with pytest.raises(CompileError, match=op):
        emit_op(Module(), Block(), host(), sc.scalar(op, (x, x), dtype), ["%a", "%b"], 1)


def test_bad_text_and_missing_symbols_are_errors_in_words() -> None:
    with pytest.raises(CompileError, match="expected"):
        jit.compile_module("define i64 @f(i64 %x) { ret i32 %x }", host())
    code = jit.compile_module("declare i64 @g()\ndefine i64 @f() {\n %y = call i64 @g()\n ret i64 %y\n}", host())
    with pytest.raises(CompileError, match="cannot be linked"):
        jit.load(code).address("f")
    with pytest.raises(CompileError, match="x86-64-v3"):
        named("z80")


def test_code_calls_what_it_is_given_and_is_unloaded() -> None:
    import ctypes

    seen = []
    callback = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(lambda x: seen.append(x) or 2 * x)
    text = "declare i64 @given(i64)\ndefine i64 @f(i64 %x) {\n %y = call i64 @given(i64 %x)\n ret i64 %y\n}"
    code = jit.compile_module(text, host())
    for k in range(50):
        loaded = jit.load(code, {"given": ctypes.cast(callback, ctypes.c_void_p).value or 0})
        assert ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(loaded.address("f"))(k) == 2 * k
    assert seen == list(range(50))


def test_targets() -> None:
    assert host().lanes(d.float32) * 4 == host().vector_bytes
    assert [named(n).vector_bytes for n in ("x86-64", "x86-64-v3", "x86-64-v4", "aarch64")] == [16, 32, 64, 16]
    assert named("aarch64").has_fma and not named("x86-64").has_fma and not named("x86-64-v3").has_ldexp
    assert "fmla" in jit.assembly(_fused_loop(), named("aarch64")) or "fmadd" in jit.assembly(_fused_loop(), named("aarch64"))
    assert "zmm" in jit.assembly(_fused_loop(16), named("x86-64-v4"))


def _fused_loop(lanes: int = 4) -> str:
    from tests.vector import text_of

    return text_of({"f": (sc.fma, (d.float32,) * 3)}, named("x86-64-v4"), {"f": lanes})
