"""YAHPO's `lcbench`: multi-layer perceptrons on tables; error against training time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmarks.problems.boxes import box_of
from benchmarks.problems.problem import Box, Values, fractions_of
from benchmarks.problems.yahpo import Columns, Surrogate, read_space
from frnas_search.optimizers.fidelity import Fidelity
from results.objectives import Objective

_COLUMNS = Columns(
    categorical=("OpenML_task_id",),
    numerical=(
        "epoch",
        "batch_size",
        "learning_rate",
        "momentum",
        "weight_decay",
        "num_layers",
        "max_units",
        "max_dropout",
    ),
    outputs=(
        "time",
        "val_accuracy",
        "val_cross_entropy",
        "val_balanced_accuracy",
        "test_cross_entropy",
        "test_balanced_accuracy",
    ),
)
TASKS = ("189873", "167152")


class Lcbench:
    """One data set: the validation error and the seconds of the epochs trained so far."""

    def __init__(self, shared: Path, task: str) -> None:
        folder = shared / "bench/yahpo/lcbench"
        self.name = f"lcbench-{task}"
        self.space = read_space(folder, without=("OpenML_task_id", "epoch"))
        self.objectives = (
            Objective(name="error", unit="fraction", reference=1.0, bound=1.0),
            Objective(name="time", unit="s", reference=1e4, bound=1e5, scale="log"),
        )
        self.fidelity = Fidelity(min_epochs=3, max_epochs=52, eta=3)
        self.rungs = fractions_of(self.fidelity)
        self._task = task
        self._surrogate = Surrogate(folder, _COLUMNS)

    @property
    def box(self) -> Box:
        """Of the front of a large sample."""
        return box_of(self.name)

    def cost(self, configuration: Values, rung: int) -> Mapping[str, float]:
        """Both objectives after the rung's epochs; the accuracy is given in per cent."""
        epoch = self.fidelity.rungs[rung]
        row = {**configuration, "OpenML_task_id": self._task, "epoch": epoch}
        values = dict(zip(_COLUMNS.outputs, self._surrogate.predict([row])[0], strict=True))
        return {"error": 1 - float(values["val_accuracy"]) / 100, "time": float(values["time"])}
