"""Halts at every level: what they deny, who lifts them, and that nothing else does."""

from __future__ import annotations

import ast
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import drive
import pytest
from command_line import ROOT, typed

from tests.support.kill_world import MANY, arm, desk_at, intent_of
from workbench.adapters.armed_file import ArmedFileOnDisk
from workbench.adapters.journal import JournalDatabase
from workbench.adapters.signing import Ed25519Signing
from workbench.bootstrap import admin, killing
from workbench.bootstrap.desk import Desk, open_journal
from workbench.bootstrap.killing import HaltOrder, halt
from workbench.bootstrap.lifting import lift
from workbench.bootstrap.permission import desk_supervision, this_host
from workbench.config import Settings
from workbench.core.halts import DENIALS, LEVELS, Halt
from workbench.core.ledger import Ledger, Posting
from workbench.core.orders import Order, OrderState
from workbench.core.ports import Event
from workbench.core.types import NANO
from workbench.errors import (
    ApprovalRequired,
    JournalConflict,
    Refused,
    StorageFailed,
    TradingHalted,
    UsageError,
)
from workbench.services.authority import Authority
from workbench.services.last_look import LastLook
from workbench.services.people import People
from workbench.services.supervision import ACTIVE, HALTED, REDUCING, Supervision

WHO = {"person": "ada", "reason": "looked at it"}


@pytest.fixture
def desk(tmp_path: Path) -> Settings:
    return desk_at(tmp_path / "desk", None)


@pytest.fixture
def journal(desk: Settings) -> Iterator[JournalDatabase]:
    with open_journal(desk, read_only=False) as opened:
        yield opened


def permission(settings: Settings) -> Any:
    with open_journal(settings, read_only=True) as journal:
        return desk_supervision(settings, journal).permission()


def look(settings: Settings, journal: JournalDatabase, held: int = 0) -> LastLook:
    """The real last look of the desk, with so many shares of the first symbol held."""
    supervision = desk_supervision(settings, journal)
    authority = Authority(
        journal=journal, clock=_Clock(), account=settings.account, holder="h:b:1:1", ttl_s=30.0,
        code_hash="h", stop_reason=str, ticket_redeemed=True,
    )  # fmt: skip
    authority.acquire(is_dead=lambda holder: True)
    lines = (
        (Posting(f"securities:{MANY[0]}", 100, held * NANO, ""), Posting("cash", -100, 0, "")) if held else ()
    )
    return LastLook(
        supervision=supervision, authority=authority, session="2013-02-01",
        ledger=lambda: Ledger.from_postings(lines), controls=lambda order: (),
    )  # fmt: skip


class _Clock:
    now_ns = wall_ns = staticmethod(time.time_ns)


def order(number: int = 0, **changes: Any) -> Order:
    return Order(intent_of(number, **changes), OrderState.INTENDED)


# --- what they deny ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "target", "word"),
    [
        ("order", order().intent.client_order_id, "HALTED_ORDER"),
        ("symbol", MANY[0], "HALTED_SYMBOL"),
        ("strategy", "trend", "HALTED_STRATEGY"),
    ],
)
def test_a_halt_of_a_part_denies_that_part_alone(
    desk: Settings, journal: JournalDatabase, level: str, target: str, word: str
) -> None:
    sees = look(desk, journal)
    assert sees(order()) == ()
    journal.commit([desk_supervision(desk, journal).halts.placed(level, target, **WHO, reducing=False)])
    assert sees(order()) == (word,)
    other = sees(order(1))
    assert other == ((word,) if level == "strategy" else ())
    assert permission(desk).state == ACTIVE


@pytest.mark.parametrize(("reducing", "denied"), [(False, ("HALTED_SYMBOL",)), (True, ())])
def test_a_reduction_passes_only_when_the_halt_says_so_and_an_increase_never(
    desk: Settings, journal: JournalDatabase, reducing: bool, denied: tuple[str, ...]
) -> None:
    sees = look(desk, journal, held=-5)  # a buy reduces
    placed = desk_supervision(desk, journal).halts.placed("symbol", MANY[0], **WHO, reducing=reducing)
    journal.commit([placed])
    assert sees(order(shares=3)) == denied
    assert sees(order(shares=9)) == ("HALTED_SYMBOL",)  # through zero is no reduction


