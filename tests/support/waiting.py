"""An order that waits for a person, without the loop that would have asked."""

from __future__ import annotations

import time
from pathlib import Path

from workbench.bootstrap.desk import open_journal
from workbench.config import load_settings
from workbench.core.approvals import QuoteSeen, bound_hash
from workbench.core.orders import OrderIntent, client_order_id
from workbench.core.ports import Event
from workbench.core.types import NANO, OrderType, Side
from workbench.services.records import intent_payload


def make_wait(folder: Path, strategy: str, session: str) -> str:
    """Id of an order that waits for a person, as a running loop would have left it."""
    settings = load_settings(str(folder / "workbench.toml"))
    identity = client_order_id(settings.account, strategy, 7, "IBM", "entry")
    intent = OrderIntent(
        identity, settings.account, strategy, session, 7, strategy.upper(), "entry", Side.BUY, NANO,
        OrderType.LIMIT, 10**8, 10**8, 5,
    )  # fmt: skip
    quote, now_ns = QuoteSeen(10**8, 10**8, 5), time.time_ns()
    request = {
        "approval_id": identity, "account": settings.account, "kind": "order", "under": settings.config_hash,
        "bound_hash": bound_hash(intent, quote=quote, verdict="allowed", config_hash=settings.config_hash),
        "asked_wall_ns": now_ns, "expires_wall_ns": now_ns + 10**12,
        "detail": {"bid_micro": 10**8, "ask_micro": 10**8, "quote_at_ns": 5, "asked_ns": 9,
                   "position_nano": 0, "reasons": ["every order waits"]},
    }  # fmt: skip
    journal = open_journal(settings, read_only=False)
    waits = {"client_order_id": identity, "state": "AWAITING_APPROVAL", "at_ns": 8}
    journal.commit([
        Event("order.intended", {**intent_payload(intent, "d"), "verdict": "allowed"}),
        Event("order.changed", waits), Event("approval.requested", request),
    ])  # fmt: skip
    journal.close()
    return identity


def make_denied(folder: Path) -> str:
    """Id of an order that was too dear, of a session that is not closed."""
    settings = load_settings(str(folder / "workbench.toml"))
    identity = client_order_id(settings.account, "dear", 7, "IBM", "entry")
    intent = OrderIntent(
        identity, settings.account, "dear", "2013-02-04", 7, "DEAR", "entry", Side.BUY, NANO,
        OrderType.LIMIT, 10**8, 10**8, 5,
    )  # fmt: skip
    journal = open_journal(settings, read_only=False)
    journal.commit([Event("order.denied", {**intent_payload(intent, "d"), "codes": ["EXPECTED_COST"]})])
    journal.close()
    return identity
