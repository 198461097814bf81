"""From a source of faces to a pack: choose, decode and write, with every decision recorded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import PIL

from workers.data.formats.bounded_file import check_regular
from workers.data.formats.text_lines import composed
from workers.data.importing.accounting import Losses, check_gaps, losses_of
from workers.data.importing.curation import (
    Curated,
    base_columns,
    choose_columns,
    choose_splits,
    curate,
    intersect,
)
from workers.data.importing.decoding_memory import DecodingMemory
from workers.data.importing.pair_rows import lost_pairs, with_pairs
from workers.data.importing.picture_format import PictureFormat, choose_format
from workers.data.importing.picture_reading import PictureReading
from workers.data.importing.split_file import read_split_file, with_splits
from workers.data.importing.tally import Progress, Tally
from workers.data.packs.account import Account, Gap
from workers.data.packs.partial import resuming
from workers.data.packs.table import (
    SPLITS,
    UNKNOWN,
    GroupColumn,
    PackTable,
    names_json,
)
from workers.data.packs.writing import front_bytes, reporting, write_front
from workers.data.sources.pack_settings import DEFAULT_LEFT_OUT_FRACTION, PackSettings
from workers.data.sources.registry import open_source
from workers.data.sources.source import FaceRow, FaceSource
from workers.errors import DataError
from workers.settings import Split


@dataclass(frozen=True, slots=True, kw_only=True)
class PackReport:
    """What was packed.

    Attributes:
        digest: The new pack's content digest.
        n_images: Images in the pack.
        broken: Pictures that could not be read and are not in it -> why.
        warnings: What was decided that people should know; the pack keeps them too.
        account: What the source announced and what became of it; likewise.
    """

    path: Path
    digest: str
    n_images: int
    broken: Mapping[str, str]
    warnings: tuple[str, ...]
    account: Account | None = None


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
    settings = replace(settings, groups=_composed(settings.groups))
    with open_source(
        source,
        settings.labels,
        pairs=settings.pairs,
        form=settings.form,
        memory_bytes=settings.memory_bytes,
    ) as faces:
        warnings = list(faces.warnings)
        with _prefixed_errors(faces.columns_place or str(source)):
            columns = _columns(faces, settings, warnings)
        with _prefixed_errors(str(source)):
            planned = _planned(faces, settings, columns, warnings)
        table, rows, losses = planned.table, planned.rows, planned.losses
        memory = DecodingMemory(settings.memory_bytes)
        form = choose_format(
            faces, rows, size=settings.size, colour=settings.colour, memory=memory
        )
        warnings += form.warnings
        reading = PictureReading(faces=faces, rows=rows, form=form, memory=memory)
        reading.look_for_white()
        made = {**table.settings, "source": str(source), "size": form.size}
        table = replace(table, settings={**made, "channels": form.channels})
        tally = Tally(rows=rows, table=table, warnings=warnings, losses=losses)
        image_bytes = form.channels * form.size**2
        with reporting(out, image_bytes * len(rows)):
            out.parent.mkdir(parents=True, exist_ok=True)
            with resuming(
                out,
                key=_key(source, table, form, settings.memory_bytes),
                front_bytes=front_bytes(table, form.shape),
                row_bytes=image_bytes,
            ) as partial:
                pictures = reading.pictures(rows[partial.n_rows :])
                with closing(pictures), _prefixed_errors(str(source)):
                    tally.count(pictures, partial, progress)
                    if reading.white is not None and reading.white.sentence():
                        warnings.append(reading.white.sentence())
                    content = tally.conclude(partial)
                    digest = write_front(partial.stream, table, form.shape, content)
    return PackReport(
        path=out,
        digest=digest,
        n_images=int(content.kept.sum()),
        broken={rows[row].source: why for row, why in partial.faults.items()},
        warnings=tuple(warnings),
        account=content.account,
    )


def _composed(groups: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if groups is None else tuple(map(composed, groups))


def _key(source: Path, table: PackTable, form: PictureFormat, memory_bytes: int) -> str:
    """Another source, other settings or another table is another pack and starts anew.

    With more memory a picture may be read that was too large before.
    """
    stat = source.stat()
    made = {
        "source": [str(source.resolve()), stat.st_size, stat.st_mtime_ns],
        "settings": table.settings,
        "shape": form.shape,
        "memory_bytes": memory_bytes,
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
    if out.exists():
        check_regular(out, "choose another name for the pack")
    if out.exists() and not overwrite:
        raise DataError(f"{out}: exists already; choose another name or add --overwrite")


@contextmanager
def _prefixed_errors(place: str) -> Iterator[None]:
    """Let messages of functions that know no files begin with the place."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{place}: {error}") from None


class _Planned(NamedTuple):
    """Everything about the pack but the pictures; the rows are the table's."""

    table: PackTable
    rows: Sequence[FaceRow]
    losses: Losses


def _planned(
    faces: FaceSource, settings: PackSettings, columns: Sequence[str], warnings: list[str]
) -> _Planned:
    rows, losses = faces.rows, losses_of(faces)
    if settings.splits is not None:
        given = read_split_file(settings.splits)
        rows, more = with_splits(rows, given, str(settings.splits))
        warnings += more
        losses = _with_split_losses(faces, given, settings.splits)
    min_images = settings.min_images or (2 if faces.pairs is None else 1)
    curated = curate(
        rows,
        base_columns(columns, faces.columns),
        min_images=min_images,
        require_labels=settings.groups is not None,
    )
    warnings += curated.warnings
    losses.pictures += curated.picture_gaps
    losses.people += curated.people_gaps
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
    table = with_pairs(table, faces, curated.rows, warnings)
    losses.pairs.append(lost_pairs(faces, curated.rows))
    check_gaps(losses, limit=settings.max_left_out_fraction)
    return _Planned(table, curated.rows, losses)


def _with_split_losses(faces: FaceSource, given: Mapping[str, Split], file: Path) -> Losses:
    """With the people whom the split file does not list, and those whom only it does.

    The file may be of a larger set, so neither is missing.
    """
    present = dict.fromkeys(row.identity for row in faces.rows)
    absent = Gap(
        reason=f"are listed in {file.name} and not in the source",
        names=[name for name in given if name not in present],
        kind="chosen",
    )
    losses = losses_of(replace(faces, people_gaps=(*faces.people_gaps, absent)))
    reason = f"have no split in {file.name}"
    left = [name for name in present if name not in given]
    pictures = [row.source for row in faces.rows if row.identity not in given]
    losses.people.append(Gap(reason=reason, names=left, kind="chosen"))
    losses.pictures.append(
        Gap(reason=f"are of people who {reason}", names=pictures, kind="chosen")
    )
    return losses


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
    if settings.max_left_out_fraction != DEFAULT_LEFT_OUT_FRACTION:
        recorded["max_left_out_fraction"] = settings.max_left_out_fraction
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
