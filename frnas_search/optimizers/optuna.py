"""The door to Optuna, an optional library: NSGA-II and TPE on the same space, for comparison.

Its samplers choose, its study keeps what they choose by; storage, optimisation loop and pruning
are not used. Every proposal has a sampler of its own, seeded by the number of proposals before it.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from frnas_search.coordinator.optimizer import Proposal
from frnas_search.optimizers.constraint import Accepts
from frnas_search.optimizers.optuna_parameters import Parameters
from frnas_search.optimizers.pool import Pool, Space
from results.trial import configuration_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from frnas_search.optimizers.fidelity import Fidelity
    from results.objectives import Objective
    from results.trial import Configuration, ConfigurationKey

OptunaKind: TypeAlias = Literal["nsga2", "tpe"]

# Configurations in a row that were proposed before, are forbidden or not accepted, after which
# one is drawn at random, or sought near the first that is not accepted.
_MOST_REPEATS = 10


@dataclass(slots=True, kw_only=True)
class _Generations:
    """Which generation of NSGA-II each trial belongs to.

    Attributes:
        population: Results after which a new generation begins.
        of_trial: By the trial's number.
        n_told: Results of each generation.
    """

    population: int
    of_trial: list[int] = field(default_factory=list)
    n_told: dict[int, int] = field(default_factory=dict)

    @property
    def next(self) -> int:
        """That of the next trial: a new one when the last has a population of results."""
        last = max(self.n_told, default=0)
        return last + (self.n_told.get(last, 0) >= self.population)

    def told(self, number: int) -> None:
        generation = self.of_trial[number]
        self.n_told[generation] = self.n_told.get(generation, 0) + 1


class _Nsga2(NSGAIISampler):
    """Optuna's, which leaves notes about generations in the study when it samples.

    What is restored was never sampled, so the notes are ours.
    """

    generations: _Generations

    def get_trial_generation(self, study: optuna.Study, trial: FrozenTrial) -> int:
        del study
        known = self.generations.of_trial
        return known[trial.number] if trial.number < len(known) else self.generations.next

    def get_population(self, study: optuna.Study, generation: int) -> list[FrozenTrial]:
        finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        known = self.generations.of_trial
        return [trial for trial in finished if known[trial.number] == generation]


class OptunaOptimizer:
    """Keeps the rules of `frnas_search.coordinator.optimizer.Optimizer`; the highest rung only."""

    def __init__(  # noqa: PLR0913 - all that its proposals depend on
        self,
        space: Space,
        objectives: Sequence[Objective],
        fidelity: Fidelity,
        *,
        kind: OptunaKind,
        seed: int,
        n_initial_configurations: int,
        population: int = 50,  # Optuna's default
        enqueued: Sequence[Configuration] = (),
        accepts: Accepts | None = None,
    ) -> None:
        """An optimizer of the space.

        Args:
            space: What configurations are drawn from; its priors count for the first ones.
            objectives: What is minimised.
            fidelity: Of which the highest rung is used.
            kind: Which of Optuna's samplers.
            seed: Of everything that is drawn.
            n_initial_configurations: Results before TPE is used.
            population: Results that make a generation of NSGA-II; the first one is random.
            enqueued: Configurations of the space, proposed before any other.
            accepts: Whether a configuration may be proposed; a function of nothing else.
        """
        rung = fidelity.n_rungs - 1
        self._pool = Pool(space, rung=rung, seed=seed, enqueued=enqueued, accepts=accepts)
        self._parameters = Parameters(space)
        self._objectives = tuple(objectives)
        self._kind = kind
        self._n_random = population if kind == "nsga2" else n_initial_configurations
        self._n_told = 0
        self._numbers: dict[ConfigurationKey, int] = {}
        self._generations = _Generations(population=population)
        with _quiet():
            self._study = optuna.create_study(
                directions=["minimize"] * len(self._objectives), sampler=RandomSampler(seed=0)
            )

    def ask(self) -> Proposal | None:
        """What is enqueued, the first ones at random, then as Optuna samples."""
        proposal = self._pool.first_enqueued() or self._sampled() or self._pool.drawn()
        if proposal is not None:
            self.restore(proposal)
        return proposal

    def tell(self, proposal: Proposal, costs: Mapping[str, float] | None) -> None:
        """Tell the costs as shares of their bounds; a failure as the bound of every objective."""
        self._pool.told(proposal)
        number = self._numbers.pop(configuration_key(proposal.configuration))
        shares = [1.0] * len(self._objectives)
        if costs is not None:
            shares = [
                objective.normalised(costs[objective.name]) for objective in self._objectives
            ]
        with _quiet():
            self._study.tell(number, shares)
        self._n_told += 1
        self._generations.told(number)

    def why_nothing(self) -> str:
        """Why the search ends if nothing more is proposed; empty when the space is used up."""
        return self._pool.why_nothing()

    def restore(self, proposal: Proposal) -> None:
        """Enter it into the study as one that runs."""
        self._pool.take(proposal)
        number = len(self._generations.of_trial)
        self._numbers[configuration_key(proposal.configuration)] = number
        self._generations.of_trial.append(self._generations.next)
        params = self._parameters.to_optuna(proposal.configuration)
        with _quiet():
            self._study.add_trial(
                create_trial(
                    state=TrialState.RUNNING,
                    params=params,
                    distributions=self._parameters.distributions(params),
                )
            )
            self._choose_parents(number)

    def _choose_parents(self, number: int) -> None:
        """NSGA-II takes the parents of a generation from the results at its first trial."""
        if self._kind == "nsga2":
            generation = self._generations.of_trial[number]
            self._sampler().get_parent_population(self._study, generation)

    def _sampled(self) -> Proposal | None:
        """As Optuna samples; None before there are enough results, and when it repeats itself.

        Where nothing of it keeps within the constraints, what is the likest and does.
        """
        if self._n_told < self._n_random:
            return None
        refused: Configuration | None = None
        with _quiet():
            sampler = self._sampler()
            for _ in range(_MOST_REPEATS):
                configuration = self._parameters.suggested(_Draft(self._study, sampler).suggest)
                if not self._pool.is_legal(configuration):
                    continue
                if self._pool.is_new(configuration):
                    return self._pool.proposal(configuration, "model")
                if not self._pool.is_accepted(configuration):
                    refused = refused or configuration
        return None if refused is None else self._pool.towards(refused)

    def _sampler(self) -> Any:
        seed = self._pool.next_seed
        if self._kind == "tpe":
            # Takes running trials into account, as many workers need it.
            return TPESampler(
                seed=seed,
                n_startup_trials=self._n_random,
                multivariate=False,
                constant_liar=True,
            )
        sampler = _Nsga2(seed=seed, population_size=self._n_random)
        sampler.generations = self._generations
        return sampler


class _Draft:
    """A trial that is in no study, so that one that is thrown away leaves nothing behind."""

    def __init__(self, study: optuna.Study, sampler: BaseSampler) -> None:
        self._study, self._sampler = study, sampler
        self._trial = create_trial(state=TrialState.RUNNING)
        self._trial.number = len(study.get_trials(deepcopy=False))
        self._space = sampler.infer_relative_search_space(study, self._trial)
        self._relative = sampler.sample_relative(study, self._trial, self._space)

    def suggest(self, name: str, distribution: BaseDistribution) -> Any:
        """The value as Optuna's own trials take it: sampled together, or else alone."""
        if name in self._relative:
            return self._relative[name]
        return self._sampler.sample_independent(self._study, self._trial, name, distribution)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Optuna without its remarks on what is experimental and on trials that come and go."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)
