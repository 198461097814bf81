from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.data.splits import assign_splits
from workers.errors import DataError

NAMES = st.lists(st.text(min_size=1, max_size=8), unique=True, max_size=60)
FRACTIONS = st.floats(0, 1 / 3)


def split(names, strata=None, val=0.15, test=0.15, seed=0):
    strata = ["one"] * len(names) if strata is None else strata
    return assign_splits(names, strata, val_fraction=val, test_fraction=test, seed=seed)


@given(NAMES, FRACTIONS, FRACTIONS, st.integers(0, 9))
def test_every_identity_gets_exactly_one_split(names, val, test, seed):
    assert split(names, val=val, test=test, seed=seed).keys() == set(names)


@given(NAMES, st.randoms(use_true_random=False), st.integers(0, 9))
def test_the_order_of_the_identities_does_not_matter(names, random, seed):
    strata = {name: "ab"[len(name) % 2] for name in names}
    shuffled = random.sample(names, len(names))
    there = split(names, [strata[name] for name in names], seed=seed)
    assert split(shuffled, [strata[name] for name in shuffled], seed=seed) == there


@given(NAMES, FRACTIONS, FRACTIONS)
def test_one_more_identity_moves_at_most_two_others(names, val, test):
    before = split(names, val=val, test=test)
    after = split([*names, "one more than the others"], val=val, test=test)
    assert sum(after[name] != before[name] for name in names) <= 2


@given(NAMES, st.lists(st.text(min_size=9, max_size=12), unique=True, max_size=20))
def test_another_stratum_moves_nobody(names, others):
    alone = split(names)
    strata = ["one"] * len(names) + ["two"] * len(others)
    together = split([*names, *others], strata)
    assert {name: together[name] for name in names} == alone


@given(st.integers(6, 80), st.floats(0.01, 1 / 3), st.floats(0.01, 1 / 3))
def test_six_identities_suffice_for_two_in_val_and_in_test(n, val, test):
    counts = Counter(split([str(i) for i in range(n)], val=val, test=test).values())
    assert counts["val"] == max(2, int(n * val + 1e-9))
    assert counts["test"] == max(2, int(n * test + 1e-9))
    assert counts["train"] >= 2


def test_each_stratum_keeps_the_fractions():
    names = [f"n{i}" for i in range(300)]
    strata = ["f" if i < 100 else "m" for i in range(300)]
    splits = split(names, strata, val=0.2, test=0.1)
    assert Counter((s, splits[n]) for n, s in zip(names, strata, strict=True)) == {
        ("f", "train"): 70,
        ("f", "val"): 20,
        ("f", "test"): 10,
        ("m", "train"): 140,
        ("m", "val"): 40,
        ("m", "test"): 20,
    }


def test_another_seed_gives_another_assignment():
    names = [f"n{i}" for i in range(100)]
    assert split(names, seed=1) != split(names, seed=2)


def test_a_fraction_of_nothing_gives_nothing_and_of_all_gives_all():
    names = [f"n{i}" for i in range(10)]
    assert set(split(names, val=0, test=0).values()) == {"train"}
    assert set(split(names, val=0, test=1).values()) == {"test"}


@pytest.mark.parametrize(("val", "test"), [(-0.1, 0.1), (0.6, 0.6), (float("nan"), 0.1)])
def test_impossible_fractions_are_refused(val, test):
    with pytest.raises(DataError, match="at most 1 together"):
        split(["a", "b"], val=val, test=test)


def test_a_name_given_twice_is_refused():
    with pytest.raises(DataError, match="twice"):
        split(["a", "a"])


def test_missing_strata_are_refused():
    with pytest.raises(DataError, match="2 identities but 1 strata"):
        split(["a", "b"], ["x"])


def test_at_most_so_many_of_a_stratum_choose():
    names = [f"p{i}" for i in range(100)]
    strata = ["a"] * 60 + ["b"] * 40
    splits = assign_splits(names, strata, val_fraction=0.2, test_fraction=0.1, seed=0, max_val=10)
    in_val = [name for name, split in splits.items() if split == "val"]
    assert len(in_val) == 10 + 8
    assert list(splits.values()).count("test") == 10
