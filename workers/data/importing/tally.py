"""Counts pictures on their way into a pack, and concludes what is to be told about them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from workers.data.importing.accounting import Counts, Losses
from workers.data.importing.balance import balance_warnings
from workers.data.importing.picture_reading import Picture
from workers.data.packs.account import Gap, listed
from workers.data.packs.partial import PartialPack
from workers.data.packs.table import BoolArray, IndexArray, PackTable, keep_rows
from workers.data.packs.writing import Content
from workers.data.sources.source import FaceRow
from workers.errors import DataError

Progress: TypeAlias = Callable[[int, int], None]


@dataclass(slots=True, kw_only=True)
class Tally:
    """Counts pictures on their way into the pack.

    Attributes:
        warnings: Added to once the last picture has passed.
        losses: Likewise.
    """

    rows: Sequence[FaceRow]
    table: PackTable
    warnings: list[str]
    losses: Losses

    def count(
        self, pictures: Iterable[Picture], partial: PartialPack, progress: Progress | None
    ) -> None:
        """Put each picture into the pack.

        Raises:
            DataError: Too many are broken.
        """
        limit = self.table.settings["max_broken_fraction"]
        n_allowed = int(limit * len(self.rows))
        for picture in pictures:
            partial.add(picture.pixels, fault=picture.fault, enlarged=int(picture.is_enlarged))
            if len(partial.faults) > n_allowed:
                raise DataError(
                    f"more than {limit:.3g} of the {len(self.rows)} pictures cannot be read: "
                    f"{self._listed(partial)}; repair them or raise --max-broken"
                )
            if progress is not None:
                progress(partial.n_rows, len(self.rows))

    def _listed(self, partial: PartialPack) -> str:
        return listed(f"{self.rows[row].source} ({why})" for row, why in partial.faults.items())

    def conclude(self, partial: PartialPack) -> Content:
        """What was written, with the last warnings."""
        if partial.faults:
            self.warnings.append(
                f"{len(partial.faults)} pictures cannot be read and were left out: "
                f"{self._listed(partial)}"
            )
        if partial.n_enlarged:
            self.warnings.append(f"{partial.n_enlarged} pictures are smaller and were enlarged")
        kept = partial.kept()
        packed = keep_rows(self.table, kept)
        n_images = np.bincount(self.table.identity[kept], minlength=len(self.table.identities))
        self._report(n_images == 0, "lost every picture and are not in the pack")
        min_images = self.table.settings["min_images"]
        is_short = (n_images > 0) & (n_images < min_images)
        self._report(is_short, f"have fewer than {min_images} images that can be read")
        self.warnings += balance_warnings(packed)
        self._lose(partial, n_images)
        counts = Counts(
            pictures=len(packed.identity),
            identities=int((n_images > 0).sum()),
            pairs=None if packed.pairs is None else len(packed.pairs),
        )
        return Content(
            kept=kept,
            image_digest=partial.image_digest,
            warnings=self.warnings,
            account=self.losses.account(counts),
        )

    def _lose(self, partial: PartialPack, n_images: IndexArray) -> None:
        """Put what is broken among the losses, with the people and the pairs that it takes."""
        pictures = [f"{self.rows[row].source} ({why})" for row, why in partial.faults.items()]
        self.losses.pictures.append(Gap(reason="cannot be read", names=pictures, kind="broken"))
        people = self._names(n_images == 0)
        reason = "have no picture that can be read"
        self.losses.people.append(Gap(reason=reason, names=people, kind="broken"))
        pairs = self.table.pairs
        if pairs is None:
            return
        kept = partial.kept()
        lost = pairs.chosen(~(kept[pairs.first] & kept[pairs.second]))
        names = [
            f"{self.rows[first].source} {self.rows[second].source}"
            for first, second in zip(lost.first.tolist(), lost.second.tolist(), strict=True)
        ]
        reason = "have a picture that cannot be read"
        self.losses.pairs.append(Gap(reason=reason, names=names, kind="broken"))

    def _report(self, chosen: BoolArray, what: str) -> None:
        if chosen.any():
            names = self._names(chosen)
            self.warnings.append(f"{len(names)} identities {what}: {listed(names)}")

    def _names(self, chosen: BoolArray) -> list[str]:
        return [self.table.identities[index] for index in np.flatnonzero(chosen).tolist()]
