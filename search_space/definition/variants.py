"""What is known of timm backbones without loading timm: plain records that travel as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from search_space.fault import Fault
from search_space.typed import type_faults


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantRecord:
    """How a backbone is built for pictures of one size, and what it is then.

    Attributes:
        name: Of the architecture in timm, without a tag for pretrained weights.
        feature_size: Length of its feature vectors, measured; timm's own record is wrong for a
            tenth of its models.
        options: Arguments of `timm.create_model` beside those that all backbones get.
        parameters: Numbers in the backbone, without classifier.
        macs: Multiply-accumulates of convolutions and matrix products for one picture.
        accepts_drop_path: Whether `drop_path_rate` changes the network.
    """

    name: str
    feature_size: int
    options: Mapping[str, int | float]
    parameters: int
    macs: int
    accepts_drop_path: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A variant that nobody asked for by name and that does not work at the size in question.

    Attributes:
        reason: What went wrong, in timm's or torch's words.
        works_at: The nearest of the usual picture sizes at which it works, in pixels; None if it
            works at none.
    """

    family: str
    name: str
    reason: str
    works_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """Families as a run file names them, turned into the backbones that are searched.

    Attributes:
        timm: Version that was asked.
        in_channels: 1 for grey, 3 for colour pictures.
        image_size: Side of the square pictures in pixels.
        families: Family -> its variants, smallest first; families sorted by name.
        drop_path_families: Of these, those whose every variant accepts drop path.
        left_out: Matched by a pattern or the shipped list only, and unfit.
        faults: What must be changed.
    """

    timm: str
    in_channels: int
    image_size: int
    families: Mapping[str, tuple[VariantRecord, ...]]
    drop_path_families: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    faults: tuple[Fault, ...]

    @property
    def names(self) -> dict[str, tuple[str, ...]]:
        """Family -> names of its variants, as `SpaceSettings.families` has them."""
        return {
            family: tuple(variant.name for variant in variants)
            for family, variants in self.families.items()
        }


def variant_from_json(value: Mapping[str, Any]) -> VariantRecord:
    """The record that `dataclasses.asdict` made a JSON object of.

    Raises:
        TypeError: A field is missing or unknown, or holds something else than it is due to.
    """
    record = VariantRecord(**value)
    # Options above all: they go into timm's constructor, which takes paths and addresses too.
    if faults := type_faults(record):
        raise TypeError("; ".join(faults))
    return record


def resolution_to_json(resolution: Resolution) -> dict[str, Any]:
    """The resolution as a JSON object; `resolution_from_json` is its inverse."""
    return asdict(resolution)


def resolution_from_json(value: Mapping[str, Any]) -> Resolution:
    """The resolution that `resolution_to_json` wrote, also after a trip through JSON text.

    Raises:
        KeyError, TypeError: A field is missing or unknown.
    """
    families = {
        family: tuple(variant_from_json(variant) for variant in variants)
        for family, variants in value["families"].items()
    }
    fields: dict[str, Any] = {
        **value,
        "families": families,
        "drop_path_families": tuple(value["drop_path_families"]),
        "left_out": tuple(LeftOut(**variant) for variant in value["left_out"]),
        "faults": tuple(
            Fault(tuple(fault["path"]), fault["message"]) for fault in value["faults"]
        ),
    }
    return Resolution(**fields)
