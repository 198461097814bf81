"""What a training says of itself while it goes on: how far it is, how fast, with what loss."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from workers.trials.function import EpochReport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workers.training.loop import Training
    from workers.training.recipe import Schedule
    from workers.trials.function import Progress

_LOOK_SECONDS = 2.0
"""Between two looks at what must be fetched from the device, which waits for it."""

_STATUS = Path("/proc/self/status")


class TrainingWatch:
    """Writes into a trial's progress how its training goes; asked after every step.

    Args:
        progress: Of the trial.
        schedule: Of the training.
        n_epochs: That it is to reach.
    """

    def __init__(self, progress: Progress, schedule: Schedule, *, n_epochs: int) -> None:
        self._progress = progress
        self._schedule = schedule
        self._n_epochs = n_epochs
        self._started = time.monotonic()
        self._first_step: int | None = None
        self._next_look = self._started

    def stepped(self, training: Training) -> None:
        """One more step is done, or several."""
        progress = self._progress
        progress.advance("training")
        progress.epoch, progress.step = training.epochs, training.steps
        progress.n_steps = self._schedule.steps_per_epoch
        if self._first_step is None:
            self._first_step = self._n_steps(training) - 1
        if progress.advanced >= self._next_look:
            self._next_look = progress.advanced + _LOOK_SECONDS
            self._look(training)

    def ended_epoch(self, training: Training, costs: Mapping[str, float]) -> None:
        """An epoch is done, with costs on the validation split where these were measured."""
        self.stepped(training)
        self._progress.reports.append(
            EpochReport(epoch=training.epochs, loss=training.losses[-1], costs=costs)
        )

    def saved(self) -> None:
        """A checkpoint is kept."""
        self._progress.saved = time.monotonic()

    def _look(self, training: Training) -> None:
        progress, schedule = self._progress, self._schedule
        if training.loss_sum is not None and training.steps:
            progress.loss = float(training.loss_sum) / training.steps
        elif training.losses:
            progress.loss = training.losses[-1]
        n_done = max(1, self._n_steps(training) - (self._first_step or 0))
        seconds_per_step = max(1e-9, time.monotonic() - self._started) / n_done
        progress.pictures_per_second = schedule.batch_size / seconds_per_step
        n_left = (self._n_epochs - training.epochs) * schedule.steps_per_epoch - training.steps
        progress.seconds_left = n_left * seconds_per_step
        progress.memory_bytes = _held_bytes(next(training.network.parameters()).device)

    def _n_steps(self, training: Training) -> int:
        """Steps since the very beginning."""
        return training.epochs * self._schedule.steps_per_epoch + training.steps


def _held_bytes(device: torch.device) -> int:
    """Most that the GPU has held, or what this process holds now where there is none."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_reserved(device))
    try:
        lines = _STATUS.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0  # no Linux; it is only to look at
    sizes = [line.split()[1] for line in lines if line.startswith("VmRSS:")]
    return int(sizes[0]) * 1024 if sizes else 0
