"""The door to SMAC: Hyperband over rungs, a random forest and ParEGO, by ask and tell only.

SMAC's own runner, persistence, resume, validation and incumbents are not used: it dies with a
worker, asks questions on the terminal, and its saved state leaves out the random generators. Its
files go to a scratch folder that is removed; the event log is the only truth.
"""

from __future__ import annotations

import copy
import itertools
import tempfile
import warnings
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import joblib
import numpy as np
from ConfigSpace import (
    BetaFloatHyperparameter,
    BetaIntegerHyperparameter,
    ConfigurationSpace,
    NormalFloatHyperparameter,
    NormalIntegerHyperparameter,
)
from ConfigSpace import Configuration as SpaceConfiguration
from smac import MultiFidelityFacade, Scenario
from smac.acquisition.maximizer import LocalAndSortedRandomSearch, LocalSearch
from smac.initial_design.random_design import RandomInitialDesign
from smac.intensifier import Hyperband
from smac.main.config_selector import ConfigSelector
from smac.main.exceptions import ConfigurationSpaceExhaustedException
from smac.multi_objective.parego import ParEGO
from smac.runhistory.dataclasses import TrialInfo, TrialValue
from smac.runhistory.enumerations import StatusType

from frnas_search.errors import ReplayError
from frnas_search.optimizer import Proposal
from search_space.space import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from smac.model.random_forest import RandomForest

    from frnas_search.schedule import Fidelity
    from results.objectives import Objective
    from results.pareto import FloatArray

# SMAC counts trials and time of its own; ours are the limits that count.
_WITHOUT_LIMIT = 10**7

# A hair below the cheapest rung, so that a rounding of the logarithm never drops that rung.
_JUST_BELOW = 1 - 1e-9

# More than there will be trials at one rung. scikit-learn allocates as many before it grows a
# tree, and SMAC's 2**20 take a tenth of a second for each.
_MOST_LEAVES = 2**12

# Configurations in a row that were proposed before or are not accepted, after which a space counts
# as exhausted; and so many where drawing one takes next to no time.
_MOST_REPEATS = 100
_MOST_DRAWS = 1000

