"""The offline paper exchange: which prices, which calendar, which defaults."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workbench.adapters.calendar import ExchangeCalendar
from workbench.adapters.venue_server import MarketSource, VenueOptions, VenueServer, read_script
from workbench.bootstrap.desk import Desk
from workbench.bootstrap.resources import sample_folder
from workbench.bootstrap.venue_kind import CASH_USD
from workbench.config import Settings, load_settings
from workbench.core.types import MICRO, NANO, Bars
from workbench.errors import DataError, UsageError

#: The first decision session of the demonstration, half an hour after its open.
SESSION, MINUTES_IN = "2013-02-01", 30
ACCOUNT = "loopback"
COLUMNS = ("open", "high", "low", "close", "volume")


def sample_market(symbols: Sequence[str] = ()) -> tuple[tuple[str, ...], MarketSource]:
    """The symbols of the committed sample and a market that repeats their recorded history."""
    rows = _sample_rows()
    chosen = tuple(sorted(symbols or rows))
    strangers = [symbol for symbol in chosen if symbol not in rows]
    if strangers:
        raise UsageError(
            f"the sample does not hold {', '.join(strangers)}", next_step=f"use some of {', '.join(rows)}"
        )

    def bars(names: Sequence[str], session: str) -> Bars:
        found = [rows.get(name, {}).get(session) for name in names]
        if not any(found):
            raise DataError(f"the sample has no session {session}", next_step="start the venue earlier")
        table = np.array([row or (np.nan,) * len(COLUMNS) for row in found])
        columns = {name: table[:, n].reshape(1, -1) for n, name in enumerate(COLUMNS)}
        known = np.array([[row is not None for row in found]])
        return Bars(np.array([0]), tuple(names), **columns, tradable=known)

    events = pd.read_parquet(sample_folder() / "splits.parquet")
    recorded = [
        (session, symbol, (int(new), int(old)))
        for session, symbol, new, old in zip(
            events["ex_session"].astype(str),
            events["symbol"],
            events["new_shares"],
            events["old_shares"],
            strict=True,
        )
    ]

    def splits(session: str) -> dict[str, tuple[int, int]]:
        return {symbol: ratio for day, symbol, ratio in recorded if day == session}

    return chosen, MarketSource(bars=bars, minutes=_minutes, splits=splits)


def desk_market(config: Path) -> tuple[Settings, MarketSource]:
    """A desk's settings and a market that repeats what its bars store holds."""
    settings = load_settings(str(config))
    store = Desk(settings).bars
    return settings, MarketSource(bars=store.raw_session, splits=store.splits_of)


@cache
def _sample_rows() -> dict[str, dict[str, tuple[float, ...]]]:
    """Symbol -> session -> open, high, low, close and volume."""
    found = {}
    for path in sorted((sample_folder() / "daily").glob("*.parquet")):
        frame = pd.read_parquet(path, columns=["session", *COLUMNS])
        columns = [frame[name].astype(float).tolist() for name in COLUMNS]
        sessions = frame["session"].astype(str).tolist()
        found[path.stem] = dict(zip(sessions, zip(*columns, strict=True), strict=True))
    return found


@lru_cache(maxsize=8)
def _minutes(symbol: str) -> Bars | None:
    path = sample_folder() / "minutes" / f"{symbol}.parquet"
    if not path.exists():
        return None
    frame = pd.read_parquet(path)
    ends = frame["start"].dt.as_unit("ns").astype("int64").to_numpy() + 60 * NANO
    columns = {name: frame[name].to_numpy(dtype=float).reshape(-1, 1) for name in COLUMNS}
    return Bars(ends, (symbol,), **columns, tradable=np.ones((len(frame), 1), dtype=bool))


def build_venue(
    *, host: str = "127.0.0.1", port: int = 0, admin_port: int = 0, state: Path | None = None,
    symbols: Sequence[str] = (), script: Path | None = None, start: str = "", cash_usd: int | None = None,
    clock_rate: float = 1.0, config: Path | None = None, account: str = "", **options: Any,
) -> VenueServer:  # fmt: skip
    """A venue on the sample, or on a desk's bars, ready to run in the present event loop.

    Parameters
    ----------
    start : str
        Trading time of the first start, RFC 3339; "" = half an hour after the open of the first session that
        the demonstration trades.
    config : Path or None
        Settings of a desk: its universe, bars, account, opening cash, fees and fills. None = the sample.
    account : str
        Name of the account, from which its id, number and keys follow; "" = the desk's, or "loopback".
    options
        Further fields of `VenueOptions`.
    """
    calendar = ExchangeCalendar()
    named, cash = ACCOUNT, cash_usd
    if config is None:
        known, market = sample_market(symbols)
    else:
        settings, market = desk_market(config)
        known, named = tuple(symbols or settings.universe), settings.account
        cash = settings.venue.starting_cash_usd if cash is None else cash
        options = {"fees": settings.fees, "fills": settings.fills, **options}
    if script is not None:
        market = replace(market, script=read_script(script))
    start_ns = calendar.session_open_ns(SESSION) + MINUTES_IN * 60 * NANO
    if start:
        try:
            start_ns = pd.Timestamp(start).tz_convert("UTC").as_unit("ns").value
        except (ValueError, TypeError):
            raise UsageError(
                f"--start: {start!r} is no time", next_step="write it as 2013-02-01T15:00:00Z"
            ) from None
    chosen = VenueOptions(
        account=account or named,
        cash_micro=(CASH_USD if cash is None else cash) * MICRO,
        symbols=known,
        start_ns=start_ns,
        clock_rate=clock_rate,
        **options,
    )
    return VenueServer(
        chosen,
        calendar=calendar,
        market=market,
        state_path=state,
        host=host,
        port=port,
        admin_port=admin_port,
    )


def serve(*, ready: Callable[[dict[str, str]], None], seconds: float, **arguments: Any) -> None:
    """Serve until Ctrl-C, SIGTERM or for `seconds` (0 = for ever); `ready` hears the addresses first."""

    async def run() -> None:
        server = build_venue(**arguments)
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, server.stop)
        ready(server.addresses())
        if seconds:
            loop.call_later(seconds, server.stop)
        await server.run()

    asyncio.run(run())
