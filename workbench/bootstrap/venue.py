"""The offline paper exchange: which prices, which calendar, which defaults."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workbench.adapters.calendar import ExchangeCalendar
from workbench.adapters.venue_server import MarketSource, VenueOptions, VenueServer, read_script
from workbench.bootstrap.resources import sample_folder
from workbench.core.types import MICRO, NANO, Bars
from workbench.errors import DataError, UsageError

#: The first decision session of the demonstration, half an hour after its open.
SESSION, MINUTES_IN = "2013-02-01", 30
ACCOUNT, CASH_USD = "loopback", 100_000


def sample_market(symbols: Sequence[str] = ()) -> tuple[tuple[str, ...], MarketSource]:
    """The symbols of the committed sample and a market that repeats their recorded history."""
    folder = sample_folder()
    frames = {path.stem: pd.read_parquet(path) for path in sorted((folder / "daily").glob("*.parquet"))}
    chosen = tuple(sorted(symbols or frames))
    strangers = [symbol for symbol in chosen if symbol not in frames]
    if strangers:
        raise UsageError(
            f"the sample does not hold {', '.join(strangers)}", next_step=f"use some of {', '.join(frames)}"
        )
    rows = {
        symbol: {str(row.session): row for row in frame.itertuples(index=False)}
        for symbol, frame in frames.items()
    }

    def bars(names: Sequence[str], session: str) -> Bars:
        found = [rows.get(name, {}).get(session) for name in names]
        if not any(found):
            raise DataError(f"the sample has no session {session}", next_step="start the venue earlier")
        columns = {
            name: np.array([[float(getattr(row, name)) if row else np.nan for row in found]])
            for name in ("open", "high", "low", "close", "volume")
        }
        known = np.array([[row is not None for row in found]])
        return Bars(np.array([0]), tuple(names), **columns, tradable=known)

    return chosen, MarketSource(bars=bars, minutes=_minutes)


@lru_cache(maxsize=8)
def _minutes(symbol: str) -> Bars | None:
    path = sample_folder() / "minutes" / f"{symbol}.parquet"
    if not path.exists():
        return None
    frame = pd.read_parquet(path)
    ends = frame["start"].dt.as_unit("ns").astype("int64").to_numpy() + 60 * NANO
    columns = {
        name: frame[name].to_numpy(dtype=float).reshape(-1, 1)
        for name in ("open", "high", "low", "close", "volume")
    }
    return Bars(ends, (symbol,), **columns, tradable=np.ones((len(frame), 1), dtype=bool))


def build_venue(
    *, host: str = "127.0.0.1", port: int = 0, admin_port: int = 0, state: Path | None = None,
    symbols: Sequence[str] = (), script: Path | None = None, start: str = "", cash_usd: int = CASH_USD,
    clock_rate: float = 1.0, **options: Any,
) -> VenueServer:  # fmt: skip
    """A venue on the sample, ready to run in the present event loop.

    Parameters
    ----------
    start : str
        Trading time of the first start, RFC 3339; "" = half an hour after the open of the first session that
        the demonstration trades.
    options
        Further fields of `VenueOptions`.
    """
    calendar = ExchangeCalendar()
    known, market = sample_market(symbols)
    if script is not None:
        market = MarketSource(bars=market.bars, minutes=market.minutes, script=read_script(script))
    start_ns = calendar.session_open_ns(SESSION) + MINUTES_IN * 60 * NANO
    if start:
        try:
            start_ns = pd.Timestamp(start).tz_convert("UTC").as_unit("ns").value
        except (ValueError, TypeError):
            raise UsageError(
                f"--start: {start!r} is no time", next_step="write it as 2013-02-01T15:00:00Z"
            ) from None
    chosen = VenueOptions(
        account=ACCOUNT, cash_micro=cash_usd * MICRO, symbols=known, start_ns=start_ns, clock_rate=clock_rate,
        **options,
    )  # fmt: skip
    return VenueServer(
        chosen,
        calendar=calendar,
        market=market,
        state_path=state,
        host=host,
        port=port,
        admin_port=admin_port,
    )


def serve(*, ready: Callable[[dict[str, str]], None], **arguments: Any) -> None:
    """Serve until Ctrl-C or a termination signal; `ready` hears the addresses first."""

    async def run() -> None:
        server = build_venue(**arguments)
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, server.stop)
        ready(server.addresses())
        await server.run()

    asyncio.run(run())


def first_line(addresses: dict[str, str]) -> str:
    """What a program reads to find the venue."""
    return json.dumps(addresses)
