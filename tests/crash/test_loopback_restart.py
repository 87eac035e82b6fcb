"""The loopback venue after a crash: nothing acknowledged is lost, equal histories give equal bytes."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import requests
from loopback_venue import START, VenueHands, VenueProcess, venue_in_thread

from workbench.adapters.venue_server import command_file
from workbench.errors import ConfigError, DataError, Refused, StorageFailed, UsageError


def post(venue: VenueHands, key: str, **changes: Any) -> requests.Response:
    body = {"symbol": "AAPL", "qty": "2", "side": "buy", "type": "market", "time_in_force": "day"}
    headers = {"APCA-API-KEY-ID": venue.key, "APCA-API-SECRET-KEY": venue.secret}
    body |= {"client_order_id": key} | changes
    return requests.post(venue.rest + "/v2/orders", json=body, headers=headers, timeout=10)


def history(venue: VenueHands) -> str:
    """Everything that a client could have seen, as text."""
    return json.dumps(venue.ledger(), sort_keys=True)


def busy(venue: VenueHands) -> None:
    """A day in which everything happens."""
    venue.quote("AAPL", 450, 450.1)
    venue.ask("POST", "/_/partial", client_order_id="p", shares=[1])
    for key, changes in (
        ("m", {}), ("p", {"qty": "5"}), ("l", {"type": "limit", "limit_price": "400"}),
        ("g", {"type": "limit", "limit_price": "401", "time_in_force": "gtc"}),
    ):  # fmt: skip
        assert post(venue, key, **changes).status_code == 200
    assert post(venue, "m").status_code == 422
    venue.ask("POST", "/_/cash", activity="CSD", amount="12.34")
    venue.ask("POST", "/_/corporate", kind="split", symbol="AAPL", new=7, old=1)
    venue.ask("POST", "/_/corporate", kind="rename", symbol="IBM", to="IBMX")
    venue.advance(to="close")
    venue.advance(to="open")
    assert post(venue, "after", symbol="IBMX").status_code == 200


def test_a_killed_venue_comes_back_as_it_was(tmp_path: Path) -> None:
    arguments = ("--state", str(tmp_path / "venue.jsonl"), "--clock-rate", "0", "--start", START)
    with VenueProcess(*arguments) as process:
        venue = process.start()
        busy(venue)
        before, digest = history(venue), venue.state()["digest"]
        assert process.stop(signal.SIGKILL) == -signal.SIGKILL
        venue = process.start()
        assert (history(venue), venue.state()["digest"]) == (before, digest)
        assert post(venue, "m").status_code == 422
        assert process.stop(signal.SIGINT) == 0


def test_a_venue_that_comes_back_does_not_live_the_same_minutes_again(tmp_path: Path) -> None:
    """Its clock was put forward and nothing has happened since: quotes asked for then are not old."""
    arguments = ("--state", str(tmp_path / "venue.jsonl"), "--clock-rate", "0", "--start", START)
    with VenueProcess(*arguments) as process:
        venue = process.start()
        begin = venue.state()["now"]
        venue.advance(seconds=90.0)
        now = venue.state()["now"]
        assert now > begin
        assert process.stop(signal.SIGKILL) == -signal.SIGKILL
        venue = process.start()
        assert venue.state()["now"] == now
        assert post(venue, "m").json()["submitted_at"] >= now
        assert process.stop(signal.SIGINT) == 0


def test_a_restart_drops_connections_and_may_lose_what_was_last(tmp_path: Path) -> None:
    with venue_in_thread(state=tmp_path / "venue.jsonl") as venue:
        assert post(venue, "kept").status_code == 200
        before = history(venue)
        assert post(venue, "lost", type="limit", limit_price="100").status_code == 200
        assert venue.restart(lose=2) == 2  # the order and the look at the quote that followed it
        assert history(venue) == before
        assert post(venue, "lost").status_code == 200  # the id is free: nobody remembers it
        after = history(venue)
        assert venue.restart() == 0
        assert history(venue) == after


def test_a_venue_without_a_file_restarts_from_memory() -> None:
    with venue_in_thread() as venue:
        post(venue, "a")
        before = history(venue)
        venue.restart()
        assert history(venue) == before
        assert venue.restart(lose=10_000) > 0
        assert venue.ledger()["orders"] == []


def test_equal_requests_give_equal_bytes() -> None:
    found = []
    for _ in range(2):
        with venue_in_thread(partial_fills=0.5, seed=11) as venue:
            busy(venue)
            for n in range(20):
                post(venue, f"n{n}", symbol="MSFT", qty="9")
            venue.advance(seconds=30)
            found.append(history(venue))
    assert found[0] == found[1]
    assert '"partial_fill"' in found[0]
    with venue_in_thread(partial_fills=0.5, seed=12) as venue:
        busy(venue)
        for n in range(20):
            post(venue, f"n{n}", symbol="MSFT", qty="9")
        assert history(venue) != found[0]


def test_a_torn_last_line_is_cut_off_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "venue.jsonl"
    with venue_in_thread(state=path) as venue:
        post(venue, "a")
        before = history(venue)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"command":{"kind":"sub')
    with venue_in_thread(state=path) as venue:
        assert history(venue) == before
        post(venue, "b")
        before = history(venue)
    with venue_in_thread(state=path) as venue:  # what came after the cut is whole
        assert history(venue) == before
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], b"{]\n", *lines[1:]]))
    with pytest.raises(DataError, match="line 2"), venue_in_thread(state=path):
        pass
    path.write_bytes(b"".join([*lines, lines[-1].replace(b'"at_ns":', b'"at_ns":1,"was":')]))
    with pytest.raises(DataError, match="cannot be folded"), venue_in_thread(state=path):
        pass


def test_what_is_not_on_disk_is_acknowledged_to_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with venue_in_thread(state=tmp_path / "venue.jsonl") as venue:
        assert post(venue, "kept").status_code == 200
        with monkeypatch.context() as patch:
            patch.setattr(command_file.os, "fsync", full)
            assert post(venue, "lost").status_code == 500
        assert post(venue, "later").status_code == 500  # it stays closed: memory is ahead of the disk


def test_a_file_belongs_to_one_process_and_one_account(tmp_path: Path) -> None:
    path = tmp_path / "venue.jsonl"
    with venue_in_thread(state=path), pytest.raises(Refused), venue_in_thread(state=path):
        pass
    path.write_bytes(path.read_bytes().replace(b'"account":"loopback"', b'"account":"somebody"'))
    with pytest.raises(ConfigError, match="somebody"), venue_in_thread(state=path):
        pass
    with pytest.raises(StorageFailed), venue_in_thread(state=tmp_path / "venue.jsonl" / "inside"):
        pass


def test_what_cannot_be_a_venue_is_refused_in_words(tmp_path: Path) -> None:
    for options in ({"symbols": ["NOPE"]}, {"start": "yesterday"}):
        with pytest.raises(UsageError), venue_in_thread(**options):
            pass
    with venue_in_thread() as venue:
        port = int(venue.rest.rpartition(":")[2])
        with pytest.raises(UsageError, match="cannot listen"), venue_in_thread(port=port):
            pass
    for wrong in ({"matching": "magic"}, {"partial_fills": 1.0}):
        with pytest.raises(ConfigError), venue_in_thread(**wrong):
            pass
    script = tmp_path / "script.jsonl"
    script.write_text('{"at": "2013-02-01T15:01:00Z", "symbol": "AAPL", "bid": 3, "ask": 2}\n')
    with pytest.raises(DataError, match="line 1"), venue_in_thread(script=script):
        pass
    with pytest.raises(DataError, match="no prices"), venue_in_thread(start="2024-02-01T15:00:00Z"):
        pass


def test_a_script_moves_the_market_when_its_time_comes(tmp_path: Path) -> None:
    script = tmp_path / "script.jsonl"
    rows = [(1, 450, 451), (3, 300, 301)]
    script.write_text(
        "\n".join(
            json.dumps({"at": f"2013-02-01T15:0{m}:00Z", "symbol": "AAPL", "bid": bid, "ask": ask})
            for m, bid, ask in rows
        )
    )
    with venue_in_thread(script=script) as venue:
        post(venue, "low", type="limit", limit_price="310")
        venue.advance(seconds=120)
        assert venue.ledger()["orders"][0]["status"] == "new"
        venue.advance(seconds=120)
        assert venue.ledger()["orders"][0]["filled_avg_price"] == "301"


def test_daily_matching_fills_as_the_venue_in_process_does() -> None:
    with venue_in_thread(matching="daily") as venue:
        assert post(venue, "m", qty="100").status_code == 200
        assert venue.ledger()["orders"][0]["status"] == "new"  # it waits for the close
        venue.advance(to="close")
        (order,) = venue.ledger()["orders"]
        assert order["status"] == "filled"
        assert float(order["filled_avg_price"]) > 453.62  # the close, and what taking it costs
