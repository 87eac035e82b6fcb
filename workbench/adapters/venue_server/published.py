"""What the read endpoints serve: the truth, or an older view of it while a lag is set."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.adapters.venue_server.loopback import LoopbackVenue


@dataclass(frozen=True)
class View:
    """Everything a client can read about the account at one instant."""

    orders: Mapping[str, dict[str, Any]]
    activities: tuple[dict[str, Any], ...]
    account: dict[str, Any]
    positions: Mapping[str, dict[str, Any]]
    wall: float


class Published:
    """The published view, which lags behind the truth by a number of reads or by wall time."""

    def __init__(self, venue: LoopbackVenue) -> None:
        self._venue = venue
        self._reads = 0
        self._lag_s = 0.0
        self._past: list[View] = []

    @property
    def lagging(self) -> bool:
        """Whether reads may be served something old."""
        return bool(self._past)

    def lag(self, *, reads: int = 0, ms: float = 0.0) -> None:
        """From now on serve the present for `reads` more reads, or what was true `ms` ago; 0 and 0 end it."""
        self._reads, self._lag_s = reads, ms / 1000.0
        self._past = [self._snapshot()] if reads or ms else []

    def changed(self) -> None:
        """Remember the new truth while a lag in time is set."""
        if self._lag_s:
            self._past.append(self._snapshot())

    def read(self) -> View | None:
        """The view to serve for this read; None = the truth."""
        if not self._past:
            return None
        if self._reads:
            self._reads -= 1
            view = self._past[0]
            if not self._reads:
                self._past = []
            return view
        horizon = time.monotonic() - self._lag_s
        while len(self._past) > 1 and self._past[1].wall <= horizon:
            self._past.pop(0)
        return self._past[0]

    def _snapshot(self) -> View:
        state = self._venue.state
        orders = {key: record.present for key, record in state.orders.items()}
        return View(orders, tuple(state.activities), state.account(), state.positions(), time.monotonic())
