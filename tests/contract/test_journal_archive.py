"""Old events leave the journal and everything is provable as before; older journals are brought forward."""

import sqlite3

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from journals import KEY, Desk, alert, changed, decision, fill, intended, person, state

from workbench.adapters.journal import JournalDatabase
from workbench.adapters.journal.chain import event_hash
from workbench.adapters.journal.schema import PROJECTIONS, SCHEMA_VERSION
from workbench.core.ports import Event
from workbench.errors import JournalConflict, JournalCorrupt, Refused, StorageFailed

SESSIONS = ["2013-02-01", "2013-02-04", "2013-02-05", "2013-02-06"]


@pytest.fixture
def desk(tmp_path, place):
    desk = Desk(tmp_path, place)
    yield desk
    desk.close()


def write_session(journal, n, session):
    """A session with a decision, an order, two fills and a close."""
    journal.commit([decision(decision_id=f"d{n}", scheduled_ns=n, session=session)])
    own = {"session": session, "symbol": f"S{n}"}
    journal.commit([intended(n, **own), changed("SENT", n)])
    journal.commit([fill(n, f"x{n}", **own), fill(n, f"y{n}", **own)])
    last = [changed("FILLED", n, filled_nano=10 * 10**9)] if n != 2 else []  # one stays open
    closed = {
        "account": "demo", "strategy": "trend", "session": session, "digest": "", "equity_micro": n,
        "cash_micro": n, "positions": {"AAPL": n}, "report": {"breaks": []},
    }  # fmt: skip
    journal.commit([*last, Event("session.closed", closed)])


@pytest.fixture
def journal(desk):
    journal = desk.open()
    journal.commit([person(), state("ACTIVE", 1, "ann")])
    for n, session in enumerate(SESSIONS, 1):
        write_session(journal, n, session) if n != 3 else journal.commit([alert("a quiet session")])
    return journal


def all_rows(journal):
    return {name: journal.rows(name) for name in PROJECTIONS if name != "archives"}


def archive(journal, before, path):
    return journal.archive(before, path, person="ann", reason="older than a week")


def test_archived_events_leave_and_nothing_else_changes(desk, journal, tmp_path):
    before, events = all_rows(journal), journal.events()
    done = archive(journal, "2013-02-04", tmp_path / "one.parquet")
    assert (done.first_seq, done.last_seq) == (1, 9)
    assert journal.events()[:-1] == events[9:]
    assert all_rows(journal) == before
    assert journal.head()[0] == len(events) + 1
    report = journal.verify()
    assert (report.ok, report.archived, report.archives_proved) == (True, 9, False)
    assert report.events == len(events) + 1 - 9
    report = journal.verify([tmp_path / "one.parquet"])
    assert (report.ok, report.archives_proved) == (True, True)
    journal.rebuild_projections()
    assert all_rows(journal) == before
    # what the archived events made still binds
    with pytest.raises(JournalConflict, match="wb1-1 with equal content"):
        journal.commit([intended(1, session="2013-02-01", symbol="S1")])
    with pytest.raises(JournalConflict, match="wb1-2 open in state SENT"):
        journal.commit([intended(9, symbol="S2")])
    journal.close()
    again = desk.open()
    again.commit([alert("goes on")])
    assert again.verify([tmp_path / "one.parquet"]).ok


def test_a_second_archive_continues_the_first(journal, tmp_path):
    one, two = tmp_path / "one.parquet", tmp_path / "two.parquet"
    archive(journal, "2013-02-04", one)
    before = all_rows(journal)
    archive(journal, "2013-02-06", two)
    assert all_rows(journal) == before
    assert journal.verify().ok
    assert journal.verify([one, two]).ok
    for wrong in ([two], [one], [two, one], [one, one]):
        report = journal.verify(wrong)
        assert not report.ok
    journal.rebuild_projections()
    assert all_rows(journal) == before
    assert [row["last_seq"] for row in journal.rows("archives")] == [9, 16]


def test_the_whole_journal_can_be_archived(desk, journal, tmp_path):
    before = all_rows(journal)
    archive(journal, "9999", tmp_path / "all.parquet")
    assert [event.kind for event in journal.events()] == ["journal.archived"]
    assert all_rows(journal) == before
    journal.close()
    assert desk.open().verify([tmp_path / "all.parquet"]).ok


