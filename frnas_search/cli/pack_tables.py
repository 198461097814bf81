"""A pack's document as tables for people. Prints; decides nothing and opens no pack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text


def print_pack_info(document: Mapping[str, Any], console: Console) -> None:
    """Print a document of schema `frnas.pack-info/1`."""
    colour = "grey" if document["channels"] == 1 else "colour"
    _line(console, f"{document['path']}")
    _line(
        console,
        f"{document['images']:,} images of {document['identities']:,} identities, "
        f"{document['size']}x{document['size']} pixels, {colour}",
    )
    verified = "compared with the images" if document["verified"] else "images not compared"
    _line(console, f"digest {document['digest']} ({verified})")
    _line(console, f"digest of the splits {document['splits_digest']}")
    if document["not_covered"]:
        _line(
            console,
            f"no digest covers {', '.join(document['not_covered'])}: packed by an older version; "
            "pack again to have them verified, too",
        )
    console.print(_table(document))
    pairs = document["pairs"]
    if pairs is not None:
        _line(
            console,
            f"{pairs['pairs']:,} pairs to verify, {pairs['genuine']:,} of one person, "
            f"{pairs['folds']} folds",
        )
    _print_account(document.get("account"), console)
    settings = ", ".join(f"{name} {value}" for name, value in document["settings"].items())
    _line(console, f"made with: {settings or 'unknown settings'}")
    for warning in document["warnings"]:
        _line(console, f"warning: {warning}", style="yellow")
    for name, group in document["groups"].items():
        for fault in group["faults"]:
            _line(console, f"cannot compare {name!r}: {fault}", style="red")


def _print_account(account: Mapping[str, Any] | None, console: Console) -> None:
    """What was announced, packed and left out; packs made before it was counted have none."""
    if account is None:
        return
    for what, own in account.items():
        if own is None:
            continue
        n_left_out = own["announced"] - own["packed"]
        _line(
            console,
            f"{what}: {own['announced']:,} announced = {own['packed']:,} packed + "
            f"{n_left_out:,} left out",
        )
        for entry in own["left_out"]:
            names = ", ".join(entry["examples"])
            n_more = entry["count"] - len(entry["examples"])
            more = f" and {n_more:,} more" if names and n_more else ""
            shown = f": {names}{more}" if names else ""
            _line(console, f"  {entry['count']:,} {entry['reason']} ({entry['kind']}){shown}")


def _line(console: Console, text: str, *, style: str = "") -> None:
    """One line however long: terminals wrap it, and other programs can search in it."""
    console.print(Text(text, style=style), soft_wrap=True)


def _table(document: Mapping[str, Any]) -> Table:
    table = Table("split", "group", pad_edge=False)
    for heading in ("identities", "images", "per identity: min", "median", "max"):
        table.add_column(heading, justify="right")
    for split, counts in document["splits"].items():
        table.add_row(split, "all", *_cells(counts))
        for name, group in document["groups"].items():
            for label, own in group["splits"][split].items():
                table.add_row("", Text(f"{name}: {label}"), *_cells(own))
        table.add_section()
    return table


def _cells(counts: Mapping[str, Any]) -> list[str]:
    spread = counts["images_per_identity"] or {}
    cells = [f"{counts['identities']:,}", f"{counts['images']:,}"]
    return cells + [f"{spread[key]:g}" if spread else "-" for key in ("min", "median", "max")]
