"""History from Alpaca: whole or not at all, from the loopback venue and from one that misbehaves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import typed
from tests.support.loopback_venue import venue_in_thread
from tests.support.wire import KEY, SECRET, Reply, WireServer, wire_server
from workbench.adapters.alpaca_broker import AlpacaTransport
from workbench.adapters.alpaca_data import Download, download
from workbench.errors import DataError, UsageError


@pytest.fixture
def wire() -> Iterator[WireServer]:
    with wire_server() as server:
        yield server


def bar(day: int) -> dict[str, Any]:
    at = f"2013-01-{day:02d}T05:00:00Z"
    return {"t": at, "o": 1.25, "h": 2, "l": 1, "c": 1.5, "v": 100, "n": 1, "vw": 1.3}


def fetch(wire: WireServer, symbols: tuple[str, ...] = ("AAA", "BBB"), **changes: Any) -> Download:
    line = AlpacaTransport(key=KEY, secret=SECRET, url=wire.url, connect_s=1.0, read_s=2.0, data=True)
    asked: dict[str, Any] = {"kind": "daily", "first": "2013-01-02", "last": "2013-01-31", "feed": "sip"}
    try:
        return download(lambda path, fields: line.ask("GET", path, fields), symbols, **(asked | changes))
    finally:
        line.close()


def test_pages_are_joined_and_missing_symbols_named(wire: WireServer) -> None:
    wire.on(
        "GET", "/stocks/bars", Reply(json={"bars": {"AAA": [bar(2)]}, "next_page_token": "t1"}),
        Reply(json={"bars": {"AAA": [bar(3)]}, "next_page_token": None}),
    )  # fmt: skip
    found = fetch(wire)
    assert [row["t"][8:10] for row in found.rows["AAA"]] == ["02", "03"]
    assert (found.missing, found.pages, found.adjustment, found.feed) == (("BBB",), 2, "raw", "sip")
    assert found.rows["AAA"][0]["o"] == 1.25
    first, second = wire.seen
    assert "adjustment=raw" in first.query
    assert "page_token=t1" in second.query


def test_a_token_that_repeats_ends_the_download(wire: WireServer) -> None:
    wire.on("GET", "/stocks/bars", Reply(json={"bars": {"AAA": [bar(2)]}, "next_page_token": "same"}))
    with pytest.raises(DataError, match="page token repeats"):
        fetch(wire)
    assert len(wire.seen) == 2


@pytest.mark.parametrize(
    "reply",
    [
        Reply(403, {"message": "subscription does not permit querying recent SIP data"}), Reply(200),
        Reply(json=[]), Reply(json={"bars": []}), Reply(json={"quotes": {}}), Reply(close=True),
        Reply(500, {}),
        Reply(json={"bars": {"ZZZ": [bar(2)]}}), Reply(json={"bars": {"AAA": None}}), Reply(429, {}),
        Reply(json={"bars": {}, "next_page_token": 7}), Reply(302, headers={"Location": "/"}),
    ],
)  # fmt: skip
def test_anything_but_a_whole_answer_is_an_error(wire: WireServer, reply: Reply) -> None:
    wire.on("GET", "/stocks/bars", reply)
    with pytest.raises(DataError, match=r"no (bars|daily) from Alpaca"):
        fetch(wire)
    assert len(wire.seen) == 1


def test_null_instead_of_bars_is_nothing_there(wire: WireServer) -> None:
    wire.on("GET", "/stocks/bars", Reply(json={"bars": None, "next_page_token": None}))
    assert fetch(wire).missing == ("AAA", "BBB")


@pytest.mark.parametrize("kind", ["daily", "minute"])
def test_bars_of_one_exchange_are_refused(wire: WireServer, kind: str) -> None:
    with pytest.raises(UsageError, match="volume of one exchange"):
        fetch(wire, kind=kind, feed="iex")
    assert wire.seen == []
    wire.on("GET", "/stocks/quotes", Reply(json={"quotes": {}}))
    assert fetch(wire, kind="quotes", feed="iex").missing == ("AAA", "BBB")


@pytest.mark.parametrize("change", [{"kind": "weekly"}, {"feed": "otc"}, {"symbols": ()}])
def test_what_cannot_be_asked_for_is_named(wire: WireServer, change: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        fetch(wire, **change)


def test_a_desk_downloads_daily_bars_with_their_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with venue_in_thread() as hands:
        for name, value in (("VENUE_KEY", hands.key), ("VENUE_SECRET", hands.secret)):
            monkeypatch.setenv(f"WORKBENCH_SECRETS__{name}", value)
        assert typed(tmp_path, "init").code == 0
        config = tmp_path / "workbench.toml"
        config.write_text(config.read_text().replace('data_url = ""', f'data_url = "{hands.data}"'))
        asked = ("--alpaca", "IBM,NOSUCH", "--first", "2013-01-02", "--last", "2013-01-31")
        found = typed(tmp_path, "data", "ingest", *asked, "--json")
        assert found.code == 0, found
        assert found.payload["missing"] == ["NOSUCH"]
        assert found.payload["source"] == "loopback/sip/raw"
        assert found.payload["accepted"] > 10
        assert typed(tmp_path, "data", "ingest", *asked, "--feed", "iex").code == 2
        assert typed(tmp_path, "data", "ingest", "--alpaca", "universe").code == 2
