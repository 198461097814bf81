from __future__ import annotations

import json

import pytest

from workers.data.packs.account import (
    Account,
    Gap,
    Ledger,
    LeftOut,
    account_json,
    ledger,
    listed,
    parse_account,
)


def account(n_reasons=1, length=10):
    gaps = [
        Gap(reason=f"{i} {'r' * length}", names=[f"{i}-{j}{'n' * length}" for j in range(9)])
        for i in range(n_reasons)
    ]
    own = ledger(3, gaps, announced=3 + 9 * n_reasons)
    return Account(pictures=own, identities=own)


def test_a_ledger_adds_up_or_is_refused():
    entry = LeftOut(reason="are gone", kind="missing", count=2, examples=("a",))
    Ledger(announced=5, packed=3, left_out=(entry,))
    with pytest.raises(ValueError, match="6 announced, but 3 packed and 2 left out"):
        Ledger(announced=6, packed=3, left_out=(entry,))


def test_gaps_of_one_reason_are_counted_together_and_named_by_examples():
    gaps = [
        Gap(reason="are gone", names=["a", "b"]),
        Gap(reason="are broken", names=[], kind="broken"),
        Gap(reason="are gone", names=["c", "d", "e", "f"], n_unnamed=4),
    ]
    own = ledger(1, gaps, announced=11)
    assert own.left_out == (
        LeftOut(reason="are gone", kind="missing", count=10, examples=tuple("abcde")),
    )


def test_what_nobody_knows_the_name_of_is_counted():
    gap = Gap(reason="are gone", names=["a"], n_unnamed=3)
    assert gap.sentence() == "4 pictures are gone and were left out: a and 3 more"
    assert listed("abcdefg") == "a, b, c, d, e and 2 more"


def test_the_text_is_read_as_it_was_written():
    found = parse_account(account_json(account(), 10_000))
    assert found["pictures"]["announced"] == 12
    assert found["pictures"]["left_out"][0]["examples"][0] == "0-0nnnnnnnnnn"
    assert found["pairs"] is None


@pytest.mark.parametrize("n_reasons", [1, 30, 200])
def test_where_room_is_short_examples_go_first_and_numbers_stay(n_reasons):
    text = account_json(account(n_reasons, 190), 12_000)
    assert len(text.encode()) <= 12_000
    assert parse_account(text)["identities"]["announced"] == 3 + 9 * n_reasons


def test_an_account_that_does_not_add_up_is_none():
    value = json.loads(account_json(account(), 10_000))
    value["pictures"]["packed"] += 1
    with pytest.raises(ValueError, match="announced"):
        parse_account(json.dumps(value))
