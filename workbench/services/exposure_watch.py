"""Exposure within a session: judged after every poll and every decision, recorded when its level changes.

A breach stops new risk as monitoring does: an alert, and a halt of the strategy that lets reductions pass and
that only a person lifts. What a loss has stopped, a price that comes back does not start again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

from workbench.core.ledger import Ledger
from workbench.core.monitoring import Level, Measure, consequences, worst
from workbench.core.monitoring.exposure import LOSS, exposure_now, latched
from workbench.core.ports import Broker, Clock, Event, Journal, Lease
from workbench.core.types import NANO
from workbench.errors import OutcomeUnknown
from workbench.services.decision import Strategy
from workbench.services.own_orders import OwnOrders

if TYPE_CHECKING:
    from workbench.services.session import SessionTimes

#: The stream may cause many polls in one moment: marks this young are not asked for again.
YOUNG_NS: Final = 5 * NANO
_RECORDED: Final = Level.WARN.rank


class ExposureWatch:
    """What one session's positions and working orders are worth, judged as it goes on.

    Parameters
    ----------
    journal, broker, clock
        Ports.
    strategy : Strategy
    times : SessionTimes
    lease : callable () -> Lease
    books : callable () -> (Ledger, OwnOrders)
        As they are now.
    closes : callable () -> mapping of str to int
        Last closes in micros: what stands for a mark where nothing was ever quoted.
    start_equity_micro : callable () -> int
        Equity when the session began.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        broker: Broker,
        clock: Clock,
        strategy: Strategy,
        times: SessionTimes,
        lease: Callable[[], Lease],
        books: Callable[[], tuple[Ledger, OwnOrders]],
        closes: Callable[[], Mapping[str, int]],
        start_equity_micro: Callable[[], int],
    ) -> None:
        self._journal, self._broker, self._clock = journal, broker, clock
        self._strategy, self._times, self._lease = strategy, times, lease
        self._books, self._closes, self._start_equity = books, closes, start_equity_micro
        self._seen: dict[str, tuple[int, int]] = {}  # symbol -> mark, moment of its quote
        self._asked: tuple[int, frozenset[str]] = (0, frozenset())
        self._held: dict[str, Measure] | None = None  # what stands, by name
        self._peaks: dict[str, Measure] = {}
        self._judged = 0

    def after(self, changes: int) -> int:
        """Judge once the venue's news are booked; returns what it was given."""
        self.judge()
        return changes

    def judge(self) -> tuple[Measure, ...]:
        """What stands now; a change of level is recorded with its consequences, in one transaction."""
        now_ns = self._clock.now_ns()
        measures, marks = self._measured(now_ns)
        before = self._known()
        self._held = {one.name: latched(before.get(one.name), one) for one in measures}
        self._judged += 1
        for one in measures:
            if one.name not in self._peaks or not one.value <= self._peaks[one.name].value:
                self._peaks[one.name] = one
        levels = {name: max(one.level.rank, _RECORDED - 1) for name, one in before.items()}
        changed = [
            one for one in self._held.values()
            if max(one.level.rank, _RECORDED - 1) != levels.get(one.name, _RECORDED - 1)
        ]  # fmt: skip
        if changed:
            worse = [one for one in changed if one.level.rank > levels.get(one.name, _RECORDED - 1)]
            follow = consequences(
                worse, tuple(before.values()), account=self._strategy.account, strategy=self._strategy.name,
                model_id=self._strategy.model_id, session=self._times.session, at_ns=now_ns,
            )  # fmt: skip
            self._journal.commit([self._event(measures, marks, now_ns), *follow], lease=self._lease())
        return tuple(self._held.values())

    def closing(self) -> tuple[Event, ...]:
        """The session's last judgement with its largest values, for the transaction of its close."""
        if not self._judged:
            return ()
        now_ns = self._clock.now_ns()
        measures, marks = self._measured(now_ns)
        return (self._event(measures, marks, now_ns),)

    def _event(self, measures: Iterable[Measure], marks: Mapping[str, int], now_ns: int) -> Event:
        _, orders = self._books()
        stands = self._held or {}
        told = [stands.get(one.name, one) for one in measures]
        return Event(
            "exposure.judged",
            {
                "account": self._strategy.account, "session": self._times.session, "at_ns": now_ns,
                "level": worst(told).value, "judged": self._judged,
                "measures": [one.payload() for one in told],
                "peaks": [one.payload() for one in self._peaks.values()], "marks": dict(marks),
                "working": {symbol: list(both) for symbol, both in sorted(orders.working_shares().items())},
            },
        )  # fmt: skip

    def _known(self) -> dict[str, Measure]:
        """What stands, after a restart from the journal; a loss counts within its session only."""
        if self._held is None:
            rows = self._journal.rows("exposures", account=self._strategy.account)
            last = max(rows, key=lambda row: str(row["session"]), default=None)
            self._held = {}
            if last is not None:
                same = last["session"] == self._times.session
                found = [Measure.of_payload(one) for one in last["measures"]]
                self._held = {one.name: one for one in found if same or one.name != LOSS}
                if same:
                    self._judged = int(last["judged"])
                    self._peaks = {one.name: one for one in map(Measure.of_payload, last["peaks"])}
        return self._held

    def _measured(self, now_ns: int) -> tuple[tuple[Measure, ...], dict[str, int]]:
        ledger, orders = self._books()
        working = orders.working_shares()
        symbols = frozenset({*ledger.positions_nano, *working})
        marks, doubtful = self._marks(symbols, now_ns)
        measures = exposure_now(
            ledger, working, marks, doubtful=doubtful, start_equity_micro=self._start_equity(),
            limits=self._strategy.limits,
        )  # fmt: skip
        return measures, marks

    def _marks(self, symbols: frozenset[str], now_ns: int) -> tuple[dict[str, int], tuple[str, ...]]:
        """A price of each symbol, and the symbols whose price no fresh quote gives while there is trading."""
        self._ask(symbols, now_ns)
        oldest_ns = now_ns - int(self._strategy.limits.max_quote_age_s * NANO)
        old = [symbol for symbol in symbols if self._seen.get(symbol, (0, -1))[1] < oldest_ns]
        never = [symbol for symbol in old if symbol not in self._seen]
        closes = self._closes() if never else {}
        marks = {symbol: self._seen[symbol][0] for symbol in symbols if symbol in self._seen}
        marks |= {symbol: closes[symbol] for symbol in never if closes.get(symbol, 0) > 0}
        trading = self._times.open_ns <= now_ns < self._times.close_ns
        return dict(sorted(marks.items())), tuple(sorted(old)) if trading else ()

    def _ask(self, symbols: frozenset[str], now_ns: int) -> None:
        asked_ns, about = self._asked
        if not symbols or (symbols <= about and 0 <= now_ns - asked_ns < YOUNG_NS):
            return
        names = tuple(sorted(symbols))
        try:
            quotes = self._broker.quotes(names)
        except OutcomeUnknown:  # the marks of before stand until they are too old
            return
        self._asked = (now_ns, symbols)
        ages = quotes.age_ns(now_ns)
        for at, symbol in enumerate(names):
            bid, ask, age_ns = int(quotes.bid_micro[at]), int(quotes.ask_micro[at]), int(ages[at])
            if 0 < bid <= ask and age_ns >= 0:
                self._seen[symbol] = ((bid + ask) // 2, now_ns - age_ns)
