"""What own messages, executions and sessions add up to is the same in every process."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import journals
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journals import NANO

from workbench.core.orders import Order
from workbench.core.ports import Event
from workbench.core.pretrade import DenialCode, Limits
from workbench.core.types import Bars
from workbench.errors import JournalConflict
from workbench.services.lately import Lately, MarketFacts, closes_before
from workbench.services.own_flow import SYMBOL_DISABLED, OwnFlow
from workbench.services.own_orders import OwnOrders, counted
from workbench.services.records import order_from_row
from workbench.services.stops import RATE_REASON, Stops

LIMITS = Limits(max_repeated_executions=3, repeat_window_s=10)
SESSION = "2013-02-01"


def orders_of(journal: Any) -> OwnOrders:
    return OwnOrders({row["client_order_id"]: order_from_row(row) for row in journal.rows("orders")})


def flow_of(journal: Any, *, mode: str = "", limits: Limits = LIMITS) -> OwnFlow:
    return OwnFlow(journal, account="demo", mode=mode, limits=limits, orders=lambda: orders_of(journal))


@pytest.fixture
def journal(tmp_path: Path) -> Any:
    desk = journals.Desk(tmp_path)
    yield desk.open()
    desk.close()


def executed(journal: Any, number: int, at_s: int, *, side: str = "buy", symbol: str = "AAPL") -> None:
    """An order that was sent and filled at once; the journal holds nothing else of it."""
    terms = {"symbol": symbol, "side": side, "session": SESSION}
    signed = 1 if side == "buy" else -1
    entry = [
        {"ledger_account": f"securities:{symbol}", "amount_micro": signed * 1_010_000_000,
         "quantity_nano": signed * 10 * NANO, "memo": ""},
        {"ledger_account": "cash", "amount_micro": -signed * 1_010_000_000, "quantity_nano": 0, "memo": ""},
    ]  # fmt: skip
    filled = {
        "session": SESSION, "symbol": symbol, "side": side, "quantity_nano": 10 * NANO,
        "price_micro": 101_000_000, "fee_micro": 7, "filled_at_ns": at_s * NANO, "postings": entry,
    }  # fmt: skip
    journal.commit(
        [
            journals.intended(number, **terms),
            journals.changed("SENT", number, at_ns=at_s * NANO),
            journals.fill(number, f"x{number}", **filled),
            journals.changed("FILLED", number, at_ns=at_s * NANO, filled_nano=10 * NANO),
        ]
    )


def closed(journal: Any, session: str) -> None:
    payload = {
        "account": "demo", "strategy": "trend", "session": session, "digest": "d", "equity_micro": 1,
        "cash_micro": 1, "positions": {}, "report": {},
    }  # fmt: skip
    journal.commit([Event("session.closed", payload)])


def facts(flow: OwnFlow) -> tuple[Any, ...]:
    return (
        flow.disabled, flow.closed_sessions, flow.cancels_after(0), flow.denials_after(0),
        flow.traded(SESSION), flow.executions(100 * NANO), flow.last_ns,
    )  # fmt: skip


def test_fills_add_up_by_symbol_and_cost_what_they_cost(journal: Any) -> None:
    executed(journal, 1, 10)
    executed(journal, 2, 20, side="sell", symbol="MSFT")
    traded = flow_of(journal).traded(SESSION)
    assert traded.shares == {"AAPL": 10, "MSFT": -10}
    assert traded.paid_micro == {"AAPL": 1_010_000_007, "MSFT": -1_010_000_000 + 7}
    # both were decided at 99 dollars: the purchase cost 2 dollars a share, the sale earned them
    assert traded.shortfall_micro == 14
    assert flow_of(journal).traded("2013-02-04").shortfall_micro == 0


def test_a_fill_whose_order_nobody_knows_makes_the_shortfall_unknown(journal: Any) -> None:
    executed(journal, 1, 10)
    flow = OwnFlow(journal, account="demo", mode="", limits=LIMITS, orders=OwnOrders)
    assert flow.traded(SESSION).shortfall_micro is None


def test_cancels_and_denials_are_counted_by_their_own_time(journal: Any) -> None:
    journal.commit([journals.intended(1), journals.changed("SENT", 1, at_ns=3 * NANO)])
    journal.commit([journals.changed("PENDING_CANCEL", 1, at_ns=5 * NANO)])
    journal.commit([Event("order.denied", {**journals.intent(2, symbol="MSFT"), "codes": ["RATE"]})])
    journal.commit([journals.intended(3, symbol="IBM"), journals.changed("DENIED", 3, at_ns=8 * NANO)])
    flow = flow_of(journal)
    assert [flow.cancels_after(s * NANO) for s in (4, 5)] == [1, 0]
    assert [flow.denials_after(at_ns) for at_ns in (6, 7, 8 * NANO)] == [2, 1, 0]
    other = OwnFlow(journal, account="other", mode="", limits=LIMITS, orders=OwnOrders)
    assert (other.cancels_after(0), other.denials_after(0)) == (0, 0)


def test_the_throttle_disables_after_n_executed_orders_of_one_side_within_the_window(journal: Any) -> None:
    """Row 11: repeated automated executions stop the symbol; other sides, symbols and slow ones do not."""
    for number, at_s in enumerate((10, 15, 20), 1):  # the third is 10 s after the first: outside
        executed(journal, number, at_s)
    executed(journal, 4, 21, side="sell")
    executed(journal, 5, 21, symbol="MSFT")
    flow = flow_of(journal)
    assert flow.disabled == frozenset()
    executed(journal, 6, 24)
    flow.follow()
    assert flow.disabled == {"AAPL"}


def test_parts_of_one_order_are_one_execution(journal: Any) -> None:
    executed(journal, 1, 10)
    more = journals.changed("SENT", 2, at_ns=10 * NANO)
    journal.commit([journals.intended(2, quantity_nano=100 * NANO), more])
    for part in range(5):
        journal.commit([journals.fill(2, f"y{part}", filled_at_ns=(11 + part) * NANO)])
    assert flow_of(journal).disabled == frozenset()


def test_a_disabled_symbol_outlives_restart_and_day_roll_until_a_person_enables_it(journal: Any) -> None:
    for number in (1, 2, 3):
        executed(journal, number, 10 + number)
    assert flow_of(journal).disabled == {"AAPL"}, "a process that died before it said so finds it again"
    flow = flow_of(journal)
    news = flow.news(99)
    assert [event.kind for event in news] == ["symbol.disabled", "alert.raised"]
    assert news[1].payload["code"] == SYMBOL_DISABLED
    journal.commit(news)
    flow.follow()
    assert flow.news(100) == (), "told once"
    for session in (SESSION, "2013-02-04", "2013-02-05", "2013-02-06"):
        closed(journal, session)
    assert flow_of(journal).disabled == {"AAPL"}
    said = {"account": "demo", "symbol": "AAPL", "person": "ann", "reason": "looked at it", "at_ns": 1}
    for wrong in ({}, {"person": ""}, {"reason": ""}, {"symbol": "MSFT"}):
        with pytest.raises(JournalConflict):
            journal.commit([Event("symbol.enabled", {**said, **wrong})])
        if not wrong:
            journal.commit([journals.person("ann")])
    journal.commit([Event("symbol.enabled", said)])
    flow.follow()
    assert facts(flow)[0] == facts(flow_of(journal))[0] == frozenset()
    assert flow.executions(20 * NANO) == {}, "it begins anew"
    with pytest.raises(JournalConflict, match="not disabled"):
        journal.commit([Event("symbol.enabled", said)])


def test_sessions_of_another_mode_are_not_behind_the_desk(tmp_path: Path) -> None:
    desk = journals.Desk(tmp_path)
    for n, mode in enumerate(("replay", "paper", "paper")):
        with_mode = desk.open(config_hash=str(n) * 64)
        with_mode.record_config({"mode": mode})
        closed(with_mode, f"2013-02-0{n + 1}")
    journal = desk.open()
    assert [flow_of(journal, mode=mode).closed_sessions for mode in ("replay", "paper", "live")] == [1, 2, 0]
    desk.close()


steps = st.lists(
    st.tuples(
        st.integers(0, 9), st.sampled_from(["buy", "sell"]), st.sampled_from(["AAPL", "MSFT"]),
        st.sampled_from(["none", "close", "enable", "tell", "restart"]),
    ),
    max_size=8,
)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(steps=steps)
def test_a_restart_at_any_point_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, str, str, str]]
) -> None:
    desk = journals.Desk(tmp_path_factory.mktemp("flow"))
    journal = desk.open()
    journal.commit([journals.person("ann")])
    flow, at_s = flow_of(journal), 0
    for number, (pause, side, symbol, then) in enumerate(steps):
        at_s += pause
        executed(journal, number, at_s, side=side, symbol=symbol)
        flow.follow()
        if then == "close":  # which tells what is new first, as a session does
            journal.commit(flow.news(at_s) or [journals.alert()])
            closed(journal, f"2013-02-{number + 1:02d}")
        elif then == "tell":
            journal.commit(flow.news(at_s) or [journals.alert()])
        elif then == "restart":
            flow = flow_of(journal)
        elif then == "enable" and journal.rows("disabled_symbols", symbol=symbol, disabled=True):
            said = {"account": "demo", "symbol": symbol, "person": "ann", "reason": "r", "at_ns": 1}
            journal.commit([Event("symbol.enabled", said)])
    flow.follow()
    fresh = flow_of(journal)
    assert (flow.disabled, flow.closed_sessions) == (fresh.disabled, fresh.closed_sessions)
    if sum(then == "close" for *_, then in steps) < 2:  # older windows are over and not read again
        assert facts(flow) == facts(fresh)
    desk.close()


def test_own_changes_show_at_once_and_those_of_others_within_a_second(journal: Any) -> None:
    own = OwnOrders()
    flow = OwnFlow(journal, account="demo", mode="", limits=LIMITS, orders=lambda: own)
    flow.keep_up(5 * NANO)
    executed(journal, 1, 5)  # booked by nobody here
    flow.keep_up(6 * NANO - 1)
    assert flow.traded(SESSION).shares == {}
    flow.keep_up(6 * NANO)
    assert flow.traded(SESSION).shares == {"AAPL": 10}
    executed(journal, 2, 6)
    own["wb1-2"] = order_from_row(journal.rows("orders", client_order_id="wb1-2")[0])
    flow.keep_up(6 * NANO)
    assert flow.traded(SESSION).shares == {"AAPL": 20}


# --- windows and prices of own orders -----------------------------------------------------------------


def own_order(number: int, **changes: Any) -> Order:
    row = {
        **journals.intent(number, **changes), "state": "ACCEPTED", "venue_order_id": "v", "filled_nano": 0,
        "sent_at_ns": 0, "reason": "", "time_in_force": "day", "stop_micro": 0,
    }  # fmt: skip
    return order_from_row(row)


sent_orders = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from(["AAPL", "MSFT"]), st.integers(1, 9), st.integers(0, 6)),
    max_size=12,
)


@settings(deadline=None)
@given(sent=sent_orders, at_ns=st.integers(-1, 7), without=st.integers(0, 5))
def test_windows_of_own_orders_equal_a_walk_over_all(
    sent: list[tuple[int, str, int, int]], at_ns: int, without: int
) -> None:
    own, terms = OwnOrders(), {}
    for number, symbol, shares, moment in sent:
        symbol = terms.setdefault(number, symbol)  # an order keeps its symbol
        order = own_order(number, symbol=symbol, quantity_nano=shares * NANO)
        own[f"wb1-{number}"] = replace(order, sent_at_ns=moment)
    left_out = f"wb1-{without}"
    counting = [o for key, o in own.items() if o.sent_at_ns and key != left_out]
    window = [counted(o) for o in counting if o.sent_at_ns > at_ns]
    shares, value = own.ordered_after(at_ns, without=left_out)
    assert value == sum(one.value_micro for one in window)
    for symbol in ("AAPL", "MSFT"):
        assert shares.get(symbol, 0) == sum(one.shares for one in window if one.symbol == symbol)
    orders, value = own.sent_in(SESSION, without=left_out)
    assert value == sum(counted(o).value_micro for o in counting)
    for symbol in ("AAPL", "MSFT"):
        assert orders.get(symbol, 0) == sum(o.intent.symbol == symbol for o in counting)
    assert own.sent_in("2013-02-04") == ({}, 0)


def test_own_prices_are_the_nearest_to_the_other_side() -> None:
    own = OwnOrders({f"wb1-{n}": order for n, order in enumerate((
        own_order(0, limit_micro=99_000_000), own_order(1, limit_micro=98_000_000),
        own_order(2, side="sell", limit_micro=103_000_000),
        own_order(3, side="sell", limit_micro=102_000_000),
    ))})  # fmt: skip
    assert own.own_prices("AAPL") == (99_000_000, 102_000_000)
    assert own.own_prices("AAPL", without="wb1-0") == (98_000_000, 102_000_000)
    assert own.own_prices("MSFT") == (0, 0)
    own["wb1-4"] = own_order(4, order_type="market", limit_micro=0, side="sell")
    assert own.own_prices("AAPL")[1] == 1


# --- what a look is told ----------------------------------------------------------------------------------


def panel(rows: int = 8) -> Bars:
    close = np.array([[100.0 + row, 50.0] for row in range(rows)])
    there = np.ones_like(close, dtype=np.bool_)
    there[1:, 1] = False
    return Bars(
        np.arange(rows) * NANO, ("AAPL", "MSFT"), close, close, close, close, np.full_like(close, 1e6), there
    )


def test_the_movement_window_begins_at_the_last_close_before_it() -> None:
    assert closes_before(panel(), 5).tolist() == [102_000_000, 50_000_000]
    assert closes_before(panel(), 0).tolist() == [107_000_000, 50_000_000]
    assert closes_before(panel(5), 5).tolist() == [0, 0], "a history too short is not known"


def test_the_look_before_is_remembered_and_the_last_close_stands_in_for_it(journal: Any) -> None:
    executed(journal, 1, 10)
    lately = Lately(flow_of(journal), orders=lambda: orders_of(journal), limits=LIMITS)
    market = MarketFacts.of(panel(), np.array([100.0, 90.0]), LIMITS)

    def previous(**changes: Any) -> list[int]:
        given: dict[str, Any] = {"session": SESSION, "now_ns": 11 * NANO, **changes}
        found = lately.recent(market, **given)
        assert found.session_shares.tolist() == [10, 0]
        assert found.symbol_orders.tolist() == [1, 0]
        return [int(value) for value in found.previous_mid_micro]

    assert previous() == [107_000_000, 50_000_000]
    lately.saw(("AAPL", "MSFT"), np.array([106_000_000, 0]), np.array([106_500_000, 51_000_000]))
    assert previous() == [106_250_000, 50_000_000], "half a quote is none"
    assert previous(only="MSFT") == [0, 50_000_000], "of the others nothing is told"


def test_a_rate_stop_halts_the_account_and_other_codes_do_not(journal: Any) -> None:
    halts: list[str] = []
    desk = journal.acquire_lease("demo", "host:boot:1:1", ttl_ns=3_600 * NANO)

    class Now:
        def now_ns(self) -> int:
            return 50 * NANO

    stops = Stops(
        journal=journal, clock=Now(), lease=lambda: desk, halt=halts.append,  # type: ignore[arg-type]
        flow=flow_of(journal),
    )  # fmt: skip
    stops.heed(code.name for code in DenialCode if code is not DenialCode.RATE_STOP)
    assert halts == []
    stops.heed(iter(("RATE", "RATE_STOP")))
    assert halts == [RATE_REASON]
    for number in (1, 2, 3):
        executed(journal, number, 10 + number)
    stops = Stops(
        journal=journal, clock=Now(), lease=lambda: desk, halt=halts.append,  # type: ignore[arg-type]
        flow=flow_of(journal),
    )  # fmt: skip
    stops.heed(())
    stops.heed(())
    assert [row["symbol"] for row in journal.rows("disabled_symbols")] == ["AAPL"]
    assert [row["code"] for row in journal.rows("alerts")] == [SYMBOL_DISABLED]
    assert halts == [RATE_REASON]
