"""Every fault of the loopback venue does what its name says, over sockets; the oracles see what is wrong."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from loopback_venue import VenueHands, venue_in_thread
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from workbench.adapters.venue_server.faults import KNOBS, STREAM_ACTIONS, TROUBLES

TESTED: set[str] = set()


@pytest.fixture
def venue() -> Iterator[VenueHands]:
    with venue_in_thread() as hands:
        yield hands


class Wire:
    """Bare HTTP to the venue: what comes back, or how it did not."""

    def __init__(self, venue: VenueHands) -> None:
        self.venue = venue
        self.headers = {"APCA-API-KEY-ID": venue.key, "APCA-API-SECRET-KEY": venue.secret}

    def ask(self, method: str, path: str, body: Any = None, *, timeout: float = 0.6) -> Any:
        """(status, text) of the answer, or the name of the exception."""
        url = self.venue.rest + path
        with requests.Session() as session:
            session.trust_env = False
            try:
                answer = session.request(
                    method, url, json=body, headers=self.headers, timeout=timeout, allow_redirects=False
                )
            except requests.RequestException as error:
                return type(error).__name__
            return answer.status_code, answer.text

    def json(self, method: str, path: str, body: Any = None) -> Any:
        status, text = self.ask(method, path, body, timeout=10)
        assert status < 300, text
        return json.loads(text) if text else None

    def order(self, key: str, **changes: Any) -> dict[str, Any]:
        base = {"symbol": "AAPL", "qty": "2", "side": "buy", "type": "market", "time_in_force": "day"}
        return base | {"client_order_id": key} | changes

    def submit(self, key: str, **changes: Any) -> Any:
        return self.ask("POST", "/v2/orders", self.order(key, **changes))

    def resting(self, key: str) -> dict[str, Any]:
        body = self.order(key, type="limit", limit_price="100")
        return dict(self.json("POST", "/v2/orders", body))

    def found(self, key: str) -> Any:
        return self.ask("GET", f"/v2/orders:by_client_order_id?client_order_id={key}")

    def status_of(self, key: str) -> str:
        return str(json.loads(self.found(key)[1])["status"])


@pytest.fixture
def wire(venue: VenueHands) -> Wire:
    return Wire(venue)


def arm(venue: VenueHands, fault: str, **scope: Any) -> dict[str, Any]:
    TESTED.add(fault)
    return venue.fault(fault, **scope)


# --- what happens to an answer ---------------------------------------------------------------------

SEEN = {
    "timeout": "ReadTimeout", "reset": "ConnectionError", "close": "ConnectionError", "504_html": 504,
    "502_html": 502, "500_json": 500, "malformed": 200, "truncated": "ChunkedEncodingError", "empty200": 200,
    "html200": 200, "huge": 200, "302": 302, "slow_drip": "ConnectionError",
}  # fmt: skip


@pytest.mark.parametrize("when", ["accept_then", "before_accept"])
@pytest.mark.parametrize("what", sorted(TROUBLES))
def test_an_answer_is_lost_in_this_way_and_the_order_is_there_or_not(
    when: str, what: str, wire: Wire, venue: VenueHands
) -> None:
    slow = {"ms": 700} if what == "slow_drip" else {}
    small = {"bytes": 100_000} if what == "huge" else {}
    arm(venue, f"{when}_{what}", client_order_id="lost", **slow, **small)
    came = wire.submit("lost")
    expected = SEEN[what]
    assert (came if isinstance(came, str) else came[0]) == expected
    if what in ("malformed", "html200", "empty200", "504_html", "502_html"):
        with pytest.raises(ValueError, match=r"Expecting|delimiter|property|Extra"):
            json.loads(came[1])
    landed = when == "accept_then"
    assert wire.found("lost")[0] == (200 if landed else 404)
    assert len(venue.ledger()["orders"]) == landed
    again = wire.submit("lost")
    assert again[0] == (422 if landed else 200)  # the same id is the one safe probe
    assert len(venue.ledger()["orders"]) == 1
    row = next(row for row in venue.requests() if row["fault"])
    assert row["fault"] == f"{when}_{what}"


def test_a_fault_has_a_scope_an_nth_call_and_a_count(wire: Wire, venue: VenueHands) -> None:
    arm(venue, "503", endpoint="GET /v2/account", nth=2, count=2)
    assert [wire.ask("GET", "/v2/account")[0] for _ in range(5)] == [200, 503, 503, 200, 200]
    arm(venue, "401", endpoint="GET *", nth=3, count=0)
    assert [wire.ask("GET", "/v2/clock")[0] for _ in range(5)] == [200, 200, 401, 401, 401]
    assert wire.submit("not-a-get")[0] == 200
    armed = venue.ask("GET", "/_/faults")["faults"]
    assert [(fault["seen"], fault["fired"]) for fault in armed] == [(5, 2), (5, 3)]
    venue.clear_faults()
    assert wire.ask("GET", "/v2/clock")[0] == 200
    arm(venue, "accept_then_reset", client_order_id="b")
    assert [wire.submit(key)[0] for key in ("a", "c")] == [200, 200]
    assert wire.submit("b") == "ConnectionError"


def test_a_key_can_be_revoked_at_a_time(wire: Wire, venue: VenueHands) -> None:
    arm(venue, "401", after="2013-02-01T15:10:00Z", count=0)
    assert wire.ask("GET", "/v2/account")[0] == 200
    venue.advance(seconds=660)
    status, text = wire.ask("GET", "/v2/account")
    assert (status, json.loads(text)) == (401, {"message": "unauthorized."})


@pytest.mark.parametrize(
    ("fault", "status", "text"),
    [("429", 429, "rate limit"), ("503", 503, "unavailable"), ("401", 401, "unauthorized."),
     ("401_html", 401, "<html>"), ("403", 403, "40310000"), ("422", 422, "42210000")],
)  # fmt: skip
def test_a_refusal_on_demand_accepts_nothing(
    fault: str, status: int, text: str, wire: Wire, venue: VenueHands
) -> None:
    arm(venue, fault, endpoint="POST /v2/orders")
    answer = wire.submit("refused")
    assert answer[0] == status
    assert text in answer[1]
    assert wire.found("refused")[0] == 404


@pytest.mark.parametrize("headers", [True, False])
def test_429_comes_with_and_without_its_headers(headers: bool, wire: Wire, venue: VenueHands) -> None:
    arm(venue, "429", headers=headers)
    answer = requests.get(venue.rest + "/v2/account", headers=wire.headers, timeout=5)
    names = {name.lower() for name in answer.headers if name.lower().startswith("x-ratelimit")}
    assert bool(names) is headers


def test_a_rate_limit_is_a_bucket_that_refills() -> None:
    with venue_in_thread(rate_limit_per_minute=5) as venue:
        wire = Wire(venue)
        assert [wire.ask("GET", "/v2/clock")[0] for _ in range(6)] == [200] * 5 + [429]
        assert venue.ask("GET", "/_/findings")["over_budget"] == 1


# --- orders ----------------------------------------------------------------------------------------


def test_duplicates_in_both_orders_and_with_both_codes(wire: Wire, venue: VenueHands) -> None:
    wire.submit("dup")
    assert wire.submit("dup")[0] == 422
    arm(venue, "duplicate_409")
    assert wire.submit("dup")[0] == 409
    assert "unique" in wire.submit("dup", qty="100000")[1]
    arm(venue, "duplicate_checked_last", count=2)
    assert "buying power" in wire.submit("dup", qty="100000")[1]
    assert "unique" in wire.submit("dup")[1]


def test_an_accepted_order_can_be_rejected_afterwards(wire: Wire, venue: VenueHands) -> None:
    arm(venue, "reject_after_accept", reason="no such route")
    status, text = wire.submit("r", type="limit", limit_price="100")
    assert (status, json.loads(text)["status"]) == (200, "pending_new")
    assert wire.status_of("r") == "rejected"
    assert venue.ledger()["account"]["buying_power"] == "100000"


def test_by_client_id_and_by_id_can_be_blind_for_a_while(wire: Wire, venue: VenueHands) -> None:
    order = wire.resting("here")
    arm(venue, "by_client_id_404", count=2)
    assert [wire.found("here")[0] for _ in range(3)] == [404, 404, 200]
    arm(venue, "by_id_404")
    assert [wire.ask("GET", f"/v2/orders/{order['id']}")[0] for _ in range(2)] == [404, 200]


def test_lists_can_be_cut_empty_repeated_and_stale(wire: Wire, venue: VenueHands) -> None:
    for n in range(3):
        wire.resting(f"o{n}")
    listing = "/v2/orders?status=all&direction=asc"
    arm(venue, "list_truncate", limit=1)
    assert [len(wire.json("GET", listing)) for _ in range(2)] == [1, 3]
    arm(venue, "list_empty")
    assert [len(wire.json("GET", listing)) for _ in range(2)] == [0, 3]
    wire.submit("filled")
    arm(venue, "stale_order", client_order_id="filled", versions=2)
    assert [wire.status_of("filled") for _ in range(2)] == ["pending_new", "filled"]
    for n in range(3):
        wire.submit(f"f{n}")
    first = wire.json("GET", "/v2/account/activities?page_size=2")
    following = f"/v2/account/activities?page_size=2&page_token={first[-1]['id']}"
    second = wire.json("GET", following)
    assert {row["id"] for row in first} & {row["id"] for row in second} == set()
    arm(venue, "list_page_repeat", count=0)
    assert wire.json("GET", following) == first
    bars = "/v2/stocks/bars?symbols=AAPL&timeframe=1Day&start=2013-01-02&end=2013-01-31&limit=5"
    page = wire.json("GET", bars)
    again = wire.json("GET", f"{bars}&page_token={page['next_page_token']}")
    assert (again["bars"], bool(again["next_page_token"])) == (page["bars"], True)


def test_reads_lag_by_a_number_of_reads_or_by_time(wire: Wire, venue: VenueHands) -> None:
    venue.ask("POST", "/_/lag", reads=3)
    wire.submit("late")
    assert wire.found("late")[0] == 404
    assert wire.json("GET", "/v2/positions") == []
    assert wire.json("GET", "/v2/account")["cash"] == "100000"
    assert wire.found("late")[0] == 200
    venue.ask("POST", "/_/lag", ms=60_000)
    wire.submit("later")
    assert wire.found("later")[0] == 404
    assert len(wire.json("GET", "/v2/account/activities/FILL")) == 1
    venue.ask("POST", "/_/lag")
    assert wire.found("later")[0] == 200


@pytest.mark.parametrize(
    ("fault", "answer", "status", "filled"),
    [("cancel_204_then_fill", 204, "filled", "2"), ("cancel_422_filled", 422, "filled", "2"),
     ("cancel_stuck_pending", 204, "pending_cancel", "0"), ("cancel_lost", 204, "new", "0")],
)  # fmt: skip
def test_a_cancel_goes_wrong(
    fault: str, answer: int, status: str, filled: str, wire: Wire, venue: VenueHands
) -> None:
    order = wire.resting("c")
    arm(venue, fault)
    assert wire.ask("DELETE", f"/v2/orders/{order['id']}")[0] == answer
    found = wire.json("GET", f"/v2/orders/{order['id']}")
    assert (found["status"], found["filled_qty"]) == (status, filled)
    if fault == "cancel_stuck_pending":
        assert venue.ledger()["account"]["buying_power"] == "99800"  # it is live: its hold stands
        venue.quote("AAPL", 99, 99.5)
        assert wire.status_of("c") == "filled"


def test_a_stuck_cancel_is_released_and_an_ended_order_can_be_cancelled_again(
    wire: Wire, venue: VenueHands
) -> None:
    order = wire.resting("c")
    arm(venue, "cancel_stuck_pending")
    wire.ask("DELETE", f"/v2/orders/{order['id']}")
    venue.ask("POST", "/_/release", client_order_id="c")
    assert wire.status_of("c") == "canceled"
    arm(venue, "cancel_204_on_filled")
    assert [wire.ask("DELETE", f"/v2/orders/{order['id']}")[0] for _ in range(2)] == [204, 422]


def test_a_fill_can_win_against_a_replacement_whose_answer_can_be_lost(wire: Wire, venue: VenueHands) -> None:
    order = wire.resting("old")
    arm(venue, "replace_fill_wins")
    status, _ = wire.ask("PATCH", f"/v2/orders/{order['id']}", {"qty": "3", "client_order_id": "new"})
    assert (status, wire.status_of("old"), wire.status_of("new")) == (200, "filled", "rejected")
    order = wire.resting("old2")
    arm(venue, "accept_then_504_html", endpoint="PATCH /v2/orders/{id}")
    status, _ = wire.ask("PATCH", f"/v2/orders/{order['id']}", {"qty": "3", "client_order_id": "new2"})
    assert (status, wire.status_of("old2"), wire.status_of("new2")) == (504, "replaced", "new")


def test_bodies_in_shapes_that_nobody_promised(wire: Wire, venue: VenueHands) -> None:
    wire.resting("shape")
    arm(venue, "number_instead_of_string")
    assert wire.json("GET", "/v2/account")["cash"] == 100000.0
    arm(venue, "extra_fields")
    assert "brand_new_field" in wire.json("GET", "/v2/account")
    arm(venue, "missing_fields", fields=["status", "trading_blocked"])
    assert {"status", "trading_blocked"} & set(wire.json("GET", "/v2/account")) == set()
    arm(venue, "null_fields", fields=["trading_blocked"])
    assert wire.json("GET", "/v2/account")["trading_blocked"] is None
    arm(venue, "null_array", count=2)
    assert wire.json("GET", "/v2/orders") is None
    latest = "/v2/stocks/quotes/latest?symbols=AAPL"
    assert wire.json("GET", latest) == {"quotes": None}
    arm(venue, "unknown_status", endpoint="GET /v2/orders*")
    assert wire.status_of("shape") == "quantum_superposition"
    assert wire.status_of("shape") == "new"


def test_partial_fills_follow_a_script(wire: Wire, venue: VenueHands) -> None:
    venue.ask("POST", "/_/partial", client_order_id="p", shares=[3, 0, 4])
    wire.submit("p", qty="10")

    def filled() -> str:
        return str(json.loads(wire.found("p")[1])["filled_qty"])

    assert filled() == "3"
    venue.quote("AAPL", 450, 450.1)
    assert filled() == "3"
    venue.quote("AAPL", 460, 460.1)
    assert filled() == "7"
    venue.quote("AAPL", 461, 461.1)
    assert filled() == "7"  # the script is at its end: it rests until it is released
    venue.ask("POST", "/_/release", client_order_id="p")
    rows = wire.json("GET", "/v2/account/activities/FILL?direction=asc")
    assert [(row["qty"], row["cum_qty"], row["leaves_qty"], row["type"]) for row in rows] == [
        ("3", "3", "7", "partial_fill"), ("4", "7", "3", "partial_fill"), ("3", "10", "0", "fill")
    ]  # fmt: skip


def test_fills_busts_halts_flags_and_time_are_in_the_operators_hands(wire: Wire, venue: VenueHands) -> None:
    wire.resting("x")
    venue.ask("POST", "/_/fill", client_order_id="x", shares=1, price=99)
    assert wire.status_of("x") == "partially_filled"
    venue.ask("POST", "/_/bust", client_order_id="x", price="98")
    assert wire.json("GET", "/v2/account")["cash"] == "99902"
    venue.ask("POST", "/_/bust", client_order_id="x")
    assert wire.json("GET", "/v2/positions") == []
    venue.ask("POST", "/_/reject", client_order_id="x")
    assert wire.status_of("x") == "rejected"
    venue.ask("POST", "/_/halt", symbol="AAPL")
    wire.submit("halted")
    assert wire.status_of("halted") == "new"
    venue.ask("POST", "/_/account", trading_blocked=True)
    assert wire.submit("blocked")[0] == 403
    venue.ask("POST", "/_/account", trading_blocked=None)
    assert wire.json("GET", "/v2/account")["trading_blocked"] is None
    venue.ask("POST", "/_/asset", symbol="IBM", tradable=False)
    assert wire.json("GET", "/v2/assets/IBM")["tradable"] is False
    assert "not tradable" in wire.submit("barred", symbol="IBM")[1]
    venue.ask("POST", "/_/clock", skew_seconds=-3600)
    assert wire.json("GET", "/v2/clock")["timestamp"].startswith("2013-02-01T09:00:00")
    venue.ask("POST", "/_/clock", skew_seconds=0)
    latest = "/v2/stocks/quotes/latest?symbols=AAPL"
    for frozen, stamp in ((False, "2013-02-01T15:01:00Z"), (True, "2013-02-01T14:30:00Z")):
        venue.ask("POST", "/_/clock", freeze_quotes=frozen)
        venue.advance(to="2013-02-01T15:01:00Z")
        assert wire.json("GET", latest)["quotes"]["AAPL"]["t"] == stamp
    early = venue.ask("POST", "/_/early_close", minutes=5)
    assert early["close"].startswith("2013-02-01T15:06:00")
    venue.advance(seconds=301)
    assert wire.json("GET", "/v2/clock")["is_open"] is False
    (day,) = wire.json("GET", "/v2/calendar?start=2013-02-01&end=2013-02-01")
    assert day["close"] == "16:00"
    assert wire.status_of("halted") == "expired"
    venue.ask("POST", "/_/corporate", kind="rename", symbol="AAPL", to="APPL")
    before = wire.json("GET", "/v2/assets/AAPL")["id"]
    venue.advance(to="open")
    assert wire.json("GET", "/v2/assets/APPL")["id"] == before
    assert wire.ask("GET", "/v2/assets/AAPL")[0] == 404


# --- the stream ------------------------------------------------------------------------------------


class Stream:
    """A bare client of the trade updates."""

    def __init__(self, venue: VenueHands, socket: ClientConnection) -> None:
        self.venue, self.socket = venue, socket

    def say(self, message: dict[str, Any]) -> Any:
        self.socket.send(json.dumps(message))
        return self.next()

    def next(self, timeout: float = 2.0) -> Any:
        """The next frame, or None when there is none in time."""
        try:
            frame = self.socket.recv(timeout=timeout)
        except TimeoutError:
            return None
        assert isinstance(frame, bytes), "Alpaca sends JSON in binary frames"
        return json.loads(frame)

    def log_in(self, secret: str = "") -> Any:
        data = {"key_id": self.venue.key, "secret_key": secret or self.venue.secret}
        return self.say({"action": "authenticate", "data": data})

    def listen(self) -> Any:
        return self.say({"action": "listen", "data": {"streams": ["trade_updates"]}})

    def events(self, count: int) -> list[str]:
        return [str(self.next()["data"]["event"]) for _ in range(count)]


@contextlib.contextmanager
def stream_of(venue: VenueHands, *, ready: bool = True) -> Iterator[Stream]:
    with connect(venue.stream, proxy=None, close_timeout=0.2, ping_interval=None) as socket:
        stream = Stream(venue, socket)
        if ready:
            assert stream.log_in()["data"]["status"] == "authorized"
            assert stream.listen()["data"]["streams"] == ["trade_updates"]
        yield stream


def test_authentication_and_its_faults(venue: VenueHands) -> None:
    with stream_of(venue, ready=False) as stream:
        assert stream.log_in("wrong")["data"]["status"] == "unauthorized"
        stream.socket.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}}))
        assert stream.next(0.2) is None
    arm(venue, "ws_refuse_auth")
    with stream_of(venue, ready=False) as stream:
        assert stream.log_in()["data"]["status"] == "unauthorized"
    arm(venue, "ws_empty_ack")
    with stream_of(venue, ready=False) as stream:
        stream.log_in()
        assert stream.listen()["data"]["streams"] == []
    arm(venue, "ws_never_answer_auth")
    with stream_of(venue, ready=False) as stream:
        stream.socket.send(json.dumps({"action": "authenticate", "data": {}}))
        assert stream.next(0.3) is None
    with stream_of(venue):
        assert venue.state()["listeners"] == 1


@pytest.mark.parametrize("action", sorted(STREAM_ACTIONS))
def test_streams_end_or_fall_silent(action: str, wire: Wire, venue: VenueHands) -> None:
    with stream_of(venue) as stream:
        if action == "unmute":
            venue.ask("POST", "/_/stream", action="mute")
        assert venue.ask("POST", "/_/stream", action=action) == {"streams": 1}
        wire.submit("s")
        if action in ("drop", "close_1011"):
            with pytest.raises(ConnectionClosed) as ended:
                stream.next()
            assert (ended.value.rcvd.code if ended.value.rcvd else None) == (
                1011 if action == "close_1011" else None
            )
        elif action == "unmute":
            assert stream.events(3) == ["pending_new", "new", "fill"]
        else:
            assert stream.next(0.2) is None
            pong = stream.socket.ping()
            assert pong.wait(0.5) is (action == "mute")


def test_a_second_connection_can_end_the_first(venue: VenueHands) -> None:
    with stream_of(venue) as first:
        arm(venue, "ws_second_connection_kicks_first")
        with stream_of(venue), pytest.raises(ConnectionClosed):
            first.next()


@pytest.mark.parametrize(
    ("fault", "scope", "expected"),
    [
        ("event_drop", {"event": "new"}, ["pending_new", "fill"]),
        ("event_duplicate", {"event": "fill"}, ["pending_new", "new", "fill", "fill"]),
        ("event_reorder", {"event": "new"}, ["pending_new", "fill", "new"]),
        ("event_delay", {"event": "new", "ms": 150}, ["pending_new", "fill", "new"]),
        ("event_unknown_event", {"event": "new"}, ["pending_new", "teleported", "fill"]),
    ],
)
def test_events_come_late_twice_never_or_in_the_wrong_order(
    fault: str, scope: dict[str, Any], expected: list[str], wire: Wire, venue: VenueHands
) -> None:
    arm(venue, fault, **scope)
    with stream_of(venue) as stream:
        wire.submit("e")
        assert stream.events(len(expected)) == expected
        assert stream.next(0.1) is None


def test_events_that_cannot_be_read(wire: Wire, venue: VenueHands) -> None:
    arm(venue, "event_unknown_status", event="fill")
    arm(venue, "event_malformed", event="new")
    with stream_of(venue) as stream:
        wire.submit("e")
        assert stream.next()["data"]["event"] == "pending_new"
        with pytest.raises(ValueError, match="Expecting"):
            stream.next()
        assert stream.next()["data"]["order"]["status"] == "quantum_superposition"


def test_the_stream_can_be_faster_than_the_answer(wire: Wire, venue: VenueHands) -> None:
    arm(venue, "event_before_http", ms=300)
    with stream_of(venue) as stream:
        assert wire.ask("POST", "/v2/orders", wire.order("f"), timeout=0.15) == "ReadTimeout"
        assert stream.events(3) == ["pending_new", "new", "fill"]


# --- unknown traffic, bad requests, oracles --------------------------------------------------------


def test_unknown_endpoints_are_404_and_a_finding(wire: Wire, venue: VenueHands) -> None:
    for method, path in (("GET", "/v2/nothing"), ("POST", "/v2/account"), ("GET", "/v2/v2/clock")):
        status, text = wire.ask(method, path)
        assert (status, json.loads(text)) == (404, {"message": "endpoint not found."})
    assert len(venue.ask("GET", "/_/findings")["unknown_endpoints"]) == 3
    assert len(venue.oracle()) == 3


def test_wrong_keys_reach_nothing_and_no_key_is_logged(wire: Wire, venue: VenueHands) -> None:
    wire.headers = {"APCA-API-KEY-ID": venue.key, "APCA-API-SECRET-KEY": "wrong"}
    assert wire.submit("w")[0] == 401
    wire.headers = {}
    assert wire.ask("GET", "/v2/account")[0] == 401
    log = json.dumps(venue.requests())
    assert venue.secret not in log
    assert venue.key not in log
    assert venue.ledger()["orders"] == []


def test_the_oracles_name_each_broken_invariant(wire: Wire, venue: VenueHands) -> None:
    wire.submit("mine")
    (fill,) = venue.ledger()["activities"]
    good = {"client_order_id": "mine", "qty": fill["qty"], "price": fill["price"]}
    intents = {"mine": {"status": "filled", "symbol": "AAPL"}}
    assert venue.oracle(intents=intents, fills=[good], halted=[], requests_per_minute=10) == []
    (lost,) = venue.oracle(fills=[])
    assert "not in the client's books" in lost
    (twice,) = venue.oracle(fills=[good, good])
    assert "never happened" in twice
    (stranger,) = venue.oracle(intents={})
    assert "in no journal" in stranger
    (wrong,) = venue.oracle(intents={"mine": {"status": "canceled", "symbol": "AAPL"}})
    assert "believed canceled and is filled" in wrong
    (free,) = venue.oracle(
        intents=intents | {"gone": {"status": "UNKNOWN", "symbol": "IBM", "frozen": False}}
    )
    assert "not frozen" in free
    assert (
        venue.oracle(intents=intents | {"gone": {"status": "UNKNOWN", "symbol": "IBM", "frozen": True}}) == []
    )
    (ghost,) = venue.oracle(intents=intents | {"ghost": {"status": "filled", "symbol": "IBM"}})
    assert "never reached the venue" in ghost
    now = venue.state()["now_ns"]
    (late,) = venue.oracle(intents=intents, halted=[[now - 10**9, now + 10**9]])
    assert "while halted" in late
    assert venue.oracle(requests_per_minute=0) != []
    (leak,) = venue.oracle(secrets=["hush"], texts=["a hush in a log"])
    assert "secret" in leak


def test_admin_explains_itself_and_refuses_in_words(venue: VenueHands) -> None:
    about = venue.ask("GET", "/_/")
    assert set(KNOBS) <= set(about["faults"])
    assert {name for name, text in about["endpoints"].items() if not text} == set()
    for body in ({"fault": "nonsense"}, {}):
        answer = requests.post(venue.addresses["admin"] + "/_/fault", json=body, timeout=5)
        assert answer.status_code == 422
        assert "accept_then_timeout" in answer.json()["next_step"]
    answer = requests.post(venue.addresses["admin"] + "/_/quote", data="{", timeout=5)
    assert answer.status_code == 422


def test_every_fault_was_tested() -> None:
    """Runs last in this file; alone, or in part, it has nothing to judge."""
    whole = {f"{when}_{what}" for when in ("accept_then", "before_accept") for what in TROUBLES}
    if len(TESTED & whole) < len(whole):
        pytest.skip("only part of this file ran")
    assert set(KNOBS) - TESTED == set()
