"""The margin heads whose loss is a cross entropy. See `core` first."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from search_space.heads.core import MarginHead, add_angle

MAGFACE_RISE = 0.35  # radians, from the smallest to the largest embedding length
MAGFACE_LENGTHS = (10.0, 110.0)  # at an embedding size of 512
ADAFACE_CONCENTRATION = 0.333
ADAFACE_LENGTHS = (1e-3, 100.0)  # at an embedding size of 512
ADAFACE_START = (20.0, 100.0)  # mean and deviation of lengths before any batch
ELASTICFACE_DEVIATION = 0.05  # radians

_PUBLISHED_EMBEDDING_SIZE = 512
_PULL = 0.01  # of a batch on a running value; AdaFace and CurricularFace publish the same
_SMALLEST_DEVIATION = 1e-3


class CosFace(MarginHead):
    """Own logit cos(theta) - m.

    References:
        Wang et al., "CosFace", CVPR 2018, equation 4.
    """

    def harden(self, cosines: Tensor, margins: Tensor, lengths: Tensor) -> Tensor:  # noqa: ARG002
        """The cosine less the margin; lengths do not matter."""
        return cosines - margins


class ArcFace(MarginHead):
    """Own logit cos(theta + m); where theta + m would pass pi, cos(theta) - m sin(m).

    References:
        Deng et al., "ArcFace", CVPR 2019, equation 3; the fallback is the authors' own.
    """

    def harden(self, cosines: Tensor, margins: Tensor, lengths: Tensor) -> Tensor:  # noqa: ARG002
        """The cosine of the angle plus the margin; lengths do not matter."""
        return add_angle(cosines, margins)


class SubCenterArcFace(ArcFace):
    """ArcFace of the nearest of a class's several weights, so that outliers get one of their own.

    The weight's shape is (n_classes * sub_centers, embedding_size), a class's rows together.

    References:
        Deng et al., "Sub-center ArcFace", ECCV 2020.
    """

    def __init__(self, weight: Tensor, *, scale: float, margin: float, sub_centers: int) -> None:
        super().__init__(weight, scale=scale, margin=margin)
        self.sub_centers = sub_centers

    def class_cosines(self, unit_embeddings: Tensor) -> Tensor:
        """Cosine to each class's nearest weight, shape (batch, n_classes)."""
        cosines = super().class_cosines(unit_embeddings)
        n_classes = len(self.weight) // self.sub_centers
        return cosines.view(-1, n_classes, self.sub_centers).max(dim=2).values


class ElasticFace(ArcFace):
    """ArcFace whose margin is drawn for each sample anew, from a normal distribution around m.

    The draws come from torch's global generator, which whoever trains must seed; in evaluation
    mode the margin is m.

    References:
        Boutros et al., "ElasticFace", CVPR Workshops 2022, ElasticFace-Arc; the deviation is the
        one in the authors' training configuration.
    """

    def __init__(self, weight: Tensor, *, scale: float, margin: float) -> None:
        super().__init__(weight, scale=scale, margin=margin)
        self.deviation = ELASTICFACE_DEVIATION

    def margins(self, lengths: Tensor) -> Tensor:
        """One draw per sample when training, else the mean."""
        margins = super().margins(lengths)
        if self.training:
            margins = margins + self.deviation * torch.randn_like(margins)
        return margins


class CurricularFace(ArcFace):
    """ArcFace in which classes that outscore the own logit count more as training goes on.

    Such a class's cosine c becomes c * (t + c), where t, the buffer `progress`, is a running mean
    of the cosines to the own class and starts at 0. A class outscores the own logit as it is
    after the fallback of `add_angle`, where the authors compare with cos(theta + m) even beyond
    pi.

    References:
        Huang et al., "CurricularFace", CVPR 2020.
    """

    progress: Tensor

    def __init__(self, weight: Tensor, *, scale: float, margin: float) -> None:
        super().__init__(weight, scale=scale, margin=margin)
        self.register_buffer("progress", torch.zeros(()))

    def observe(self, own_cosines: Tensor, lengths: Tensor) -> None:  # noqa: ARG002
        """Pull the progress a hundredth towards the batch's mean cosine."""
        _pull(self.progress, own_cosines.mean())

    def others(self, cosines: Tensor, own: Tensor, margins: Tensor) -> Tensor:  # noqa: ARG002
        """The cosine c, or c * (t + c) where c is above the own logit."""
        return torch.where(cosines > own[:, None], cosines * (self.progress + cosines), cosines)


