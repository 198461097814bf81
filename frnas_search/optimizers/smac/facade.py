"""A facade of SMAC for fronts: give it a function and call `optimize`, or take single parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ConfigSpace import Configuration
from smac import Scenario
from smac.acquisition.function.abstract_acquisition_function import AbstractAcquisitionFunction
from smac.facade.abstract_facade import AbstractFacade
from smac.main.config_selector import ConfigSelector

from frnas_search.optimizers.smac.acquisition_functions import (
    HypervolumeImprovement,
    PriorWeighted,
)
from frnas_search.optimizers.smac.arrays import VectorSpace
from frnas_search.optimizers.smac.designs import CountedRandom, CoveringDesign
from frnas_search.optimizers.smac.encoder import AllRungsEncoder
from frnas_search.optimizers.smac.intensifier import AsynchronousHyperband
from frnas_search.optimizers.smac.maximizer import ArrayMaximizer
from frnas_search.optimizers.smac.models.handover import FewThenMany
from frnas_search.optimizers.smac.run_history import LongRunHistory
from frnas_search.optimizers.smac.scalarisation import Unscalarised
from frnas_search.optimizers.smac.selector import HistorySelector


class FrontFacade(AbstractFacade):
    """Several objectives, several budgets, any number of workers.

    Works as SMAC's own facades do, with these parts by default; each may be replaced by another
    of its kind, and each may be given to one of SMAC's facades. A scenario with `min_budget` and
    `max_budget` is searched by asynchronous Hyperband, one without trains everything in full.
    """

    def __init__(self, scenario: Scenario, target_function: Any = None, **parts: Any) -> None:
        super().__init__(scenario, target_function, **parts)
        if isinstance(self.selector, HistorySelector):
            self.optimizer.register_callback(self.selector.get_callback())

    def _update_dependencies(self) -> None:
        self._runhistory = LongRunHistory(
            multi_objective_algorithm=self._multi_objective_algorithm,
            n_objectives=self._scenario.count_objectives(),
        )
        super()._update_dependencies()

    @property
    def selector(self) -> ConfigSelector:
        """The part that orders the steps of a proposal."""
        return self.intensifier.config_selector

    def optimize(
        self, *, data_to_scatter: dict[str, Any] | None = None
    ) -> Configuration | list[Configuration]:
        """Search until the scenario's limits, as SMAC does; the front."""
        try:
            return super().optimize(data_to_scatter=data_to_scatter)
        finally:
            self.close()

    def close(self) -> None:
        """End the thread that proposes; for who asks and tells."""
        if isinstance(self.selector, HistorySelector):
            self.selector.close()

    @staticmethod
    def get_model(scenario: Scenario) -> FewThenMany:
        """A Gaussian process while results are few, a forest after that."""
        return FewThenMany(scenario.configspace, seed=scenario.seed)

    @staticmethod
    def get_acquisition_function(scenario: Scenario) -> AbstractAcquisitionFunction:
        """Expected hypervolume improvement, weighted with the space's priors if it has any."""
        space, function = VectorSpace(scenario.configspace), HypervolumeImprovement()
        return PriorWeighted(function, space.log_prior) if space.has_prior else function

    @staticmethod
    def get_acquisition_maximizer(scenario: Scenario) -> ArrayMaximizer:
        """Thousands of candidates at once."""
        return ArrayMaximizer(scenario.configspace, seed=scenario.seed)

    @staticmethod
    def get_intensifier(scenario: Scenario, *, eta: int = 3) -> AsynchronousHyperband:
        """Asynchronous Hyperband over several objectives."""
        return AsynchronousHyperband(scenario, eta=eta)

    @staticmethod
    def get_initial_design(
        scenario: Scenario,
        *,
        n_configs: int = 10,
        additional_configs: Sequence[Configuration] = (),
    ) -> CoveringDesign:
        """Ten configurations that cover the space's choices, the additional ones first."""
        return CoveringDesign(scenario, n_configs=n_configs, additional_configs=additional_configs)

    @staticmethod
    def get_random_design(scenario: Scenario, *, probability: float = 0.05) -> CountedRandom:
        """One in twenty at random."""
        return CountedRandom(probability, seed=scenario.seed)

    @staticmethod
    def get_runhistory_encoder(scenario: Scenario, *, eta: int = 3) -> AllRungsEncoder:
        """Results of all rungs."""
        return AllRungsEncoder(scenario, eta=eta)

    @staticmethod
    def get_multi_objective_algorithm(scenario: Scenario) -> Unscalarised:
        """None is needed: the model sees every objective."""
        del scenario
        return Unscalarised()

    @staticmethod
    def get_config_selector(
        scenario: Scenario, *, retrain_after: int = 1, retries: int = 16
    ) -> HistorySelector:
        """Encode, train, update, maximise, ahead of need.

        Args:
            scenario: SMAC's.
            retrain_after: Not heeded: every configuration has a model of its own.
            retries: Not heeded: what is known is never proposed again.
        """
        del retrain_after, retries
        return HistorySelector(scenario)
