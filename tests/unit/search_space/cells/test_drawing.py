from __future__ import annotations

import itertools
import random
from xml.etree import ElementTree

import pytest

from search_space.candidate import DagArchitecture, DualPathArchitecture
from search_space.cell import OPERATIONS, TAILS, Cell, Edge, canonical_cell, chain_cell
from search_space.cells.drawing import cell_svg
from search_space.cells.layout import RADIUS, Box, Curve, cell_layout

NAMESPACE = "{http://www.w3.org/2000/svg}"
PUBLISHED = DualPathArchitecture(edges=(3, 0, 1), width=1.0, blocks_per_stage=1)
LONGEST = max(OPERATIONS, key=len)


def complete_cell(tail="dual_path"):
    """All edges that five nodes can have, with the longest names."""
    edges = [Edge(a, b, LONGEST) for a, b in itertools.combinations(range(5), 2)]
    return canonical_cell(5, edges, {2: "concat", 3: "concat", 4: "concat"}, tail)


def random_cell(seed: int) -> Cell:
    chance = random.Random(seed)
    n_nodes = chance.choice([3, 4, 5, 5, 5, 5])
    edges = [
        Edge(a, b, chance.choice(OPERATIONS))
        for a, b in itertools.combinations(range(n_nodes), 2)
        if chance.random() < 0.8
    ]
    joins = {node: chance.choice(["add", "concat"]) for node in range(1, n_nodes)}
    return canonical_cell(n_nodes, edges, joins, chance.choice(TAILS))


CELLS = [random_cell(seed) for seed in range(300)] + [complete_cell(tail) for tail in TAILS]


def stacked(cell: Cell, blocks=(1, 2, 3, 2)) -> DagArchitecture:
    return DagArchitecture(cell=cell, width=0.5, blocks=blocks)


def drawn(architecture, title="a cell") -> ElementTree.Element:
    return ElementTree.fromstring(cell_svg(architecture, title))


def text_boxes(root: ElementTree.Element) -> list[tuple[str, Box]]:
    """Where the texts of the document itself lie, in a font of DejaVu Sans Mono's width."""
    boxes = []
    for text in root.iter(f"{NAMESPACE}text"):
        x, y, size = (float(text.attrib[name]) for name in ("x", "y", "font-size"))
        width = 0.602 * size * len(text.text)
        left = x - width / 2 if text.attrib["text-anchor"] == "middle" else x
        boxes.append((text.text, Box(left, y - 0.8 * size, left + width, y + 0.25 * size)))
    return boxes


def meet(one: Box, other: Box) -> bool:
    """Whether the two have a point in common."""
    return (
        one.left <= other.right
        and other.left <= one.right
        and one.top <= other.bottom
        and other.top <= one.bottom
    )


def points_on(curve: Curve) -> list[tuple[float, float]]:
    points = []
    for index in range(0, len(curve.points) - 1, 3):
        p0, p1, p2, p3 = curve.points[index : index + 4]
        for step in range(41):
            t = step / 40
            weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
            points.append(
                tuple(
                    sum(w * p[axis] for w, p in zip(weights, (p0, p1, p2, p3), strict=True))
                    for axis in (0, 1)
                )
            )
    return points


def test_the_random_cells_are_of_all_sizes_and_kinds():
    assert {cell.n_nodes for cell in CELLS} == {2, 3, 4, 5}
    assert {cell.tail for cell in CELLS} == set(TAILS)
    assert sum(cell.n_nodes == 5 for cell in CELLS) > 100
    # Some have their node at full resolution behind one at half resolution.
    assert any(not later and earlier for c in CELLS for earlier, later in _pairs(c.reduced))


def _pairs(reduced):
    return itertools.combinations(reduced, 2)


def test_no_two_texts_of_a_drawing_meet():
    for cell in CELLS:
        boxes = text_boxes(drawn(stacked(cell)))
        for (one, first), (other, second) in itertools.combinations(boxes, 2):
            assert not meet(first, second), (cell, one, other)


def test_no_label_meets_another_or_a_circle():
    for cell in CELLS:
        layout = cell_layout(cell)
        labels = [label.plate for label in layout.labels()]
        circles = [circle.box for circle in layout.circles]
        for one, other in itertools.combinations([*labels, *circles], 2):
            assert not meet(one, other), cell


def test_no_curve_passes_under_the_label_of_another():
    for cell in CELLS:
        curves = cell_layout(cell).curves
        plates = [curve.label.plate if curve.label else None for curve in curves]
        for index, curve in enumerate(curves):
            others = [plate for each, plate in enumerate(plates) if plate and each != index]
            for x, y in points_on(curve):
                assert not any(
                    plate.left <= x <= plate.right and plate.top <= y <= plate.bottom
                    for plate in others
                ), (cell, curve)


def test_names_fit_into_their_circles():
    for circle in cell_layout(complete_cell()).circles:
        for text in circle.texts():
            corners = itertools.product(
                (text.box.left, text.box.right), (text.box.top, text.box.bottom)
            )
            assert all(
                (x - circle.x) ** 2 + (y - circle.y) ** 2 < (RADIUS + 1) ** 2 for x, y in corners
            ), text


