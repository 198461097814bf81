"""A face network: any backbone, and the one neck that makes embeddings of its features."""

from __future__ import annotations

from torch import Tensor, nn


class FaceNetwork(nn.Module):
    """Backbone, then a linear layer to the embedding size and batch norm of fixed scale.

    The fixed scale gives embeddings of every backbone the same typical length, the square root of
    their size. Raw backbone features differ by an order of magnitude in length, on which heads
    that read a margin from the length would depend.

    Args:
        backbone: Pictures to feature vectors, shape (batch, feature_size).
    """

    def __init__(self, backbone: nn.Module, *, feature_size: int, embedding_size: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.projection = nn.Linear(feature_size, embedding_size, bias=False)
        self.normalisation = nn.BatchNorm1d(embedding_size)
        self.normalisation.weight.requires_grad_(False)  # noqa: FBT003 - torch's only signature

    def forward(self, images: Tensor) -> Tensor:
        """Embeddings of the pictures, not brought to length 1.

        Args:
            images: Float, shape (batch, channels, height, width), normalised. In training mode
                the batch needs two pictures or more.

        Returns:
            Shape (batch, embedding_size), float32 also under autocast.
        """
        projected = self.projection(self.backbone(images))
        return self.normalisation(projected.float())  # type: ignore[no-any-return]
