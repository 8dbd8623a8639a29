"""The bits: the published vectors of Philox4x32-10, one stream for every size, level, number of threads and key."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import graphc as gx
from graphc.ops.philox import philox4x32, random_words

ONES = 0xFFFFFFFF
# Random123, kat_vectors: counter, key, block
VECTORS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES,) * 4, (ONES, ONES), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


def block(key: int, high: int, number: int) -> list[int]:
    """Philox4x32-10 as the paper writes it, in Python's integers."""
    k0, k1 = key & ONES, key >> 32
    c = [number & ONES, number >> 32, high & ONES, high >> 32]
    for _ in range(10):
        p, q = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [(q >> 32) ^ c[1] ^ k0, q & ONES, (p >> 32) ^ c[3] ^ k1, p & ONES]
        k0, k1 = (k0 + 0x9E3779B9) & ONES, (k1 + 0xBB67AE85) & ONES
    return c


@pytest.mark.parametrize(("counter", "key", "wanted"), VECTORS)
def test_known_answers(counter: tuple[int, ...], key: tuple[int, int], wanted: tuple[int, ...]) -> None:
    k, high, low = key[0] | key[1] << 32, counter[2] | counter[3] << 32, counter[0] | counter[1] << 32
    assert block(k, high, low) == list(wanted)
    assert tuple(philox4x32(np.uint64(k), tuple(map(np.uint64, counter))).tolist()) == wanted
    if low < 1 << 61:  # the block can be named by the index of a word
        index = np.arange(4 * low, 4 * low + 4, dtype=np.uint64)
        assert tuple(words(k, high, index, 32).tolist()) == wanted


_key, _high, _index = gx.scalar("key", "uint64"), gx.scalar("high", "uint64"), gx.vector("index", "n", "uint64")
_WORDS = {bits: random_words(_key, _high, _index, bits) for bits in (32, 64)}


@functools.cache
def compiled() -> gx.Function:
    return gx.function([_key, _high, _index], _WORDS)


def words(key: int, high: int, index: np.ndarray, bits: int) -> np.ndarray:
    given = [np.uint64(key), np.uint64(high), index]
    found: np.ndarray = compiled()(*given)[bits]
    np.testing.assert_array_equal(found, _WORDS[bits].eval(dict(zip([_key, _high, _index], given))))
    return found


@pytest.mark.parametrize("n", [0, 1, 3, 37])
def test_words_are_those_of_the_paper(n: int) -> None:
    random = np.random.default_rng(n)
    key, high = (int(random.integers(0, 2**64, dtype=np.uint64)) for _ in range(2))
    index = random.integers(0, 2**64, n, dtype=np.uint64)  # to the last word of a stream
    index[: n // 2] = np.arange(n // 2)
    wanted32 = [block(key, high, int(i) // 4)[int(i) % 4] for i in index]
    wanted64 = [(b := block(key, high, int(i) // 2))[p := 2 * (int(i) % 2)] | b[p + 1] << 32 for i in index]
    np.testing.assert_array_equal(words(key, high, index, 32), np.array(wanted32, np.uint32))
    np.testing.assert_array_equal(words(key, high, index, 64), np.array(wanted64, np.uint64))


def test_one_stream_for_sizes_levels_and_threads() -> None:
    """A draw is a piece of one sequence: of any length and shape, on any number of threads, interpreted or compiled."""
    k, n = gx.scalar("k", "uint64"), gx.dim("n")
    drawn = [
        gx.random.bits(k, (n,)),
        gx.random.bits(k, (n, 3), "uint64"),
        gx.random.uniform(k, (n, 3)),
        gx.random.normal(k, (n,), "float32"),
    ]
    functions = [gx.function([k, n], drawn, threads=t) for t in (1, 2)] + [
        gx.function([k, n], drawn, mode=m) for m in ("none", "interpret")
    ]
    whole = functions[0](np.uint64(7), 40_000)
    for f in functions[1:]:
        for got, wanted in zip(f(np.uint64(7), 40_000 if f is functions[1] else 300), whole):
            exact = wanted.dtype.kind == "u" or f is functions[1]
            np.testing.assert_allclose(got, wanted[: len(got)], rtol=0 if exact else 4 * np.finfo(wanted.dtype).eps)
    for size in (0, 1, 2, 17):
        for got, wanted in zip(functions[0](np.uint64(7), size), whole):
            np.testing.assert_array_equal(got, wanted[:size])
    flat = gx.function([k], gx.random.bits(k, (12,), "uint64"))(np.uint64(7))
    np.testing.assert_array_equal(gx.function([k], gx.random.bits(k, (2, 1, 2, 3), "uint64"))(np.uint64(7)).ravel(), flat)
    np.testing.assert_array_equal(gx.random.bits(k, (1, 1)).eval({k: np.uint64(7)}), whole[0][:1, None])


def test_keys() -> None:
    k = gx.random.key(123)
    made = [k, *[gx.random.split(k, 3)[j] for j in range(3)], *[gx.random.fold_in(k, j) for j in (0, 1, -1, 2**63)]]
    values = [int(v) for v in gx.function([], made)()]
    assert values[0] == 123 and len(set(values)) == len(values)
    blocks = [block(123, 1 << 62, j // 2)[2 * (j % 2) :] for j in range(3)]
    assert values[1:4] == [b[0] | b[1] << 32 for b in blocks]
    assert set(values).isdisjoint(int(v) for v in gx.random.bits(k, (1000,), "uint64").eval())
    folded = gx.random.fold_in(k, gx.arange(3)).eval()
    assert folded.tolist()[:2] == values[4:6]
    s = gx.scalar("s", "int64")
    assert gx.random.key(s).eval({s: 123}) == np.uint64(123)


def test_what_is_no_key() -> None:
    for seed in (1.0, np.float64(2), True):
        with pytest.raises(gx.DTypeError, match="seed"):
            gx.random.key(seed)
    for seed in (-1, 2**64, "a", None):
        with pytest.raises(gx.ArgumentError, match="seed"):
            gx.random.key(seed)
    with pytest.raises(gx.DTypeError, match="a key is a uint64"):
        gx.random.normal(np.int64(3), (2,))
    with pytest.raises(gx.DTypeError, match="a key is a uint64"):
        gx.random.normal(gx.scalar("x"), (2,))
    with pytest.raises(gx.ShapeError, match="one key is 0-d"):
        gx.random.uniform(gx.random.split(gx.random.key(0)), (2,))
    with pytest.raises(gx.DTypeError, match="uint32 or uint64"):
        gx.random.bits(gx.random.key(0), (2,), "int32")
    with pytest.raises(gx.DTypeError, match="float32 or float64"):
        gx.random.normal(gx.random.key(0), (2,), "int32")
    with pytest.raises(gx.DTypeError, match="not an integer"):
        gx.random.fold_in(gx.random.key(0), 1.5)
    with pytest.raises(gx.ShapeError):
        gx.random.uniform(gx.random.key(0), (gx.scalar("n", "int64"),))
