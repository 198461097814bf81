"""YAHPO's `fair_super`: four learners with fairness interventions; error against unfairness."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmarks.problems.boxes import box_of
from benchmarks.problems.problem import Box, Values, fractions_of
from benchmarks.problems.yahpo import Columns, Surrogate, read_space
from frnas_search.optimizers.fidelity import Fidelity
from results.objectives import Objective

_COLUMNS = Columns(
    categorical=(
        "task_id",
        "fgrrm.definition",
        "ranger.replace",
        "ranger.respect.unordered.factors",
        "ranger.splitrule",
        "xgboost.booster",
        "learner",
        "pre_post",
    ),
    numerical=(
        "fgrrm.lambda",
        "fgrrm.unfairness",
        "rpart.cp",
        "rpart.maxdepth",
        "rpart.minbucket",
        "rpart.minsplit",
        "ranger.min.node.size",
        "ranger.mtry.ratio",
        "ranger.num.random.splits",
        "ranger.num.trees",
        "ranger.sample.fraction",
        "xgboost.nrounds",
        "xgboost.eta",
        "xgboost.gamma",
        "xgboost.lambda",
        "xgboost.alpha",
        "xgboost.subsample",
        "xgboost.max_depth",
        "xgboost.min_child_weight",
        "xgboost.colsample_bytree",
        "xgboost.colsample_bylevel",
        "reweighing_os_alpha",
        "EoD_alpha",
        "trainsize",
    ),
    outputs=(
        "mmce",
        "f1",
        "feo",
        "facc",
        "ftpr",
        "ffomr",
        "ffnr",
        "rammodel",
        "timetrain",
    ),
)
TASKS = ("31", "317599")


class FairSuper:
    """One task: `mmce`, the error, and `feo`, the groups' difference in equalised odds.

    An epoch is a ninth of the training data.
    """

    def __init__(self, shared: Path, task: str) -> None:
        folder = shared / "bench/yahpo/fair_super"
        self.name = f"fair_super-{task}"
        self.space = read_space(folder, without=("task_id", "trainsize"))
        self.objectives = tuple(
            Objective(name=name, unit="fraction", reference=1.0, bound=1.0)
            for name in ("mmce", "feo")
        )
        self.fidelity = Fidelity(min_epochs=1, max_epochs=9, eta=3)
        self.rungs = fractions_of(self.fidelity)
        self._task = task
        self._surrogate = Surrogate(folder, _COLUMNS)

    @property
    def box(self) -> Box:
        """Of the front of a large sample."""
        return box_of(self.name)

    def cost(self, configuration: Values, rung: int) -> Mapping[str, float]:
        """Both objectives at the rung's share of the training data."""
        row = {**configuration, "task_id": self._task, "trainsize": self.rungs[rung]}
        values = dict(zip(_COLUMNS.outputs, self._surrogate.predict([row])[0], strict=True))
        return {objective.name: float(values[objective.name]) for objective in self.objectives}
