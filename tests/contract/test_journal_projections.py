"""Projections are a fold of the events: the rules of each kind, and live rows equal a rebuild."""

import ast
import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journals import NANO, changed, decision, fill, intended, intent, person, state
from places import Place, file_place

from workbench.adapters.journal import JournalDatabase, rowstore
from workbench.adapters.journal.kinds import FIELDS
from workbench.adapters.journal.schema import PROJECTIONS
from workbench.core.orders import TERMINAL, TRANSITIONS, OrderState
from workbench.core.ports import Event
from workbench.errors import IllegalTransition, JournalConflict, UsageError, WorkbenchError


def open_journal(folder: Path, place: Place | None = None, at_ns=1_000) -> JournalDatabase:
    return JournalDatabase(
        (place or file_place(folder)).url, anchor_path=folder / "anchor", anchor_key=b"key",
        config_hash="c" * 64, wall_ns=lambda: at_ns,
    )  # fmt: skip


@pytest.fixture
def journal(tmp_path, place):
    with open_journal(tmp_path, place) as journal:
        yield journal


def refused(journal, event, words, kind=JournalConflict):
    """The commit is refused with these words and leaves no trace."""
    before = journal.head()
    with pytest.raises(kind, match=words) as caught:
        journal.commit([event])
    assert journal.head() == before
    assert journal.verify().ok
    return caught.value


# --- orders --------------------------------------------------------------------------------------------


def test_the_life_of_an_order_is_in_its_row(journal):
    journal.commit([intended()])
    assert journal.rows("orders", account="demo")[0] == {
        **intent(), "state": "INTENDED", "venue_order_id": "", "filled_nano": 0, "sent_at_ns": 0,
        "reason": "", "time_in_force": "day", "stop_micro": 0, "added_seq": 1, "seq": 1,
    }  # fmt: skip
    journal.commit([changed("SENT"), changed("ACCEPTED", venue_order_id="v9", at_ns=10)])
    journal.commit(
        [changed("PARTIALLY_FILLED", filled_nano=4 * NANO), changed("FILLED", filled_nano=10 * NANO)]
    )
    row = journal.rows("orders", client_order_id="wb1-1")[0]
    assert (row["state"], row["venue_order_id"], row["filled_nano"], row["sent_at_ns"], row["seq"]) == (
        "FILLED", "v9", 10 * NANO, 9, 5,
    )  # fmt: skip


