"""What every journal owes its callers, on a real database file and on a real PostgreSQL server."""

import multiprocessing
import resource
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import journals
import pytest
from journals import CONFIG_HASH, KEY, SECOND, Desk, alert, texts
from places import Place

from workbench.adapters.journal import JournalDatabase
from workbench.adapters.journal.schema import SCHEMA_VERSION
from workbench.core.ports import Event
from workbench.errors import (
    ConfigError,
    JournalConflict,
    JournalCorrupt,
    LeaseLost,
    Refused,
    StorageFailed,
    UsageError,
    WorkbenchError,
)


@pytest.fixture
def desk(tmp_path, place):
    desk = Desk(tmp_path, place)
    yield desk
    desk.close()


@pytest.fixture
def file_desk(tmp_path):
    """A desk whose journal is a file, for what only files do."""
    desk = Desk(tmp_path)
    yield desk
    desk.close()


# --- append and read ----------------------------------------------------------------------------------


def test_events_come_back_as_they_went_in_and_form_a_chain(desk):
    journal = desk.open()
    payload = {
        "account": "demo", "strategy": "s", "session": "2013-02-01", "digest": "ü\n\u2028",
        "equity_micro": -(2**63),
        "cash_micro": 2**63 - 1, "positions": {"AAPL": 1, "none": None}, "report": {"list": [True, [], {}]},
    }  # fmt: skip
    recorded = journal.commit([Event("session.closed", payload), alert()])
    assert [event.seq for event in recorded] == [1, 2]
    assert recorded[0].payload == payload
    assert {event.at_ns for event in recorded} == {desk.wall.at_ns}
    assert {event.config_hash for event in recorded} == {CONFIG_HASH}
    assert journal.head() == (2, recorded[1].hash)
    again = desk.open(read_only=True, key=None)
    assert again.events() == recorded
    assert again.events(kinds=["alert.raised"]) == recorded[1:]
    assert again.events(after_seq=2) == ()
    row = again.rows("sessions", account="demo", session="2013-02-01")[0]
    assert (row["positions"], row["report"]) == (payload["positions"], payload["report"])


def test_an_empty_commit_writes_nothing(desk):
    journal = desk.open()
    assert journal.commit([]) == ()
    assert journal.head() == (0, "0" * 64)


def test_the_recorded_payload_does_not_follow_later_changes_of_the_callers_dict(desk):
    journal = desk.open()
    event = alert("as it was")
    recorded = journal.commit([event])
    event.payload["text"] = "as it became"
    assert recorded[0].payload["text"] == "as it was"


@pytest.mark.parametrize(
    ("payload", "kind_of_error", "words"),
    [
        ({"at_ns": 1.0}, TypeError, "alert.raised.at_ns is a float"),
        ({"text": {"deep": [0, 2.5]}}, TypeError, r"alert.raised.text.deep\[1\] is a float"),
        ({"text": {1: "x"}}, TypeError, "key 1"),
        ({"text": b"x"}, TypeError, "bytes"),
        ({"at_ns": 2**63}, OverflowError, "at_ns"),
        ({"text": "a\0b"}, UsageError, "alert.raised.text holds a NUL"),
        ({"at_ns": True}, UsageError, "at_ns is bool, expected int"),
        ({"at_ns": None}, UsageError, "lacks the field 'at_ns'"),
        ({"cod": "x"}, UsageError, "no field 'cod'; the nearest is 'code'"),
    ],
)
def test_a_payload_that_records_do_not_hold_is_refused_by_name(desk, payload, kind_of_error, words):
    journal = desk.open()
    event = Event("alert.raised", {**alert().payload, **payload})
    with pytest.raises(kind_of_error, match=words):
        journal.commit([alert("before"), event])
    assert journal.head()[0] == 0
    assert texts(journal) == []


def test_an_unknown_kind_is_refused_and_the_nearest_named(desk):
    journal = desk.open()
    with pytest.raises(UsageError, match=r"'alert.risen'; the nearest is 'alert.raised'"):
        journal.commit([alert(), Event("alert.risen", {})])
    assert journal.head()[0] == 0


def test_an_unknown_projection_or_column_is_named(desk):
    journal = desk.open()
    with pytest.raises(UsageError, match="'ordres'"):
        journal.rows("ordres")
    with pytest.raises(UsageError, match="'sessoin'"):
        journal.rows("fills", sessoin="x")


