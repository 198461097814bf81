"""Embeddings of pictures by a trained network, in evaluation mode and float32."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workers.augmentation import normalise
from workers.pictures import Pictures


def embed(network: nn.Module, pictures: Pictures, *, batch_size: int, flip: bool) -> Tensor:
    """L2-normalised embeddings, float32 (n, d) on the CPU.

    Args:
        network: On the pictures' device; its training mode is restored afterwards.
        pictures: n pictures.
        batch_size: Pictures at a time; no embedding depends on it beyond rounding.
        flip: Add the embedding of the mirrored picture before normalising, as the predecessor did.
    """
    was_training = network.training
    network.eval()
    with torch.inference_mode():
        parts = [
            embed_batch(network, pictures.gather(indices), flip=flip).cpu()
            for indices in torch.split(torch.arange(len(pictures)), batch_size)
        ]
    network.train(was_training)
    return torch.cat(parts)


def embed_batch(network: nn.Module, images: Tensor, *, flip: bool) -> Tensor:
    """L2-normalised embeddings (b, d) of images (b, c, s, s) with pixels 0..255."""
    pictures = normalise(images).contiguous(memory_format=torch.channels_last)
    embeddings: Tensor = network(pictures)
    if flip:
        embeddings = embeddings + network(pictures.flip(3))
    return F.normalize(embeddings.float(), dim=1)
