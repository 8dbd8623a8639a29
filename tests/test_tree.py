"""Trees: round trips, leaf order, structures as values, and errors that name the place."""

import copy
import dataclasses
import pickle
from collections import Counter, OrderedDict, defaultdict
from typing import NamedTuple

import numpy as np
import pytest

import graphc as gx
from graphc import tree


class Layer(NamedTuple):
    W: object
    b: object


class Other(NamedTuple):
    W: object
    b: object


@dataclasses.dataclass
class State:
    step: object
    params: object


@dataclasses.dataclass(frozen=True, slots=True)
class Positive:
    """A dataclass that checks its fields and sets one by itself."""

    value: float
    root: float = dataclasses.field(init=False)

    def __post_init__(self):
        if self.value < 0:
            raise ValueError("negative")
        object.__setattr__(self, "root", self.value**0.5)


class Registry(dict):
    """A dict whose constructor takes something else than the items."""

    def __init__(self, name, **items):
        super().__init__(items)
        self.name = name


NESTED = {"b": [1, (2, None)], "a": Layer(3, {"z": 4, "y": 5}), "c": State(6, [])}

ROUND_TRIPS = [
    (7, [7]),
    (None, []),
    ((), []),
    ({}, []),
    ([], []),
    ([None, ()], []),
    ([1, [2, [3]]], [1, 2, 3]),
    ((1,), [1]),
    ({"b": 1, "a": 2}, [2, 1]),
    ({10: "ten", 9: "nine"}, ["nine", "ten"]),
    ({(1, 2): "x", "k": "y", 3: "z"}, ["x", "y", "z"]),
    (OrderedDict(b=1, a=2), [2, 1]),
    (defaultdict(list, b=[1], a=2), [2, 1]),
    (defaultdict(int), []),
    (Counter(b=1, a=2), [2, 1]),
    (Registry("layers", b=1, a=[2]), [2, 1]),
    (Layer(1, [2, 3]), [1, 2, 3]),
    (State(1, {"w": 2}), [1, 2]),
    (Positive(4.0), [4.0, 2.0]),
    ("text", ["text"]),
    (NESTED, [3, 5, 4, 1, 2, 6]),
]


@pytest.mark.parametrize(("value", "leaves"), ROUND_TRIPS, ids=repr)
def test_round_trip(value, leaves):
    found, treedef = tree.flatten(value)
    again = tree.unflatten(treedef, found)
    assert found == leaves == tree.leaves(value)
    assert again == value
    assert type(again) is type(value)
    assert treedef == tree.structure(value)
    assert treedef.num_leaves == len(leaves) == len(tree.paths(value))


def test_leaves_are_the_same_objects():
    array, function = np.zeros(3), len
    found, treedef = tree.flatten({"x": array, "f": function})
    assert found[0] is function and found[1] is array
    assert tree.unflatten(treedef, found)["x"] is array


@pytest.mark.parametrize("leaf", [np.zeros((2, 2)), np.float32(1), "ab", b"ab", {1, 2}, range(3), State, Layer], ids=repr)
def test_everything_else_is_a_leaf(leaf):
    assert tree.structure(leaf) == tree.structure(0)
    assert tree.leaves([leaf])[0] is leaf


def test_a_dict_of_a_subclass_comes_back_as_one():
    given = defaultdict(list, w=1)
    doubled = tree.map(lambda x: 2 * x, given)
    assert type(doubled) is defaultdict and doubled == {"w": 2} and doubled["new"] == [] and "new" not in given
    assert tree.structure(defaultdict(int, a=1)) == tree.structure(defaultdict(float, a=1)) != tree.structure({"a": 1})
    assert type(tree.map(str, Registry("layers", a=1))) is Registry  # its __init__ wants a name, which is no part of a tree
    w = gx.shared(defaultdict(float, a=np.ones(2)))
    assert type(w) is defaultdict and type(gx.grad(gx.sum(w["a"] ** 2), w)) is defaultdict


def test_dict_keeps_its_own_key_order():
    treedef = tree.structure({"b": 0, "a": [0, 0]})
    assert list(tree.unflatten(treedef, [1, 2, 3]).items()) == [("b", 3), ("a", [1, 2])]
    assert list(tree.map(lambda x: x, OrderedDict(z=1, y=2))) == ["z", "y"]


def test_key_order_is_no_part_of_a_structure():
    first, second = tree.structure({"b": 0, "a": 1}), tree.structure({"a": 0, "b": 1})
    assert first == second
    assert hash(first) == hash(second)
    assert repr(first) == repr(second)
    assert tree.map(lambda x, y: x - y, {"b": 1, "a": 2}, {"a": 20, "b": 10}) == {"b": -9, "a": -18}


