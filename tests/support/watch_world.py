"""A desk at a loopback venue, its loop and its watchdog, each a process that can be killed or stopped.

``python watch_world.py CONFIG COUNT`` is that loop: it sends COUNT orders, prints one line and then waits as
a session does, showing that it lives. When its standard input ends it tries to send one order more, says
whether that was refused, and gives the lease back.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.alert_sinks import Webhook
from tests.support.alpaca_world import ServedVenue
from tests.support.kill_world import ROOT, OrderPath, arm
from workbench.bootstrap import admin
from workbench.bootstrap.desk import Desk, open_journal
from workbench.config import DEFAULT_TOML, Settings, load_settings
from workbench.errors import WorkbenchError
from workbench.services.people import People

#: A bound for every step; a loaded machine starts a process in seconds.
PATIENCE_S = 60.0
#: Bounds at their smallest, so that nothing has to be waited for.
QUICK = {
    "ttl_s = 30.0": "ttl_s = 3.0",
    "look_every_s = 1.0": "look_every_s = 0.1",
    "stuck_after_s = 15.0": "stuck_after_s = 1.0",
    "venue_silent_s = 30.0": "venue_silent_s = 1.0",
    "journal_silent_s = 10.0": "journal_silent_s = 1.0",
    "connect_timeout_s = 3.0": "connect_timeout_s = 1.0",
    "answer_timeout_s = 10.0": "answer_timeout_s = 2.0",
    "poll_s = 0.5": "poll_s = 0.1",
}


def desk_at(folder: Path, venue: ServedVenue, **changes: str) -> Settings:
    """A desk that replays at the venue, whose clocks need not agree, and that a person has just resumed."""
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["WORKBENCH_SECRETS__VENUE_KEY"] = venue.hands.key
    os.environ["WORKBENCH_SECRETS__VENUE_SECRET"] = venue.hands.secret
    head, _, tail = DEFAULT_TOML.partition("[venue]")
    places = {"broker": "alpaca", "url": venue.hands.rest, "admin_url": venue.hands.addresses["admin"]}
    for key, value in places.items():
        tail = tail.replace(f'\n{key} = ""', f'\n{key} = "{value}"', 1)
    text = f"{head}[venue]{tail}"
    for before, after in {**QUICK, **changes}.items():
        assert before in text, before
        text = text.replace(before, after, 1)
    config = folder / "workbench.toml"
    config.write_text(text)
    settings = admin.init(config)
    with open_journal(settings, read_only=False) as journal:
        People(journal).add("ada", role="operator")
    arm(settings)
    return settings


def until(happened: Callable[[], Any], what: str, *, seconds: float = PATIENCE_S) -> Any:
    """What `happened` returns once that is true; fails after the bound."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := happened():
            return found
        time.sleep(0.02)
    raise AssertionError(f"within {seconds:.0f} s it did not happen that {what}")


class WatchdogProcess:
    """`workbench watchdog` in a process of its own."""

    def __init__(self, settings: Settings, webhook: Webhook | None = None, *more: str) -> None:
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        if webhook is not None:
            environ["WORKBENCH_SECRETS__ALERT_URLS"] = webhook.url
        code = "import sys; from workbench.cli import main; main(sys.argv[1:])"
        self.settings = settings
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, "watchdog", "--config", str(settings.file), *more],
            env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        beat = Desk(settings).paths.root / "watchdog.heartbeat"
        until(lambda: beat.exists() or self.process.poll() is not None, "the watchdog gives a sign of life")
        assert self.process.poll() is None, self.process.communicate()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """End it; exit code and what it printed."""
        self.process.send_signal(how)
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, out + err

    def end(self) -> None:
        """Nothing of it is left; what it said is shown when the test has failed."""
        if self.process.poll() is None:
            self.process.kill()
        if self.process.stdout is not None and not self.process.stdout.closed:
            print(*self.process.communicate())


class Loop:
    """The loop in a process of its own."""

    def __init__(self, settings: Settings, count: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__)), str(settings.file), str(count)],
            env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        waiting, _, _ = select.select([self.process.stdout], [], [], PATIENCE_S)
        line = self.process.stdout.readline() if waiting else ""
        assert line.startswith("ready"), f"the loop did not start: {line}"

    def stop(self) -> str:
        """Let it end; whether its last order was "sent" or "refused"."""
        out, _ = self.process.communicate("", timeout=PATIENCE_S)
        return str(out.split()[-1])

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


def main(config: str, count: int) -> None:
    path = OrderPath(load_settings(config))
    path.send(*range(count))
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    print("ready", flush=True)
    while not over.wait(0.05):
        path.authority.keep_alive()
    try:
        path.send(count)
        print("sent", flush=True)
    except WorkbenchError:
        print("refused", flush=True)
    path.authority.release()
    path.close()
    os._exit(0)


def outbox(settings: Settings, **equals: Any) -> list[dict[str, Any]]:
    """Alerts that the journal holds, without those that repeat others."""
    rows = Desk(settings).journal.rows("outbox", account=settings.account, **equals)
    return [row for row in rows if row["status"] != "merged"]


def codes(settings: Settings) -> list[str]:
    return [row["code"] for row in outbox(settings)]


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