def test_nothing_to_archive_or_a_file_that_exists_is_refused_and_changes_nothing(journal, tmp_path):
    archive(journal, "2013-02-01", tmp_path / "one.parquet")
    with pytest.raises(Refused, match="no event before session 2013-02-01"):
        archive(journal, "2013-02-01", tmp_path / "none.parquet")
    assert not (tmp_path / "none.parquet").exists()
    precious = tmp_path / "precious.parquet"
    precious.write_text("mine")
    head = journal.head()
    with pytest.raises(Refused, match="exists already"):
        archive(journal, "9999", precious)
    with pytest.raises(StorageFailed, match="cannot be written"):
        archive(journal, "9999", tmp_path / "no" / "folder" / "x.parquet")
    assert precious.read_text() == "mine"
    assert journal.head() == head
    assert journal.verify().ok


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("UPDATE base_rows SET content = replace(content, '\"x1\"', '\"x7\"')", "base rows"),
        ("DELETE FROM base_rows WHERE n = 1", "base rows"),
        ("DELETE FROM meta WHERE name = 'archived'", "is missing"),
        ("UPDATE meta SET value = replace(value, '9 ', '8 ') WHERE name = 'archived'", "is missing"),
        ("DELETE FROM events WHERE kind = 'journal.archived'", "is missing"),
        ("DELETE FROM archives", "which is gone"),
        ("UPDATE fills SET price_micro = 7 WHERE execution_id = 'x1'", "price_micro is 7"),
        ("DELETE FROM events WHERE seq = 10", "is missing"),
    ],
)
def test_tampering_with_what_was_kept_is_found(desk, journal, tmp_path, damage, words):
    archive(journal, "2013-02-04", tmp_path / "one.parquet")
    assert journal.verify().ok
    desk.raw(damage)
    report = journal.verify()
    assert not report.ok
    assert words in report.reason


def test_a_file_that_was_altered_is_found_and_its_first_bad_event_named(journal, tmp_path):
    archive(journal, "2013-02-04", tmp_path / "one.parquet")
    table = pq.read_table(tmp_path / "one.parquet").to_pydict()
    table["payload"][3] = table["payload"][3].replace("2013", "2014")
    pq.write_table(pa.table(table), tmp_path / "forged.parquet")
    report = journal.verify([tmp_path / "forged.parquet"])
    assert (report.ok, report.first_bad_seq) == (False, 4)


def test_a_file_that_was_altered_and_hashed_anew_is_not_the_one_that_the_journal_continues(journal, tmp_path):
    """Whoever holds the file can make its chain consistent, and a time of recording is in no projection."""
    archive(journal, "2013-02-04", tmp_path / "one.parquet")
    table = pq.read_table(tmp_path / "one.parquet").to_pydict()
    at = table["kind"].index("order.changed")
    table["at_ns"][at] += 1
    for n in range(at, len(table["seq"])):
        table["prev_hash"][n] = table["hash"][n - 1]
        fields = [table[name][n] for name in ("seq", "at_ns", "kind", "payload", "config_hash", "prev_hash")]
        table["hash"][n] = event_hash(*fields)
    pq.write_table(pa.table(table), tmp_path / "forged.parquet")
    report = journal.verify([tmp_path / "forged.parquet"])
    assert not report.ok
    assert "is not the one that the living chain continues" in report.reason
    assert journal.verify([tmp_path / "one.parquet"]).ok


def test_two_that_archive_at_once_do_not_both_succeed(desk, journal, tmp_path, monkeypatch):
    from workbench.adapters.journal import database

    write = database.write_archive
    other = desk.open()

    def slow(*arguments):
        made = write(*arguments)
        monkeypatch.setattr(database, "write_archive", write)
        archive(other, "2013-02-04", tmp_path / "faster.parquet")
        return made

    monkeypatch.setattr(database, "write_archive", slow)
    with pytest.raises(JournalConflict, match="somebody else"):
        archive(journal, "2013-02-06", tmp_path / "slower.parquet")
    assert journal.verify([tmp_path / "faster.parquet"]).ok


def test_duckdb_reads_what_was_exported(journal, tmp_path):
    counts = journal.export(tmp_path / "out")
    assert counts["events"] == len(journal.events())
    with duckdb.connect() as database:

        def one(query):
            return database.execute(query.format(out=tmp_path / "out")).fetchone()

        for name in PROJECTIONS:
            assert one(f"SELECT count(*) FROM '{{out}}/{name}.parquet'") == (  # noqa: S608
                len(journal.rows(name)),
            )
        assert one("SELECT sum(amount_micro), sum(quantity_nano) FROM '{out}/postings.parquet'") == (
            sum(row["amount_micro"] for row in journal.rows("postings")),
            sum(row["quantity_nano"] for row in journal.rows("postings")),
        )
        assert one("SELECT sum(length(payload)), max(hash ORDER BY seq) FROM '{out}/events.parquet'")[0] > 0
        assert one("SELECT hash FROM '{out}/events.parquet' ORDER BY seq DESC LIMIT 1") == (
            journal.head()[1],
        )
        nested = one("SELECT positions FROM '{out}/sessions.parquet' ORDER BY added_seq LIMIT 1")[0]
        assert nested == '{"AAPL":1}'
        assert one("SELECT typeof(quantity_nano) FROM '{out}/orders.parquet' LIMIT 1") == ("BIGINT",)
    with pytest.raises(Refused, match="not empty"):
        journal.export(tmp_path / "out")


# --- migration -----------------------------------------------------------------------------------------


def make_older(desk):
    """Turn the journal into one that version 1 wrote: no archives, a fill without its fee, other rows."""
    desk.raw(
        "DROP TABLE archives", "DROP TABLE base_rows", "ALTER TABLE fills DROP COLUMN fee_micro",
        "UPDATE orders SET reason = 'as version 1 said it'",
        "UPDATE meta SET value = '1' WHERE name = 'schema_version'",
    )  # fmt: skip