def test_keys_that_cannot_be_compared():
    class Key:
        """Like a node: hashes by identity, and `==` is no truth value."""

        __hash__ = object.__hash__

        def __eq__(self, other):
            raise AssertionError("== on a key")

    one, two = Key(), Key()
    value = {two: "two", one: "one"}
    found, treedef = tree.flatten(value)
    assert found == ["two", "one"]
    assert treedef == tree.structure({two: 0, one: 0})
    assert treedef != tree.structure({one: 0, two: 0})
    assert list(tree.unflatten(treedef, found)) == [two, one]
    with pytest.raises(ValueError, match="differ at the root"):
        tree.map(lambda x, y: x, {one: 1}, {two: 1})


DIFFERENT = [
    0,
    None,
    (),
    [],
    {},
    (0,),
    [0],
    {"a": 0},
    {"b": 0},
    {"a": None},
    {"a": [0]},
    OrderedDict(a=0),
    Layer(0, 0),
    Other(0, 0),
    State(0, 0),
]


def test_structures_are_values():
    structures = [tree.structure(value) for value in DIFFERENT]
    for i, first in enumerate(structures):
        for j, second in enumerate(structures):
            assert (first == second) == (i == j)
            assert bool(first.difference(second)) == (i != j)
    assert len({*structures, *map(tree.structure, DIFFERENT)}) == len(DIFFERENT)
    assert structures[0] != 0


def test_structure_is_immutable_and_copies():
    treedef = tree.structure(NESTED)
    with pytest.raises(dataclasses.FrozenInstanceError):
        treedef.keys = ()
    assert copy.deepcopy(treedef) == treedef
    assert pickle.loads(pickle.dumps(treedef)) == treedef


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "TreeDef(*)"),
        (None, "TreeDef(None)"),
        ((1,), "TreeDef((*,))"),
        (OrderedDict(a=1), "TreeDef(OrderedDict('a': *))"),
        (
            NESTED,
            "TreeDef({'a': Layer(W=*, b={'y': *, 'z': *}), 'b': [*, (*, None)], 'c': State(step=*, params=[])})",
        ),
    ],
)
def test_repr(value, text):
    assert repr(tree.structure(value)) == text


def test_paths():
    assert tree.paths(1) == [""]
    assert tree.paths(None) == []
    assert tree.paths([Layer(1, 2), State(3, {"W": 4, 5: 6})]) == ["[0].W", "[0].b", "[1].step", "[1].params['W']", "[1].params[5]"]
    assert tree.paths(NESTED) == ["['a'].W", "['a'].b['y']", "['a'].b['z']", "['b'][0]", "['b'][1][0]", "['c'].step"]


def test_map():
    assert tree.map(lambda x: -x, NESTED) == {"b": [-1, (-2, None)], "a": Layer(-3, {"z": -4, "y": -5}), "c": State(-6, [])}
    assert tree.map(lambda x, y, z: (x, y, z), [1, {"k": 2}], [3, {"k": 4}], [5, {"k": 6}]) == [(1, 3, 5), {"k": (2, 4, 6)}]
    assert tree.map(lambda x, y: x + y, 1, 2) == 3
    assert tree.map(lambda x: x, None) is None


def test_map_builds_dataclasses_without_their_checks():
    assert tree.map(lambda x: -x, Positive(4.0)).value == -4.0
    assert tree.map(str, Positive(4.0)).root == "2.0"


def test_map_leaves_its_arguments_alone():
    value = {"a": [1, 2], "s": State(1, [2])}
    before = copy.deepcopy(value)
    result = tree.map(lambda x: x + 1, value)
    assert value == before
    assert result["a"] is not value["a"]


@pytest.mark.parametrize(
    ("one", "two", "place"),
    [
        ([1, 2], [1, 2, 3], "at the root: list of 2 and list of 3"),
        ([1, 2], (1, 2), "at the root: list of 2 and tuple of 2"),
        ({"W": 1, "b": 2}, {"W": 1}, "at the root: dict with keys ['W', 'b'] and dict with keys ['W']"),
        ({"layers": [Layer(1, 2), 3]}, {"layers": [Layer(1, [2]), 3]}, "at ['layers'][0].b: a leaf and list of 1"),
        ({"layers": [Layer(1, 2)]}, {"layers": [Other(1, 2)]}, "at ['layers'][0]: Layer and Other"),
        ([0, State(1, None)], [0, State(1, 2)], "at [1].params: None and a leaf"),
    ],
)
def test_map_names_the_place_where_structures_differ(one, two, place):
    with pytest.raises(ValueError) as error:
        tree.map(lambda x, y: x, one, two)
    assert str(error.value) == f"tree.map: tree 1 and tree 2 differ {place}"
    with pytest.raises(ValueError, match=r"tree 1 and tree 3 differ"):
        tree.map(lambda x, y, z: x, one, one, two)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_unflatten_counts_leaves(count):
    with pytest.raises(ValueError, match=rf"tree.unflatten: {count} leaves for a structure of 2: TreeDef\(\[\*, \*\]\)"):
        tree.unflatten(tree.structure([1, 2]), range(count))


def test_unflatten_takes_any_iterable():
    assert tree.unflatten(tree.structure([1, (2,)]), (x for x in "ab")) == ["a", ("b",)]


