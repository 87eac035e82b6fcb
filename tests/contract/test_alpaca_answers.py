"""What the Alpaca adapter concludes from each answer, over real sockets, down to broken bytes."""

from __future__ import annotations

import json
import pickle
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import requests
from alpaca.trading.client import TradingClient

from tests.support.wire import (
    ACCOUNT_ROW,
    HTML_504,
    KEY,
    SECRET,
    Reply,
    WireServer,
    asset,
    order,
    wire_server,
)
from workbench.adapters.alpaca_broker import AlpacaBroker, AlpacaTransport, RateBudget, connect_alpaca
from workbench.adapters.alpaca_broker import transport as transport_module
from workbench.adapters.alpaca_broker.transport import harden
from workbench.core.orders import OrderIntent, OrderState, client_order_id
from workbench.core.ports import SubmitOutcome
from workbench.core.types import NANO, Mode, OrderType, Side, TimeInForce
from workbench.errors import ConfigError, OutcomeUnknown

ACCEPTED, REFUSED, NOT_ACCEPTED, UNKNOWN = (
    SubmitOutcome.ACCEPTED,
    SubmitOutcome.REFUSED,
    SubmitOutcome.NOT_ACCEPTED,
    SubmitOutcome.UNKNOWN,
)
ID = client_order_id("demo", "trend", 1, "AAA", "entry")
DUPLICATE = {"code": 40010001, "message": "client_order_id must be unique"}


def error(code: int, message: str, **more: Any) -> dict[str, Any]:
    return {"code": code, "message": message, **more}


def intent(**changes: Any) -> OrderIntent:
    base = OrderIntent(
        ID, "demo", "trend", "2026-10-08", 1, "AAA", "entry", Side.BUY, 100 * NANO, OrderType.LIMIT,
        20_500_000, 20_500_000,
    )  # fmt: skip
    return replace(base, **changes)


@pytest.fixture
def wire() -> Iterator[WireServer]:
    with wire_server() as server:
        server.on("GET", "/account", Reply(json=ACCOUNT_ROW))
        server.on("GET", "/positions", Reply(json=[]))
        server.on("GET", "/assets/AAA", Reply(json=asset("AAA")))
        yield server


def make(wire: WireServer, *, read_s: float = 2.0, per_minute: int = 6_000, **changes: Any) -> AlpacaBroker:
    lines = [
        AlpacaTransport(key=KEY, secret=SECRET, url=wire.url, connect_s=1.0, read_s=read_s, data=data)
        for data in (False, True)
    ]
    arguments: dict[str, Any] = {
        "account": "demo", "account_id": ACCOUNT_ROW["id"], "wait_s": 0.0,
        "budget": RateBudget(per_minute=per_minute, reserve=10),
    }  # fmt: skip
    return AlpacaBroker(*lines, **(arguments | changes))


@pytest.fixture
def broker(wire: WireServer) -> Iterator[AlpacaBroker]:
    made = make(wire)
    yield made
    made.close()


# --- what leaves -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({}, {"type": "limit", "time_in_force": "day", "limit_price": "20.50"}),
        ({"limit_micro": 123_400, "time_in_force": TimeInForce.GTC},
         {"type": "limit", "time_in_force": "gtc", "limit_price": "0.1234"}),
        ({"order_type": OrderType.MARKET, "limit_micro": 0, "time_in_force": TimeInForce.IOC},
         {"type": "market", "time_in_force": "ioc"}),
        ({"order_type": OrderType.MARKET_ON_OPEN, "limit_micro": 0},
         {"type": "market", "time_in_force": "opg"}),
        ({"order_type": OrderType.MARKET_ON_CLOSE, "limit_micro": 0},
         {"type": "market", "time_in_force": "cls"}),
        ({"order_type": OrderType.STOP_LIMIT, "stop_micro": 21_000_000},
         {"type": "stop_limit", "time_in_force": "day", "limit_price": "20.50", "stop_price": "21.00"}),
    ],
)  # fmt: skip
def test_an_order_leaves_as_exact_texts_under_our_own_id(
    wire: WireServer, broker: AlpacaBroker, change: dict[str, Any], fields: dict[str, str]
) -> None:
    wire.on("POST", "/orders", Reply(json=order(ID)))
    assert broker.submit(intent(**change)).outcome is ACCEPTED
    (request,) = wire.sent("POST", "/orders")
    assert request.body == {"symbol": "AAA", "qty": "100", "side": "buy", "client_order_id": ID, **fields}


