"""The facade of a search, built with the parts that its settings name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from smac import Scenario
from smac.acquisition.function import EI
from smac.acquisition.function.abstract_acquisition_function import AbstractAcquisitionFunction
from smac.intensifier import Hyperband
from smac.intensifier.abstract_intensifier import AbstractIntensifier
from smac.model.abstract_model import AbstractModel
from smac.multi_objective import AbstractMultiObjectiveAlgorithm

from frnas_search.optimizers.smac.acquisition_functions import (
    HypervolumeImprovement,
    NoisyHypervolumeImprovement,
    PriorWeighted,
    WithinLimits,
)
from frnas_search.optimizers.smac.candidates import Candidates
from frnas_search.optimizers.smac.designs import CountedRandom, CoveringDesign
from frnas_search.optimizers.smac.encoder import AllRungsEncoder, Observations
from frnas_search.optimizers.smac.facade import FrontFacade
from frnas_search.optimizers.smac.intensifier import AsynchronousHyperband
from frnas_search.optimizers.smac.maximizer import ArrayMaximizer
from frnas_search.optimizers.smac.models.forest import RungForest
from frnas_search.optimizers.smac.models.handover import FewThenMany
from frnas_search.optimizers.smac.models.per_objective import smac_forest, smac_process
from frnas_search.optimizers.smac.scalarisation import FreshParEGO, Unscalarised
from frnas_search.optimizers.smac.selector import HistorySelector

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ConfigSpace import Configuration

    from frnas_search.optimizers.engine import EngineSettings
    from results.pareto import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Setting:
    """What the parts of one search have in common.

    Attributes:
        limits: Shape (m,); the largest cost that is wanted of each objective, may be infinite.
        enqueued: Proposed before any other, each once.
        earlier: Results of other searches.
    """

    scenario: Scenario
    engine: EngineSettings
    candidates: Candidates
    eta: int
    limits: FloatArray
    enqueued: Sequence[Configuration]
    earlier: Observations | None

    @property
    def has_limits(self) -> bool:
        """Whether anything is too expensive."""
        return bool(np.isfinite(self.limits).any())

    @property
    def told_limits(self) -> FloatArray | None:
        """The limits for parts that see every objective; None where there is nothing to heed."""
        return self.limits if self.has_limits and not self.is_scalarised else None

    @property
    def is_scalarised(self) -> bool:
        """Whether the model sees one cost of all."""
        return self.engine.acquisition == "parego_ei"


def facade_of(setting: Setting) -> FrontFacade:
    """The facade, whose function nobody calls: it is asked and told."""
    encoder = AllRungsEncoder(
        setting.scenario,
        eta=setting.eta,
        scalarises=setting.is_scalarised,
        uses_all_rungs=setting.engine.uses_all_rungs,
        earlier=setting.earlier,
        n_enqueued=len(setting.enqueued),
    )
    return FrontFacade(
        setting.scenario,
        model=model_of(setting),
        acquisition_function=acquisition_function_of(setting),
        acquisition_maximizer=_maximizer_of(setting, encoder),
        initial_design=_initial_design_of(setting, encoder),
        random_design=CountedRandom(setting.engine.random_share, seed=setting.scenario.seed),
        intensifier=intensifier_of(setting),
        multi_objective_algorithm=_algorithm_of(setting),
        runhistory_encoder=encoder,
        config_selector=HistorySelector(setting.scenario, candidates=setting.candidates),
        logging_level=False,
        overwrite=True,
    )


def model_of(setting: Setting) -> AbstractModel:
    """`search.engine.model`."""
    space, seed = setting.scenario.configspace, setting.scenario.seed
    n_trees, limits = setting.engine.n_trees, setting.told_limits
    match setting.engine.model:
        case "gp":
            return FewThenMany(space, n_trees=n_trees, limits=limits, seed=seed)
        case "forest":
            return RungForest(space, n_trees=n_trees, limits=limits, seed=seed)
        case "smac_forest":
            return smac_forest(space, seed=seed)
        case "smac_gp":
            return smac_process(space, seed=seed)


def acquisition_function_of(setting: Setting) -> AbstractAcquisitionFunction:
    """`search.engine.acquisition`, within the limits and with the priors of the search."""
    fantasises, seed = setting.engine.fantasises, setting.scenario.seed
    function: AbstractAcquisitionFunction
    match setting.engine.acquisition:
        case "hypervolume":
            function = HypervolumeImprovement(fantasises=fantasises, seed=seed)
        case "noisy_hypervolume":
            function = NoisyHypervolumeImprovement(fantasises=fantasises, seed=seed)
        case "parego_ei":
            function = EI()
    if setting.told_limits is not None:
        function = WithinLimits(function, setting.told_limits)
    space = setting.candidates.space
    return PriorWeighted(function, space.log_prior) if space.has_prior else function


def intensifier_of(setting: Setting) -> AbstractIntensifier:
    """`search.engine.intensifier`."""
    if setting.engine.intensifier == "hyperband":
        # Its default compares incumbents of different budgets and dies on an assertion.
        return Hyperband(
            setting.scenario, eta=setting.eta, n_seeds=1, incumbent_selection="highest_budget"
        )
    return AsynchronousHyperband(
        setting.scenario, eta=setting.eta, limits=setting.limits if setting.has_limits else None
    )


def _maximizer_of(setting: Setting, encoder: AllRungsEncoder) -> ArrayMaximizer:
    return ArrayMaximizer(
        setting.scenario.configspace,
        seed=setting.scenario.seed,
        candidates=setting.candidates,
        density_share=setting.engine.density_share,
        limits=setting.limits if setting.has_limits else None,
        earlier=encoder.earlier_vectors(),
    )


def _initial_design_of(setting: Setting, encoder: AllRungsEncoder) -> CoveringDesign:
    n = setting.engine.n_initial
    return CoveringDesign(
        setting.scenario,
        n_configs=0 if encoder.n_earlier >= n else n,
        additional_configs=setting.enqueued,
        candidates=setting.candidates,
    )


def _algorithm_of(setting: Setting) -> AbstractMultiObjectiveAlgorithm | None:
    if setting.scenario.count_objectives() == 1:
        return None
    return FreshParEGO(setting.scenario) if setting.is_scalarised else Unscalarised()
