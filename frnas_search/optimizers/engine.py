"""Which parts the search engine is made of: the words of `search.engine`, and what tests vary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Model: TypeAlias = Literal["forest", "gp", "smac_forest", "smac_gp"]
Acquisition: TypeAlias = Literal["hypervolume", "noisy_hypervolume", "parego_ei"]
IntensifierName: TypeAlias = Literal["asynchronous", "hyperband"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """The parts of the engine; each can be exchanged or taken out to see what it brings.

    Attributes:
        model: `gp` is a Gaussian process while results are few and the forest after that;
            `smac_forest` and `smac_gp` are SMAC's own.
        acquisition: `hypervolume` is the expected improvement of the measured front,
            `noisy_hypervolume` that of a front that is itself uncertain, `parego_ei` SMAC's
            expected improvement along SMAC's ParEGO weights.
        intensifier: `asynchronous` promotes as soon as results justify it, `hyperband` is SMAC's.
        n_initial: Configurations that cover the space before the model is used, unless there are
            as many earlier results.
        random_share: Share of later proposals that are drawn at random, 0 to 1.
        density_share: Share of the others that follow the density of good configurations; the
            rest maximise the acquisition function.
        uses_all_rungs: Whether cheap results inform the model.
        fantasises: Whether trials in flight count at their expected costs.
        n_trees: Of the forest.
    """

    model: Model = "gp"
    acquisition: Acquisition = "hypervolume"
    intensifier: IntensifierName = "asynchronous"
    n_initial: int = 10
    random_share: float = 0.05
    density_share: float = 0.5
    uses_all_rungs: bool = True
    fantasises: bool = True
    n_trees: int = 20
