"""The Alpaca adapter on a loopback venue whose market, calendar and clock a test holds in its hand."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.loopback_venue import VenueHands
from workbench.adapters.alpaca_broker import AlpacaBroker, AlpacaTransport, RateBudget
from workbench.adapters.venue_server import MarketSource, VenueOptions, VenueServer
from workbench.adapters.venue_server.wire import when
from workbench.core.costs import FeeSchedule
from workbench.core.fills import FillParams
from workbench.core.types import to_micro


class Prices(MarketSource):
    """A market that hides what its time has not reached: at the open only the open is known."""

    def daily(self, symbols: Sequence[str], session: str) -> dict[str, list[int]]:
        bars = self.bars(tuple(symbols), session)
        rows: dict[str, list[int]] = {}
        for j, symbol in enumerate(bars.symbols):
            day = [column[0, j] for column in (bars.open, bars.high, bars.low, bars.close)]
            known = [to_micro(float(price)) if price == price else to_micro(float(day[0])) for price in day]
            rows[symbol] = [*known, int(bars.volume[0, j]) if bars.volume[0, j] == bars.volume[0, j] else 0]
        return rows


class ServedVenue:
    """A venue on real sockets, in a thread of this process."""

    def __init__(self, options: VenueOptions, *, calendar: Any, market: Any, state_path: Path | None) -> None:
        started: dict[str, Any] = {}
        ready = threading.Event()

        async def run() -> None:
            try:
                started["server"] = VenueServer(
                    options, calendar=calendar, market=market, state_path=state_path, host="127.0.0.1",
                    port=0, admin_port=0,
                )  # fmt: skip
                started["loop"] = asyncio.get_running_loop()
            finally:
                ready.set()
            await started["server"].run()

        self._thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
        self._thread.start()
        assert ready.wait(30), "the venue did not start"
        self._started = started
        self.hands = VenueHands(started["server"].addresses())

    def close(self) -> None:
        if not self._thread.is_alive():
            return
        self.hands.close()
        self._started["loop"].call_soon_threadsafe(self._started["server"].stop)
        self._thread.join(10)
        assert not self._thread.is_alive(), "the venue did not stop"


def broker_at(
    hands: VenueHands, *, account: str = "demo", account_id: str = "", **changes: Any
) -> AlpacaBroker:
    """The adapter on a venue that is running."""
    limits: dict[str, Any] = {"connect_s": 2.0, "read_s": changes.pop("read_s", 20.0)}
    lines = [
        AlpacaTransport(key=hands.key, secret=hands.secret, url=url, data=data, **limits)
        for url, data in ((hands.rest, False), (hands.data, True))
    ]
    budget = changes.pop("budget", None) or RateBudget(per_minute=60_000, reserve=100)
    return AlpacaBroker(*lines, account=account, account_id=account_id, budget=budget, **changes)


class HandledBroker:
    """The adapter at a venue that is taken to the test's time before every call."""

    def __init__(self, folder: Path, clock: Any, *, calendar: Any, market: Any, **changes: Any) -> None:
        terms: dict[str, Any] = {
            "account": "demo", "cash_micro": 100_000_000_000, "symbols": ("AAA", "BBB"),
            "fees": FeeSchedule(), "fills": FillParams(), **changes,
        }  # fmt: skip
        options = VenueOptions(start_ns=clock.now_ns(), clock_rate=0.0, matching="daily", **terms)
        self._clock = clock
        self.venue = ServedVenue(
            options, calendar=calendar, market=Prices(bars=market), state_path=folder / "venue.jsonl"
        )
        self.broker = broker_at(self.venue.hands, account=terms["account"])

    def close(self) -> None:
        self.broker.close()
        self.venue.close()

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.broker, name)

        def at_the_tests_time(*args: Any, **kwargs: Any) -> Any:
            self.venue.hands.advance(to=when(self._clock.now_ns()))
            return call(*args, **kwargs)

        return at_the_tests_time