# --- what a submit's answer proves -----------------------------------------------------------------

KNOWN = [
    (403, error(40310000, "insufficient buying power", buying_power="400", cost_basis="8177")),
    (403, error(40310000, "insufficient qty available for order (requested: 2, available: 1)")),
    (403, error(40310000, "cost basis must be >= minimal amount of order 1")),
    (403, error(40310000, 'asset "OCGN" is not fractionable')),
    (403, error(40310000, "potential wash trade detected. use complex orders", existing_order_id="o-1")),
    (422, error(42210000, "potential wash trade detected. use complex orders")),
    (403, error(40310000, "account is not allowed to short")),
    (403, error(40310000, "only day orders are allowed for hard-to-borrow asset")),
    (403, error(40310100, "trade denied due to pattern day trading protection")),
    (422, error(42210000, "invalid limit_price 290.123. sub-penny increment does not fulfill minimum")),
    (422, error(42210000, "fractional orders cannot be sold short")),
    (422, error(42210000, 'asset "X" cannot be sold short')),
    (422, error(42210000, "stop_loss.stop_price must be <= base_price - 0.01")),
    (422, error(42210000, "extended hours order must be DAY or GTC limit orders")),
    (422, error(40010001, 'could not find asset "ZZZ"')),
    (422, error(40010001, "qty must be integer")),
    (400, error(40010001, "only one of qty or notional is accepted")),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body"), KNOWN)
def test_a_known_refusal_keeps_the_venues_words(
    wire: WireServer, broker: AlpacaBroker, status: int, body: dict[str, Any]
) -> None:
    wire.on("POST", "/orders", Reply(status, body))
    result = broker.submit(intent())
    assert (result.outcome, result.order) == (REFUSED, None)
    assert result.reason.startswith(body["message"])
    assert body.get("existing_order_id", "") in result.reason
    assert len(wire.sent("POST", "/orders")) == 1


@pytest.mark.parametrize(("status", "body"), KNOWN)
def test_a_refusal_counts_only_with_its_own_status_and_code(
    wire: WireServer, broker: AlpacaBroker, status: int, body: dict[str, Any]
) -> None:
    wire.on("POST", "/orders", Reply(500, body), Reply(status, {**body, "code": 1}))
    assert broker.submit(intent()).outcome is UNKNOWN
    assert broker.submit(intent()).outcome is UNKNOWN


@pytest.mark.parametrize("status", [422, 409])
def test_a_taken_id_is_a_refusal_that_names_the_id(
    wire: WireServer, broker: AlpacaBroker, status: int
) -> None:
    wire.on("POST", "/orders", Reply(status, DUPLICATE))
    result = broker.submit(intent())
    assert (result.outcome, result.reason) == (REFUSED, "client_order_id must be unique")


def test_too_many_requests_is_not_accepted_and_leaves_only_the_reserve(wire: WireServer) -> None:
    broker = make(wire, per_minute=60)
    wire.on("POST", "/orders", Reply(429, {"message": "too many requests."}))
    assert broker.submit(intent()).outcome is NOT_ACCEPTED
    again = broker.submit(intent())
    assert (again.outcome, again.reason) == (NOT_ACCEPTED, "not sent: the rate budget is used up")
    assert len(wire.sent("POST", "/orders")) == 1
    assert broker.lookup(ID).answered is False  # the reserve still asks: the route is not there
    assert len(wire.sent("GET", "/orders:by_client_order_id")) == 1
    broker.close()


UNPROVEN = {
    "504 HTML": Reply(504, raw=HTML_504),
    "502 HTML": Reply(502, raw=HTML_504),
    "500 JSON": Reply(500, error(50010000, "internal server error occurred")),
    "503": Reply(503, {"message": "maintenance"}),
    "unknown words": Reply(403, error(40310000, "something new")),
    "422 of another matter": Reply(422, error(42210000, "something new")),
    "unknown status": Reply(418, {"message": "teapot"}),
    "404": Reply(404, {"message": "endpoint not found."}),
    "redirect": Reply(302, headers={"Location": "/elsewhere"}),
    "empty": Reply(200),
    "HTML": Reply(200, raw=b"<html>welcome</html>"),
    "malformed": Reply(200, raw=b'{"id": "x", "client'),
    "truncated": Reply(200, json=order(ID), cut=10),
    "a list": Reply(200, json=[order(ID)]),
    "null": Reply(200, raw=b"null"),
    "NaN": Reply(200, raw=b'{"qty": NaN}'),
    "huge number": Reply(200, raw=b'{"qty": 1' + b"0" * 5000 + b"}"),
    "deep": Reply(200, raw=b"[" * 100_000),
    "bad UTF-8": Reply(200, raw=b'{"id": "\xff\xfe"}'),
    "of another id": Reply(200, json=order("wb1-other")),
    "without id": Reply(200, json={"client_order_id": ID}),
    "boolean quantity": Reply(200, json=order(ID, qty=True)),
    "quantity of words": Reply(200, json=order(ID, qty="a lot")),
    "infinite quantity": Reply(200, json=order(ID, qty="Infinity")),
    "too many decimals": Reply(200, json=order(ID, qty="1.00000000001")),
    "more filled than ordered": Reply(200, json=order(ID, filled_qty="101")),
    "filled without a fill": Reply(200, json=order(ID, status="filled")),
    "no side": Reply(200, json=order(ID, side="long")),
    "no time": Reply(200, json=order(ID, submitted_at="yesterday")),
    "hangs up": Reply(close=True),
}


@pytest.mark.parametrize("name", UNPROVEN)
def test_what_proves_nothing_is_unknown_and_sent_once(
    wire: WireServer, broker: AlpacaBroker, name: str
) -> None:
    wire.on("POST", "/orders", UNPROVEN[name])
    result = broker.submit(intent())
    assert (result.outcome, result.order) == (UNKNOWN, None)
    assert result.reason
    assert len(wire.sent("POST", "/orders")) == 1


def test_a_silent_or_dripping_venue_is_unknown_in_bounded_time(wire: WireServer) -> None:
    broker = make(wire, read_s=0.2)
    held = threading.Event()
    wire.on("POST", "/orders", Reply(hold=held), Reply(json=order(ID), drip_s=0.05))
    assert broker.submit(intent()).outcome is UNKNOWN
    held.set()
    broker._trading._whole_s = 0.3
    slow = broker.submit(intent())
    assert (slow.outcome, "too slowly" in slow.reason) == (UNKNOWN, True)
    broker.close()


def test_a_huge_body_is_cut_off(
    wire: WireServer, broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport_module, "MAX_BODY_BYTES", 1_000_000)
    wire.on("POST", "/orders", Reply(200, raw=b" " * 3_000_000))
    result = broker.submit(intent())
    assert (result.outcome, "too large" in result.reason) == (UNKNOWN, True)


def test_a_closed_port_proves_that_nothing_left(wire: WireServer, broker: AlpacaBroker) -> None:
    broker.account()
    broker._asset("AAA")
    wire.close()
    broker._trading.close()  # no connection is kept
    assert broker.submit(intent()).outcome is NOT_ACCEPTED


@pytest.mark.parametrize(
    ("word", "filled", "state"),
    [
        ("new", "0", OrderState.ACCEPTED),
        ("accepted", "0", OrderState.ACCEPTED),
        ("pending_new", "0", OrderState.ACCEPTED),
        ("accepted_for_bidding", "0", OrderState.ACCEPTED),
        ("held", "0", OrderState.ACCEPTED),
        ("pending_review", "0", OrderState.ACCEPTED),
        ("stopped", "0", OrderState.ACCEPTED),
        ("suspended", "7", OrderState.PARTIALLY_FILLED),
        ("calculated", "7", OrderState.PARTIALLY_FILLED),
        ("done_for_day", "7", OrderState.PARTIALLY_FILLED),
        ("pending_replace", "0", OrderState.ACCEPTED),
        ("partially_filled", "7", OrderState.PARTIALLY_FILLED),
        ("pending_cancel", "7", OrderState.PENDING_CANCEL),
        ("filled", "100", OrderState.FILLED),
        ("canceled", "7", OrderState.CANCELED),
        ("expired", "0", OrderState.EXPIRED),
        ("rejected", "0", OrderState.REJECTED),
        ("replaced", "0", OrderState.REPLACED),
        ("teleported", "0", OrderState.QUARANTINED),
        (None, "0", OrderState.QUARANTINED),
        (7, "0", OrderState.QUARANTINED),
    ],
)
def test_every_status_of_the_venue_is_one_of_ours(
    wire: WireServer, broker: AlpacaBroker, word: Any, filled: str, state: OrderState
) -> None:
    wire.on("GET", "/orders:by_client_order_id", Reply(json=order(ID, status=word, filled_qty=filled)))
    found = broker.lookup(ID)
    assert found.order is not None
    assert (found.order.state, found.order.filled_nano) == (state, int(filled) * NANO)


def test_numbers_instead_of_texts_are_read_exactly(wire: WireServer, broker: AlpacaBroker) -> None:
    body = order(ID, status="partially_filled")
    raw = json.dumps(body).replace('"100"', "100").replace('"filled_qty": "0"', '"filled_qty": 0.557436865')
    wire.on("GET", "/orders:by_client_order_id", Reply(raw=raw.encode()))
    found = broker.lookup(ID).order
    assert found is not None
    assert (found.quantity_nano, found.filled_nano) == (100 * NANO, 557_436_865)


# --- look-ups, cancels, lists ----------------------------------------------------------------------


def test_only_the_venues_own_words_are_an_absence(wire: WireServer, broker: AlpacaBroker) -> None:
    words = error(40410000, f"order not found for {ID}")
    wire.on(
        "GET", "/orders:by_client_order_id", Reply(404, words),
        Reply(404, {"message": "endpoint not found."}), Reply(404, raw=HTML_504), Reply(200),
        Reply(500, words), Reply(json=order("wb1-other")),
    )  # fmt: skip
    first, *others = [broker.lookup(ID) for _ in range(6)]
    assert (first.found, first.answered, first.reason) == (False, True, words["message"])
    assert [(other.found, other.answered) for other in others] == [(False, False)] * 5


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (Reply(204), ACCEPTED),
        (Reply(302, headers={"Location": "/"}), UNKNOWN),
        (Reply(422, error(42210000, 'order is already in "filled" state')), REFUSED),
        (Reply(404, error(40410000, "order not found")), REFUSED),
        (Reply(404, {"message": "endpoint not found."}), UNKNOWN),
        (Reply(500, error(50010000, "internal server error occurred")), UNKNOWN),
        (Reply(504, raw=HTML_504), UNKNOWN),
        (Reply(429, {"message": "too many requests."}), NOT_ACCEPTED),
        (Reply(close=True), UNKNOWN),
    ],
)
def test_a_cancel_is_believed_only_when_read_back(
    wire: WireServer, broker: AlpacaBroker, reply: Reply, outcome: SubmitOutcome
) -> None:
    row = order(ID, status="pending_cancel")
    wire.on("GET", "/orders:by_client_order_id", Reply(json=row))
    wire.on("DELETE", f"/orders/{row['id']}", reply)
    result = broker.cancel(ID)
    assert result.outcome is outcome
    assert (result.order is not None) == (outcome is ACCEPTED)
    assert len(wire.sent("DELETE", f"/orders/{row['id']}")) == 1


