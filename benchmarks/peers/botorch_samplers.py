"""BoTorch's noisy expected hypervolume improvement, at the full fidelity.

Set up as its documentation advises, with what mixed and conditional spaces need beside it: a
column for each option, and a local search over configurations in the place of gradients.

BoTorch is in none of the project's locks. An environment for this peer alone:
`pip install botorch ConfigSpace moocore onnxruntime pyyaml`, run from the repository's root with
`PYTHONPATH=.` and `--methods botorch-qlognehvi`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import botorch  # type: ignore[import-not-found]
import gpytorch  # type: ignore[import-not-found]
import numpy as np
import torch
from botorch.models.utils.gpytorch_modules import (  # type: ignore[import-not-found]
    get_covar_module_with_dim_scaled_prior,
)

from benchmarks.peers.encoding import encoded
from benchmarks.peers.local_search import maximised
from frnas_search.coordinator.optimizer import Proposal
from results.pareto import FloatArray, non_dominated
from search_space.definition.space import plain

if TYPE_CHECKING:
    from ConfigSpace import Configuration

    from benchmarks.peers.search import Search

N_INITIAL = 10
N_SAMPLES = 64
"""Of the posterior, quasi-random."""

_AT_ONCE = 512
# Relative, in the likelihood, at which its fit ends; the default's takes five times as long over
# the many columns that no difference was seen in.
_SMALLEST_GAIN = 1e-6


class QLogNehvi:
    """A Gaussian process for each objective, and what it expects of every candidate."""

    def __init__(self, search: Search) -> None:
        self._search = search
        self._space = search.space
        self._space.seed(search.seed)
        self._configurations: list[Configuration] = []
        self._costs: list[list[float]] = []
        self._state: Mapping[str, Any] | None = None

    def ask(self) -> Proposal | None:
        """A configuration for a full evaluation; None where all were evaluated."""
        proposed = self._drawn() if len(self._costs) < N_INITIAL else self._expected_best()
        if proposed is None:
            return None
        self._configurations.append(proposed)
        return Proposal(configuration=plain(proposed), rung=self._search.last_rung)

    def tell(self, proposal: Proposal, costs: Mapping[str, float] | None) -> None:
        """The costs of the one proposal that runs, on their objectives' scales."""
        del proposal
        told = costs or {objective.name: objective.bound for objective in self._search.objectives}
        self._costs.append(
            [objective.normalised(told[objective.name]) for objective in self._search.objectives]
        )

    def _drawn(self) -> Configuration:
        return self._space.sample_configuration()

    def _expected_best(self) -> Configuration | None:
        seed = self._search.seed + 1000 * len(self._costs)
        costs = np.array(self._costs)
        front = np.flatnonzero(non_dominated(costs))
        rows = _tensor(encoded(self._space, self._configurations))
        # The acquisition's smoothing is made for values of about this size.
        values = botorch.utils.standardize(_tensor(-clipped(costs)))
        with botorch.manual_seed(seed), _quiet():
            model = _fitted(rows, values, self._state)
            self._state = model.state_dict()
            acquisition = _acquisition(model, rows, values, seed=seed)
            return maximised(
                self._space,
                partial(self._scored, acquisition),
                starts=[self._configurations[index] for index in front],
                taken=self._configurations,
                seed=seed,
            )

    def _scored(self, acquisition: Any, candidates: Sequence[Configuration]) -> FloatArray:
        rows = _tensor(encoded(self._space, candidates))[:, None]
        with torch.no_grad():
            scores = torch.cat([acquisition(part) for part in torch.split(rows, _AT_ONCE)])
        return scores.numpy()


def clipped(costs: FloatArray) -> FloatArray:
    """Costs of shape (n, m) without outliers, which would take up the surrogates' attention.

    Ends at Tukey's upper fence, as Ax has it, but never within the front.
    """
    low, high = np.quantile(costs, [0.25, 0.75], axis=0)
    worst = costs[non_dominated(costs)].max(axis=0)
    ends: FloatArray = np.maximum(high + 1.5 * (high - low), worst)
    return np.minimum(costs, ends)


def _fitted(rows: torch.Tensor, values: torch.Tensor, start: Mapping[str, Any] | None) -> Any:
    """A process for each column of values, which share nothing.

    Args:
        rows: Shape (n, d).
        values: Shape (n, m).
        start: The state of an earlier model, from which the fit starts.
    """
    model = botorch.models.SingleTaskGP(
        rows,
        values,
        outcome_transform=None,
        # Matern 5/2, a length for each column; prior and noise are BoTorch's own.
        covar_module=get_covar_module_with_dim_scaled_prior(
            ard_num_dims=rows.shape[1],
            batch_shape=torch.Size([values.shape[1]]),
            use_rbf_kernel=False,
        ),
    )
    if start is not None:
        model.load_state_dict(start)
    likelihood = gpytorch.mlls.ExactMarginalLogLikelihood(model.likelihood, model)
    botorch.fit_gpytorch_mll(
        likelihood, optimizer_kwargs={"options": {"factr": None, "ftol": _SMALLEST_GAIN}}
    )
    return model


def _acquisition(model: Any, rows: torch.Tensor, values: torch.Tensor, *, seed: int) -> Any:
    """What the model of rows (n, d) and values (n, m), which are maximised, expects to gain."""
    front = values[botorch.utils.multi_objective.pareto.is_non_dominated(values)]
    return botorch.acquisition.multi_objective.logei.qLogNoisyExpectedHypervolumeImprovement(
        model,
        ref_point=botorch.utils.multi_objective.hypervolume.infer_reference_point(front),
        X_baseline=rows,
        prune_baseline=True,
        sampler=botorch.sampling.SobolQMCNormalSampler(torch.Size([N_SAMPLES]), seed=seed),
    )


def _tensor(array: FloatArray) -> torch.Tensor:
    return torch.from_numpy(array).double()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the remarks on fits that are tried again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
