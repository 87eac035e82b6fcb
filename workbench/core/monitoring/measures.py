"""Measures of one session with their levels, and the events that follow from them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from workbench.core.alerts import alert
from workbench.core.halts import MONITORING
from workbench.core.monitoring.rules import MODEL, Level, rule_of
from workbench.core.ports import Event

RUNBOOK: Final = "docs/runbooks/monitoring-blocked.md"


@dataclass(frozen=True)
class Measure:
    """One value of one session, judged.

    Attributes
    ----------
    name : str
        As in the table of rules.
    value : float
        NaN = not known.
    level : Level
    detail : str
        The evidence in words.
    """

    name: str
    value: float
    level: Level
    detail: str = ""

    def payload(self) -> dict[str, Any]:
        """As the journal keeps it: the value as text, "" = not known."""
        value = "" if math.isnan(self.value) else repr(self.value)
        return {"name": self.name, "value": value, "level": self.level.value, "detail": self.detail}

    @classmethod
    def of_payload(cls, payload: Mapping[str, Any]) -> Measure:
        """The measure that `payload` made."""
        text = payload["value"]
        value = float(text) if text else math.nan
        return cls(payload["name"], value, Level(payload["level"]), payload["detail"])


def measure(
    name: str, value: float | None, detail: str = "", *, block: float | None = None, alarmed: bool = False
) -> Measure:
    """The value on its grid of 1e-6 with the level that its rule gives it.

    Parameters
    ----------
    value : float or None
        None and NaN are not known; an infinite value counts as the worst there can be.
    block : float or None
        A bound that a model's manifest sets in place of the rule's own.
    alarmed : bool
        Whether a detector says so whatever the bounds say: at least a warning.
    """
    rule = rule_of(name)
    if block is not None:
        rule = replace(rule, warn=0.0, block=block)
    known = math.nan if value is None else float(value)
    rounded = round(known, 6) if math.isfinite(known) else known
    level = rule.level(rounded)
    if alarmed and level.rank < Level.WARN.rank:
        level = Level.WARN
    return Measure(name, rounded, level, detail)


def worst(measures: Iterable[Measure]) -> Level:
    """The worst level among them, "ok" without any."""
    return max((one.level for one in measures), key=lambda level: level.rank, default=Level.OK)


def newly_blocked(before: Sequence[Measure], now: Sequence[Measure]) -> tuple[Measure, ...]:
    """Blocks that the session before did not have.

    What a person has looked at and lifted stays lifted while the same measure stays beyond its bound: the
    decision is a person's, and is asked for again only after the measure had come back.
    """
    known = {one.name for one in before if one.level is Level.BLOCK}
    return tuple(one for one in now if one.level is Level.BLOCK and one.name not in known)


def consequences(
    measures: Sequence[Measure],
    before: Sequence[Measure],
    *,
    account: str,
    strategy: str,
    model_id: str,
    session: str,
    at_ns: int,
) -> list[Event]:
    """What follows: an alert for each warning and each new block, and a halt for what a new block stops.

    Parameters
    ----------
    before : sequence of Measure
        Of the session before, under the same model; () = there is none.
    at_ns : int
        Trading time, UTC nanoseconds.
    """
    events = []
    for one in measures:
        if one.level is Level.WARN:
            text = f"{session} {one.name} is {_number(one.value)}: {_meant(one)}"
            events.append(alert(account, "MONITOR_WARNED", text, at_ns=at_ns, subject=one.name))
    fresh = newly_blocked(before, measures)
    for one in fresh:
        text = f"{session} {one.name} is {_number(one.value)}: {_meant(one)}; no new risk; {RUNBOOK}"
        events.append(alert(account, "MONITOR_BLOCKED", text, at_ns=at_ns, subject=one.name))
    for stops, target in ((MODEL, model_id), ("strategy", strategy)):
        named = [one for one in fresh if rule_of(one.name).stops == stops]
        if named and target:
            why = "; ".join(f"{one.name} {_number(one.value)} ({one.detail})" for one in named)
            events.append(
                Event(
                    "halt.placed",
                    {"account": account, "level": stops, "target": target, "state": "REDUCING",
                     "reason": f"monitoring of {session}: {why}; {RUNBOOK}", "cause": MONITORING,
                     "person": ""},
                )
            )  # fmt: skip
    return events


def _meant(one: Measure) -> str:
    meaning = rule_of(one.name).meaning
    return f"{meaning} {one.detail}".rstrip()


def _number(value: float) -> str:
    return "not known" if math.isnan(value) else f"{value:.4g}"
