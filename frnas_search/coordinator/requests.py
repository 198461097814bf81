"""Names for what the optimizer proposes: trials and configurations are numbered as they come."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from results.trial import TrialRequest, configuration_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from frnas_search.coordinator.optimizer import Proposal
    from results.trial import Configuration, ConfigurationKey


@dataclass(slots=True, kw_only=True)
class RequestFactory:
    """Numbers trials from t0001 and configurations from c0001.

    A configuration that comes back at a higher rung keeps its name and its seed: its training
    goes on.

    Attributes:
        rungs: Epochs of each rung.
        seed: Of every training of the run, so that configurations are compared on equal draws.
    """

    rungs: tuple[int, ...]
    seed: int
    _n_trials: int = 0
    _config_ids: dict[ConfigurationKey, str] = field(default_factory=dict)

    def next(self, proposal: Proposal) -> TrialRequest:
        """The request for one more proposal."""
        self._n_trials += 1
        return TrialRequest(
            trial_id=f"t{self._n_trials:04d}",
            config_id=self._config_id(proposal.configuration),
            configuration=proposal.configuration,
            rung=proposal.rung,
            epochs=self.rungs[proposal.rung],
            seed=self.seed,
            origin=proposal.origin,
        )

    def remember(self, requests: Iterable[TrialRequest]) -> None:
        """Go on after the requests of an earlier session, given in their order."""
        for request in requests:
            self._n_trials += 1
            self._config_ids.setdefault(
                configuration_key(request.configuration), request.config_id
            )

    def _config_id(self, configuration: Configuration) -> str:
        return self._config_ids.setdefault(
            configuration_key(configuration), f"c{len(self._config_ids) + 1:04d}"
        )
