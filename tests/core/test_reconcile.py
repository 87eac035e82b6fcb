"""Reconciliation: equal books are clean, every single difference is named, absence is never proof."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.ledger import Ledger, postings_of_fill
from workbench.core.orders import WORKING, Fill, Order, OrderIntent, OrderState
from workbench.core.ports import VenueAccount, VenueOrder
from workbench.core.reconcile import BREAK_KINDS, Break, find_breaks
from workbench.core.types import NANO, OrderType, Side

S = OrderState


def books(**changes: Any) -> dict[str, Any]:
    """Arguments of `find_breaks` that agree: one order filled, one working, one never sent."""
    orders = [
        order("done", "AAA", Side.BUY, 10, S.FILLED, 10),
        order("open", "BBB", Side.SELL, 5, S.ACCEPTED, 0),
        order("never", "CCC", Side.BUY, 5, S.DENIED, 0),
    ]
    fill = Fill("x1", "done", "AAA", Side.BUY, 10 * NANO, 5_000_000, 10_000, 77)
    ledger = Ledger.opening(1_000_000_000)
    ledger = ledger.apply(postings_of_fill(ledger, fill))
    listed = [
        VenueOrder("done", "v1", "AAA", Side.BUY, 10 * NANO, 10 * NANO, S.FILLED),
        VenueOrder("open", "v2", "BBB", Side.SELL, 5 * NANO, 0, S.ACCEPTED),
    ]
    account = VenueAccount("demo", 949_990_000, 900_000_000, 999_990_000, False, {"AAA": 10 * NANO})
    return {
        "orders": orders, "fills": [fill], "ledger": ledger, "venue_orders": listed,
        "venue_fills": [fill], "venue_account": account,
    } | changes  # fmt: skip


def order(key: str, symbol: str, side: Side, shares: int, state: OrderState, filled: int) -> Order:
    intent = OrderIntent(
        key, "demo", "trend", "2013-01-02", 1, symbol, "entry", side, shares * NANO, OrderType.MARKET, 0, 1
    )
    return Order(intent, state, filled_nano=filled * NANO)


def kinds(found: tuple[Break, ...]) -> list[str]:
    return [one.kind for one in found]


def test_books_that_agree_are_clean() -> None:
    assert find_breaks(**books()) == ()
    assert find_breaks(**books(), account="demo") == ()


def test_a_short_position_is_never_read_as_a_long_one() -> None:
    """F15: quantities are signed; equal size on the other side is a break."""
    account = books()["venue_account"]
    (found,) = find_breaks(**books(venue_account=replace(account, positions_nano={"AAA": -10 * NANO})))
    assert (found.kind, found.ours, found.theirs) == ("position", "10000000000", "-10000000000")


def test_cash_counts_to_the_micro_and_positions_to_the_last_digit() -> None:
    account = books()["venue_account"]
    (found,) = find_breaks(**books(venue_account=replace(account, cash_micro=account.cash_micro + 1)))
    assert found == Break("cash", "", "949990000", "949990001", "account")
    (found,) = find_breaks(**books(venue_account=replace(account, positions_nano={"AAA": 10 * NANO - 1})))
    assert found == Break("position", "AAA", "10000000000", "9999999999", "account")
    (found,) = find_breaks(
        **books(venue_account=replace(account, positions_nano={"AAA": 10 * NANO, "ZZZ": -NANO}))
    )
    assert (found.kind, found.symbol, found.ours) == ("position", "ZZZ", "0")


@pytest.mark.parametrize("blocked", [True, None, "no"])
def test_only_a_plain_no_means_not_blocked(blocked: Any) -> None:
    account = replace(books()["venue_account"], blocked=blocked)
    assert kinds(find_breaks(**books(venue_account=account))) == ["account_blocked"]


def test_another_account_is_a_break() -> None:
    assert kinds(find_breaks(**books(), account="live")) == ["account_other"]


def breaks_without_listing(state: OrderState) -> tuple[Break, ...]:
    ours = [order("open", "BBB", Side.SELL, 5, state, 0)]
    return find_breaks(
        **books(orders=ours, venue_orders=[], fills=[], venue_fills=[], ledger=Ledger.opening(1),
                venue_account=VenueAccount("demo", 1, 1, 1, False))
    )  # fmt: skip


@pytest.mark.parametrize("state", [S.UNKNOWN, S.NOT_ACCEPTED])
def test_an_order_that_we_do_not_claim_to_be_there_may_be_absent(state: OrderState) -> None:
    assert breaks_without_listing(state) == ()


@pytest.mark.parametrize("state", sorted(WORKING - {S.UNKNOWN, S.NOT_ACCEPTED}))
def test_a_working_order_that_is_not_listed_is_a_break_and_not_a_cancel(state: OrderState) -> None:
    found = breaks_without_listing(state)
    assert found == (Break("order_not_listed", "BBB", str(state), "", "open"),)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"state": S.CANCELED}, "order_state"),
        ({"filled_nano": 3 * NANO}, "order_filled"),
        ({"quantity_nano": 6 * NANO}, "order_differs"),
        ({"symbol": "BBC"}, "order_differs"),
        ({"side": Side.BUY}, "order_differs"),
        ({"client_order_id": "manual"}, "order_foreign"),
    ],
)
def test_every_difference_of_an_order_is_named(change: dict[str, Any], kind: str) -> None:
    listed = books()["venue_orders"]
    found = find_breaks(**books(venue_orders=[listed[0], replace(listed[1], **change)]))
    assert kind in kinds(found)
    if kind == "order_foreign":
        assert kinds(found) == ["order_foreign", "order_not_listed"]


def test_an_order_that_we_never_sent_but_the_venue_holds_is_a_break() -> None:
    ghost = VenueOrder("never", "v3", "CCC", Side.BUY, 5 * NANO, 0, S.ACCEPTED)
    found = find_breaks(**books(venue_orders=[*books()["venue_orders"], ghost]))
    assert found == (Break("order_state", "CCC", "DENIED", "ACCEPTED", "never"),)


def test_two_venue_orders_with_one_id_are_a_break_and_a_repeated_row_is_not() -> None:
    listed = books()["venue_orders"]
    assert find_breaks(**books(venue_orders=[*listed, listed[1]])) == ()
    found = find_breaks(**books(venue_orders=[*listed, replace(listed[1], venue_order_id="v9")]))
    assert kinds(found) == ["order_duplicated"]


@pytest.mark.parametrize("state", [S.ACCEPTED, S.PARTIALLY_FILLED, S.PENDING_CANCEL])
def test_a_requested_cancel_may_wait_but_a_terminal_state_must_be_known(state: OrderState) -> None:
    ours = [books()["orders"][0], order("open", "BBB", Side.SELL, 5, S.PENDING_CANCEL, 0)]
    listed = books()["venue_orders"]
    assert find_breaks(**books(orders=ours, venue_orders=[listed[0], replace(listed[1], state=state)])) == ()
    found = find_breaks(**books(orders=ours, venue_orders=[listed[0], replace(listed[1], state=S.CANCELED)]))
    assert kinds(found) == ["order_state"]


def test_fills_missing_on_either_side_are_named() -> None:
    assert kinds(find_breaks(**books(venue_fills=[]))) == ["fill_missing_there"]
    more = replace(
        books()["fills"][0], execution_id="x2", client_order_id="open", symbol="BBB", quantity_nano=NANO
    )
    found = find_breaks(**books(venue_fills=[*books()["fills"], more]))
    assert [(one.kind, one.symbol, one.evidence) for one in found] == [("fill_missing_here", "BBB", "x2")]
    foreign = replace(more, client_order_id="manual")
    assert kinds(find_breaks(**books(venue_fills=[*books()["fills"], foreign]))) == ["fill_foreign"]


def test_a_late_fill_beyond_the_order_is_an_overfill() -> None:
    late = replace(books()["fills"][0], execution_id="x2", quantity_nano=NANO)
    found = find_breaks(**books(venue_fills=[*books()["fills"], late]))
    assert kinds(found) == ["fill_missing_here", "overfill"]


def test_a_fill_of_an_order_older_than_the_period_is_not_foreign() -> None:
    old = replace(
        books()["fills"][0], execution_id="x0", client_order_id="old", symbol="AAA", quantity_nano=1
    )
    both = [old, *books()["fills"]]
    assert find_breaks(**books(fills=both, venue_fills=both)) == ()


@given(
    st.sampled_from(["symbol", "side", "quantity_nano", "price_micro", "fee_micro", "filled_at_ns"]),
    st.booleans(),
)
def test_one_execution_with_two_contents_is_a_break(name: str, repeated: bool) -> None:
    fill = books()["fills"][0]
    words = {"symbol": "AAB", "side": Side.SELL}
    other = replace(fill, **{name: words[name] if name in words else getattr(fill, name) - 1})
    theirs = [fill, other] if repeated else [other]
    assert "fill_differs" in kinds(find_breaks(**books(venue_fills=theirs)))


def test_the_same_fill_listed_twice_is_one_fill() -> None:
    fill = books()["fills"][0]
    assert find_breaks(**books(venue_fills=[fill, fill])) == ()


def test_breaks_do_not_depend_on_the_order_of_the_lists() -> None:
    changed = books(venue_fills=[], venue_account=VenueAccount("demo", 1, 1, 1, True))
    forwards = find_breaks(**changed)
    backwards = find_breaks(**{**changed, "orders": changed["orders"][::-1],
                               "venue_orders": changed["venue_orders"][::-1]})  # fmt: skip
    assert forwards == backwards
    assert kinds(forwards) == ["account_blocked", "cash", "position", "fill_missing_there"]


def test_an_unknown_kind_is_refused() -> None:
    assert "cash" in BREAK_KINDS
    with pytest.raises(ValueError, match="unknown kind"):
        Break("money", "", "", "", "")
