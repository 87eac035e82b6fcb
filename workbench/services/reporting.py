"""The closing figures of a session, as integers and words, computed from the journal's own records."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from workbench.core.ledger import Ledger
from workbench.core.ports import BarStore, Journal
from workbench.core.types import BPS, MICRO, to_micro

if TYPE_CHECKING:
    from workbench.services.decision import Strategy
    from workbench.services.session import SessionTimes

#: Bars that are looked back for a symbol's last close when it did not trade in the session.
CLOSE_LOOKBACK = 5


def session_report(
    *, journal: Journal, bars: BarStore, strategy: Strategy, times: SessionTimes, ledger: Ledger
) -> dict[str, Any]:
    """Counts, money and shortfall of one session.

    Returns
    -------
    dict
        Integers and words only. Money in micros of the account currency; `shortfall_cbps` in 0.01 bps
        of the paper notional of all orders sent, cost positive, against the decision price, with
        unfilled quantity valued at the session's close (opportunity cost included).
    """
    account, session = strategy.account, times.session
    orders = journal.rows("orders", account=account, session=session)
    fills = journal.rows("fills", account=account, session=session)
    closes = closing_prices_micro(bars, strategy.universe, close_ns=times.close_ns, as_of_ns=times.end_ns)
    shortfall_micro, paper_micro = _shortfall(orders, fills, closes)
    states = Counter(str(row["state"]) for row in orders)
    return {
        "session": session,
        "orders": len(orders) - states["DENIED"],
        "denied": states["DENIED"],
        "states": dict(sorted(states.items())),
        "fills": len(fills),
        "traded_notional_micro": sum(_notional(row["quantity_nano"], row["price_micro"]) for row in fills),
        "fees_micro": sum(row["fee_micro"] for row in fills),
        "shortfall_micro": shortfall_micro,
        "paper_notional_micro": paper_micro,
        "shortfall_cbps": round(shortfall_micro * BPS * 100 / paper_micro) if paper_micro else 0,
        "cash_micro": ledger.cash_micro,
        "equity_micro": ledger.equity_micro(closes),
    }


def closing_prices_micro(
    bars: BarStore, symbols: tuple[str, ...], *, close_ns: int, as_of_ns: int
) -> dict[str, int]:
    """Last close of each symbol in micros, in the session's share terms; symbols without any are left out.

    From its close on the store counts in the terms of the next session, in which nothing is held yet: so
    the session's own bar is taken as printed, and an earlier one in the terms from just before the close.

    Parameters
    ----------
    close_ns, as_of_ns : int
        The session's close, and the time of the reading.
    """
    before = bars.read(symbols, as_of_ns=close_ns - 1, rows=CLOSE_LOOKBACK)
    printed = bars.read(symbols, as_of_ns=as_of_ns, rows=1, view="raw")
    closes = {}
    for panel in (before, printed.rows(0, int(printed.ts_ns[-1:].tolist() == [close_ns]))):
        for at, symbol in enumerate(panel.symbols):
            known = panel.close[:, at][panel.tradable[:, at]]
            if len(known):
                closes[symbol] = to_micro(float(known[-1]))
    return closes


def _shortfall(
    orders: list[dict[str, Any]], fills: list[dict[str, Any]], closes: dict[str, int]
) -> tuple[int, int]:
    """Implementation shortfall and paper notional, exact in micros, over the orders that were sent."""
    import pandas as pd

    from workbench.core.tca import implementation_shortfall  # pandas only when a session closes

    sent = [row for row in orders if row["sent_at_ns"]]
    if not sent:
        return 0, 0
    frame = pd.DataFrame(
        {
            "order_id": [row["client_order_id"] for row in sent],
            "symbol": [row["symbol"] for row in sent],
            "side": [row["side"] for row in sent],
            "quantity": [row["quantity_nano"] // 1_000_000_000 for row in sent],
            "decision_price": [row["reference_micro"] / MICRO for row in sent],
            "arrival_price": [row["reference_micro"] / MICRO for row in sent],
            "final_price": [closes.get(row["symbol"], row["reference_micro"]) / MICRO for row in sent],
        }
    )
    executions = pd.DataFrame(
        {
            "order_id": [row["client_order_id"] for row in fills],
            "quantity": [row["quantity_nano"] // 1_000_000_000 for row in fills],
            "price": [row["price_micro"] / MICRO for row in fills],
            "fee": [row["fee_micro"] / MICRO for row in fills],
        }
    )
    split = implementation_shortfall(frame, executions, split="cfa")
    paper = sum(_notional(row["quantity_nano"], row["reference_micro"]) for row in sent)
    return to_micro(float(split["total"].sum())), paper


def _notional(quantity_nano: int, price_micro: int) -> int:
    return quantity_nano * price_micro // 1_000_000_000
