"""The rule: what closed well below its mean of ten sessions comes part of the way back."""

import numpy as np

from workbench.extending import Window, mean, strategy

STRENGTH = 0.2  #: share of the gap that is expected to close within the horizon
MOST = 0.05  #: no forecast beyond five per cent, whatever the gap


@strategy(
    "own_strategy",
    lookback=10,
    horizon_sessions=5,
    meaning="a fifth of the gap below the 10-session mean comes back within a week",
)
def forecast(window: Window) -> np.ndarray:
    """Expected return over five sessions as a fraction, one value a symbol.

    The window holds exactly ten rows, the described session last; each of its arrays is (rows, symbols).
    """
    gap = mean(window.close) / window.close[-1] - 1.0
    return np.clip(STRENGTH * gap, -MOST, MOST)
