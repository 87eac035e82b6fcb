"""The hot path and the general way write the same bytes and rows, and refuse in the same words."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journals import NANO, Desk, alert, changed, decision, fill, intended, intent, texts
from places import Place, file_place

from workbench.adapters.journal import JournalDatabase, database, projections
from workbench.adapters.journal.hot_path import intended_values
from workbench.adapters.journal.kinds import check_event
from workbench.adapters.journal.rowstore import KnownRows, RowWriter
from workbench.adapters.journal.schema import PROJECTIONS
from workbench.core.canonical import canonical_json
from workbench.core.orders import OrderState
from workbench.core.ports import Event, RecordedEvent
from workbench.core.types import OrderType
from workbench.services.records import order_change, order_from_row


def general_encode(events: list[Event]) -> list[tuple[str, dict[str, Any], str]]:
    checked = [(event.kind, check_event(event.kind, event.payload)) for event in events]
    return [(kind, values, canonical_json(values)) for kind, values in checked]


@contextmanager
def general_way() -> Iterator[None]:
    """Nothing takes the hot path meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "encode_all", general_encode)
        patch.setattr(projections, "_HOT", {})
        yield


@dataclass
class Pair:
    """Two desks that are told the same; one of them takes no hot path."""

    hot: Desk
    general: Desk
    journals: tuple[JournalDatabase, JournalDatabase]
    programs: int = 0

    def commit(self, events: list[Event]) -> bool:
        """Commit to both and compare what they answer; whether they accepted."""
        answers = [answer_of(self.journals[0], events)]
        with general_way():
            answers.append(answer_of(self.journals[1], events))
        assert answers[0] == answers[1]
        assert self.journals[0].head() == self.journals[1].head()
        return isinstance(answers[0][0], int)

    def contents(self) -> list[dict[str, Any]]:
        """All stored rows of both, events as they lie in the table."""
        found = []
        for desk, journal in zip((self.hot, self.general), self.journals, strict=True):
            rows: dict[str, Any] = {name: journal.rows(name) for name in PROJECTIONS}
            rows["events"] = desk.raw("SELECT * FROM events ORDER BY seq")
            found.append(rows)
        return found


def answer_of(journal: JournalDatabase, events: list[Event]) -> tuple[Any, ...]:
    """What was recorded, or the refusal and its facts; the journal's own name is no part of them."""
    before = journal.head()
    try:
        recorded = journal.commit(events)
    except Exception as error:
        assert journal.head() == before
        return type(error).__name__, str(error), getattr(error, "next_step", ""), getattr(error, "facts", {})
    return (len(recorded), *recorded)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folders = [tmp_path_factory.mktemp(name) for name in ("hot", "general")]
    new_place: Callable[[Path], Place] = file_place
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres")
        new_place = lambda folder: server.new_place()  # noqa: E731
    hot, general = (Desk(folder, new_place(folder)) for folder in folders)
    yield Pair(hot, general, (hot.open(), general.open()))
    hot.close()
    general.close()


NUMBERS = st.integers(1, 3)
WORDS = st.sampled_from(
    ["", "AAPL", "é\u2028", 'a "quote"', "\\u0000", "tab\tand\x1f", "\x7f", "\ud800", "\0"]
)
TERMS = st.fixed_dictionaries(
    {},
    optional={
        "side": st.sampled_from(["sell", "BUY", "neither"]),
        "order_type": st.sampled_from(["market", "stop", "stop_limit", "market_on_close", "unheard_of"]),
        "limit_micro": st.sampled_from([0, -1, 5, 2**63 - 1, 2**63]),
        "stop_micro": st.sampled_from([0, 7, -7, None]),
        "time_in_force": st.sampled_from(["day", "gtc", "ioc", "", None, "later"]),
        "quantity_nano": st.sampled_from([0, -NANO, NANO // 2, NANO, 2**63]),
        "symbol": st.sampled_from(["IBM", "MSFT", "é"]),
        "leg": WORDS,
        "parent_id": WORDS,
        "verdict": st.sampled_from(["denied", "allowed"]),
        "nonsense": st.just(1),
    },
)
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "filled_nano": st.sampled_from([None, 0, NANO, 10 * NANO, 11 * NANO]),
        "venue_order_id": st.sampled_from([None, "", "v1", "v2"]),
        "reason": st.one_of(st.none(), WORDS),
        "at_ns": st.sampled_from([0, 9, 2**63, True]),
    },
)
STATES = st.sampled_from([*OrderState, "HALF_SENT"])
LIFE = ["SENT", "ACCEPTED", "PARTIALLY_FILLED", "PENDING_CANCEL", "CANCELED"]
EVENTS = st.one_of(
    st.builds(lambda n, terms: (intended, n, terms), NUMBERS, TERMS),
    st.builds(lambda n: (intended, n, {}), NUMBERS),
    st.builds(lambda state, n, more: (changed, n, {"state": str(state), **more}), STATES, NUMBERS, CHANGES),
    st.builds(lambda state, n: (changed, n, {"state": state}), st.sampled_from(LIFE), NUMBERS),
    st.builds(
        lambda n, quantity: (fill, n, {"quantity_nano": quantity}), NUMBERS, st.sampled_from([NANO, 1.5])
    ),
    st.builds(lambda text: (alert, 0, {"text": text}), WORDS),
    st.builds(lambda n: (decision, n, {}), NUMBERS),
)
LIVES = st.builds(
    lambda n, first, length: [(intended, n, {}), *((changed, n, {"state": word}) for word in first[:length])],
    NUMBERS, st.just(LIFE), st.integers(0, len(LIFE)),
)  # fmt: skip
COMMITS = st.one_of(
    st.lists(EVENTS, min_size=1, max_size=4), LIVES, st.builds(lambda a, b: a + b, LIVES, LIVES)
)


