"""How fast a network embeds pictures on a device. Measures, and leaves everything as it was."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import torch
from torch import nn

from workers.training.augmentation import normalise

MEASURED_SECONDS = 0.2
"""Repetitions end after this long; a slow network is measured `MIN_REPETITIONS` times anyway."""

MIN_REPETITIONS = 3
MAX_REPETITIONS = 50
_SEED = 0


def milliseconds_per_image(
    network: nn.Module,
    *,
    in_channels: int,
    image_size: int,
    device: torch.device,
    batch_size: int = 64,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Milliseconds of the embedding of one picture within a batch, in evaluation mode and float32.

    The median over repetitions, after one that warms up; the mirrored picture that an evaluation
    may add is not embedded. What else runs on the device slows it down.

    Args:
        network: On the device; its training mode is restored afterwards.
        in_channels: 1 or 3.
        image_size: Side of the pictures in pixels.
        device: Where the network is.
        batch_size: Pictures at a time.
        clock: Seconds that only rise.
    """
    shape = (batch_size, in_channels, image_size, image_size)
    generator = torch.Generator().manual_seed(_SEED)
    pixels = torch.randint(256, shape, generator=generator, dtype=torch.uint8).to(device)
    was_training = network.training
    network.eval()
    seconds: list[float] = []
    with torch.inference_mode():
        pictures = normalise(pixels).contiguous(memory_format=torch.channels_last)
        network(pictures)
        _wait_for(device)
        while len(seconds) < MAX_REPETITIONS:
            started = clock()
            network(pictures)
            _wait_for(device)
            seconds.append(clock() - started)
            if len(seconds) >= MIN_REPETITIONS and sum(seconds) >= MEASURED_SECONDS:
                break
    network.train(was_training)
    return 1000.0 * median(seconds) / batch_size


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
