from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from workers.errors import CollapsedError
from workers.evaluation.ranks import collapse_reason, leave_one_out_ranks


def sorted_ranks(embeddings: np.ndarray, identity: np.ndarray) -> tuple[list[int], list[int]]:
    """The oracle: sort each row, worst order among ties, and walk down to the first mate."""
    by_identity, by_image = [], []
    for probe in range(len(embeddings)):
        similarity = embeddings @ embeddings[probe]
        others = [j for j in range(len(embeddings)) if j != probe]
        others.sort(key=lambda j: (-similarity[j], identity[j] == identity[probe]))
        names = [identity[j] for j in others]
        if identity[probe] not in names:
            by_identity.append(-1)
            by_image.append(-1)
            continue
        before = names[: names.index(identity[probe])]
        by_identity.append(len(set(before)))
        by_image.append(len(before))
    return by_identity, by_image


@st.composite
def exact_embeddings(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Small integers: every inner product is exact, and ties and duplicates are common."""
    n = draw(st.integers(1, 12))
    d = draw(st.integers(1, 3))
    numbers = draw(st.lists(st.integers(-2, 2), min_size=n * d, max_size=n * d))
    identity = draw(st.lists(st.integers(-3, 4), min_size=n, max_size=n))
    return np.array(numbers, dtype=np.float64).reshape(n, d), np.array(identity)


@settings(max_examples=300)
@given(exact_embeddings(), st.integers(1, 13))
def test_ranks_equal_a_brute_force_sort_with_ties_duplicates_and_singletons(
    case: tuple[np.ndarray, np.ndarray], block_rows: int
) -> None:
    embeddings, identity = case
    ranks = leave_one_out_ranks(torch.from_numpy(embeddings), identity, block_rows=block_rows)
    by_identity, by_image = sorted_ranks(embeddings, identity)
    assert ranks.rank_by_identity.tolist() == by_identity
    assert ranks.rank_by_image.tolist() == by_image


def test_ranks_of_real_valued_embeddings_equal_a_sort_in_double_precision() -> None:
    generator = np.random.default_rng(0)
    identity = generator.integers(0, 40, size=150)
    centres = generator.normal(size=(40, 16))
    vectors = centres[identity] + 1.5 * generator.normal(size=(150, 16))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = unit.astype(np.float32)
    ranks = leave_one_out_ranks(torch.from_numpy(unit), identity, block_rows=64)
    by_identity, by_image = sorted_ranks(unit.astype(np.float64), identity)
    assert ranks.rank_by_identity.tolist() == by_identity
    assert ranks.rank_by_image.tolist() == by_image
    assert 0.1 < np.mean(ranks.rank_by_identity == 0) < 0.9


def test_a_constant_embedding_is_never_correct() -> None:
    vector = F.normalize(torch.randn(1, 33, generator=torch.Generator().manual_seed(0)))
    identity = np.repeat(np.arange(25), 4)
    ranks = leave_one_out_ranks(vector.expand(100, -1), identity)
    assert set(ranks.rank_by_identity.tolist()) == {24}
    assert set(ranks.rank_by_image.tolist()) == {96}


@pytest.mark.parametrize("n_images", [5, 17, 250])
def test_a_copy_of_the_mate_in_another_identity_ties_whatever_its_place(n_images: int) -> None:
    generator = torch.Generator().manual_seed(n_images)
    vectors = F.normalize(torch.randn(n_images, 37, generator=generator))
    vectors[1] = F.normalize(vectors[0] + 0.1 * vectors[1], dim=0)
    vectors[-1] = vectors[1]
    identity = np.arange(n_images)
    identity[1] = 0
    ranks = leave_one_out_ranks(vectors, identity)
    assert ranks.rank_by_identity[0] == 1


def test_embeddings_that_are_not_finite_are_refused() -> None:
    embeddings = torch.eye(4)
    embeddings[2, 1] = torch.nan
    with pytest.raises(CollapsedError, match="1 of 4 embeddings"):
        leave_one_out_ranks(embeddings, np.zeros(4, dtype=int))


def test_shapes_that_disagree_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        leave_one_out_ranks(torch.eye(4), np.zeros(3, dtype=int))


def test_the_matmul_precision_is_restored() -> None:
    before = torch.get_float32_matmul_precision()
    leave_one_out_ranks(torch.eye(4), np.array([0, 0, 1, 1]))
    assert torch.get_float32_matmul_precision() == before


def test_spread_out_embeddings_have_not_collapsed() -> None:
    generator = torch.Generator().manual_seed(0)
    assert collapse_reason(torch.randn(200, 64, generator=generator)) is None
    assert collapse_reason(torch.randn(200, 2, generator=generator)) is None


def test_nearly_constant_embeddings_have_collapsed() -> None:
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.ones(50, 16) + 0.01 * torch.randn(50, 16, generator=generator)
    reason = collapse_reason(embeddings)
    assert reason is not None
    assert "constant" in reason


@pytest.mark.parametrize("embeddings", [torch.zeros(9, 8), torch.eye(3, 8).repeat(20, 1)])
def test_embeddings_on_a_few_points_have_collapsed(embeddings: torch.Tensor) -> None:
    reason = collapse_reason(embeddings)
    assert reason is not None
    assert "effective dimensions" in reason


def test_the_effective_rank_of_equal_variances_is_their_number() -> None:
    # Points +-e_i: the centred covariance has as many equal eigenvalues as there are axes.
    five_axes = torch.cat([torch.eye(5, 16), -torch.eye(5, 16)])
    assert collapse_reason(five_axes) is None
    three_axes = torch.cat([torch.eye(3, 16), -torch.eye(3, 16)]).repeat(3, 1)
    reason = collapse_reason(three_axes)
    assert reason is not None
    assert "3.00 effective dimensions of 16" in reason


@pytest.mark.parametrize("n_identities", [2, 3, 4, 8, 12])
def test_a_perfect_network_has_not_collapsed_however_few_the_identities(n_identities: int) -> None:
    perfect = torch.eye(n_identities, 32).repeat_interleave(5, dim=0)
    assert collapse_reason(perfect, n_identities=n_identities) is None


@pytest.mark.parametrize("block_rows", [1, 5, 64, 1000])
def test_tiles_of_any_size_give_the_same_ranks_also_with_shared_embeddings(
    block_rows: int,
) -> None:
    generator = np.random.default_rng(block_rows)
    identity = generator.integers(0, 30, size=200)
    vectors = generator.normal(size=(200, 12)).astype(np.float32)
    vectors[generator.integers(0, 200, 40)] = vectors[generator.integers(0, 200, 40)]
    unit = F.normalize(torch.from_numpy(vectors))
    whole = leave_one_out_ranks(unit, identity)
    tiled = leave_one_out_ranks(unit, identity, block_rows=block_rows)
    assert np.array_equal(whole.rank_by_identity, tiled.rank_by_identity)
    assert np.array_equal(whole.rank_by_image, tiled.rank_by_image)


def test_both_zeros_are_the_same_number() -> None:
    vectors = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.6, 0.8], [0.0, 1.0], [-0.0, 1.0]])
    ranks = leave_one_out_ranks(vectors, np.array([0, 0, 1, 1, 2]))
    assert ranks.rank_by_identity.tolist() == [1, 2, 2, 2, -1]
