"""A whole desk on real history through a real split and a real dividend while it holds the symbol.

Microsoft split 2 for 1 with the session of 2003-02-18 (in the sample) and paid its first dividend, 0.08 USD,
ex 2003-02-19 (a public event that the sample does not record; ingested here). F26: share terms never mix.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import drive
import pandas as pd
import pytest

from workbench.bootstrap import admin, costing, releasing
from workbench.bootstrap.adoption import adopt
from workbench.bootstrap.desk import Desk
from workbench.bootstrap.resources import sample_folder
from workbench.config import DEFAULT_TOML, Settings, load_settings
from workbench.core.ledger import CASH
from workbench.core.types import MICRO, NANO
from workbench.errors import ConfigError, Refused

BEFORE, FIRST, EVE, SPLIT, PAID, LAST = (
    "2003-02-10", "2003-02-11", "2003-02-14", "2003-02-18", "2003-02-19", "2003-02-20",
)  # fmt: skip
CHANGES = {
    '"AAPL", "FB", "GOOG", "IBM", "MSFT"': '"AAPL", "IBM", "MSFT"',
    '"2005-01-03"': '"2000-06-01"',
    '["open-15m"]': '["open-90m"]',
}
WHO = {"person": "operator", "reason": "a desk of 2003"}
DIVIDENDS = pd.DataFrame([{"symbol": "MSFT", "ex_session": PAID, "amount": 0.08}])


def ingest(settings: Settings, **events: Any) -> None:
    recorded = {"splits": sample_folder() / "splits.parquet", "dividends": DIVIDENDS} | events
    Desk(settings).bars.ingest(
        sample_folder() / "daily", source=admin.SAMPLE_SOURCE, now_ns=time.time_ns(), **recorded
    )


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a desk of February 2003, never traded in itself."""
    folder = tmp_path_factory.mktemp("ready") / "desk"
    folder.mkdir()
    toml = DEFAULT_TOML
    for old, new in CHANGES.items():
        assert old in toml
        toml = toml.replace(old, new)
    (folder / "workbench.toml").write_text(toml)
    settings = admin.init(folder / "workbench.toml")
    ingest(settings)
    admin.add_person(settings, "operator", role="operator")
    report = admin.train(settings, last_session=BEFORE)
    releasing.accept_model(settings, report.model_id, stage="replay", **WHO)
    costing.approve_prior(settings, as_of_session=BEFORE, **WHO)
    adopt(settings, as_of_session=BEFORE, **WHO)
    admin.resume(settings, **WHO)
    return folder


def copy(of: Path, to: Path) -> Settings:
    shutil.copytree(of, to)
    return load_settings(str(to / "workbench.toml"))


