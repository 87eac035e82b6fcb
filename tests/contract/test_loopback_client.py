"""alpaca-py, unmodified, against the loopback venue: what a third party would do in an afternoon."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
from alpaca.common.exceptions import APIError
from alpaca.data.enums import DataFeed
from alpaca.data.historical import StockHistoricalDataClient
from alpaca.data.historical.corporate_actions import CorporateActionsClient
from alpaca.data.live import StockDataStream
from alpaca.data.requests import (
    CorporateActionsRequest,
    StockBarsRequest,
    StockLatestBarRequest,
    StockLatestQuoteRequest,
    StockLatestTradeRequest,
    StockQuotesRequest,
    StockSnapshotRequest,
    StockTradesRequest,
)
from alpaca.data.timeframe import TimeFrame
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, OrderStatus, OrderType, QueryOrderStatus, TimeInForce
from alpaca.trading.requests import (
    ClosePositionRequest,
    GetAssetsRequest,
    GetCalendarRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    OrderRequest,
    ReplaceOrderRequest,
    StopLimitOrderRequest,
    StopOrderRequest,
)
from alpaca.trading.stream import TradingStream
from loopback_venue import VenueHands, venue_in_thread

BUY, SELL, DAY = OrderSide.BUY, OrderSide.SELL, TimeInForce.DAY


@pytest.fixture
def venue() -> Iterator[VenueHands]:
    with venue_in_thread() as hands:
        yield hands


@pytest.fixture
def client(venue: VenueHands) -> Iterator[TradingClient]:
    made = TradingClient(venue.key, venue.secret, url_override=venue.rest)
    yield made
    made._session.close()


@pytest.fixture
def data(venue: VenueHands) -> Iterator[StockHistoricalDataClient]:
    made = StockHistoricalDataClient(venue.key, venue.secret, url_override=venue.data)
    yield made
    made._session.close()


def market(symbol: str = "AAPL", qty: float = 10, side: OrderSide = BUY, **more: Any) -> MarketOrderRequest:
    return MarketOrderRequest(symbol=symbol, qty=qty, side=side, time_in_force=more.pop("tif", DAY), **more)


def limit(price: float, side: OrderSide = BUY, qty: float = 5, **more: Any) -> LimitOrderRequest:
    tif, symbol = more.pop("tif", DAY), more.pop("symbol", "AAPL")
    return LimitOrderRequest(symbol=symbol, qty=qty, side=side, time_in_force=tif, limit_price=price, **more)


# --- reference -------------------------------------------------------------------------------------


def test_account_clock_calendar_and_assets(client: TradingClient) -> None:
    account = client.get_account()
    assert (account.status.value, account.cash, account.equity) == ("ACTIVE", "100000", "100000")
    flags = (account.trading_blocked, account.account_blocked, account.transfers_blocked)
    assert (*flags, account.trade_suspended_by_user) == (False, False, False, False)
    clock = client.get_clock()
    assert clock.is_open
    assert clock.timestamp == datetime(2013, 2, 1, 15, tzinfo=UTC)
    assert clock.next_close == datetime(2013, 2, 1, 21, tzinfo=UTC)
    assert clock.next_open == datetime(2013, 2, 4, 14, 30, tzinfo=UTC)
    days = client.get_calendar(GetCalendarRequest(start=date(2012, 11, 21), end=date(2012, 11, 26)))
    assert [(day.date.day, day.close.hour) for day in days] == [(21, 16), (23, 13), (26, 16)]
    assert len(client.get_calendar()) > 400
    names = {asset.symbol for asset in client.get_all_assets(GetAssetsRequest())}
    assert names == {"AAPL", "FB", "GOOG", "IBM", "MSFT"}
    asset = client.get_asset("AAPL")
    assert (asset.tradable, asset.fractionable, asset.shortable) == (True, False, False)
    assert client.get_asset(str(asset.id)) == asset
    with pytest.raises(APIError) as missing:
        client.get_asset("NOPE")
    assert (missing.value.status_code, missing.value.code) == (404, 40410000)
    assert client.get_account_configurations().no_shorting


# --- orders ----------------------------------------------------------------------------------------


def test_a_market_order_is_pending_then_filled_at_the_quote(client: TradingClient, venue: VenueHands) -> None:
    venue.quote("AAPL", 450.00, 450.10)
    sent = client.submit_order(market(client_order_id="first"))
    assert (sent.status, sent.filled_qty, sent.qty) == (OrderStatus.PENDING_NEW, "0", "10")
    found = client.get_order_by_client_id("first")
    assert (found.status, found.filled_qty, found.filled_avg_price) == (OrderStatus.FILLED, "10", "450.1")
    assert client.get_order_by_id(sent.id).filled_at is not None
    position = client.get_open_position("AAPL")
    assert (position.qty, position.qty_available, position.avg_entry_price) == ("10", "10", "450.1")
    assert (position.current_price, position.cost_basis) == ("450.05", "4501")
    assert [p.symbol for p in client.get_all_positions()] == ["AAPL"]
    account = client.get_account()
    assert (account.cash, account.equity) == ("95499", "99999.5")
    (fill,) = client.get("/account/activities/FILL")
    assert (fill["qty"], fill["price"], fill["order_id"]) == ("10", "450.1", str(sent.id))


def test_orders_are_listed_by_status_side_symbol_time_and_page(client: TradingClient) -> None:
    sent = [client.submit_order(limit(10 + n)) for n in range(5)]
    other = client.submit_order(MarketOrderRequest(symbol="IBM", qty=1, side=BUY, time_in_force=DAY))
    assert [o.id for o in client.get_orders()] == [o.id for o in reversed(sent)]

    def listed(**query: Any) -> list[Any]:
        return [o.id for o in client.get_orders(GetOrdersRequest(**query))]

    assert listed(status=QueryOrderStatus.CLOSED) == [other.id]
    assert listed(status=QueryOrderStatus.ALL, symbols=["IBM"]) == [other.id]
    assert listed(status=QueryOrderStatus.ALL, side=SELL) == []
    assert listed(limit=2, direction="asc") == [sent[0].id, sent[1].id]
    assert sent[0].submitted_at < sent[1].submitted_at
    assert listed(direction="asc", after=sent[2].submitted_at) == [o.id for o in sent[3:]]
    assert listed(direction="asc", until=sent[2].submitted_at) == [o.id for o in sent[:2]]


def test_cancels_replacements_and_what_can_no_longer_be_changed(client: TradingClient) -> None:
    first = client.submit_order(limit(100))
    client.cancel_order_by_id(first.id)
    assert client.get_order_by_id(first.id).status == OrderStatus.CANCELED
    with pytest.raises(APIError) as again:
        client.cancel_order_by_id(first.id)
    assert (again.value.status_code, again.value.code) == (422, 42210000)
    assert again.value.message == 'order is already in "canceled" state'
    second = client.submit_order(limit(101))
    changed = client.replace_order_by_id(second.id, ReplaceOrderRequest(qty=7, limit_price=102))
    assert (changed.qty, changed.limit_price, changed.replaces) == ("7", "102", second.id)
    old = client.get_order_by_id(second.id)
    assert (old.status, old.replaced_by) == (OrderStatus.REPLACED, changed.id)
    assert old.client_order_id != changed.client_order_id
    gone = client.cancel_orders()
    assert [(one.id, one.status) for one in gone] == [(changed.id, 200)]
    assert client.get_orders() == []


def test_every_order_type_lives_as_its_name_says(client: TradingClient, venue: VenueHands) -> None:
    venue.quote("AAPL", 449.99, 450.01)
    client.submit_order(market())
    ioc = client.submit_order(limit(400, tif=TimeInForce.IOC))
    assert client.get_order_by_id(ioc.id).status == OrderStatus.CANCELED
    stop = client.submit_order(
        StopOrderRequest(symbol="AAPL", qty=4, side=SELL, time_in_force=DAY, stop_price=440)
    )
    both = client.submit_order(
        StopLimitOrderRequest(
            symbol="AAPL", qty=3, side=SELL, time_in_force=TimeInForce.GTC, stop_price=440, limit_price=439
        )
    )
    closing = client.submit_order(market(qty=2, side=SELL, tif=TimeInForce.CLS))
    venue.quote("AAPL", 438, 438.5)
    assert client.get_order_by_id(stop.id).filled_avg_price == "438"
    assert client.get_order_by_id(both.id).status == OrderStatus.NEW
    venue.quote("AAPL", 439, 439.5)
    assert client.get_order_by_id(both.id).filled_avg_price == "439"
    day = client.submit_order(limit(100, symbol="IBM"))
    gtc = client.submit_order(limit(101, symbol="IBM", tif=TimeInForce.GTC))
    venue.advance(to="close")
    assert client.get_order_by_id(closing.id).filled_avg_price == "439"
    assert client.get_order_by_id(day.id).status == OrderStatus.EXPIRED
    venue.advance(to="2013-02-04T01:00:00Z")  # before 19:00 in New York the venue takes none
    opening = client.submit_order(market(qty=1, tif=TimeInForce.OPG))
    assert client.get_order_by_id(opening.id).status == OrderStatus.ACCEPTED
    venue.advance(to="open")
    assert client.get_order_by_id(opening.id).status == OrderStatus.FILLED
    assert client.get_order_by_id(gtc.id).status == OrderStatus.NEW


def test_positions_are_closed_by_orders_of_the_venue(client: TradingClient) -> None:
    for symbol in ("AAPL", "IBM", "MSFT"):
        client.submit_order(market(symbol))
    client.close_position("AAPL", ClosePositionRequest(qty="4"))
    assert client.get_open_position("AAPL").qty == "6"
    client.close_position("IBM")
    left = client.close_all_positions(cancel_orders=True)
    assert {(row.symbol, row.status) for row in left} == {("AAPL", 200), ("MSFT", 200)}
    assert client.get_all_positions() == []
    with pytest.raises(APIError) as flat:
        client.get_open_position("AAPL")
    assert (flat.value.status_code, flat.value.message) == (404, "position does not exist")


def test_the_same_id_is_refused_for_ever(client: TradingClient, venue: VenueHands) -> None:
    sent = client.submit_order(market(client_order_id="once"))
    for _ in range(2):
        with pytest.raises(APIError) as twice:
            client.submit_order(market("IBM", client_order_id="once"))
        assert (twice.value.status_code, twice.value.code) == (422, 40010001)
        assert twice.value.message == "client_order_id must be unique"
        venue.advance(to="open")
    assert client.get_order_by_client_id("once").id == sent.id


def test_money_that_moves_without_an_order(client: TradingClient, venue: VenueHands) -> None:
    client.submit_order(market(qty=100))
    client.submit_order(market(qty=50, side=SELL))
    accrued = float(client.get_account().accrued_fees)
    assert accrued > 0
    before = float(client.get_account().cash)
    venue.ask("POST", "/_/cash", activity="CSD", amount="1000", memo="a deposit")
    venue.ask("POST", "/_/cash", activity="INT", amount="-1.25", memo="margin interest")
    venue.ask("POST", "/_/cash", activity="WEIRD", amount="0.01")
    venue.ask("POST", "/_/corporate", kind="dividend", symbol="AAPL", amount="2.65")
    venue.ask("POST", "/_/corporate", kind="split", symbol="AAPL", new=7, old=1)
    venue.advance(to="close")
    venue.advance(to="open")
    rows = client.get("/account/activities", {"direction": "asc"})
    kinds = [row["activity_type"] for row in rows]
    assert kinds == ["FILL", "FILL", "CSD", "INT", "WEIRD", "FEE", "FEE", "DIV", "SPLIT"]
    fees = sum(float(row["net_amount"]) for row in rows if row["activity_type"] == "FEE")
    assert fees == pytest.approx(-accrued)
    assert float(client.get_account().cash) == pytest.approx(before + 1000 - 1.25 + 0.01 - accrued + 132.5)
    position = client.get_open_position("AAPL")
    assert position.qty == "350"
    assert 50 < float(position.current_price) < 80  # the history is told in the new shares
    (paid,) = client.get("/account/activities/DIV")
    assert (paid["per_share_amount"], paid["qty"], paid["net_amount"]) == ("2.65", "50", "132.5")
    pages, token = [], None
    while True:
        page = client.get("/account/activities", {"page_size": 4, "direction": "asc", "page_token": token})
        if not page:
            break
        pages.append(len(page))
        token = page[-1]["id"]
    assert pages == [4, 4, 1]


def test_an_order_by_hand_carries_no_id_of_ours(client: TradingClient, venue: VenueHands) -> None:
    body = {"symbol": "AAPL", "qty": "3", "side": "buy", "type": "market", "time_in_force": "day"}
    placed = venue.ask("POST", "/_/order", **body)
    (found,) = client.get_orders(GetOrdersRequest(status=QueryOrderStatus.ALL))
    assert (str(found.id), found.qty) == (placed["id"], "3")
    assert venue.oracle(intents={}) == []


def test_a_request_without_an_id_gets_one(client: TradingClient) -> None:
    order = OrderRequest(symbol="AAPL", qty=1, side=BUY, type=OrderType.MARKET, time_in_force=DAY)
    first, second = client.submit_order(order), client.submit_order(order)
    assert len({first.client_order_id, second.client_order_id, ""}) == 3


# --- streams ---------------------------------------------------------------------------------------


def run_stream(stream: Any, until: threading.Event) -> threading.Thread:
    async def consume() -> None:
        running = asyncio.create_task(stream._run_forever())
        while not until.is_set():
            await asyncio.sleep(0.02)
        running.cancel()
        await stream.close()

    thread = threading.Thread(target=lambda: asyncio.run(consume()), daemon=True)
    thread.start()
    return thread


def wait(predicate: Any) -> None:
    pause = threading.Event()
    for _ in range(500):
        if predicate():
            return
        pause.wait(0.02)
    raise AssertionError("it did not happen within 10 s")


def test_the_trading_stream_tells_of_every_step(client: TradingClient, venue: VenueHands) -> None:
    seen: list[Any] = []
    stream, over = TradingStream(venue.key, venue.secret, url_override=venue.stream), threading.Event()

    async def hear(update: Any) -> None:
        seen.append(update)

    stream.subscribe_trade_updates(hear)
    thread = run_stream(stream, over)
    wait(lambda: venue.state()["listeners"])
    venue.ask("POST", "/_/partial", client_order_id="p", shares=[3])
    client.submit_order(market(client_order_id="p"))
    venue.ask("POST", "/_/release", client_order_id="p")
    resting = client.submit_order(limit(100))
    client.cancel_order_by_id(resting.id)
    wait(lambda: len(seen) >= 7)
    over.set()
    thread.join(10)
    told = [
        (str(getattr(u.event, "value", u.event)), u.qty, u.order.filled_qty, u.position_qty) for u in seen
    ]
    assert told == [
        ("pending_new", None, "0", None), ("new", None, "0", None), ("partial_fill", 3.0, "3", 3.0),
        ("fill", 7.0, "10", 10.0), ("pending_new", None, "0", None), ("new", None, "0", None),
        ("canceled", None, "0", None),
    ]  # fmt: skip
    fills = [u for u in seen if u.qty]
    assert len({u.execution_id for u in fills}) == 2


def test_the_data_stream_sends_quotes_and_trades(venue: VenueHands) -> None:
    seen: list[Any] = []
    stream = StockDataStream(venue.key, venue.secret, url_override=venue.market_stream, feed=DataFeed.IEX)
    over = threading.Event()

    async def hear(message: Any) -> None:
        seen.append(message)

    stream.subscribe_quotes(hear, "AAPL")
    stream.subscribe_trades(hear, "AAPL")
    thread = run_stream(stream, over)
    wait(lambda: venue.quote("IBM", 200, 200.1) is not None and venue.quote("AAPL", 455, 455.2) and seen)
    wait(lambda: len(seen) >= 2)
    over.set()
    thread.join(10)
    assert {message.symbol for message in seen} == {"AAPL"}
    assert (seen[0].bid_price, seen[0].ask_price) == (455.0, 455.2)
    assert seen[0].timestamp.date() == date(2013, 2, 1)
    assert seen[1].price == pytest.approx(455.1)


# --- market data -----------------------------------------------------------------------------------


def test_bars_quotes_trades_and_snapshots(data: StockHistoricalDataClient, venue: VenueHands) -> None:
    start, end = datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 2, 1, 23, tzinfo=UTC)
    asked = StockBarsRequest(symbol_or_symbols=["AAPL", "IBM"], timeframe=TimeFrame.Day, start=start, end=end)
    bars = data.get_stock_bars(asked)
    assert [len(bars[symbol]) for symbol in ("AAPL", "IBM")] == [21, 21]  # today's is not complete
    assert (bars["AAPL"][-1].close, bars["AAPL"][-1].volume) == (455.49, 11404800.0)
    venue.quote("AAPL", 450, 450.5)
    venue.quote("AAPL", 451, 451.5)
    since = datetime(2013, 2, 1, 14, tzinfo=UTC)
    quotes = data.get_stock_quotes(StockQuotesRequest(symbol_or_symbols="AAPL", start=since, limit=2))
    assert [q.bid_price for q in quotes["AAPL"]] == pytest.approx([458.98 - 0.02, 450], abs=0.5)
    trades = data.get_stock_trades(StockTradesRequest(symbol_or_symbols="AAPL", start=since))
    assert [t.price for t in trades["AAPL"]][-2:] == [450.25, 451.25]
    latest = data.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols=["AAPL", "NOPE"]))
    assert set(latest) == {"AAPL"}
    assert (latest["AAPL"].bid_price, latest["AAPL"].ask_price) == (451, 451.5)
    trade = data.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols="AAPL"))
    assert trade["AAPL"].price == 451.25
    assert data.get_stock_latest_bar(StockLatestBarRequest(symbol_or_symbols="AAPL"))["AAPL"].close == 451.25
    snapshot = data.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols="AAPL"))["AAPL"]
    assert (snapshot.latest_quote.ask_price, snapshot.previous_daily_bar.close) == (451.5, 455.49)


def test_pages_of_bars_are_followed_to_their_end(venue: VenueHands) -> None:
    client = StockHistoricalDataClient(venue.key, venue.secret, url_override=venue.data, raw_data=True)
    rows, token, pages = [], None, 0
    while True:
        query = {
            "symbols": "AAPL,IBM",
            "timeframe": "1Day",
            "start": "2013-01-02",
            "end": "2013-02-01",
            "limit": 7,
        }
        answer = client.get("/stocks/bars", query | ({"page_token": token} if token else {}))
        rows += [(name, bar["t"]) for name, bars in answer["bars"].items() for bar in bars]
        pages, token = pages + 1, answer["next_page_token"]
        if token is None:
            break
    client._session.close()
    assert (len(rows), len(set(rows)), pages) == (42, 42, 6)


def test_minutes_of_the_sample_and_corporate_actions() -> None:
    with venue_in_thread(start="2005-02-25T15:00:00Z", symbols=["AAPL"]) as venue:
        client = CorporateActionsClient(venue.key, venue.secret, url_override=venue.data)
        wanted = CorporateActionsRequest(symbols=["AAPL"], start=date(2005, 2, 1), end=date(2005, 3, 31))
        found = client.get_corporate_actions(wanted)
        client._session.close()
        (split,) = found["forward_splits"]
        assert (split.symbol, split.new_rate, split.old_rate) == ("AAPL", 2.0, 1.0)
        trading = TradingClient(venue.key, venue.secret, url_override=venue.rest)
        trading.submit_order(market(qty=10))
        venue.advance(to="close")
        venue.advance(to="open")
        assert trading.get_open_position("AAPL").qty == "20"
        trading._session.close()
