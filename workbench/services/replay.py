"""A recorded session beside its replay: identical, or where the two part first and at which stage."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from workbench.core.digest import session_digest
from workbench.core.ports import Journal
from workbench.core.printing import html_table

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
_POSTING_FIELDS = ("ledger_account", "amount_micro", "quantity_nano", "memo")


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
    scheduled_ns : int
        Decision time that it belongs to, UTC nanoseconds; 0 = the whole session.
    """

    stage: str
    at: str
    field: str
    recorded: Any
    replayed: Any
    scheduled_ns: int = 0

    def __str__(self) -> str:
        sides = f"recorded as {self.recorded}, replayed as {self.replayed}"
        return f"{self.stage}: {self.field} of {self.at} is {sides}"

    def _repr_html_(self) -> str:
        facts = {"stage": self.stage, "at": self.at, "field": self.field}
        sides = {"recorded": self.recorded, "replayed": self.replayed}
        return html_table("First divergence", {**facts, **sides}, {})


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
        Of code, versions, settings and data between then and now; they explain a divergence.
    versions_differ : bool
        Interpreter, libraries, time zones or journal schema are not those of the run, and were accepted.
    seconds : float
        How long the session took this time; start-up is not in it.
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
    versions_differ: bool = False
    seconds: float = 0.0

    @property
    def divergences(self) -> tuple[Divergence, ...]:
        """Every difference, in the order in which the session came to them; the first is the cause."""
        return tuple(_divergences(self.recorded, self.replayed))

    @property
    def tree(self) -> pd.DataFrame:
        """How the two sides part: one row a decision time and stage, causes before their consequences.

        Returns
        -------
        DataFrame
            scheduled_ns (0 = of the whole session), stage, differences, first.
        """
        import pandas as pd

        rows: dict[tuple[int, str], dict[str, Any]] = {}
        for one in self.divergences:
            row = rows.setdefault(
                (one.scheduled_ns, one.stage),
                {"scheduled_ns": one.scheduled_ns, "stage": one.stage, "differences": 0, "first": str(one)},
            )
            row["differences"] += 1
        return pd.DataFrame(list(rows.values()), columns=["scheduled_ns", "stage", "differences", "first"])

    @property
    def decisions(self) -> pd.DataFrame:
        """One row a decided symbol: both sides, `same`, and the `cause`: the first stage that differs."""
        import pandas as pd

        rows = []
        ours, theirs = _cells(self.recorded), _cells(self.replayed)
        data = {at for at, one in _pairs(_snapshots(self.recorded), _snapshots(self.replayed)) if one}
        for key in sorted({*ours, *theirs}):
            mine, again = ours.get(key, {}), theirs.get(key, {})
            causes = [where for name, where in _DECISION_STAGES if mine.get(name) != again.get(name)]
            row: dict[str, Any] = {"scheduled_ns": key[0], "symbol": key[1]}
            for name, _ in _DECISION_STAGES:
                row[name], row[f"replayed_{name}"] = mine.get(name), again.get(name)
            cause = ("data" if key[0] in data else causes[0]) if causes else ""
            rows.append({**row, "same": mine == again, "cause": cause})
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        found = "identical" if self.identical else str(self.first_divergence)
        if self.versions_differ:
            found = f"{found} (under other versions: {'; '.join(self.differences)})"
        return f"<replay of {self.run}: {found}>"

    def _repr_html_(self) -> str:
        return html.escape(repr(self))


def compare(
    run: str,
    recorded: SessionRecord,
    replayed: SessionRecord,
    *,
    differences: Sequence[str] = (),
    versions_differ: bool = False,
    seconds: float = 0.0,
) -> ReplayReport:
    """The report of a replay; identical only when both digests and every compared row agree.

    Parameters
    ----------
    run : str
    recorded, replayed : SessionRecord
    differences : sequence of str
        What is known to differ between then and now.
    versions_differ, seconds
        As in `ReplayReport`.
    """
    first = next(_divergences(recorded, replayed), None)
    return ReplayReport(
        run=run,
        session=recorded.session,
        identical=first is None,
        first_divergence=first,
        recorded_digest=recorded.digest,
        replayed_digest=replayed.digest,
        differences=tuple(differences),
        recorded=recorded,
        replayed=replayed,
        versions_differ=versions_differ,
        seconds=seconds,
    )


