"""One search through the command line, as short as a search can be; the others are in `e2e`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from results.schema import schema

pytestmark = pytest.mark.timeout(180)

RUN_FILE = """
name: smoke
data: {synthetic: {size: 16}, group: group}
space: {preset: paper, width: 0.02, embedding_size: 8}
fidelity: {min_epochs: 1, max_epochs: 1}
stop: {trials: 2}
training: {device: cpu, batch_size: 32}
evaluation: {n_replicates: 100}
search: {initial_configurations: 2}
workers: {local: 1}
"""


def frnas(folder: Path, *arguments: str) -> str:
    """What a command prints, run to its end in the folder."""
    done = subprocess.run(
        [sys.executable, "-m", "frnas_search.cli.main", *arguments],
        cwd=folder,
        env=os.environ | {"XDG_CACHE_HOME": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_search_trains_two_networks_and_publishes_its_front(tmp_path: Path) -> None:
    (tmp_path / "smoke.yaml").write_text(RUN_FILE)
    frnas(tmp_path, "search", "smoke.yaml")
    front = json.loads(frnas(tmp_path, "pareto", "smoke", "--format", "json"))
    Draft202012Validator(schema("pareto")).validate(front)
    assert front["state"] == "finished"
    trials = json.loads(frnas(tmp_path, "trials", "smoke", "--json"))["trials"]
    assert [trial["trial_id"] for trial in trials] == ["t0001", "t0002"]
    assert all((trial["costs"] is None) != (trial["failure"] is None) for trial in trials)
    assert (tmp_path / "runs/smoke/pareto.json").exists()
