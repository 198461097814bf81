"""A cell: a small typed graph of operations, in a canonical form. Knows no library.

Node 0 is the cell's input and the last node its output. An edge carries an operation from a node
to a later one; a node joins what its edges bring by adding or concatenating. Every path from input
to output halves the picture once, in blocks that do: where it goes from a node at full resolution
to one at reduced resolution.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

Join: TypeAlias = Literal["add", "concat"]
Tail: TypeAlias = Literal["plain", "residual", "dual_path"]

JOINS: tuple[Join, ...] = ("add", "concat")
TAILS: tuple[Tail, ...] = ("plain", "residual", "dual_path")
SMALLEST_CELL = 3
LARGEST_CELL = 5
SKIP = "Skip"
NO_OPERATION = "None"

# Index = 3 * kind + kernel, with the kernels in the order 3, 1, 5: published cells such as "301"
# are only right in this order.
PAPER_OPERATIONS = tuple(
    f"{kind}{kernel}x{kernel}"
    for kind in ("BnActConv", "Conv", "ConvBnAct")
    for kernel in (3, 1, 5)
)
OPERATIONS = (
    *PAPER_OPERATIONS,
    SKIP,
    "AvgPool3x3",
    "MaxPool3x3",
    "SepConv3x3",
    "SepConv5x5",
    "DilConv3x3",
    "DilConv5x5",
)
"""What an edge may carry beside nothing at all."""


class Edge(NamedTuple):
    """An operation on the way from one node to a later one."""

    source: int
    target: int
    operation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A cell in its canonical form; `canonical_cell` makes it.

    Attributes:
        edges: Sorted by target, then source.
        joins: Of the nodes 1, 2, … in order; `add` where only one edge comes in.
        reduced: For each node, the input first, whether it is at reduced resolution. The input
            never is, the output always.
        tail: What the block does with the cell's output.
    """

    edges: tuple[Edge, ...]
    joins: tuple[Join, ...]
    reduced: tuple[bool, ...]
    tail: Tail

    @property
    def n_nodes(self) -> int:
        """Nodes with input and output, 2 to 5."""
        return len(self.reduced)

    def edges_into(self, node: int) -> tuple[Edge, ...]:
        """The edges that end at the node, by source."""
        return tuple(edge for edge in self.edges if edge.target == node)

    def is_inner(self, node: int) -> bool:
        """Whether the node is neither input nor output."""
        return 0 < node < self.n_nodes - 1

    def halves(self, edge: Edge) -> bool:
        """Whether the edge goes from full to reduced resolution."""
        return self.reduced[edge.target] and not self.reduced[edge.source]

    def hash(self) -> str:
        """SHA-256, in hex; equal for cells that are the same network."""
        content = [self.edges, self.joins, self.reduced, self.tail]
        return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()


def canonical_cell(
    n_nodes: int, edges: Iterable[Edge], joins: Mapping[int, Join], tail: Tail
) -> Cell:
    """The cell without what has no effect, its inner nodes in an order that names do not decide.

    Nodes that are not on a way from input to output are dropped. Where no way is left at all, the
    cell becomes a single skip. Of all orders of the inner nodes the one is taken whose description
    comes first.

    Args:
        n_nodes: With input and output; 3 to 5.
        edges: Each from a lower to a higher node, no two between the same nodes.
        joins: Of nodes 1 to n_nodes - 1; a node that is left out adds.
        tail: See `Cell`.
    """
    output = n_nodes - 1
    live = _live_edges(tuple(edges), output)
    if not live:
        live = (Edge(0, output, SKIP),)
    inner = sorted({edge.source for edge in live} - {0})
    candidates = (
        _relabelled(live, order, joins, n_nodes, tail)
        for order in itertools.permutations(inner)
        if _is_topological(order, live)
    )
    return min(candidates, key=lambda cell: (cell.edges, cell.joins, cell.reduced))


def chain_cell(operations: tuple[str, str, str]) -> Cell:
    """The published cell: three operations in a row, halving in the second, a dual-path tail."""
    edges = [Edge(node, node + 1, operation) for node, operation in enumerate(operations)]
    return canonical_cell(4, edges, {}, "dual_path")


def is_reduced(node: int, n_nodes: int) -> bool:
    """Whether a node of a cell as proposed is at reduced resolution: all but the first two are.

    So a chain of four nodes halves in its second edge, as the published cell does.
    """
    return node >= 2 or node == n_nodes - 1


def _live_edges(edges: tuple[Edge, ...], output: int) -> tuple[Edge, ...]:
    """The edges on a way from node 0 to the output."""
    reached, reaching = {0}, {output}
    for edge in sorted(edges, key=lambda edge: edge.source):
        if edge.source in reached:
            reached.add(edge.target)
    for edge in sorted(edges, key=lambda edge: -edge.target):
        if edge.target in reaching:
            reaching.add(edge.source)
    return tuple(edge for edge in edges if edge.source in reached and edge.target in reaching)


def _is_topological(order: tuple[int, ...], edges: tuple[Edge, ...]) -> bool:
    place = {node: index for index, node in enumerate(order)}
    return all(
        place[edge.source] < place[edge.target]
        for edge in edges
        if edge.source in place and edge.target in place
    )


def _relabelled(
    edges: tuple[Edge, ...],
    order: tuple[int, ...],
    joins: Mapping[int, Join],
    n_nodes: int,
    tail: Tail,
) -> Cell:
    nodes = (0, *order, n_nodes - 1)
    label = {node: index for index, node in enumerate(nodes)}
    renamed = sorted(
        (Edge(label[edge.source], label[edge.target], edge.operation) for edge in edges),
        key=lambda edge: (edge.target, edge.source),
    )
    fan_in = [sum(edge.target == node for edge in edges) for node in nodes[1:]]
    return Cell(
        edges=tuple(renamed),
        joins=tuple(
            joins.get(node, "add") if count > 1 else "add"
            for node, count in zip(nodes[1:], fan_in, strict=True)
        ),
        reduced=tuple(is_reduced(node, n_nodes) for node in nodes),
        tail=tail,
    )
