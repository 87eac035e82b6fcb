"""Flatten: through our own orders, only on a person's word, and proven by reconciled positions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import drive
import pytest
from command_line import typed

from workbench.adapters.simulated_broker import SimulatedBroker
from workbench.bootstrap import admin
from workbench.bootstrap.desk import Desk, open_journal
from workbench.bootstrap.flattening import flatten
from workbench.bootstrap.killing import HaltOrder, halt
from workbench.bootstrap.permission import desk_supervision
from workbench.config import Settings, load_settings
from workbench.core.ports import LookupResult, SubmitOutcome, SubmitResult
from workbench.errors import Refused, TradingHalted
from workbench.services.supervision import HALTED

STOP = HaltOrder("operator", "out of everything", flatten=True)


@pytest.fixture
def invested(new_desk: Callable[[str], Settings]) -> Settings:
    """A desk that holds positions after its first sessions."""
    settings = new_desk("invested")
    for day in drive.sessions_of(settings)[:2]:
        drive.trade(settings, day)
    assert held(settings)
    return settings


def held(settings: Settings) -> dict[str, float]:
    row = Desk(settings).journal.rows("sessions", account=settings.account)[-1]
    return {symbol: quantity / 1e9 for symbol, quantity in row["positions"].items() if quantity}


def flatten_orders(settings: Settings) -> list[dict[str, Any]]:
    with open_journal(settings, read_only=True) as journal:
        return [row for row in journal.rows("orders") if row["leg"].startswith("flatten")]


def test_every_position_is_closed_by_our_own_orders_and_that_is_proven(invested: Settings) -> None:
    before = held(invested)
    report = halt(invested, STOP)
    assert report.proven
    assert report.flatten is not None
    assert (report.flatten.flat, report.flatten.left, report.flatten.breaks) == (True, (), ())
    rows = flatten_orders(invested)
    assert {row["symbol"] for row in rows} == set(before)
    assert {(row["side"], row["state"]) for row in rows} == {("sell", "FILLED")}
    assert {row["client_order_id"] for row in rows} == set(report.flatten.orders)
    assert all(row["client_order_id"].startswith("wb1-") for row in rows)
    assert admin.permission(invested).state == HALTED
    assert not Desk(invested).paths.armed.exists()
    assert admin.reconcile(invested) == ()
    events = Desk(invested).journal.events(kinds=("state.changed",))
    assert [event.payload["state"] for event in events[-3:]] == ["HALTED", "REDUCING", "HALTED"]
    (word,) = [row for row in Desk(invested).journal.rows("acts") if row["act"] == "flatten"]
    assert (word["person"], word["reason"]) == (STOP.person, f"flatten: {STOP.reason}")


def test_a_position_too_large_for_one_order_goes_in_pieces(invested: Settings) -> None:
    symbol, shares = max(held(invested).items(), key=lambda item: item[1])
    config = Path(str(invested.file))
    text = config.read_text()
    smaller = max(int(shares // 3), 1)
    config.write_text(text.replace("max_order_shares = 20_000", f"max_order_shares = {smaller}"))
    report = halt(load_settings(str(config)), STOP)
    assert report.flatten is not None
    rows = [row for row in flatten_orders(invested) if row["symbol"] == symbol]
    assert [row["leg"] for row in rows][:2] == ["flatten", "flatten 2"]
    assert rows[1]["parent_id"] == rows[0]["client_order_id"]
    assert max(row["quantity_nano"] for row in rows) <= smaller * 10**9


@pytest.mark.parametrize(("person", "words"), [("nobody", "not registered"), ("viewer", "may not act")])
def test_whoever_may_not_act_stops_but_does_not_flatten(invested: Settings, person: str, words: str) -> None:
    with open_journal(invested, read_only=False) as journal:
        from workbench.services.people import People

        People(journal).add("viewer", role="viewer")
    folder = Path(str(invested.file)).parent
    answer = typed(folder, "halt", "--person", person, "--reason", "out", "--flatten", "--json")
    assert answer.code == 3
    assert words in answer.payload["flatten"]["refused"]
    assert answer.payload["flatten"]["procedure"] == "docs/runbooks/flatten-by-hand.md"
    assert not Desk(invested).paths.armed.exists()
    assert flatten_orders(invested) == []


def test_without_the_journal_the_procedure_by_hand_is_named(invested: Settings) -> None:
    Desk(invested).paths.journal.unlink()
    folder = Path(str(invested.file)).parent
    answer = typed(folder, "halt", "--person", "operator", "--reason", "out", "--flatten")
    assert answer.code == 3
    assert "NOT FLATTENED: the journal is down" in answer.out
    assert "docs/runbooks/flatten-by-hand.md" in answer.out
    assert list(Desk(invested).paths.spool.glob("*.json"))


def test_beside_a_running_loop_nothing_is_flattened(invested: Settings) -> None:
    from workbench.adapters.process_lock import process_lock

    with process_lock(Desk(invested).paths.lock):
        report = halt(invested, STOP)
    assert "trading.lock is held" in report.not_flattened
    assert flatten_orders(invested) == []


def test_a_symbol_of_unknown_fate_is_reported_and_never_flattened(
    invested: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    symbol = sorted(held(invested))[0]
    submit, lookup = SimulatedBroker.submit, SimulatedBroker.lookup
    asked: list[str] = []

    def lost(broker: SimulatedBroker, intent: Any) -> SubmitResult:
        if intent.symbol != symbol:
            return submit(broker, intent)
        asked.append(intent.client_order_id)
        return SubmitResult(SubmitOutcome.UNKNOWN, reason="no answer")

    def silent(broker: SimulatedBroker, key: str) -> LookupResult:
        if key in asked:
            return LookupResult(found=False, answered=False, reason="no answer")
        return lookup(broker, key)

    monkeypatch.setattr(SimulatedBroker, "submit", lost)
    monkeypatch.setattr(SimulatedBroker, "lookup", silent)
    report = halt(invested, STOP)
    assert report.flatten is not None
    assert not report.flatten.flat
    assert not report.proven
    assert [one.symbol for one in report.flatten.left] == [symbol]
    assert "UNKNOWN" in report.flatten.left[0].reason
    assert len(asked) == 1
    with open_journal(invested, read_only=True) as journal:
        states = [row["state"] for row in journal.rows("orders", symbol=symbol, leg="flatten")]
    assert states == ["UNKNOWN"]
    again = flatten(invested, person="operator", reason="once more")
    assert len(asked) == 1
    assert [one.symbol for one in again.left] == [symbol]


def test_the_controls_still_say_no(invested: Settings) -> None:
    config = Path(str(invested.file))
    symbol = sorted(held(invested))[0]
    config.write_text(config.read_text().replace("restricted = []", f'restricted = ["{symbol}"]'))
    report = halt(load_settings(str(config)), STOP)
    assert report.flatten is not None
    assert [(one.symbol, one.reason) for one in report.flatten.left] == [(symbol, "RESTRICTED")]
    assert not report.flatten.flat


def test_a_wider_halt_that_lets_nothing_pass_stops_a_flatten_too(invested: Settings) -> None:
    halt(invested, HaltOrder("operator", "everything", "system"))
    with pytest.raises(TradingHalted, match="lets no reduction pass"):
        flatten(invested, person="operator", reason="out")
    assert flatten_orders(invested) == []
    assert admin.permission(invested).state == HALTED


def test_a_system_halt_with_flatten_lets_only_that_pass(invested: Settings) -> None:
    report = halt(invested, HaltOrder("operator", "everything", "system", flatten=True))
    assert report.flatten is not None
    assert report.flatten.flat
    assert admin.permission(invested).state == HALTED


def test_a_process_that_dies_while_it_flattens_leaves_a_halted_desk(
    invested: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    submit = SimulatedBroker.submit

    def die(broker: SimulatedBroker, intent: Any) -> Any:
        submit(broker, intent)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(SimulatedBroker, "submit", die)
        with pytest.raises(Killed):
            halt(invested, STOP)
    with open_journal(invested, read_only=False) as journal:
        assert desk_supervision(invested, journal).permission().state == HALTED
    report = halt(invested, STOP)  # the order that landed is ended; the one that never left is not known
    assert report.flatten is not None
    assert [(one.state, one.shown) for one in report.cancel.residuals] == [("SENT", False)]
    (unknown,) = {one.symbol for one in report.cancel.residuals}
    assert [one.symbol for one in report.flatten.left] == [unknown]
    ids = [row["client_order_id"] for row in flatten_orders(invested)]
    assert len(ids) == len(set(ids))


def test_nothing_is_flattened_before_every_cancel_is_proven(
    invested: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.services.killing.STILL_S", 0.05)
    monkeypatch.setattr("workbench.services.killing.MOST_FAILURES", 2)
    from workbench.adapters.simulated_broker import SimulatedOpenOrders

    def down(*_: Any) -> Any:
        raise Refused("no list today")

    monkeypatch.setattr(SimulatedOpenOrders, "listed", down)
    report = halt(invested, STOP)
    assert "not every order is shown to have ended" in report.not_flattened
    assert json.dumps(report.cancel.payload())
    assert flatten_orders(invested) == []
