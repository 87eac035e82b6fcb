"""A venue takes trades back, corrects them and renames what is held: a person accepts the entries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

import drive
import pytest
from journals import Desk as JournalFolder

from tests.support.loopback_venue import UNIVERSE, VenueHands, pointed_at, venue_in_thread
from workbench.bootstrap import admin
from workbench.bootstrap.adjusting import Adjustment, adjust
from workbench.bootstrap.desk import Desk
from workbench.config import Settings
from workbench.core.adjusting import MOVED, RENAMED, UNDONE
from workbench.core.ledger import Ledger
from workbench.core.ports import Activity, VenueAccount
from workbench.errors import ApprovalRequired, Refused
from workbench.services.adjusting import Adjusting
from workbench.services.people import People
from workbench.services.supervision import HALTED

WHO = {"person": "operator", "reason": "the venue confirmed it in writing"}


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[VenueHands]:
    with venue_in_thread(
        symbols=UNIVERSE, matching="daily", start="2013-01-31T21:00:00Z", cash_usd=1_000_000,
        state=tmp_path / "venue.jsonl",
    ) as hands:  # fmt: skip
        yield hands


@pytest.fixture
def desk(venue: VenueHands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A desk at that venue after the first sessions in which something was filled."""
    monkeypatch.setenv("WORKBENCH_SECRETS__VENUE_KEY", venue.key)
    monkeypatch.setenv("WORKBENCH_SECRETS__VENUE_SECRET", venue.secret)
    settings = drive.make_desk(tmp_path / "desk", pointed_at(venue))
    for session in drive.sessions_of(settings):
        drive.trade(settings, session)
        if len({row["client_order_id"] for row in fills(settings)}) > 1:
            return settings
    raise AssertionError("nothing was filled")


def fills(settings: Settings) -> list[dict[str, object]]:
    return Desk(settings).journal.rows("fills", account=settings.account)


def entries(settings: Settings) -> int:
    return len(Desk(settings).journal.rows("postings", account=settings.account))


def shown(settings: Settings) -> Adjustment:
    before = entries(settings)
    found = adjust(settings)
    assert not found.accepted
    assert entries(settings) == before
    return found


def next_session_of(settings: Settings) -> str:
    desk = Desk(settings)
    return desk.calendar.next_session(str(desk.journal.rows("sessions")[-1]["session"]))


@pytest.mark.slow
def test_what_the_venue_takes_back_corrects_and_renames_is_booked_as_accepted(
    desk: Settings, venue: VenueHands
) -> None:
    assert shown(desk).proposed.proposals == ()
    with pytest.raises(Refused, match="nothing to adjust"):
        adjust(desk, accept="000000000000", **WHO)
    busted, corrected = (str(row["client_order_id"]) for row in (fills(desk)[0], fills(desk)[-1]))
    assert busted != corrected
    venue.ask("POST", "/_/bust", client_order_id=busted)
    venue.ask("POST", "/_/bust", client_order_id=corrected, price="98.5")
    kinds = {found.kind for found in admin.reconcile(desk)}
    assert {"activity_unknown", "cash", "position"} <= kinds
    assert admin.permission(desk).state == HALTED

    proposed = shown(desk).proposed
    assert sorted(one.how for one in proposed.proposals) == sorted([MOVED, UNDONE])
    assert proposed.unexplained == ()
    venue.ask("POST", "/_/cash", activity="XYZ", amount="12.34")
    with pytest.raises(ApprovalRequired, match="not what was shown"):
        adjust(desk, accept=proposed.mark, **WHO)
    mark = shown(desk).proposed.mark
    with pytest.raises(ApprovalRequired, match="not registered"):
        adjust(desk, accept=mark, person="stranger", reason="because")
    before = entries(desk)
    done = adjust(desk, accept=mark, **WHO)
    assert (done.accepted, done.breaks) == (True, ())
    assert entries(desk) > before
    assert admin.permission(desk).state == HALTED  # to trade again is another decision
    admin.resume(desk, **WHO)
    following = next_session_of(desk)
    assert drive.trade(desk, following)["equal_to_venue"]
    assert set(Desk(desk).execution.books(split="cfa")["residual_micro"]) == {0}
    (word,) = [row for row in Desk(desk).journal.rows("acts") if row["act"] == "adjust books"]
    assert word["person"] == WHO["person"]

    symbol, _ = max(Desk(desk).journal.rows("sessions")[-1]["positions"].items(), key=lambda item: item[1])
    session = next_session_of(desk)
    venue.ask("POST", "/_/corporate", kind="rename", symbol=symbol, to="NEWNAME", session=session)
    venue.advance(to=f"{session}T14:31:00Z")
    proposed = shown(desk).proposed
    assert [(one.how, one.symbol) for one in proposed.proposals] == [(RENAMED, "NEWNAME")]
    costs = {p.ledger_account: p.amount_micro for p in proposed.proposals[0].postings}
    assert set(costs) == {f"securities:{symbol}", "securities:NEWNAME"}
    assert sum(costs.values()) == 0 < costs["securities:NEWNAME"]
    assert adjust(desk, accept=proposed.mark, **WHO).breaks == ()


class Teller:
    """A venue that tells of one payment and shows another balance."""

    def __init__(self, shown_micro: int) -> None:
        self.shown_micro = shown_micro

    def activities(self, *, since_ns: int) -> tuple[Activity, ...]:
        return (Activity("x", "XYZ", "", 9, 0, 12_340_000),)

    def account(self) -> VenueAccount:
        return VenueAccount("demo", self.shown_micro, 0, 0, False, MappingProxyType({}))


@pytest.mark.parametrize(("more_micro", "books"), [(0, True), (1, False)])
def test_entries_that_would_leave_a_difference_are_not_booked(
    tmp_path: Path, more_micro: int, books: bool
) -> None:
    """To the micro; and nobody without a registered name even learns what could be booked."""
    made = JournalFolder(tmp_path)
    journal = made.open()
    people = People(journal)
    people.add("ada", role="operator")
    opening = Ledger.opening(1_000_000_000)
    adjusting = Adjusting(journal, Teller(1_000_000_000 + 12_340_000 + more_micro), "demo", lambda: opening)  # type: ignore[arg-type]
    mark = adjusting.proposed().mark
    lease = journal.acquire_lease("demo", "a", ttl_ns=10**12)
    said = {"session": "2013-02-01", "reason": "a test", "people": people, "lease": lease}
    with pytest.raises(ApprovalRequired, match="not registered"):
        adjusting.accept("another mark", person="stranger", **said)  # type: ignore[arg-type]
    if books:
        assert adjusting.accept(mark, person="ada", **said).mark == mark  # type: ignore[arg-type]
        assert [row["amount_micro"] for row in journal.rows("postings", ledger_account="cash")] == [
            12_340_000
        ]
    else:
        with pytest.raises(Refused, match="would leave a difference"):
            adjusting.accept(mark, person="ada", **said)  # type: ignore[arg-type]
        assert journal.rows("postings") == []
    made.close()
