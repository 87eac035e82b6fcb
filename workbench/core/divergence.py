"""Why two runs of a strategy earned differently: additive causes, and the first decision that differs.

A difference belongs to the *first* stage at which the two sides differ: data, features, forecast, policy
(targets), controls (what was denied), fills (what was not filled, and prices), timing (prices of fills at
another time). Positions after trading are target - denied - unfilled on both sides, so the difference of two
positions is a sum over stages, and so is what it earns. Whole numbers throughout: the causes sum to the
difference exactly.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.core.types import MICRO, Floats

if TYPE_CHECKING:
    import pandas as pd

CAUSES = ("data", "features", "forecast", "policy", "controls", "fills", "timing")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What one side did in one symbol and session.

    Attributes
    ----------
    session, symbol : str
    inputs, features : str
        Hashes of what the decision saw and of the code of its features.
    forecast_micro, target_shares : int
    denied_shares : int
        Part of the wanted change that the controls refused, signed.
    filled_shares : int
        Signed.
    spent_micro : int
        Signed shares times price over all fills, without fees.
    fee_micro : int
    filled_ns : int
        Time of the last fill; 0 = none.
    position_shares : int
        After the session.
    mark_micro : int
        Price at the session's close; the same on both sides.
    """

    session: str
    symbol: str
    inputs: str
    features: str
    forecast_micro: int
    target_shares: int
    denied_shares: int
    filled_shares: int
    spent_micro: int
    fee_micro: int
    filled_ns: int
    position_shares: int
    mark_micro: int


@dataclass(frozen=True, eq=False)
class Explanation:
    """A difference in what two runs earned, by cause.

    Attributes
    ----------
    total_micro : int
        The second run's profit less the first one's, account currency micros.
    by_cause_micro : mapping of str to int
        One entry for each of `CAUSES`; they sum to the total.
    first : str
        The first decision that differs, with its stage; "" = none does.
    by_session : mapping of str to mapping of str to int
        The same causes session by session.
    """

    total_micro: int
    by_cause_micro: Mapping[str, int]
    first: str
    by_session: Mapping[str, Mapping[str, int]]

    @property
    def frame(self) -> pd.DataFrame:
        """One row a session, one column a cause, account currency."""
        import pandas as pd

        index = pd.Index(list(self.by_session), name="session")
        rows = [[gains[cause] / MICRO for cause in CAUSES] for gains in self.by_session.values()]
        return pd.DataFrame(rows, index=index, columns=list(CAUSES))

    def __repr__(self) -> str:
        parts = ", ".join(f"{cause} {self.by_cause_micro[cause] / MICRO:,.2f}" for cause in CAUSES)
        first = self.first or "no decision differs"
        return f"<difference {self.total_micro / MICRO:,.2f}: {parts}; {first}>"

    def _repr_html_(self) -> str:
        return html.escape(repr(self))


def stage_of(ours: Cell, theirs: Cell) -> str:
    """The first stage at which two decisions differ; "" = they are the same as far as fills go."""
    for name, stage in (
        ("inputs", "data"), ("features", "features"), ("forecast_micro", "forecast"),
        ("target_shares", "policy"), ("denied_shares", "controls"),
    ):  # fmt: skip
        if getattr(ours, name) != getattr(theirs, name):
            return stage
    same = all(
        getattr(ours, name) == getattr(theirs, name)
        for name in ("filled_shares", "spent_micro", "fee_micro", "position_shares")
    )
    return "" if same else "fills"


