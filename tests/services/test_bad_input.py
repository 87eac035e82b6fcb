"""Nine bad inputs: the documented code, the thing's name, the next step, no order, nothing lost."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import drive
import pytest
from command_line import Answer, program, typed

from workbench.bootstrap.desk import Desk, open_journal
from workbench.config import Settings, load_settings
from workbench.core.ports import Event

SESSION = "2013-02-01"
RUN = ("jobs", "run", "trading_loop", "--session")
RESUME = ("resume", "--person", "operator", "--reason", "what was wrong is put right")


@pytest.fixture(scope="module")
def undisturbed(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Digest of the session on a desk where nothing went wrong; it sends orders."""
    folder = tmp_path_factory.mktemp("undisturbed") / "desk"
    shutil.copytree(prepared, folder)
    settings = load_settings(str(folder / "workbench.toml"))
    row = drive.trade(settings, SESSION)
    assert len(submitted(settings)) == row["report"]["orders"] > 0
    return str(row["digest"])


def submitted(settings: Settings) -> list[str]:
    """Ids of all orders that ever reached the venue, accepted or not."""
    database = sqlite3.connect(Desk(settings).paths.venue)
    try:
        rows = [json.loads(row[0]) for row in database.execute("SELECT command FROM commands ORDER BY 1")]
    finally:
        database.close()
    return [row["client_order_id"] for row in rows if row["kind"] == "submit"]


def run(settings: Settings, session: str = SESSION) -> Answer:
    return typed(settings.folder, *RUN, session)


def refused(answer: Answer, settings: Settings, code: int, *names: str, step: str) -> None:
    """The documented code, the thing and the next step in the text, and no order at the venue."""
    text = answer.out + answer.err
    assert answer.code == code, text
    assert "Traceback" not in text
    said, found, then = text.partition("  next: ")
    assert found, text
    for name in names:
        assert name in said, text
    assert step in then, text
    assert submitted(settings) == []
    assert not Desk(settings).journal.rows("orders", state="SENT")


def whole(settings: Settings) -> None:
    """The journal is proved from the first event to the last."""
    answer = typed(settings.folder, "journal", "verify", "--json")
    assert answer.code == 0, answer.out
    assert answer.payload["ok"] is True


def trades_as_if_nothing_had_happened(settings: Settings, digest: str, *, resumed: bool = False) -> None:
    """The same session now runs through the production notebook with the digest of an undisturbed desk."""
    if resumed:
        answer = typed(settings.folder, *RESUME)
        assert answer.code == 0, answer.err
    answer = run(settings)
    assert answer.code == 0, answer.out + answer.err
    found = typed(settings.folder, "status", "--json").payload
    assert found["digests"] == {SESSION: digest}
    assert found["breaks"] == found["unresolved"] == []
    ids = submitted(settings)
    assert len(ids) == len(set(ids)) == found["orders"] > 0
    whole(settings)


# --- what was typed ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "step"), [("2013-02-30", "YYYY-MM-DD"), ("04.02.2013", "YYYY-MM-DD")])
def test_a_wrong_date(text: str, step: str, new_desk: Callable[[str], Settings]) -> None:
    settings = new_desk("date")
    refused(run(settings, text), settings, 2, f"{text!r} is not a date", step=step)
    assert Desk(settings).journal.rows("runs") == []
    whole(settings)


def test_a_day_the_exchange_was_closed(new_desk: Callable[[str], Settings]) -> None:
    settings = new_desk("closed")
    answer = run(settings, "2013-02-18")
    refused(answer, settings, 2, "closed on 2013-02-18", step="2013-02-15 and 2013-02-19")
    assert Desk(settings).journal.rows("runs") == []
    whole(settings)


def rewritten(settings: Settings, old: str, new: str) -> Callable[[], None]:
    """Change the settings file; calling the result puts it right again."""
    path = settings.folder / "workbench.toml"
    good = path.read_text()
    changed = [new if line.startswith(old) else line for line in good.splitlines()]
    assert changed != good.splitlines()
    path.write_text("\n".join(changed))

    def put_right() -> None:
        path.write_text(good)

    return put_right


