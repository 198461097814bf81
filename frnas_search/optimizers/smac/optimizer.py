"""The door to SMAC: its facade behind the `Optimizer` protocol, asked and told.

SMAC's files go to a scratch folder that is removed; the event log is the only truth.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ConfigSpace import Configuration as SpaceConfiguration
from ConfigSpace import ConfigurationSpace
from ConfigSpace.exceptions import ForbiddenValueError, IllegalValueError
from smac import Scenario
from smac.facade.abstract_facade import AbstractFacade
from smac.runhistory.dataclasses import TrialInfo, TrialValue
from smac.runhistory.enumerations import StatusType

from frnas_search.coordinator.optimizer import Proposal
from frnas_search.errors import ReplayError
from frnas_search.optimizers.constraint import Accepts
from frnas_search.optimizers.engine import EngineSettings
from frnas_search.optimizers.smac.arrays import VectorSpace, has_prior
from frnas_search.optimizers.smac.candidates import Candidates, distinct
from frnas_search.optimizers.smac.encoder import Observations
from frnas_search.optimizers.smac.intensifier import AsynchronousHyperband
from frnas_search.optimizers.smac.parts import Setting, facade_of
from frnas_search.optimizers.smac.rungs import Rungs
from frnas_search.optimizers.smac.selector import HistorySelector
from results.trial import ConfigurationKey, configuration_key
from search_space.definition.space import plain

if TYPE_CHECKING:
    from frnas_search.optimizers.fidelity import Fidelity
    from results.objectives import Objective
    from results.trial import Configuration, EarlierResult, Origin

# SMAC counts trials and time of its own; the coordinator's limits are the ones that count, and
# may be raised.
_WITHOUT_LIMIT = 10**7

_ORIGINS: tuple[Origin, ...] = ("enqueued", "initial", "random", "model")


class AskedFacade:
    """A facade of SMAC that is asked and told with proposals.

    Args:
        objectives: What is minimised.
        rungs: What SMAC's budgets stand for.
    """

    def __init__(self, objectives: Sequence[Objective], rungs: Rungs) -> None:
        self._objectives = tuple(objectives)
        self._rungs = rungs
        self._scratch = tempfile.TemporaryDirectory(prefix="frnas-smac-")
        self._waiting: dict[tuple[ConfigurationKey, int], TrialInfo] = {}
        self._facade: AbstractFacade

    def ask(self) -> Proposal | None:
        """The next configuration and rung; None when there is none now."""
        try:
            info = self._facade.ask()
        except StopIteration:
            return None
        proposal = self._proposal(info)
        self._waiting[_key(proposal)] = info
        return proposal

    def tell(self, proposal: Proposal, costs: Mapping[str, float] | None) -> None:
        """Tell the costs as shares of their bounds; a failure as the bound of every objective.

        Costs that are not finite are a failure, too.
        """
        info = self._waiting.pop(_key(proposal))
        if costs is None or not all(
            math.isfinite(costs[objective.name]) for objective in self._objectives
        ):
            shares = [1.0] * len(self._objectives)
            value = TrialValue(cost=shares, status=StatusType.CRASHED)
        else:
            value = TrialValue(cost=self._shares(costs), status=StatusType.SUCCESS)
        self._facade.tell(info, value, save=False)

    def close(self) -> None:
        """Remove the scratch folder."""
        self._scratch.cleanup()

    def _scenario(self, space: ConfigurationSpace, seed: int) -> Scenario:
        # SMAC has a single-objective mode with other code paths; one name must not be a list.
        names = [objective.name for objective in self._objectives]
        return Scenario(
            space,
            name="search",
            output_directory=Path(self._scratch.name),
            objectives=names,
            crash_cost=[1.0] * len(names),
            deterministic=True,
            min_budget=self._rungs.min_budget,
            max_budget=self._rungs.max_budget,
            n_trials=_WITHOUT_LIMIT,
            seed=seed,
            n_workers=1,
        )

    def _shares(self, costs: Mapping[str, float]) -> list[float]:
        return [objective.normalised(costs[objective.name]) for objective in self._objectives]

    def _proposal(self, info: TrialInfo) -> Proposal:
        history = self._facade.runhistory
        is_promoted = len(history.get_trials(info.config, highest_observed_budget_only=False)) > 0
        origin: Origin = "promoted" if is_promoted else _origin(info.config)
        return Proposal(
            configuration=plain(info.config), rung=self._rungs.rung(info.budget), origin=origin
        )


class SmacOptimizer(AskedFacade):
    """SMAC's facade with the engine's parts."""

    def __init__(  # noqa: PLR0913 - all that its proposals depend on
        self,
        space: ConfigurationSpace,
        objectives: Sequence[Objective],
        fidelity: Fidelity,
        *,
        seed: int,
        engine: EngineSettings | None = None,
        enqueued: Sequence[Configuration] = (),
        accepts: Accepts | None = None,
        max_costs: Mapping[str, float] | None = None,
        earlier: Sequence[EarlierResult] = (),
    ) -> None:
        """An optimizer of the space.

        Args:
            space: What configurations are drawn from.
            objectives: What is minimised.
            fidelity: Hyperband's budgets.
            seed: Of everything that is drawn.
            engine: Its parts; None are the default ones.
            enqueued: Configurations of the space, proposed before any other.
            accepts: Whether a configuration may be proposed; a function of nothing else. Asked
                before Hyperband knows of it, so that none takes up a place in a bracket.
            max_costs: Objective -> the largest cost that is wanted of it.
            earlier: Results of other runs, of configurations of the space and with a cost of
                every objective.
        """
        super().__init__(objectives, rungs_of(fidelity))
        self._engine = engine or EngineSettings()
        self._space = uniform_space(space)
        wanted = max_costs or {}
        vectors = VectorSpace(self._space, space if self._space is not space else None)
        self._candidates = Candidates(vectors, accepts, seed=seed)
        setting = Setting(
            scenario=self._scenario(self._space, seed),
            engine=self._engine,
            candidates=self._candidates,
            eta=fidelity.eta,
            limits=np.array([_limit(objective, wanted) for objective in self._objectives]),
            enqueued=wanted_first(self._space, enqueued),
            earlier=self._observations(earlier, fidelity) if earlier else None,
        )
        self._facade = facade = facade_of(setting)
        assert isinstance(facade.selector, HistorySelector), "built with it"
        self._selector = facade.selector

    def restore(self, proposal: Proposal) -> None:
        """Take a proposal of the log as asked, without computing it where that is possible.

        SMAC's own Hyperband draws whole brackets at once: it is asked again.

        Raises:
            ReplayError: It cannot have been asked of this optimizer: the configuration is not of
                the space, or it could not be proposed at that rung.
        """
        intensifier = self._facade.intensifier
        if not isinstance(intensifier, AsynchronousHyperband):
            ask_again(self, proposal)
            return
        configuration = _legal(self._space, proposal.configuration)
        if not intensifier.may_take(configuration, proposal.rung):
            raise ReplayError(
                f"the log holds a configuration at rung {proposal.rung} that cannot have been "
                "proposed there"
            )
        configuration.origin = proposal.origin or None
        info = intensifier.take(configuration, proposal.rung)
        self._facade.runhistory.add_running_trial(info)
        self._selector.asked(info.config)
        self._waiting[_key(proposal)] = info

    def why_nothing(self) -> str:
        """Why the search ends if nothing more is proposed; empty when the space is used up."""
        return self._candidates.why_nothing()

    def close(self) -> None:
        """End the thread and remove the scratch folder."""
        self._selector.close()
        super().close()

    def _observations(self, results: Sequence[EarlierResult], fidelity: Fidelity) -> Observations:
        vectors = [
            SpaceConfiguration(self._space, values=dict(result.configuration)).get_array()
            for result in results
        ]
        return Observations(
            vectors=np.array(vectors, float),
            heights=np.array([fidelity.normalised(result.epochs) for result in results], float),
            costs=np.array([self._shares(result.costs) for result in results], float),
        )


def rungs_of(fidelity: Fidelity) -> Rungs:
    """A search's rungs in SMAC's terms."""
    return Rungs(n=fidelity.n_rungs, eta=fidelity.eta, max_budget=float(fidelity.max_epochs))


def ask_again(optimizer: AskedFacade, proposal: Proposal) -> None:
    """Ask, and compare what comes with what the log holds.

    Raises:
        ReplayError: It is something else.
    """
    found = optimizer.ask()
    if found != proposal:
        raise ReplayError(
            f"the log holds {dict(proposal.configuration)} at rung {proposal.rung}, and SMAC "
            "proposes something else after the same results; the space or a library has changed"
        )


def wanted_first(
    space: ConfigurationSpace, enqueued: Sequence[Configuration]
) -> list[SpaceConfiguration]:
    """The user's configurations, each once."""
    return distinct(
        [SpaceConfiguration(space, values=dict(values), origin="enqueued") for values in enqueued]
    )


