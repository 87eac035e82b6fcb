"""Kernels from a row of the history to decisions: who may trade, what the policy says of them."""

from __future__ import annotations

import math

import numpy as np

from workbench.core.corporate import split_bar
from workbench.core.costs import round_trip_bps, round_trip_floor_bps
from workbench.core.fills import FillValues, bar_half_spread_bps
from workbench.core.kernel import inlined_kernel
from workbench.core.policy.kernels import (
    Choice,
    Standing,
    decide_row,
    decide_symbol,
    forecast_micro,
    held_weight_micro,
    surely_idle,
    target_weight_micro,
)
from workbench.core.policy.reason import Reason
from workbench.core.simulate.arrays import AccountRow, Book, History, PanelField, Rules
from workbench.core.types import MISSING, Floats, Integers
from workbench.core.venue.kernels import quote_micro

# kernels see plain integers
_COST_MISSING = int(Reason.COST_MISSING)
HIGH, LOW, CLOSE, VOLUME, ADV, VOLATILITY, HALF_SPREAD = (
    int(PanelField.HIGH), int(PanelField.LOW), int(PanelField.CLOSE), int(PanelField.VOLUME),
    int(PanelField.ADV), int(PanelField.VOLATILITY_BPS), int(PanelField.HALF_SPREAD_BPS),
)  # fmt: skip
POSITION, RATIO_NEW, RATIO_OLD, CANDIDATE, CHOICE, INPUT, WEIGHT = (
    int(AccountRow.POSITION), int(AccountRow.RATIO_NEW), int(AccountRow.RATIO_OLD),
    int(AccountRow.CANDIDATE), int(AccountRow.CHOICE), int(AccountRow.INPUT), int(AccountRow.WEIGHT),
)  # fmt: skip


@inlined_kernel
def find_candidates(
    t: int, equity_micro: int, history: History, forecast: Floats, rules: Rules, book: Book
) -> tuple[int, int]:
    """Write target weights after row t and who may trade: how many, and the sum of absolute weights.

    A count of -1 = the row has to be decided as a whole. Symbols that surely do nothing are passed over,
    which is only right while nobody's weight is scaled: a row that wants more than the gross weight, with
    what cannot be judged, is decided as a whole.
    """
    if not 0 < equity_micro <= 1_000_000_000_000_000_000:
        return (0, 0)
    wanted = 0
    count = 0
    missing = 0
    for i in range(book.account.shape[1]):
        expected, position, price = forecast[t, i], book.account[POSITION, i], history.decision_micro[t, i]
        weight = target_weight_micro(forecast_micro(expected), history.risk_bps[t, i], rules.policy)
        book.account[WEIGHT, i] = weight
        if weight == MISSING:
            missing += abs(position)
            continue
        wanted += abs(weight)
        turned = (expected > 0.0 and position < 0) or (expected < 0.0 and position > 0)
        if turned or not surely_idle(weight, price, position, equity_micro, rules.known_micro, rules.policy):
            book.account[CANDIDATE, count] = i
            count += 1
    held = held_unjudged_micro(t, equity_micro, history, book) if missing != 0 else 0
    return (-1 if wanted + held > rules.policy.max_gross_micro else count, wanted)


@inlined_kernel
def held_unjudged_micro(t: int, equity_micro: int, history: History, book: Book) -> int:
    """Weight x 1e6 of what is held of symbols that cannot be judged after row t."""
    held = 0
    for i in range(book.account.shape[1]):
        position = book.account[POSITION, i]
        if book.account[WEIGHT, i] == MISSING and position != 0:
            weight = held_weight_micro(position, history.decision_micro[t, i], equity_micro)
            held += min(weight, 1_000_000_000)
    return held


