"""Kernels from a row of the history to decisions: who may trade, what the policy says of them."""

from __future__ import annotations

import math

import numpy as np

from workbench.core.corporate import split_bar
from workbench.core.costs import round_trip_bps, round_trip_floor_bps
from workbench.core.fills import FillValues, bar_half_spread_bps
from workbench.core.kernel import kernel
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
from workbench.core.policy.params import PolicyValues
from workbench.core.policy.reason import Reason
from workbench.core.simulate.arrays import AccountRow, Book, History, PanelLayer, Plan, Rules
from workbench.core.types import MISSING, Floats, Integers
from workbench.core.venue.kernels import quote_micro

# kernels see plain integers
_COST_MISSING = int(Reason.COST_MISSING)
HIGH, LOW, CLOSE, VOLUME, ADV, VOLATILITY, HALF_SPREAD = (
    int(PanelLayer.HIGH), int(PanelLayer.LOW), int(PanelLayer.CLOSE), int(PanelLayer.VOLUME),
    int(PanelLayer.ADV), int(PanelLayer.VOLATILITY_BPS), int(PanelLayer.HALF_SPREAD_BPS),
)  # fmt: skip
POSITION, RATIO_NEW, RATIO_OLD, CANDIDATE, CHOICE, INPUT = (
    int(AccountRow.POSITION), int(AccountRow.RATIO_NEW), int(AccountRow.RATIO_OLD),
    int(AccountRow.CANDIDATE), int(AccountRow.CHOICE), int(AccountRow.INPUT),
)  # fmt: skip


@kernel
def plan_weights(
    forecast: Floats,
    price_micro: Integers,
    volatility_bps: Floats,
    half_spread_bps: Floats,
    policy: PolicyValues,
    weight_micro: Integers,
    wanted_micro: Integers,
) -> None:
    """Write the target weight of every symbol at every row, and each row's sum of absolute weights."""
    for t in range(forecast.shape[0]):
        wanted = 0
        for i in range(forecast.shape[1]):
            weight = MISSING
            if 0 < price_micro[t, i] <= 1_000_000_000_000 and 0.0 <= half_spread_bps[t, i] < 1e5:
                weight = target_weight_micro(forecast_micro(forecast[t, i]), volatility_bps[t, i], policy)
            weight_micro[t, i] = weight
            wanted += abs(weight) if weight != MISSING else 0
        wanted_micro[t] = wanted


@kernel
def find_candidates(
    weight_micro: Integers,
    forecast: Floats,
    price_micro: Integers,
    t: int,
    wanted_micro: int,
    equity_micro: int,
    known_micro: float,
    policy: PolicyValues,
    account: Integers,
) -> int:
    """Write who may trade after row t; returns how many, -1 = the row has to be decided as a whole.

    Symbols that surely do nothing are passed over, which is only right while nobody's weight is scaled:
    a row that wants more than the gross weight, with what cannot be judged, is decided as a whole.
    """
    if not 0 < equity_micro <= 1_000_000_000_000_000_000:
        return 0
    held = 0
    count = 0
    for i in range(weight_micro.shape[1]):
        weight, position, price = weight_micro[t, i], account[POSITION, i], price_micro[t, i]
        if weight == MISSING:
            if position != 0:
                held += min(held_weight_micro(position, price, equity_micro), 1_000_000_000)
            continue
        turned = (forecast[t, i] > 0.0 and position < 0) or (forecast[t, i] < 0.0 and position > 0)
        if turned or not surely_idle(weight, price, position, equity_micro, known_micro, policy):
            account[CANDIDATE, count] = i
            count += 1
    return -1 if wanted_micro + held > policy.max_gross_micro else count


