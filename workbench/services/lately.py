"""What the controls must know of the last minutes and of the session, for a decision or for one order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from workbench.core.pretrade import Limits, Recent
from workbench.core.types import MISSING, NANO, Bars, Floats, Integers, to_micro
from workbench.services.own_flow import OwnFlow
from workbench.services.own_orders import OwnOrders

_MINUTE_NS = 60 * NANO


class Lately:
    """Makes the `Recent` of a moment from own orders, own flow, and the quotes that were looked at.

    Parameters
    ----------
    flow : OwnFlow
    orders : callable () -> OwnOrders
    limits : Limits
    """

    def __init__(self, flow: OwnFlow, *, orders: Callable[[], OwnOrders], limits: Limits) -> None:
        self.flow, self._orders, self._limits = flow, orders, limits
        self._middles: dict[str, int] = {}  # by symbol, of the quote that this process has seen last

    def recent(
        self, panel: Bars, volatility_bps: Floats, prices: Integers, *, session: str, now_ns: int,
        only: str = "", without: str = "",
    ) -> Recent:  # fmt: skip
        """Windows and tallies at a moment.

        Parameters
        ----------
        panel, volatility_bps, prices
            Bars known by then, with what follows from them.
        only : str
            The symbol of the one order that is judged; of the others only what counts is told. "" = all.
        without : str
            Id of the order about to leave, which does not stand in its own way.
        """
        self.flow.follow()
        symbols, orders, flow = panel.symbols, self._orders(), self.flow
        window_shares, window_micro = orders.ordered_after(
            now_ns - self._limits.window_s * NANO, without=without
        )
        sent, sent_micro = orders.sent_in(session, without=without)
        traded = flow.traded(session)
        looked_at = {only} if only else set(symbols)
        own = {
            symbol: orders.own_prices(symbol, without=without)
            for symbol in orders.unfinished_symbols() & looked_at
        }
        middles = {symbol: self._middles.get(symbol, 0) for symbol in looked_at}
        closes = dict(zip(symbols, prices.tolist(), strict=True))

        def each(values: dict[str, int]) -> Integers:
            return np.array([values.get(symbol, 0) for symbol in symbols], dtype=np.int64)

        return Recent(
            volatility_bps=volatility_bps,
            window_price_micro=closes_before(panel, self._limits.price_move_sessions),
            previous_mid_micro=each({s: middle or closes.get(s, 0) for s, middle in middles.items()}),
            disabled=each(dict.fromkeys(flow.disabled, 1)).astype(np.bool_),
            own_buy_micro=each({symbol: prices[0] for symbol, prices in own.items()}),
            own_sell_micro=each({symbol: prices[1] for symbol, prices in own.items()}),
            session_shares=each(traded.shares),
            session_paid_micro=each(traded.paid_micro),
            symbol_orders=each(sent),
            window_shares=each(window_shares),
            cancels_last_minute=flow.cancels_after(now_ns - _MINUTE_NS),
            denials_last_minute=flow.denials_after(now_ns - _MINUTE_NS),
            window_notional_micro=window_micro,
            session_notional_micro=sent_micro,
            closed_sessions=flow.closed_sessions,
            shortfall_micro=int(MISSING) if traded.shortfall_micro is None else traded.shortfall_micro,
        )

    def saw(self, symbols: Sequence[str], bid_micro: Integers, ask_micro: Integers) -> None:
        """Remember quotes for the next look; after a restart the last close stands in for them."""
        for symbol, bid, ask in zip(symbols, bid_micro.tolist(), ask_micro.tolist(), strict=True):
            if 0 < bid <= ask:
                self._middles[symbol] = (bid + ask) // 2


def last_prices(panel: Bars) -> Integers:
    """Each symbol's last known close in micros; 0 where there is none in the panel."""
    return closes_before(panel, 0)


def closes_before(panel: Bars, sessions: int) -> Integers:
    """Each symbol's last close, in micros, that many sessions before the panel's last one; 0 = none."""
    prices = np.zeros(len(panel.symbols), dtype=np.int64)
    rows = slice(0, max(len(panel.ts_ns) - sessions, 0))
    for at in range(len(panel.symbols)):
        known = panel.close[rows, at][panel.tradable[rows, at]]
        if len(known):
            prices[at] = to_micro(float(known[-1]))
    return prices