class AdaFace(MarginHead):
    """Own logit cos(theta - m q) - (m + m q), q from -1 (short embedding) to 1 (long).

    q is 0.333 times the length's deviation from the running mean, in running standard deviations.
    Lengths are published for 512 numbers; they count in units of the square root of a 512th of the
    embedding size, as the lengths themselves do behind the neck. Where theta - m q would pass
    pi, the fallback of `add_angle` replaces the authors' constant, which has no slope.

    References:
        Kim et al., "AdaFace", CVPR 2022; start and pull of the running values and the limits of
        lengths are those of the authors' code.
    """

    mean_length: Tensor
    length_deviation: Tensor

    def __init__(self, weight: Tensor, *, scale: float, margin: float) -> None:
        super().__init__(weight, scale=scale, margin=margin)
        self.length_unit = math.sqrt(weight.shape[1] / _PUBLISHED_EMBEDDING_SIZE)
        mean, deviation = ADAFACE_START
        self.register_buffer("mean_length", torch.tensor(mean))
        self.register_buffer("length_deviation", torch.tensor(deviation))

    def observe(self, own_cosines: Tensor, lengths: Tensor) -> None:  # noqa: ARG002
        """Pull mean and deviation a hundredth towards the batch's; one sample has no deviation."""
        if len(lengths) > 1:
            lengths = self._in_units(lengths)
            _pull(self.mean_length, lengths.mean())
            _pull(self.length_deviation, lengths.std(correction=0))

    def harden(self, cosines: Tensor, margins: Tensor, lengths: Tensor) -> Tensor:
        """Long embeddings, taken for good pictures, get less of an angle and more off the cosine.

        No gradient reaches the length.
        """
        distances = self._in_units(lengths.detach()) - self.mean_length
        distances = distances / (self.length_deviation + _SMALLEST_DEVIATION)
        shifts = margins * (ADAFACE_CONCENTRATION * distances).clamp(-1.0, 1.0)
        return add_angle(cosines, -shifts) - (margins + shifts)

    def _in_units(self, lengths: Tensor) -> Tensor:
        return (lengths / self.length_unit).clamp(*ADAFACE_LENGTHS)


class MagFace(MarginHead):
    """Own logit cos(theta + m(a)), m growing with the embedding's length a, which is rewarded.

    Lengths between which the margin grows are published for 512 numbers; they follow the square
    root of the embedding size, as the lengths themselves do behind the neck. The reward's weight
    follows the scale: below `scale * rise * l**2 * u**2 / (u**2 - l**2)`, where rise is the
    margin's slope and l and u are the lengths, nothing would hold an embedding above l.

    References:
        Meng et al., "MagFace", CVPR 2021, equations 3 to 5.
    """

    def __init__(
        self, weight: Tensor, *, scale: float, margin: float, regulariser_factor: float
    ) -> None:
        super().__init__(weight, scale=scale, margin=margin)
        stretch = math.sqrt(weight.shape[1] / _PUBLISHED_EMBEDDING_SIZE)
        self.shortest, self.longest = (stretch * length for length in MAGFACE_LENGTHS)
        self.rise = MAGFACE_RISE / (self.longest - self.shortest)
        squares = self.shortest**2, self.longest**2
        bound = scale * self.rise * squares[0] * squares[1] / (squares[1] - squares[0])
        self.regulariser_weight = regulariser_factor * bound

    def margins(self, lengths: Tensor) -> Tensor:
        """The margin that belongs to each length."""
        lengths = lengths.clamp(self.shortest, self.longest)
        return self.margin + self.rise * (lengths - self.shortest)

    def harden(self, cosines: Tensor, margins: Tensor, lengths: Tensor) -> Tensor:  # noqa: ARG002
        """The cosine of the angle plus the margin."""
        return add_angle(cosines, margins)

    def regulariser(self, lengths: Tensor) -> Tensor:
        """Weight times a / u**2 + 1 / a, which is smallest at the longest length u."""
        lengths = lengths.clamp(self.shortest, self.longest)
        return self.regulariser_weight * (lengths / self.longest**2 + 1.0 / lengths)


@torch.no_grad()
def _pull(running: Tensor, value: Tensor) -> None:
    """Move the running value, in place; a NaN, which would stay for ever, is passed over."""
    running.copy_(torch.where(value.isfinite(), running.lerp(value, _PULL), running))
