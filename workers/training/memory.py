"""What a training step will need of the memory there is, and in how many parts a batch fits.

Decides before anything is allocated: a training that is too large ends with a sentence instead of
an allocator's complaint, or of the system ending the process.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from search_space.activation_memory import saved_activation_bytes
from search_space.build import build_on_meta
from search_space.candidate import Candidate
from search_space.heads.specs import HEAD_SPECS
from workers.errors import NotEnoughMemoryError
from workers.settings import TrainingSettings

USED_SHARE = 0.9
"""Of free memory; the rest is for what operations need while they run, and for fragments."""

_GB = 1e9
_FLOAT_BYTES = 4
SMALLEST_PART = 2  # pictures; batch norm needs two
_LOGIT_TENSORS = 6  # of shape (batch, n_classes) that the most demanding head and its loss keep
_OPTIMIZER_SLOTS = {"SGD": 1, "Adam": 2, "AdamW": 2}  # numbers kept for each weight
_LOWERED = {
    F.conv1d,
    F.conv2d,
    F.linear,
    F.scaled_dot_product_attention,
    torch.conv2d,
    torch.matmul,
    torch.Tensor.matmul,
    torch.Tensor.__matmul__,
    torch.bmm,
    torch.baddbmm,
    torch.einsum,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StepMemory:
    """What a training step takes: a fixed part, and more for each picture trained at a time."""

    fixed_bytes: int
    bytes_per_image: int

    def of(self, n_images: int) -> int:
        """Bytes for so many pictures at a time."""
        return self.fixed_bytes + n_images * self.bytes_per_image


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlan:
    """How a batch is trained.

    Attributes:
        bytes_needed: By the largest part.
        bytes_available: What the training may take.
        n_splits: Parts, a power of two; 1 is the batch at once.
    """

    bytes_needed: int
    bytes_available: int
    n_splits: int


def measure_step(
    candidate: Candidate,
    recipe: TrainingSettings,
    *,
    image_shape: tuple[int, int],
    n_classes: int,
    bfloat16: bool,
) -> StepMemory:
    """The memory of weights, gradients, optimizer and what is kept for the backward pass.

    The network is measured on the meta device, so this takes no memory itself. On small networks
    torch's profiler finds a peak of 0.7 to 1.1 times this, the least with attention.

    Args:
        candidate: What is trained.
        recipe: How, as `workers.training.recipe.recipe_of` returns it.
        image_shape: Channels and side of the pictures.
        n_classes: Identities trained on.
        bfloat16: Whether convolutions and matrix products run in it.

    Raises:
        InvalidConfigurationError: As in `search_space.build.build_network`.
    """
    in_channels, image_size = image_shape
    network = build_on_meta(candidate, in_channels=in_channels, image_size=image_size)
    shape = (in_channels, image_size, image_size)
    two, four = (
        _kept_bytes(network, torch.zeros(n, *shape, device="meta"), bfloat16) for n in (2, 4)
    )
    per_image = (four - two) // 2
    per_class = HEAD_SPECS[candidate.head.name].weights_per_class(candidate.head.numbers)
    weight_bytes = _n_bytes(network.parameters()) + (
        n_classes * per_class * candidate.embedding_size * _FLOAT_BYTES
    )
    state_bytes = weight_bytes + _n_bytes(network.buffers())
    n_slots = _OPTIMIZER_SLOTS[candidate.optimizer]
    n_averages = 1 if recipe.ema_decay > 0.0 else 0
    logit_bytes = (_LOGIT_TENSORS + per_class) * n_classes * _FLOAT_BYTES
    picture_bytes = in_channels * image_size**2 * _FLOAT_BYTES
    return StepMemory(
        fixed_bytes=(1 + n_averages) * state_bytes
        + (1 + n_slots) * weight_bytes
        + max(0, two - 2 * per_image),
        bytes_per_image=per_image + logit_bytes + picture_bytes,
    )


def plan_memory(
    step: StepMemory, *, batch_size: int, bytes_available: int, n_splits: int | None = None
) -> MemoryPlan:
    """The fewest parts, a power of two, in which the batch fits.

    Args:
        step: From `measure_step`.
        batch_size: Pictures in a batch, 2 or more.
        bytes_available: What the step may take.
        n_splits: The parts in which this training was begun; batch norm sees a part at a time, so
            that other parts would make it another training. None for a new one.

    Raises:
        NotEnoughMemoryError: It does not fit, not even two pictures at a time.
    """
    needed = 0
    for n_parts in [n_splits] if n_splits is not None else _possible_splits(batch_size):
        needed = step.of(-(-batch_size // n_parts))
        if needed <= bytes_available:
            return MemoryPlan(
                bytes_needed=needed, bytes_available=bytes_available, n_splits=n_parts
            )
    how = "two or three at a time"
    if n_splits is not None:
        how = f"in as many parts as when it was begun ({n_splits})"
    raise NotEnoughMemoryError(
        f"a training step with the batch's {batch_size} pictures {how} needs "
        f"{needed / _GB:.2f} GB, and {bytes_available / _GB:.2f} GB are free for it; use a device "
        "with more memory, end what else runs there, or search smaller networks"
    )


def part_sizes(n_images: int, n_parts: int) -> list[int]:
    """Sizes of the parts of a batch, which differ by one at most, the larger ones first."""
    smaller, n_larger = divmod(n_images, n_parts)
    return [smaller + 1] * n_larger + [smaller] * (n_parts - n_larger)


def available_bytes(device: torch.device, recipe: TrainingSettings) -> int:
    """What a training step on this device may take, before anything of it is allocated."""
    if recipe.memory_gb is not None:
        return int(recipe.memory_gb * _GB)
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(USED_SHARE * (free + unused))
    return int(USED_SHARE * free_host_bytes())


def free_host_bytes(root: Path = Path("/")) -> int:
    """Memory of the host that a process can still take, within the limits of its cgroups.

    Where the system does not say, all physical memory. Files that are only cached count as free.

    Args:
        root: Where `proc` and `sys` are.
    """
    free = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    available = _table(root / "proc" / "meminfo").get("MemAvailable:")
    if available is not None:
        free = [available * 1024]
    for folder, limit_name, usage_name in _cgroups(root):
        limit, usage = _number(folder / limit_name), _number(folder / usage_name)
        if limit is not None and usage is not None:
            cached = _table(folder / "memory.stat")
            reclaimable = cached.get("inactive_file", 0) + cached.get("active_file", 0)
            free.append(max(0, limit - max(0, usage - reclaimable)))
    return min(free)


class _LikeAutocast(TorchFunctionMode):
    """Runs convolutions and products in bfloat16, as autocast would if it knew the meta device."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _LOWERED:
            args = tuple(_lowered(argument) for argument in args)
        return func(*args, **(kwargs or {}))


