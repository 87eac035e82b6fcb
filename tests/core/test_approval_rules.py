"""Which orders wait, and what an approval is bound to."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.approvals import ApprovalRules, QuoteSeen, bound_hash, quote_moved, why_it_waits
from workbench.core.orders import OrderIntent
from workbench.core.types import MICRO, NANO, OrderType, Side, TimeInForce

ORDER = OrderIntent(
    "wb1-a", "demo", "trend", "2013-02-01", 1, "AAPL", "entry", Side.BUY, 100 * NANO, OrderType.LIMIT,
    450 * MICRO, 449 * MICRO, 8,
)  # fmt: skip
QUOTE = QuoteSeen(449 * MICRO, 451 * MICRO, 5)


def bound(intent: OrderIntent = ORDER, **changes: Any) -> str:
    return bound_hash(intent, **{"quote": QUOTE, "verdict": "allowed", "config_hash": "c", **changes})


def test_every_field_of_order_quote_verdict_and_settings_is_bound() -> None:
    others: dict[str, Any] = {
        "side": Side.SELL, "order_type": OrderType.MARKET, "time_in_force": TimeInForce.GTC,
        "quantity_nano": 101 * NANO,
    }  # fmt: skip
    hashes = [bound(), bound(verdict="denied"), bound(config_hash="d")]
    for field in dataclasses.fields(OrderIntent):
        value = getattr(ORDER, field.name)
        other = others.get(field.name, value + 1 if isinstance(value, int) else f"{value}x")
        changes = {field.name: other}
        if field.name == "order_type":
            changes["limit_micro"] = 0
        elif field.name == "stop_micro":
            changes["order_type"] = OrderType.STOP_LIMIT
        hashes.append(bound(dataclasses.replace(ORDER, **changes)))
    for field in dataclasses.fields(QuoteSeen):
        changed_quote = dataclasses.replace(QUOTE, **{field.name: getattr(QUOTE, field.name) + 1})
        hashes.append(bound(quote=changed_quote))
    assert len(set(hashes)) == len(hashes)
    assert bound() == bound()


@pytest.mark.parametrize(
    ("rules", "traded", "count"),
    [
        (ApprovalRules(), True, 0),
        (ApprovalRules(), False, 0),
        (ApprovalRules(required=True), True, 1),
        (ApprovalRules(above_notional_usd=45_000), True, 0),
        (ApprovalRules(above_notional_usd=44_999), True, 1),
        (ApprovalRules(first_order_of_symbol=True), False, 1),
        (ApprovalRules(first_order_of_symbol=True), True, 0),
        (ApprovalRules(required=True, above_notional_usd=1, first_order_of_symbol=True), False, 3),
    ],
)
def test_which_orders_wait(rules: ApprovalRules, traded: bool, count: int) -> None:
    assert len(why_it_waits(ORDER, rules, traded_before=traded)) == count


def test_an_order_without_a_price_waits() -> None:
    blind = dataclasses.replace(ORDER, order_type=OrderType.MARKET, limit_micro=0, reference_micro=0)
    assert why_it_waits(blind, ApprovalRules(), traded_before=True)


@given(st.integers(1, 10_000), st.integers(1, 10**6), st.integers(1, 10**6))
def test_a_lower_threshold_never_lets_more_pass(shares: int, threshold: int, lower_by: int) -> None:
    order = dataclasses.replace(ORDER, quantity_nano=shares * NANO)
    loose = ApprovalRules(above_notional_usd=threshold)
    tight = ApprovalRules(above_notional_usd=max(1, threshold - lower_by))
    if not why_it_waits(order, tight, traded_before=True):
        assert not why_it_waits(order, loose, traded_before=True)


@pytest.mark.parametrize("name", ["above_notional_usd", "life_s", "max_quote_move_bps"])
@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, 10**12, True])
def test_no_value_means_off(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        ApprovalRules(**{name: value})


NONE = QuoteSeen(0, 0, -1)


@pytest.mark.parametrize(
    "missing", [NONE, QuoteSeen(0, 451 * MICRO, 5), QuoteSeen(452 * MICRO, 451 * MICRO, 5)]
)
def test_a_quote_that_is_missing_or_crossed_has_moved(missing: QuoteSeen) -> None:
    assert quote_moved(QUOTE, missing, 5_000.0)
    assert quote_moved(missing, QUOTE, 5_000.0)
    assert quote_moved(missing, missing, 5_000.0)


@given(st.floats(0.1, 100.0), st.integers(-300, 300))
def test_a_quote_has_moved_exactly_beyond_the_bound(bound_bps: float, move_bps: int) -> None:
    ratio = 1 + move_bps / 1e4
    now = QuoteSeen(round(QUOTE.bid_micro * ratio), round(QUOTE.ask_micro * ratio), 6)
    if abs(abs(move_bps) - bound_bps) > 0.01:
        assert quote_moved(QUOTE, now, bound_bps) == (abs(move_bps) > bound_bps)
