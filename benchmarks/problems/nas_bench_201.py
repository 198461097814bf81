"""NAS-Bench-201 on CIFAR-100: every cell of six operations; error against latency."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

from ConfigSpace import CategoricalHyperparameter, ConfigurationSpace

from benchmarks.problems.boxes import box_of
from benchmarks.problems.problem import Box, Values, fractions_of
from frnas_search.optimizers.fidelity import Fidelity
from results.objectives import Objective

_TASK = "cifar100"
_EDGES = tuple(f"hp_x{edge}" for edge in range(6))

_Cell = tuple[str, ...]


class NasBench201:
    """15,625 trained cells; no fidelity; the front is known exactly."""

    def __init__(self, shared: Path) -> None:
        self.name = "nas_bench_201-cifar100"
        self.space = ConfigurationSpace()
        self.objectives = (
            Objective(name="error", unit="fraction", reference=1.0, bound=1.0),
            Objective(name="latency", unit="ms", reference=100.0, bound=100.0, scale="log"),
        )
        self.fidelity = Fidelity(min_epochs=1, max_epochs=1)
        self.rungs = fractions_of(self.fidelity)
        self.table = _read(shared / "bench/nb201/nas_bench102.csv.zip")
        choices = sorted({cell[0] for cell in self.table})
        self.space.add([CategoricalHyperparameter(name, choices) for name in _EDGES])

    @property
    def box(self) -> Box:
        """Of the exact front."""
        return box_of(self.name)

    def cost(self, configuration: Values, rung: int) -> Mapping[str, float]:
        """Test error and latency after full training."""
        del rung  # there is one
        return self.table[tuple(str(configuration[name]) for name in _EDGES)]


def _read(archive: Path) -> dict[_Cell, Mapping[str, float]]:
    with zipfile.ZipFile(archive) as zipped:
        text = zipped.read(zipped.namelist()[0]).decode()
    return {
        tuple(row[name] for name in _EDGES): {
            "error": float(row["metric_error"]) / 100,
            "latency": float(row["metric_latency"]) * 1e3,
        }
        for row in csv.DictReader(io.StringIO(text))
        if row["task"] == _TASK
    }
