"""The passes as visible rows, each verified where it is asked for; the verifier of clusters, every invariant broken once."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import graphc as gx
from graphc import scalars as sc
from graphc.errors import CompileError
from graphc.ir import Graph, Node
from graphc.options import Options, default_options, set_default_options
from graphc.passes import pipeline
from graphc.passes.fusion.cluster import Cluster, Fused, Member
from graphc.passes.fusion.fuse import fuse
from graphc.passes.fusion.stage_order import Phase, Place, places
from graphc.passes.fusion.verify_clusters import verify_clusters
from graphc.passes.pipeline import PROGRAM, Log, ProgramPass, optimise, plan
from graphc.program import loop_index


def softmax_of_product() -> Graph:
    a, b = gx.tensor("a", (4, 5)), gx.tensor("b", (5, 6))
    p = a @ b
    return Graph((a, b), (gx.exp(p) / gx.exp(p).sum(axis=1, keepdims=True), p.sum()))


def test_every_pass_is_a_named_row_that_is_logged() -> None:
    log = Log()
    plan(softmax_of_product(), [], [], log)
    assert [line.split(":")[0] for line in log.lines] == [row.name for row in PROGRAM]
    assert len({row.name for row in PROGRAM}) == len(PROGRAM)


def test_the_times_that_are_logged_are_parts_of_the_call() -> None:
    log = Log()
    start = time.perf_counter()
    plan(optimise(softmax_of_product(), "default", log), [], [], log)
    took = (time.perf_counter() - start) * 1e3
    logged = [float(re.findall(r"([-\d.]+) ms", line)[0]) for line in log.lines if " ms" in line]
    assert len(logged) > len(PROGRAM) - 2 and min(logged) >= 0
    assert sum(logged) <= took + 0.05 * len(logged)  # each is rounded to a tenth


@pytest.mark.parametrize("name", [row.name for row in PROGRAM])
def test_a_fault_in_a_pass_is_caught_behind_it(name: str) -> None:
    """The result of each row is damaged; `verify` stops there, and only there."""

    def damaged(s: pipeline.Stage) -> pipeline.Stage:
        if s.program is None:
            s.clusters.clusters[0].members[0].body = sc.const(1, np.dtype("int16"))
            return s
        return replace(s, program=replace(s.program, steps=s.program.steps[1:]))

    rows = tuple(ProgramPass(p.name, lambda s, p=p: damaged(p.run(s))) if p.name == name else p for p in PROGRAM)
    log = Log()
    with pytest.raises(CompileError, match="verify: "):
        plan(softmax_of_product(), [], [], log, Options(verify=True), None, rows)
    assert len(log.lines) == [row.name for row in PROGRAM].index(name)


def test_a_user_turns_verification_on(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    graphs: list[object] = []
    monkeypatch.setattr(pipeline, "verify_program", lambda program: seen.append(program))
    monkeypatch.setattr(pipeline, "verify", lambda graph: graphs.append(graph))
    x = gx.tensor("x", (3,))
    before = default_options()
    set_default_options(Options())
    try:
        gx.function([x], gx.sin(x))
        assert not seen and not graphs
        f = gx.function([x], gx.sin(x), mode="verify")
    finally:
        set_default_options(before)
    assert len(seen) > 2  # each time that a row has made another one
    assert len(graphs) > 1  # before the first graph pass and after each
    np.testing.assert_allclose(f(np.ones(3)), np.sin(np.ones(3)))


@pytest.mark.parametrize(
    "build",
    [lambda a, b: a @ b.T, lambda a, b: a.T @ b.T.T, lambda a, b: a[::2, 1:] @ b[1:], lambda a, b: gx.broadcast_to(a[:, :1], (5, 5)) @ b],
)
def test_a_product_reads_through_views(build: Callable[[Node, Node], Node]) -> None:
    """A transposed, sliced or repeated operand is read where it lies: one kernel."""
    a, b = gx.tensor("a", (5, 5)), gx.tensor("b", (5, 5))
    f = gx.function([a, b], build(a, b))
    A, B = np.random.default_rng(3).normal(size=(2, 5, 5))
    np.testing.assert_allclose(f(A, B), gx.function([a, b], build(a, b), mode="none")(A, B), rtol=1e-12)
    assert f.cost()["kernels"] == 1


# -- clusters ---------------------------------------------------------------------------------------------------------
def first(fused: Fused) -> Node:
    return fused.clusters[0].members[0].node


def homeless(fused: Fused) -> None:
    del fused.home[first(fused)]


def misplaced(fused: Fused) -> None:
    fused.clusters[1].place[fused.clusters[1].members[0].node] = 1


def stranger(fused: Fused) -> None:
    fused.home[gx.tensor("z", (3,))] = fused.clusters[0]


def renumbered(fused: Fused) -> None:
    fused.clusters[0].index = 1


def wrong_dtype(fused: Fused) -> None:
    fused.clusters[0].members[0].body = fused.clusters[0].members[0].body.cast(np.dtype("float32"))


def wrong_shape(fused: Fused) -> None:
    fused.clusters[0].members[0].shape = (4, 5)


def uncombined(fused: Fused) -> None:
    fused.clusters[0].members[0].combine = None


def loose_index(fused: Fused) -> None:
    fused.clusters[1].members[0].body = sc.index(loop_index(7)).cast(np.dtype("float64"))


def later_local(fused: Fused) -> None:
    fused.clusters[1].members[0].body = sc.local(1, (), np.dtype("float64"))


def backwards(fused: Fused) -> None:
    fused.clusters.reverse()
    for k, cluster in enumerate(fused.clusters):
        cluster.index = k


def no_value(fused: Fused) -> None:
    fused.clusters[0].members[0].body = sc.load(99, (), np.dtype("float64"))


def no_view(fused: Fused) -> None:
    fused.aliases[gx.tensor("v", (7,))] = first(fused)


def bad_numbers(fused: Fused) -> None:
    fused.number[fused.values[0]] = 5


def no_order(fused: Fused) -> None:
    fused.clusters[1].loops = (0, 0)


def too_deep(fused: Fused) -> None:
    fused.clusters[1].depth = 3


FAULTS: list[tuple[Callable[[Fused], None], str]] = [
    (homeless, "is not the home"), (misplaced, "place of its member"), (stranger, "compute what it does not"),
    (renumbered, "stands at place"), (wrong_dtype, "gives float32 for float64"), (wrong_shape, "in loops over"),
    (uncombined, "combines 1 axes by None"), (loose_index, "is not bound here"), (later_local, "no earlier value"),
    (backwards, "not before"), (no_value, "no value 99"), (no_view, "is no view of"), (bad_numbers, "has the number 5"),
    (no_order, "no order of the axes"), (too_deep, "3 outer loops of 2"),
]  # fmt: skip


def scatters_and_joins() -> Graph:
    """Sums to places that a call gives, into an array that is computed; parts of one array; a scan with a consumer."""
    w, i = gx.tensor("w", ("n", 3)), gx.tensor("i", ("k",), "int64")
    rows = gx.exp(gx.take(w, i, axis=0))
    into = gx.cos(w).at[i].add(rows)
    return Graph((w, i), (gx.grad(rows.sum(), w), into, gx.concatenate([gx.sin(w), w * 2]), gx.cumsum(gx.exp(w), axis=1) * 2))


@pytest.mark.parametrize("make", [softmax_of_product, scatters_and_joins])
def test_the_clusters_of_a_program_are_right(make: Callable[[], Graph]) -> None:
    graph = make()
    fused = fuse(graph)
    assert len(fused.clusters) > 1
    verify_clusters(graph, fused)


@pytest.mark.parametrize(("fault", "message"), FAULTS, ids=lambda x: getattr(x, "__name__", None))
def test_each_invariant_of_clusters(fault: Callable[[Fused], None], message: str) -> None:
    graph = softmax_of_product()
    fused = fuse(graph)
    fault(fused)
    with pytest.raises(CompileError, match=message):
        verify_clusters(graph, fused)


def test_an_output_that_nobody_computes() -> None:
    graph, other = softmax_of_product(), gx.sin(gx.tensor("o"))
    with pytest.raises(CompileError, match="no cluster computes the output"):
        verify_clusters(Graph(graph.inputs, (*graph.outputs, other)), fuse(graph))


def test_when_a_cluster_is_full() -> None:
    """By its members, of which straight code takes more, or by the functions that loops inline; or because its last member ends it."""
    one, limits = Member(gx.tensor("x", ("n",)), sc.arg(0, np.dtype("float64")), ()), Cluster(0, (), 0).limits
    for domain, most in (((4,), limits.loop), ((), limits.straight)):
        assert [Cluster(0, domain, 0, members=[one] * k).full for k in (0, most - 1, most)] == [False, False, True]
        assert [Cluster(0, domain, 0, costly=k).full for k in (limits.functions - 1, limits.functions)] == [False, bool(domain)]
        assert Cluster(0, domain, 0, closed=True).full


@pytest.mark.parametrize("before", range(3))
@pytest.mark.parametrize("behind", range(2))
def test_an_inner_value_stands_in_the_nest_that_reads_it(before: int, behind: int) -> None:
    """exp(x), the sum of other values along the rows, and what reads both: in the second nest, as is exp(x), whatever stands around."""
    other, value = gx.tensor("x", ("n", "m")), sc.arg(0, np.dtype("float64"))
    inner, row = Member(other, value, other.shape), Member(other, value, other.shape[:1], other.shape[1:], "sum", rows=True)
    members = [*[row] * before, inner, row, inner, *[row] * behind]
    reads = [*[[] for _ in range(before)], [], [], [before, before + 1], *[[] for _ in range(behind)]]
    first, second = Place(0, Phase.INSIDE), Place(1, Phase.INSIDE)
    assert places(members, reads, 1) == [*[first] * before, second, first, second, *[first] * behind]
    known = before + 2
    assert places(members[:known], reads[:known], 1) == [first] * known  # read by nobody: it is stored where it can be