def test_self_containing_trees():
    knot = [1]
    knot.append({"again": (knot,)})
    with pytest.raises(ValueError, match="a list contains itself"):
        tree.flatten(knot)
    loop = {}
    loop["self"] = loop
    with pytest.raises(ValueError, match="a dict contains itself"):
        tree.paths(loop)
    state = State(0, None)
    state.params = [state]
    with pytest.raises(ValueError, match="a State contains itself"):
        tree.map(lambda x: x, state)


def test_the_same_part_twice_is_no_knot():
    part = [1, 2]
    assert tree.leaves([part, {"k": part}, part, (), ((),)]) == [1, 2] * 3


def test_depth_is_bounded():
    value = 0
    for _ in range(tree.MAX_DEPTH):
        value = [value]
    found, treedef = tree.flatten(value)
    assert found == [0]
    assert treedef == tree.structure(value)
    assert tree.unflatten(treedef, found) == value
    assert tree.paths(value) == ["[0]" * tree.MAX_DEPTH]
    assert repr(treedef).count("[") == tree.MAX_DEPTH
    with pytest.raises(ValueError, match=f"deeper than {tree.MAX_DEPTH} levels"):
        tree.flatten([value])


def same(a, b):
    """Whether two arrays have equal dtype, shape and bits."""
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def test_ravel_order_and_way_back():
    W = np.arange(6, dtype="float32").reshape(2, 3)
    value = {"b": np.float32([10, 20]), "W": W, "n": None, "s": Layer(np.float32(30), np.zeros((0, 4), "float32"))}
    vector, unravel = tree.ravel(value)
    assert same(vector, np.float32([0, 1, 2, 3, 4, 5, 10, 20, 30]))
    back = unravel(vector)
    assert tree.structure(back) == tree.structure(value)
    assert all(same(x, np.asarray(y)) for x, y in zip(tree.leaves(back), tree.leaves(value)))
    assert same(unravel(2 * vector)["W"], 2 * W)


@pytest.mark.parametrize("layout", [np.asfortranarray, lambda x: x[::-1], lambda x: x[:, ::2], lambda x: x.astype(">f8")])
def test_ravel_reads_any_layout(layout):
    array = layout(np.arange(12.0).reshape(3, 4))
    vector, unravel = tree.ravel([array])
    assert np.array_equal(vector, array.ravel())
    assert np.array_equal(unravel(vector)[0], array)


@pytest.mark.parametrize(
    ("dtypes", "common"),
    [
        (["float32", "float64"], "float64"),
        (["int8", "uint8"], "int16"),
        (["bool", "int32"], "int32"),
        (["int64", "float32"], "float64"),
        (["bool"], "bool"),
    ],
)
def test_ravel_promotes_as_numpy_and_casts_back(dtypes, common):
    value = [np.ones(2, dtype) for dtype in dtypes]
    vector, unravel = tree.ravel(value)
    assert vector.dtype == np.result_type(*value) == common
    assert [leaf.dtype for leaf in unravel(vector)] == dtypes
    assert [leaf.dtype for leaf in unravel(np.zeros(vector.shape, "float32"))] == dtypes


def test_ravel_of_python_numbers_loses_nothing():
    vector, unravel = tree.ravel([np.float32(1.5), 0.1, 3])
    assert vector.dtype == "float64"
    first, second, third = unravel(vector)
    assert first.dtype == "float32" and second == 0.1 and third == 3 and third.dtype == np.asarray(3).dtype


def test_ravel_copies_both_ways():
    array = np.zeros(3)
    vector, unravel = tree.ravel([array])
    back = unravel(vector)[0]
    assert not np.shares_memory(vector, array)
    assert not np.shares_memory(vector, back)


def test_ravel_of_no_leaves():
    vector, unravel = tree.ravel({"a": [], "b": None})
    assert same(vector, np.zeros(0))
    assert unravel(vector) == {"a": [], "b": None}


def test_ravel_of_one_leaf():
    vector, unravel = tree.ravel(np.float64(2))
    assert same(vector, np.float64([2]))
    assert same(unravel([5.0]), np.asarray(5.0))


@pytest.mark.parametrize("shape", [(), (5,), (7,), (2, 3), (1, 6)])
def test_unravel_checks_the_shape(shape):
    _, unravel = tree.ravel({"W": np.zeros((2, 3))})
    with pytest.raises(ValueError) as error:
        unravel(np.zeros(shape))
    assert str(error.value) == f"tree.unravel: needs an array of shape (6,), got {shape}"


@pytest.mark.parametrize("leaf", ["relu", object(), np.array(["a"]), np.array([None])], ids=["str", "object", "str array", "object array"])
def test_ravel_names_a_leaf_that_is_no_number(leaf):
    with pytest.raises(TypeError, match=r"tree.ravel: the leaf at \['act'\]\[0\] is no number or numeric array"):
        tree.ravel({"W": np.zeros(2), "act": [leaf]})
