"""One function a feature; the same function may serve several lookbacks."""

import numpy as np

from workbench.extending import Window, changes, feature, mean


@feature(
    "own_feature",
    lookback=11,
    unit="fraction",
    meaning="mean absolute daily return of ten sessions",
)
def mean_move(window: Window) -> np.ndarray:
    """Mean absolute daily return over the window, one value a symbol."""
    return mean(np.abs(changes(window.close)))
