"""Why a row is set aside, what that means and what to do; and the report of a delivery."""

from __future__ import annotations

from dataclasses import dataclass

#: reason -> (what it means, what to do)
RULES: dict[str, tuple[str, str]] = {
    "malformed": (
        "no symbol, no time, a line with another number of columns, or a value of another sort",
        "correct the row at its source, or the schema's columns and time format",
    ),
    "time_zone": (
        "an offset where none is declared, none where one is, or an hour that its zone skips or repeats",
        "deliver one sort of times in a file, and declare it with timezone and offsets",
    ),
    "null": ("a value or the time of knowledge is missing", "fetch the row again; gaps stay gaps"),
    "outside_calendar": (
        "the calendar does not cover that date",
        "check the date, or update exchange-calendars",
    ),
    "not_a_session": ("the exchange was closed on that date", "check the date, its zone and the calendar"),
    "outside_hours": (
        "beyond the session's hours and the declared extended hours",
        "declare before_open_minutes and after_close_minutes, or leave the row out",
    ),
    "not_wanted": (
        "the schema's require leaves it out",
        "nothing, when the print was cancelled or corrected",
    ),
    "impossible": (
        "a value no market prints: low above or high below another price, zero, negative, a part of a share",
        "fetch the row from another source",
    ),
    "zero_quote": ("a bid, an ask or a size of zero: one side is missing", "nothing; it cannot be traded on"),
    "crossed_quote": ("the bid is above the ask", "check whether quotes of several venues are mixed"),
    "locked_quote": ("the bid equals the ask", "check whether quotes of several venues are mixed"),
    "out_of_order": (
        "earlier than the tick before it of the same symbol",
        'sort the file, or declare order = "any" when its order means nothing',
    ),
    "future": ("it ends, or is said to be known, after the present", "check the clock, zone and label"),
    "known_before_end": (
        "said to be known before it ended",
        "correct known_at; a bar is known from its end on",
    ),
    "duplicate_exact": ("the same row again in the same delivery; one of them is kept", "nothing"),
    "duplicate_conflicting": (
        "the delivery contradicts itself about that row; none is kept",
        "find out which is right and deliver that one",
    ),
    "unexplained_jump": (
        "further from the last price than max_ratio, after recorded splits",
        "record the split, or confirm the jump in the schema once looked up",
    ),
    "changed_history": (
        "other values than those already recorded, without a later time of knowledge",
        "deliver the correction with the time from which it was known",
    ),
}
REASONS = {reason: meaning for reason, (meaning, _) in RULES.items()}
NAMES = ("", *RULES)
CODE = {reason: place for place, reason in enumerate(NAMES)}
MOST_EXAMPLES = 3


@dataclass(frozen=True)
class Refusal:
    """One row that was set aside: where it is, what was wrong and what to do."""

    file: str
    row: int
    symbol: str
    time: str
    column: str
    value: str
    reason: str
    rule: str
    next_step: str

    def __str__(self) -> str:
        return (
            f"{self.file} row {self.row}, {self.symbol or '(no symbol)'} {self.time or '(no time)'}: "
            f"{self.column} = {self.value!r}: {self.reason}, {self.rule}"
        )


@dataclass(frozen=True)
class IngestReport:
    """What became of one delivery.

    Attributes
    ----------
    source : str
    offered, accepted : int
        Rows in the delivery; rows added to the store.
    corrections : int
        Accepted rows that supersede a recorded one from their `known_at` on.
    unchanged : int
        Rows that the store already held.
    quarantined : dict of str to int
        Rows set aside, by reason (`REASONS`).
    examples : dict of str to tuple of str
        The first rows of each reason, as "symbol session (row n)".
    splits_added : int
    fingerprint : str
        Of the store, afterwards.
    kind : str
    refusals : tuple of Refusal
        The first rows of each reason, in full; the quarantine file holds all.
    dividends_added, renames_added : int
    """

    source: str
    offered: int
    accepted: int
    corrections: int
    unchanged: int
    quarantined: dict[str, int]
    examples: dict[str, tuple[str, ...]]
    splits_added: int
    fingerprint: str
    kind: str = "daily"
    refusals: tuple[Refusal, ...] = ()
    dividends_added: int = 0
    renames_added: int = 0

    def __str__(self) -> str:
        lines = [
            f"{self.source}: {self.offered:,} rows offered, {self.accepted:,} accepted "
            f"({self.corrections:,} corrections), {self.unchanged:,} already known, "
            f"{sum(self.quarantined.values()):,} quarantined, {self.splits_added} splits, "
            f"{self.dividends_added} dividends and {self.renames_added} renames added"
        ]
        for reason, count in self.quarantined.items():
            lines.append(f"  {count:,} {reason}: {RULES[reason][0]}. Next: {RULES[reason][1]}")
            lines += [
                f"    {one.file} row {one.row}, {one.symbol} {one.time}: {one.column} = {one.value!r}"
                for one in self.refusals
                if one.reason == reason
            ]
        return "\n".join(lines)
