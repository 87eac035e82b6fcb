"""What a model learns to foresee. Labels use the future and say so; no feature computation takes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from workbench.core.types import MISSING, Bars, Floats, Integers


@dataclass(frozen=True)
class ForwardReturn:
    """The label "return of the close over the next `horizon` sessions"; call it as `forward_return`."""

    uses_future: ClassVar[bool] = True
    name: ClassVar[str] = "forward_return"

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


forward_return = ForwardReturn()


def label_end_ns(bars: Bars, horizon: int) -> Integers:
    """Time at which each row's label is known, UTC nanoseconds, int64 (times,).

    A row may train a model only if this time lies before the first row that the model is judged on.
    `MISSING` in the last `horizon` rows, whose labels are not known yet.
    """
    _require_horizon(horizon)
    out = np.full(len(bars.ts_ns), MISSING, dtype=np.int64)
    if horizon < len(out):
        out[:-horizon] = bars.ts_ns[horizon:]
    return out


def _require_horizon(horizon: int) -> None:
    if horizon < 1:
        raise ValueError(f"horizon = {horizon} must be at least one session")
