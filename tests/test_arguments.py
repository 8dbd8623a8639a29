"""What callers hand in: every memory layout gives NumPy's answer; everything that is no array gives a typed error and touches nothing."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.user.arguments import as_argument

SHAPE = (3, 4)


def layouts(a: np.ndarray) -> dict[str, np.ndarray]:
    """The same values in every way that NumPy can lay them out."""
    padded = np.zeros(tuple(2 * n for n in a.shape), a.dtype)
    strided = padded[(*[slice(None, None, 2)] * a.ndim, ...)]
    strided[...] = a
    raw = np.zeros(a.nbytes + 1, np.uint8)
    unaligned = raw[1:].view(a.dtype).reshape(a.shape) if a.nbytes else a
    unaligned[...] = a
    readonly = a.copy()
    readonly.setflags(write=False)
    record = np.zeros(a.shape, [("pad", "i1"), ("value", a.dtype)])
    record["value"] = a
    turned = (*[slice(None, None, -1)] * a.ndim, ...)
    return {
        "C": a.copy(),
        "Fortran": np.array(a, order="F"),
        "strided": strided,
        "negative strides": a[turned].copy()[turned],
        "transposed": a.T.copy().T,
        "byte-swapped": a.astype(a.dtype.newbyteorder()),
        "unaligned": unaligned,
        "read-only": readonly,
        "field of a record": record["value"],
        "subclass": a.view(Tagged),
        "matrix": a.view(np.matrix) if a.ndim == 2 else a,
        "memmap-like view": np.ndarray(a.shape, a.dtype, a.tobytes()),
    }


class Tagged(np.ndarray):
    """A subclass that would notice being computed with."""

    def __array_finalize__(self, obj: Any) -> None:
        self.tag = getattr(obj, "tag", "new")

    def __array_ufunc__(self, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("a kernel saw the subclass")


class Foreign:
    """No ndarray, but convertible."""

    def __init__(self, value: np.ndarray) -> None:
        self.value = value

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.value if dtype is None else self.value.astype(dtype)


class Exchanged:
    """Only DLPack."""

    def __init__(self, value: np.ndarray) -> None:
        self.value = value

    def __dlpack__(self, **options: Any) -> Any:
        return self.value.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.value.__dlpack_device__()


class Raising:
    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise RuntimeError("not today")


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "int16", "uint8", "bool"])
def test_every_layout_gives_the_same(dtype: str) -> None:
    x = gx.tensor("x", ("n", "m"), dtype)
    f = gx.function([x], [x.T, gx.sum(x, axis=0), x.astype("float64") * 2])
    v = gx.tensor("v", (), dtype)
    g = gx.function([v], v)
    for shape in (SHAPE, (1, 1), (0, 4), (3, 0), (0, 0), (5, 1)):
        a = (np.arange(np.prod(shape)).reshape(shape) % 7).astype(dtype)
        want = [a.T, np.sum(a, axis=0), a.astype("float64") * 2]
        for name, b in layouts(a).items():
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                got = f(b)
            for value, expected in zip(got, want):
                assert type(value) is np.ndarray and value.dtype == expected.dtype, name
                np.testing.assert_array_equal(value, expected, err_msg=name)
    for b in (*layouts(np.array(1, dtype)).values(), np.dtype(dtype).type(1), np.array([[1]], dtype)[0, 0]):
        assert g(b) == 1 and g(b).shape == ()


def test_other_spellings_of_arrays() -> None:
    x = gx.tensor("x", ("n", 2))
    f = gx.function([x], x + 1)
    a = np.arange(4.0).reshape(2, 2)
    for value in (
        a.tolist(),
        tuple(map(tuple, a)),
        [a[0], a[1]],
        [list(a[0]), a[1]],
        Foreign(a),
        Exchanged(a),
        a.astype("i4"),
        a.astype("f2"),
        a.view(np.matrix),
    ):
        np.testing.assert_array_equal(f(value), a + 1)
    assert f(np.zeros((0, 2))).shape == (0, 2)
    with pytest.raises(gx.ShapeError):
        f([])
    huge = np.broadcast_to(np.float64(1), (1000, 2))  # stride 0
    np.testing.assert_array_equal(f(huge), huge + 1)


def test_the_array_itself_where_nothing_is_to_be_done() -> None:
    x = gx.vector("x", "n")
    a = np.ones(3)
    assert as_argument(a, x, "safe") is a
    readonly = np.ones(3)
    readonly.setflags(write=False)
    assert np.shares_memory(as_argument(readonly, x, "safe"), readonly)
    for b in layouts(np.ones(3)).values():
        c = as_argument(b, x, "safe")
        assert type(c) is np.ndarray and c.flags.c_contiguous and c.flags.aligned and c.dtype.isnative


def bad_calls(f: gx.Function) -> list[tuple[str, Callable[[], Any]]]:
    x, i = np.ones((3, 2)), np.zeros(3, int)
    overlapping = np.zeros(6)
    readonly = np.zeros(3)
    readonly.setflags(write=False)
    masked = np.ma.masked_array(x, mask=x > 2)
    recursive: list[Any] = []
    recursive.append(recursive)
    return [
        ("no arguments", lambda: f()),
        ("one argument", lambda: f(x)),
        ("three arguments", lambda: f(x, i, 1.0, 2)),
        ("unknown name", lambda: f(x, index=i)),
        ("a name twice", lambda: f(x, x=x)),
        ("rank 1", lambda: f(x[0], i)),
        ("rank 3", lambda: f(x[None], i)),
        ("rank 0", lambda: f(1.0, i)),
        ("size", lambda: f(np.ones((3, 4)), i)),
        ("disagreeing sizes", lambda: f(x, i[:2])),
        ("complex", lambda: f(x * 1j, i)),
        ("float for int", lambda: f(x, i * 1.0)),
        ("wider int", lambda: f(x, i.astype("uint64"))),
        ("longdouble", lambda: f(x.astype("longdouble"), i)),
        ("Python float for int", lambda: f(x, [1.0, 2.0, 3.0])),
        ("None", lambda: f(None, i)),
        ("str", lambda: f("x", i)),
        ("bytes", lambda: f(b"x", i)),
        ("dict", lambda: f({"a": 1}, i)),
        ("set", lambda: f({1, 2}, i)),
        ("object", lambda: f(object(), i)),
        ("function", lambda: f(len, i)),
        ("generator", lambda: f((v for v in x), i)),
        ("ragged", lambda: f([[1, 2], [3]], i)),
        ("recursive", lambda: f(recursive, i)),
        ("list of strings", lambda: f([["a", "b"]], i)),
        ("list with None", lambda: f([[1, None]], i)),
        ("object array", lambda: f(np.array([[1, None]]), i)),
        ("object array of numbers", lambda: f(x.astype(object), i)),
        ("str array", lambda: f(np.array([["1", "2"]]), i)),
        ("datetime", lambda: f(np.zeros((3, 2), "datetime64[s]"), i)),
        ("record", lambda: f(np.zeros((3, 2), [("a", "f8")]), i)),
        ("masked", lambda: f(masked, i)),
        ("raising", lambda: f(Raising(), i)),
        ("index out of range", lambda: f(x, [0, 1, 3])),
        ("negative index out of range", lambda: f(x, [0, -4, 0])),
        ("out: no array", lambda: f(x, i, out=[1.0, 2.0, 3.0])),
        ("out: a list", lambda: f(x, i, out=[np.zeros(3)])),
        ("out: one for two", lambda: f(x, i, out=np.zeros(3))),
        ("out: wrong keys", lambda: f(x, i, out={"a": np.zeros(3), "c": np.zeros(3)})),
        ("out: rank", lambda: f(x, i, out={"a": np.zeros((3, 1)), "b": np.zeros(3)})),
        ("out: size", lambda: f(x, i, out={"a": np.zeros(3), "b": np.zeros(4)})),
        ("out: dtype", lambda: f(x, i, out={"a": np.zeros(3), "b": np.zeros(3, "f4")})),
        ("out: byte order", lambda: f(x, i, out={"a": np.zeros(3), "b": np.zeros(3, ">f8")})),
        ("out: read-only", lambda: f(x, i, out={"a": np.zeros(3), "b": readonly})),
        ("out: masked", lambda: f(x, i, out={"a": np.zeros(3), "b": np.ma.zeros(3)})),
        ("out: overlapping", lambda: f(x, i, out={"a": overlapping[1:4], "b": overlapping[2:5]})),
        ("out: the same twice", lambda: f(x, i, out={"a": overlapping[:3], "b": overlapping[:3]})),
        ("out: an index out of range", lambda: f(x, [0, 1, 9], out={"a": overlapping[:3], "b": overlapping[3:]})),
        ("out: None inside", lambda: f(x, i, out={"a": np.zeros(3), "b": None})),
    ]


@pytest.mark.parametrize("mode", ["default", "none", "interpret"])
def test_bad_calls(golden: Callable[[str, str], None], mode: str) -> None:
    x, i = gx.tensor("x", ("n", 2), "float64"), gx.tensor("i", ("n",), "int64")
    scale = gx.scalar("scale")
    s, t = gx.shared(np.zeros(2), "s"), gx.shared(np.arange(3.0), "t")
    rows = x[i]
    f = gx.function(
        [x, i, scale],
        {"a": gx.sum(rows, axis=1) * scale, "b": x[:, 0]},
        updates={s: s + gx.sum(rows, axis=0), t: t + 1},
        defaults={scale: 2},
        name="f",
        mode=mode,
    )
    lines = []
    for name, call in bad_calls(f):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(gx.GraphcError) as caught:
                call()
        lines.append(f"{name}\n    {type(caught.value).__name__}: {_without_lines(str(caught.value))}")
        assert s.get_value().tolist() == [0, 0] and t.get_value().tolist() == [0, 1, 2], name
    if mode == "default":
        golden("arguments_errors", "\n".join(lines))
    got = f(np.ones((3, 2)), [0, -3, 2])
    assert got["a"].tolist() == [4, 4, 4] and s.get_value().tolist() == [3, 3] and t.get_value().tolist() == [1, 2, 3]


def _without_lines(text: str) -> str:
    """The text without the numbers of this file's lines, and without addresses."""
    text = text.split(" is not an array: setting")[0]  # the rest is NumPy's
    text = re.sub(r"test_arguments.py:\d+", "test_arguments.py:LINE", text)
    return re.sub(r"0x[0-9a-f]+", "0x..", text)


