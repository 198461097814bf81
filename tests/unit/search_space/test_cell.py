from __future__ import annotations

import itertools
import subprocess
import sys

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_space.cell import (
    JOINS,
    OPERATIONS,
    PAPER_OPERATIONS,
    SKIP,
    TAILS,
    Cell,
    Edge,
    Join,
    Tail,
    canonical_cell,
    chain_cell,
    is_reduced,
)

FEW = ("Conv3x3", "Skip", "SepConv5x5")


@st.composite
def proposals(
    draw: st.DrawFn, operations: tuple[str, ...] = FEW
) -> tuple[int, list[Edge], dict[int, Join], Tail]:
    n_nodes = draw(st.integers(3, 5))
    edges = [
        Edge(source, target, operation)
        for target in range(1, n_nodes)
        for source in range(target)
        if (operation := draw(st.sampled_from(("", *operations))))
    ]
    joins = {node: draw(st.sampled_from(JOINS)) for node in range(1, n_nodes)}
    return n_nodes, edges, joins, draw(st.sampled_from(TAILS))


def as_graph(n_nodes: int, edges: list[Edge], joins: dict[int, Join], tail: Tail) -> nx.DiGraph:
    """The proposal as an independent library sees it: only what is on a way to the output."""
    output = n_nodes - 1
    graph = nx.DiGraph()
    graph.add_nodes_from(range(n_nodes))
    graph.add_edges_from((each.source, each.target, {"op": each.operation}) for each in edges)
    if not nx.has_path(graph, 0, output):
        graph = nx.DiGraph()
        graph.add_edge(0, output, op=SKIP)
    live = (nx.descendants(graph, 0) | {0}) & (nx.ancestors(graph, output) | {output})
    graph = graph.subgraph(live).copy()
    for node in graph.nodes:
        role = "input" if node == 0 else "output" if node == output else "inner"
        join = joins.get(node, "add") if graph.in_degree(node) > 1 else "add"
        graph.nodes[node]["kind"] = (role, node >= 2 or node == output, join, tail)
    return graph


def is_same(one: nx.DiGraph, other: nx.DiGraph) -> bool:
    return nx.is_isomorphic(
        one,
        other,
        node_match=lambda a, b: a["kind"] == b["kind"],
        edge_match=lambda a, b: a["op"] == b["op"],
    )


@settings(max_examples=400)
@given(proposals(), proposals())
def test_cells_are_equal_exactly_where_another_library_finds_them_isomorphic(
    one: tuple[int, list[Edge], dict[int, Join], Tail],
    other: tuple[int, list[Edge], dict[int, Join], Tail],
) -> None:
    same = is_same(as_graph(*one), as_graph(*other))
    assert (canonical_cell(*one) == canonical_cell(*other)) == same


def test_every_small_cell_is_told_apart_as_another_library_does() -> None:
    """All 3-node cells over two operations, both joins: classes counted by brute force."""
    classes: list[tuple[nx.DiGraph, Cell]] = []
    for choice in itertools.product(("", "Conv3x3", "Skip"), repeat=3):
        for join in JOINS:
            pairs = ((0, 1), (0, 2), (1, 2))
            edges = [Edge(*pair, op) for pair, op in zip(pairs, choice, strict=True) if op]
            proposal: tuple[int, list[Edge], dict[int, Join], Tail] = (
                3,
                edges,
                {2: join},
                "plain",
            )
            graph, cell = as_graph(*proposal), canonical_cell(*proposal)
            matching = [known for known in classes if is_same(known[0], graph)]
            if matching:
                assert matching[0][1] == cell
            else:
                assert all(known != cell for _, known in classes)
                classes.append((graph, cell))
    # Alone: 2 direct edges, 4 chains. Together, with either join: 2 x 4 x 2. Skip repairs none.
    assert len(classes) == 2 + 4 + 16


@settings(max_examples=200)
@given(proposals(OPERATIONS))
def test_names_of_inner_nodes_do_not_matter(
    proposal: tuple[int, list[Edge], dict[int, Join], Tail],
) -> None:
    """Nodes 2 and 3 of a cell of five are alike, as long as no edge joins them."""
    _, edges, joins, tail = proposal
    swap = {2: 3, 3: 2}
    edges = [e for e in edges if (e.source, e.target) != (2, 3) and e.target <= 4]
    renamed = [
        Edge(swap.get(e.source, e.source), swap.get(e.target, e.target), e.operation)
        for e in edges
    ]
    renamed_joins = {swap.get(node, node): join for node, join in joins.items()}
    assert canonical_cell(5, edges, joins, tail) == canonical_cell(5, renamed, renamed_joins, tail)