@inlined_kernel
def decide_candidates(
    t: int, count: int, wanted_micro: int, equity_micro: int, history: History, forecast: Floats,
    rules: Rules, book: Book,
) -> bool:  # fmt: skip
    """Decide each candidate by itself; False when one's unknown cost changes the scale of the row."""
    missing = 0
    for k in range(count):
        i = book.account[CANDIDATE, k]
        weight, price, position = (
            book.account[WEIGHT, i],
            history.decision_micro[t, i],
            book.account[POSITION, i],
        )
        adv, volatility = history.panel[t, i, ADV], history.panel[t, i, VOLATILITY]
        half_spread = known_half_spread_bps(t, i, history, rules.fills, book)
        expected = forecast_micro(forecast[t, i])
        free = decide_symbol(
            weight, Standing(expected, price, volatility, 0.0, position, 0, 1, 0), equity_micro, rules.policy
        )
        shares = max(abs(free.target_shares - position), rules.policy.lot_shares)
        floor = round_trip_bps(shares, price, adv, volatility, half_spread, rules.prior, rules.rates)
        standing = Standing(expected, price, volatility, floor, position, 0, 1, 0)
        choice = decide_symbol(weight, standing, equity_micro, rules.policy)
        if choice.reason == _COST_MISSING:
            missing += min(held_weight_micro(position, price, equity_micro), 1_000_000_000)
        book.floats[0, i] = half_spread
        write_choice(book.account, i, choice)
        book.account[CHOICE + 7, i] = weight
    if missing == 0:
        return True
    held = missing + held_unjudged_micro(t, equity_micro, history, book)
    return bool(wanted_micro + held <= rules.policy.max_gross_micro)


@inlined_kernel
def decide_whole_row(
    t: int, equity_micro: int, history: History, forecast: Floats, rules: Rules, book: Book
) -> None:
    """Decide all symbols after row t together, exactly as one cycle of a session does."""
    half_spread, volatility, adv, floor = book.floats[0], book.floats[1], book.floats[2], book.floats[3]
    expected, price = book.account[INPUT], book.account[INPUT + 1]
    tradable, zeros = book.account[INPUT + 2], book.account[INPUT + 3]
    intended, position = book.account[INPUT + 4], book.account[POSITION]
    choice = book.account[CHOICE : CHOICE + 8]
    for i in range(position.shape[0]):
        expected[i] = forecast_micro(forecast[t, i])
        price[i] = history.decision_micro[t, i]
        tradable[i] = 0 if math.isnan(history.panel[t, i, CLOSE]) else 1
        zeros[i] = 0
        volatility[i] = history.panel[t, i, VOLATILITY]
        adv[i] = history.panel[t, i, ADV]
        half_spread[i] = known_half_spread_bps(t, i, history, rules.fills, book)
        floor[i] = 0.0
        book.account[CANDIDATE, i] = i
    decide_row(
        expected, price, volatility, floor, position, zeros, tradable, zeros, equity_micro, rules.policy,
        choice,
    )  # fmt: skip
    for i in range(position.shape[0]):
        intended[i] = max(abs(choice[0, i] - position[i]), rules.policy.lot_shares)
    round_trip_floor_bps(intended, price, adv, volatility, half_spread, rules.prior, rules.rates, floor)
    decide_row(
        expected, price, volatility, floor, position, zeros, tradable, zeros, equity_micro, rules.policy,
        choice,
    )  # fmt: skip


@inlined_kernel
def last_bar(t: int, i: int, history: History, book: Book) -> tuple[int, float, float, float]:
    """What the venue knows of row t: last price, high, low, volume, in the terms of the session after."""
    price = history.price_micro[t, i]
    high, low, volume = history.panel[t, i, HIGH], history.panel[t, i, LOW], history.panel[t, i, VOLUME]
    new, old = book.account[RATIO_NEW, i], book.account[RATIO_OLD, i]
    if new == old:
        return (price, high, low, volume)
    return split_bar(price, high, low, volume, new, old)


@inlined_kernel
def known_half_spread_bps(t: int, i: int, history: History, fills: FillValues, book: Book) -> float:
    """The larger of estimated and quoted half spread; the estimate alone where nothing is quoted."""
    estimated_bps = float(history.panel[t, i, HALF_SPREAD])
    price_micro, high, low, _ = last_bar(t, i, history, book)
    bid, ask = quote_micro(price_micro, bar_half_spread_bps(high, low, fills))
    if bid <= 0:
        return estimated_bps
    spread = (ask - bid) / 2.0 / ((bid + ask) / 2.0)
    quoted_bps = float(np.rint(spread * 1e6)) / 100.0
    return estimated_bps if estimated_bps >= quoted_bps else quoted_bps


@inlined_kernel
def write_choice(account: Integers, i: int, choice: Choice) -> None:
    """Put a choice where a row of decisions has it."""
    account[CHOICE, i] = choice.target_shares
    account[CHOICE + 1, i] = choice.delta_shares
    account[CHOICE + 2, i] = choice.order_type
    account[CHOICE + 3, i] = choice.limit_micro
    account[CHOICE + 4, i] = choice.reason
    account[CHOICE + 5, i] = choice.edge_micro
    account[CHOICE + 6, i] = choice.cost_floor_micro
