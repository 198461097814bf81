"""Raw pixels as the network to beat: measured exactly as a trained network is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from workers.data.packs.pack import SPLITS
from workers.data.packs.stored import fetched_pack
from workers.errors import DataError
from workers.processes.side_process import answer_with, ask
from workers.settings import EvaluationSettings


def raw_pixel_baseline(
    pack: Path, *, split: str, group: str, settings: EvaluationSettings
) -> dict[str, Any]:
    """Costs, intervals and metrics of the pixels themselves; computed in a process of its own.

    Returns:
        `costs`, `interval95` and `metrics`, as a trial's outcome has them.

    Raises:
        DataError: There is no such pack or split, or its groups cannot be compared.
    """
    if split not in SPLITS:
        raise DataError(f"there is no split {split!r}; choose from {', '.join(SPLITS)}")
    fetched_pack(str(pack), verify=True)  # its faults are told here, not by the process
    question = {
        "pack": str(pack),
        "split": split,
        "group": group,
        "settings": asdict(settings),
    }
    answer: dict[str, Any] = ask("workers.processes.baseline", question)
    if "fault" in answer:
        raise DataError(answer["fault"])
    return answer


def _answer(question: Mapping[str, Any]) -> dict[str, Any]:
    from workers.evaluation.evaluate import (
        raw_pixel_evaluation,  # torch must not come with the module
    )

    try:
        evaluation = raw_pixel_evaluation(
            fetched_pack(question["pack"]),
            split=question["split"],
            group=question["group"],
            settings=EvaluationSettings(**question["settings"]),
        )
    except DataError as error:
        return {"fault": str(error)}
    return {
        "costs": dict(evaluation.costs),
        "interval95": {name: list(pair) for name, pair in evaluation.interval95.items()},
        "metrics": dict(evaluation.metrics),
    }


if __name__ == "__main__":
    answer_with(_answer)
