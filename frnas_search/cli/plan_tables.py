"""The document of `frnas plan` for people. Knows what to show, never where."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich import box
from rich.table import Table

Document = dict[str, Any]

_GIGABYTE = 1e9


def bracket_table(document: Document) -> Table:
    """One round: the configurations that reach each rung, bracket by bracket."""
    rungs = document["fidelity"]["rungs"]
    table = Table(
        title=f"{document['run']}: one round of Hyperband, configurations by rung",
        box=box.SIMPLE_HEAD,
        title_justify="left",
        title_style="bold",
    )
    table.add_column("bracket")
    for name in (*(f"{epochs} epochs" for epochs in rungs), "trials", "epochs in all"):
        table.add_column(name, justify="right")
    for number, bracket in enumerate(document["round"]["brackets"], start=1):
        counts = {stage["rung"]: stage["configurations"] for stage in bracket["stages"]}
        cells = [str(counts.get(rung, "")) for rung in range(len(rungs))]
        table.add_row(str(number), *cells, str(bracket["trials"]), f"{bracket['epochs']:,}")
    whole = document["round"]
    table.add_row("all", *("" for _ in rungs), str(whole["trials"]), f"{whole['epochs']:,}")
    return table


def plan_table(document: Document) -> Table:
    """What the limits let the search do, and what that takes."""
    table = Table(box=box.SIMPLE, show_header=False)
    for row in _rows(document):
        table.add_row(*row)
    return table


def _rows(document: Document) -> Iterator[tuple[str, str]]:
    search, rungs = document["search"], document["fidelity"]["rungs"]
    yield "ends by", _end(document)
    yield "rounds", f"{search['rounds']:.2f}"
    counts = zip(rungs, search["trials_by_rung"], strict=True)
    by_rung = ", ".join(f"{n:,} to {epochs}" for epochs, n in counts)
    yield "trials", f"{search['trials']:,} ({by_rung} epochs)"
    yield "configurations", f"{search['configurations']:,}"
    yield "epochs", f"{search['epochs']:,} (a promotion goes on from its checkpoint)"
    yield "GPU-hours", _hours(document, "gpu_hours")
    yield f"wall hours, {document['workers']} workers", _hours(document, "wall_hours")
    yield from _checkpoint_rows(document["checkpoints"])


def _end(document: Document) -> str:
    name = document["search"]["ends_by"]
    if name is None:
        return "no limit that can be foreseen; the numbers are those of one round"
    return f"stop.{name} {document['limits'][name]}"


def _hours(document: Document, name: str) -> str:
    pace, hours = document["pace"], document["search"][name]
    if pace is None:
        return "unknown; give --from RUN or --seconds-per-epoch"
    trial = f" and {pace['per_trial']:.3g} s a trial" if pace["per_trial"] else ""
    return f"{hours:.3g} ({pace['per_epoch']:.3g} s an epoch{trial}, {pace['source']})"


def _checkpoint_rows(checkpoints: Document | None) -> Iterator[tuple[str, str]]:
    if checkpoints is None:
        yield "checkpoints", "unknown: no sample of the space keeps within the constraints"
        return
    mean, worst = checkpoints["mean_bytes"], checkpoints["worst_bytes"]
    yield (
        "a checkpoint",
        f"{_size(mean)} on average, {_size(worst)} at most "
        f"(of {checkpoints['samples']:,} samples)",
    )
    totals = [_size(checkpoints[name]) for name in ("mean_total_bytes", "worst_total_bytes")]
    bound = checkpoints["bound_bytes"]
    limit = "no workers.checkpoint_gb" if bound is None else f"bounded to {_size(bound)}"
    yield (
        "checkpoint disk",
        f"{totals[0]}, {totals[1]} at most, for {checkpoints['kept_files']:,} files ({limit})",
    )


def _size(n_bytes: float) -> str:
    if n_bytes < _GIGABYTE:
        return f"{n_bytes / 1e6:.3g} MB"
    return f"{n_bytes / _GIGABYTE:,.3g} GB"
