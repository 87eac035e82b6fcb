"""What this rule promises beyond the contract; the contract: `pytest --pyargs workbench.testing`."""

import numpy as np
from own_strategy.rule import MOST, forecast

from workbench.extending import Window


def window(closes: list[float]) -> Window:
    column = np.array(closes)[:, None]
    return Window(column, column, column, column, np.full_like(column, 1e6))


def test_what_fell_is_expected_to_come_back() -> None:
    (value,) = forecast(window([100.0] * 9 + [90.0]))
    assert 0.0 < value <= MOST


def test_a_price_that_does_not_move_is_expected_to_stay() -> None:
    assert forecast(window([100.0] * 10)).tolist() == [0.0]


def test_no_gap_is_believed_beyond_the_limit() -> None:
    assert forecast(window([100.0] * 9 + [1.0])).tolist() == [MOST]
