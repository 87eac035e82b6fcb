"""Random programs for the order path: decisions, faults, crashes, restarts, jumps of the clock; from a seed.

A program is a few steps that a generator draws; seed and number replay it. Every crash happens in process: at
a drawn journal write or request everything that is not in the journal is dropped, and the order path is built
anew. At the end the faults are lifted, the session and the next open pass, and the books must be the venue's.
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tests.support.order_line import SESSION, SYMBOLS, Killed, Line, S, calendar, order_line
from workbench.adapters.venue_server.wire import when
from workbench.core.orders import TERMINAL
from workbench.core.types import NANO, OrderType, Side
from workbench.errors import IllegalTransition, JournalConflict, OutcomeUnknown

ANSWERS = ("reset", "close", "504_html", "502_html", "500_json", "malformed", "truncated", "empty200", "302",
           "html200")  # fmt: skip
#: Faults that end by themselves or with the program; each with the scope that it is armed with.
FAULTS: tuple[tuple[str, dict[str, Any]], ...] = (
    *((f"accept_then_{what}", {}) for what in ANSWERS),
    *((f"before_accept_{what}", {}) for what in ANSWERS),
    *((f"before_accept_{what}", {"endpoint": "GET *"}) for what in ("502_html", "reset", "malformed")),
    ("429", {"endpoint": "POST /v2/orders"}), ("429", {"endpoint": "GET *"}), ("503", {}),
    ("reject_after_accept", {}), ("duplicate_409", {}), ("duplicate_checked_last", {}),
    ("by_client_id_404", {}), ("by_client_id_404", {"count": 3}), ("list_empty", {"count": 2}),
    ("list_truncate", {"limit": 1}), ("cancel_204_then_fill", {}), ("cancel_422_filled", {}),
    ("cancel_lost", {}), ("stale_order", {"endpoint": "GET *"}), ("number_instead_of_string", {}),
    ("extra_fields", {}),
)  # fmt: skip
MOST_STEPS = 10


class Program:
    """One program on one line; `told` says what it did, for whoever replays it."""

    def __init__(self, line: Line, draw: random.Random) -> None:
        self.line, self.draw = line, draw
        self.told: list[str] = []
        self.counts: Counter[str] = Counter()
        self.legs = 0
        self._to_death = -1
        self._commit, self._ask = line.journal.commit, line.broker._ask
        line.journal.commit = self._deadly(lambda *a, **k: self._commit(*a, **k))  # type: ignore[method-assign]
        line.broker._ask = self._deadly(lambda *a, **k: self._ask(*a, **k))  # type: ignore[method-assign]

    def _deadly(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """A journal write or a request around which the process may die: before it, or unheard after it."""

        def guarded(*args: Any, **kwargs: Any) -> Any:
            self._step_to_death()
            result = call(*args, **kwargs)
            self._step_to_death()
            return result

        return guarded

    def _step_to_death(self) -> None:
        if self._to_death == 0:
            self._to_death = -1
            raise Killed
        self._to_death -= self._to_death > 0

    # --- steps -------------------------------------------------------------------------------------

    def decide(self) -> None:
        """One to three orders in one batch."""
        keys = []
        for symbol in self.draw.sample(SYMBOLS, self.draw.randint(1, 3)):
            self.legs += 1
            limit = self.draw.random() < 0.6
            held = self.line.oms.ledger.positions_nano.get(symbol, 0)
            side = Side.SELL if held and self.draw.random() < 0.5 else Side.BUY
            price = self.draw.choice((1_000_000, 150_000_000, 400_000_000, 900_000_000))
            changes = {
                "symbol": symbol, "side": side, "quantity_nano": self.draw.choice((1, 7, 10)) * NANO,
                "order_type": OrderType.LIMIT if limit else OrderType.MARKET,
                "limit_micro": price if limit else 0,
            }  # fmt: skip
            try:
                keys.append(self.line.intend(f"slice {self.legs}", **changes))
            except JournalConflict:
                self.counts["kept out: one order a symbol"] += 1
        self.counts["orders"] += len(keys)
        if keys:
            self.line.oms.send_many(keys)

    def fault(self) -> None:
        kind, scope = self.draw.choice(FAULTS)
        self.told[-1] += f" {kind} {scope}"
        self.line.arm(kind, **{"nth": self.draw.randint(1, 2), **scope})
        self.counts["faults"] += 1

    def crash_soon(self) -> None:
        """The process will die at one of the next writes or requests."""
        self._to_death = self.draw.randrange(12)
        self.told[-1] += f" in {self._to_death}"

    def restart(self) -> None:
        self.line.restart()
        self.line.oms.recover()
        self.counts["restarts"] += 1

    def restart_the_venue(self) -> None:
        self.line.hands.restart()
        self.counts["restarts of the venue"] += 1

    def listen(self) -> None:
        self.line.poll()
        self.line.resender.proceed()

    def reconcile(self) -> None:
        self.line.reconcile()

    def cancel(self) -> None:
        open_ = [o for o in self.line.oms.working() if o.state in (S.ACCEPTED, S.PARTIALLY_FILLED)]
        if open_:
            self.line.oms.cancel(self.draw.choice(open_).intent.client_order_id, reason="a person")

    def jump(self) -> None:
        """Time passes, a second or an hour; the market moves with it."""
        self.pass_to(self.line.clock.now_ns() + self.draw.choice((1, 60, 3_600)) * NANO)
        symbol, middle = self.draw.choice(SYMBOLS), self.draw.choice((100, 300, 800))
        self.line.hands.quote(symbol, middle - 0.01, middle + 0.01)
        self.counts["jumps of the clock"] += 1

    STEPS = (
        (decide, 5), (fault, 5), (crash_soon, 3), (restart, 1), (restart_the_venue, 1), (listen, 3),
        (reconcile, 1), (cancel, 2), (jump, 2),
    )  # fmt: skip

    # --- a whole program ---------------------------------------------------------------------------

    def pass_to(self, at_ns: int) -> None:
        self.line.hands.advance(to=when(at_ns))
        self.line.clock.sleep_until(at_ns)

    def take(self, step: Callable[[Program], None]) -> None:
        """One step; a venue without an answer is left for later, a death begins a new life."""
        self.told.append(step.__name__)
        try:
            step(self)
        except OutcomeUnknown:
            self.counts["reads without an answer"] += 1
        except Killed:
            self.counts["deaths"] += 1
            self.told[-1] += ", died"
            self.take(Program.restart)

    def run(self) -> None:
        steps, weights = zip(*self.STEPS, strict=True)
        for _ in range(self.draw.randint(3, MOST_STEPS)):
            self.take(self.draw.choices(steps, weights)[0])
        self.end()

    def end(self) -> None:
        """The faults are lifted, a last start recovers, and everything takes its course."""
        self._to_death = -1
        self.line.hands.clear_faults()
        self.line.restart()
        self.line.oms.recover()
        self.listen()
        opens = calendar().session_open_ns(calendar().next_session(SESSION))
        for at_ns in (calendar().session_close_ns(SESSION) + NANO, opens + NANO):
            self.pass_to(at_ns)
            self.line.poll()
            self.line.oms.sweep(
                close_ns=calendar().session_close_ns,
                next_open_ns=lambda session: calendar().session_open_ns(calendar().next_session(session)),
            )

    def judge(self) -> list[str]:
        """Every oracle that is broken."""
        found = [f"break: {each}" for each in self.line.reconcile()]
        found += self.line.violations()
        if not self.line.ledger_equal():
            found.append("the books are not the venue's")
        states = Counter(order.state for order in self.line.oms.orders.values())
        found += [f"{n} orders end as {state}" for state, n in states.items() if state not in TERMINAL]
        self.counts.update({f"ended {state}": n for state, n in states.items()})
        return found


def play(
    seed: int, numbers: Iterable[int], spoil: Callable[[Line], None] = lambda line: None
) -> tuple[Counter[str], list[str]]:
    """What the programs did in all, and what was broken, with the seed and the steps that show it.

    Parameters
    ----------
    spoil : callable (Line) -> None
        Takes a guard away, to see that it is missed.
    """
    counts: Counter[str] = Counter()
    broken: list[str] = []
    for number in numbers:
        with tempfile.TemporaryDirectory() as folder, order_line(Path(folder)) as line:
            spoil(line)
            program = Program(line, random.Random(f"{seed}:{number}"))
            try:
                program.run()
                found = program.judge()
            except (IllegalTransition, AssertionError, JournalConflict) as error:
                found = [f"{type(error).__name__}: {error}"]
            counts += program.counts
            counts["programs"] += 1
            if found:
                broken.append(f"program {seed}:{number}: {found}; steps: {program.told}")
    return counts, broken
