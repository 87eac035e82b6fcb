"""Rows are remembered from one transaction to the next, and never a row that the database does not hold."""

import pytest
from journals import Desk, alert, changed, intended, person, state, texts

from workbench.adapters.journal import transactions as adapter
from workbench.errors import IllegalTransition, JournalConflict, LeaseLost


@pytest.fixture
def desk(tmp_path, place):
    desk = Desk(tmp_path, place)
    yield desk
    desk.close()


def order(journal, number=1):
    return journal.rows("orders", client_order_id=f"wb1-{number}")[0]


def test_what_another_handle_wrote_is_seen_before_the_next_change(desk):
    """Each of these would be legal on the row that this handle wrote itself."""
    mine, other = desk.open(), desk.open()
    mine.commit([intended(), changed("SENT")])
    other.commit([changed("FILLED", filled_nano=10 * 10**9)])
    with pytest.raises(IllegalTransition, match="FILLED cannot become ACCEPTED"):
        mine.commit([changed("ACCEPTED")])
    mine.commit([person(), state("HALTED", 1)])
    other.commit([state("ACTIVE", 2, "ann")])
    with pytest.raises(JournalConflict, match="does not grow beyond 2"):
        mine.commit([state("HALTED", 2)])
    assert order(mine)["state"] == "FILLED"
    assert mine.verify().ok


def test_a_lease_that_another_handle_took_is_seen_by_one_that_wrote_under_it(desk):
    mine, other = desk.open(), desk.open()
    lease = mine.acquire_lease("demo", "a", ttl_ns=10**9)
    mine.commit([alert("held")], lease=lease)
    other.acquire_lease("demo", "b", ttl_ns=10**9, proof_of_death="a")
    with pytest.raises(LeaseLost):
        mine.commit([alert("fenced")], lease=lease)


def test_a_new_connection_of_this_handle_looks_at_the_head_itself(desk):
    """Each connection counts the changes of others from a number of its own."""
    mine, other = desk.open(), desk.open()
    mine.commit([alert("1")])
    mine._transactions._drop_writer()
    other.commit([alert("2")])
    mine.commit([alert("3")])
    assert texts(mine) == ["1", "2", "3"]
    assert mine.verify().ok


def test_what_a_refused_commit_had_changed_is_forgotten(desk):
    journal = desk.open()
    journal.commit([intended(), changed("SENT")])
    with pytest.raises(IllegalTransition):
        journal.commit([changed("ACCEPTED", venue_order_id="v"), changed("INTENDED")])
    assert order(journal)["state"] == "SENT"
    with pytest.raises(JournalConflict):  # the same with rows that reached the database first
        journal.commit([changed("UNKNOWN"), intended(1), alert()])
    journal.commit([changed("NOT_ACCEPTED")])
    assert (order(journal)["state"], order(journal)["venue_order_id"]) == ("NOT_ACCEPTED", "")
    assert journal.verify().ok


def test_a_new_order_of_a_refused_commit_is_not_there(desk):
    journal = desk.open()
    journal.commit([intended(1)])
    with pytest.raises(IllegalTransition):
        journal.commit([intended(2, symbol="IBM"), changed("FILLED", 1)])
    with pytest.raises(JournalConflict, match="is not in the journal"):
        journal.commit([changed("SENT", 2)])
    journal.commit([intended(2, symbol="IBM"), changed("SENT", 2)])
    assert journal.verify().ok


def test_a_rebuild_forgets_rows_that_were_read_from_a_damaged_projection(desk):
    desk.open().commit([intended(), changed("SENT")])
    desk.raw("UPDATE orders SET venue_order_id = 'forged' WHERE client_order_id = 'wb1-1'")
    journal = desk.open()
    journal.commit([changed("UNKNOWN")])  # reads the forged row and remembers it
    journal.rebuild_projections()
    journal.commit([changed("ACCEPTED")])
    assert order(journal)["venue_order_id"] == ""
    assert journal.verify().ok


def test_a_remembered_row_that_somebody_took_out_is_missed_when_it_is_changed(desk):
    journal = desk.open()
    journal.commit([intended(), changed("SENT")])
    desk.raw("DELETE FROM orders WHERE client_order_id = 'wb1-1'")
    with pytest.raises(JournalConflict, match="0 of 1 rows of orders could be changed"):
        journal.commit([changed("UNKNOWN")])
    assert journal.head()[0] == 2


def test_rows_are_remembered_up_to_a_number(desk, monkeypatch):
    monkeypatch.setattr(adapter, "_MOST_ROWS", 3)
    journal = desk.open()
    for number in range(1, 8):
        journal.commit([intended(number, symbol=f"S{number}"), changed("SENT", number)])
        assert len(journal._transactions._rows) <= 3
    for number in range(1, 8):
        journal.commit([changed("UNKNOWN", number)])
    assert journal.verify().ok


def test_a_remembered_row_is_not_read_again(desk):
    """Else the speed is gone and nobody notices."""
    journal = desk.open()
    journal.commit([intended()])
    asked = []
    writer = journal._transactions._writer
    cursor = writer.cursor

    class Listening:
        def __getattr__(self, name):
            return getattr(cursor, name)

        def execute(self, text, *values):
            asked.append(text)
            return cursor.execute(text, *values)

    journal._transactions._writer = adapter.Writer(writer.connection, writer.driver, Listening())
    journal.commit([changed("SENT")])
    assert not [text for text in asked if "FROM orders" in text]
    assert [text for text in asked if text.startswith("UPDATE orders")]
