"""`workbench preflight` says ready, or names what is missing; it changes nothing and leaves with 3."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_line import typed

from tests.services.test_alpaca_desk import UNIVERSE, pointed_at
from tests.support.loopback_venue import VenueHands, venue_in_thread
from workbench.bootstrap import killing, preflight
from workbench.bootstrap.preflight import Readiness, readiness
from workbench.config import DEFAULT_TOML, Settings, load_settings
from workbench.errors import ConfigError

COSTED = "model and cost model"


def failing(found: Readiness) -> dict[str, str]:
    return {check.name: check.found for check in found.checks if not check.ok}


def contents(folder: Path) -> dict[str, str]:
    """Hash of every file, but for SQLite's shared memory, which a reader touches."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith("-shm")
    }


def test_a_prepared_replay_desk_is_ready_and_stays_as_it_was(new_desk: Callable[[str], Settings]) -> None:
    settings = new_desk("desk")
    before = contents(settings.desk_path)
    found = readiness(settings)
    assert failing(found) == {}
    assert found.session == "2013-02-01"
    assert len(found.checks) == 18
    assert contents(settings.desk_path) == before


@pytest.mark.parametrize(
    ("spoil", "name"),
    [
        (lambda s: killing.halt(s, killing.HaltOrder("operator", "test")), "permission to trade"),
        (lambda s: (s.desk_path / "ARMED").unlink(), "permission to trade"),
        (lambda s: (s.desk_path / "anchor.key").chmod(0o644), "files are private"),
        (lambda s: next((s.desk_path / "bars").rglob("*.parquet")).write_bytes(b"x"), "bars are fresh"),
        (lambda s: [one.write_bytes(b"x") for one in (s.desk_path / "registry").rglob("*.json")], COSTED),
        (lambda s: (s.file.parent / "jobs.toml").write_text("[x]\ny = 1\n"), "declared jobs"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(
    spoil: Callable[[Settings], object], name: str, new_desk: Callable[[str], Settings]
) -> None:
    settings = new_desk("desk")
    spoil(settings)
    found = readiness(settings)
    assert name in failing(found)
    (check,) = (one for one in found.checks if one.name == name)
    assert check.next_step


def test_little_room_and_changed_code_are_named(
    new_desk: Callable[[str], Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "free_bytes", lambda path: 10**6)
    monkeypatch.setattr(preflight, "present_code_hash", lambda settings: "0" * 64)
    assert set(failing(readiness(new_desk("desk")))) == {"room on the disk", "accepted code"}


def test_the_command_leaves_with_three_and_says_what_to_do(new_desk: Callable[[str], Settings]) -> None:
    settings = new_desk("desk")
    assert settings.file is not None
    killing.halt(settings, killing.HaltOrder("operator", "test"))
    answer = typed(settings.file.parent, "preflight", "--json")
    assert answer.code == 3
    assert answer.payload["ready"] is False
    lines = {one["name"]: one["next_step"] for one in answer.payload["checks"] if not one["ok"]}
    assert set(lines) == {"permission to trade", "accepted code"}  # a halt takes both away
    assert "resume" in lines["permission to trade"]
    assert "NOT ready" in typed(settings.file.parent, "preflight").out


def test_a_folder_without_a_desk_is_not_ready(tmp_path: Path) -> None:
    config = tmp_path / "workbench.toml"
    config.write_text(DEFAULT_TOML)
    found = readiness(load_settings(str(config)))
    assert not found.ready
    assert "desk" in failing(found)


# --- against the loopback venue --------------------------------------------------------------------------


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[VenueHands]:
    with venue_in_thread(
        symbols=UNIVERSE, start="2013-02-01T15:00:00Z", cash_usd=1_000_000, state=tmp_path / "venue.jsonl"
    ) as hands:
        yield hands


def paper(folder: Path, prepared: Path, hands: VenueHands, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The prepared desk's folder under settings that point at a venue on this machine."""
    import shutil

    shutil.copytree(prepared, folder)
    (folder / "workbench.toml").write_text(pointed_at(hands))
    monkeypatch.setenv("WORKBENCH_SECRETS__VENUE_KEY", hands.key)
    monkeypatch.setenv("WORKBENCH_SECRETS__VENUE_SECRET", hands.secret)
    return load_settings(str(folder / "workbench.toml"))


def test_the_venue_is_asked_for_account_clock_and_quotes(
    tmp_path: Path, prepared: Path, venue: VenueHands, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = paper(tmp_path / "desk", prepared, venue, monkeypatch)
    sent = venue.ledger()
    lines = {check.name: check for check in readiness(settings).checks}
    assert lines["keys of the venue"].ok
    assert lines["venue account open"].ok
    assert lines["clocks agree"].ok
    quotes = lines["quotes of every symbol"]
    assert all(symbol in quotes.found for symbol in UNIVERSE)
    assert "feed iex" in quotes.found
    assert venue.ledger() == sent


def test_a_venue_that_is_gone_or_refuses_the_keys_is_named(
    tmp_path: Path, prepared: Path, venue: VenueHands, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = paper(tmp_path / "desk", prepared, venue, monkeypatch)
    monkeypatch.setenv("WORKBENCH_SECRETS__VENUE_SECRET", "wrong")
    wrong = readiness(load_settings(str(settings.file)))
    assert {"venue answers"} <= set(failing(wrong))
    monkeypatch.delenv("WORKBENCH_SECRETS__VENUE_SECRET")
    with pytest.raises(ConfigError, match="venue_secret"):  # nothing at all runs without it
        load_settings(str(settings.file))
