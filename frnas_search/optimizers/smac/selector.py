"""SMAC's selector of configurations: the one place that orders the steps of a proposal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Sized
from typing import TYPE_CHECKING, cast

import numpy as np
from ConfigSpace import Configuration
from smac import Callback, Scenario
from smac.main.config_selector import ConfigSelector
from smac.runhistory.dataclasses import TrialInfo, TrialValue
from smac.runhistory.runhistory import RunHistory

from frnas_search.optimizers.smac.acquisition_functions import FEWEST_COSTS
from frnas_search.optimizers.smac.arrays import VectorSpace
from frnas_search.optimizers.smac.candidates import Candidates, key_of, keys, vectors_of
from frnas_search.optimizers.smac.encoder import AllRungsEncoder
from frnas_search.optimizers.smac.evidence import Informed
from frnas_search.optimizers.smac.maximizer import ArrayMaximizer
from frnas_search.optimizers.smac.one_thread import one_thread
from frnas_search.optimizers.smac.past import Past
from frnas_search.optimizers.smac.proposal_queue import ProposalQueue

if TYPE_CHECKING:
    from smac.main.smbo import SMBO

    from results.pareto import FloatArray


class HistorySelector(ConfigSelector):
    """Encodes, trains, updates and maximises, for each configuration anew.

    A proposal is a function of SMAC's run history at one moment, whatever was proposed on the
    way: every part is told the evidence and draws from the proposal's own generator. With its
    callback registered, configurations are made ahead of need while trials are in flight.

    Args:
        scenario: SMAC's.
        candidates: What may be proposed; None is everything in the scenario's space.
    """

    def __init__(self, scenario: Scenario, *, candidates: Candidates | None = None) -> None:
        super().__init__(scenario, retrain_after=1)
        self._candidates = candidates or Candidates(
            VectorSpace(scenario.configspace), seed=scenario.seed
        )
        self._handed_out: list[Configuration] = []
        self._n_known = 0
        self._queue = ProposalQueue(
            propose=self._propose, now=self._now, n_in_flight=lambda: self._history().running
        )

    def __iter__(self) -> Iterator[Configuration]:
        return self

    def __next__(self) -> Configuration:
        """The next configuration.

        Raises:
            StopIteration: None is left; after more results there may be.
        """
        self._call_callbacks_on_start()
        configuration = self._queue.next()
        if configuration is None:
            raise StopIteration
        self._handed_out.append(configuration)
        self._call_callbacks_on_end(configuration)
        return configuration

    def get_callback(self) -> Callback:
        """For SMAC to call with what is asked and told, so that the next can be begun."""
        return _Events(self)

    def asked(self, configuration: Configuration) -> None:
        """A trial was handed out; SMAC's history knows it."""
        n_known = len(self._history().config_ids)
        if n_known > self._n_known and configuration not in self._handed_out:
            self._queue.taken(configuration)
        self._n_known = n_known
        self._begin()

    def told(self) -> None:
        """A result came in."""
        self._begin()

    def _begin(self) -> None:
        # Only our encoder reads a history that is past; another's would be read while it grows.
        if isinstance(self._runhistory_encoder, AllRungsEncoder):
            self._queue.changed()

    def close(self) -> None:
        """End the thread that makes configurations; it begins again when one is asked for."""
        self._queue.close()

    def _history(self) -> RunHistory:
        assert self._runhistory is not None, "a facade sets it"
        return self._runhistory

    def _now(self) -> Past:
        """The present, with what was handed out and is not trained yet: Hyperband takes many."""
        history = self._history()
        self._handed_out = [each for each in self._handed_out if not history.has_config(each)]
        return Past(history, self._handed_out)

    def _propose(self, past: Past) -> Configuration | None:
        """A configuration from one moment of the history; None when none is left."""
        known = past.get_configs()
        if (initial := self._initial(known)) is not None:
            return initial
        with one_thread():
            return self._promising(past, known) or self._drawn(past, known)

    def _initial(self, known: Sequence[Configuration]) -> Configuration | None:
        """What of the initial design comes next, as long as it is not used up."""
        design = self._initial_design_configs
        if len(known) >= len(design):
            return None
        if known and known[-1] == design[len(known) - 1]:
            return design[len(known)]
        return next((each for each in design if each not in known), None)

    def _promising(self, past: Past, known: list[Configuration]) -> Configuration | None:
        """The maximum of the acquisition function; None before it can be told, or at random."""
        encoder, model, function = (
            self._runhistory_encoder,
            self._model,
            self._acquisition_function,
        )
        maximizer, design = self._acquisition_maximizer, self._random_design
        assert encoder is not None
        assert model is not None
        assert function is not None
        assert maximizer is not None
        assert design is not None
        number = self._inform(past)
        if encoder.multi_objective_algorithm is not None:
            encoder.multi_objective_algorithm.update_on_iteration_start()
        inputs, costs = encoder.transform()
        if len(costs) < FEWEST_COSTS:
            return None
        is_random = design.check(number)
        design.next_iteration()
        if is_random:
            return None
        model.train(inputs, costs)
        vectors = encoder.get_configurations()
        at, best = self._best(vectors) if costs.shape[1] == 1 else (None, None)
        function.update(model=model, X=vectors, num_data=len(costs), eta=best, incumbent_array=at)
        # SMAC's may find again what is known, and searches no farther than it is asked for points.
        n_points = 1 if isinstance(maximizer, ArrayMaximizer) else None
        found = maximizer.maximize(known, n_points)
        if isinstance(found, Sized) and len(found) == 0:
            return None  # asked for the first of none, SMAC's list breaks
        taken = set(keys(vectors_of(known, self._candidates.space.n_dimensions)))
        return next((each for each in found if key_of(each) not in taken), None)

    def _inform(self, past: Past) -> int:
        """Tell every part that wants to know what the proposal is made from; its number."""
        encoder = self._runhistory_encoder
        if not isinstance(encoder, AllRungsEncoder):
            return len(past.get_configs())
        encoder.runhistory = cast("RunHistory", past)  # as much of one as it reads
        evidence = encoder.evidence()
        parts: tuple[object, ...] = (
            self._model,
            self._acquisition_function,
            self._acquisition_maximizer,
            self._random_design,
            encoder.multi_objective_algorithm,
        )
        for part in parts:
            if isinstance(part, Informed):
                part.inform(evidence)
        return evidence.number

    def _best(self, vectors: FloatArray) -> tuple[FloatArray, float]:
        """The configuration that the model expects to be the best, and its cost.

        SMAC's asks the model for one row after another.
        """
        assert self._model is not None
        expected = self._model.predict_marginalized(vectors)[0][:, 0]
        at = int(np.argmin(expected))
        return vectors[at], float(expected[at])

    def _drawn(self, past: Past, known: list[Configuration]) -> Configuration | None:
        number = self._inform(past)
        vectors = vectors_of(known, self._candidates.space.n_dimensions)
        generator = np.random.default_rng([self._scenario.seed, number])
        return self._candidates.sought(self._candidates.drawn(generator), vectors, "random")


class _Events(Callback):
    """Tells the selector what SMAC asks and is told."""

    def __init__(self, selector: HistorySelector) -> None:
        self._selector = selector

    def on_ask_end(self, smbo: SMBO, info: TrialInfo) -> None:
        """A trial was handed out."""
        del smbo
        self._selector.asked(info.config)

    def on_tell_end(self, smbo: SMBO, info: TrialInfo, value: TrialValue) -> None:
        """A result came in."""
        del smbo, info, value
        self._selector.told()
