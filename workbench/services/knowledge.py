"""What is known at a moment: the panel and what follows from it, quotes, positions, open orders, cash.

What follows from bars alone is computed once a panel. Whatever can change between two orders (quotes,
positions, open orders, cash, time) is asked anew at every look.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from workbench.core.features import market_statistics
from workbench.core.ledger import Ledger
from workbench.core.orders import OrderIntent
from workbench.core.ports import BarStore, Broker, Calendar
from workbench.core.pretrade import DenialCode, RiskState
from workbench.core.pretrade.check import account_now
from workbench.core.pretrade.standing import Standing
from workbench.core.types import NANO, Bars, Booleans, Floats, Integers, Snapshot
from workbench.services.lately import Lately, MarketFacts
from workbench.services.looks import MINUTE_NS, Look
from workbench.services.own_orders import OwnOrders


@dataclass
class _Facts:
    """What follows from a panel alone, and from a ledger at its prices; one element a symbol."""

    as_of_ns: int
    panel: Bars
    adv: Floats
    volatility: Floats
    half_spread: Floats
    market: MarketFacts
    ages: dict[str, Integers] = field(default_factory=dict)  # by session
    look: Look | None = None
    held: tuple[Ledger, Integers, int] | None = None  # whole shares and equity of that very ledger


class Knowledge:
    """Builds the snapshot of a decision and the risk state of a last look.

    Parameters
    ----------
    bars, broker, calendar
        Ports.
    account, strategy : str
    universe : tuple of str
    lookback : int
        Bars that a decision needs.
    duplicate_window_s : float
        For so long an order of the same content counts as its repetition.
    lately : Lately
        Windows and tallies of own orders.
    orders : callable () -> OwnOrders
    ledger : callable () -> Ledger
    session_start_equity_micro : callable () -> int
    """

    def __init__(
        self,
        *,
        bars: BarStore,
        broker: Broker,
        calendar: Calendar,
        account: str,
        strategy: str,
        universe: tuple[str, ...],
        lookback: int,
        duplicate_window_s: float,
        lately: Lately,
        orders: Callable[[], OwnOrders],
        ledger: Callable[[], Ledger],
        session_start_equity_micro: Callable[[], int],
    ) -> None:
        self._bars = bars
        self._broker = broker
        self._calendar = calendar
        self._account, self._strategy = account, strategy
        self._universe, self._lookback = universe, lookback
        self._window_ns = math.ceil(duplicate_window_s * NANO)  # whole: a float cannot hold a moment
        self._lately = lately
        self._orders = orders
        self._ledger = ledger
        self._session_start_equity = session_start_equity_micro
        self._last: _Facts | None = None

    def panel(self, as_of_ns: int) -> Bars:
        """The bars a decision at `as_of_ns` may see: exactly the declared lookback, known by then."""
        return self._facts(as_of_ns).panel

    def closes(self, now_ns: int) -> dict[str, int]:
        """Each symbol's last close in micros, of the panel that was looked at last; 0 = none is known."""
        facts = self._last or self._facts(now_ns)
        return dict(zip(facts.panel.symbols, facts.market.prices.tolist(), strict=True))

    def snapshot(self, session: str, scheduled_ns: int) -> Snapshot:
        """Everything the decision may know, one element a symbol."""
        facts = self._facts(scheduled_ns)
        symbols = facts.panel.symbols
        ledger = self._ledger()
        buys, sells, frozen = self._open_quantities(symbols)
        quotes = self._broker.quotes(symbols)
        quoted = (quotes.bid_micro > 0) & (quotes.ask_micro > 0)
        middle = (quotes.bid_micro + quotes.ask_micro) / 2.0
        spread = np.where(
            quoted, (quotes.ask_micro - quotes.bid_micro) / 2.0 / np.where(quoted, middle, 1.0), np.nan
        )
        held, equity_micro = self._valued(facts, ledger)
        return Snapshot(
            account=self._account,
            strategy=self._strategy,
            session=session,
            scheduled_ns=scheduled_ns,
            symbols=symbols,
            price_micro=facts.market.prices,
            bar_age_sessions=self._bar_ages(facts, session),
            bid_micro=quotes.bid_micro,
            ask_micro=quotes.ask_micro,
            quote_age_ns=quotes.age_ns(scheduled_ns),
            tradable=facts.panel.tradable[-1],
            frozen=frozen,
            position_shares=held,
            open_buy_shares=buys,
            open_sell_shares=sells,
            adv_shares=facts.adv,
            volatility_bps=facts.volatility,
            half_spread_bps=np.fmax(facts.half_spread, np.round(spread * 1e6) / 100.0),
            cash_micro=ledger.cash_micro,
            equity_micro=equity_micro,
            session_start_equity_micro=self._session_start_equity(),
        )

    def risk_state(self, snapshot: Snapshot, *, now_ns: int, buying_power_micro: int) -> RiskState:
        """What the controls look at for a whole decision, from the journal's orders, never from counters."""
        orders, facts = self._orders(), self._facts(snapshot.scheduled_ns)
        recent = self._lately.recent(facts.market, session=snapshot.session, now_ns=now_ns)
        self._lately.saw(snapshot.symbols, snapshot.bid_micro, snapshot.ask_micro)
        return RiskState.from_snapshot(
            snapshot,
            now_ns=now_ns,
            session_open_ns=self._calendar.session_open_ns(snapshot.session),
            session_close_ns=self._calendar.session_close_ns(snapshot.session),
            buying_power_micro=buying_power_micro,
            orders_last_minute=orders.sent_after(now_ns - MINUTE_NS),
            recent_fingerprints=frozenset(orders.contents_after(now_ns - self._window_ns)) | set(orders),
            recent=recent,
        )

    def before_sending(self, intent: OrderIntent, *, now_ns: int, buying_power_micro: int) -> tuple[str, ...]:
        """Denial codes of one order about to leave; () = it may.

        The controls judge an order by the quote of its own symbol only, so only that one is asked for.
        An order that waits to be sent does not stand in its own way.
        """
        if intent.account != self._account:
            return (str(DenialCode.ACCOUNT_MISSING.name),)
        facts, orders, ledger = self._facts(now_ns), self._orders(), self._ledger()
        look = facts.look
        if look is None or look.session != intent.session or look.orders is not orders:
            look = facts.look = self._looking(facts, intent.session, orders)
        quotes = self._broker.quotes((intent.symbol,))
        held, equity_micro = self._valued(facts, ledger)
        look.hold(ledger, held)
        account = account_now(
            cash_micro=ledger.cash_micro,
            equity_micro=equity_micro,
            session_start_equity_micro=self._session_start_equity(),
            buying_power_micro=buying_power_micro,
            messages_last_minute=0,
            now_ns=now_ns,
            session_open_ns=self._calendar.session_open_ns(intent.session),
            session_close_ns=self._calendar.session_close_ns(intent.session),
        )
        return look.codes(
            intent, quotes, account=account, now_ns=now_ns, content_since_ns=now_ns - self._window_ns
        )

    def _looking(self, facts: _Facts, session: str, orders: OwnOrders) -> Look:
        """Looks on a panel: what follows from it stands as long as the session's moment lasts."""
        standing = Standing(
            facts.panel.symbols,
            price_micro=facts.market.prices,
            bar_age_sessions=self._bar_ages(facts, session),
            window_price_micro=facts.market.window_prices,
            adv_shares=facts.adv,
            volatility_bps=facts.volatility,
            tradable=facts.panel.tradable[-1],
            limits=self._lately.limits,
        )
        return Look(
            standing, session=session, lately=self._lately, orders=orders, last_micro=facts.market.prices
        )

    # --- parts -----------------------------------------------------------------------------------

    def _facts(self, as_of_ns: int) -> _Facts:
        """The panel known at a moment and its statistics; the orders of one moment share them."""
        if self._last is None or self._last.as_of_ns != as_of_ns:
            panel = self._bars.read(self._universe, as_of_ns=as_of_ns, rows=self._lookback)
            if self._last is not None and self._last.panel is panel:  # nothing more was known by then
                self._last.as_of_ns = as_of_ns
                return self._last
            adv, volatility, half_spread = market_statistics(panel)
            market = MarketFacts.of(panel, volatility, self._lately.limits)
            self._last = _Facts(as_of_ns, panel, adv, volatility, half_spread, market)
        return self._last

    def _valued(self, facts: _Facts, ledger: Ledger) -> tuple[Integers, int]:
        """Whole shares held by symbol, and equity at the panel's last prices in micros."""
        if facts.held is None or facts.held[0] is not ledger:
            symbols, positions = facts.panel.symbols, ledger.positions_nano
            equity_micro = ledger.equity_micro(dict(zip(symbols, facts.market.prices.tolist(), strict=True)))
            shares = np.array([positions.get(symbol, 0) // NANO for symbol in symbols], dtype=np.int64)
            facts.held = (ledger, shares, equity_micro)
        return facts.held[1], facts.held[2]

    def _open_quantities(self, symbols: Sequence[str]) -> tuple[Integers, Integers, Booleans]:
        """Worst-case unfilled quantity of working orders and the frozen flag, by symbol.

        One order that is not finished per symbol, a resting one included: the symbol is frozen.
        """
        orders = self._orders()
        shares, unfinished = orders.working_shares(), orders.unfinished_symbols()
        both = np.array([shares.get(symbol, (0, 0)) for symbol in symbols], dtype=np.int64)
        frozen = np.array([symbol in unfinished for symbol in symbols], dtype=np.bool_)
        return both[:, 0].copy(), both[:, 1].copy(), frozen

    def _bar_ages(self, facts: _Facts, session: str) -> Integers:
        """Completed sessions since each symbol's last bar; 0 = it has the latest completed one."""
        if session not in facts.ages:
            facts.ages[session] = self._count_ages(facts.panel, session)
        return facts.ages[session]

    def _count_ages(self, panel: Bars, session: str) -> Integers:
        ages = np.full(len(panel.symbols), -1, dtype=np.int64)
        expected, age = self._calendar.previous_session(session), 0
        times = panel.ts_ns.tolist()
        while age < len(times):
            close_ns = self._calendar.session_close_ns(expected)
            if close_ns in times:
                present = panel.tradable[times.index(close_ns)]
                ages = np.where((ages < 0) & present, age, ages)
            if bool(np.all(ages >= 0)):
                break
            expected, age = self._calendar.previous_session(expected), age + 1
        return ages
