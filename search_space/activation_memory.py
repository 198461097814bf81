"""How much memory a network's forward pass keeps for its backward pass, without running it."""

from __future__ import annotations

from collections.abc import Iterable

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
    # The storages are held, for the key of one that is freed may be given to another: that of a
    # buffer too, for some networks replace theirs in the first pass.
    resident = _storages([*network.parameters(), *network.buffers()])
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> None:
        kept.update(
            (key, storage) for key, storage in _storages([tensor]).items() if key not in resident
        )

    was_training = network.training
    network.train()
    with torch.enable_grad(), saved_tensors_hooks(keep, _never_called):
        network(images)
    network.train(was_training)
    return sum(storage.nbytes() for storage in kept.values())


def _storages(tensors: Iterable[Tensor]) -> dict[int, torch.UntypedStorage]:
    """By the storage's own address; that of its data is 0 for all tensors of the meta device."""
    storages = (tensor.untyped_storage() for tensor in tensors)
    return {storage._cdata: storage for storage in storages}


def _never_called(_: None) -> Tensor:
    raise AssertionError("a measured pass has no backward pass")