@pytest.mark.parametrize(("level", "target"), [("broker", "embedded"), ("system", "all")])
@pytest.mark.parametrize(("reducing", "state"), [(False, HALTED), (True, REDUCING)])
def test_a_wider_halt_stops_the_account_whatever_its_row_and_file_say(
    desk: Settings, journal: JournalDatabase, level: str, target: str, reducing: bool, state: str
) -> None:
    supervision = desk_supervision(desk, journal)
    journal.commit([supervision.halts.placed(level, target, **WHO, reducing=reducing)])
    assert permission(desk).state == state
    assert level in permission(desk).reason
    if state == HALTED:
        with pytest.raises(TradingHalted):
            look(desk, journal)(order())
    else:
        assert look(desk, journal)(order()) == (REDUCING,)


def test_a_halt_of_another_broker_leaves_this_desk_alone(desk: Settings, journal: JournalDatabase) -> None:
    journal.commit([desk_supervision(desk, journal).halts.placed("broker", "alpaca", **WHO, reducing=False)])
    assert permission(desk).state == ACTIVE
    unsure = Supervision(journal, ArmedFileOnDisk(Desk(desk).paths.armed), desk.account)
    assert unsure.permission().state == HALTED  # who does not know its broker is stopped by any


def test_no_halt_ever_lets_an_increase_of_its_own_target_pass() -> None:
    """Every case there is: a halt denies what it names, less only where it says that reductions pass."""
    intent = order().intent
    mine = {
        "order": intent.client_order_id, "symbol": intent.symbol, "model": "m1", "strategy": intent.strategy,
    }  # fmt: skip
    targets = (*mine.values(), MANY[1], "demo")
    cases = itertools.product(DENIALS, targets, ("demo", "x"), (False, True), (False, True))
    for level, target, account, reducing, reduces in cases:
        halt = Halt(account, level, target, "r", "ada", reducing, 1)
        found = halt.denies(intent, reduces=reduces, model_id="m1")
        hit = mine[level] == target and account == intent.account
        assert bool(found) == (hit and not (reducing and reduces))
        assert found in ("", DENIALS[level])


# --- latching ------------------------------------------------------------------------------------------


def test_placed_again_the_stricter_holds(desk: Settings, journal: JournalDatabase) -> None:
    halts = desk_supervision(desk, journal).halts
    for reducing in (False, True):
        journal.commit([halts.placed("symbol", MANY[0], **WHO, reducing=reducing)])
        assert not halts.find("symbol", MANY[0]).reducing
    halts.lift(halts.find("symbol", MANY[0]), **WHO)
    journal.commit([halts.placed("symbol", MANY[0], **WHO, reducing=True)])
    assert halts.find("symbol", MANY[0]).reducing
    journal.commit([halts.placed("symbol", MANY[0], **WHO, reducing=False)])
    assert not halts.find("symbol", MANY[0]).reducing


@pytest.mark.parametrize(
    ("person", "reason", "error"),
    [("nobody", "checked", Refused), ("visitor", "checked", Refused), ("ada", " ", UsageError)],
)
def test_only_a_registered_person_with_a_reason_lifts(
    desk: Settings, person: str, reason: str, error: type[Exception]
) -> None:
    halt(desk, HaltOrder("visitor", "looks wrong", "symbol", "AAPL"))  # whoever it is may stop
    with pytest.raises(error):
        lift(desk, "symbol", "AAPL", person=person, reason=reason)
    assert [one.target for one in _halts(desk)] == ["AAPL"]
    lift(desk, "symbol", "AAPL", **WHO)
    assert _halts(desk) == ()
    with pytest.raises(UsageError, match="no halt of symbol AAPL"):
        lift(desk, "symbol", "AAPL", **WHO)


def _halts(settings: Settings) -> tuple[Halt, ...]:
    with open_journal(settings, read_only=True) as journal:
        return desk_supervision(settings, journal).halts.in_force()


def test_the_database_itself_refuses_a_lift_by_nobody_or_of_another_halt(
    desk: Settings, journal: JournalDatabase
) -> None:
    halts = desk_supervision(desk, journal).halts
    journal.commit([halts.placed("symbol", MANY[0], **WHO, reducing=False)])
    seen = halts.find("symbol", MANY[0])
    lifted = {
        "account": "demo", "level": "symbol", "target": MANY[0], "placed_seq": seen.seq, "reason": "r",
        "person": "ada", "second": "", "weaker": False,
    }  # fmt: skip
    for wrong in ({"person": "nobody"}, {"person": ""}, {"reason": ""}, {"placed_seq": 1}, {"target": "X"}):
        with pytest.raises(JournalConflict):
            journal.commit([Event("halt.lifted", lifted | wrong)])
    journal.commit([halts.placed("system", "all", **WHO, reducing=False)])
    whole = halts.find("system", "all")
    alone = lifted | {"account": "", "level": "system", "target": "all", "placed_seq": whole.seq}
    for second in ("", "ada", "nobody"):
        with pytest.raises(JournalConflict, match="not lifted by one person"):
            journal.commit([Event("halt.lifted", alone | {"second": second})])
    for wrong in ({"level": "galaxy"}, {"state": "ACTIVE"}, {"reason": ""}, {"account": ""}):
        placed = {"account": "demo", "level": "symbol", "target": "Y", "state": "HALTED", "reason": "r",
                  "cause": "person", "person": ""}  # fmt: skip
        with pytest.raises(UsageError):
            journal.commit([Event("halt.placed", placed | wrong)])
    assert halts.find("symbol", MANY[0]) == seen