def rows(first: int, last: int) -> list[dict[str, Any]]:
    return [
        order(f"wb1-{n}", id=f"o-{n}", submitted_at=f"2026-10-08T15:{n // 60:02d}:{n % 60:02d}.000001Z")
        for n in range(first, last)
    ]


def test_a_list_is_read_to_its_end(wire: WireServer, broker: AlpacaBroker) -> None:
    wire.on("GET", "/orders", Reply(json=rows(0, 500)), Reply(json=rows(499, 700)))
    assert [row.client_order_id for row in broker.orders(since_ns=0)] == [f"wb1-{n}" for n in range(700)]
    first, second = wire.sent("GET", "/orders")
    assert "limit=500" in first.query
    assert "direction=asc" in first.query
    assert "after=2026-10-08T15%3A08%3A19.000000Z" in second.query


@pytest.mark.parametrize(
    "reply",
    [
        Reply(json=rows(0, 500)), Reply(json={"orders": []}), Reply(json=[{"id": "x"}]), Reply(429, {}),
        Reply(200), Reply(500, {}), Reply(close=True), Reply(302, headers={"Location": "/"}),
    ],
)  # fmt: skip
def test_a_list_without_an_end_is_no_list(wire: WireServer, broker: AlpacaBroker, reply: Reply) -> None:
    wire.on("GET", "/orders", reply)
    with pytest.raises(OutcomeUnknown, match="no trustworthy list of orders"):
        broker.orders(since_ns=0)
    assert len(wire.sent("GET", "/orders")) <= 2


