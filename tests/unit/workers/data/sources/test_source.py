from __future__ import annotations

import pytest

from workers.data.packs.account import listed
from workers.data.sources.source import clean_label, parse_split
from workers.errors import DataError


@pytest.mark.parametrize("text", ["", "  ", "?", "Unknown", "NaN", " none", "NULL", "n/a"])
def test_what_says_that_nothing_is_known_is_empty(text):
    assert clean_label(text) == ""


@pytest.mark.parametrize("text", ["f", " f ", "no", "0"])
def test_other_labels_only_lose_their_blanks(text):
    assert clean_label(text) == text.strip()


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("train", "train"),
        (" Training ", "train"),
        ("DEV", "val"),
        ("valid", "val"),
        ("test", "test"),
    ],
)
def test_splits_have_several_names(text, split):
    assert parse_split(text, "x") == split


@pytest.mark.parametrize("text", ["", "0", "holdout"])
def test_an_unknown_split_is_refused(text):
    with pytest.raises(DataError, match=f"^x.csv: split '{text}' is unknown; use train"):
        parse_split(text, "x.csv")


def test_five_names_are_listed_and_the_others_counted():
    assert listed("abcde") == "a, b, c, d, e"
    assert listed(iter("abcdefg")) == "a, b, c, d, e and 2 more"
    assert listed([]) == ""
