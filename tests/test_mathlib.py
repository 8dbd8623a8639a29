"""Vector math against mpmath within its stated bounds, everywhere; the same for one lane and for many; and no libm.

`python -m tests.ulp` measures with more samples.
"""

from __future__ import annotations

import re
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest

from graphc import scalars as sc
from graphc.codegen import jit
from graphc.codegen.llvm.emit_scalar import PRIMITIVES
from graphc.codegen.mathlib import MATH, coefficients, error, expand, reduction
from graphc.codegen.mathlib.balanced import balanced
from graphc.codegen.target import host, named
from graphc.dtypes import float32, float64
from graphc.ops.registry import OPS
from graphc.scalars import Scalar
from graphc.target import Target
from tests import special_rows, ulp, ulp_table
from tests.fit_coefficients import FITS, quality, solve
from tests.special_functions import SPECIAL
from tests.vector import Vectorised, text_of, undefined

FLOATS = (float32, float64)
COUNT = 900  # samples a function, without the special ones


@pytest.fixture(scope="module")
def functions() -> Vectorised:
    return ulp.compiled(list(MATH))


@pytest.fixture(scope="module")
def plain_functions() -> Vectorised:
    """Without FMA, rounding instructions and gathers."""
    return ulp.compiled(list(MATH), named("x86-64"))


def check(name: str, dtype: np.dtype, functions: Vectorised, count: int) -> None:
    error, where, got = ulp.worst(
        name, dtype, functions, count // 4 if name in SPECIAL or name in special_rows.EXACT else count
    )  # their exact values are dear
    assert error <= MATH[name].bound_ulp[dtype], f"{name}{where} = {got!r}: {error:.3f} ulp"


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("name", MATH)
def test_error_is_within_the_bound(name: str, dtype: np.dtype, functions: Vectorised, serial_functions: Vectorised) -> None:
    """As everybody has them, and as recurrences do: with polynomials as trees, see `serial_functions`."""
    check(name, dtype, functions, COUNT)
    check(name, dtype, serial_functions, COUNT)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("name", MATH)
