"""How much of each limit is used: what a supervisor sees before a control has to say no."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from workbench.core.ledger import Ledger
from workbench.core.pretrade import DenialCode, Limits, MarketArrays, Recent
from workbench.core.pretrade.catalogue import CONTROLS
from workbench.core.pretrade.check import flow_values, recent_arrays
from workbench.core.pretrade.row import (
    exposure,
    market_at,
    recent_at,
    sum_sectors,
    symbol_exposure,
    total_flow,
)
from workbench.core.pretrade.values import worst_position
from workbench.core.types import MICRO, NANO, Bars, Integers
from workbench.services.own_flow import OwnFlow
from workbench.services.own_orders import OwnOrders


@dataclass(frozen=True)
class LimitUse:
    """One control with its ceiling and what is used of it.

    Attributes
    ----------
    code : str
        Denial code.
    limit : str
        Key of the setting that is the ceiling; "" where the control denies on a fact.
    value : float or str or None
        The ceiling in `unit`, with everything that scales it; None where there is none.
    used : float or None
        What is used now; None = judged for each order alone, from its own quote and price.
    unit : str
    about : str
        What is measured, with the symbol that is nearest to a ceiling which holds for each.
    meaning : str
        The code as a sentence.
    """

    code: str
    limit: str
    value: float | str | None
    used: float | None
    unit: str
    about: str
    meaning: str

    @property
    def headroom(self) -> float | None:
        """What is left; negative where a ceiling was lowered below what is used, None where unknown."""
        if self.used is None or not isinstance(self.value, float):
            return None
        return self.value - self.used


@dataclass(frozen=True)
class Moment:
    """What is known when the limits are looked at, from the journal and the bars alone.

    Attributes
    ----------
    session : str
        The session that the day's limits count in; "" before the first.
    """

    session: str
    panel: Bars
    prices: Integers
    ledger: Ledger
    orders: OwnOrders
    flow: OwnFlow
    recent: Recent
    orders_last_minute: int
    start_equity_micro: int
    now_ns: int


def utilisation(limits: Limits, moment: Moment) -> tuple[LimitUse, ...]:
    """Every control with its ceiling and what is used of it, in the order of the catalogue."""
    used = {**_of_account(limits, moment), **_of_symbols(limits, moment), **_of_orders(moment)}
    found = []
    for control in CONTROLS:
        limit = control.limits[0] if control.limits else ""
        value, unit = _ceiling(control.code, limit, limits)
        amount, about = used.get(control.code, (None, "each order by itself"))
        found.append(
            LimitUse(
                code=str(control.code.name), limit=f"limits.{limit}" if limit else "", value=value,
                used=None if amount is None or amount != amount else float(amount), unit=unit, about=about,
                meaning=control.code.explain,
            )
        )  # fmt: skip
    return tuple(found)


Used = Mapping[DenialCode, tuple[float, str]]
D = DenialCode
#: Ceilings whose kernel form is another number than the setting: name in `LimitValues`, divisor, unit.
_SCALED: Mapping[DenialCode, tuple[str, float, str]] = {
    D.NET_EXPOSURE: ("max_net_notional", MICRO, "USD"),
    D.SECTOR_EXPOSURE: ("max_sector_notional", MICRO, "USD"),
    D.SYMBOL_LOSS: ("max_symbol_loss", MICRO, "USD"),
    D.SHORTFALL: ("max_session_shortfall", MICRO, "USD"),
    D.WINDOW_SHARES: ("max_window_shares", 1, "shares"),
    D.WINDOW_NOTIONAL: ("max_window_notional", MICRO, "USD"),
    D.RATE_STOP: ("stop_messages_per_minute", 1, "messages"),
}


def _ceiling(code: DenialCode, limit: str, limits: Limits) -> tuple[float | str | None, str]:
    if code in _SCALED:
        name, divisor, unit = _SCALED[code]
        return float(getattr(limits.values(), name)) / divisor, unit
    if not limit:
        return None, ""
    value = getattr(limits, limit)
    if isinstance(value, tuple):
        return ", ".join(value) or "none", "symbols"
    if isinstance(value, bool):
        return str(value).lower(), ""
    units = {"usd": "USD", "bps": "bps", "s": "s", "shares": "shares"}
    return float(value), units.get(limit.rpartition("_")[2], "")


def _of_account(limits: Limits, moment: Moment) -> Used:
    market, recent = _market(moment), moment.recent
    arrays = recent_arrays(moment.panel.symbols, recent, limits)
    flow = total_flow(market, arrays, flow_values(moment.orders_last_minute, recent))
    gross, _ = exposure(market)
    net = max(flow.net_long_micro, -flow.net_short_micro)
    prices = dict(zip(moment.panel.symbols, moment.prices.tolist(), strict=True))
    try:
        lost = float(moment.start_equity_micro) - moment.ledger.equity_micro(prices)
    except ValueError:  # a held symbol has no price
        lost = float("nan")
    new = flow.closed_sessions < limits.first_sessions
    first = (
        f"session {moment.session or 'to come'}, {flow.closed_sessions} closed"
        if new
        else f"not in force: {flow.closed_sessions} sessions closed"
    )
    messages = moment.orders_last_minute + recent.cancels_last_minute
    return {
        D.GROSS: (gross / MICRO, "all symbols"),
        D.NET_EXPOSURE: (net / MICRO, "all symbols"),
        D.WORKING_ORDERS: (flow.working_orders, "all symbols"),
        D.OPEN_SYMBOLS: (flow.open_symbols, "all symbols"),
        D.RATE: (messages, "orders and cancels of the last minute"),
        D.RATE_STOP: (flow.attempts_last_minute, "orders, denials and cancels of the last minute"),
        D.WINDOW_NOTIONAL: (flow.window_notional_micro / MICRO, f"the last {limits.window_s} s"),
        D.SESSION_LOSS: (max(lost, 0.0) / MICRO, f"session {moment.session}"),
        D.SHORTFALL: (max(flow.shortfall_micro, 0) / MICRO, f"session {moment.session}"),
        D.FIRST_SYMBOLS: (flow.session_symbols if new else 0, first),
        D.FIRST_ORDERS: (flow.session_orders if new else 0, first),
        D.FIRST_NOTIONAL: (flow.session_notional_micro / MICRO if new else 0.0, first),
    }


def _of_symbols(limits: Limits, moment: Moment) -> Used:
    """The symbol nearest to each ceiling that holds for every symbol."""
    market = _market(moment)
    arrays = recent_arrays(moment.panel.symbols, moment.recent, limits)
    sum_sectors(market, arrays)
    measured: dict[DenialCode, list[tuple[float, str]]] = {}
    for at, symbol in enumerate(moment.panel.symbols):
        one, lately = market_at(market, at), recent_at(arrays, at)
        began = (one.position_shares - lately.session_shares) * one.price_micro
        lost = began + lately.session_paid_micro - one.position_shares * one.price_micro
        sides = (n for (name, _), n in moment.flow.executions(moment.now_ns).items() if name == symbol)
        for code, value in (
            (D.POSITION, float(worst_position(one, 0, 0))),
            (D.POSITION_NOTIONAL, symbol_exposure(one)[0] / MICRO),
            (D.SECTOR_EXPOSURE, lately.sector_micro / MICRO),
            (D.WINDOW_SHARES, float(lately.window_shares)),
            (D.SYMBOL_LOSS, max(lost, 0) / MICRO),
            (D.SYMBOL_DISABLED, float(max(sides, default=0))),
        ):
            measured.setdefault(code, []).append((value, symbol))
    found = {code: max(values) for code, values in measured.items()}
    if moment.flow.disabled:
        executed, _ = found[D.SYMBOL_DISABLED]
        found[D.SYMBOL_DISABLED] = (executed, f"disabled: {', '.join(sorted(moment.flow.disabled))}")
    return found


def _of_orders(moment: Moment) -> Used:
    """The largest order of the session."""
    sent = [
        order
        for order in moment.orders.values()
        if order.sent_at_ns and order.intent.session == moment.session
    ]
    about = f"largest order of {moment.session}" if moment.session else "no order yet"
    values = [o.intent.shares * max(o.intent.limit_micro, o.intent.reference_micro) / MICRO for o in sent]
    return {
        D.QUANTITY: (float(max((o.intent.shares for o in sent), default=0)), about),
        D.NOTIONAL: (max(values, default=0.0), about),
    }


def _market(moment: Moment) -> MarketArrays:
    """What is held and works, as the kernels of exposure take it; nothing is quoted here."""
    symbols, positions, works = (
        moment.panel.symbols,
        moment.ledger.positions_nano,
        moment.orders.working_shares(),
    )
    n = len(symbols)
    zeros = np.zeros(n, dtype=np.int64)
    both = np.array([works.get(symbol, (0, 0)) for symbol in symbols], dtype=np.int64).reshape(n, 2)
    return MarketArrays(
        price_micro=moment.prices, bar_age_sessions=zeros, bid_micro=zeros, ask_micro=zeros,
        quote_age_ns=zeros - 1, tradable=zeros, frozen=zeros,
        position_shares=np.array([positions.get(symbol, 0) // NANO for symbol in symbols], dtype=np.int64),
        open_buy_shares=both[:, 0].copy(), open_sell_shares=both[:, 1].copy(), adv_shares=np.full(n, np.nan),
    )  # fmt: skip
