"""Day one on an account with a life of its own: a person accepts what is shown, the books are the venue's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import drive
import pytest

from tests.support.loopback_venue import VenueHands, venue_in_thread
from workbench.bootstrap import admin
from workbench.bootstrap.adoption import adopt
from workbench.bootstrap.desk import Desk
from workbench.config import DEFAULT_TOML, Settings, load_settings
from workbench.core.ledger import Ledger, opening_postings
from workbench.core.types import NANO
from workbench.errors import ApprovalRequired, Refused
from workbench.services.adoption import EXTERNAL, Holding, opening_entry, since_adoption

UNIVERSE = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
WHO = {"person": "operator", "reason": "looked at every line"}
AS_OF = {"as_of_session": "2013-01-31"}


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[VenueHands]:
    """An account that somebody has used: shares, a deposit, an order that is over and two that are open."""
    with venue_in_thread(
        symbols=UNIVERSE, matching="daily", start="2013-01-31T15:00:00Z", cash_usd=1_000_000,
        state=tmp_path / "venue.jsonl",
    ) as hands:  # fmt: skip
        by_hand(hands, "old", symbol="MSFT", qty="40", type="market")
        by_hand(hands, "never", symbol="GOOG", qty="1", type="limit", limit_price="100")
        hands.ask("POST", "/_/cash", activity="CSD", amount="250.5")
        hands.advance(to="2013-01-31T21:00:00Z")
        gtc = {"type": "limit", "time_in_force": "gtc"}
        by_hand(hands, "rests", symbol="AAPL", qty="3", limit_price="100", **gtc)
        by_hand(hands, "fills", symbol="IBM", qty="5", limit_price="900", **gtc)
        yield hands


def by_hand(hands: VenueHands, key: str, **fields: Any) -> None:
    body = {"side": "buy", "time_in_force": "day", "client_order_id": key, **fields}
    hands.ask("POST", "/_/order", **body)


@pytest.fixture
def settings(venue: VenueHands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A desk that stands at the day it would open its books."""
    monkeypatch.setenv("WORKBENCH_SECRETS__VENUE_KEY", venue.key)
    monkeypatch.setenv("WORKBENCH_SECRETS__VENUE_SECRET", venue.secret)
    head, tail = DEFAULT_TOML.split("[venue]")
    for key, value in {"broker": "alpaca", "url": venue.rest, "admin_url": venue.addresses["admin"]}.items():
        tail = tail.replace(f'\n{key} = ""', f'\n{key} = "{value}"', 1)
    with pytest.raises(ApprovalRequired):
        drive.make_desk(tmp_path / "desk", f"{head}[venue]{tail}")
    return load_settings(str(tmp_path / "desk" / "workbench.toml"))


def shown(settings: Settings, **changes: Any) -> ApprovalRequired:
    with pytest.raises(ApprovalRequired) as caught:
        adopt(settings, **{**AS_OF, **WHO, **changes})
    return caught.value


def rows(settings: Settings, projection: str, **equals: Any) -> list[dict[str, Any]]:
    return Desk(settings).journal.rows(projection, **equals)


@pytest.mark.slow
def test_what_the_account_holds_is_shown_accepted_by_its_mark_and_traded_beside(
    settings: Settings, venue: VenueHands
) -> None:
    first = shown(settings)
    for words in ("40 MSFT", "buy 3 AAPL (rests)", "buy 5 IBM (fills)"):
        assert words in first.message
    assert "never" not in first.message
    mark = str(first.facts["mark"])
    assert mark in str(first.next_step)
    assert rows(settings, "postings") == []

    by_hand(venue, "later", symbol="FB", qty="1", type="limit", limit_price="1", time_in_force="gtc")
    assert "buy 1 FB (later)" in shown(settings, accept=mark).message  # it is not what was accepted
    mark = str(shown(settings).facts["mark"])
    with pytest.raises(Refused, match="not registered"):
        adopt(settings, **AS_OF, person="stranger", reason="because", accept=mark)

    found = adopt(settings, **AS_OF, **WHO, accept=mark)
    assert found.positions == {"MSFT": 40.0}
    assert set(found.orders) == {"rests", "fills", "later"}
    with pytest.raises(Refused, match="open already"):
        adopt(settings, **AS_OF, **WHO, accept=mark)

    assert admin.reconcile(settings) == ()  # nothing that lay before the adoption is a break
    drive.make_desk(settings.folder)  # the rest of the way: a person resumes
    traded = drive.trade(settings, drive.FIRST)
    assert traded["equal_to_venue"]
    external = {row["client_order_id"]: row for row in rows(settings, "orders", strategy=EXTERNAL)}
    states = {key: row["state"] for key, row in external.items()}
    assert states == {"rests": "ACCEPTED", "fills": "FILLED", "later": "ACCEPTED"}
    assert [row["symbol"] for row in rows(settings, "fills", client_order_id="fills")] == ["IBM"]
    reasons = {row["symbol"]: row["reason"] for row in rows(settings, "decisions")[0]["rows"]}
    assert {reasons[symbol] for symbol in ("AAPL", "FB", "IBM")} == {"frozen"}  # exposure of somebody else
    execution = Desk(settings).execution
    for table in (execution.orders(), execution.fills()):  # what somebody else did teaches us no costs
        assert not set(table["order_id"]) & set(external)
    assert not [row for row in venue.requests() if row["endpoint"].startswith("DELETE")]
    assert all(row["clean"] for row in rows(settings, "reconciliations"))
    assert drive.trade(settings, "2013-02-04")["equal_to_venue"]

    journal = Desk(settings).journal
    with pytest.raises(Refused, match="belongs to account"):
        since_adoption(None, journal, account=settings.account, venue_account="reset")  # type: ignore[arg-type]


HELD = Holding(1, 5_000_000, {"AAA": 3 * NANO, "BBB": -2 * NANO}, (), ())


def test_positions_open_at_their_last_price_and_count_as_capital() -> None:
    entry = opening_entry(HELD, {"AAA": 10_000_000, "BBB": 4_000_000})
    books = Ledger.from_postings(entry)
    assert books.cash_micro == 5_000_000
    assert books.positions_nano == HELD.positions_nano
    assert books.cost_micro == {"AAA": 30_000_000, "BBB": -8_000_000}
    assert books.capital_micro == 27_000_000 == books.equity_micro({"AAA": 10_000_000, "BBB": 4_000_000})


def test_a_position_without_a_price_is_not_taken_over() -> None:
    with pytest.raises(Refused, match="BBB"):
        opening_entry(HELD, {"AAA": 10_000_000})


def test_the_mark_stands_for_cash_positions_and_orders() -> None:
    others = [
        Holding(1, 5_000_001, HELD.positions_nano, (), ()),
        Holding(1, HELD.cash_micro, {"AAA": 3 * NANO}, (), ()),
    ]
    assert len({one.mark for one in (HELD, *others)}) == 3
    assert (
        Holding(2, HELD.cash_micro, dict(reversed(HELD.positions_nano.items())), (), ("x",)).mark == HELD.mark
    )


def test_cash_alone_opens_as_it_always_did() -> None:
    assert opening_entry(Holding(1, 7, {}, (), ()), {}) == opening_postings(7)