@pytest.mark.parametrize("by_hand", ["file", "variable"])
def test_an_empty_universe(
    by_hand: str, new_desk: Callable[[str], Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = new_desk("universe")
    rewritten(settings, "universe = ", "universe = []" if by_hand == "file" else "")
    if by_hand == "variable":
        monkeypatch.setenv("WORKBENCH_UNIVERSE", "[]")
    answer = run(settings)
    refused(answer, settings, 2, "universe", "is empty", step="workbench config check")
    assert typed(settings.folder, "config", "check").code == 2
    assert Desk(settings).journal.rows("runs") == []


def test_a_config_typo(new_desk: Callable[[str], Settings], undisturbed: str) -> None:
    settings = new_desk("typo")
    put_right = rewritten(settings, "max_order_shares", "max_order_share = 9")
    names = ("limits.max_order_share ", "did you mean limits.max_order_shares?")
    refused(run(settings), settings, 2, *names, step="workbench config check")
    put_right()
    whole(settings)
    trades_as_if_nothing_had_happened(settings, undisturbed)


# --- what lies on the disk -----------------------------------------------------------------------------


def test_a_half_written_parquet_file(new_desk: Callable[[str], Settings], undisturbed: str) -> None:
    settings = new_desk("parquet")
    (part,) = (Desk(settings).paths.bars / "parts").glob("bars-*.parquet")
    good = part.read_bytes()
    part.write_bytes(good[: len(good) // 2])
    refused(run(settings), settings, 3, str(part), "not the file that was ingested", step="restore it")
    refused(typed(settings.folder, "data", "status"), settings, 3, str(part), step="workbench data ingest")
    part.write_bytes(good)
    trades_as_if_nothing_had_happened(settings, undisturbed)


def test_a_file_that_breaks_between_two_sessions_is_a_clean_refusal(
    new_desk: Callable[[str], Settings],
) -> None:
    """Here the embedded venue meets the file first, before the table of preflight can."""
    settings = new_desk("between")
    drive.trade(settings, SESSION)
    before = submitted(settings)
    (part,) = (Desk(settings).paths.bars / "parts").glob("bars-*.parquet")
    good = part.read_bytes()
    part.write_bytes(good[:-1])
    answer = run(settings, "2013-02-04")
    assert answer.code == 3, answer.out
    assert str(part) in answer.out
    assert submitted(settings) == before
    part.write_bytes(good)
    assert typed(settings.folder, "status", "--json").payload["state"] == "ACTIVE"
    with_lease = Desk(settings).journal.rows("leases")
    assert [row["released"] for row in with_lease] == [True]
    whole(settings)


@pytest.mark.prove
def test_a_model_file_with_one_byte_changed(new_desk: Callable[[str], Settings], undisturbed: str) -> None:
    settings = new_desk("model")
    (model,) = (Desk(settings).paths.registry / "model").glob("*/content.bin")
    good = model.read_bytes()
    model.write_bytes(good[:1000] + bytes([good[1000] ^ 1]) + good[1001:])
    refused(run(settings), settings, 3, str(model), "cannot be trusted", step="workbench train")
    model.write_bytes(good)
    trades_as_if_nothing_had_happened(settings, undisturbed)


def test_no_armed_file(new_desk: Callable[[str], Settings], undisturbed: str) -> None:
    settings = new_desk("armed")
    Desk(settings).paths.armed.unlink()
    assert typed(settings.folder, "status", "--json").payload["state"] == "HALTED"
    refused(run(settings), settings, 3, "HALTED", "ARMED file is absent", step="workbench resume")
    assert not Desk(settings).paths.armed.exists()
    trades_as_if_nothing_had_happened(settings, undisturbed, resumed=True)


def altered(settings: Settings, seq: int) -> None:
    """Change one recorded word with a database tool, as nobody should."""
    database = sqlite3.connect(Desk(settings).paths.journal)
    try:
        with database:
            changed = database.execute(
                "UPDATE events SET payload = replace(payload, 'operator', 'imposter') WHERE seq = ?", (seq,)
            )
        assert changed.rowcount == 1
    finally:
        database.close()


@pytest.mark.parametrize("later", [0, 300])
def test_a_corrupted_journal_row(later: int, new_desk: Callable[[str], Settings]) -> None:
    """Also a row so old that opening the journal does not look at it."""
    settings = new_desk("journal")
    journal = open_journal(settings, read_only=False)
    people = [{"person": f"viewer {n}", "role": "viewer", "passphrase_hash": ""} for n in range(later)]
    journal.commit([Event("person.added", person) for person in people])
    (row,) = journal.events(kinds=("cost_model.approved",))
    journal.close()
    whole(settings)
    altered(settings, row.seq)
    for answer in (typed(settings.folder, "journal", "verify"), run(settings)):
        refused(answer, settings, 3, "JournalCorrupt", f"event {row.seq} ", "was altered", step="backup")
    verified = typed(settings.folder, "journal", "verify", "--json").payload
    assert verified["facts"]["first_bad_seq"] == row.seq


# --- a full disk ---------------------------------------------------------------------------------------


def test_a_disk_that_is_full_from_the_start(new_desk: Callable[[str], Settings], undisturbed: str) -> None:
    settings = new_desk("full")
    answer = program(settings.folder, *RUN, SESSION, largest_file=64 * 1024)
    refused(answer, settings, 5, "StorageFailed", str(Desk(settings).paths.journal), step="free space")
    whole(settings)
    trades_as_if_nothing_had_happened(settings, undisturbed)


def test_a_disk_that_fills_up_during_the_session(
    new_desk: Callable[[str], Settings], undisturbed: str
) -> None:
    # how far its files grow within a session is the database's affair: take the latest limit that it meets
    for spare in range(32, -96, -16):
        settings = new_desk(f"filling{spare}")
        written = Desk(settings).paths.journal.stat().st_size
        answer = program(settings.folder, *RUN, SESSION, largest_file=written + spare * 1024)
        if answer.code:
            break
    text = answer.out + answer.err
    assert answer.code == 5, text
    assert "StorageFailed" in text
    assert str(Desk(settings).paths.root) in text
    assert "  next: check the disk and its free space" in text
    whole(settings)
    journal = Desk(settings).journal
    rows: list[dict[str, Any]] = journal.rows("orders")
    assert set(submitted(settings)) <= {row["client_order_id"] for row in rows if row["sent_at_ns"]}
    stopped = run(settings)  # an unclean end waits for a person
    assert stopped.code == 3, stopped.out
    assert "recovery" in stopped.out
    trades_as_if_nothing_had_happened(settings, undisturbed, resumed=True)
