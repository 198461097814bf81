"""SphereFace2: a yes-or-no question per class in place of one choice among all."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from search_space.heads.core import HeadOutput, MarginHead
from search_space.heads.losses import one_against_all

_OWN_SHARE = 0.7
_SHARPNESS = 3
_LOSS_FACTOR = 50.0


class SphereFace2(MarginHead):
    """Own logit r (g(cos theta) - m) + b, others r (g(cos theta) + m) + b, each for a sigmoid.

    g(c) = 2 ((c + 1) / 2)^3 - 1 spreads high cosines out. A margin offset moves both kinds of
    logit, as another m would; b stays, the parameter `bias`, which starts at `initial_bias`.

    References:
        Wen et al., "SphereFace2", ICLR 2022, its variant C; 0.7, 40, 3 and 50 are the numbers of
        the authors' code.
    """

    def __init__(self, weight: Tensor, *, scale: float, margin: float) -> None:
        super().__init__(weight, scale=scale, margin=margin)
        self.bias = nn.Parameter(
            torch.tensor(initial_bias(len(weight), scale=scale, margin=margin))
        )

    def forward(
        self, embeddings: Tensor, labels: Tensor, margin_offsets: Tensor | None = None
    ) -> HeadOutput:
        """Logits for a sigmoid each; see `MarginHead.forward`."""
        output = super().forward(embeddings, labels, margin_offsets)
        return output._replace(logits=output.logits + self.bias)

    def losses(
        self,
        logits: Tensor,
        labels: Tensor,
        *,
        label_smoothing: float,  # noqa: ARG002
        focal_gamma: float,  # noqa: ARG002
    ) -> Tensor:
        """The weighted binary cross entropies, added up, times 50 / r; shape (batch,).

        Label smoothing and the focal factor are not applied: both are about the one probability
        that a softmax gives the label, and here the weights already do what the focal factor is
        for, to keep the many easy "no" from drowning the one "yes". The factor 50 / r, published,
        keeps the gradient's size independent of the scale.
        """
        return _LOSS_FACTOR / self.scale * one_against_all(logits, labels, own_share=_OWN_SHARE)

    def harden(self, cosines: Tensor, margins: Tensor, lengths: Tensor) -> Tensor:  # noqa: ARG002
        """The sharpened cosine less the margin."""
        return _sharpened(cosines) - margins

    def others(self, cosines: Tensor, own: Tensor, margins: Tensor) -> Tensor:  # noqa: ARG002
        """The sharpened cosines plus the margin."""
        return _sharpened(cosines) + margins[:, None]


def initial_bias(n_classes: int, *, scale: float, margin: float) -> float:
    """The bias at which the own class and all others together pull equally on the bias.

    At the start all cosines are near 0. With g = g(0), the logit less the bias is
    y = scale * (g - margin) for the own class and o = scale * (g + margin) for another. The loss's
    slope in the bias b is 0 where share * sigmoid(-y - b) equals
    (1 - share) * (n_classes - 1) * sigmoid(o + b). With z = share / (1 - share) / (n_classes - 1)
    and u = exp(b) that is exp(y) * u**2 + (1 - z) * u - z * exp(-o) = 0, of which one root is
    positive. Of its two forms the one is taken in which nothing cancels.

    Args:
        n_classes: 2 or more.
        scale: Above 0.
        margin: 0 or more.

    References:
        Wen et al., "SphereFace2", ICLR 2022; the authors' code has the same number.
    """
    z = _OWN_SHARE / (1.0 - _OWN_SHARE) / (n_classes - 1)
    at_rest = 2.0 * 0.5**_SHARPNESS - 1.0
    own, other = scale * (at_rest - margin), scale * (at_rest + margin)
    root = math.hypot(1.0 - z, 2.0 * math.sqrt(z) * math.exp((own - other) / 2.0))
    if z < 1.0:
        return math.log(2.0 * z) - other - math.log(1.0 - z + root)
    return math.log(z - 1.0 + root) - math.log(2.0) - own


def _sharpened(cosines: Tensor) -> Tensor:
    return 2.0 * ((cosines + 1.0) / 2.0) ** _SHARPNESS - 1.0
