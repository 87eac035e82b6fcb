"""The state of an account as of any event of its journal: the chain folded up to there, and no further.

Going back is folding again from the nearest kept state, so that a step backwards costs about as much as one
forwards, however long the history is.
"""

from __future__ import annotations

import bisect
import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from workbench.core.ledger import CASH, SECURITIES
from workbench.core.orders import TERMINAL, OrderState
from workbench.core.ports import RecordedEvent
from workbench.core.types import MICRO, NANO
from workbench.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

#: Events between two kept states.
_KEPT_EVERY: Final = 256
_OPEN: Final = frozenset(state.value for state in OrderState if state not in TERMINAL)
_SHOWN: Final = (
    "client_order_id", "session", "symbol", "leg", "side", "quantity_nano", "order_type", "limit_micro",
)  # fmt: skip
#: A process's or a person's presence: no step of a session.
_PRESENCE: Final = ("lease.", "ticket.", "alert.", "config.", "desk.", "act.")


@dataclass(frozen=True)
class AccountState:
    """What held just after one event.

    Attributes
    ----------
    seq : int
        Number of the event in the journal.
    at_ns : int
        Wall-clock time at which it was recorded, UTC nanoseconds.
    kind, text : str
        Of the event.
    permission, reason : str
        ACTIVE, REDUCING or HALTED, and why; HALTED before anybody resumed.
    cash_micro : int
    positions : mapping of str to int
        Symbol to signed quantity, 1e-9 shares; flat ones are left out.
    open_orders : tuple of mapping
        Orders that are not over: id, symbol, side, quantities, limit, state.
    halts : tuple of str
        Halts in force above and below the account, as "LEVEL TARGET: reason".
    disabled : tuple of str
        Symbols that a control has disabled.
    limits : mapping of str to object
        The section [limits] of the settings under which the event was recorded.
    """

    seq: int
    at_ns: int
    kind: str
    text: str
    permission: str
    reason: str
    cash_micro: int
    positions: Mapping[str, int]
    open_orders: tuple[Mapping[str, Any], ...]
    halts: tuple[str, ...]
    disabled: tuple[str, ...]
    limits: Mapping[str, Any] = field(repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**vars(self), "positions": dict(self.positions), "limits": dict(self.limits)}

    def _repr_html_(self) -> str:
        held = ", ".join(f"{q / NANO:g} {s}" for s, q in self.positions.items()) or "nothing"
        return (
            f"<p>after event {self.seq} ({self.kind}): {self.permission}, {self.cash_micro / MICRO:,.2f} USD,"
            f" {held}; {len(self.open_orders)} order(s) open</p>"
        )


@dataclass(frozen=True)
class Step:
    """One event of a session.

    Attributes
    ----------
    seq, at_ns : int
        Number, and wall-clock time in UTC nanoseconds.
    kind, symbol, text : str
        What happened; symbol is "" where it concerns all.
    """

    seq: int
    at_ns: int
    kind: str
    symbol: str
    text: str


class _Fold:
    """Balances, orders and permissions of one account while events are folded."""

    def __init__(self, account: str) -> None:
        self.account = account
        self.permission, self.reason = "HALTED", "nobody has resumed it"
        self.cash_micro = 0
        self.positions: dict[str, int] = {}
        self.orders: dict[str, dict[str, Any]] = {}
        self.halts: dict[tuple[str, str], str] = {}
        self.disabled: set[str] = set()

    def apply(self, event: RecordedEvent) -> None:
        payload = event.payload
        if payload.get("account", self.account) not in (self.account, ""):
            return
        if handler := _HANDLERS.get(event.kind):
            handler(self, payload)

    def state_changed(self, payload: Mapping[str, Any]) -> None:
        self.permission, self.reason = payload["state"], payload["reason"]

    def order_added(self, payload: Mapping[str, Any]) -> None:
        state = "DENIED" if "codes" in payload else "INTENDED"
        order = {name: payload[name] for name in _SHOWN}
        self.orders[payload["client_order_id"]] = {**order, "state": state, "filled_nano": 0}

    def order_changed(self, payload: Mapping[str, Any]) -> None:
        order = self.orders.get(payload["client_order_id"])
        if order is None:  # of another account
            return
        order["state"] = payload["state"]
        if payload.get("filled_nano") is not None:
            order["filled_nano"] = payload["filled_nano"]
        if payload["state"] not in _OPEN:
            del self.orders[payload["client_order_id"]]

    def order_adjusted(self, payload: Mapping[str, Any]) -> None:
        order = self.orders.get(payload["client_order_id"])
        if order is not None:
            order.update(quantity_nano=payload["quantity_nano"], limit_micro=payload["limit_micro"])

    def posted(self, payload: Mapping[str, Any]) -> None:
        for posting in payload["postings"]:
            name = str(posting["ledger_account"])
            if name == CASH:
                self.cash_micro += posting["amount_micro"]
            elif name.startswith(SECURITIES):
                symbol = name.removeprefix(SECURITIES)
                self.positions[symbol] = self.positions.get(symbol, 0) + posting["quantity_nano"]

    def halt_placed(self, payload: Mapping[str, Any]) -> None:
        self.halts[payload["level"], payload["target"]] = payload["reason"]

    def halt_lifted(self, payload: Mapping[str, Any]) -> None:
        self.halts.pop((payload["level"], payload["target"]), None)

    def symbol_disabled(self, payload: Mapping[str, Any]) -> None:
        self.disabled.add(payload["symbol"])

    def symbol_enabled(self, payload: Mapping[str, Any]) -> None:
        self.disabled.discard(payload["symbol"])