def test_error_is_within_the_bound_without_fma(name: str, dtype: np.dtype, plain_functions: Vectorised) -> None:
    check(name, dtype, plain_functions, COUNT // 3)


# What f32 computes in f64, for half a unit of error.
INCOMPLETE = {
    "gammainc", "gammaincc", "gammainc_slope", "gamma_density", "log_less_digamma", "betainc", "betainc_slope_a", "betainc_slope_b",
    "beta_density", "beta_large", "hurwitz_zeta", "riemann_zeta",
}  # fmt: skip
THROUGH_F64 = {*INCOMPLETE, "log2", "log10", "logaddexp2", "asinh", "acosh", "atanh", "tan", "pow", "cbrt", "hypot"}


def test_f32_stays_in_f32() -> None:
    """But for those listed. Of the families with an order, polygamma and the Bessel functions of high orders do not."""

    def wide(body: Scalar) -> bool:
        return any(s.dtype == float64 or (s.op == "outlined" and wide(s.param)) for s in sc.order((body,)))

    for name, function in MATH.items():
        body = function.build(*[sc.arg(k, float32) for k in range(function.arity)], host())
        assert wide(body) == (name in THROUGH_F64), name


def test_the_table_of_errors_is_that_of_these_functions() -> None:
    """`python -m tests.ulp_table` writes it: the bounds that are held here, and nothing beyond them."""
    rows = [line.split(" | ") for line in ulp_table.TABLE.read_text(encoding="utf-8").splitlines() if " | float" in line]
    for name, dtype, bound, ours in ((r[0].strip("| "), *r[1:4]) for r in rows):
        assert float(bound) == MATH[name].bound_ulp[np.dtype(dtype)], name
        assert float(ours) <= float(bound), (name, dtype)
    assert set(MATH) - INCOMPLETE <= {r[0].strip("| ") for r in rows}


def test_a_row_of_the_table_finds_the_worst_of_each() -> None:
    """Of a peer that is three units off, of one that overflows early, and of one that there is not."""
    x = np.array([1.0, 30.0, -700.0])
    exact = ulp.exact_values("exp", [x])
    assert ulp_table.worst(lambda x: np.exp(x) + np.where(x == 30, 3 * np.spacing(np.exp(30)), 0), [x], exact)[0] == pytest.approx(
        3, abs=0.6
    )
    assert ulp_table.shown(ulp_table.worst(lambda x: np.where(x == 30, np.inf, np.exp(x)), [x], exact)[0]) == "nan"
    assert ulp_table.peer("NumPy", "gammaln") is None
    assert ulp_table.peer("NumPy", "asin") is np.arcsin


@pytest.fixture(scope="module")
def serial_functions() -> Vectorised:
    """As recurrences have them."""
    row = lambda name, d: (lambda *x: expand(sc.math(name, *x), host(), serial=True), (d,) * MATH[name].arity)
    return Vectorised({f"{name}.{d.name}": row(name, d) for name in MATH for d in FLOATS})


def test_polynomials_become_trees() -> None:
    x, y = sc.arg(0, float64), sc.arg(1, float64)
    c = [sc.const(k, float64) for k in range(1, 8)]

    def horner(coefficients: list[Scalar]) -> Scalar:
        total = coefficients[-1]
        for k in coefficients[-2::-1]:
            total = sc.fma(total, x, k)
        return total

    x2 = x * x
    low, high = sc.fma(sc.fma(c[4], x, c[3]), x2, sc.fma(c[2], x, c[1])), sc.fma(c[6], x, c[5])
    assert balanced(horner(c)) is sc.fma(sc.fma(high, x2 * x2, low), x, c[0])
    assert balanced(horner(c) + y) is balanced(horner(c)) + y
    assert balanced(horner(c[:4])) is horner(c[:4])
    read_twice = horner(c[:5]) * horner(c[1:5])
    assert balanced(read_twice) is read_twice


@pytest.fixture(scope="module")
def single_functions() -> Vectorised:
    return ulp.compiled(list(MATH), lanes=1)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_one_lane_gives_the_same_bits_as_many(dtype: np.dtype, functions: Vectorised, single_functions: Vectorised) -> None:
    for name in MATH:
        arguments = ulp.samples(name, dtype, 600)
        one, many = single_functions[f"{name}.{dtype.name}"](*arguments), functions[f"{name}.{dtype.name}"](*arguments)
        same = (one.view(f"u{dtype.itemsize}") == many.view(f"u{dtype.itemsize}")) | (np.isnan(one) & np.isnan(many))
        assert same.all(), f"{name} of {[a[~same][0] for a in arguments]}: {one[~same][0]} and {many[~same][0]}"


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_every_f32_angle_of_a_binade(name: str, functions: Vectorised) -> None:
    """Every float in 64..128, the last below the detour, and the first beyond it, against NumPy in f64."""
    for first, count in ((64.0, 1 << 23), (4095.0, 1 << 16)):
        x = (np.arange(count, dtype=np.uint32) + np.float32(first).view(np.uint32)).view(np.float32)
        exact = getattr(np, name)(x.astype(np.float64))
        ulp_of = np.ldexp(1.0, np.frexp(exact)[1] - 24)
        assert (np.abs(functions[f"{name}.float32"](x) - exact) / ulp_of).max() <= MATH[name].bound_ulp[float32]


# The f64 nearest to a multiple of pi/2, relatively; others near multiples; and large ones of each size.
HARD_ANGLES = [6381956970095103.0 * 2.0**797, 23323.18, 355.0, 5.319372648326541e255, 1.7976931348623157e308, 2.0**40, 2.0**60, 1e22]
HARD_ANGLES_F32 = [16367173.0 * 2.0**72, 6586951.0 * 2.0**100, 355.0, 3.4028234663852886e38, 2.0**41, 1e22]


@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_angles_near_multiples_of_a_right_angle(name: str, functions: Vectorised, plain_functions: Vectorised) -> None:
    for dtype, hard in ((float64, HARD_ANGLES), (float32, HARD_ANGLES_F32)):
        with mp.workprec(1500):
            multiples = [float(mp.pi / 2 * k) for k in (1, 2, 3, 7, 22, 1000, 123456789, 10**15, 2**62, 3**200)]
        x = np.array([*hard, *[m for m in multiples if m < float(np.finfo(dtype).max)]], dtype)
        x = np.concatenate([x, -x, np.nextafter(x, dtype.type(0))])
        for each in (functions, plain_functions):
            errors = ulp.errors(name, [x], each[f"{name}.{dtype.name}"](x))
            assert errors.max() <= MATH[name].bound_ulp[dtype], x[errors.argmax()]


def test_exactly_known_values(functions: Vectorised) -> None:
    for dtype in FLOATS:
        powers = np.arange(-20, 21)
        two = (2.0**powers).astype(dtype)
        np.testing.assert_array_equal(functions[f"exp2.{dtype.name}"](powers.astype(dtype)), two)
        np.testing.assert_array_equal(functions[f"log2.{dtype.name}"](two), powers)
        tens = np.arange(0, 11 if dtype == float32 else 23)
        np.testing.assert_array_equal(functions[f"log10.{dtype.name}"](np.array([10.0**k for k in tens], dtype)), tens)
        small = np.arange(1, 100, dtype=dtype)
        np.testing.assert_array_equal(functions[f"pow.{dtype.name}"](small, np.full_like(small, 2)), small * small)
        np.testing.assert_array_equal(functions[f"pow.{dtype.name}"](-small, np.full_like(small, 3)), -small * small * small)
        flat = functions[f"tanh.{dtype.name}"](np.linspace(8.5, 50, 1000).astype(dtype))
        assert flat.max() == 1 and functions[f"erf.{dtype.name}"](np.array([6.5], dtype))[0] == 1
        assert functions[f"cos.{dtype.name}"](np.array([0.0], dtype))[0] == 1


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_results_that_are_subnormal(dtype: np.dtype, functions: Vectorised) -> None:
    low = {float32: (-103.9, -87.4), float64: (-745, -708.5)}[dtype]
    x = np.linspace(*low, 300).astype(dtype)
    for name in ("exp", "sigmoid", "softplus"):
        assert ulp.errors(name, [x], functions[f"{name}.{dtype.name}"](x)).max() <= 1.0
    tiny = np.array([k * np.finfo(dtype).smallest_subnormal for k in (1, 2, 3, 1000, 12345)], dtype)
    for name in ("expm1", "sinh", "tanh", "log1p", "asinh", "atanh", "sin", "tan", "atan", "asin"):
        np.testing.assert_array_equal(functions[f"{name}.{dtype.name}"](tiny), tiny, name)
        np.testing.assert_array_equal(functions[f"{name}.{dtype.name}"](-tiny), -tiny, name)


def test_functions_within_functions_are_expanded() -> None:
    x = sc.arg(0, float32)
    root = expand(sc.math("tanh", sc.math("exp", x) + sc.math("sin", x)) * sc.math("exp", x), host())
    assert {s.op for s in sc.order((root,))} <= PRIMITIVES | {"arg"}
    assert expand(x * x, host()) is x * x
    deep = x
    for _ in range(3000):
        deep = deep + x
    assert expand(deep, host()) is deep


# -- no libm ---------------------------------------------------------------------------------------------------------
def _every_function(target: Target) -> str:
    bodies = {}
    for name, dtype in [(n, t) for n in MATH for t in FLOATS]:
        bodies[f"{name}.{dtype.name}"] = (lambda *x, name=name: sc.math(name, *x), (dtype,) * MATH[name].arity)
    return text_of(bodies, target, {k: target.lanes(v[1][0]) for k, v in bodies.items()})


@pytest.mark.parametrize("name", ["host", "x86-64", "x86-64-v3", "x86-64-v4", "aarch64"])
def test_code_refers_to_nothing_outside(name: str, functions: Vectorised, plain_functions: Vectorised) -> None:
    """The linker finds what the C library has, so it would not complain: an object file names what it lacks."""
    target = host() if name == "host" else named(name)
    made = {"host": functions, "x86-64": plain_functions}.get(name)
    text = _every_function(target)
    assert made is None or made.text == text
    assert undefined(jit.compile_module(text, target) if made is None else made.code) == set()


def test_what_an_object_file_lacks() -> None:
    text = "declare double @exp(double)\ndefine double @f(double %x) {\n %y = call double @exp(double %x)\n"
    text += " %z = frem double %y, %x\n ret double %z\n}\n"
    assert undefined(jit.compile_module(text, host())) == {"exp", "fmod"}


def test_wide_registers_are_used() -> None:
    text = text_of({"f": (lambda x: sc.math("exp", x), (float32,))}, named("x86-64-v4"), {"f": 16})
    assembly = jit.assembly(text, named("x86-64-v4"))
    assert "vscalefps" in assembly and "zmm" in assembly and "call" not in assembly


# -- the numbers in it -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", FITS)
def test_coefficients_are_as_good_as_stated(name: str) -> None:
    """The error beside each table, computed again on other points."""
    source = Path(coefficients.__file__).read_text(encoding="utf-8")
    found = re.search(rf"relative error 2\^(-[\d.]+)\n{name} = ", source)
    assert found is not None
    assert quality(FITS[name], getattr(coefficients, name), points=61) <= float(found[1]) + 0.1


def test_coefficients_come_from_the_fits() -> None:
    for name in ("SIN_WIDE", "EXP_SHORT"):
        assert solve(FITS[name]) == pytest.approx(getattr(coefficients, name), rel=1e-12)


def test_tables_of_constants() -> None:
    with mp.workprec(300):
        values, slopes = error.tables()
        for i in (0, 1, 2, 77, 128, 500, 768):
            x = mp.mpf(i) / error.STEPS
            assert values[i] == float(mp.erf(x))
            assert slopes[i] == float(2 / mp.sqrt(mp.pi) * mp.exp(-x * x) - 1)
    with mp.workprec(1400):
        whole = int(mp.floor(2 / mp.pi * mp.mpf(2) ** 1248))
        assert sum(int(w) << 32 * (40 - k) for k, w in enumerate(reduction.TWO_OVER_PI)) == whole


def test_bodies_stay_small() -> None:
    """Instructions of each body: a guard against silent growth, as every kernel inlines them."""
    sizes = {}
    for name in MATH:
        x = [sc.arg(k, float32) for k in range(MATH[name].arity)]
        sizes[name] = sum(s.op not in ("const", "arg") for s in sc.order((expand(sc.math(name, *x), host()),)))
    assert max(n for name, n in sizes.items() if name not in SPECIAL and name not in special_rows.EXACT) <= 110, sizes
    assert max(sizes.values()) <= 250, sizes
    assert sizes["exp"] <= 25 and sizes["tanh"] <= 35 and sizes["sin"] <= 35, sizes


def body(names: list[str], dtype: np.dtype, x: Scalar | None = None) -> list[Scalar]:
    """What these functions of one argument are made of, each thing once."""
    x = sc.arg(0, dtype) if x is None else x
    return [s for s in sc.order([expand(sc.math(n, x), host()) for n in names]) if s.op not in ("const", "arg")]


def test_sine_and_cosine_of_one_argument_share_their_work() -> None:
    for dtype, alone in ((float32, 35), (float64, 60)):
        one, two = body(["sin"], dtype), body(["sin", "cos"], dtype)
        assert len(one) <= alone + 15 and len(two) <= len(one) + 20, (len(one), len(two))


# value and derivative: what the second may add to the first, and quotients of both
SHARED = {
    ("tanh", "tanh_slope"): (5, 1), ("sigmoid", "sigmoid_slope"): (2, 1), ("softplus", "sigmoid"): (6, 2), ("sinh", "cosh"): (7, 2),
    ("expm1", "exp"): (5, 0), ("erfc", "erf_slope"): (2, 2), ("ndtr", "ndtr_slope"): (6, 1),
}  # fmt: skip


@pytest.mark.parametrize("pair", SHARED, ids="-".join)
def test_a_value_and_its_derivative_share_their_work(pair: tuple[str, str]) -> None:
    """One exponential, and as few quotients as there can be: the two expansions hold the same Scalars."""
    extra, quotients = SHARED[pair]
    for dtype in FLOATS:
        value, both = body([pair[0]], dtype), body(list(pair), dtype)
        assert len(both) - len(value) <= extra, len(both) - len(value)
        assert sum(s.op == "div" for s in both) <= quotients


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_logaddexp_and_its_derivatives_share_one_exponential(dtype: np.dtype) -> None:
    """Sigmoids of the difference, as the row's derivative writes it, and of its negative."""
    a, b = sc.arg(0, dtype), sc.arg(1, dtype)
    gap = sc.select(a.eq(b) & abs(a).eq(float("inf")), 0.0, a - b)
    value = expand(sc.math("logaddexp", a, b), host())
    both = [value, *[expand(sc.math("sigmoid", d), host()) for d in (gap, -gap)]]
    added = len(sc.order(both)) - len(sc.order([value]))
    assert added <= 10, added


def test_rows_of_a_family_are_computed_together() -> None:
    """Where the argument is at hand, so that the derivative is stored and not what it is computed from."""
    seen = set()
    for op in OPS.values():
        if op.elementwise and op.row is not None and op.arity == 1 and "f" in op.row.kinds:
            made = op.row.emit(sc, sc.arg(0, float64))
            assert op.traits.together == sc.TOGETHER.get(made.op), op.name
            seen.add(made.op)
    assert seen >= sc.TOGETHER.keys()


def test_functions_of_half_an_argument_share_its_exponential() -> None:
    """The derivative of sigmoid_slope(x) is made of tanh(x / 2); of -x as of x."""
    for dtype in FLOATS:
        x = sc.arg(0, dtype)
        for half in (0.5 * x, x * 0.5, x * -0.5):
            both = sc.order([expand(sc.math("sigmoid_slope", x), host()), expand(sc.math("tanh", half), host())])
            assert len([s for s in both if s.op not in ("const", "arg")]) <= len(body(["tanh"], dtype)) + 6
        for name in ("tanh_slope", "sigmoid_slope"):
            assert expand(sc.math(name, -x), host()) is expand(sc.math(name, x), host())
    wide = sc.arg(0, float64) * float(np.finfo(np.float64).max)  # twice the factor is inf: of x = 0 that would be nan
    assert Vectorised({"f": (lambda x: sc.math("tanh", x * 1.7e308), (float64,))})["f"](np.zeros(8)).tolist() == [0.0] * 8
    assert expand(sc.math("tanh", wide), host()) is not expand(sc.math("tanh", sc.arg(0, float64)), host())


def test_many_functions_share_one_module() -> None:
    f = Vectorised({f"{n}{k}": (lambda x, n=n: sc.math(n, x), (float32,)) for n in ("sin", "cos") for k in range(3)})
    assert f.text.count("define internal") == 6  # of each the detour over f64, and its rare case for one lane and for all
    x = np.array([1e30, 0.5], np.float32)
    np.testing.assert_allclose(f["sin2"](x), np.sin(x.astype(np.float64)), rtol=1e-6)
