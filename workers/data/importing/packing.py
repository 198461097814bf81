"""From a source of faces to a pack: choose, decode and write, with every decision recorded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import PIL
from PIL import UnidentifiedImageError

from workers.data.importing.balance import balance_warnings
from workers.data.importing.curation import (
    Curated,
    base_columns,
    choose_columns,
    choose_splits,
    curate,
    intersect,
)
from workers.data.importing.decoding import BROKEN, map_ahead, to_array
from workers.data.importing.picture_format import PictureFormat, choose_format
from workers.data.importing.split_file import read_split_file, with_splits
from workers.data.packs.partial import PartialPack, resuming
from workers.data.packs.table import (
    SPLITS,
    UNKNOWN,
    BoolArray,
    ByteArray,
    GroupColumn,
    PackTable,
    keep_rows,
    names_json,
)
from workers.data.packs.writing import Content, front_bytes, reporting, write_front
from workers.data.sources.pack_settings import PackSettings
from workers.data.sources.registry import open_source
from workers.data.sources.source import FaceRow, FaceSource, listed
from workers.errors import DataError
from workers.settings import Split

Progress: TypeAlias = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackReport:
    """What was packed.

    Attributes:
        digest: The new pack's content digest.
        n_images: Images in the pack.
        broken: Pictures that could not be read and are not in it -> why.
        warnings: What was decided that people should know; the pack keeps them too.
    """

    path: Path
    digest: str
    n_images: int
    broken: Mapping[str, str]
    warnings: tuple[str, ...]


def pack_source(
    source: Path,
    out: Path,
    *,
    settings: PackSettings,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> PackReport:
    """Pack the faces of any source.

    What is interrupted goes on where it was the next time; see `workers.data.packs.partial`.

    Args:
        source: See `workers.data.sources.registry.open_source`.
        out: The new pack; its folder is made when missing. Nothing appears there on failure.
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
    with open_source(source, settings.labels, pairs=settings.pairs, form=settings.form) as faces:
        warnings = list(faces.warnings)
        with _prefixed_errors(faces.columns_place or str(source)):
            columns = _columns(faces, settings, warnings)
        with _prefixed_errors(str(source)):
            table, rows = _table_and_rows(faces, settings, columns, warnings)
        form = choose_format(faces, rows, size=settings.size, colour=settings.colour)
        warnings += form.warnings
        made = {**table.settings, "source": str(source), "size": form.size}
        table = replace(table, settings={**made, "channels": form.channels})
        tally = _Tally(rows=rows, table=table, warnings=warnings)
        image_bytes = form.channels * form.size**2
        with reporting(out, image_bytes * len(rows)):
            out.parent.mkdir(parents=True, exist_ok=True)
            with resuming(
                out,
                key=_key(source, table, form),
                front_bytes=front_bytes(table, form.shape),
                row_bytes=image_bytes,
            ) as partial:
                pictures = _decode(faces, rows[partial.n_rows :], form)
                with closing(pictures), _prefixed_errors(str(source)):
                    tally.count(pictures, partial, progress)
                    content = tally.conclude(partial)
                    digest = write_front(partial.stream, table, form.shape, content)
    return PackReport(
        path=out,
        digest=digest,
        n_images=int(content.kept.sum()),
        broken={rows[row].source: why for row, why in partial.faults.items()},
        warnings=tuple(warnings),
    )


def _key(source: Path, table: PackTable, form: PictureFormat) -> str:
    """Another source, other settings or another table is another pack and starts anew."""
    stat = source.stat()
    made = {
        "source": [str(source.resolve()), stat.st_size, stat.st_mtime_ns],
        "settings": table.settings,
        "shape": form.shape,
        "names": names_json(
            table.identities, {name: column.labels for name, column in table.groups.items()}
        ),
    }
    digest = hashlib.sha256(json.dumps(made, sort_keys=True).encode())
    columns = [table.identity.tobytes(), table.split.tobytes()]
    for data in columns + [column.codes.tobytes() for column in table.groups.values()]:
        digest.update(data)
    digest.update("\n".join(table.sources).encode("utf-8", "replace"))
    return digest.hexdigest()


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
def _prefixed_errors(place: str) -> Iterator[None]:
    """Let messages of functions that know no files begin with the place."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{place}: {error}") from None


def _table_and_rows(
    faces: FaceSource, settings: PackSettings, columns: Sequence[str], warnings: list[str]
) -> tuple[PackTable, Sequence[FaceRow]]:
    """Everything about the pack but the pictures; the rows are the table's."""
    rows = faces.rows
    if settings.splits is not None:
        given = read_split_file(settings.splits)
        rows, more = with_splits(rows, given, str(settings.splits))
        warnings += more
    min_images = settings.min_images or (2 if faces.pairs is None else 1)
    curated = curate(
        rows,
        base_columns(columns, faces.columns),
        min_images=min_images,
        require_labels=settings.groups is not None,
    )
    warnings += curated.warnings
    curated = intersect(curated, columns, faces.columns)
    max_val = settings.max_val_identities or faces.max_val_identities
    splits = choose_splits(
        curated,
        val_fraction=settings.val_fraction,
        test_fraction=settings.test_fraction,
        seed=settings.seed,
        max_val=max_val,
    )
    how = replace(settings, min_images=min_images, max_val_identities=max_val)
    table = _table(curated, columns, splits, _recorded(how, columns, curated.rows))
    return _with_pairs(table, faces, curated.rows, warnings), curated.rows