def told(step: tuple[Any, int, dict[str, Any]], program: int) -> Event:
    """The event of a step, with names that no other program uses."""
    make, n, changes = step
    name = f"p{program}-{n}"
    if make is alert:
        return alert(**changes)
    if make is decision:
        return decision(decision_id=name, scheduled_ns=program * 10 + n)
    if make is changed:
        return changed(changes["state"], name, **{k: v for k, v in changes.items() if k != "state"})
    if make is fill:
        return fill(name, f"x{name}", account=f"a{program}", **changes)
    return intended(name, **{"account": f"a{program}", "symbol": f"S{n}", **changes})


def test_any_program_has_the_bytes_the_rows_and_the_refusals_of_the_general_way(pair: Pair) -> None:
    @settings(max_examples=80, deadline=None, derandomize=True)
    @given(st.lists(COMMITS, min_size=1, max_size=8))
    def any_program(program: list[list[tuple[Any, int, dict[str, Any]]]]) -> None:
        pair.programs += 1
        for steps in program:
            pair.commit([told(step, pair.programs) for step in steps])
        hot, general = (journal.rows("orders", account=f"a{pair.programs}") for journal in pair.journals)
        assert hot == general

    any_program()
    hot, general = pair.contents()
    assert hot == general
    assert len(hot["orders"]) > 50
    assert len({row["state"] for row in hot["orders"]}) > 4
    assert pair.journals[0].verify().ok
    with general_way():
        assert pair.journals[0].verify().ok  # the general fold too makes these projections


def row_after(kind: str, payload: dict[str, Any], known: KnownRows) -> Any:
    """The row of the order once an event is folded, and what waits to be written; or the refusal."""
    rows = RowWriter(cursor=None, statements=None, known=dict(known))
    try:
        projections.fold(rows, RecordedEvent(9, 1, kind, payload, "c", "h"))
    except Exception as error:
        return type(error), str(error)
    waits = [(place, columns) for place, (_, columns) in rows._updates.items()]
    return rows.get("orders", payload["client_order_id"]), waits, list(rows._inserts)


