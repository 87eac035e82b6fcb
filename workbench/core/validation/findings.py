"""What the detectors report: each place where a value knew more, or less, than it should."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from workbench.core.printing import html_table

if TYPE_CHECKING:
    import pandas as pd

#: What each kind of finding means.
KINDS: Mapping[str, str] = {
    "lookahead": "the value differs from the one that was computable when the bar ended",
    "restated": "the value uses a record before it was known",
    "universe": "membership depends on what happened later",
    "fitted": "the transform was fitted on later rows than it claims",
    "label end": "the label still changes after it claims to be settled",
    "label overlap": "the label of a training row reaches into a tested one, or the reverse",
    "uses future": "it says itself that it uses the future",
    "foresight": "the value ranks the next return too well to have come from the past",
    "unstable": "the same call gives another value",
    "order": "equal symbols get different values: the order of the columns decides",
    "value": "the value depends on how much history was loaded",
    "decision": "the decision depends on how much history was loaded",
}


class Finding(NamedTuple):
    """One place where a value is not what it should be.

    Attributes
    ----------
    bar : int
        Row.
    symbol : str
        Column; empty where there are none.
    kind : str
        One of `KINDS`.
    size : float
        Difference in standard deviations of the column; infinite when one of the two values is missing.
        Rank correlation for "foresight", rows touched for "label overlap".
    """

    bar: int
    symbol: str
    kind: str
    size: float


@dataclass(frozen=True)
class LeakReport:
    """Findings of one detector about one thing; empty means clean on these bars.

    Attributes
    ----------
    subject : str
        What was judged.
    findings : tuple of Finding
        Sorted by bar.
    bars_tested : int
        Bars at which a value was compared.
    conventions : mapping of str to object
    """

    subject: str
    findings: tuple[Finding, ...]
    bars_tested: int
    conventions: Mapping[str, object] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        """Whether something was tested and nothing was found."""
        return self.bars_tested > 0 and not self.findings

    @property
    def frame(self) -> pd.DataFrame:
        """One row a finding."""
        import pandas as pd

        return pd.DataFrame(list(self.findings), columns=list(Finding._fields))

    @property
    def summary(self) -> str:
        """One line for a person: clean, or what was found first and how often."""
        if not self.bars_tested:
            return f"{self.subject}: no bar could be tested"
        if not self.findings:
            return f"{self.subject}: clean on {self.bars_tested} bars"
        first = self.findings[0]
        place = f"bar {first.bar}" + (f" of {first.symbol}" if first.symbol else "")
        return (
            f"{self.subject}: {first.kind} at {place} ({KINDS[first.kind]}); "
            f"{len(self.findings)} finding(s) on {self.bars_tested} bars"
        )

    def _repr_html_(self) -> str:
        counts: dict[str, int] = {}
        for one in self.findings:
            counts[one.kind] = counts.get(one.kind, 0) + 1
        facts: dict[str, object] = {"verdict": self.summary, **counts}
        return html_table(self.subject, facts, self.conventions)
