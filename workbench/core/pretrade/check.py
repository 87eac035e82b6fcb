"""Judge the intents of one cycle against the limits; the Python face of the kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.core.orders import OrderIntent
from workbench.core.pretrade.codes import DenialCode, codes_of
from workbench.core.pretrade.limits import Limits
from workbench.core.pretrade.recent import Recent, known, per_symbol, sector_numbers
from workbench.core.pretrade.row import MarketArrays, OrderArrays, RecentArrays, judge_orders
from workbench.core.pretrade.values import AccountValues, FlowValues, OrderValues
from workbench.core.types import MISSING, Booleans, Floats, Integers, Snapshot

_PER_SYMBOL = (
    "price_micro", "bar_age_sessions", "bid_micro", "ask_micro", "quote_age_ns", "tradable", "frozen",
    "position_shares", "open_buy_shares", "open_sell_shares", "adv_shares",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class RiskState:
    """All that the controls may know; make one with `from_snapshot`.

    Attributes
    ----------
    account : str
    symbols : tuple of str (symbols,)
    price_micro, bar_age_sessions, bid_micro, ask_micro, quote_age_ns : int64 (symbols,)
        As in `Snapshot`, the quote's age as of `now_ns`.
    tradable, frozen : bool (symbols,)
    position_shares, open_buy_shares, open_sell_shares : int64 (symbols,)
    adv_shares : float64 (symbols,)
    cash_micro, equity_micro, session_start_equity_micro : int
    buying_power_micro : int
        As the venue says; -1 = not known, which denies.
    now_ns, session_open_ns, session_close_ns : int
        Trading time, and the session's hours from the exchange calendar; UTC nanoseconds.
    orders_last_minute : int
        Orders; with the cancels of `recent` they are the messages of the rate limit.
    recent_fingerprints : frozenset of str or None
        Ids and content fingerprints of orders seen within the duplicate window; None = not known,
        which denies.
    recent : Recent
        Windows and tallies of the symbols and of the account.
    """

    account: str
    symbols: tuple[str, ...]
    price_micro: Integers
    bar_age_sessions: Integers
    bid_micro: Integers
    ask_micro: Integers
    quote_age_ns: Integers
    tradable: Booleans
    frozen: Booleans
    position_shares: Integers
    open_buy_shares: Integers
    open_sell_shares: Integers
    adv_shares: Floats
    cash_micro: int
    equity_micro: int
    session_start_equity_micro: int
    buying_power_micro: int
    now_ns: int
    session_open_ns: int
    session_close_ns: int
    orders_last_minute: int
    recent_fingerprints: frozenset[str] | None
    recent: Recent

    def __post_init__(self) -> None:
        if self.recent.symbols != len(self.symbols):
            raise ValueError(f"recent describes {self.recent.symbols} of {len(self.symbols)} symbols")
        for name in _PER_SYMBOL:
            if np.shape(getattr(self, name)) != (len(self.symbols),):
                raise ValueError(f"{name} must have one element for each of {len(self.symbols)} symbols")

    @classmethod
    def from_snapshot(
        cls,
        snapshot: Snapshot,
        *,
        now_ns: int,
        session_open_ns: int,
        session_close_ns: int,
        buying_power_micro: int,
        orders_last_minute: int,
        recent_fingerprints: frozenset[str] | None,
        recent: Recent,
    ) -> RiskState:
        """The risk state of a snapshot at `now_ns`; quotes have aged since the scheduled time."""
        age = np.asarray(snapshot.quote_age_ns, dtype=np.int64)
        return cls(
            account=snapshot.account,
            symbols=snapshot.symbols,
            price_micro=snapshot.price_micro,
            bar_age_sessions=snapshot.bar_age_sessions,
            bid_micro=snapshot.bid_micro,
            ask_micro=snapshot.ask_micro,
            quote_age_ns=np.where(age < 0, -1, age + np.int64(now_ns - snapshot.scheduled_ns)),
            tradable=snapshot.tradable,
            frozen=snapshot.frozen,
            position_shares=snapshot.position_shares,
            open_buy_shares=snapshot.open_buy_shares,
            open_sell_shares=snapshot.open_sell_shares,
            adv_shares=snapshot.adv_shares,
            cash_micro=snapshot.cash_micro,
            equity_micro=snapshot.equity_micro,
            session_start_equity_micro=snapshot.session_start_equity_micro,
            buying_power_micro=buying_power_micro,
            now_ns=now_ns,
            session_open_ns=session_open_ns,
            session_close_ns=session_close_ns,
            orders_last_minute=orders_last_minute,
            recent_fingerprints=recent_fingerprints,
            recent=recent,
        )


@dataclass(frozen=True)
class Verdict:
    """What the controls say of one order; a denial is a value, not an error.

    Attributes
    ----------
    codes : tuple of str
        Names of all `DenialCode` that apply; empty exactly when allowed.
    """

    client_order_id: str
    allowed: bool
    codes: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.allowed == bool(self.codes):
            raise ValueError("an order is allowed exactly when there is no denial code")


def content_fingerprint(intent: OrderIntent) -> str:
    """What makes two orders the same to a person: account, symbol, side, quantity, type and prices.

    A leg that continues another one is not its repetition: the leg that it continues is part of it.
    """
    return "\x1f".join(
        (
            "content",
            intent.account,
            intent.symbol,
            str(int(intent.side)),
            str(intent.quantity_nano),
            str(int(intent.order_type)),
            str(intent.limit_micro),
            str(intent.stop_micro),
            intent.time_in_force.word,
            intent.parent_id,
        )
    )


def check_orders(intents: Sequence[OrderIntent], limits: Limits, state: RiskState) -> list[Verdict]:
    """Judge every intent against the pre-trade limits; what cannot be judged is denied.

    Parameters
    ----------
    intents : sequence of OrderIntent
        Orders of one cycle in sending order. Earlier *allowed* ones count as exposure, cash and rate
        for later ones; any earlier one with the same id or content makes a later one a duplicate.
    limits : Limits
        Ceilings. There is no value that means "off".
    state : RiskState

    Returns
    -------
    list of Verdict
        One for each intent, in the same order, with every reason that applies.

    Notes
    -----
    Less information never permits more and a tighter limit never permits more: of two calls that differ
    in this way only, the first order whose verdict differs is denied by the stricter call. (A denied
    order leaves room for those after it.)
    """
    verdicts = np.full(len(intents), int(DenialCode.ACCOUNT_MISSING), dtype=np.int64)
    if intents:
        judge_orders(
            _order_arrays(intents, limits, state),
            _market_arrays(state),
            recent_arrays(state.symbols, state.recent, limits),
            _account_values(state),
            flow_values(state.orders_last_minute, state.recent),
            limits.values(),
            verdicts,
        )
    return [_verdict(intent, int(bits), state) for intent, bits in zip(intents, verdicts, strict=True)]


def _verdict(intent: OrderIntent, bits: int, state: RiskState) -> Verdict:
    if intent.account != state.account:
        bits |= DenialCode.ACCOUNT_MISSING
    codes = codes_of(bits)
    return Verdict(intent.client_order_id, not codes, codes)


def _order_arrays(intents: Sequence[OrderIntent], limits: Limits, state: RiskState) -> OrderArrays:
    # an intent of another account gets no symbol, so nothing is known of it
    where = {symbol: i for i, symbol in enumerate(state.symbols)}
    rows: list[tuple[object, ...]] = []
    seen: set[str] = set()
    for intent in intents:
        marks = {intent.client_order_id, content_fingerprint(intent)}
        recent = state.recent_fingerprints
        order = OrderValues(
            side=intent.side,
            shares=intent.shares,
            order_type=intent.order_type,
            limit_micro=intent.limit_micro,
            reference_micro=intent.reference_micro,
            expected_cost_micro=intent.expected_cost_micro,
            duplicate=recent is None or not marks.isdisjoint(recent) or not marks.isdisjoint(seen),
            restricted=intent.symbol in limits.restricted,
            stop_micro=intent.stop_micro,
            time_in_force=intent.time_in_force,
        )
        rows.append((where.get(intent.symbol, -1) if intent.account == state.account else -1, *order))
        seen |= marks
    return OrderArrays(*(_integers([known(value) for value in column]) for column in zip(*rows, strict=True)))


def _market_arrays(state: RiskState) -> MarketArrays:
    # copies: the kernel adds allowed orders to the working quantities
    return MarketArrays(
        price_micro=_integers(state.price_micro),
        bar_age_sessions=_integers(state.bar_age_sessions),
        bid_micro=_integers(state.bid_micro),
        ask_micro=_integers(state.ask_micro),
        quote_age_ns=_integers(state.quote_age_ns),
        tradable=_integers(state.tradable),
        frozen=_integers(state.frozen),
        position_shares=_integers(state.position_shares),
        open_buy_shares=_integers(state.open_buy_shares),
        open_sell_shares=_integers(state.open_sell_shares),
        adv_shares=np.array(state.adv_shares, dtype=np.float64),
    )


def recent_arrays(symbols: Sequence[str], recent: Recent, limits: Limits) -> RecentArrays:
    """What happened lately in kernel form; the sectors' sums are room."""
    columns = {name: getattr(recent, name) for name in per_symbol()}
    volatility = np.array(columns.pop("volatility_bps"), dtype=np.float64)
    return RecentArrays(
        volatility_bps=volatility,
        sector=sector_numbers(symbols, limits.sectors),
        sector_micro=np.zeros(len(symbols)),
        **{name: _integers(values) for name, values in columns.items()},
    )


