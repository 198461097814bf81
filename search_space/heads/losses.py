"""Losses of single samples from logits; the mean over a batch is the caller's."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_SMALLEST_MISTAKE = 1e-6


def focal_cross_entropy(
    logits: Tensor, labels: Tensor, *, label_smoothing: float, focal_gamma: float
) -> Tensor:
    """Cross entropy, times the focal factor (1 - p)^gamma with p = exp(-cross entropy).

    Args:
        logits: Shape (batch, n_classes), float32.
        labels: Class of each sample, int64, shape (batch,).
        label_smoothing: Share of the target that all classes divide, 0 to below 1.
        focal_gamma: 0 or more; 0 is plain cross entropy.

    Returns:
        Nats, 0 or more, shape (batch,).

    References:
        Lin et al., "Focal loss", ICCV 2017, equation 4; with smoothed labels p is what the
        predecessor took it to be, not the probability of the label.
    """
    losses = F.cross_entropy(logits, labels, reduction="none", label_smoothing=label_smoothing)
    if focal_gamma > 0.0:
        # expm1 keeps small losses exact; at 0 the power would have no finite slope.
        mistaken = -torch.expm1(-losses)
        losses = losses * mistaken.clamp_min(_SMALLEST_MISTAKE) ** focal_gamma
    return losses


def one_against_all(logits: Tensor, labels: Tensor, *, own_share: float) -> Tensor:
    """Each class a yes-or-no question of its own, all added up.

    Args:
        logits: Shape (batch, n_classes), float32; 0 is a probability of one half.
        labels: Class of each sample, int64, shape (batch,).
        own_share: Weight of the question whose answer is yes, 0 to 1; each other question
            weighs one minus it.

    Returns:
        Nats, 0 or more, shape (batch,).

    References:
        Wen et al., "SphereFace2", ICLR 2022, equation 5.
    """
    is_own = labels[:, None] == torch.arange(logits.shape[1], device=logits.device)
    wrong = F.softplus(torch.where(is_own, -logits, logits))
    return (wrong * torch.where(is_own, own_share, 1.0 - own_share)).sum(dim=1)