# SMAC's defaults.
_N_CHALLENGERS = 10_000
_N_LOCAL_SEARCHES = 10

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
        n_initial_configurations: int,
        enqueued: Sequence[Mapping[str, bool | int | float | str]] = (),
        accepts: Accepts = lambda _: True,
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
        """
        self._objectives = tuple(objectives)
        self._fidelity = fidelity
        self._scratch = tempfile.TemporaryDirectory(prefix="frnas-smac-")
        self._waiting: dict[_Key, TrialInfo] = {}
        space = _with_uniform_model(space)
        self._facade = _facade(
            _scenario(space, self._objectives, fidelity, seed, Path(self._scratch.name)),
            eta=fidelity.eta,
            n_initial_configurations=n_initial_configurations,
            enqueued=[SpaceConfiguration(space, values=dict(each)) for each in enqueued],
            accepts=lambda configuration: accepts(plain(configuration)),
        )

    def ask(self) -> Proposal | None:
        """The next configuration and rung; None when the space is exhausted."""
        try:
            with _sequential_and_quiet():
                info = self._facade.ask()
        except StopIteration:
            return None
        proposal = self._proposal(info)
        self._waiting[_key(proposal)] = info
        return proposal

    def tell(self, proposal: Proposal, costs: Mapping[str, float] | None) -> None:
        """Tell the costs as shares of their bounds; a failure as the bound of every objective."""
        info = self._waiting.pop(_key(proposal))
        if costs is None:
            shares = [1.0] * len(self._objectives)
            value = TrialValue(cost=shares, status=StatusType.CRASHED)
        else:
            shares = [each.normalised(costs[each.name]) for each in self._objectives]
            value = TrialValue(cost=shares, status=StatusType.SUCCESS)
        with _sequential_and_quiet():
            self._facade.tell(info, value, save=False)

    def restore(self, proposal: Proposal) -> None:
        """Propose it again, for SMAC's generators must draw what they drew.

        Raises:
            ReplayError: Something else is proposed, as another version of SMAC or scikit-learn
                may.
        """
        found = self.ask()
        if found != proposal:
            raise ReplayError(f"the log holds {proposal}, but replaying it proposes {found}")

    def close(self) -> None:
        """Remove the scratch folder."""
        self._scratch.cleanup()

    def _proposal(self, info: TrialInfo) -> Proposal:
        assert info.budget is not None, "Hyperband always sets a budget"
        return Proposal(configuration=plain(info.config), rung=self._fidelity.rung_of(info.budget))


def _scenario(
    space: ConfigurationSpace,
    objectives: Sequence[Objective],
    fidelity: Fidelity,
    seed: int,
    scratch: Path,
) -> Scenario:
    # SMAC has a single-objective mode with other code paths; one name must not be a list.
    names = [each.name for each in objectives]
    cheapest = fidelity.max_epochs / fidelity.eta ** (fidelity.n_rungs - 1)
    return Scenario(
        space,
        name="search",
        output_directory=scratch,
        objectives=names,
        crash_cost=[1.0] * len(names),
        min_budget=cheapest * _JUST_BELOW,
        max_budget=float(fidelity.max_epochs),
        n_trials=_WITHOUT_LIMIT,
        seed=seed,
        n_workers=1,
    )


def _facade(
    scenario: Scenario,
    *,
    eta: int,
    n_initial_configurations: int,
    enqueued: list[SpaceConfiguration],
    accepts: Callable[[SpaceConfiguration], bool],
) -> MultiFidelityFacade:
    return MultiFidelityFacade(
        scenario,
        _never_called,
        # Any other selection compares incumbents across budgets and dies on an assertion.
        intensifier=Hyperband(scenario, eta=eta, incumbent_selection="highest_budget"),
        initial_design=_InitialDesign(
            scenario,
            accepts=accepts,
            n_configs=n_initial_configurations,
            max_ratio=1.0,  # of our own limit of trials SMAC knows nothing
            additional_configs=enqueued,
        ),
        model=_forest(scenario),
        acquisition_maximizer=_maximizer(scenario, accepts),
        # The default keeps one ParEGO weight for eight proposals: hardly better than random.
        config_selector=_FreshSelector(scenario, retrain_after=1, accepts=accepts),
        multi_objective_algorithm=ParEGO(scenario),
        logging_level=False,
        overwrite=True,
    )


class _PriorSpace(ConfigurationSpace):
    """A space that looks uniform and is drawn from the user's priors.

    SMAC refuses normal and beta hyperparameters that may be inactive, and its forest has no use
    for them; whatever it draws at random shall follow the priors all the same.
    """

    drawn_from: ConfigurationSpace

    def seed(self, seed: int) -> None:
        """Seed what is drawn from."""
        super().seed(seed)
        self.drawn_from.seed(seed)

    def sample_configuration(self, size: int | None = None) -> Any:
        """Draw as the priors say; the configurations are of this space."""
        if size is None or size == 1:  # ConfigSpace gives no list for either
            return self._own(self.drawn_from.sample_configuration())
        return [self._own(each) for each in self.drawn_from.sample_configuration(size=size)]

    def _own(self, drawn: SpaceConfiguration) -> SpaceConfiguration:
        # A vector places values between the bounds, whatever their distribution; going by values
        # takes SMAC's thousands of draws from a hundredth of a second to seconds.
        return SpaceConfiguration(self, vector=drawn.get_array())


def _with_uniform_model(space: ConfigurationSpace) -> ConfigurationSpace:
    """The space as SMAC can take it."""
    if not any(isinstance(each, _UNEVEN) for each in space.values()):
        return space
    uniform = _PriorSpace(name=space.name)
    uniform.drawn_from = space
    uniform.add([_uniform(each) for each in space.values()])
    uniform.add(space.conditions)
    uniform.add(space.forbidden_clauses)
    return uniform


def _uniform(hyperparameter: Any) -> Any:
    return hyperparameter.to_uniform() if hasattr(hyperparameter, "to_uniform") else hyperparameter


class _InitialDesign(RandomInitialDesign):
    """SMAC's random initial design, after what is enqueued, and drawn from the user's priors.

    SMAC's puts what is added last and draws from a copy of the space without priors.
    """

    def __init__(self, *args: Any, accepts: Callable[[SpaceConfiguration], bool], **options: Any):
        super().__init__(*args, **options)
        self._accepts = accepts

    def _select_configurations(self) -> list[SpaceConfiguration]:
        """Fewer than wanted where hardly anything that is drawn is accepted."""
        space, n = copy.deepcopy(self._configspace), self._n_configs
        first = [space.sample_configuration()] if n == 1 else space.sample_configuration(size=n)
        more = (space.sample_configuration() for _ in range(_MOST_DRAWS * n))
        drawn = filter(self._accepts, itertools.chain(first, more))
        return list(itertools.islice(drawn, n))

    def select_configurations(self) -> list[SpaceConfiguration]:
        """What is enqueued, then the random ones; each once."""
        first = list(self._additional_configs)
        self._additional_configs = []
        return list(dict.fromkeys([*first, *super().select_configurations()]))


class _FreshSelector(ConfigSelector):
    """SMAC's selector, with a forest of its own for each proposal and an end where a space ends.

    SMAC draws a ParEGO weight for each proposal but keeps the forest of an older weight until
    there are new results, and Hyperband takes the proposals for a whole bracket at once.
    """

    def __init__(self, *args: Any, accepts: Callable[[SpaceConfiguration], bool], **options: Any):
        super().__init__(*args, **options)
        self._accepts = accepts

    def __iter__(self) -> Iterator[SpaceConfiguration]:
        seen: set[SpaceConfiguration] = set()
        n_useless = 0
        try:
            for config in super().__iter__():
                self._previous_entries = -1
                if config not in seen and self._accepts(config):
                    n_useless = 0
                    seen.add(config)
                    yield config
                    continue
                # Before the first result it draws without a memory, for ever; later it searches
                # for seconds before each draw.
                n_useless += 1
                has_results = self._runhistory is not None and not self._runhistory.empty()
                if n_useless >= (_MOST_REPEATS if has_results else _MOST_DRAWS):
                    return
        except ConfigurationSpaceExhaustedException:
            return

    def _get_x_best(self, X: FloatArray) -> tuple[FloatArray, float]:  # noqa: N803 - SMAC's name
        """The same as SMAC's, which asks the forest for one row at a time."""
        assert self._model is not None
        means = self._model.predict_marginalized(X)[0][:, 0]
        best = int(np.argmin(means))
        return X[best], means[best]