def _lowered(value: Any) -> Any:
    is_float = isinstance(value, Tensor) and value.dtype == torch.float32
    return value.bfloat16() if is_float else value


def _kept_bytes(network: torch.nn.Module, images: Tensor, bfloat16: bool) -> int:  # noqa: FBT001
    if not bfloat16:
        return saved_activation_bytes(network, images)
    with _LikeAutocast():
        return saved_activation_bytes(network, images)


def _n_bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _possible_splits(batch_size: int) -> Iterator[int]:
    n_parts = 1
    while batch_size // n_parts >= SMALLEST_PART:
        yield n_parts
        n_parts *= 2


def _cgroups(root: Path) -> Iterator[tuple[Path, str, str]]:
    """Folders of the process's memory cgroups with the names of limit and usage, of both versions.

    In a container the own group may be mounted as the topmost, hence all the parents.
    """
    try:
        lines = (root / "proc" / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    mount = root / "sys" / "fs" / "cgroup"
    for line in lines:
        _, controllers, name = line.split(":", 2)
        group = PurePosixPath(name).relative_to("/")
        for cgroup in (group, *group.parents):
            if not controllers:
                yield mount / cgroup, "memory.max", "memory.current"
            elif "memory" in controllers.split(","):
                folder = mount / "memory" / cgroup
                yield folder, "memory.limit_in_bytes", "memory.usage_in_bytes"


def _number(path: Path) -> int | None:
    """The number in a file; None without one, as where `max` stands for no limit."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _table(path: Path) -> dict[str, int]:
    """First word of each line -> the number after it."""
    try:
        lines = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {words[0]: int(words[1]) for words in lines if len(words) > 1 and words[1].isdigit()}
