"""Margin heads: embeddings and labels to logits. CosFace, ArcFace and MagFace over one core.

All compute in float32 with autocast off (bfloat16 is 0.004 apart just below a cosine of 1), start
from class weights of length 1 (the length of a normalised weight divides its learning rate, so a
head must not choose it), and keep every gradient finite, at cosines of exactly +-1 too.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_space.candidate import PAPER_HEADS, HeadName

COSFACE_MARGIN = 0.35
ARCFACE_MARGIN = 0.5  # radians
MAGFACE_MARGINS = (0.45, 0.8)  # radians, at the smallest and at the largest embedding length
MAGFACE_LENGTHS = (10.0, 110.0)  # at an embedding size of 512
SMALLEST_SCALE = 8.0

_PUBLISHED_EMBEDDING_SIZE = 512
_REGULARISER_OVER_BOUND = 1.5
# The derivative of the sine grows without limit at the poles; below this square it counts as 0.
_SMALLEST_SQUARED_SINE = 1e-6
_SMALLEST_LENGTH = 1e-6


class HeadOutput(NamedTuple):
    """Logits, shape (batch, n_classes), and what to add to each sample's loss, shape (batch,)."""

    logits: Tensor
    regulariser: Tensor


def default_scale(n_classes: int) -> float:
    """The logit scale for this many classes, at least 8.

    References:
        Zhang et al., "AdaCos", CVPR 2019, the fixed scale: sqrt(2) * ln(n_classes - 1).
    """
    return max(SMALLEST_SCALE, math.sqrt(2.0) * math.log(max(n_classes - 1, 1)))


def build_head(
    name: HeadName | str,
    *,
    embedding_size: int,
    n_classes: int,
    scale: float | None = None,
    margin: float | None = None,
    generator: torch.Generator | None = None,
) -> MarginHead:
    """The head called `name`, on the CPU.

    Args:
        name: One of `candidate.HEADS`.
        embedding_size: Length of an embedding.
        n_classes: Identities trained on, 2 or more.
        scale: Multiplies the cosines; None takes `default_scale`.
        margin: None takes the published one. CosFace: subtracted from the cosine. ArcFace:
            radians. MagFace: radians at the smallest length; the rise of 0.35 stays.
        generator: Draws the class weights; None is a generator of its own with seed 0.

    Raises:
        ValueError: The name is not known, there are fewer than two classes, the scale is not
            above 0, or the margin is negative or as large as pi / 2.
    """
    heads: dict[str, type[CosFace | ArcFace | MagFace]] = {
        "CosFace": CosFace,
        "ArcFace": ArcFace,
        "MagFace": MagFace,
    }
    if name not in heads:
        raise ValueError(f"unknown head {name!r}; choose from {', '.join(PAPER_HEADS)}")
    if n_classes < 2:
        raise ValueError(f"a head of {n_classes} classes learns nothing; give 2 or more")
    if scale is None:
        scale = default_scale(n_classes)
    if not 0.0 < scale < math.inf:
        raise ValueError(f"the scale of {name} is {scale}; give a finite number above 0")
    if margin is not None and not 0.0 <= margin < math.pi / 2:
        raise ValueError(f"the margin of {name} is {margin}; give a number from 0 to below pi / 2")
    weight = _unit_rows(n_classes, embedding_size, generator)
    return heads[name](weight, scale=scale, margin=margin)