@pytest.mark.parametrize("mode", ["default", "interpret"])
def test_out(mode: str) -> None:
    x = gx.vector("x", "n")
    s = gx.shared(np.ones(3), "s")
    f = gx.function([x], (x[::-1], s + x, gx.sum(x)), updates={s: s + x}, mode=mode)
    store = np.zeros((3, 6))
    out = (store[0, ::2], store[1:, 0][::-1].repeat(2)[:3], np.zeros(()))
    X = np.array([1.0, 2.0, 3.0])
    got = f(X, out=out)
    assert isinstance(got, tuple) and all(a is b for a, b in zip(got, out))
    assert store[0].tolist() == [3, 0, 2, 0, 1, 0] and out[1].tolist() == [2, 3, 4] and out[2] == 6
    x_itself = X.copy()  # an input as target: read before it is written
    f(x_itself, out=(x_itself, np.zeros(3), np.zeros(())))
    assert x_itself.tolist() == [3, 2, 1]
    both = np.arange(6.0)
    f(both[:3], out=(both[1:4], np.zeros(3), np.zeros(())))
    assert both.tolist() == [0, 2, 1, 0, 4, 5]
    single = gx.function([x], x * 2, mode=mode)
    target = np.zeros((3, 2), order="F")[:, 1]
    assert single(X, out=target) is target and target.tolist() == [2, 4, 6]


