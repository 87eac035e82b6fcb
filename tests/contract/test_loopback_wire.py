"""Shapes and refusals on the wire: every key Alpaca sends, its strings, its codes and its texts."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import msgpack
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from loopback_venue import VenueHands, venue_in_thread

from workbench.adapters.venue_server.packing import Instant, pack, unpack
from workbench.adapters.venue_server.wire import (
    activity_stamp,
    money,
    parse_time,
    ratio,
    when,
    when_new_york,
)
from workbench.core.types import NANO

DECIMAL = {"type": "string", "pattern": r"^-?\d+(\.\d+)?$"}
TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$"}
UUID = {"type": "string", "pattern": r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"}
FLAG, TEXT, NUMBER = {"type": "boolean"}, {"type": "string", "minLength": 1}, {"type": "number"}


def maybe(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def whole(**properties: Any) -> dict[str, Any]:
    """An object with exactly these keys."""
    names = sorted(properties)
    return {"type": "object", "properties": properties, "required": names, "additionalProperties": False}


#: Written from the facts about Alpaca's answers that this project has collected, not from its document.
ORDER = whole(
    id=UUID, client_order_id=TEXT, created_at=TIME, updated_at=TIME, submitted_at=TIME, filled_at=maybe(TIME),
    expired_at=maybe(TIME), expires_at=TIME, canceled_at=maybe(TIME), failed_at=maybe(TIME),
    replaced_at=maybe(TIME), replaced_by=maybe(UUID), replaces=maybe(UUID), asset_id=UUID, symbol=TEXT,
    asset_class={"const": "us_equity"}, notional={"type": "null"}, qty=DECIMAL, filled_qty=DECIMAL,
    filled_avg_price=maybe(DECIMAL), order_class={"const": ""}, order_type=TEXT, type=TEXT,
    side={"enum": ["buy", "sell"]}, time_in_force={"enum": ["day", "gtc", "opg", "cls", "ioc", "fok"]},
    limit_price=maybe(DECIMAL), stop_price=maybe(DECIMAL),
    status={"enum": ["accepted", "pending_new", "new", "partially_filled", "filled", "canceled", "expired",
                     "replaced", "rejected", "pending_cancel"]},
    extended_hours=FLAG, legs={"type": "null"}, trail_percent={"type": "null"}, trail_price={"type": "null"},
    hwm={"type": "null"}, position_intent={"enum": ["buy_to_open", "sell_to_close"]}, subtag={"type": "null"},
    source=maybe(TEXT),
)  # fmt: skip
POSITION = whole(
    asset_id=UUID, symbol=TEXT, exchange=TEXT, asset_class=TEXT, asset_marginable=FLAG, qty=DECIMAL,
    qty_available=DECIMAL, side={"const": "long"}, avg_entry_price=DECIMAL, cost_basis=DECIMAL,
    market_value=DECIMAL, current_price=DECIMAL, lastday_price=DECIMAL, change_today=DECIMAL,
    unrealized_pl=DECIMAL, unrealized_plpc=DECIMAL, unrealized_intraday_pl=DECIMAL,
    unrealized_intraday_plpc=DECIMAL,
)  # fmt: skip
FILL = whole(
    activity_type={"const": "FILL"}, id={"type": "string", "pattern": r"^\d{17}::[0-9a-f-]{36}$"},
    cum_qty=DECIMAL,
    leaves_qty=DECIMAL, order_id=UUID, order_status=TEXT, price=DECIMAL, qty=DECIMAL,
    side={"enum": ["buy", "sell"]}, symbol=TEXT,
    transaction_time={"type": "string", "pattern": r"^.{19}(\.\d{1,6})?Z$"},
    type={"enum": ["fill", "partial_fill"]},
)  # fmt: skip
CLOCK = whole(timestamp=TEXT, is_open=FLAG, next_open=TEXT, next_close=TEXT)
BAR = whole(
    t=TIME, o=NUMBER, h=NUMBER, l=NUMBER, c=NUMBER, v={"type": "integer"}, n={"type": "integer"}, vw=NUMBER
)
QUOTE = whole(
    t=TIME, ax=TEXT, ap=NUMBER, bx=TEXT, bp=NUMBER, bs={"type": "integer"}, c={"type": "array"}, z=TEXT,
    **{"as": {"type": "integer"}},
)  # fmt: skip
ACCOUNT_MONEY = ("cash", "buying_power", "equity", "last_equity", "portfolio_value", "long_market_value",
                 "accrued_fees", "multiplier", "regt_buying_power", "sma")  # fmt: skip
BLOCKS = ("trading_blocked", "transfers_blocked", "account_blocked", "trade_suspended_by_user")


LIMIT = {"type": "limit", "limit_price": "10.5"}


def is_a(schema: dict[str, Any], value: Any) -> None:
    jsonschema.validate(value, schema, cls=jsonschema.Draft202012Validator)


@pytest.fixture(scope="module")
def venue() -> Iterator[VenueHands]:
    """A venue after a day in which orders took every way to their end."""
    with venue_in_thread() as hands:
        orders: dict[str, dict[str, str]] = {
            "filled": {},
            "rest": {**LIMIT, "symbol": "GOOG", "time_in_force": "gtc"},
            "gone": LIMIT,
            "ioc": {**LIMIT, "time_in_force": "ioc"},
            "stop": {"side": "sell", "type": "stop", "stop_price": "100", "qty": "1"},
            "part": {"symbol": "IBM", "qty": "9"},
        }
        for key, changes in orders.items():
            if key == "stop":
                hands.ask("POST", "/_/reject", client_order_id="gone")
            if key == "part":
                hands.ask("POST", "/_/partial", client_order_id="part", shares=[4])
            assert send(hands, key, **changes).status_code == 200
        hands.ask("POST", "/_/cash", activity="INT", amount="0.10", memo="interest")
        hands.advance(to="close")
        hands.advance(to="open")
        assert send(hands, "sold", side="sell", qty="1").status_code == 200
        yield hands


def send(venue: VenueHands, key: str, **changes: Any) -> requests.Response:
    base = {"symbol": "AAPL", "qty": "2", "side": "buy", "type": "market", "time_in_force": "day"}
    given = base | {"client_order_id": key} | changes
    body = {name: value for name, value in given.items() if value is not None}
    return ask(venue, "POST", "/v2/orders", json=body)


def ask(venue: VenueHands, method: str, path: str, **more: Any) -> requests.Response:
    headers = {"APCA-API-KEY-ID": venue.key, "APCA-API-SECRET-KEY": venue.secret}
    return requests.request(method, venue.rest + path, headers=headers, timeout=10, **more)


def get(venue: VenueHands, path: str) -> Any:
    answer = ask(venue, "GET", path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    return answer.json()


# --- shapes ----------------------------------------------------------------------------------------


def test_every_order_has_every_key_in_its_form(venue: VenueHands) -> None:
    orders = get(venue, "/v2/orders?status=all&limit=500")
    assert {order["status"] for order in orders} >= {"filled", "new", "rejected", "canceled", "expired"}
    for order in orders:
        is_a(ORDER, order)
        assert parse_time(order["created_at"]) <= parse_time(order["updated_at"])


def test_positions_activities_clock_bars_and_quotes_have_their_forms(venue: VenueHands) -> None:
    for position in get(venue, "/v2/positions"):
        is_a(POSITION, position)
    rows = get(venue, "/v2/account/activities")
    fills = [row for row in rows if row["activity_type"] == "FILL"]
    assert len(fills) == 3
    for row in fills:
        is_a(FILL, row)
    others = [row for row in rows if row["activity_type"] != "FILL"]
    assert {row["activity_type"] for row in others} == {"INT"}
    assert {"id", "date", "net_amount", "status", "description"} <= set(others[0])
    clock = get(venue, "/v2/clock")
    is_a(CLOCK, clock)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?-05:00", clock["timestamp"])
    for bar in get(venue, "/v2/stocks/bars?symbols=AAPL&timeframe=1Day&start=2013-01-02")["bars"]["AAPL"]:
        is_a(BAR, bar)
    is_a(QUOTE, get(venue, "/v2/stocks/quotes/latest?symbols=AAPL")["quotes"]["AAPL"])


def test_the_account_has_its_flags_and_its_money_as_strings(venue: VenueHands) -> None:
    account = get(venue, "/v2/account")
    assert account["status"] == "ACTIVE"
    assert [account[name] for name in BLOCKS] == [False] * 4
    for name in ACCOUNT_MONEY:
        is_a(DECIMAL, account[name])
    assert {"pattern_day_trader", "daytrade_count"} & set(account) == set()


# --- refusals --------------------------------------------------------------------------------------

REFUSALS = [
    ({"symbol": "NOPE"}, 422, 40010001, 'could not find asset "NOPE"'),
    ({"symbol": None}, 422, 40010001, "symbol is required"),
    ({"side": "hold"}, 422, 40010001, "invalid side"),
    ({"type": "wish"}, 422, 40010001, "invalid type"),
    ({"time_in_force": "now"}, 422, 40010001, "invalid time_in_force"),
    ({"qty": None}, 422, 40010001, "qty or notional is required"),
    ({"notional": "5"}, 422, 40010001, "only one of qty or notional is accepted"),
    ({"qty": None, "notional": "5"}, 403, 40310000, 'asset "AAPL" is not fractionable'),
    ({"qty": "0.5"}, 403, 40310000, 'asset "AAPL" is not fractionable'),
    ({"qty": "-1"}, 422, 40010001, "qty must be > 0"),
    ({"qty": "NaN"}, 422, 40010001, "qty must be a number"),
    ({"qty": True}, 422, 40010001, "qty must be a number"),
    ({"qty": "1e30"}, 422, 40010001, "qty must be a number"),
    ({"type": "limit"}, 422, 40010001, "limit orders require a limit price, other types refuse one"),
    ({"type": "limit", "limit_price": "0"}, 422, 42210000, "limit_price must be > 0"),
    ({"type": "limit", "limit_price": "290.123"}, 422, 42210000,
     "invalid limit_price 290.123. sub-penny increment does not fulfill minimum pricing criteria"),
    ({"type": "limit", "limit_price": "0.12345678"}, 422, 42210000,
     "invalid limit_price 0.12345678. sub-penny increment does not fulfill minimum pricing criteria"),
    ({"type": "trailing_stop"}, 422, 42210000, "trailing_stop orders are not simulated by this venue"),
    ({"order_class": "bracket"}, 422, 42210000, "order class bracket is not simulated by this venue"),
    ({"extended_hours": True}, 422, 42210000, "extended hours are not simulated by this venue"),
    ({"qty": "100000000"}, 403, 40310000, "insufficient buying power"),
    ({"symbol": "FB", "side": "sell"}, 403, 40310000, "account is not allowed to short"),
    ({"side": "sell", "qty": "500"}, 403, 40310000,
     "insufficient qty available for order (requested: 500, available: 1)"),
    ({"client_order_id": "filled"}, 422, 40010001, "client_order_id must be unique"),
    ({"client_order_id": "x" * 129}, 422, 40010001, "client_order_id must be no more than 128 characters"),
    ({"client_order_id": "wash", "side": "sell", "qty": "1"}, 403, 40310000,
     "potential wash trade detected. use complex orders"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "status", "code", "message"), REFUSALS, ids=range(len(REFUSALS)))
def test_a_refusal_has_alpacas_status_code_and_words(
    changes: dict[str, Any], status: int, code: int, message: str, venue: VenueHands
) -> None:
    if changes.get("client_order_id") == "wash":
        assert send(venue, "resting-buy", type="limit", limit_price="12").status_code == 200
    before = len(venue.ledger()["orders"])
    answer = send(venue, "refused", **changes)
    if changes.get("client_order_id") == "wash":
        ask(venue, "DELETE", f"/v2/orders/{answer.json()['existing_order_id']}")
    assert (answer.status_code, answer.json()["code"], answer.json()["message"]) == (status, code, message)
    assert len(venue.ledger()["orders"]) == before


def test_refusals_carry_the_facts_that_belong_to_them(venue: VenueHands) -> None:
    power = send(venue, "r1", qty="100000", type="limit", limit_price="450").json()
    assert power["cost_basis"] == "45000000"
    assert float(power["buying_power"]) < 100_000
    quantity = send(venue, "r2", side="sell", qty="500", symbol="IBM").json()
    facts = ("available", "existing_qty", "held_for_orders", "symbol")
    assert [quantity[name] for name in facts] == ["4", "4", "0", "IBM"]


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/v2/orders/short", 422, "order_id is missing"),
        ("GET", f"/v2/orders/{'0' * 36}", 404, f"order not found for {'0' * 36}"),
        ("DELETE", f"/v2/orders/{'0' * 36}", 404, f"order not found for {'0' * 36}"),
        ("PATCH", f"/v2/orders/{'0' * 36}", 404, f"order not found for {'0' * 36}"),
        ("GET", "/v2/orders:by_client_order_id?client_order_id=nobody", 404, "order not found for nobody"),
        ("GET", "/v2/orders?limit=501", 422, "invalid limit"),
        ("GET", "/v2/orders?status=maybe", 422, "invalid status"),
        ("GET", "/v2/orders?after=noon", 422, "invalid query parameter"),
        ("GET", "/v2/positions/FB", 404, "position does not exist"),
        ("GET", "/v2/assets/NOPE", 404, "asset not found for NOPE"),
        ("GET", "/v2/account/activities?page_size=101", 422, "page_size must be between 1 and 100"),
        ("GET", "/v2/stocks/bars?symbols=AAPL&timeframe=7Min", 400, "invalid symbols, limit or timeframe"),
    ],
)
def test_a_bad_request_is_answered_in_alpacas_form(
    method: str, path: str, status: int, message: str, venue: VenueHands
) -> None:
    answer = ask(venue, method, path)
    assert (answer.status_code, answer.json()["message"]) == (status, message)


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff\xfe", b"null", b'"text"', b"[" * 200_000])
def test_a_body_that_is_no_order_is_refused_and_kills_nothing(body: bytes, venue: VenueHands) -> None:
    answer = ask(venue, "POST", "/v2/orders", data=body)
    assert answer.status_code == 400
    assert get(venue, "/v2/clock")["is_open"] is True


def test_a_body_without_end_is_refused(venue: VenueHands) -> None:
    answer = ask(venue, "POST", "/v2/orders", data=b" " * 1_500_000)
    assert answer.status_code == 413


# --- spelling --------------------------------------------------------------------------------------


def test_money_times_and_ratios_are_spelled_as_alpaca_spells_them() -> None:
    assert [money(n) for n in (86_880_000, 0, -1_250_000, 5_000_000, 1)] == [
        "86.88",
        "0",
        "-1.25",
        "5",
        "0.000001",
    ]
    assert [ratio(1, 3), ratio(-1, 8), ratio(5, 0), ratio(0, 7)] == ["0.333333333", "-0.125", "0", "0"]
    at = parse_time("2026-10-08T15:10:18.094153596Z")
    assert (when(at), when(at // NANO * NANO)) == ("2026-10-08T15:10:18.094153596Z", "2026-10-08T15:10:18Z")
    assert when_new_york(at) == "2026-10-08T11:10:18.094153596-04:00"
    assert activity_stamp(at) == "20261008111018094"
    assert parse_time("2026-10-08T11:10:18.094153596-04:00") == at


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(0, 2**62))
def test_a_time_survives_its_spelling(at_ns: int) -> None:
    assert parse_time(when(at_ns)) == at_ns
    assert parse_time(when_new_york(at_ns)) == at_ns


VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False), st.text()
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=20), st.dictionaries(st.text(max_size=40), inner, max_size=20)
    ),
    max_leaves=30,
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(VALUES)
def test_packed_messages_are_those_of_the_library(value: Any) -> None:
    assert msgpack.unpackb(pack(value), strict_map_key=False) == value
    assert unpack(msgpack.packb(value)) == value


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=60))
def test_bytes_that_are_no_message_are_a_value_error(data: bytes) -> None:
    try:
        unpack(data)
    except (ValueError, TypeError):
        pass  # a TypeError is a key that cannot be one


def test_an_instant_is_the_librarys_timestamp() -> None:
    assert (
        msgpack.unpackb(pack(Instant(1_700_000_000_123_456_789))).to_unix_nano() == 1_700_000_000_123_456_789
    )


# --- Alpaca's own document -------------------------------------------------------------------------

DOCUMENT = os.environ.get("ALPACA_OPENAPI", "")
CHECKED = [
    ("trading-api.json", "/v2/account", "/v2/account"),
    ("trading-api.json", "/v2/account/configurations", "/v2/account/configurations"),
    ("trading-api.json", "/v2/account/activities", "/v2/account/activities"),
    ("trading-api.json", "/v2/account/activities/FILL", "/v2/account/activities/{activity_type}"),
    ("trading-api.json", "/v2/assets", "/v2/assets"),
    ("trading-api.json", "/v2/assets/AAPL", "/v2/assets/{symbol_or_asset_id}"),
    ("trading-api.json", "/v2/clock", "/v2/clock"),
    ("trading-api.json", "/v2/calendar?start=2013-02-01&end=2013-03-01", "/v2/calendar"),
    ("trading-api.json", "/v2/orders?status=all", "/v2/orders"),
    ("trading-api.json", "/v2/orders:by_client_order_id?client_order_id=part",
     "/v2/orders:by_client_order_id"),
    ("trading-api.json", "/v2/positions", "/v2/positions"),
    ("trading-api.json", "/v2/positions/AAPL", "/v2/positions/{symbol_or_asset_id}"),
    ("market-data-api.json", "/v2/stocks/bars?symbols=AAPL&timeframe=1Day&start=2013-01-02",
     "/v2/stocks/bars"),
    ("market-data-api.json", "/v2/stocks/quotes?symbols=AAPL&start=2013-02-01", "/v2/stocks/quotes"),
    ("market-data-api.json", "/v2/stocks/trades?symbols=AAPL&start=2013-02-01", "/v2/stocks/trades"),
    ("market-data-api.json", "/v2/stocks/bars/latest?symbols=AAPL", "/v2/stocks/bars/latest"),
    ("market-data-api.json", "/v2/stocks/quotes/latest?symbols=AAPL", "/v2/stocks/quotes/latest"),
    ("market-data-api.json", "/v2/stocks/trades/latest?symbols=AAPL", "/v2/stocks/trades/latest"),
    ("market-data-api.json", "/v2/stocks/snapshots?symbols=AAPL", "/v2/stocks/snapshots"),
    ("market-data-api.json", "/v2/stocks/AAPL/bars?timeframe=1Day&start=2013-01-02",
     "/v2/stocks/{symbol}/bars"),
    ("market-data-api.json", "/v2/stocks/AAPL/quotes/latest", "/v2/stocks/{symbol}/quotes/latest"),
    ("market-data-api.json", "/v2/stocks/AAPL/snapshot", "/v2/stocks/{symbol}/snapshot"),
    ("market-data-api.json", "/v1/corporate-actions?symbols=AAPL", "/v1/corporate-actions"),
]  # fmt: skip


@pytest.mark.skipif(not DOCUMENT, reason="ALPACA_OPENAPI names no folder of Alpaca's documents")
@pytest.mark.parametrize(("name", "path", "template"), CHECKED, ids=[row[2] for row in CHECKED])
def test_answers_validate_against_alpacas_document(
    name: str, path: str, template: str, venue: VenueHands
) -> None:
    document = json.loads((Path(DOCUMENT) / name).read_text(encoding="utf-8"))
    responses = document["paths"][template]["get"]["responses"]["200"]["content"]
    found = responses["application/json"]["schema"]
    if "oneOf" in found.get("items", {}):  # of shapes without a required key: a fill is both
        found["items"]["anyOf"] = found["items"].pop("oneOf")
    schema = {**found, "components": document["components"]}
    if "corporate" in path:
        venue.ask("POST", "/_/corporate", kind="split", symbol="AAPL", new=2, old=1)
        venue.ask("POST", "/_/corporate", kind="split", symbol="AAPL", new=1, old=2)
        venue.ask("POST", "/_/corporate", kind="dividend", symbol="AAPL", amount="1.5")
        venue.ask("POST", "/_/corporate", kind="rename", symbol="AAPL", to="APPL")
    checker = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    assert [
        f"{list(e.absolute_path)}: {e.message[:200]}" for e in checker.iter_errors(get(venue, path))
    ] == []
