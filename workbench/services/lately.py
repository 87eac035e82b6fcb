"""What the controls must know of the last minutes and of the session, for a decision or for one order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.core.pretrade import Limits, Recent
from workbench.core.types import MICRO, MISSING, NANO, Bars, Floats, Integers
from workbench.services.own_flow import OwnFlow
from workbench.services.own_orders import OwnOrders

_MINUTE_NS = 60 * NANO


@dataclass(frozen=True, eq=False)
class MarketFacts:
    """What follows from a panel for the controls' windows; one element a symbol.

    Attributes
    ----------
    volatility_bps : float64 (symbols,)
    prices, window_prices : int64 (symbols,)
        Last known close, and the last one before the movement window, micros; 0 = none.
    where : mapping of str to int
        Place of each symbol.
    """

    symbols: tuple[str, ...]
    volatility_bps: Floats
    prices: Integers
    window_prices: Integers
    where: Mapping[str, int]

    @classmethod
    def of(cls, panel: Bars, volatility_bps: Floats, limits: Limits) -> MarketFacts:
        """The facts of a panel with its daily volatility."""
        prices, before = closes_before(panel, 0), closes_before(panel, limits.price_move_sessions)
        where = {symbol: at for at, symbol in enumerate(panel.symbols)}
        return cls(panel.symbols, volatility_bps, prices, before, where)


class Lately:
    """Makes the `Recent` of a moment from own orders, own flow, and the quotes that were looked at.

    Parameters
    ----------
    flow : OwnFlow
    orders : callable () -> OwnOrders
    limits : Limits
    """

    def __init__(self, flow: OwnFlow, *, orders: Callable[[], OwnOrders], limits: Limits) -> None:
        self.flow, self._orders, self.limits = flow, orders, limits
        self.window_ns = limits.window_s * NANO
        self._middles: dict[str, int] = {}  # by symbol, of the quote that this process has seen last

    def recent(
        self, market: MarketFacts, *, session: str, now_ns: int, only: str = "", without: str = ""
    ) -> Recent:
        """Windows and tallies at a moment.

        Parameters
        ----------
        market : MarketFacts
            What follows from the bars known by then.
        only : str
            The symbol of the one order that is judged; of the others only what counts is told. "" = all.
        without : str
            Id of the order about to leave, which does not stand in its own way.
        """
        self.flow.keep_up(now_ns)
        symbols, orders, flow = market.symbols, self._orders(), self.flow
        window_shares, window_micro = orders.ordered_after(
            now_ns - self.limits.window_s * NANO, without=without
        )
        sent, sent_micro = orders.sent_in(session, without=without)
        traded = flow.traded(session)
        looked_at = {only} if only else set(symbols)
        own = {
            symbol: orders.own_prices(symbol, without=without)
            for symbol in orders.unfinished_symbols() & looked_at
        }
        where = market.where

        def each(values: Mapping[str, int]) -> Integers:
            column = np.zeros(len(symbols), dtype=np.int64)
            for symbol, value in values.items():
                if symbol in where:  # a symbol that left the universe has no element
                    column[where[symbol]] = value
            return column

        middles = {s: self._middles.get(s, 0) or int(market.prices[where[s]]) for s in looked_at & set(where)}

        return Recent(
            volatility_bps=market.volatility_bps,
            window_price_micro=market.window_prices,
            previous_mid_micro=each(middles),
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

    def middle(self, symbol: str) -> int:
        """Middle of the quote that this process has looked at last; 0 = it has seen none."""
        return self._middles.get(symbol, 0)

    def saw(self, symbols: Sequence[str], bid_micro: Integers, ask_micro: Integers) -> None:
        """Remember quotes for the next look; after a restart the last close stands in for them."""
        for symbol, bid, ask in zip(symbols, bid_micro.tolist(), ask_micro.tolist(), strict=True):
            if 0 < bid <= ask:
                self._middles[symbol] = (bid + ask) // 2


def closes_before(panel: Bars, sessions: int) -> Integers:
    """Each symbol's last close, in micros, that many sessions before the panel's last one; 0 = none."""
    count = max(len(panel.ts_ns) - sessions, 0)
    if not count:
        return np.zeros(len(panel.symbols), dtype=np.int64)
    there = panel.tradable[:count]
    last = count - 1 - np.argmax(there[::-1], axis=0)
    closes = panel.close[last, np.arange(len(panel.symbols))]
    micros = np.rint(np.where(there.any(axis=0), closes, 0.0) * MICRO)  # as `to_micro` rounds
    found: Integers = micros.astype(np.int64)
    return found
