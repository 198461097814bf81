from __future__ import annotations

from collections import Counter

import pytest

from workers.data.importing.curation import choose_columns, choose_splits, curate
from workers.data.sources.source import FaceRow
from workers.errors import DataError


def rows(*people, split=None):
    """Rows of (identity, labels of its images), one letter for each; `-` is unknown."""
    return [
        FaceRow(
            source=f"{identity}/{i}",
            position=i,
            identity=identity,
            labels={"sex": label.strip("-")},
            split=split,
        )
        for identity, labels in people
        for i, label in enumerate(labels)
    ]


def curated(*people, min_images=1, require_labels=False):
    return curate(rows(*people), ["sex"], min_images=min_images, require_labels=require_labels)


def sexes(result):
    return {name: labels["sex"] for name, labels in result.labels.items()}


def test_identities_are_sorted_and_images_keep_their_order():
    result = curated(("b", "ff"), ("a", "mm"))
    assert [row.source for row in result.rows] == ["a/0", "a/1", "b/0", "b/1"]
    assert list(result.labels) == ["a", "b"]
    assert result.warnings == ()


def test_the_majority_decides_and_is_told():
    result = curated(("a", "ffm"), ("b", "m--"))
    assert sexes(result) == {"a": "f", "b": "m"}
    assert len(result.rows) == 6
    assert result.warnings == ("1 identities have conflicting 'sex'; the majority decided: a",)


@pytest.mark.parametrize("labels", ["fm", "ffmmx", "f-m"])
def test_at_a_tie_the_identity_is_left_out(labels):
    result = curated(("a", labels), ("b", "m"))
    assert sexes(result) == {"b": "m"}
    assert "1 identities have as many images of one 'sex' as of another" in result.warnings[0]


def test_a_majority_is_no_tie_of_those_behind():
    assert sexes(curated(("a", "fffmmxx"))) == {"a": "f"}


def test_too_few_images_are_counted_before_labels_are_settled():
    result = curated(("a", "fm"), ("b", "fff"), min_images=3)
    assert sexes(result) == {"b": "f"}
    assert result.warnings == ("1 identities have fewer than 3 images and were left out: a",)


def test_unknown_labels_stay_unless_they_are_required():
    result = curated(("a", "--"), ("b", "f"))
    assert sexes(result) == {"a": "", "b": "f"}
    assert result.warnings == ("1 identities have no known 'sex': a",)
    strict = curated(("a", "--"), ("b", "f"), require_labels=True)
    assert sexes(strict) == {"b": "f"}
    assert strict.warnings == ("1 identities have no known 'sex' and were left out: a",)


def test_nobody_left_is_refused_with_the_reasons():
    with pytest.raises(DataError, match="no identity is left to pack: 1 identities have fewer"):
        curated(("a", "f"), min_images=2)


def columned(values):
    return [FaceRow(source="", position=0, identity="", labels=labels) for labels in values]


def test_columns_with_one_to_twenty_values_are_groups():
    data = columned(
        {"sex": "fm"[i % 2], "name": str(i), "empty": "", "age": str(i % 20)} for i in range(40)
    )
    columns, warnings = choose_columns(data, ["sex", "name", "empty", "age"], None)
    assert columns == ("sex", "age")
    assert warnings == [
        "column 'name' has 40 different values and is no group column",
        "column 'empty' has 0 different values and is no group column",
    ]


def test_named_columns_are_taken_as_named():
    assert choose_columns([], ["a", "b"], ["b", "a", "b"]) == (("b", "a"), [])


@pytest.mark.parametrize(
    ("columns", "wanted", "message"),
    [
        (["sex"], ["race"], "no group column 'race'; the source has: sex"),
        ([], ["race"], "no group column 'race'; the source has: none"),
        (["sex"], [], "no group column named"),
        ([], None, "no group column with 1 to 20 different values; the source has: none"),
    ],
)
def test_a_column_that_is_not_there_is_refused(columns, wanted, message):
    with pytest.raises(DataError, match=message):
        choose_columns([], columns, wanted)


def test_a_named_column_needs_few_enough_values_to_be_groups():
    data = columned({"name": str(i)} for i in range(1001))
    with pytest.raises(DataError, match=r"'name' has 1001 different values; .* at most 1000"):
        choose_columns(data, ["name"], ["name"])


def splits(result, **fractions):
    options = {"val_fraction": 0.2, "test_fraction": 0.2, "seed": 0} | fractions
    return choose_splits(result, **options)


def test_splits_are_drawn_within_each_group():
    result = curated(*((f"p{i:02d}", "f" if i < 10 else "m") for i in range(40)))
    counts = Counter((sexes(result)[name], split) for name, split in splits(result).items())
    assert counts["f", "val"] == counts["f", "test"] == 2
    assert counts["m", "val"] == counts["m", "test"] == 6


def test_rare_groups_share_a_stratum_so_that_not_all_of_them_train():
    result = curated(*((f"p{i:02d}", "abcdef"[i % 6]) for i in range(12)))
    assert Counter(splits(result).values()) == {"train": 8, "val": 2, "test": 2}


def test_splits_of_the_source_are_kept():
    people = rows(("a", "f"), split="test") + rows(("b", "m"), split="train")
    result = curate(people, ["sex"], min_images=1, require_labels=False)
    assert splits(result) == {"a": "test", "b": "train"}


def test_an_identity_in_two_splits_of_the_source_is_refused():
    people = rows(("a", "f"), split="test") + rows(("a", "f"), split="train")
    result = curate(people, ["sex"], min_images=1, require_labels=False)
    with pytest.raises(DataError, match=r"identity 'a' lies in test and in train .*; give every"):
        splits(result)


def test_impossible_fractions_are_refused():
    with pytest.raises(DataError, match="at most 1 together"):
        splits(curated(("a", "f")), val_fraction=0.7, test_fraction=0.7)
