"""SMAC's extension points: an intensifier and a selector that ask the engine.

SMAC keeps the run history and the order of asking and telling. Its runner, persistence, resume,
validation and incumbents are not used: it dies with a worker, asks questions on the terminal, and
its saved state leaves out the random generators.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from ConfigSpace import Configuration as SpaceConfiguration
from ConfigSpace import ConfigurationSpace
from smac import Callback, MultiFidelityFacade, Scenario
from smac.initial_design.abstract_initial_design import AbstractInitialDesign
from smac.intensifier.abstract_intensifier import AbstractIntensifier
from smac.main.config_selector import ConfigSelector
from smac.multi_objective.parego import ParEGO
from smac.runhistory.dataclasses import TrialInfo, TrialValue
from smac.runhistory.enumerations import StatusType

from search_space.definition.space import plain

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from smac.main.smbo import SMBO
    from smac.runhistory.runhistory import RunHistory

    from frnas_search.optimizers.fidelity import Fidelity
    from frnas_search.optimizers.smac.intensifier import Board
    from frnas_search.optimizers.smac.selector import Ahead
    from results.objectives import Objective

# SMAC counts trials and time of its own; ours are the limits that count.
_WITHOUT_LIMIT = 10**7

# A hair below the cheapest rung, so that a rounding of the logarithm never drops that rung.
_JUST_BELOW = 1 - 1e-9


def budgets_of(fidelity: Fidelity) -> tuple[float, ...]:
    """SMAC's budgets, those of the rungs, not rounded."""
    return tuple(
        fidelity.max_epochs / fidelity.eta**k for k in range(fidelity.n_rungs - 1, -1, -1)
    )


class Intensifier(AbstractIntensifier):
    """Asynchronous Hyperband in SMAC's terms: the next trial, whenever it is asked for one."""

    def __init__(self, scenario: Scenario, *, board: Board, budgets: tuple[float, ...]) -> None:
        super().__init__(scenario, n_seeds=1, max_config_calls=None, seed=scenario.seed)
        self._board = board
        self._budgets = budgets

    uses_seeds = True
    uses_budgets = True
    uses_instances = False
    uses_cutoffs = False

    def __iter__(self) -> Iterator[TrialInfo]:
        return _Trials(self)

    def next_trial(self) -> TrialInfo:
        """A configuration that goes on, else a new one, else one that waits for its turn.

        Raises:
            StopIteration: There is nothing now; after the next result there may be.
        """
        chosen = self._board.raised() or self._new() or self._board.left()
        if chosen is None:
            raise StopIteration
        self._board.take(*chosen)
        return self.trial(*chosen)

    def trial(self, configuration: SpaceConfiguration, rung: int) -> TrialInfo:
        """What SMAC calls training a configuration to a rung."""
        return TrialInfo(config=configuration, seed=self._seed, budget=self._budgets[rung])

    def _new(self) -> tuple[SpaceConfiguration, int] | None:
        configuration = next(self.config_generator, None)
        if configuration is None:
            return None
        return configuration, self._board.hyperband.starting_rung()

    def update_incumbents(self, config: SpaceConfiguration) -> None:
        """Nothing: the front is ours."""

    def get_callback(self) -> Callback:
        """What SMAC calls with every result."""
        return _Ear(self._board, self._budgets)


class _Trials:
    """An iterator that may have nothing now and something later."""

    def __init__(self, intensifier: Intensifier) -> None:
        self._intensifier = intensifier

    def __iter__(self) -> _Trials:
        return self

    def __next__(self) -> TrialInfo:
        return self._intensifier.next_trial()


class _Ear(Callback):
    """Hands on what SMAC was told."""

    def __init__(self, board: Board, budgets: tuple[float, ...]) -> None:
        self._board = board
        self._budgets = budgets

    def on_tell_end(self, smbo: SMBO, info: TrialInfo, value: TrialValue) -> None:
        """A trial has ended."""
        del smbo
        is_failure = value.status != StatusType.SUCCESS
        costs = None if is_failure else np.atleast_1d(value.cost).tolist()
        self._board.told(info.config, self._budgets.index(info.budget), costs)


class _Selector(ConfigSelector):
    """New configurations in SMAC's terms; made by the proposer, ahead of need."""

    def __init__(self, scenario: Scenario, *, ahead: Ahead) -> None:
        super().__init__(scenario)
        self._ahead = ahead

    def __iter__(self) -> Iterator[SpaceConfiguration]:
        return self

    def __next__(self) -> SpaceConfiguration:
        vector = self._ahead.next()
        if vector is None:
            raise StopIteration
        drawn = SpaceConfiguration(self._scenario.configspace, vector=vector)
        # By its values, as a replay does: a vector may differ from that in its last bits.
        return SpaceConfiguration(self._scenario.configspace, values=plain(drawn))


class _NoInitialDesign(AbstractInitialDesign):
    """The proposer knows what comes first; SMAC complains about none at all."""

    def _select_configurations(self) -> list[SpaceConfiguration]:
        return [self._configspace.get_default_configuration()]


def scenario_of(
    space: ConfigurationSpace,
    objectives: Sequence[Objective],
    fidelity: Fidelity,
    seed: int,
    scratch: Path,
) -> Scenario:
    """What SMAC is told of a search; its files go to `scratch`."""
    # SMAC has a single-objective mode with other code paths; one name must not be a list.
    names = [objective.name for objective in objectives]
    budgets = budgets_of(fidelity)
    return Scenario(
        space,
        name="search",
        output_directory=scratch,
        objectives=names,
        crash_cost=[1.0] * len(names),
        min_budget=budgets[0] * _JUST_BELOW,
        max_budget=budgets[-1],
        n_trials=_WITHOUT_LIMIT,
        seed=seed,
        n_workers=1,
    )


def facade_of(
    scenario: Scenario, intensifier: Intensifier, *, ahead: Ahead
) -> MultiFidelityFacade:
    """SMAC's facade with our parts; its own surrogate and maximizer are built and never used."""
    facade = MultiFidelityFacade(
        scenario,
        intensifier=intensifier,
        initial_design=_NoInitialDesign(scenario, n_configs=1),
        config_selector=_Selector(scenario, ahead=ahead),
        multi_objective_algorithm=ParEGO(scenario),
        logging_level=False,
        overwrite=True,
    )
    _bound_costs(facade.runhistory, len(scenario.objectives))
    return facade


def _bound_costs(history: RunHistory, n_objectives: int) -> None:
    """Tell SMAC that costs are shares: it would go through all results with every trial."""
    history._objective_bounds = [(0.0, 1.0)] * n_objectives
    history._update_objective_bounds = lambda: None  # type: ignore[method-assign]
