"""What is proposed before the model is used, and between what it proposes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from ConfigSpace import Configuration
from smac import Scenario
from smac.initial_design import AbstractInitialDesign
from smac.random_design.abstract_random_design import AbstractRandomDesign

from frnas_search.optimizers.smac.arrays import VectorSpace
from frnas_search.optimizers.smac.candidates import Candidates, distinct, key_of, vectors_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from frnas_search.optimizers.smac.evidence import Evidence
    from results.pareto import FloatArray


class CoveringDesign(AbstractInitialDesign):
    """Draws that try, in turn, every value of the choices that decide what else there is.

    Args:
        scenario: SMAC's.
        n_configs: How many besides the additional ones; fewer where the space has not as many.
        additional_configs: Come first, each once.
        candidates: What may be proposed; None is everything in the scenario's space.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        n_configs: int = 10,
        additional_configs: Sequence[Configuration] = (),
        candidates: Candidates | None = None,
    ) -> None:
        super().__init__(
            scenario, n_configs, max_ratio=1.0, additional_configs=list(additional_configs)
        )
        self._candidates = candidates or Candidates(
            VectorSpace(scenario.configspace), seed=scenario.seed
        )

    @property
    def meta(self) -> dict[str, Any]:
        """Its arguments; SMAC's asks ConfigSpace for a form that it warns of."""
        return meta_of_design(self, self._n_configs, self._additional_configs, self._seed)

    def select_configurations(self) -> list[Configuration]:
        """The additional ones, then the draws.

        Overrides SMAC's, which puts the additional ones last, and leaves the draws as they are
        without them.
        """
        wanted = distinct(self._additional_configs)
        for configuration in wanted:
            if configuration.origin is None:
                configuration.origin = "enqueued"
        taken = {key_of(each) for each in wanted}
        drawn = self._select_configurations()
        return [
            *wanted,
            *(each for each in drawn if key_of(each) not in taken),
        ]

    def _select_configurations(self) -> list[Configuration]:
        space = self._candidates.space
        found: list[Configuration] = []
        for number in range(self._n_configs):
            known = vectors_of(found, space.n_dimensions)
            batches = self._batches(number, np.random.default_rng([self._seed, number]))
            configuration = self._candidates.sought(batches, known, "initial")
            if configuration is None:
                break
            found.append(configuration)
        return found

    def _batches(self, number: int, generator: np.random.Generator) -> Iterator[FloatArray]:
        yield self._candidates.space.initial_design(number, self._seed, generator)
        if not self._candidates.is_constrained:  # else what keeps within may be rarer than that
            yield from self._candidates.drawn(generator)


class CountedRandom(AbstractRandomDesign):
    """Whether a proposal is drawn at random depends on its number and on nothing else.

    Args:
        probability: Of a draw, 0 to 1.
        seed: Of the choice.
    """

    def __init__(self, probability: float = 0.05, *, seed: int = 0) -> None:
        super().__init__(seed=seed)
        self._probability = probability
        self._number = 0

    @property
    def meta(self) -> dict[str, Any]:
        """Its arguments; SMAC compares them before it goes on with a search."""
        return {**super().meta, "probability": self._probability}

    def inform(self, evidence: Evidence) -> None:
        """Which proposal comes next."""
        self._number = evidence.number

    def next_iteration(self) -> None:
        """One more was proposed; for selectors that do not say which."""
        self._number += 1

    def check(self, iteration: int) -> bool:
        """Whether the next configuration is to be drawn at random.

        Args:
            iteration: Of those proposed from one and the same model.
        """
        generator = np.random.default_rng([self._seed, self._number, iteration])
        return bool(generator.random() < self._probability)


def meta_of_design(
    design: AbstractInitialDesign, n_configs: int, additional: Sequence[Configuration], seed: int
) -> dict[str, Any]:
    """What SMAC lists of an initial design, without a form that ConfigSpace warns of."""
    return {
        "name": type(design).__name__,
        "n_configs": n_configs,
        "additional_configs": [dict(configuration) for configuration in additional],
        "seed": seed,
    }
