"""What a useless embedding gets, exactly: never a good rank, and never a cost."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from results.trial import FailureKind
from workers.data.packs.pack import Pack
from workers.errors import CollapsedError
from workers.evaluation.evaluate import Evaluation, evaluate
from workers.evaluation.identification_metrics import evaluate_ranks
from workers.evaluation.ranks import leave_one_out_ranks
from workers.settings import EvaluationSettings
from workers.trials.failures import failure_kind

IDENTITY = np.repeat(np.arange(30), 4)
CODES = IDENTITY % 2


class Fixed(nn.Module):
    """The embeddings it was given, one after the other, whatever the pictures."""

    def __init__(self, embeddings: Tensor) -> None:
        super().__init__()
        self.embeddings = embeddings
        self.place = 0

    def forward(self, images: Tensor) -> Tensor:
        self.place += len(images)
        return self.embeddings[self.place - len(images) : self.place]


def evaluated(embeddings: Tensor, pack: Pack) -> Evaluation:
    settings = EvaluationSettings(flip=False, n_replicates=100, n_permutations=50)
    return evaluate(
        Fixed(embeddings),
        pack,
        split="val",
        group="gender",
        settings=settings,
        device=torch.device("cpu"),
    )


def errors(embeddings: Tensor, identity: np.ndarray = IDENTITY) -> tuple[float, float]:
    """Error and mean rank by identity, overall."""
    ranks = leave_one_out_ranks(embeddings, identity)
    metrics = evaluate_ranks(ranks, identity=identity, codes=identity % 2, labels=("f", "m"))
    return metrics.overall.error, metrics.overall.mean_rank


@pytest.mark.parametrize(
    "order", [np.arange(120), np.random.default_rng(0).permutation(120)], ids=["sorted", "mixed"]
)
def test_a_constant_embedding_is_always_wrong_in_whatever_order(order: np.ndarray) -> None:
    # Ties broken by index would give error 0 to pictures that are sorted by person.
    vector = torch.randn(1, 48, generator=torch.Generator().manual_seed(1))
    constant = nn.functional.normalize(vector).expand(120, -1)
    assert errors(constant, IDENTITY[order]) == (1.0, 29.0)


def test_two_points_are_always_wrong_too() -> None:
    # Every person at one of two points, with fourteen others at the same point.
    points = torch.eye(2, 16)[torch.from_numpy(IDENTITY % 2)]
    assert errors(points) == (1.0, 14.0)


def test_a_copy_of_ones_own_picture_is_a_mate_and_of_anothers_a_tie() -> None:
    vectors = torch.eye(30).repeat_interleave(4, dim=0)
    assert errors(vectors) == (0.0, 0.0)
    vectors[4] = vectors[0]  # a picture of person 1 that is one of person 0
    ranks = leave_one_out_ranks(vectors, IDENTITY)
    # It ties with each picture of person 0, and is itself no nearer to its own than to most.
    assert ranks.rank_by_identity[:8].tolist() == [1, 1, 1, 1, 29, 0, 0, 0]
    assert ranks.rank_by_image[:8].tolist() == [1, 1, 1, 1, 116, 0, 0, 0]
    assert set(ranks.rank_by_identity[8:]) == {0}


def test_people_with_one_picture_are_distractors_and_never_probes() -> None:
    identity = np.array([0, 0, 1, 1, 2])
    vectors = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [0.0, 1.0], [0.8, 0.6]])
    ranks = leave_one_out_ranks(vectors, identity)
    assert ranks.rank_by_identity.tolist() == [1, 2, 0, 0, -1]
    metrics = evaluate_ranks(ranks, identity=identity, codes=identity % 2, labels=("f", "m"))
    assert (metrics.n_singletons, metrics.overall.n_probes) == (1, 4)
    assert (metrics.overall.error, metrics.overall.mean_rank) == (0.5, 0.75)
    assert metrics.groups["f"].n_identities == 1


@pytest.mark.parametrize(
    ("embeddings", "reason"),
    [
        (torch.full((96, 8), torch.nan), "96 of 96 embeddings are not finite"),
        (torch.full((96, 8), 3.0), "the embeddings are constant"),
        (torch.zeros(96, 8), "0.00 effective dimensions of 8"),
        (torch.eye(2, 8).repeat(48, 1), "1.00 effective dimensions of 8"),
        (
            torch.randn(96, 64, generator=torch.Generator().manual_seed(3)),
            "identification is at chance",
        ),
    ],
    ids=["nan", "constant", "zero", "low rank", "chance"],
)
def test_a_collapse_is_a_failure_of_its_kind_and_has_no_costs(
    embeddings: Tensor, reason: str, pattern_pack: Pack
) -> None:
    with pytest.raises(CollapsedError, match=reason) as caught:
        evaluated(embeddings, pattern_pack)
    assert failure_kind(caught.value) is FailureKind.COLLAPSED


def test_one_nan_among_good_embeddings_is_found(pattern_pack: Pack) -> None:
    embeddings = torch.eye(24).repeat_interleave(4, dim=0)
    assert evaluated(embeddings.clone(), pattern_pack).costs["error"] == 0.0
    embeddings[17, 3] = torch.inf
    with pytest.raises(CollapsedError, match="1 of 96 embeddings are not finite"):
        evaluated(embeddings, pattern_pack)
