"""SMAC as it is shipped, for comparisons: its forest, expected improvement, ParEGO and Hyperband.

What is changed it could not be used without: incumbents are compared at the highest budget, as
the default dies on an assertion; a failure costs the bound of each objective, as an infinite cost
ends up in its forest; what the user lists comes first, as SMAC begins with it last; its local
search begins in one order in every process, as no search could be resumed; and threads, which
change the last bits of its forest, are off.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ConfigSpace import Configuration, ConfigurationSpace
from smac import MultiFidelityFacade, Scenario
from smac.acquisition.maximizer import LocalAndSortedRandomSearch, LocalSearch
from smac.initial_design import RandomInitialDesign
from smac.main.config_selector import ConfigSelector
from smac.main.exceptions import ConfigurationSpaceExhaustedException
from smac.multi_objective import ParEGO

from frnas_search.optimizers.constraint import Accepts
from frnas_search.optimizers.smac.arrays import VectorSpace
from frnas_search.optimizers.smac.candidates import Candidates, key_of, vectors_of
from frnas_search.optimizers.smac.designs import meta_of_design
from frnas_search.optimizers.smac.one_thread import one_thread
from frnas_search.optimizers.smac.optimizer import (
    AskedFacade,
    ask_again,
    rungs_of,
    uniform_space,
    wanted_first,
)
from search_space.definition.space import plain

if TYPE_CHECKING:
    from frnas_search.coordinator.optimizer import Proposal
    from frnas_search.optimizers.fidelity import Fidelity
    from results.objectives import Objective
    from results.trial import Configuration as Values

_N_CHALLENGERS, _N_LOCAL_SEARCHES = 10_000, 10
"""The facade's defaults."""

_MOST_REFUSED = 24
"""Configurations in a row that are not accepted, after which one that is comes from elsewhere.

SMAC knows no such constraints, and trains its forest once for every eight.
"""


class StockOptimizer(AskedFacade):
    """SMAC's multi-fidelity facade behind the `Optimizer` protocol.

    Hyperband draws the configurations of a bracket at once, so a search is restored by asking
    for everything again: it takes as long as its proposals took.
    """

    def __init__(  # noqa: PLR0913 - all that its proposals depend on
        self,
        space: ConfigurationSpace,
        objectives: Sequence[Objective],
        fidelity: Fidelity,
        *,
        seed: int,
        n_initial: int = 10,
        enqueued: Sequence[Values] = (),
        accepts: Accepts | None = None,
    ) -> None:
        """An optimizer of the space.

        Args:
            space: What configurations are drawn from; the user's priors do not count.
            objectives: What is minimised.
            fidelity: Hyperband's budgets.
            seed: Of everything that is drawn.
            n_initial: Configurations drawn at random first.
            enqueued: Configurations of the space, proposed before any other.
            accepts: Whether a configuration may be proposed; a function of nothing else.
        """
        super().__init__(objectives, rungs_of(fidelity))
        own = uniform_space(space)
        scenario = self._scenario(own, seed)
        self._candidates = Candidates(VectorSpace(own), accepts, seed=seed)
        self._facade = MultiFidelityFacade(
            scenario,
            intensifier=MultiFidelityFacade.get_intensifier(
                scenario, eta=fidelity.eta, incumbent_selection="highest_budget"
            ),
            initial_design=_WantedFirst(
                scenario, n_configs=n_initial, additional_configs=wanted_first(own, enqueued)
            ),
            acquisition_maximizer=_OrderedSearch(scenario),
            config_selector=_Accepting(scenario, accepts, self._candidates),
            multi_objective_algorithm=ParEGO(scenario) if len(self._objectives) > 1 else None,
            logging_level=False,
            overwrite=True,
        )

    def ask(self) -> Proposal | None:
        """The next configuration and rung; None when SMAC finds no other."""
        try:
            with one_thread(), warnings.catch_warnings():
                # Of the times of a local search that began nowhere.
                warnings.filterwarnings("ignore", category=RuntimeWarning)
                return super().ask()
        except ConfigurationSpaceExhaustedException:
            return None

    def why_nothing(self) -> str:
        """Why the search ends if nothing more is proposed; empty when the space is used up."""
        return self._candidates.why_nothing()

    def restore(self, proposal: Proposal) -> None:
        """Ask for it again.

        Raises:
            ReplayError: Something else comes.
        """
        ask_again(self, proposal)


class _WantedFirst(RandomInitialDesign):
    """The additional configurations before the drawn ones."""

    @property
    def meta(self) -> dict[str, Any]:
        """Its arguments; SMAC's asks ConfigSpace for a form that it warns of."""
        return meta_of_design(self, self._n_configs, self._additional_configs, self._seed)

    def select_configurations(self) -> list[Configuration]:
        found = super().select_configurations()
        wanted = [each for each in found if each in self._additional_configs]
        return [*wanted, *(each for each in found if each not in wanted)]


class _OrderedLocalSearch(LocalSearch):
    """SMAC's begins in the order of a set of configurations, which differs between processes."""

    def _get_initial_points(
        self,
        previous_configs: list[Configuration],
        n_points: int,
        additional_start_points: list[tuple[float, Configuration]] | None,
    ) -> list[Configuration]:
        found = super()._get_initial_points(previous_configs, n_points, additional_start_points)
        return sorted(found, key=key_of)


class _OrderedSearch(LocalAndSortedRandomSearch):
    """As the facade sets it, with that local search."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(
            scenario.configspace,
            challengers=_N_CHALLENGERS,
            local_search_iterations=_N_LOCAL_SEARCHES,
            seed=scenario.seed,
        )
        self._local_search = _OrderedLocalSearch(
            configspace=scenario.configspace, seed=scenario.seed
        )


class _Accepting(ConfigSelector):
    """SMAC's selector without configurations that may not be proposed."""

    def __init__(
        self, scenario: Scenario, accepts: Accepts | None, candidates: Candidates
    ) -> None:
        super().__init__(scenario)
        self._accepts = accepts
        self._candidates = candidates
        self._yielded: list[Configuration] = []

    def __iter__(self) -> Iterator[Configuration]:
        n_refused = 0
        for proposed in super().__iter__():
            configuration: Configuration | None = proposed
            if self._accepts is not None and not self._accepts(plain(proposed)):
                n_refused += 1
                if n_refused < _MOST_REFUSED:
                    continue
                configuration = self._found()
            if configuration is None:
                return
            n_refused = 0
            self._yielded.append(configuration)
            yield configuration

    def _found(self) -> Configuration | None:
        """One that is accepted, at random as far as they are not too rare."""
        known = vectors_of(self._yielded, self._candidates.space.n_dimensions)
        found = self._candidates.sought([], known, "random")
        if found is not None:
            self._processed_configs.append(found)
        return found
