"""Pictures of a pack, gathered by row onto a device; on a GPU they stay there between trials.

Never copies a pack into the memory of the host: all workers of a host share its page cache.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workers.data.packs.pack import Pack
from workers.errors import DataError
from workers.settings import Device

RESIDENT_SHARE = 0.4
"""The largest share of free GPU memory that training pictures may take."""

_UPLOADED_ROWS = 4096


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pictures:
    """Chosen rows of a pack, resident on a device or gathered from the file.

    Attributes:
        resident: uint8 (n, c, s, s) on the device; None when it is not worth it or does not fit.
    """

    images: NDArray[np.uint8]
    rows: NDArray[np.int64]
    device: torch.device
    resident: Tensor | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def gather(self, indices: Tensor) -> Tensor:
        """Pictures at `indices`, int64 on the CPU, as uint8 (b, c, s, s) on the device."""
        if self.resident is not None:
            return self.resident.index_select(0, indices.to(self.device))
        gathered = torch.from_numpy(self.images[self.rows[indices.numpy()]])
        return gathered.to(self.device)

    def read_into(self, memory: Tensor, indices: Tensor) -> None:
        """Pictures at `indices` from the file into `memory`, uint8 (b, c, s, s) on the CPU."""
        rows = self.rows[indices.numpy()]
        # Rows are in range; in any other mode than "raise" numpy writes without a buffer between.
        np.take(self.images, rows, axis=0, out=memory.numpy(), mode="clip")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingSet:
    """Pictures with their classes and groups.

    Attributes:
        classes: int64 (n,) on the device; the split's identities, counted from 0.
        group_codes: int64 (n,) on the device; index into `group_labels`, -1 where the group is
            unknown. None without a group column.
        group_labels: The values of the group column.
    """

    pictures: Pictures
    classes: Tensor
    n_classes: int
    group_codes: Tensor | None = None
    group_labels: tuple[str, ...] = ()


def choose_device(device: Device) -> torch.device:
    """The device to train on; `auto` is the first GPU where there is one, else the CPU.

    Raises:
        DataError: A GPU is asked for and there is none.
    """
    has_gpu = torch.cuda.is_available()
    if device == "cuda" and not has_gpu:
        raise DataError("training.device is cuda, but this worker has no GPU; use auto or cpu")
    return torch.device("cuda" if has_gpu and device != "cpu" else "cpu")


def training_set(pack: Pack, device: torch.device, *, group: str) -> TrainingSet:
    """The pack's training split with the groups of one column; pictures are kept between trials.

    Args:
        pack: Opened.
        device: Where to train.
        group: Name of the group column; a pack without it gives a training set without groups.

    Raises:
        DataError: The split has fewer than two identities.
    """
    data, column = _identified(pack, device), pack.groups.get(group)
    if column is None:
        return data
    codes = torch.from_numpy(column.codes[data.pictures.rows].astype(np.int64))
    return replace(data, group_codes=codes.to(device), group_labels=column.labels)


@lru_cache(maxsize=2)
def _identified(pack: Pack, device: torch.device) -> TrainingSet:
    rows = pack.rows("train")
    names, classes = np.unique(pack.identity[rows], return_inverse=True)
    if len(names) < 2:
        raise DataError(
            f"{pack.path}: the train split has {len(names)} identities; training needs 2 or more"
        )
    return TrainingSet(
        pictures=pictures_on(device, pack.images, rows),
        classes=torch.from_numpy(classes.astype(np.int64)).to(device),
        n_classes=len(names),
    )


def pictures_on(
    device: torch.device, images: NDArray[np.uint8], rows: NDArray[np.int64]
) -> Pictures:
    """The rows of `images`, resident on a GPU with enough free memory."""
    resident = None
    if device.type == "cuda":
        n_bytes = len(rows) * int(np.prod(images.shape[1:]))
        free_bytes, _ = torch.cuda.mem_get_info(device)
        if n_bytes <= RESIDENT_SHARE * free_bytes:
            resident = _upload(device, images, rows)
    return Pictures(images=images, rows=rows, device=device, resident=resident)


def _upload(device: torch.device, images: NDArray[np.uint8], rows: NDArray[np.int64]) -> Tensor:
    """Copy in parts, so that the host never holds all of it."""
    uploaded = torch.empty((len(rows), *images.shape[1:]), dtype=torch.uint8, device=device)
    for start in range(0, len(rows), _UPLOADED_ROWS):
        part = images[rows[start : start + _UPLOADED_ROWS]]
        uploaded[start : start + len(part)] = torch.from_numpy(part).to(device)
    return uploaded
