"""A death at every journal write, every request and every frame of the stream: the books stay the venue's.

The order path listens to trade updates over a real socket. It dies before or after one of its boundaries,
in process: everything that is neither in the journal nor in the inbox is dropped, and a new life listens with
a new connection. The stream only hints; what it told, half told or never told may change nothing.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.order_line import Killed, Line, order_line
from tests.support.wire import wait_for
from workbench.core.orders import TERMINAL, OrderState
from workbench.core.types import OrderType
from workbench.errors import OutcomeUnknown, StorageFailed
from workbench.services.session import SENDABLE

KINDS = ("journal", "request", "frame")
LEGS: tuple[dict[str, Any], ...] = (
    {"symbol": "AAPL", "order_type": OrderType.MARKET, "limit_micro": 0},
    {"symbol": "IBM", "limit_micro": 1_000_000},
    {"symbol": "MSFT", "order_type": OrderType.MARKET, "limit_micro": 0},
)
#: Lives that one death may need at most.
MOST_LIVES = 3


@dataclass
class Death:
    """Where the process dies: at the n-th boundary of a kind, before or after what happens there.

    `counts` says how often each kind was passed, `orders` which requests were orders; `struck` whether it
    came to that.
    """

    kind: str = ""
    number: int = 0
    after: bool = False
    struck: bool = False
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    orders: list[int] = field(default_factory=list)

    def at(self, kind: str) -> bool:
        """Whether this boundary is the one; a process that has died passes none any more."""
        if self.struck:
            return False
        self.counts[kind] += 1
        return kind == self.kind and self.counts[kind] == self.number

    def around(self, kind: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The call of the thread that trades, with a death before or after it."""

        def guarded(*args: Any, **kwargs: Any) -> Any:
            if self.struck:  # the frame's thread died meanwhile
                raise Killed
            here = self.at(kind)
            if kind == "request" and args[1] == "POST":
                self.orders.append(self.counts[kind])
            if here and not self.after:
                self.struck = True
                raise Killed
            result = call(*args, **kwargs)
            if here:
                self.struck = True
                raise Killed
            return result

        return guarded

    def keeping(self, inbox: Any) -> None:
        """The inbox, with a death that leaves half a line, or a whole one that nobody has read."""
        append = inbox.append

        def guarded(frame: str, *, at_ns: int, generation: int) -> None:
            here = self.at("frame")
            if here and not self.after:
                inbox._file.write(b'{"at_ns": 1, "gener')
            else:
                append(frame, at_ns=at_ns, generation=generation)
            if here:
                self.struck = True
                raise StorageFailed("the process died", next_step="", errno=errno.EIO)

        inbox.append = guarded


def life(line: Line, death: Death) -> None:
    """What one process does: listen, recover, reconcile, send what is not sent, and hear how it ended."""
    stream = line.listen()
    death.keeping(stream._inbox)
    listening = line.listening(stream, silence_s=30.0)
    line.oms.recover()
    assert wait_for(lambda: stream.generation >= 1 or death.struck)
    if death.struck:
        raise Killed
    line.resender.proceed(listening.catch_up)
    for terms in LEGS:
        key = line.intent(**terms).client_order_id
        if key not in line.oms.orders:
            line.intend(**terms)
        if line.oms.orders[key].state in SENDABLE:
            listening.catch_up()
            line.oms.send(key)
    keys = [line.intent(**terms).client_order_id for terms in LEGS]

    def filled() -> bool:
        if stream.wait(0.05) and stream.take():
            listening.poll()
        return (
            all(line.oms.orders[key].state is OrderState.FILLED for key in (keys[0], keys[2])) or death.struck
        )

    if not wait_for(filled):  # the stream may have died with what it knew: the next poll on time tells
        listening.poll()
    if line.oms.orders[keys[1]].state not in TERMINAL:
        line.oms.cancel(keys[1], reason="the end of the program")
    listening.poll()


def run(folder: Path, death: Death) -> list[str]:
    """Every oracle that is broken after a death and the lives that follow it."""
    with order_line(folder) as line:
        commit, asks = line.journal.commit, line.broker._ask
        line.journal.commit = death.around("journal", commit)  # type: ignore[method-assign]
        line.broker._ask = death.around("request", asks)  # type: ignore[method-assign]
        for _ in range(MOST_LIVES):
            try:
                life(line, death)
                break
            except Killed:
                for stream in line.streams:
                    stream.close()
                death = Death()
            except OutcomeUnknown:
                continue
            finally:  # one death a run; the next life and the judges are left alone
                line.journal.commit, line.broker._ask = commit, asks  # type: ignore[method-assign]
        found = [f"break: {one}" for one in line.reconcile()] + line.violations() + list(line.halts)
        if not line.ledger_equal():
            found.append("the books are not the venue's")
        states = [str(order.state) for order in line.oms.orders.values()]
        return found if states == ["FILLED", "CANCELED", "FILLED"] else [*found, f"ended as {states}"]


def every(folder: Path) -> tuple[list[tuple[str, int, bool]], list[int]]:
    """All boundaries of an undisturbed life, each before and after; and which requests were orders."""
    undisturbed = Death()
    assert run(folder, undisturbed) == []
    assert all(undisturbed.counts.values())
    assert len(undisturbed.orders) == len(LEGS)
    places = [(kind, n + 1, after) for kind in KINDS for n in range(undisturbed.counts[kind])
              for after in (False, True)]  # fmt: skip
    return places, undisturbed.orders


def strike(folder: Path, places: list[tuple[str, int, bool]]) -> tuple[int, list[str]]:
    broken, struck = [], 0
    for at, (kind, number, after) in enumerate(places):
        death = Death(kind, number, after)
        (folder / str(at)).mkdir()
        broken += [f"{kind} {number} {'after' if after else 'before'}: {one}"
                   for one in run(folder / str(at), death)]  # fmt: skip
        struck += death.struck
    return struck, broken


@pytest.mark.slow
def test_deaths_beside_the_stream_change_nothing(tmp_path: Path) -> None:
    """Two of each kind; the proof takes them all.

    The requests are orders: SENT is in the journal and it never left, or it left and nobody heard the answer.
    Only a look-up by the same id tells these two apart.
    """
    (tmp_path / "whole").mkdir()
    places, orders = every(tmp_path / "whole")
    sample = [
        [place for place in places if place[0] == kind][part]
        for kind in ("journal", "frame") for part in (len(KINDS), -2)
    ]  # fmt: skip
    sample += [("request", orders[0], False), ("request", orders[-1], True)]
    struck, broken = strike(tmp_path, sample)
    assert broken == []
    assert struck >= len(sample) - 2  # how many frames come before the end is the venue's affair


@pytest.mark.prove
def test_a_death_at_every_boundary_beside_the_stream_changes_nothing(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    (tmp_path / "whole").mkdir()
    places, _ = every(tmp_path / "whole")
    struck, broken = strike(tmp_path, places)
    for kind in KINDS:
        record_property(f"boundaries at a {kind}", sum(place[0] == kind for place in places))
    record_property("deaths", struck)
    assert broken == []
    assert struck > 0.9 * len(places)