def test_a_split_changes_the_terms_of_a_working_order_only(journal):
    terms = {"quantity_nano": 20 * NANO, "limit_micro": intent()["limit_micro"] // 2, "stop_micro": 0}
    adjusted = {"client_order_id": "wb1-1", "at_ns": 12, "activity_id": "a-1", **terms}
    journal.commit([intended()])
    refused(journal, Event("order.adjusted", adjusted), "not working")
    journal.commit([changed("SENT"), changed("PARTIALLY_FILLED", filled_nano=4 * NANO)])
    refused(journal, Event("order.adjusted", {**adjusted, "quantity_nano": 4 * NANO}), "nothing left")
    refused(journal, Event("order.adjusted", {**adjusted, "stop_micro": 1}), "with stop 1", UsageError)
    journal.commit([Event("order.adjusted", adjusted)])
    row = journal.rows("orders", client_order_id="wb1-1")[0]
    assert (row["quantity_nano"], row["filled_nano"]) == (20 * NANO, 4 * NANO)
    assert journal.verify().ok


def test_an_illegal_transition_writes_nothing(journal):
    journal.commit([intended()])
    refused(
        journal, changed("FILLED", filled_nano=10 * NANO), "INTENDED cannot become FILLED", IllegalTransition
    )
    journal.commit([changed("SENT"), changed("PARTIALLY_FILLED", filled_nano=4 * NANO)])
    refused(journal, changed("PARTIALLY_FILLED", filled_nano=3 * NANO), "fell", IllegalTransition)
    refused(journal, changed("open"), "open", UsageError)
    refused(journal, changed("SENT", number=2), "wb1-2 is not in the journal")


@pytest.mark.parametrize(
    "state_word", sorted(str(state) for state in TERMINAL if TRANSITIONS[OrderState.SENT] >= {state})
)
def test_a_terminal_order_stays_terminal(journal, state_word):
    filled = {"filled_nano": 10 * NANO} if state_word == "FILLED" else {}
    journal.commit([intended(), changed("SENT"), changed(state_word, **filled)])
    refused(journal, changed("UNKNOWN"), f"{state_word} cannot become UNKNOWN", IllegalTransition)


def test_the_same_id_again_is_a_conflict_whether_equal_or_not(journal):
    journal.commit([intended()])
    refused(journal, intended(), "wb1-1 with equal content")
    journal.commit([changed("SENT"), changed("REJECTED", reason="no")])
    refused(journal, intended(), "equal content")
    for column, value in (("symbol", "MSFT"), ("quantity_nano", NANO), ("limit_micro", 1)):
        error = refused(journal, intended(**{column: value}), f"wb1-1 with {column}")
        assert (error.field, error.offered) == (column, value)


def test_one_order_that_is_not_terminal_per_account_and_symbol(journal):
    journal.commit([intended(1), intended(2, symbol="MSFT"), intended(3, account="other")])
    refused(journal, intended(4), "wb1-1 open in state INTENDED for account demo, symbol AAPL")
    journal.commit([changed("SENT"), changed("UNKNOWN")])
    refused(journal, intended(4), "wb1-1 open in state UNKNOWN")
    journal.commit([changed("CANCELED"), intended(4)])
    refused(journal, intended(5), "wb1-4 open")


def test_an_order_that_ends_makes_room_for_what_follows_it_and_not_for_what_went_before(journal):
    journal.commit([intended(1), changed("SENT", 1)])
    with pytest.raises(JournalConflict, match="wb1-1 open"):
        journal.commit([intended(2), changed("CANCELED", 1)])
    journal.commit([changed("CANCELED", 1), intended(3)])
    states = {row["client_order_id"]: row["state"] for row in journal.rows("orders")}
    assert states == {"wb1-1": "CANCELED", "wb1-3": "INTENDED"}


def test_two_open_orders_within_one_commit_are_a_conflict_by_name(journal):
    before = journal.head()
    with pytest.raises(JournalConflict, match="wb1-1 open in state INTENDED for account demo, symbol AAPL"):
        journal.commit([intended(1), intended(2)])
    assert journal.head() == before


def test_a_denied_order_is_terminal_and_keeps_its_codes(journal):
    denied = Event("order.denied", {**intent(), "codes": ["NOTIONAL", "RATE"]})
    journal.commit([denied, intended(2)])
    rows = journal.rows("orders", state="DENIED")
    assert [(row["client_order_id"], row["reason"]) for row in rows] == [("wb1-1", "NOTIONAL,RATE")]
    refused(journal, changed("SENT"), "DENIED cannot become SENT", IllegalTransition)


def test_an_order_contradicting_its_verdict_or_its_type_is_refused(journal):
    refused(journal, Event("order.denied", {**intent(), "codes": []}), "contradicts its own verdict")
    refused(journal, Event("order.intended", {**intent(), "verdict": "denied"}), "own verdict")
    refused(journal, intended(order_type="market"), "market order of AAPL with limit", UsageError)
    refused(journal, intended(quantity_nano=5), "whole shares", UsageError)
    refused(journal, intended(side="long"), "LONG", UsageError)


# --- fills and ledger ----------------------------------------------------------------------------------


def test_a_fill_is_booked_once_with_postings_that_sum_to_zero(journal):
    journal.commit([intended(), changed("SENT"), fill()])
    assert [row["execution_id"] for row in journal.rows("fills", session="2013-02-01")] == ["x1"]
    assert [(row["entry_id"], row["n"], row["amount_micro"]) for row in journal.rows("postings")] == [
        ("x1", 0, 500), ("x1", 1, -500),
    ]  # fmt: skip
    refused(journal, fill(), "fills already holds execution_id x1 with equal content")
    refused(journal, fill(price_micro=501), "execution_id x1 with price_micro 500; 501 was offered")
    refused(journal, fill(execution="x2", postings=fill().payload["postings"][:1]), "sum to 500 micros")
    refused(journal, fill(execution="x2", postings=[]), "sum to 0 micros over 0 lines")
    refused(journal, fill(execution="x2", postings=[{"ledger_account": "cash"}]), "amount_micro", UsageError)
    refused(journal, fill(execution="x2", symbol="MSFT"), "symbol 'MSFT', its order wb1-1 'AAPL'")
    refused(journal, fill(number=9, execution="x2"), "wb1-9, which is not in the journal")


def test_a_ledger_entry_is_posted_once(journal):
    postings = [
        {"ledger_account": a, "amount_micro": m, "quantity_nano": 0, "memo": ""}
        for a, m in (("cash", 9), ("opening", -9))
    ]
    entry = {
        "account": "demo",
        "session": "2013-02-01",
        "entry_id": "opening",
        "postings": postings,
        "memo": "",
    }
    journal.commit([Event("ledger.posted", entry)])
    refused(journal, Event("ledger.posted", entry), "postings already holds entry_id opening, n 0")
    refused(journal, Event("ledger.posted", {**entry, "entry_id": "b", "postings": postings[:1]}), "sum to 9")


# --- supervision ---------------------------------------------------------------------------------------


def test_a_halt_latches_until_a_registered_person_with_a_reason_resumes(journal):
    refused(journal, state("ACTIVE", 1, person="ann"), "cannot go from HALTED to ACTIVE")
    journal.commit([person(), state("ACTIVE", 1, person="ann")])
    journal.commit([state("REDUCING", 2), state("HALTED", 3)])
    for word in ("ACTIVE", "REDUCING"):
        refused(journal, state(word, 4), "without a registered person")
        refused(journal, state(word, 4, person="bob"), "person 'bob'")
        refused(journal, state(word, 4, person="ann", reason=""), "and a reason")
    refused(journal, state("PAUSED", 4, person="ann"), "PAUSED", UsageError)
    journal.commit([state("REDUCING", 4, person="ann")])
    assert journal.rows("state", account="demo")[0]["epoch"] == 4


@pytest.mark.parametrize("epoch", [-1, 0, 4, 5])
def test_an_epoch_strictly_grows(journal, epoch):
    journal.commit([state("HALTED", 5)])
    refused(journal, state("HALTED", epoch), f"epoch {epoch} does not grow beyond 5")


def test_a_ticket_is_used_once_by_its_own_run_before_it_expires(journal):
    issued = {"ticket_hash": "t", "run_id": "r1", "code_hash": "h", "expires_wall_ns": 1_000}
    late = {**issued, "ticket_hash": "late", "expires_wall_ns": 999}
    use = Event("ticket.used", {"ticket_hash": "t", "run_id": "r1"})
    refused(journal, use, "was never issued")
    journal.commit([Event("ticket.issued", issued), Event("ticket.issued", late)])
    refused(journal, Event("ticket.used", {"ticket_hash": "t", "run_id": "r2"}), "belongs to run r1, not r2")
    refused(journal, Event("ticket.used", {"ticket_hash": "late", "run_id": "r1"}), "has expired")
    journal.commit([use])
    refused(journal, use, "was used before")
    assert [row["used"] for row in journal.rows("tickets")] == [True, False]


def test_a_run_ends_once_unless_its_end_was_unknown(journal):
    started = {
        "run_id": "r",
        "job": "j",
        "session": "2013-02-01",
        "attempt": 1,
        "parameters_hash": "p",
        "code_hash": "h",
    }
    end = {"run_id": "r", "status": "unknown", "exit_code": 4, "reason": "", "notebook": "n.ipynb"}
    refused(journal, Event("run.finished", end), "runs holds no run_id r")
    journal.commit([Event("run.started", started)])
    assert journal.rows("runs")[0]["status"] == "running"
    refused(journal, Event("run.finished", {**end, "status": "fine"}), "fine", UsageError)
    journal.commit([Event("run.finished", end)])
    journal.commit([Event("run.finished", {**end, "status": "done", "exit_code": 0})])
    refused(journal, Event("run.finished", end), "already ended as done")


def test_lease_events_are_judged_like_any_other(journal):
    journal.acquire_lease("demo", "a", ttl_ns=NANO)
    forged = {"account": "demo", "holder": "b", "token": 1, "until_wall_ns": 5}
    refused(journal, Event("lease.acquired", forged), "token 1 does not grow beyond 1")
    refused(journal, Event("lease.renewed", forged), "is not held by b with token 1")


# --- records -------------------------------------------------------------------------------------------


def test_a_decision_time_is_decided_once(journal):
    journal.commit([decision()])
    assert journal.rows("decisions", scheduled_ns=7)[0]["rows"] == decision().payload["rows"]
    refused(
        journal, decision(decision_id="d2"), "account demo, strategy trend, scheduled_ns 7 with decision_id"
    )
    refused(journal, decision(rows=[]), "decision_id d1 with rows")


def test_models_and_cost_models_pass_from_registered_to_accepted(journal):
    staged = Event("model.staged", {"model_id": "m", "stage": "shadow", "person": "ann", "reason": "r"})
    approved = Event("cost_model.approved", {"cost_model_id": "c", "person": "ann", "reason": "r"})
    refused(journal, staged, "models holds no model_id m")
    refused(journal, approved, "cost_models holds no cost_model_id c")
    journal.commit([Event("model.registered", {"model_id": "m", "manifest": "{}"})])
    journal.commit([Event("cost_model.registered", {"cost_model_id": "c", "manifest": "{}"})])
    assert journal.rows("models")[0]["stage"] == "candidate"
    assert journal.rows("cost_models")[0]["approved_by"] == ""
    refused(journal, staged, "was not judged fit for shadow")
    journal.commit([judged(passed=False, reasons=["luck"])])
    refused(journal, staged, "was not judged fit for shadow")
    journal.commit([judged(), staged, approved])
    assert journal.rows("models", stage="shadow")[0]["person"] == "ann"
    assert journal.rows("cost_models")[0]["approved_seq"] == 6


def judged(**changes):
    payload = {
        "model_id": "m", "stage": "shadow", "passed": True, "evidence_hash": "e", "trials": 1, "clusters": 1,
        "attempt": 1, "reasons": [], "gates": [], "verdict_hash": "0123456789abcdef", **changes,
    }  # fmt: skip
    return Event("promotion.judged", payload)


def test_live_takes_two_people_who_agreed_to_this_evidence_and_retired_is_final(journal):
    journal.commit([Event("model.registered", {"model_id": "m", "manifest": "{}"})])
    journal.commit([person("ann"), person("bob"), judged(stage="live")])
    live = {"model_id": "m", "stage": "live", "person": "ann", "reason": "r"}
    refused(journal, Event("model.staged", live), "no two people agreed")
    subject = "promote model m to live on evidence 0123456789abcdef"
    asked = {
        "request_id": "q", "account": "demo", "subject": subject, "first": "bob", "first_reason": "r",
        "asked_ns": 1, "expires_ns": 9,
    }  # fmt: skip
    said = {
        "request_id": "q", "account": "demo", "subject": subject, "first": "bob", "second": "ann",
        "weaker": False, "reason": "r", "confirmed_ns": 2,
    }  # fmt: skip
    staged = Event("model.staged", {**live, "request_id": "q", "second": "bob"})
    journal.commit([Event("agreement.asked", asked)])
    refused(journal, staged, "no two people agreed")
    journal.commit([Event("agreement.confirmed", said), staged])
    assert journal.rows("models")[0]["stage"] == "live"
    journal.commit([judged(stage="live", verdict_hash="another evidence")])
    refused(journal, staged, "no two people agreed")  # the same words, used for other evidence
    journal.commit([Event("model.staged", {**live, "stage": "retired"})])
    refused(journal, Event("model.staged", {**live, "stage": "replay"}), "is retired")


def test_rows_come_oldest_first_whatever_their_keys(journal):
    for name in ("zoe", "ann", "max"):
        journal.commit([person(name)])
    assert [row["person"] for row in journal.rows("people")] == ["zoe", "ann", "max"]


def test_every_kind_that_is_declared_folds_and_every_projection_is_reached():
    from workbench.adapters.journal.projections import _FOLDS

    assert _FOLDS.keys() == FIELDS.keys()
    assert len(PROJECTIONS) >= 30


def test_a_row_that_a_fold_looks_up_is_known_before_it_is_sent():
    """Else two events of one row, far apart in life, are two rows of one rebuild, which then fails."""
    folds = Path(rowstore.__file__).parent.glob("*.py")
    calls = [
        node for fold in folds for node in ast.walk(ast.parse(fold.read_text())) if isinstance(node, ast.Call)
    ]
    asked = {
        call.args[0].value
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr in ("get", "put", "update")
        and ast.unparse(call.func.value) == "rows" and isinstance(call.args[0], ast.Constant)
    }  # fmt: skip
    assert {"halts", "detectors", "exposures", "orders"} <= asked <= rowstore._CHANGED_LATER.keys()


def test_rows_that_are_put_again_survive_a_rebuild(journal):
    kept = {"account": "demo", "detector": "d", "model_id": "m", "alarmed": False, "state": "{}"}
    judged = {"account": "demo", "session": "2013-02-01", "level": "ok", "judged": 1, "measures": [],
              "peaks": [], "marks": {}, "working": {}}  # fmt: skip
    for number, session in enumerate(("2013-02-01", "2013-02-04"), start=1):
        journal.commit([Event("detector.kept", {**kept, "session": session})])
        journal.commit([Event("exposure.judged", {**judged, "at_ns": number})])
    assert journal.verify().ok
    assert [row["at_ns"] for row in journal.rows("exposures")] == [2]


# --- random programs -----------------------------------------------------------------------------------

ORDERS = st.integers(1, 4)
WORDS = st.sampled_from([str(state) for state in OrderState])
CHANGES = st.builds(
    lambda word, number, filled: changed(word, number, filled_nano=filled), WORDS, ORDERS,
    st.sampled_from([None, 0, 4 * NANO, 10 * NANO]),
)  # fmt: skip
LIVES = st.sampled_from(
    [
        ["SENT"],
        ["SENT", "ACCEPTED"],
        ["SENT", "UNKNOWN"],
        ["SENT", "REJECTED"],
        ["SENT", "ACCEPTED", "CANCELED"],
    ]
)
STEPS = st.one_of(
    st.builds(lambda n, s: [intended(n, symbol=s)], ORDERS, st.sampled_from(["AAPL", "IBM"])),
    st.builds(lambda n, life: [intended(n), *(changed(word, n) for word in life)], ORDERS, LIVES),
    st.builds(lambda n, life: [changed(word, n) for word in life], ORDERS, LIVES),
    st.builds(lambda n: [Event("order.denied", {**intent(n), "codes": ["RATE"]})], ORDERS),
    st.lists(CHANGES, min_size=1, max_size=2),
    st.builds(lambda n, x: [fill(n, f"x{x}")], ORDERS, ORDERS),
    st.builds(lambda n: [decision(decision_id=f"d{n}", scheduled_ns=n)], ORDERS),
    st.builds(lambda w, e: [state(w, e, "ann")], st.sampled_from(["HALTED", "REDUCING", "ACTIVE"]), ORDERS),
    st.just([person()]),
    st.tuples(st.sampled_from(["demo", "b"]), st.sampled_from("xy"), st.sampled_from(["", "x"])),
)  # fmt: skip


def all_rows(journal):
    return {name: journal.rows(name) for name in PROJECTIONS}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def new_place(request):
    """Makes an empty database of each kind for each program."""
    if request.param == "sqlite":
        return file_place
    server = request.getfixturevalue("postgres")
    return lambda folder: server.new_place()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEPS, min_size=3, max_size=25))
