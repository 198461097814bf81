"""How much memory a network's forward pass keeps for its backward pass, without running it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks


def saved_activation_bytes(network: nn.Module, images: Tensor) -> int:
    """Bytes that one forward pass in training mode keeps until its backward pass.

    Each storage counts once, also when several operations keep views of it; parameters and
    buffers, which are there anyway, do not count. On the meta device nothing is computed and no
    memory is taken, and the result is that of real tensors on a CPU, but for attention, which
    keeps a few percent less where a fused kernel exists. What operations need while they run
    comes on top.

    Args:
        network: Its training mode is restored afterwards; on a real device its running statistics
            move as in any training step.
        images: Shape (batch, channels, height, width), on the network's device; two or more where
            the network has batch norm.

    Returns:
        A number that grows linearly with the batch, plus what does not depend on it, such as
        the statistics that norms keep.
    """
    resident = {_storage_key(tensor) for tensor in [*network.parameters(), *network.buffers()]}
    # The storages are held, for the key of one that is freed may be given to another.
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> None:
        key = _storage_key(tensor)
        if key not in resident:
            kept[key] = tensor.untyped_storage()

    was_training = network.training
    network.train()
    with torch.enable_grad(), saved_tensors_hooks(keep, _never_called):
        network(images)
    network.train(was_training)
    return sum(storage.nbytes() for storage in kept.values())


def _storage_key(tensor: Tensor) -> int:
    """The storage's own address; that of its data is 0 for all tensors of the meta device."""
    key: int = tensor.untyped_storage()._cdata
    return key


def _never_called(_: None) -> Tensor:
    raise AssertionError("a measured pass has no backward pass")