def _columns(faces: FaceSource, settings: PackSettings, warnings: list[str]) -> tuple[str, ...]:
    """The group columns; pairs can be verified without any."""
    if settings.groups is None and not faces.columns and faces.pairs is not None:
        warnings.append("the source has no group column, so groups cannot be compared")
        return ()
    usual = faces.columns if faces.usual_columns is None else faces.usual_columns
    columns = usual if settings.groups is None else faces.columns
    chosen, more = choose_columns(faces.rows, columns, settings.groups)
    warnings += more
    return chosen


def _with_pairs(
    table: PackTable, faces: FaceSource, rows: Sequence[FaceRow], warnings: list[str]
) -> PackTable:
    """The table with the source's pairs, by row instead of by position."""
    if faces.pairs is None:
        return table
    numbers = np.full(len(faces.rows), -1, np.int64)
    numbers[[row.position for row in rows]] = np.arange(len(rows))
    pairs = faces.pairs.renumbered(numbers)
    n_lost = len(faces.pairs) - len(pairs)
    if n_lost:
        warnings.append(f"{n_lost} pairs have a picture that was left out, and so were they")
    trains = table.split == SPLITS.index("train")
    n_training = int((trains[pairs.first] | trains[pairs.second]).sum())
    if n_training:
        warnings.append(
            f"{n_training} of {len(pairs)} pairs have a picture of somebody who trains; verify "
            "with a pack of its own (--val 0 --test 1), or leave these pairs out"
        )
    return replace(table, pairs=pairs)


def _recorded(
    settings: PackSettings, columns: Sequence[str], rows: Sequence[FaceRow]
) -> dict[str, Any]:
    drawn = {
        "val_fraction": settings.val_fraction,
        "test_fraction": settings.test_fraction,
        "seed": settings.seed,
        "max_val_identities": settings.max_val_identities,
    }
    n_given = sum(row.split is not None for row in rows)
    how = "drawn" if n_given == 0 else "source" if n_given == len(rows) else "source and drawn"
    recorded = {
        "groups": list(columns),
        "unlabelled_left_out": settings.groups is not None,
        "min_images": settings.min_images,
        "splits": how if settings.splits is None else "file",
        **(drawn if n_given < len(rows) else {}),
        "labels": None if settings.labels is None else str(settings.labels),
        "max_broken_fraction": settings.max_broken_fraction,
        "pillow": PIL.__version__,
    }
    if settings.splits is not None:
        recorded["splits_file"] = str(settings.splits)
    if settings.pairs is not None:
        recorded["pairs_file"] = str(settings.pairs)
    return recorded


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
            return _Picture(pixels=None, fault=_failure_reason(error))
        return _Picture(pixels=pixels, is_enlarged=is_enlarged)

    yield from map_ahead(decode, rows)


def _failure_reason(error: Exception) -> str:
    """What is wrong with a picture; the same words for the same fault."""
    if isinstance(error, UnidentifiedImageError):
        return "not a picture of a known format"
    return str(error) or type(error).__name__


@dataclass(slots=True, kw_only=True)
class _Tally:
    """Counts pictures on their way into the pack.

    Attributes:
        warnings: Added to once the last picture has passed.
    """

    rows: Sequence[FaceRow]
    table: PackTable
    warnings: list[str]

    def count(
        self, pictures: Iterable[_Picture], partial: PartialPack, progress: Progress | None
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
        n_images = np.bincount(self.table.identity[kept], minlength=len(self.table.identities))
        self._report(n_images == 0, "lost every picture and are not in the pack")
        min_images = self.table.settings["min_images"]
        is_short = (n_images > 0) & (n_images < min_images)
        self._report(is_short, f"have fewer than {min_images} images that can be read")
        self.warnings += balance_warnings(keep_rows(self.table, kept))
        return Content(kept=kept, image_digest=partial.image_digest, warnings=self.warnings)

    def _report(self, chosen: BoolArray, what: str) -> None:
        if chosen.any():
            names = [self.table.identities[index] for index in np.flatnonzero(chosen).tolist()]
            self.warnings.append(f"{len(names)} identities {what}: {listed(names)}")
