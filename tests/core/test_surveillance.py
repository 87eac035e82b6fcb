"""Planted patterns are found, flow without them is clean, and what is not known is not called clean."""

from dataclasses import replace

import pytest

from workbench.core.surveillance import (
    CLOSE_MARKED,
    LAYERING,
    SELF_MATCH,
    ClosingMarket,
    OwnFill,
    OwnOrder,
    SurveillanceLimits,
    layering,
    marking_the_close,
    self_matches,
)
from workbench.core.types import NANO, Side

LIMITS = SurveillanceLimits()
SECOND = 1_000_000_000
CLOSE = 1_700_000_000 * SECOND


def order(name, side=Side.BUY, *, sent=0, ended=100, limit=100_000_000, account="a", symbol="AAPL", **more):
    values = {"filled_nano": 0, "cancelled": True, **more}
    at = None if ended is None else ended * SECOND
    return OwnOrder(
        name, account, symbol, side, limit, values["filled_nano"], sent * SECOND, at, values["cancelled"]
    )


def fill(name, side=Side.BUY, *, at=50, price=100_000_000, shares=100, account="a", symbol="AAPL"):
    return OwnFill(name, f"o{name}", account, symbol, side, shares * NANO, price, at * SECOND)


# --- self-match ----------------------------------------------------------------------------------------


def test_own_orders_that_were_open_at_once_and_cross_are_a_self_match():
    bid, offer = order("b", limit=101_000_000), order("s", Side.SELL, account="other", sent=50, ended=150)
    (found,) = self_matches([bid, offer], [], LIMITS)
    assert (found.rule, found.symbol, found.accounts) == (SELF_MATCH, "AAPL", ("a", "other"))
    assert (found.at_ns, found.evidence) == (50 * SECOND, ("b", "s"))


@pytest.mark.parametrize(
    "change",
    [
        {"limit_micro": 101_000_001},  # does not cross
        {"sent_ns": 100 * SECOND},  # sent when the bid had ended
        {"symbol": "MSFT"},
        {"side": Side.BUY},
    ],
)
def test_orders_that_could_not_have_met_are_none(change):
    bid, offer = order("b", limit=101_000_000), order("s", Side.SELL, sent=50, ended=150)
    assert self_matches([bid, replace(offer, **change)], [], LIMITS) == []


def test_a_market_order_crosses_all_and_an_order_that_never_ended_is_open_still():
    bid, offer = order("b", limit=0, ended=None), order("s", Side.SELL, sent=10_000, ended=10_001)
    assert len(self_matches([bid, offer], [], LIMITS)) == 1


@pytest.mark.parametrize(("apart", "price", "count"), [(60, 0, 1), (61, 0, 0), (0, 1, 0)])
def test_executions_of_both_sides_at_one_price_within_the_window_are_a_self_match(apart, price, count):
    bought = fill("b", at=0)
    sold = fill("s", Side.SELL, at=apart, price=100_000_000 + price, account="other")
    assert len(self_matches([], [bought, sold], LIMITS)) == count


# --- layering ------------------------------------------------------------------------------------------


def layers(count=3, **more):
    return [order(f"l{n}", sent=n * 10, ended=100 + n, **more) for n in range(count)]


def test_orders_pulled_around_an_execution_of_the_other_side_are_layering():
    (found,) = layering(layers(), [fill("x", Side.SELL)], LIMITS)
    assert (found.rule, found.accounts, found.at_ns) == (LAYERING, ("a",), 50 * SECOND)
    assert found.evidence == ("l0", "l1", "l2", "x")
    assert "orders to buy" in found.text


@pytest.mark.parametrize(
    ("orders", "executed"),
    [
        (layers(2), fill("x", Side.SELL)),
        (layers(), fill("x", Side.BUY)),
        (layers(), fill("x", Side.SELL, at=103)),  # after the last was pulled
        (layers(), fill("x", Side.SELL, account="other")),
        (layers(), fill("x", Side.SELL, symbol="MSFT")),
        (layers(filled_nano=NANO), fill("x", Side.SELL)),
        (layers(cancelled=False), fill("x", Side.SELL)),
        ([*layers(2), order("late", sent=601, ended=700)], fill("x", Side.SELL)),
    ],
    ids=["too few", "own side", "too late", "account", "symbol", "filled", "not cancelled", "too far apart"],
)  # fmt: skip
def test_what_lacks_one_part_of_the_pattern_is_not_layering(orders, executed):
    assert layering(orders, [executed], LIMITS) == []


# --- the close -----------------------------------------------------------------------------------------


def at_the_close(side=Side.BUY, shares=100, seconds_before=0):
    return replace(fill("c", side, shares=shares), filled_ns=CLOSE - seconds_before * SECOND)


@pytest.mark.parametrize(
    ("side", "shares", "before", "closed", "found"),
    [
        (Side.BUY, 100, 100.0, 100.2, True), (Side.SELL, 100, 100.2, 100.0, True),
        (Side.SELL, 100, 100.0, 100.2, False), (Side.BUY, 99, 100.0, 100.2, False),
        (Side.BUY, 100, 100.0, 100.05, False),
    ],
)  # fmt: skip
def test_much_of_the_last_volume_while_the_price_moves_our_way_marks_the_close(
    side, shares, before, closed, found
):
    market = {"AAPL": ClosingMarket(before, closed, 1_000.0)}
    findings, unjudged = marking_the_close([at_the_close(side, shares)], market, LIMITS, close_ns=CLOSE)
    assert unjudged == []
    assert [one.rule for one in findings] == [CLOSE_MARKED] * found


@pytest.mark.parametrize(("before", "judged"), [(600, True), (601, False), (-1, False)])
def test_only_the_last_part_of_the_session_counts(before, judged):
    market = {"AAPL": ClosingMarket(100.0, 101.0, 100.0)}
    findings, _ = marking_the_close([at_the_close(seconds_before=before)], market, LIMITS, close_ns=CLOSE)
    assert len(findings) == judged


@pytest.mark.parametrize(
    "market",
    [
        {}, {"AAPL": ClosingMarket(100.0, 101.0, 0.0)}, {"AAPL": ClosingMarket(100.0, 101.0, float("nan"))},
        {"AAPL": ClosingMarket(float("nan"), 101.0, 10.0)}, {"AAPL": ClosingMarket(100.0, -1.0, 10.0)},
    ],
)  # fmt: skip
def test_a_market_that_is_not_known_is_not_called_clean(market):
    findings, (unjudged,) = marking_the_close([at_the_close()], market, LIMITS, close_ns=CLOSE)
    assert findings == []
    assert (unjudged.rule, unjudged.symbol) == (CLOSE_MARKED, "AAPL")


@pytest.mark.parametrize(
    ("name", "value"),
    [("layering_orders", 1), ("close_share", 0.0), ("close_share", float("nan")), ("close_window_s", 0),
     ("self_match_window_s", True), ("close_impact_bps", float("inf"))],
)  # fmt: skip
def test_no_limit_means_off(name, value):
    with pytest.raises(ValueError, match=f"surveillance.{name}"):
        SurveillanceLimits(**{name: value})
