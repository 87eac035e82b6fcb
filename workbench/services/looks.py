"""The last look of the controls at one order about to leave, from what changed since the look before."""

from __future__ import annotations

from workbench.core.ledger import Ledger
from workbench.core.orders import WORKING, OrderIntent
from workbench.core.pretrade import AccountValues, content_fingerprint
from workbench.core.pretrade.check import account_flow
from workbench.core.pretrade.standing import Standing, SymbolNow
from workbench.core.types import MISSING, NANO, Integers, Quotes
from workbench.services.lately import Lately
from workbench.services.own_orders import OwnOrders

MINUTE_NS = 60 * NANO


class Look:
    """Looks at single orders on one panel and session; makes anew nothing that stands.

    Parameters
    ----------
    standing : Standing
        Of the panel.
    session : str
    lately : Lately
    orders : OwnOrders
    last_micro : int64 (symbols,)
        Last known closes: they stand in for quotes that were never looked at.
    """

    def __init__(
        self, standing: Standing, *, session: str, lately: Lately, orders: OwnOrders, last_micro: Integers
    ) -> None:
        self._standing, self.session = standing, session
        self._lately, self.orders, self._last = lately, orders, last_micro
        self._held: Ledger | None = None
        self._seen = -1

    def codes(
        self,
        intent: OrderIntent,
        quotes: Quotes,
        *,
        account: AccountValues,
        now_ns: int,
        content_since_ns: int,
    ) -> tuple[str, ...]:
        """Denial codes; () = the order may leave. It does not stand in its own way.

        Parameters
        ----------
        quotes : Quotes
            Of its symbol; any other answer leaves the quote unknown, which denies.
        account : AccountValues
            What is known of the account; its rate is counted here.
        content_since_ns : int
            An order of the same content sent after this moment makes it a repetition.
        """
        symbol, itself, orders, flow = intent.symbol, intent.client_order_id, self.orders, self._lately.flow
        flow.keep_up(now_ns)
        frozen = any(
            order.state in WORKING and order.intent.client_order_id != itself
            for order in orders.unfinished(symbol)
        )
        buys, sells = orders.working_of(symbol) if frozen else (0, 0)
        bid, ask, age = 0, 0, -1
        if quotes.symbols == (symbol,):
            bid, ask = int(quotes.bid_micro[0]), int(quotes.ask_micro[0])
            age = int(quotes.age_ns(now_ns)[0])
        own_buy, own_sell = orders.own_prices(symbol, without=itself)
        traded = flow.traded(self.session)
        window_shares, window_micro = orders.window_of(
            symbol, now_ns - self._lately.window_ns, without=itself
        )
        symbol_orders, session_micro = orders.session_of(symbol, self.session, without=itself)
        at = self._standing.where[symbol]
        now = SymbolNow(
            bid_micro=bid,
            ask_micro=ask,
            quote_age_ns=age,
            frozen=frozen,
            open_buy_shares=buys,
            open_sell_shares=sells,
            previous_mid_micro=self._lately.middle(symbol) or int(self._last[at]),
            disabled=flow.is_disabled(symbol),
            own_buy_micro=own_buy,
            own_sell_micro=own_sell,
            session_shares=traded.shares.get(symbol, 0),
            session_paid_micro=traded.paid_micro.get(symbol, 0),
            symbol_orders=symbol_orders,
            window_shares=window_shares,
        )
        minute_ns = now_ns - MINUTE_NS
        sent = orders.sent_after(minute_ns, without=itself)
        cancels, denials = flow.cancels_after(minute_ns), flow.denials_after(minute_ns)
        contents = orders.contents_after(content_since_ns, symbol=symbol, without=itself)
        self._catch_up()
        try:
            codes = self._standing.judge(
                intent, now, account._replace(messages_last_minute=sent + cancels),
                account_flow(
                    attempts=sent + cancels + denials, window_notional_micro=window_micro,
                    session_notional_micro=session_micro, closed_sessions=flow.closed_sessions,
                    shortfall_micro=MISSING if traded.shortfall_micro is None else traded.shortfall_micro,
                ),
                repeated=content_fingerprint(intent) in contents,
            )  # fmt: skip
            self._lately.saw(quotes.symbols, quotes.bid_micro, quotes.ask_micro)
        finally:  # the order left itself out of what stands
            self._tell(symbol)
        return codes

    def hold(self, ledger: Ledger, position_shares: Integers) -> None:
        """Take over the positions of a ledger, unless it is the one of the look before."""
        if self._held is not ledger:
            self._standing.hold(position_shares)
            self._held = ledger

    def _catch_up(self) -> None:
        """Tell of every symbol whose orders have changed since the look before."""
        self._seen, changed = self.orders.touched_after(self._seen)
        for symbol in changed:
            self._tell(symbol)

    def _tell(self, symbol: str) -> None:
        if symbol in self._standing.where:  # one that left the universe has no place
            number, _ = self.orders.session_of(symbol, self.session)
            self._standing.work(self._standing.where[symbol], *self.orders.working_of(symbol), number)
