"""How much is traded, in which direction, and what it does to the price."""

from __future__ import annotations

import numpy as np

from workbench.core.features.arithmetic import changes, mean, total, true_deviation
from workbench.core.features.definition import Window, feature
from workbench.core.types import Floats

_MILLION = 1e6


@feature(
    "volume_trend_20",
    lookback=20,
    unit="fraction",
    meaning="mean volume of 5 sessions over that of 20, less one",
)
def volume_trend(window: Window) -> Floats:
    """Mean volume of the last five bars over that of the window, less one."""
    short = total(window.volume[-5:]) / 5.0
    return short / (total(window.volume) / len(window.volume)) - 1.0


@feature(
    "volume_surprise_20",
    lookback=20,
    unit="standard deviations",
    meaning="last volume's distance from its 20-session mean",
)
def volume_surprise(window: Window) -> Floats:
    """Standardised last volume (Gervais, Kaniel and Mingelgrin 2001); missing when it never varied."""
    surprise: Floats = (window.volume[-1] - mean(window.volume)) / true_deviation(window.volume)
    return surprise


@feature(
    "signed_volume_20",
    lookback=21,
    unit="fraction from -1 to 1",
    meaning="volume of rising less that of falling sessions, over all volume of 20 sessions",
)
def signed_volume(window: Window) -> Floats:
    """Balance of the volume (Granville 1963, as a share); missing when nothing was traded."""
    direction = np.sign(window.close[1:] - window.close[:-1])
    return total(direction * window.volume[1:]) / total(window.volume[1:])


@feature(
    "volume_price_gap_20",
    lookback=20,
    unit="fraction",
    meaning="close over the volume-weighted mean close of 20 sessions, less one",
)
def volume_price_gap(window: Window) -> Floats:
    """Distance of the close from what the window's holders paid; missing when nothing was traded."""
    paid = total(window.close * window.volume) / total(window.volume)
    gap: Floats = window.close[-1] / paid - 1.0
    return gap


@feature(
    "illiquidity_20",
    lookback=21,
    unit="fraction per million of traded value",
    meaning="mean of 20 absolute daily returns over the value traded that day",
)
def illiquidity(window: Window) -> Floats:
    """Price move per traded value (Amihud 2002); missing when a session traded nothing."""
    value = window.close[1:] * window.volume[1:] / _MILLION
    return mean(np.abs(changes(window.close)) / value)


@feature(
    "return_volume_correlation_20",
    lookback=21,
    unit="correlation from -1 to 1",
    meaning="correlation of 20 daily returns with the volumes of their sessions",
)
def return_volume_correlation(window: Window) -> Floats:
    """Whether volume comes with rises (Llorente et al. 2002); missing when either never varied."""
    returns, volumes = changes(window.close), window.volume[1:]
    across, along = returns - mean(returns), volumes - mean(volumes)
    product = total(across * along) / (len(returns) - 1)
    return product / (true_deviation(returns) * true_deviation(volumes))
