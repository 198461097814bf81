from __future__ import annotations

import numpy as np

from workers.data.importing.balance import balance_warnings
from workers.data.packs.table import GroupColumn, PackTable


def table(*people):
    """A table of (split, code, number of images) for each identity."""
    counts = [n for _, _, n in people]
    identity = np.repeat(np.arange(len(people), dtype=np.int32), counts)
    return PackTable(
        identity=identity,
        identities=tuple(str(i) for i in range(len(people))),
        split=np.array([split for split, _, _ in people], np.uint8)[identity],
        groups={
            "sex": GroupColumn(
                labels=("f", "m"),
                codes=np.array([code for _, code, _ in people], np.int16)[identity],
            )
        },
        sources=[""] * len(identity),
    )


def group(split, code, n, n_images=4):
    return [(split, code, n_images)] * n


def test_thirty_identities_of_each_group_are_enough():
    people = [(split, code, 4) for split in range(3) for code in range(2)] * 30
    assert balance_warnings(table(*people)) == []


def test_fewer_are_counted_for_each_split():
    people = group(0, 0, 30) + group(0, 1, 31) + group(1, 0, 29) + group(1, 1, 2)
    assert balance_warnings(table(*people, *group(2, 1, 40))) == [
        "'sex': fewer than 30 identities of a group in val (f 29, m 2); test (f 0); "
        "differences between groups will be uncertain"
    ]


def test_uneven_images_are_told_with_their_means():
    people = group(1, 0, 30, 4) + group(1, 1, 30, 6)
    assert balance_warnings(table(*people)) == [
        "'sex': images per identity differ between groups in val (mean f 4.0, m 6.0), counting "
        "at most 10 each; rank and error depend on it"
    ]


def test_images_that_evaluation_never_takes_do_not_count():
    assert balance_warnings(table(*group(1, 0, 30, 10), *group(1, 1, 30, 50))) == []


def test_a_little_unevenness_is_fine():
    assert balance_warnings(table(*group(1, 0, 30, 4), *group(1, 1, 30, 5))) == []


def test_people_of_no_known_group_do_not_count():
    people = group(1, 0, 30, 4) + group(1, 1, 30, 4) + group(1, -1, 1, 9)
    assert balance_warnings(table(*people)) == []
