"""Try a space's networks out before anything is spent: timm knows, and it comes with torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search_space.definition.variants import Resolution, resolution_from_json, resolution_to_json
from workers.processes.side_process import answer_with, ask


def resolved_families(
    requested: Mapping[str, tuple[str, ...]], *, in_channels: int, image_size: int
) -> Resolution:
    """Ask a process of its own which backbones the families stand for; this one stays light.

    Takes a fraction of a second per backbone the first time, and what torch takes to load later.

    Args:
        requested: As in `search_space.backbones.resolution.resolve_families`.
        in_channels: 1 for grey, 3 for colour pictures.
        image_size: Side of the square pictures in pixels.

    Raises:
        subprocess.CalledProcessError: The process itself failed, which is a bug.
    """
    question = {
        "requested": {family: list(names) for family, names in requested.items()},
        "in_channels": in_channels,
        "image_size": image_size,
    }
    return resolution_from_json(ask("workers.processes.preflight", question))


def _answer(question: Mapping[str, Any]) -> dict[str, Any]:
    from search_space.backbones.resolution import (
        resolve_families,  # torch must not come with the module
    )

    requested = {family: tuple(names) for family, names in question["requested"].items()}
    return resolution_to_json(
        resolve_families(
            requested,
            in_channels=question["in_channels"],
            image_size=question["image_size"],
        )
    )


if __name__ == "__main__":
    answer_with(_answer)
