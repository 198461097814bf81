"""Searches of an enrolled gallery, also for people who are not in it.

The leave-one-out ranks favour people with many pictures; here each enrolled person has one. Never
trains or embeds; a tie always counts against the network.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

IntArray: TypeAlias = NDArray[np.integer]
FloatArray: TypeAlias = NDArray[np.float64]
BoolArray: TypeAlias = NDArray[np.bool_]

_BLOCK_ROWS = 1024


class Enrolment(NamedTuple):
    """Who is in the gallery; indices into the images.

    Attributes:
        gallery: One image of each enrolled identity.
        mated: The enrolled identities' other images: probes.
        unmated: All images of the identities that are not enrolled: probes who should be rejected.
    """

    gallery: IntArray
    mated: IntArray
    unmated: IntArray


def enrol(identity: IntArray, *, enrolled_share: float, seed: int = 0) -> Enrolment:
    """Enrol a share of the identities that have two images or more, each by one image.

    Whether and by which image somebody is enrolled depends on the identity and its images alone.
    Who has one image only is never enrolled: there would be no probe.

    Args:
        identity: Integers (n,).
        enrolled_share: 0..1; 1 is a closed set but for the people with one image.
        seed: Of the choice.
    """
    gallery: list[IntArray] = []
    mated: list[IntArray] = []
    unmated: list[IntArray] = []
    order = np.argsort(identity, kind="stable")
    for images in np.split(order, np.flatnonzero(np.diff(identity[order])) + 1):
        name = int(identity[images[0]]) % 2**63
        generator = np.random.default_rng([seed, name])
        if len(images) < 2 or generator.random() >= enrolled_share:
            unmated.append(images)
            continue
        chosen = generator.integers(len(images))
        gallery.append(images[chosen : chosen + 1])
        mated.append(np.delete(images, chosen))
    return Enrolment(_joined(gallery), _joined(mated), _joined(unmated))


class Searches(NamedTuple):
    """What searching a gallery gave, for n probes.

    Attributes:
        mate_score: (n,): similarity to the own gallery image, -inf for those not enrolled.
        best_other: (n,): the largest similarity to another's.
        rank: int64 (n,): others at least as similar as the own, -1 for those not enrolled.
    """

    mate_score: FloatArray
    best_other: FloatArray
    rank: NDArray[np.int64]


def search_gallery(embeddings: Tensor, identity: IntArray, enrolment: Enrolment) -> Searches:
    """Search the gallery for the mated probes, then for the unmated ones.

    Args:
        embeddings: (n, d), L2-normalised, finite.
        identity: Integers (n,).
        enrolment: At least one identity is enrolled.
    """
    probes = np.concatenate([enrolment.mated, enrolment.unmated])
    gallery = embeddings[torch.from_numpy(enrolment.gallery).to(embeddings.device)].float()
    names = identity[enrolment.gallery]
    parts = [
        _searched(
            gallery,
            names,
            embeddings[torch.from_numpy(rows).to(embeddings.device)].float(),
            identity[rows],
        )
        for rows in np.split(probes, range(_BLOCK_ROWS, len(probes), _BLOCK_ROWS))
    ]
    return Searches(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _searched(gallery: Tensor, names: IntArray, probes: Tensor, identity: IntArray) -> Searches:
    scores = (probes @ gallery.T).cpu().numpy().astype(np.float64)
    is_own = identity[:, None] == names
    own = np.where(is_own, scores, -np.inf).max(axis=1)
    others = np.where(is_own, -np.inf, scores)
    rank = (others >= own[:, None]).sum(axis=1)
    return Searches(own, others.max(axis=1), np.where(is_own.any(axis=1), rank, -1))


def _joined(parts: list[IntArray]) -> IntArray:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
