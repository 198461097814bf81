"""Documents of `frnas space` as tables and lines for people. Knows what to show, never where."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich import box
from rich.table import Table

from frnas_search.optimizers.rarity import percent, share_in_words

Document = dict[str, Any]

_LONG = 40


def summary_lines(document: Document) -> Iterator[str]:
    """A `frnas.space/1` document, what is not a table of it."""
    size, pictures, samples = document["size"], document["pictures"], document["samples"]
    yield (
        f"{document['run']}: preset {document['preset']}, architectures from "
        + ", ".join(f"{source} {share:.1%}" for source, share in samples["by_source"].items())
        + f" (of {samples['n']:,} samples)"
    )
    yield (
        f"size: {size['discrete_combinations']:,} discrete combinations "
        f"(10^{size['discrete_log10']:.1f}) and {size['continuous_dimensions']} continuous "
        f"dimensions, in {size['hyperparameters']} hyperparameters"
    )
    yield f"fingerprint: {document['fingerprint']}"
    groups = f", groups {', '.join(pictures['groups'])}" if pictures["groups"] else ""
    origin = f" ({pictures['pack']})" if pictures["pack"] else " (as given, no data opened)"
    yield f"pictures: {_describe_pictures(pictures)}{groups}{origin}"
    if document["timm"] is not None:
        yield f"timm: {document['timm']}"
    if document["enqueued"]:
        yield f"enqueued: {document['enqueued']} configurations"
    yield from _constraint_lines(document)
    yield from within_lines(samples)
    yield from _cell_lines(samples["cells"])


def hyperparameter_table(document: Document) -> Table:
    """The hyperparameters of a `frnas.space/1` document, a row each."""
    table = _table("hyperparameters")
    for name in ("name", "values", "default", "where", "note"):
        table.add_column(name, overflow="fold")
    above = ""
    for hyperparameter in document["hyperparameters"]:
        values = _values(hyperparameter)
        is_repeated = values == above and len(values) > _LONG
        above = values
        table.add_row(
            hyperparameter["name"],
            "as above" if is_repeated else values,
            _number(hyperparameter["default"]),
            hyperparameter["condition"] or "always",
            ", ".join(_notes(hyperparameter, has_file=_has_file(document))),
        )
    return table


def family_table(document: Document) -> Table:
    """The timm variants of a `frnas.space/1` document."""
    table = _table(f"timm families at {_describe_pictures(document['pictures'])}")
    for name in ("family", "variant", "parameters", "MACs", "drop path"):
        table.add_column(name, justify="right" if name in ("parameters", "MACs") else "left")
    for family in document["families"]:
        for index, variant in enumerate(family["variants"]):
            table.add_row(
                family["family"] if index == 0 else "",
                variant["name"],
                f"{variant['parameters']:,}",
                f"{variant['macs']:,}",
                "yes" if variant["drop_path"] else "no",
            )
    return table


def left_out_table(document: Document) -> Table:
    """The timm variants that a `frnas.space/1` document leaves out, and why."""
    table = _table("left out")
    for name in ("family", "variant", "works at", "why not here"):
        table.add_column(name, overflow="fold")
    for variant in document["left_out"]:
        size = f"{variant['works_at']} pixels" if variant["works_at"] is not None else "none tried"
        table.add_row(variant["family"], variant["name"], size, variant["reason"])
    return table


def sample_table(document: Document) -> Table:
    """A `frnas.space-sample/1` document, a row for each configuration."""
    built = [sample["built"] for sample in document["samples"]]
    names = ["", "what", "parameters", "MACs"]
    if any(built):
        names += ["activations", "family", "hash", "seconds", "buildable"]
    is_timed = any(report and report["cost"] and report["cost"]["device"] for report in built)
    if is_timed:
        names.append("ms per image")
    names.append("note")
    table = _table(
        f"samples from seed {document['seed']}, {_describe_pictures(document['pictures'])}"
    )
    for name in names:
        is_text = name in ("what", "family", "hash", "buildable", "note")
        table.add_column(name, justify="left" if is_text else "right", overflow="fold")
    for index, sample in enumerate(document["samples"]):
        row = [str(index), sample["description"]]
        row += [f"{sample[name] / 1e6:,.3f} M" for name in ("parameters", "macs")]
        if any(built):
            row += _built_cells(sample["built"], is_timed=is_timed)
        notes = list(sample["exceeds"])
        if sample["built"] and sample["built"]["fault"]:
            notes.append(sample["built"]["fault"])
        table.add_row(*row, "; ".join(notes))
    return table


def check_lines(document: Document) -> Iterator[str]:
    """A `frnas.space-check/1` document."""
    counts = ", ".join(f"{name}: {n:,}" for name, n in document["checked"].items())
    yield f"checked {counts}"
    for part in document["not_checked"]:
        yield f"not checked: {part}"
    for corner in document["corners"]:
        yield f"to know: {corner}"
    for fault in document["faults"]:
        yield f"fault: {fault}"
    n_faults = len(document["faults"])
    faults = "1 fault" if n_faults == 1 else f"{n_faults} faults"
    yield f"{document['run_file']}: {'in order' if document['in_order'] else faults}"


def _constraint_lines(document: Document) -> Iterator[str]:
    for constraint in document["constraints"]:
        if constraint["foreseen"]:
            effect = (
                f"refuses {percent(constraint['refused_share'])} of the samples before training"
            )
        else:
            effect = "is measured when a trial begins"
        yield f"constraint {constraint['name']} {constraint['limit']:,.10g}: {effect}"


def within_lines(record: Document) -> Iterator[str]:
    """How much of the space keeps within the constraints, where a document says it."""
    within = record.get("within_constraints")
    if within is not None:
        share = share_in_words(within["count"], within["draws"])
        yield f"within all constraints that are known before training: {share} of the space"


def _cell_lines(cells: Document | None) -> Iterator[str]:
    if cells is None:
        return
    yield (
        f"dag cells: {cells['distinct']:,} different ones in {cells['n']:,} samples; "
        f"{cells['repaired_share']:.1%} had no way from input to output and became a single skip, "
        f"{cells['pruned_share']:.1%} lost nodes that no way led over"
    )


def _built_cells(built: Document, *, is_timed: bool) -> list[str]:
    cost = built["cost"]
    seconds = f"{built['seconds']:.2f}"
    if cost is None:
        return ["", "", "", seconds, "no", *([""] if is_timed else [])]
    cells = [
        f"{cost['activation_bytes'] / 1e6:,.2f} MB",
        cost["family"],
        cost["hash"],
        seconds,
        "yes",
    ]
    if is_timed:
        cells.append(f"{cost['milliseconds_per_image']:.3f} ({cost['device']})")
    return cells


def _has_file(document: Document) -> bool:
    return any(
        hyperparameter["in_file"] is not None for hyperparameter in document["hyperparameters"]
    )


def _notes(hyperparameter: Document, *, has_file: bool) -> Iterator[str]:
    if hyperparameter["fixed"]:
        yield "fixed"
    if hyperparameter["limited"]:
        yield "limited"
    if hyperparameter["prior"] is not None:
        yield "prior " + " ".join(
            f"{key} {_number(v)}" for key, v in hyperparameter["prior"].items()
        )
    if has_file and hyperparameter["in_file"] is None:
        yield "not in the file: has its default"
    elif has_file and _file_values(hyperparameter["in_file"]) != _bare_values(hyperparameter):
        yield f"in the file {_file_values(hyperparameter['in_file'])}"


def _file_values(own: Document) -> str:
    for name in ("choices", "sequence"):
        if name in own:
            return ", ".join(map(_number, own[name]))
    if "value" in own:
        return _number(own["value"])
    return f"{_number(own['lower'])} to {_number(own['upper'])}"


def _bare_values(hyperparameter: Document) -> str:
    if hyperparameter["kind"] == "choice":
        return ", ".join(map(_number, hyperparameter["choices"]))
    return f"{_number(hyperparameter['lower'])} to {_number(hyperparameter['upper'])}"


def _values(hyperparameter: Document) -> str:
    text = _bare_values(hyperparameter)
    if hyperparameter["kind"] == "choice":
        return text
    marks = [
        *(["log"] if hyperparameter["log"] else []),
        *(["integer"] if hyperparameter["kind"] == "integer" else []),
    ]
    return f"{text} ({', '.join(marks)})" if marks else text


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _describe_pictures(pictures: Document) -> str:
    kind = "grey" if pictures["channels"] == 1 else "colour"
    return f"{pictures['image_size']} pixels, {kind}"


def _table(title: str) -> Table:
    return Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
