"""What this feature promises beyond the contract; the contract: `pytest --pyargs workbench.testing`."""

import numpy as np
from own_feature.columns import mean_move

from workbench.extending import Window


def test_it_is_the_mean_absolute_return() -> None:
    close = np.cumprod(np.r_[100.0, np.tile([1.01, 0.98], 5)])[:, None]
    expected = np.abs(np.diff(close[:, 0]) / close[:-1, 0]).mean()
    np.testing.assert_allclose(mean_move(Window(close, close, close, close, close)), [expected])
