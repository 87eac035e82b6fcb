"""Whether a result hangs on one lucky setting, on cheap trading, on speed, or on a kind of market.

Everything here works on returns in excess of holding all symbols, session by session. The limits are the
project's own conventions, see decision 25: no paper gives them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.core.gates import Gate
from workbench.core.types import Bars, Booleans, Floats

A_YEAR = 252
#: Sessions that a regime needs to be judged.
LEAST_REGIME = 60
_VOLATILITY, _TREND = 21, 63
_NO_VOLUME = 0.5


@dataclass(frozen=True, kw_only=True)
class RobustnessRule:
    """The limits of sensitivity, degradation and capacity.

    Attributes
    ----------
    least_median_kept : float
        Share of the candidate's own Sharpe ratio that the median of its neighbours keeps.
    least_worst_kept : float
        The same of the worst neighbour.
    least_stress_kept : float
        Share that noise in the data and a missing symbol leave.
    most_regime_loss : float
        Mean loss in the worst regime, in units of the candidate's own mean gain.
    participation_quantile : float
        Orders up to this quantile keep within the desk's limit of participation.
    """

    least_median_kept: float = 0.5
    least_worst_kept: float = 0.0
    least_stress_kept: float = 0.5
    most_regime_loss: float = 1.0
    participation_quantile: float = 0.95


RULE = RobustnessRule()


def annual_sharpe(excess: Floats) -> float:
    """Annual Sharpe ratio of daily returns; 0 where they never vary, NaN without rows."""
    if not len(excess):
        return float("nan")
    deviation = float(np.std(excess, ddof=1)) if len(excess) > 1 else 0.0
    return float(np.mean(excess)) / deviation * float(np.sqrt(A_YEAR)) if deviation > 0.0 else 0.0


def sensitivity_gate(own: float, neighbours: Mapping[str, float], *, rule: RobustnessRule = RULE) -> Gate:
    """Whether the candidate stands on a plateau: its neighbours keep a share of its Sharpe ratio.

    Parameters
    ----------
    own : float
        Annual Sharpe ratio of the candidate in excess of holding.
    neighbours : mapping of str to float
        The same of every setting next to its own, by name.
    """
    found = np.array(list(neighbours.values()), dtype=np.float64)
    evidence = f"walk-forward of {len(found)} neighbouring settings"
    if not len(found) or not np.isfinite([own, *found]).all():
        return Gate(name="sensitivity", evidence=evidence, reasons=("its neighbours cannot be judged",))
    median, worst = float(np.median(found)), float(found.min())
    worst_name = min(neighbours, key=lambda name: neighbours[name])
    reasons = []
    if not own > 0.0:
        reasons.append(f"its own Sharpe ratio in excess of holding is {own:.2f}: there is no plateau to find")
    elif not median >= rule.least_median_kept * own:
        reasons.append(
            f"its neighbours keep {median / own:.0%} of its Sharpe ratio, less than "
            f"{rule.least_median_kept:.0%}: it stands on a peak"
        )
    if not worst >= rule.least_worst_kept * max(own, 0.0):
        reasons.append(f"with {worst_name} its Sharpe ratio is {worst:.2f}")
    numbers: dict[str, float | int | str] = {
        "own": own,
        "median of neighbours": median,
        "worst": worst,
        "worst setting": worst_name,
    }
    return Gate(name="sensitivity", evidence=evidence, numbers=numbers, reasons=tuple(reasons))


def degradation_gate(
    own: Floats, stressed: Mapping[str, Floats], regimes: Mapping[str, Booleans], *,
    rule: RobustnessRule = RULE,
) -> Gate:  # fmt: skip
    """Whether the result survives worse trading, worse data and the worst kind of market.

    Parameters
    ----------
    own : float64 (sessions,)
        Daily excess of the candidate, net of the current costs.
    stressed : mapping of str to float64 (sessions,)
        The same under each stress. Names that begin with "noise" or "without" have to keep a share of the
        own Sharpe ratio, the others have to stay above holding.
    regimes : mapping of str to bool (sessions,)
        Sessions of each kind of market; those with too few are named and not judged.
    """
    mean, sharpe = float(np.mean(own)), annual_sharpe(own)
    numbers: dict[str, float | int | str] = {"own": sharpe}
    reasons = [] if sharpe > 0.0 else [f"unstressed it earns no more than holding: {sharpe:.2f}"]
    for name, excess in stressed.items():
        found = annual_sharpe(excess)
        numbers[name] = found
        least = rule.least_stress_kept * sharpe if name.startswith(("noise", "without")) else 0.0
        if not found > max(least, 0.0):
            reasons.append(f"under {name} its Sharpe ratio is {found:.2f}, it has to exceed {least:.2f}")
    for name, rows in regimes.items():
        if rows.sum() < LEAST_REGIME:
            numbers[name] = f"not judged, {int(rows.sum())} sessions"
            continue
        found = float(np.mean(own[rows])) * 1e4
        numbers[f"{name}, bps"] = found
        if not found >= -rule.most_regime_loss * max(mean, 0.0) * 1e4:
            reasons.append(f"in {name} it loses {-found:.2f} bps a session against holding")
    evidence = "forecasts of the walk-forward, traded again under each stress; its own sessions by regime"
    return Gate(name="degradation", evidence=evidence, numbers=numbers, reasons=tuple(reasons))


def capacity_gate(
    participation: Floats, excess_of: Mapping[float, Floats], *, max_participation: float,
    notional_usd: float, rule: RobustnessRule = RULE,
) -> Gate:  # fmt: skip
    """Whether what the book orders could have been traded, and up to which size it still earns.

    Parameters
    ----------
    participation : float64 (orders,)
        Shares of an order of `notional_usd` over the daily volume known then; NaN = no volume.
    excess_of : mapping of float to float64 (sessions,)
        Daily excess at each multiple of the notional, costs of that size included.
    max_participation : float
        The desk's limit.
    """
    evidence = "orders of the book against the volume known then, costs at rising size"
    known = participation[np.isfinite(participation)]
    if len(known) <= _NO_VOLUME * max(len(participation), 1):
        return Gate(
            name="capacity", evidence=evidence, numbers={"rows with volume": len(known)},
            reasons=("no volume: nobody can say what could have been traded",),
        )  # fmt: skip
    share = float(np.quantile(known, rule.participation_quantile))
    fits = {
        times: annual_sharpe(excess) for times, excess in excess_of.items()
        if times * share <= max_participation
    }  # fmt: skip
    earning = [times for times, sharpe in fits.items() if sharpe > 0.0]
    reasons = []
    if not share <= max_participation:
        reasons.append(f"its orders take {share:.2%} of the volume, the desk allows {max_participation:.2%}")
    elif 1.0 not in earning:
        reasons.append("at its own size it earns no more than holding")
    numbers = {
        "participation": share, "most participation": max_participation, "order, USD": notional_usd,
        "capacity of one order, USD": notional_usd * max(earning, default=0.0),
    }  # fmt: skip
    return Gate(name="capacity", evidence=evidence, numbers=numbers, reasons=tuple(reasons))


def noisy_bars(bars: Bars, *, fraction: float, seed: int) -> Bars:
    """The bars with every bar's prices moved together by a share of the symbol's own daily volatility.

    Parameters
    ----------
    fraction : float
        Standard deviation of the noise over that of the symbol's daily returns.
    seed : int
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        moves = bars.close[1:] / bars.close[:-1] - 1.0
    finite = np.isfinite(moves)
    known = finite.any(axis=0)  # a symbol without two bars has no volatility to take a share of
    deviation = np.zeros(moves.shape[1])
    deviation[known] = np.nanstd(np.where(finite, moves, np.nan)[:, known], axis=0)
    draw = np.random.default_rng(seed).normal(size=bars.close.shape)
    factor = np.exp(fraction * np.nan_to_num(deviation) * draw)
    return Bars(
        bars.ts_ns, bars.symbols, bars.open * factor, bars.high * factor, bars.low * factor,
        bars.close * factor, bars.volume, bars.tradable,
    )  # fmt: skip