def test_everything_lies_within_the_picture():
    for cell in CELLS[:60] + CELLS[-3:]:
        root = drawn(stacked(cell), title="a long title " * 20)
        left, top, width, height = map(float, root.attrib["viewBox"].split())
        frame = Box(left, top, left + width, top + height)
        layout = cell_layout(cell)
        points = [p for curve in layout.curves for p in points_on(curve)]
        for x, y in points:
            assert frame.left < x < frame.right, cell
            assert frame.top < y < frame.bottom, cell
        for _, box in text_boxes(root):
            assert frame.left < box.left < box.right < frame.right
            assert frame.top < box.top < box.bottom < frame.bottom


def test_every_edge_begins_and_ends_at_its_nodes():
    cell = complete_cell()
    layout = cell_layout(cell)
    nodes = [circle for circle in layout.circles if not circle.is_tail]
    for edge, curve in zip(cell.edges, layout.curves, strict=False):
        for node, (x, y) in ((edge.source, curve.points[0]), (edge.target, curve.points[-1])):
            distance = ((x - nodes[node].x) ** 2 + (y - nodes[node].y) ** 2) ** 0.5
            assert RADIUS - 1 < distance < RADIUS + 3


def test_the_shade_holds_what_is_at_half_resolution():
    for cell in CELLS:
        layout = cell_layout(cell)
        nodes = [circle for circle in layout.circles if not circle.is_tail]
        n_shaded = sum(circle.x > layout.shade.left for circle in layout.circles)
        n_tail = len(layout.circles) - len(nodes)
        assert n_shaded == sum(cell.reduced) + n_tail
        assert not any(abs(circle.x - layout.shade.left) < RADIUS for circle in nodes)


def test_edges_lead_from_left_to_right():
    for cell in CELLS:
        for curve in cell_layout(cell).curves:
            if curve.operation is not None:
                assert curve.points[0][0] < curve.points[-1][0], cell


def test_the_published_cell_is_drawn_as_its_chain():
    texts = [text for text, _ in text_boxes(drawn(PUBLISHED, "SMAC_301"))]
    assert texts.count("BnActConv3x3") == 1
    assert {"SMAC_301", "Conv3x3", "BnActConv1x1", "+", "concat", "in", "out"} <= set(texts)
    assert "stem: 128 channels, 1/4 of the picture's side" in texts
    # 2048 channels, and a dense path of three parts of 128.
    assert (
        "stage 4: 1 block, 1600 channels inside, 2048 + 384 channels out, 1/32 of the side"
        in texts
    )
    assert cell_svg(PUBLISHED, "x") == cell_svg(
        DagArchitecture(
            cell=chain_cell(("Conv3x3", "BnActConv3x3", "BnActConv1x1")),
            width=1.0,
            blocks=(1, 1, 1, 1),
        ),
        "x",
    )


@pytest.mark.parametrize(
    ("tail", "joins", "rails"),
    [
        ("plain", [], set()),
        ("residual", ["+"], {"residual path"}),
        ("dual_path", ["+", "concat"], {"residual path", "dense path"}),
    ],
)
def test_tails_are_drawn(tail, joins, rails):
    layout = cell_layout(complete_cell(tail))
    assert [c.lines[0] for c in layout.circles if c.is_tail] == joins
    assert {label.text for label in layout.labels() if label.text.endswith("path")} == rails


def test_nodes_show_how_they_join():
    cell = canonical_cell(
        4,
        [Edge(0, 1, "Skip"), Edge(0, 2, "Skip"), Edge(1, 2, "Skip"), Edge(0, 3, "Skip"),
         Edge(2, 3, "Conv1x1")],
        {2: "concat", 3: "add"},
        "plain",
    )  # fmt: skip
    assert [circle.lines for circle in cell_layout(cell).circles] == [
        ("in",),
        ("1",),
        ("2", "concat"),
        ("out", "+"),
    ]


def test_blocks_and_growth_are_told_in_the_caption():
    texts = [text for text, _ in text_boxes(drawn(stacked(complete_cell())))]
    assert any(text.startswith("stage 1: 1 block, 100 channels inside") for text in texts)
    assert any("stage 3: 3 blocks" in t and "grows by 32 a block" in t for t in texts)


def test_the_legend_names_the_kinds_that_are_there_and_no_other():
    cell = canonical_cell(3, [Edge(0, 1, "SepConv5x5"), Edge(1, 2, "MaxPool3x3")], {}, "plain")
    texts = {text for text, _ in text_boxes(drawn(stacked(cell)))}
    assert {"separable convolution", "maximum pooling"} <= texts
    assert texts.isdisjoint({"skip", "convolution", "average pooling"})


def test_every_operation_has_a_colour_and_a_name_in_the_legend():
    for operation in OPERATIONS:
        root = drawn(stacked(canonical_cell(3, [Edge(0, 2, operation)], {}, "plain")))
        strokes = {path.attrib["stroke"] for path in root.iter(f"{NAMESPACE}path")}
        swatches = {rect.attrib["fill"] for rect in root.iter(f"{NAMESPACE}rect")}
        assert len(strokes & swatches) == 1, operation


def test_any_title_gives_valid_xml():
    title = 'a <b> & "c" \x00\x1b ]]> \ud800 für 人'
    root = drawn(PUBLISHED, title)
    shown = 'a <b> & "c" ]]> für 人'
    assert root.findtext(f"{NAMESPACE}title") == shown
    assert shown in [text for text, _ in text_boxes(root)]


def test_equal_cells_give_equal_text():
    assert cell_svg(stacked(random_cell(3)), "t") == cell_svg(stacked(random_cell(3)), "t")
    assert cell_svg(stacked(random_cell(3)), "t") != cell_svg(stacked(random_cell(4)), "t")
