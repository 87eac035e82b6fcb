"""What waits for people and their answers: orders of a running loop, and limits that permit more."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from workbench.adapters.journal import JournalDatabase
from workbench.bootstrap.desk import Desk, open_journal
from workbench.bootstrap.signing import Credentials, people_of, two_people_of
from workbench.config import Settings
from workbench.config.settings import leaves
from workbench.core.limit_changes import LimitChange
from workbench.core.ports import Journal
from workbench.core.types import MICRO, NANO
from workbench.services.deciding import Deciding
from workbench.services.limit_book import LimitBook
from workbench.services.overrides import Overriding
from workbench.services.two_people import Agreement

#: Sections and keys whose loosening takes two people.
_GUARDED = ("limits.", "approvals.", "people.")


@contextmanager
def _journal(settings: Settings) -> Iterator[JournalDatabase]:
    journal = open_journal(settings, read_only=False)
    try:
        yield journal
    finally:
        journal.close()


def _deciding(settings: Settings, journal: Journal, credentials: Credentials | None = None) -> Deciding:
    return Deciding(
        journal, people_of(settings, journal, credentials), account=settings.account,
        config_hash=settings.config_hash, wall_ns=time.time_ns(),
    )  # fmt: skip


def pending(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """Everything that waits for a person, with all that is needed to decide.

    Returns
    -------
    dict
        orders: one row a waiting order; agreements: requests for a second person; cost_models: calibrated
        ones beyond their bounds; refused: the latest attempts that were turned away.
    """
    journal = Desk(settings).journal
    refused = [dict(event.payload) for event in journal.events(kinds=("act.refused",))]
    return {
        **waiting_for_people(settings, journal),
        "cost_models": _held_cost_models(journal, settings.account),
        "refused": refused[-5:],
    }


def waiting_for_people(settings: Settings, journal: Journal) -> dict[str, list[dict[str, Any]]]:
    """Of `pending` the orders and agreements: what is asked twice a second, without a look at all events."""
    agreements = two_people_of(settings, journal).waiting()
    return {
        "orders": [
            _shown(row, journal.rows("orders", client_order_id=row["approval_id"])[0], settings)
            for row in _deciding(settings, journal).waiting()
        ],
        "agreements": [
            {
                "subject": row["subject"], "first": row["first"], "reason": row["first_reason"],
                "expires_in_s": (row["expires_ns"] - time.time_ns()) // NANO,
            }
            for row in agreements
        ],
    }  # fmt: skip


def _held_cost_models(journal: Journal, account: str) -> list[dict[str, Any]]:
    approved = {e.payload["cost_model_id"] for e in journal.events(kinds=("cost_model.approved",))}
    return [
        {
            "cost_model_id": event.payload["new_cost_model_id"], "session": event.payload["session"],
            "reason": event.payload["reason"],
        }
        for event in journal.events(kinds=("calibration.done",))
        if event.payload["account"] == account
        and event.payload["decision"] == "needs_approval"
        and event.payload["new_cost_model_id"] not in approved
    ]  # fmt: skip


def _shown(row: dict[str, Any], order: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """One waiting order in the units in which a person thinks."""
    detail = row["detail"]
    shares = order["quantity_nano"] // NANO
    signed = shares if order["side"] == "buy" else -shares
    before, quoted_ns = detail["position_nano"] // NANO, detail["quote_at_ns"]
    price = order["limit_micro"] or order["reference_micro"]
    notional = shares * price / MICRO
    return {
        "id": row["approval_id"], "symbol": order["symbol"], "side": order["side"], "shares": shares,
        "order_type": order["order_type"], "limit": order["limit_micro"] / MICRO,
        "decision_price": order["reference_micro"] / MICRO, "notional_usd": notional,
        "bid": detail["bid_micro"] / MICRO, "ask": detail["ask_micro"] / MICRO,
        "quote_age_s": (detail["asked_ns"] - quoted_ns) / NANO if quoted_ns > 0 else None,
        "expected_cost_bps": order["expected_cost_micro"] / 100,
        "expected_cost_usd": notional * order["expected_cost_micro"] / MICRO,
        "verdict": "allowed by every control", "position_before": before, "position_after": before + signed,
        "waits_because": list(detail["reasons"]), "session": order["session"], "leg": order["leg"],
        "strategy": order["strategy"], "expires_in_s": (row["expires_wall_ns"] - time.time_ns()) // NANO,
        "hash": row["bound_hash"], "same_settings": row["under"] == settings.config_hash,
    }  # fmt: skip


def answer(
    settings: Settings,
    named: str,
    *,
    verdict: str,
    person: str,
    reason: str,
    seen_hash: str = "",
    credentials: Credentials | None = None,
) -> str:
    """Approve or decline a waiting order; returns its id."""
    with _journal(settings) as journal:
        return _deciding(settings, journal, credentials).decide(
            named, verdict=verdict, person=person, reason=reason, seen_hash=seen_hash
        )


def override(
    settings: Settings,
    order_id: str,
    *,
    person: str,
    reason: str,
    typed: str = "",
    credentials: Credentials | None = None,
) -> tuple[tuple[str, ...], Agreement | None]:
    """Let one denied order go once: the denials that are lifted, and the agreement of two people."""
    with _journal(settings) as journal:
        two = two_people_of(settings, journal, credentials)
        overriding = Overriding(
            journal, two, account=settings.account, config_hash=settings.config_hash, wall_ns=time.time_ns
        )
        return overriding.agree(order_id, person=person, reason=reason, typed=typed)


def guarded_limits(settings: Settings) -> dict[str, Any]:
    """Every setting whose loosening takes two people, by its dotted key."""
    return {key: settings.value(key) for key in leaves() if key.startswith(_GUARDED)}


def limit_book(settings: Settings, journal: Journal) -> LimitBook:
    """The limits of these settings beside those in force."""
    return LimitBook(
        journal, account=settings.account, config_hash=settings.config_hash,
        limits=guarded_limits(settings), wall_ns=time.time_ns,
    )  # fmt: skip


def accept_limits(
    settings: Settings, *, person: str, reason: str, typed: str = "", credentials: Credentials | None = None
) -> tuple[str, tuple[LimitChange, ...], Agreement | None]:
    """Agree to looser limits: the subject, the changes, and the agreement once two people have spoken."""
    with _journal(settings) as journal:
        book = limit_book(settings, journal)
        two = two_people_of(settings, journal, credentials)
        subject = book.subject
        changes, agreement = book.agree(two, person=person, reason=reason, typed=typed)
        return subject, changes, agreement