def _divergences(recorded: SessionRecord, replayed: SessionRecord) -> Iterator[Divergence]:
    """All differences by decision time, each time in the order of its stages; then those of the books."""
    cells, hashes = (_cells(recorded), _cells(replayed)), (_snapshots(recorded), _snapshots(replayed))
    orders, fills = (_orders(recorded), _orders(replayed)), (_fills(recorded), _fills(replayed))
    decided_at = {str(key[3]): key[0] for side in orders for key in side}
    fill_stages = tuple((name, "fills") for name in _FILL_FIELDS)
    cells_at, orders_at = _by_time(cells, lambda key: key[0]), _by_time(orders, lambda key: key[0])
    fills_at = _by_time(fills, lambda name: decided_at.get(_order_of(fills, name), 0))
    times = {*cells_at, *orders_at, *(at for side in hashes for at in side)}
    for at_ns in sorted(times):
        ours, theirs = hashes[0].get(at_ns), hashes[1].get(at_ns)
        if ours != theirs:
            yield Divergence("data", str(at_ns), "snapshot_hash", ours, theirs, at_ns)
        for key, mine, other in cells_at.get(at_ns, ()):
            place = f"{key[1]} at {key[0]}"
            yield from _fields(place, "policy", mine, other, _DECISION_STAGES, at_ns)
        for key, mine, other in orders_at.get(at_ns, ()):
            place = f"order {key[1]} {key[2]} ({key[3]})"
            yield from _fields(place, "intents", mine, other, _ORDER_STAGES, at_ns)
        for name, mine, other in fills_at.get(at_ns, ()):
            yield from _fields(f"execution {name}", "fills", mine, other, fill_stages, at_ns)
    entries = ([dict(r) for r in recorded.postings], [dict(r) for r in replayed.postings])
    if recorded.digest != replayed.digest:
        yield _first_of_the_books(recorded, *entries, replayed.digest)


def _by_time(sides: tuple[Any, Any], time_of: Callable[[Any], int]) -> dict[int, list[tuple[Any, Any, Any]]]:
    """Key and both sides of every row, in the order of keys, by decision time."""
    found: dict[int, list[tuple[Any, Any, Any]]] = {}
    for key in sorted({*sides[0], *sides[1]}):
        found.setdefault(time_of(key), []).append((key, sides[0].get(key), sides[1].get(key)))
    return found


def _order_of(fills: tuple[Any, Any], name: str) -> str:
    """Client id of the order of an execution."""
    return str((fills[0].get(name) or fills[1][name])["client_order_id"])


def _first_of_the_books(
    recorded: SessionRecord, ours: list[dict[str, Any]], theirs: list[dict[str, Any]], digest: str
) -> Divergence:
    """The first posting that differs, else the digests, which also hold orders of earlier sessions."""
    for number, (mine, other) in enumerate(zip_longest(ours, theirs)):
        for name in _POSTING_FIELDS:
            sides = [one and one.get(name) for one in (mine, other)]
            if sides[0] != sides[1]:
                return Divergence("ledger", f"posting {number + 1}", name, sides[0], sides[1])
    return Divergence("ledger", recorded.session, "digest", recorded.digest, digest)


def _pairs(ours: Mapping[Any, Any], theirs: Mapping[Any, Any]) -> Iterator[tuple[Any, bool]]:
    """Every key with whether the two sides differ there."""
    for key in {*ours, *theirs}:
        yield key, ours.get(key) != theirs.get(key)


def _fields(
    place: str,
    stage: str,
    ours: Mapping[str, Any] | None,
    theirs: Mapping[str, Any] | None,
    stages: Sequence[tuple[str, str]],
    at_ns: int,
) -> Iterator[Divergence]:
    if ours is None or theirs is None:
        mine, other = ("there" if side is not None else None for side in (ours, theirs))
        yield Divergence(stage, place, "existence", mine, other, at_ns)
        return
    for name, where in stages:
        if ours[name] != theirs[name]:
            yield Divergence(where, place, name, ours[name], theirs[name], at_ns)


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
