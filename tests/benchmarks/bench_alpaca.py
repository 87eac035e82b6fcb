"""What the Alpaca adapter costs beyond the venue's answer, and how fast many open orders are reconciled.

Both on real sockets of this machine. The venue's answer is timed by the same request through a bare
`requests` session in the same run, so the difference is the adapter's own.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import requests

from tests.support.order_line import SYMBOLS, order_line
from tests.support.wire import ACCOUNT_ROW as ROW
from tests.support.wire import KEY, SECRET, Reply, asset, order, wire_server
from workbench.adapters.alpaca_broker import AlpacaBroker, AlpacaTransport, RateBudget
from workbench.adapters.alpaca_broker.gates import order_fields
from workbench.core.orders import OrderIntent, client_order_id
from workbench.core.types import NANO, OrderType, Side

LIMIT_MS, LIMIT_S = 3.0, 1.0
REQUESTS, ORDERS = 300, 500


def test_a_submit_beyond_the_venues_answer() -> None:
    identity = client_order_id("demo", "trend", 1, "AAA", "entry")
    intent = OrderIntent(
        identity, "demo", "trend", "2026-10-08", 1, "AAA", "entry", Side.BUY, 100 * NANO, OrderType.LIMIT,
        20_500_000, 20_500_000,
    )  # fmt: skip
    with wire_server() as wire:
        wire.on("GET", "/account", Reply(json=ROW))
        wire.on("GET", "/positions", Reply(json=[]))
        wire.on("GET", "/assets/AAA", Reply(json=asset("AAA")))
        wire.on("POST", "/orders", Reply(json=order(identity)))
        lines = [
            AlpacaTransport(key=KEY, secret=SECRET, url=wire.url, connect_s=1.0, read_s=2.0) for _ in range(2)
        ]
        budget = RateBudget(per_minute=60_000, reserve=10)
        broker = AlpacaBroker(*lines, account="demo", account_id="", budget=budget)
        bare = requests.Session()
        bare.trust_env = False
        fields, url = order_fields(intent), wire.url + "/v2/orders"
        ours, theirs = [], []
        for _ in range(REQUESTS):
            start = time.perf_counter()
            bare.post(url, json=fields, timeout=2).content  # noqa: B018
            middle = time.perf_counter()
            assert broker.submit(intent).order is not None
            ours.append(time.perf_counter() - middle)
            theirs.append(middle - start)
        broker.close()
        bare.close()
    adapter, answer = statistics.median(ours) * 1e3, statistics.median(theirs) * 1e3
    print(
        f"\none submit: median {adapter:.2f} ms, bare {answer:.2f} ms, adapter {adapter - answer:.2f} ms "
        f"(limit {LIMIT_MS:.0f} ms), ratio {adapter / answer:.2f}"
    )
    assert adapter - answer <= LIMIT_MS


def test_an_account_with_many_open_orders_is_reconciled(tmp_path: Path) -> None:
    with order_line(tmp_path) as line:
        for n in range(ORDERS):
            symbol = SYMBOLS[n % len(SYMBOLS)]
            intent = line.intent(f"slice {n}", symbol=symbol, quantity_nano=NANO, limit_micro=50_000_000)
            if n < len(SYMBOLS):
                line.oms.intend(intent, "d", ())
            line.broker.submit(intent)
        taken = []
        for _ in range(3):
            start = time.perf_counter()
            line.reconcile()
            taken.append(time.perf_counter() - start)
    best = min(taken)
    print(
        f"\n{ORDERS} open orders at the venue reconciled in {best:.2f} s, best of 3 (limit {LIMIT_S:.0f} s)"
    )
    assert best <= LIMIT_S
