"""What only a server can do to a journal: refuse a login, be held, go away in a transaction, come back."""

import os
import threading
from dataclasses import replace

import psycopg
import pytest
from journals import CONFIG_HASH, KEY, Desk, alert, intended, texts
from places import PostgresForTests

from workbench.adapters.journal import JournalDatabase
from workbench.adapters.journal import postgres as adapter
from workbench.adapters.journal.encoding import encode
from workbench.errors import JournalConflict, StorageFailed, UsageError

PASSWORD = "correct horse"


@pytest.fixture
def desk(tmp_path, postgres: PostgresForTests):
    desk = Desk(tmp_path, postgres.new_place())
    yield desk
    postgres.start()
    desk.close()


@pytest.fixture(scope="module")
def user(postgres: PostgresForTests):
    """A user of the server who needs a password."""
    with postgres.connect() as connection:
        connection.execute(f"CREATE ROLE careful LOGIN PASSWORD '{PASSWORD}'")
    postgres.reload("local all careful scram-sha-256")
    return "careful"


def open_as(desk, user, password):
    url = desk.place.server.url(desk.place.schema, user)
    return JournalDatabase(
        url, anchor_path=desk.anchor, anchor_key=KEY, config_hash=CONFIG_HASH, wall_ns=desk.wall,
        password=password,
    )  # fmt: skip


def test_a_commit_is_on_the_servers_disk_and_holds_the_lock_from_its_first_statement(desk):
    journal = desk.open()

    def settings_while_it_writes(unit):
        found = {
            name: unit.connection.exec_driver_sql(f"SHOW {name}").scalar()
            for name in ("synchronous_commit", "fsync", "lock_timeout", "idle_in_transaction_session_timeout")
        }
        with desk.place.connect() as other:
            taken = other.execute(
                adapter._LOCK.replace("pg_advisory_xact", "pg_try_advisory_xact")
            ).fetchone()
        return found, taken

    found, taken = journal._transactions.write(settings_while_it_writes)
    assert taken == (False,)
    assert found == {
        "synchronous_commit": "on", "fsync": "on", "lock_timeout": "10s",
        "idle_in_transaction_session_timeout": "1min",
    }  # fmt: skip


def test_readers_cannot_write_whatever_they_send(desk):
    desk.open().commit([alert()])
    for journal in (desk.open(), desk.open(read_only=True, key=None)):
        with pytest.raises(StorageFailed, match="read-only"), journal._transactions.reading() as connection:
            connection.exec_driver_sql("DELETE FROM events")
    assert desk.open().verify().ok


def test_a_right_password_opens_and_a_wrong_or_missing_one_is_refused_without_showing_it(desk, user):
    desk.raw(f"GRANT ALL ON SCHEMA {desk.place.schema} TO {user}")
    for wrong in ("battery staple", None):
        with pytest.raises(StorageFailed, match="refuses the password") as caught:
            open_as(desk, user, wrong)
        assert "WORKBENCH_SECRETS__JOURNAL_PASSWORD" in caught.value.next_step
        assert "battery" not in str(caught.value)
    with open_as(desk, user, PASSWORD) as journal:
        journal.commit([alert()])
        assert PASSWORD not in journal.name
        assert journal.verify().ok


@pytest.mark.parametrize("part", ["careful:hidden@/postgres", "careful@/postgres?password=hidden"])
def test_a_password_in_the_url_is_refused_and_not_repeated(tmp_path, part):
    with pytest.raises(UsageError, match="holds a password") as caught:
        JournalDatabase(
            f"postgresql+psycopg://{part}", anchor_path=tmp_path / "a", anchor_key=KEY, config_hash="",
            wall_ns=lambda: 0,
        )  # fmt: skip
    assert "hidden" not in str(caught.value)
    assert not (tmp_path / "a").exists()


def test_a_database_or_a_server_that_is_not_there_is_named(desk, tmp_path):
    for url, words in (
        (f"postgresql+psycopg://postgres@/nowhere?host={desk.place.server.socket}", "nowhere.* is not there"),
        (f"postgresql+psycopg://postgres@/postgres?host={tmp_path}", "cannot be reached|is not there"),
    ):
        with pytest.raises(StorageFailed, match=words):
            JournalDatabase(
                url, anchor_path=tmp_path / "x", anchor_key=KEY, config_hash="", wall_ns=lambda: 0
            )


