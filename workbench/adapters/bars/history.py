"""Rows against each other: repeats in a delivery, the recorded past, and the last price."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.adapters.bars.events import Split
from workbench.adapters.bars.rows import Rows, concatenated, day_number, row_hash, session_text
from workbench.adapters.bars.schema import BarSchema, Kind
from workbench.core.types import Booleans, Integers

ORIGIN = ("file", "row")  #: columns that carry where a row came from until it is settled


@dataclass
class Settled:
    """What became of a group of rows that were believed by themselves."""

    added: Rows
    refused: list[tuple[str, Rows]] = field(default_factory=list)
    corrections: int = 0
    unchanged: int = 0


#: symbol -> (instant, day, price in micros) of the last believed row
Last = dict[str, tuple[int, int, int]]


def settle(rows: Rows, recorded: Rows, schema: BarSchema, splits: Iterable[Split], last: Last) -> Settled:
    """The rows to add, of those that were believed by themselves.

    A row that contradicts the record is believed only when it became known later than everything
    recorded for its key; otherwise it would rewrite what past decisions saw.

    Parameters
    ----------
    rows : Rows
        With the columns of `ORIGIN`.
    recorded : Rows
        At least everything recorded under the same keys.
    last : dict
        Last prices before this group; brought up to its end.
    """
    kind = schema.rules
    refused: list[tuple[str, Rows]] = []
    rows = rows.take(np.lexsort((rows["row"], rows["file"], rows["known_at_ns"], rows["ts_ns"], rows.code)))
    verdict = _repeats(rows, kind)
    refused += _take_out(rows, verdict, ("duplicate_exact", "duplicate_conflicting"))
    rows = rows.take(verdict == 0)
    verdict, corrections, unchanged = _against(rows, recorded, kind)
    refused += _take_out(rows, np.where(verdict == 2, 1, 0), ("changed_history",))
    rows = rows.take(verdict == 0)
    jumps = _jumps(rows, recorded, schema, splits, last)
    refused += _take_out(rows, jumps.astype(np.int64), ("unexplained_jump",))
    return Settled(rows.take(~jumps), refused, corrections, unchanged)


def _take_out(rows: Rows, verdict: NDArray[Any], reasons: tuple[str, ...]) -> list[tuple[str, Rows]]:
    return [
        (reason, rows.take(verdict == number))
        for number, reason in enumerate(reasons, start=1)
        if (verdict == number).any()
    ]


def _keys(rows: Rows, kind: Kind) -> Integers:
    """What tells rows of one symbol and instant apart: a tick's sequence, else its values."""
    if not kind.ticks:
        return np.zeros(len(rows), np.int64)
    content = row_hash(rows, kind.values, 1).view(np.int64)
    return np.where(rows["sequence"] >= 0, rows["sequence"], content)


def _same(columns: Iterable[NDArray[Any]]) -> Booleans:
    """Whether each row equals the one before it in every column; False for the first."""
    equal: Booleans | None = None
    for column in columns:
        step = np.concatenate([[False], column[1:] == column[:-1]]) if len(column) else np.array([], bool)
        equal = step if equal is None else equal & step
    assert equal is not None  # noqa: S101 - for the type checker: there is always a column
    return equal


def _repeats(rows: Rows, kind: Kind) -> NDArray[np.int64]:
    """1 for a repeat of a row that is kept, 2 for rows that contradict each other."""
    key = _keys(rows, kind)
    origin = (rows["row"], rows["file"])
    order = np.lexsort((*origin, key, rows["known_at_ns"], rows["ts_ns"], rows.code))
    columns = [column[order] for column in (rows.code, rows["ts_ns"], rows["known_at_ns"], key)]
    again = _same(columns)
    verdict = np.zeros(len(rows), np.int64)
    if not again.any():
        return verdict
    group = np.cumsum(~again)
    alike = again & _same([rows[name][order] for name in kind.values])
    conflicting = np.unique(group[again & ~alike])
    verdict[order[again]] = 1
    verdict[order[np.isin(group, conflicting)]] = 2
    return verdict


