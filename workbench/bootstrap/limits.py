"""How much of each limit a desk uses, and the person who enables a symbol that the throttle stopped."""

from __future__ import annotations

import time

from workbench.bootstrap.desk import Desk, open_journal
from workbench.bootstrap.signing import Credentials, people_of
from workbench.config import Settings
from workbench.core.features import market_statistics
from workbench.core.ledger import Ledger, posting_from_payload
from workbench.core.ports import Event
from workbench.core.types import NANO, Mode
from workbench.services.lately import Lately, MarketFacts
from workbench.services.own_flow import OwnFlow
from workbench.services.own_orders import OwnOrders
from workbench.services.records import order_from_row
from workbench.services.utilisation import LimitUse, Moment, utilisation

_ROWS = 21  # what the statistics of a symbol need
_MINUTE_NS = 60 * NANO


def limit_utilisation(settings: Settings, *, desk: Desk | None = None) -> tuple[LimitUse, ...]:
    """Every control with its ceiling, what is used of it and what is left, from the journal.

    A desk in replay is looked at as of its last message, any other as of now. What is judged for each
    order from its own quote has no utilisation.

    Examples
    --------
    >>> import pandas as pd
    >>> import workbench as wb
    >>> from workbench.bootstrap.limits import limit_utilisation
    >>> pd.DataFrame(limit_utilisation(wb.load_settings("workbench.toml")))  # doctest: +SKIP
    """
    desk = desk or Desk(settings)
    journal, account = desk.journal, settings.account
    orders = OwnOrders(
        {row["client_order_id"]: order_from_row(row) for row in journal.rows("orders", account=account)}
    )
    ledger = Ledger.from_postings(
        [posting_from_payload(row) for row in journal.rows("postings", account=account)]
    )
    flow = OwnFlow(
        journal, account=account, mode=settings.mode.value, limits=settings.limits, orders=lambda: orders
    )
    now_ns = time.time_ns() if settings.mode is not Mode.REPLAY else _last_moment(orders, flow)
    decided = journal.rows("decisions", account=account)
    session = str(decided[-1]["session"]) if decided else ""
    before = [row for row in journal.rows("sessions", account=account) if row["session"] < session]
    panel = desk.bars.read(settings.universe, as_of_ns=now_ns, rows=_ROWS)
    market = MarketFacts.of(panel, market_statistics(panel).volatility_bps, settings.limits)
    recent = Lately(flow, orders=lambda: orders, limits=settings.limits).recent(
        market, session=session, now_ns=now_ns
    )
    return utilisation(
        settings.limits,
        Moment(
            session=session, panel=panel, prices=market.prices, ledger=ledger, orders=orders, flow=flow,
            recent=recent, orders_last_minute=orders.sent_after(now_ns - _MINUTE_NS), now_ns=now_ns,
            start_equity_micro=int(before[-1]["equity_micro"]) if before else ledger.capital_micro,
        ),
    )  # fmt: skip


def enable_symbol(
    settings: Settings, symbol: str, *, person: str, reason: str, credentials: Credentials | None = None
) -> None:
    """Let a symbol trade again that repeated executions had disabled.

    Raises
    ------
    Refused, UsageError
        Nobody of that name may act, or there is no reason.
    JournalConflict
        The symbol is not disabled.
    """
    journal = open_journal(settings, read_only=False)
    try:
        payload = {
            "account": settings.account, "symbol": symbol, "person": person, "reason": reason,
            "at_ns": time.time_ns(),
        }  # fmt: skip
        people = people_of(settings, journal, credentials)
        acts = people.require(person, reason, act="enable symbol", subject=payload)
        journal.commit([*acts, Event("symbol.enabled", payload)])
    finally:
        journal.close()


def _last_moment(orders: OwnOrders, flow: OwnFlow) -> int:
    """The latest time at which anything was sent, denied, cancelled or filled; now when nothing was."""
    moments = [order.sent_at_ns for order in orders.values()] + [flow.last_ns]
    return max(moments, default=0) or time.time_ns()