def test_one_bad_event_of_a_commit_leaves_nothing_of_it(desk):
    journal = desk.open()
    journal.commit([alert("kept")])
    before = journal.head()
    used = Event("ticket.used", {"ticket_hash": "t", "run_id": "r"})
    with pytest.raises(JournalConflict, match="never issued"):
        journal.commit([alert("lost"), used])
    assert journal.head() == before
    assert texts(journal) == ["kept"]
    journal.commit([alert("after")])
    assert journal.verify().ok


def test_the_configuration_is_recorded_once(desk):
    journal = desk.open()
    journal.record_config({"mode": "replay", "gain": 0.5})
    journal.record_config({"mode": "replay", "gain": 0.5})
    assert [event.kind for event in journal.events()] == ["config.recorded"]
    assert journal.rows("configs")[0]["config"] == '{"gain":0.5,"mode":"replay"}'


def test_durability_settings_hold_on_the_connection_that_writes(file_desk):
    journal = file_desk.open()

    def settings_while_it_writes(unit):
        setting = {
            name: unit.connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
        other = sqlite3.connect(file_desk.file, timeout=0, isolation_level=None)
        with pytest.raises(
            sqlite3.OperationalError, match="locked"
        ):  # BEGIN IMMEDIATE: locked before any write
            other.execute("BEGIN IMMEDIATE")
        other.close()
        return setting

    setting = journal._transactions.write(settings_while_it_writes)
    assert setting == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10_000}


# --- opening -------------------------------------------------------------------------------------------


def test_a_read_only_handle_reads_and_refuses_every_write(desk):
    desk.open().commit([alert()])
    reader = desk.open(read_only=True, key=None, config_hash="")
    for write in (
        lambda: reader.commit([alert()]),
        lambda: reader.acquire_lease("demo", "me", ttl_ns=SECOND),
        reader.rebuild_projections,
        lambda: reader.record_config({}),
    ):
        with pytest.raises(Refused, match="read-only"):
            write()
    assert texts(reader) == ["x"]
    report = reader.verify()
    assert (report.ok, report.events, report.anchored) == (True, 1, False)


def test_a_reader_sees_later_commits_of_a_writer(desk):
    writer = desk.open()
    reader = desk.open(read_only=True, key=None)
    writer.commit([alert("later")])
    assert texts(reader) == ["later"]


def test_reading_a_journal_that_is_not_there_creates_nothing(file_desk):
    with pytest.raises(Refused, match="no journal at"):
        file_desk.open(read_only=True)
    assert not file_desk.file.exists()
    assert not file_desk.anchor.exists()


def test_writing_needs_the_anchor_key(desk):
    with pytest.raises(ConfigError, match="anchor key"):
        desk.open(key=None)
    with pytest.raises(Refused, match="no journal at"):
        desk.open(read_only=True)


@pytest.mark.parametrize(
    "url",
    ["sqlite://", "sqlite:///:memory:", "postgresql://host/x", "mysql://host/x", "postgresql+psycopg://host",
     "journal.sqlite"],
)  # fmt: skip
def test_a_url_that_names_no_database_of_ours_is_refused(tmp_path, url):
    with pytest.raises(UsageError, match="URL"):
        JournalDatabase(url, anchor_path=tmp_path / "a", anchor_key=KEY, config_hash="", wall_ns=lambda: 0)


def test_a_journal_of_a_newer_schema_is_refused_and_both_versions_named(desk):
    desk.open().close()
    desk.raw("UPDATE meta SET value = '8' WHERE name = 'schema_version'")
    for read_only in (False, True):
        with pytest.raises(Refused, match=rf"version 8.*version {SCHEMA_VERSION}") as caught:
            desk.open(read_only=read_only)
        assert (caught.value.found, caught.value.known) == ("8", SCHEMA_VERSION)


def test_a_database_that_is_no_journal_is_refused_untouched(desk):
    desk.raw("CREATE TABLE precious (x INTEGER)")
    for read_only in (False, True):
        with pytest.raises(Refused, match="not a journal"):
            desk.open(read_only=read_only)
    tables = {
        "sqlite": "SELECT name FROM sqlite_master",
        "postgresql": "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()",
    }
    assert desk.raw(tables[desk.place.kind]) == [("precious",)]