def fill(n: int, **changes: Any) -> dict[str, Any]:
    base = {
        "activity_type": "FILL", "id": f"20261008111019061::{n:04d}", "order_id": order(ID)["id"],
        "cum_qty": "1", "leaves_qty": "0", "order_status": "filled", "price": "86.88", "qty": "1",
        "side": "buy", "symbol": "AAA", "transaction_time": "2026-10-08T15:10:19.061299Z", "type": "fill",
    }  # fmt: skip
    return {**base, **changes}


def test_fills_are_keyed_by_execution_and_ordered_by_cumulative_quantity(
    wire: WireServer, broker: AlpacaBroker
) -> None:
    wire.on("GET", f"/orders/{order(ID)['id']}", Reply(json=order(ID)))
    page = [fill(2, cum_qty="3", qty="2"), fill(1), fill(1)]
    wire.on("GET", "/account/activities/FILL", Reply(json=page))
    found = broker.fills(since_ns=0)
    assert [(one.execution_id[-1], one.client_order_id, one.quantity_nano // NANO) for one in found] == [
        ("1", ID, 1), ("2", ID, 2),
    ]  # fmt: skip
    assert found[0].price_micro == 86_880_000
    assert len(wire.sent("GET", f"/orders/{order(ID)['id']}")) == 1
    assert broker.fills(since_ns=found[0].filled_at_ns + 1) == ()


def test_a_page_of_activities_that_repeats_for_ever_ends(wire: WireServer, broker: AlpacaBroker) -> None:
    wire.on("GET", "/account/activities/FILL", Reply(json=[fill(n) for n in range(100)]))
    with pytest.raises(OutcomeUnknown, match="without anything new"):
        broker.fills(since_ns=0)
    assert len(wire.sent("GET", "/account/activities/FILL")) == 2


def activity(kind: str, **changes: Any) -> dict[str, Any]:
    base = {"id": f"2026::{kind}", "activity_type": kind, "date": "2026-10-08", "net_amount": "1.25"}
    return {**base, **changes}


def test_every_type_of_activity_has_a_name_and_an_unknown_one_keeps_its_own(
    wire: WireServer, broker: AlpacaBroker
) -> None:
    page = [
        activity("DIV", symbol="AAA", qty="100", per_share_amount="0.0125"),
        activity("FEE", net_amount="-0.03"), activity("INT"), activity("CSD"), activity("JNLC"),
        activity("DIVNRA", symbol="AAA", net_amount="-0.3"),
        activity("SPLIT", symbol="AAA", qty="100", net_amount="0", new_rate="2", old_rate="1"),
        activity("SPIN", symbol="AAA"), activity("MA"), activity("TELEPORT"), fill(1),
        activity("DIV", id="2026::corrected", symbol="AAA", status="canceled"),
    ]  # fmt: skip
    wire.on("GET", "/account/activities", Reply(json=page))
    found = {one.activity_id: one for one in broker.activities(since_ns=0)}
    kinds = {key.removeprefix("2026::"): one.kind for key, one in found.items()}
    assert kinds == {
        "DIV": "dividend", "FEE": "fee", "INT": "interest", "CSD": "transfer", "JNLC": "transfer",
        "DIVNRA": "dividend", "SPLIT": "split", "SPIN": "SPIN", "MA": "MA", "TELEPORT": "TELEPORT",
        "corrected": "DIV:canceled",
    }  # fmt: skip
    assert found["2026::DIV"].quantity_nano == 0
    assert found["2026::FEE"].amount_micro == -30_000
    split = found["2026::SPLIT"]
    assert (split.quantity_nano, split.new_shares, split.old_shares) == (100 * NANO, 2, 1)


# --- account, assets, prices -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"status": "ACCOUNT_UPDATED"}, {"status": None}, {"account_blocked": True}, {"trading_blocked": None},
        {"transfers_blocked": "false"}, {"trade_suspended_by_user": True}, {"id": "another"},
    ],
)  # fmt: skip
def test_an_account_that_is_not_plainly_open_sends_nothing(
    wire: WireServer, broker: AlpacaBroker, change: dict[str, Any]
) -> None:
    row = {**ACCOUNT_ROW, **change}
    wire.on("GET", "/account", Reply(json=row))
    assert broker.account().blocked is True
    assert broker.submit(intent()).outcome is NOT_ACCEPTED
    assert wire.sent("POST", "/orders") == []


