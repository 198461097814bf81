"""The door to SMAC: its facade with an intensifier, a selector and an encoder of our own.

SMAC keeps the run history and the order of asking and telling. Which trial is next is decided by
`frnas_search.promotion` and `frnas_search.proposer`, behind SMAC's own extension points. SMAC's
runner, persistence, resume, validation and incumbents are not used: it dies with a worker, asks
questions on the terminal, and its saved state leaves out the random generators. Its files go to a
scratch folder that is removed; the event log is the only truth.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
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
from smac import Callback, MultiFidelityFacade, Scenario
from smac.initial_design.abstract_initial_design import AbstractInitialDesign
from smac.intensifier.abstract_intensifier import AbstractIntensifier
from smac.main.config_selector import ConfigSelector
from smac.multi_objective.parego import ParEGO
from smac.runhistory.dataclasses import TrialInfo, TrialValue
from smac.runhistory.enumerations import StatusType

from frnas_search.ahead import Ahead
from frnas_search.errors import ReplayError
from frnas_search.history import History
from frnas_search.optimizer import Proposal
from frnas_search.promotion import AsynchronousHyperband
from frnas_search.proposer import Proposer, ProposerSettings
from frnas_search.vector_space import VectorSpace
from search_space.space import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smac.main.smbo import SMBO

    from frnas_search.schedule import Fidelity
    from results.objectives import Objective
    from results.pareto import FloatArray

# SMAC counts trials and time of its own; ours are the limits that count.
_WITHOUT_LIMIT = 10**7

# A hair below the cheapest rung, so that a rounding of the logarithm never drops that rung.
_JUST_BELOW = 1 - 1e-9

_UNEVEN = (
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
        settings: ProposerSettings | None = None,
    ) -> None:
        """An optimizer of the space.

        Args:
            space: What configurations are drawn from.
            objectives: What is minimised.
            fidelity: Hyperband's budgets.
            seed: Of everything that is drawn.
            n_initial_configurations: Drawn at random before the surrogate is used.
            enqueued: Configurations of the space, proposed before any other.
            accepts: Whether a configuration may be proposed; a function of nothing else. Asked
                before Hyperband hears of it, so that none takes up a place in a bracket.
            max_costs: Objective -> the largest cost that is wanted of it.
            settings: Parts of the engine that are used.
        """
        self._objectives = tuple(objectives)
        self._fidelity = fidelity
        self._scratch = tempfile.TemporaryDirectory(prefix="frnas-smac-")
        self._waiting: dict[_Key, TrialInfo] = {}
        self._space = _uniform_space(space)
        vectors = VectorSpace(self._space, space if self._space is not space else None)
        wanted = max_costs or {}
        limits = np.array([_limit(each, wanted) for each in self._objectives])
        history = History(vectors.n_dimensions, len(self._objectives))
        self._history = history
        proposer = Proposer(
            vectors,
            n_rungs=fidelity.n_rungs,
            settings=settings or ProposerSettings(n_initial=n_initial_configurations),
            seed=seed,
            limits=limits,
            first=[self._configuration(each).get_array() for each in enqueued],
            accepts=lambda vector: self._accepts(vector, accepts),
        )
        self._ahead = Ahead(history=history, propose=proposer.propose)
        self._board = _Board(
            history=history,
            hyperband=AsynchronousHyperband(fidelity.n_rungs, fidelity.eta, limits=limits),
            ahead=self._ahead,
        )
        scenario = _scenario(
            self._space, self._objectives, fidelity, seed, Path(self._scratch.name)
        )
        self._intensifier = _Intensifier(scenario, board=self._board, budgets=_budgets(fidelity))
        self._facade = _facade(scenario, self._intensifier, ahead=self._ahead)

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
        if not self._board.may_take(configuration, proposal.rung):
            raise ReplayError(
                f"the log holds a configuration at rung {proposal.rung} that cannot have been "
                "proposed there"
            )
        self._board.take(configuration, proposal.rung)
        info = self._intensifier.trial(configuration, proposal.rung)
        self._facade.runhistory.add_running_trial(info)
        self._waiting[_key(proposal)] = info

    def tell(self, proposal: Proposal, costs: Mapping[str, float] | None) -> None:
        """Tell the costs as shares of their bounds; a failure as the bound of every objective.

        Costs that are not finite are a failure, too.
        """
        info = self._waiting.pop(_key(proposal))
        if costs is None or not all(math.isfinite(costs[each.name]) for each in self._objectives):
            shares = [1.0] * len(self._objectives)
            value = TrialValue(cost=shares, status=StatusType.CRASHED)
        else:
            shares = [each.normalised(costs[each.name]) for each in self._objectives]
            value = TrialValue(cost=shares, status=StatusType.SUCCESS)
        self._facade.tell(info, value, save=False)

    def close(self) -> None:
        """End the thread and remove the scratch folder."""
        self._ahead.close()
        self._scratch.cleanup()

    def _configuration(self, values: Mapping[str, Any]) -> SpaceConfiguration:
        return SpaceConfiguration(self._space, values=dict(values))

    def _accepts(self, vector: FloatArray, accepts: Accepts) -> bool:
        """Also whether it is legal: ConfigSpace's checks of whole arrays miss some clauses."""
        configuration = SpaceConfiguration(self._space, vector=vector)
        try:
            configuration.check_valid_configuration()
        except (ForbiddenValueError, ValueError):
            return False
        return accepts(plain(configuration))

    def _proposal(self, info: TrialInfo) -> Proposal:
        assert info.budget is not None, "Hyperband always sets a budget"
        return Proposal(configuration=plain(info.config), rung=self._fidelity.rung_of(info.budget))