def test_every_intent_there_is_makes_the_row_or_the_refusal_of_the_general_fold() -> None:
    """All sides, types and times in force with right and wrong quantities, limits, stops and verdicts."""
    made = 0
    for side, kind, limit, quantity, verdict, more in itertools.product(
        ("buy", "sell", "BUY", "neither"), (*(kind.word for kind in OrderType), "unheard_of"), (0, -1, 5),
        (0, -NANO, NANO // 2, NANO), ("allowed", "denied"),
        ({}, {"time_in_force": "gtc"}, {"time_in_force": "day", "stop_micro": 7}, {"stop_micro": 0}),
    ):  # fmt: skip
        terms = {"side": side, "order_type": kind, "limit_micro": limit, "quantity_nano": quantity}
        payload = {**intent(1, **terms), "verdict": verdict, **more}
        with general_way():
            general = row_after("order.intended", payload, {})
        assert row_after("order.intended", payload, {}) == general
        made += isinstance(general[0], dict)
    assert made > 30


def test_every_step_there_is_makes_the_row_or_the_refusal_of_the_general_fold() -> None:
    """From every state to every state, with and without fills, times, ids and reasons."""
    made = 0
    new = intended_values(intended(1).payload, 3)
    for before, after, filled, told_filled, sent, more in itertools.product(
        OrderState, (*OrderState, "HALF_SENT"), (0, NANO), (None, 0, NANO, 10 * NANO), (0, 5),
        ({}, {"venue_order_id": "v2", "reason": "why"}, {"venue_order_id": None, "reason": ""}),
    ):  # fmt: skip
        known = {("orders", "wb1-1"): (*new[:15], str(before), "v1", filled, sent, "old", *new[20:])}
        payload = changed(str(after), 1, **more).payload
        if told_filled is not None:
            payload = {**payload, "filled_nano": told_filled}
        with general_way():
            general = row_after("order.changed", payload, known)
        assert row_after("order.changed", payload, known) == general
        made += isinstance(general[0], dict)
    assert made > 500


@pytest.mark.parametrize("position", [0, 31, 63])
@pytest.mark.parametrize(
    "spoiler",
    [
        intended("m7"), intended("m70", symbol="M7", account="batch"), changed("FILLED", "m7"),
        intended("m71", quantity_nano=1), alert("\0"), alert("\ud800"), fill("absent"),
    ],
    ids=["id twice", "symbol twice", "illegal", "no shares", "NUL", "half a character", "no order"],
)  # fmt: skip
def test_a_batch_with_one_bad_event_anywhere_leaves_nothing(
    pair: Pair, spoiler: Event, position: int
) -> None:
    batch = [intended(f"m{n}", symbol=f"M{n}", account="batch") for n in range(63)]
    batch.insert(position, spoiler)
    assert not pair.commit(batch)
    assert pair.journals[0].rows("orders", account="batch") == []
    pair.commit([alert("goes on")])
    assert texts(pair.journals[0])[-1] == "goes on"


def test_a_second_order_of_an_id_that_is_stepped_in_its_own_commit_is_told_what_differs(pair: Pair) -> None:
    order = {"account": "twice", "symbol": "TWO"}
    assert pair.commit([intended("t1", **order)])
    assert not pair.commit([intended("t1", **order, leg="slice 1"), changed("SENT", "t1")])
    assert not pair.commit([intended("t2", **order), changed("SENT", "t1"), changed("SENT", "t2")])
    assert pair.commit(
        [changed("SENT", "t1", reason="a"), changed("UNKNOWN", "t1"), changed("ACCEPTED", "t1")]
    )
    hot, general = (journal.rows("orders", account="twice") for journal in pair.journals)
    assert hot == general
    assert hot[0]["state"] == "ACCEPTED"


def test_of_two_wrong_orders_the_first_is_named_whichever_way_it_took(pair: Pair) -> None:
    orders = {"w1": {"symbol": "ONE"}, "w2": {"symbol": "TWO", "time_in_force": "gtc"}}
    assert pair.commit([intended(n, account="wrong", **terms) for n, terms in orders.items()])
    for names in (("w1", "w2"), ("w2", "w1")):
        assert not pair.commit([intended(n, account="wrong", **orders[n], leg="slice 1") for n in names])


def test_hot_events_take_the_hot_path(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the speed is gone, the properties above compare nothing, and nobody notices."""

    def slow(*_: Any, **__: Any) -> None:
        raise AssertionError("the general way")

    for name in ("_require_order", "changes_by"):
        monkeypatch.setattr(projections, name, slow)
    desk = Desk(tmp_path, place)
    journal = desk.open()
    order = {"account": "fast"}
    recorded = journal.commit([intended("f1", **order), changed("SENT", "f1")])  # one insert
    journal.commit([intended("f2", **order, symbol="IBM")])
    journal.commit([changed("SENT", "f2"), changed("ACCEPTED", "f2", venue_order_id="v")])
    (row,) = journal.rows("orders", client_order_id="wb1-f1")
    _, as_told = order_change(order_from_row(row), OrderState.ACCEPTED, at_ns=9, venue_order_id="v1")
    journal.commit([as_told])  # what the order desk says of a step
    states = {row["client_order_id"]: row["state"] for row in journal.rows("orders", account="fast")}
    assert states == {"wb1-f1": "ACCEPTED", "wb1-f2": "ACCEPTED"}
    assert len(recorded) == 2
    with pytest.raises(AssertionError):
        journal.commit([changed("FILLED", "f2", filled_nano=10 * NANO)])
    desk.close()
