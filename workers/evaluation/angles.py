"""How tight identities are and how far apart: the predecessor's intra and inter angles. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

IntArray: TypeAlias = NDArray[np.integer]
FloatArray: TypeAlias = NDArray[np.floating]

_BLOCK_ROWS = 1024


class Angles(NamedTuple):
    """`intra_degrees` and `inter_degrees`, of all identities and of each group that has one."""

    overall: Mapping[str, float]
    groups: Mapping[str, Mapping[str, float]]


def identity_angles(
    embeddings: FloatArray, *, identity: IntArray, codes: IntArray, labels: Sequence[str]
) -> Angles:
    """Mean angles in degrees over the identities that have two images or more.

    An identity's centre is the direction of its mean embedding. `intra_degrees` is the mean over
    identities of the mean angle between an image and its centre, 0 for identical images;
    `inter_degrees` the mean over identities of the smallest angle to another identity's centre,
    of any group and with any number of images. An identity belongs to the group of its first
    image.

    Args:
        embeddings: (n, d), finite, of two identities or more, one of which has two images.
        identity: Integers (n,).
        codes: Group of each image (n,): an index into `labels`, negative where unknown.
        labels: Names of the groups.
    """
    _, first, member = np.unique(identity, return_index=True, return_inverse=True)
    n_images = np.bincount(member)
    unit = _normalised(np.asarray(embeddings, np.float64))
    sums = np.zeros((len(first), unit.shape[1]))
    np.add.at(sums, member, unit)
    centres = _normalised(sums)
    intra = np.zeros(len(first))
    np.add.at(intra, member, _degrees(np.einsum("nd,nd->n", unit, centres[member])))
    intra /= n_images
    inter = _degrees(_largest_cosine_to_another(centres))
    has_mates = n_images > 1
    groups = {label: has_mates & (codes[first] == code) for code, label in enumerate(labels)}
    return Angles(
        overall=_means(intra[has_mates], inter[has_mates]),
        groups={
            label: _means(intra[chosen], inter[chosen])
            for label, chosen in groups.items()
            if chosen.any()
        },
    )


def _means(intra: FloatArray, inter: FloatArray) -> dict[str, float]:
    return {"intra_degrees": float(intra.mean()), "inter_degrees": float(inter.mean())}


def _largest_cosine_to_another(centres: FloatArray) -> FloatArray:
    """(k,) for centres of shape (k, d), k at least 2; block by block."""
    largest = np.empty(len(centres))
    for start in range(0, len(centres), _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        cosines = centres[block] @ centres.T
        rows = np.arange(len(cosines))
        cosines[rows, rows + start] = -np.inf
        largest[block] = cosines.max(axis=1)
    return largest


def _normalised(vectors: FloatArray) -> FloatArray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    normalised: FloatArray = vectors / np.maximum(lengths, np.finfo(np.float64).tiny)
    return normalised


def _degrees(cosines: FloatArray) -> FloatArray:
    return np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))