def test_two_operators_race_and_the_later_halt_stands(desk: Settings, journal: JournalDatabase) -> None:
    halts = desk_supervision(desk, journal).halts
    journal.commit([halts.placed("symbol", MANY[0], **WHO, reducing=False)])
    seen = halts.find("symbol", MANY[0])
    journal.commit([halts.placed("symbol", MANY[0], person="bob", reason="worse", reducing=False)])
    with pytest.raises(TradingHalted, match="placed again meanwhile: worse"):
        halts.lift(seen, **WHO)
    again = halts.find("symbol", MANY[0])
    halts.lift(again, **WHO)
    with pytest.raises(TradingHalted, match="no halt of symbol"):
        halts.lift(again, person="bob", reason="me too")


def test_an_account_is_not_resumed_below_a_wider_halt(desk: Settings, journal: JournalDatabase) -> None:
    halt(desk, HaltOrder("ada", "bad fills everywhere", "broker"))
    assert not Desk(desk).paths.armed.exists()
    with pytest.raises(TradingHalted, match="broker is halted"):
        arm(desk)
    assert not Desk(desk).paths.armed.exists()
    lift(desk, "broker", "", **WHO)
    assert permission(desk).state == HALTED  # the account itself is still halted
    arm(desk)
    assert permission(desk).state == ACTIVE


def test_the_whole_system_is_let_go_by_two_people_and_the_accounts_one_by_one(desk: Settings) -> None:
    halt(desk, HaltOrder("visitor", "everything is wrong", "system"))
    with pytest.raises(ApprovalRequired, match="ada asks to lift the halt of the system") as first:
        lift(desk, "system", "", **WHO)
    assert "second person" in first.value.next_step
    with pytest.raises(ApprovalRequired, match="second person confirms"):
        lift(desk, "system", "", **WHO)  # the same person twice is one
    with pytest.raises(ApprovalRequired, match="may not act"):
        lift(desk, "system", "", person="visitor", reason="me too")
    assert [one.level for one in _halts(desk)] == ["system"]
    lift(desk, "system", "", person="bob", reason="I have looked as well")
    assert _halts(desk) == ()
    assert permission(desk).state == HALTED
    arm(desk)
    assert permission(desk).state == ACTIVE


def test_a_confirmation_is_of_the_halt_that_was_looked_at(desk: Settings) -> None:
    halt(desk, HaltOrder("ada", "everything is wrong", "system"))
    with pytest.raises(ApprovalRequired):
        lift(desk, "system", "", **WHO)
    halt(desk, HaltOrder("ada", "and now this", "system"))
    with pytest.raises(ApprovalRequired, match="bob asks to lift"):  # another halt, another first word
        lift(desk, "system", "", person="bob", reason="I have looked")
    assert [one.reason for one in _halts(desk)] == ["and now this"]


