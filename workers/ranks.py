"""Exact leave-one-out identification ranks, block by block, and the signs of a collapsed network.

Never sorts a row, never holds an image-by-image matrix, never lets a tie help the probe.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workers.angles import IntArray
from workers.errors import TrainingDivergedError
from workers.metrics import Ranks

NO_MATE = -1
MAX_MEAN_COSINE = 0.95
MIN_EFFECTIVE_RANK = 4.0


def leave_one_out_ranks(
    embeddings: Tensor, identity: IntArray, *, block_rows: int = 1024
) -> Ranks:
    """Rank every image against all others of the set by inner product.

    Every image is a probe once and in the gallery for all others; it is left out by its index,
    not by its similarity. Ties count against the probe, and images with bitwise equal embeddings
    are guaranteed to tie. An image without a mate stays in the gallery as a distractor.

    Args:
        embeddings: (n, d) on any device, L2-normalised; computed with in float32.
        identity: Integers (n,).
        block_rows: Probes at a time; memory grows with `block_rows * n`.

    Raises:
        TrainingDivergedError: An embedding is not finite.
        ValueError: The shapes disagree.
    """
    if embeddings.ndim != 2 or identity.shape != (embeddings.shape[0],):
        raise ValueError(
            f"embeddings of shape {tuple(embeddings.shape)} do not fit identities of shape "
            f"{identity.shape}; give (n, d) and (n,)"
        )
    require_finite(embeddings)
    if not len(identity):
        empty = np.zeros(0, dtype=np.int64)
        return Ranks(rank_by_identity=empty, rank_by_image=empty.copy())
    _, codes = np.unique(identity, return_inverse=True)
    order = np.argsort(codes, kind="stable")
    device = embeddings.device
    sorted_codes = torch.from_numpy(codes[order].astype(np.int64)).to(device)
    vectors = embeddings.detach().to(torch.float32)[torch.from_numpy(order).to(device)]
    with torch.no_grad(), _full_float32():
        by_identity, by_image = _ranks_of_sorted(vectors, sorted_codes, block_rows)
    return Ranks(
        rank_by_identity=_unsorted(by_identity, order), rank_by_image=_unsorted(by_image, order)
    )


def require_finite(embeddings: Tensor) -> None:
    """Refuse embeddings with a NaN or an infinity; comparisons with NaN would read as correct.

    Raises:
        TrainingDivergedError: An embedding is not finite.
    """
    n_bad = int((~torch.isfinite(embeddings).all(dim=1)).sum())
    if n_bad:
        raise TrainingDivergedError(
            f"{n_bad} of {len(embeddings)} embeddings are not finite; lower the learning rate"
        )


def collapse_reason(embeddings: Tensor, *, n_identities: int | None = None) -> str | None:
    """Why these embeddings tell nobody apart, or None when they may.

    Two signs are looked for. The mean cosine between different images above 0.95: everything is
    mapped to about one point. The effective rank of the centred embeddings below 4: everything
    lies on a line or a few points. Where few images, dimensions or identities allow no more than
    twice that, half of what they allow is asked for: a perfect network maps k identities to k
    points. The effective rank is the exponential of the entropy of the normalised singular values
    (Roy and Vetterli, "The effective rank", EUSIPCO 2007).

    Args:
        embeddings: (n, d), finite; need not be normalised.
        n_identities: Whom the images show; None when unknown, then as many as images.
    """
    n_images, n_dimensions = embeddings.shape
    if n_images < 2:
        return None
    unit = torch.nn.functional.normalize(embeddings.detach().to("cpu", torch.float64), dim=1)
    mean_cosine = float(unit.sum(dim=0).square().sum() - unit.square().sum()) / (
        n_images * (n_images - 1)
    )
    if mean_cosine > MAX_MEAN_COSINE:
        return (
            f"the embeddings are constant: the mean cosine between different images is "
            f"{mean_cosine:.3f} (above {MAX_MEAN_COSINE})"
        )
    n_points = n_images if n_identities is None else n_identities
    needed = min(MIN_EFFECTIVE_RANK, n_dimensions / 2, (n_points - 1) / 2)
    rank = _effective_rank(unit - unit.mean(dim=0))
    if rank < needed:
        return (
            f"the embeddings use {rank:.2f} effective dimensions of {n_dimensions} "
            f"(below {needed:g})"
        )
    return None


def _effective_rank(centred: Tensor) -> float:
    # Of the small square matrix: all images would make a decomposition of many rows.
    singular_values = torch.linalg.eigvalsh(centred.T @ centred).clamp_min(0.0).sqrt()
    total = float(singular_values.sum())
    if total <= 0.0:
        return 0.0
    shares = singular_values / total
    return float(torch.exp(-torch.xlogy(shares, shares).sum()))


def _ranks_of_sorted(vectors: Tensor, codes: Tensor, block_rows: int) -> tuple[Tensor, Tensor]:
    """Ranks of images that are sorted by identity; `codes` counts identities from 0."""
    # A matrix product may round equal columns differently, depending on their place in a tile.
    # Each distinct vector is multiplied once, so that equal embeddings tie exactly.
    distinct, column = torch.unique(vectors, dim=0, return_inverse=True)
    has_duplicates = len(distinct) < len(vectors)
    gallery = distinct if has_duplicates else vectors
    n_identities = int(codes[-1]) + 1
    by_identity, by_image = torch.empty_like(codes), torch.empty_like(codes)
    for start in range(0, len(vectors), block_rows):
        block = slice(start, min(start + block_rows, len(vectors)))
        # Gallery in rows, probes in columns: the maximum per identity then runs over whole rows.
        similarity = gallery @ vectors[block].T
        if has_duplicates:
            similarity = similarity[column]
        probes = torch.arange(block.stop - block.start, device=vectors.device)
        similarity[probes + start, probes] = -torch.inf
        best = similarity.new_full((n_identities, len(probes)), -torch.inf)
        best.scatter_reduce_(0, codes[:, None].expand(-1, len(probes)), similarity, "amax")
        own = best[codes[block], probes]
        has_mate = torch.isfinite(own)
        above = similarity >= own
        above &= codes[:, None] != codes[block]
        by_image[block] = torch.where(has_mate, above.sum(dim=0), NO_MATE)
        by_identity[block] = torch.where(has_mate, (best >= own).sum(dim=0) - 1, NO_MATE)
    return by_identity, by_image


def _unsorted(values: Tensor, order: IntArray) -> NDArray[np.int64]:
    restored = np.empty(len(order), dtype=np.int64)
    restored[order] = values.cpu().numpy()
    return restored


@contextmanager
def _full_float32() -> Iterator[None]:
    """Matrix products without TF32, whose 10-bit mantissa flips close decisions."""
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)
