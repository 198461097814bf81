"""How a source becomes a pack, as values that people choose."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from workers.errors import DataError

Colour: TypeAlias = Literal["auto", "grey", "colour"]

DEFAULT_MEMORY_GB = 4.0
DEFAULT_MEMORY_BYTES = int(DEFAULT_MEMORY_GB * 1e9)
DEFAULT_LEFT_OUT_FRACTION = 0.1

_SIZES = (8, 1024)
_MEMORY_GB = (0.1, 100_000.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PackSettings:
    """How a source becomes a pack.

    Attributes:
        size: Height and width in pixels, 8..1024; None takes the pictures' own, at most 112.
        colour: `auto` packs grey where the pictures looked at are all grey, also when they are
            stored as colour pictures.
        form: The source's format, one of `specs.FORMATS`; None finds it out.
        groups: Columns to compare people by, and people without a known value are left out; None
            takes every column with few enough values and leaves nobody out. `gender*race` is a
            column made of two.
        min_images: Identities with fewer images are left out. With one image nobody can be
            looked for. None takes 2, or 1 for a source that lists pairs.
        val_fraction: Share of the identities, within each group, that choose between networks.
            A disparity is measured on the smaller group's identities, so these two shares are
            larger than where only accuracy counts. Ignored when the source gives splits.
        test_fraction: Share of the identities that stay unseen until the end, likewise.
        max_val_identities: At most so many identities of each group choose; None takes the
            source's own number, if it has one.
        seed: Of the drawn splits.
        splits: A file that says who is in which split.
        labels: A label file; None takes the one inside the source.
        pairs: A list of pairs to verify; None takes the one inside the source, if any.
        max_broken_fraction: Share of unreadable pictures, 0..1, above which nothing is packed.
        max_left_out_fraction: Share of pictures, people or pairs, 0..1, that the source announces
            and does not have, or has and nothing understands, above which nothing is packed. What
            other settings leave out does not count.
        memory_gb: 10^9 bytes that pictures on their way into the pack take at once at most, and a
            source that is held in memory as a whole.
    """

    size: int | None = None
    colour: Colour = "auto"
    form: str | None = None
    groups: tuple[str, ...] | None = None
    min_images: int | None = None
    val_fraction: float = 0.2
    test_fraction: float = 0.2
    max_val_identities: int | None = None
    seed: int = 0
    splits: Path | None = None
    labels: Path | None = None
    pairs: Path | None = None
    max_broken_fraction: float = 0.05
    max_left_out_fraction: float = DEFAULT_LEFT_OUT_FRACTION
    memory_gb: float = DEFAULT_MEMORY_GB

    def __post_init__(self) -> None:
        if self.size is not None and not _SIZES[0] <= self.size <= _SIZES[1]:
            raise DataError(
                f"size {self.size} is out of range; give {_SIZES[0]} to {_SIZES[1]} pixels"
            )
        for name in ("min_images", "max_val_identities"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise DataError(f"{name} {value} is too small; give 1 or more")
        for name in ("max_broken_fraction", "max_left_out_fraction"):
            if not 0 <= getattr(self, name) <= 1:
                raise DataError(f"{name} {getattr(self, name)} is out of range; give 0 to 1")
        if not _MEMORY_GB[0] <= self.memory_gb <= _MEMORY_GB[1]:
            raise DataError(
                f"memory_gb {self.memory_gb} is out of range; give {_MEMORY_GB[0]:g} to "
                f"{_MEMORY_GB[1]:,.0f}"
            )

    @property
    def memory_bytes(self) -> int:
        """`memory_gb` in bytes."""
        return int(self.memory_gb * 1e9)