def flow_values(orders_last_minute: object, recent: Recent) -> FlowValues:
    """What the account's own orders add up to in kernel form."""
    return account_flow(
        attempts=_sum(orders_last_minute, recent.cancels_last_minute, recent.denials_last_minute),
        window_notional_micro=recent.window_notional_micro,
        session_notional_micro=recent.session_notional_micro,
        closed_sessions=recent.closed_sessions,
        shortfall_micro=recent.shortfall_micro,
    )


def account_flow(
    *,
    attempts: int,
    window_notional_micro: object,
    session_notional_micro: object,
    closed_sessions: object,
    shortfall_micro: object,
) -> FlowValues:
    """The same from numbers, any of which may not be known; what follows from symbols is room."""
    return FlowValues(
        net_long_micro=0.0,
        net_short_micro=0.0,
        working_orders=0,
        open_symbols=0,
        attempts_last_minute=attempts,
        window_notional_micro=known(window_notional_micro),
        session_symbols=0,
        session_orders=0,
        session_notional_micro=known(session_notional_micro),
        closed_sessions=known(closed_sessions),
        shortfall_micro=known(shortfall_micro),
    )


def account_now(
    *,
    cash_micro: object,
    equity_micro: object,
    session_start_equity_micro: object,
    buying_power_micro: object,
    messages_last_minute: int,
    now_ns: object,
    session_open_ns: object,
    session_close_ns: object,
) -> AccountValues:
    """What is known of the account in kernel form; what earlier orders of a call use is room."""
    return AccountValues(
        cash_micro=known(cash_micro),
        equity_micro=known(equity_micro),
        session_start_equity_micro=known(session_start_equity_micro),
        buying_power_micro=known(buying_power_micro),
        reserved_micro=0.0,
        used_micro=0.0,
        gross_micro=0.0,
        messages_last_minute=messages_last_minute,
        now_ns=known(now_ns),
        session_open_ns=known(session_open_ns),
        session_close_ns=known(session_close_ns),
    )


def _sum(*values: object) -> int:
    """The sum of counts; `MISSING` when one is not known."""
    numbers = [known(value) for value in values]
    return sum(numbers) if all(0 <= number < 2**60 for number in numbers) else int(MISSING)


def _account_values(state: RiskState) -> AccountValues:
    return account_now(
        cash_micro=state.cash_micro,
        equity_micro=state.equity_micro,
        session_start_equity_micro=state.session_start_equity_micro,
        buying_power_micro=state.buying_power_micro,
        messages_last_minute=_sum(state.orders_last_minute, state.recent.cancels_last_minute),
        now_ns=state.now_ns,
        session_open_ns=state.session_open_ns,
        session_close_ns=state.session_close_ns,
    )


def _integers(values: object) -> Integers:
    return np.array(values, dtype=np.int64)
