"""SMAC's scenario and its facade, built with our intensifier and our selector.

SMAC keeps the run history and the order of asking and telling. Its runner, persistence, resume,
validation and incumbents are not used: it dies with a worker, asks questions on the terminal, and
its saved state leaves out the random generators.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ConfigSpace import Configuration as SpaceConfiguration
from ConfigSpace import ConfigurationSpace
from smac import MultiFidelityFacade, Scenario
from smac.initial_design.abstract_initial_design import AbstractInitialDesign
from smac.multi_objective.parego import ParEGO

from frnas_search.optimizers.smac.selector import Selector

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from smac.runhistory.runhistory import RunHistory

    from frnas_search.optimizers.fidelity import Fidelity
    from frnas_search.optimizers.smac.intensifier import Intensifier
    from frnas_search.optimizers.smac.proposal_queue import ProposalQueue
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
    scenario: Scenario, intensifier: Intensifier, *, queue: ProposalQueue
) -> MultiFidelityFacade:
    """SMAC's facade with our parts; its own surrogate and maximizer are built and never used."""
    facade = MultiFidelityFacade(
        scenario,
        intensifier=intensifier,
        initial_design=_NoInitialDesign(scenario, n_configs=1),
        config_selector=Selector(scenario, queue=queue),
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
