"""How much of each limit a desk uses, and the person who enables a symbol that the throttle stopped."""

from __future__ import annotations

import time
from types import MappingProxyType

from workbench.adapters.journal import JournalDatabase
from workbench.bootstrap.desk import Desk, open_journal
from workbench.bootstrap.signing import Credentials, people_of
from workbench.config import Settings
from workbench.core.features import market_statistics
from workbench.core.ledger import Ledger
from workbench.core.ports import Event
from workbench.core.types import NANO, Mode
from workbench.errors import DataError
from workbench.services.lately import Lately, MarketFacts
from workbench.services.own_flow import OwnFlow
from workbench.services.own_orders import OwnOrders
from workbench.services.records import order_from_row
from workbench.services.utilisation import LimitUse, Moment, utilisation

_ROWS = 21  # what the statistics of a symbol need
_MINUTE_NS = 60 * NANO
_DAY_S = 86_400


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
    decided = journal.newest("decisions", 1, account=account)
    session = str(decided[-1]["session"]) if decided else ""
    closed = sorted(journal.rows("sessions", account=account), key=lambda row: str(row["session"]))
    reach = 2 + settings.limits.window_s // _DAY_S  # sessions that a window and the flow of fills reach back
    orders = _orders_that_count(journal, account, {session, *(row["session"] for row in closed[-reach:])})
    ledger = _ledger(journal, account)
    flow = OwnFlow(
        journal, account=account, mode=settings.mode.value, limits=settings.limits, orders=lambda: orders
    )
    now_ns = time.time_ns() if settings.mode is not Mode.REPLAY else _last_moment(orders, flow)
    before = [row for row in closed if row["session"] < session]
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


def _orders_that_count(journal: JournalDatabase, account: str, sessions: set[str]) -> OwnOrders:
    """Orders of these sessions, those that are still open, and those that these sessions filled."""
    rows = {row["client_order_id"]: row for row in journal.open_orders(account)}
    for session in sorted(sessions):
        rows |= {
            row["client_order_id"]: row for row in journal.rows("orders", account=account, session=session)
        }
        for fill in journal.rows("fills", account=account, session=session):
            if fill["client_order_id"] not in rows:  # one that outlasted the session that sent it
                of_fill = journal.rows("orders", client_order_id=fill["client_order_id"])
                rows |= {row["client_order_id"]: row for row in of_fill}
    oldest_first = sorted(rows.values(), key=lambda row: (row["added_seq"], row["client_order_id"]))
    return OwnOrders({row["client_order_id"]: order_from_row(row) for row in oldest_first})


def _ledger(journal: JournalDatabase, account: str) -> Ledger:
    """The books as the database adds them up."""
    balances = journal.balances(account)
    if sum(micro for micro, _ in balances.values()):
        raise DataError(
            "the postings of this account do not sum to zero",
            next_step="workbench journal verify; nobody may trade on these books",
        )
    return Ledger(MappingProxyType(dict(sorted(balances.items()))))


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
