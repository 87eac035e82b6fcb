"""Health and figures over real sockets: from the scheduler's own server and from the dashboards'."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from command_line import typed
from exposition_reader import read
from opened_pages import Server

from workbench.adapters.health_server import HealthServer
from workbench.bootstrap import scheduling
from workbench.bootstrap.cycle_log import log_cycles
from workbench.bootstrap.desk import Desk, open_journal
from workbench.bootstrap.health import HealthAnswers
from workbench.bootstrap.logs import command_log, patient_log
from workbench.config import Settings, load_settings
from workbench.core.alerts import alert
from workbench.core.exposition import CONTENT_TYPE
from workbench.core.ports import Event
from workbench.errors import ConfigError
from workbench.services.scheduler import Tick


@pytest.fixture(scope="module")
def desk(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("health") / "desk"
    shutil.copytree(prepared, folder)
    return load_settings(str(folder / "workbench.toml"))


@pytest.fixture(scope="module")
def served(desk: Settings) -> Iterator[HealthServer]:
    server = HealthServer(0, HealthAnswers(desk))
    yield server
    server.close()


def get(address: str, host: str = "") -> tuple[int, str, str]:
    parts = urlsplit(address)
    with closing(HTTPConnection(parts.netloc, timeout=30)) as line:
        line.request("GET", parts.path, headers={"Host": host} if host else {})
        answer = line.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read().decode()


def test_a_desk_that_can_be_read_is_well(served: HealthServer) -> None:
    status, kind, body = get(f"{served.address}/healthz")
    found = json.loads(body)
    assert (status, found["ok"], kind.partition(";")[0]) == (200, True, "application/json")
    assert {one["name"]: one["ok"] for one in found["checks"]} == {
        "journal": True, "state": True, "alerts": True, "disk": True, "watchdog": True,
    }  # fmt: skip


def test_figures_are_those_of_the_journal(served: HealthServer, desk: Settings) -> None:
    status, kind, body = get(f"{served.address}/metrics")
    assert (status, kind) == (200, CONTENT_TYPE)
    found = read(body)
    who = (("account", desk.account), ("mode", "replay"))
    assert found["workbench_up", who] == 1.0
    states = {labels[0][1]: value for (name, labels), value in found.items() if name == "workbench_state"}
    assert states == {"ACTIVE": 1.0, "REDUCING": 0.0, "HALTED": 0.0}
    assert found["workbench_journal_events_total", ()] == Desk(desk).journal.head()[0]
    with open_journal(desk, read_only=False) as journal:  # counted anew when the journal has grown
        journal.commit([alert(desk.account, "DISK_LOW", "test", at_ns=1)])
    assert read(get(f"{served.address}/metrics")[2])["workbench_alerts_total", (("code", "DISK_LOW"),)] == 1.0


def test_another_path_and_another_name_for_this_machine_get_nothing(served: HealthServer) -> None:
    assert get(f"{served.address}/")[0] == 404
    assert get(f"{served.address}/metrics", host="evil.example:80")[0] == 404


def test_it_listens_on_the_loopback_address_alone(served: HealthServer) -> None:
    port = int(served.address.rpartition(":")[2])
    with socket.create_server(("127.0.0.2", port)):  # free: the server did not take every address
        pass
    with pytest.raises(ConfigError, match=f"port {port} .* cannot be used"):
        HealthServer(port, lambda path, near: None)


def test_who_is_not_near_learns_whether_it_is_well_and_no_more(desk: Settings) -> None:
    answers = HealthAnswers(desk)
    far = answers("/healthz", False)
    assert far is not None
    assert far[2] == '{"ok": true}\n'
    hidden = answers("/metrics", False)
    assert hidden is not None
    assert hidden[0] == 403


def test_a_journal_that_cannot_be_read_is_not_well_and_never_an_error(prepared: Path, tmp_path: Path) -> None:
    folder = tmp_path / "desk"
    shutil.copytree(prepared, folder)
    settings = load_settings(str(folder / "workbench.toml"))
    Desk(settings).paths.journal.write_bytes(b"no database at all")
    answers = HealthAnswers(settings)
    found = answers("/healthz", True)
    assert found is not None
    assert (found[0], json.loads(found[2])["ok"]) == (503, False)
    figures = answers("/metrics", True)
    assert figures is not None
    assert read(figures[2])["workbench_up", (("account", settings.account), ("mode", "replay"))] == 0.0


def test_a_scheduler_that_looks_no_more_is_not_well(desk: Settings) -> None:
    now = [0]
    pulse = scheduling.Pulse(lambda: now[0])
    pulse.took(Tick(owner=True, started=(), missed=(), waiting=(), wake_ns=0))
    answers = HealthAnswers(desk, more=pulse.more)
    well = answers("/healthz", True)
    now[0] = 61 * 10**9
    stuck = answers("/healthz", True)
    assert well is not None
    assert stuck is not None
    assert (well[0], stuck[0]) == (200, 503)
    figures = answers("/metrics", True)
    assert figures is not None
    assert read(figures[2])["workbench_scheduler_age_seconds", ()] == 61.0


@pytest.mark.slow
def test_the_dashboards_answer_both_beside_their_pages(desk: Settings) -> None:
    server = Server(desk.folder)
    try:
        assert get(f"{server.root}/healthz")[0] == 200
        status, kind, body = get(f"{server.root}/metrics")
        assert (status, kind) == (200, CONTENT_TYPE)
        assert ("workbench_up", (("account", desk.account), ("mode", "replay"))) in read(body)
        assert get(f"{server.root}/desk")[0] == 200
    finally:
        server.close()


# --- logs ----------------------------------------------------------------------------------------------


def lines(settings: Settings, name: str) -> list[dict[str, object]]:
    text = (settings.desk_path / "logs" / f"{name}.log").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_a_watchdog_leaves_a_log_of_how_it_began_and_ended(desk: Settings) -> None:
    typed(desk.folder, "watchdog", "--once", "--json")
    said = lines(desk, "watchdog")
    assert [said[0]["event"], said[-1]["event"], said[-1]["outcome"]] == ["started", "ended", "done"]
    assert {line["command"] for line in said} == {"watchdog"}


def test_a_log_that_cannot_be_written_stops_no_watchdog(desk: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "desk"
    shutil.copytree(desk.folder, folder)
    settings = load_settings(str(folder / "workbench.toml"))
    logs = settings.desk_path / "logs"
    shutil.rmtree(logs, ignore_errors=True)
    logs.write_text("in the way")
    with patient_log(settings, "watchdog") as log:
        log.info("looked")
    assert logs.read_text() == "in the way"


def test_lines_of_one_cycle_carry_run_cycle_and_order(desk: Settings) -> None:
    decision = {
        "decision_id": "d1", "account": desk.account, "strategy": "trend", "session": "2013-02-01",
        "scheduled_ns": 1, "snapshot_hash": "", "model_id": "m", "cost_model_id": "c", "bars_fingerprint": "",
        "rows": [],
    }  # fmt: skip
    with open_journal(desk, read_only=False) as journal:
        journal.commit([Event("decision.made", decision)])
    with command_log(desk, "cycles") as log:
        assert log_cycles(log, desk, run_id="trading_loop/2013-02-01.1", session="2013-02-01") == 1
    (said,) = [line for line in lines(desk, "cycles") if line["event"] == "decided"]
    assert (said["run"], said["cycle"]) == ("trading_loop/2013-02-01.1", "d1")
