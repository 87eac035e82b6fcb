"""The closing figures of a session, as integers and words, computed from the journal's own records."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from workbench.core.ledger import Ledger
from workbench.core.ports import BarStore, Journal
from workbench.core.types import BPS, NANO, Side, to_micro

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
    """Implementation shortfall and paper notional, exact in micros, over the orders that were sent.

    Raises
    ------
    ValueError
        A fill of no order that was sent, or more filled than ordered: the record contradicts itself.
    """
    from workbench.core.tca.shortfall import total_cost  # pandas only when a session closes

    sent = {row["client_order_id"]: row for row in orders if row["sent_at_ns"]}
    filled = dict.fromkeys(sent, (0, 0, 0))  # shares, size x price, fees
    for row in fills if sent else ():
        if (identity := row["client_order_id"]) not in filled:
            raise ValueError(f"fill of order {identity!r}: there is no such order")
        shares, paid, fees = filled[identity]
        size = row["quantity_nano"] // NANO
        filled[identity] = (shares + size, paid + size * row["price_micro"], fees + row["fee_micro"])
    total = 0
    for identity, row in sent.items():
        ordered, (shares, paid, fees) = row["quantity_nano"] // NANO, filled[identity]
        if shares > ordered:
            raise ValueError(f"order {identity!r}: filled {shares} of {ordered}")
        side, decision = int(Side[row["side"].upper()]), row["reference_micro"]
        total += total_cost(side, ordered, shares, paid, decision, closes.get(row["symbol"], decision), fees)
    return total, sum(_notional(row["quantity_nano"], row["reference_micro"]) for row in sent.values())


def _notional(quantity_nano: int, price_micro: int) -> int:
    return quantity_nano * price_micro // 1_000_000_000
