"""From a source of faces to a pack: choose, decode and write, with every decision recorded."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import PIL

from workers.any_source import open_source
from workers.balance import balance_warnings
from workers.curation import Curated, choose_columns, choose_splits, curate
from workers.decoding import BROKEN, map_ahead, to_array
from workers.errors import DataError
from workers.face_source import FaceRow, FaceSource, listed
from workers.pack_settings import PackSettings
from workers.pack_table import (
    SPLITS,
    UNKNOWN,
    BoolArray,
    ByteArray,
    GroupColumn,
    PackTable,
    keep_rows,
)
from workers.pack_writing import write_pack
from workers.picture_format import PictureFormat, choose_format
from workers.settings import Split

Progress: TypeAlias = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackReport:
    """What was packed.

    Attributes:
        digest: The new pack's content digest.
        n_images: Images in the pack.
        n_broken: Pictures that could not be read and are not in it.
        warnings: What was decided that people should know; the pack keeps them too.
    """

    path: Path
    digest: str
    n_images: int
    n_broken: int
    warnings: tuple[str, ...]


def pack_source(
    source: Path,
    out: Path,
    *,
    settings: PackSettings,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> PackReport:
    """Pack the faces of a folder, a `.zip` or an `.npz` file.

    Args:
        source: See `workers.any_source.open_source`.
        out: The new pack; its folder is made when missing. Nothing is left there on failure.
        settings: How it is made.
        overwrite: Replace a file at `out`.
        progress: Told after each picture how many are done, and of how many.

    Raises:
        DataError: The source or the settings do not allow a pack, `out` exists or cannot be
            written, or too many pictures are broken.
    """
    check_out(out, overwrite=overwrite)
    if source.exists() and out.exists() and out.samefile(source):
        raise DataError(f"{out}: is the source itself; choose another name for the pack")
    with open_source(source, settings.labels) as faces:
        warnings = list(faces.warnings)
        with _naming(source):
            table, rows = _decide(faces, settings, warnings)
        form = choose_format(faces, rows, size=settings.size, colour=settings.colour)
        warnings += form.warnings
        made = {**table.settings, "source": str(source), "size": form.size}
        table = replace(table, settings={**made, "channels": form.channels})
        tally = _Tally(rows=rows, table=table, settings=settings, warnings=warnings)
        with closing(_decode(faces, rows, form)) as pictures:
            digest = write_pack(
                out,
                images=tally.count(pictures, source, progress),
                table=table,
                channels=form.channels,
                size=form.size,
                warnings=warnings,
            )
    return PackReport(
        path=out,
        digest=digest,
        n_images=len(rows) - len(tally.broken),
        n_broken=len(tally.broken),
        warnings=tuple(warnings),
    )


def check_out(out: Path, *, overwrite: bool) -> None:
    """Refuse to write where something is.

    Raises:
        DataError: `out` is a folder, or a file that may not be overwritten.
    """
    if out.is_dir():
        raise DataError(f"{out}: a folder; give the new file a name such as faces.pack")
    if out.exists() and not overwrite:
        raise DataError(f"{out}: exists already; choose another name or add --overwrite")


@contextmanager
def _naming(source: Path) -> Iterator[None]:
    """Let messages of functions that know no files begin with the source."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{source}: {error}") from None


def _decide(
    faces: FaceSource, settings: PackSettings, warnings: list[str]
) -> tuple[PackTable, Sequence[FaceRow]]:
    """Everything about the pack but the pictures; the rows are the table's."""
    columns, more = choose_columns(faces.rows, faces.columns, settings.groups)
    curated = curate(
        faces.rows,
        columns,
        min_images=settings.min_images,
        require_labels=settings.groups is not None,
    )
    warnings += [*more, *curated.warnings]
    splits = choose_splits(
        curated,
        val_fraction=settings.val_fraction,
        test_fraction=settings.test_fraction,
        seed=settings.seed,
    )
    is_drawn = curated.rows[0].split is None
    recorded = _recorded(settings, columns, is_drawn=is_drawn)
    return _table(curated, columns, splits, recorded), curated.rows


def _recorded(settings: PackSettings, columns: Sequence[str], *, is_drawn: bool) -> dict[str, Any]:
    drawn = {
        "val_fraction": settings.val_fraction,
        "test_fraction": settings.test_fraction,
        "seed": settings.seed,
    }
    return {
        "groups": list(columns),
        "unlabelled_left_out": settings.groups is not None,
        "min_images": settings.min_images,
        "splits": "drawn" if is_drawn else "source",
        **(drawn if is_drawn else {}),
        "labels": None if settings.labels is None else str(settings.labels),
        "max_broken_fraction": settings.max_broken_fraction,
        "pillow": PIL.__version__,
    }


