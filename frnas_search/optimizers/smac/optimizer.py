"""The door to SMAC: its facade behind the `Optimizer` protocol, asking the engine what is next.

Which trial that is, `promotion` and `maximizer` decide, behind SMAC's own extension points
(`intensifier`, `selector`). SMAC's files go to a scratch folder that is removed; the event log is
the only truth.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from ConfigSpace import (
    BetaFloatHyperparameter,
    BetaIntegerHyperparameter,
    CategoricalHyperparameter,
    ConfigurationSpace,
    NormalFloatHyperparameter,
    NormalIntegerHyperparameter,
)
from ConfigSpace import Configuration as SpaceConfiguration
from ConfigSpace.exceptions import ForbiddenValueError, IllegalValueError
from smac.runhistory.dataclasses import TrialInfo, TrialValue
from smac.runhistory.enumerations import StatusType

from frnas_search.coordinator.optimizer import Proposal
from frnas_search.errors import ReplayError
from frnas_search.optimizers.smac.arrays import VectorSpace
from frnas_search.optimizers.smac.bookkeeping import Bookkeeping
from frnas_search.optimizers.smac.encoder import Observations
from frnas_search.optimizers.smac.facade import budgets_of, facade_of, scenario_of
from frnas_search.optimizers.smac.history import History
from frnas_search.optimizers.smac.intensifier import Intensifier
from frnas_search.optimizers.smac.maximizer import Proposer, ProposerSettings
from frnas_search.optimizers.smac.promotion import AsynchronousHyperband
from frnas_search.optimizers.smac.proposal_queue import ProposalQueue
from search_space.definition.space import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from frnas_search.optimizers.fidelity import Fidelity
    from results.objectives import Objective
    from results.trial import EarlierResult

_PRIORS = (
    BetaFloatHyperparameter,
    BetaIntegerHyperparameter,
    NormalFloatHyperparameter,
    NormalIntegerHyperparameter,
)

Accepts: TypeAlias = Callable[[Mapping[str, bool | int | float | str]], bool]

_Key = tuple[tuple[tuple[str, Any], ...], int]


class SmacOptimizer:
    """SMAC's multi-fidelity facade behind the `Optimizer` protocol."""

    def __init__(  # noqa: PLR0913 - all that its proposals depend on
        self,
        space: ConfigurationSpace,
        objectives: Sequence[Objective],
        fidelity: Fidelity,
        *,
        seed: int,
        n_initial_configurations: int = 10,
        enqueued: Sequence[Mapping[str, bool | int | float | str]] = (),
        accepts: Accepts = lambda _: True,
        max_costs: Mapping[str, float] | None = None,
        earlier: Sequence[EarlierResult] = (),
        settings: ProposerSettings | None = None,
    ) -> None:
        """An optimizer of the space.

        Args:
            space: What configurations are drawn from.
            objectives: What is minimised.
            fidelity: Hyperband's budgets.
            seed: Of everything that is drawn.
            n_initial_configurations: Drawn at random before the surrogate is used; none where
                there are as many earlier results.
            enqueued: Configurations of the space, proposed before any other.
            accepts: Whether a configuration may be proposed; a function of nothing else. Asked
                before Hyperband knows of it, so that none takes up a place in a bracket.
            max_costs: Objective -> the largest cost that is wanted of it.
            earlier: Results of other runs, of configurations of the space and with a cost of
                every objective.
            settings: Parts of the engine that are used.
        """
        self._objectives = tuple(objectives)
        self._fidelity = fidelity
        self._scratch = tempfile.TemporaryDirectory(prefix="frnas-smac-")
        self._waiting: dict[_Key, TrialInfo] = {}
        self._space = _uniform_space(space)
        vectors = VectorSpace(self._space, space if self._space is not space else None)
        wanted = max_costs or {}
        limits = np.array([_limit(objective, wanted) for objective in self._objectives])
        history = History(vectors.n_dimensions, len(self._objectives))
        proposer = Proposer(
            vectors,
            n_rungs=fidelity.n_rungs,
            settings=settings or ProposerSettings(n_initial=n_initial_configurations),
            seed=seed,
            limits=limits,
            first=[self._configuration(values).get_array() for values in enqueued],
            accepts=lambda vector: accepts(plain(SpaceConfiguration(self._space, vector=vector))),
            earlier=self._observations(earlier) if earlier else None,
        )
        self._queue = ProposalQueue(history=history, propose=proposer.propose)
        self._bookkeeping = Bookkeeping(
            history=history,
            hyperband=AsynchronousHyperband(fidelity.n_rungs, fidelity.eta, limits=limits),
            queue=self._queue,
        )
        scenario = scenario_of(
            self._space, self._objectives, fidelity, seed, Path(self._scratch.name)
        )
        self._intensifier = Intensifier(
            scenario, bookkeeping=self._bookkeeping, budgets=budgets_of(fidelity)
        )
        self._facade = facade_of(scenario, self._intensifier, queue=self._queue)

    def ask(self) -> Proposal | None:
        """The next configuration and rung; None when there is none now."""
        try:
            info = self._facade.ask()
        except StopIteration:
            return None
        proposal = self._proposal(info)
        self._waiting[_key(proposal)] = info
        return proposal

    def restore(self, proposal: Proposal) -> None:
        """Take a proposal of the log as asked, without computing it.

        Raises:
            ReplayError: It cannot have been asked of this optimizer: the configuration is not of
                the space, or it could not be proposed at that rung.
        """
        try:
            configuration = self._configuration(proposal.configuration)
        except (IllegalValueError, ForbiddenValueError, ValueError, KeyError) as error:
            raise ReplayError(
                f"the log holds a configuration that is not of this space ({error}); the space or "
                "ConfigSpace has changed since, start a new run"
            ) from error
        if not self._bookkeeping.may_take(configuration, proposal.rung):
            raise ReplayError(
                f"the log holds a configuration at rung {proposal.rung} that cannot have been "
                "proposed there"
            )
        self._bookkeeping.take(configuration, proposal.rung)
        info = self._intensifier.trial(configuration, proposal.rung)
        self._facade.runhistory.add_running_trial(info)
        self._waiting[_key(proposal)] = info

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
            shares = [
                objective.normalised(costs[objective.name]) for objective in self._objectives
            ]
            value = TrialValue(cost=shares, status=StatusType.SUCCESS)
        self._facade.tell(info, value, save=False)

    def close(self) -> None:
        """End the thread and remove the scratch folder."""
        self._queue.close()
        self._scratch.cleanup()

    def _configuration(self, values: Mapping[str, Any]) -> SpaceConfiguration:
        return SpaceConfiguration(self._space, values=dict(values))

    def _observations(self, results: Sequence[EarlierResult]) -> Observations:
        vectors = [self._configuration(result.configuration).get_array() for result in results]
        costs = [
            [objective.normalised(result.costs[objective.name]) for objective in self._objectives]
            for result in results
        ]
        return Observations(
            vectors=np.array(vectors, float),
            fidelities=np.array(
                [self._fidelity.normalised(result.epochs) for result in results], float
            ),
            costs=np.array(costs, float),
        )

    def _proposal(self, info: TrialInfo) -> Proposal:
        assert info.budget is not None, "Hyperband always sets a budget"
        return Proposal(configuration=plain(info.config), rung=self._fidelity.rung_of(info.budget))


def _limit(objective: Objective, max_costs: Mapping[str, float]) -> float:
    """The largest share of the bound that is wanted of an objective."""
    if objective.name not in max_costs:
        return float("inf")
    return objective.normalised(max_costs[objective.name])


def _uniform_space(space: ConfigurationSpace) -> ConfigurationSpace:
    """The space as SMAC can take it: it refuses priors on what may be inactive."""
    if not any(_has_prior(hyperparameter) for hyperparameter in space.values()):
        return space
    uniform = ConfigurationSpace(name=space.name)
    uniform.add([_uniform(hyperparameter) for hyperparameter in space.values()])
    uniform.add(space.conditions)
    uniform.add(space.forbidden_clauses)
    return uniform


def _has_prior(hyperparameter: Any) -> bool:
    if isinstance(hyperparameter, CategoricalHyperparameter):
        return len(set(hyperparameter.probabilities)) > 1
    return isinstance(hyperparameter, _PRIORS)


def _uniform(hyperparameter: Any) -> Any:
    return hyperparameter.to_uniform() if hasattr(hyperparameter, "to_uniform") else hyperparameter


def _key(proposal: Proposal) -> _Key:
    return (tuple(sorted(proposal.configuration.items())), proposal.rung)
