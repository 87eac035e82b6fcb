"""Orders per second that the loopback venue accepts over 32 connections, with its journal on disk.

The rate is void where the machine has no two cores to itself; CPU of the server per order is printed too,
which a busy machine inflates less. The client writes bare HTTP, so that the client is not what is measured.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from pathlib import Path
from typing import Any

import pytest
from loopback_venue import VenueHands, VenueProcess

CONNECTIONS, ORDERS, ROUNDS = 32, 1_500, 3
PROMISED_PER_S = 500
KINDS: dict[str, dict[str, str]] = {
    "market orders, filled at once": {},
    "limit orders, resting": {"type": "limit", "limit_price": "0.01"},
}


def request(venue: VenueHands, key: str, **changes: str) -> bytes:
    body = {"symbol": "AAPL", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}
    data = json.dumps(body | changes | {"client_order_id": key}).encode()
    head = (
        f"POST /v2/orders HTTP/1.1\r\nHost: venue\r\nAPCA-API-KEY-ID: {venue.key}\r\n"
        f"APCA-API-SECRET-KEY: {venue.secret}\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


async def flood(venue: VenueHands, prefix: str, changes: dict[str, str]) -> int:
    """Send all orders, each connection one after the other; how many were accepted."""
    host, _, port = venue.rest.removeprefix("http://").partition(":")
    waiting, accepted = iter(range(ORDERS)), 0

    async def connection() -> None:
        nonlocal accepted
        reader, writer = await asyncio.open_connection(host, int(port))
        for number in waiting:
            writer.write(request(venue, f"{prefix}{number}", **changes))
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            accepted += head.startswith(b"http/1.1 200")
        writer.close()

    await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))
    return accepted


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


@pytest.mark.parametrize("kind", KINDS)
def test_orders_accepted_per_second(kind: str, tmp_path: Path, capsys: Any) -> None:
    arguments = ("--state", str(tmp_path / "venue.jsonl"), "--cash", "1000000000", "--json")
    with VenueProcess(*arguments) as process:
        venue, rates, cpu = process.start(), [], []
        for number in range(ROUNDS):
            before, started = cpu_seconds(process.pid), time.perf_counter()
            assert asyncio.run(flood(venue, f"r{number}-", KINDS[kind])) == ORDERS
            rates.append(ORDERS / (time.perf_counter() - started))
            cpu.append((cpu_seconds(process.pid) - before) / ORDERS * 1e3)
        venue.close()
    with capsys.disabled():
        print(
            f"\n{kind}: {statistics.median(rates):,.0f} orders/s (promised {PROMISED_PER_S}), "
            f"{statistics.median(cpu):.2f} ms of CPU each"
        )
    assert statistics.median(rates) >= PROMISED_PER_S
