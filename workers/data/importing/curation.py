"""Which images and identities are packed, and under which labels. Reads nothing, only decides."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from workers.data.packs.account import Gap, listed
from workers.data.sources.source import FaceRow
from workers.data.splits import assign_splits
from workers.errors import DataError
from workers.settings import Split

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
        picture_gaps: The rows of people who were dropped, with the reason.
        people_gaps: These people.
    """

    rows: Sequence[FaceRow]
    labels: Mapping[str, Mapping[str, str]]
    warnings: tuple[str, ...]
    picture_gaps: tuple[Gap, ...] = ()
    people_gaps: tuple[Gap, ...] = ()


def choose_columns(
    rows: Sequence[FaceRow], columns: Sequence[str], wanted: Sequence[str] | None
) -> tuple[tuple[str, ...], list[str]]:
    """The group columns, and warnings about those left out.

    Args:
        rows: All images.
        columns: Columns the source has.
        wanted: Columns somebody named, `a*b` for one made of two; None takes every column with
            few enough values.

    Raises:
        DataError: A wanted column is not there or has over 1000 values, or no column is left.
    """
    known = ", ".join(columns) or "none"
    if wanted is not None:
        for name in base_columns(wanted, columns):
            _check_wanted(name, rows, columns)
        if not wanted:
            raise DataError(f"no group column named; the source has: {known}")
        return tuple(dict.fromkeys(wanted)), []
    n_labels = {name: _n_labels(rows, name) for name in columns}
    chosen = tuple(name for name in columns if 0 < n_labels[name] <= _MAX_LABELS)
    if not chosen:
        raise DataError(
            f"no group column with 1 to {_MAX_LABELS} different values; the source has: {known}; "
            "name a label file with --labels"
        )
    return chosen, [
        f"column {name!r} has {n_labels[name]} different values and is no group column"
        for name in columns
        if name not in chosen
    ]


def _n_labels(rows: Sequence[FaceRow], column: str) -> int:
    return len({row.labels[column] for row in rows} - {""})


def _check_wanted(name: str, rows: Sequence[FaceRow], columns: Sequence[str]) -> None:
    if name not in columns:
        known = ", ".join(columns) or "none"
        raise DataError(f"no group column {name!r}; the source has: {known}")
    if _n_labels(rows, name) > _MAX_WANTED_LABELS:
        raise DataError(
            f"column {name!r} has {_n_labels(rows, name)} different values; a group column has "
            f"at most {_MAX_WANTED_LABELS}"
        )


def parts_of(column: str, columns: Sequence[str]) -> tuple[str, ...]:
    """The columns that `a*b` is made of; a column of that very name is itself."""
    if column in columns:
        return (column,)
    return tuple(part.strip() for part in column.split("*"))


def base_columns(wanted: Sequence[str], columns: Sequence[str]) -> tuple[str, ...]:
    """The source's columns that the wanted ones are made of, each once."""
    parts = (part for column in wanted for part in parts_of(column, columns))
    return tuple(dict.fromkeys(parts))


def intersect(curated: Curated, wanted: Sequence[str], columns: Sequence[str]) -> Curated:
    """The same with the wanted columns only; `a*b` joins the labels of two, such as `f*Asian`.

    Where a part is unknown, so is the whole.
    """
    made = {name: parts_of(name, columns) for name in wanted}
    labels = {
        identity: {name: _join([own[part] for part in parts]) for name, parts in made.items()}
        for identity, own in curated.labels.items()
    }
    return replace(curated, labels=labels)


def _join(labels: Sequence[str]) -> str:
    return "*".join(labels) if all(labels) else ""


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
    dropping = _Dropping(by_identity=by_identity)
    warnings = dropping.warnings
    few = [name for name, own in by_identity.items() if len(own) < min_images]
    dropping.drop(few, f"have fewer than {min_images} images")
    labels: dict[str, dict[str, str]] = {name: {} for name in sorted(by_identity)}
    for column in columns:
        _assign_majority_labels(dropping, labels, column)
        unknown = [name for name in by_identity if not labels[name][column]]
        if require_labels:
            dropping.drop(unknown, f"have no known {column!r}")
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
        picture_gaps=tuple(dropping.picture_gaps),
        people_gaps=tuple(dropping.people_gaps),
    )


