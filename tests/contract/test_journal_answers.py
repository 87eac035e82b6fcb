"""An answer that is given again is the one that the database would give now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journals import NANO, Desk, alert, changed, intended, person

from workbench.adapters.journal import reads
from workbench.errors import UsageError


@pytest.fixture
def desk(tmp_path, place):
    desk = Desk(tmp_path, place)
    yield desk
    desk.close()


def state(journal: Any) -> str:
    return str(journal.rows("orders", client_order_id="wb1-1")[0]["state"])


def test_what_this_handle_writes_is_in_its_next_answer(desk: Desk) -> None:
    journal = desk.open()
    journal.commit([intended()])
    assert state(journal) == "INTENDED"
    journal.commit([changed("SENT")])
    assert state(journal) == "SENT"
    assert journal.rows("people") == []
    journal.commit([person()])
    assert len(journal.rows("people")) == 1


def test_what_another_handle_writes_is_in_the_next_answer(desk: Desk) -> None:
    mine, other = desk.open(), desk.open()
    mine.commit([intended()])
    head = mine.head()[0]
    assert (state(mine), mine.events(after_seq=head)) == ("INTENDED", ())
    other.commit([changed("SENT")])
    assert state(mine) == "SENT"
    assert [event.kind for event in mine.events(after_seq=head)] == ["order.changed"]
    assert [event.seq for event in mine.events(kinds=("order.intended",))] == [1]


def test_what_a_caller_does_with_an_answer_is_not_in_the_next_one(desk: Desk) -> None:
    journal = desk.open()
    rows = [{"symbol": "AAPL", "delta_shares": 1}]
    made = {
        "decision_id": "d1", "account": "demo", "strategy": "trend", "session": "2013-02-01",
        "scheduled_ns": 7, "snapshot_hash": "s", "model_id": "m", "cost_model_id": "c",
        "bars_fingerprint": "f", "rows": rows,
    }  # fmt: skip
    from workbench.core.ports import Event

    journal.commit([Event("decision.made", made)])
    first = journal.rows("decisions")
    first[0]["rows"][0]["symbol"] = "forged"
    first[0]["account"] = "forged"
    again = journal.rows("decisions")[0]
    assert (again["account"], again["rows"]) == ("demo", rows)


def test_a_refused_commit_changes_no_answer(desk: Desk) -> None:
    journal = desk.open()
    journal.commit([intended(), changed("SENT")])
    assert state(journal) == "SENT"
    with pytest.raises(Exception, match="cannot become"):
        journal.commit([changed("ACCEPTED"), changed("INTENDED")])
    assert state(journal) == "SENT"


def test_rebuilt_projections_are_asked_again(desk: Desk) -> None:
    journal = desk.open()
    journal.commit([alert("1")])
    assert len(journal.rows("alerts")) == 1
    journal.rebuild_projections()
    assert [row["text"] for row in journal.rows("alerts")] == ["1"]


def test_only_so_many_answers_and_no_long_one_are_kept(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "_MOST_ROWS", 2)
    monkeypatch.setattr(reads, "_MOST_ANSWERS", 3)
    journal = desk.open()
    journal.commit([alert(str(n)) for n in range(3)])
    answers = journal._transactions._answers
    assert len(journal.rows("alerts")) == 3
    for n in range(7):
        journal.rows("orders", client_order_id=f"wb1-{n}")
        assert answers._count == sum(map(len, answers._kept.values())) <= 3
    assert "alerts" not in answers._kept


@settings(max_examples=15, deadline=None)
@given(steps=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3)), max_size=12))
def test_two_handles_that_take_turns_never_read_what_is_over(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int]]
) -> None:
    """Each handle asks after each step of either; the oracle is what was committed."""
    folder: Path = tmp_path_factory.mktemp("turns")
    desk = Desk(folder)
    try:
        handles = (desk.open(), desk.open())
        handles[0].commit([intended(quantity_nano=1_000 * NANO), changed("SENT"), changed("ACCEPTED")])
        filled = 0
        for who, shares in steps:
            filled += shares
            handles[who].commit([changed("PARTIALLY_FILLED", filled_nano=filled * NANO)])
            for handle in handles:
                row = handle.rows("orders", client_order_id="wb1-1")[0]
                assert row["filled_nano"] == filled * NANO
    finally:
        desk.close()


def test_an_interruption_right_after_the_commit_leaves_no_old_answer(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = desk.open()
    journal.commit([intended()])
    assert (state(journal), journal.events(after_seq=1)) == ("INTENDED", ())
    transactions = journal._transactions
    commit = transactions._commit

    def interrupted(*args: Any) -> None:
        commit(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(transactions, "_commit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        journal.commit([changed("SENT")])
    monkeypatch.undo()
    assert state(journal) == "SENT"
    assert [event.kind for event in journal.events(after_seq=1)] == ["order.changed"]


def test_a_comparison_with_nothing_is_refused_instead_of_finding_nothing(desk: Desk) -> None:
    journal = desk.open()
    with pytest.raises(UsageError, match="compared with None"):
        journal.rows("orders", account=None)