def uniform_space(space: ConfigurationSpace) -> ConfigurationSpace:
    """The space as SMAC can take it: it refuses priors on what may be inactive."""
    if not any(has_prior(hyperparameter) for hyperparameter in space.values()):
        return space
    uniform = ConfigurationSpace(name=space.name)
    uniform.add([_uniform(hyperparameter) for hyperparameter in space.values()])
    uniform.add(space.conditions)
    uniform.add(space.forbidden_clauses)
    return uniform


def _legal(space: ConfigurationSpace, values: Configuration) -> SpaceConfiguration:
    try:
        return SpaceConfiguration(space, values=dict(values))
    except (IllegalValueError, ForbiddenValueError, ValueError, KeyError) as error:
        raise ReplayError(
            f"the log holds a configuration that is not of this space ({error}); the space or "
            "ConfigSpace has changed since, start a new run"
        ) from error


def _limit(objective: Objective, max_costs: Mapping[str, float]) -> float:
    """The largest share of the bound that is wanted of an objective."""
    if objective.name not in max_costs:
        return math.inf
    return objective.normalised(max_costs[objective.name])


def _origin(configuration: SpaceConfiguration) -> Origin:
    """Ours are written as they are; SMAC's are sentences."""
    told = str(configuration.origin or "")
    if told in _ORIGINS:
        return told
    if told.startswith("Initial"):
        return "initial"
    return "random" if told.startswith("Random") else "model"


def _uniform(hyperparameter: Any) -> Any:
    return hyperparameter.to_uniform() if hasattr(hyperparameter, "to_uniform") else hyperparameter


def _key(proposal: Proposal) -> tuple[ConfigurationKey, int]:
    return configuration_key(proposal.configuration), proposal.rung
