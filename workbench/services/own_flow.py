"""What the account's messages, executions and sessions add up to, followed in the journal as it grows.

Nothing here is a counter that a restart could reset: a new process follows the same events again and knows
the same. A symbol that repeated executions have disabled stays so until an event enables it, which a
person writes.
"""

from __future__ import annotations

import json
from bisect import bisect_right, insort
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from workbench.core.orders import OrderState
from workbench.core.ports import Event, Journal, RecordedEvent
from workbench.core.pretrade import Limits
from workbench.core.types import NANO, Side
from workbench.services.own_orders import OwnOrders

#: Events of other processes are looked for this often.
FOLLOW_EVERY_NS = NANO
#: Code of the alert that a disabled symbol raises.
SYMBOL_DISABLED = "symbol_disabled"
_KINDS = (
    "order.denied",
    "order.changed",
    "fill.booked",
    "session.closed",
    "symbol.disabled",
    "symbol.enabled",
)


@dataclass
class Traded:
    """What the fills of one session add up to.

    Attributes
    ----------
    shares, paid_micro : dict of str to int
        By symbol, bought less sold and the cash that went out for it, with fees.
    shortfall_micro : int or None
        Cost of all fills against their decision prices, with fees; None = of one the price is not known.
    """

    shares: dict[str, int] = field(default_factory=dict)
    paid_micro: dict[str, int] = field(default_factory=dict)
    shortfall_micro: int | None = 0


