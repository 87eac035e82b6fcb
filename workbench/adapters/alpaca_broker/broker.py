"""One account at Alpaca as a broker: every outcome is a named value, no request is ever repeated here.

The record is what REST says: orders by our own id, executions and cash from the account activities.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import numpy as np

from workbench.adapters.alpaca_broker.budget import RateBudget
from workbench.adapters.alpaca_broker.gates import (
    Asset,
    account_trouble,
    asset_row,
    asset_trouble,
    order_fields,
    price_trouble,
)
from workbench.adapters.alpaca_broker.hours import session_hours
from workbench.adapters.alpaca_broker.outcomes import cancel_outcome, is_absence, submit_outcome
from workbench.adapters.alpaca_broker.paging import list_activities, list_orders
from workbench.adapters.alpaca_broker.rows import (
    BadRow,
    FillRow,
    activity_row,
    fill_row,
    mapping,
    order_row,
    position_nano,
    scaled,
    text,
    time_ns,
)
from workbench.adapters.alpaca_broker.transport import AlpacaTransport, Answer
from workbench.core.hours import SessionHours
from workbench.core.orders import Fill, OrderIntent
from workbench.core.ports import Activity, LookupResult, SubmitOutcome, SubmitResult, VenueAccount, VenueOrder
from workbench.core.types import MICRO, Quotes
from workbench.errors import OutcomeUnknown

#: How long an asset's flags are believed, seconds: they change overnight.
ASSET_S = 600.0


class AlpacaBroker:
    """One account at Alpaca, or at a venue that speaks its protocol; satisfies `core.ports.Broker`.

    Parameters
    ----------
    trading, data : AlpacaTransport
        Connections to the trading and the market data interface.
    account : str
        Name of the account in the journal; the answer to `account` bears it when the venue's id is right.
    account_id : str
        The venue's own id (or number) of the account; "" binds to the first one that answers.
    budget : RateBudget
    feed : str
        Source of quotes: "iex" or "sip".
    wait_s : float
        How long an ordinary request waits for the budget before it is not sent, seconds.
    monotonic : callable
        Seconds that never run backwards; for tests.
    """

    def __init__(
        self,
        trading: AlpacaTransport,
        data: AlpacaTransport,
        *,
        account: str,
        account_id: str,
        budget: RateBudget,
        feed: str = "iex",
        wait_s: float = 2.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._trading, self._data = trading, data
        self._account, self._account_id = account, account_id
        self._budget, self._feed, self._wait_s = budget, feed, wait_s
        self._monotonic = monotonic
        self._blocked = "the account has not answered yet"
        self._revoked = ""
        self._held: Mapping[str, int] = {}
        self._assets: dict[str, tuple[float, Asset]] = {}
        self._ours: dict[str, str] = {}  # the venue's order id -> our client order id
        self._theirs: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<AlpacaBroker of account {self._account}>"

    def __reduce__(self) -> Any:
        raise TypeError("a broker holds keys and is never copied")

    def close(self) -> None:
        """Close the connections."""
        self._trading.close()
        self._data.close()

    @property
    def account_id(self) -> str:
        """The venue's id of the account; "" before its first answer."""
        return self._account_id

    # --- sending -----------------------------------------------------------------------------------

    def submit(self, intent: OrderIntent) -> SubmitResult:
        """Send an order once; REFUSED and NOT_ACCEPTED only on proof, otherwise UNKNOWN."""
        refusal = self._refusal(intent)
        if refusal is not None:
            return refusal
        answer = self._ask(self._trading, "POST", "/orders", order_fields(intent), urgent=False)
        if not answer.good:
            outcome, reason = submit_outcome(answer)
            return SubmitResult(outcome, reason=reason)
        order = self._order_of(answer, intent.client_order_id)
        if isinstance(order, str):
            return SubmitResult(SubmitOutcome.UNKNOWN, reason=order)
        return SubmitResult(SubmitOutcome.ACCEPTED, order=order)

    def _refusal(self, intent: OrderIntent) -> SubmitResult | None:
        """Why nothing is sent; None = all gates are open."""
        if self._blocked and not self._revoked:
            try:
                self.account()
            except OutcomeUnknown as error:
                return SubmitResult(SubmitOutcome.NOT_ACCEPTED, reason=f"not sent: {error.message}")
        if self._revoked or self._blocked:
            return SubmitResult(
                SubmitOutcome.NOT_ACCEPTED, reason=f"not sent: {self._revoked or self._blocked}"
            )
        if trouble := price_trouble(intent):
            return SubmitResult(SubmitOutcome.REFUSED, reason=trouble)
        asset = self._asset(intent.symbol)
        if isinstance(asset, Answer):
            if is_absence(asset):
                reason = f'could not find asset "{intent.symbol}"'
                return SubmitResult(SubmitOutcome.REFUSED, reason=reason)
            return SubmitResult(SubmitOutcome.NOT_ACCEPTED, reason=f"not sent: asset unknown, {asset.words}")
        if asset_trouble(asset, intent, self._held.get(intent.symbol, 0)):
            try:
                self.account()  # what is held may have changed since the last answer
            except OutcomeUnknown as error:
                return SubmitResult(SubmitOutcome.NOT_ACCEPTED, reason=f"not sent: {error.message}")
        trouble = asset_trouble(asset, intent, self._held.get(intent.symbol, 0))
        return SubmitResult(SubmitOutcome.REFUSED, reason=trouble) if trouble else None

    def _asset(self, symbol: str) -> Asset | Answer:
        known = self._assets.get(symbol)
        if known is not None and self._monotonic() - known[0] < ASSET_S:
            return known[1]
        answer = self._ask(self._trading, "GET", f"/assets/{_path(symbol)}", urgent=False)
        if answer.status != 200:
            return answer
        try:
            asset = asset_row(answer.json)
        except BadRow as problem:
            return Answer(0, words=str(problem))
        self._assets[symbol] = (self._monotonic(), asset)
        return asset

    def cancel(self, client_order_id: str) -> SubmitResult:
        """Ask for a cancel and read back; ACCEPTED = asked and the order is shown, whatever its state."""
        found = self._theirs.get(client_order_id)
        if found is None:
            known = self.lookup(client_order_id)
            if known.order is None:
                absent = known.answered and not known.found
                outcome = SubmitOutcome.REFUSED if absent else SubmitOutcome.UNKNOWN
                return SubmitResult(outcome, reason=known.reason)
            found = known.order.venue_order_id
        outcome, reason = cancel_outcome(
            self._ask(self._trading, "DELETE", f"/orders/{_path(found)}", urgent=True)
        )
        if outcome is not SubmitOutcome.ACCEPTED:
            return SubmitResult(outcome, reason=reason)
        back = self.lookup(client_order_id)  # 204 only says that it was asked for
        if back.order is None:
            return SubmitResult(SubmitOutcome.UNKNOWN, reason=f"cancel asked for; {back.reason}")
        return SubmitResult(SubmitOutcome.ACCEPTED, order=back.order)

    # --- asking ------------------------------------------------------------------------------------

    def lookup(self, client_order_id: str) -> LookupResult:
        """The order with that id; only the venue's own words count as not found."""
        answer = self._ask(
            self._trading, "GET", "/orders:by_client_order_id", {"client_order_id": client_order_id},
            urgent=True,
        )  # fmt: skip
        if is_absence(answer):
            return LookupResult(found=False, answered=True, reason=answer.words)
        if answer.status != 200:
            return LookupResult(found=False, answered=False, reason=answer.words)
        order = self._order_of(answer, client_order_id)
        if isinstance(order, str):
            return LookupResult(found=False, answered=False, reason=order)
        return LookupResult(found=True, answered=True, order=order)

    def orders(self, *, since_ns: int) -> tuple[VenueOrder, ...]:
        """Orders submitted at or after `since_ns`, oldest first; OutcomeUnknown without a whole list."""
        rows = list_orders(self._get, since_ns=since_ns)
        for row in rows:
            self._remember(row.order)
        return tuple(row.order for row in rows)

    def fills(self, *, since_ns: int) -> tuple[Fill, ...]:
        """Executions from the FILL activities, oldest first; OutcomeUnknown without a whole list.

        Regulatory fees are activities of their own at this venue; only a commission stands beside its fill.
        """
        rows = self._fill_rows(since_ns)
        # Rows of one millisecond come in any order [Alpaca-API#170]: the cumulative quantity orders them.
        rows.sort(key=lambda row: (row.at_ns, row.order_id, row.cumulative_nano))
        return tuple(
            Fill(
                row.activity_id, self._client_id(row.order_id), row.symbol, row.side, row.quantity_nano,
                row.price_micro, row.fee_micro, row.at_ns,
            )
            for row in rows
        )  # fmt: skip

    def _fill_rows(self, since_ns: int) -> list[FillRow]:
        values = list_activities(self._get, "/account/activities/FILL", since_ns=since_ns)
        try:
            rows = [fill_row(value) for value in values]
        except BadRow as problem:
            raise _no_answer("fills", str(problem)) from None
        return [row for row in rows if row.at_ns >= since_ns]

    def activities(self, *, since_ns: int) -> tuple[Activity, ...]:
        """Every activity that is no fill, oldest first; an unknown type keeps the venue's word."""
        values = list_activities(self._get, "/account/activities", since_ns=since_ns)
        try:
            found = [activity_row(value) for value in values if value.get("activity_type") != "FILL"]
        except BadRow as problem:
            raise _no_answer("activities", str(problem)) from None
        found.sort(key=lambda activity: (activity.at_ns, activity.symbol, activity.activity_id))
        return tuple(activity for activity in found if activity.at_ns >= since_ns)

    def account(self) -> VenueAccount:
        """Cash and positions; blocked unless status and every flag say in so many words that it is open."""
        try:
            row = mapping(self._must("/account"))
            identities = {text(row, "id"), str(row.get("account_number", ""))}
            self._account_id = self._account_id or text(row, "id")
            cash = scaled(row, "cash", MICRO, exact=False)
            equity = scaled(row, "equity", MICRO, exact=False)
            power = scaled(row, "buying_power", MICRO, exact=False)
            if row.get("non_marginable_buying_power") is not None:  # no margin: less never permits more
                power = min(power, scaled(row, "non_marginable_buying_power", MICRO, exact=False))
            positions = self._must("/positions")
            if not isinstance(positions, list):
                raise BadRow("positions are no list")
            held = dict(position_nano(value) for value in positions)
            if len(held) != len(positions):
                raise BadRow("a position is listed twice")
        except BadRow as problem:
            self._blocked = f"the account's answer cannot be read: {problem}"
            raise _no_answer("account", str(problem)) from None
        self._held = held
        self._blocked = account_trouble(row)
        ours = self._account_id in identities
        if not ours:
            self._blocked = "the keys belong to another account"
        name = self._account if ours else text(row, "id")
        return VenueAccount(name, cash, power, equity, bool(self._blocked), held)

    def quotes(self, symbols: Sequence[str]) -> Quotes:
        """Latest bid and ask of each symbol from the feed, 0 and -1 where it has none.

        OutcomeUnknown without an answer: a venue that is silent has not said that there is no quote.
        """
        bid, ask, at = (np.zeros(len(symbols), dtype=np.int64) for _ in range(3))
        at -= 1
        fields = {"symbols": ",".join(symbols), "feed": self._feed}
        answer = self._ask(self._data, "GET", "/stocks/quotes/latest", fields, urgent=False)
        if answer.status != 200 or not isinstance(answer.json, dict):
            raise _no_answer("quotes", answer.words or "the answer is no object")
        found = answer.json.get("quotes")
        for i, symbol in enumerate(symbols):
            row = found.get(symbol) if isinstance(found, dict) else None
            try:
                low, high = (scaled(mapping(row), name, MICRO) for name in ("bp", "ap"))
                when = time_ns(mapping(row), "t")
            except BadRow:
                continue
            if 0 < low <= high:  # a side of 0 is passed through by the venue: no quote
                bid[i], ask[i], at[i] = low, high, when
        return Quotes(tuple(symbols), bid, ask, at)

    def now_ns(self) -> int:
        """The venue's clock; OutcomeUnknown without an answer."""
        try:
            return time_ns(mapping(self._must("/clock")), "timestamp")
        except BadRow as problem:
            raise _no_answer("clock", str(problem)) from None

    def hours(self, session: str) -> SessionHours:
        """Hours of a session by the venue's calendar and clock; OutcomeUnknown without an answer."""
        clock = self._must("/clock")
        try:
            return session_hours(session, self._must("/calendar", {"start": session, "end": session}), clock)
        except BadRow as problem:
            raise _no_answer("calendar", str(problem)) from None

    # --- shared ------------------------------------------------------------------------------------

    def _get(self, path: str, fields: Mapping[str, Any]) -> Answer:
        return self._ask(self._trading, "GET", path, fields, urgent=False)

    def urgently(self, method: str, path: str, fields: Mapping[str, Any] | None = None) -> Answer:
        """One request that may use the reserve of the budget: a cancel, or what a cancel must know."""
        return self._ask(self._trading, method, path, fields, urgent=True)

    def _must(self, path: str, fields: Mapping[str, Any] | None = None) -> Any:
        answer = self._ask(self._trading, "GET", path, fields, urgent=False)
        if answer.status != 200 or answer.json is None:
            raise _no_answer(path.strip("/"), answer.words)
        return answer.json

    def _ask(
        self, wire: AlpacaTransport, method: str, path: str, fields: Mapping[str, Any] | None = None, *,
        urgent: bool,
    ) -> Answer:  # fmt: skip
        if self._revoked:  # no retry loop against a venue that does not know us
            return Answer(0, words=self._revoked, left=False)
        if not self._budget.take(urgent=urgent, wait_s=self._wait_s):
            return Answer(0, words="not sent: the rate budget is used up", left=False)
        answer = wire.ask(method, path, fields)
        if answer.status == 429:
            self._budget.drain()
        if answer.status == 401 and wire is self._trading:
            self._revoked = f"the venue does not know our keys: {answer.words or 'unauthorized'}"
        return answer

    def _order_of(self, answer: Answer, client_order_id: str) -> VenueOrder | str:
        """The order in a 2xx body, or why the body proves nothing."""
        try:
            order = order_row(answer.json).order
        except BadRow as problem:
            return f"the venue's order cannot be read: {problem}"
        if order.client_order_id != client_order_id:
            return "the venue answered with another order"
        self._remember(order)
        return order

    def _remember(self, order: VenueOrder) -> None:
        self._ours[order.venue_order_id] = order.client_order_id
        self._theirs[order.client_order_id] = order.venue_order_id

    def _client_id(self, venue_order_id: str) -> str:
        """Our id of an order of a fill; asked for when no list has shown it yet."""
        if venue_order_id not in self._ours:
            try:
                self._remember(order_row(self._must(f"/orders/{_path(venue_order_id)}")).order)
            except BadRow as problem:
                raise _no_answer("order of a fill", str(problem)) from None
        return self._ours.get(venue_order_id, venue_order_id)


def _path(identity: str) -> str:
    """An id or a symbol as one segment of a path."""
    return quote(identity, safe="")


def _no_answer(what: str, why: str) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"the venue gave no trustworthy answer about {what}: {why}",
        next_step="nothing is concluded from it; workbench reconcile asks again",
    )
