"""The table of measures: what each means, from when on it is a note, a warning or a block, and what stops.

A block stops new risk only: the machine places a halt that lets reductions pass, and a person lifts it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from workbench.errors import UsageError


class Level(StrEnum):
    """How far a measure is from what it should be, in rising order.

    "unknown" is no all-clear: it was looked for and could not be judged.
    """

    OK = "ok"
    UNKNOWN = "unknown"
    NOTE = "note"
    WARN = "warn"
    BLOCK = "block"

    @property
    def rank(self) -> int:
        """0 to 4: the larger, the worse."""
        return list(Level).index(self)


#: What a block stops: the model that decides, or the strategy whatever its model is.
MODEL, STRATEGY = "model", "strategy"
#: Measures of single streams carry the stream's own name after this word.
STREAM: Final = "stream."


@dataclass(frozen=True)
class Rule:
    """One measure: its name is "group.what".

    Attributes
    ----------
    name, unit, meaning : str
    note, warn, block : float
        The level holds beyond the bound; infinite = this measure never is so bad.
    below : bool
        Whether small values are the bad ones.
    stops : {"", "model", "strategy"}
        What a block takes the permission to open risk from; "" = it never blocks.
    unknown : Level
        What is made of a value that is not known.
    """

    name: str
    unit: str
    meaning: str
    note: float = math.inf
    warn: float = math.inf
    block: float = math.inf
    below: bool = False
    stops: str = ""
    unknown: Level = Level.UNKNOWN

    @property
    def group(self) -> str:
        """The first word of the name."""
        return self.name.partition(".")[0]

    def level(self, value: float | None) -> Level:
        """What a value is; None and NaN are not known."""
        if value is None or math.isnan(value):
            return self.unknown
        sign = -1.0 if self.below else 1.0
        for level, bound in ((Level.BLOCK, self.block), (Level.WARN, self.warn), (Level.NOTE, self.note)):
            if math.isfinite(bound) and sign * value > sign * bound:
                return level
        return Level.OK


_TABLE: Final = (
    Rule("data.behind", "sessions", "Sessions since the last bar of the worst symbol.",
         warn=0.0, block=2.0, stops=STRATEGY, unknown=Level.WARN),
    Rule("data.gaps", "share", "Bars missing or implausible within the last 60 sessions.",
         note=0.0, warn=0.02, block=0.25, stops=STRATEGY, unknown=Level.WARN),
    Rule("data.repeated", "symbols", "Symbols whose close has not moved for five sessions.",
         note=0.0, warn=1.0),
    Rule("data.jump", "usual days", "Largest move of a close, in standard deviations of the 60 before.",
         note=5.0, warn=8.0),
    Rule("data.revised", "bars", "Bars of the last 60 sessions that differ from what the decision saw.",
         note=0.0, warn=5.0),
    Rule("data.feed_changed", "0 or 1", "The source of bars or quotes is not that of the session before.",
         warn=0.0),
    Rule("data.quotes_refused", "share", "Orders denied for a missing, old, crossed or jumping quote.",
         note=0.05, warn=0.5),
    Rule("features.missing", "share", "Features without a value at the decision.",
         note=0.0, warn=0.05, block=0.5, stops=MODEL, unknown=Level.WARN),
    Rule("features.alarms", "streams", "Streams of features or forecasts whose detector alarmed.", warn=0.0),
    Rule("inputs.shift_sd", "scores", "Largest change of the mean of an input that has drifted.",
         stops=MODEL),
    Rule("inputs.recent", "scores",
         "Largest mean over 20 sessions of an input whose detector alarmed within them.", stops=MODEL),
    Rule("inputs.spread", "scores", "Largest change of the variance of an input that has drifted.",
         stops=MODEL),
    Rule("inputs.missing", "share", "Largest rise of the missing share of an input that has drifted.",
         stops=MODEL),
    Rule("forecasts.missing", "share", "Symbols without a forecast.",
         note=0.0, warn=0.2, block=0.8, stops=MODEL, unknown=Level.NOTE),
    Rule("forecasts.calibration", "scores", "Stated against realised chances of a gain, either way.",
         note=2.0, warn=3.0),
    Rule("labels.overdue", "sessions", "Sessions for which the oldest label is overdue.",
         warn=0.0, block=5.0, stops=MODEL),
    Rule("labels.hit_rate", "scores", "Forecasts of the right sign, against one half.",
         note=-1.64, warn=-2.6, below=True),
    Rule("labels.residual", "scores", "Realised less forecast return, either way.", note=2.0, warn=3.0),
    Rule("execution.turnover", "of equity", "Value traded in the session.", note=0.5, warn=1.0),
    Rule("execution.cost_beyond", "bps", "Realised less predicted cost of the session's fills; one day is "
         "mostly noise, the calibration's own chart judges many.", note=50.0, warn=250.0),
    Rule("execution.fill_rate", "share", "Shares filled of shares sent.", note=0.5, below=True),
    Rule("execution.rejected", "share", "Orders that the venue rejected, of those sent.",
         note=0.0, warn=0.1, block=0.5, stops=STRATEGY),
    Rule("execution.denied", "share", "Orders that our own controls denied.", note=0.5, warn=0.9),
    Rule("execution.latency", "s", "From the scheduled decision to the last order sent for it.",
         note=60.0, warn=300.0),
    Rule("exposure.gross", "of its limit",
         "Positions, un-netted; within a session with working orders at their worst.",
         note=0.9, warn=1.0, block=1.1, stops=STRATEGY, unknown=Level.WARN),
    Rule("exposure.net", "of its limit",
         "Longs less shorts, either way; within a session with working orders at their worst.",
         note=0.9, warn=1.0, block=1.1, stops=STRATEGY, unknown=Level.WARN),
    Rule("exposure.loss", "of its limit", "Fall of equity at current marks since the session began.",
         note=0.5, warn=0.8, block=1.0, stops=STRATEGY, unknown=Level.WARN),
    Rule("machine.over_budget", "stages", "Stages of the session beyond their time budget.",
         note=0.0, warn=3.0),
    Rule("machine.journal_grown", "MB", "Growth of the journal since the session before.",
         note=100.0, warn=1000.0),
    Rule("machine.disk_free", "MB", "Space left on the desk's disk.", note=5000.0, warn=1000.0, below=True),
    Rule("machine.clock_skew", "s", "The venue's clock against ours, either way.", note=0.5, warn=2.0),
    Rule("machine.heartbeat", "s", "Age of the watchdog's last sign of life, where one is required.",
         note=10.0, warn=60.0),
)  # fmt: skip
RULES: Final[Mapping[str, Rule]] = {rule.name: rule for rule in _TABLE}


def rule_of(name: str) -> Rule:
    """The rule of a measure; UsageError for a name that the table does not hold."""
    if name.startswith(STREAM):
        return Rule(name, "scores", "The session's value as a normal score of the reference.")
    if name not in RULES:
        raise UsageError(f"there is no measure {name!r}", next_step="add a rule to the table of measures")
    return RULES[name]