def market_regimes(bars: Bars, rows: Sequence[int]) -> dict[str, Booleans]:
    """Which of the rows are calm or rough, rising or falling, by what was known at each of them.

    The market is the mean return of all symbols; its volatility over 21 sessions is held against its own
    past median, its return over 63 sessions against 0.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        moves = bars.close[1:] / bars.close[:-1] - 1.0
    finite = np.isfinite(moves)
    known = finite.any(axis=1)
    market = np.full(len(bars.close), np.nan)
    market[0] = 0.0
    market[1:][known] = np.nanmean(np.where(finite, moves, np.nan)[known], axis=1)
    market = np.nan_to_num(market)
    rough = np.zeros(len(market), dtype=np.bool_)
    falling = np.zeros(len(market), dtype=np.bool_)
    windows = np.lib.stride_tricks.sliding_window_view(market, min(_VOLATILITY, len(market)))
    volatility = np.concatenate([np.full(len(market) - len(windows), np.nan), windows.std(axis=1)])
    for row in range(len(market)):
        past = volatility[max(0, row - A_YEAR * 2) : row]
        past = past[np.isfinite(past)]
        rough[row] = bool(len(past) and volatility[row] > np.median(past))
        falling[row] = float(market[max(0, row - _TREND + 1) : row + 1].sum()) < 0.0
    at = np.asarray(rows, dtype=np.int64)
    return {
        "calm and rising": ~rough[at] & ~falling[at],
        "calm and falling": ~rough[at] & falling[at],
        "rough and rising": rough[at] & ~falling[at],
        "rough and falling": rough[at] & falling[at],
    }


def participation_of(bars: Bars, rows: Sequence[int], *, notional_usd: float, window: int) -> Floats:
    """Shares of an order of that value over the mean daily volume of the window, flat; NaN = not known.

    Parameters
    ----------
    rows : sequence of int
        Positions of the bars at whose close an order could be decided.
    window : int
        Bars that the mean volume rests on, the row's own included.
    """
    volume = np.where(bars.tradable & (bars.volume > 0.0), bars.volume, np.nan)
    price = np.where(bars.tradable & (bars.close > 0.0), bars.close, np.nan)
    found = []
    for row in rows:
        if row + 1 < window:
            continue
        found.append(notional_usd / price[row] / volume[row - window + 1 : row + 1].mean(axis=0))
    return np.concatenate(found) if found else np.empty(0)
