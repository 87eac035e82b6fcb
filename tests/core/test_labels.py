"""Labels look ahead by sessions, say when they are known, and are missing where a bar is."""

import math
import statistics
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.labels import LABELS, TripleBarrier, forward_return, label_end_ns
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


# --- every label --------------------------------------------------------------------------------------


def moving(seed, rows=70, symbols=3, sigma=0.02):
    draw = np.random.default_rng(seed)
    close = 50.0 * np.cumprod(1.0 + draw.normal(0.0, sigma, (rows, symbols)), axis=0)
    above, below = (close * draw.uniform(0.0, 1.5 * sigma, close.shape) for _ in range(2))
    opening = close - below + (above + below) * draw.uniform(0.0, 1.0, close.shape)
    days = np.cumsum(draw.integers(1, 5, rows))  # weekends and holidays of any length
    present = draw.uniform(size=close.shape) > 0.01
    return Bars(
        days * DAY_NS + 1, tuple(f"S{i}" for i in range(symbols)), opening, close + above, close - below,
        close, np.ones_like(close), present,
    )  # fmt: skip


def slow_volatility(bars, t, i):
    if t < 20 or not bars.tradable[t - 20 : t + 1, i].all():
        return None
    return statistics.stdev((bars.close[t - 19 : t + 1, i] / bars.close[t - 20 : t, i] - 1.0).tolist())


def slow_triple_barrier(bars, t, i, horizon, gain_multiple, loss_multiple):
    """(value, end) by walking one path, bar by bar; (nan, MISSING) when it is not known."""
    sigma = slow_volatility(bars, t, i)
    unknown = (np.nan, MISSING)
    if sigma is None:
        return unknown
    width = sigma * math.sqrt(horizon)
    base = bars.close[t, i]
    for s in range(t + 1, t + horizon + 1):
        if s >= len(bars.ts_ns) or not bars.tradable[s, i]:
            return unknown
        if bars.low[s, i] / base - 1 <= -loss_multiple * width:
            return min(-loss_multiple * width, bars.open[s, i] / base - 1), bars.ts_ns[s]
        if bars.high[s, i] / base - 1 >= gain_multiple * width:
            return gain_multiple * width, bars.ts_ns[s]
    return bars.close[t + horizon, i] / base - 1, bars.ts_ns[t + horizon]


@given(st.integers(1, 12), st.integers(0, 1_000), st.floats(0.2, 2.0), st.floats(0.2, 2.0))
def test_triple_barrier_equals_the_slow_walk(horizon, seed, gain, loss):
    bars = moving(seed)
    values, ends = TripleBarrier(gain, loss).labelled(bars, horizon)
    for t in range(len(bars.ts_ns)):
        for i in range(3):
            value, end = slow_triple_barrier(bars, t, i, horizon, gain, loss)
            np.testing.assert_allclose(values[t, i], value, rtol=1e-9, atol=1e-12)
            assert ends[t, i] == end


@given(st.integers(1, 12), st.integers(0, 1_000))
def test_volatility_scaled_return_equals_the_slow_version(horizon, seed):
    bars = moving(seed)
    values, _ = LABELS["volatility_scaled_return"].labelled(bars, horizon)
    plain = forward_return(bars, horizon)
    for t in range(len(bars.ts_ns)):
        for i in range(3):
            sigma = slow_volatility(bars, t, i)
            expected = np.nan if sigma is None else plain[t, i] / (sigma * math.sqrt(horizon))
            np.testing.assert_allclose(values[t, i], expected, rtol=1e-9)


@pytest.mark.parametrize("name", sorted(LABELS))
@pytest.mark.parametrize("seed", range(3))
def test_a_label_is_settled_within_the_horizon_and_by_nothing_after_its_end(name, seed):
    bars, label = moving(seed), LABELS[name]
    values, ends = label.labelled(bars, 5)
    known = np.isfinite(values)
    assert label.uses_future
    assert (label.name, bool(label.unit and label.meaning)) == (name, True)
    assert all(np.isfinite(list(label.parameters().values())))
    assert known.any()
    assert np.array_equal(ends == MISSING, ~known)
    row = np.arange(len(bars.ts_ns))[:, None]
    settled = np.searchsorted(bars.ts_ns, np.where(known, ends, bars.ts_ns[0]))
    assert np.all(~known | ((settled > row) & (settled <= row + 5)))
    for cut in (35, 50, 66):  # a label that ended by then is the same when nothing later exists
        early, early_ends = label.labelled(bars.rows(0, cut), 5)
        done = known[:cut] & (ends[:cut] <= bars.ts_ns[cut - 1])
        assert np.array_equal(np.isfinite(early), done)
        assert np.array_equal(early[done], values[:cut][done])
        assert np.array_equal(early_ends[done], ends[:cut][done])


@pytest.mark.parametrize("name", sorted(LABELS))
def test_a_label_does_not_depend_on_the_order_of_symbols(name):
    bars, order = moving(7), [2, 0, 1]
    parts = {
        part: getattr(bars, part)[:, order] for part in ("open", "high", "low", "close", "volume", "tradable")
    }
    turned = LABELS[name].labelled(replace(bars, **parts), 5)
    straight = LABELS[name].labelled(bars, 5)
    assert turned.values.tobytes() == straight.values[:, order].tobytes()
    assert turned.end_ns.tobytes() == straight.end_ns[:, order].tobytes()


def touched(**last):
    """Twenty quiet bars, then one that `last` describes relative to 100, then two quiet ones."""
    close = np.tile([[100.0], [101.0]], (12, 1))[:24]
    bars = panel(close)
    high, low, opening = close + 0.1, close - 0.1, close.copy()
    shaped = replace(bars, open=opening, high=high, low=low)
    for name, value in last.items():
        getattr(shaped, name)[22, 0] = value
    return shaped


def test_ties_of_the_barriers_are_settled_against_us():
    label = TripleBarrier()
    width = 0.01 * math.sqrt(3) * 1.03  # about; the exact one is not needed
    row, horizon = 21, 3
    base = touched().close[row, 0]

    def settled(**last):
        values, ends = label.labelled(touched(**last), horizon)
        return values[row, 0], ends[row, 0]

    both, at = settled(high=base * 1.2, low=base * 0.8, open=base)
    assert -1.1 * width < both < -0.9 * width
    assert at == touched().ts_ns[22]
    gapped, _ = settled(high=base * 1.2, low=base * 0.8, open=base * 0.85)
    assert gapped == pytest.approx(-0.15)
    leapt, _ = settled(high=base * 1.2, low=base * 1.1, open=base * 1.15)
    assert 0.9 * width < leapt < 1.1 * width


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.nan, math.inf])
def test_a_barrier_without_a_distance_is_refused(wrong):
    with pytest.raises(ValueError, match="loss_multiple"):
        TripleBarrier(loss_multiple=wrong)
