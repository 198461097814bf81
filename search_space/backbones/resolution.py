"""From families as a run file names them to the backbones that are searched, or every fault."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import filter as fnmatch_filter
from pathlib import Path

from search_space.backbones.timm_backbones import (
    known_models,
    misfit,
    name_fault,
    suggestion,
    timm_version,
    try_out,
)
from search_space.definition.families import NAMED_FAMILIES, SHIPPED_FAMILIES
from search_space.definition.variants import LeftOut, Resolution, VariantRecord
from search_space.fault import Fault

_FAMILIES = ("space", "families")
# In pixels: sizes of packs that are worth proposing.
USUAL_SIZES = (64, 96, 112, 128, 160, 192, 224, 256)


def resolve_families(
    requested: Mapping[str, tuple[str, ...]],
    *,
    in_channels: int,
    image_size: int,
    folder: Path | None = None,
) -> Resolution:
    """The backbones that the families stand for, with every fault at once.

    Each variant is tried out as in `backbone_recipe`, a fraction of a second the first time.

    Args:
        requested: Family -> names of timm models and patterns such as `mobilenetv3_*`; without
            any, the family of this name in `NAMED_FAMILIES`. If empty, all shipped families.
        in_channels: 1 for grey, 3 for colour pictures.
        image_size: Side of the square pictures in pixels.
        folder: Where dry runs are kept; the user's cache folder if None.
    """
    dry_runs = _DryRuns(in_channels, image_size, folder)
    families = {}
    for family in sorted(requested or SHIPPED_FAMILIES):
        variants = dry_runs.family(family, requested.get(family, ()), is_named=bool(requested))
        if variants:
            families[family] = variants
    if not requested and not families:
        dry_runs.faults.append(
            Fault(
                _FAMILIES,
                f"none of the shipped families works with pictures of {image_size} "
                "pixels; choose another size",
            )
        )
    return Resolution(
        timm=timm_version(),
        in_channels=in_channels,
        image_size=image_size,
        families=families,
        drop_path_families=tuple(
            family
            for family, variants in families.items()
            if all(variant.accepts_drop_path for variant in variants)
        ),
        left_out=tuple(dry_runs.left_out),
        faults=tuple(dry_runs.faults),
    )


class _DryRuns:
    """One resolution under way: tries variants out and gathers what is wrong with them."""

    def __init__(self, in_channels: int, image_size: int, folder: Path | None) -> None:
        self.faults: list[Fault] = []
        self.left_out: list[LeftOut] = []
        self._in_channels = in_channels
        self._image_size = image_size
        self._folder = folder

    def family(
        self, family: str, entries: tuple[str, ...], *, is_named: bool
    ) -> tuple[VariantRecord, ...]:
        """The family's fitting variants, smallest first.

        Args:
            family: Its name.
            entries: Names and patterns; without any, the name says which.
            is_named: Whether the family was asked for by name, so that it must not vanish.
        """
        known, faults = _named_family(family) if not entries else _matches(entries)
        variants = []
        for name, is_explicit in known.items():
            outcome = self._try_out(name, self._image_size)
            if not isinstance(outcome, str):
                variants.append(outcome)
            elif is_explicit:
                faults.append(self._refusal(name, outcome))
            else:
                size = self._nearest_size(name)
                self.left_out.append(
                    LeftOut(family=family, name=name, reason=outcome, works_at=size)
                )
        if is_named and not variants and not faults:
            faults.append(self._nothing_left(family))
        self.faults += [Fault((*_FAMILIES, family), message) for message in faults]
        return tuple(sorted(variants, key=lambda variant: (variant.parameters, variant.name)))

    def _refusal(self, name: str, reason: str) -> str:
        what = misfit(name, self._in_channels, self._image_size, reason)
        return f"{what}; {_advice(self._nearest_size(name))}"

    def _nothing_left(self, family: str) -> str:
        sizes = [
            left.works_at for left in self.left_out if left.family == family and left.works_at
        ]
        nearest = min(sizes, key=self._distance, default=None)
        return (
            f"none of its models can embed pictures of {self._image_size} pixels with "
            f"{self._in_channels} channels; {_advice(nearest)}"
        )

    def _nearest_size(self, name: str) -> int | None:
        for size in sorted(USUAL_SIZES, key=self._distance):
            if size != self._image_size and not isinstance(self._try_out(name, size), str):
                return size
        return None

    def _try_out(self, name: str, image_size: int) -> VariantRecord | str:
        return try_out(name, self._in_channels, image_size, self._folder)

    def _distance(self, size: int) -> tuple[int, int]:
        # Of two that are as near, the larger: no detail is lost.
        return abs(size - self._image_size), -size


def _named_family(family: str) -> tuple[dict[str, bool], list[str]]:
    """Variants of a family that is known by its name, none of them explicit; and faults."""
    if family in NAMED_FAMILIES:
        return dict.fromkeys(NAMED_FAMILIES[family], False), []
    known = ", ".join(sorted(NAMED_FAMILIES))
    return {}, [
        f"no family of this name is known{suggestion(family, NAMED_FAMILIES)}; list timm models "
        f"under it, or choose from {known}"
    ]


def _matches(entries: tuple[str, ...]) -> tuple[dict[str, bool], list[str]]:
    """Model name -> whether it was given in full, for names and patterns; and faults."""
    names: dict[str, bool] = {}
    faults = []
    for entry in dict.fromkeys(entries):
        if not any(character in entry for character in "*?["):
            fault = name_fault(entry)
            if fault is None:
                names[entry] = True
        else:
            matched = fnmatch_filter(known_models(), entry)
            names = {**dict.fromkeys(matched, False), **names}
            fault = None if matched else _pattern_fault(entry)
        if fault is not None:
            faults.append(fault)
    return names, faults


def _pattern_fault(pattern: str) -> str:
    hint = ""
    if "." in pattern:
        hint = (
            " (what follows the dot names pretrained weights, which are not used; "
            f"write {pattern.split('.')[0]!r})"
        )
    return f"no model of timm {timm_version()} matches {pattern!r}{hint}"


def _advice(size: int | None) -> str:
    if size is None:
        smallest, *_, largest = USUAL_SIZES
        return f"no size from {smallest} to {largest} would do either: choose another model"
    return f"{size} pixels would do: choose another model or make a pack of that size"
