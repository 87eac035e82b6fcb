"""Entries for what the books do not know how to take: balanced, exact, and never more than is explained."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.adjusting import MOVED, RENAMED, UNDONE, Proposed, propose
from workbench.core.ledger import CASH, FEES, PNL, SECURITIES, Ledger, Posting, postings_of_fill
from workbench.core.orders import Fill
from workbench.core.ports import Activity, VenueAccount
from workbench.core.types import NANO, Side

CASH_MICRO = 1_000_000_000_000


def fill(key: str, symbol: str, side: Side, shares: int, price_micro: int, fee: int = 0) -> Fill:
    return Fill(key, f"order-{key}", symbol, side, shares * NANO, price_micro, fee, 1)


def books(fills: list[Fill]) -> tuple[Ledger, dict[str, tuple[Posting, ...]]]:
    ledger, entries = Ledger.opening(CASH_MICRO), {}
    for one in fills:
        entries[one.execution_id] = postings_of_fill(ledger, one)
        ledger = ledger.apply(entries[one.execution_id])
    return ledger, entries


def account(ledger: Ledger, *, cash: int = 0, **shares: int) -> VenueAccount:
    """The venue's account: our books, and what happened there besides."""
    held = dict(ledger.positions_nano)
    for symbol, change in shares.items():
        held[symbol] = held.get(symbol, 0) + change * NANO
    return VenueAccount("demo", ledger.cash_micro + cash, 0, 0, False, MappingProxyType(held))


def proposed(
    ledger: Ledger,
    entries: Mapping[str, tuple[Posting, ...]],
    theirs: VenueAccount,
    *activities: Activity,
    booked: tuple[str, ...] = (),
) -> Proposed:
    return propose(ledger, activities, booked=booked, executions=entries, theirs=theirs)


def after(ledger: Ledger, found: Proposed) -> Ledger:
    for one in found.proposals:
        ledger = ledger.apply(one.postings)
    return ledger


def test_a_busted_sale_gives_back_shares_cash_fee_and_the_cost_they_had() -> None:
    bought = [fill("a", "AAPL", Side.BUY, 10, 90_000_000), fill("b", "AAPL", Side.BUY, 10, 110_000_000)]
    before, _ = books(bought)
    ledger, entries = books([*bought, fill("c", "AAPL", Side.SELL, 5, 120_000_000, 70_000)])
    bust = Activity("x", "MISC", "AAPL", 9, 5 * NANO, -(5 * 120_000_000 - 70_000))
    found = proposed(ledger, entries, account(ledger, cash=bust.amount_micro, AAPL=5), bust)
    assert [(one.how, one.undoes) for one in found.proposals] == [(UNDONE, "c")]
    assert found.unexplained == ()
    now = after(ledger, found)
    assert (now.cash_micro, now.fees_micro, now.realised_micro) == (before.cash_micro, 0, 0)
    assert now.cost_micro == before.cost_micro == {"AAPL": 2_000_000_000}


def test_an_execution_is_undone_once_and_the_youngest_of_equals_first() -> None:
    same = [fill(key, "AAPL", Side.BUY, 10, 100_000_000) for key in "ab"]
    ledger, entries = books(same)
    busts = [Activity(key, "MISC", "AAPL", 9, -10 * NANO, 1_000_000_000) for key in ("x", "y")]
    found = proposed(ledger, entries, account(ledger, cash=2_000_000_000, AAPL=-20), *busts)
    assert [one.undoes for one in found.proposals] == ["b", "a"]
    assert after(ledger, found).positions_nano == {}


def test_a_corrected_price_moves_cash_and_is_realised() -> None:
    ledger, entries = books([fill("a", "AAPL", Side.BUY, 10, 100_000_000)])
    told = Activity("x", "MISC", "AAPL", 9, 0, 2_000_000)
    found = proposed(ledger, entries, account(ledger, cash=2_000_000), told)
    assert [one.how for one in found.proposals] == [MOVED]
    now = after(ledger, found)
    assert (now.cash_micro - ledger.cash_micro, now.realised_micro) == (2_000_000, 2_000_000)


def test_a_new_name_keeps_shares_and_cost() -> None:
    ledger, entries = books([fill("a", "FB", Side.BUY, 10, 100_000_000)])
    told = Activity("x", "NC", "META", 9, 0, 0)
    found = proposed(ledger, entries, account(ledger, FB=-10, META=10), told)
    assert [one.how for one in found.proposals] == [RENAMED]
    now = after(ledger, found)
    assert now.positions_nano == {"META": 10 * NANO}
    assert now.cost_micro == {"META": 1_000_000_000}
    assert now.realised_micro == 0


