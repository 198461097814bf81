"""Where the parts of a drawn cell lie: circles, curves and texts with the room they take. Pure.

Every node has a column of its own, full resolution first. Edges to the next column are straight;
those over two columns pass below, longer ones above, each length at a height of its own. So no two
labels can meet, whichever edges there are. A drawer of any graph promises no such thing: networkx
on matplotlib led edges through the labels of others, and takes a second to load.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from search_space.cell import Cell, Edge

Anchor: TypeAlias = Literal["start", "middle"]

RADIUS = 26.0
COLUMN = 180.0
TEXT_SIZE = 12.0
LEFT = 44.0
PADDING = 4.0
# Of a monospaced font, whose widths are known without measuring: a little more than usual fonts.
_ADVANCE = 0.62
_LINE = 1.2
# How far from the middle line an edge over so many columns passes; above is negative. High enough
# for a curve to be clear of the labels of its neighbours of the same length.
_APEX = {1: 0.0, 2: 76.0, 3: -114.0, 4: -166.0}
_TAIL_OFFSET = 54.0
_RAIL_GAP = 46.0
_PORT = 9.0  # edges leave right of a node's middle and arrive left of it
_EXIT = 56.0
_HEADLINE = 40.0


class Box(NamedTuple):
    """A rectangle, in pixels; y grows downwards."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A line of text; x is its middle or its start, y its middle."""

    text: str
    x: float
    y: float
    size: float = TEXT_SIZE
    anchor: Anchor = "middle"

    @property
    def box(self) -> Box:
        """The room that it takes in a monospaced font."""
        width, height = len(self.text) * self.size * _ADVANCE, self.size * _LINE
        left = self.x - width / 2 if self.anchor == "middle" else self.x
        return Box(left, self.y - height / 2, left + width, self.y + height / 2)

    @property
    def plate(self) -> Box:
        """The room with some padding, as the labels of edges have it."""
        box = self.box
        return Box(box.left - PADDING, box.top - 2, box.right + PADDING, box.bottom + 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Circle:
    """A node of the cell, or a join of its tail, with a line or two of text inside."""

    x: float
    y: float
    lines: tuple[str, ...]
    is_tail: bool = False

    @property
    def box(self) -> Box:
        """The square around it."""
        return Box(self.x - RADIUS, self.y - RADIUS, self.x + RADIUS, self.y + RADIUS)

    def texts(self) -> Iterator[Text]:
        """What is written inside."""
        first, *rest = self.lines
        yield Text(text=first, x=self.x, y=self.y - (7 if rest else 0), size=TEXT_SIZE)
        for line in rest:
            yield Text(text=line, x=self.x, y=self.y + 9, size=10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """An arrow as an SVG path, with its label.

    Attributes:
        operation: Of the cell's edge; None for what only leads a path on.
        points: A start, then two control points and an end for each cubic part.
    """

    points: tuple[tuple[float, float], ...]
    operation: str | None = None
    label: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CellLayout:
    """A cell as it is drawn.

    Attributes:
        shade: What is at reduced resolution in blocks that halve.
        headings: Of the two resolutions.
        box: Around all of it.
    """

    circles: tuple[Circle, ...]
    curves: tuple[Curve, ...]
    shade: Box
    headings: tuple[Text, ...]
    box: Box

    def labels(self) -> tuple[Text, ...]:
        """All texts outside circles."""
        on_curves = (curve.label for curve in self.curves if curve.label is not None)
        return (*self.headings, *on_curves)


def cell_layout(cell: Cell) -> CellLayout:
    """Where the parts of the cell and of its tail lie."""
    # Nothing leads from reduced back to full resolution, so this order is topological too.
    order = sorted(range(cell.n_nodes), key=lambda node: (cell.reduced[node], node))
    column = {node: index for index, node in enumerate(order)}
    edges = tuple(_edge_curve(edge, column) for edge in cell.edges)
    heights = [_APEX[column[edge.target] - column[edge.source]] for edge in cell.edges]
    top = min(-_TAIL_OFFSET, *heights) - _RAIL_GAP
    bottom = max(_TAIL_OFFSET, *heights) + _RAIL_GAP
    last = _x(cell.n_nodes - 1)
    tail_circles, tail_curves = _tail(cell, last, top, bottom)
    right = (last if cell.tail == "plain" else last + COLUMN) + RADIUS + _EXIT
    box = Box(LEFT - RADIUS - 10, top - _HEADLINE, max(right, last + COLUMN) + 10, bottom + 20)
    shade_left = _x(cell.reduced.count(False)) - RADIUS - 6
    shade = Box(shade_left, box.top, box.right, box.bottom)
    heading = box.top + 14
    return CellLayout(
        circles=(*(_node_circle(cell, node, column[node]) for node in order), *tail_circles),
        curves=(*edges, *tail_curves),
        shade=shade,
        headings=(
            Text(text="full resolution", x=box.left + 4, y=heading, size=11, anchor="start"),
            Text(text="half resolution", x=shade_left + 8, y=heading, size=11, anchor="start"),
        ),
        box=box,
    )


def _x(column: int) -> float:
    return LEFT + column * COLUMN


def _node_circle(cell: Cell, node: int, column: int) -> Circle:
    names = {0: "in", cell.n_nodes - 1: "out"}
    name = names.get(node, str(node))
    if len(cell.edges_into(node)) < 2:
        return Circle(x=_x(column), y=0.0, lines=(name,))
    join = "+" if cell.joins[node - 1] == "add" else "concat"
    return Circle(x=_x(column), y=0.0, lines=(name, join))


def _edge_curve(edge: Edge, column: dict[int, int]) -> Curve:
    start, end = _x(column[edge.source]), _x(column[edge.target])
    apex = _APEX[column[edge.target] - column[edge.source]]
    label = Text(text=edge.operation, x=(start + end) / 2, y=apex)
    if apex == 0.0:
        points = _line((start + RADIUS, 0.0), (end - RADIUS, 0.0))
    else:
        side = RADIUS if apex > 0 else -RADIUS
        # The middle of a cubic is a quarter of the way from its controls back to its ends.
        height = side + (apex - side) * 4 / 3
        left, right = start + _PORT, end - _PORT
        points = ((left, side), (left, height), (right, height), (right, side))
    return Curve(points=points, operation=edge.operation, label=label)


def _tail(
    cell: Cell, last: float, top: float, bottom: float
) -> tuple[tuple[Circle, ...], tuple[Curve, ...]]:
    """Joins behind the cell's output, and the block's input led around the cell to them."""
    end = last + COLUMN
    match cell.tail:
        case "plain":
            return (), (_exit(last, 0.0),)
        case "residual":
            plus = Circle(x=end, y=0.0, lines=("+",), is_tail=True)
            way = Curve(points=_line((last + RADIUS, 0.0), (end - RADIUS, 0.0)))
            return (plus,), (way, _rail(end, 0.0, bottom, "residual path"), _exit(end, 0.0))
        case "dual_path":
            plus = Circle(x=end, y=-_TAIL_OFFSET, lines=("+",), is_tail=True)
            concat = Circle(x=end, y=_TAIL_OFFSET, lines=("concat",), is_tail=True)
            return (plus, concat), (
                _split(last, end, -_TAIL_OFFSET, "one part"),
                _split(last, end, _TAIL_OFFSET, "the rest"),
                _rail(end, -_TAIL_OFFSET, top, "residual path"),
                _rail(end, _TAIL_OFFSET, bottom, "dense path"),
                _exit(end, -_TAIL_OFFSET),
                _exit(end, _TAIL_OFFSET),
            )


def _split(start: float, end: float, y: float, name: str) -> Curve:
    left, right = start + RADIUS, end - RADIUS
    middle = (left + right) / 2
    label = Text(text=name, x=middle, y=y / 2, size=11)
    return Curve(points=((left, 0.0), (middle, 0.0), (middle, y), (right, y)), label=label)


def _rail(end: float, y: float, height: float, name: str) -> Curve:
    """From the block's input around the cell to a join of the tail, with rounded corners."""
    side = RADIUS if height > 0 else -RADIUS
    corner = 18.0
    turn = height - (corner if height > 0 else -corner)
    points = (
        *_line((LEFT, side), (LEFT, turn)),
        *_bend((LEFT, height), (LEFT + corner, height)),
        *_line((LEFT + corner, height), (end - corner, height))[1:],
        *_bend((end, height), (end, turn)),
        *_line((end, turn), (end, y + side))[1:],
    )
    return Curve(points=points, label=Text(text=name, x=(LEFT + end) / 2, y=height, size=11))


def _exit(x: float, y: float) -> Curve:
    return Curve(points=_line((x + RADIUS, y), (x + RADIUS + _EXIT, y)))


def _line(start: tuple[float, float], end: tuple[float, float]) -> tuple[tuple[float, float], ...]:
    """A straight line as a cubic."""
    return (start, start, end, end)


def _bend(
    corner: tuple[float, float], end: tuple[float, float]
) -> tuple[tuple[float, float], ...]:
    """The rest of a cubic that turns a corner."""
    return (corner, corner, end)
