"""The arrays of the kernels, kept between looks at single orders: only what has changed is written again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from workbench.core.orders import OrderIntent
from workbench.core.pretrade.codes import codes_of
from workbench.core.pretrade.limits import Limits
from workbench.core.pretrade.recent import sector_numbers
from workbench.core.pretrade.row import MarketArrays, OrderArrays, RecentArrays, judge_orders
from workbench.core.pretrade.values import AccountValues, FlowValues
from workbench.core.types import Booleans, Floats, Integers


class SymbolNow(NamedTuple):
    """What a look must know of the order's own symbol; fields as in `MarketValues` and `RecentValues`."""

    bid_micro: int
    ask_micro: int
    quote_age_ns: int
    frozen: int
    open_buy_shares: int
    open_sell_shares: int
    previous_mid_micro: int
    disabled: int
    own_buy_micro: int
    own_sell_micro: int
    session_shares: int
    session_paid_micro: int
    symbol_orders: int
    window_shares: int


class Standing:
    """Market and own orders of all symbols as the controls see them, for one look after another.

    Of the symbols beside the order's own the controls ask for price, position, working quantities and
    the number of orders of the session only; these are kept here, by `hold` and `work`. Everything about
    the order's own symbol is told anew with each look.

    Parameters
    ----------
    symbols : tuple of str (symbols,)
    price_micro, bar_age_sessions, window_price_micro : int64 (symbols,)
    adv_shares, volatility_bps : float64 (symbols,)
    tradable : bool (symbols,)
    limits : Limits
    """

    def __init__(
        self,
        symbols: Sequence[str],
        *,
        price_micro: Integers,
        bar_age_sessions: Integers,
        window_price_micro: Integers,
        adv_shares: Floats,
        volatility_bps: Floats,
        tradable: Booleans,
        limits: Limits,
    ) -> None:
        self.where = {symbol: at for at, symbol in enumerate(symbols)}
        self._limits, self._values = limits, limits.values()

        def column(value: int = 0) -> Integers:
            return np.full(len(symbols), value, dtype=np.int64)

        self._market = MarketArrays(
            price_micro=np.array(price_micro, dtype=np.int64),
            bar_age_sessions=np.array(bar_age_sessions, dtype=np.int64),
            bid_micro=column(),
            ask_micro=column(),
            quote_age_ns=column(-1),
            tradable=np.array(tradable, dtype=np.int64),
            frozen=column(1),
            position_shares=column(),
            open_buy_shares=column(),
            open_sell_shares=column(),
            adv_shares=np.array(adv_shares, dtype=np.float64),
        )
        self._recent = RecentArrays(
            volatility_bps=np.array(volatility_bps, dtype=np.float64),
            window_price_micro=np.array(window_price_micro, dtype=np.int64),
            previous_mid_micro=column(),
            disabled=column(),
            own_buy_micro=column(),
            own_sell_micro=column(),
            session_shares=column(),
            session_paid_micro=column(),
            symbol_orders=column(),
            window_shares=column(),
            sector=sector_numbers(symbols, limits.sectors),
            sector_micro=np.zeros(len(symbols)),
        )
        self._order = np.zeros((len(OrderArrays._fields), 1), dtype=np.int64)
        self._orders = OrderArrays(*self._order)
        self._verdict = np.zeros(1, dtype=np.int64)

    def hold(self, position_shares: Integers) -> None:
        """Take over the positions of all symbols."""
        self._market.position_shares[:] = position_shares

    def work(self, at: int, buy_shares: int, sell_shares: int, symbol_orders: int) -> None:
        """Take over what works in a symbol, and how many orders of it were sent in the session."""
        self._market.open_buy_shares[at] = buy_shares
        self._market.open_sell_shares[at] = sell_shares
        self._recent.symbol_orders[at] = symbol_orders

    def judge(
        self, intent: OrderIntent, now: SymbolNow, account: AccountValues, flow: FlowValues, *, repeated: bool
    ) -> tuple[str, ...]:
        """Denial codes of one order; () = allowed. What works in its symbol has to be told again afterwards.

        Parameters
        ----------
        now : SymbolNow
            Of the order's symbol, the order itself left out.
        account, flow : AccountValues, FlowValues
            Of this moment.
        repeated : bool
            Whether an order of the same content was sent lately.
        """
        at = self.where[intent.symbol]
        market, recent = self._market, self._recent
        for column, value in zip((*market[2:5], market[6], *market[8:10], *recent[2:10]), now, strict=True):
            column[at] = value
        self._order[:, 0] = (
            at, intent.side, intent.shares, intent.order_type, intent.limit_micro, intent.reference_micro,
            intent.expected_cost_micro, repeated, intent.symbol in self._limits.restricted, intent.stop_micro,
            intent.time_in_force,
        )  # fmt: skip
        judge_orders(self._orders, market, recent, account, flow, self._values, self._verdict)
        return codes_of(int(self._verdict[0]))