@pytest.mark.parametrize("flag", ["account_blocked", "trading_blocked", "status", "trade_suspended_by_user"])
def test_an_absent_flag_blocks(wire: WireServer, broker: AlpacaBroker, flag: str) -> None:
    wire.on("GET", "/account", Reply(json={k: v for k, v in ACCOUNT_ROW.items() if k != flag}))
    assert broker.account().blocked is True


@pytest.mark.parametrize(
    "reply", [Reply(500, {}), Reply(200), Reply(json={"id": 1}), Reply(json=[]), Reply(close=True)]
)
def test_an_account_without_an_answer_is_unknown(
    wire: WireServer, broker: AlpacaBroker, reply: Reply
) -> None:
    wire.on("GET", "/account", reply)
    with pytest.raises(OutcomeUnknown):
        broker.account()
    assert broker.submit(intent()).outcome is NOT_ACCEPTED
    assert wire.sent("POST", "/orders") == []


def test_positions_have_sides_that_agree(wire: WireServer, broker: AlpacaBroker) -> None:
    short = {"symbol": "BBB", "qty": "-2.5", "side": "short"}
    wire.on(
        "GET", "/positions", Reply(json=[{"symbol": "AAA", "qty": "3", "side": "long"}, short]),
        Reply(json=[short | {"side": "long"}]),
    )  # fmt: skip
    assert broker.account().positions_nano == {"AAA": 3 * NANO, "BBB": -2_500_000_000}
    with pytest.raises(OutcomeUnknown, match="disagree"):
        broker.account()


