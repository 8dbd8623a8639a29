"""Scatter and gather beside other stages, at sizes that coincide: axes of one name have other extents in other stages."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import graphc as gx

SHAPES = [(3,), (4, 3), (10, 4), (2, 3), (3, 3), (1, 4), (2, 3, 4), (3, 0)]
INDICES = [(), (1,), (3,), (4,), (3, 4), (4, 3), (3, 3), (2, 3, 4), (0,), (3, 0)]


def places(shape: tuple[int, ...], size: int) -> np.ndarray:
    """Repeated and negative positions."""
    return (np.arange(math.prod(shape)) * 7 % (2 * size) - size).reshape(shape)


def test_the_gradient_of_take_at_sizes_that_coincide() -> None:
    w = gx.tensor("w", (10, 4))
    got = gx.function([w], gx.grad(gx.sum(gx.take(w, np.zeros((3, 4), int), axis=0)), w))(np.ones((10, 4)))
    np.testing.assert_array_equal(got, np.vstack([np.full((1, 4), 12.0), np.zeros((9, 4))]))


def test_the_gradient_of_an_embedding_counts_every_use() -> None:
    w = gx.tensor("w", (2, 3))
    i = np.array([[0, 0, 1], [0, 1, 1], [0, 0, 1], [1, 0, 0]])
    got = gx.function([w], gx.grad(gx.sum(gx.take(w, i, axis=0)), w))(np.ones((2, 3)))
    np.testing.assert_array_equal(got, [[7.0] * 3, [5.0] * 3])


@pytest.mark.parametrize("shape", SHAPES)
def test_updates_of_every_rank(shape: tuple[int, ...]) -> None:
    """Value and gradients of take, at[..].add and at[..].set, all in one function: indices known, and of a symbolic first size."""
    w = gx.tensor("w", shape)
    array = np.random.default_rng(0).standard_normal(shape)
    for axis, listed in itertools.product(range(len(shape)), INDICES):
        if shape[axis] == 0 or (math.prod(listed) * array.size > 600):
            continue
        fixed = places(listed, shape[axis])
        i = gx.tensor("i", ("m", *listed[1:]) if listed else (), "int64")
        key = (*[slice(None)] * axis, fixed)
        part = np.cos(np.arange(array[key].size)).reshape(array[key].shape)
        added, placed = array.copy(), array.copy()
        np.add.at(added, key, part)
        placed[key] = part
        back = np.zeros(shape)
        np.add.at(back, key, part)
        outputs = []
        for index in (i, fixed):
            taken = gx.take(w, index, axis=axis)
            at = w.at[(*[slice(None)] * axis, index)]
            outputs += [taken, at.add(part), at.set(part), gx.grad(gx.sum(taken * part), w)]
        wanted = [array[key], added, placed, back] * 2
        for got, want in zip(gx.function([w, i], outputs)(array, fixed), wanted, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-14, atol=1e-14, err_msg=f"{shape} {axis} {listed}")
