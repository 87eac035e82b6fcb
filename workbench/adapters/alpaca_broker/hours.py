"""The exchange's hours in Alpaca's words: a row of the calendar, and the clock's word for now."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from workbench.adapters.alpaca_broker.rows import NEW_YORK, BadRow, mapping, text
from workbench.core.hours import SessionHours
from workbench.core.types import NANO


def session_hours(session: str, days: Any, clock: Any) -> SessionHours:
    """The hours of one session from the answers of `/calendar` and `/clock`.

    Parameters
    ----------
    days : object
        The calendar from that date to that date; without a row of that date there is no such session.

    Raises
    ------
    BadRow
        Either is not as documented; `is_open` must be said in so many words.
    """
    is_open = mapping(clock).get("is_open")
    if not isinstance(is_open, bool):
        raise BadRow("is_open is neither true nor false")
    if not isinstance(days, list):
        raise BadRow("the calendar is no list")
    found = [row for row in map(mapping, days) if text(row, "date") == session]
    if not found:
        return SessionHours(-1, -1, is_open)
    return SessionHours(_at(session, text(found[0], "open")), _at(session, text(found[0], "close")), is_open)


def _at(session: str, local: str) -> int:
    """A time of day in New York, as "09:30", on that date in UTC nanoseconds."""
    try:
        moment = datetime.strptime(f"{session} {local}", "%Y-%m-%d %H:%M").replace(tzinfo=NEW_YORK)
    except ValueError:
        raise BadRow("a time of the calendar is not like 09:30") from None
    return int(moment.timestamp()) * NANO
