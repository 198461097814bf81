"""What all margin heads share: safe cosines of which the label's is made harder.

All compute in float32 with autocast off (bfloat16 is 0.004 apart just below a cosine of 1), start
from class weights of length 1 (the length of a normalised weight divides its learning rate, so a
head must not choose it), and keep every gradient finite, at cosines of exactly +-1 too.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_space.heads.losses import focal_cross_entropy
from search_space.heads.specs import LARGEST_MARGIN

# The derivative of the sine grows without limit at the poles; below this square it counts as 0.
_SMALLEST_SQUARED_SINE = 1e-6
_SMALLEST_LENGTH = 1e-6


class HeadOutput(NamedTuple):
    """Logits, shape (batch, n_classes), and what to add to each sample's loss, shape (batch,)."""

    logits: Tensor
    regulariser: Tensor


class MarginHead(nn.Module):
    """Cosines to the class weights, of which the label's gets a margin.

    The parts that differ between heads are the methods below `losses`; each has a default. State
    that training changes is kept in buffers, so that `state_dict` holds it, and is changed in
    training mode only. No parameter of a head may decay: class weights enter by their direction
    only, and decay would change their learning rate and nothing else.

    Attributes:
        weight: Only directions matter; shape (n_classes, embedding_size), or more rows per class
            where a head says so.
        scale: Multiplies the cosines.
        margin: In the head's own unit, see `heads.specs`.
    """

    def __init__(self, weight: Tensor, *, scale: float, margin: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.scale = scale
        self.margin = margin

    def forward(
        self, embeddings: Tensor, labels: Tensor, margin_offsets: Tensor | None = None
    ) -> HeadOutput:
        """Scaled logits for `losses`, and the regulariser.

        Args:
            embeddings: Shape (batch, embedding_size), of any length and floating type. One
                shorter than 1e-6 has no direction: its cosines are 0 and it gets no gradient.
            labels: Class of each embedding, int64, shape (batch,).
            margin_offsets: Added to each sample's margin, in the head's own unit, shape (batch,);
                the sum is kept between 0 and 1.57.

        Raises:
            ValueError: The offsets are not of the labels' shape.
        """
        with torch.autocast(device_type=embeddings.device.type, enabled=False):
            embeddings = embeddings.float()
            lengths = torch.linalg.vector_norm(embeddings, dim=1)
            cosines = self.class_cosines(directions(embeddings))
            own_cosines = cosines.gather(1, labels[:, None]).squeeze(1)
            if self.training:
                self.observe(own_cosines.detach(), lengths.detach())
            margins = _with_offsets(self.margins(lengths), margin_offsets)
            own = self.harden(own_cosines, margins, lengths)
            others = self.others(cosines, own.detach(), margins)
            classes = torch.arange(cosines.shape[1], device=cosines.device)
            is_own = labels[:, None] == classes
            logits = self.scale * torch.where(is_own, own[:, None], others)
            return HeadOutput(logits, self.regulariser(lengths))

    def losses(
        self, logits: Tensor, labels: Tensor, *, label_smoothing: float, focal_gamma: float
    ) -> Tensor:
        """Each sample's loss without the regulariser, shape (batch,).

        Args:
            logits: Those of `forward`.
            labels: int64, shape (batch,).
            label_smoothing: Share of the target that all classes divide, 0 to below 1.
            focal_gamma: Power of the focal factor; 0 leaves it out.
        """
        return focal_cross_entropy(
            logits, labels, label_smoothing=label_smoothing, focal_gamma=focal_gamma
        )

    def class_cosines(self, unit_embeddings: Tensor) -> Tensor:
        """Cosine to each class, shape (batch, n_classes)."""
        return F.linear(unit_embeddings, directions(self.weight.float()))

    def observe(self, own_cosines: Tensor, lengths: Tensor) -> None:
        """Learn from the batch's values, both of shape (batch,) and detached, in place."""

    def margins(self, lengths: Tensor) -> Tensor:
        """Each sample's margin before offsets, shape (batch,), from the embeddings' lengths."""
        return torch.full_like(lengths, self.margin)

    def harden(self, cosines: Tensor, margins: Tensor, lengths: Tensor) -> Tensor:
        """The cosine to the own class made harder.

        Args:
            cosines: To the own class, shape (batch,).
            margins: 0 to 1.57, shape (batch,).
            lengths: Of the embeddings, shape (batch,).
        """
        raise NotImplementedError

    def others(self, cosines: Tensor, own: Tensor, margins: Tensor) -> Tensor:  # noqa: ARG002
        """What the other classes' cosines become; unchanged unless a head says otherwise.

        Args:
            cosines: Of all classes, shape (batch, n_classes); the own class's is not used.
            own: What `harden` returned, detached, shape (batch,).
            margins: 0 to 1.57, shape (batch,).
        """
        return cosines

    def regulariser(self, lengths: Tensor) -> Tensor:
        """What is added to each sample's loss, shape (batch,); 0 unless a head says otherwise."""
        return torch.zeros_like(lengths)


def directions(vectors: Tensor) -> Tensor:
    """The rows brought to length 1; rows shorter than 1e-6 become 0 and get no gradient.

    Dividing them by the smallest length instead would give them a gradient a million times
    larger than the others', which float16 cannot hold.
    """
    lengths = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
    units = vectors / lengths.clamp_min(_SMALLEST_LENGTH)
    return torch.where(lengths < _SMALLEST_LENGTH, 0.0, units)


def add_angle(cosines: Tensor, angles: Tensor) -> Tensor:
    """cos(theta + angle) from cos(theta), never rising with theta, with finite slope.

    Args:
        cosines: Between -1 and 1, up to rounding.
        angles: Radians, from -pi / 2 to 2.3; the shape of `cosines`.

    Returns:
        Where theta + angle passes pi and the cosine would rise again: cos(theta) less
        angle * sin(angle). Where theta + angle falls below 0: 1.
    """
    sines = (1.0 - cosines.square()).clamp_min(_SMALLEST_SQUARED_SINE).sqrt()
    cos_angles, sin_angles = angles.cos(), angles.sin()
    turned = cosines * cos_angles - sines * sin_angles
    passes_pi = (angles > 0.0) & (cosines <= -cos_angles)
    passes_zero = (angles < 0.0) & (cosines >= cos_angles)
    turned = torch.where(passes_pi, cosines - angles * sin_angles, turned)
    return torch.where(passes_zero, 1.0, turned)


def _with_offsets(margins: Tensor, offsets: Tensor | None) -> Tensor:
    if offsets is not None:
        if offsets.shape != margins.shape:
            raise ValueError(
                f"margin offsets of shape {tuple(offsets.shape)} for {len(margins)} samples; "
                "give one number per sample"
            )
        margins = margins + offsets.float()
    return margins.clamp(0.0, LARGEST_MARGIN)