@pytest.mark.parametrize(
    ("row", "change", "words"),
    [
        (asset("AAA", tradable=False), {}, "is not tradable"),
        (asset("AAA", tradable=None), {}, "is not tradable"),
        (asset("AAA", status="inactive"), {}, "is not tradable"),
        (asset("AAA", shortable=False), {"side": Side.SELL}, "cannot be sold short"),
        (asset("AAA", borrow_status="hard_to_borrow"), {"side": Side.SELL}, "cannot be sold short"),
        (asset("AAA", borrow_status=None), {"side": Side.SELL}, "cannot be sold short"),
        (asset("BBB"), {}, "could not find asset"),
        (asset("AAA"), {"limit_micro": 20_505_000}, "sub-penny increment"),
    ],
)
def test_an_asset_or_a_price_that_does_not_fit_is_refused_here(
    wire: WireServer, broker: AlpacaBroker, row: dict[str, Any], change: dict[str, Any], words: str
) -> None:
    wire.on("GET", "/assets/AAA", Reply(json=row))
    result = broker.submit(intent(**change))
    assert (result.outcome, words in result.reason) == (REFUSED, True)
    assert wire.sent("POST", "/orders") == []


def test_keys_that_were_revoked_end_all_traffic(wire: WireServer, broker: AlpacaBroker) -> None:
    wire.on("POST", "/orders", Reply(401, {"message": "unauthorized."}))
    assert broker.submit(intent()).outcome is UNKNOWN  # it may have been the last one that went through
    before = len(wire.seen)
    assert broker.submit(intent()).outcome is NOT_ACCEPTED
    assert broker.lookup(ID).answered is False
    with pytest.raises(OutcomeUnknown, match="does not know our keys"):
        broker.account()
    assert len(wire.seen) == before