def test_an_older_journal_is_backed_up_and_its_projections_are_folded_anew(desk, journal):
    expected, events = all_rows(journal), journal.events()
    journal.close()
    make_older(desk)
    with pytest.raises(Refused, match=rf"version 1.*version {SCHEMA_VERSION}") as caught:
        desk.open(read_only=True)
    assert "workbench journal migrate" in caught.value.next_step
    migrated = desk.open()
    assert all_rows(migrated) == expected
    assert migrated.events() == events
    assert migrated.verify().ok
    migrated.commit([alert("goes on")])
    if desk.file:
        backup = sqlite3.connect(f"{desk.file}.backup-v1")
        count, version = "SELECT count(*) FROM events", "SELECT value FROM meta WHERE name = 'schema_version'"
        assert backup.execute(count).fetchone() == (len(events),)
        assert backup.execute(version).fetchone() == ("1",)
        assert "fee_micro" not in [row[1] for row in backup.execute("PRAGMA table_info(fills)")]
        backup.close()
    else:
        schema = f"{desk.place.schema}_backup_v1"
        assert desk.raw(f"SELECT count(*) FROM {schema}.events") == [(len(events),)]  # noqa: S608
    desk.open().close()
    assert len(list(desk.folder.glob("*backup*"))) == (1 if desk.file else 0)


def test_a_running_process_of_the_older_code_cannot_write_into_a_migrated_journal(desk, journal):
    desk.raw("UPDATE meta SET value = '99' WHERE name = 'schema_version'")
    with pytest.raises(Refused, match="version 99"):
        journal.commit([alert()])
    assert desk.raw("SELECT count(*) FROM alerts") == [(1,)]


def test_an_older_journal_with_a_broken_chain_is_not_touched(desk, journal):
    journal.close()
    make_older(desk)
    desk.raw("UPDATE events SET at_ns = at_ns + 1 WHERE seq = 5")
    with pytest.raises(Exception, match="event 5"):
        desk.open()
    assert desk.raw("SELECT value FROM meta WHERE name = 'schema_version'") == [("1",)]
    assert list(desk.folder.glob("*backup*")) == []


def test_an_older_journal_with_a_tail_that_was_cut_is_not_touched(desk, journal):
    """The chain is whole then; only the anchor knows."""
    journal.close()
    make_older(desk)
    desk.raw("DELETE FROM events WHERE seq = (SELECT max(seq) FROM events)")
    with pytest.raises(JournalCorrupt, match="the anchor proves"):
        desk.open()
    assert desk.raw("SELECT value FROM meta WHERE name = 'schema_version'") == [("1",)]
    assert list(desk.folder.glob("*backup*")) == []


def meanwhile(desk, monkeypatch, journal, act):
    """Have somebody on another host act between the backup and the migration."""
    kind = type(journal._transactions.database)
    back_up = kind.back_up

    def slow(self, engine, version):
        monkeypatch.undo()
        made = back_up(self, engine, version)
        act()
        return made

    monkeypatch.setattr(kind, "back_up", slow)


def test_a_journal_that_a_newer_release_migrated_meanwhile_is_not_migrated_back(desk, journal, monkeypatch):
    journal.close()
    make_older(desk)
    newer = "UPDATE meta SET value = '99' WHERE name = 'schema_version'"
    meanwhile(desk, monkeypatch, journal, lambda: desk.raw(newer))
    with pytest.raises(Refused, match="version 99"):
        desk.open()
    assert desk.raw("SELECT value FROM meta WHERE name = 'schema_version'") == [("99",)]


def test_of_two_hosts_that_migrate_at_once_the_second_finds_it_done(desk, journal, monkeypatch):
    """Each has a copy of the anchor; only the database is one."""
    expected = all_rows(journal)
    journal.close()
    make_older(desk)
    there = desk.folder / "other host.anchor"
    there.write_bytes(desk.anchor.read_bytes())

    def migrate_there():
        other = JournalDatabase(
            desk.place.url, anchor_path=there, anchor_key=KEY, config_hash="other", wall_ns=desk.wall
        )
        other.commit([alert("from the other host")])
        other.close()

    meanwhile(desk, monkeypatch, journal, migrate_there)
    migrated = desk.open()
    assert [row["text"] for row in migrated.rows("alerts")][-1] == "from the other host"
    told = {"alerts", "outbox"}
    assert {name: rows for name, rows in all_rows(migrated).items() if name not in told} == {
        name: rows for name, rows in expected.items() if name not in told
    }
    assert migrated.verify().ok


def test_a_migration_that_cannot_make_its_backup_changes_nothing(desk, journal, monkeypatch):
    journal.close()
    make_older(desk)
    kind = type(journal._transactions.database)

    def full(*arguments):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(kind, "back_up", full)
    with pytest.raises((StorageFailed, sqlite3.OperationalError)):
        desk.open()
    assert desk.raw("SELECT value FROM meta WHERE name = 'schema_version'") == [("1",)]
    monkeypatch.undo()
    assert desk.open(key=KEY).verify().ok
