"""Splits, dividends and changes of symbol that whoever runs the venue wants to happen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from workbench.adapters.venue_server.wire import parse_decimal
from workbench.core.types import MICRO

if TYPE_CHECKING:
    from workbench.adapters.venue_server.loopback import LoopbackVenue

TERMS = {"split": ("new", "old"), "dividend": ("amount",), "rename": ("to",)}


class CorporatePlan:
    """Events that happen before the next open, and what was announced of them.

    Attributes
    ----------
    planned : list
        What has not happened yet.
    announced : list
        All of them with their ex sessions.
    """

    def __init__(self, venue: LoopbackVenue) -> None:
        self._venue = venue
        self.planned: list[dict[str, Any]] = []
        self.announced: list[dict[str, Any]] = []

    def add(self, event: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Plan one for before the next open; all that is planned.

        Raises
        ------
        KeyError, ValueError
            It cannot be one.
        """
        kind, symbol = str(event["kind"]), str(event["symbol"])
        venue = self._venue.state.venue
        if kind not in TERMS or symbol not in venue.symbols:
            raise ValueError(f"no corporate event: {kind} of {symbol}")
        found = {"kind": kind, "symbol": symbol, **{name: event[name] for name in TERMS[kind]}}
        self.planned.append(found)
        self.announced.append({**found, "session": self._venue.calendar.next_session(venue.session)})
        return self.planned

    def happen(self, session: str, at_ns: int) -> None:
        """Let everything that is planned happen before the open of this session."""
        planned, self.planned = self.planned, []
        for event in planned:
            kind, at = event["kind"], {"at_ns": at_ns, "session": session, "symbol": event["symbol"]}
            if kind == "split":
                self._split(int(event["new"]), int(event["old"]), at)
            elif kind == "rename":
                self._venue.do("rename", **at, to=str(event["to"]))
            else:
                self._venue.do("dividend", **at, amount_micro=int(parse_decimal(event["amount"]) * MICRO))

    def _split(self, new: int, old: int, at: dict[str, Any]) -> None:
        venue = self._venue
        venue.do("split", **at, new_shares=new, old_shares=old, planned=True)
        if at["symbol"] in venue.state.venue.quotes:
            bid, ask = (max(price * old // new, 1) for price in venue.state.venue.quotes[at["symbol"]])
            venue.do("quote", at["at_ns"], symbol=at["symbol"], bid_micro=bid, ask_micro=ask)
