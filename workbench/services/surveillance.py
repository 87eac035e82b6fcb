"""The next day's look at our own flow: every account's orders and executions of a session, and alerts."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from workbench.core.orders import TERMINAL, OrderState
from workbench.core.ports import Event, Journal
from workbench.core.surveillance import (
    ClosingMarket,
    Finding,
    OwnFill,
    OwnOrder,
    SurveillanceLimits,
    Unjudged,
    layering,
    marking_the_close,
    self_matches,
)
from workbench.core.types import Side

#: The code of the alert of each finding is this word and the rule's.
ALERT = "SURVEILLANCE_"


@dataclass(frozen=True)
class SurveillanceReport:
    """What was looked at in one session, what was found, and what could not be judged."""

    session: str
    orders: int
    fills: int
    findings: tuple[Finding, ...]
    unjudged: tuple[Unjudged, ...]
    limits: SurveillanceLimits

    @property
    def status(self) -> str:
        """One word: "findings", else "incomplete" when something could not be judged, else "clean"."""
        return "findings" if self.findings else "incomplete" if self.unjudged else "clean"

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values."""
        return {"status": self.status, **asdict(self)}

    def _repr_html_(self) -> str:
        lines = [
            (one.rule, one.symbol, ", ".join(one.accounts), one.text, ", ".join(one.evidence))
            for one in self.findings
        ]
        lines += [(one.rule, one.symbol, "", f"not judged: {one.text}", "") for one in self.unjudged]
        cells = ("".join(f"<td>{html.escape(cell)}</td>" for cell in line) for line in lines)
        body = "".join(f"<tr>{row}</tr>" for row in cells)
        head = "".join(f"<th>{word}</th>" for word in ("rule", "symbol", "accounts", "what", "evidence"))
        return (
            f"<h3>Own flow of {html.escape(self.session)}: {self.status}</h3>"
            f"<p>{self.orders} orders sent, {self.fills} executions</p><table><tr>{head}</tr>{body}</table>"
        )


def survey(
    journal: Journal,
    *,
    session: str,
    close_ns: int,
    limits: SurveillanceLimits,
    market: Callable[[tuple[str, ...]], Mapping[str, ClosingMarket]],
) -> SurveillanceReport:
    """Look at all accounts' flow of a session.

    Parameters
    ----------
    market : callable
        The market in the last part of the session, of the symbols that it knows.
    """
    orders, fills = _orders_of(journal, session), _fills_of(journal, session)
    start_ns = close_ns - limits.close_window_s * 1_000_000_000
    late = tuple(sorted({fill.symbol for fill in fills if start_ns <= fill.filled_ns <= close_ns}))
    marked, unjudged = marking_the_close(fills, market(late) if late else {}, limits, close_ns=close_ns)
    findings = [*self_matches(orders, fills, limits), *layering(orders, fills, limits), *marked]
    findings.sort(key=lambda one: (one.at_ns, one.rule, one.evidence))
    return SurveillanceReport(session, len(orders), len(fills), tuple(findings), tuple(unjudged), limits)


def raise_alerts(journal: Journal, report: SurveillanceReport, *, at_ns: int) -> int:
    """Record an alert for each finding that has none yet, in one transaction; how many.

    A finding of several accounts is an alert of each. The evidence is part of the text, so looking at a
    session again raises nothing twice.
    """
    known = {(row["account"], row["code"], row["text"]) for row in journal.rows("alerts")}
    events = []
    for finding in report.findings:
        text = f"{report.session} {finding.symbol}: {finding.text} ({', '.join(finding.evidence)})"
        for account in finding.accounts:
            if (account, ALERT + finding.rule, text) not in known:
                payload = {"account": account, "code": ALERT + finding.rule, "text": text, "at_ns": at_ns}
                events.append(Event("alert.raised", payload))
    if events:
        journal.commit(events)
    return len(events)


def _orders_of(journal: Journal, session: str) -> list[OwnOrder]:
    ended: dict[str, int] = {}
    for event in journal.events(kinds=("order.changed",)):
        if OrderState(event.payload["state"]) in TERMINAL:
            ended.setdefault(event.payload["client_order_id"], event.payload["at_ns"])
    return [
        OwnOrder(
            row["client_order_id"], row["account"], row["symbol"], Side[row["side"].upper()],
            row["limit_micro"], row["filled_nano"], row["sent_at_ns"], ended.get(row["client_order_id"]),
            row["state"] == OrderState.CANCELED.value,
        )
        for row in journal.rows("orders", session=session)
        if row["sent_at_ns"]
    ]  # fmt: skip


def _fills_of(journal: Journal, session: str) -> list[OwnFill]:
    return [
        OwnFill(
            row["execution_id"], row["client_order_id"], row["account"], row["symbol"],
            Side[row["side"].upper()], row["quantity_nano"], row["price_micro"], row["filled_at_ns"],
        )
        for row in journal.rows("fills", session=session)
    ]  # fmt: skip
