"""The hours of one exchange session, as whoever keeps the exchange's clock tells them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SessionHours:
    """Open and close of a session, and whether the exchange is open now.

    Attributes
    ----------
    open_ns, close_ns : int
        UTC nanoseconds; -1 where there is no such session.
    is_open : bool
    """

    open_ns: int
    close_ns: int
    is_open: bool


def hours_trouble(ours: SessionHours, theirs: SessionHours, *, at_border: bool) -> str:
    """In which point the venue's hours are not ours; "" = they agree.

    Parameters
    ----------
    at_border : bool
        Whether it is so near to open or close that the two clocks may honestly stand on different sides.

    Examples
    --------
    >>> hours_trouble(SessionHours(10, 20, True), SessionHours(10, 20, False), at_border=False)
    'the venue says that it is closed now, our calendar that it is open'
    """
    words = ("closed", "open")
    if theirs.open_ns < 0 or theirs.close_ns < 0:
        return "the venue knows of no such session"
    if theirs.open_ns != ours.open_ns:
        return f"the venue opens {(theirs.open_ns - ours.open_ns) / 60e9:+.0f} min from our calendar"
    if theirs.close_ns != ours.close_ns:
        return f"the venue closes {(theirs.close_ns - ours.close_ns) / 60e9:+.0f} min from our calendar"
    if theirs.is_open is not ours.is_open and not at_border:
        return (
            f"the venue says that it is {words[theirs.is_open]} now, our calendar that it is "
            f"{words[ours.is_open]}"
        )
    return ""
