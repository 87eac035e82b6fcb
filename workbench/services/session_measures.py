"""What one session looked like in the records: data, orders, exposure and labels, each as judged measures."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from workbench.core.monitoring import Measure, Outcome, measure, overdue_sessions
from workbench.core.monitoring.outcomes import calibration_score, hit_score, residual_score
from workbench.core.orders import OrderState
from workbench.core.types import BPS, MICRO, NANO, Bars, Floats

#: Sessions of bars that are looked back over.
LOOK_BACK: Final = 60
#: Sessions of forecasts whose labels are judged.
LABEL_SESSIONS: Final = 250
_REPEATS: Final = 5
Row = Mapping[str, Any]


@dataclass(frozen=True)
class HostFacts:
    """What the records do not say: the machine, as it was when the session was measured.

    Attributes
    ----------
    feed : str
        Where bars and quotes come from.
    journal_bytes, free_bytes : int or None
        Size of the journal's file and space left on its disk; None = not known.
    heartbeat_s : float or None
        Age of the watchdog's last sign of life; None = none is required.
    skew_s : float or None
        The venue's clock less ours; None = they need not agree, or it was not asked.
    """

    feed: str = ""
    journal_bytes: int | None = None
    free_bytes: int | None = None
    heartbeat_s: float | None = None
    skew_s: float | None = None


def data_measures(
    decided: Bars, later: Bars, *, expected_close_ns: int, closes_ns: Sequence[int]
) -> list[Measure]:
    """Gaps, staleness, repeated closes, jumps and revisions.

    Parameters
    ----------
    decided : Bars
        The panel that the decision saw.
    later : Bars
        The same bars as they are known when the session is measured.
    expected_close_ns : int
        End of the bar that the decision should have had.
    closes_ns : sequence of int
        Closes of the exchange's sessions, upwards, up to the expected one.
    """
    if not len(decided.ts_ns):
        names = ("data.behind", "data.gaps", "data.repeated", "data.jump", "data.revised")
        return [measure(name, None, "no bar was known at the decision") for name in names]
    behind = {
        symbol: _behind(decided, at, expected_close_ns, closes_ns)
        for at, symbol in enumerate(decided.symbols)
    }
    latest = max(behind, key=lambda symbol: behind[symbol])
    missing = ~decided.tradable
    holes = int(missing.sum())
    jump, jumper = _largest_jump(decided)
    repeated = _repeated(decided)
    revised, which = _revised(decided, later)
    return [
        measure("data.behind", behind[latest], latest if behind[latest] else ""),
        measure("data.gaps", holes / missing.size, f"{holes} of {missing.size} bars" if holes else ""),
        measure("data.repeated", len(repeated), ", ".join(repeated)),
        measure("data.jump", jump, jumper),
        measure("data.revised", revised, which),
    ]


def _behind(panel: Bars, at: int, expected_ns: int, closes_ns: Sequence[int]) -> float:
    known = panel.ts_ns[panel.tradable[:, at]]
    if not len(known):
        return math.inf
    return float(max(0, bisect_right(closes_ns, expected_ns) - bisect_right(closes_ns, int(known[-1]))))


def _largest_jump(panel: Bars) -> tuple[float, str]:
    """Largest last move of a close in standard deviations of the moves before it, and whose."""
    closes = np.where(panel.tradable, panel.close, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        moves = np.diff(np.log(closes), axis=0)
    best, whose = math.nan, ""
    for at, symbol in enumerate(panel.symbols):
        before = moves[:-1, at][np.isfinite(moves[:-1, at])]
        last = moves[-1, at] if len(moves) else math.nan
        spread = float(before.std(ddof=1)) if len(before) > 20 else 0.0
        if not math.isfinite(last) or not spread > 0.0:
            continue
        size = abs(float(last)) / spread
        if not size <= best:
            best, whose = size, symbol
    return best, whose


def _repeated(panel: Bars) -> list[str]:
    last = panel.close[-_REPEATS:]
    if len(last) < _REPEATS:
        return []
    same = np.isfinite(last).all(axis=0) & (last == last[0]).all(axis=0)
    return [symbol for at, symbol in enumerate(panel.symbols) if same[at]]


def _revised(decided: Bars, later: Bars) -> tuple[float, str]:
    """Bars whose close, or whether there is one, is another now; both panels as printed."""
    if decided.symbols != later.symbols:
        return math.nan, "the panels hold other symbols"
    at = np.searchsorted(later.ts_ns, decided.ts_ns)
    inside = (at < len(later.ts_ns)) & (later.ts_ns[np.minimum(at, len(later.ts_ns) - 1)] == decided.ts_ns)
    then, now = decided.close[inside], later.close[at[inside]]
    differs = ~((then == now) | (np.isnan(then) & np.isnan(now)))
    count = int(differs.sum()) + int((~inside).sum()) * len(decided.symbols)
    symbols = [symbol for place, symbol in enumerate(decided.symbols) if differs[:, place].any()]
    return float(count), ", ".join(symbols)


def feed_measure(feed: str, before: Sequence[Measure]) -> Measure:
    """Whether bars and quotes come from where they came from the session before."""
    earlier = next((one.detail for one in before if one.name == "data.feed_changed"), feed)
    earlier = earlier.rpartition(" to ")[2]
    changed = earlier != feed
    words = f"from {earlier} to {feed}" if changed else feed
    return measure("data.feed_changed", float(changed), words)


def order_measures(orders: Sequence[Row], fills: Sequence[Row], *, equity_micro: int) -> list[Measure]:
    """Turnover, costs, fill and reject rates, denials, latency; nothing ordered is nothing wrong."""
    denied = [row for row in orders if row["state"] == OrderState.DENIED]
    sent = [row for row in orders if row["sent_at_ns"]]
    rejected = [row for row in sent if row["state"] == OrderState.REJECTED]
    quotes = [row for row in denied if "QUOTE_" in (row["reason"] or "")]
    filled = sum(row["quantity_nano"] for row in fills)
    asked = sum(row["quantity_nano"] for row in sent)
    traded = sum(row["quantity_nano"] * row["price_micro"] // NANO for row in fills)
    cost_bps, counted = _cost_beyond(sent, fills)
    late = max((row["sent_at_ns"] - row["scheduled_ns"] for row in sent), default=0)
    count = len(orders)
    return [
        measure("data.quotes_refused", len(quotes) / count if count else 0.0, f"{len(quotes)} of {count}"),
        measure("execution.turnover", traded / equity_micro if equity_micro > 0 else None),
        measure("execution.cost_beyond", cost_bps, f"{counted} fills"),
        measure("execution.fill_rate", filled / asked if asked else 1.0, f"{len(sent)} sent"),
        measure("execution.rejected", len(rejected) / len(sent) if sent else 0.0, _reasons(rejected)),
        measure("execution.denied", len(denied) / count if count else 0.0, _reasons(denied)),
        measure("execution.latency", late / NANO),
    ]


def _reasons(rows: Sequence[Row]) -> str:
    return ", ".join(sorted({str(row["reason"] or "") for row in rows} - {""}))[:200]


def _cost_beyond(sent: Sequence[Row], fills: Sequence[Row]) -> tuple[float, int]:
    """Realised less predicted cost of the fills, weighted by value, bps of the decision price."""
    orders = {row["client_order_id"]: row for row in sent}
    value = beyond = 0.0
    counted = 0
    for fill in fills:
        order = orders.get(fill["client_order_id"])
        if order is None or not order["reference_micro"] or abs(order["expected_cost_micro"]) >= 2**62:
            continue
        side = 1 if fill["side"] == "buy" else -1
        shares, arrival = fill["quantity_nano"] / NANO, order["reference_micro"]
        paid = side * (fill["price_micro"] - arrival) / arrival * BPS
        paid += fill["fee_micro"] / (shares * arrival) * BPS
        beyond += shares * arrival * (paid - order["expected_cost_micro"] / 100)
        value += shares * arrival
        counted += 1
    return (beyond / value if value else (math.nan if fills else 0.0)), counted


def exposure_measures(
    positions_nano: Mapping[str, int],
    closes: Mapping[str, float],
    *,
    gross_limit_usd: float,
    net_limit_usd: float,
) -> list[Measure]:
    """Positions at the close against their limits; a holding without a price is not known."""
    values = [quantity / NANO * closes.get(symbol, math.nan) for symbol, quantity in positions_nano.items()]
    gross, net = math.fsum(map(abs, values)), abs(math.fsum(values))
    unpriced = sorted(symbol for symbol in positions_nano if not math.isfinite(closes.get(symbol, math.nan)))
    words = f"no price of {', '.join(unpriced)}" if unpriced else ""
    return [
        measure(
            "exposure.gross", gross / gross_limit_usd, words or f"{gross:,.0f} of {gross_limit_usd:,.0f} USD"
        ),
        measure("exposure.net", net / net_limit_usd, words or f"{net:,.0f} of {net_limit_usd:,.0f} USD"),
    ]


def machine_measures(alerts: Sequence[Row], host: HostFacts, before: Sequence[Measure]) -> list[Measure]:
    """Stage budgets, growth of the journal, disk, clocks and heartbeat.

    Parameters
    ----------
    alerts : sequence of mapping
        Raised during the session.
    """
    over = [row["text"] for row in alerts if row["code"] == "STAGE_BUDGET"]
    size = None if host.journal_bytes is None else host.journal_bytes / 1e6
    earlier = next((one.detail for one in before if one.name == "machine.journal_grown"), "")
    grown = None if size is None else max(0.0, size - float(earlier.split()[0])) if earlier else 0.0
    skew = None if host.skew_s is None else abs(host.skew_s)
    found = [
        measure("machine.over_budget", len(over), "; ".join(over)[:200]),
        measure("machine.journal_grown", grown, "" if size is None else f"{size:.3f} MB"),
        measure("machine.disk_free", None if host.free_bytes is None else host.free_bytes / 1e6),
    ]
    if skew is not None or any(row["code"] == "CLOCK_SKEW" for row in alerts):
        found.append(measure("machine.clock_skew", skew))
    if host.heartbeat_s is not None:
        found.append(measure("machine.heartbeat", host.heartbeat_s))
    return found


def outcomes_of(
    decisions: Sequence[Row], panel: Bars, *, closes_ns: Sequence[int], horizon: int, as_of_ns: int
) -> list[Outcome]:
    """Every recorded forecast with the label that it was a forecast of.

    A decision before the open forecasts from the close before it; its label ends `horizon` sessions later.

    Parameters
    ----------
    panel : Bars
        Adjusted, as known at `as_of_ns`.
    closes_ns : sequence of int
        Closes of the exchange's sessions, upwards, from before the first decision to at least `horizon`
        sessions beyond the last.
    """
    from scipy.special import ndtr

    rows = {int(at): place for place, at in enumerate(panel.ts_ns)}
    places = {symbol: place for place, symbol in enumerate(panel.symbols)}
    close = np.where(panel.tradable, panel.close, np.nan)
    deviations = _deviations(close, horizon)
    found = []
    for decision in decisions:
        start = bisect_left(closes_ns, decision["scheduled_ns"]) - 1
        if start < 0 or start + horizon >= len(closes_ns):
            continue
        first, last = rows.get(closes_ns[start]), rows.get(closes_ns[start + horizon])
        for row in decision["rows"]:
            place = places.get(row["symbol"])
            if row["forecast_micro"] is None:
                continue
            forecast, realised, chance = row["forecast_micro"] / MICRO, math.nan, math.nan
            if place is not None and first is not None:
                if last is not None:
                    realised = float(close[last, place] / close[first, place]) - 1.0
                if deviations[first, place] > 0.0:
                    chance = float(ndtr(forecast / deviations[first, place]))
            found.append(
                Outcome(
                    decision["session"], row["symbol"], decision["scheduled_ns"], closes_ns[start + horizon],
                    as_of_ns if math.isfinite(realised) else 0, forecast, realised, chance,
                )
            )  # fmt: skip
    return found


def _deviations(close: Floats, horizon: int) -> Floats:
    """Usual move over the horizon at each row: deviation of the 20 daily moves up to it, NaN before."""
    with np.errstate(divide="ignore", invalid="ignore"):
        moves = np.diff(np.log(close), axis=0)
    found = np.full(close.shape, np.nan)
    for row in range(20, len(close)):
        found[row] = moves[row - 20 : row].std(axis=0, ddof=1)
    return found * math.sqrt(float(horizon))


def label_measures(outcomes: Sequence[Outcome], closes_ns: Sequence[int], *, horizon: int) -> list[Measure]:
    """Overdue labels; hit rate, residuals and stated chances in blocks of two horizons."""
    late, whose = overdue_sessions(outcomes, closes_ns)
    block = 2 * horizon
    rate, hit = hit_score(outcomes, block_length=block)
    settled = sum(math.isfinite(one.realised) for one in outcomes)
    words = f"{settled} labels in blocks of {block}"
    return [
        measure("labels.overdue", late, whose),
        measure("labels.hit_rate", hit, "" if math.isnan(rate) else f"{100 * rate:.1f} % of {words}"),
        measure("labels.residual", abs(residual_score(outcomes, block_length=block)), words),
        measure("forecasts.calibration", abs(calibration_score(outcomes, block_length=block)), words),
    ]


def forecast_measure(decisions: Sequence[Row]) -> Measure:
    """Share of symbols that got no forecast in the session's decisions."""
    rows = [row for decision in decisions for row in decision["rows"]]
    none = [row["symbol"] for row in rows if row["forecast_micro"] is None]
    if not rows:
        return measure("forecasts.missing", None, "nothing was decided")
    return measure("forecasts.missing", len(none) / len(rows), ", ".join(sorted(set(none))))
