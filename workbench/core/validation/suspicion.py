"""What the prefix test cannot see: chance, the order of columns, and knowledge carried in from outside."""

from __future__ import annotations

import math

import numpy as np

from workbench.core.types import Floats
from workbench.core.validation.evaluation import Evaluation, differing, spread_of
from workbench.core.validation.findings import Finding

BLIND_FORESIGHT = 0.25  #: rank correlation that a value which ignores the prices may not reach
_LEAST_PAIRS = 60
_TIED_PAIRS = 3
_SEED = 20_130_301  #: of the scrambled prices; any other serves as well


def unstable(judged: Evaluation, full: Floats, names: tuple[str, ...], tolerance: float) -> list[Finding]:
    """Values that a second call does not repeat."""
    again, spread = judged.history(), spread_of(full)
    if again.shape != full.shape:
        return [Finding(0, "", "unstable", math.inf)]
    return [
        Finding(bar, names[at], "unstable", size)
        for bar in range(len(full))
        for at, size in differing(full[bar], again[bar], spread, tolerance)
    ]


def ordered(judged: Evaluation, full: Floats, names: tuple[str, ...], tolerance: float) -> list[Finding]:
    """Values that differ between two symbols whose bars are equal.

    A feature may treat one symbol by name, such as the market; a finding needs every tied pair to differ.
    """
    width = len(judged.panel.names)
    pairs = range(min(_TIED_PAIRS, width - 1))
    if full.shape[1] != width or width < 2 or judged.panel.tied(0) is None:
        return []
    found: list[Finding] = []
    for pair in pairs:
        values = judged.history(judged.panel.tied(pair))
        spread = np.maximum(spread_of(values), spread_of(full)).max(keepdims=True)
        wrong = [
            Finding(bar, names[pair + 1], "order", size)
            for bar in range(len(values))
            for _, size in differing(values[bar, [pair]], values[bar, [pair + 1]], spread, tolerance)
        ]
        if not wrong:
            return []
        found += wrong
    return found


def foreseeing(judged: Evaluation, full: Floats, names: tuple[str, ...], limit: float) -> list[Finding]:
    """Columns that rank the next return better than anything honest does.

    A value that does not change when all prices do, and yet ranks the next return, was made elsewhere.
    """
    closes = judged.panel.closes
    if closes is None or not len(full) > 2:
        return []
    with np.errstate(all="ignore"):
        following = closes[1:] / closes[:-1] - 1.0
    per_symbol = full.shape[1] // closes.shape[1] if full.shape[1] % closes.shape[1] == 0 else 0
    if per_symbol == 0:
        return []
    found = []
    limit_here = min(limit, BLIND_FORESIGHT) if _blind(judged, full) else limit
    for part in range(per_symbol):
        values = full[:-1, part::per_symbol]
        both = np.isfinite(values) & np.isfinite(following)
        strength = _rank_correlation(values[both], following[both])
        noise = 5.0 / math.sqrt(max(int(both.sum()), 1))
        if both.sum() >= _LEAST_PAIRS and abs(strength) >= max(limit_here, noise):
            at = np.nonzero(both.any(axis=0))[0][0]
            first = int(np.nonzero(both.any(axis=1))[0][0])
            found.append(Finding(first, names[at * per_symbol + part], "foresight", abs(strength)))
    return found


def _blind(judged: Evaluation, full: Floats) -> bool:
    """Whether the values stay what they are when every price becomes another."""
    other = judged.panel.scrambled(_SEED)
    if other is None:
        return False
    values = judged.history(other)
    return values.shape == full.shape and bool(np.array_equal(values, full, equal_nan=True))


def _rank_correlation(x: Floats, y: Floats) -> float:
    if len(x) < _LEAST_PAIRS or x.min() == x.max() or y.min() == y.max():
        return 0.0
    a, b = _ranks(x), _ranks(y)
    return float(np.sum(a * b) / math.sqrt(float(np.sum(a * a) * np.sum(b * b))))


def _ranks(values: Floats) -> Floats:
    """Ranks around their mean, ties shared."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2.0
    ranks: Floats = middle[place] - middle[place].mean()
    return ranks
