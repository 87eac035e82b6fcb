"""The world in which a broker is judged: a few sessions, a market that rises, a clock that the test sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from workbench.core.orders import OrderIntent, client_order_id
from workbench.core.ports import Broker
from workbench.core.types import DAY_NS, NANO, Bars, OrderType, Side

HOUR = 3_600 * NANO
CASH = 100_000_000_000
SYMBOLS = ("AAA", "BBB")
SESSIONS = tuple(f"2013-01-{day:02d}" for day in (2, 3, 4, 7, 8, 9, 10))
START = 15_707 * DAY_NS  # 2013-01-02T00:00Z


class TenSessions:
    """A calendar of a few sessions, 14:30 to 21:00 UTC."""

    def is_session(self, session: str) -> bool:
        """Whether it is one."""
        return session in SESSIONS

    def session_open_ns(self, session: str) -> int:
        """Its open, UTC nanoseconds."""
        return START + (int(session[-2:]) - 2) * DAY_NS + 14 * HOUR + HOUR // 2

    def session_close_ns(self, session: str) -> int:
        """Its close, UTC nanoseconds."""
        return START + (int(session[-2:]) - 2) * DAY_NS + 21 * HOUR

    def previous_session(self, session: str) -> str:
        """The session before."""
        return max(other for other in SESSIONS if other < session)

    def next_session(self, session: str) -> str:
        """The session after."""
        return min(other for other in SESSIONS if other > session)

    def session_after_ns(self, at_ns: int) -> str:
        """The first session that opens after the moment."""
        return min(other for other in SESSIONS if self.session_open_ns(other) > at_ns)

    def sessions_between(self, first: str, last: str) -> tuple[str, ...]:
        """Sessions from the first to the last, both included."""
        return tuple(other for other in SESSIONS if first <= other <= last)


class HandClock:
    """Trading time that the test sets."""

    def __init__(self, now_ns: int) -> None:
        self.at_ns = now_ns

    def now_ns(self) -> int:
        """The time that was set."""
        return self.at_ns

    def wall_ns(self) -> int:
        """The time that was set."""
        return self.at_ns

    def sleep_until(self, at_ns: int) -> None:
        """Sets the time at once."""
        self.at_ns = max(self.at_ns, at_ns)


CALENDAR = TenSessions()


class Market:
    """Bars that rise by one a session; hides what trading time has not reached, and notes who asks."""

    def __init__(self, clock: HandClock, volume: float = 1e6) -> None:
        self.clock, self.volume = clock, volume
        self.asked: list[str] = []

    def __call__(self, symbols: Sequence[str], session: str) -> Bars:
        opened, closed = CALENDAR.session_open_ns(session), CALENDAR.session_close_ns(session)
        assert opened <= self.clock.at_ns, f"{session} asked for before its open"
        self.asked.append(session)
        base = 20.0 + SESSIONS.index(session)
        known = self.clock.at_ns >= closed
        rows = {"open": base, "high": base + 1, "low": base - 1, "close": base + 0.5, "volume": self.volume}
        panel = {
            name: np.full((1, len(symbols)), value if known or name == "open" else np.nan)
            for name, value in rows.items()
        }
        tradable = np.ones((1, len(symbols)), dtype=bool)
        return Bars(np.array([closed]), tuple(sorted(symbols)), tradable=tradable, **panel)


@dataclass
class World:
    """A broker with a hand on its clock."""

    broker: Broker
    clock: HandClock
    reopen: Callable[[], Broker]

    def go(self, session: str, moment: str) -> None:
        """Set trading time to before_open, in_session or after_close of that session."""
        opened, closed = CALENDAR.session_open_ns(session), CALENDAR.session_close_ns(session)
        moments = {"before_open": opened - HOUR, "in_session": opened + HOUR, "after_close": closed + HOUR}
        self.clock.at_ns = moments[moment]

    @classmethod
    def of(cls, make: Callable[[HandClock], Any]) -> Iterator[World]:
        """A world around the broker that is made, for a fixture to yield from; every broker is closed."""
        clock = HandClock(CALENDAR.session_open_ns("2013-01-03") - HOUR)
        made: list[Any] = []

        def reopen() -> Broker:
            for former in made:
                former.close()
            broker: Broker = make(clock)
            made.append(broker)
            return broker

        yield cls(reopen(), clock, reopen)
        for broker in made:
            broker.close()


def intent(name: str = "one", **changes: Any) -> OrderIntent:
    """An order to buy a hundred shares at the market, with an id of its own for each name."""
    base = OrderIntent(
        client_order_id("demo", "trend", 1, "AAA", name), "demo", "trend", "2013-01-03", 1, "AAA", name,
        Side.BUY, 100 * NANO, OrderType.MARKET, 0, 20_500_000,
    )  # fmt: skip
    return replace(base, **changes)
