"""What a model learns to foresee. Labels use the future and say so; no feature computation takes them.

A label counts exchange sessions: one row of the panel is one session, so a weekend or holiday is no step.
Each label says, for every row and symbol, when it is settled; a row may train a model only if that lies
before the first row that the model is judged on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import ClassVar, NamedTuple, Protocol

import numpy as np

from workbench.core.features.market import STATISTICS_ROWS
from workbench.core.types import MISSING, Bars, Floats, Integers

_RETURNS = STATISTICS_ROWS - 1  #: daily returns that a trailing volatility rests on


class LabelledRows(NamedTuple):
    """A label of every row and symbol with the time at which it is settled.

    Attributes
    ----------
    values : float64 (times, symbols)
        NaN where the label is not known, or a bar that it needs is missing.
    end_ns : int64 (times, symbols)
        *End* of the bar that settles it, UTC nanoseconds; `MISSING` where the value is NaN.
    """

    values: Floats
    end_ns: Integers


class Label(Protocol):
    """What training needs of a label; parameters are plain numbers."""

    uses_future: ClassVar[bool]
    name: ClassVar[str]
    unit: ClassVar[str]
    meaning: ClassVar[str]

    def labelled(self, bars: Bars, horizon: int) -> LabelledRows:
        """Value and end of the label of every row, looking `horizon` sessions ahead."""
        ...

    def parameters(self) -> dict[str, float]:
        """What the label depends on besides the horizon, for the manifest."""
        ...


class _WithParameters:
    def parameters(self) -> dict[str, float]:
        """The label's own numbers by name."""
        return {field.name: float(getattr(self, field.name)) for field in fields(self)}  # type: ignore[arg-type]


@dataclass(frozen=True)
class ForwardReturn(_WithParameters):
    """The label "return of the close over the next `horizon` sessions"; call it as `forward_return`."""

    uses_future: ClassVar[bool] = True
    name: ClassVar[str] = "forward_return"
    unit: ClassVar[str] = "fraction"
    meaning: ClassVar[str] = "return of the close over the horizon"

    def __call__(self, bars: Bars, horizon: int) -> Floats:
        """Simple return from each row's close to the close `horizon` rows later, float64 (times, symbols).

        Parameters
        ----------
        bars : Bars
            Adjusted; one row for each exchange session, so a weekend or holiday is no step.
        horizon : int
            Sessions ahead, >= 1.

        Returns
        -------
        float64 (times, symbols)
            NaN in the last `horizon` rows and where either bar is missing.
        """
        _require_horizon(horizon)
        out = np.full(bars.close.shape, np.nan)
        close = np.where(bars.tradable & (bars.close > 0.0), bars.close, np.nan)
        if horizon < len(close):
            out[:-horizon] = close[horizon:] / close[:-horizon] - 1.0
        return out

    def labelled(self, bars: Bars, horizon: int) -> LabelledRows:
        """The return, settled at the close `horizon` sessions later."""
        return _settled_at_horizon(self(bars, horizon), bars, horizon)


@dataclass(frozen=True)
class VolatilityScaledReturn(_WithParameters):
    """The forward return over the volatility that was known when the row was: a return in deviations.

    The divisor is the sample deviation of the last 20 daily returns times sqrt(horizon), so that calm and
    wild symbols count alike in a pooled fit.
    """

    uses_future: ClassVar[bool] = True
    name: ClassVar[str] = "volatility_scaled_return"
    unit: ClassVar[str] = "standard deviations"
    meaning: ClassVar[str] = "return over the horizon over the deviation of 20 daily returns x sqrt(horizon)"

    def labelled(self, bars: Bars, horizon: int) -> LabelledRows:
        """The scaled return, settled at the close `horizon` sessions later."""
        scale = trailing_volatility(bars) * np.sqrt(float(horizon))
        scaled = np.full(scale.shape, np.nan)
        np.divide(forward_return(bars, horizon), scale, out=scaled, where=scale > 0.0)
        return _settled_at_horizon(scaled, bars, horizon)


