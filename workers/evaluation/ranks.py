"""Exact leave-one-out identification ranks, block by block, and the signs of a collapsed network.

Multiplies each pair of images once, never sorts a row, never holds an image-by-image matrix, and
never lets a tie help the probe.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workers.errors import CollapsedError
from workers.evaluation.angles import IntArray
from workers.evaluation.identification_metrics import Ranks

NO_MATE = -1
MAX_MEAN_COSINE = 0.95
MIN_EFFECTIVE_RANK = 4.0
_HASHED_ROWS = 4096


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
        block_rows: Side of a tile of similarities. Extra memory is a sorted copy of the
            embeddings and a few tiles; a person with more images makes a larger tile, and
            embeddings that different people share add n numbers each.

    Raises:
        CollapsedError: An embedding is not finite.
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

    A loss that stops being finite is found while training; a network whose embeddings are not
    finite after a training that was is as useless as a constant one.

    Raises:
        CollapsedError: An embedding is not finite.
    """
    n_bad = int((~torch.isfinite(embeddings).all(dim=1)).sum())
    if n_bad:
        raise CollapsedError(
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
    tiles = _Tiles(vectors=vectors, codes=codes, duplicates=_duplicates(vectors, codes))
    blocks = _blocks(torch.bincount(codes).tolist(), block_rows)
    own = vectors.new_empty(len(vectors))
    by_image, by_identity = torch.zeros_like(codes), torch.zeros_like(codes)
    for block in blocks:
        # All mates of a block's probes are in it, so their best similarity is known after this.
        similarity = tiles.similarity(block, block)
        mates = codes[block][:, None] == codes[block]
        same = similarity.masked_fill(~mates, -torch.inf)
        own[block] = same.fill_diagonal_(-torch.inf).amax(dim=0)
        tiles.count(
            similarity.masked_fill_(mates, -torch.inf),
            block,
            own[block],
            into=(by_image[block], by_identity[block]),
        )
    for position, rows in enumerate(blocks):
        for columns in blocks[position + 1 :]:
            # One product serves the probes of both blocks.
            similarity = tiles.similarity(rows, columns)
            tiles.count(
                similarity, rows, own[columns], into=(by_image[columns], by_identity[columns])
            )
            tiles.count(
                similarity.T.contiguous(),
                columns,
                own[rows],
                into=(by_image[rows], by_identity[rows]),
            )
    has_mate = torch.isfinite(own)
    no_mate = torch.full_like(codes, NO_MATE)
    return torch.where(has_mate, by_identity, no_mate), torch.where(has_mate, by_image, no_mate)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Duplicates:
    """Equal embeddings of different people, which must tie exactly.

    A matrix product may round equal columns differently, depending on their place in a tile. The
    similarities of these images are therefore taken from one table, made once.

    Attributes:
        number: int64 (n,): row of `products`, -1 for images without a duplicate.
        products: (m, n): of the m embeddings that occur more than once, with every image.
    """

    number: Tensor
    products: Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Tiles:
    vectors: Tensor
    codes: Tensor
    duplicates: _Duplicates | None

    def similarity(self, rows: slice, columns: slice) -> Tensor:
        """(r, c): every row's image with every column's."""
        similarity = self.vectors[rows] @ self.vectors[columns].T
        if self.duplicates is None:
            return similarity
        number, products = self.duplicates.number, self.duplicates.products
        is_row, is_column = number[rows] >= 0, number[columns] >= 0
        similarity[is_row] = products[number[rows][is_row], columns]
        similarity[:, is_column] = products[number[columns][is_column], rows].T
        return similarity

    def count(
        self, similarity: Tensor, gallery: slice, own: Tensor, *, into: tuple[Tensor, Tensor]
    ) -> None:
        """Add what comes before each probe's nearest mate: images, and identities.

        Args:
            similarity: (r, c), gallery images in rows, probes in columns.
            gallery: The rows' images: whole identities.
            own: (c,); -inf for probes without a mate, whose counts mean nothing.
            into: int64 (c,) each, changed in place.
        """
        by_image, by_identity = into
        # Summed as floats, several times as fast as booleans, and exact below 2^24 rows.
        by_image += (similarity >= own).float().sum(dim=0).long()
        codes = self.codes[gallery]
        codes = (codes - codes[0])[:, None].expand(-1, similarity.shape[1])
        best = similarity.new_full((int(codes[-1, 0]) + 1, similarity.shape[1]), -torch.inf)
        best.scatter_reduce_(0, codes, similarity, "amax")
        by_identity += (best >= own).float().sum(dim=0).long()


def _blocks(n_images: list[int], block_rows: int) -> list[slice]:
    """Runs of whole identities with about `block_rows` images, more where one has more."""
    blocks, start, stop = [], 0, 0
    for n in n_images:
        if stop > start and stop + n - start > block_rows:
            blocks.append(slice(start, stop))
            start = stop
        stop += n
    return [*blocks, slice(start, stop)]


def _duplicates(vectors: Tensor, codes: Tensor) -> _Duplicates | None:
    """The embeddings that two identities or more share; None when there are none."""
    suspects = _suspected_duplicates(vectors)
    if not len(suspects):
        return None
    distinct, member = torch.unique(vectors[suspects], dim=0, return_inverse=True)
    owners = torch.unique(torch.stack([member, codes[suspects]]), dim=1)[0]
    is_shared = torch.bincount(owners, minlength=len(distinct)) > 1
    if not is_shared.any():
        return None
    row = torch.where(is_shared, is_shared.cumsum(0) - 1, -1)
    number = torch.full_like(codes, -1)
    number[suspects] = row[member]
    shared = distinct[is_shared]
    products = shared @ vectors.T
    among = shared @ shared.T
    is_duplicate = number >= 0
    products[:, is_duplicate] = torch.maximum(among, among.T)[:, number[is_duplicate]]
    return _Duplicates(number=number, products=products)


def _suspected_duplicates(vectors: Tensor) -> Tensor:
    """Indices of images whose embedding's hash occurs twice: all duplicates, hardly an other."""
    generator = torch.Generator().manual_seed(0)
    odd = torch.randint(-(2**62), 2**62, (vectors.shape[1],), generator=generator) * 2 + 1
    odd = odd.to(vectors.device)
    hashes = torch.cat(
        # Wraps around on purpose. Adding zero makes one of the two zeros, which compare equal.
        [
            ((part + 0.0).view(torch.int32) * odd).sum(dim=1)
            for part in torch.split(vectors, _HASHED_ROWS)
        ]
    )
    _, member, counts = torch.unique(hashes, return_inverse=True, return_counts=True)
    suspects: Tensor = (counts[member] > 1).nonzero().squeeze(1)
    return suspects


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
