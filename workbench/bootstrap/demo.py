"""The main job on real market history: a desk from nothing, then twenty sessions to trade."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from workbench.bootstrap import admin, costing, releasing
from workbench.bootstrap.adoption import adopt
from workbench.bootstrap.desk import Desk
from workbench.bootstrap.resources import present_code_hash
from workbench.config import Settings
from workbench.errors import TradingHalted
from workbench.services.supervision import ACTIVE

JOB = "trading_loop"
#: Sessions of the sample's last month; the model sees nothing after the day before the first.
FIRST_SESSION, LAST_SESSION = "2013-02-01", "2013-03-01"
PERSON, REASON = "operator", "demonstration on recorded history"


@dataclass(frozen=True)
class Step:
    """One line of progress: what was done and what came of it."""

    name: str
    found: str


def prepare(config_path: Path) -> Iterator[Step]:
    """Everything a person does once, each step skipped when it has been done; yields progress."""
    settings = admin.init(config_path)
    desk = Desk(settings)
    calendar = desk.calendar
    yield Step("desk", str(desk.paths.root))

    yield Step("real daily history", str(admin.ingest_sample(settings)))

    journal = desk.journal
    if not journal.rows("people", person=PERSON):
        admin.add_person(settings, PERSON, role="operator")
    yield Step("person", f"{PERSON}, role operator")

    before = calendar.previous_session(FIRST_SESSION)
    if not journal.rows("models"):
        report = admin.train(settings, last_session=before)
        mean_ic = sum(fold.ic for fold in report.folds) / len(report.folds)
        found = f"{report.model_id[:12]}, mean IC {mean_ic:+.4f} over {len(report.folds)} walk-forward blocks"
        yield Step("candidate trained", found)
        releasing.accept_model(settings, report.model_id, stage="replay", person=PERSON, reason=REASON)
    yield Step("model accepted for replay", journal.rows("models")[-1]["model_id"][:12])

    if not journal.rows("cost_models"):
        costing.approve_prior(settings, as_of_session=before, person=PERSON, reason=REASON)
    yield Step("prior cost model approved", journal.rows("cost_models")[-1]["cost_model_id"][:12])

    if not journal.rows("postings", account=settings.account):
        adopt(settings, as_of_session=before, person=PERSON, reason=REASON)
    yield Step("opening cash adopted", f"{settings.venue.starting_cash_usd:,} USD")

    permission = admin.permission(settings)
    if not permission.epoch:  # a new desk; whoever halted one that has traded is asked, never overruled
        permission = admin.resume(settings, person=PERSON, reason=REASON)
    if permission.state != ACTIVE or permission.code_hash != present_code_hash(settings):
        found = permission.reason if permission.state != ACTIVE else "the code is not the accepted one"
        raise TradingHalted(
            f"the desk is not ready to trade: {found}",
            next_step="look at `workbench status`, then resume it with a reason of your own",
        )
    yield Step("resumed", f"{permission.state}, epoch {permission.epoch}, by {PERSON}")


def sessions(settings: Settings) -> tuple[str, ...]:
    """The sessions that the demonstration trades."""
    return Desk(settings).calendar.sessions_between(FIRST_SESSION, LAST_SESSION)
