"""`gx.jit` on methods: bound, inherited, of classes, static; what becomes of an instance and of its attributes."""

from __future__ import annotations

import dataclasses
import gc
import inspect
import threading
import weakref
from typing import Any

import numpy as np
import pytest

import graphc as gx

TRACES: list[str] = []
X = np.arange(3.0)


class Scaled:
    """A model that is no tree."""

    def __init__(self, scale: float) -> None:
        self.scale = scale
        self.w = np.ones(3)
        self.state = gx.shared(np.zeros(3))

    @gx.jit
    def run(self, x: Any, k: int = 1) -> Any:
        """scale * x * w * k."""
        TRACES.append("run")
        return self.scale * x * self.w * k + self.state

    @gx.jit(static_argnames="axis")
    def total(self, x: Any, axis: Any = (0,)) -> Any:
        return gx.sum(x * self.scale, axis=axis)

    @classmethod
    @gx.jit
    def of_class(cls, x: Any) -> Any:
        return x * len(cls.__name__)

    @gx.jit
    @classmethod
    def of_class_too(cls, x: Any) -> Any:
        return x * len(cls.__name__)

    @staticmethod
    @gx.jit
    def of_nothing(x: Any) -> Any:
        return x + 1

    @gx.jit
    @staticmethod
    def of_nothing_too(x: Any) -> Any:
        return x + 1


class Longer(Scaled):
    @gx.jit
    def run(self, x: Any, k: int = 1) -> Any:
        return super().run(x, k) + self.other()

    def other(self) -> float:
        return 100.0


def test_bound_methods() -> None:
    a, b = Scaled(2.0), Scaled(3.0)
    TRACES.clear()
    assert a.run(X).tolist() == [0, 2, 4] and b.run(X).tolist() == [0, 3, 6] and a.run(X, k=2).tolist() == [0, 4, 8]
    assert a.run(np.ones(3)).tolist() == [2, 2, 2] and Scaled.run(a, X).tolist() == [0, 2, 4]
    assert len(TRACES) == 3
    assert a.total(np.ones((2, 3)), axis=(0, 1)) == 12 and a.total(np.ones((2, 3))).tolist() == [4, 4, 4]
    assert list(map(a.run, [X, X]))[1].tolist() == [0, 2, 4]


def test_inheritance() -> None:
    c = Longer(2.0)
    assert c.run(X).tolist() == [100, 102, 104] and c.total(X) == 6
    assert Scaled.run(c, X).tolist() == [0, 2, 4]


def test_class_and_static_methods() -> None:
    for of_class in (Scaled.of_class, Scaled(1.0).of_class, Scaled.of_class_too, Scaled(1.0).of_class_too):
        assert of_class(X).tolist() == [0, 6, 12]
    assert Longer.of_class(np.ones(2)).tolist() == [6, 6]
    for of_nothing in (Scaled.of_nothing, Scaled(1.0).of_nothing, Scaled.of_nothing_too, Scaled(1.0).of_nothing_too):
        assert of_nothing(X).tolist() == [1, 2, 3]


def test_what_is_known_of_a_method() -> None:
    bound = Scaled(1.0).run
    assert bound.__name__ == "run" and bound.__doc__ == "scale * x * w * k." and bound.__qualname__ == "Scaled.run"
    assert isinstance(bound.__self__, Scaled) and bound.__func__ is Scaled.run
    assert str(inspect.signature(Scaled.run)) == "(self, x: 'Any', k: 'int' = 1) -> 'Any'"
    assert str(inspect.signature(bound)) == "(x: 'Any', k: 'int' = 1) -> 'Any'"


def test_setting_an_attribute_traces_again() -> None:
    a = Scaled(2.0)
    assert a.run(X).tolist() == [0, 2, 4]
    TRACES.clear()
    a.scale = 5.0
    assert a.run(X).tolist() == [0, 5, 10]
    for k in range(1, 4):
        a.w = a.w + 1.0  # a new array, perhaps at the address of an old one
        assert a.run(X).tolist() == [0, 5 * (k + 1), 10 * (k + 1)]
    assert len(TRACES) == 4
    a.state.set_value(np.ones(3))
    assert a.run(X).tolist() == [1, 21, 41] and len(TRACES) == 4  # state is read at each call
    a.scale = -0.0
    assert str((a.run(X) - 1).tolist()) == "[0.0, 0.0, 0.0]" and len(TRACES) == 5


def test_instances_are_not_kept() -> None:
    a = Scaled(2.0)
    a.run(X)
    a.me = a  # a circle, which only the collector finds
    seen = weakref.ref(a)
    a.run(X)
    assert id(a) in Scaled.run.instances
    number = id(a)
    del a
    gc.collect()
    assert seen() is None and number not in Scaled.run.instances
    for k in range(20):  # addresses come again, traces do not
        assert Scaled(float(k)).run(X).tolist() == [0, k, 2 * k]
    gc.collect()
    assert len(Scaled.run.instances) == 0


@dataclasses.dataclass
class Linear:
    w: Any
    b: Any
    power: int = 1

    @gx.jit
    def __call__(self, x: Any) -> Any:
        TRACES.append("call")
        return (x @ self.w + self.b) ** self.power


def test_self_that_is_a_tree_is_an_argument() -> None:
    TRACES.clear()
    f, x = Linear(np.ones((3, 2)), np.zeros(2)), np.ones((4, 3))
    assert (f(x) == 3).all()
    f.w[:] = 2.0  # in place: it is an argument, so that is seen
    assert (f(x) == 6).all() and (Linear(np.zeros((3, 2)), np.ones(2))(x) == 1).all() and len(TRACES) == 1
    f.power = 2
    assert (f(x) == 36).all() and len(TRACES) == 2


def test_a_function_in_a_class_takes_data_too() -> None:
    class Namespace:
        @gx.jit
        def double(x: Any) -> Any:
            return x * 2

    for value in (X, X + 1, 3.0):
        np.testing.assert_array_equal(Namespace.double(value), np.multiply(value, 2))
    assert not Namespace.double.instances


def test_a_class_without_weak_references() -> None:
    class Small:
        __slots__ = ("k",)

        @gx.jit
        def f(self, x: Any) -> Any:
            return x

    with pytest.raises(gx.ArgumentError, match=r"jit: f: an instance of Small cannot be referred to weakly; hint: .*__weakref__"):
        Small().f(X)


def test_threads_share_the_traces() -> None:
    a, results = Scaled(2.0), []
    TRACES.clear()
    threads = [threading.Thread(target=lambda: results.append(a.run(X).tolist())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [[0, 2, 4]] * 8 and len(TRACES) == 1


def test_arguments_are_called_by_their_names() -> None:
    @gx.jit
    def loss(params: Any, x: Any, *rest: Any, y: Any) -> Any:
        return gx.sum((x @ params["W"] + params["b"][0] - y) ** 2) + rest[0]

    params = {"W": np.ones((3, 2)), "b": [np.zeros(2)]}
    assert loss(params, np.ones((4, 3)), 0.5, y=np.ones((4, 2))) == 32.5
    (f,) = loss.traces.values()
    assert sorted(str(v.name) for v in f.inputs.values()) == ["params['W']", "params['b'][0]", "rest[0]", "x", "y"]
    with pytest.raises(gx.ShapeError, match=r"params\['W'\]"):
        loss(params, np.ones((4, 5)), 0.5, y=np.ones((4, 2)))