def test_after_any_program_live_projections_equal_a_rebuild_and_refusals_leave_no_trace(new_place, program):
    with (
        tempfile.TemporaryDirectory() as folder,
        open_journal(Path(folder), new_place(Path(folder))) as journal,
    ):
        kept = 0
        for step in program:
            before = journal.head()
            try:
                if isinstance(step, tuple):
                    account, holder, proof = step
                    journal.acquire_lease(account, holder, ttl_ns=5, proof_of_death=proof)
                    kept += 1
                else:
                    kept += len(journal.commit(step))
            except WorkbenchError:
                assert journal.head() == before
        live = all_rows(journal)
        open_orders = [(r["account"], r["symbol"]) for r in live["orders"] if r["state"] not in TERMINAL]
        assert len(open_orders) == len(set(open_orders))
        report = journal.verify()
        assert (report.ok, report.events, report.reason) == (True, kept, "")
        assert journal.rebuild_projections() == kept
        assert all_rows(journal) == live


def test_any_altered_column_of_any_projection_is_found(tmp_path):
    with open_journal(tmp_path) as journal:  # one kind is enough: the comparison is the same code
        journal.commit([person(), decision(), intended(), changed("SENT"), fill(), state("ACTIVE", 1, "ann")])
        raw = sqlite3.connect(tmp_path / "journal.sqlite", isolation_level=None)
        missed, tried = [], 0
        for name in [name for name in PROJECTIONS if journal.rows(name)]:
            for column in PROJECTIONS[name].table.columns.keys():
                value, row = raw.execute(f"SELECT {column}, rowid FROM {name} ORDER BY rowid DESC").fetchone()  # noqa: S608
                other = value + 7 if isinstance(value, int) else "[]" if column == "rows" else value + "?"
                change = f"UPDATE {name} SET {column} = ? WHERE rowid = ?"  # noqa: S608
                raw.execute(change, (other, row))
                missed += [(name, column)] if journal.verify().ok else []
                raw.execute(change, (value, row))
                tried += 1
        raw.close()
        assert missed == []
        assert tried > 60
        assert journal.verify().ok