@settings(max_examples=200)
@given(proposals())
def test_a_canonical_cell_has_no_dead_ends_and_is_its_own_canonical_form(
    proposal: tuple[int, list[Edge], dict[int, Join], Tail],
) -> None:
    cell = canonical_cell(*proposal)
    output = cell.n_nodes - 1
    for node in range(cell.n_nodes):
        assert node == output or any(edge.source == node for edge in cell.edges)
        assert node == 0 or cell.edges_into(node)
    assert cell.edges == tuple(sorted(cell.edges, key=lambda e: (e.target, e.source)))
    assert cell.reduced[0] is False
    assert cell.reduced[output] is True
    for edge in cell.edges:
        assert edge.source < edge.target
        assert not (cell.reduced[edge.source] and not cell.reduced[edge.target])


def test_dead_nodes_and_dead_edges_leave_no_trace() -> None:
    clean = canonical_cell(4, [Edge(0, 1, "Conv3x3"), Edge(1, 3, "Skip")], {}, "residual")
    dead_end = Edge(0, 2, "SepConv3x3")
    from_nowhere = Edge(2, 3, "Conv5x5")
    for extra in (dead_end, from_nowhere):
        edges = [Edge(0, 1, "Conv3x3"), Edge(1, 3, "Skip"), extra]
        assert canonical_cell(4, edges, {2: "concat", 3: "concat"}, "residual") == clean


def test_a_cell_without_a_way_through_becomes_a_skip() -> None:
    for edges in ([], [Edge(0, 1, "Conv3x3")], [Edge(1, 3, "Conv3x3"), Edge(0, 2, "Conv3x3")]):
        cell = canonical_cell(4, edges, {}, "residual")
        assert cell.edges == (Edge(0, 1, SKIP),)
        assert cell.reduced == (False, True)


def test_where_a_cell_halves_makes_a_difference() -> None:
    early = canonical_cell(4, [Edge(0, 2, "Conv3x3"), Edge(2, 3, "Conv3x3")], {}, "plain")
    late = canonical_cell(4, [Edge(0, 1, "Conv3x3"), Edge(1, 3, "Conv3x3")], {}, "plain")
    assert early.hash() != late.hash()
    assert [early.halves(edge) for edge in early.edges] == [True, False]
    assert [late.halves(edge) for edge in late.edges] == [False, True]


def test_the_published_cell_is_a_chain_that_halves_in_its_second_edge() -> None:
    cell = chain_cell(("Conv3x3", "BnActConv3x3", "BnActConv1x1"))
    assert [edge.operation for edge in cell.edges] == ["Conv3x3", "BnActConv3x3", "BnActConv1x1"]
    assert [cell.halves(edge) for edge in cell.edges] == [False, True, False]
    assert cell.tail == "dual_path"


def test_the_published_cells_are_729_different_ones() -> None:
    cells = {chain_cell(each).hash() for each in itertools.product(PAPER_OPERATIONS, repeat=3)}
    assert len(cells) == 9**3


@pytest.mark.parametrize(
    ("n_nodes", "expected"), [(3, [0, 0, 1]), (4, [0, 0, 1, 1]), (5, [0, 0, 1, 1, 1])]
)
def test_every_way_halves_once(n_nodes: int, expected: list[int]) -> None:
    assert [is_reduced(node, n_nodes) for node in range(n_nodes)] == [bool(e) for e in expected]


def test_there_are_fifteen_operations_and_more_beside_none() -> None:
    assert len(set(OPERATIONS)) == len(OPERATIONS) >= 15
    assert OPERATIONS[:9] == PAPER_OPERATIONS


def test_the_hash_is_the_same_in_another_process() -> None:
    program = (
        "from search_space.cell import *\n"
        "print(canonical_cell(4, [Edge(0, 1, 'Conv3x3'), Edge(0, 3, 'Skip'), "
        "Edge(1, 3, 'MaxPool3x3')], {3: 'concat'}, 'residual').hash())"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.strip()
    edges = [Edge(0, 1, "Conv3x3"), Edge(0, 3, "Skip"), Edge(1, 3, "MaxPool3x3")]
    assert printed == canonical_cell(4, edges, {3: "concat"}, "residual").hash()
