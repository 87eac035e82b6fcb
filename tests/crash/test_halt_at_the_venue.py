"""`workbench halt` on real sockets: beside a running loop, with foreign orders, faults, and no journal."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.alpaca_world import ServedVenue
from tests.support.kill_world import (
    MANY,
    Loop,
    OrderPath,
    arm,
    desk_at,
    identity,
    intent_of,
    posts_after,
    venue_of_many,
)
from workbench.bootstrap import killing
from workbench.bootstrap.desk import Desk, open_journal
from workbench.bootstrap.killing import HaltOrder, halt
from workbench.bootstrap.permission import book_waiting_halts, desk_supervision
from workbench.config import Settings, load_settings
from workbench.core.orders import OrderState
from workbench.errors import ConfigError, TradingHalted
from workbench.services.supervision import ACTIVE, HALTED

STOP = HaltOrder("ada", "a test of the kill", cancel=True)


@pytest.fixture
def venue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServedVenue]:
    monkeypatch.setenv("WORKBENCH_SECRETS__VENUE_KEY", "")  # set anew by the desk, restored afterwards
    monkeypatch.setenv("WORKBENCH_SECRETS__VENUE_SECRET", "")
    made = venue_of_many(tmp_path)
    yield made
    made.close()


@pytest.fixture
def desk(tmp_path: Path, venue: ServedVenue) -> Settings:
    return desk_at(tmp_path / "desk", venue)


def resting(settings: Settings, count: int, **changes: Any) -> list[str]:
    """Orders of ours that rest at the venue, sent by the order path, whose process has ended since."""
    path = OrderPath(settings)
    for number in range(count):
        limit = changes.get("limits", {}).get(number, 50_000_000)
        path.oms.intend(intent_of(number, limit_micro=limit), "d", ())
    path.send(*range(count))
    path.close()
    return [identity(number) for number in range(count)]


def at_venue(venue: ServedVenue) -> dict[str, str]:
    return {order["client_order_id"]: order["status"] for order in venue.hands.ledger()["orders"]}


def state_of(settings: Settings) -> Any:
    with open_journal(settings, read_only=True) as journal:
        return desk_supervision(settings, journal).permission()


def armed(settings: Settings) -> bool:
    return Desk(settings).paths.armed.exists()


def asked(venue: ServedVenue, endpoint: str) -> list[dict[str, Any]]:
    return [row for row in venue.hands.requests() if row["endpoint"] == endpoint]


# --- beside a loop -------------------------------------------------------------------------------------


def test_beside_a_running_loop_everything_ends_and_nothing_follows(
    desk: Settings, venue: ServedVenue
) -> None:
    loop = Loop(desk, 40)
    report = halt(desk, STOP)
    later = loop.stop()
    assert (report.cancel.way, report.proven, report.journal) == ("all", True, "written")
    assert set(at_venue(venue).values()) == {"canceled"}
    assert len(report.cancel.confirmed) == len(at_venue(venue)) >= 40
    assert posts_after(venue, report.stopped_at_ns) == []
    assert later["refused"] > 0
    assert not armed(desk)
    assert state_of(desk).state == HALTED
    path = OrderPath(desk)  # the next start books what came of it
    path.oms.recover()
    path.oms.poll(since_ns=0)
    ours = {key: order.state for key, order in path.oms.orders.items() if order.sent_at_ns}
    assert {key for key, state in ours.items() if state is OrderState.CANCELED} == set(at_venue(venue))
    with pytest.raises(TradingHalted):
        path.send(len(MANY) - 1)
    path.close()


def test_a_request_whose_last_look_came_before_the_halt_does_not_leave_after_it(
    desk: Settings, venue: ServedVenue
) -> None:
    path = OrderPath(desk)
    path.oms.intend(intent_of(0), "d", ())
    submit = path.link.broker.submit

    def halted_in_between(intent: Any) -> Any:  # the look is over, the request has not left
        Desk(desk).paths.armed.unlink()
        return submit(intent)

    path.link.broker.submit = halted_in_between
    (order,) = path.oms.send_many([identity(0)])
    path.close()
    assert order.state is OrderState.NOT_ACCEPTED
    assert at_venue(venue) == {}


def test_an_order_that_lands_while_the_halt_works_is_found_and_ended(
    desk: Settings, venue: ServedVenue, monkeypatch: pytest.MonkeyPatch
) -> None:
    resting(desk, 3)
    late = identity(9)
    cancel_all = killing.open_for_cancels

    def with_a_straggler(*args: Any) -> Any:
        link = cancel_all(*args)
        send = link.orders.cancel_all

        def then_lands() -> Any:
            answer = send()
            venue.hands.ask("POST", "/_/order", symbol=MANY[9], qty="1", side="buy", type="limit",
                            time_in_force="day", limit_price="50", client_order_id=late)  # fmt: skip
            return answer

        link.orders.cancel_all = then_lands
        return link

    monkeypatch.setattr(killing, "open_for_cancels", with_a_straggler)
    report = halt(desk, STOP)
    assert report.proven
    assert late in report.cancel.confirmed
    assert at_venue(venue)[late] == "canceled"


# --- whose orders --------------------------------------------------------------------------------------


def test_with_a_foreign_order_ours_end_by_id_largest_exposure_first(
    desk: Settings, venue: ServedVenue
) -> None:
    ours = resting(desk, 3, limits={0: 20_000_000, 1: 60_000_000, 2: 40_000_000})
    foreign = venue.hands.ask("POST", "/_/order", symbol=MANY[5], qty="1", side="buy", type="limit",
                              time_in_force="day", limit_price="50")["client_order_id"]  # fmt: skip
    report = halt(desk, STOP)
    assert (report.cancel.way, report.proven, report.cancel.foreign) == ("by id", True, (foreign,))
    assert asked(venue, "DELETE /v2/orders") == []
    ended = [row["client_order_id"] for row in asked(venue, "DELETE /v2/orders/{id}")]
    assert ended == [ours[1], ours[2], ours[0]]
    assert at_venue(venue)[foreign] not in ("canceled", "pending_cancel")


@pytest.mark.parametrize(
    ("level", "target", "gone"),
    [("symbol", MANY[1], {1}), ("order", identity(2), {2}), ("strategy", "", {0, 1, 2})],
)
def test_a_narrower_halt_ends_what_it_names_and_leaves_the_account(
    desk: Settings, venue: ServedVenue, level: str, target: str, gone: set[int]
) -> None:
    resting(desk, 3)
    report = halt(desk, HaltOrder("ada", "test", level, target, cancel=True))
    ended = {key for key, status in at_venue(venue).items() if status == "canceled"}
    assert ended == {identity(number) for number in gone} == set(report.cancel.confirmed)
    assert armed(desk)
    assert state_of(desk).state == ACTIVE


def test_an_account_that_gives_no_answer_is_cancelled_by_id(desk: Settings, venue: ServedVenue) -> None:
    resting(desk, 2)
    venue.hands.fault("503", endpoint="GET /v2/account", count=100)
    report = halt(desk, STOP)
    assert (report.cancel.way, report.proven) == ("by id", True)


def test_keys_of_another_account_cancel_nothing(desk: Settings, venue: ServedVenue) -> None:
    resting(desk, 2)
    text = Path(str(desk.file)).read_text()
    Path(str(desk.file)).write_text(text.replace('account_id = ""', 'account_id = "another"'))
    other = load_settings(str(desk.file))
    report = halt(other, STOP)
    assert not report.proven
    assert "the keys open account" in report.cancel.trouble
    assert {one.client_order_id for one in report.cancel.residuals} == {identity(0), identity(1)}
    assert "canceled" not in at_venue(venue).values()


# --- a venue that lies or fails ------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["cancel_lost", "cancel_stuck_pending"])
def test_an_order_that_does_not_end_is_reported_with_its_exposure(
    desk: Settings, venue: ServedVenue, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.services.killing.STILL_S", 0.2)
    ours = resting(desk, 1)
    venue.hands.fault(fault, count=100)
    report = halt(desk, STOP)
    (left,) = report.cancel.residuals
    assert not report.proven
    assert (left.client_order_id, left.symbol, left.leaves_shares) == (ours[0], MANY[0], 1)
    assert left.exposure_micro == 50_000_000
    with open_journal(desk, read_only=True) as journal:
        assert [row["code"] for row in journal.rows("alerts")] == ["DESK_HALTED", "CANCEL_UNCONFIRMED"]


def test_a_list_that_leaves_orders_out_proves_nothing(
    desk: Settings, venue: ServedVenue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.services.killing.STILL_S", 0.2)
    ours = resting(desk, 2)
    venue.hands.fault("list_empty", count=1_000)
    report = halt(desk, STOP)
    assert set(report.cancel.confirmed) == set(ours)  # looked up one by one, as the journal knows them
    assert set(at_venue(venue).values()) == {"canceled"}


def test_a_venue_without_a_list_leaves_residuals(
    desk: Settings, venue: ServedVenue, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = resting(desk, 2)
    venue.hands.fault("503", endpoint="*", count=10_000)
    monkeypatch.setattr("workbench.services.killing.NO_ROOM_S", 0.01)
    report = halt(desk, STOP)
    assert not report.proven
    assert {one.client_order_id for one in report.cancel.residuals} == set(ours)
    assert report.cancel.trouble


def test_a_filled_order_is_no_cancelled_one(desk: Settings, venue: ServedVenue) -> None:
    ours = resting(desk, 1)
    venue.hands.fault("cancel_204_then_fill", count=1)
    report = halt(desk, STOP)
    assert (report.cancel.confirmed, report.cancel.filled) == (tuple(ours), tuple(ours))


def test_a_venue_that_has_no_room_is_asked_again(desk: Settings, venue: ServedVenue) -> None:
    resting(desk, 2)
    venue.hands.fault("429", endpoint="DELETE /v2/orders", count=1)
    venue.hands.fault("429", endpoint="DELETE /v2/orders/{id}", count=1)
    assert halt(desk, STOP).proven


# --- without the journal -------------------------------------------------------------------------------


def unreadable(settings: Settings) -> None:
    Desk(settings).paths.journal.write_bytes(b"this is no database" * 500)


def unopenable(settings: Settings) -> None:
    Desk(settings).paths.journal.unlink()
    Desk(settings).paths.journal.mkdir()


def gone(settings: Settings) -> None:
    Desk(settings).paths.journal.unlink()


@pytest.mark.parametrize("ruin", [unreadable, unopenable, gone])
def test_with_the_journal_down_the_halt_holds_and_is_journalled_later(
    desk: Settings, venue: ServedVenue, ruin: Any
) -> None:
    ours = resting(desk, 3)
    paths = Desk(desk).paths
    kept = paths.root / "kept"
    shutil.copytree(paths.root, kept, ignore=shutil.ignore_patterns("kept"))
    for log in paths.root.glob("journal.sqlite-*"):
        log.unlink()
    ruin(desk)
    report = halt(desk, STOP)
    assert not armed(desk)
    assert set(report.cancel.confirmed) == set(ours)
    assert set(at_venue(venue).values()) == {"canceled"}
    assert (report.journal, report.proven) == ("spooled", True)
    (record,) = paths.spool.glob("*.json")
    assert json.loads(record.read_text())["report"]["confirmed"] == sorted(ours)

    if paths.journal.is_dir():  # the database is back
        paths.journal.rmdir()
    for file in kept.glob("journal.sqlite*"):
        shutil.copy(file, paths.root / file.name)
    with open_journal(desk, read_only=False) as journal:
        assert book_waiting_halts(desk, journal) == 1
        permission = desk_supervision(desk, journal).permission()
        assert permission.state == HALTED
        assert "a test of the kill" in permission.reason
        (event,) = journal.events(kinds=("halt.carried_out",))
        assert event.payload["report"]["confirmed"] == sorted(ours)
        assert list(paths.spool.glob("*.json")) == []
        record.write_text("[]")  # what cannot be read is a halt whose words are lost
        assert book_waiting_halts(desk, journal) == 1
        assert "its words are lost" in desk_supervision(desk, journal).permission().reason
        assert list(paths.spool.glob("*.unreadable"))


def test_a_record_that_was_booked_before_its_file_went_is_not_booked_twice(
    desk: Settings, venue: ServedVenue
) -> None:
    unopened = Desk(desk).paths.journal
    moved = unopened.rename(unopened.with_name("elsewhere"))
    halt(desk, STOP)
    moved.rename(unopened)
    (record,) = Desk(desk).paths.spool.glob("*.json")
    content = record.read_text()
    with open_journal(desk, read_only=False) as journal:
        book_waiting_halts(desk, journal)
        arm(desk)
        record.write_text(content)  # the process died before it removed the file
        book_waiting_halts(desk, journal)
        assert len(journal.events(kinds=("halt.carried_out",))) == 1
        assert desk_supervision(desk, journal).permission().state == ACTIVE


def test_a_locked_journal_delays_no_cancel(desk: Settings, venue: ServedVenue) -> None:
    ours = resting(desk, 3)
    writer = sqlite3.connect(Desk(desk).paths.journal, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    try:
        killing_record = killing.RECORD_S
        killing.RECORD_S = 0.3
        report = halt(desk, STOP)
    finally:
        killing.RECORD_S = killing_record
        writer.execute("ROLLBACK")
        writer.close()
    assert set(report.cancel.confirmed) == set(ours)
    assert report.seconds < 5.0  # SQLite alone waits ten
    assert report.journal == "spooled"


def test_a_stopped_postgresql_delays_no_cancel(tmp_path: Path, venue: ServedVenue) -> None:
    from places import PostgresForTests

    server = PostgresForTests()
    try:
        settings = desk_at(tmp_path / "pg", venue, journal_url=server.new_place().url)
        ours = resting(settings, 3)
        server.stop("fast")
        report = halt(settings, STOP)
        assert set(report.cancel.confirmed) == set(ours)
        assert (report.journal, armed(settings)) == ("spooled", False)
        server.start()
        with open_journal(settings, read_only=False) as journal:
            assert book_waiting_halts(settings, journal) == 1
            assert desk_supervision(settings, journal).permission().state == HALTED
    finally:
        server.close()


def test_a_narrow_halt_that_nobody_can_record_becomes_one_of_the_account(
    desk: Settings, venue: ServedVenue
) -> None:
    resting(desk, 2)
    gone(desk)
    report = halt(desk, HaltOrder("ada", "test", "symbol", MANY[0], cancel=True))
    assert (report.state, armed(desk), report.journal) == (HALTED, False, "spooled")
    assert set(report.cancel.confirmed) == {identity(0)}


def test_no_desk_no_halt(desk: Settings, tmp_path: Path) -> None:
    shutil.rmtree(Desk(desk).paths.root)
    with pytest.raises(ConfigError, match="no desk"):
        halt(desk, STOP)


def test_a_database_that_is_restored_to_an_older_copy_is_still_halted(
    desk: Settings, venue: ServedVenue
) -> None:
    paths = Desk(desk).paths
    older = paths.root / "older"
    older.mkdir()
    for file in paths.root.glob("journal*"):
        shutil.copy(file, older / file.name)
    before = state_of(desk)
    assert before.state == ACTIVE
    halt(desk, HaltOrder("ada", "test"))
    for file in paths.root.glob("journal*"):
        file.unlink()
    for file in older.iterdir():
        shutil.copy(file, paths.root / file.name)
    after = state_of(desk)
    assert after.state == HALTED
    assert "ARMED file is absent" in after.reason
