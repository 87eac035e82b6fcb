"""The watchdog may halt and cancel; what it holds of the venue gives it no way to send an order."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

from tests.support.alpaca_world import HandledBroker
from tests.support.order_desk import CALENDAR, FIRST, Market
from workbench.adapters.alpaca_broker import AlpacaOpenOrders
from workbench.adapters.clock import SimulatedClock
from workbench.adapters.simulated_broker import SimulatedOpenOrders
from workbench.core.cancelling import OpenOrders

SENDING = {"submit", "send", "send_many", "order_path", "start_trading", "open_venue", "connect_alpaca"}


def test_what_the_watchdog_holds_of_the_venue_has_no_way_to_send() -> None:
    assert {name for name in vars(OpenOrders) if not name.startswith("_")} == {
        "listed", "cancel_all", "cancel", "read_back",
    }  # fmt: skip
    for kind in (AlpacaOpenOrders, SimulatedOpenOrders):
        public = {name for name, _ in inspect.getmembers(kind) if not name.startswith("_")}
        assert public == {"listed", "cancel_all", "cancel", "read_back"}


def test_no_file_of_the_watchdog_names_what_sends(package_trees: dict[Path, ast.Module]) -> None:
    files = {path: tree for path, tree in package_trees.items() if path.stem.startswith(("watch", "alert"))}
    assert {"watchdog.py", "watchdog_eyes.py", "watch.py", "alerting.py"} <= {path.name for path in files}
    for path, tree in files.items():
        spoken = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        spoken |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        named = spoken & SENDING if path.name != "watchdog_eyes.py" else spoken & (SENDING - {"submit"})
        assert named <= ({"send"} if path.name in ("alerting.py", "alerts.py") else set()), path


def test_a_connection_for_cancels_refuses_to_post(tmp_path: Path) -> None:
    clock = SimulatedClock(CALENDAR.session_open_ns(FIRST))
    handled = HandledBroker(tmp_path, clock, calendar=CALENDAR, market=Market())
    try:
        wire = handled.broker._trading
        wire._barred = lambda: "this connection only cancels"
        answer = wire.ask("POST", "/orders", {"symbol": "AAA"})
        assert (answer.left, "only cancels" in answer.words) == (False, True)
        assert wire.ask("GET", "/account").status == 200
        posted = [row for row in handled.venue.hands.requests() if row["endpoint"].startswith("POST")]
        assert posted == []
    finally:
        handled.close()