def explain(ours: Sequence[Cell], theirs: Sequence[Cell]) -> Explanation:
    """The second run's profit less the first one's, by cause.

    Parameters
    ----------
    ours, theirs : sequence of Cell
        Both sides of the same sessions and symbols, from flat books on or from equal ones.

    Raises
    ------
    ValueError
        The sides do not cover the same sessions and symbols, one stands twice, or marks differ.

    Notes
    -----
    A target that differs while data, features and forecast are the same is the policy's: it holds another
    position or equity. Splits between two sessions are not known here: compare within one set of terms.
    """
    pairs = _paired(ours, theirs)
    by_session: dict[str, dict[str, int]] = {}
    carried: dict[str, dict[str, int]] = {}
    marks: dict[str, int] = {}
    first = ""
    for (session, symbol), (mine, other) in pairs.items():
        stage = stage_of(mine, other)
        if stage and not first:
            first = f"{symbol} in {session}: {stage}"
        gains = by_session.setdefault(session, dict.fromkeys(CAUSES, 0))
        before = carried.get(symbol, dict.fromkeys(CAUSES, 0))
        moved = mine.mark_micro - marks.get(symbol, mine.mark_micro)
        after = _position_by_cause(mine, other, stage)
        base = _price(mine) or _price(other)
        rest = _traded(other) - _traded(mine)
        for cause in CAUSES:
            change = (after[cause] - before[cause]) * (mine.mark_micro - base) if base else 0
            gains[cause] += before[cause] * moved + change
            rest -= change
        gains["timing" if mine.filled_ns and other.filled_ns not in (0, mine.filled_ns) else "fills"] += rest
        carried[symbol], marks[symbol] = after, mine.mark_micro
    totals = {cause: sum(gains[cause] for gains in by_session.values()) for cause in CAUSES}
    return Explanation(sum(totals.values()), totals, first, by_session)


def smallest_detectable_loss(differences: Floats, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """The mean paired loss that so many sessions can tell from none, in units of the differences.

    Parameters
    ----------
    differences : float64 (sessions,)
        Daily return of one run less that of the other.
    alpha, power : float
        One-sided error, and the chance to find a loss of that size.

    Returns
    -------
    float
        (z of alpha + z of power) x standard error; infinite with fewer than two sessions.
    """
    if len(differences) < 2:
        return float("inf")
    return _reach(alpha, power) * float(np.std(differences, ddof=1)) / float(np.sqrt(len(differences)))


def detectable_loss(
    sessions: Sequence[int], *, daily_deviation_bps: float, alpha: float = 0.05, power: float = 0.8
) -> list[float]:
    """The smallest mean paired loss that so many sessions can tell from none, bps a session.

    Parameters
    ----------
    sessions : sequence of int
        Numbers of sessions, each at least 1.
    daily_deviation_bps : float
        Standard deviation of the daily difference between the two runs.
    alpha, power : float
        One-sided error, and the chance to find a loss of that size.

    Examples
    --------
    >>> import workbench as wb
    >>> [round(loss, 1) for loss in wb.overfitting.detectable_loss([60, 250], daily_deviation_bps=20.0)]
    [6.4, 3.1]
    """
    if min(sessions, default=0) < 1 or not daily_deviation_bps > 0.0:
        raise ValueError("sessions must be at least 1, and the deviation above 0")
    reach = _reach(alpha, power)
    return [reach * daily_deviation_bps / float(np.sqrt(count)) for count in sessions]


def _reach(alpha: float, power: float) -> float:
    from scipy.stats import norm

    return float(norm.ppf(1.0 - alpha) + norm.ppf(power))


def _paired(ours: Sequence[Cell], theirs: Sequence[Cell]) -> dict[tuple[str, str], tuple[Cell, Cell]]:
    mine = {(cell.session, cell.symbol): cell for cell in ours}
    other = {(cell.session, cell.symbol): cell for cell in theirs}
    if len(mine) != len(ours) or len(other) != len(theirs):
        raise ValueError("a session and symbol stands twice on one side")
    if apart := sorted(mine.keys() ^ other.keys()):
        raise ValueError(f"only one side has {apart[0][1]} in {apart[0][0]}, and {len(apart) - 1} more")
    for key in mine:
        if mine[key].mark_micro != other[key].mark_micro:
            raise ValueError(f"the two sides mark {key[1]} in {key[0]} at different prices")
    return {key: (mine[key], other[key]) for key in sorted(mine)}


def _position_by_cause(mine: Cell, other: Cell, stage: str) -> dict[str, int]:
    """Difference of the two positions after trading, by cause: target - denied - unfilled on each side."""
    found = dict.fromkeys(CAUSES, 0)
    wanted = other.target_shares - mine.target_shares
    found[stage if wanted and stage in CAUSES[:4] else "policy"] += wanted
    found["controls"] -= other.denied_shares - mine.denied_shares
    found["fills"] += other.position_shares - mine.position_shares - sum(found.values())
    return found


def _price(cell: Cell) -> int:
    return round(cell.spent_micro / cell.filled_shares) if cell.filled_shares else 0


def _traded(cell: Cell) -> int:
    """What the session's trades had earned at its close, fees off."""
    return cell.filled_shares * cell.mark_micro - cell.spent_micro - cell.fee_micro
