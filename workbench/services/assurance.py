"""What a year of a desk looks like in its own records: counts, incidents, people's acts, message rates."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from workbench.core.ports import Journal, RecordedEvent
from workbench.errors import UsageError

_NANO: Final = 1_000_000_000
_DAY_NS: Final = 86_400 * _NANO
#: Changes of an order that were a message to the venue.
_MESSAGES: Final = frozenset({"SENT", "PENDING_CANCEL"})
#: Kinds of events that a person decides; each names the person in its payload.
_WORDS: Final = {
    "state.changed": "changed the state", "model.staged": "accepted a model",
    "cost_model.approved": "approved a cost model", "session.skipped": "left sessions out",
    "journal.archived": "archived old events", "person.added": "was registered",
}  # fmt: skip

#: One table of a report: column names, then rows of words and numbers.
Table = tuple[tuple[str, ...], list[tuple[Any, ...]]]


@dataclass(frozen=True)
class Period:
    """A stretch of recorded time, first day to last day, both included.

    Attributes
    ----------
    first, last : str
        ISO dates, UTC.
    """

    first: str
    last: str

    @classmethod
    def of(cls, first: str, last: str, *, now_ns: int) -> Period:
        """The period; without a last day until today, without a first day the year before it.

        Raises
        ------
        UsageError
            A day is no date, or the first is after the last.
        """
        try:
            end = datetime.fromisoformat(last).replace(tzinfo=UTC) if last else _time(now_ns)
            year_before = _time(int(end.timestamp()) * _NANO - 365 * _DAY_NS)
            start = datetime.fromisoformat(first).replace(tzinfo=UTC) if first else year_before
        except ValueError as error:
            raise UsageError(
                f"{first or last!r} is not a date", next_step="write it as YYYY-MM-DD"
            ) from error
        if start > end:
            raise UsageError(f"{first} is after {last or 'today'}", next_step="turn the two days around")
        return cls(start.date().isoformat(), end.date().isoformat())

    def holds(self, at_ns: int) -> bool:
        """Whether that moment lies in the period."""
        return self.first <= _time(at_ns).date().isoformat() <= self.last


def events_of(journal: Journal, period: Period, *, account: str) -> list[RecordedEvent]:
    """Events of the period that concern the account or no account in particular, oldest first."""
    return [
        event
        for event in journal.events()
        if period.holds(event.at_ns) and event.payload.get("account", account) == account
    ]


def assessment(events: Sequence[RecordedEvent]) -> list[tuple[str, Table]]:
    """Counts of what the controls did in the period, each under its heading."""
    halts = [e.payload for e in events if e.kind == "state.changed" and e.payload["state"] == "HALTED"]
    return [
        ("Orders and decisions", _counted(("what", "number"), Counter(dict(_activity(events))))),
        ("Denials by code", _counted(("code", "denied"), _denials(events))),
        ("Halts by cause", _counted(("cause", "halts"), Counter(str(row["cause"]) for row in halts))),
        ("Breaks by kind", _counted(("kind", "breaks"), _breaks(events))),
        ("Alerts by code", _counted(("code", "alerts"), Counter(_named(events, "alert.raised", "code")))),
        ("Runs by end", _counted(("end", "runs"), Counter(_named(events, "run.finished", "status")))),
        ("Overrides and approvals", _counted(("event", "number"), _exceptional(events))),
        ("Changes of limits", (("at", "setting", "before", "after"), limit_changes(events))),
    ]


def _activity(events: Iterable[RecordedEvent]) -> Iterable[tuple[str, int]]:
    kinds = Counter(event.kind for event in events)
    names = {
        "decision.made": "decisions", "order.intended": "orders intended", "order.denied": "orders denied",
        "fill.booked": "fills", "session.closed": "sessions closed", "session.skipped": "sessions left out",
        "reconciliation.done": "reconciliations",
    }  # fmt: skip
    return ((word, kinds[kind]) for kind, word in names.items())


def _denials(events: Iterable[RecordedEvent]) -> Counter[str]:
    found: Counter[str] = Counter()
    for event in events:
        if event.kind == "order.denied":
            found.update(str(code) for code in event.payload["codes"])
    return found


def _breaks(events: Iterable[RecordedEvent]) -> Counter[str]:
    found: Counter[str] = Counter()
    for event in events:
        if event.kind == "reconciliation.done":
            found.update(str(one.get("kind", "?")) for one in event.payload["breaks"])
    return found


def _named(events: Iterable[RecordedEvent], kind: str, field: str) -> list[str]:
    return [str(event.payload[field]) for event in events if event.kind == kind]


def _exceptional(events: Iterable[RecordedEvent]) -> Counter[str]:
    """Whatever a person allowed beside the ordinary course."""
    words = ("override", "approv", "declin", "promotion", "skipped", "limit")
    return Counter(event.kind for event in events if any(word in event.kind for word in words))


def _counted(columns: tuple[str, str], counts: Counter[str]) -> Table:
    return columns, sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def limit_changes(events: Iterable[RecordedEvent]) -> list[tuple[Any, ...]]:
    """Every setting of the limits that differs between two configurations recorded one after the other."""
    found: list[tuple[Any, ...]] = []
    before: Mapping[str, Any] | None = None
    for event in events:
        if event.kind != "config.recorded":
            continue
        now = json.loads(event.payload["config"]).get("limits", {})
        for key in sorted({*now, *before} if before is not None else ()):
            old, new = (before or {}).get(key), now.get(key)
            if old != new:
                found.append((when(event.at_ns), f"limits.{key}", str(old), str(new)))
        before = now
    return found


def incidents(events: Sequence[RecordedEvent]) -> Table:
    """Everything that stopped or troubled the desk, and who took it up again with which reason."""
    rows: list[tuple[Any, ...]] = []
    for event in events:
        payload = event.payload
        if event.kind == "state.changed":
            who = payload["person"] or "the machine"
            rows.append((event.seq, when(event.at_ns), f"state {payload['state']}", payload["reason"], who))
        elif event.kind == "reconciliation.done" and not payload["clean"]:
            kinds = ", ".join(sorted({str(one.get("kind", "?")) for one in payload["breaks"]}))
            rows.append((event.seq, when(event.at_ns), "breaks", kinds, "the machine"))
        elif event.kind == "alert.raised":
            rows.append((event.seq, when(event.at_ns), f"alert {payload['code']}", payload["text"], ""))
        elif event.kind == "run.finished" and payload["status"] != "done":
            rows.append((event.seq, when(event.at_ns), f"run {payload['status']}", payload["reason"], ""))
    return ("event", "at", "what", "why", "who"), [tuple(_one_line(value) for value in row) for row in rows]


def acts(events: Sequence[RecordedEvent]) -> Table:
    """Who did what, how often, first and last: every event that names a person."""
    found: dict[tuple[str, str], list[int]] = {}
    for event in events:
        person = event.payload.get("person") or event.payload.get("approved_by")
        if isinstance(person, str) and person:
            word = _WORDS.get(event.kind, event.kind)
            if event.kind == "state.changed":
                word = f"{word} to {event.payload['state']}"
            found.setdefault((person, word), []).append(event.at_ns)
    rows = [
        (person, word, len(times), when(min(times)), when(max(times)))
        for (person, word), times in sorted(found.items())
    ]
    return ("person", "act", "times", "first", "last"), rows


def rates(events: Sequence[RecordedEvent]) -> Table:
    """The highest rates of the period: messages to the venue, events, and what was traded in a session."""
    sent = [e.at_ns for e in events if e.kind == "order.changed" and e.payload["state"] in _MESSAGES]
    fills = [event.payload for event in events if event.kind == "fill.booked"]
    notional: Counter[str] = Counter()
    for fill in fills:
        notional[str(fill["session"])] += fill["quantity_nano"] * fill["price_micro"] // _NANO
    orders = Counter(str(e.payload["session"]) for e in events if e.kind == "order.intended")
    measured = {
        "messages to the venue in a second": _most(sent, _NANO),
        "messages to the venue in a minute": _most(sent, 60 * _NANO),
        "journal events in a second": _most([event.at_ns for event in events], _NANO),
        "orders in a session": max(orders.values(), default=0),
        "fills in a session": max(Counter(str(fill["session"]) for fill in fills).values(), default=0),
        "USD traded in a session": max(notional.values(), default=0) // 1_000_000,
    }
    return ("rate", "highest", "twice"), [(name, value, 2 * value) for name, value in measured.items()]


def kept(events: Sequence[RecordedEvent]) -> Table:
    """Which kinds of records there are, how many, and from when to when."""
    times: dict[str, list[int]] = {}
    for event in events:
        times.setdefault(event.kind, []).append(event.at_ns)
    rows = [(kind, len(at), when(min(at)), when(max(at))) for kind, at in sorted(times.items())]
    return ("record", "number", "first", "last"), rows


def when(at_ns: int) -> str:
    """The moment as people write it, UTC."""
    return _time(at_ns).strftime("%Y-%m-%d %H:%M:%S")


def _time(at_ns: int) -> datetime:
    return datetime.fromtimestamp(at_ns / _NANO, tz=UTC)


def _most(times_ns: Sequence[int], window_ns: int) -> int:
    """Most moments that any window of that length holds."""
    most, first = 0, 0
    ordered = sorted(times_ns)
    for last, at in enumerate(ordered):
        while at - ordered[first] >= window_ns:
            first += 1
        most = max(most, last - first + 1)
    return most


def _one_line(value: object) -> object:
    return " ".join(value.split())[:300] if isinstance(value, str) else value