_HANDLERS: Final[Mapping[str, Callable[[_Fold, Mapping[str, Any]], None]]] = {
    "state.changed": _Fold.state_changed, "order.intended": _Fold.order_added,
    "order.changed": _Fold.order_changed, "order.adjusted": _Fold.order_adjusted,
    "fill.booked": _Fold.posted, "ledger.posted": _Fold.posted, "halt.placed": _Fold.halt_placed,
    "halt.lifted": _Fold.halt_lifted, "symbol.disabled": _Fold.symbol_disabled,
    "symbol.enabled": _Fold.symbol_enabled,
}  # fmt: skip


class Timeline:
    """The states that an account went through in a session, for stepping forwards and backwards.

    Parameters
    ----------
    events : sequence of RecordedEvent
        The chain from its first event on.
    account, session : str
    first_seq, last_seq : int
        Events of the session; states of before can be asked for as well.
    """

    def __init__(
        self,
        events: Sequence[RecordedEvent],
        *,
        account: str,
        session: str,
        first_seq: int,
        last_seq: int,
    ) -> None:
        self.session, self.first_seq, self.last_seq = session, first_seq, last_seq
        self._account, self._events = account, events
        self._seqs = [event.seq for event in events]
        self._kept: dict[int, _Fold] = {0: _Fold(account)}
        self._limits = {
            str(event.payload["config_hash"]): dict(json.loads(event.payload["config"]).get("limits", {}))
            for event in events
            if event.kind == "config.recorded"
        }

    def at(self, seq: int) -> AccountState:
        """The state just after an event, of this session or of any time before its end.

        Raises
        ------
        UsageError
            There is no event of that number.
        """
        count = bisect.bisect_right(self._seqs, seq)
        if not count or self._seqs[count - 1] != seq:
            raise UsageError(
                f"the journal has no event {seq}",
                next_step=f"name one from {self._seqs[0]} to {self._seqs[-1]}; `--steps` lists the session's",
            )
        fold, event = self._folded(count), self._events[count - 1]
        return AccountState(
            seq=seq, at_ns=event.at_ns, kind=event.kind, text=describe(event)[1], permission=fold.permission,
            reason=fold.reason, cash_micro=fold.cash_micro,
            positions={s: q for s, q in sorted(fold.positions.items()) if q},
            open_orders=tuple(dict(order) for order in fold.orders.values() if order["state"] in _OPEN),
            halts=tuple(f"{level} {target}: {why}" for (level, target), why in sorted(fold.halts.items())),
            disabled=tuple(sorted(fold.disabled)), limits=self._limits.get(event.config_hash, {}),
        )  # fmt: skip

    def steps(self) -> tuple[Step, ...]:
        """The events of the session in order; leases, tickets and alerts are not among them."""
        first = bisect.bisect_left(self._seqs, self.first_seq)
        last = bisect.bisect_right(self._seqs, self.last_seq)
        return tuple(
            Step(event.seq, event.at_ns, event.kind, *describe(event))
            for event in self._events[first:last]
            if not event.kind.startswith(_PRESENCE)
            and event.payload.get("account", self._account) in (self._account, "")
        )

    def move(self, seq: int, steps: int) -> AccountState:
        """The state so many steps of the session after `seq`; a negative number goes back.

        Beyond the first or last step it stays there.
        """
        seqs = [step.seq for step in self.steps()]
        place = (bisect.bisect_right(seqs, seq) - 1) + steps
        return self.at(seqs[min(max(place, 0), len(seqs) - 1)])

    def frame(self) -> pd.DataFrame:
        """The steps as a table: seq, at (UTC), kind, symbol, text."""
        import pandas as pd

        table = pd.DataFrame([vars(step) for step in self.steps()], columns=list(Step.__annotations__))
        table["at_ns"] = pd.to_datetime(table["at_ns"], unit="ns", utc=True)
        return table.rename(columns={"at_ns": "at"})

    def _folded(self, count: int) -> _Fold:
        """The fold of the first `count` events; every so many of them a copy is kept."""
        start = max(known for known in self._kept if known <= count)
        fold = copy.deepcopy(self._kept[start])
        for number, event in enumerate(self._events[start:count], start=start + 1):
            fold.apply(event)
            if number % _KEPT_EVERY == 0 and number not in self._kept:
                self._kept[number] = copy.deepcopy(fold)
        return fold

    def __repr__(self) -> str:
        return f"<timeline of {self.session}: events {self.first_seq} to {self.last_seq}>"


def describe(event: RecordedEvent) -> tuple[str, str]:
    """Symbol and words of an event, for people."""
    payload = event.payload
    symbol = str(payload.get("symbol", ""))
    if event.kind == "decision.made":
        wanted = sum(1 for row in payload["rows"] if row["delta_shares"])
        return "", f"{len(payload['rows'])} symbols judged, {wanted} changes wanted"
    if event.kind in ("order.intended", "order.denied"):
        words = f"{payload['side']} {payload['quantity_nano'] / NANO:,.0f} {payload['order_type']}"
        return symbol, f"{words}: {', '.join(payload.get('codes', ())) or 'allowed'}"
    if event.kind == "order.changed":
        reason = payload.get("reason") or ""
        return "", f"{payload['client_order_id']} is {payload['state']}{f': {reason}' if reason else ''}"
    if event.kind == "fill.booked":
        price = payload["price_micro"] / MICRO
        return symbol, f"{payload['side']} {payload['quantity_nano'] / NANO:,.0f} at {price:,.4f} USD"
    for name in ("memo", "reason", "state", "verdict", "digest", "kind"):
        if payload.get(name):
            return symbol, str(payload[name])
    return symbol, ""