def test_alone_on_a_desk_the_system_waits_and_is_typed(
    desk: Settings, journal: JournalDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    People(journal).revoke("bob", by="bob", reason="leaves the desk")
    halt(desk, HaltOrder("ada", "everything is wrong", "system"))
    with pytest.raises(ApprovalRequired, match="asks to"):
        lift(desk, "system", "", **WHO)
    subject = f"lift the halt of the system of event {_halts(desk)[0].seq}"
    with pytest.raises(ApprovalRequired, match="after 15 minutes"):
        lift(desk, "system", "", **WHO, typed=subject)
    later, stamp = 16 * 60 * NANO, Ed25519Signing.stamp
    monkeypatch.setattr(Ed25519Signing, "stamp", lambda self: (stamp(self)[0] + later, stamp(self)[1]))
    with pytest.raises(ApprovalRequired, match="by typing"):
        lift(desk, "system", "", **WHO, typed="yes")
    lift(desk, "system", "", **WHO, typed=subject)
    assert _halts(desk) == ()
    assert journal.events(kinds=("halt.lifted",))[0].payload["weaker"] is True


# --- whom it reaches -----------------------------------------------------------------------------------


def second_desk(journal: JournalDatabase, folder: Path, *, host: str, broker: str) -> ArmedFileOnDisk:
    """Another account of the same journal, ACTIVE, with its desk on a machine."""
    folder.mkdir()
    armed = ArmedFileOnDisk(folder / "ARMED")
    place = {"account": "second", "broker": broker, "host": host, "folder": str(folder)}
    journal.commit([Event("desk.registered", place)])
    supervision = Supervision(journal, armed, "second", broker)
    supervision.resume(**WHO, code_hash="h", after_epoch=0)
    return armed


@pytest.mark.parametrize(
    ("level", "target", "broker", "reached"),
    [
        ("system", "", "alpaca", True),
        ("broker", "", "embedded", True),
        ("broker", "", "alpaca", False),
        ("broker", "alpaca", "alpaca", True),
        ("account", "second", "alpaca", True),
        ("account", "", "alpaca", False),
    ],
)
def test_a_halt_reaches_the_accounts_of_its_level_and_their_armed_files(
    desk: Settings,
    journal: JournalDatabase,
    tmp_path: Path,
    level: str,
    target: str,
    broker: str,
    reached: bool,
) -> None:
    other = second_desk(journal, tmp_path / "second", host=this_host(), broker=broker)
    report = halt(desk, HaltOrder("ada", "everything is wrong", level, target))
    assert ("second" in report.accounts) is reached
    assert (other.read() is None) is reached
    state = journal.rows("state", account="second")[0]["state"]
    assert (state == HALTED) is reached
    mine = level == "system" or (level, target) in {("broker", ""), ("account", "")}
    assert Desk(desk).paths.armed.exists() is not mine
    assert permission(desk).state == (HALTED if mine else ACTIVE)


def test_an_account_on_another_machine_is_halted_by_its_row_and_named(
    desk: Settings, journal: JournalDatabase, tmp_path: Path
) -> None:
    other = second_desk(journal, tmp_path / "second", host="elsewhere", broker="embedded")
    report = halt(desk, HaltOrder("ada", "everything is wrong", "system", cancel=True))
    assert (report.accounts, report.elsewhere) == (("demo", "second"), ("second",))
    assert not report.proven  # its orders were not touched from here
    named = halt(desk, HaltOrder("ada", "that one too", "account", "second", cancel=True))
    assert (named.cancel, named.elsewhere, named.proven) == (None, ("second",), False)
    with pytest.raises(UsageError, match="does not flatten this desk"):
        halt(desk, HaltOrder("ada", "that one too", "account", "second", flatten=True))
    assert Supervision(journal, other, "second", "embedded").permission().state == HALTED


def test_another_accounts_halt_without_the_journal_is_sent_to_its_desk(
    desk: Settings, journal: JournalDatabase
) -> None:
    journal.close()
    Desk(desk).paths.journal.unlink()
    with pytest.raises(StorageFailed, match="is not this desk's"):
        halt(desk, HaltOrder("ada", "r", "account", "second"))
    assert Desk(desk).paths.armed.exists()


def test_an_armed_file_that_cannot_be_removed_leaves_the_row_and_is_said(
    desk: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stuck(*_: Any, **__: Any) -> None:
        raise StorageFailed("cannot remove ARMED: read-only")

    monkeypatch.setattr("workbench.bootstrap.killing.ArmedFileOnDisk.remove", stuck)
    with monkeypatch.context() as patched:
        patched.setattr(killing, "open_journal", stuck)
        with pytest.raises(StorageFailed, match="cannot remove"):  # neither the file nor the row
            halt(desk, HaltOrder("ada", "r"))
    report = halt(desk, HaltOrder("ada", "r"))
    assert permission(desk).state == HALTED
    assert "cannot remove" in report.trouble


# --- nothing else lifts --------------------------------------------------------------------------------


def test_a_halt_for_loss_outlives_sessions_restarts_and_clean_reconciliations(
    new_desk: Callable[[str], Settings],
) -> None:
    settings = new_desk("loss")
    days = drive.sessions_of(settings)[:3]
    drive.trade(settings, days[0])
    with open_journal(settings, read_only=False) as journal:
        desk_supervision(settings, journal).halt("drawdown of 5.1 % reached", cause="loss")
    for day in days[1:]:  # other sessions, each a new start
        with pytest.raises(TradingHalted, match="drawdown"):
            drive.trade(settings, day)
        assert admin.reconcile(settings) == ()
        assert admin.permission(settings).state == HALTED
        assert "drawdown" in admin.permission(settings).reason
        if day != days[-1]:
            admin.skip_sessions(settings, session=days[-1], person="operator", reason="halted")
    admin.resume(settings, person="operator", reason="the loss is understood")
    assert admin.permission(settings).state == ACTIVE


def test_what_a_strategy_is_made_of_cannot_reach_a_halt() -> None:
    """Decision, models and everything of core that thinks import nothing that could lift or write one."""
    thinking = [*(ROOT / "workbench/core").rglob("*.py"), ROOT / "workbench/services/decision.py",
                ROOT / "workbench/services/estimators.py"]  # fmt: skip
    reach = {"supervision", "halts", "killing", "armed_file", "authority", "journal", "permission"}
    assert len(thinking) > 50
    for path in thinking:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [one.name for one in node.names] if isinstance(node, ast.Import) else []
            outside = [name for name in names if not name.startswith("workbench.core")]
            words = {part for name in outside for part in name.split(".")}
            assert not words & reach, (path, names)


# --- as typed ------------------------------------------------------------------------------------------


def test_what_cannot_be_meant_is_refused_with_the_nearest_word(desk: Settings) -> None:
    folder = Path(str(desk.file)).parent
    who = ("--person", "ada", "--reason", "test")

    def said(*arguments: str) -> tuple[int, str]:
        answer = typed(folder, *arguments)
        return answer.code, answer.err

    assert said("halt", *who, "--level", "sybmol")[0] == 2
    assert "nearest is 'symbol'" in said("halt", *who, "--level", "sybmol")[1]
    assert "nearest is 'AAPL'" in said("halt", *who, "--level", "symbol", "--target", "APPL")[1]
    assert "needs a target" in said("halt", *who, "--level", "order")[1]
    assert "nearest is 'embedded'" in said("halt", *who, "--level", "broker", "--target", "embeded")[1]
    assert "a reason is required" in said("halt", "--person", "ada", "--reason", " ")[1]
    assert said("halt", *who, "--reducing")[0] == 2
    blank = ("resume", "--person", "ada", "--reason", " ", "--level", "system")
    assert "a reason is required" in said(*blank)[1]
    assert Desk(desk).paths.armed.exists()  # nothing of that was done
    assert _halts(desk) == ()


def test_status_and_its_pages_show_every_level(desk: Settings) -> None:
    folder = Path(str(desk.file)).parent
    who = ("--person", "visitor", "--reason", "odd fills")
    halted = typed(folder, "halt", *who, "--level", "symbol", "--target", "AAPL", "--reducing", "--json")
    assert (halted.code, halted.payload["state"]) == (0, REDUCING)
    for level in ("strategy", "broker", "system"):
        assert typed(folder, "halt", *who, "--level", level).code == 0
    shown = typed(folder, "status", "--json").payload["halts"]
    assert {(one["level"], one["target"], one["state"]) for one in shown} == {
        ("symbol", "AAPL", "REDUCING"), ("strategy", desk.strategy, "HALTED"),
        ("broker", "embedded", "HALTED"), ("system", "all", "HALTED"),
    }  # fmt: skip
    assert "AAPL REDUCING: odd fills" in typed(folder, "status").out
    frame = Desk(desk).views.halts()
    assert sorted(frame["level"]) == ["broker", "strategy", "symbol", "system"]
    assert set(LEVELS) >= set(frame["level"])
    lifted = typed(
        folder, "resume", "--person", "ada", "--reason", "r", "--level", "symbol", "--target", "AAPL"
    )
    assert lifted.code == 0
    again = typed(
        folder, "resume", "--person", "ada", "--reason", "r", "--level", "symbol", "--target", "AAPL"
    )
    assert again.code == 2


def test_the_embedded_venues_orders_are_cancelled_too(new_desk: Callable[[str], Settings]) -> None:
    settings = new_desk("embedded")
    job = drive.start(settings, drive.FIRST)
    job.trading.start()
    sent = job.trading.decide(job.trading.times.decision_ns[0])
    open_ = {one.intent.client_order_id for one in sent if one.state is OrderState.ACCEPTED}
    assert open_
    busy = halt(settings, HaltOrder("operator", "while the loop holds the venue", cancel=True))
    assert not busy.proven
    assert {one.client_order_id for one in busy.cancel.residuals} == open_
    assert "in use" in busy.cancel.trouble
    job.account.close()
    report = killing.halt(settings, HaltOrder("operator", "and again", cancel=True))
    assert report.proven
    assert set(report.cancel.confirmed) == open_
