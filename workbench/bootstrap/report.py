"""Reports that a desk writes about itself, from its journal and settings, for who answers for it."""

from __future__ import annotations

import html
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from workbench.bootstrap.desk import Desk
from workbench.config import Settings
from workbench.core.ports import RecordedEvent
from workbench.errors import UsageError
from workbench.services import assurance
from workbench.services.assurance import Period, Table


@dataclass(frozen=True)
class Section:
    """A heading with a paragraph, a table, or both."""

    heading: str
    text: str = ""
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ()


@dataclass(frozen=True)
class DeskReport:
    """A report as values, Markdown and HTML.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    account, first, last, config_hash : str
        Whose report it is, over which days (UTC), under which settings.
    sections : tuple of Section
    """

    kind: str
    account: str
    first: str
    last: str
    config_hash: str
    sections: tuple[Section, ...]

    @property
    def title(self) -> str:
        """What it is, of whom and over which days."""
        return f"{TITLES[self.kind]}: account {self.account}, {self.first} to {self.last}"

    def to_markdown(self) -> str:
        """The whole report as a page."""
        lines = [
            f"# {self.title}",
            "",
            f"Written by `workbench report --kind {self.kind}`; settings {self.config_hash}.",
        ]
        for section in self.sections:
            lines += ["", f"## {section.heading}"]
            lines += ["", section.text] if section.text else []
            if section.columns:
                lines += ["", _line(section.columns), _line(["---"] * len(section.columns))]
                lines += [_line(row) for row in section.rows] or [
                    _line(["none", *[""] * (len(section.columns) - 1)])
                ]
        return "\n".join(lines) + "\n"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.to_markdown())}</pre>"


def make_report(settings: Settings, kind: str, *, first: str = "", last: str = "") -> DeskReport:
    """The report of that kind over the days from `first` to `last`.

    Parameters
    ----------
    kind : str
        "inventory" | "self-assessment" | "stress" | "incidents" | "access" | "records".
    first, last : str
        ISO dates of recorded time, UTC; "" = the year that ends today.

    Raises
    ------
    UsageError
        There is no such kind, or a day is no date.
    """
    if kind not in KINDS:
        raise UsageError(
            f"there is no report {kind!r}", next_step=f"use one of: {', '.join(KINDS)}", kind=kind
        )
    desk = Desk(settings)
    period = Period.of(first, last, now_ns=time.time_ns())
    events = assurance.events_of(desk.journal, period, account=settings.account)
    sections = tuple(KINDS[kind](desk, events))
    return DeskReport(kind, settings.account, period.first, period.last, settings.config_hash, sections)


def _inventory(desk: Desk, events: Sequence[RecordedEvent]) -> list[Section]:
    settings, journal = desk.settings, desk.journal
    models = [
        (row["model_id"][:12], row["stage"] or "candidate", row["person"] or "nobody", row["reason"],
         *_made_of(row["manifest"]))
        for row in journal.rows("models")
    ]  # fmt: skip
    costs = [
        (row["cost_model_id"][:12], row["approved_by"] or "nobody", row["reason"])
        for row in journal.rows("cost_models")
    ]
    limits = [
        (row["key"].removeprefix("limits."), row["value"])
        for row in settings.table()
        if row["key"].startswith("limits.")
    ]
    return [
        Section(f"What the strategy {settings.strategy} does", _in_plain_words(settings)),
        Section("What stops it", _STOPS),
        Section("Its limits", "", ("limit", "value"), tuple(limits)),
        Section("Models", "", ("model", "stage", "by", "reason", "made of", "trained on"), tuple(models)),
        Section("Cost models", "", ("cost model", "approved by", "reason"), tuple(costs)),
    ]  # fmt: skip


def _in_plain_words(settings: Settings) -> str:
    policy, model = settings.policy, settings.model
    times = " and ".join(settings.session.decision_times)
    short = "It may also sell short." if policy.allow_short else "It never sells what it does not hold."
    wait = (
        "Every order waits for a person."
        if settings.approvals.required
        else "Orders leave without waiting for a person."
    )
    return (
        f"It trades {', '.join(settings.universe)} for account {settings.account}, in mode "
        f"{settings.mode.value}. At "
        f"{times} of each session it looks at the prices known by then, computes "
        f"{', '.join(model.features)}, and a "
        f"linear model forecasts the return of each symbol over {model.horizon_sessions} sessions. It wants "
        f"more of "
        f"what is forecast to rise in proportion to the forecast over its volatility, at most "
        f"{policy.max_weight:.0%} of the "
        f"equity in one symbol and {policy.max_gross_weight:.0%} in all. It trades only where the change is "
        f"at least "
        f"{policy.min_trade_weight:.0%} of equity and is expected to earn {policy.edge_multiple:g} times "
        f"its whole cost, "
        f"measured conservatively. Entries are {policy.entry_order_type} orders, exits "
        f"{policy.exit_order_type} orders. "
        f"{short} {wait}"
    )