def test_quotes_leave_out_what_is_missing_or_crossed(wire: WireServer, broker: AlpacaBroker) -> None:
    at = "2026-10-08T15:10:19.061299123Z"
    wire.on("GET", "/stocks/quotes/latest", Reply(json={"quotes": {
        "AAA": {"bp": 20.49, "ap": 20.51, "t": at}, "BBB": {"bp": 0, "ap": 20.51, "t": at},
        "CCC": {"bp": 21.0, "ap": 20.0, "t": at}, "DDD": {"bp": "x", "ap": 1, "t": at},
    }}), Reply(json={"quotes": None}))  # fmt: skip
    found = broker.quotes(["AAA", "BBB", "CCC", "DDD", "EEE"])
    assert found.bid_micro.tolist() == [20_490_000, 0, 0, 0, 0]
    assert found.at_ns.tolist() == [1_791_472_219_061_299_123, -1, -1, -1, -1]
    assert broker.quotes(["AAA"]).at_ns.tolist() == [-1]


# --- the right venue, the examined SDK, the secret -------------------------------------------------


def test_paper_live_and_loopback_are_told_apart_before_anything_is_sent() -> None:
    def connect(mode: Mode, url: str, key: str = KEY) -> Any:
        return connect_alpaca(
            mode=mode, url=url, data_url=url, key=key, secret=SECRET, account="demo", account_id="",
            connect_s=0.1, read_s=0.1, per_minute=100, reserve=10,
        )  # fmt: skip

    live, paper, near = "https://api.alpaca.markets", "https://paper-api.alpaca.markets", "http://127.0.0.1:9"
    for mode, url, key in (
        (Mode.PAPER, live, KEY), (Mode.LIVE, paper, "AK"), (Mode.LIVE, near, "AK"), (Mode.REPLAY, paper, KEY),
        (Mode.REPLAY, live, KEY), (Mode.SHADOW, paper, KEY), (Mode.PAPER, "https://evil.example", KEY),
        (Mode.PAPER, paper.replace("https", "http"), KEY), (Mode.PAPER, paper, "AKLIVE"),
        (Mode.LIVE, live, KEY),
    ):  # fmt: skip
        with pytest.raises(ConfigError):
            connect(mode, url, key)


