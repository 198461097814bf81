"""Which images and identities are packed, and under which labels. Reads nothing, only decides."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workers.errors import DataError
from workers.face_source import FaceRow, listed
from workers.settings import Split
from workers.splits import assign_splits

_MAX_LABELS = 20
_MAX_WANTED_LABELS = 1000
_MIN_STRATUM = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Curated:
    """What is left.

    Attributes:
        rows: Sorted by identity, each identity's in the source's order.
        labels: Identity -> column -> label, empty where unknown; in alphabetical order.
        warnings: What was decided that people should know.
    """

    rows: Sequence[FaceRow]
    labels: Mapping[str, Mapping[str, str]]
    warnings: tuple[str, ...]


def choose_columns(
    rows: Sequence[FaceRow], columns: Sequence[str], wanted: Sequence[str] | None
) -> tuple[tuple[str, ...], list[str]]:
    """The group columns, and warnings about those left out.

    Args:
        rows: All images.
        columns: Columns the source has.
        wanted: Columns somebody named; None takes every column with few enough values.

    Raises:
        DataError: A wanted column is not there or has over 1000 values, or no column is left.
    """
    known = ", ".join(columns) or "none"
    n_labels = {name: len({row.labels[name] for row in rows} - {""}) for name in columns}
    if wanted is not None:
        for name in wanted:
            if name not in columns:
                raise DataError(f"no group column {name!r}; the source has: {known}")
            if n_labels[name] > _MAX_WANTED_LABELS:
                raise DataError(
                    f"column {name!r} has {n_labels[name]} different values; a group column has "
                    f"at most {_MAX_WANTED_LABELS}"
                )
        if not wanted:
            raise DataError(f"no group column named; the source has: {known}")
        return tuple(dict.fromkeys(wanted)), []
    chosen = tuple(name for name in columns if 0 < n_labels[name] <= _MAX_LABELS)
    if not chosen:
        raise DataError(
            f"no group column with 1 to {_MAX_LABELS} different values; the source has: {known}"
        )
    return chosen, [
        f"column {name!r} has {n_labels[name]} different values and is no group column"
        for name in columns
        if name not in chosen
    ]


def curate(
    rows: Sequence[FaceRow], columns: Sequence[str], *, min_images: int, require_labels: bool
) -> Curated:
    """Settle every identity's labels and drop the identities that cannot be used.

    Where an identity's images disagree the majority decides; at a tie the identity is dropped.

    Args:
        rows: All images.
        columns: The group columns.
        min_images: Identities with fewer are dropped.
        require_labels: Drop identities with an unknown label too.

    Raises:
        DataError: No identity is left.
    """
    by_identity: dict[str, list[FaceRow]] = defaultdict(list)
    for row in rows:
        by_identity[row.identity].append(row)
    warnings: list[str] = []
    few = [name for name, own in by_identity.items() if len(own) < min_images]
    _drop(by_identity, few, f"have fewer than {min_images} images", warnings)
    labels: dict[str, dict[str, str]] = {name: {} for name in sorted(by_identity)}
    for column in columns:
        _settle(by_identity, labels, column, warnings)
        unknown = [name for name in by_identity if not labels[name][column]]
        if require_labels:
            _drop(by_identity, unknown, f"have no known {column!r}", warnings)
        elif unknown:
            warnings.append(
                f"{len(unknown)} identities have no known {column!r}: {listed(unknown)}"
            )
    if not by_identity:
        raise DataError("no identity is left to pack: " + "; ".join(warnings))
    kept = sorted(by_identity)
    return Curated(
        rows=[row for name in kept for row in by_identity[name]],
        labels={name: labels[name] for name in kept},
        warnings=tuple(warnings),
    )


def _drop(
    by_identity: dict[str, list[FaceRow]], names: Sequence[str], why: str, warnings: list[str]
) -> None:
    if not names:
        return
    warnings.append(f"{len(names)} identities {why} and were left out: {listed(names)}")
    for name in names:
        del by_identity[name]


def _settle(
    by_identity: dict[str, list[FaceRow]],
    labels: Mapping[str, dict[str, str]],
    column: str,
    warnings: list[str],
) -> None:
    """Write each identity's label of one column; drop those at a tie."""
    outvoted: list[str] = []
    tied: list[str] = []
    for name, rows in by_identity.items():
        votes = Counter(row.labels[column] for row in rows if row.labels[column]).most_common(2)
        labels[name][column] = votes[0][0] if votes else ""
        if len(votes) == 2:
            (tied if votes[0][1] == votes[1][1] else outvoted).append(name)
    if outvoted:
        warnings.append(
            f"{len(outvoted)} identities have conflicting {column!r}; the majority decided: "
            f"{listed(outvoted)}"
        )
    _drop(by_identity, tied, f"have as many images of one {column!r} as of another", warnings)


def choose_splits(
    curated: Curated, *, val_fraction: float, test_fraction: float, seed: int
) -> dict[str, Split]:
    """Each identity's split: the one the source gives, or one drawn within its groups.

    Raises:
        DataError: The source puts an identity into two splits, or the fractions are impossible.
    """
    given: dict[str, Split] = {}
    for row in curated.rows:
        if row.split is not None and given.setdefault(row.identity, row.split) != row.split:
            raise DataError(
                f"identity {row.identity!r} lies in {given[row.identity]} and in {row.split}; "
                "give every identity one split"
            )
    if given:
        return given
    identities = list(curated.labels)
    strata = _strata(curated.labels)
    return assign_splits(
        identities, strata, val_fraction=val_fraction, test_fraction=test_fraction, seed=seed
    )


def _strata(labels: Mapping[str, Mapping[str, str]]) -> list[str]:
    """All labels joined; rare combinations share one stratum, else all of them would train."""
    joined = ["\x1f".join(own.values()) for own in labels.values()]
    counts = Counter(joined)
    return [stratum if counts[stratum] >= _MIN_STRATUM else "rare" for stratum in joined]
