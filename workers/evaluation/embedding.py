"""Embeddings of pictures by a trained network, in evaluation mode and float32."""

from __future__ import annotations

import logging

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workers.data.pictures import Pictures
from workers.training.augmentation import normalise

logger = logging.getLogger(__name__)


def embed(network: nn.Module, pictures: Pictures, *, batch_size: int, flip: bool) -> Tensor:
    """L2-normalised embeddings, float32 (n, d) on the CPU.

    Args:
        network: On the pictures' device; its training mode is restored afterwards.
        pictures: n pictures.
        batch_size: Pictures at a time, halved while that is more than memory holds; no embedding
            depends on it beyond rounding.
        flip: Add the embedding of the mirrored picture before normalising, as the predecessor did.

    Raises:
        torch.OutOfMemoryError: One picture is more than memory holds.
    """
    was_training = network.training
    network.eval()
    parts: list[Tensor] = []
    start = 0
    try:
        while start < len(pictures):
            indices = torch.arange(start, min(start + batch_size, len(pictures)))
            part = _embedded(network, pictures, indices, flip=flip)
            if part is None:
                batch_size = len(indices) // 2
                logger.info("embedding %d pictures at a time", batch_size)
                continue
            parts.append(part)
            start += len(indices)
    finally:
        network.train(was_training)
    return torch.cat(parts)


def _embedded(
    network: nn.Module, pictures: Pictures, indices: Tensor, *, flip: bool
) -> Tensor | None:
    """None when so many pictures do not fit, but fewer may."""
    try:
        with torch.inference_mode():
            return embed_batch(network, pictures.gather(indices), flip=flip).cpu()
    except torch.OutOfMemoryError:
        if len(indices) == 1:
            raise
    # Only here, where the error and with it the batch's tensors are gone, is the memory free.
    torch.cuda.empty_cache()
    return None


def embed_batch(network: nn.Module, images: Tensor, *, flip: bool) -> Tensor:
    """L2-normalised embeddings (b, d) of images (b, c, s, s) with pixels 0..255."""
    pictures = normalise(images).contiguous(memory_format=torch.channels_last)
    embeddings: Tensor = network(pictures)
    if flip:
        embeddings = embeddings + network(pictures.flip(3))
    return F.normalize(embeddings.float(), dim=1)