@pytest.fixture(scope="module")
def eve(ready: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """The same desk on the evening before the split, holding the symbol, and its sessions so far."""
    folder = tmp_path_factory.mktemp("eve") / "desk"
    settings = copy(ready, folder)
    return folder, [drive.trade(settings, each) for each in drive.sessions_of(settings, FIRST, EVE)]


@pytest.fixture(scope="module")
def traded(
    eve: tuple[Path, list[dict[str, Any]]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Settings, list[dict[str, Any]]]:
    """The desk after split and dividend, with all its sessions."""
    settings = copy(eve[0], tmp_path_factory.mktemp("traded") / "desk")
    later = [drive.trade(settings, each) for each in drive.sessions_of(settings, SPLIT, LAST)]
    return settings, [*eve[1], *later]


Traded = tuple[Settings, list[dict[str, Any]]]


def test_the_books_equal_the_venue_to_the_micro_through_split_and_dividend_without_a_break(
    traded: Traded,
) -> None:
    settings, rows = traded
    assert [row["session"] for row in rows][-3:] == [SPLIT, PAID, LAST]
    assert all(row["equal_to_venue"] for row in rows)
    journal = Desk(settings).journal
    assert all(row["clean"] for row in journal.rows("reconciliations"))
    held = {row["session"]: row["positions"].get("MSFT", 0) // NANO for row in journal.rows("sessions")}
    assert held[EVE] > 0
    assert (held[SPLIT], held[PAID]) == (2 * held[EVE], 2 * held[EVE])
    booked = [row for row in journal.rows("postings") if row["entry_id"].startswith("activity:")]
    assert {row["session"] for row in booked} == {SPLIT, PAID}
    assert [row["amount_micro"] for row in booked if row["ledger_account"] == CASH] == [held[SPLIT] * 80_000]


def test_positions_prices_and_equity_of_every_session_are_in_its_own_shares(traded: Traded) -> None:
    """No session sees the split as a loss or a gain: not the one before it, not its decision."""
    settings, _ = traded
    journal = Desk(settings).journal
    equity = [row["equity_micro"] for row in journal.rows("sessions")]
    assert all(abs(b / a - 1.0) < 0.02 for a, b in pairwise(equity))
    orders = journal.rows("orders", symbol="MSFT")
    assert {row["session"] > EVE for row in orders} == {False, True}
    for row in orders:
        dollars = row["reference_micro"] / MICRO
        assert (40 < dollars < 60) if row["session"] <= EVE else (20 < dollars < 30)
        assert not row["limit_micro"] or abs(row["limit_micro"] / row["reference_micro"] - 1) < 0.03
    (decision,) = journal.rows("decisions", session=SPLIT)
    (row,) = [row for row in decision["rows"] if row["symbol"] == "MSFT"]
    held = journal.rows("sessions", session=EVE)[0]["positions"]["MSFT"] // NANO
    assert abs(row["target_shares"] / (2 * held) - 1.0) < 0.3, "the target counts in old shares"


def test_another_desk_that_trades_the_same_days_gives_the_same_digests(
    ready: Path, traded: Traded, tmp_path: Path
) -> None:
    settings = copy(ready, tmp_path / "again")
    again = [drive.trade(settings, each) for each in drive.sessions_of(settings, FIRST, LAST)]
    assert [row["digest"] for row in again] == [row["digest"] for row in traded[1]]


def test_an_early_decision_is_taken_at_its_own_time(ready: Path, tmp_path: Path) -> None:
    settings = copy(ready, tmp_path / "early")
    job = drive.start(settings, FIRST)
    (scheduled_ns,) = job.trading.times.decision_ns
    try:
        assert job.account.clock.now_ns() == scheduled_ns == job.trading.times.open_ns - 90 * 60 * NANO
        job.trading.start()
        job.trading.decide(scheduled_ns)
        assert job.account.clock.now_ns() == scheduled_ns
    finally:
        job.account.close()


def late_knowledge(settings: Settings, job_of: Callable[[], Any]) -> Any:
    """The prices do not know of the split when the session decides."""
    shutil.rmtree(Desk(settings).paths.bars)
    known = Desk(settings).calendar.session_close_ns(SPLIT)
    splits = pd.read_parquet(sample_folder() / "splits.parquet").assign(known_at_ns=0)
    splits.loc[splits.symbol == "MSFT", "known_at_ns"] = known
    ingest(settings, splits=splits)
    return job_of()


def deaf_venue(settings: Settings, job_of: Callable[[], Any]) -> Any:
    """The venue does not know of the split."""
    job = job_of()
    job.account.broker._splits = None
    return job


@pytest.mark.parametrize(
    ("disturb", "words"),
    [
        (late_knowledge, "MSFT x1 in the prices, x2 at the venue"),
        (deaf_venue, "MSFT x2 in the prices, x1 at the venue"),
    ],
)
def test_a_session_whose_prices_and_positions_count_in_other_shares_is_refused_by_name(
    eve: tuple[Path, Any], tmp_path: Path, disturb: Callable[..., Any], words: str
) -> None:
    settings = copy(eve[0], tmp_path / "apart")
    job = disturb(settings, lambda: drive.start(settings, SPLIT))
    try:
        with pytest.raises(Refused, match=f"share terms agree: {words}"):
            job.trading.start()
        assert Desk(settings).journal.rows("orders", session=SPLIT) == []
        assert Desk(settings).journal.rows("decisions", session=SPLIT) == []
    finally:
        job.account.close()


def test_a_desk_that_allows_short_positions_is_refused_by_the_embedded_venue(tmp_path: Path) -> None:
    """F14: the embedded venue keeps a cash account; a short sale is refused before anything is opened."""
    path = tmp_path / "workbench.toml"
    path.write_text(DEFAULT_TOML.replace("allow_short = false", "allow_short = true"))
    settings = admin.init(path)
    assert settings.limits.allow_short
    with pytest.raises(ConfigError, match=r"limits\.allow_short is on, and the embedded venue"):
        adopt(settings, as_of_session=BEFORE, **WHO)
