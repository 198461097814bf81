"""Check that a space's networks can be built, in a process of its own.

The coordinator must never import torch, yet only timm knows what it can build. Reads
`{"space": …, "in_channels": …, "image_size": …}` from standard input and prints a JSON list of
faults, one sentence each.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from dataclasses import asdict
from typing import Any

from search_space.candidate import SpaceSettings


def buildable_faults(settings: SpaceSettings, *, in_channels: int, image_size: int) -> list[str]:
    """Ask a process of its own which of the space's networks cannot be built.

    Raises:
        subprocess.CalledProcessError: The process itself failed, which is a bug.
    """
    question = {
        "space": asdict(settings),
        "in_channels": in_channels,
        "image_size": image_size,
    }
    answer = subprocess.run(
        (sys.executable, "-m", "workers.preflight"),
        input=json.dumps(question),
        stdout=subprocess.PIPE,  # what it has to say of its failure goes to standard error
        text=True,
        check=True,
    )
    faults: list[str] = json.loads(answer.stdout)
    return faults


def _answer(question: dict[str, Any]) -> list[str]:
    from search_space.build import check_buildable  # torch must not come with the module

    space = dict(question["space"])
    space["families"] = {name: tuple(each) for name, each in space["families"].items()}
    return check_buildable(
        SpaceSettings(**space),
        in_channels=question["in_channels"],
        image_size=question["image_size"],
    )


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):  # what libraries print is no answer
        answer = _answer(json.load(sys.stdin))
    sys.stdout.write(json.dumps(answer))