def _table(
    curated: Curated,
    columns: Sequence[str],
    splits: Mapping[str, Split],
    recorded: Mapping[str, Any],
) -> PackTable:
    rows, names = curated.rows, tuple(curated.labels)
    number = {name: index for index, name in enumerate(names)}
    identity = np.array([number[row.identity] for row in rows], np.int32)
    split = np.array([SPLITS.index(splits[name]) for name in names], np.uint8)
    groups: dict[str, GroupColumn] = {}
    for column in columns:
        own = [curated.labels[name][column] for name in names]
        labels = tuple(sorted(set(own) - {""}))
        code = {label: index for index, label in enumerate(labels)} | {"": UNKNOWN}
        codes = np.array([code[label] for label in own], np.int16)
        groups[column] = GroupColumn(labels=labels, codes=codes[identity])
    return PackTable(
        identity=identity,
        identities=names,
        split=split[identity],
        groups=groups,
        sources=[row.source for row in rows],
        settings=recorded,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Picture:
    """A picture after decoding: pixels, or a fault that says why there are none."""

    pixels: ByteArray | None
    fault: str = ""
    is_enlarged: bool = False


def _decode(
    faces: FaceSource, rows: Sequence[FaceRow], form: PictureFormat
) -> Generator[_Picture, None, None]:
    def decode(row: FaceRow) -> _Picture:
        try:
            image = faces.read(row)
            is_enlarged = min(image.size) < form.size
            pixels = to_array(image, channels=form.channels, size=form.size)
        except BROKEN as error:
            return _Picture(pixels=None, fault=str(error) or type(error).__name__)
        return _Picture(pixels=pixels, is_enlarged=is_enlarged)

    yield from map_ahead(decode, rows)


@dataclass(slots=True, kw_only=True)
class _Tally:
    """Counts pictures on their way into the pack.

    Attributes:
        warnings: Added to once the last picture has passed.
        broken: Row -> why its picture cannot be read.
    """

    rows: Sequence[FaceRow]
    table: PackTable
    settings: PackSettings
    warnings: list[str]
    broken: dict[int, str] = field(default_factory=dict)
    n_enlarged: int = 0

    def count(
        self, pictures: Iterable[_Picture], source: Path, progress: Progress | None
    ) -> Iterator[ByteArray | None]:
        """The pixels of each picture, None for a broken one.

        Raises:
            DataError: Too many are broken.
        """
        n_allowed = int(self.settings.max_broken_fraction * len(self.rows))
        for row, picture in enumerate(pictures):
            if picture.pixels is None:
                self.broken[row] = picture.fault
            if len(self.broken) > n_allowed:
                raise self._too_many(source)
            self.n_enlarged += picture.is_enlarged
            if progress is not None:
                progress(row + 1, len(self.rows))
            yield picture.pixels
        self._conclude()

    def _too_many(self, source: Path) -> DataError:
        return DataError(
            f"{source}: more than {self.settings.max_broken_fraction:.3g} of the "
            f"{len(self.rows)} pictures cannot be read: {self._listed()}; repair them or raise "
            "--max-broken"
        )

    def _listed(self) -> str:
        return listed(f"{self.rows[row].source} ({why})" for row, why in self.broken.items())

    def _conclude(self) -> None:
        if self.broken:
            self.warnings.append(
                f"{len(self.broken)} pictures cannot be read and were left out: {self._listed()}"
            )
        if self.n_enlarged:
            self.warnings.append(f"{self.n_enlarged} pictures are smaller and were enlarged")
        kept = np.ones(len(self.rows), np.bool_)
        kept[list(self.broken)] = False
        n_images = np.bincount(self.table.identity[kept], minlength=len(self.table.identities))
        self._report(n_images == 0, "lost every picture and are not in the pack")
        is_short = (n_images > 0) & (n_images < self.settings.min_images)
        self._report(
            is_short, f"have fewer than {self.settings.min_images} images that can be read"
        )
        self.warnings += balance_warnings(keep_rows(self.table, kept))

    def _report(self, chosen: BoolArray, what: str) -> None:
        if chosen.any():
            names = [self.table.identities[index] for index in np.flatnonzero(chosen).tolist()]
            self.warnings.append(f"{len(names)} identities {what}: {listed(names)}")