def test_a_file_that_is_no_database_is_named(file_desk):
    file_desk.file.write_bytes(b"this is no database at all, but long enough to be read as a header" * 20)
    with pytest.raises(JournalCorrupt, match=r"journal\.sqlite is damaged"):
        file_desk.open()


def test_two_processes_open_a_new_journal_at_once_and_share_one_chain(desk):
    context = multiprocessing.get_context("spawn")
    writers = [
        context.Process(target=_write_alerts, args=(desk.folder, desk.place.url, name, 20)) for name in "ab"
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0]
    journal = desk.open()
    assert sorted(texts(journal)) == sorted(f"{name}{n}" for name in "ab" for n in range(20))
    assert journal.verify().ok


def _write_alerts(folder: Path, url: str, name: str, count: int) -> None:
    journal = Desk(folder, Place("", url)).open()
    for n in range(count):
        journal.commit([alert(f"{name}{n}")])
    journal.close()


def test_threads_share_one_handle(desk):
    journal = desk.open()
    threads = [
        threading.Thread(target=lambda name=name: [journal.commit([alert(f"{name}{n}")]) for n in range(15)])
        for name in "abcd"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(texts(journal)) == 60
    assert journal.verify().ok


# --- leases --------------------------------------------------------------------------------------------


def test_tokens_grow_through_release_expiry_and_restart(desk):
    journal = desk.open()
    first = journal.acquire_lease("demo", "a", ttl_ns=10 * SECOND)
    journal.release_lease(first)
    second = journal.acquire_lease("demo", "b", ttl_ns=10 * SECOND)
    desk.wall.at_ns += 10 * SECOND
    journal.close()
    third = desk.open().acquire_lease("demo", "c", ttl_ns=10 * SECOND)
    assert [lease.token for lease in (first, second, third)] == [1, 2, 3]
    assert third.until_wall_ns == desk.wall.at_ns + 10 * SECOND


def test_a_lease_of_somebody_else_is_refused_with_holder_and_remaining_seconds(desk):
    journal = desk.open()
    journal.acquire_lease("demo", "first", ttl_ns=10 * SECOND)
    desk.wall.at_ns += 4 * SECOND
    with pytest.raises(LeaseLost, match=r"held by first for another 6\.0 s") as caught:
        journal.acquire_lease("demo", "second", ttl_ns=SECOND)
    assert (caught.value.holder, caught.value.remaining_s) == ("first", 6.0)
    with pytest.raises(LeaseLost):
        journal.acquire_lease("demo", "second", ttl_ns=SECOND, proof_of_death="somebody else")
    assert journal.acquire_lease("other", "second", ttl_ns=SECOND).token == 1


def test_a_proved_death_hands_the_lease_over_and_fences_the_dead(desk):
    journal = desk.open()
    dead = journal.acquire_lease("demo", "dead", ttl_ns=10 * SECOND)
    heir = journal.acquire_lease("demo", "heir", ttl_ns=10 * SECOND, proof_of_death="dead")
    assert heir.token > dead.token
    before = journal.head()
    for late in (
        lambda: journal.commit([alert("late")], lease=dead),
        lambda: journal.renew_lease(dead, ttl_ns=10 * SECOND),
        lambda: journal.release_lease(dead),
    ):
        with pytest.raises(LeaseLost, match="heir does"):
            late()
    assert journal.head() == before
    journal.commit([alert("in time")], lease=heir)
    assert texts(journal) == ["in time"]


def test_a_released_lease_no_longer_writes(desk):
    journal = desk.open()
    lease = journal.acquire_lease("demo", "a", ttl_ns=SECOND)
    journal.release_lease(lease)
    with pytest.raises(LeaseLost, match="nobody does"):
        journal.commit([alert()], lease=lease)


def test_an_expired_lease_that_nobody_took_still_records_what_happened(desk):
    journal = desk.open()
    lease = journal.acquire_lease("demo", "a", ttl_ns=SECOND)
    desk.wall.at_ns += 60 * SECOND
    journal.commit([alert("the venue answered late")], lease=lease)
    assert texts(journal) == ["the venue answered late"]


def test_a_lease_covers_its_own_account_only(desk):
    journal = desk.open()
    lease = journal.acquire_lease("demo", "a", ttl_ns=SECOND)
    with pytest.raises(JournalConflict, match="account other under the lease of demo"):
        journal.commit([alert(account="other")], lease=lease)
    assert texts(journal) == []


def test_frequent_renewals_do_not_bloat_the_chain(desk):
    journal = desk.open()
    lease = journal.acquire_lease("demo", "a", ttl_ns=10 * SECOND)
    for _ in range(100):
        desk.wall.at_ns += SECOND // 10
        lease = journal.renew_lease(lease, ttl_ns=10 * SECOND)
        assert lease.until_wall_ns - desk.wall.at_ns >= 4 * SECOND
    kinds = [event.kind for event in journal.events()]
    assert kinds == ["lease.acquired", "lease.renewed", "lease.renewed"]
    assert journal.rows("leases")[0]["until_wall_ns"] == lease.until_wall_ns
    assert journal.verify().ok


# --- failing storage -----------------------------------------------------------------------------------


def test_a_full_database_keeps_nothing_of_the_commit_and_goes_on_later(file_desk):
    journal = file_desk.open()
    journal.commit([alert("kept")])
    before = journal.head()

    def allow_no_more_pages(unit):
        pages = unit.connection.exec_driver_sql("PRAGMA page_count").scalar()
        unit.connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    journal._transactions.write(allow_no_more_pages)
    with pytest.raises(StorageFailed, match=r"journal\.sqlite has no space left") as caught:
        journal.commit([alert("y" * 100_000)])
    assert "free disk space" in caught.value.next_step
    assert journal.head() == before
    assert journal.commit([alert("after")])[0].seq == before[0] + 1  # a new connection, without the limit
    assert texts(journal) == ["kept", "after"]
    assert journal.verify().ok


def test_a_disk_that_fills_in_a_commit_loses_only_what_was_not_acknowledged(file_desk):
    script = f"""
import resource, signal, sys
sys.path.insert(0, {str(Path(journals.__file__).parent)!r})
from pathlib import Path
from journals import Desk, alert
from workbench.errors import StorageFailed
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal = Desk(Path({str(file_desk.file.parent)!r})).open()
journal.commit([alert("first")])
resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, resource.RLIM_INFINITY))
for n in range(1000):
    try:
        journal.commit([alert(str(n) + "z" * 5000)])
    except StorageFailed as error:
        print("refused", error.next_step)
        break
    print(n, flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    *acknowledged, last = done.stdout.splitlines()
    assert last.startswith("refused")
    assert acknowledged
    journal = file_desk.open()
    kept = [text.rstrip("z") for text in texts(journal)]
    assert kept == ["first", *acknowledged]
    assert journal.verify().ok
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_a_write_lock_that_is_never_given_back_is_named(file_desk, monkeypatch):
    monkeypatch.setattr("workbench.adapters.journal.sqlite_file.BUSY_TIMEOUT_S", 0.05)
    journal = file_desk.open()
    other = sqlite3.connect(file_desk.file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageFailed, match="held by another writer"):
        journal.commit([alert("while locked")])
    other.execute("ROLLBACK")
    other.close()
    journal.commit([alert("after")])
    assert texts(journal) == ["after"]


def test_an_anchor_that_cannot_be_written_stops_the_next_commit_before_it_writes(desk, monkeypatch):
    journal = desk.open()
    anchor = journal._anchor

    def full(number, mark):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(anchor, "_write_slot", full)
        journal.commit([alert("durable, not yet anchored")])
        with pytest.raises(StorageFailed, match=r"anchor .* cannot be written"):
            journal.commit([alert("never written")])
    journal.commit([alert("anchored again")])
    assert texts(journal) == ["durable, not yet anchored", "anchored again"]
    assert journal.verify().ok


# --- tampering -----------------------------------------------------------------------------------------


@pytest.fixture
def written(desk):
    """A closed journal of ten events in ten commits."""
    journal = desk.open()
    for n in range(10):
        journal.commit([alert(f"alert {n + 1}")])
    journal.close()
    return desk


def rehash(place: Place, first: int, last: int = 2**62) -> None:
    """Make the chain consistent again from an event on, as somebody without the key can."""
    from workbench.adapters.journal.chain import GENESIS, event_hash

    before = place.raw(f"SELECT hash FROM events WHERE seq = {first - 1}")  # noqa: S608
    previous = before[0][0] if before else GENESIS
    rows = place.raw(
        "SELECT seq, at_ns, kind, payload, config_hash FROM events "  # noqa: S608
        f"WHERE seq BETWEEN {first} AND {last} ORDER BY seq"
    )
    for seq, at_ns, kind, payload, config_hash in rows:
        digest = event_hash(seq, at_ns, kind, payload, config_hash, previous)
        place.raw(f"UPDATE events SET prev_hash='{previous}', hash='{digest}' WHERE seq={seq}")  # noqa: S608
        previous = digest


ALTER_SIX = "UPDATE events SET payload = replace(payload, 'alert 6', 'alert X') WHERE seq = 6"


@pytest.mark.parametrize(
    ("damage", "seq", "words"),
    [
        ([ALTER_SIX], 6, "altered"),
        (["UPDATE events SET at_ns = at_ns + 1 WHERE seq = 3"], 3, "altered"),
        (["UPDATE events SET kind = 'model.staged' WHERE seq = 3"], 3, "altered"),
        (["UPDATE events SET config_hash = '' WHERE seq = 10"], 10, "altered"),
        (["DELETE FROM events WHERE seq = 5"], 5, "missing"),
        (["DELETE FROM events WHERE seq = 1"], 1, "missing"),
        (["DELETE FROM events WHERE seq > 7"], 8, "anchor proves 10 events, 7 are present"),
        (["DELETE FROM events"], 1, "anchor proves 10 events, 0 are present"),
        (
            ["UPDATE events SET seq = -1 WHERE seq = 4", "UPDATE events SET seq = 4 WHERE seq = 7",
             "UPDATE events SET seq = 7 WHERE seq = -1"], 4, "altered",
        ),
        (["UPDATE alerts SET text = 'calm' WHERE added_seq = 2"], 2, "text is 'calm'"),
        (["DELETE FROM alerts WHERE added_seq = 9"], 9, "gone"),
        (["INSERT INTO alerts VALUES ('demo', 'C', 'invented', 1, 77, 77)"], 77, "no event did"),
    ],
)  # fmt: skip
def test_verify_names_the_first_bad_event(written, damage, seq, words):
    written.raw(*damage)
    for key in (KEY, None):
        report = written.open(read_only=True, key=key).verify()
        assert not report.ok
        assert report.first_bad_seq == seq
        assert words in report.reason


def test_bytes_that_are_no_text_are_found_in_a_file(file_desk):
    journal = file_desk.open()
    journal.commit([alert(str(n)) for n in range(5)])
    file_desk.raw("UPDATE events SET payload = CAST(x'ff00' AS TEXT) WHERE seq = 4")
    report = journal.verify()
    assert (report.ok, report.first_bad_seq) == (False, 4)
    assert "cannot be read" in report.reason


def test_an_altered_event_with_a_new_hash_of_its_own_is_named_by_the_one_after_it(written):
    written.raw(ALTER_SIX)
    rehash(written.place, 6, 6)
    report = written.open(read_only=True).verify()
    assert (report.ok, report.first_bad_seq, report.events) == (False, 6, 5)
    assert "event 7 continues another one" in report.reason


@pytest.mark.parametrize("first", [6, 10])
def test_a_rehashed_tail_does_not_match_the_anchor(written, first):
    written.raw(ALTER_SIX.replace("6", str(first)))
    rehash(written.place, first)
    report = written.open(read_only=True).verify()
    assert not report.ok
    assert report.first_bad_seq == max(first, 9)  # the two slots hold 9 and 10
    assert "re-hashed" in report.reason
    with pytest.raises(JournalCorrupt, match="re-hashed"):
        written.open()


@pytest.mark.parametrize(
    "damage",
    [ALTER_SIX, "DELETE FROM events WHERE seq = 5", "DELETE FROM events WHERE seq > 7", "DELETE FROM events"],
)
def test_a_damaged_tail_is_refused_when_opened_to_write(written, damage):
    written.raw(damage)
    with pytest.raises(JournalCorrupt) as caught:
        written.open()
    assert caught.value.next_step


def test_a_missing_database_beside_an_anchor_is_a_loss_and_not_a_new_journal(written):
    if written.file:
        written.file.unlink()
    else:
        written.raw(f"DROP SCHEMA {written.place.schema} CASCADE", f"CREATE SCHEMA {written.place.schema}")
    with pytest.raises(JournalCorrupt, match=r"does not exist|holds no table"):
        written.open()
    assert not (written.file and written.file.exists())


def test_rows_taken_away_under_a_running_process_stop_it(desk):
    journal = desk.open()
    for n in range(3):
        journal.commit([alert(str(n))])
    desk.raw("DELETE FROM events WHERE seq = 3")
    with pytest.raises(JournalCorrupt, match="event 3"):
        journal.commit([alert("on top of a gap")])


def test_rebuild_refuses_a_broken_chain_and_leaves_the_projections(written):
    journal = written.open()
    written.raw(ALTER_SIX)
    with pytest.raises(JournalCorrupt, match="event 6"):
        journal.rebuild_projections()
    assert len(texts(journal)) == 10


def test_rebuild_mends_an_altered_projection(written):
    written.raw("UPDATE alerts SET text = 'calm'", "DELETE FROM alerts WHERE added_seq = 2")
    journal = written.open()
    assert not journal.verify().ok
    assert journal.rebuild_projections() == 10
    assert texts(journal) == [f"alert {n + 1}" for n in range(10)]
    assert journal.verify().ok


# --- anchor --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [None, b""])
def test_a_missing_or_emptied_anchor_is_refused_with_a_next_step(written, content):
    written.anchor.unlink()
    if content is not None:
        written.anchor.write_bytes(content)
    report = written.open(read_only=True).verify()
    assert not report.ok
    assert "anchor" in report.reason
    with pytest.raises(JournalCorrupt, match=r"anchor .* missing or empty") as caught:
        written.open()
    assert "restore the anchor" in caught.value.next_step


@pytest.mark.parametrize("torn", [0, 1])
def test_one_torn_slot_still_verifies(written, torn):
    content = bytearray(written.anchor.read_bytes())
    content[torn * 256 + 30 : torn * 256 + 90] = b"\0" * 60
    written.anchor.write_bytes(content)
    assert written.open(read_only=True).verify().ok
    journal = written.open()
    journal.commit([alert("goes on")])
    assert journal.verify().ok


def test_two_torn_slots_and_another_key_are_refused(written):
    with pytest.raises(JournalCorrupt, match="no slot signed"):
        written.open(key=b"another key")
    content = bytearray(written.anchor.read_bytes())
    content[30:40] = content[286:296] = b"\0" * 10
    written.anchor.write_bytes(content)
    with pytest.raises(JournalCorrupt, match="no slot signed"):
        written.open()


def test_a_head_ahead_of_the_anchor_is_legal_and_anchored_at_the_next_opening(written):
    behind = written.anchor.read_bytes()
    journal = written.open()
    journal.commit([alert("eleven"), alert("twelve")])
    journal.close()
    written.anchor.write_bytes(behind)  # as if killed between the commit and the anchor
    assert written.open(read_only=True).verify().ok
    written.open().close()
    written.raw("DELETE FROM events WHERE seq = 12")
    assert written.open(read_only=True).verify().first_bad_seq == 12


def test_the_two_slots_take_turns(desk):
    journal = desk.open()
    seen = []
    for n in range(4):
        journal.commit([alert(str(n))])
        seen.append(sorted(mark.seq for mark in journal._anchor.marks()))
    assert seen == [[0, 1], [1, 2], [2, 3], [3, 4]]


@pytest.mark.parametrize("left", ["anchor only", "tables only", "first slot only", "nothing but the file"])
def test_a_kill_while_a_new_journal_is_made_is_recovered(file_desk, left):
    file_desk.open().close()
    if left == "anchor only":
        file_desk.file.unlink()
    elif left == "tables only":
        file_desk.anchor.write_bytes(b"")
    elif left == "first slot only":
        file_desk.anchor.write_bytes(file_desk.anchor.read_bytes()[:256])
    else:
        file_desk.anchor.unlink()
        file_desk.file.write_bytes(b"")
    journal = file_desk.open()
    journal.commit([alert()])
    assert journal.verify().ok


def test_every_refusal_says_what_to_do_next(written):
    written.raw("DELETE FROM events WHERE seq > 7")
    with pytest.raises(WorkbenchError) as caught:
        written.open()
    assert caught.value.next_step
    assert caught.value.exit_code == 3


def test_a_handle_that_was_opened_on_an_empty_journal_follows_another_writer(desk):
    first, second = desk.open(), desk.open()
    for seq, (journal, name) in enumerate([(second, "ada"), (first, "bob"), (second, "cy")], start=1):
        payload = {"person": name, "role": "operator", "passphrase_hash": ""}
        (recorded,) = journal.commit([Event("person.added", payload)])
        assert recorded.seq == seq
    assert first.verify().ok
