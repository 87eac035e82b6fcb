"""What every feature has to be; each check names what is wrong, so that it can be shown to find it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from workbench.core.features import Feature, Window, compute, compute_history
from workbench.core.types import Bars
from workbench.testing.panels import PARTS, ROWS, SYMBOLS, changed, columns, panel

SEEDS = range(4)


def bars_for(one: Feature, seed: int) -> Bars:
    """A panel that is long enough for the feature."""
    return panel(seed, max(ROWS, one.lookback + 20))


def reads_the_future(one: Feature) -> str:
    """Another value when what follows the described row is cut off or other."""
    for seed in SEEDS:
        bars = bars_for(one, seed)
        row = len(bars.ts_ns) - 9
        value = compute_history([one], bars, [row])
        cut = compute_history([one], bars.rows(0, row + 1), [row])
        other = changed(bars, slice(row + 1, None), slice(None), **dict.fromkeys(PARTS, 7.5), tradable=False)
        if not (value.tobytes() == cut.tobytes() == compute_history([one], other, [row]).tobytes()):
            return "the value changes with what follows it"
    return ""


def is_not_pure(one: Feature) -> str:
    """Another value at the second call, or a change of what it was given."""
    bars = bars_for(one, 1)
    window = Window(*(getattr(bars, name)[-one.lookback :].copy() for name in PARTS))
    before = [part.copy() for part in window]
    with np.errstate(all="ignore"):
        first = np.array(one.function(window), copy=True)
        other = bars_for(one, 2)
        one.function(Window(*(getattr(other, name)[-one.lookback :].copy() for name in PARTS)))
        again = one.function(window)
    if any(part.tobytes() != kept.tobytes() for part, kept in zip(window, before, strict=True)):
        return "it changes the window that it was given"
    if first.tobytes() != np.asarray(again).tobytes():
        return "the same window gives another value after another one was seen"
    if first.dtype != np.float64 or first.shape != (SYMBOLS,):
        return f"it gives {first.dtype} {first.shape}, not float64 ({SYMBOLS},)"
    return ""


def needs_another_lookback(one: Feature) -> str:
    """Rows outside of the window matter, or the window's first row never does."""
    matters = False
    for seed in SEEDS:
        bars = bars_for(one, seed)
        value = compute([one], bars)
        if compute([one], bars.tail(one.lookback)).tobytes() != value.tobytes():
            return "the last `lookback` rows give another value than all rows"
        if one.lookback > 1 and np.isfinite(compute([one], bars.tail(one.lookback - 1))).any():
            return "fewer than `lookback` rows give a value"
        factors = np.random.default_rng(seed).uniform(0.25, 4.0, (len(PARTS), SYMBOLS))
        first = {name: getattr(bars, name)[-one.lookback] * f for name, f in zip(PARTS, factors, strict=True)}
        other = compute([one], changed(bars, -one.lookback, slice(None), **first))
        matters |= other.tobytes() != value.tobytes()
    return "" if matters else "the first row of the window never matters: the lookback is too long"


def depends_on_the_order_of_symbols(one: Feature) -> str:
    """Another order of the columns gives other values."""
    for seed in SEEDS:
        bars, order = bars_for(one, seed), list(np.random.default_rng(seed).permutation(SYMBOLS))
        window = Window(*(getattr(bars, name)[-one.lookback :] for name in PARTS))
        turned = Window(*(part[:, order] for part in window))
        if one.function(turned).tobytes() != one.function(window)[order].tobytes():  # unrounded
            return "another order of the symbols gives other values"
    return ""


def depends_on_other_symbols(one: Feature) -> str:
    """A symbol alone has another value than among others; only right for one that says so."""
    bars = bars_for(one, 3)
    for at in range(SYMBOLS):
        alone = compute([one], columns(bars, [at], ("X",)))
        if alone.tobytes() != compute([one], bars)[[at]].tobytes():
            return "a symbol alone has another value than among others"
    return ""


def says_otherwise_of_other_symbols(one: Feature) -> str:
    """It compares symbols and does not say so, or says so and does not."""
    if bool(depends_on_other_symbols(one)) == one.compares_symbols:
        return ""
    told = "it says that it compares symbols" if one.compares_symbols else "it does not say so"
    return f"{depends_on_other_symbols(one) or 'no value depends on another symbol'}, and {told}"


def hides_a_missing_bar(one: Feature) -> str:
    """A value where a bar of the window is missing, or none where all are there."""
    bars = bars_for(one, 2)
    last = len(bars.ts_ns) - 1
    for back in {0, one.lookback // 2, one.lookback - 1}:
        for name in (*PARTS, "tradable"):
            holed = changed(bars, last - back, 1, **{name: False if name == "tradable" else math.nan})
            values = compute([one], holed)[:, 0]
            if not math.isnan(values[1]) or not np.isfinite(values[[0, 2, 3, 4]]).all():
                return f"a missing {name} {back} rows back gives {values.tolist()}"
    before = changed(bars, last - one.lookback, 1, tradable=False)
    if compute([one], before).tobytes() != compute([one], bars).tobytes():
        return "a missing bar before the window changes the value"
    return ""


def changes_with_a_split(one: Feature) -> str:
    """Prices and volumes in other share terms give another value."""
    for seed in SEEDS:
        bars = bars_for(one, seed)
        split = replace(
            bars, **{name: getattr(bars, name) / 4.0 for name in PARTS[:4]}, volume=bars.volume * 4.0
        )
        if compute([one], split).tobytes() != compute([one], bars).tobytes():  # powers of two are exact
            return "prices / 4 and volumes x 4 give another value"
    return ""


def is_not_finite(one: Feature) -> str:
    """No value for ordinary bars, or one without meaning for a price that never moves."""
    if not all(np.isfinite(compute([one], bars_for(one, seed))).all() for seed in range(10)):
        return "ordinary bars give no value"
    for price in (50.0, 50.1, 0.07):  # a price that never moves, with and without volume
        for volume in (0.0, 100_001.0):
            flat = changed(bars_for(one, 1), slice(None), 0, **dict.fromkeys(PARTS[:4], price), volume=volume)
            value = compute([one], flat)[0, 0]
            if math.isinf(value) or abs(value) > 1.0:
                return f"a flat price of {price} gives {value}"
    return ""


FEATURE_CHECKS: tuple[Callable[[Feature], str], ...] = (
    reads_the_future,
    is_not_pure,
    needs_another_lookback,
    depends_on_the_order_of_symbols,
    says_otherwise_of_other_symbols,
    hides_a_missing_bar,
    changes_with_a_split,
    is_not_finite,
)


def troubles(one: Feature) -> tuple[str, ...]:
    """What every check says of the feature, "check: words"; empty when it meets the contract.

    Examples
    --------
    >>> from workbench.extending import select_features
    >>> from workbench.testing import troubles
    >>> troubles(select_features(["momentum_20"])[0])
    ()
    """
    return tuple(f"{check.__name__}: {said}" for check in FEATURE_CHECKS if (said := check(one)))
