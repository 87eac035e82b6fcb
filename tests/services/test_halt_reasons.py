"""Each reason of a halt is recognised by its words; those that no other test provokes are drilled here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import journals
import pandas as pd
import pytest
from kill_world import intent_of

from workbench.bootstrap.desk import open_journal
from workbench.bootstrap.permission import desk_supervision
from workbench.bootstrap.session_jobs import tell_of_drift
from workbench.bootstrap.status import desk_status
from workbench.config import Settings
from workbench.core.alerts import halted_text, message
from workbench.core.halt_reasons import BY_A_PERSON, halt_reason
from workbench.core.orders import Order, OrderEvent, OrderState, apply
from workbench.core.ports import Event
from workbench.core.types import NANO
from workbench.core.watch import Bounds, LeaseSeen, Sight
from workbench.errors import IllegalTransition, OutcomeUnknown, StorageFailed, TradingHalted
from workbench.services.listening import Listening
from workbench.services.watchdog import Watchdog

NOW = 1_700_000_000 * NANO


class Wall:
    """A wall clock in a test's hands."""

    def __init__(self) -> None:
        self.ns = NANO

    def wall_ns(self) -> int:
        return self.ns


class Silent:
    """A stream that has been down for so many seconds."""

    generation = 1

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def trouble(self) -> str:
        return "the connection was closed"

    def silent_s(self) -> float:
        return self.seconds

    def reconciled(self, generation: int) -> None:
        assert generation == self.generation


def listening(halts: list[str], clock: Wall, poll: Callable[[], int], hints: Any = None) -> Listening:
    return Listening(
        clock=clock, hints=hints, halt=halts.append, silence_s=30.0, poll=poll, reconcile=lambda: ()
    )  # type: ignore[arg-type]


def test_a_loop_that_gets_no_answer_halts_after_its_patience_and_not_before() -> None:
    halts: list[str] = []
    clock = Wall()

    def silent() -> int:
        raise OutcomeUnknown("the venue gave no answer", next_step="ask again")

    line = listening(halts, clock, silent)
    clock.ns += 30 * NANO
    assert (line.poll(), halts) == (0, [])
    clock.ns += NANO
    assert line.poll() == 0
    assert [halt_reason(words).code for words in halts] == ["VENUE_SILENT"]


def test_a_stream_that_stays_down_halts_before_anything_new_is_sent() -> None:
    halts: list[str] = []
    short, long = (listening(halts, Wall(), lambda: 0, Silent(seconds)) for seconds in (30.0, 30.5))
    short.catch_up()
    assert halts == [], "within its patience it reconciles instead"
    with pytest.raises(TradingHalted, match="not heard for"):
        long.catch_up()
    assert [halt_reason(words).code for words in halts] == ["STREAM_SILENT"]


def test_each_reason_of_an_order_leads_to_its_own_page() -> None:
    intended = Order(intent_of(1), OrderState.INTENDED)
    with pytest.raises(IllegalTransition) as caught:
        apply(intended, OrderEvent(intended.intent.client_order_id, OrderState.FILLED, 1))
    assert halt_reason(str(caught.value)).code == "IMPOSSIBLE_STEP"
    assert halt_reason("order wb1-1 at the venue is VenueOrder(...), ours is (...)").code == "OTHER_ORDER"
    assert halt_reason("execution x-1 of order wb1-1 (AAPL) exceeds the order").code == "IMPOSSIBLE_FILL"
    assert halt_reason("execution x-1 is sell AAPL, its order is not").code == "STRANGE_FILL"
    assert halt_reason("orders that nobody wanted") is BY_A_PERSON


def test_status_the_alert_and_the_refusal_name_the_page_of_the_reason(new_desk: Any) -> None:
    """Linked from both: whoever meets the halt first is told where to read."""
    settings: Settings = new_desk()
    assert desk_status(settings)["runbook"] == ""
    with open_journal(settings, read_only=False) as journal:
        supervision = desk_supervision(settings, journal)
        supervision.halt(
            "recovery: 1 reconciliation break(s), first cash : ours 1, theirs 2", cause="recovery"
        )
        with pytest.raises(TradingHalted) as refused:
            supervision.require()
        (row,) = [row for row in journal.rows("alerts") if row["code"] == "DESK_HALTED"]
    row = {**row, "alert_id": 1, "level": 0, "count": 1}  # as the outbox has it
    page = "docs/runbooks/a-break-was-found.md"
    assert desk_status(settings)["runbook"] == page
    assert page in refused.value.next_step
    assert f"of this reason: {page}" in message(row, ("console",)).body
    bare = {**row, "code": "WATCHDOG_HALTED", "text": "LOOP_DEAD: nobody; the journal does not answer"}
    assert "of this reason: docs/runbooks/loop-dead.md" in message(bare, ("console",)).body
    by_hand = {**row, "text": halted_text("ann", "rate: I say so")}
    assert "docs/runbooks/halted-by-a-person.md" in message(by_hand, ("console",)).body


def test_a_watchdog_that_cannot_disarm_says_so_and_halts_by_the_row(tmp_path: Path) -> None:
    desk = journals.Desk(tmp_path)
    journal = desk.open()
    rows: list[tuple[str, list[str]]] = []

    def halt(reason: str, alerts: Sequence[Event]) -> str:
        rows.append((reason, [one.payload["code"] for one in alerts]))
        return ""

    def disarm() -> bool:
        raise StorageFailed("ARMED: permission denied", next_step="remove it by hand")

    def cancel() -> Any:
        raise OutcomeUnknown("no answer", next_step="ask again")

    dead = LeaseSeen("host:boot:7:9", 3, NOW, released=False, holder_dead=True)
    sight = Sight(
        wall_ns=NOW, state="ACTIVE", head=4, journal_bytes=1, free_bytes=10**11, lease=dead, runs=(),
        open_orders=(), positions_nano={}, skew_ns=0,
    )  # fmt: skip
    dog = Watchdog(
        account="demo", sight=lambda: sight, journal=lambda: journal, halt=halt, disarm=disarm,
        keep=lambda words: None, cancel=cancel, direct=None,  # type: ignore[arg-type]  # the journal answers
        bounds=Bounds(15.0, 120.0, 2.0, 30.0, 10.0, 100.0, 1_000.0), wall_ns=lambda: NOW,
    )  # fmt: skip
    assert dog.look().halted
    ((reason, told),) = rows
    assert halt_reason(reason).code == "LOOP_DEAD"
    assert "WATCHDOG_FAILED" in told
    desk.close()


def test_features_that_left_the_models_window_are_told(new_desk: Any) -> None:
    settings: Settings = new_desk()
    row = {"status": "none", "changed": ""}
    quiet = pd.DataFrame([{**row, "symbol": "AAPL"}, {**row, "symbol": "IBM", "status": "insufficient"}])
    moved = {"symbol": "MSFT", "status": "drift", "changed": "volatility"}
    run = {"run_id": "drift_report/2013-02-01.1", "at_ns": NANO}
    tell_of_drift(settings, quiet, **run)
    tell_of_drift(settings, pd.DataFrame([*quiet.to_dict("records"), moved]), **run)
    with open_journal(settings, read_only=True) as journal:
        (told,) = [row for row in journal.rows("alerts") if row["code"] == "drift_found"]
    assert told["text"] == "drift_report/2013-02-01.1: MSFT: volatility"
