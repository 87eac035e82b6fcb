"""Labels look ahead by sessions, say when they are known, and are missing where a bar is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.labels import forward_return, label_end_ns
from workbench.core.types import DAY_NS, MISSING, Bars

# Thursday, Friday, Monday (a holiday lies between), Tuesday, Wednesday
DAYS = np.array([0, 1, 4, 5, 6])


def panel(close, days=None):
    close = np.asarray(close, dtype=np.float64)
    ts_ns = (np.arange(len(close)) if days is None else days) * DAY_NS + 1
    return Bars(
        ts_ns, tuple(f"S{i}" for i in range(close.shape[1])), close, close, close, close, np.ones_like(close),
        np.isfinite(close),
    )  # fmt: skip


def test_a_label_counts_sessions_not_calendar_days():
    bars = panel([[100.0], [110.0], [121.0], [100.0], [50.0]], DAYS)
    assert forward_return(bars, 1)[:, 0].tolist()[:4] == pytest.approx([0.1, 0.1, -21 / 121, -0.5])
    assert label_end_ns(bars, 1).tolist() == [
        DAY_NS + 1,
        4 * DAY_NS + 1,
        5 * DAY_NS + 1,
        6 * DAY_NS + 1,
        MISSING,
    ]


@given(st.integers(1, 12), st.integers(0, 1_000))
def test_labels_equal_the_slow_version(horizon, seed):
    close = np.random.default_rng(seed).uniform(10, 20, (8, 3))
    close[seed % 8, seed % 3] = np.nan
    bars = panel(close)
    labels, ends = forward_return(bars, horizon), label_end_ns(bars, horizon)
    for t in range(8):
        known = t + horizon < 8
        assert ends[t] == (bars.ts_ns[t + horizon] if known else MISSING)
        for i in range(3):
            expected = close[t + horizon, i] / close[t, i] - 1 if known else np.nan
            np.testing.assert_equal(labels[t, i], expected)


def test_a_label_says_that_it_uses_the_future():
    assert forward_return.uses_future


def test_a_bar_that_is_not_tradable_gives_no_label():
    bars = panel([[100.0], [110.0], [121.0]])
    bars.tradable[1, 0] = False
    assert np.isnan(forward_return(bars, 1)).all()


@pytest.mark.parametrize("horizon", [0, -1])
def test_a_horizon_lies_ahead(horizon):
    bars = panel([[1.0], [2.0]])
    with pytest.raises(ValueError, match="horizon"):
        forward_return(bars, horizon)
    with pytest.raises(ValueError, match="horizon"):
        label_end_ns(bars, horizon)