def test_a_writer_that_keeps_the_lock_is_named(desk, monkeypatch):
    monkeypatch.setattr(adapter, "LOCK_TIMEOUT_S", 0.05)
    journal = desk.open()
    with desk.place.connect() as other, other.transaction():
        other.execute(adapter._LOCK)
        with pytest.raises(StorageFailed, match="held by another writer"):
            journal.commit([alert("while locked")])
    journal.commit([alert("after")])
    assert texts(journal) == ["after"]


def test_a_server_that_stops_in_a_transaction_leaves_nothing_of_it(desk):
    journal = desk.open()
    journal.commit([alert("kept")])
    before = journal.head()

    def write_while_it_stops(unit):
        journal._append(unit, [encode("alert.raised", alert("half").payload)])
        desk.place.server.stop()
        journal._append(unit, [encode("alert.raised", alert("done").payload)])

    with pytest.raises(StorageFailed, match=r"went away|cannot be reached") as caught:
        journal._transactions.write(write_while_it_stops)
    assert "nothing was written" in caught.value.next_step
    with pytest.raises(StorageFailed, match=r"cannot be reached|went away|not there"):
        journal.commit([alert("while it is down")])
    with pytest.raises(StorageFailed):
        journal.rows("alerts")
    desk.place.server.start()
    assert journal.head() == before
    journal.commit([alert("after")])
    assert texts(journal) == ["kept", "after"]
    assert journal.verify().ok


def test_a_server_that_was_restarted_while_the_journal_was_idle_is_not_even_noticed(desk):
    journal = desk.open()
    journal.commit([alert("before")])
    desk.place.server.stop()
    desk.place.server.start()
    journal.commit([alert("after")])
    assert texts(journal) == ["before", "after"]


class Breaking:
    """A cursor whose connection breaks just before or just after its COMMIT arrives."""

    def __init__(self, cursor, desk, *, arrives, back):
        self.cursor, self.desk, self.arrives, self.back = cursor, desk, arrives, back

    def __getattr__(self, name):
        return getattr(self.cursor, name)

    def execute(self, text, *values):
        if text != "COMMIT":
            return self.cursor.execute(text, *values)
        server = self.desk.place.server
        if self.arrives:
            self.cursor.execute(text)
        server.stop()
        if self.back:
            server.start()
        if self.arrives:  # what the driver says when the answer to COMMIT is lost
            raise psycopg.OperationalError("server closed the connection unexpectedly")
        return self.cursor.execute(text)


@pytest.mark.parametrize("arrives", [False, True])
@pytest.mark.parametrize("back", [False, True])
def test_a_commit_whose_answer_was_lost_is_looked_up_and_never_guessed(desk, monkeypatch, arrives, back):
    journal = desk.open()
    journal.commit([alert("before")])
    transactions = journal._transactions
    begin = transactions._begin

    def breaking():
        writer = begin()
        return replace(writer, cursor=Breaking(writer.cursor, desk, arrives=arrives, back=back))

    monkeypatch.setattr(transactions, "_begin", breaking)
    if arrives and back:
        assert journal.commit([alert("kept")])[0].seq == 2
    else:
        with pytest.raises(StorageFailed) as caught:
            journal.commit([alert("kept")])
        assert caught.value.facts.get("outcome") == (None if back else "unknown")
    monkeypatch.undo()
    desk.place.server.start()
    journal.commit([alert("after")])
    assert texts(journal) == (["before", "kept", "after"] if arrives else ["before", "after"])
    assert journal.verify().ok


def test_two_handles_take_turns_and_the_index_of_open_orders_is_the_databases(desk):
    first, second = desk.open(), desk.open()
    outcomes = []

    def write(journal, number):
        try:
            journal.commit([intended(number)])
            outcomes.append("kept")
        except JournalConflict:
            outcomes.append("refused")

    threads = [threading.Thread(target=write, args=(j, n)) for n, j in enumerate((first, second), 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["kept", "refused"]
    assert first.verify().ok


def test_nobody_else_reads_the_password_from_the_environment(monkeypatch, desk, user):
    monkeypatch.setenv("PGPASSWORD", "battery staple")
    desk.raw(f"GRANT ALL ON SCHEMA {desk.place.schema} TO {user}")
    with open_as(desk, user, PASSWORD) as journal:
        journal.commit([alert()])
    assert os.environ["PGPASSWORD"] == "battery staple"