@dataclass(slots=True, kw_only=True)
class _Dropping:
    """People left, and what is said of those who are not."""

    by_identity: dict[str, list[FaceRow]]
    warnings: list[str] = field(default_factory=list)
    picture_gaps: list[Gap] = field(default_factory=list)
    people_gaps: list[Gap] = field(default_factory=list)

    def drop(self, names: Sequence[str], why: str) -> None:
        if not names:
            return
        self.warnings.append(f"{len(names)} identities {why} and were left out: {listed(names)}")
        pictures = [row.source for name in names for row in self.by_identity[name]]
        reason = f"are of people who {why}"
        self.picture_gaps.append(Gap(reason=reason, names=pictures, kind="chosen"))
        self.people_gaps.append(Gap(reason=why, names=names, kind="chosen"))
        for name in names:
            del self.by_identity[name]


def _assign_majority_labels(
    dropping: _Dropping, labels: Mapping[str, dict[str, str]], column: str
) -> None:
    """Write each identity's label of one column; drop those at a tie."""
    outvoted: list[str] = []
    tied: list[str] = []
    for name, rows in dropping.by_identity.items():
        votes = Counter(row.labels[column] for row in rows if row.labels[column]).most_common(2)
        labels[name][column] = votes[0][0] if votes else ""
        if len(votes) == 2:
            (tied if votes[0][1] == votes[1][1] else outvoted).append(name)
    if outvoted:
        dropping.warnings.append(
            f"{len(outvoted)} identities have conflicting {column!r}; the majority decided: "
            f"{listed(outvoted)}"
        )
    dropping.drop(tied, f"have as many images of one {column!r} as of another")


def choose_splits(
    curated: Curated,
    *,
    val_fraction: float,
    test_fraction: float,
    seed: int,
    max_val: int | None = None,
) -> dict[str, Split]:
    """Each identity's split: the one the source gives, or one drawn within its groups.

    Where the source gives some identities a split, nobody else is drawn into it.

    Raises:
        DataError: The source puts an identity into two splits, or the fractions are impossible.
    """
    given = _given_splits(curated.rows)
    free = [name for name in curated.labels if name not in given]
    taken = set(given.values())
    drawn = assign_splits(
        free,
        _strata({name: curated.labels[name] for name in free}),
        val_fraction=0.0 if "val" in taken else val_fraction,
        test_fraction=0.0 if "test" in taken else test_fraction,
        seed=seed,
        max_val=max_val,
    )
    return {name: given[name] if name in given else drawn[name] for name in curated.labels}


def _given_splits(rows: Sequence[FaceRow]) -> dict[str, Split]:
    """Identity -> split, of those for whom the source says so."""
    given: dict[str, Split] = {}
    for row in rows:
        if row.split is not None and given.setdefault(row.identity, row.split) != row.split:
            raise DataError(
                f"identity {row.identity!r} lies in {given[row.identity]} and in {row.split} "
                f"({row.source}); give every identity one split"
            )
    torn = next((row for row in rows if row.split is None and row.identity in given), None)
    if torn is not None:
        raise DataError(
            f"identity {torn.identity!r} lies in {given[torn.identity]} and, with {torn.source}, "
            "in no split; give every identity one split"
        )
    return given


def _strata(labels: Mapping[str, Mapping[str, str]]) -> list[str]:
    """All labels joined; rare combinations share one stratum, else all of them would train."""
    joined = ["\x1f".join(own.values()) for own in labels.values()]
    counts = Counter(joined)
    return [stratum if counts[stratum] >= _MIN_STRATUM else "rare" for stratum in joined]
