"""Math functions that occur often in a module are called: the same bits as written out, and loops keep their registers over a call."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest

import graphc as gx
from graphc.codegen import jit
from graphc.codegen.compile import write_module
from graphc.codegen.llvm import called
from graphc.codegen.mathlib import length
from graphc.codegen.runtime.executable import Executable
from graphc.codegen.target import host, named
from graphc.dtypes import float32
from graphc.ir import Node
from graphc.options import Options
from graphc.target import Target
from tests.test_contract_kernels import program

N = 77  # vectors of every width, and a tail of each
ONE = ("exp", "expm1", "log", "log1p", "sin", "cos", "tan", "tanh", "asinh", "sinh", "cosh", "exp2")
SPECIAL = ("erf", "erfc", "gammaln", "digamma", "ndtri", "i0e")


def cases() -> list[tuple[str, str]]:
    """Targets that this machine can run, and dtypes."""
    features = {f[1:] for f in host().features.split(",") if f.startswith("+")}
    if not host().triple.startswith("x86_64"):
        return [("host", "float32"), ("host", "float64")]
    v4 = [("x86-64-v4", "float32"), ("x86-64-v4", "float64")] if "avx512bw" in features else []
    return [*v4, *([("x86-64-v3", "float32")] if "avx2" in features else []), ("x86-64", "float64")]


def target_of(name: str) -> Target:
    return host() if name == "host" else named(name)


def several(x: Node) -> list[Node]:
    """Every function of what bodies treat in ways of their own; pairs of one argument, a chain for wide vectors, columns, two arguments."""
    results = [getattr(gx, name)(argument) for name in ONE for argument in (0.7 * x, -x, 0.5 * x)]
    results += [getattr(gx.special, name)(scale * abs(x)) for name in SPECIAL for scale in (0.2, 0.4)]
    results += [gx.sin(x + 1.0) * gx.cos(x + 1.0), gx.sigmoid(x) + gx.softplus(x), gx.arctan2(x, x + 1.0), gx.arctan2(x + 2.0, x)]
    results += [abs(x) ** (0.3 * x), gx.hypot(x, 2.0 * x), gx.hypot(x, 3.0 * x)]
    chain = x
    for k in range(18):
        chain = gx.sin(1.01 * chain + 0.1 * k)
    return [*results, chain, gx.logsumexp(gx.reshape(x, (7, 11)), axis=0)]


def modules(outputs: Sequence[Node], x: Node, target: Target, many: float) -> Executable:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(called, "MANY", many)
        return Executable(program([x], outputs, target), Options(target=target))


def numbers(dtype: str) -> np.ndarray:
    """Usual ones, and those for which functions have other ways: huge, tiny, without a value."""
    x = (2.0 * np.random.default_rng(3).standard_normal(N)).astype(dtype)
    x[[3, 20, 40, 60, 75, 76]] = [1e30, -np.inf, np.nan, -0.0, 3e7, 88.9]
    x[50:60] = np.finfo(dtype).smallest_subnormal * np.array([1, -1, 3, 5, -5, 7, 71363, 71361, 2, 71362], dtype)
    return x


@pytest.mark.parametrize(("name", "dtype"), cases())
def test_called_and_written_out_have_the_same_bits(name: str, dtype: str) -> None:
    x = gx.tensor("x", (N,), dtype)
    outputs, given = several(x), numbers(dtype)
    with np.errstate(all="ignore"):
        written, calls = (modules(outputs, x, target_of(name), many)([given], []) for many in (np.inf, 0))
    for k, (a, b) in enumerate(zip(written, calls, strict=True)):
        np.testing.assert_array_equal(a, b, err_msg=str(k))
        np.testing.assert_array_equal(np.signbit(a[~np.isnan(a)]), np.signbit(b[~np.isnan(b)]))


@cache
def text_of(count: int, many: float, target: str = "x86-64-v4", twins: bool = False) -> str:
    """The module of `count` tanh of one array, or as many sin and cos of one argument."""
    x = gx.tensor("x", (N,), "float32")
    arguments = [x * (1.0 + k) for k in range(count)]
    outputs = [gx.sin(a) * gx.cos(a) for a in arguments] if twins else [gx.tanh(a) for a in arguments]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(called, "MANY", many)
        return write_module(program([x], outputs, named(target)), Options(target=named(target)))


def test_few_are_written_out_and_many_are_called() -> None:
    each = length(("tanh", (float32,)), named("x86-64-v4"))
    assert 20 < each < 80
    assert "@m.tanh" not in text_of(5, 5 * each)
    text = text_of(6, 5 * each)
    (definition,) = re.findall(r"define internal \S+ <16 x float> @m\.tanh\.float32\.v16\(", text)
    assert "intel_ocl_bicc" in definition and text.count("call intel_ocl_bicc <16 x float> @m.tanh.float32.v16(") == 12  # loop and tail
    both = max(length((name, (float32,)), named("x86-64-v4")) for name in ("sin", "cos"))
    assert "@m." not in text_of(3, 3 * both, twins=True)  # what shares its work is one copy
    assert "@m.tanh" not in text_of(1, 0)  # a single one is nowhere shorter called


def test_functions_that_share_their_work_are_one_call() -> None:
    text = text_of(3, 0, twins=True)
    assert text.count("call intel_ocl_bicc { <16 x float>, <16 x float> } @m.cos.sin.float32.v16(") == 6
    assert "@m.sin" not in text and "@m.cos.f" not in text


@pytest.mark.parametrize("target", ["x86-64", "x86-64-v3", "x86-64-v4", "aarch64"])
def test_a_loop_keeps_its_vectors_over_calls(target: str) -> None:
    """Sums of products with the array itself, which is needed after each call."""
    x = gx.tensor("x", (1024,), "float32")
    total = x
    for k in range(4):
        total = total + x * gx.tanh((1.0 + k) * x)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(called, "MANY", 0)
        text = write_module(program([x], [total], named(target)), Options(target=named(target)))
    code = jit.assembly(text, named(target))
    (loop,) = re.findall(r"^\w+:[^\n]*\n((?:(?!^\w+:).)*?Inner Loop Header(?:(?!^\w+:).)*?)^\s+\.size", code, re.S | re.M)
    assert len(re.findall(r"\s(?:callq?|blr?)\s", loop)) >= 4
    inside = loop[loop.index("Inner Loop Header") :]
    inside = inside[: max(m.start() for m in re.finditer(r"\n\s+(?:j\w+|b\.\w+)\s", inside))]
    assert not re.findall(r"(?:16|32|64)-byte (?:Folded )?(?:Spill|Reload)", inside), inside


def test_straight_line_code_calls_by_the_same_convention() -> None:
    x = gx.tensor("x", (), "float64")
    f = gx.function([x], gx.tanh(x) + gx.exp(gx.tanh(2.0 * x)))
    assert f(0.3) == pytest.approx(np.tanh(0.3) + np.exp(np.tanh(0.6)), rel=1e-15)
    assert f"call {called.convention(host(), 8)}double" in f.llvm


@pytest.mark.parametrize("name", sorted({name for name, _ in cases()}))
@pytest.mark.parametrize("many", [0, np.inf])
def test_doubles_are_kept_over_calls_of_functions_of_floats(name: str, many: float) -> None:
    """As many floats as a register holds doubles are half a one, and so is the result of a function of them."""
    x, n = gx.tensor("x", (N,), "int8"), np.arange(N) % 20 - 8
    y, size, sign = x.astype("float64"), abs(x.astype("float32")) + 0.25, (x != x).astype("float32")
    functions = (gx.special.gammainc(size, size), gx.special.gamma(sign), gx.sin(1e9 * size) * gx.sin(size), gx.special.ndtri(sign))
    for function in functions:
        with np.errstate(all="ignore"):
            got = modules([function, y * 1.1, y + 0.3, y / 3, y - 7.7], x, target_of(name), many)([n.astype("int8")], [])
        for ours, wanted in zip(got[1:], (n * 1.1, n + 0.3, n / 3, n - 7.7), strict=True):
            np.testing.assert_array_equal(ours, wanted)
