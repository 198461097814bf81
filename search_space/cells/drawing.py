"""A cell as an SVG picture: nodes, operations, tail, and the stages it is stacked into. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from xml.etree.ElementTree import Element, SubElement, tostring

from search_space.candidate import DagArchitecture, DualPathArchitecture
from search_space.cells.layout import (
    RADIUS,
    Box,
    CellLayout,
    Circle,
    Curve,
    Text,
    cell_layout,
)
from search_space.cells.stages import BlockSize, as_dag, block_sizes, stem_channels

_KINDS = {
    "Conv": "convolution",
    "BnActConv": "convolution, norm and ReLU before",
    "ConvBnAct": "convolution, norm and ReLU after",
    "SepConv": "separable convolution",
    "DilConv": "dilated convolution",
    "AvgPool": "average pooling",
    "MaxPool": "maximum pooling",
    "Skip": "skip",
}
# Told apart with every kind of colour vision: after Okabe and Ito, "Color Universal Design", 2008.
_COLOURS = {
    "Conv": "#0072b2",
    "BnActConv": "#56b4e9",
    "ConvBnAct": "#009e73",
    "SepConv": "#d55e00",
    "DilConv": "#cc79a7",
    "AvgPool": "#b8860b",
    "MaxPool": "#7a5195",
    "Skip": "#000000",
}
_GREY = "#777777"
_INK = "#222222"
_SHADE = "#eef1f5"
_LINE_HEIGHT = 18.0
_LEGEND_COLUMNS = 2
_LEGEND_STEP = 310.0
_TITLE_HEIGHT = 40.0
_SWATCH = 26.0
# What XML cannot hold, not even escaped.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def cell_svg(architecture: DagArchitecture | DualPathArchitecture, title: str) -> str:
    """A standalone SVG document that shows the cell and says what it is stacked into.

    Equal arguments give equal text.

    Args:
        architecture: The published cell is drawn as the chain that it is.
        title: One line above the drawing.
    """
    dag = as_dag(architecture)
    layout = cell_layout(dag.cell)
    kinds = tuple(
        kind for kind in _KINDS if any(_kind(e.operation) == kind for e in dag.cell.edges)
    )
    heading = Text(
        text=" ".join(_NO_XML.sub("", title).split()),
        x=layout.box.left,
        y=layout.box.top - _TITLE_HEIGHT / 2,
        size=15,
        anchor="start",
    )
    legend = tuple(_legend(kinds, layout.box))
    notes = tuple(_lines(_notes(dag), layout.box.left, legend[-1].y + 2 * _LINE_HEIGHT))
    texts = (heading, *legend, *notes)
    root = _root(_frame(layout.box, texts), heading.text)
    _draw_layout(root, layout)
    for kind, entry in zip(kinds, legend, strict=True):
        _draw_swatch(root, kind, entry)
    for text in texts:
        if text.text:
            _draw_text(root, text)
    return f"{tostring(root, encoding='unicode')}\n"


def _kind(operation: str) -> str:
    return operation.rstrip("0123456789x")


def _legend(kinds: Iterable[str], above: Box) -> Iterator[Text]:
    for index, kind in enumerate(kinds):
        row, column = divmod(index, _LEGEND_COLUMNS)
        yield Text(
            text=_KINDS[kind],
            x=above.left + _SWATCH + 8 + column * _LEGEND_STEP,
            y=above.bottom + (row + 1) * _LINE_HEIGHT,
            anchor="start",
        )


def _lines(lines: Iterable[str], left: float, first: float) -> Iterator[Text]:
    for index, line in enumerate(lines):
        yield Text(text=line, x=left, y=first + index * _LINE_HEIGHT, anchor="start")


def _notes(dag: DagArchitecture) -> Iterator[str]:
    """What cannot be drawn: how often the cell comes, and how wide."""
    yield "The shaded part is at half resolution in the first block of stages 2, 3 and 4,"
    yield "and at full resolution in all other blocks."
    if dag.cell.tail != "plain":
        paths = "Both paths begin" if dag.cell.tail == "dual_path" else "The residual path begins"
        yield f"{paths} each stage as a 1x1 projection of what comes in."
    yield ""
    yield f"stem: {stem_channels(dag.width)} channels, 1/4 of the picture's side"
    sizes = iter(block_sizes(dag))
    for stage, n_blocks in enumerate(dag.blocks):
        blocks = [next(sizes) for _ in range(n_blocks)]
        yield _stage(stage, blocks)


def _stage(stage: int, blocks: list[BlockSize]) -> str:
    first, last = blocks[0], blocks[-1]
    n_blocks = "1 block" if len(blocks) == 1 else f"{len(blocks)} blocks"
    dense = last.out_channels - last.residual
    out = f"{last.residual} + {dense} channels out" if dense else f"{last.residual} channels out"
    growth = (
        f", the dense path grows by {last.growth} a block" if len(blocks) > 1 and dense else ""
    )
    return (
        f"stage {stage + 1}: {n_blocks}, {first.inner} channels inside, {out}{growth}, "
        f"1/{4 * 2**stage} of the side"
    )


def _frame(drawing: Box, texts: Iterable[Text]) -> Box:
    boxes = [drawing, *(text.box for text in texts)]
    margin = 16.0
    return Box(
        min(box.left for box in boxes) - margin,
        min(box.top for box in boxes) - margin,
        max(box.right for box in boxes) + margin,
        max(box.bottom for box in boxes) + margin,
    )


def _root(frame: Box, title: str) -> Element:
    width, height = frame.right - frame.left, frame.bottom - frame.top
    root = Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "width": _number(width),
            "height": _number(height),
            "viewBox": " ".join(map(_number, (frame.left, frame.top, width, height))),
            "font-family": "DejaVu Sans Mono, Menlo, Consolas, monospace",
            "role": "img",
        },
    )
    SubElement(root, "title").text = title
    root.append(_rectangle(frame, fill="#ffffff"))
    return root


def _draw_layout(root: Element, layout: CellLayout) -> None:
    root.append(_rectangle(layout.shade, fill=_SHADE))
    for curve in layout.curves:
        _draw_curve(root, curve)
    # Above all curves, so that none crosses a name.
    for curve in layout.curves:
        if curve.label is not None:
            colour = _colour(curve)
            root.append(_rectangle(curve.label.plate, fill="#ffffff", stroke=colour, rx="4"))
    for circle in layout.circles:
        _draw_circle(root, circle)
    for text in layout.labels():
        _draw_text(root, text)


def _draw_curve(root: Element, curve: Curve) -> None:
    start, *rest = curve.points
    cubics = (rest[index : index + 3] for index in range(0, len(rest), 3))
    ways = (" ".join(f"{_number(x)},{_number(y)}" for x, y in cubic) for cubic in cubics)
    path = f"M{_number(start[0])},{_number(start[1])} " + " ".join(f"C{way}" for way in ways)
    colour = _colour(curve)
    width = "2.2" if curve.operation else "1.4"
    SubElement(root, "path", {"d": path, "fill": "none", "stroke": colour, "stroke-width": width})
    _draw_arrowhead(root, curve, colour)


def _draw_arrowhead(root: Element, curve: Curve, colour: str) -> None:
    """A triangle rather than an SVG marker, which takes no colour from its line everywhere."""
    x, y = curve.points[-1]
    from_x, from_y = next(p for p in reversed(curve.points) if p != (x, y))
    length = ((x - from_x) ** 2 + (y - from_y) ** 2) ** 0.5
    along = ((x - from_x) / length, (y - from_y) / length)
    back = (x - 9 * along[0], y - 9 * along[1])
    corners = (
        (x, y),
        (back[0] - 4 * along[1], back[1] + 4 * along[0]),
        (back[0] + 4 * along[1], back[1] - 4 * along[0]),
    )
    points = " ".join(f"{_number(a)},{_number(b)}" for a, b in corners)
    SubElement(root, "polygon", {"points": points, "fill": colour})


def _draw_circle(root: Element, circle: Circle) -> None:
    SubElement(
        root,
        "circle",
        {
            "cx": _number(circle.x),
            "cy": _number(circle.y),
            "r": _number(RADIUS),
            "fill": "#ffffff",
            "stroke": _GREY if circle.is_tail else _INK,
            "stroke-width": "1.6",
        },
    )
    for text in circle.texts():
        _draw_text(root, text)


def _draw_swatch(root: Element, kind: str, entry: Text) -> None:
    right = entry.x - 8
    box = Box(right - _SWATCH, entry.y - 2, right, entry.y + 2)
    root.append(_rectangle(box, fill=_COLOURS[kind]))


def _draw_text(root: Element, text: Text) -> None:
    attributes = {
        "x": _number(text.x),
        # The baseline: `dominant-baseline` is not known to all programs that show SVG.
        "y": _number(text.y + 0.35 * text.size),
        "font-size": _number(text.size),
        "text-anchor": text.anchor,
        "fill": _INK,
    }
    SubElement(root, "text", attributes).text = text.text


def _rectangle(box: Box, **attributes: str) -> Element:
    size = {"width": box.right - box.left, "height": box.bottom - box.top}
    place = {"x": box.left, "y": box.top, **size}
    return Element("rect", {name: _number(length) for name, length in place.items()} | attributes)


def _colour(curve: Curve) -> str:
    return _GREY if curve.operation is None else _COLOURS[_kind(curve.operation)]


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
