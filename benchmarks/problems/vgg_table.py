"""The networks and training recipes of Dooley et al. on VGGFace2; error against rank disparity.

29 backbones, each trained with three heads and four recipes for ten epochs. Left out are the
backbones' own recipes, which were run with one head only.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path

from ConfigSpace import CategoricalHyperparameter, ConfigurationSpace

from benchmarks.problems.boxes import box_of
from benchmarks.problems.problem import Box, Values, fractions_of
from frnas_search.optimizers.fidelity import Fidelity
from results.objectives import objective

HEADS = ("ArcFace", "CosFace", "MagFace")
_NAME = re.compile(
    rf"(?P<backbone>.+)_(?P<head>{'|'.join(HEADS)})_(?P<optimizer>SGD|AdamW)(?P<cosine>_.+_cosine)?"
)
_N_IDENTITIES = 400

_Choice = tuple[str, ...]


class VggTable:
    """A finite table; no fidelity.

    A training that broke down, was never run, or maps every face to one point costs the bound of
    every objective: an error of 1 with no disparity is no compromise.
    """

    def __init__(self, shared: Path) -> None:
        self.name = "vgg_table"
        self.objectives = tuple(
            objective(name, n_identities=_N_IDENTITIES) for name in ("error", "rank_disparity")
        )
        self.fidelity = Fidelity(min_epochs=1, max_epochs=1)
        self.rungs = fractions_of(self.fidelity)
        self.table, backbones = _read(shared / "frnas-results/analysis/vgg_val_phase1.csv")
        self.space = ConfigurationSpace()
        self.space.add(
            [
                CategoricalHyperparameter("backbone", backbones),
                CategoricalHyperparameter("head", HEADS),
                CategoricalHyperparameter("optimizer", ("AdamW", "SGD")),
                CategoricalHyperparameter("schedule", ("backbone", "cosine")),
            ]
        )

    @property
    def box(self) -> Box:
        """From the best of the table to the end of the best tenth in each objective.

        The exact front has two points; its own box would tell good searches from none.
        """
        return box_of(self.name)

    def cost(self, configuration: Values, rung: int) -> Mapping[str, float]:
        """Validation error and difference of mean ranks between the genders."""
        del rung  # there is one
        key = tuple(
            str(configuration[name]) for name in ("backbone", "head", "optimizer", "schedule")
        )
        failed = {minimised.name: minimised.bound for minimised in self.objectives}
        return self.table.get(key, failed)


def _read(path: Path) -> tuple[dict[_Choice, Mapping[str, float]], list[str]]:
    """The successful rows and all backbones."""
    table: dict[_Choice, Mapping[str, float]] = {}
    backbones: set[str] = set()
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            match = _NAME.fullmatch(row["index"])
            if match is None:
                continue
            backbones.add(match["backbone"])
            if not row["Error"] or float(row["Error"]) >= 1:
                continue
            schedule = "cosine" if match["cosine"] else "backbone"
            table[match["backbone"], match["head"], match["optimizer"], schedule] = {
                "error": float(row["Error"]),
                "rank_disparity": float(row["Rank Disparity"]),
            }
    return table, sorted(backbones)
