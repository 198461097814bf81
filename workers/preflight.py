"""Check that a space's networks can be built: only timm knows, and it comes with torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from search_space.candidate import SpaceSettings, settings_from_json
from workers.side_process import answer_with, ask


def buildable_faults(settings: SpaceSettings, *, in_channels: int, image_size: int) -> list[str]:
    """Ask a process of its own which of the space's networks cannot be built, a sentence each.

    Raises:
        subprocess.CalledProcessError: The process itself failed, which is a bug.
    """
    question = {
        "space": asdict(settings),
        "in_channels": in_channels,
        "image_size": image_size,
    }
    faults: list[str] = ask("workers.preflight", question)
    return faults


def _answer(question: Mapping[str, Any]) -> list[str]:
    from search_space.build import check_buildable  # torch must not come with the module

    return check_buildable(
        settings_from_json(question["space"]),
        in_channels=question["in_channels"],
        image_size=question["image_size"],
    )


if __name__ == "__main__":
    answer_with(_answer)
