"""Where a number on a page comes from: the query, and the journal rows that it finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

#: Rows that are shown of an answer, the newest.
MOST_ROWS = 200
#: Rows of which the events are shown beside them.
MOST_EVENTS = 50


@dataclass(frozen=True)
class Source:
    """What a number is made of.

    Attributes
    ----------
    means : str
        How the rows become the number, in a sentence.
    projection : str
        Projection of the journal; "" for what is computed beside it, from bars or from the sample.
    equals : mapping
        Columns with the values that its rows have.
    key : str
        Column that tells one row of a table from the others; "" where a question is about all rows.
    prefix : str
        What stands before the row's name in that column.
    full : mapping of str to str
        Row names that a page shortens -> as they stand in that column.
    line : str
        How a notebook makes the same; "" = by the rows of the projection.
    number : bool
        Whether that column holds whole numbers.
    """

    means: str
    projection: str
    equals: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""
    prefix: str = ""
    full: Mapping[str, str] = field(default_factory=dict)
    line: str = ""
    number: bool = False

    def of_row(self, name: str) -> Source:
        """The same question about one row; about all where the row has no such name."""
        if not name or not self.key or (self.number and not name.isdecimal()):
            return self
        there = int(name) if self.number else self.prefix + self.full.get(name, name)
        return Source(self.means, self.projection, {**self.equals, self.key: there}, line=self.line)


@dataclass(frozen=True, eq=False)
class Answer:
    """The rows behind a number.

    Attributes
    ----------
    title, means : str
    sql : str
        The query as any client of the journal's database takes it.
    line : str
        The same in a notebook, `desk` being `workbench.open_workbench(settings)`.
    rows : DataFrame
        The newest 200 rows; `added_seq` is the event that made a row, `seq` the one that changed it last.
    count : int
        How many rows there are.
    events : DataFrame
        Those events: seq, recorded_at, event, hash.
    """

    title: str
    means: str
    sql: str
    line: str
    rows: pd.DataFrame
    count: int
    events: pd.DataFrame


def answer(journal: Any, title: str, source: Source) -> Answer:
    """Ask the journal; what is computed beside it has no rows there."""
    equals = dict(source.equals)
    if not source.projection:
        none = pd.DataFrame()
        return Answer(title, source.means, "-- not a row of the journal", source.line, none, 0, none)
    rows = journal.newest(source.projection, MOST_ROWS, **equals)
    count = len(rows) if len(rows) < MOST_ROWS else journal.count(source.projection, **equals)
    seqs = {row[name] for row in rows[-MOST_EVENTS:] for name in ("added_seq", "seq")}
    frame = pd.DataFrame(rows)
    leading = [name for name in ("seq", "added_seq") if name in frame]
    arguments = "".join(f", {name}={value!r}" for name, value in equals.items())
    return Answer(
        title=title,
        means=source.means,
        sql=sql_of(source.projection, equals),
        line=source.line or f'desk.journal.rows("{source.projection}"{arguments})',
        rows=frame[[*leading, *(name for name in frame if name not in leading)]].iloc[::-1],
        count=count,
        events=_events(journal, seqs),
    )


def sql_of(projection: str, equals: Mapping[str, Any]) -> str:
    """The query as text, values quoted as SQL quotes them."""
    where = " AND ".join(f"{name} = {_quoted(value)}" for name, value in equals.items())
    return f"SELECT * FROM {projection}{f' WHERE {where}' if where else ''} ORDER BY added_seq DESC"  # noqa: S608 - shown, never run


def _quoted(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"


def _events(journal: Any, seqs: set[int]) -> pd.DataFrame:
    rows = [(e.seq, e.at_ns, e.kind, e.hash) for e in journal.events_at(seqs)]
    frame = pd.DataFrame(rows, columns=["seq", "recorded_at", "event", "hash"])
    frame["recorded_at"] = pd.to_datetime(frame["recorded_at"], unit="ns", utc=True)
    return frame.iloc[::-1]
