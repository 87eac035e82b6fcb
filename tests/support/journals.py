"""A desk with a journal for tests, and the events that its life is made of."""

from pathlib import Path

from places import Place, file_place

from workbench.adapters.journal import JournalDatabase
from workbench.core.ports import Event

NANO = 1_000_000_000
KEY = b"the anchor key of a desk under test"
CONFIG_HASH = "c" * 64
SECOND = 1_000_000_000


class Wall:
    """A wall clock that stands until it is moved."""

    def __init__(self):
        self.at_ns = 1_700_000_000 * SECOND

    def __call__(self):
        return self.at_ns


class Desk:
    """A folder with a journal and its anchor."""

    def __init__(self, folder: Path, place: Place | None = None):
        self.folder = folder
        self.place = place or file_place(folder)
        self.file = self.place.file
        self.anchor = folder / "outside" / "journal.anchor"
        self.wall = Wall()
        self._opened = []

    def open(self, *, key=KEY, config_hash=CONFIG_HASH, read_only=False) -> JournalDatabase:
        journal = JournalDatabase(
            self.place.url, anchor_path=self.anchor, anchor_key=key, config_hash=config_hash,
            wall_ns=self.wall, read_only=read_only,
        )  # fmt: skip
        self._opened.append(journal)
        return journal

    def raw(self, *statements):
        """What somebody with the file and no manners can do."""
        return self.place.raw(*statements)

    def close(self):
        for journal in self._opened:
            journal.close()


def alert(text="x", account="demo"):
    return Event("alert.raised", {"account": account, "code": "TEST", "text": text, "at_ns": 1})


def texts(journal):
    return [row["text"] for row in journal.rows("alerts")]


def intent(number=1, **changes):
    return {
        "client_order_id": f"wb1-{number}", "account": "demo", "strategy": "trend", "session": "2013-02-01",
        "scheduled_ns": 7, "symbol": "AAPL", "leg": "entry", "side": "buy", "quantity_nano": 10 * NANO,
        "order_type": "limit", "limit_micro": 100_000_000, "reference_micro": 99_000_000,
        "expected_cost_micro": 5, "parent_id": "", "decision_id": "d1", **changes,
    }  # fmt: skip


def intended(number=1, **changes):
    return Event("order.intended", {**intent(number, **changes), "verdict": "allowed"})


def changed(state, number=1, **changes):
    return Event("order.changed", {"client_order_id": f"wb1-{number}", "state": state, "at_ns": 9, **changes})


def fill(number=1, execution="x1", **changes):
    postings = [
        {"ledger_account": "securities:AAPL", "amount_micro": 500, "quantity_nano": NANO, "memo": ""},
        {"ledger_account": "cash", "amount_micro": -500, "quantity_nano": 0, "memo": ""},
    ]
    payload = {
        "execution_id": execution, "client_order_id": f"wb1-{number}", "account": "demo",
        "session": "2013-02-01", "symbol": "AAPL", "side": "buy", "quantity_nano": NANO,
        "price_micro": 500, "fee_micro": 0, "filled_at_ns": 10, "postings": postings, **changes,
    }  # fmt: skip
    return Event("fill.booked", payload)


def state(word, epoch, person="", reason="because"):
    return Event(
        "state.changed",
        {"account": "demo", "state": word, "epoch": epoch, "reason": reason, "cause": "test",
         "person": person, "code_hash": "h"},
    )  # fmt: skip


def person(name="ann"):
    return Event("person.added", {"person": name, "role": "operator", "passphrase_hash": ""})


def decision(**changes):
    payload = {
        "decision_id": "d1", "account": "demo", "strategy": "trend", "session": "2013-02-01",
        "scheduled_ns": 7, "snapshot_hash": "s", "model_id": "m", "cost_model_id": "c",
        "bars_fingerprint": "b",
        "rows": [{"symbol": "AAPL", "forecast_micro": None, "reason": "BAND"}], **changes,
    }  # fmt: skip
    return Event("decision.made", payload)