class OwnFlow:
    """Windows and tallies of one account; `follow` brings them up to date.

    Parameters
    ----------
    journal : Journal
    account : str
    mode : str
        Sessions of other modes do not count as behind the account.
    limits : Limits
    orders : callable () -> OwnOrders
        Every order of the account, for the decision price of a fill.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        account: str,
        mode: str,
        limits: Limits,
        orders: Callable[[], OwnOrders],
    ) -> None:
        self._journal, self._account, self._mode, self._orders = journal, account, mode, orders
        self._most, self._window_ns = limits.max_repeated_executions, limits.repeat_window_s * NANO
        self.closed_sessions = 0
        self._modes: dict[str, str] = {}
        self._cancels: list[int] = []  # moments, ascending
        self._denials: list[int] = []
        self._traded: dict[str, Traded] = {}
        self._executed: dict[tuple[str, str], dict[str, int]] = {}  # symbol and side -> order -> first fill
        self._disabled: dict[str, bool] = {}  # symbol -> whether the journal says so already
        self._seq = self._start()
        self._followed = (-FOLLOW_EVERY_NS, -1)  # trading time, changes of own orders
        self.follow()

    def _start(self) -> int:
        """The event after which everything is followed: no window reaches back beyond the last sessions."""
        for row in self._journal.rows("disabled_symbols", account=self._account):
            if row["disabled"]:
                self._disabled[row["symbol"]] = True
        closings = [
            event
            for event in self._journal.events(kinds=("session.closed",))
            if event.payload["account"] == self._account
        ]
        if len(closings) < 2:
            return 0
        for event in closings[:-1]:
            self._close(event)
        return closings[-2].seq

    def keep_up(self, now_ns: int) -> None:
        """Follow when own orders have changed in a way that matters here, else once in a while.

        What this process does itself shows at once; a cancel, or a person's word, of another process after
        `FOLLOW_EVERY_NS` at the latest.
        """
        at_ns, changes = self._followed
        if self._orders().changes != changes or not 0 <= now_ns - at_ns < FOLLOW_EVERY_NS:
            self.follow()
            self._followed = (now_ns, self._orders().changes)

    def follow(self) -> None:
        """Take over what the journal has learnt since, from whatever process."""
        for event in self._journal.events(kinds=_KINDS, after_seq=self._seq):
            self._take(event)
            self._seq = event.seq

    # --- what is asked ---------------------------------------------------------------------------

    @property
    def disabled(self) -> frozenset[str]:
        """Symbols that wait for a person."""
        return frozenset(self._disabled)

    def is_disabled(self, symbol: str) -> bool:
        """Whether a symbol waits for a person."""
        return symbol in self._disabled

    def cancels_after(self, at_ns: int) -> int:
        """Cancels asked for after a moment."""
        return len(self._cancels) - bisect_right(self._cancels, at_ns)

    def denials_after(self, at_ns: int) -> int:
        """Orders denied after a moment."""
        return len(self._denials) - bisect_right(self._denials, at_ns)

    def traded(self, session: str) -> Traded:
        """What the fills of a session add up to."""
        return self._traded.get(session, Traded())

    def executions(self, now_ns: int) -> dict[tuple[str, str], int]:
        """Executed orders by symbol and side within the throttle's window, and never enabled since."""
        return {
            key: sum(at_ns > now_ns - self._window_ns for at_ns in times.values())
            for key, times in self._executed.items()
        }

    @property
    def last_ns(self) -> int:
        """The latest cancel, denial or fill; 0 before the first."""
        fills = [at_ns for times in self._executed.values() for at_ns in times.values()]
        return max([0, *self._cancels[-1:], *self._denials[-1:], *fills])

    def news(self, now_ns: int) -> tuple[Event, ...]:
        """Events that make known which symbols have become disabled; asked again until they are recorded."""
        found = []
        for symbol in sorted(symbol for symbol, known in self._disabled.items() if not known):
            reason = f"{self._most} orders of one side were executed within {self._window_ns // NANO} s"
            disabled = {"account": self._account, "symbol": symbol, "reason": reason, "at_ns": now_ns}
            text = f"{symbol} is disabled: {reason}"
            alert = {"account": self._account, "code": SYMBOL_DISABLED, "text": text, "at_ns": now_ns}
            found += [Event("symbol.disabled", disabled), Event("alert.raised", alert)]
        return tuple(found)

    # --- what the events say ---------------------------------------------------------------------

    def _take(self, event: RecordedEvent) -> None:
        payload = event.payload
        if event.kind == "order.changed":
            self._change(payload)
        elif payload["account"] != self._account:
            return
        elif event.kind == "order.denied":
            insort(self._denials, int(payload["scheduled_ns"]))
        elif event.kind == "fill.booked":
            self._fill(payload)
        elif event.kind == "session.closed":
            self._close(event)
        elif event.kind == "symbol.disabled":
            self._disabled[str(payload["symbol"])] = True
        else:
            symbol = str(payload["symbol"])
            self._disabled.pop(symbol, None)
            for side in Side:
                self._executed.pop((symbol, side.word), None)

    def _change(self, payload: Mapping[str, object]) -> None:
        if payload["client_order_id"] not in self._orders():
            return  # another account's
        if payload["state"] == OrderState.PENDING_CANCEL.value:
            insort(self._cancels, int(str(payload["at_ns"])))
        elif payload["state"] == OrderState.DENIED.value:
            insort(self._denials, int(str(payload["at_ns"])))

    def _fill(self, payload: Mapping[str, object]) -> None:
        symbol, side = str(payload["symbol"]), str(payload["side"])
        identity, at_ns = str(payload["client_order_id"]), int(str(payload["filled_at_ns"]))
        signed_nano = int(Side[side.upper()]) * int(str(payload["quantity_nano"]))
        price_micro, fee_micro = int(str(payload["price_micro"])), int(str(payload["fee_micro"]))
        traded = self._traded.setdefault(str(payload["session"]), Traded())
        traded.shares[symbol] = traded.shares.get(symbol, 0) + signed_nano // NANO
        paid_micro = signed_nano * price_micro // NANO + fee_micro
        traded.paid_micro[symbol] = traded.paid_micro.get(symbol, 0) + paid_micro
        order = self._orders().get(identity)
        if order is None or traded.shortfall_micro is None:
            traded.shortfall_micro = None
        else:
            away_micro = signed_nano * (price_micro - order.intent.reference_micro) // NANO
            traded.shortfall_micro += away_micro + fee_micro
        times = self._executed.setdefault((symbol, side), {})
        times.setdefault(identity, at_ns)  # an order counts once, in however many parts it was filled
        latest = sorted(times.values())[-self._most :]
        if len(latest) == self._most and latest[-1] - latest[0] < self._window_ns:
            self._disabled.setdefault(symbol, False)

    def _close(self, event: RecordedEvent) -> None:
        if event.config_hash not in self._modes:
            rows = self._journal.rows("configs", config_hash=event.config_hash)
            self._modes[event.config_hash] = str(json.loads(rows[0]["config"])["mode"]) if rows else ""
        self.closed_sessions += self._modes[event.config_hash] == self._mode
