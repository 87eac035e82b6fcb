"""A recorded session beside its replay: identical, or where the two part first and at which stage."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workbench.core.digest import session_digest
from workbench.core.ports import Journal

if TYPE_CHECKING:
    import pandas as pd

#: Fields of a decision row in the order in which a cycle computes them, with the stage of each.
_DECISION_STAGES: tuple[tuple[str, str], ...] = (
    ("forecast_micro", "forecast"), ("weight_micro", "policy"), ("cost_floor_micro", "cost model"),
    ("edge_micro", "policy"), ("target_shares", "policy"), ("delta_shares", "policy"),
    ("reason", "policy"),
)  # fmt: skip
#: Fields of an order, with the stage of each.
_ORDER_STAGES: tuple[tuple[str, str], ...] = (
    ("side", "intents"), ("quantity_nano", "intents"), ("order_type", "intents"), ("limit_micro", "intents"),
    ("reference_micro", "data"), ("expected_cost_micro", "cost model"), ("verdict", "controls"),
    ("state", "order path"), ("filled_nano", "fills"),
)  # fmt: skip
_FILL_FIELDS = ("quantity_nano", "price_micro", "fee_micro", "filled_at_ns")


@dataclass(frozen=True)
class SessionRecord:
    """What a journal holds of one session."""

    session: str
    decisions: tuple[Mapping[str, Any], ...]
    orders: tuple[Mapping[str, Any], ...]
    fills: tuple[Mapping[str, Any], ...]
    postings: tuple[Mapping[str, Any], ...]

    @classmethod
    def of(cls, journal: Journal, account: str, session: str) -> SessionRecord:
        """The record of a session; empty where nothing was recorded."""
        parts = (
            tuple(journal.rows(name, account=account, session=session))
            for name in ("decisions", "orders", "fills", "postings")
        )
        return cls(session, *parts)

    @property
    def digest(self) -> str:
        """Hash of decisions, orders, fills and postings of this session alone."""
        return session_digest(
            decisions=self.decisions, orders=self.orders, fills=self.fills, postings=self.postings
        )


@dataclass(frozen=True)
class Divergence:
    """The first place where a replay is not its record.

    Attributes
    ----------
    stage : str
        "data", "forecast", "cost model", "policy", "intents", "controls", "order path", "fills", "ledger".
    at : str
        The decision time and symbol, order id or entry that it concerns.
    field : str
    recorded, replayed : object
        Both sides; None = absent on that side.
    """

    stage: str
    at: str
    field: str
    recorded: Any
    replayed: Any

    def __str__(self) -> str:
        sides = f"recorded as {self.recorded}, replayed as {self.replayed}"
        return f"{self.stage}: {self.field} of {self.at} is {sides}"


@dataclass(frozen=True, eq=False)
class ReplayReport:
    """Whether a run, decided and executed again from its recorded inputs, gave the same.

    Attributes
    ----------
    run, session : str
    identical : bool
        Every decision, order, verdict, fill and posting is the same.
    first_divergence : Divergence or None
        None exactly when identical.
    recorded_digest, replayed_digest : str
    differences : tuple of str
        Of code and data between then and now; they explain a divergence and forbid nothing.
    """

    run: str
    session: str
    identical: bool
    first_divergence: Divergence | None
    recorded_digest: str
    replayed_digest: str
    differences: tuple[str, ...]
    recorded: SessionRecord = field(repr=False)
    replayed: SessionRecord = field(repr=False)

    @property
    def decisions(self) -> pd.DataFrame:
        """One row a decided symbol: recorded fields, the replayed ones as `replayed_...`, and `same`."""
        import pandas as pd

        rows = []
        ours, theirs = _cells(self.recorded), _cells(self.replayed)
        for key in sorted({*ours, *theirs}):
            mine, again = ours.get(key, {}), theirs.get(key, {})
            row: dict[str, Any] = {"scheduled_ns": key[0], "symbol": key[1]}
            for name, _ in _DECISION_STAGES:
                row[name], row[f"replayed_{name}"] = mine.get(name), again.get(name)
            rows.append({**row, "same": mine == again})
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        found = "identical" if self.identical else str(self.first_divergence)
        return f"<replay of {self.run}: {found}>"

    def _repr_html_(self) -> str:
        return html.escape(repr(self))


def compare(
    run: str, recorded: SessionRecord, replayed: SessionRecord, *, differences: Sequence[str] = ()
) -> ReplayReport:
    """The report of a replay; identical only when both digests and every compared row agree.

    Parameters
    ----------
    run : str
    recorded, replayed : SessionRecord
    differences : sequence of str
        What is known to differ between then and now.
    """
    first = next(_divergences(recorded, replayed), None)
    ours, theirs = recorded.digest, replayed.digest
    if first is None and ours != theirs:
        first = Divergence("ledger", recorded.session, "digest", ours, theirs)
    return ReplayReport(
        run=run,
        session=recorded.session,
        identical=first is None,
        first_divergence=first,
        recorded_digest=ours,
        replayed_digest=theirs,
        differences=tuple(differences),
        recorded=recorded,
        replayed=replayed,
    )


def _divergences(recorded: SessionRecord, replayed: SessionRecord) -> Iterator[Divergence]:
    ours, theirs = _cells(recorded), _cells(replayed)
    for key in sorted({*ours, *theirs}):
        place = f"{key[1]} at {key[0]}"
        yield from _fields(place, "policy", ours.get(key), theirs.get(key), _DECISION_STAGES)
    hashes, again = _snapshots(recorded), _snapshots(replayed)
    for at_ns in sorted({*hashes, *again}):
        if hashes.get(at_ns) != again.get(at_ns):
            yield Divergence("data", str(at_ns), "snapshot_hash", hashes.get(at_ns), again.get(at_ns))
    mine, other = _orders(recorded), _orders(replayed)
    for order_key in sorted({*mine, *other}):
        place = f"order {order_key[1]} {order_key[2]} ({order_key[3]})"
        yield from _fields(place, "intents", mine.get(order_key), other.get(order_key), _ORDER_STAGES)
    fills = tuple((name, "fills") for name in _FILL_FIELDS)
    booked, rebooked = _fills(recorded), _fills(replayed)
    for name in sorted({*booked, *rebooked}):
        yield from _fields(f"execution {name}", "fills", booked.get(name), rebooked.get(name), fills)


def _fields(
    place: str,
    stage: str,
    ours: Mapping[str, Any] | None,
    theirs: Mapping[str, Any] | None,
    stages: Sequence[tuple[str, str]],
) -> Iterator[Divergence]:
    if ours is None or theirs is None:
        sides = ("there" if side is not None else None for side in (ours, theirs))
        yield Divergence(stage, place, "existence", *sides)
        return
    for name, where in stages:
        if ours[name] != theirs[name]:
            yield Divergence(where, place, name, ours[name], theirs[name])


def _cells(record: SessionRecord) -> dict[tuple[int, str], Mapping[str, Any]]:
    return {
        (int(decision["scheduled_ns"]), str(row["symbol"])): row
        for decision in record.decisions
        for row in decision["rows"]
    }


def _snapshots(record: SessionRecord) -> dict[int, str]:
    return {int(row["scheduled_ns"]): str(row["snapshot_hash"]) for row in record.decisions}


def _orders(record: SessionRecord) -> dict[tuple[int, str, str, str], Mapping[str, Any]]:
    return {
        (int(row["scheduled_ns"]), str(row["symbol"]), str(row["leg"]), str(row["client_order_id"])): {
            **row, "verdict": row["reason"] if row["state"] == "DENIED" else "",
        }
        for row in record.orders
    }  # fmt: skip


def _fills(record: SessionRecord) -> dict[str, Mapping[str, Any]]:
    return {str(row["execution_id"]): row for row in record.fills}
