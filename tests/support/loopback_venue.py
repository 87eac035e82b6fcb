"""A loopback venue for tests, in a process or a thread, with its admin port as methods."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

from workbench.bootstrap.venue import build_venue
from workbench.config import DEFAULT_TOML

ROOT = Path(__file__).resolve().parents[2]
START = "2013-02-01T15:00:00Z"
#: Of the default settings.
UNIVERSE = ("AAPL", "FB", "GOOG", "IBM", "MSFT")


class VenueHands:
    """A running venue: its addresses, and its admin port as methods."""

    def __init__(self, addresses: dict[str, str]) -> None:
        self.addresses = addresses
        self.rest, self.stream, self.data = (addresses[name] for name in ("rest", "stream", "data"))
        self.key, self.secret = addresses["key"], addresses["secret"]
        self.market_stream = self.stream.replace("/stream", "/v2/iex")
        self._session = requests.Session()
        self._session.trust_env = False

    def ask(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        """One admin action; an error of the venue is an AssertionError here."""
        url = self.addresses["admin"] + path
        answer = self._session.request(method, url, json=body or None, timeout=70)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def quote(self, symbol: str, bid: float, ask: float) -> dict[str, Any]:
        return self.ask("POST", "/_/quote", symbol=symbol, bid=bid, ask=ask)

    def fault(self, fault: str, **scope: Any) -> dict[str, Any]:
        return self.ask("POST", "/_/fault", fault=fault, **scope)

    def clear_faults(self) -> None:
        self.ask("DELETE", "/_/faults")

    def advance(self, *, seconds: float = 0, to: str = "") -> dict[str, Any]:
        return self.ask("POST", "/_/advance", seconds=seconds, to=to)

    def state(self) -> dict[str, Any]:
        return self.ask("GET", "/_/state")

    def ledger(self) -> dict[str, Any]:
        return self.ask("GET", "/_/ledger")

    def requests(self) -> list[dict[str, Any]]:
        return list(self.ask("GET", "/_/requests")["requests"])

    def oracle(self, **view: Any) -> list[str]:
        """Broken invariants, judged with the client's view (see `venue_server.oracles`)."""
        return list(self.ask("POST", "/_/oracle", **view)["violations"])

    def restart(self, *, lose: int = 0) -> int:
        return int(self.ask("POST", "/_/restart", lose=lose)["lost"])

    def close(self) -> None:
        self._session.close()


@contextlib.contextmanager
def venue_in_thread(**options: Any) -> Iterator[VenueHands]:
    """A venue in a thread; the clock stands still (`clock_rate=0`) unless told otherwise."""
    options = {"clock_rate": 0.0, "start": START, **options}
    started: dict[str, Any] = {}
    ready = threading.Event()

    async def run() -> None:
        try:
            started["loop"] = asyncio.get_running_loop()
            started["server"] = build_venue(**options)
        except Exception as error:  # raised again where the venue was asked for
            started["error"] = error
            return
        finally:
            ready.set()
        await started["server"].run()

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    assert ready.wait(30), "the venue did not start"
    if "error" in started:
        thread.join(10)
        raise started["error"]
    hands = VenueHands(started["server"].addresses())
    try:
        yield hands
    finally:
        hands.close()
        started["loop"].call_soon_threadsafe(started["server"].stop)
        thread.join(10)
        assert not thread.is_alive(), "the venue did not stop"


class VenueProcess:
    """`workbench venue serve` in a process of its own, which can be killed and started again."""

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> VenueHands:
        """Start it; returns when it has said where it listens."""
        code = "import sys; from workbench.cli import main; main(sys.argv[1:])"
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, "venue", "serve", *self._arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        waiting, _, _ = select.select([self._process.stdout], [], [], 30)
        assert waiting, "the venue printed nothing within 30 s"
        return VenueHands(json.loads(self._process.stdout.readline()))

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        """Send a signal and return the exit code."""
        assert self._process is not None
        self._process.send_signal(how)
        code = self._process.wait(15)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None
        return code

    def __enter__(self) -> VenueProcess:
        return self

    def __exit__(self, *about: object) -> None:
        if self._process is not None:
            self.stop(signal.SIGKILL)


def pointed_at(hands: VenueHands, **more: str) -> str:
    """The default settings with the venue's addresses."""
    text = DEFAULT_TOML
    values = {"broker": "alpaca", "url": hands.rest, "admin_url": hands.addresses["admin"], **more}
    section = text.index("[venue]")
    head, tail = text[:section], text[section:]
    for key, value in values.items():
        assert f'\n{key} = ""' in tail
        tail = tail.replace(f'\n{key} = ""', f'\n{key} = "{value}"', 1)
    return head + tail
