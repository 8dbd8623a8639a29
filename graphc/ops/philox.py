"""Random bits: the counter-based generator Philox4x32-10 of Salmon, Moraes, Dror and Shaw (2011) as two ops without state.

A block is four 32-bit words, made of a key of 64 bits and a counter of 128: ten rounds of two products, whose halves are exchanged,
with a key that moves on by two constants. Here the counter of a block is (its number, `high`), 64 bits each, low word first:

    word32(key, high, index)    word index % 4 of block index // 4
    word64(key, high, index)    words 2 (index % 2) and 2 (index % 2) + 1 of block index // 2, the first one low

so the words of one (key, high) are the published stream in its own order. An element knows its word by its index alone: the stream is
the same for every size, number of threads and width of vectors, and what is computed again is the same again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.dtypes import uint32, uint64
from graphc.errors import DTypeError, ShapeError, fail
from graphc.ir import Node, Op, make
from graphc.loopform import LoopForm
from graphc.ops.registry import ArrayLike, asarray, structural
from graphc.ops.rows import fit
from graphc.scalars import Scalar, select, shift_left, shift_right
from graphc.types import TensorType, same_size, tensor_type

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)  # the golden ratio, and sqrt(3) - 1: what the halves of the key move on by
ROUNDS = 10
LOW = 0xFFFFFFFF

Value = Any  # a Scalar, or an array of uint64
Words = tuple[Value, Value, Value, Value]


def _block(key: Value, counter: Words, high: Callable[[Value], Value]) -> Words:
    """The block of a counter: of each result the low half is a word, the high half is of no use. `high`: x // 2**32."""
    k0, k1 = key & LOW, high(key)
    c0, c1, c2, c3 = counter
    for _ in range(ROUNDS):
        p, q = (c0 & LOW) * MULTIPLIERS[0], (c2 & LOW) * MULTIPLIERS[1]
        c0, c1, c2, c3 = high(q) ^ (c1 ^ k0), q, high(p) ^ (c3 ^ k1), p
        k0, k1 = k0 + WEYL[0], k1 + WEYL[1]
    return c0, c1, c2, c3


def _half(x: Scalar) -> Scalar:
    return shift_right(x, 32, arithmetic=False)


def _emit32(key: Scalar, high: Scalar, index: Scalar) -> Scalar:
    block = shift_right(index, 2, arithmetic=False)
    c0, c1, c2, c3 = _block(key, (block, _half(block), high, _half(high)), _half)
    second, odd = (index & 2).ne(0), (index & 1).ne(0)
    return (select(odd, select(second, c3, c1), select(second, c2, c0)) & LOW).cast(uint32)


def _emit64(key: Scalar, high: Scalar, index: Scalar) -> Scalar:
    block = shift_right(index, 1, arithmetic=False)
    c0, c1, c2, c3 = _block(key, (block, _half(block), high, _half(high)), _half)
    odd = (index & 1).ne(0)
    return (select(odd, c2, c0) & LOW) | shift_left(select(odd, c3, c1), 32)


# -- the same in NumPy ------------------------------------------------------------------------------------------------------
def philox4x32(key: np.ndarray, counter: Words) -> np.ndarray:
    """The four words of each block, along a new last axis: arrays of uint64, the words of the counter below 2**32."""
    with np.errstate(over="ignore"):  # of 0-d arrays
        words = _block(key, counter, lambda x: x >> 32)
    return np.stack(np.broadcast_arrays(*words), -1).astype(uint32)


def _ref(key: np.ndarray, high: np.ndarray, index: np.ndarray, each: int) -> np.ndarray:
    """Words of `each` (1 or 2) words of a block, in the last axis."""
    block, place = index // np.uint64(4 // each), index % np.uint64(4 // each)
    words = philox4x32(key, (block & LOW, block >> 32, high & LOW, high >> 32))
    places = [(place * each + k).astype(np.int64)[..., None] for k in range(each)]
    return np.concatenate([np.take_along_axis(words, p, -1) for p in places], -1)


def _ref32(key: np.ndarray, high: np.ndarray, index: np.ndarray) -> np.ndarray:
    found: np.ndarray = _ref(key, high, index, 1)[..., 0]
    return found


def _ref64(key: np.ndarray, high: np.ndarray, index: np.ndarray) -> np.ndarray:
    words = _ref(key, high, index, 2).astype(uint64)
    found: np.ndarray = words[..., 0] | words[..., 1] << 32
    return found


# -- the ops ----------------------------------------------------------------------------------------------------------------
def _type(key: TensorType, high: TensorType, index: TensorType, dtype: np.dtype) -> TensorType:
    for x in (key, high, index):
        if x.dtype != uint64:
            fail(DTypeError, f"random words are made of uint64, got {key}, {high}, {index}")
        if len(x.shape) != len(key.shape) or not all(map(same_size, x.shape, key.shape)):
            fail(ShapeError, f"random words: shapes {key}, {high}, {index} differ")
    return tensor_type(dtype, key.shape)


def _row(name: str, doc: str, dtype: np.dtype, ref: Callable[..., np.ndarray], emit: Callable[..., Scalar]) -> Op:
    form = LoopForm(lambda read, at, r: emit(read(0, at), read(1, at), read(2, at)))
    return structural(
        name, 3, doc, type_rule=lambda key, high, index: _type(key, high, index, dtype), ref=ref, loop=lambda node: form, elementwise=True,
        costly=True,
    )  # fmt: skip


WORD32 = _row("random_word32", "Word index % 4 of block index // 4 of Philox4x32-10.", uint32, _ref32, _emit32)
WORD64 = _row("random_word64", "The 64 bits at index % 2 of block index // 2 of Philox4x32-10.", uint64, _ref64, _emit64)


def random_words(key: ArrayLike, high: ArrayLike, index: ArrayLike, bits: int = 64) -> Node:
    """Random words of 64 or 32 bits, uint64 or uint32, elementwise of uint64 operands, with broadcasting. Raises ShapeError."""
    return make(WORD64 if bits == 64 else WORD32, tuple(fit([asarray(x, uint64) for x in (key, high, index)], uint64, "random words")))