class MarginHead(nn.Module):
    """What all heads share: cosines to the class weights, of which the label's gets a margin.

    Attributes:
        weight: One row per class, shape (n_classes, embedding_size); only directions matter.
    """

    def __init__(self, weight: Tensor, *, scale: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.scale = scale

    def forward(self, embeddings: Tensor, labels: Tensor) -> HeadOutput:
        """Scaled logits for the cross entropy, and the regulariser.

        Args:
            embeddings: Shape (batch, embedding_size), of any length.
            labels: Class of each embedding, int64, shape (batch,).
        """
        with torch.autocast(device_type=embeddings.device.type, enabled=False):
            embeddings = embeddings.float()
            directions = F.normalize(embeddings, eps=_SMALLEST_LENGTH)
            cosines = F.linear(directions, F.normalize(self.weight.float()))
            lengths = torch.linalg.vector_norm(embeddings, dim=1)
            own_cosines = cosines.gather(1, labels[:, None]).squeeze(1)
            own_logits = self.with_margin(own_cosines, lengths)
            classes = torch.arange(cosines.shape[1], device=cosines.device)
            is_own = labels[:, None] == classes
            logits = self.scale * torch.where(is_own, own_logits[:, None], cosines)
            return HeadOutput(logits, self.regulariser(lengths))

    def with_margin(self, cosines: Tensor, lengths: Tensor) -> Tensor:
        """The cosine to the own class made harder.

        Args:
            cosines: To the own class, shape (batch,).
            lengths: Of the embeddings, shape (batch,).
        """
        raise NotImplementedError

    def regulariser(self, lengths: Tensor) -> Tensor:
        """What is added to each sample's loss, shape (batch,); 0 unless a head says otherwise."""
        return torch.zeros_like(lengths)


class CosFace(MarginHead):
    """Own logit cos(theta) - m.

    References:
        Wang et al., "CosFace", CVPR 2018, equation 4.
    """

    def __init__(self, weight: Tensor, *, scale: float, margin: float | None) -> None:
        super().__init__(weight, scale=scale)
        self.margin = COSFACE_MARGIN if margin is None else margin

    def with_margin(self, cosines: Tensor, lengths: Tensor) -> Tensor:  # noqa: ARG002
        """The cosine less the margin; lengths do not matter."""
        return cosines - self.margin


class ArcFace(MarginHead):
    """Own logit cos(theta + m); where theta + m would pass pi, cos(theta) - m sin(m).

    References:
        Deng et al., "ArcFace", CVPR 2019, equation 3; the fallback is the authors' own.
    """

    def __init__(self, weight: Tensor, *, scale: float, margin: float | None) -> None:
        super().__init__(weight, scale=scale)
        self.margin = ARCFACE_MARGIN if margin is None else margin

    def with_margin(self, cosines: Tensor, lengths: Tensor) -> Tensor:
        """The cosine of the angle plus the margin; lengths do not matter."""
        return add_angle(cosines, torch.full_like(lengths, self.margin))


class MagFace(MarginHead):
    """Own logit cos(theta + m(a)), m growing with the embedding's length a, which is rewarded.

    Lengths between which the margin grows are published for 512 numbers; they follow the square
    root of the embedding size, as the lengths themselves do behind the neck. The reward's weight
    follows the scale: below `scale * rise * l**2 * u**2 / (u**2 - l**2)`, where rise is the
    margin's slope and l and u are the lengths, nothing would hold an embedding above l.

    References:
        Meng et al., "MagFace", CVPR 2021, equations 3 to 5.
    """

    def __init__(self, weight: Tensor, *, scale: float, margin: float | None) -> None:
        super().__init__(weight, scale=scale)
        low, high = MAGFACE_MARGINS
        stretch = math.sqrt(weight.shape[1] / _PUBLISHED_EMBEDDING_SIZE)
        self.shortest, self.longest = (stretch * length for length in MAGFACE_LENGTHS)
        self.margin = low if margin is None else margin
        self.rise = (high - low) / (self.longest - self.shortest)
        squares = self.shortest**2, self.longest**2
        bound = scale * self.rise * squares[0] * squares[1] / (squares[1] - squares[0])
        self.regulariser_weight = _REGULARISER_OVER_BOUND * bound

    def with_margin(self, cosines: Tensor, lengths: Tensor) -> Tensor:
        """The cosine of the angle plus the margin that belongs to the length."""
        lengths = lengths.clamp(self.shortest, self.longest)
        return add_angle(cosines, self.margin + self.rise * (lengths - self.shortest))

    def regulariser(self, lengths: Tensor) -> Tensor:
        """Weight times a / u**2 + 1 / a, which is smallest at the longest length u."""
        lengths = lengths.clamp(self.shortest, self.longest)
        return self.regulariser_weight * (lengths / self.longest**2 + 1.0 / lengths)


def add_angle(cosines: Tensor, angles: Tensor) -> Tensor:
    """cos(theta + angle) from cos(theta), falling with theta all the way, with finite slope.

    Args:
        cosines: Between -1 and 1, up to rounding.
        angles: Radians, from 0 to 2.3; the shape of `cosines`.

    Returns:
        Where theta + angle passes pi and the cosine would rise again: cos(theta) less
        angle * sin(angle).
    """
    sines = (1.0 - cosines.square()).clamp_min(_SMALLEST_SQUARED_SINE).sqrt()
    cos_angles, sin_angles = angles.cos(), angles.sin()
    turned = cosines * cos_angles - sines * sin_angles
    return torch.where(cosines > -cos_angles, turned, cosines - angles * sin_angles)


def _unit_rows(n_rows: int, n_columns: int, generator: torch.Generator | None) -> Tensor:
    if generator is None:
        generator = torch.Generator().manual_seed(0)
    return F.normalize(torch.randn(n_rows, n_columns, generator=generator))
