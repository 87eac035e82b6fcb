"""The moments at which a trading process can be struck: around each journal write and each network call.

A process under test arms itself: `strike(at, blow)` counts every transaction of the journal, every request to
the venue and every step of its clock, and delivers the blow at the chosen moment. An even number is the
moment before the call, the odd one after it is the moment after: the work is done and nobody has heard of it.
"""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from workbench.adapters.alpaca_broker import AlpacaTransport, Answer
from workbench.adapters.journal.transactions import Transactions
from workbench.adapters.loopback_clock import LoopbackClock

JOURNAL, CLOCK = "journal", "clock"
#: What a blow makes of the call: None = it goes on as ever.
Blow = Callable[[str], Any]


def strike(at: int, blow: Blow, *, seen: Path | None = None, only: Collection[str] = ()) -> None:
    """Deliver the blow at a boundary of this process, from now on counted from 0.

    Parameters
    ----------
    at : int
        -1 = never.
    blow : callable (name of the call) -> object
        Called once. What it returns, if anything, is the call's result.
    seen : Path or None
        Where the name of each call is written, one a line.
    only : collection of str
        Names of the calls that count; none = all.
    """
    count = 0

    def around(name: str, call: Callable[[], Any]) -> Any:
        nonlocal count
        if only and name not in only:
            return call()
        before = count
        count += 2
        if seen is not None:
            with seen.open("a") as file:
                file.write(f"{name}\n")
        instead = blow(name) if before == at else None
        if instead is not None:
            return instead
        result = call()
        instead = blow(name) if before + 1 == at else None
        return result if instead is None else instead

    commit, ask, sleep = Transactions._commit, AlpacaTransport.ask, LoopbackClock.sleep_until

    def committed(self: Any, *args: Any) -> Any:
        return around(JOURNAL, lambda: commit(self, *args))

    def asked(self: Any, method: str, path: str, fields: Any = None) -> Answer:
        answer: Answer = around(f"{method} {path}", lambda: ask(self, method, path, fields))
        return answer

    def slept(self: Any, at_ns: int) -> None:
        if at_ns > self.now_ns():
            around(CLOCK, lambda: sleep(self, at_ns))

    Transactions._commit = committed  # type: ignore[method-assign]
    AlpacaTransport.ask = asked  # type: ignore[method-assign]
    LoopbackClock.sleep_until = slept  # type: ignore[method-assign]


def die(name: str) -> None:
    """The process is gone, without a word."""
    os.kill(os.getpid(), signal.SIGKILL)


def pause(name: str) -> None:
    """The process stands still until somebody continues it."""
    os.kill(os.getpid(), signal.SIGSTOP)


def fill_the_disk(name: str) -> None:
    """From now on no file of this process grows."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, 1))


def no_answer(name: str) -> Any:
    """The answer to this call is lost, or it never left; a journal and a clock always answer."""
    return None if name in (JOURNAL, CLOCK) else Answer(0, words="no answer: ReadTimeout")