def _made_of(manifest: str) -> tuple[str, str]:
    made: dict[str, Any] = json.loads(manifest)
    trained = f"{made.get('train_first_session', '?')} to {made.get('train_last_session', '?')}"
    return ", ".join(made.get("features", [])), trained


def _self_assessment(desk: Desk, events: Sequence[RecordedEvent]) -> list[Section]:
    verified = desk.journal.verify()
    state = (
        "is whole: every event continues the one before it"
        if verified.ok
        else f"is NOT whole: {verified.reason}"
    )
    return [
        Section("The record", f"The journal {state}. {verified.events} events were proved."),
        *(Section(heading, "", *_frozen(table)) for heading, table in assurance.assessment(events)),
        Section("To be answered by a person", _QUESTIONS),
    ]


def _stress(desk: Desk, events: Sequence[RecordedEvent]) -> list[Section]:
    ceiling = desk.settings.limits.max_orders_per_minute
    text = (
        f"The control RATE denies more than {ceiling} orders within a minute, so the machine is never asked "
        f"for more. "
        "The tests put twice the highest rates of a desk's journal through the order path and the venue; "
        "`make bench` measures the ceilings of this machine."
    )
    return [Section("Highest rates, and twice them", text, *_frozen(assurance.rates(events)))]


def _incidents(desk: Desk, events: Sequence[RecordedEvent]) -> list[Section]:
    return [
        Section("Log", "", *_frozen(assurance.incidents(events))),
        Section("Post-mortem, one for each incident that mattered", _POST_MORTEM),
    ]


def _access(desk: Desk, events: Sequence[RecordedEvent]) -> list[Section]:
    people = tuple(
        (row["person"], row["role"], assurance.when(event.at_ns))
        for row in desk.journal.rows("people")
        for event in desk.journal.events(kinds=("person.added",))
        if event.seq == row["seq"]
    )
    secrets = tuple(
        (row["key"].removeprefix("secrets."), "not set" if row["value"] == "(not set)" else row["source"])
        for row in desk.settings.table()
        if row["key"].startswith("secrets.")
    )
    return [
        Section("People", "", ("person", "role", "since"), people),
        Section("What they did", "", *_frozen(assurance.acts(events))),
        Section("Secrets of this process", "Values are never shown.", ("secret", "source"), secrets),
    ]


def _records(desk: Desk, events: Sequence[RecordedEvent]) -> list[Section]:
    folders = [(path.name, *_size(path)) for path in sorted(desk.paths.root.iterdir())]
    archives = tuple(
        (row["first_seq"], row["last_seq"], row["before_session"], row["person"], row["reason"])
        for row in desk.journal.rows("archives")
    )
    return [
        Section("Records of the journal", _RETENTION, *_frozen(assurance.kept(events))),
        Section("Archives", "", ("first event", "last event", "before session", "by", "reason"), archives),
        Section("Files of the desk", "", ("name", "files", "bytes"), tuple(folders)),
    ]


def _size(path: Path) -> tuple[int, int]:
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    return len(files), sum(one.stat().st_size for one in files)


def _frozen(table: Table) -> tuple[tuple[str, ...], tuple[tuple[Any, ...], ...]]:
    columns, rows = table
    return columns, tuple(rows)


def _line(cells: Sequence[object]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "/").replace("\n", " ") for cell in cells) + " |"


_STOPS: Final = (
    "Controls outside the strategy judge every order before it is sent and again just before it leaves; "
    "what they "
    "cannot judge they deny. Sending needs the state ACTIVE, the ARMED file, the lease and a ticket of the "
    "runner. "
    "`workbench halt` takes the permission away at any time; only a registered person with a reason gives "
    "it back."
)
_QUESTIONS: Final = (
    "1. Were the limits right for the size of the account? 2. Did a control deny what it should have let "
    "through, "
    "or let through what it should have denied? 3. Was every halt and break explained in its record? 4. Was "
    "a "
    "restore from backup, a rollback and a day without the system rehearsed? 5. Who reviewed this page, and "
    "when?"
)
_POST_MORTEM: Final = (
    "What happened, in one sentence. When it began, was seen, was stopped. What it cost. What the machine "
    "did by "
    "itself, and what a person did. Why it could happen, to the last why. What is changed so that it cannot "
    "happen "
    "again, by whom, until when, and the test that shows it."
)
_RETENTION: Final = (
    "Nothing deletes a record: events are appended and never rewritten, `workbench journal archive` moves "
    "old ones "
    "into files that still prove the chain, and run folders stay until somebody moves them. How long they "
    "must be "
    "kept is for the owner of the desk to say."
)
TITLES: Final = {
    "inventory": "Inventory of algorithms", "self-assessment": "Self-assessment", "stress": "Message rates",
    "incidents": "Incident log", "access": "Access list", "records": "Records kept",
}  # fmt: skip
#: Kind of report -> what fills it.
KINDS: Final[dict[str, Callable[[Desk, Sequence[RecordedEvent]], list[Section]]]] = {
    "inventory": _inventory,
    "self-assessment": _self_assessment,
    "stress": _stress,
    "incidents": _incidents,
    "access": _access,
    "records": _records,
}
