"""Products against NumPy: matmul, dot, vdot, inner, outer, tensordot, einsum, and the primitive behind them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from graphc import dims
from graphc.derivatives.batch import batch
from graphc.derivatives.grad import pull_back
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.interp import evaluate
from graphc.ir import Node, toposort
from graphc.ops import products as gx
from graphc.ops.contract import CONTRACT, canonical, contract, fold_operand, fold_output, fold_transpose, label_sizes, roles
from graphc.ops.einsum import einsum
from graphc.ops.registry import constant, tensor
from graphc.ops.shape import permute
from tests.derivatives import check_derivatives
from tests.loop_eval import run_loop

RNG = np.random.default_rng(2)


def array(*shape: int, dtype: str = "float64") -> np.ndarray:
    return RNG.normal(size=shape).astype(dtype) if dtype.startswith("f") else RNG.integers(0, 5, shape).astype(dtype)


def value(f, *arrays, **options) -> np.ndarray:
    nodes = [tensor(f"x{k}", a.shape, a.dtype) for k, a in enumerate(arrays)]
    return evaluate([f(*nodes, **options)], dict(zip(nodes, arrays)))[0]


def same(ours: np.ndarray, theirs: object, terms: object = 0.0) -> None:
    """Equal up to rounding of the result, or of a sum of absolute values `terms`, whose terms may cancel."""
    theirs = np.asarray(theirs)
    assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
    rounding = np.finfo(theirs.dtype).eps if theirs.dtype.kind == "f" else 0.0
    atol = 1e-12 + 4 * rounding * float(np.max(terms, initial=0.0))
    assert_allclose(ours, theirs, rtol=1e-5 if theirs.dtype == np.float32 else 1e-12, atol=atol)


def contracts(root: Node) -> list[Node]:
    return [n for n in toposort([root]) if n.op is CONTRACT]


# -- matmul and its kin -------------------------------------------------------------------------------------------
SHAPES = [
    ((3, 4), (4, 5)), ((4,), (4,)), ((3, 4), (4,)), ((4,), (4, 5)), ((2, 3, 4), (4, 5)), ((2, 3, 4), (2, 4, 5)),
    ((3, 4), (2, 4, 5)), ((2, 3, 4), (4,)), ((4,), (2, 4, 5)), ((1, 3, 4), (2, 4, 5)), ((2, 3, 4), (1, 4, 5)),
    ((6, 1, 3, 4), (2, 4, 5)), ((6, 1, 3, 4), (1, 2, 4, 5)), ((1, 1), (1, 1)), ((3, 0), (0, 4)), ((0, 3), (3, 4)),
    ((2, 0, 3), (3, 1)), ((1,), (1, 3)), ((3, 1), (1, 4)), ((0, 3, 4), (1, 4, 2)),
]  # fmt: skip


@pytest.mark.parametrize("left,right", SHAPES)
def test_matmul(left, right) -> None:
    a, b = array(*left), array(*right)
    same(value(gx.matmul, a, b), a @ b)
    if a.size and b.size:
        check_derivatives(gx.matmul, a, b, orders=2)


@pytest.mark.parametrize(
    "dtypes", list(itertools.combinations_with_replacement(["bool", "int8", "uint8", "int32", "int64", "float32", "float64"], 2))
)
def test_dtypes_are_those_of_numpy(dtypes) -> None:
    a, b = array(3, 9, dtype=dtypes[0]), array(9, 2, dtype=dtypes[1])
    same(value(gx.matmul, a, b), a @ b)
    same(value(gx.outer, a, b), np.outer(a, b))
    same(value(lambda x, y: einsum("ij,jk->k", x, y), a, b), np.einsum("ij,jk->k", a, b))


def test_integers_wrap_and_bool_is_any() -> None:
    a = np.full((1, 40), 100, np.int8)
    same(value(gx.matmul, a, a.T), a @ a.T)
    flags = RNG.random((4, 300)) < 0.5
    same(value(gx.matmul, flags, ~flags.T), flags @ ~flags.T)


def test_operators_and_constants() -> None:
    x, w = tensor("x", (2, 3), "float32"), array(3, 4, dtype="float32")
    at = {x: array(2, 3, dtype="float32")}
    same(evaluate([x @ w], at)[0], at[x] @ w)
    same(evaluate([w.T @ x.T], at)[0], w.T @ at[x].T)


@pytest.mark.parametrize(
    "left,right", [((), (3, 4)), ((2, 3), ()), ((3,), (3,)), ((2, 3), (3,)), ((2, 3), (3, 4)), ((5, 2, 3), (6, 3, 4)), ((2, 0), (0, 3))]
)
def test_dot(left, right) -> None:
    a, b = array(*left), array(*right)
    same(value(gx.dot, a, b), np.dot(a, b))
    if a.size:
        check_derivatives(gx.dot, a, b, orders=2)


def test_inner_outer_vdot() -> None:
    a, b = array(2, 3), array(5, 4, 3)
    same(value(gx.inner, a, b), np.inner(a, b))
    same(value(gx.inner, a[0], b[0, 0]), np.inner(a[0], b[0, 0]))
    same(value(gx.inner, a, np.float64(2.0)), np.inner(a, 2.0))
    same(value(gx.outer, a, b), np.outer(a, b))
    same(value(gx.vdot, a, a[::-1].T), np.vdot(a, a[::-1].T.copy()))
    check_derivatives(gx.inner, a, b, orders=2)
    check_derivatives(gx.outer, a, b[0], orders=2)


@pytest.mark.parametrize("axes", [0, 1, 2, (1, 0), ([0, 1], [1, 0]), ((0, 1), (0, 1)), (-1, 1), ((), ())])
def test_tensordot(axes) -> None:
    a, b = array(4, 4), array(4, 4, 3)
    same(value(gx.tensordot, a, b, axes=axes), np.tensordot(a, b, axes))


def test_symbolic_sizes() -> None:
    x, w, y = tensor("x", ("b", "n", "k")), tensor("w", ("k", 7)), tensor("y", ("b", "k"))
    at = {x: array(2, 3, 4), w: array(4, 7), y: array(2, 4)}
    assert (x @ w).shape == (dims.dim("b"), dims.dim("n"), 7)
    same(evaluate([x @ w], at)[0], at[x] @ at[w])
    same(evaluate([einsum("bnk,bk->bn", x, y)], at)[0], np.einsum("bnk,bk->bn", at[x], at[y]))
    assert gx.matmul(tensor("p", ("n", 784)), tensor("q", ("k", 10))).shape == (dims.dim("n"), 10)  # k = 784 is checked at the call
    empty = {x: array(2, 3, 0), w: array(0, 7)}
    assert_array_equal(evaluate([x @ w], empty)[0], np.zeros((2, 3, 7)))


def test_matmul_is_one_contract_and_broadcasts_without_copies() -> None:
    a, b = tensor("a", (6, 1, 3, 4)), tensor("b", (2, 4, 5))
    assert [n.op.name for n in toposort([a @ b])] == ["input", "reshape", "input", "contract"]


# -- einsum -------------------------------------------------------------------------------------------------------
EXPRESSIONS = [
    ("ij,jk->ik", (2, 3), (3, 4)), ("ij,jk", (2, 3), (3, 4)), ("ij,kj->ik", (2, 3), (4, 3)), ("bij,bjk->bik", (5, 2, 3), (5, 3, 4)),
    ("ij,ij->ij", (2, 3), (2, 3)), ("ij,ji->ij", (2, 3), (3, 2)), ("ij,ij", (2, 3), (2, 3)), ("i,j->ij", (2,), (3,)),
    ("i,j->ji", (2,), (3,)), ("ij,i->ij", (2, 3), (2,)), ("ij,j->ji", (2, 3), (3,)), ("ij,i->j", (2, 3), (2,)),
    ("ij,k->i", (2, 3), (4,)), ("ij,->ji", (2, 3), ()), (",->", (), ()), ("i,->", (3,), ()), ("ijk->k", (2, 3, 4)),
    ("ijk->kji", (2, 3, 4)), ("ijk", (2, 3, 4)), ("kij", (2, 3, 4)), ("ij->", (2, 3)), ("ii", (3, 3)), ("ii->i", (3, 3)),
    ("iij->ji", (3, 3, 2)), ("iji->j", (3, 2, 3)), ("iii->i", (3, 3, 3)), ("ii,i", (3, 3), (3,)),
    ("...ij,...jk->...ik", (5, 2, 3), (5, 3, 4)), ("...ij,...jk", (5, 2, 3), (3, 4)),
    ("...ij,...jk->...ik", (6, 1, 2, 3), (5, 3, 4)), ("...ij->...", (5, 2, 3)), ("i...->...i", (5, 2, 3)),
    ("i...,i...->...", (5, 2, 3), (5, 3)), ("...,...", (2, 3), (3,)), ("...i,i", (2, 3), (3,)), ("ij,ij->ij", (1, 3), (2, 3)),
    ("ij,ij->j", (2, 1), (2, 3)), ("ij,jk->ik", (2, 1), (3, 4)), ("ij,ij->i", (1, 1), (2, 3)),
    ("ij,jk,kl->il", (2, 3), (3, 4), (4, 5)), ("ij,jk,kl", (2, 3), (3, 4), (4, 5)), ("i,i,i", (3,), (3,), (3,)),
    ("i,i,i->i", (3,), (3,), (3,)), ("ij,ik,il->jkl", (2, 3), (2, 4), (2, 5)), ("bi,bj,ijk->bk", (5, 2), (5, 3), (2, 3, 4)),
    ("ab,bc,cd,de->ae", (2, 3), (3, 4), (4, 2), (2, 5)), ("a,b,c,d,e->edcba", (2,), (3,), (2,), (3,), (2,)),
    ("ij,jk,ki->", (2, 3), (3, 4), (4, 2)), ("aBc,Bc", (2, 3, 4), (3, 4)), (" i j , j k -> i k", (2, 3), (3, 4)),
    ("a,ab,bc,cd,de,ef,fg,gh->h", (2,), (2, 3), (3, 2), (2, 3), (3, 2), (2, 3), (3, 2), (2, 3)),
    ("ij,kl,i->j", (2, 3), (4, 5), (2,)),
]  # fmt: skip


@pytest.mark.parametrize("case", EXPRESSIONS, ids=lambda case: case[0])
def test_einsum(case) -> None:
    subscripts, *shapes = case
    arrays = [array(*shape) for shape in shapes]
    same(value(lambda *xs: einsum(subscripts, *xs), *arrays), np.einsum(subscripts, *arrays))
    check_derivatives(lambda *xs: einsum(subscripts, *xs), *arrays, orders=2)


def test_einsum_promotes_before_it_multiplies() -> None:
    a = np.full(3, 2**30, np.int32)
    same(value(lambda x, y, z: einsum("i,i,i->i", x, y, z), a, a, np.ones(3)), np.einsum("i,i,i->i", a, a, np.ones(3)))
    flags = RNG.random((3, 4)) < 0.5
    same(value(lambda x: einsum("ij->i", x), flags), np.einsum("ij->i", flags))
    same(value(lambda x: einsum("ij->j", x), np.full((40, 2), 100, np.int8)), np.einsum("ij->j", np.full((40, 2), 100, np.int8)))


def test_einsum_takes_the_cheapest_order() -> None:
    """A chain of matrices with a vector at its end: never a product of two matrices."""
    matrices = [tensor(f"m{k}", (50, 50)) for k in range(4)]
    v = tensor("v", (50,))
    for operands, text in (([*matrices, v], "ab,bc,cd,de,e->a"), ([v, *matrices[:3]], "a,ab,bc,cd->d")):
        assert max(n.ndim for n in contracts(einsum(text, *operands))) == 1
    symbolic = [tensor("s", ("n", "n")), tensor("t", ("n", "n")), tensor("u", ("n",))]
    assert max(n.ndim for n in contracts(einsum("ij,jk,k->i", *symbolic))) == 1
    many = einsum("ab,bc,cd,de,ef,fg,gh,hi,i->a", *[tensor(f"m{k}", (50, 50)) for k in range(8)], v)
    assert max(n.ndim for n in contracts(many)) == 1


def test_elementwise_products_are_multiplications() -> None:
    x, s = tensor("x", (2, 3)), tensor("s", (2,))
    assert einsum("ij,ij->ij", x, x) is x * x
    assert einsum("ij,i->ij", x, s).op.name == "multiply"


# -- errors -------------------------------------------------------------------------------------------------------
def test_errors() -> None:
    x, w = tensor("x", ("b", 785), "float32"), tensor("W", (784, 128), "float32")
    with pytest.raises(ShapeError) as caught:
        x @ w
    line = caught.tb.tb_lineno
    assert str(caught.value).startswith("matmul: inner sizes differ, 785 (x: f32[b, 785], test_products.py:")
    assert f"and 784 (W: f32[784, 128], test_products.py:{line - 2})" in str(caught.value)
    with pytest.raises(ShapeError, match=r"hint: transpose the second operand: .mT"):
        tensor("x", (3, 4)) @ tensor("w", (5, 4))
    with pytest.raises(ShapeError, match=r"inner sizes differ, n \+ 1 .* and n .*declare n \+ 1 = n"):
        tensor("x", (3, dims.dim("n") + 1)) @ tensor("w", ("n", 4))
    with pytest.raises(ShapeError, match="matmul: an operand is 0-d"):
        tensor("x", ()) @ tensor("w", (3,))
    with pytest.raises(ShapeError, match=r"matmul: the leading sizes differ, 2 .* and 3"):
        tensor("x", (2, 4, 4)) @ tensor("w", (3, 4, 4))
    with pytest.raises(ShapeError, match=r"dot: inner sizes differ, 3 .* and 4"):
        gx.dot(tensor("x", (3,)), tensor("y", (4,)))
    with pytest.raises(ShapeError, match="vdot: inner sizes differ"):
        gx.vdot(tensor("x", (3,)), tensor("y", (4,)))
    with pytest.raises(ShapeError, match="tensordot: cannot sum over 2 axes"):
        gx.tensordot(tensor("x", (3,)), tensor("y", (4, 4)))
    with pytest.raises(ShapeError, match="tensordot: inner sizes differ"):
        gx.tensordot(tensor("x", (3, 4)), tensor("y", (4, 4)), 2)
    with pytest.raises(ShapeError, match="do not pair"):
        gx.tensordot(tensor("x", (3, 3)), tensor("y", (3, 3)), ((0, 1), (0,)))


@pytest.mark.parametrize(
    "subscripts,shapes,kind,text",
    [
        ("ij,jk->ik", [(2, 3)], ArgumentError, "has 2 operands, got 1"),
        ("ij->ik", [(2, 3)], ArgumentError, "'k' which no operand has"),
        ("ij->ii", [(2, 3)], ArgumentError, "'i' twice"),
        ("i1->i", [(2, 3)], ArgumentError, "labels are letters"),
        ("...i...", [(2, 3)], ArgumentError, "labels are letters"),
        ("...i->i", [(2, 3)], ArgumentError, "lacks the '...'"),
        ("ijk->i", [(2, 3)], ShapeError, "does not label 2 axes"),
        ("i->i", [(2, 3)], ShapeError, "does not label 2 axes"),
        ("ii->i", [(2, 3)], ShapeError, "the sizes of i differ, 2 and 3"),
        ("ij,jk->ik", [(2, 3), (4, 5)], ShapeError, "the sizes of j differ, 3 .* and 4"),
        ("...i,...i->...", [(2, 3), (4, 3)], ShapeError, "the leading sizes differ, 2 .* and 4"),
    ],
)
def test_einsum_errors(subscripts, shapes, kind, text) -> None:
    with pytest.raises(kind, match=f"^einsum.*{text}"):
        einsum(subscripts, *[tensor(f"x{k}", s) for k, s in enumerate(shapes)])
    with pytest.raises(ArgumentError, match="first come the subscripts"):
        einsum(tensor("x", ()), "ij")  # type: ignore[arg-type]


# -- the primitive ------------------------------------------------------------------------------------------------
SPECS = [  # a, b, out, and a size for each label
    ((0, 1), (1, 2), (0, 2)), ((0, 1), (2, 1), (2, 0)), ((0, 1, 2), (0, 2, 3), (0, 1, 3)), ((0, 1, 2), (2, 3, 0), (3, 0, 1)),
    ((0, 1), (0, 1), ()), ((0, 1), (0, 1), (1, 0)), ((0,), (1,), (1, 0)), ((0, 1, 2, 3), (3, 1, 4, 0), (4, 2, 0)), ((), (0,), (0,)),
    ((), (), ()),
]  # fmt: skip
SIZE = {0: 2, 1: 3, 2: 4, 3: 2, 4: 3}


def operands(spec, dtype: str = "float64") -> list[np.ndarray]:
    return [array(*[SIZE[x] for x in labels], dtype=dtype) for labels in spec[:2]]


@pytest.mark.parametrize("dtype", ["float64", "float32", "int32", "uint8"])
@pytest.mark.parametrize("spec", SPECS)
def test_contract_reference_and_loop(spec, dtype: str) -> None:
    a, b = operands(spec, dtype)
    x, y = tensor("x", a.shape, dtype), tensor("y", b.shape, dtype)
    node = contract(x, y, spec)
    letters = ["".join("abcde"[k] for k in labels) for labels in spec]
    sums = f"{letters[0]},{letters[1]}->{letters[2]}"
    terms = np.einsum(sums, abs(a.astype(float)), abs(b.astype(float)))
    same(evaluate([node], {x: a, y: b})[0], np.einsum(sums, a, b), terms)
    same(run_loop(node, [a, b]), evaluate([node], {x: a, y: b})[0], terms)


@pytest.mark.parametrize("spec", SPECS)
def test_contract_derivatives_and_batching(spec) -> None:
    a, b = operands(spec)
    check_derivatives(lambda x, y: contract(x, y, spec), a, b)
    check_derivatives(lambda x: contract(x * x, constant(b), spec), a)
    lanes = [np.stack([v, 2 * v, -v]) for v in (a, b)]
    x, y = tensor("x", a.shape), tensor("y", b.shape)
    xs, ys = tensor("xs", ("lanes", *a.shape)), tensor("ys", ("lanes", *b.shape))
    node = contract(x, y, spec)
    for mapping in ({x: xs}, {y: ys}, {x: xs, y: ys}):
        ((batched, mapped),) = batch([node], mapping, dims.dim("lanes"))
        assert mapped and batched.op is CONTRACT
        env = {xs: lanes[0], ys: lanes[1], x: a, y: b}
        expected = [evaluate([node], {x: lanes[0][k] if x in mapping else a, y: lanes[1][k] if y in mapping else b})[0] for k in range(3)]
        same(evaluate([batched], {n: v for n, v in env.items() if n not in mapping})[0], np.array(expected))


def test_the_derivative_of_a_product_is_two_products() -> None:
    x, w = tensor("x", ("n", 4)), tensor("w", (4, 5))
    g = tensor("g", ("n", 5))
    found = pull_back([(x @ w, g)], {x, w})
    assert found[x] is contract(g, w, ((0, 1), (2, 1), (0, 2)))
    assert found[w] is contract(x, g, ((0, 1), (0, 2), (1, 2)))


def test_roles_and_sizes() -> None:
    spec = canonical(((7, 3, 5), (7, 5, 9), (9, 7, 3)))
    assert spec == ((0, 1, 2), (0, 2, 3), (3, 0, 1))
    found = roles(spec)
    assert (found.batch, found.m, found.n, found.k) == ((0,), (1,), (3,), (2,))
    x, y = tensor("x", ("b", "m", "k")), tensor("y", (2, 8, "n"))
    assert label_sizes(spec, x, y) == {0: 2, 1: dims.dim("m"), 2: 8, 3: dims.dim("n")}


def test_specs_are_canonical() -> None:
    a, b = tensor("a", (2, 3)), tensor("b", (3, 4))
    assert contract(a, b, ((5, 2), (2, 8), (5, 8))) is contract(a, b, ((0, 1), (1, 2), (0, 2))) is a @ b


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))))
def test_transposes_fold_into_the_spec(axes) -> None:
    spec = ((0, 1, 2), (0, 2, 3), (0, 1, 3))
    a, b = array(2, 3, 4), array(2, 4, 5)
    x, y = tensor("x", np.transpose(a, np.argsort(axes)).shape), tensor("y", b.shape)
    node = permute(contract(permute(x, axes), y, spec), axes)
    folded = fold_transpose(node)
    assert folded.op is CONTRACT and all(i.op.name == "input" for i in folded.inputs)
    assert folded.params == (canonical(fold_output(fold_operand(spec, 0, axes), axes)),)
    env = {x: np.transpose(a, np.argsort(axes)), y: b}
    same(evaluate([folded], env)[0], evaluate([node], env)[0])
    assert fold_transpose(folded) is folded and fold_transpose(x) is x


def test_wrong_specs_are_errors() -> None:
    a, b = tensor("a", (2, 3)), tensor("b", (3, 4))
    for spec in (((0, 1), (1, 2), (0,)), ((0, 0), (0, 1), (1,)), ((0,), (1, 2), (0, 1, 2)), ((0, 1), (1, 2), (0, 0, 2))):
        with pytest.raises(ShapeError, match="contract: "):
            contract(a, b, spec)
    with pytest.raises(ShapeError, match="contract: sizes 2 and 4 differ"):
        contract(a, b, ((0, 1), (2, 0), (1, 2)))
    with pytest.raises(DTypeError, match="contract: needs two arrays of one number dtype"):
        contract(a, tensor("c", (3, 4), "float32"), ((0, 1), (1, 2), (0, 2)))
    with pytest.raises(DTypeError, match="contract: needs two arrays of one number dtype"):
        contract(a > 0, a > 0, ((0, 1), (0, 1), ()))


def test_infinities_meet_zeros_as_in_numpy() -> None:
    a, b = np.array([[np.inf, 0.0], [1, np.nan]]), np.array([[0.0, 1], [2, 3]])
    with np.errstate(all="ignore"):
        assert_array_equal(value(gx.matmul, a, b), a @ b)
