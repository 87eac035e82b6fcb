"""Sums, counts, newest rows and single events agree with what reading everything gives, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from journals import alert, changed, intended
from places import Place

from workbench.adapters.journal import JournalDatabase
from workbench.core.ports import Event


def posted(entry: str, account: str, session: str = "2013-02-01", **amounts: int) -> Event:
    """An entry of some micros on accounts whose names have a colon instead of "__", shares with each."""
    postings = [
        {
            "ledger_account": name.replace("__", ":"), "amount_micro": micro,
            "quantity_nano": 7 * micro if "securities" in name else 0, "memo": "",
        }
        for name, micro in amounts.items()
    ]  # fmt: skip
    payload = {
        "account": account,
        "session": session,
        "entry_id": entry,
        "postings": postings,
        "memo": "m",
    }
    return Event("ledger.posted", payload)


def in_order(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By the event that made each, then by key."""
    return sorted(rows, key=lambda row: (row["added_seq"], row["entry_id"], row["n"]))


@pytest.fixture
def journal(tmp_path: Path, place: Place) -> Iterator[Any]:
    opened = JournalDatabase(
        place.url, anchor_path=tmp_path / "anchor", anchor_key=b"key", config_hash="c" * 64,
        wall_ns=lambda: 1_000,
    )  # fmt: skip
    with opened as journal:
        large = 2**61  # sums of such amounts are exact, on either database
        journal.commit(
            [
                posted("opening", "demo", cash=large, capital=-large),
                posted("buy", "demo", cash=-100, securities__AAPL=100),
                posted("buy more", "demo", cash=-40, securities__AAPL=40),
                posted("late", "demo", session="2013-01-31", cash=-1, fees=1),
                posted("sell", "demo", cash=50, securities__AAPL=-35, pnl__AAPL=-15),
                posted("other", "else", cash=9, capital=-9),
                *(alert(text=str(number)) for number in range(5)),
            ]
        )
        yield journal


def test_balances_are_the_sums_of_all_postings(journal: Any) -> None:
    wanted: dict[str, tuple[int, int]] = {}
    for row in journal.rows("postings", account="demo"):
        micro, nano = wanted.get(row["ledger_account"], (0, 0))
        wanted[row["ledger_account"]] = (micro + row["amount_micro"], nano + row["quantity_nano"])
    found = journal.balances("demo")
    assert found == wanted
    assert found["cash"] == (2**61 - 91, 0)
    assert found["securities:AAPL"] == (105, 735)
    assert {type(value) for pair in found.values() for value in pair} == {int}
    assert journal.balances("nobody") == {}


@pytest.mark.parametrize("most", [1, 3, 100])
def test_the_newest_rows_are_the_last_ones_oldest_first(journal: Any, most: int) -> None:
    assert journal.newest("alerts", most, account="demo") == journal.rows("alerts", account="demo")[-most:]
    assert journal.newest("postings", most) == in_order(journal.rows("postings"))[-most:]
    mine = sorted(in_order(journal.rows("postings", account="demo")), key=lambda row: row["session"])
    assert journal.newest("postings", most, account="demo") == mine[-most:]
    assert journal.newest("postings", most, account="nobody") == []
    assert journal.newest("alerts", most, account="nobody") == []


def test_counts_count_rows(journal: Any) -> None:
    for equals in ({}, {"account": "demo"}, {"account": "nobody"}):
        assert journal.count("postings", **equals) == len(journal.rows("postings", **equals))


def test_single_events_are_those_of_the_record(journal: Any) -> None:
    events = journal.events()
    assert journal.events_at([3, 1, 3, 999]) == (events[0], events[2])
    assert journal.events_at([]) == ()


def test_open_orders_are_those_that_have_not_ended(journal: Any) -> None:
    journal.commit([intended(1), intended(2, symbol="IBM"), intended(3, symbol="FB")])
    journal.commit([changed("SENT", 2), changed("SENT", 3), changed("EXPIRED", 3)])
    assert [row["symbol"] for row in journal.rows("orders", account="demo")] == ["AAPL", "IBM", "FB"]
    found = journal.open_orders("demo")
    assert [(row["symbol"], row["state"]) for row in found] == [("AAPL", "INTENDED"), ("IBM", "SENT")]
    assert found[1] == journal.rows("orders", symbol="IBM")[0]
    assert journal.open_orders("nobody") == []
