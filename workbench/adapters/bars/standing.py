"""Panels that stand: the same question has the same answer until something more is known."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from workbench.core.types import Bars

#: Questions whose last answer is kept; a session asks few different ones.
KEPT_PANELS = 8


@dataclass(frozen=True)
class Standing:
    """A panel, and the instants as of which it is the answer: from `from_ns` on and before `until_ns`."""

    bars: Bars
    from_ns: int
    until_ns: int


class StandingPanels:
    """The last panel of a few questions, each with the span of `as_of_ns` in which nothing new was known.

    A desk that decides every minute on daily bars, or looks at an order once more before it leaves, asks
    for the same panel hundreds of times a day. A question names the state of the store, so a commit of
    any process ends what was kept.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Any, ...], Standing] = OrderedDict()

    def found(self, question: tuple[Any, ...], as_of_ns: int) -> Bars | None:
        """The panel as of an instant, when the last answer to this question stands then."""
        last = self._kept.get(question)
        if last is None or not last.from_ns <= as_of_ns < last.until_ns:
            return None
        self._kept.move_to_end(question)
        return last.bars

    def keep(self, question: tuple[Any, ...], bars: Bars, from_ns: int, until_ns: int) -> None:
        """Remember an answer; the one that was asked for longest ago is let go."""
        self._kept[question] = Standing(bars, from_ns, until_ns)
        self._kept.move_to_end(question)
        while len(self._kept) > KEPT_PANELS:
            self._kept.popitem(last=False)