@dataclass(frozen=True)
class TripleBarrier(_WithParameters):
    """The return until the first of three barriers: a gain, a loss, or the end of the horizon.

    After López de Prado (2018), "Advances in Financial Machine Learning", chapter 3. The barriers lie
    `gain_multiple` and `loss_multiple` times trailing volatility x sqrt(horizon) from the row's close.
    They are touched by highs and lows from the *next* session on. Every tie is settled against us: a bar
    that touches both counts as the loss, and an open beyond the loss settles at that worse open, while an
    open beyond the gain settles at the barrier only.

    Attributes
    ----------
    gain_multiple, loss_multiple : float, > 0
        Distance of the barriers in deviations over the horizon.
    """

    uses_future: ClassVar[bool] = True
    name: ClassVar[str] = "triple_barrier"
    unit: ClassVar[str] = "fraction"
    meaning: ClassVar[str] = (
        "return until the first touch of a gain or a loss of one deviation over the horizon, or its end; "
        "a bar that touches both counts as the loss"
    )
    gain_multiple: float = 1.0
    loss_multiple: float = 1.0

    def __post_init__(self) -> None:
        for name in ("gain_multiple", "loss_multiple"):
            if not 0.0 < getattr(self, name) < 1e6:
                raise ValueError(f"{name} = {getattr(self, name)} must be greater than 0 and finite")

    def labelled(self, bars: Bars, horizon: int) -> LabelledRows:
        """The return at the first touch, settled at the end of the bar that touched.

        A row is missing when its volatility is not known, or a bar that it needs until the touch is
        missing or lies behind the panel's end. The touching bar counts as needed, the later ones do not.
        """
        _require_horizon(horizon)
        width = trailing_volatility(bars) * np.sqrt(float(horizon))
        complete = np.isfinite(bars.open) & np.isfinite(bars.high) & np.isfinite(bars.low)
        present = bars.tradable & complete & (bars.close > 0.0)
        close = np.where(present, bars.close, np.nan)
        values = np.full(close.shape, np.nan)
        end_ns = np.full(close.shape, MISSING, dtype=np.int64)
        waiting = np.isfinite(close) & (width > 0.0)
        for ahead in range(1, min(horizon, len(close) - 1) + 1):
            base, at = close[:-ahead], slice(ahead, None)
            gain, loss = self.gain_multiple * width[:-ahead], -self.loss_multiple * width[:-ahead]
            opened, lowest = bars.open[at] / base - 1.0, bars.low[at] / base - 1.0
            highest = bars.high[at] / base - 1.0
            seen = waiting[:-ahead] & present[at]
            lost = seen & (lowest <= loss)
            won = seen & ~lost & (highest >= gain)
            ended = seen & ~lost & ~won & (ahead == horizon)
            found = np.where(lost, np.minimum(loss, opened), np.where(won, gain, close[at] / base - 1.0))
            done = lost | won | ended
            values[:-ahead][done] = found[done]
            end_ns[:-ahead][done] = np.broadcast_to(bars.ts_ns[at][:, None], done.shape)[done]
            waiting[:-ahead] &= seen & ~done  # a missing bar ends the wait: what it did is not known
        return LabelledRows(values, end_ns)


forward_return = ForwardReturn()

#: Every label by name, with its default parameters.
LABELS: Mapping[str, Label] = MappingProxyType(
    {label.name: label for label in (forward_return, VolatilityScaledReturn(), TripleBarrier())}
)


def label_end_ns(bars: Bars, horizon: int) -> Integers:
    """Time at which each row's forward return is known, UTC nanoseconds, int64 (times,).

    A row may train a model only if this time lies before the first row that the model is judged on.
    `MISSING` in the last `horizon` rows, whose labels are not known yet.
    """
    _require_horizon(horizon)
    out = np.full(len(bars.ts_ns), MISSING, dtype=np.int64)
    if horizon < len(out):
        out[:-horizon] = bars.ts_ns[horizon:]
    return out


def trailing_volatility(bars: Bars) -> Floats:
    """Sample deviation of the last 20 daily returns known at each row, float64 (times, symbols).

    NaN where one of the 21 bars is missing.
    """
    close = np.where(bars.tradable & (bars.close > 0.0), bars.close, np.nan)
    out = np.full(close.shape, np.nan)
    returns = close[1:] / close[:-1] - 1.0
    for row in range(_RETURNS, len(close)):
        window = returns[row - _RETURNS : row]
        away = window - np.add.accumulate(window, axis=0)[-1] / _RETURNS
        out[row] = np.sqrt(np.add.accumulate(away * away, axis=0)[-1] / (_RETURNS - 1))
    return out


def _settled_at_horizon(values: Floats, bars: Bars, horizon: int) -> LabelledRows:
    ends = np.broadcast_to(label_end_ns(bars, horizon)[:, None], values.shape)
    return LabelledRows(values, np.where(np.isfinite(values), ends, MISSING))


def _require_horizon(horizon: int) -> None:
    if horizon < 1:
        raise ValueError(f"horizon = {horizon} must be at least one session")
