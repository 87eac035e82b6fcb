"""The fault matrix: what can go wrong between an order path and its venue, and what must come of it.

Numbers are those of the order path's thirty-five scenarios; a letter tells apart several faults of one.
Every scenario runs over real sockets; at its end the venue's oracles and our own are asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from alpaca.trading.client import TradingClient

from tests.support.order_line import ACCOUNT, SESSION, Line, S, calendar
from tests.support.wire import wait_for
from workbench.adapters.alpaca_broker.transport import Answer, harden
from workbench.core.orders import OrderState
from workbench.core.types import NANO, Side
from workbench.errors import (
    ConfigError,
    JournalConflict,
    LeaseLost,
    OutcomeUnknown,
    StorageFailed,
    TradingHalted,
)
from workbench.services.preflight import MAX_CLOCK_SKEW_NS


@dataclass(frozen=True)
class Scenario:
    """One row of the matrix; `run` plays it and returns what was observed."""

    number: str
    title: str
    fault: str
    run: Callable[[Line], str]
    options: tuple[tuple[str, Any], ...] = ()


SCENARIOS: list[Scenario] = []


def scenario(number: str, title: str, fault: str, **more: Any) -> Callable[[Callable[[Line], str]], Any]:
    def add(run: Callable[[Line], str]) -> Callable[[Line], str]:
        SCENARIOS.append(Scenario(number, title, fault, run, **more))
        return run

    return add


# --- crashes ---------------------------------------------------------------------------------------


@scenario("A1a", "death after the intent, before the request", "process dies before POST")
def _(line: Line) -> str:
    key = line.intend()
    with line.dying(after=False):
        line.oms.send(key)
    before = line.state(key)
    line.oms.recover()
    assert line.state(key) is S.UNKNOWN
    assert line.resender.proceed() == 1
    return f"{before}, UNKNOWN, then {line.state(key)} under the same id"


@scenario("A1b", "the same, and the intent's life is over", "process dies before POST; next day")
def _(line: Line) -> str:
    key = line.intend()
    with line.dying(after=False):
        line.oms.send(key)
    line.clock.sleep_until(calendar().session_open_ns("2013-02-04"))
    assert line.resender.proceed() == 0
    line.oms.recover()
    line.oms.sweep(
        close_ns=calendar().session_close_ns,
        next_open_ns=lambda day: calendar().session_open_ns(calendar().next_session(day)),
    )
    assert line.posts() == 0
    return str(line.state(key))


@scenario("A2", "death after the request, before the answer is stored", "process dies after POST")
def _(line: Line) -> str:
    key = line.intend()
    with line.dying(after=True):
        line.oms.send(key)
    before = line.state(key)
    line.oms.recover()
    assert line.posts() == 1
    return f"{before}, then {line.state(key)} by look-up"


# --- answers that prove nothing --------------------------------------------------------------------


def _lost_answer(fault: str) -> Callable[[Line], str]:
    def run(line: Line) -> str:
        line.arm(f"accept_then_{fault}", bytes=40_000_000, ms=40)
        key = line.send()
        assert wait_for(lambda: line.posts() == 1)  # a dripping answer is logged when the client has left
        return f"{line.state(key)} by look-up"

    return run


for _number, _fault, _title in (
    ("A3", "timeout", "no answer in time after the venue accepted"),
    ("A4a", "504_html", "gateway time-out page after the venue accepted"),
    ("A4b", "502_html", "bad gateway page after the venue accepted"),
    ("A5", "500_json", "server error after the venue accepted"),
    ("A6a", "malformed", "a body that is no JSON"),
    ("A6b", "truncated", "a body shorter than announced"),
    ("A6c", "empty200", "200 without a body"),
    ("A6d", "html200", "200 with a page"),
    ("A6e", "reset", "connection reset after the venue accepted"),
    ("A6f", "close", "connection closed without an answer"),
    ("A6g", "302", "redirect after the venue accepted"),
    ("A6h", "slow_drip", "an answer byte by byte"),
    ("A6i", "huge", "a body of forty megabytes"),
):
    SCENARIOS.append(Scenario(_number, _title, f"accept_then_{_fault}", _lost_answer(_fault)))


def _never_arrived(fault: str) -> Callable[[Line], str]:
    def run(line: Line) -> str:
        line.arm(f"before_accept_{fault}")
        key = line.send()
        before = line.state(key)
        assert line.resender.proceed() == 1
        return f"{before}, then {line.state(key)} under the same id"

    return run


for _number, _fault in (("A3-", "timeout"), ("A4-", "504_html"), ("A5-", "500_json"), ("A6-", "reset")):
    SCENARIOS.append(
        Scenario(
            _number,
            "the same, and the order never arrived",
            f"before_accept_{_fault}",
            _never_arrived(_fault),
        )
    )


@scenario("A3+", "the answer is lost and look-ups lag", "accept_then_504_html, by_client_id_404 x 2")
def _(line: Line) -> str:
    line.arm("accept_then_504_html")
    line.arm("by_client_id_404", count=2)
    key = line.send()
    before = line.state(key)
    line.resender.proceed()  # the look-up says no once more, the same id goes out again and is refused
    assert line.posts() == 2
    return f"{before}, the repeat is refused as a duplicate, {line.state(key)} by look-up"


@scenario("A7", "an answer with a status that nobody knows", "unknown_status")
def _(line: Line) -> str:
    line.arm("unknown_status", endpoint="POST /v2/orders", status="teleported")
    key = line.send()
    assert line.oms.unresolved()
    try:
        line.send("slice 2")
    except JournalConflict:
        return f"{line.state(key)}, symbol frozen"
    raise AssertionError("a second order of a frozen symbol was possible")


# --- ids and leases --------------------------------------------------------------------------------


@scenario("A8a", "a fresh id is taken by the same order", "another instance sent it first")
def _(line: Line) -> str:
    line.broker.submit(line.intent())
    key = line.send()
    return f"{line.state(key)}: same terms, adopted"


@scenario("A8b", "a fresh id is taken by another order", "another instance sent other terms")
def _(line: Line) -> str:
    line.broker.submit(line.intent(quantity_nano=3 * NANO))
    key = line.send()
    assert line.halts
    return f"{line.state(key)}, account halted"


@scenario("A8c", "409 instead of 422 for a taken id", "duplicate_409")
def _(line: Line) -> str:
    line.broker.submit(line.intent())
    line.arm("duplicate_409")
    return f"{line.state(line.send())}: same terms, adopted"


def _takes_over(line: Line) -> None:
    """Another process takes the lease and sends everything."""
    mine = line.lease
    line.journal.release_lease(mine)
    line.lease = line.journal.acquire_lease(ACCOUNT, "host:boot:2:2", ttl_ns=3_600 * NANO)
    old = line.oms
    line.restart()
    for order in line.oms.orders.values():
        if order.state is S.INTENDED:
            line.oms.send(order.intent.client_order_id)
    line.lease = mine
    line.oms = old


@scenario("A9", "two processes with one intent", "a second process holds the lease")
def _(line: Line) -> str:
    key = line.intend()
    try:
        line.journal.acquire_lease(ACCOUNT, "host:boot:2:2", ttl_ns=NANO)
        raise AssertionError("two leases at once")
    except LeaseLost:
        pass
    _takes_over(line)
    try:
        line.oms.send(key)
        raise AssertionError("the loser sent")
    except LeaseLost:
        pass
    line.lease = line.journal.acquire_lease(ACCOUNT, "host:boot:2:2", ttl_ns=NANO)
    line.restart()
    return f"{line.state(key)}; the loser is refused before its request"


@scenario("A10a", "the lease is lost between the last check and the write-ahead", "pause of the holder")
def _(line: Line) -> str:
    key = line.intend()

    def pause(order: Any) -> tuple[str, ...]:
        line.gate = lambda order: ()
        _takes_over(line)
        return ()

    line.gate = pause
    try:
        line.oms.send(key)
        raise AssertionError("the late holder sent")
    except LeaseLost:
        pass
    assert line.posts() == 1
    line.lease = line.journal.acquire_lease(ACCOUNT, "host:boot:2:2", ttl_ns=NANO)
    line.restart()
    return f"{line.state(key)}; the late holder is refused by the database"


@scenario("A10b", "the lease is lost after the write-ahead, before the request", "pause of the holder")
def _(line: Line) -> str:
    submit = line.broker.submit

    def paused(intent: Any) -> Any:
        line.broker.submit = submit  # type: ignore[method-assign]
        submit(intent)  # the other process has recovered it under the same id meanwhile
        return submit(intent)

    line.broker.submit = paused  # type: ignore[method-assign]
    key = line.send()
    assert line.posts() == 2
    return f"{line.state(key)}: the late request is refused as a duplicate"


@scenario("A10c", "the lease is lost, and the late holder decides something new", "pause of the holder")
def _(line: Line) -> str:
    key = line.intend()
    _takes_over(line)
    try:
        line.send(symbol="IBM", limit_micro=150_000_000)
        raise AssertionError("the late holder sent")
    except LeaseLost:
        pass
    line.lease = line.journal.acquire_lease(ACCOUNT, "host:boot:2:2", ttl_ns=NANO)
    line.restart()
    return f"{line.state(key)}; the new order was never journalled, so never sent"


# --- the pace --------------------------------------------------------------------------------------


@scenario("A11", "too many requests on submit", "429")
def _(line: Line) -> str:
    line.arm("429", endpoint="POST /v2/orders", headers=False)
    key = line.send()
    before = line.state(key)
    assert line.resender.proceed() == 1
    return f"{before}, then {line.state(key)} under the same id"


@scenario("A12", "a storm of 429 on every read", "429 on every GET")
def _(line: Line) -> str:
    key = line.send()
    for endpoint in ("GET /v2/account*", "GET /v2/orders", "GET /v2/positions"):
        line.arm("429", endpoint=endpoint, count=0)
    listening = line.listening(None, silence_s=1e-9)
    assert listening.poll() == 0
    assert line.halts
    cancelled = line.oms.cancel(key, reason="a person")
    line.hands.clear_faults()
    line.poll()
    return f"halted after silence; a cancel still goes out: {cancelled.state}, {line.state(key)}"


@scenario("A13", "keys revoked in mid-session", "401")
def _(line: Line) -> str:
    line.arm("401", endpoint="*", count=0)
    key = line.send()
    asked = len(line.hands.requests())
    breaks = line.reconcile()
    assert breaks
    assert line.halts
    assert len(line.hands.requests()) == asked
    return f"{line.state(key)}, account halted ({breaks[0].kind}), no further request"


# --- refusals --------------------------------------------------------------------------------------


def _refused(words: str, **change: Any) -> Callable[[Line], str]:
    def run(line: Line) -> str:
        key = line.send(**change)
        order = line.oms.orders[key]
        assert words in order.reason, order.reason
        return f"{order.state}: {words}"

    return run


SCENARIOS += [
    Scenario("A14a", "not enough buying power", "a dear order",
             _refused("insufficient buying power", quantity_nano=10_000 * NANO)),
    Scenario("A14b", "a short sale", "a sale of nothing held",
             _refused("cannot be sold short", side=Side.SELL, limit_micro=500_000_000)),
]  # fmt: skip


@scenario("A14c", "more sold than is held", "two sales of one holding")
def _(line: Line) -> str:
    line.market_buy()
    line.poll()
    key = line.send("flatten", side=Side.SELL, quantity_nano=11 * NANO, limit_micro=500_000_000)
    assert "insufficient qty" in line.oms.orders[key].reason
    return f"{line.state(key)}: insufficient qty available for order"


@scenario("A14d", "a wash trade against our own order", "403 40310000")
def _(line: Line) -> str:
    words = "potential wash trade detected. use complex orders"
    line.arm("403", endpoint="POST /v2/orders", code=40310000, message=words)
    return f"{line.state(line.send())}: potential wash trade detected"


@scenario("A14e", "a refusal in words that nobody knows", "403 40310000")
def _(line: Line) -> str:
    line.arm("403", endpoint="POST /v2/orders", code=40310000, message="a rule that came in yesterday")
    key = line.send()
    assert line.oms.unresolved()
    return f"{line.state(key)}, symbol frozen"


@scenario("A15", "accepted, and rejected later", "reject_after_accept")
def _(line: Line) -> str:
    line.arm("reject_after_accept", reason="halted by the exchange")
    key = line.send()
    before = line.state(key)
    line.poll()
    return f"{before}, then {line.state(key)}; exposure released once"


# --- the stream ------------------------------------------------------------------------------------


@scenario("A16", "the stream tells of a fill before the answer comes", "event_before_http")
def _(line: Line) -> str:
    stream = line.listen()
    assert wait_for(lambda: stream.generation == 1)
    line.arm("event_before_http", ms=80)
    key = line.market_buy()
    assert wait_for(lambda: len(stream._hints) > 1)
    assert {hint.client_order_id for hint in stream.take()} == {key}
    line.poll()
    line.poll()
    return f"{line.state(key)}, booked once"


def _odd_events(*faults: str) -> Callable[[Line], str]:
    def run(line: Line) -> str:
        stream = line.listen()
        assert wait_for(lambda: stream.generation == 1)
        for fault in faults:
            line.arm(fault, count=0)
        key = line.market_buy()
        assert wait_for(lambda: len(stream._hints) > 0)
        line.poll()
        line.poll()
        assert len(line.journal.rows("fills", account=ACCOUNT)) == 1
        return f"{line.state(key)}, one execution booked"

    return run


SCENARIOS += [
    Scenario("A17", "every event comes twice", "event_duplicate", _odd_events("event_duplicate")),
    Scenario("A18a", "events out of order", "event_reorder", _odd_events("event_reorder")),
    Scenario("A18b", "events of an unknown kind", "event_unknown_event", _odd_events("event_unknown_event")),
    Scenario("A21a", "frames that are no JSON", "event_malformed", _odd_events("event_malformed")),
    Scenario("A21b", "an event with an unknown order status", "event_unknown_status",
             _odd_events("event_unknown_status")),
]  # fmt: skip


@scenario("A19a", "events are lost in a gap of the socket", "stream dropped; fill meanwhile")
def _(line: Line) -> str:
    stream = line.listen(backoff_s=(0.2,))
    listening = line.listening(stream)
    assert wait_for(lambda: stream.generation == 1)
    listening.catch_up()
    key = line.send()
    line.hands.ask("POST", "/_/stream", action="drop")
    assert wait_for(lambda: "down" in stream.trouble())
    line.hands.quote("AAPL", 399.0, 399.5)
    assert wait_for(lambda: stream.generation == 2)
    assert line.state(key) is S.ACCEPTED
    listening.catch_up()
    assert stream.trouble() == ""
    return f"{line.state(key)} by reconciliation before the next order"


@scenario("A19b", "a foreign order in a gap of the socket", "stream dropped; an order by hand meanwhile")
def _(line: Line) -> str:
    stream = line.listen()
    listening = line.listening(stream)
    assert wait_for(lambda: stream.generation == 1)
    _by_hand(line)
    try:
        listening.catch_up()
    except TradingHalted:
        return "halted before the next order"
    raise AssertionError("the gap was not reconciled")


@scenario("A19c", "the socket drops between two requests of a batch", "stream dropped by the first request")
def _(line: Line) -> str:
    stream = line.listen()
    listening = line.listening(stream)
    assert wait_for(lambda: stream.generation == 1)
    listening.catch_up()
    first, second = line.intend(), line.intend(symbol="MSFT", limit_micro=20_000_000)
    submit = line.broker.submit

    def drops_the_stream(intent: Any) -> Any:
        line.hands.ask("POST", "/_/stream", action="drop")
        assert wait_for(lambda: stream.generation == 2)
        return submit(intent)

    line.broker.submit = drops_the_stream  # type: ignore[method-assign]
    line.oms.send_many((first, second))
    line.broker.submit = submit  # type: ignore[method-assign]
    assert (line.state(first), line.state(second), line.posts()) == (S.ACCEPTED, S.NOT_ACCEPTED, 1)
    assert line.resender.proceed(listening.catch_up) == 1
    assert not line.halts, "what never left was missed in the venue's list"
    return f"{line.state(second)}, after the account was reconciled"


def _silent(fault: str) -> Callable[[Line], str]:
    def run(line: Line) -> str:
        line.arm(fault, count=0)
        stream = line.listen(answer_s=0.1)
        listening = line.listening(stream, silence_s=0.05)
        assert wait_for(lambda: "down" in stream.trouble())
        assert wait_for(lambda: stream.silent_s() > 0.05)
        try:
            listening.catch_up()
        except TradingHalted:
            assert line.halts
            return "halted: nothing new is sent"
        raise AssertionError("a silent stream was trusted")

    return run


for _number, _fault, _title in (
    ("A20a", "ws_refuse_auth", "the stream refuses the login"),
    ("A20b", "ws_never_answer_auth", "the stream never answers the login"),
    ("A20c", "ws_empty_ack", "the stream listens to nothing"),
):
    SCENARIOS.append(Scenario(_number, _title, _fault, _silent(_fault)))


@scenario("A20d", "a stream that is connected and mute", "mute")
def _(line: Line) -> str:
    stream = line.listen(lag_s=0.1)
    listening = line.listening(stream)
    assert wait_for(lambda: stream.generation == 1)
    listening.catch_up()
    line.hands.ask("POST", "/_/stream", action="mute")
    line.send()
    assert wait_for(lambda: stream.generation == 2)
    assert "not reconciled" in stream.trouble()
    listening.catch_up()
    return "dropped, connected again, reconciled"


@scenario("A20e", "a stream that is half open", "half_open")
def _(line: Line) -> str:
    stream = line.listen(ping_s=0.1)
    assert wait_for(lambda: stream.generation == 1)
    line.hands.ask("POST", "/_/stream", action="half_open")
    assert wait_for(lambda: stream.generation == 2)
    return "noticed by the ping, connected again"


# --- fills and cancels -----------------------------------------------------------------------------


@scenario("A22", "a partial fill, then the cancel wins", "partial fill of 4 of 10")
def _(line: Line) -> str:
    key = line.intend(limit_micro=470_000_000)
    line.hands.ask("POST", "/_/partial", client_order_id=key, shares=[4])
    line.oms.send(key)
    line.poll()
    before = line.state(key)
    line.oms.cancel(key, reason="test")
    line.poll()
    rest = line.market_buy("remainder 1", quantity_nano=6 * NANO, parent_id=key)
    line.poll()
    assert line.oms.ledger.positions_nano["AAPL"] == 10 * NANO
    assert line.ledger_equal()
    return f"{before}, {line.state(key)} with 4; the remainder {line.state(rest)} under an id of its own"


@scenario("A23", "the cancel was answered, the fill came first", "cancel_204_then_fill")
def _(line: Line) -> str:
    key = line.send()
    line.arm("cancel_204_then_fill")
    before = line.oms.cancel(key, reason="test").state
    line.poll()
    assert line.oms.ledger.positions_nano["AAPL"] == 10 * NANO
    assert line.ledger_equal()
    return f"{before}, then {line.state(key)}; one position"


def _cancel(fault: str, after: OrderState, **scope: Any) -> Callable[[Line], str]:
    def run(line: Line) -> str:
        key = line.send()
        line.arm(fault, **scope)
        line.oms.cancel(key, reason="test")
        line.poll()
        assert line.state(key) is after, line.state(key)
        return f"{after}: only the look-up counts"

    return run


_DELETE = "DELETE /v2/orders/{id}"
SCENARIOS += [
    Scenario("A24a", "the cancel comes too late", "cancel_422_filled",
             _cancel("cancel_422_filled", S.FILLED)),
    Scenario("A24b", "the cancel is lost", "cancel_lost", _cancel("cancel_lost", S.PENDING_CANCEL)),
    Scenario("A24c", "a redirect looks like a cancel", "before_accept_302",
             _cancel("before_accept_302", S.PENDING_CANCEL, endpoint=_DELETE)),
    Scenario("A24d", "the cancel's answer is lost", "accept_then_reset",
             _cancel("accept_then_reset", S.CANCELED, endpoint=_DELETE)),
]  # fmt: skip


@scenario("A25", "a cancel that stays pending", "cancel_stuck_pending")
def _(line: Line) -> str:
    key = line.send()
    line.arm("cancel_stuck_pending")
    line.oms.cancel(key, reason="test")
    line.poll()
    try:
        line.send("remainder 1")
    except JournalConflict:
        assert line.oms.orders[key].leaves_nano == 10 * NANO
        return f"{line.state(key)}: counts as live, nothing replaces it"
    raise AssertionError("a second order beside a pending cancel")


# --- lists, positions, strangers -------------------------------------------------------------------


def _list(fault: str, **scope: Any) -> Callable[[Line], str]:
    def run(line: Line) -> str:
        key = line.send()
        line.arm(fault, count=0, **scope)
        breaks = line.reconcile()
        assert not breaks
        return f"{line.state(key)}: found by its id, absence from a list proves nothing"

    return run


SCENARIOS += [
    Scenario("A26a", "a list that lags behind", "list_empty", _list("list_empty")),
    Scenario("A26b", "a list that is cut", "list_truncate", _list("list_truncate", limit=0)),
]


@scenario("A26c", "a page that repeats for ever", "list_page_repeat", options=(("partial_fills", 0.0),))
def _(line: Line) -> str:
    line.market_buy()
    page = [{"id": f"x-{n}", "activity_type": "FEE"} for n in range(100)]
    line.broker._get = lambda path, fields: Answer(200, page)  # type: ignore[method-assign]
    try:
        line.broker.activities(since_ns=0)
    except OutcomeUnknown:
        del line.broker._get
        line.poll()
        return "no trustworthy list, in a bounded number of requests"
    raise AssertionError("a list without an end was believed")


@scenario("A26d", "neither list nor look-up knows our order", "list_empty, by_client_id_404")
def _(line: Line) -> str:
    key = line.send()
    line.arm("list_empty", count=0)
    line.arm("by_client_id_404", count=0)
    breaks = line.reconcile()
    assert [found.kind for found in breaks] == ["order_not_listed"]
    assert line.halts
    return f"{line.state(key)} is kept; a break, account halted"


def _by_hand(line: Line, **change: Any) -> None:
    body = {"symbol": "IBM", "qty": "5", "side": "buy", "type": "limit", "time_in_force": "day",
            "limit_price": "150", "client_order_id": "by-hand", **change}  # fmt: skip
    line.hands.ask("POST", "/_/order", **body)


@scenario("A27a", "a position that nobody here bought", "a manual trade")
def _(line: Line) -> str:
    _by_hand(line, type="market", limit_price=None)
    kinds = [found.kind for found in line.reconcile()]
    assert "position" in kinds
    assert line.halts
    return f"breaks: {', '.join(sorted(set(kinds)))}; halted, nothing is mended"


@scenario("A27b", "a fee and a deposit", "cash activities")
def _(line: Line) -> str:
    line.hands.ask("POST", "/_/cash", activity="FEE", amount="-1.25")
    line.hands.ask("POST", "/_/cash", activity="CSD", amount="500")
    line.hands.ask("POST", "/_/cash", activity="INT", amount="0.07")
    assert line.reconcile() == ()
    assert line.ledger_equal()
    return "booked by their kind, cash equal to the micro"


@scenario("A27c", "an activity of a type that nobody knows", "cash activity TELEPORT")
def _(line: Line) -> str:
    line.hands.ask("POST", "/_/cash", activity="TELEPORT", amount="12")
    kinds = [found.kind for found in line.reconcile()]
    assert "activity_unknown" in kinds
    return f"breaks: {', '.join(sorted(set(kinds)))}; halted"


@scenario("A28", "an order of somebody else", "an order by hand")
def _(line: Line) -> str:
    _by_hand(line)
    kinds = [found.kind for found in line.reconcile()]
    assert kinds == ["order_foreign"]
    assert line.halts
    assert not [row for row in line.hands.requests() if row["endpoint"].startswith("DELETE")]
    return "break order_foreign; halted, the order is left alone"


# --- clocks, disks, flags --------------------------------------------------------------------------


@scenario("A29a", "the clocks disagree", "clock_skew of 5 s")
def _(line: Line) -> str:
    line.hands.ask("POST", "/_/clock", skew_seconds=5)
    assert abs(line.broker.now_ns() - line.clock.now_ns()) > MAX_CLOCK_SKEW_NS
    return "preflight fails: nothing is sent"


@scenario("A29b", "an order after its session", "session over")
def _(line: Line) -> str:
    line.arm("before_accept_504_html")
    key = line.send()
    line.clock.sleep_until(calendar().session_close_ns(SESSION))
    assert line.resender.proceed() == 0
    return f"{line.state(key)}: not sent again after the close"


class FullDisk:
    """A journal whose disk is full from the n-th commit on."""

    def __init__(self, journal: Any, commits: int) -> None:
        self._journal, self._left = journal, commits

    def commit(self, *args: Any, **kwargs: Any) -> Any:
        self._left -= 1
        if self._left < 0:
            raise StorageFailed("the disk is full")
        return self._journal.commit(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)


def _disk_full(commits: int) -> Callable[[Line], str]:
    def run(line: Line) -> str:
        key = line.intend()
        line.restart(FullDisk(line.journal, commits))
        try:
            line.oms.send(key)
            raise AssertionError("went on without its journal")
        except StorageFailed:
            pass
        posts = line.posts()
        assert posts == commits
        line.restart()
        before = line.state(key)
        line.oms.recover()
        line.resender.proceed()
        return f"{posts} request(s) left; {before}, then {line.state(key)}"

    return run


SCENARIOS += [
    Scenario(
        "A30a", "the disk is full before the request", "StorageFailed at the write-ahead", _disk_full(0)
    ),
    Scenario("A30b", "the disk is full after the request", "StorageFailed at the outcome", _disk_full(1)),
]


@scenario("A31", "an account flag flips or is null", "account flags")
def _(line: Line) -> str:
    for value in (True, None, "false"):
        line.hands.ask("POST", "/_/account", trading_blocked=value)
        assert line.broker.account().blocked
    key = line.send()
    assert line.posts() == 0
    return f"blocked; {line.state(key)}, nothing sent"


@scenario("A32", "the kill switch during a request in flight", "halt while the POST is under way")
def _(line: Line) -> str:
    submit = line.broker.submit
    halted: list[str] = []

    def gate(order: Any) -> tuple[str, ...]:
        if halted:
            raise TradingHalted("halted by a person")
        return ()

    def killed(intent: Any) -> Any:
        halted.append("now")
        return submit(intent)

    line.gate, line.broker.submit = gate, killed  # type: ignore[method-assign]
    key = line.send()
    other = line.intend(symbol="IBM", limit_micro=150_000_000)
    try:
        line.oms.send(other)
        raise AssertionError("sent while halted")
    except TradingHalted:
        pass
    before = line.state(key)
    line.oms.cancel(key, reason="kill switch")
    line.poll()
    assert line.posts() == 1
    return f"{before} is resolved, then {line.state(key)} by its id; the next one stays {line.state(other)}"


@scenario("A33", "the SDK has renamed what makes it safe", "no _retry")
def _(line: Line) -> str:
    client = TradingClient("k", "s", raw_data=True, url_override=line.hands.rest)
    del client._retry
    try:
        harden(client, connect_s=1.0, read_s=1.0)
    except ConfigError:
        return "refuses to start"
    raise AssertionError("an unknown SDK was used")


@scenario("A34", "an asset that is no longer tradable", "asset flags")
def _(line: Line) -> str:
    line.hands.ask("POST", "/_/asset", symbol="AAPL", tradable=False, status="inactive")
    line.broker._assets.clear()
    key = line.send()
    assert line.posts() == 0
    return f"{line.state(key)}: not sent"


@scenario("A35", "a replace race", "none: nothing is ever replaced")
def _(line: Line) -> str:
    key = line.send()
    line.oms.cancel(key, reason="another price")
    line.poll()
    again = line.send("remainder 1", limit_micro=401_000_000, parent_id=key)
    methods = {row["endpoint"].split()[0] for row in line.hands.requests()}
    assert "PATCH" not in methods
    return f"{line.state(key)}, then a new leg {line.state(again)}; no PATCH"