def test_another_account_than_the_configured_one_is_refused(wire: WireServer) -> None:
    def connect(account_id: str) -> AlpacaBroker:
        return connect_alpaca(
            mode=Mode.PAPER, url=wire.url, data_url=wire.url, key=KEY, secret=SECRET, account="demo",
            account_id=account_id, connect_s=1.0, read_s=1.0, per_minute=100, reserve=10,
        )  # fmt: skip

    connect(ACCOUNT_ROW["id"]).close()
    connect(ACCOUNT_ROW["account_number"]).close()
    with pytest.raises(ConfigError, match="not another"):
        connect("another")


def test_a_sdk_that_has_changed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def client(**options: Any) -> TradingClient:
        return TradingClient(KEY, SECRET, raw_data=True, url_override="http://127.0.0.1:9", **options)

    good = harden(client(), connect_s=1.0, read_s=1.0)
    assert good._retry == 0
    assert good._session.trust_env is False
    assert {type(a).__name__ for a in good._session.adapters.values()} == {"_TimedAdapter"}
    for name in ("_retry", "_session", "_secret_key"):
        broken = client()
        delattr(broken, name)
        with pytest.raises(ConfigError, match="internals have changed"):
            harden(broken, connect_s=1.0, read_s=1.0)
    with pytest.raises(ConfigError):
        harden(TradingClient(KEY, SECRET), connect_s=1.0, read_s=1.0)  # parsed by the SDK's models
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.44.1")
    with pytest.raises(ConfigError, match=r"0\.44\.1"):
        harden(client(), connect_s=1.0, read_s=1.0)


def test_the_secret_is_in_no_message_and_nothing_can_be_copied(wire: WireServer, caplog: Any) -> None:
    caplog.set_level("DEBUG")
    broker = make(wire)
    echo = error(50010000, f"headers were {KEY} {SECRET}")
    wire.on(
        "POST",
        "/orders",
        Reply(500, echo),
        Reply(403, error(40310000, f"insufficient buying power {SECRET}")),
    )
    told = [broker.submit(intent()).reason, broker.submit(intent()).reason]
    wire.on("GET", "/account", Reply(500, echo))
    with pytest.raises(OutcomeUnknown) as caught:
        broker.account()
    problem: BaseException | None = caught.value
    while problem is not None:
        told += [repr(problem), str(problem), repr(vars(problem))]
        assert not isinstance(problem, requests.RequestException)
        problem = problem.__cause__ or problem.__context__
    told += [repr(broker), repr(broker._trading), pickle.dumps(caught.value).decode("latin1"), caplog.text]
    assert "***" in told[0]
    for text in told:
        assert SECRET not in text
        assert KEY not in text
    for thing in (broker, broker._trading):
        with pytest.raises(TypeError):
            pickle.dumps(thing)
    broker.close()


def test_the_budget_fills_again_with_time_and_keeps_its_reserve() -> None:
    now = [0.0]
    budget = RateBudget(
        per_minute=60, reserve=10, monotonic=lambda: now[0], sleep=lambda s: now.__setitem__(0, now[0] + s)
    )
    assert sum(budget.take(urgent=False) for _ in range(100)) == 50
    assert sum(budget.take(urgent=True) for _ in range(100)) == 10
    now[0] += 11.0  # 11 requests come back, 10 of them for the reserve
    assert [budget.take(urgent=False), budget.take(urgent=False)] == [True, False]
    assert budget.take(urgent=False, wait_s=1.0)
    budget.drain()
    assert not budget.take(urgent=False)
    assert budget.take(urgent=True)
