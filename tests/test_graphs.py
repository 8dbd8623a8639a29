"""The export to networkx, and networkx as the judge of our colourings."""

from __future__ import annotations

import subprocess
import sys

import networkx as nx
import numpy as np
import pytest

import graphc as gx
from graphc.derivatives.colours import colours
from graphc.derivatives.patterns import Pattern
from graphc.ir import Graph, toposort


def test_vertices_and_edges_are_those_of_the_graph() -> None:
    x, y = gx.tensor("x", (3,)), gx.tensor("y", (3,))
    other = gx.tensor("x", (3,))
    loss = gx.sum(x * x + gx.exp(y) * 2.0 - other / 2.0)
    g = gx.to_networkx([loss, gx.exp(y)])
    order = toposort([loss])
    assert nx.is_directed_acyclic_graph(g) and g.number_of_nodes() == len(order)
    assert [g.nodes[v]["node"] for v in g] == order
    assert g.number_of_edges() == sum(len(n.inputs) for n in order)
    for v in g:
        node = g.nodes[v]["node"]
        sources = sorted((data["position"], g.nodes[u]["node"].serial) for u, _, data in g.in_edges(v, data=True))
        assert sources == [(k, i.serial) for k, i in enumerate(node.inputs)]
        assert g.nodes[v]["op"] == node.op.name and g.nodes[v]["site"] == node.site
    assert {"x", "x.1", "y"} <= set(g) and g.nodes["y"]["type"] == "f64[3]"
    assert [v for v in g if g.nodes[v]["output"]] == [v for v in g if any(g.nodes[v]["node"] is n for n in (loss, gx.exp(y)))]
    assert nx.has_path(g, "y", next(v for v in g if g.nodes[v]["node"] is loss))
    assert set(gx.to_networkx(Graph((x, y), (gx.exp(y),)))) >= {"x", "y"}


def test_what_is_no_graph() -> None:
    with pytest.raises(gx.ArgumentError, match="to_networkx takes nodes"):
        gx.to_networkx([1.0])
    with pytest.raises(gx.ArgumentError, match="to_networkx takes nodes"):
        gx.to_networkx("x")


def test_networkx_is_loaded_by_the_export_alone() -> None:
    code = (
        "import sys, graphc as gx; x = gx.tensor('x', (9,)); gx.function([x], gx.jacobian(gx.sin(x), x));"
        "assert 'networkx' not in sys.modules; gx.to_networkx(x); assert 'networkx' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("seed", range(6))
def test_colours_are_those_of_the_conflict_graph(seed: int) -> None:
    """Lanes that meet in an element have different colours, as few as networkx needs that takes the lanes in our order."""
    draw = np.random.default_rng(seed)
    n = 40
    found = [draw.random((n, 60)) < 0.03, np.eye(n, dtype=bool) | np.eye(n, k=1, dtype=bool)]
    rows = np.concatenate(found, axis=1)
    g = nx.Graph()
    g.add_nodes_from(range(n))
    g.add_edges_from([(a, b) for a in range(n) for b in range(a) if (rows[a] & rows[b]).any()])
    judge = nx.greedy_color(g, strategy=lambda graph, _: range(n))
    patterns = [Pattern(np.cumsum([0, *p.sum(axis=0)]), np.nonzero(p.T)[1], n) for p in found]
    count = max(judge.values()) + 1
    assert colours(patterns, count - 1) is None
    ours = colours(patterns, count)
    assert ours is not None
    assert all(ours[a] != ours[b] for a, b in g.edges)
    assert ours.tolist() == [judge[k] for k in range(n)]