def test_nodes_where_values_are_needed() -> None:
    x, y = gx.vector("x", "n"), gx.vector("y", "n")
    for misuse in (
        lambda: bool(x == y),
        lambda: 1 if x == y else 0,
        lambda: x in [y],
        lambda: float(gx.sum(x)),
        lambda: int(gx.sum(x)),
        lambda: list(x),
        lambda: np.asarray(x),
        lambda: np.array([x, y]),
        lambda: len(x),
        lambda: x.__setitem__(0, 1),
        lambda: [1, 2, 3][gx.scalar("i", "int64")],
        lambda: np.zeros(3)[gx.scalar("i", "int64")],
    ):
        with pytest.raises((gx.GraphcError, TypeError)) as caught:
            misuse()
        text = str(caught.value)
        assert len(text) > 20, text
        assert "hint" in text or not isinstance(caught.value, gx.GraphcError), text


SIGNED = ["int8", "int16", "int32", "int64"]


@pytest.mark.parametrize("dtype", [*SIGNED, "uint8", "uint16", "uint32", "uint64"])
@pytest.mark.parametrize("mode", ["default", "none"])
def test_integer_traps(dtype: str, mode: str) -> None:
    """What traps in hardware or is poison in LLVM has a value: x // 0 = x % 0 = 0, INT_MIN // -1 wraps, wide shifts give 0 or the sign."""
    x, y = gx.vector("x", "n", dtype), gx.vector("y", "n", dtype)
    f = gx.function([x, y], [x // y, x % y, x << y, x >> y, x * y, x + y, x - y, -x, abs(x), x**2], mode=mode)
    info = np.iinfo(dtype)
    bits = info.bits
    wrap: Callable[[int], int] = lambda v: (v - info.min) % (1 << bits) + info.min
    edge = [
        v
        for v in (info.min, info.min + 1, -7, -1, 0, 1, 2, 7, bits - 1, bits, bits + 1, info.max - 1, info.max)
        if info.min <= v <= info.max
    ]
    pairs = [(a, b) for a in edge for b in edge]
    got = f(*[np.array(column, dtype) for column in zip(*pairs)])
    for k, (a, b) in enumerate(pairs):
        shift = 0 <= b < bits
        want = [
            wrap(a // b) if b else 0,
            wrap(a % b) if b else 0,
            wrap(a << b) if shift else 0,
            (a >> b) if shift else (-1 if a < 0 else 0),
            wrap(a * b),
            wrap(a + b),
            wrap(a - b),
            wrap(-a),
            wrap(abs(a)),
            wrap(a * a),
        ]
        assert [int(v[k]) for v in got] == want, (a, b)


@pytest.mark.parametrize("source", ["float32", "float64"])
def test_floats_to_integers(source: str) -> None:
    """No value of a float is poison: those that fit are truncated, the others give the same value natively and by the interpreter."""
    x = gx.vector("x", "n", source)
    kinds = [*SIGNED, "uint8", "uint16", "uint32", "uint64", "bool"]
    outputs = [x.astype(k) for k in kinds]
    values = [
        0.0,
        -0.0,
        0.9,
        -0.9,
        1.5,
        -1.5,
        127,
        128,
        -128,
        -129,
        255,
        256,
        32767,
        65536,
        2**31 - 1,
        2**31,
        -(2**31),
        2**32,
        2**53,
        2.0**62,
        2.0**63,
        -(2.0**63),
        2.0**64,
        1e300,
        -1e300,
        np.inf,
        -np.inf,
        np.nan,
        5e-324,
        1e-45,
    ]
    with np.errstate(all="ignore"):
        a = np.array(values).astype(source)
    results = {mode: gx.function([x], outputs, mode=mode)(a) for mode in ("default", "none", "interpret")}
    for kind, *got in zip(kinds, *results.values()):
        for other in got[1:]:
            np.testing.assert_array_equal(other, got[0], err_msg=kind)
        exact = [
            (k, v)
            for k, v in enumerate(a.tolist())
            if np.isfinite(v) and kind != "bool" and np.iinfo(kind).min <= int(v) <= np.iinfo(kind).max
        ]
        assert [int(got[0][k]) for k, _ in exact] == [int(v) for _, v in exact], kind