def test_a_merger_in_shares_carries_the_cost_and_one_for_cash_realises_it() -> None:
    ledger, entries = books([fill("a", "OLD", Side.BUY, 10, 100_000_000)])
    legs = [Activity("in", "MA", "NEW", 9, 4 * NANO, 0), Activity("out", "MA", "OLD", 9, -10 * NANO, 0)]
    found = proposed(ledger, entries, account(ledger, OLD=-10, NEW=4), *legs)
    now = after(ledger, found)
    assert now.cost_micro == {"NEW": 1_000_000_000}
    assert now.realised_micro == 0
    cash = Activity("out", "MA", "OLD", 9, -10 * NANO, 1_200_000_000)
    found = proposed(ledger, entries, account(ledger, cash=1_200_000_000, OLD=-10), cash)
    now = after(ledger, found)
    assert (now.positions_nano, now.realised_micro) == ({}, 200_000_000)


@pytest.mark.parametrize("field", ["cash", "AAPL", "IBM"])
def test_what_no_activity_tells_stays_unexplained(field: str) -> None:
    ledger, entries = books([fill("a", "AAPL", Side.BUY, 10, 100_000_000)])
    told = Activity("x", "MISC", "AAPL", 9, -10 * NANO, 1_000_000_000)
    truth = {"cash": 1_000_000_000, "AAPL": -10, "IBM": 0}
    theirs = account(ledger, **{**truth, field: truth[field] + 1})
    found = proposed(ledger, entries, theirs, told)
    assert len(found.unexplained) == 1
    assert found.unexplained[0].startswith(f"{field}: ")


def test_what_is_booked_or_known_is_not_proposed_again() -> None:
    ledger, entries = books([fill("a", "AAPL", Side.BUY, 10, 100_000_000)])
    told = [Activity("x", "MISC", "AAPL", 9, 0, 5), Activity("d", "dividend", "AAPL", 9, 0, 7)]
    assert proposed(ledger, entries, account(ledger), *told, booked=("x",)).proposals == ()


def test_the_mark_stands_for_every_posting() -> None:
    ledger, entries = books([fill("a", "AAPL", Side.BUY, 10, 100_000_000)])
    marks = {
        proposed(ledger, entries, account(ledger), Activity(key, "MISC", symbol, 9, shares, amount)).mark
        for key, symbol, shares, amount in [
            ("x", "AAPL", 0, 5),
            ("y", "AAPL", 0, 5),
            ("x", "IBM", 0, 5),
            ("x", "AAPL", NANO, 5),
            ("x", "AAPL", 0, 6),
        ]
    }
    assert len(marks) == 5


ACTIVITIES = st.lists(
    st.builds(
        Activity,
        activity_id=st.uuids().map(str),
        kind=st.sampled_from(["MISC", "MA", "SPIN", "NC", "REORG"]),
        symbol=st.sampled_from(["AAPL", "IBM", "NEW"]),
        at_ns=st.integers(1, 3),
        quantity_nano=st.integers(-30, 30).map(lambda shares: shares * NANO),
        amount_micro=st.integers(-(10**10), 10**10),
    ),
    max_size=6,
)


@given(bought=st.integers(1, 20), sold=st.integers(0, 20), price=st.integers(1, 10**9), activities=ACTIVITIES)
def test_whatever_the_venue_tells_the_entries_balance_and_say_the_same(
    bought: int, sold: int, price: int, activities: list[Activity]
) -> None:
    """Shares and cash move by exactly what is told, in any order of telling; flat costs nothing."""
    fills = [fill("a", "AAPL", Side.BUY, bought, price), fill("b", "AAPL", Side.SELL, sold or 1, price + 7)]
    ledger, entries = books(fills)
    told: dict[str, int] = {}
    for one in activities:
        told[one.symbol] = told.get(one.symbol, 0) + one.quantity_nano // NANO
    cash = sum(one.amount_micro for one in activities)
    theirs = account(ledger, cash=cash, **told)
    found = proposed(ledger, entries, theirs, *activities)
    assert found.unexplained == ()
    assert found == proposed(ledger, entries, theirs, *reversed(activities))
    assert len(found.proposals) == len({one.activity_id for one in activities})
    now = after(ledger, found)
    assert now.cash_micro == ledger.cash_micro + cash
    for name, (amount, quantity) in now.balances.items():
        if name.startswith(SECURITIES) and not quantity:
            assert amount == 0
    for one in found.proposals:
        accounts = {posting.ledger_account.split(":")[0] + ":" for posting in one.postings}
        assert accounts <= {SECURITIES, PNL, CASH + ":", FEES + ":"}