def _against(rows: Rows, recorded: Rows, kind: Kind) -> tuple[NDArray[np.int64], int, int]:
    """0 = add, 1 = known already, 2 = changed history; corrections and unchanged counted."""
    both = concatenated([_marked(rows, 1), _marked(recorded, 0)], kind, ("offered", "at"))
    key = _keys(both, kind)
    both_order = np.lexsort((both["offered"], both["known_at_ns"], key, both["ts_ns"], both.code))
    both, key = both.take(both_order), key[both_order]
    again = _same([both.code, both["ts_ns"], key])
    verdict = np.zeros(len(rows), np.int64)
    if not again.any():
        return verdict, 0, 0
    start = np.flatnonzero(~again)
    size = np.diff(np.append(start, len(both)))
    values = np.stack([both[name] for name in kind.values])
    corrections = unchanged = 0
    # A row that was delivered again as it is, by far the most frequent case, without a loop.
    pair = start[size == 2]
    plain = pair[
        (both["offered"][pair] == 0)
        & (both["offered"][pair + 1] == 1)
        & (values[:, pair] == values[:, pair + 1]).all(axis=0)
    ]
    verdict[both["at"][plain + 1]] = 1
    unchanged += len(plain)
    done = np.isin(start, plain)
    for first, count in zip(
        start[(size > 1) & ~done].tolist(), size[(size > 1) & ~done].tolist(), strict=True
    ):
        places = range(first, first + count)
        past = [place for place in places if not both["offered"][place]]
        for place in (place for place in places if both["offered"][place]):
            known = both["known_at_ns"][place]
            before = [other for other in past if both["known_at_ns"][other] <= known]
            if before and (values[:, before[-1]] == values[:, place]).all():
                verdict[both["at"][place]] = 1
                unchanged += 1
            elif not past or known > both["known_at_ns"][past[-1]]:
                corrections += bool(past)
                past.append(place)
            else:
                verdict[both["at"][place]] = 2
    return verdict, corrections, unchanged


def _marked(rows: Rows, offered: int) -> Rows:
    count = len(rows)
    extra = {"offered": np.full(count, offered, np.int64), "at": np.arange(count, dtype=np.int64)}
    return Rows(rows.names, rows.code, {**rows.columns, **extra})


def _prices(rows: Rows, kind: Kind) -> Integers:
    if kind.name == "quotes":
        return (rows["bid_micro"] + rows["ask_micro"]) // 2
    return rows["price_micro" if kind.name == "trades" else "close_micro"]


def _jumps(rows: Rows, recorded: Rows, schema: BarSchema, splits: Iterable[Split], last: Last) -> Booleans:
    """Which rows are further from the last believed price than declared, after splits between them."""
    kind = schema.rules
    jumped = np.zeros(len(rows), dtype=bool)
    by_symbol: dict[str, list[Split]] = {}
    for split in splits:
        by_symbol.setdefault(split.symbol, []).append(split)
    both = concatenated([_marked(rows, 1), _marked(recorded, 0)], kind, ("offered", "at"))
    price = _prices(both, kind).astype(np.float64)
    edges = np.searchsorted(both.code, np.arange(len(both.names) + 1)).tolist()
    ratio = np.ones(len(both))
    if len(both) > 1:
        ratio[1:] = price[1:] / np.maximum(price[:-1], 1.0)
    limit = schema.max_ratio
    wide = (ratio > limit) | (ratio < 1 / limit)
    confirmed = set(schema.confirmed)
    for name, start, stop in zip(both.names, edges[:-1], edges[1:], strict=True):
        if start == stop:
            continue
        events = by_symbol.get(name, [])
        carried = last.get(name)
        near = carried is not None and carried[0] < both["ts_ns"][start]
        edge = near and carried is not None and not 1 / limit <= price[start] / carried[2] <= limit
        if bool(wide[start + 1 : stop].any()) or events or edge:
            seen = _walk(both, price, slice(start, stop), carried if near else None, events, limit, confirmed)
            jumped[both["at"][seen]] = True
            good = np.setdiff1d(np.arange(start, stop), seen)
        else:
            good = np.array([stop - 1])
        if len(good):
            at = int(good[-1])
            last[name] = (int(both["ts_ns"][at]), int(both["day"][at]), int(price[at]))
    return jumped


def _walk(
    both: Rows, price: NDArray[np.float64], block: slice, carried: tuple[int, int, int] | None,
    splits: list[Split], limit: float, confirmed: set[str],
) -> Integers:  # fmt: skip
    """Offered rows of one symbol that jump from the last believed one."""
    name = both.names[int(both.code[block.start])]
    ex_days = [(day_number(split.ex_session), split.old_shares / split.new_shares) for split in splits]
    before = None if carried is None else (carried[1], float(carried[2]))
    found = []
    for at in range(block.start, block.stop):
        day = int(both["day"][at])
        if before is not None and both["offered"][at]:
            expected = before[1]
            for ex_day, factor in ex_days:
                if before[0] < ex_day <= day:
                    expected *= factor
            if (
                not 1 / limit <= price[at] / expected <= limit
                and f"{name} {session_text(day)}" not in confirmed
            ):
                found.append(at)
                continue
        before = (day, price[at])
    return np.array(found, dtype=np.int64)