def _limit(objective: Objective, max_costs: Mapping[str, float]) -> float:
    """The largest share of the bound that is wanted of an objective."""
    if objective.name not in max_costs:
        return float("inf")
    return objective.normalised(max_costs[objective.name])


def _budgets(fidelity: Fidelity) -> tuple[float, ...]:
    return tuple(
        fidelity.max_epochs / fidelity.eta**k for k in range(fidelity.n_rungs - 1, -1, -1)
    )


@dataclass(slots=True, kw_only=True)
class _Board:
    """Configurations with their numbers, between SMAC's objects and the engine's arrays.

    Nothing here changes while a trial is looked for; `take` makes a choice come true.
    """

    history: History
    hyperband: AsynchronousHyperband
    ahead: Ahead
    configurations: list[SpaceConfiguration] = field(default_factory=list)
    numbers: dict[SpaceConfiguration, int] = field(default_factory=dict)

    def raised(self) -> tuple[SpaceConfiguration, int] | None:
        """A configuration that should go on."""
        found = self.hyperband.promotion()
        return None if found is None else (self.configurations[found[0]], found[1])

    def left(self) -> tuple[SpaceConfiguration, int] | None:
        """A configuration that may go on when there is no new one."""
        found = self.hyperband.leftover()
        return None if found is None else (self.configurations[found[0]], found[1])

    def may_take(self, configuration: SpaceConfiguration, rung: int) -> bool:
        """Whether the configuration is new, or may go on to the rung."""
        number = self.numbers.get(configuration)
        if number is None:
            return 0 <= rung < self.hyperband.n_rungs
        return self.hyperband.may_be_raised(number, rung)

    def take(self, configuration: SpaceConfiguration, rung: int) -> None:
        """The configuration is trained to the rung from now on."""
        number = self.numbers.get(configuration)
        if number is None:
            vector = configuration.get_array()
            number = self.history.add(vector)
            self.configurations.append(configuration)
            self.numbers[configuration] = number
            self.hyperband.started(rung)
            self.ahead.taken(vector)
        else:
            self.hyperband.raised(number, rung)
        self.history.asked(number, rung)
        self.ahead.changed()

    def told(
        self, configuration: SpaceConfiguration, rung: int, costs: Sequence[float] | None
    ) -> None:
        """A result; None of a failure."""
        number = self.numbers[configuration]
        self.history.told(number, rung, costs)
        self.hyperband.told(number, rung, costs)
        self.ahead.changed()


class _Intensifier(AbstractIntensifier):
    """Asynchronous Hyperband in SMAC's terms: the next trial, whenever it is asked for one."""

    def __init__(self, scenario: Scenario, *, board: _Board, budgets: tuple[float, ...]) -> None:
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

    def __init__(self, intensifier: _Intensifier) -> None:
        self._intensifier = intensifier

    def __iter__(self) -> _Trials:
        return self

    def __next__(self) -> TrialInfo:
        return self._intensifier.next_trial()


class _Ear(Callback):
    """Hands on what SMAC was told."""

    def __init__(self, board: _Board, budgets: tuple[float, ...]) -> None:
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


def _scenario(
    space: ConfigurationSpace,
    objectives: Sequence[Objective],
    fidelity: Fidelity,
    seed: int,
    scratch: Path,
) -> Scenario:
    # SMAC has a single-objective mode with other code paths; one name must not be a list.
    names = [each.name for each in objectives]
    budgets = _budgets(fidelity)
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


def _facade(scenario: Scenario, intensifier: _Intensifier, *, ahead: Ahead) -> MultiFidelityFacade:
    return MultiFidelityFacade(
        scenario,
        intensifier=intensifier,
        initial_design=_NoInitialDesign(scenario, n_configs=1),
        config_selector=_Selector(scenario, ahead=ahead),
        multi_objective_algorithm=ParEGO(scenario),
        logging_level=False,
        overwrite=True,
    )


def _uniform_space(space: ConfigurationSpace) -> ConfigurationSpace:
    """The space as SMAC can take it: it refuses priors on what may be inactive."""
    if not any(_is_uneven(each) for each in space.values()):
        return space
    uniform = ConfigurationSpace(name=space.name)
    uniform.add([_uniform(each) for each in space.values()])
    uniform.add(space.conditions)
    uniform.add(space.forbidden_clauses)
    return uniform


def _is_uneven(hyperparameter: Any) -> bool:
    if isinstance(hyperparameter, CategoricalHyperparameter):
        return len(set(hyperparameter.probabilities)) > 1
    return isinstance(hyperparameter, _UNEVEN)


def _uniform(hyperparameter: Any) -> Any:
    return hyperparameter.to_uniform() if hasattr(hyperparameter, "to_uniform") else hyperparameter


def _key(proposal: Proposal) -> _Key:
    return (tuple(sorted(proposal.configuration.items())), proposal.rung)
