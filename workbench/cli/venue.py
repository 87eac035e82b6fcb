"""`workbench venue`: an offline paper exchange that speaks Alpaca's protocol."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from workbench.bootstrap.logs import command_log
from workbench.bootstrap.venue_kind import CASH_USD
from workbench.cli.options import AsJson
from workbench.config import load_settings

app = typer.Typer(no_args_is_help=True, help="Run an offline paper exchange that speaks Alpaca's protocol.")


@app.command("serve")
def serve(
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Port for clients; 0 = a free one.")] = 0,
    admin_port: Annotated[
        int, typer.Option("--admin-port", help="Port of the admin plane; 0 = a free one.")
    ] = 0,
    state: Annotated[
        Path | None, typer.Option("--state", help="Journal of the account; a restart goes on where it ends.")
    ] = None,
    script: Annotated[
        Path | None, typer.Option("--script", help='Quotes, a line each: {"at", "symbol", "bid", "ask"}.')
    ] = None,
    symbols: Annotated[str, typer.Option("--symbols", help="Some of the sample's symbols, by comma.")] = "",
    start: Annotated[
        str, typer.Option("--start", help="Trading time to start at, as 2013-02-01T15:00:00Z.")
    ] = "",
    cash: Annotated[
        int | None,
        typer.Option("--cash", help=f"Opening cash, USD; {CASH_USD:,}, or the desk's.", min=0),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="A desk: its universe, bars, account, fees."),
    ] = None,
    account: Annotated[
        str, typer.Option("--account", help="Its name: another one is another account, as after a reset.")
    ] = "",
    clock_rate: Annotated[
        float,
        typer.Option(
            "--clock-rate", help="Trading seconds in a second; 0 = only the admin port moves it.", min=0
        ),
    ] = 1.0,
    matching: Annotated[
        str, typer.Option("--matching", help="quotes, or daily bars as the embedded venue.")
    ] = "quotes",
    partial_fills: Annotated[
        float,
        typer.Option(
            "--partial-fills", help="Probability of a partial execution; Alpaca's paper venue: 0.1."
        ),
    ] = 0.0,
    rate_limit: Annotated[
        int, typer.Option("--rate-limit", help="Requests a minute; 0 = no limit, Alpaca: 200.", min=0)
    ] = 0,
    seed: Annotated[int, typer.Option("--seed", help="Seed of all that is drawn.")] = 7,
    seconds: Annotated[
        float, typer.Option("--seconds", help="End after so long; 0 = serve until Ctrl-C.", min=0)
    ] = 0.0,
    as_json: AsJson = False,
) -> None:
    """Serve one paper account until Ctrl-C.

    The first line printed is JSON with the keys rest, stream, data, admin, key and secret. Programs written
    for alpaca-py work against it: TradingClient(key, secret, url_override=rest), TradingStream(key, secret,
    url_override=stream), StockHistoricalDataClient(key, secret, url_override=data).

    Prices are the committed sample's. Time starts inside an open session of 2013 and passes with the wall
    clock. The admin port changes both: POST {admin}/_/quote {"symbol": "AAPL", "bid": 450, "ask": 450.1}
    sets a price, POST {admin}/_/advance {"seconds": 60} moves time, and GET {admin}/_/ lists all that it can
    do, faults included.
    """
    from workbench.bootstrap import venue  # with its web server, which no other command waits for

    def ready(addresses: dict[str, str]) -> None:
        print(json.dumps(addresses), flush=True)
        if not as_json:
            print(
                f"the venue is open; {addresses['admin']}/_/ explains itself; Ctrl-C ends it", file=sys.stderr
            )

    settings = None if config is None else load_settings(str(config))
    with command_log(settings, "venue-serve", matching=matching, start=start):
        venue.serve(
            ready=ready, seconds=seconds, host=host, port=port, admin_port=admin_port, state=state,
            script=script, start=start, cash_usd=cash, clock_rate=clock_rate,
            symbols=[name.strip().upper() for name in symbols.split(",") if name.strip()], matching=matching,
            config=config, account=account, partial_fills=partial_fills, seed=seed,
            rate_limit_per_minute=rate_limit or None,
        )  # fmt: skip