@kernel
def decide_candidates(
    t: int, count: int, equity_micro: int, history: History, plan: Plan, rules: Rules, book: Book
) -> bool:
    """Decide each candidate by itself; False when one's unknown cost changes the scale of the row."""
    missing = 0
    for k in range(count):
        i = book.account[CANDIDATE, k]
        weight, price, position = (
            plan.weight_micro[t, i],
            history.decision_micro[t, i],
            book.account[POSITION, i],
        )
        adv, volatility = history.panel[ADV, t, i], history.panel[VOLATILITY, t, i]
        half_spread = known_half_spread_bps(t, i, history, rules.fills, book)
        forecast = forecast_micro(plan.forecast[t, i])
        free = decide_symbol(
            weight, Standing(forecast, price, volatility, 0.0, position, 0, 1, 0), equity_micro, rules.policy
        )
        shares = max(abs(free.target_shares - position), rules.policy.lot_shares)
        floor = round_trip_bps(shares, price, adv, volatility, half_spread, rules.prior, rules.rates)
        standing = Standing(forecast, price, volatility, floor, position, 0, 1, 0)
        choice = decide_symbol(weight, standing, equity_micro, rules.policy)
        if choice.reason == _COST_MISSING:
            missing += min(held_weight_micro(position, price, equity_micro), 1_000_000_000)
        book.floats[0, i] = half_spread
        write_choice(book.account, i, choice)
        book.account[CHOICE + 7, i] = weight
    if missing == 0:
        return True
    held = missing
    for i in range(book.account.shape[1]):
        if plan.weight_micro[t, i] == MISSING and book.account[POSITION, i] != 0:
            weight = held_weight_micro(book.account[POSITION, i], history.decision_micro[t, i], equity_micro)
            held += min(weight, 1_000_000_000)
    return bool(plan.wanted_micro[t] + held <= rules.policy.max_gross_micro)


@kernel
def decide_whole_row(
    t: int, equity_micro: int, history: History, plan: Plan, rules: Rules, book: Book
) -> None:
    """Decide all symbols after row t together, exactly as one cycle of a session does."""
    half_spread, volatility, adv, floor = book.floats[0], book.floats[1], book.floats[2], book.floats[3]
    forecast, price = book.account[INPUT], book.account[INPUT + 1]
    tradable, zeros = book.account[INPUT + 2], book.account[INPUT + 3]
    intended, position = book.account[INPUT + 4], book.account[POSITION]
    choice = book.account[CHOICE : CHOICE + 8]
    for i in range(position.shape[0]):
        forecast[i] = forecast_micro(plan.forecast[t, i])
        price[i] = history.decision_micro[t, i]
        tradable[i] = 0 if math.isnan(history.panel[CLOSE, t, i]) else 1
        zeros[i] = 0
        volatility[i] = history.panel[VOLATILITY, t, i]
        adv[i] = history.panel[ADV, t, i]
        half_spread[i] = known_half_spread_bps(t, i, history, rules.fills, book)
        floor[i] = 0.0
        book.account[CANDIDATE, i] = i
    decide_row(
        forecast, price, volatility, floor, position, zeros, tradable, zeros, equity_micro, rules.policy,
        choice,
    )  # fmt: skip
    for i in range(position.shape[0]):
        intended[i] = max(abs(choice[0, i] - position[i]), rules.policy.lot_shares)
    round_trip_floor_bps(intended, price, adv, volatility, half_spread, rules.prior, rules.rates, floor)
    decide_row(
        forecast, price, volatility, floor, position, zeros, tradable, zeros, equity_micro, rules.policy,
        choice,
    )  # fmt: skip


@kernel
def last_bar(t: int, i: int, history: History, book: Book) -> tuple[int, float, float, float]:
    """What the venue knows of row t: last price, high, low, volume, in the terms of the session after."""
    price = history.price_micro[t, i]
    high, low, volume = history.panel[HIGH, t, i], history.panel[LOW, t, i], history.panel[VOLUME, t, i]
    new, old = book.account[RATIO_NEW, i], book.account[RATIO_OLD, i]
    if new == old:
        return (price, high, low, volume)
    return split_bar(price, high, low, volume, new, old)


@kernel
def known_half_spread_bps(t: int, i: int, history: History, fills: FillValues, book: Book) -> float:
    """The larger of estimated and quoted half spread; the estimate alone where nothing is quoted."""
    estimated_bps = float(history.panel[HALF_SPREAD, t, i])
    price_micro, high, low, _ = last_bar(t, i, history, book)
    bid, ask = quote_micro(price_micro, bar_half_spread_bps(high, low, fills))
    if bid <= 0:
        return estimated_bps
    spread = (ask - bid) / 2.0 / ((bid + ask) / 2.0)
    quoted_bps = float(np.rint(spread * 1e6)) / 100.0
    return estimated_bps if estimated_bps >= quoted_bps else quoted_bps


@kernel
def write_choice(account: Integers, i: int, choice: Choice) -> None:
    """Put a choice where a row of decisions has it."""
    account[CHOICE, i] = choice.target_shares
    account[CHOICE + 1, i] = choice.delta_shares
    account[CHOICE + 2, i] = choice.order_type
    account[CHOICE + 3, i] = choice.limit_micro
    account[CHOICE + 4, i] = choice.reason
    account[CHOICE + 5, i] = choice.edge_micro
    account[CHOICE + 6, i] = choice.cost_floor_micro