class _OrderedLocalSearch(LocalSearch):
    """SMAC's local search from starting points in an order that every process agrees on.

    SMAC takes them from a set, whose order depends on Python's hash seed; another order draws
    other random numbers, so that a replay in another process would propose something else.
    """

    def _get_init_points_from_previous_configs(
        self,
        previous_configs: list[SpaceConfiguration],
        n_points: int,
        additional_start_points: list[tuple[float, SpaceConfiguration]] | None,
    ) -> list[SpaceConfiguration]:
        points = super()._get_init_points_from_previous_configs(
            previous_configs, n_points, additional_start_points
        )
        return sorted(points, key=lambda point: tuple(np.nan_to_num(point.get_array(), nan=-1.0)))


def _forest(scenario: Scenario) -> RandomForest:
    forest = MultiFidelityFacade.get_model(scenario)
    forest._rf_opts["max_leaf_nodes"] = _MOST_LEAVES
    return forest


class _AcceptingMaximizer(LocalAndSortedRandomSearch):
    """SMAC's maximizer, which hands on only what is accepted, the most promising first."""

    accepts: Callable[[SpaceConfiguration], bool]

    def maximize(self, *args: Any, **options: Any) -> Iterator[SpaceConfiguration]:
        return filter(self.accepts, super().maximize(*args, **options))


def _maximizer(
    scenario: Scenario, accepts: Callable[[SpaceConfiguration], bool]
) -> LocalAndSortedRandomSearch:
    maximizer = _AcceptingMaximizer(
        scenario.configspace,
        challengers=_N_CHALLENGERS,
        local_search_iterations=_N_LOCAL_SEARCHES,
        seed=scenario.seed,
    )
    maximizer.accepts = accepts
    maximizer._local_search = _OrderedLocalSearch(scenario.configspace, seed=scenario.seed)
    return maximizer


def _never_called(config: SpaceConfiguration, seed: int = 0, budget: float = 0.0) -> float:
    del config, seed, budget  # SMAC insists on these names
    raise AssertionError("trials are run by the coordinator, never by SMAC")


@contextmanager
def _sequential_and_quiet() -> Iterator[None]:
    """SMAC without joblib's thread pool and without numpy's remarks on its empty timing lists.

    The pool costs more than it brings on a forest of ten trees.
    """
    with joblib.parallel_config(backend="sequential"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=RuntimeWarning)
        yield


def _key(proposal: Proposal) -> _Key:
    return (tuple(sorted(proposal.configuration.items())), proposal.rung)
